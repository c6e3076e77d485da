//! How old records are, for removing those that are older than `keep`.
//!
//! The wall clock may be wrong: set by hand, by a virtual machine that resumed, by a faulty NTP server. Records that a wrong
//! clock makes old are lost for good, so the clock is trusted only after it has kept pace with the machine's uptime.
//!
//! Guaranteed, for what is removed because of its age:
//! - After a start or a step of the clock, and until the clock has been steady for [`PROBATION`] (a quarter of `keep`, if
//!   that is shorter), records age by the uptime, starting with the time of the newest record. The time that counts is
//!   never ahead of the clock.
//! - During the probation, no more than a quarter of what is kept goes at once.
//! - A step of the clock is logged once, with both times.
//!
//! So after a start or a step, records may stay longer than `keep`, by as much as the probation. What is removed because of
//! its size depends on no clock.
//!
//! Deliberately not done: finding out which of two times is right. The step away and the step back are both steps.

use std::path::Path;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// How long the clock must be steady before it is trusted. NTP corrects itself within minutes; an operator that sets a
/// clock by hand notices a wrong year within the hour.
const PROBATION: Duration = Duration::from_secs(6 * 3600);
/// The shortest probation, for a short `keep`.
const SHORTEST_PROBATION: Duration = Duration::from_secs(60);
/// The largest difference that is not a step: NTP slews smaller ones.
const TOLERANCE: Duration = Duration::from_secs(600);

/// What the clocks of the machine say at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    /// The wall clock.
    pub(super) wall: SystemTime,
    /// The time since the machine started, sleep included. Nobody can set it.
    pub(super) uptime: Duration,
}

/// What may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expiry {
    /// The time that counts: records that began `keep` before it are too old.
    pub(super) time: SystemTime,
    /// Whether everything that is too old may go, even if that is everything. If not, no more than a [`share`] may.
    pub(super) is_steady: bool,
}

/// The clocks of one sink.
#[derive(Debug)]
pub(super) struct Age {
    keep: Duration,
    /// The last reading, to notice a step.
    last: Reading,
    /// The uptime since which there was no step.
    steady_since: Duration,
    /// The time that counted last, and the uptime then.
    counted: Reading,
    /// Whether it was logged that a removal is postponed.
    is_logged: bool,
}

impl Reading {
    pub(super) fn now() -> Self {
        #[cfg(target_os = "linux")]
        let clock = rustix::time::ClockId::Boottime;
        // There, this clock includes sleep.
        #[cfg(not(target_os = "linux"))]
        let clock = rustix::time::ClockId::Monotonic;
        let uptime = Duration::try_from(rustix::time::clock_gettime(clock)).unwrap_or_default();
        Self { wall: SystemTime::now(), uptime }
    }

    /// What the wall clock will say at this uptime, if it keeps pace.
    fn at(&self, uptime: Duration) -> SystemTime {
        self.wall.checked_add(uptime.saturating_sub(self.uptime)).unwrap_or(self.wall)
    }
}

impl Age {
    /// `newest` is the time of the newest record, if there is one.
    pub(super) fn new(keep: Duration, newest: Option<SystemTime>, now: Reading) -> Self {
        let counted = newest.map_or(now.wall, |newest| newest.min(now.wall));
        Self {
            keep,
            last: now,
            steady_since: now.uptime,
            counted: Reading { wall: counted, uptime: now.uptime },
            is_logged: false,
        }
    }

    /// What may be removed now. `path` is for the log.
    pub(super) fn judge(&mut self, now: Reading, path: &Path) -> Expiry {
        let expected = self.last.at(now.uptime);
        let step = now.wall.duration_since(expected).unwrap_or_else(|error| error.duration());
        if step > TOLERANCE {
            self.steady_since = now.uptime;
            let (path, clock, expected) = (path.display(), shown(now.wall), shown(expected));
            tracing::warn!(
                %path, clock, expected,
                "the clock was stepped; until it has been steady for {} minutes, records age by the machine's uptime",
                self.probation().as_secs() / 60
            );
        }
        self.last = now;
        let is_steady = now.uptime.saturating_sub(self.steady_since) >= self.probation();
        let by_uptime = self.counted.at(now.uptime);
        let time = if is_steady { now.wall } else { by_uptime.min(now.wall) };
        self.counted = Reading { wall: time, uptime: now.uptime };
        if is_steady {
            self.is_logged = false;
        }
        Expiry { time, is_steady }
    }

    /// Logs, once until the clock is steady, that old records stay for now because they are so many.
    pub(super) fn log_postponed(&mut self, path: &Path) {
        if !std::mem::replace(&mut self.is_logged, true) {
            let path = path.display();
            tracing::warn!(
                %path,
                "more than a quarter of the records is older than `keep`; they are removed once the clock has been steady \
                 for {} minutes",
                self.probation().as_secs() / 60
            );
        }
    }

    fn probation(&self) -> Duration {
        (self.keep / 4).clamp(SHORTEST_PROBATION, PROBATION)
    }
}

/// How many of `kept` may go because of their age while the clock is not steady.
pub(super) fn share(kept: u64) -> u64 {
    kept / 4
}

