//! The room's handle: what people ask about requests, and where workers get theirs.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::entry::Verdict;
use super::intake::Intake;
use super::probe::Probe;
use super::redact::{ClientText, Redaction};
use super::series::EarlierSeries;
use super::shared::{RecordState, Settings};
use super::{Denials, Metrics, OverTime, Redact, WorkerRecorder, lock};
use crate::facts::{Destination, Peer};

/// How long a reader waits for a writer that a disk or a terminal holds up. It writes every 50 ms otherwise.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(1);

/// The record room. A clone is another handle of the same room.
#[derive(Clone, Debug)]
pub struct Recorder {
    shared: Arc<RecordState>,
    redaction: Option<Arc<Redaction>>,
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
    /// Requests that no policy decided.
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
    /// A room, and the one end from which records are fetched. Until the first fetch, records only fill the buffers.
    ///
    /// # Errors
    /// The key that hides clients cannot be read; no randomness.
    pub fn new(settings: Settings) -> io::Result<(Self, Intake)> {
        let Redact { client, path, .. } = settings.redact;
        let redaction = (client || path).then(|| Redaction::open(&settings.redact)).transpose()?.map(Arc::new);
        let shared = Arc::new(RecordState::new(settings)?);
        let intake = Intake::new(Arc::clone(&shared), redaction.clone());
        Ok((Self { shared, redaction }, intake))
    }

    /// The end of one worker thread.
    pub fn worker(&self, index: usize) -> WorkerRecorder {
        WorkerRecorder::new(&self.shared, index)
    }

    /// Announces a request that this process makes of itself, from the socket address `client`, for `destination`.
    pub fn probe(&self, client: SocketAddr, destination: Destination) -> Probe {
        Probe::begin(&self.shared.probes, client, destination)
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

    /// Waits until everything that was handed in before the call has been given to the sinks; not for a disk. A writer
    /// that is held up is waited for for a second, so that a reader gets what there is.
    pub fn caught_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let caught_up = self.shared.signal.caught_up();
        async move {
            let _late = tokio::time::timeout(CATCH_UP_PATIENCE, caught_up).await;
        }
    }

    /// A collector for the metrics registry.
    pub fn metrics(&self) -> Metrics {
        Metrics::new(Arc::clone(&self.shared))
    }

    /// A client as its records name it, hidden where they hide it.
    pub fn client(&self, client: Peer) -> impl fmt::Display + use<> {
        let hidden = self.redaction.as_ref().and_then(|redaction| redaction.hidden(client));
        hidden.map_or(ClientText::Plain(client), ClientText::Hidden)
    }

    /// Requests over time, as far as their records have been fetched; see [`Self::caught_up`].
    pub fn over_time(&self) -> OverTime {
        lock(&self.shared.series).shown(SystemTime::now())
    }

    /// Where requests from before the start can be added to [`Self::over_time`].
    pub(crate) fn earlier(&self) -> EarlierSeries {
        EarlierSeries::begin(&self.shared.series)
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

    /// Blocks until everything that was handed in so far is in every sink, on the disk too. A file that failed is tried
    /// again.
    pub fn flush(&self) {
        self.shared.signal.flush(Duration::MAX);
    }

    #[cfg(test)]
    #[cfg(feature = "model")]
    pub(crate) fn shared(&self) -> &RecordState {
        &self.shared
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
