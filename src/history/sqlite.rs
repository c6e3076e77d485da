//! A database of records, read only.

use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, Params, Row, Statement, params};

use super::request::{Detail, NotRequests, Request};
use super::verify::{ChainFacts, ChainLine, LinePlace, Verified, Walk};
use crate::record::{HOUR_MS, Layout, RowError, StoredLine};

/// The reason of gaps that are another sink's; their line is here to keep the sequence whole.
const OTHERS: &str = "write_failed";

pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // One moment for all that is asked.
    connection.execute_batch("BEGIN")?;
    Ok(connection)
}

/// The version from which on a database has sums by hour.
const HAS_SUMS: i32 = 3;

pub(super) fn requests(
    path: &Path,
    wanted: Detail,
    since: i64,
    each: &mut dyn FnMut(&Request<'_>),
) -> rusqlite::Result<NotRequests> {
    let connection = open(path)?;
    let version: i32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if wanted == Detail::Each || version < HAS_SUMS {
        one_by_one(&connection, wanted, since..i64::MAX, each)?;
    } else {
        // The first hour may be wanted in part: only its records know.
        let hour = since.div_euclid(HOUR_MS) + i64::from(since.rem_euclid(HOUR_MS) > 0);
        one_by_one(&connection, wanted, since..hour.saturating_mul(HOUR_MS), each)?;
        by_hour(&connection, wanted, hour, each)?;
    }
    let mut not_requests = NotRequests::default();
    let mut gaps = connection
        .prepare("SELECT reason, coalesce(dropped, 0) FROM records WHERE kind = 'gap' AND ms >= ?1 ORDER BY seq")?;
    let mut gaps = gaps.query([since])?;
    while let Some(gap) = gaps.next()? {
        let reason = text(gap, 0)?;
        if reason != OTHERS {
            not_requests.gap(reason, gap.get::<_, i64>(1)?.unsigned_abs());
        }
    }
    Ok(not_requests)
}

/// The records that began in this time.
fn one_by_one(
    connection: &Connection,
    wanted: Detail,
    time: Range<i64>,
    each: &mut dyn FnMut(&Request<'_>),
) -> rusqlite::Result<()> {
    let (destination, each_has) = match wanted {
        Detail::Totals => ("'', 0", "'', '', 0"),
        Detail::Destinations => ("host, port", "'', '', 0"),
        Detail::Each => ("host, port", "address, outcome, protocol <> 'http' AND sni <> host AND bytes_up > 0"),
    };
    let mut statement = connection.prepare(&format!(
        "SELECT 1, ms, decision, reason, rule, tool, identity, {destination}, {each_has} FROM records
         WHERE kind = 'end' AND ms >= ?1 AND ms < ?2"
    ))?;
    show(&mut statement, params![time.start, time.end], each)
}

/// The sums of this hour and all after it.
fn by_hour(
    connection: &Connection,
    wanted: Detail,
    hour: i64,
    each: &mut dyn FnMut(&Request<'_>),
) -> rusqlite::Result<()> {
    let (destination, table) = match wanted {
        Detail::Totals => ("'', 0", "totals"),
        Detail::Destinations | Detail::Each => ("host, port", "sums"),
    };
    let mut statement = connection.prepare(&format!(
        "SELECT requests, hour * {HOUR_MS}, decision, reason, rule, tool, identity, {destination}, '', '', 0 FROM {table}
         WHERE hour >= ?1"
    ))?;
    show(&mut statement, params![hour], each)
}

fn show(
    statement: &mut Statement<'_>,
    parameters: impl Params,
    each: &mut dyn FnMut(&Request<'_>),
) -> rusqlite::Result<()> {
    let mut rows = statement.query(parameters)?;
    while let Some(row) = rows.next()? {
        each(&Request {
            count: row.get::<_, i64>(0)?.unsigned_abs(),
            ms: row.get(1)?,
            decision: text(row, 2)?,
            reason: text(row, 3)?,
            rule: text(row, 4)?,
            tool: text(row, 5)?,
            identity: text(row, 6)?,
            host: text(row, 7)?,
            port: row.get(8)?,
            address: text(row, 9)?,
            outcome: text(row, 10)?,
            began_otherwise: row.get(11)?,
        });
    }
    Ok(())
}

pub(super) fn verify(path: &Path, known: &ChainFacts) -> rusqlite::Result<Verified> {
    let connection = open(path)?;
    let mut walk = Walk::new(path.display().to_string(), known);
    let layout = Layout::of(&connection)?;
    let mut statement = connection.prepare(&format!("SELECT {} FROM records ORDER BY seq", layout.select()))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let line = match StoredLine::of_row(row, &layout) {
            Ok(line) => line,
            Err(error @ RowError::Later(_)) => {
                walk.unknown(LinePlace::Row(seq), error.to_string());
                continue;
            }
            Err(RowError::Sql(_)) => {
                walk.unreadable(LinePlace::Row(seq));
                continue;
            }
        };
        let gap = (line.kind == "gap" && line.reason != OTHERS).then_some((line.reason.as_str(), line.dropped));
        walk.line(LinePlace::Row(seq), &ChainLine { seq: line.seq, prev: &line.prev, text: &line.text, gap });
    }
    Ok(walk.finish())
}

fn text<'a>(row: &'a Row<'_>, place: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(place)?.as_str()?)
}
