//! How long things took, in fixed buckets.

use super::nanos::{MICROSECOND, NANOSECOND, Nanos, SECOND};
use crate::sync::atomic::{AtomicU64, Ordering};

/// Measured in a release build under load, loopback both ways: half of the decisions take 90 ns, one in a hundred 5 µs
/// (another thread had the core); a debug build takes ten times that. A millisecond is a fault to look into.
pub(super) const DECISION: Scale = Scale {
    unit: NANOSECOND,
    bounds: &[50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 1_000_000],
};
/// Measured on loopback: from 20 µs to some milliseconds under load. Elsewhere up to `dns-timeout` and `connect-timeout`
/// together, 20 s by default. Microseconds, so that the sum lasts.
pub(super) const DIAL: Scale = Scale {
    unit: MICROSECOND,
    bounds: &[
        10, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
        2_500_000, 5_000_000, 10_000_000, 25_000_000,
    ],
};
/// Measured on loopback: 70 µs for a request on a connection that is there, 1 to 20 ms for one that brings its own while
/// many do. Elsewhere as long as the origin takes, and a tunnel as long as its user works: `idle-timeout` is an hour, and
/// only of silence.
pub(super) const REQUEST: Scale = Scale {
    unit: MICROSECOND,
    bounds: &[
        25,
        100,
        250,
        1_000,
        2_500,
        10_000,
        25_000,
        50_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        15_000_000,
        60_000_000,
        300_000_000,
        900_000_000,
        3_600_000_000,
        14_400_000_000,
    ],
};

/// The buckets of one histogram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    unit: u64,
    /// Inclusive upper bounds in units, ascending; above the last is one more bucket.
    bounds: &'static [u64],
}

/// One worker's part of a histogram.
#[derive(Debug)]
pub(super) struct Histogram {
    scale: Scale,
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// The parts of all workers, added up.
#[derive(Debug)]
pub(super) struct HistogramSum {
    scale: Scale,
    buckets: Vec<u64>,
    sum: u64,
}

impl Histogram {
    pub(super) fn new(scale: Scale) -> Self {
        let buckets = (0..=scale.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { scale, buckets, sum: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, took: Nanos) {
        let units = took.nanos() / self.scale.unit;
        let bucket = self.scale.bounds.partition_point(|bound| *bound < units);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(units, Ordering::Relaxed);
    }

    pub(super) fn add_to(&self, total: &mut HistogramSum) {
        for (total, bucket) in total.buckets.iter_mut().zip(&self.buckets) {
            *total += bucket.load(Ordering::Relaxed);
        }
        total.sum = total.sum.wrapping_add(self.sum.load(Ordering::Relaxed));
    }
}

impl HistogramSum {
    pub(super) fn new(scale: Scale) -> Self {
        Self { scale, buckets: vec![0; scale.bounds.len() + 1], sum: 0 }
    }

    /// How many were observed.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What they took together, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.in_seconds(self.sum)
    }

    /// Each bucket's upper bound in seconds, and how many took that long or less.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let counts = self.buckets.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        self.scale.bounds.iter().map(|bound| self.in_seconds(*bound)).zip(counts)
    }

    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows only f64")]
    fn in_seconds(&self, units: u64) -> f64 {
        units as f64 / (SECOND / self.scale.unit) as f64
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_bucket_holds_what_took_as_long_as_its_bound_or_less() {
        let histogram = Histogram::new(DECISION);
        for nanos in [50, 51, 1_000_000, 1_000_001, 0] {
            histogram.observe(Duration::from_nanos(nanos).into());
        }
        let mut sum = HistogramSum::new(DECISION);
        histogram.add_to(&mut sum);
        let cumulative: Vec<_> = sum.cumulative().collect();
        assert_eq!(cumulative.first(), Some(&(5e-8, 2)));
        assert_eq!(cumulative.get(1), Some(&(1e-7, 3)));
        assert_eq!(cumulative.last(), Some(&(1e-3, 4)));
        assert_eq!(sum.count(), 5);
        assert!((sum.seconds() - 0.002_000_102).abs() < 1e-12);
    }

    #[test]
    fn what_was_measured_falls_neither_below_the_first_bound_nor_above_the_last() {
        let (nano, micro, second) = (Duration::from_nanos(1), Duration::from_micros(1), Duration::from_secs(1));
        for (scale, took) in [
            (DECISION, [80 * nano, 90 * nano, 4_500 * nano, 60 * micro]),
            (DIAL, [18 * micro, 370 * micro, 2_500 * micro, 20 * second]),
            (REQUEST, [69 * micro, 434 * micro, 20_000 * micro, 3_700 * second]),
        ] {
            for took in took {
                let histogram = Histogram::new(scale);
                histogram.observe(took.into());
                let mut sum = HistogramSum::new(scale);
                histogram.add_to(&mut sum);
                let counts: Vec<_> = sum.cumulative().map(|(_, count)| count).collect();
                assert_eq!((counts.first(), counts.last()), (Some(&0), Some(&1)), "{took:?} in {scale:?}");
            }
            assert!(scale.bounds.is_sorted_by(|a, b| a < b) && scale.bounds.len() <= 20, "{scale:?}");
        }
    }
}
