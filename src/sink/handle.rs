//! The handle of the sinks: what starts them, asks them and stops them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::account::{SinkAccounts, SinkStatus};
use super::followers::{Follower, Followers, FollowersSink};
use super::kind::SinkKind;
use super::metrics::Metrics;
use super::open::open;
use super::ring::{MemorySink, RecentFilter, Ring};
use super::writer::Writer;
use super::{Settings, Sink, fault};
use crate::record::{self, Intake, RecordLine, lock};
use crate::sync::Mutex;
use crate::sync::thread::{self, JoinHandle};

/// How long the end of the process waits for a disk that hangs: twice what the writer waits for the database, once for its
/// last rows and once for its end. A disk that is only slow has taken megabytes by then.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// The sinks, and the thread that feeds them. Dropping it is [`Self::shutdown`].
#[derive(Debug)]
pub struct Sinks {
    room: Arc<record::RecordState>,
    accounts: SinkAccounts,
    pub(super) ring: Arc<Mutex<Ring>>,
    followers: Followers,
    jsonl: Option<PathBuf>,
    sqlite: Option<PathBuf>,
    /// The last line's place when the sinks were opened.
    opened_at: u64,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Sinks {
    /// Opens the file and the database, if there are any, and starts to write what comes in.
    ///
    /// # Errors
    /// The file cannot be opened, is written by another process or holds no records; the database is another program's;
    /// the key of the chain cannot be read; no thread.
    pub fn start(intake: Intake, settings: Settings) -> io::Result<Self> {
        let jsonl = settings.jsonl.as_ref().map(|jsonl| jsonl.path.clone());
        let sqlite = settings.sqlite.as_ref().map(|sqlite| sqlite.path.clone());
        let (room, accounts) = (Arc::clone(intake.shared()), SinkAccounts::default());
        let ring = Arc::new(Mutex::new(Ring::new(settings.ring)));
        let (follow, followers) = FollowersSink::new();
        let mut opened = open(settings, &accounts, intake.health())?;
        let memory = MemorySink::new(Arc::clone(&ring), Arc::clone(accounts.of(SinkKind::Memory)));
        opened.sinks.insert(0, Sink::Memory(memory));
        opened.sinks.push(Sink::Followers(follow));
        let opened_at = opened.seq;
        let writer = Writer::new(intake, opened, Arc::clone(accounts.of(SinkKind::Memory)));
        let thread = thread::Builder::new().name("record".into()).spawn(move || writer.run())?;
        let writer = Mutex::new(Some(thread));
        Ok(Self { room, accounts, ring, followers, jsonl, sqlite, opened_at, writer })
    }

    /// The newest lines that the filter shows, the newest last. What was handed in within the last 50 ms may be
    /// missing; see [`caught_up`](record::Recorder::caught_up).
    pub fn recent(&self, filter: &RecentFilter) -> Vec<Arc<RecordLine>> {
        lock(&self.ring).recent(filter)
    }

    /// Every line from now on; after a shutdown there are none.
    pub fn follow(&self) -> Follower {
        self.followers.join(self.accounts.of(SinkKind::Followers))
    }

    /// Why requests are refused at this moment, as a clause: records are required and cannot be kept. None while they are
    /// not.
    pub fn refusal(&self) -> Option<&'static str> {
        fault::refusal(&self.room.health)
    }

    /// A collector for the metrics registry.
    pub fn metrics(&self) -> Metrics {
        Metrics::new(Arc::clone(&self.room), self.accounts.clone())
    }

    /// What keeps records here, and whether it works. What keeps nothing, the terminal and followers, is not among it.
    pub fn status(&self) -> Vec<SinkStatus> {
        let status = |kind, path| self.accounts.of(kind).status(kind.as_str(), path);
        let file = |kind| self.path(kind).map(|path| status(kind, Some(path.to_owned())));
        let files = [file(SinkKind::Jsonl), file(SinkKind::Sqlite)];
        std::iter::once(status(SinkKind::Memory, None)).chain(files.into_iter().flatten()).collect()
    }

    /// The file that this sink writes, if there is such a sink and it has one.
    pub fn path(&self, kind: SinkKind) -> Option<&Path> {
        match kind {
            SinkKind::Jsonl => self.jsonl.as_deref(),
            SinkKind::Sqlite => self.sqlite.as_deref(),
            SinkKind::Memory | SinkKind::Terminal | SinkKind::Followers => None,
        }
    }

    /// The last line's place when the sinks were opened: all lines after it are of this process.
    pub fn opened_at(&self) -> u64 {
        self.opened_at
    }

    /// Writes what is left and stops the writer, for as long as a disk that hangs is waited for. Records that are handed in
    /// later are kept nowhere; counts go on.
    pub fn shutdown(&self) {
        let signal = &self.room.signal;
        signal.stop();
        let Some(writer) = lock(&self.writer).take() else { return };
        if signal.is_gone_within(SHUTDOWN_PATIENCE) {
            // A writer that panicked has said so itself, and there is nothing left to write with.
            let _ = writer.join();
        } else {
            tracing::warn!("the disk does not take the last records; they are lost");
        }
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        self.shutdown();
    }
}
