//! The room's door: what starts it, asks it and stops it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::broadcast;

use super::backfill;
use super::buffer::Buffer;
use super::chain::Chain;
use super::counts::{Counts, Sums};
use super::destinations::{Delta, Table};
use super::entry::Verdict;
use super::health::Health;
use super::kept::Kept;
use super::line::{ClientText, RecordLine};
use super::probe::{Probe, Probes};
use super::redact::Redaction;
use super::ring::Ring;
use super::series::Series;
use super::signal::Signal;
use super::sinks::Sink;
use super::writer::Writer;
use super::{Denials, Metrics, OverTime, Past, RecentFilter, Redact, SinkStatus, Sqlite, WorkerRecorder, lock};
use crate::facts::Destination;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::thread::{self, JoinHandle};

/// Lines that a follower may be behind before it loses some.
const FOLLOWER_LAG: usize = 1024;

/// How long the end of the process waits for a disk that hangs: twice what the writer waits for the database, once for its
/// last rows and once for its end. A disk that is only slow has taken megabytes by then.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// How long somebody who reads waits for a writer that a disk or a terminal holds up. It writes every 50 ms otherwise.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(1);

/// How records are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The listeners' names, by index.
    pub listeners: Vec<String>,
    /// How many worker threads there are.
    pub workers: usize,
    /// The file, if any.
    pub jsonl: Option<Jsonl>,
    /// The database, if any.
    pub sqlite: Option<Sqlite>,
    /// The file that holds the key of the chain of lines; none: anybody can compute it.
    pub chain_key: Option<PathBuf>,
    /// Whether requests are refused while a file or a database cannot take records; see [`Recorder::refusal`].
    pub required: bool,
    /// What is left out of records.
    pub redact: Redact,
    /// Rows of denied destinations that have a name of their own; half as many whole domains beside them.
    pub max_destinations: usize,
    /// What standard error shows.
    pub terminal: Terminal,
    /// Lines that are kept in memory.
    pub ring: usize,
}

/// A file of JSON Lines.
#[derive(Clone, Debug)]
pub struct Jsonl {
    /// The live file; older ones are beside it, with `.1`, `.2.gz`, `.3.gz` … behind the name.
    pub path: PathBuf,
    /// Bytes at which it is rotated.
    pub max_size: u64,
    /// How many files there are, with the live one.
    pub files: usize,
    /// For how long records are kept, if that is not too many of them.
    pub keep: Duration,
}

/// What standard error shows of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// Nothing.
    Off,
    /// One line a decision, for people.
    Lines,
    /// Each line as JSON.
    Json,
}

/// The record room. Dropping it is [`Self::shutdown`].
#[derive(Debug)]
pub struct Recorder {
    shared: Arc<Shared>,
    jsonl: Option<PathBuf>,
    sqlite: Option<PathBuf>,
    redaction: Option<Arc<Redaction>>,
    /// Where records are kept; the database, where there is one, since it reaches back further.
    kept: Option<Kept>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What workers, the writer and readers share.
///
/// Locks are taken in this order: table, then a worker's `denied` or `buffer`. The ring's is taken alone.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) instance: [u8; 4],
    pub(super) listeners: Vec<String>,
    pub(super) shards: Box<[Shard]>,
    pub(super) table: Mutex<Table>,
    pub(super) ring: Mutex<Ring>,
    pub(super) signal: Signal,
    /// Weak, so that followers end when the writer, who has the strong one, does.
    pub(super) follow: broadcast::WeakSender<Arc<RecordLine>>,
    pub(super) sinks: Sinks,
    pub(super) series: Mutex<Series>,
    pub(super) health: Arc<Health>,
    pub(super) probes: Probes,
}

/// One worker's own. Aligned so that no two share a cache line (two lines are fetched at once).
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Shard {
    pub(super) counts: Counts,
    pub(super) denied: Mutex<Delta>,
    pub(super) buffer: Mutex<Buffer>,
    pub(super) ids: AtomicU64,
}

/// What takes records, and what of it was lost.
#[derive(Debug, Default)]
pub(super) struct Sinks {
    pub(super) memory: Sink,
    pub(super) jsonl: Sink,
    pub(super) sqlite: Arc<Sink>,
    pub(super) terminal: AtomicU64,
    pub(super) followers: AtomicU64,
}

/// A few numbers for people, since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Requests that were counted.
    pub requests: u64,
    /// Of those, allowed ones.
    pub allowed: u64,
    /// Denied ones.
    pub denied: u64,
    /// Ones that observe mode let pass.
    pub observed: u64,
    /// Ones that nobody judged.
    pub unjudged: u64,
    /// Requests that ended and whose record was taken.
    pub records: u64,
    /// Requests that ended and whose record found no room.
    pub dropped: u64,
    /// Tunnels that are open now.
    pub tunnels_open: u64,
    /// Bytes of tunnels, from clients to origins.
    pub bytes_up: u64,
    /// Bytes of tunnels, from origins to clients.
    pub bytes_down: u64,
}

