//! A report for programs: JSON and CSV, the same rows in both.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Count, ReportRow, Summed};
use crate::text::visible::escaped;

/// The JSON document of a report (`docs/reference/commands.md`).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Document<'a> {
    /// The rows that were wanted.
    pub rows: &'a [ReportRow],
    /// All requests, those of rows that are left out among them.
    pub total: Count,
}

impl Summed {
    /// The rows as a document.
    pub fn document(&self) -> Document<'_> {
        Document { rows: &self.rows, total: self.total }
    }

    /// The rows as RFC 4180 has them.
    pub fn csv(&self) -> String {
        let mut text = String::from("key,requests,denied\r\n");
        for row in &self.rows {
            // A String takes all.
            let _ = write!(text, "{},{},{}\r\n", field(&row.key), row.count.requests, row.count.denied);
        }
        text
    }
}

/// One field, its invisible characters spelled out. What a spreadsheet would take for a formula is made text.
fn field(key: &str) -> String {
    let key = escaped(key);
    let inert = if key.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{key}") } else { key };
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
            more_rows: 0,
            more_denied: 0,
        };
        assert_eq!(
            serde_json::to_string(&summed.document()).unwrap(),
            r#"{"rows":[{"key":"no.test:443","requests":3,"denied":3},{"key":"a-long-name.example.test:443","requests":12,"denied":0},{"key":"","requests":1,"denied":0}],"total":{"requests":16,"denied":3}}"#
        );
        assert_eq!(
            summed.csv(),
            "key,requests,denied\r\nno.test:443,3,3\r\na-long-name.example.test:443,12,0\r\n,1,0\r\n"
        );
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=1+1"), "'=1+1");
    }
}
