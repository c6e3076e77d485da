//! The thread that writes the database.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use super::Sqlite;
use super::database::{self, Database, LastRow};
use super::fault::DatabaseFault;
use super::mailbox::{Interrupt, Mailbox};
use super::place::{set_aside, set_log_aside};
use super::queue::QueueItem;
use crate::record::{Chain, Hourly, lock};
use crate::sink::age::Reading;
use crate::sink::fault::SinkFault;
use crate::sink::retry::Retry;
use crate::sync::atomic::Ordering;

/// Between two batches under load; a crash loses at most this much. Each batch waits for the disk once.
const COMMIT_EVERY: Duration = Duration::from_millis(500);
/// Between two looks at age and size.
const CLEAN_UP_EVERY: Duration = Duration::from_secs(60);
/// Between two steps of cleaning up, so that new rows come between.
const CLEAN_UP_STEP: Duration = Duration::from_millis(50);
/// How long lines wait for the first look at the whole database: one of some hundred megabytes is done by then, and what
/// a crash may cost is not more than it is otherwise.
const CHECK_PATIENCE: Duration = Duration::from_millis(400);
/// The thread.
#[derive(Debug)]
pub(super) struct SqliteThread {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) settings: Sqlite,
    pub(super) chain: Chain,
    pub(super) hourly: Hourly,
    pub(super) database: Option<Database>,
    pub(super) checked: bool,
    /// What the look at the whole database will have found.
    pub(super) check: Option<Receiver<Result<(), DatabaseFault>>>,
    /// What was fetched and is not written yet.
    pub(super) batch: Vec<QueueItem>,
    pub(super) retry: Retry,
    /// Whether its last try failed; the next has to write something to be a success.
    pub(super) failing: bool,
    pub(super) clean_up_at: Instant,
}

/// Releases everything that waits for the thread, however it ended.
struct AnnounceEnd(Arc<Mailbox>);

impl Drop for AnnounceEnd {
    fn drop(&mut self) {
        self.0.signal.gone();
    }
}

impl SqliteThread {
    pub(super) fn run(mut self) {
        let announce_end = AnnounceEnd(Arc::clone(&self.mailbox));
        self.check();
        self.tell_head(false);
        let mut paused_until = Instant::now();
        loop {
            let next = if self.database.is_some() { self.clean_up_at } else { self.retry.at() };
            let task = announce_end.0.signal.wait(paused_until, Some(next));
            // From here on, and not from the end of a batch that may have been long: lines wait for two at most.
            paused_until = Instant::now() + COMMIT_EVERY;
            self.checked(Duration::ZERO);
            let whole = task.flush.is_some() || task.stop;
            self.write(whole);
            self.clean_up();
            self.tell_head(task.stop);
            if let Some(flush) = task.flush {
                announce_end.0.signal.flush_done(flush);
            }
            if task.stop {
                break;
            }
        }
        let left = self.batch.drain(..).chain(self.mailbox.queue.fetch());
        let lost = left.map(|item| item.records()).sum();
        self.mailbox.account.lose(lost);
        // The file is closed before the end is announced, so that another process can open it.
        drop(self);
        drop(announce_end);
    }

    /// Logs the chain's head every hour; the thread wakes every minute.
    fn tell_head(&mut self, end: bool) {
        let head = self.database.as_ref().and_then(|database| {
            let LastRow { seq, hash } = database.last();
            Some((seq, hash?))
        });
        self.hourly.tell(head, Instant::now(), end);
    }

    /// Begins to read the whole database, once, and waits a moment for what is found.
    fn check(&mut self) {
        if self.database.is_none() || std::mem::replace(&mut self.checked, true) {
            return;
        }
        let (found, check) = mpsc::sync_channel(1);
        let (path, shared) = (self.settings.path.clone(), Arc::clone(&self.mailbox));
        let look = move || {
            let looked = database::check(&path, |interrupt| *lock(&shared.check) = Some(Interrupt(interrupt)));
            *lock(&shared.check) = None;
            // Nobody waits for it once this database has failed otherwise.
            let _ = found.send(looked);
            shared.signal.wake(false);
        };
        match std::thread::Builder::new().name("history-check".into()).spawn(look) {
            Ok(_) => self.check = Some(check),
            Err(error) => tracing::warn!(%error, "the history is not checked"),
        }
        self.checked(CHECK_PATIENCE);
    }

    /// Acts on what was found in the whole database, if that is known by then.
    fn checked(&mut self, patience: Duration) {
        let Some(check) = &self.check else { return };
        match check.recv_timeout(patience) {
            Ok(Err(fault @ DatabaseFault::Damaged(_))) => self.fail(fault),
            // Whatever else kept it from being read, writing meets as well.
            Ok(_) | Err(RecvTimeoutError::Disconnected) => self.check = None,
            Err(RecvTimeoutError::Timeout) => {}
        }
    }