impl Recorder {
    /// Opens the file and the database, if there are any, and starts the writer.
    ///
    /// # Errors
    /// The file cannot be opened, is written by another process or holds no records; the database is another program's;
    /// the key of what is hidden, or of the chain, cannot be read;
    /// no randomness; no thread.
    pub fn start(settings: Settings) -> io::Result<Self> {
        let follow = broadcast::Sender::new(FOLLOWER_LAG);
        let shared = Arc::new(Shared::new(&settings, &follow)?);
        let hides = settings.redact.client || settings.redact.path;
        let jsonl = settings.jsonl.as_ref().map(|jsonl| jsonl.path.clone());
        let sqlite = settings.sqlite.as_ref().map(|sqlite| sqlite.path.clone());
        let kept = sqlite.clone().map(Kept::Sqlite).or_else(|| jsonl.clone().map(Kept::Jsonl));
        let redaction = hides.then(|| Redaction::open(&settings.redact)).transpose()?.map(Arc::new);
        let hidden = redaction.clone();
        let chain = Chain::open(settings.chain_key.as_deref())?;
        let writer = Writer::open(
            Arc::clone(&shared),
            follow,
            settings.jsonl,
            settings.sqlite,
            settings.terminal,
            hidden,
            chain,
        )?;
        if let Some(path) = &sqlite {
            backfill::start(&shared, path.clone(), writer.seq());
        }
        let thread = thread::Builder::new().name("record".into()).spawn(move || writer.run())?;
        Ok(Self { shared, jsonl, sqlite, redaction, kept, writer: Mutex::new(Some(thread)) })
    }

    /// This run's prefix of request ids, four of `0-9a-z`.
    pub fn instance(&self) -> String {
        self.shared.instance.map(char::from).iter().collect()
    }

    /// The end of one worker thread.
    pub fn worker(&self, index: usize) -> WorkerRecorder {
        WorkerRecorder::new(&self.shared, index)
    }

    /// Announces a request that this process makes of itself, from the socket address `client`, for `destination`.
    pub fn probe(&self, client: SocketAddr, destination: Destination) -> Probe {
        Probe::begin(&self.shared, client, destination)
    }

    /// The `limit` most denied destinations, exact at this moment.
    pub fn denials(&self, limit: usize) -> Denials {
        let mut table = lock(&self.shared.table);
        for shard in &self.shared.shards {
            let delta = std::mem::take(&mut *lock(&shard.denied));
            table.merge(delta);
        }
        table.denials(limit, &self.shared.listeners)
    }

