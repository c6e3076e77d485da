//! Requests over time: the last hour by minute, the last week by hour.
//!
//! Guaranteed:
//! - A bucket holds just the records that ended in it, to the unit; what has left the window is in [`Window::before`], so
//!   that a window's buckets and that number add up to every record that was counted. Dropped records are in neither.
//! - Fixed memory: 228 buckets, under 10 KiB.
//! - A clock that jumps loses nothing. What ended within the window goes where it belongs, also after a step back; if the
//!   clock is before the whole window, the window starts again there, and its content counts as earlier.
//!
//! Deliberately not done: keeping it over a restart. What a database has of the time before the start is added once, see
//! [`EarlierSeries`].

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::entry::Verdict;
use super::lock;
use crate::sync::Mutex;

/// One minute each.
const MINUTES: usize = 60;
/// One hour each: a week.
const HOURS: usize = 7 * 24;
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

/// Requests by decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decided {
    /// `allow`.
    pub allow: u64,
    /// `deny`.
    pub deny: u64,
    /// `observe`.
    pub observe: u64,
    /// `none`.
    pub none: u64,
}

impl Decided {
    /// All of them.
    pub fn all(&self) -> u64 {
        self.allow + self.deny + self.observe + self.none
    }

    /// The count of a decision, by its token; none for a word that is not a decision.
    pub(crate) fn of(&mut self, decision: &str) -> Option<&mut u64> {
        match decision {
            "allow" => Some(&mut self.allow),
            "deny" => Some(&mut self.deny),
            "observe" => Some(&mut self.observe),
            "none" => Some(&mut self.none),
            _ => None,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.allow += other.allow;
        self.deny += other.deny;
        self.observe += other.observe;
        self.none += other.none;
    }
}

impl From<&Verdict> for Decided {
    fn from(verdict: &Verdict) -> Self {
        let mut one = Self::default();
        match verdict {
            Verdict::Allow => one.allow = 1,
            Verdict::Deny(_) => one.deny = 1,
            Verdict::Observe(_) => one.observe = 1,
            Verdict::None(_) => one.none = 1,
        }
        one
    }
}

/// Buckets that follow each other, the last of which is now or the latest that was counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// When the first bucket begins; all are equally long.
    pub start: SystemTime,
    /// How long one is.
    pub step: Duration,
    /// What ended in each.
    pub buckets: Vec<Decided>,
    /// What ended before the first one and was counted here.
    pub before: Decided,
}

/// Requests over time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverTime {
    /// From when on everything is counted: the start of the process, or what a database reaches back to.
    pub since: SystemTime,
    /// Whether a database still is being read for the time before the start.
    pub reading: bool,
    /// The last hour.
    pub minutes: Window,
    /// The last week.
    pub hours: Window,
}

/// Its counts.
#[derive(Debug)]
pub(super) struct Series {
    since: SystemTime,
    reading: bool,
    minutes: Buckets,
    hours: Buckets,
}

/// Consecutive buckets; the last one is number `last`, counted from 1970.
#[derive(Debug)]
struct Buckets {
    step: u64,
    len: usize,
    last: u64,
    buckets: VecDeque<Decided>,
    before: Decided,
}

impl Series {
    pub(super) fn new(now: SystemTime) -> Self {
        Self {
            since: now,
            reading: false,
            minutes: Buckets::new(MINUTE, MINUTES, now),
            hours: Buckets::new(HOUR, HOURS, now),
        }
    }

    /// Counts one record.
    pub(super) fn count(&mut self, verdict: &Verdict, ended: SystemTime) {
        let one = Decided::from(verdict);
        self.minutes.add(one, ended);
        self.hours.add(one, ended);
    }

    fn window(&mut self, span: WindowLength) -> &mut Buckets {
        match span {
            WindowLength::Minutes => &mut self.minutes,
            WindowLength::Hours => &mut self.hours,
        }
    }

    /// What it shows at a time.
    pub(super) fn shown(&self, now: SystemTime) -> OverTime {
        OverTime {
            since: self.since,
            reading: self.reading,
            minutes: self.minutes.shown(now),
            hours: self.hours.shown(now),
        }
    }
}

/// Where requests from before the start are added. While it is there, [`OverTime::reading`] says so.
#[derive(Debug)]
pub(crate) struct EarlierSeries(Weak<Mutex<Series>>);