fn shown(time: SystemTime) -> String {
    Timestamp::try_from(time).map_or_else(|_| "a time beyond all dates".to_owned(), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3600;
    const DAY: u64 = 24 * HOUR;
    /// The true time of the start.
    const START: u64 = 1000 * DAY;
    const KEEP: u64 = 90 * DAY;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn reading(wall: u64, uptime: u64) -> Reading {
        Reading { wall: at(wall), uptime: Duration::from_secs(uptime) }
    }

    /// The time that counted at each of these moments: seconds since the start, and how far the clock is off then.
    fn counted(newest: u64, moments: &[(u64, i64)]) -> Vec<i64> {
        let wall = |since: u64, off: i64| (START + since).saturating_add_signed(off);
        let first = moments[0];
        let mut age =
            Age::new(Duration::from_secs(KEEP), Some(at(newest)), reading(wall(first.0, first.1), 50 + first.0));
        let judged =
            moments.iter().map(|(since, off)| age.judge(reading(wall(*since, *off), 50 + since), Path::new("r")));
        judged
            .map(|expiry| {
                let time = expiry.time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
                time as i64 - START as i64
            })
            .collect()
    }

    const AHEAD: i64 = 100 * DAY as i64;

    #[test]
    fn a_clock_that_is_right_counts_at_once() {
        let moments: Vec<_> = [0, 60, 600, HOUR, DAY, 100 * DAY].map(|since| (since, 0)).into();
        assert_eq!(counted(START, &moments), [0, 60, 600, HOUR as i64, DAY as i64, AHEAD]);
        // Slewing and leap seconds are not steps.
        assert_eq!(counted(START, &[(0, 0), (60, 30), (120, -300)]), [0, 60, -180]);
    }

    #[test]
    fn a_step_ahead_does_not_count_and_one_back_counts_at_once() {
        assert_eq!(counted(START, &[(0, 0), (60, AHEAD), (135, AHEAD), (200, 0)]), [0, 60, 135, 200]);
        assert_eq!(counted(START, &[(0, 0), (60, -AHEAD), (120, -AHEAD)]), [0, 60 - AHEAD, 120 - AHEAD]);
        // And back again: that too is a step, which counts after the probation.
        let away = 60 - AHEAD;
        let back = [(0, 0), (60, -AHEAD), (120, 0), (180, 0), (120 + 6 * HOUR, 0)];
        assert_eq!(counted(START, &back), [0, away, away + 60, away + 120, 120 + 6 * HOUR as i64]);
    }

    #[test]
    fn a_step_counts_after_its_probation_which_every_step_restarts() {
        let hours = |hours: u64| hours * HOUR;
        assert_eq!(
            counted(START, &[(0, 0), (hours(1), AHEAD), (hours(7) - 1, AHEAD), (hours(7), AHEAD)]),
            [0, HOUR as i64, 7 * HOUR as i64 - 1, 7 * HOUR as i64 + AHEAD]
        );
        let twice = [(0, 0), (hours(1), AHEAD), (hours(6), 2 * AHEAD), (hours(8), 2 * AHEAD), (hours(12), 2 * AHEAD)];
        assert_eq!(
            counted(START, &twice),
            [0, HOUR as i64, 6 * HOUR as i64, 8 * HOUR as i64, 12 * HOUR as i64 + 2 * AHEAD]
        );
    }

    #[test]
    fn a_start_counts_from_the_newest_record_on() {
        // The clock was ahead before the start, or the machine was off for that long: the two look alike.
        let moments = [(0, AHEAD), (60, AHEAD), (6 * HOUR, AHEAD)];
        assert_eq!(counted(START - 10, &moments), [-10, 50, 6 * HOUR as i64 + AHEAD]);
        // A newest record from the future changes nothing.
        assert_eq!(counted(START + DAY, &[(0, 0), (60, 0)]), [0, 60]);
        let mut age = Age::new(Duration::from_secs(KEEP), None, reading(START, 50));
        assert_eq!(age.judge(reading(START, 50), Path::new("r")).time, at(START));
    }

    #[test]
    fn all_may_go_at_once_only_after_the_probation_which_is_short_where_little_is_kept() {
        for (keep, probation) in [(KEEP, 6 * HOUR), (DAY, 6 * HOUR), (4 * HOUR, HOUR), (1, 60)] {
            let mut age = Age::new(Duration::from_secs(keep), None, reading(START, 50));
            let mut is_steady = |since| age.judge(reading(START + since, 50 + since), Path::new("r")).is_steady;
            assert!(!is_steady(0) && !is_steady(probation - 1) && is_steady(probation), "{keep}");
        }
        assert_eq!([0, 1, 3, 4, 100].map(share), [0, 0, 0, 1, 25]);
    }

    proptest! {
        #[test]
        fn the_time_that_counts_is_never_ahead_of_the_clock_and_in_probation_never_faster_than_the_uptime(
            steps in proptest::collection::vec((1..HOUR, -200 * DAY as i64..200 * DAY as i64), 1..30)
        ) {
            let mut since = 0;
            let moments: Vec<_> = steps.iter().map(|(pause, off)| { since += pause; (since, *off) }).collect();
            let counted = counted(START, &moments);
            let mut steady_since = moments[0].0;
            let pairs = moments.windows(2).zip(counted.windows(2));
            for (moment, counted) in pairs {
                let ((before, off_before), (now, off)) = (moment[0], moment[1]);
                if (off - off_before).unsigned_abs() > TOLERANCE.as_secs() {
                    steady_since = now;
                }
                prop_assert!(counted[1] <= now as i64 + off, "ahead of the clock");
                if now - steady_since < 6 * HOUR {
                    prop_assert!(counted[1] - counted[0] <= (now - before) as i64, "faster than the uptime");
                }
            }
        }
    }
}
