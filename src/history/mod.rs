//! What was kept, read back: for reports, suggestions, the plot over time, and the check of the chain.
//!
//! Guaranteed: nothing is written, and a proxy that runs is not held up. A file that is rotated meanwhile is read once and
//! whole; of a database one moment is seen.

pub(crate) mod backfill;
mod jsonl;
mod kept;
mod past;
pub mod report;
mod request;
mod sqlite;
#[cfg(test)]
pub(crate) mod tests;
mod verify;

pub use kept::{RecordSource, RecordSourceError, since};
pub use past::Past;
pub use request::{Detail, NotRequests, Request};
pub use verify::{ChainFacts, ChainHead, Finding, Verified};
