//! The database's shape, and how an older one becomes it.

use std::sync::LazyLock;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement, Transaction};

use super::sums;
use crate::record::{COLUMNS, Column, Columns, Layout, SqlType, UtcTime};

/// Says in the file's header whose it is (`PRAGMA application_id`): "OTGT".
pub(super) const APPLICATION: i32 = 0x4f54_4754;

/// What makes version n of version n-1, in order; the count is the version of this program (`PRAGMA user_version`).
///
/// 1. One row a line: its [columns](COLUMNS), and `ms`, the column `time` in milliseconds since 1970. `dropped` is null but
///    in a `gap`.
/// 2. Reports read an index alone, a seventh of the table; a request's lines are found by its id, gaps at once.
/// 3. Reports read [sums](super::sums) by hour instead, and the records of an hour that they need in part.
pub(super) const MIGRATIONS: [fn(&Transaction<'_>) -> rusqlite::Result<()>; 3] = [
    |transaction| transaction.execute_batch(&create()),
    |transaction| transaction.execute_batch(SECOND),
    |transaction| {
        transaction
            .execute_batch("DROP INDEX records_report; CREATE INDEX records_ms ON records (ms) WHERE kind = 'end';")?;
        transaction.execute_batch(&sums::create())
    },
];

const SECOND: &str = "CREATE INDEX records_report ON records (ms, decision, host, port, reason, rule, tool, identity)
        WHERE kind = 'end';
    CREATE INDEX records_id ON records (id);
    CREATE INDEX records_gap ON records (seq) WHERE kind = 'gap';";

/// What [`MIGRATIONS`] lead to.
pub(super) const VERSION: i32 = {
    assert!(MIGRATIONS.len() < 1000, "or the cast below would lie");
    #[expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "asserted")]
    {
        MIGRATIONS.len() as i32
    }
};

/// Adds one line; for [`insert`].
pub(super) static INSERT: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<_> = COLUMNS.iter().map(|column| column.name).collect();
    let places: Vec<_> = (1..=names.len() + 1).map(|place| format!("?{place}")).collect();
    format!("INSERT INTO records ({}, ms) VALUES ({})", names.join(", "), places.join(", "))
});

/// A column's name and type. The default is for rows that are there when the column is added, and for a program that does
/// not know it yet.
fn declared(column: &Column) -> String {
    let name = column.name;
    match column.sql {
        SqlType::Integer => format!("{name} INTEGER NOT NULL DEFAULT 0"),
        SqlType::OptionalInteger => format!("{name} INTEGER"),
        SqlType::Real => format!("{name} REAL NOT NULL DEFAULT 0"),
        SqlType::Text => format!("{name} TEXT NOT NULL DEFAULT ''"),
    }
}

fn create() -> String {
    let columns: Vec<_> = COLUMNS.iter().map(declared).collect();
    format!("CREATE TABLE records ({}, ms INTEGER NOT NULL, PRIMARY KEY (seq));", columns.join(", "))
}

/// Whether it has everything that this program writes.
pub(super) fn is_current(connection: &Connection, version: i32) -> rusqlite::Result<bool> {
    Ok(version == VERSION && Layout::of(connection)?.missing().next().is_none())
}

/// Brings an older database, or an empty one, to this program's version, and adds the columns that it lacks.
pub(super) fn migrate(connection: &mut Connection, from: i32) -> rusqlite::Result<()> {
    let done = usize::try_from(from).unwrap_or_default();
    let transaction = connection.transaction()?;
    for step in MIGRATIONS.iter().skip(done) {
        step(&transaction)?;
    }
    for column in Layout::of(&transaction)?.missing() {
        transaction.execute_batch(&format!("ALTER TABLE records ADD COLUMN {}", declared(column)))?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Adds one line. `statement` is of [`INSERT`]; `scratch` keeps its memory from line to line.
pub(super) fn insert(statement: &mut Statement<'_>, line: &Columns<'_>, scratch: &mut String) -> rusqlite::Result<()> {
    let mut place = 0;
    let mut bind = |statement: &mut Statement<'_>, value: ValueRef<'_>| {
        place += 1;
        statement.raw_bind_parameter(place, ToSqlOutput::Borrowed(value))
    };
    line.each_sql(scratch, |value| bind(statement, value))?;
    bind(statement, ValueRef::Integer(line.time.0.map_or(0, UtcTime::millis)))?;
    statement.raw_execute()?;
    Ok(())
}
