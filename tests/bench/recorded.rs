//! The record of one request, and who keeps it.

use std::time::{Duration, SystemTime};

use outgate::facts::{Outcome, Protocol, RequestId};
use outgate::policy::Cited;
use outgate::record::{Kind, Record, Recorder, Redact, Settings, Verdict};
use outgate::sink::{self, Jsonl, Sinks, Terminal};

use crate::sample;

/// A recorder for so many workers, with its sinks: the last lines in memory, and a file.
pub(crate) fn start(workers: usize, jsonl: Option<Jsonl>) -> (Recorder, Sinks) {
    let settings = Settings {
        listeners: vec!["browser".to_owned()],
        workers,
        required: false,
        redact: Redact::default(),
        max_destinations: 2000,
    };
    let (recorder, intake) = Recorder::new(settings).expect("a recorder");
    let sinks = sink::Settings { jsonl, sqlite: None, chain_key: None, terminal: Terminal::Off, ring: 10_000 };
    (recorder, Sinks::start(intake, sinks).expect("sinks"))
}

/// A tunnel that was open for half a second.
pub(crate) fn record() -> Record {
    let facts = sample::facts("www.example.test");
    Record {
        id: RequestId::new(*b"k3f9", 1),
        started: SystemTime::now(),
        kind: Kind::End,
        listener: facts.tool,
        protocol: Some(Protocol::Connect),
        client: facts.client,
        method: None,
        destination: Some(facts.destination),
        path: None,
        verdict: Verdict::Allow,
        cited: Cited::default(),
        address: Some(([192, 0, 2, 1], 443).into()),
        sni: Some("www.example.test".into()),
        outcome: Outcome::Completed,
        status: 200,
        bytes_up: 2_000,
        bytes_down: 150_000,
        decide: Duration::from_nanos(300).into(),
        dial: Some(Duration::from_millis(12).into()),
        duration: Duration::from_millis(480).into(),
        hint: None,
    }
}
