//! Opening the database, and what it holds from before.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use super::database::Database;
use super::fault::DatabaseFault;
use super::mailbox::Mailbox;
use super::queue::Queue;
use super::thread::{SqliteThread, complain, put_aside};
use super::{Sqlite, SqliteSink};
use crate::private_file;
use crate::record::{Chain, GapCause, Health, Hourly, Signal};
use crate::sink::account::SinkAccount;
use crate::sink::fault::SinkFault;
use crate::sink::retry::Retry;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicU64;

/// What a history holds at the start.
#[derive(Debug, Default)]
pub(in crate::sink) struct HistoryStart {
    /// Its last `seq`; 0 for none.
    pub(in crate::sink) seq: u64,
    /// Tunnels whose last line says that they are open.
    pub(in crate::sink) open: HashSet<String>,
}

/// A database that was opened, and whose thread does not run yet.
#[derive(Debug)]
pub(in crate::sink) struct OpenedSqlite {
    database: Option<Database>,
    /// Why there is none.
    fault: Option<String>,
    settings: Sqlite,
    chain: Chain,
    retry: Retry,
}

impl OpenedSqlite {
    /// Opens the database. One that is damaged is set aside; one that cannot be had now is tried again later.
    ///
    /// # Errors
    /// It is another program's, or its folder does not exist.
    pub(in crate::sink) fn open(
        settings: Sqlite,
        chain: Chain,
        consequence: &'static str,
    ) -> io::Result<(Self, HistoryStart)> {
        let mut retry = Retry::new(Instant::now());
        let path = settings.path.display();
        if let Some(risk) = private_file::folder_risk(&settings.path) {
            tracing::warn!(%path, "{risk}");
        }
        let foreign = |what: String| io::Error::new(io::ErrorKind::InvalidData, format!("database {path}: {what}"));
        let opened = match Database::open(&settings, &chain) {
            Err(DatabaseFault::Damaged(what)) => {
                put_aside(&settings, &what);
                Database::open(&settings, &chain)
            }
            opened => opened,
        };
        let (database, fault) = match opened {
            Ok(database) => (Some(database), None),
            Err(DatabaseFault::Foreign(what)) => return Err(foreign(what)),
            Err(fault @ (DatabaseFault::Damaged(_) | DatabaseFault::Unavailable(_) | DatabaseFault::Moved)) => {
                let error = fault.to_string();
                retry.failed(Instant::now());
                complain(&settings, &error, consequence);
                (None, Some(error))
            }
        };
        let found = database.as_ref().map_or_else(HistoryStart::default, |database| HistoryStart {
            seq: database.last().seq,
            // Nothing depends on it but one line that says so.
            open: database.open_tunnels().unwrap_or_default(),
        });
        Ok((Self { database, fault, settings, chain, retry }, found))
    }

    /// Whether the record of a request is in the database.
    pub(in crate::sink) fn has_end(&self, id: &str) -> bool {
        self.database.as_ref().is_some_and(|database| database.has_end(id).unwrap_or_default())
    }

    /// Starts the writing thread. `seq` is that of the last line in any sink; `lost` counts records that were lost.
    ///
    /// # Errors
    /// Fails if the thread cannot be spawned.
    pub(in crate::sink) fn start(
        self,
        seq: u64,
        account: Arc<SinkAccount>,
        health: Arc<Health>,
    ) -> io::Result<SqliteSink> {
        SinkFault::Sqlite.set(&health, self.database.is_none());
        let mailbox = Arc::new(Mailbox {
            queue: Queue::default(),
            signal: Signal::default(),
            floor: AtomicU64::new(0),
            account,
            health,
            check: Mutex::default(),
        });
        if let Some(fault) = self.fault {
            mailbox.account.fail(fault);
        }
        let last = self.database.as_ref().map_or(0, |database| database.last().seq);
        if last > 0 && last < seq {
            mailbox.queue.miss(seq - last, seq, GapCause::Restart);
            mailbox.signal.wake(false);
        }
        let thread = SqliteThread {
            mailbox: Arc::clone(&mailbox),
            checked: self.database.is_none(),
            failing: self.database.is_none(),
            check: None,
            database: self.database,
            hourly: Hourly::new("sqlite", &self.settings.path, Instant::now()),
            settings: self.settings,
            chain: self.chain,
            batch: Vec::new(),
            retry: self.retry,
            clean_up_at: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("history".into()).spawn(move || thread.run())?;
        Ok(SqliteSink { mailbox, thread: Some(thread) })
    }
}