    /// Waits until everything that was handed in before the call is in [`Self::recent`]; not for a disk. A writer that is
    /// held up is waited for for a second, so that whoever asks gets what there is.
    pub fn caught_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let caught_up = self.shared.signal.caught_up();
        async move {
            let _late = tokio::time::timeout(CATCH_UP_PATIENCE, caught_up).await;
        }
    }

    /// The newest lines that the filter shows, the newest last. What was handed in within the last 50 ms may be
    /// missing; see [`Self::caught_up`].
    pub fn recent(&self, filter: &RecentFilter) -> Vec<Arc<RecordLine>> {
        lock(&self.shared.ring).recent(filter)
    }

    /// Everything that was recorded, as far back as it is kept.
    pub fn past(&self) -> Past {
        Past::new(self.kept.clone(), &self.shared)
    }

    /// Every line from now on; after a shutdown there are none.
    pub fn follow(&self) -> Follower {
        let follow = self.shared.follow.upgrade().unwrap_or_else(|| broadcast::Sender::new(1));
        Follower { lines: follow.subscribe(), shared: Arc::clone(&self.shared) }
    }

    /// Why requests are refused at this moment, as a clause: records are required and cannot be kept. None while they are
    /// not.
    pub fn refusal(&self) -> Option<&'static str> {
        self.shared.health.refusal()
    }

    /// A collector for the metrics registry.
    pub fn metrics(&self) -> Metrics {
        Metrics::new(Arc::clone(&self.shared))
    }

    /// A client as its records name it, hidden where they hide it.
    pub fn client(&self, client: SocketAddr) -> impl fmt::Display + use<> {
        let hidden = self.redaction.as_ref().and_then(|redaction| redaction.hidden(client));
        hidden.map_or(ClientText::Plain(client), ClientText::Hidden)
    }

    /// Requests over time, as far as their records have been taken; see [`Self::caught_up`].
    pub fn over_time(&self) -> OverTime {
        lock(&self.shared.series).shown(SystemTime::now())
    }

    /// What keeps records here, and whether it works. The terminal, which keeps nothing, is not among it.
    pub fn sinks(&self) -> Vec<SinkStatus> {
        let sinks = &self.shared.sinks;
        let file = |sink: &Sink, name, path: &Option<PathBuf>| path.clone().map(|path| sink.status(name, Some(path)));
        let files = [file(&sinks.jsonl, "jsonl", &self.jsonl), file(&sinks.sqlite, "sqlite", &self.sqlite)];
        std::iter::once(sinks.memory.status("memory", None)).chain(files.into_iter().flatten()).collect()
    }

    /// A few numbers for people.
    pub fn totals(&self) -> Totals {
        let (sums, ()) = self.shared.snapshot(|_| ());
        let mut totals = Totals {
            records: sums.records,
            dropped: sums.dropped,
            tunnels_open: sums.tunnels_open(),
            bytes_up: sums.bytes_up,
            bytes_down: sums.bytes_down,
            ..Totals::default()
        };
        for (_, _, verdict, count) in sums.requests() {
            totals.requests += count;
            *match verdict {
                Verdict::Allow => &mut totals.allowed,
                Verdict::Deny(_) => &mut totals.denied,
                Verdict::Observe(_) => &mut totals.observed,
                Verdict::None(_) => &mut totals.unjudged,
            } += count;
        }
        totals
    }

    /// A room without a writer: nobody fetches what is handed in.
    #[cfg(test)]
    #[cfg(feature = "model")]
    pub(crate) fn unattended(settings: &Settings) -> Self {
        let shared = Shared::new(settings, &broadcast::Sender::new(1)).unwrap();
        let shared = Arc::new(shared);
        Self { shared, jsonl: None, sqlite: None, redaction: None, kept: None, writer: Mutex::new(None) }
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Blocks until everything that was handed in so far is in every sink, on the disk too. A file that failed is tried
    /// again.
    pub fn flush(&self) {
        self.shared.signal.flush(Duration::MAX);
    }

    /// Writes what is left and stops the writer, for as long as a disk that hangs is waited for. Records that are handed in
    /// later are kept nowhere; counts go on.
    pub fn shutdown(&self) {
        self.shared.signal.stop();
        let Some(writer) = lock(&self.writer).take() else { return };
        if self.shared.signal.is_gone_within(SHUTDOWN_PATIENCE) {
            // A writer that panicked has said so itself, and there is nothing left to write with.
            let _ = writer.join();
        } else {
            tracing::warn!("the disk does not take the last records; they are lost");
        }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Shared {
    fn new(settings: &Settings, follow: &broadcast::Sender<Arc<RecordLine>>) -> io::Result<Self> {
        Ok(Self {
            instance: random_instance()?,
            shards: (0..settings.workers.max(1)).map(|_| Shard::new(settings.listeners.len())).collect(),
            listeners: settings.listeners.clone(),
            table: Mutex::new(Table::new(settings.max_destinations)),
            ring: Mutex::new(Ring::new(settings.ring)),
            signal: Signal::default(),
            follow: follow.downgrade(),
            sinks: Sinks::default(),
            series: Mutex::new(Series::new(SystemTime::now())),
            health: Arc::new(Health::new(settings.required)),
            probes: Probes::default(),
        })
    }

    /// Moves one worker's denials into the table.
    pub(super) fn merge(&self, shard: &Shard) {
        let mut table = lock(&self.table);
        let delta = std::mem::take(&mut *lock(&shard.denied));
        table.merge(delta);
    }

    /// The sums of all workers, and what `read` finds in the table at the same moment: both know the same denials.
    pub(super) fn snapshot<T>(&self, read: impl FnOnce(&Table) -> T) -> (Sums, T) {
        let mut sums = Sums::new(self.listeners.len());
        let mut table = lock(&self.table);
        for shard in &self.shards {
            let delta = {
                let mut denied = lock(&shard.denied);
                shard.counts.add_to(&mut sums);
                std::mem::take(&mut *denied)
            };
            table.merge(delta);
        }
        let read = read(&table);
        (sums, read)
    }
}

impl Shard {
    fn new(listeners: usize) -> Self {
        Self {
            counts: Counts::new(listeners),
            denied: Mutex::default(),
            buffer: Mutex::default(),
            ids: AtomicU64::new(0),
        }
    }
}

impl Totals {
    /// The share of judged requests that were denied, 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn denied_share(&self) -> f64 {
        let judged = self.requests - self.unjudged;
        if judged == 0 { 0.0 } else { self.denied as f64 / judged as f64 }
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
                self.shared.sinks.followers.fetch_add(missed, Ordering::Relaxed);
                Some(Followed::Missed(missed))
            }
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// Four of `0-9a-z`, each as likely.
fn random_instance() -> io::Result<[u8; 4]> {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    // 36^4 of 2^64: the bias is far below what four digits can show.
    let mut rest = u64::from_ne_bytes(random);
    Ok([(); 4].map(|()| {
        let digit = usize::try_from(rest % 36).unwrap_or_default();
        rest /= 36;
        DIGITS.get(digit).copied().unwrap_or(b'0')
    }))
}
