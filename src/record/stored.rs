//! A row of a database, as the line that it is.
//!
//! The chain of a database is over lines. They are not in it, so that a row is written as a line again: with the columns
//! of the version that it was written with.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};

use super::chain::{Chain, LineHash};
use super::columns::{COLUMNS, Column, VERSION};
use super::value::{SqlType, general, number};

/// Milliseconds in an hour, by which a database has sums.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// The columns of lines that a database has: an older one lacks those of later versions.
#[derive(Debug)]
pub(crate) struct Layout(Vec<&'static Column>);

/// One line as it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredLine {
    pub(crate) seq: u64,
    pub(crate) kind: String,
    pub(crate) reason: String,
    pub(crate) dropped: u64,
    pub(crate) prev: String,
    /// The line as it was written, without a line feed.
    pub(crate) text: Vec<u8>,
}

/// Why a row cannot be shown as its line.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RowError {
    /// A later version of this program wrote it, with columns that this one does not know.
    #[error("a later outgate wrote it (columns of version {0}; this one knows {VERSION})")]
    Later(i64),
    /// It cannot be read, or does not hold what it must.
    #[error("{0}")]
    Sql(#[from] rusqlite::Error),
}

impl Layout {
    /// The columns that the table `records` has.
    pub(crate) fn of(connection: &Connection) -> rusqlite::Result<Self> {
        let mut names = connection.prepare("SELECT name FROM pragma_table_info('records')")?;
        let names = names.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
        Ok(Self(COLUMNS.iter().filter(|column| names.iter().any(|name| name == column.name)).collect()))
    }

    /// Those that it lacks.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &'static Column> {
        COLUMNS.iter().filter(|column| !self.0.iter().any(|there| there.name == column.name))
    }

    /// What to select for [`StoredLine::of_row`].
    pub(crate) fn select(&self) -> String {
        self.0.iter().map(|column| column.name).collect::<Vec<_>>().join(", ")
    }

    /// The version of a row's columns; 0 for one of before there were versions.
    fn version(&self, row: &Row<'_>) -> Result<u8, RowError> {
        let Some(place) = self.0.iter().position(|column| column.name == "v") else { return Ok(0) };
        let version: i64 = row.get(place)?;
        u8::try_from(version).ok().filter(|version| *version <= VERSION).ok_or(RowError::Later(version))
    }
}

impl StoredLine {
    /// A row of [`Layout::select`].
    pub(crate) fn of_row(row: &Row<'_>, layout: &Layout) -> Result<Self, RowError> {
        let version = layout.version(row)?;
        let [mut kind, mut reason, mut prev] = [const { String::new() }; 3];
        let (mut seq, mut dropped, mut text) = (0, 0, Vec::new());
        let columns = layout.0.iter().enumerate().filter(|(_, column)| column.since <= version);
        for (place, column) in columns {
            let value = row.get_ref(place)?;
            if write(column, value, &mut text).is_none() {
                let found = value.data_type();
                return Err(rusqlite::Error::InvalidColumnType(place, column.name.to_owned(), found).into());
            }
            match (column.name, value) {
                ("seq", ValueRef::Integer(number)) => seq = u64::try_from(number).unwrap_or_default(),
                ("dropped", ValueRef::Integer(number)) => dropped = u64::try_from(number).unwrap_or_default(),
                ("kind", _) => kind = row.get(place)?,
                ("reason", _) => reason = row.get(place)?,
                ("prev", _) => prev = row.get(place)?,
                _ => {}
            }
        }
        // In the place of the first comma.
        if let Some(first) = text.first_mut() {
            *first = b'{';
        }
        text.push(b'}');
        Ok(Self { seq, kind, reason, dropped, prev, text })
    }

    /// The hash that the next line's `prev` has to be.
    pub(crate) fn hash(&self, chain: &Chain) -> LineHash {
        chain.hash(&self.text)
    }
}

