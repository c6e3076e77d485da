//! One line as it was kept, read back.

use serde::{Deserialize, Serialize};

use super::chain::{Chain, LineHash};

/// One line as it was kept: the columns of CONTRACT §6, in the order in which they are written. Written again it is the
/// same bytes, and so has the same hash.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredLine {
    pub(super) seq: u64,
    pub(super) time: String,
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) listener: String,
    pub(super) protocol: String,
    pub(super) tool: String,
    pub(super) identity: String,
    pub(super) client: String,
    pub(super) method: String,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
    pub(super) decision: String,
    pub(super) reason: String,
    pub(super) rule: String,
    pub(super) layer: String,
    pub(super) revision: String,
    pub(super) address: String,
    pub(super) sni: String,
    pub(super) outcome: String,
    pub(super) status: u16,
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
    pub(super) decide_us: f64,
    pub(super) dial_ms: f64,
    pub(super) duration_ms: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dropped: Option<u64>,
    pub(super) prev: String,
}

impl StoredLine {
    /// The hash that the next line's `prev` has to be.
    pub(super) fn hash(&self, chain: &Chain) -> LineHash {
        chain.hash(&self.text())
    }

    /// The line as it was written.
    pub(super) fn text(&self) -> Vec<u8> {
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
