//! Records and counts: what remains of a request.
//!
//! A worker counts a request once, when its last check is done ([`WorkerRecorder::count`]), and hands in its [`Record`]
//! once, at its end ([`WorkerRecorder::emit`]). One writer thread gives every line its `seq` and feeds the sinks: the
//! last lines in memory, a file of JSON Lines, a SQLite database, the terminal, and whoever follows.
//!
//! Guaranteed:
//! - Counts do not depend on records: a record that is dropped is still counted, and counted as dropped.
//! - In one scrape the denied requests of `outgate_requests_total` and the sum of `outgate_denied_destinations_total`
//!   are equal to the unit, whatever happens meanwhile: a worker takes both steps under one lock, and a scrape reads
//!   under it.
//! - A worker never waits for a disk, a terminal or a reader, and formats nothing. An allowed request takes no lock but
//!   its worker's own and, if it is the first since the writer came by, the writer's bell; a denied one takes the shared
//!   table's only when its worker's share of it is full.
//! - `seq` goes on over restarts, from whichever of file and database is further; the one that is behind says so by a
//!   `gap`. A tunnel that was open when the process was killed is reported by a `gap` at the next start.
//! - Memory is bounded, whatever clients ask for: [`MAX_BUFFERED`] records and 8 MiB of text per worker that the writer
//!   has not fetched yet, and as much again while it writes; `Settings::ring` lines and [`MAX_RING_TEXT`] bytes of text
//!   in memory; per worker 1,024 denied destinations between merges (at most 0.8 MiB, as long as names can be) and one
//!   table of `max_destinations` rows with half as many collapsed ones (at most 3 MiB for 2,000, usually a quarter of
//!   that); for the database 65,536 lines and 16 MiB of text that wait, and as much in the batch that is tried. Text from
//!   the network is cut to the lengths named at [`Record`] when it enters.
//! - Every request is counted and recorded but one kind: this process's own test of itself that was denied as it had to
//!   be ([`Probe`]).
//!
//! Deliberately not done: the path's query, header values and bodies are never seen here. Nothing is written to a disk
//! unless [`Settings::jsonl`] or [`Settings::sqlite`] names a file. A disk that is full makes lines be dropped and counted,
//! and requests fail only with [`Settings::required`].

#[path = "../history/backfill.rs"]
mod backfill;
mod buffer;
mod chain;
mod counts;
mod destinations;
mod encode;
mod entry;
mod health;
mod histogram;
#[path = "../sink/sqlite/mod.rs"]
mod history;
#[path = "../sink/jsonl/mod.rs"]
mod jsonl;
#[path = "../history/kept.rs"]
pub mod kept;
mod line;
#[path = "../sink/jsonl/lost.rs"]
mod lost;
mod mac;
mod metrics;
#[cfg(test)]
#[cfg(feature = "model")]
#[path = "../sink/model_tests.rs"]
mod model_tests;
#[path = "../history/past.rs"]
mod past;
mod probe;
mod recorder;
mod redact;
#[path = "../history/report/mod.rs"]
pub mod report;
#[path = "../sink/retry.rs"]
mod retry;
#[path = "../sink/ring.rs"]
mod ring;
mod series;
mod sightings;
mod signal;
#[path = "../sink/account.rs"]
mod sinks;
mod stored;
#[path = "../sink/jsonl/tail.rs"]
mod tail;
#[path = "../sink/terminal.rs"]
mod terminal;
#[cfg(test)]
#[path = "../sink/tests.rs"]
mod tests;
mod took;
mod tools;
mod worker;
#[path = "../sink/writer.rs"]
mod writer;

pub use buffer::MAX_BUFFERED;
pub use chain::Chain;
pub use destinations::{Denials, DeniedDestination};
pub use entry::{ConnectionResult, HelloResult, Kind, Outcome, Record, RequestId, Verdict};
pub use history::Sqlite;
pub use line::{RecordLine, UtcTime};
pub use metrics::Metrics;
pub use past::Past;
pub use probe::Probe;
pub use recorder::{Followed, Follower, Jsonl, Recorder, Settings, Terminal, Totals};
pub use redact::Redact;
pub use ring::{MAX_RING_TEXT, RecentFilter};
pub use series::{Decided, OverTime, Window};
pub use sinks::SinkStatus;
pub use took::Took;
pub use worker::WorkerRecorder;

use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard};

/// Takes a lock whose data is whole between any two statements: a panic elsewhere is no reason to stop counting.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