/// Appends a column after a comma; none if the value is not of the column's type.
fn write(column: &Column, value: ValueRef<'_>, to: &mut Vec<u8>) -> Option<()> {
    let mut name = || {
        to.extend_from_slice(b",\"");
        to.extend_from_slice(column.name.as_bytes());
        to.extend_from_slice(b"\":");
    };
    match (column.sql, value) {
        (SqlType::OptionalInteger, ValueRef::Null) => {}
        (SqlType::Integer | SqlType::OptionalInteger, ValueRef::Integer(value)) => {
            name();
            number(value, to);
        }
        (SqlType::Real, ValueRef::Real(value)) => {
            name();
            general(&value, to);
        }
        (SqlType::Text, ValueRef::Text(value)) => {
            let value = std::str::from_utf8(value).ok()?;
            name();
            general(value, to);
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::facts::Outcome;
    use crate::record::line::tests::{denied, line};
    use crate::record::{Record, Verdict};

    /// Every row of a database, in the order of the sequence.
    pub(crate) fn all(connection: &Connection) -> Vec<StoredLine> {
        let layout = Layout::of(connection).unwrap();
        let mut rows = connection.prepare(&format!("SELECT {} FROM records ORDER BY seq", layout.select())).unwrap();
        let rows = rows.query_map([], |row| Ok(StoredLine::of_row(row, &layout).unwrap())).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// A table with these columns, of any type, and this line in it.
    fn table(of: &[&Column], record: Record) -> (Connection, String) {
        let line = line(8, record);
        let connection = Connection::open_in_memory().unwrap();
        let names: Vec<_> = of.iter().map(|column| column.name).collect();
        connection.execute_batch(&format!("CREATE TABLE records ({})", names.join(", "))).unwrap();
        let places: Vec<_> = (1..=names.len()).map(|place| format!("?{place}")).collect();
        let mut statement = connection.prepare(&format!("INSERT INTO records VALUES ({})", places.join(", "))).unwrap();
        let (mut all, mut place) = (COLUMNS.iter(), 0);
        let insert = |value: ValueRef<'_>| -> rusqlite::Result<()> {
            let column = all.next().unwrap();
            if names.contains(&column.name) {
                place += 1;
                statement.raw_bind_parameter(place, rusqlite::types::ToSqlOutput::Borrowed(value))?;
            }
            Ok(())
        };
        line.columns(None).each_sql(&mut String::new(), insert).unwrap();
        statement.raw_execute().unwrap();
        drop(statement);
        (connection, line.to_json())
    }

    fn row(connection: &Connection) -> Result<StoredLine, RowError> {
        let layout = Layout::of(connection).unwrap();
        let mut rows = connection.prepare(&format!("SELECT {} FROM records", layout.select())).unwrap();
        let mut rows = rows.query([]).unwrap();
        StoredLine::of_row(rows.next().unwrap().unwrap(), &layout)
    }

    fn odd() -> Record {
        Record {
            path: Some("/a\"b\\c\u{1}\u{2028}<é>\u{1f600}".into()),
            verdict: Verdict::Allow,
            outcome: Outcome::Completed,
            bytes_down: 1 << 60,
            dial: Some(std::time::Duration::from_nanos(81_234_567).into()),
            duration: std::time::Duration::from_micros(86_399_999_999).into(),
            ..denied(2, "[2001:db8::1]:80")
        }
    }

    #[test]
    fn a_row_is_the_line_that_it_was_written_with() {
        for record in [denied(1, "a.test:443"), odd()] {
            let (connection, json) = table(&COLUMNS.iter().collect::<Vec<_>>(), record);
            let stored = row(&connection).unwrap();
            assert_eq!(String::from_utf8(stored.text.clone()).unwrap(), json);
            assert_eq!(stored.hash(&Chain::PLAIN), LineHash::of(json.as_bytes()));
            assert_eq!((stored.seq, &*stored.kind, &*stored.prev), (8, "end", ""));
        }
    }

    #[test]
    fn a_row_of_before_there_were_versions_is_the_line_that_it_was_wherever_it_is() {
        let first: Vec<_> = COLUMNS.iter().filter(|column| column.since == 0).collect();
        let (older, json) = table(&first, odd());
        let as_it_was = json.replacen("\"v\":1,", "", 1);
        assert_eq!(String::from_utf8(row(&older).unwrap().text).unwrap(), as_it_was);
        // The same row in a table to which the column was added later.
        older.execute_batch("ALTER TABLE records ADD COLUMN v INTEGER NOT NULL DEFAULT 0").unwrap();
        assert_eq!(String::from_utf8(row(&older).unwrap().text).unwrap(), as_it_was);
        let (present, json) = table(&COLUMNS.iter().collect::<Vec<_>>(), odd());
        assert_ne!(json, as_it_was);
        assert_eq!(String::from_utf8(row(&present).unwrap().text).unwrap(), json);
    }

    #[test]
    fn a_row_of_a_later_version_or_with_other_types_is_no_line() {
        for (change, later) in [
            ("v = 2", true),
            ("v = -1", true),
            ("v = 'x'", false),
            ("port = 'x'", false),
            ("host = 1", false),
            ("duration_ms = '1'", false),
            ("status = NULL", false),
            ("host = x'ff'", false),
            ("sni = CAST(x'ff' AS TEXT)", false),
        ] {
            let (connection, _) = table(&COLUMNS.iter().collect::<Vec<_>>(), denied(1, "a.test:443"));
            connection.execute_batch(&format!("UPDATE records SET {change}")).unwrap();
            let error = row(&connection).unwrap_err();
            assert_eq!(matches!(error, RowError::Later(_)), later, "{change}: {error}");
        }
    }
}
