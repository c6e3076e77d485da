//! How long something took.

use std::num::NonZeroU64;
use std::time::Duration;

/// How long something took, to the nanosecond and up to five centuries. With `Option` it has half the size of a
/// [`Duration`]; every record has three, and thousands of records are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nanos(NonZeroU64); // one nanosecond more than it took

/// Units of time, in nanoseconds.
pub(super) const NANOSECOND: u64 = 1;
pub(super) const MICROSECOND: u64 = 1000;
pub(super) const SECOND: u64 = 1_000_000_000;

impl Nanos {
    /// No time at all.
    pub const ZERO: Self = Self(NonZeroU64::MIN);

    /// In nanoseconds.
    pub fn nanos(self) -> u64 {
        self.0.get() - 1
    }
}

impl From<Duration> for Nanos {
    /// What is longer than it can be is as long as it can be.
    fn from(duration: Duration) -> Self {
        Self(NonZeroU64::MIN.saturating_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl From<Nanos> for Duration {
    fn from(took: Nanos) -> Self {
        Self::from_nanos(took.nanos())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_duration_up_to_its_end() {
        for nanos in [0, 1, 81_234_567, u64::MAX - 2, u64::MAX - 1] {
            assert_eq!(Duration::from(Nanos::from(Duration::from_nanos(nanos))), Duration::from_nanos(nanos));
        }
        assert_eq!(Nanos::from(Duration::ZERO), Nanos::ZERO);
        for long in [Duration::from_nanos(u64::MAX), Duration::MAX] {
            assert_eq!(Nanos::from(long).nanos(), u64::MAX - 1);
        }
    }
}
