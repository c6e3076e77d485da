//! A report for programs: JSON and CSV, the same rows in both.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Count, ReportRow, Summed};

/// The JSON document of a report (CONTRACT §2).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Document<'a> {
    /// The first rows.
    pub rows: &'a [ReportRow],
    /// All requests, those of rows that are left out among them.
    pub total: Count,
}

impl Summed {
    /// The first `limit` rows as a document.
    pub fn document(&self, limit: usize) -> Document<'_> {
        Document { rows: self.rows.get(..limit).unwrap_or(&self.rows), total: self.total }
    }

    /// The first `limit` rows as RFC 4180 has them.
    pub fn csv(&self, limit: usize) -> String {
        let mut text = String::from("key,requests,denied\r\n");
        for row in self.rows.iter().take(limit) {
            // A String takes all.
            let _ = write!(text, "{},{},{}\r\n", field(&row.key), row.count.requests, row.count.denied);
        }
        text
    }
}

/// One field. What a spreadsheet would take for a formula is made text.
fn field(key: &str) -> String {
    let inert = if key.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{key}") } else { key.to_owned() };
    if inert.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", inert.replace('"', "\"\"")) } else { inert }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_csv_have_the_same_rows() {
        let row = |key: &str, requests, denied| ReportRow { key: key.into(), count: Count { requests, denied } };
        let summed = Summed {
            rows: vec![row("no.test:443", 3, 3), row("a-long-name.example.test:443", 12, 0), row("", 1, 0)],
            total: Count { requests: 16, denied: 3 },
            hours: std::collections::BTreeMap::new(),
            denied: Vec::new(),
        };
        assert_eq!(
            serde_json::to_string(&summed.document(9)).unwrap(),
            r#"{"rows":[{"key":"no.test:443","requests":3,"denied":3},{"key":"a-long-name.example.test:443","requests":12,"denied":0},{"key":"","requests":1,"denied":0}],"total":{"requests":16,"denied":3}}"#
        );
        assert_eq!(summed.csv(2), "key,requests,denied\r\nno.test:443,3,3\r\na-long-name.example.test:443,12,0\r\n");
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=1+1"), "'=1+1");
    }
}
