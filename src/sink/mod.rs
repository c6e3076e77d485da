//! Where records go: the last lines in memory, a file of JSON Lines, a SQLite database, the terminal, and whoever follows.
//!
//! One thread, the [writer](writer), fetches what workers handed in, gives every line its `seq` and hands it to every sink.
//! It lives here and not in `record`, since it drives the sinks; `record` gives it an [`Intake`] to fetch from.
//!
//! Guaranteed:
//! - `seq` goes on over restarts, from whichever of file and database is further; the one that is behind says so by a
//!   `gap`. What was open when the process was killed is reported by a `gap` at the next start.
//! - Memory is bounded: [`Settings::ring`] lines and [`MAX_RING_TEXT`] bytes of text in memory; for the database 65,536
//!   lines and 16 MiB of text that wait, and as much in the batch that is tried.
//! - A sink that fails holds up no other, is tried again, and says how much it lost.
//!
//! Deliberately not done: nothing is written to a disk unless [`Settings::jsonl`] or [`Settings::sqlite`] names a file. A
//! disk that is full makes lines be dropped and counted, and requests fail only if records are required.

mod account;
mod fault;
mod jsonl;
mod metrics;
#[cfg(test)]
#[cfg(feature = "model")]
mod model_tests;
mod retry;
mod ring;
pub(crate) mod sqlite;
mod terminal;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

use self::account::Account;
use self::ring::Ring;
use self::writer::Writer;
use crate::record::{Chain, Intake, RecordLine, Recorder, lock};
use crate::sync::Mutex;
use crate::sync::thread::{self, JoinHandle};

pub use account::SinkStatus;
pub use jsonl::Jsonl;
pub use metrics::Metrics;
pub use ring::{MAX_RING_TEXT, RecentFilter};
pub use sqlite::Sqlite;
pub use terminal::Terminal;

/// Lines that a follower may be behind before it loses some.
const FOLLOWER_LAG: usize = 1024;

/// How long the end of the process waits for a disk that hangs: twice what the writer waits for the database, once for its
/// last rows and once for its end. A disk that is only slow has taken megabytes by then.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// Where records go.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file, if any.
    pub jsonl: Option<Jsonl>,
    /// The database, if any.
    pub sqlite: Option<Sqlite>,
    /// The file that holds the key of the chain of lines; none: anybody can compute it.
    pub chain_key: Option<PathBuf>,
    /// What standard error shows.
    pub terminal: Terminal,
    /// Lines that are kept in memory.
    pub ring: usize,
}

/// What takes records: one row for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkKind {
    /// The last lines, in memory.
    Memory,
    /// A file of JSON Lines.
    Jsonl,
    /// A SQLite database.
    Sqlite,
    /// Standard error.
    Terminal,
    /// Whoever reads lines as they come.
    Followers,
}

impl SinkKind {
    /// Every kind, in the order in which lines are handed to them.
    pub const ALL: [Self; 5] = [Self::Memory, Self::Jsonl, Self::Sqlite, Self::Terminal, Self::Followers];

    /// The stable token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Jsonl => "jsonl",
            Self::Sqlite => "sqlite",
            Self::Terminal => "terminal",
            Self::Followers => "followers",
        }
    }
}