    /// Writes the queue. With `whole`, a failed database is retried at once.
    fn write(&mut self, whole: bool) {
        if self.database.is_none() && !self.open_again(whole) {
            return;
        }
        if self.database.as_ref().is_some_and(Database::is_moved) {
            self.fail(DatabaseFault::Moved);
        }
        let mut damaged = false;
        loop {
            if self.batch.is_empty() {
                self.batch = self.mailbox.queue.fetch();
            }
            let Some(database) = &mut self.database else { return };
            let written = match self.batch.as_slice() {
                [] if self.failing => database.probe().map(|()| 0),
                [] => return,
                batch => database.insert(batch),
            };
            match written {
                Ok(lost) => {
                    let records: u64 = self.batch.drain(..).map(|item| item.records()).sum();
                    self.mailbox.account.lose(lost);
                    self.mailbox.account.wrote(records.saturating_sub(lost));
                    self.works();
                }
                // A new one that is damaged at once is a disk that is broken.
                Err(DatabaseFault::Damaged(what)) if std::mem::replace(&mut damaged, true) => {
                    self.fail(DatabaseFault::Unavailable(what));
                }
                Err(fault) => self.fail(fault),
            }
        }
    }

    fn open_again(&mut self, whole: bool) -> bool {
        if self.retry.at() > Instant::now() && !whole {
            return false;
        }
        match Database::open(&self.settings, &self.chain) {
            Ok(database) => {
                self.mailbox.floor.fetch_max(database.last().seq, Ordering::Relaxed);
                self.database = Some(database);
                self.check();
            }
            Err(fault) => self.fail(fault),
        }
        self.database.is_some()
    }

    /// Something was written.
    fn works(&mut self) {
        self.mailbox.account.heal();
        if std::mem::replace(&mut self.failing, false) {
            SinkFault::Sqlite.set(&self.mailbox.health, false);
            if self.retry.recovered(Instant::now()) {
                tracing::info!(path = %self.settings.path.display(), "the history is written again");
            }
        }
        if !self.mailbox.queue.is_half_full() {
            SinkFault::SqliteQueue.set(&self.mailbox.health, false);
        }
    }

    /// Closes a database that failed. A damaged one gives its place to a new one at once.
    fn fail(&mut self, fault: DatabaseFault) {
        self.check = None;
        if let (DatabaseFault::Moved, Some(database)) = (&fault, &self.database) {
            database.let_go();
        }
        let (last, missing) =
            self.database.take().map_or((0, None), |database| (database.last().seq, database.close()));
        self.batch.splice(0..0, missing);
        let fault = match fault {
            DatabaseFault::Damaged(what) => {
                put_aside(&self.settings, &what);
                self.open_new(last)
            }
            DatabaseFault::Moved => {
                say_moved(&self.settings);
                self.open_new(last)
            }
            fault @ (DatabaseFault::Foreign(_) | DatabaseFault::Unavailable(_)) => Some(fault),
        };
        let Some(fault) = fault else { return };
        self.mailbox.account.fail(fault.to_string());
        if self.retry.failed(Instant::now()) {
            complain(&self.settings, &fault.to_string(), self.mailbox.health.consequence());
        }
        self.failing = true;
        SinkFault::Sqlite.set(&self.mailbox.health, true);
    }

    /// Opens a new database in the place of one that is gone; why not, if that cannot be.
    fn open_new(&mut self, last: u64) -> Option<DatabaseFault> {
        self.mailbox.floor.fetch_max(last, Ordering::Relaxed);
        match Database::open(&self.settings, &self.chain) {
            Ok(database) => {
                self.database = Some(database);
                None
            }
            Err(fault) => Some(fault),
        }
    }

    fn clean_up(&mut self) {
        if self.clean_up_at > Instant::now() {
            return;
        }
        let Some(database) = &mut self.database else { return };
        let more = match database.clean_up(Reading::now()) {
            Ok(more) => more,
            Err(fault) => return self.fail(fault),
        };
        self.clean_up_at = Instant::now() + if more { CLEAN_UP_STEP } else { CLEAN_UP_EVERY };
    }
}

pub(super) fn complain(settings: &Sqlite, error: &str, consequence: &str) {
    tracing::warn!(
        path = %settings.path.display(),
        error,
        "the history cannot be written; {consequence}; lost records are counted, and the database is tried again every few \
         seconds: make room, end the program that holds the lock, or let outgate's user write there",
    );
}

fn say_moved(settings: &Sqlite) {
    let path = settings.path.display();
    let log = if settings.path.exists() { None } else { set_log_aside(&settings.path, SystemTime::now()) };
    let log = log.map(|log| log.display().to_string());
    tracing::warn!(%path, log, "the history was moved or deleted; lines continue in the one of that name, or in a new one");
}

pub(super) fn put_aside(settings: &Sqlite, what: &str) {
    let path = settings.path.display();
    match set_aside(&settings.path, SystemTime::now()) {
        Ok(aside) => {
            tracing::warn!(%path, what, aside = %aside.display(), "the history is damaged; it was set aside and a new one begun");
        }
        Err(error) => tracing::warn!(%path, what, %error, "the history is damaged and cannot be set aside"),
    }
}
