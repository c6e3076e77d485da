//! Opening the sinks that a configuration names, and what they hold from before.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use super::account::SinkAccounts;
use super::jsonl::JsonlSink;
use super::kind::SinkKind;
use super::sqlite::OpenedSqlite;
use super::terminal::TerminalSink;
use super::{Settings, Sink};
use crate::record::{Chain, Health};

/// Ids of what was cut off that the log names; the gap has their number.
const MAX_NAMED: usize = 10;

/// What was opened.
#[derive(Debug)]
pub(super) struct Opened {
    /// In the order of [`SinkKind::ALL`].
    pub(super) sinks: Vec<Sink>,
    /// The last line's place, in whichever sink is further.
    pub(super) seq: u64,
    /// What was open when the process before this one ended without its last word.
    pub(super) cut_off: u64,
}

/// Opens the sinks that keep lines or show them.
///
/// # Errors
/// A sink cannot be had, or the key of the chain cannot be read.
pub(super) fn open(settings: Settings, accounts: &SinkAccounts, health: &Arc<Health>) -> io::Result<Opened> {
    let Settings { jsonl, sqlite, chain_key, terminal, ring: _ } = settings;
    let chain = Chain::open(chain_key.as_deref())?;
    let account = |kind| Arc::clone(accounts.of(kind));
    let terminal = TerminalSink::stderr(terminal, jsonl.is_some() || sqlite.is_some(), account(SinkKind::Terminal));
    let sqlite = sqlite.map(|sqlite| OpenedSqlite::open(sqlite, chain.clone(), health.consequence())).transpose()?;
    let (mut seq, mut left_open) = (0, HashSet::new());
    if let Some((_, found)) = &sqlite {
        seq = found.seq;
        left_open.clone_from(&found.open);
    }
    let mut sinks = Vec::new();
    if let Some(settings) = jsonl {
        let (mut sink, last) = JsonlSink::open(settings, chain, account(SinkKind::Jsonl), Arc::clone(health))?;
        if last > 0 && last < seq {
            sink.note_lag(last, seq);
        }
        seq = seq.max(last);
        left_open = sink.left_open(left_open);
        sinks.push(Sink::Jsonl(sink));
    }
    if let Some((opened, _)) = sqlite {
        left_open.retain(|id| !opened.has_end(id));
        sinks.push(Sink::Sqlite(opened.start(seq, account(SinkKind::Sqlite), Arc::clone(health))?));
    }
    sinks.extend(terminal.map(Sink::Terminal));
    let cut_off = left_open.len() as u64;
    if !left_open.is_empty() {
        let some: Vec<_> = left_open.into_iter().take(MAX_NAMED).collect();
        tracing::warn!(lost = cut_off, ids = some.join(" "), "open when outgate last ended; their end is not recorded");
    }
    Ok(Opened { sinks, seq, cut_off })
}