/// One of the two windows.
#[derive(Clone, Copy, Debug)]
pub(crate) enum WindowLength {
    /// The last hour.
    Minutes,
    /// The last week.
    Hours,
}

impl EarlierSeries {
    pub(super) fn begin(series: &Arc<Mutex<Series>>) -> Self {
        lock(series).reading = true;
        Self(Arc::downgrade(series))
    }

    /// When the buckets of a window begin, in seconds since 1970, the newest first, and how many seconds each is; none
    /// once the room is gone.
    pub(crate) fn buckets(&self, span: WindowLength) -> Option<(Vec<u64>, u64)> {
        let series = self.0.upgrade()?;
        let mut series = lock(&series);
        let buckets = series.window(span);
        Some((buckets.starts(), buckets.step))
    }

    /// Adds what was counted in the bucket that begins at `start`. Everything from `since` on is counted now; both are
    /// seconds since 1970. None once the room is gone.
    pub(crate) fn fill(&self, span: WindowLength, count: Decided, start: u64, since: u64) -> Option<()> {
        let series = self.0.upgrade()?;
        let mut series = lock(&series);
        series.window(span).fill(count, start);
        let since = UNIX_EPOCH.checked_add(Duration::from_secs(since)).unwrap_or(UNIX_EPOCH);
        series.since = series.since.min(since).max(UNIX_EPOCH);
        Some(())
    }
}

impl Drop for EarlierSeries {
    fn drop(&mut self) {
        if let Some(series) = self.0.upgrade() {
            lock(&series).reading = false;
        }
    }
}

impl Buckets {
    fn new(step: u64, len: usize, now: SystemTime) -> Self {
        Self { step, len, last: seconds(now) / step, buckets: empty(len), before: Decided::default() }
    }

    fn add(&mut self, count: Decided, at: SystemTime) {
        let number = seconds(at) / self.step;
        self.reach(number);
        if !self.add_within(count, number) {
            // The clock is before everything that is shown, and there is no other clock.
            for bucket in &mut self.buckets {
                self.before.add(std::mem::take(bucket));
            }
            self.last = number;
            self.add_within(count, number);
        }
    }

    /// Adds what was counted elsewhere, if the window still reaches there. `at` is in seconds since 1970.
    fn fill(&mut self, count: Decided, at: u64) {
        self.add_within(count, at / self.step);
    }

    /// When its buckets begin, in seconds since 1970, the newest first.
    fn starts(&self) -> Vec<u64> {
        (0..self.len as u64).filter_map(|back| Some(self.last.checked_sub(back)? * self.step)).collect()
    }

    fn add_within(&mut self, count: Decided, number: u64) -> bool {
        let back = self.last.checked_sub(number).and_then(|back| usize::try_from(back).ok());
        let place = back.and_then(|back| self.len.checked_sub(1 + back));
        let Some(bucket) = place.and_then(|place| self.buckets.get_mut(place)) else { return false };
        bucket.add(count);
        true
    }

    /// Moves the window on, so that this bucket is in it.
    fn reach(&mut self, number: u64) {
        let steps = number.saturating_sub(self.last).min(self.len as u64);
        for _ in 0..steps {
            self.before.add(self.buckets.pop_front().unwrap_or_default());
            self.buckets.push_back(Decided::default());
        }
        self.last = self.last.max(number);
    }

    fn shown(&self, now: SystemTime) -> Window {
        let mut moved = Self {
            buckets: self.buckets.clone(),
            before: self.before,
            last: self.last,
            step: self.step,
            len: self.len,
        };
        moved.reach(seconds(now) / self.step);
        let first = moved.last.saturating_sub(moved.len as u64 - 1) * moved.step;
        Window {
            start: UNIX_EPOCH.checked_add(Duration::from_secs(first)).unwrap_or(UNIX_EPOCH),
            step: Duration::from_secs(moved.step),
            buckets: moved.buckets.into(),
            before: moved.before,
        }
    }
}

fn empty(len: usize) -> VecDeque<Decided> {
    std::iter::repeat_n(Decided::default(), len).collect()
}

