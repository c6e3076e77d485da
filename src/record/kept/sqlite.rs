//! A database of records, read only.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};

use super::verify::{Known, Line, Place, Verified, Walk};
use super::{Beside, Request, Wanted};
use crate::record::history::schema::{COLUMNS, stored};

/// The reason of gaps that are another sink's; their line stands here to keep the sequence whole.
const OTHERS: &str = "write_failed";

fn open(path: &Path) -> rusqlite::Result<Connection> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    // One moment for all that is asked.
    connection.execute_batch("BEGIN")?;
    Ok(connection)
}

pub(super) fn requests(
    path: &Path,
    wanted: Wanted,
    since: i64,
    each: &mut dyn FnMut(&Request<'_>),
) -> rusqlite::Result<Beside> {
    let connection = open(path)?;
    let address = match wanted {
        Wanted::Report => "''",
        Wanted::Address => "address",
    };
    let mut statement = connection.prepare(&format!(
        "SELECT ms, decision, reason, rule, tool, identity, host, port, {address} FROM records
         WHERE kind = 'end' AND ms >= ?1"
    ))?;
    let mut rows = statement.query([since])?;
    while let Some(row) = rows.next()? {
        each(&Request {
            ms: row.get(0)?,
            decision: text(row, 1)?,
            reason: text(row, 2)?,
            rule: text(row, 3)?,
            tool: text(row, 4)?,
            identity: text(row, 5)?,
            host: text(row, 6)?,
            port: row.get(7)?,
            address: text(row, 8)?,
        });
    }
    let mut beside = Beside::default();
    let mut gaps = connection
        .prepare("SELECT reason, coalesce(dropped, 0) FROM records WHERE kind = 'gap' AND ms >= ?1 ORDER BY seq")?;
    let mut gaps = gaps.query([since])?;
    while let Some(gap) = gaps.next()? {
        let reason = text(gap, 0)?;
        if reason != OTHERS {
            beside.gap(reason, gap.get::<_, i64>(1)?.unsigned_abs());
        }
    }
    Ok(beside)
}

pub(super) fn verify(path: &Path, known: &Known) -> rusqlite::Result<Verified> {
    let connection = open(path)?;
    let mut walk = Walk::new(path.display().to_string(), known);
    let mut statement = connection.prepare(&format!("SELECT {COLUMNS} FROM records ORDER BY seq"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let seq: i64 = row.get(0)?;
        let Ok(line) = stored(row) else {
            walk.unreadable(Place::Row(seq));
            continue;
        };
        let gap = (line.kind == "gap" && line.reason != OTHERS)
            .then_some((line.reason.as_str(), line.dropped.unwrap_or_default()));
        let text = line.text();
        walk.line(Place::Row(seq), &Line { seq: line.seq, prev: &line.prev, text: &text, gap });
    }
    Ok(walk.finish())
}

fn text<'a>(row: &'a Row<'_>, place: usize) -> rusqlite::Result<&'a str> {
    Ok(row.get_ref(place)?.as_str()?)
}
