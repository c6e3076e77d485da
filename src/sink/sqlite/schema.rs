//! The database's shape, and how an older one becomes it.

use std::fmt::{Display, Write as _};
use std::ops::Range;

use rusqlite::{Connection, Statement, Transaction, params};

use super::sums;
use crate::record::{Columns, Shown};

/// Says in the file's header whose it is (`PRAGMA application_id`): "OTGT".
pub(super) const APPLICATION: i32 = 0x4f54_4754;

/// What makes version n of version n-1, in order; the count is the version of this program (`PRAGMA user_version`).
///
/// 1. One row a line; the columns of CONTRACT §6, and beside them `ms`, the column `time` in milliseconds since 1970,
///    and `dropped`, which is null but in a `gap`.
/// 2. Reports read an index alone, a seventh of the table; a request's lines are found by its id, gaps at once.
/// 3. Reports read [sums](super::sums) by hour instead, and the records of an hour that they need in part.
pub(super) const MIGRATIONS: [fn(&Transaction<'_>) -> rusqlite::Result<()>; 3] = [
    |transaction| transaction.execute_batch(FIRST),
    |transaction| transaction.execute_batch(SECOND),
    |transaction| {
        transaction
            .execute_batch("DROP INDEX records_report; CREATE INDEX records_ms ON records (ms) WHERE kind = 'end';")?;
        transaction.execute_batch(&sums::create())
    },
];

const FIRST: &str = "CREATE TABLE records (
        seq INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, listener TEXT NOT NULL,
        protocol TEXT NOT NULL, tool TEXT NOT NULL, identity TEXT NOT NULL, client TEXT NOT NULL, method TEXT NOT NULL,
        host TEXT NOT NULL, port INTEGER NOT NULL, path TEXT NOT NULL, decision TEXT NOT NULL, reason TEXT NOT NULL,
        rule TEXT NOT NULL, layer TEXT NOT NULL, revision TEXT NOT NULL, address TEXT NOT NULL, sni TEXT NOT NULL,
        outcome TEXT NOT NULL, status INTEGER NOT NULL, bytes_up INTEGER NOT NULL, bytes_down INTEGER NOT NULL,
        decide_us REAL NOT NULL, dial_ms REAL NOT NULL, duration_ms REAL NOT NULL, prev TEXT NOT NULL,
        ms INTEGER NOT NULL, dropped INTEGER
    );";
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
pub(super) const INSERT: &str = "INSERT INTO records (seq, time, kind, id, listener, protocol, tool, identity, client, method, host, \
     port, path, decision, reason, rule, layer, revision, address, sni, outcome, status, bytes_up, bytes_down, decide_us, \
     dial_ms, duration_ms, prev, ms, dropped) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
     ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30)";

/// Brings an older database, or an empty one, to this program's version.
pub(super) fn migrate(connection: &mut Connection, from: i32) -> rusqlite::Result<()> {
    let done = usize::try_from(from).unwrap_or_default();
    let transaction = connection.transaction()?;
    for step in MIGRATIONS.iter().skip(done) {
        step(&transaction)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

/// Adds one line. `statement` is of [`INSERT`]; `texts` keeps its memory from line to line.
pub(super) fn insert(statement: &mut Statement<'_>, line: &Columns<'_>, texts: &mut String) -> rusqlite::Result<()> {
    // What a sum of bytes would have to be to not fit, no machine can move.
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let ms = line.time.0.map_or(0, |time| time.millis());
    texts.clear();
    let places = [
        place(texts, &line.time),
        place(texts, &line.id),
        place(texts, &line.client),
        place(texts, &line.host),
        place(texts, &line.address),
        place(texts, &line.prev),
    ];
    let [time, id, client, host, address, prev] = places.map(|place| texts.get(place).unwrap_or_default());
    statement.execute(params![
        whole(line.seq),
        time,
        line.kind,
        id,
        line.listener,
        line.protocol,
        line.tool,
        line.identity,
        client,
        line.method,
        host,
        line.port,
        line.path,
        line.decision,
        line.reason,
        line.rule,
        line.layer,
        line.revision,
        address,
        line.sni,
        line.outcome,
        line.status,
        whole(line.bytes_up),
        whole(line.bytes_down),
        line.decide_us,
        line.dial_ms,
        line.duration_ms,
        prev,
        ms,
        line.dropped.map(whole),
    ])?;
    Ok(())
}

/// Writes a value behind the others. Where it stands.
fn place<T: Display>(texts: &mut String, value: &Shown<T>) -> Range<usize> {
    let start = texts.len();
    if let Some(value) = &value.0 {
        // A String takes all.
        let _ = write!(texts, "{value}");
    }
    start..texts.len()
}
