//! What waits for the database.

use std::sync::Arc;

use crate::record::{GapCause, Kind, RecordLine, lock};
use crate::sync::{Mutex, bound};

/// Lines that wait (some 30 MiB). Two seconds of 30,000 requests each: a disk that others write to as well has been seen
/// to take one second to sync. A database that is locked for a minute makes it overflow only on a busy machine.
pub(super) const MAX_QUEUED: usize = bound(65_536, 2);
/// Bytes of text in them, half of it for what usual names and paths need.
pub(super) const MAX_TEXT: usize = 16 * 1024 * 1024;

/// Bounded: what does not fit leaves its mark in its place.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<QueuedItems>);

#[derive(Debug, Default)]
struct QueuedItems {
    items: Vec<QueueItem>,
    text: usize,
}

/// What the database is handed.
#[derive(Clone, Debug)]
pub(super) enum QueueItem {
    Line(Arc<RecordLine>),
    /// Records that are missing here, and the last line among what is.
    Missing {
        records: u64,
        last_seq: u64,
        cause: GapCause,
    },
}

impl QueueItem {
    /// Records in it that have not been counted as lost.
    pub(super) fn records(&self) -> u64 {
        match self {
            Self::Line(line) => u64::from(is_record(line)),
            Self::Missing { .. } => 0,
        }
    }
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    /// It is the first since the thread came by.
    First,
    Waits,
    /// It waits, and half of the room is taken.
    HalfFull,
    /// There was no room; so many records are lost by it.
    Lost(u64),
}

impl Queue {
    pub(super) fn push(&self, line: &Arc<RecordLine>) -> Queued {
        let mut waiting = lock(&self.0);
        let text = waiting.text + line.text_len();
        if waiting.items.len() >= MAX_QUEUED || text > MAX_TEXT {
            let lost = u64::from(is_record(line));
            waiting.miss(lost, line.seq(), GapCause::SqliteFailed);
            return Queued::Lost(lost);
        }
        waiting.text = text;
        waiting.items.push(QueueItem::Line(Arc::clone(line)));
        match waiting.items.len() {
            1 => Queued::First,
            len if len == MAX_QUEUED / 2 => Queued::HalfFull,
            _ => Queued::Waits,
        }
    }

    /// Whether half of the room is taken.
    pub(super) fn is_half_full(&self) -> bool {
        let waiting = lock(&self.0);
        waiting.items.len() >= MAX_QUEUED / 2 || waiting.text >= MAX_TEXT / 2
    }

    /// Notes that records up to this line are missing.
    pub(super) fn miss(&self, records: u64, last_seq: u64, cause: GapCause) {
        lock(&self.0).miss(records, last_seq, cause);
    }

    /// Everything that waits.
    pub(super) fn fetch(&self) -> Vec<QueueItem> {
        std::mem::take(&mut *lock(&self.0)).items
    }
}

impl QueuedItems {
    fn miss(&mut self, records: u64, last_seq: u64, cause: GapCause) {
        match self.items.last_mut() {
            Some(QueueItem::Missing { records: before, last_seq: last, .. }) => {
                *before += records;
                *last = last_seq;
            }
            _ => self.items.push(QueueItem::Missing { records, last_seq, cause }),
        }
    }
}

fn is_record(line: &RecordLine) -> bool {
    line.record().is_some_and(|record| record.kind == Kind::End)
}
