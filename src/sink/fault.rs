//! Why records cannot be kept, as the sinks see it.

use crate::record::{BUFFER_FULL, Health};

/// What keeps records from being kept. One bit each in [`Health`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SinkFault {
    /// The file of lines failed.
    Jsonl,
    /// The database failed.
    Sqlite,
    /// What waits for the database has no room.
    SqliteQueue,
    /// A worker's buffer has no room, because the writer is held up.
    Buffer,
}

impl SinkFault {
    const ALL: [Self; 4] = [Self::Jsonl, Self::Sqlite, Self::SqliteQueue, Self::Buffer];

    fn bit(self) -> u8 {
        match self {
            Self::Buffer => BUFFER_FULL,
            Self::Jsonl => 1 << 1,
            Self::Sqlite => 1 << 2,
            Self::SqliteQueue => 1 << 3,
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Jsonl => "the file of records cannot be written",
            Self::Sqlite => "the database of records cannot be written",
            Self::SqliteQueue => "the database of records is too slow",
            Self::Buffer => "the disk is too slow",
        }
    }

    /// Notes that it began, or is over.
    pub(crate) fn set(self, health: &Health, is_there: bool) {
        health.set(self.bit(), is_there);
    }
}

/// Why requests are refused; none while they are not.
pub(super) fn refusal(health: &Health) -> Option<&'static str> {
    let faults = health.refused_for();
    SinkFault::ALL.into_iter().find(|fault| faults & fault.bit() != 0).map(SinkFault::describe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_refused_while_there_is_any_fault_and_only_if_records_are_required() {
        for required in [false, true] {
            let health = Health::new(required);
            assert!(!health.refuses() && refusal(&health).is_none());
            SinkFault::Sqlite.set(&health, true);
            SinkFault::Buffer.set(&health, true);
            assert_eq!(health.refuses(), required);
            SinkFault::Sqlite.set(&health, false);
            assert_eq!(refusal(&health), required.then_some("the disk is too slow"));
            SinkFault::Buffer.set(&health, false);
            assert!(!health.refuses() && refusal(&health).is_none());
        }
    }

    #[test]
    fn each_fault_has_a_bit_of_its_own() {
        let bits = SinkFault::ALL.map(SinkFault::bit);
        assert_eq!(bits.iter().fold(0, |all, bit| all | bit).count_ones(), 4);
        assert!(bits.iter().all(|bit| bit.count_ones() == 1));
    }
}
