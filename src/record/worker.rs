//! A worker's end: counting and handing in, never waiting.

use std::cell::Cell;
use std::sync::Arc;
use std::time::SystemTime;

use super::buffer::Pushed;
use super::entry::{HelloResult, Kind, Record, Verdict};
use super::health::BUFFER_FULL;
use super::lock;
use super::nanos::Nanos;
use super::shared::{RecordState, Shard};
use crate::facts::{ConnectionResult, Destination, Outcome, Protocol, RequestId};
use crate::sync::atomic::{AtomicU64, Ordering};

/// What one worker thread counts with. Every method takes well under a microsecond and never blocks, except as
/// [`Self::count`] describes for denials.
#[derive(Debug)]
pub struct WorkerRecorder {
    shared: Arc<RecordState>,
    index: usize,
    stopping: Cell<bool>,
}

impl WorkerRecorder {
    /// Worker `index`; beyond the number in the settings it shares one's counters, which stay exact.
    pub(super) fn new(shared: &Arc<RecordState>, index: usize) -> Self {
        Self { shared: Arc::clone(shared), index: index % shared.shards.len().max(1), stopping: Cell::new(false) }
    }

    fn shard(&self) -> Option<&Shard> {
        self.shared.shards.get(self.index)
    }

    /// From now on, what is dropped unfinished was stopped with the process.
    pub fn stop(&self) {
        self.stopping.set(true);
    }

    /// The outcome of a request that is dropped unfinished.
    pub fn outcome_of_dropped(&self) -> Outcome {
        if self.stopping.get() { Outcome::Shutdown } else { Outcome::Internal }
    }

    /// The next request's id. Unique among all workers: each takes every n-th number.
    pub fn next_id(&self) -> RequestId {
        let turn = self.shard().map_or(0, |shard| shard.ids.fetch_add(1, Ordering::Relaxed));
        let number = turn * self.shared.shards.len() as u64 + self.index as u64 + 1;
        RequestId::new(self.shared.instance, number)
    }

    /// Whether a request is to be refused because records are required and cannot be kept now. One relaxed load.
    pub fn must_refuse(&self) -> bool {
        self.shared.health.refuses()
    }

    /// Counts a request: exactly once each, when its last check is done.
    ///
    /// `listener` is its index in the settings, and its name the tool. `destination` and `rule` matter for denials alone. A denial takes this
    /// worker's own lock, and merges into the shared table when a thousand destinations have come together.
    pub fn count(
        &self,
        listener: usize,
        protocol: Option<Protocol>,
        verdict: &Verdict,
        destination: Option<&Destination>,
        rule: Option<&str>,
        decide: Nanos,
    ) {
        let Some(shard) = self.shard() else { return };
        let Verdict::Deny(reason) = verdict else {
            return shard.counts.request(listener, protocol, verdict, decide);
        };
        let mut denied = lock(&shard.denied);
        while denied.is_full_for(destination) {
            // The table's lock comes before a worker's, here as in a scrape.
            drop(denied);
            self.shared.merge(shard);
            denied = lock(&shard.denied);
        }
        denied.count(destination, *reason, rule, listener, SystemTime::now());
        // Under the same lock, so that no scrape sees one without the other.
        shard.counts.request(listener, protocol, verdict, decide);
    }

    /// Whether this record is that of a test of ourselves that was denied as it had to be. Such a one is neither counted
    /// nor handed in; its maker is informed.
    pub fn is_expected(&self, record: &Record) -> bool {
        self.shared.probes.takes(record)
    }

    /// Counts how a request ended: exactly once each, next to its record. `listener` is its index in the settings.
    pub fn ended(&self, listener: usize, outcome: Outcome) {
        if let Some(shard) = self.shard() {
            shard.counts.outcome(listener, outcome);
        }
    }

    /// Hands in a record: exactly one `end` per request, at its end. If the buffer is full it is dropped, which is
    /// counted and recorded as a `gap`.
    pub fn emit(&self, mut record: Record) {
        let Some(shard) = self.shard() else { return };
        record.bound();
        let is_end = record.kind == Kind::End;
        if is_end {
            shard.counts.request.observe(record.duration);
            if let Some(dial) = record.dial {
                shard.counts.dial.observe(dial);
            }
        }
        let pushed = lock(&shard.buffer).push(record);
        if is_end {
            let counter = if pushed == Pushed::Dropped { &shard.counts.dropped } else { &shard.counts.records };
            add(counter, 1);
        }
        match pushed {
            Pushed::First => self.shared.signal.wake(false),
            Pushed::HalfFull => self.shared.signal.wake(true),
            Pushed::Waits => {}
            // Until the writer comes by.
            Pushed::Dropped => self.shared.health.set(BUFFER_FULL, true),
        }
    }

    /// Counts what became of a client's connection. `listener` is its index in the settings.
    pub fn connection(&self, listener: usize, result: ConnectionResult) {
        if let Some(shard) = self.shard() {
            shard.counts.connection(listener, result);
        }
    }

    /// Counts how a tunnel began.
    pub fn client_hello(&self, result: HelloResult) {
        if let Some(shard) = self.shard() {
            shard.counts.client_hello(result);
        }
    }

    /// Counts a tunnel that opened.
    pub fn tunnel_opened(&self) {
        if let Some(shard) = self.shard() {
            add(&shard.counts.tunnels_opened, 1);
        }
    }

    /// Counts a tunnel that closed, with the bytes that [`Self::tunnel_bytes`] has not counted yet.
    pub fn tunnel_closed(&self, up: u64, down: u64, revoked: bool) {
        if let Some(shard) = self.shard() {
            shard.counts.bytes(up, down);
            add(&shard.counts.tunnels_closed, 1);
            add(&shard.counts.tunnels_revoked, u64::from(revoked));
        }
    }

    /// Counts bytes of a tunnel that is still open: `up` to the origin, `down` to the client.
    pub fn tunnel_bytes(&self, up: u64, down: u64) {
        if let Some(shard) = self.shard() {
            shard.counts.bytes(up, down);
        }
    }
}

fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}
