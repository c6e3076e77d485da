//! How long things took, in fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Decisions take some hundred nanoseconds; a millisecond is a fault to look into.
pub(super) const DECISION: Scale = Scale {
    unit: Duration::from_nanos(1),
    bounds: &[250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000],
};
/// Dials reach from a neighbour's 100 µs to the connect timeout's 10 s. Microseconds, so that the sum lasts.
pub(super) const DIAL: Scale = Scale {
    unit: Duration::from_micros(1),
    bounds: &[
        100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000, 10_000_000,
    ],
};
/// Requests reach from a denial's millisecond to a tunnel's hour.
pub(super) const REQUEST: Scale = Scale {
    unit: Duration::from_micros(1),
    bounds: &[
        1_000,
        5_000,
        25_000,
        100_000,
        250_000,
        500_000,
        1_000_000,
        5_000_000,
        15_000_000,
        60_000_000,
        300_000_000,
        900_000_000,
        3_600_000_000,
    ],
};

/// The buckets of one histogram.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    unit: Duration,
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

    pub(super) fn observe(&self, took: Duration) {
        let units = u64::try_from(took.as_nanos() / self.scale.unit.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.scale.bounds.iter().take_while(|bound| units > **bound).count();
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
        let per_second = Duration::from_secs(1).as_nanos() / self.scale.unit.as_nanos();
        units as f64 / per_second as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_took_as_long_as_its_bound_or_less() {
        let histogram = Histogram::new(DECISION);
        for nanos in [250, 251, 1_000_000, 1_000_001, 0] {
            histogram.observe(Duration::from_nanos(nanos));
        }
        let mut sum = HistogramSum::new(DECISION);
        histogram.add_to(&mut sum);
        let cumulative: Vec<_> = sum.cumulative().collect();
        assert_eq!(cumulative.first(), Some(&(2.5e-7, 2)));
        assert_eq!(cumulative.get(1), Some(&(5e-7, 3)));
        assert_eq!(cumulative.last(), Some(&(1e-3, 4)));
        assert_eq!(sum.count(), 5);
        assert!((sum.seconds() - 0.002_000_502).abs() < 1e-12);
    }
}
