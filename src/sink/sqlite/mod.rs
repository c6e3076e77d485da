//! The database: every line in SQLite, for questions that reach back for months.
//!
//! A thread of its own writes it, fed by a bounded queue, so that a slow disk or a lock that another process holds delays
//! neither requests nor the file of lines.
//!
//! Guaranteed:
//! - Every line is one row of the table `records`, under its own `seq`, in the order of `seq`; or it is counted as lost
//!   (`sink="sqlite"`), and a `gap` row with the number of records takes the place of the last line lost.
//! - A batch is in the database whole or not at all, begun within half a second of its first line, and on the disk when
//!   it is done.
//! - What reports add up is kept next to the records, exactly ([`sums`]).
//! - `prev` is the hash of the row before, here in the database: its chain is checked without the file of lines.
//! - A damaged database is renamed to `FILE.damaged-TIME` and a new one begun; it is never deleted, and not changed once
//!   the damage is known. All of it is read once after the start: what is small before anything is added, what is large
//!   while the proxy serves. One of another program, or of a later version, is an error at the start.
//! - A database that is locked, read-only or has no room is tried again, and the proxy continues; what waits meanwhile is
//!   bounded by the queue and one batch.
//! - Rows older than [`Sqlite::keep`] go, and the oldest go first where the database is larger than
//!   [`Sqlite::max_size`]; within a minute or two, a few thousand at a time.
//!
//! Deliberately not done: giving lines to the database that were lost to it but are in the file of lines.

mod database;
mod fault;
mod mailbox;
#[cfg(test)]
#[cfg(feature = "model")]
mod model_tests;
mod open;
mod place;
mod queue;
mod retention;
mod schema;
mod sums;
#[cfg(test)]
pub(crate) mod tests;
mod thread;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use self::mailbox::Mailbox;
use self::queue::Queued;
use super::fault::SinkFault;
use crate::record::{RecordLine, lock};
use crate::sync::atomic::Ordering;

pub(super) use open::OpenedSqlite;

/// How long a flush, or the end of the process, waits for a database that hangs.
const FLUSH_PATIENCE: Duration = Duration::from_secs(5);

/// A database of records.
#[derive(Clone, Debug)]
pub struct Sqlite {
    /// The file. SQLite keeps its log next to it, with `-wal` and `-shm` after the name, and outgate a lock, `-lock`.
    pub path: PathBuf,
    /// How long records are kept.
    pub keep: Duration,
    /// How many bytes of the database may be in use.
    pub max_size: u64,
}

/// The writer's end of the database. Dropping it writes what waits.
#[derive(Debug)]
pub(super) struct SqliteSink {
    mailbox: Arc<Mailbox>,
    thread: Option<JoinHandle<()>>,
}

impl SqliteSink {
    /// Hands in a line.
    pub(super) fn push(&self, line: &Arc<RecordLine>) {
        match self.mailbox.queue.push(line) {
            Queued::First => self.mailbox.signal.wake(false),
            Queued::HalfFull => self.mailbox.signal.wake(true),
            Queued::Waits => {}
            Queued::Lost(records) => {
                self.mailbox.account.lose(records);
                SinkFault::SqliteQueue.set(&self.mailbox.health, true);
            }
        }
    }

    /// Waits until everything that was handed in has been tried.
    pub(super) fn flush(&self) {
        self.mailbox.signal.flush(FLUSH_PATIENCE);
    }

    /// The `seq` that every further line must be beyond.
    pub(super) fn floor(&self) -> u64 {
        self.mailbox.floor.load(Ordering::Relaxed)
    }

    /// Writes what waits and ends the thread, if the database lets it.
    fn close(&mut self) {
        if let Some(check) = lock(&self.mailbox.check).as_ref() {
            check.0.interrupt();
        }
        self.mailbox.signal.stop();
        if let Some(thread) = self.thread.take()
            && self.mailbox.signal.is_gone_within(FLUSH_PATIENCE)
        {
            // One that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Drop for SqliteSink {
    fn drop(&mut self) {
        self.close();
    }
}
