//! One line as it was kept, read back.

use serde::{Deserialize, Serialize};

use super::chain::{Chain, LineHash};

/// Every column of a line, in the order of [`StoredLine::of_row`].
pub(crate) const COLUMNS: &str = "seq, time, kind, id, listener, protocol, tool, identity, client, method, \
     host, port, path, decision, reason, rule, layer, revision, address, sni, outcome, status, bytes_up, bytes_down, \
     decide_us, dial_ms, duration_ms, prev, dropped";

/// Milliseconds in an hour, by which a database has sums.
pub(crate) const HOUR_MS: i64 = 3_600_000;

/// One line as it was kept: the columns of CONTRACT §6, in the order in which they are written. Written again it is the
/// same bytes, and so has the same hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoredLine {
    pub(crate) seq: u64,
    pub(crate) time: String,
    pub(crate) kind: String,
    pub(crate) id: String,
    pub(crate) listener: String,
    pub(crate) protocol: String,
    pub(crate) tool: String,
    pub(crate) identity: String,
    pub(crate) client: String,
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) path: String,
    pub(crate) decision: String,
    pub(crate) reason: String,
    pub(crate) rule: String,
    pub(crate) layer: String,
    pub(crate) revision: String,
    pub(crate) address: String,
    pub(crate) sni: String,
    pub(crate) outcome: String,
    pub(crate) status: u16,
    pub(crate) bytes_up: u64,
    pub(crate) bytes_down: u64,
    pub(crate) decide_us: f64,
    pub(crate) dial_ms: f64,
    pub(crate) duration_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) dropped: Option<u64>,
    pub(crate) prev: String,
}

impl StoredLine {
    /// A row of [`COLUMNS`].
    pub(crate) fn of_row(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let number = |place: usize| row.get::<_, i64>(place).map(|number| u64::try_from(number).unwrap_or_default());
        Ok(Self {
            seq: number(0)?,
            time: row.get(1)?,
            kind: row.get(2)?,
            id: row.get(3)?,
            listener: row.get(4)?,
            protocol: row.get(5)?,
            tool: row.get(6)?,
            identity: row.get(7)?,
            client: row.get(8)?,
            method: row.get(9)?,
            host: row.get(10)?,
            port: row.get(11)?,
            path: row.get(12)?,
            decision: row.get(13)?,
            reason: row.get(14)?,
            rule: row.get(15)?,
            layer: row.get(16)?,
            revision: row.get(17)?,
            address: row.get(18)?,
            sni: row.get(19)?,
            outcome: row.get(20)?,
            status: row.get(21)?,
            bytes_up: number(22)?,
            bytes_down: number(23)?,
            decide_us: row.get(24)?,
            dial_ms: row.get(25)?,
            duration_ms: row.get(26)?,
            prev: row.get(27)?,
            dropped: row.get::<_, Option<i64>>(28)?.map(|dropped| u64::try_from(dropped).unwrap_or_default()),
        })
    }

    /// The hash that the next line's `prev` has to be.
    pub(crate) fn hash(&self, chain: &Chain) -> LineHash {
        chain.hash(&self.text())
    }

    /// The line as it was written.
    pub(crate) fn text(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::line::tests::{denied, line};
    use crate::record::{Outcome, Record, Verdict};

    #[test]
    fn a_line_that_was_read_is_written_as_it_was() {
        let odd = Record {
            path: Some("/a\"b\\c\u{1}\u{2028}<é>\u{1f600}".into()),
            verdict: Verdict::Allow,
            outcome: Outcome::Completed,
            bytes_down: u64::MAX,
            dial: Some(std::time::Duration::from_nanos(81_234_567).into()),
            duration: std::time::Duration::from_micros(86_399_999_999).into(),
            ..denied(2, "[2001:db8::1]:80")
        };
        for line in [line(1, denied(1, "a.test:443")), line(8, odd)] {
            let text = line.to_json();
            let stored: StoredLine = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_string(&stored).unwrap(), text);
            assert_eq!(stored.hash(&Chain::PLAIN), LineHash::of(text.as_bytes()));
        }
    }
}
