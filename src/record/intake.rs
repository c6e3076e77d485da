//! The writer's end: where records are fetched from the workers.
//!
//! Guaranteed: there is exactly one. Dropping it releases every task that waits for records to be written, however the
//! writer ended.

use std::sync::Arc;

use super::entry::{Kind, Record};
use super::health::{BUFFER_FULL, Health};
use super::lock;
use super::redact::{ClientHash, Redaction};
use super::shared::RecordState;
use super::signal::Signal;

/// The end from which records are fetched.
#[derive(Debug)]
pub struct Intake {
    shared: Arc<RecordState>,
    redaction: Option<Arc<Redaction>>,
    /// Reused for each batch; empty in between. `room` is what a worker's buffer gets for the one that is fetched.
    records: Vec<Record>,
    room: Vec<Record>,
}

/// What was handed in since the last time.
#[derive(Debug)]
pub(crate) struct Batch {
    /// In the order in which requests ended.
    pub(crate) records: Vec<Record>,
    /// Requests whose record found no room.
    pub(crate) dropped: u64,
}

impl Intake {
    pub(super) fn new(shared: Arc<RecordState>, redaction: Option<Arc<Redaction>>) -> Self {
        Self { shared, redaction, records: Vec::new(), room: Vec::new() }
    }

    pub(crate) fn shared(&self) -> &Arc<RecordState> {
        &self.shared
    }

    /// Instructions to the writer.
    pub(crate) fn signal(&self) -> &Signal {
        &self.shared.signal
    }

    /// Where sinks say whether they work.
    pub(crate) fn health(&self) -> &Arc<Health> {
        &self.shared.health
    }

    /// Everything that was handed in. `usual` records are what most batches hold: room for more is given back.
    pub(crate) fn fetch(&mut self, usual: usize) -> Batch {
        let shared = &self.shared;
        let mut records = std::mem::take(&mut self.records);
        let mut dropped = 0;
        for shard in &shared.shards {
            shared.merge(shard);
            dropped += lock(&shard.buffer).fetch(&mut self.room);
            records.append(&mut self.room);
            self.room.shrink_to(usual);
        }
        shared.health.set(BUFFER_FULL, false);
        // Workers' buffers are in order by themselves; among workers the end of a request is what people go by.
        records.sort_by_key(|record| record.ended());
        let mut series = lock(&shared.series);
        let ends = records.iter().filter(|record| record.kind == Kind::End);
        ends.for_each(|record| series.count(&record.verdict, record.ended()));
        drop(series);
        Batch { records, dropped }
    }

    /// Takes an empty batch back, for its memory.
    pub(crate) fn give_back(&mut self, mut records: Vec<Record>, usual: usize) {
        records.clear();
        records.shrink_to(usual);
        self.records = records;
    }

    /// Takes out of a record what no sink may have. Returns what replaces its client, if clients are hidden.
    pub(crate) fn strip(&self, record: &mut Record) -> Option<ClientHash> {
        // What is kept of a request must not keep its policy, which may be one of a million names.
        record.cited.detach();
        self.redaction.as_ref().and_then(|redaction| redaction.apply(record))
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.signal().gone();
    }
}
