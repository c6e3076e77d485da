//! What is removed from the database, because of its age or of the database's size.
//!
//! Guaranteed: only the oldest rows go, so that the chain of the others stays whole; the last row always stays, because the
//! sequence continues from it. How old rows are is up to [`Age`].

use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use super::fault::DatabaseFault;
use super::{Sqlite, sums};
use crate::sink::age::{Age, Expiry, Reading, share};

/// Rows that one step of cleaning up removes at least: some ten milliseconds, after which new rows get their turn. When
/// more rows were added since the last step, a step removes more, so that the size stays bounded.
const STEP: i64 = 5_000;
/// The most that one step removes: half as many again as can have waited for a batch, in a second or so.
const MAX_STEP: i64 = 100_000;

/// The limits of one database, and what was removed lately.
#[derive(Debug)]
pub(super) struct Retention {
    settings: Sqlite,
    age: Age,
    removed: Removed,
}

/// What was removed in the steps of one clean-up.
#[derive(Debug, Default)]
struct Removed {
    lines: u64,
    /// How many lines there were when it began.
    of: u64,
}

impl Retention {
    pub(super) fn start(settings: &Sqlite, connection: &Connection, now: Reading) -> Result<Self, DatabaseFault> {
        let newest = connection
            .query_row("SELECT ms FROM records ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))
            .optional()?
            .and_then(|ms| SystemTime::try_from(Timestamp::from_millisecond(ms).ok()?).ok());
        Ok(Self { settings: settings.clone(), age: Age::new(settings.keep, newest, now), removed: Removed::default() })
    }

    /// Removes a step of what is too old or too much. Whether there is more. `added` rows are new since the last step.
    pub(super) fn clean_up(
        &mut self,
        connection: &mut Connection,
        now: Reading,
        added: i64,
    ) -> Result<bool, DatabaseFault> {
        let expiry = self.age.judge(now, &self.settings.path);
        self.remove(connection, expiry, added)
    }

    pub(super) fn remove(
        &mut self,
        connection: &mut Connection,
        expiry: Expiry,
        added: i64,
    ) -> Result<bool, DatabaseFault> {
        let step = (STEP + added).min(MAX_STEP);
        let ends = "SELECT min(seq), max(seq) FROM records";
        let (first, end): (Option<i64>, Option<i64>) =
            connection.query_row(ends, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let (Some(first), Some(end)) = (first, end) else { return Ok(false) };
        let lines = end - first;
        let by_age = self.end_of_old(connection, expiry, first, end, step)?;
        let by_size = end_of_excess(size(connection)?, self.settings.max_size, first, lines);
        let keep_from = by_age.max(by_size).min(end);
        if keep_from <= first {
            self.removed.log(&self.settings.path);
            return Ok(false);
        }
        let until = keep_from.min(first + step);
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        sums::subtract(&transaction, until)?;
        let removed = transaction.execute("DELETE FROM records WHERE seq < ?1", [until])?;
        transaction.commit()?;
        self.removed.add(removed as u64, lines.unsigned_abs());
        give_pages_back(connection)?;
        let more = until < keep_from || size(connection)? > self.settings.max_size;
        if !more {
            self.removed.log(&self.settings.path);
        }
        Ok(more)
    }

    /// The first row that is not too old, or that has to stay because the clock is not steady.
    fn end_of_old(
        &mut self,
        connection: &Connection,
        expiry: Expiry,
        first: i64,
        end: i64,
        step: i64,
    ) -> Result<i64, DatabaseFault> {
        let oldest = expiry.time.checked_sub(self.settings.keep).and_then(|at| Timestamp::try_from(at).ok());
        let oldest = oldest.map_or(i64::MIN, Timestamp::as_millisecond);
        if !expiry.is_steady && is_much_older(connection, first, end - first, oldest)? {
            self.age.log_postponed(&self.settings.path);
            return Ok(first);
        }
        Ok(first_young(connection, oldest, step)?.unwrap_or(end))
    }
}

impl Removed {
    fn add(&mut self, lines: u64, of: u64) {
        if self.lines == 0 {
            self.of = of;
        }
        self.lines += lines;
    }

    /// Logs what one clean-up removed. What goes each minute is not worth more than a debug line.
    fn log(&mut self, path: &Path) {
        let Self { lines, of } = std::mem::take(self);
        let path = path.display();
        if lines > share(of) {
            tracing::warn!(%path, lines, of, "a large part of the history was removed because of its age or size");
        } else if lines > 0 {
            tracing::debug!(%path, lines, of, "a part of the history was removed because of its age or size");
        }
    }
}

/// The first row that stays when the size is the limit. It removes a twentieth more than it must, so that not every look
/// finds too much again.
fn end_of_excess(size: u64, max_size: u64, first: i64, lines: i64) -> i64 {
    let Some(excess @ 1..) = size.checked_sub(max_size) else { return first };
    let share = u128::from(excess) * u128::from(lines.unsigned_abs()) / u128::from(size);
    first + i64::try_from(share).unwrap_or(lines) + lines / 20 + 1
}

/// Whether more than a [`share`] of the lines is older than `oldest`.
fn is_much_older(connection: &Connection, first: i64, lines: i64, oldest: i64) -> Result<bool, DatabaseFault> {
    let share = i64::try_from(share(lines.unsigned_abs())).unwrap_or(i64::MAX);
    let row_after = "SELECT ms FROM records WHERE seq >= ?1 ORDER BY seq LIMIT 1";
    let ms: Option<i64> = connection.query_row(row_after, [first + share], |row| row.get(0)).optional()?;
    Ok(ms.is_some_and(|ms| ms < oldest))
}

/// The first line from `oldest` on, among as many as one step removes; the last of these if all are older, and none
/// if there is no younger one at all.
fn first_young(connection: &Connection, oldest: i64, step: i64) -> Result<Option<i64>, DatabaseFault> {
    let mut lines = connection.prepare_cached("SELECT seq, ms FROM records ORDER BY seq LIMIT ?1")?;
    let mut lines = lines.query([step + 1])?;
    let (mut count, mut last) = (0, None);
    while let Some(line) = lines.next()? {
        let (seq, ms): (i64, i64) = (line.get(0)?, line.get(1)?);
        if ms >= oldest {
            return Ok(Some(seq));
        }
        (count, last) = (count + 1, Some(seq));
    }
    Ok(last.filter(|_| count > step))
}

/// Bytes that are in use.
fn size(connection: &Connection) -> Result<u64, DatabaseFault> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")?.saturating_sub(pragma("freelist_count")?);
    Ok(u64::try_from(pages.saturating_mul(pragma("page_size")?)).unwrap_or_default())
}

/// Gives pages that are free back to the file system; the statement returns a row for each of them.
fn give_pages_back(connection: &Connection) -> Result<(), DatabaseFault> {
    let mut vacuum = connection.prepare("PRAGMA incremental_vacuum(2000)")?;
    let mut pages = vacuum.query([])?;
    while pages.next()?.is_some() {}
    Ok(())
}
