//! What the writer and the database's thread share.

use std::sync::Arc;

use rusqlite::InterruptHandle;

use super::queue::Queue;
use crate::record::{Health, Signal};
use crate::sink::account::SinkAccount;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicU64;

/// What the writer and the database's thread share.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    pub(super) queue: Queue,
    pub(super) signal: Signal,
    /// The last `seq` of a database that could be opened only after the start; the sequence has to be beyond it.
    pub(super) floor: AtomicU64,
    /// Records that are in the database or in none, and what is wrong with it.
    pub(super) account: Arc<SinkAccount>,
    pub(super) health: Arc<Health>,
    /// Interrupts the initial check of the whole database while it runs.
    pub(super) check: Mutex<Option<Interrupt>>,
}

/// Ends a look at the whole database.
pub(super) struct Interrupt(pub(super) InterruptHandle);

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupt")
    }
}
