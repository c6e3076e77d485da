//! Counters seen again and again, as rates.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::text::plot::Scale;

/// How far back the plot goes, in seconds, and so in bars.
pub(super) const MINUTE: usize = 60;

/// What "now" is: long enough to hold several answers, short enough that a burst shows.
const RECENT: Duration = Duration::from_secs(5);

/// Samples that are kept: a minute of them, and some for answers that come faster.
const MAX_SAMPLES: usize = 4 * MINUTE;

/// Requests and denials, or their rates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct RequestsAndDenials<T> {
    pub(super) requests: T,
    pub(super) denied: T,
}

/// What was counted when.
#[derive(Clone, Debug, Default)]
pub(super) struct Rates {
    samples: VecDeque<(Instant, RequestsAndDenials<u64>)>,
}

impl Rates {
    /// Notes what the counters say. Counters that went back are those of a process that was started again.
    pub(super) fn note(&mut self, at: Instant, counted: RequestsAndDenials<u64>) {
        if let Some((_, before)) = self.samples.back()
            && (counted.requests < before.requests || counted.denied < before.denied)
        {
            self.samples.clear();
        }
        self.samples.push_back((at, counted));
        if self.samples.len() > MAX_SAMPLES {
            self.samples.pop_front();
        }
    }

    /// Per second, over the last few seconds; none before there are two samples.
    pub(super) fn now(&self) -> Option<RequestsAndDenials<f64>> {
        let (last, _) = self.samples.back()?;
        let recent = |(at, _): &&(Instant, RequestsAndDenials<u64>)| last.duration_since(*at) <= RECENT;
        let first = self.samples.iter().find(recent).filter(|(at, _)| at != last);
        // After a pause in the answers the one before it is all there is.
        let first = first.or_else(|| self.samples.iter().rev().nth(1))?;
        per_second(first, self.samples.back()?)
    }

    /// Per second, for each of the last sixty seconds before the last sample, the oldest first; none for
    /// seconds without a sample.
    pub(super) fn minute(&self) -> [Option<RequestsAndDenials<f64>>; MINUTE] {
        let mut bars = [None; MINUTE];
        let Some((last, _)) = self.samples.back() else { return bars };
        let pairs = self.samples.iter().zip(self.samples.iter().skip(1));
        for (from, to) in pairs {
            let Some(rate) = per_second(from, to) else { continue };
            // A bar belongs to whom its middle belongs.
            for (ago, bar) in (0_u32..).zip(bars.iter_mut().rev()) {
                let middle = Duration::from_millis(500) + Duration::from_secs(1) * ago;
                let (began, ended) = (last.duration_since(from.0), last.duration_since(to.0));
                if ended <= middle && middle < began {
                    *bar = Some(rate);
                }
            }
        }
        bars
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates for people")]
fn per_second(
    from: &(Instant, RequestsAndDenials<u64>),
    to: &(Instant, RequestsAndDenials<u64>),
) -> Option<RequestsAndDenials<f64>> {
    let seconds = to.0.duration_since(from.0).as_secs_f64();
    let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / seconds;
    (seconds > 0.0).then(|| RequestsAndDenials {
        requests: rate(from.1.requests, to.1.requests),
        denied: rate(from.1.denied, to.1.denied),
    })
}

/// Bars of these heights in one line of text; what is not known is blank, nothing is the lowest bar.
pub(super) fn bars(values: impl Iterator<Item = Option<f64>>, most: f64) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let scale = Scale::new(most, 7.0, 1.0);
    let bar = |value: f64| {
        let height = scale.height(value).ceil();
        let level = (0_u8..).zip(LEVELS).find(|(level, _)| f64::from(*level) >= height);
        level.map_or('█', |(_, level)| level)
    };
    values.map(|value| value.map_or(' ', bar)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(samples: &[(u64, u64, u64)]) -> Rates {
        let began = Instant::now();
        let mut rates = Rates::default();
        for (ms, requests, denied) in samples {
            let counted = RequestsAndDenials { requests: *requests, denied: *denied };
            rates.note(began + Duration::from_millis(*ms), counted);
        }
        rates
    }

    fn pair(requests: f64, denied: f64) -> Option<RequestsAndDenials<f64>> {
        Some(RequestsAndDenials { requests, denied })
    }

    #[test]
    fn now_is_the_last_five_seconds_or_what_there_is() {
        assert_eq!(rates(&[]).now(), None);
        assert_eq!(rates(&[(0, 9, 9)]).now(), None);
        assert_eq!(rates(&[(0, 9, 9), (500, 10, 9)]).now(), pair(2.0, 0.0));
        assert_eq!(rates(&[(0, 0, 0), (5000, 100, 0), (7500, 200, 0), (10_000, 400, 5)]).now(), pair(60.0, 1.0));
        assert_eq!(rates(&[(0, 0, 0), (60_000, 120, 60)]).now(), pair(2.0, 1.0), "no answer for a minute");
        assert_eq!(rates(&[(0, 900, 9), (1000, 10, 2)]).now(), None, "started again");
        assert_eq!(rates(&[(0, 900, 9), (1000, 10, 2), (2000, 12, 2)]).now(), pair(2.0, 0.0));
    }

    #[test]
    fn the_minute_ends_now_and_a_late_answer_is_spread_over_its_seconds() {
        let minute = rates(&[(0, 0, 0), (1000, 5, 1), (4000, 11, 1)]).minute();
        assert_eq!(minute[MINUTE - 5..], [None, pair(5.0, 1.0), pair(2.0, 0.0), pair(2.0, 0.0), pair(2.0, 0.0)]);
        assert!(minute[..MINUTE - 4].iter().all(Option::is_none));
        assert!(rates(&[(0, 0, 0), (100_000, 100, 0)]).minute().iter().all(|bar| *bar == pair(1.0, 0.0)));
    }

    #[test]
    fn memory_is_bounded() {
        let samples: Vec<_> = (0..10_000).map(|n| (n, n, 0)).collect();
        assert_eq!(rates(&samples).samples.len(), MAX_SAMPLES);
    }

    #[test]
    fn the_highest_bar_is_the_most_and_nothing_is_the_lowest() {
        let bars = |values: &[f64], most| super::bars(values.iter().map(|value| Some(*value)), most);
        assert_eq!(bars(&[0.0, 0.1, 3.5, 6.9, 7.0], 7.0), "▁▂▅██");
        assert_eq!(bars(&[0.0, 0.0], 0.0), "▁▁");
        assert_eq!(super::bars([None, Some(1.0)].into_iter(), 1.0), " █");
    }
}
