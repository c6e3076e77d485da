//! Whether records can be kept at this moment, and what follows for requests.
//!
//! A sink *cannot* while its last try failed (until a later one has worked: a write, not only opening), or while what
//! waits for it has no room (until half of the room is free again). A failed sink is tried again after growing waits, and
//! a file only counts as mended when its disk has room for some thousand lines, so that a disk that is full but for a
//! block does not let requests come and go.
//!
//! With `required` requests are refused meanwhile; without, they go on. Deliberately not done: waiting for a record to be
//! on the disk before its request goes on. What was under way when a sink failed is counted as lost.

use std::sync::atomic::{AtomicU8, Ordering};

/// What is wanting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// The file of lines failed.
    Jsonl,
    /// The database failed.
    Sqlite,
    /// What waits for the database has no room.
    SqliteQueue,
    /// What a worker hands in has no room, because the writer is held up.
    Buffer,
}

/// What is wanting now. One relaxed load tells a request.
#[derive(Debug, Default)]
pub(super) struct Health {
    required: bool,
    wants: AtomicU8,
}

impl Want {
    const ALL: [Self; 4] = [Self::Jsonl, Self::Sqlite, Self::SqliteQueue, Self::Buffer];

    fn bit(self) -> u8 {
        1 << self as u8
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Jsonl => "the file of records cannot be written",
            Self::Sqlite => "the database of records cannot be written",
            Self::SqliteQueue => "the database of records is too slow",
            Self::Buffer => "the disk is too slow",
        }
    }
}

impl Health {
    pub(super) fn new(required: bool) -> Self {
        Self { required, wants: AtomicU8::new(0) }
    }

    pub(super) fn set(&self, want: Want, is_wanting: bool) {
        // Nothing else hangs on the order in which anybody sees it.
        if is_wanting {
            self.wants.fetch_or(want.bit(), Ordering::Relaxed);
        } else {
            self.wants.fetch_and(!want.bit(), Ordering::Relaxed);
        }
    }

    /// Whether requests are to be refused.
    pub(super) fn refuses(&self) -> bool {
        self.required && self.wants.load(Ordering::Relaxed) != 0
    }

    /// Why requests are refused; none while they are not.
    pub(super) fn refusal(&self) -> Option<&'static str> {
        let wants = self.wants.load(Ordering::Relaxed);
        let first = Want::ALL.into_iter().find(|want| wants & want.bit() != 0);
        first.filter(|_| self.required).map(Want::describe)
    }

    /// What follows for requests when a sink fails, as a clause for the log.
    pub(super) fn consequence(&self) -> &'static str {
        if self.required { "requests are refused" } else { "requests go on" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_refused_while_anything_is_wanting_and_only_if_records_are_required() {
        for required in [false, true] {
            let health = Health::new(required);
            assert!(!health.refuses() && health.refusal().is_none());
            health.set(Want::Sqlite, true);
            health.set(Want::Buffer, true);
            assert_eq!(health.refuses(), required);
            health.set(Want::Sqlite, false);
            assert_eq!(health.refusal(), required.then_some("the disk is too slow"));
            health.set(Want::Buffer, false);
            assert!(!health.refuses() && health.refusal().is_none());
        }
    }
}
