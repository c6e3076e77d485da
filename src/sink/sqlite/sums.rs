//! Requests counted by hour, for reports: kept next to the records, so that reading years takes seconds.
//!
//! Guaranteed: at every moment that another connection can see, the tables hold what counting the rows of `records`
//! would give. A record's count comes in the transaction that brings its row, and goes in the one that removes it.
//!
//! Two tables: `sums` has a row for each destination, `totals` for all of them together. A flood of made-up names makes
//! the first as long as the records, and leaves the second at a few rows an hour.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use rusqlite::{Connection, Statement, Transaction, params};

use crate::facts::Host;
use crate::record::{Columns, HOUR_MS};

/// Of a column `ms`, the hour since 1970, before 1970 too.
const HOUR: &str = "(ms - (ms % 3600000 + 3600000) % 3600000) / 3600000";

const ADD_SUM: &str = "INSERT INTO sums (hour, host, port, decision, reason, rule, tool, identity, requests)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET requests = requests + excluded.requests";
const ADD_TOTAL: &str = "INSERT INTO totals (hour, decision, reason, rule, tool, identity, requests)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO UPDATE SET requests = requests + excluded.requests";

/// What makes the tables, and fills them from the rows that are there.
pub(super) fn create() -> String {
    format!(
        "CREATE TABLE sums (
            hour INTEGER NOT NULL, host TEXT NOT NULL, port INTEGER NOT NULL, decision TEXT NOT NULL,
            reason TEXT NOT NULL, rule TEXT NOT NULL, tool TEXT NOT NULL, identity TEXT NOT NULL,
            requests INTEGER NOT NULL,
            PRIMARY KEY (hour, host, port, decision, reason, rule, tool, identity)
        ) WITHOUT ROWID;
        CREATE TABLE totals (
            hour INTEGER NOT NULL, decision TEXT NOT NULL, reason TEXT NOT NULL, rule TEXT NOT NULL,
            tool TEXT NOT NULL, identity TEXT NOT NULL, requests INTEGER NOT NULL,
            PRIMARY KEY (hour, decision, reason, rule, tool, identity)
        ) WITHOUT ROWID;
        INSERT INTO sums SELECT {HOUR}, host, port, decision, reason, rule, tool, identity, count(*)
            FROM records WHERE kind = 'end' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8;
        INSERT INTO totals SELECT hour, decision, reason, rule, tool, identity, sum(requests)
            FROM sums GROUP BY 1, 2, 3, 4, 5, 6;"
    )
}

/// Records that were added, counted before they are: most of a batch is of a few kinds.
#[derive(Debug, Default)]
pub(super) struct Tally<'a>(HashMap<Key<'a>, i64, RandomState>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key<'a> {
    of: TotalKey<'a>,
    host: Option<&'a Host>,
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct TotalKey<'a> {
    hour: i64,
    decision: &'a str,
    reason: &'a str,
    rule: &'a str,
    tool: &'a str,
    identity: &'a str,
}

impl<'a> Tally<'a> {
    /// Counts a line, if it is a request's record.
    pub(super) fn add(&mut self, line: &Columns<'a>) {
        if line.kind.0 != "end" {
            return;
        }
        let &Columns { decision, reason, rule, tool, identity, port, .. } = line;
        let hour = line.time.0.map_or(0, |time| time.millis()).div_euclid(HOUR_MS);
        let of = TotalKey { hour, decision: decision.0, reason, rule, tool, identity };
        *self.0.entry(Key { of, host: line.host.0, port }).or_default() += 1;
    }

    /// Adds all to the tables.
    pub(super) fn store(self, transaction: &Transaction<'_>) -> rusqlite::Result<()> {
        let mut totals: HashMap<TotalKey<'a>, i64, RandomState> = HashMap::default();
        let mut add = transaction.prepare_cached(ADD_SUM)?;
        for (Key { of, host, port }, requests) in self.0 {
            *totals.entry(of).or_default() += requests;
            let TotalKey { hour, decision, reason, rule, tool, identity } = of;
            let host = host.map(ToString::to_string).unwrap_or_default();
            add.execute(params![hour, host, port, decision, reason, rule, tool, identity, requests])?;
        }
        let mut add = transaction.prepare_cached(ADD_TOTAL)?;
        for (TotalKey { hour, decision, reason, rule, tool, identity }, requests) in totals {
            add.execute(params![hour, decision, reason, rule, tool, identity, requests])?;
        }
        Ok(())
    }
}

/// Takes the records below this `seq` out of the tables. They are still in `records`.
pub(super) fn subtract(connection: &Connection, below: i64) -> rusqlite::Result<()> {
    subtract_from(connection, "sums", &["host", "port", "decision", "reason", "rule", "tool", "identity"], below)?;
    subtract_from(connection, "totals", &["decision", "reason", "rule", "tool", "identity"], below)
}

fn subtract_from(connection: &Connection, table: &str, columns: &[&str], below: i64) -> rusqlite::Result<()> {
    let listed = columns.join(", ");
    let places: Vec<String> = (2..).zip(columns).map(|(place, column)| format!("{column} = ?{place}")).collect();
    let last = columns.len() + 2;
    let matches = format!("hour = ?1 AND {} AND requests", places.join(" AND "));
    let mut gone = connection.prepare_cached(&format!(
        "SELECT {HOUR}, {listed}, count(*) FROM records WHERE seq < ?1 AND kind = 'end' GROUP BY {HOUR}, {listed}"
    ))?;
    let mut remove = connection.prepare_cached(&format!("DELETE FROM {table} WHERE {matches} <= ?{last}"))?;
    let mut lessen = connection
        .prepare_cached(&format!("UPDATE {table} SET requests = requests - ?{last} WHERE {matches} > ?{last}"))?;
    let mut rows = gone.query([below])?;
    while let Some(row) = rows.next()? {
        if with_row(&mut remove, row, last)? == 0 {
            with_row(&mut lessen, row, last)?;
        }
    }
    Ok(())
}

/// Runs a statement with a row's values for its parameters. How many rows it changed.
fn with_row(statement: &mut Statement<'_>, row: &rusqlite::Row<'_>, values: usize) -> rusqlite::Result<usize> {
    for place in 0..values {
        statement.raw_bind_parameter(place + 1, rusqlite::types::ToSqlOutput::Borrowed(row.get_ref(place)?))?;
    }
    statement.raw_execute()
}