/// The sinks, and the thread that feeds them. Dropping it is [`Self::shutdown`].
#[derive(Debug)]
pub struct Sinks {
    recorder: Recorder,
    shared: Arc<Shared>,
    jsonl: Option<PathBuf>,
    sqlite: Option<PathBuf>,
    /// The last line's place when the sinks were opened.
    opened_at: u64,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What the sinks' threads and readers share.
#[derive(Debug)]
struct Shared {
    accounts: [Arc<Account>; SinkKind::ALL.len()],
    ring: Mutex<Ring>,
    /// Weak, so that followers end when the writer, who has the strong one, does.
    follow: broadcast::WeakSender<Arc<RecordLine>>,
}

impl Shared {
    /// What a sink took and lost.
    fn account(&self, kind: SinkKind) -> &Arc<Account> {
        let [memory, jsonl, sqlite, terminal, followers] = &self.accounts;
        match kind {
            SinkKind::Memory => memory,
            SinkKind::Jsonl => jsonl,
            SinkKind::Sqlite => sqlite,
            SinkKind::Terminal => terminal,
            SinkKind::Followers => followers,
        }
    }
}

impl Sinks {
    /// Opens the file and the database, if there are any, and starts to write what comes in.
    ///
    /// # Errors
    /// The file cannot be opened, is written by another process or holds no records; the database is another program's;
    /// the key of the chain cannot be read; no thread.
    pub fn start(intake: Intake, settings: Settings) -> io::Result<Self> {
        let follow = broadcast::Sender::new(FOLLOWER_LAG);
        let shared = Arc::new(Shared {
            accounts: Default::default(),
            ring: Mutex::new(Ring::new(settings.ring)),
            follow: follow.downgrade(),
        });
        let jsonl = settings.jsonl.as_ref().map(|jsonl| jsonl.path.clone());
        let sqlite = settings.sqlite.as_ref().map(|sqlite| sqlite.path.clone());
        let chain = Chain::open(settings.chain_key.as_deref())?;
        let recorder = intake.recorder().clone();
        let writer = Writer::open(
            intake,
            Arc::clone(&shared),
            follow,
            settings.jsonl,
            settings.sqlite,
            settings.terminal,
            chain,
        )?;
        let opened_at = writer.seq();
        let thread = thread::Builder::new().name("record".into()).spawn(move || writer.run())?;
        Ok(Self { recorder, shared, jsonl, sqlite, opened_at, writer: Mutex::new(Some(thread)) })
    }

    /// The newest lines that the filter shows, the newest last. What was handed in within the last 50 ms may be
    /// missing; see [`Recorder::caught_up`].
    pub fn recent(&self, filter: &RecentFilter) -> Vec<Arc<RecordLine>> {
        lock(&self.shared.ring).recent(filter)
    }

    /// Every line from now on; after a shutdown there are none.
    pub fn follow(&self) -> Follower {
        let follow = self.shared.follow.upgrade().unwrap_or_else(|| broadcast::Sender::new(1));
        Follower { lines: follow.subscribe(), shared: Arc::clone(&self.shared) }
    }

    /// Why requests are refused at this moment, as a clause: records are required and cannot be kept. None while they are
    /// not.
    pub fn refusal(&self) -> Option<&'static str> {
        fault::refusal(&self.recorder.shared().health)
    }

    /// A collector for the metrics registry.
    pub fn metrics(&self) -> Metrics {
        Metrics::new(self.recorder.clone(), Arc::clone(&self.shared))
    }

    /// What keeps records here, and whether it works. What keeps nothing, the terminal and followers, is not among it.
    pub fn status(&self) -> Vec<SinkStatus> {
        let status = |kind, path| self.shared.account(kind).status(kind.as_str(), path);
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
        let signal = &self.recorder.shared().signal;
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

/// Somebody who reads lines as they come.
#[derive(Debug)]
pub struct Follower {
    lines: broadcast::Receiver<Arc<RecordLine>>,
    shared: Arc<Shared>,
}

/// What a follower sees next.
#[derive(Clone, Debug)]
pub enum Followed {
    /// The next line.
    Line(Arc<RecordLine>),
    /// It was too slow, and lost so many.
    Missed(u64),
}

impl Follower {
    /// The next line, as soon as there is one; none when the room has been shut down. May be cancelled.
    pub async fn next(&mut self) -> Option<Followed> {
        match self.lines.recv().await {
            Ok(line) => Some(Followed::Line(line)),
            Err(broadcast::error::RecvError::Lagged(missed)) => {
                self.shared.account(SinkKind::Followers).lose(missed);
                Some(Followed::Missed(missed))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
