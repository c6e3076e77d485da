//! What workers, the writer and readers share, and how it is set up.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::buffer::Buffer;
use super::counts::{Counts, Sums};
use super::destinations::{Delta, Table};
use super::health::Health;
use super::lock;
use super::probe::Probes;
use super::redact::Redact;
use super::series::Series;
use super::signal::Signal;
use crate::sync::Mutex;
use crate::sync::atomic::AtomicU64;

/// How requests are counted and recorded.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The listeners' names, by index.
    pub listeners: Vec<String>,
    /// How many worker threads there are.
    pub workers: usize,
    /// Whether requests are refused while a sink cannot keep records; see [`WorkerRecorder::must_refuse`](super::WorkerRecorder::must_refuse).
    pub required: bool,
    /// What is left out of records.
    pub redact: Redact,
    /// Rows of denied destinations that have a name of their own; half as many rows for whole domains come on top.
    pub max_destinations: usize,
}

/// What workers, the writer and readers share.
///
/// Locks are taken in this order: table, then a worker's `denied` or `buffer`.
#[derive(Debug)]
pub(crate) struct RecordState {
    pub(super) instance: [u8; 4],
    pub(super) listeners: Vec<String>,
    pub(super) shards: Box<[Shard]>,
    pub(super) table: Mutex<Table>,
    pub(crate) signal: Signal,
    pub(super) series: Arc<Mutex<Series>>,
    pub(crate) health: Arc<Health>,
    pub(super) probes: Arc<Probes>,
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

impl RecordState {
    pub(super) fn new(settings: Settings) -> io::Result<Self> {
        Ok(Self {
            instance: random_instance()?,
            shards: (0..settings.workers.max(1)).map(|_| Shard::new(settings.listeners.len())).collect(),
            listeners: settings.listeners,
            table: Mutex::new(Table::new(settings.max_destinations)),
            signal: Signal::default(),
            series: Arc::new(Mutex::new(Series::new(SystemTime::now()))),
            health: Arc::new(Health::new(settings.required)),
            probes: Arc::default(),
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

    /// Records that found no room in a worker's buffer.
    pub(crate) fn dropped(&self) -> u64 {
        self.shards.iter().map(|shard| shard.counts.dropped()).sum()
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
