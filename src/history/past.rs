//! The requests of the past, for the process that records them.

use std::sync::Arc;
use std::time::SystemTime;

use super::kept::{Kept, KeptError};
use super::request::{Beside, Request, Wanted};
use crate::facts::{Destination, Protocol};
use crate::record::{Body, Kind, Record, RecordLine, UtcTime};

/// What a process can read of what it recorded.
#[derive(Clone, Debug)]
pub enum Past {
    /// What a file or a database keeps.
    Kept(Kept),
    /// The last lines in memory, the newest last, where nothing else keeps any.
    Memory(Vec<Arc<RecordLine>>),
}

impl Past {
    /// Where it comes from: `sqlite`, `jsonl` or `memory`.
    pub fn source(&self) -> &'static str {
        match self {
            Self::Kept(Kept::Sqlite(_)) => "sqlite",
            Self::Kept(Kept::Jsonl(_)) => "jsonl",
            Self::Memory(_) => "memory",
        }
    }

    /// Shows every request that began at `since` or later, in the order in which they ended. Reads a disk, for as long as
    /// it takes; the last second may not be there yet.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn requests(
        &self,
        wanted: Wanted,
        since: Option<SystemTime>,
        mut each: impl FnMut(&Request<'_>),
    ) -> Result<Beside, KeptError> {
        match self {
            Self::Kept(kept) => kept.requests(wanted, since, each),
            Self::Memory(lines) => Ok(in_memory(lines, since, &mut each)),
        }
    }
}

fn in_memory(lines: &[Arc<RecordLine>], since: Option<SystemTime>, each: &mut dyn FnMut(&Request<'_>)) -> Beside {
    let mut beside = Beside::default();
    for line in lines {
        match &line.body {
            Body::Record(record) if record.kind == Kind::End && since.is_none_or(|since| record.started >= since) => {
                show(record, each);
            }
            Body::Gap(gap) if since.is_none_or(|since| gap.at >= since) => {
                beside.gap(gap.cause.as_str(), gap.dropped);
            }
            Body::Record(_) | Body::Gap(_) => {}
        }
    }
    beside
}

/// A record as its line would be read back.
fn show(record: &Record, each: &mut dyn FnMut(&Request<'_>)) {
    let host = record.destination.as_ref().map(|destination| destination.host().to_string());
    let address = record.address.map(|address| address.to_string());
    let (sni, is_tunnel) = (record.sni.as_deref(), record.protocol != Some(Protocol::Http));
    each(&Request {
        count: 1,
        ms: UtcTime(record.started).millis(),
        decision: record.verdict.decision(),
        reason: record.verdict.reason(),
        rule: record.rule().unwrap_or_default(),
        tool: record.listener.as_str(),
        identity: "",
        host: host.as_deref().unwrap_or_default(),
        port: record.destination.as_ref().map(Destination::port).map_or(0, |port| port.get()),
        address: address.as_deref().unwrap_or_default(),
        greeted_otherwise: is_tunnel && record.bytes_up > 0 && sni != host.as_deref(),
    });
}
