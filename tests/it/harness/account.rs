//! The account of what happened: every request's record, and the counts that must agree with them to the unit.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;

use serde_json::Value;

use super::{Proxy, until, until_equal};

/// One line of the file of records.
pub type Record = Value;

/// A record in one line: protocol, what was asked for, decision and reason, outcome and status. What is empty is `-`.
pub fn summary(record: &Record) -> String {
    let text = |key: &str| match record[key].as_str() {
        Some("") => "-".to_owned(),
        Some(text) => text.to_owned(),
        None => panic!("no {key} in {record}"),
    };
    let host = match record["host"].as_str() {
        Some("") => "-".to_owned(),
        _ => destination(record),
    };
    let path = record["path"].as_str().unwrap();
    let [protocol, decision, reason, outcome] = ["protocol", "decision", "reason", "outcome"].map(text);
    format!("{protocol} {host}{path} {decision} {reason} {outcome} {}", record["status"])
}

impl Proxy {
    /// Every line of the file of records, rotated ones first.
    pub fn record_lines(&self) -> Vec<String> {
        let files = (1..10).rev().map(|number| format!("records.jsonl.{number}")).chain(["records.jsonl".to_owned()]);
        let texts = files.filter_map(|name| {
            let plain = fs::read_to_string(self.kept(&name)).ok();
            plain.or_else(|| {
                let compressed = fs::File::open(self.kept(&format!("{name}.gz"))).ok()?;
                let mut text = String::new();
                flate2::read::GzDecoder::new(compressed).read_to_string(&mut text).ok().map(|_| text)
            })
        });
        // A line that is still being written is none yet.
        let whole = texts.filter_map(|text| text.rfind('\n').map(|end| text[..end].to_owned()));
        whole.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// The records that are there, in the order of the file.
    pub fn records_now(&self) -> Vec<Record> {
        let lines = self.record_lines();
        let parse = |line: &String| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        lines.iter().map(parse).filter(|record: &Record| record["kind"] == "end").collect()
    }

    /// The records, once there are so many.
    pub fn records(&self, count: usize) -> Vec<Record> {
        until(&format!("{count} records are written"), || {
            let records = self.records_now();
            (records.len() >= count).then_some(records)
        })
    }

    /// Asserts that these requests were recorded and no others, in any order, and that the metrics and the list of
    /// denials say the same. Returns the records in the order of the file.
    pub fn account(&self, expected: &[&str]) -> Vec<Record> {
        let mut expected: Vec<_> = expected.iter().map(|line| (*line).to_owned()).collect();
        expected.sort();
        until_equal("records", &expected, || {
            let mut summaries: Vec<_> = self.records_now().iter().map(summary).collect();
            summaries.sort();
            summaries
        });
        let records = self.records_now();
        self.counts_agree_with(&records);
        records
    }

    /// Asserts that `/metrics` and `/v1/denials` count just these records.
    pub fn counts_agree_with(&self, records: &[Record]) {
        let verdicts = tally(records.iter().map(|record| [owned(record, "decision"), owned(record, "reason")]));
        let denied = records.iter().filter(|record| record["decision"] == "deny");
        let denied = tally(denied.map(|record| [destination(record), owned(record, "reason")]));
        until_equal("outgate_requests_total by decision and reason", &verdicts, || {
            self.metrics().by("outgate_requests_total", ["decision", "reason"])
        });
        let metrics = self.metrics();
        assert_eq!(metrics.by("outgate_denied_destinations_total", ["destination", "reason"]), denied);
        assert_eq!(metrics.sum("outgate_records_total", &[]), records.len() as u64);
        // The terminal here is a thread of ours, which a busy machine may keep from reading; it accounts for nothing.
        for sink in ["buffer", "jsonl"] {
            assert_eq!(metrics.sum("outgate_records_dropped_total", &[("sink", sink)]), 0, "{sink}");
        }
        let denials = self.api("/v1/denials?limit=1000");
        let rows = denials["destinations"].as_array().unwrap();
        let listed: BTreeMap<_, _> = rows
            .iter()
            .map(|row| ([owned(row, "destination"), owned(row, "reason")], row["count"].as_u64().unwrap()))
            .collect();
        assert_eq!(listed, denied, "/v1/denials");
        assert_eq!(denials["total"].as_u64(), Some(denied.values().sum()), "{denials}");
        assert_eq!(denials["other"], 0);
    }
}

fn destination(record: &Record) -> String {
    format!("{}:{}", record["host"].as_str().unwrap(), record["port"])
}

fn owned(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value}")).to_owned()
}

fn tally(keys: impl Iterator<Item = [String; 2]>) -> BTreeMap<[String; 2], u64> {
    let mut counts = BTreeMap::new();
    keys.for_each(|key| *counts.entry(key).or_default() += 1);
    counts
}
