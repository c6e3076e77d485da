//! When a sink that failed is tried again, and how often the log hears of it.

use std::io;
use std::time::{Duration, Instant};

/// The first wait before a sink that failed is tried again; each further one is twice as long.
const FIRST: Duration = Duration::from_secs(1);
/// The longest such wait. An operator that made room expects it to be used soon, and with `required`
/// requests also wait.
const LAST: Duration = Duration::from_secs(10);
/// A sink that worked for so long begins again with the first wait. A sink that fails sooner is
/// typically on a disk with only a few free blocks; its waits keep growing, so that it does not alternate each second.
const STEADY: Duration = Duration::from_secs(60);
/// The minimum time between two log lines about one sink; the metrics count each lost record.
const TELL_EVERY: Duration = Duration::from_secs(600);

/// One sink's failures.
#[derive(Debug)]
pub(super) struct Retry {
    at: Instant,
    wait: Duration,
    recovered: Option<Instant>,
    last_logged: Option<Instant>,
    /// Whether the current failure was logged.
    complained: bool,
}

impl Retry {
    pub(super) fn new(now: Instant) -> Self {
        Self { at: now, wait: FIRST, recovered: None, last_logged: None, complained: false }
    }

    /// When it wants to be tried again.
    pub(super) fn at(&self) -> Instant {
        self.at
    }

    /// Notes a failure. Returns whether to log it.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        if self.recovered.take().is_some_and(|recovered| now.saturating_duration_since(recovered) > STEADY) {
            self.wait = FIRST;
        }
        self.at = now + self.wait;
        self.wait = (self.wait * 2).min(LAST);
        let tell = self.last_logged.is_none_or(|logged| now.saturating_duration_since(logged) >= TELL_EVERY);
        if tell {
            self.last_logged = Some(now);
            self.complained = true;
        }
        tell
    }

    /// Notes that the sink works again. Returns whether to log it, which is the case if the failure was logged.
    pub(super) fn recovered(&mut self, now: Instant) -> bool {
        self.recovered = Some(now);
        std::mem::replace(&mut self.complained, false)
    }
}

/// What an operator can do about an error of a file.
pub(super) fn fix_of(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room on that disk",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "let the user that runs outgate write there"
        }
        io::ErrorKind::NotFound => "create its folder again",
        io::ErrorKind::WouldBlock => "stop the other process, or give it another file",
        io::ErrorKind::InvalidData => "move that file away",
        _ => "check that path",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_restart_only_after_a_steady_minute() {
        let began = Instant::now();
        let mut retry = Retry::new(began);
        let fail = |retry: &mut Retry, at: u64| {
            let now = began + Duration::from_secs(at);
            retry.failed(now);
            (retry.at() - now).as_secs()
        };
        assert_eq!([0, 1, 3, 7, 15, 25].map(|at| fail(&mut retry, at)), [1, 2, 4, 8, 10, 10]);
        retry.recovered(began + Duration::from_secs(30));
        assert_eq!(fail(&mut retry, 31), 10, "it came and went");
        retry.recovered(began + Duration::from_secs(40));
        assert_eq!(fail(&mut retry, 101), 1, "it was steady");
    }

    #[test]
    fn the_log_hears_of_the_first_failure_and_of_its_end_and_not_of_each_try() {
        let began = Instant::now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut retry = Retry::new(began);
        assert!(!retry.recovered(at(0)), "no failure was reported");
        assert!(retry.failed(at(1)));
        assert!(!retry.failed(at(2)));
        assert!(retry.recovered(at(3)));
        assert!(!retry.failed(at(4)), "it comes and goes");
        assert!(!retry.recovered(at(5)));
        assert!(retry.failed(at(601)), "ten minutes later it is news again");
    }
}
