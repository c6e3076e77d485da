//! Where records go: the last lines in memory, a file of JSON Lines, a SQLite database, the terminal, and followers.
//!
//! One thread, the writer, fetches what workers handed in, gives every line its `seq` and hands it to every sink.
//! It lives here and not in `record`, since it drives the sinks; `record` gives it an `Intake` to fetch from.
//!
//! Guaranteed:
//! - `seq` continues over restarts, from the one of file and database that has more; the other one says so by a
//!   `gap`. What was open when the process was killed is reported by a `gap` at the next start.
//! - Memory is bounded: [`Settings::ring`] lines and [`MAX_RING_TEXT`] bytes of text in memory; for the database 65,536
//!   lines and 16 MiB of text that wait, and as much in the batch that is tried.
//! - A sink that fails holds up no other, is tried again, and says how much it lost.
//!
//! Deliberately not done: nothing is written to a disk unless [`Settings::jsonl`] or [`Settings::sqlite`] names a file. A
//! disk that is full makes lines be dropped and counted, and requests fail only if records are required.

mod account;
mod age;
mod fault;
mod followers;
mod handle;
mod jsonl;
mod kind;
mod metrics;
#[cfg(test)]
#[cfg(feature = "model")]
mod model_tests;
mod open;
mod retry;
mod ring;
pub(crate) mod sqlite;
mod terminal;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use self::followers::FollowersSink;
use self::jsonl::JsonlSink;
use self::ring::MemorySink;
use self::sqlite::SqliteSink;
use self::terminal::TerminalSink;
use crate::record::{Gap, GapCause, LineHash, RecordLine};

pub use account::SinkStatus;
pub use followers::{Followed, Follower};
pub use handle::Sinks;
pub use jsonl::Jsonl;
pub use kind::SinkKind;
pub(crate) use metrics::FAMILIES;
pub use metrics::Metrics;
pub use ring::{MAX_RING_TEXT, RecentFilter};
pub use sqlite::Sqlite;
pub use terminal::Terminal;

/// Where records go.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file, if any.
    pub jsonl: Option<Jsonl>,
    /// The database, if any.
    pub sqlite: Option<Sqlite>,
    /// The file that holds the key of the chain of lines; none: anyone can compute it.
    pub chain_key: Option<PathBuf>,
    /// What standard error shows.
    pub terminal: Terminal,
    /// Lines that are kept in memory.
    pub ring: usize,
}

/// Something that takes lines. A new one is a file in this room, a variant here, a row in [`SinkKind`], and a line in
/// [`open`](open::open).
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there are a handful, in one list")]
enum Sink {
    Memory(MemorySink),
    Jsonl(JsonlSink),
    Sqlite(SqliteSink),
    Terminal(TerminalSink),
    Followers(FollowersSink),
}

/// What a sink needs before a batch's lines.
#[derive(Debug)]
enum Before {
    /// It works again: this gap is its first line, after the line with this hash.
    First { gap: Gap, prev: Option<LineHash> },
    /// It has lines up to this place, which was not known before.
    Beyond(u64),
}

/// What a batch ends with.
#[derive(Clone, Copy, Debug)]
struct BatchEnd {
    now: Instant,
    /// Everything has to be on the disk.
    whole: bool,
    /// There will be no other batch.
    last: bool,
}

impl Sink {
    /// The hash of the last line that was handed in, where this is the chain that lines show.
    fn prev(&self) -> Option<LineHash> {
        match self {
            Self::Jsonl(sink) => sink.prev(),
            Self::Memory(_) | Self::Sqlite(_) | Self::Terminal(_) | Self::Followers(_) => None,
        }
    }

    /// Whether it wants each line's JSON.
    fn wants_json(&self) -> bool {
        match self {
            Self::Jsonl(_) => true,
            Self::Terminal(sink) => sink.wants_json(),
            Self::Memory(_) | Self::Sqlite(_) | Self::Followers(_) => false,
        }
    }

    /// What it needs before a batch's lines. A failed sink is tried again if it is time, or if the batch is `whole`.
    fn before_lines(&mut self, seq: u64, whole: bool, now: Instant) -> Option<Before> {
        match self {
            Self::Jsonl(sink) => sink.before_lines(whole, now),
            Self::Sqlite(sink) => Some(sink.floor()).filter(|floor| *floor > seq).map(Before::Beyond),
            Self::Memory(_) | Self::Terminal(_) | Self::Followers(_) => None,
        }
    }

    /// Writes the line that [`Before::First`] asked for, at once. Whether that worked.
    fn write_first(&mut self, line: &RecordLine, json: &[u8]) -> bool {
        match self {
            Self::Jsonl(sink) => sink.write_first(line, json),
            Self::Memory(_) | Self::Sqlite(_) | Self::Terminal(_) | Self::Followers(_) => false,
        }
    }

    /// Takes a line. `json` is that line's, if any sink [wants](Self::wants_json) it.
    fn take(&mut self, line: &Arc<RecordLine>, json: &[u8], now: Instant) {
        match self {
            Self::Memory(sink) => sink.take(line),
            Self::Jsonl(sink) => sink.take(line, json),
            Self::Sqlite(sink) => sink.push(line),
            Self::Terminal(sink) => sink.line(line, json, now),
            Self::Followers(sink) => sink.take(line),
        }
    }

    /// A gap that has to follow a batch's lines.
    fn after_lines(&mut self, now: Instant) -> Option<GapCause> {
        match self {
            Self::Jsonl(sink) => sink.after_lines(now),
            Self::Memory(_) | Self::Sqlite(_) | Self::Terminal(_) | Self::Followers(_) => None,
        }
    }

    /// Writes what it has taken.
    fn write_out(&mut self, end: BatchEnd) {
        match self {
            Self::Memory(sink) => sink.write_out(),
            Self::Jsonl(sink) => sink.write_out(end),
            Self::Terminal(sink) => sink.write_out(end.now),
            // A thread of its own writes it.
            Self::Sqlite(_) | Self::Followers(_) => {}
        }
    }

    /// Waits until everything that it has taken has been tried.
    fn flush(&self) {
        match self {
            Self::Sqlite(sink) => sink.flush(),
            Self::Memory(_) | Self::Jsonl(_) | Self::Terminal(_) | Self::Followers(_) => {}
        }
    }

    /// When it has something to do although no record is handed in.
    fn due_at(&self) -> Option<Instant> {
        match self {
            Self::Jsonl(sink) => sink.due_at(),
            Self::Terminal(sink) => sink.due_at(),
            Self::Memory(_) | Self::Sqlite(_) | Self::Followers(_) => None,
        }
    }
}