/// Since 1970; an earlier clock counts as 1970.
fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::policy::DenyReason;

    const START: u64 = 1_795_392_000;
    const DENY: Verdict = Verdict::Deny(DenyReason::HostNotAllowed);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn all(window: &Window) -> Decided {
        window.buckets.iter().fold(window.before, |mut sum, bucket| {
            sum.add(*bucket);
            sum
        })
    }

    #[test]
    fn each_minute_and_hour_has_what_ended_in_it_and_no_more() {
        let mut series = Series::new(at(START));
        for (second, verdict) in
            [(0, DENY), (59, Verdict::Allow), (60, Verdict::Allow), (3599, Verdict::None("busy")), (3600, DENY)]
        {
            series.count(&verdict, at(START + second));
        }
        let shown = series.shown(at(START + 3600));
        let minutes = &shown.minutes.buckets;
        assert_eq!((minutes.len(), shown.minutes.start), (60, at(START + 60)));
        assert_eq!(minutes[0], Decided { allow: 1, ..Decided::default() });
        assert_eq!(minutes[58], Decided { none: 1, ..Decided::default() });
        assert_eq!(minutes[59], Decided { deny: 1, ..Decided::default() });
        assert_eq!(shown.minutes.before, Decided { allow: 1, deny: 1, ..Decided::default() });
        let hours = &shown.hours.buckets;
        assert_eq!(hours[166], Decided { allow: 2, deny: 1, none: 1, observe: 0 });
        assert_eq!(hours[167], Decided { deny: 1, ..Decided::default() });
        assert_eq!(series.shown(at(START + 7200)).hours.buckets[166], Decided { deny: 1, ..Decided::default() });
    }

    #[test]
    fn a_clock_that_steps_back_counts_at_its_new_time() {
        let mut series = Series::new(at(START));
        series.count(&DENY, at(START + 600));
        series.count(&DENY, at(START + 300));
        let minutes = series.shown(at(START + 300)).minutes;
        assert_eq!((minutes.buckets[59].deny, minutes.buckets[54].deny), (1, 1), "a step back within the window");
        series.count(&DENY, at(START + 400_000_000));
        series.count(&DENY, at(START + 60));
        series.count(&DENY, SystemTime::UNIX_EPOCH - Duration::from_secs(5));
        series.count(&DENY, at(START + 90));
        let shown = series.shown(at(START + 90));
        assert_eq!(shown.minutes.buckets[59].deny, 1, "the window begins anew where the clock is");
        assert_eq!((all(&shown.minutes).deny, all(&shown.hours).deny), (6, 6), "and nothing is lost");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_when_the_clock_jumps(steps in proptest::collection::vec((any::<bool>(), -9000_i64..9000), 0..200), far in any::<u64>()) {
            let mut series = Series::new(at(START));
            let mut now = START;
            for (deny, step) in &steps {
                now = if *step == 0 { far % 10_000_000_000 } else { now.saturating_add_signed(*step) };
                series.count(if *deny { &DENY } else { &Verdict::Allow }, at(now));
            }
            let deny = steps.iter().filter(|(deny, _)| *deny).count() as u64;
            let shown = series.shown(at(now));
            for window in [&shown.minutes, &shown.hours] {
                let sum = all(window);
                prop_assert_eq!((sum.deny, sum.allow), (deny, steps.len() as u64 - deny));
            }
        }

        #[test]
        fn with_a_clock_that_goes_forward_every_bucket_is_what_a_list_says(steps in proptest::collection::vec(0_u64..2000, 1..200)) {
            let mut series = Series::new(at(START));
            let mut now = START;
            let mut minutes: HashMap<u64, u64> = HashMap::new();
            let mut hours: HashMap<u64, u64> = HashMap::new();
            for step in &steps {
                now += step;
                series.count(&DENY, at(now));
                *minutes.entry(now / MINUTE).or_default() += 1;
                *hours.entry(now / HOUR).or_default() += 1;
            }
            let shown = series.shown(at(now));
            for (window, reference) in [(&shown.minutes, &minutes), (&shown.hours, &hours)] {
                let first = seconds(window.start) / window.step.as_secs();
                for (place, bucket) in window.buckets.iter().enumerate() {
                    prop_assert_eq!(bucket.all(), reference.get(&(first + place as u64)).copied().unwrap_or_default());
                }
            }
        }
    }
}
