//! Whether what keeps records works: how much it took, what it lost, and what is wrong with it.
//!
//! Guaranteed: counting costs the writers an atomic add; what is wrong is said until it works again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;

use super::kind::SinkKind;
use crate::record::{UtcTime, lock};
use crate::sync::Mutex;

/// What keeps records, as its own thread sees it.
#[derive(Debug, Default)]
pub(super) struct SinkAccount {
    written: AtomicU64,
    lost: AtomicU64,
    /// When the last was lost, in milliseconds since 1970; 0 for never.
    lost_at: AtomicU64,
    fault: Mutex<Option<(String, SystemTime)>>,
}

/// The accounts of all sinks, those among them that are not configured.
#[derive(Clone, Debug, Default)]
pub(super) struct SinkAccounts([Arc<SinkAccount>; SinkKind::ALL.len()]);

impl SinkAccounts {
    pub(super) fn of(&self, kind: SinkKind) -> &Arc<SinkAccount> {
        let [memory, jsonl, sqlite, terminal, followers] = &self.0;
        match kind {
            SinkKind::Memory => memory,
            SinkKind::Jsonl => jsonl,
            SinkKind::Sqlite => sqlite,
            SinkKind::Terminal => terminal,
            SinkKind::Followers => followers,
        }
    }
}

/// The state of one sink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SinkStatus {
    /// `jsonl`, `sqlite` or `memory`; as in `outgate_records_dropped_total{sink}`, where `memory` is `buffer`.
    pub sink: &'static str,
    /// The file; none for memory.
    pub path: Option<PathBuf>,
    /// Records that it took since the start. Memory keeps the last of them.
    pub written: u64,
    /// Records that it could not take since the start.
    pub dropped: u64,
    /// When it last could not take one, UTC.
    #[serde(serialize_with = "as_utc")]
    pub last_dropped: Option<SystemTime>,
    /// What is wrong now; none while it works.
    pub error: Option<String>,
    /// Since when, UTC.
    #[serde(serialize_with = "as_utc")]
    pub since: Option<SystemTime>,
}

impl SinkStatus {
    /// How long ago it last lost something; none if it never did.
    pub fn lost_ago(&self, now: SystemTime) -> Option<Duration> {
        self.last_dropped.map(|at| now.duration_since(at).unwrap_or_default())
    }
}

fn as_utc<S: serde::Serializer>(time: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| UtcTime(time).to_string()).serialize(serializer)
}

impl SinkAccount {
    pub(super) fn wrote(&self, records: u64) {
        self.written.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn lose(&self, records: u64) {
        if records > 0 {
            self.lost.fetch_add(records, Ordering::Relaxed);
            self.lost_at.store(millis(SystemTime::now()), Ordering::Relaxed);
        }
    }

    /// Notes what is wrong; the time is that of the first of several failures in a row.
    pub(super) fn fail(&self, what: impl Into<String>) {
        let mut fault = lock(&self.fault);
        let since = fault.as_ref().map_or_else(SystemTime::now, |(_, since)| *since);
        *fault = Some((what.into(), since));
    }

    /// It works again.
    pub(super) fn heal(&self) {
        *lock(&self.fault) = None;
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn status(&self, sink: &'static str, path: Option<PathBuf>) -> SinkStatus {
        let at = self.lost_at.load(Ordering::Relaxed);
        let (error, since) = lock(&self.fault).clone().unzip();
        SinkStatus {
            sink,
            path,
            written: self.written.load(Ordering::Relaxed),
            dropped: self.lost(),
            last_dropped: (at > 0).then(|| UNIX_EPOCH + Duration::from_millis(at)),
            error,
            since,
        }
    }
}

fn millis(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).map_or(1, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_there_until_it_is_fixed_and_dates_from_its_first_time() {
        let sink = SinkAccount::default();
        let status = || sink.status("jsonl", None);
        assert_eq!((status().error, status().since, status().last_dropped), (None, None, None));
        sink.fail("no room");
        let since = status().since;
        sink.fail("read-only");
        assert_eq!((status().error.as_deref(), status().since), (Some("read-only"), since));
        sink.wrote(3);
        sink.lose(0);
        assert_eq!(status().last_dropped, None, "nothing was lost");
        sink.lose(2);
        assert_eq!((status().written, status().dropped), (3, 2));
        assert!(status().lost_ago(SystemTime::now()).is_some_and(|ago| ago < Duration::from_secs(60)));
        sink.heal();
        assert_eq!((status().error, status().since), (None, None));
    }
}
