//! One worker's records until the writer fetches them.

use super::entry::{Kind, Record};
use crate::sync::bound;

/// Records that wait for the writer, per worker (some 5 MiB). It fetches them twenty times a second, oftener when they
/// come faster, and early when half of these are there, so only a writer that is held up for long (a disk that hangs)
/// makes it overflow.
pub const MAX_BUFFERED: usize = bound(16_384, 2);
/// Bytes of text in them: sixteen thousand of the longest paths would be six times this.
const MAX_TEXT: usize = 8 * 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Buffer {
    /// By value: what one thread allocates and another frees costs both of them a lock of the allocator's.
    records: Vec<Record>,
    text: usize,
    dropped: u64,
}

/// What became of a record that was handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pushed {
    /// It is the first since the writer came by.
    First,
    /// It waits with others.
    Waits,
    /// It waits, and the writer should come soon.
    HalfFull,
    /// There was no room.
    Dropped,
}

impl Buffer {
    pub(super) fn push(&mut self, record: Record) -> Pushed {
        let text = self.text + record.text_len();
        if self.records.len() >= MAX_BUFFERED || text > MAX_TEXT {
            self.dropped += u64::from(record.kind == Kind::End);
            return Pushed::Dropped;
        }
        let was_half = self.is_half_full();
        self.text = text;
        self.records.push(record);
        match (self.records.len(), was_half, self.is_half_full()) {
            (1, ..) => Pushed::First,
            (_, false, true) => Pushed::HalfFull,
            _ => Pushed::Waits,
        }
    }

    /// Hands everything over, for an empty `room` that takes its place. Returns how many requests' records did not fit.
    pub(super) fn fetch(&mut self, room: &mut Vec<Record>) -> u64 {
        std::mem::swap(&mut self.records, room);
        self.text = 0;
        std::mem::take(&mut self.dropped)
    }

    fn is_half_full(&self) -> bool {
        self.records.len() >= MAX_BUFFERED / 2 || self.text >= MAX_TEXT / 2
    }
}
