//! The time before the start, from the database, for [`EarlierSeries`].
//!
//! Guaranteed: a thread of its own, so that neither requests nor readers wait; it reads an index, the newest time first,
//! and gives up after [`BUDGET`]; nothing is counted twice, since only lines are read that were there at the start.
//!
//! Deliberately not done: a record's end. The database knows by an index when requests began, and only tunnels make a
//! difference that an hour's bucket would show.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::sqlite;
use crate::record::{Decided, EarlierSeries, Recorder, WindowLength};

/// How long the past is read. A week of a hundred requests a second is there before it is over; of more, the latest part.
const BUDGET: Duration = Duration::from_secs(20);

/// What is wrong is said nowhere: the same file's writer says it.
type Stopped = Option<rusqlite::Error>;

/// Begins to read what the database has up to the line `last_seq`.
pub(crate) fn start(recorder: &Recorder, path: PathBuf, last_seq: u64) {
    let earlier = recorder.earlier();
    let read = move || {
        let _stopped: Stopped = fill(&earlier, &path, last_seq).err();
    };
    // Without a thread the plot begins at the start, as it does without a database.
    let _no_thread = std::thread::Builder::new().name("backfill".into()).spawn(read);
}

fn fill(earlier: &EarlierSeries, path: &Path, last_seq: u64) -> rusqlite::Result<()> {
    let until = Instant::now() + BUDGET;
    let connection = sqlite::open(path)?;
    let last_seq = i64::try_from(last_seq).unwrap_or(i64::MAX);
    let oldest = "SELECT min(ms) FROM records WHERE kind = 'end' AND seq <= ?1";
    let oldest: Option<i64> = connection.query_row(oldest, [last_seq], |row| row.get(0))?;
    let Some(oldest) = oldest.map(|ms| u64::try_from(ms).unwrap_or_default() / 1000) else { return Ok(()) };
    for span in [WindowLength::Minutes, WindowLength::Hours] {
        let Some((starts, step)) = earlier.buckets(span) else { break };
        for start in starts {
            if Instant::now() > until || start + step <= oldest {
                break;
            }
            let count = decided(&connection, start, step, last_seq)?;
            if earlier.fill(span, count, start, start.max(oldest)).is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Requests that began within `step` seconds from `start` on.
fn decided(connection: &Connection, start: u64, step: u64, last_seq: i64) -> rusqlite::Result<Decided> {
    let ms = |seconds: u64| i64::try_from(seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
    let mut query = connection.prepare_cached(
        "SELECT decision, count(*) FROM records
         WHERE kind = 'end' AND ms >= ?1 AND ms < ?2 AND seq <= ?3 GROUP BY decision",
    )?;
    let mut rows = query.query(params![ms(start), ms(start + step), last_seq])?;
    let mut sum = Decided::default();
    while let Some(row) = rows.next()? {
        if let Some(count) = sum.of(row.get_ref(0)?.as_str()?) {
            *count = row.get::<_, i64>(1)?.unsigned_abs();
        }
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::record::line::tests::denied;
    use crate::record::{Nanos, OverTime, Record, Verdict};
    use crate::sink::tests::room::{Room, Settings};
    use crate::sink::{SinkKind, Sqlite};

    fn start(dir: &Path) -> Room {
        let sqlite = Sqlite { path: dir.join("history.db"), keep: Duration::from_secs(1 << 33), max_size: 1 << 40 };
        let room = Room::start(Settings { sqlite: Some(sqlite), ..Settings::default() }).unwrap();
        let path = room.sinks.path(SinkKind::Sqlite).unwrap();
        super::start(&room, path.to_owned(), room.sinks.opened_at());
        room
    }

    /// Hands in a request that ended so many seconds ago.
    fn emit(recorder: &Room, ago: u64, verdict: Verdict) {
        let started = SystemTime::now() - Duration::from_secs(ago);
        let record = Record { started, duration: Nanos::ZERO, verdict, ..denied(1, "a.test:443") };
        recorder.worker(0).emit(record);
    }

    fn filled(recorder: &Room) -> OverTime {
        let late = Instant::now() + Duration::from_secs(10);
        recorder.flush();
        loop {
            let shown = recorder.over_time();
            if !shown.reading {
                return shown;
            }
            assert!(Instant::now() < late, "the past is still being read");
            std::thread::yield_now();
        }
    }

    fn sums(shown: &OverTime) -> [(u64, u64); 2] {
        [&shown.minutes, &shown.hours].map(|window| {
            let add = |sum: (u64, u64), bucket: &Decided| (sum.0 + bucket.all(), sum.1 + bucket.deny);
            window.buckets.iter().fold((0, 0), add)
        })
    }

    #[test]
    fn what_was_before_the_start_is_read_back_once_and_as_far_as_it_is_shown() {
        const HOUR: u64 = 3600;
        let dir = tempfile::tempdir().unwrap();
        let deny = denied(0, "a.test:443").verdict;
        let before = start(dir.path());
        for (ago, verdict) in [
            (10 * 24 * HOUR, deny),
            (6 * 24 * HOUR, deny),
            (30 * HOUR, Verdict::Allow),
            (5 * 60, deny),
            (4 * 60, Verdict::None("busy")),
        ] {
            emit(&before, ago, verdict);
        }
        assert_eq!(
            sums(&filled(&before)),
            [(2, 1), (4, 2)],
            "an empty database adds nothing, and is read while it is written"
        );
        before.shutdown();
        let after = start(dir.path());
        emit(&after, 0, deny);
        let shown = filled(&after);
        assert_eq!(sums(&shown), [(3, 2), (5, 3)]);
        let reach = SystemTime::now().duration_since(shown.since).unwrap();
        assert!(reach > Duration::from_secs(6 * 24 * HOUR), "{reach:?}");
        after.shutdown();
    }

    #[test]
    fn without_a_past_everything_is_counted_since_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let began = SystemTime::now();
        let recorder = start(dir.path());
        assert!(filled(&recorder).since >= began);
    }
}
