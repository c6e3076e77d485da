//! Records and counts: what remains of a request.
//!
//! A worker counts a request once, when its last check is done ([`WorkerRecorder::count`]), and hands in its [`Record`]
//! once, at its end ([`WorkerRecorder::emit`]). The writer fetches records at the [`Intake`]. Where they go is the
//! business of the room `sink`; how they are read back, of `history`. What both need of a line is here: its columns, its
//! bytes, its chain, and the names of the files.
//!
//! Guaranteed:
//! - Counts do not depend on records: a record that is dropped is still counted, and counted as dropped.
//! - In one scrape the denied requests of `outgate_requests_total` and the sum of `outgate_denied_destinations_total`
//!   are exactly equal even under concurrent requests: a worker takes both steps under one lock, and a scrape reads
//!   under it.
//! - A worker never waits for a disk, a terminal or a reader, and formats nothing. An allowed request takes no lock but
//!   its worker's own and, if it is the first since the writer came by, the writer's bell; a denied one takes the shared
//!   table's only when its worker's share of it is full.
//! - Memory is bounded for any traffic: [`MAX_BUFFERED`] records and 8 MiB of text per worker that the writer
//!   has not fetched yet, and as much again while it writes; per worker 1,024 denied destinations between merges (at most
//!   0.8 MiB, as long as names can be) and one table of `max_destinations` rows with half as many collapsed ones (at most
//!   3 MiB for 2,000, usually a quarter of that). Text from the network is cut to the lengths named at [`Record`] when it
//!   enters.
//! - Every request is counted and recorded but one kind: this process's own test of itself that was denied as it had to
//!   be ([`Probe`]).
//!
//! Deliberately not done: the path's query, header values and bodies are never seen here.

mod buffer;
pub(crate) mod chain;
mod columns;
mod counts;
mod destinations;
mod entry;
mod family;
pub(crate) mod files;
mod health;
mod histogram;
mod intake;
pub(crate) mod line;
mod mac;
mod metrics;
#[cfg(test)]
#[cfg(feature = "model")]
mod model_tests;
mod nanos;
mod probe;
mod recorder;
mod redact;
mod series;
mod shared;
mod sightings;
mod signal;
pub(crate) mod stored;
mod tools;
mod utc;
mod value;
mod worker;

pub use buffer::MAX_BUFFERED;
pub use chain::Chain;
pub use destinations::{Denials, DeniedDestination};
pub use entry::{HelloResult, Kind, Record, Verdict};
pub use intake::Intake;
pub use line::RecordLine;
pub use metrics::Metrics;
pub use nanos::Nanos;
pub use probe::Probe;
pub use recorder::{Recorder, Totals};
pub use redact::Redact;
pub use series::{Decided, OverTime, Window};
pub use shared::Settings;
pub use utc::UtcTime;
pub use worker::WorkerRecorder;

pub(crate) use chain::{Hourly, KeyId, LineHash};
pub(crate) use columns::{COLUMNS, Column, Columns};
pub(crate) use family::{Family, FamilyKind};
pub(crate) use health::{BUFFER_FULL, Health};
pub(crate) use intake::Batch;
pub(crate) use line::{Body, Gap, GapCause};
pub(crate) use metrics::FAMILIES;
pub(crate) use series::{EarlierSeries, WindowLength};
pub(crate) use shared::RecordState;
pub(crate) use signal::Signal;
pub(crate) use stored::{HOUR_MS, Layout, RowError, StoredLine};
pub(crate) use utc::Clock;
pub(crate) use value::SqlType;

use std::sync::PoisonError;

use crate::sync::{Mutex, MutexGuard};

/// Takes a lock whose data is whole between any two statements: a panic elsewhere need not stop counting.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
