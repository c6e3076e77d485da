//! The scale of plots: how high a bar is, wherever requests over time are drawn (the dashboard, the report, `outgate top`).
//!
//! Guaranteed: the highest value is as high as the plot, zero has no height, and any other value can be seen.

/// From values to heights.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    most: f64,
    height: f64,
    least: f64,
}

impl Scale {
    /// A scale on which the value `most` is `height` high, and no value but zero is lower than `least`.
    pub fn new(most: f64, height: f64, least: f64) -> Self {
        Self { most, height, least }
    }

    /// The same for counts.
    pub fn of_counts(most: u64, height: f64, least: f64) -> Self {
        Self::new(approximate(most), height, least)
    }

    /// How high this value is.
    pub fn height(&self, value: f64) -> f64 {
        if value > 0.0 && self.most > 0.0 {
            (value / self.most * self.height).clamp(self.least, self.height)
        } else {
            0.0
        }
    }

    /// How high this count is.
    pub fn height_of(&self, count: u64) -> f64 {
        self.height(approximate(count))
    }
}

/// The next number that people can read the end of a scale by: 2, 4, 6, 10, 20, 40 …
pub fn round_end(most: u64) -> u64 {
    let mut ten: u64 = 1;
    loop {
        for step in [2, 4, 6, 10] {
            let end = ten.saturating_mul(step);
            if end >= most || end == u64::MAX {
                return end;
            }
        }
        ten = ten.saturating_mul(10);
    }
}

/// A count as a number that lengths can be computed from.
#[expect(clippy::cast_precision_loss, reason = "for lengths, where the sixteenth digit is not visible")]
pub fn approximate(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_scale_ends_where_people_can_read_it() {
        for (most, end) in [(0, 2), (1, 2), (2, 2), (3, 4), (7, 10), (11, 20), (61, 100), (u64::MAX, u64::MAX)] {
            assert_eq!(round_end(most), end, "{most}");
        }
    }

    proptest! {
        #[test]
        fn the_most_is_whole_and_only_zero_is_not_seen(count in any::<u64>(), most in any::<u64>()) {
            let (low, high) = (count.min(most), count.max(most));
            let scale = Scale::of_counts(high, 100.0, 2.0);
            let bar = scale.height_of(low);
            prop_assert_eq!(low == 0, bar == 0.0);
            prop_assert!(bar == 0.0 || (2.0..=100.0).contains(&bar), "{}", bar);
            prop_assert!(high == 0 || (scale.height_of(high) - 100.0).abs() < 1e-9);
        }
    }
}
