//! How fast each sink takes records, and a history of any size to try reports on.
//!
//!     cargo bench --bench history                          each sink alone and both, 400,000 records each
//!     cargo bench --bench history -- database              one of these
//!     cargo bench --bench history -- make DIR GIB          DIR/history.db, this large, over 90 days
//!     cargo bench --bench history -- make DIR GIB flood    the same of names half of which never come again
//!
//! The records are made up: half of them allowed, names with a long tail, some of them flooded. They go the way of every
//! record, through a worker's buffer, so that what is measured is what the proxy has.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a bench that cannot be set up has nothing to measure, and its numbers are small"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use outgate::facts::{Client, Destination, Method, Outcome, Peer, Protocol, RequestFacts, Tool};
use outgate::policy::text::{Format, read_policy};
use outgate::policy::{Cited, Decision, DenyReason, Policy, Snapshot, Source};
use outgate::record::{Kind, Record, Recorder, Redact, Settings, Verdict};
use outgate::sink::{self, Jsonl, Sinks, Sqlite, Terminal};

/// Handed in at once, and then waited for: as many as wait for a sink that is held up.
const BATCH: u64 = 10_000;
const RECORDS: u64 = 400_000;
const DAYS: u64 = 90;

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => rates(RECORDS, ""),
        // As other benches do it: once, to see that it works.
        ["--test"] => rates(BATCH, ""),
        [which @ ("lines" | "database" | "both")] => rates(RECORDS, which),
        ["make", dir, gib] => make(Path::new(dir), gib.parse().expect("a number of GiB"), false),
        ["make", dir, gib, "flood"] => make(Path::new(dir), gib.parse().expect("a number of GiB"), true),
        _ => panic!("history [--test | lines | database | both | make DIR GIB [flood]]"),
    }
}

fn rates(records: u64, which: &str) {
    for flood in [false, true] {
        for (name, jsonl, sqlite) in
            [("no sink", false, false), ("lines", true, false), ("database", false, true), ("both", true, true)]
        {
            if !which.is_empty() && name != which {
                continue;
            }
            let dir = tempfile::tempdir().expect("a folder");
            let (recorder, sinks) = start(dir.path(), jsonl, sqlite);
            let mut made = Made::new(flood);
            let began = (Instant::now(), cpu());
            while made.number < records {
                made.hand_in(&recorder, SystemTime::now());
            }
            let (seconds, cpu) = (began.0.elapsed().as_secs_f64(), cpu() - began.1);
            sinks.shutdown();
            println!(
                "{name:>9}{}: {:>8.0} records a second, {:>5.2} us of processor time each",
                if flood { ", made-up names" } else { "" },
                records as f64 / seconds,
                cpu * 1e6 / records as f64
            );
        }
    }
}

fn make(dir: &Path, gib: f64, flood: bool) {
    std::fs::create_dir_all(dir).expect("a folder");
    let (recorder, sinks) = start(dir, false, true);
    let size = || std::fs::metadata(dir.join("history.db")).map_or(0, |file| file.len());
    let wanted = (gib * f64::from(1 << 30)) as u64;
    let (mut made, began, now) = (Made::new(flood), Instant::now(), SystemTime::now());
    let first = now - Duration::from_secs(DAYS * 86_400);
    while size() < wanted {
        // The share of the size is the share of the time: days are equally busy.
        let part = size() as f64 / wanted as f64;
        made.hand_in(&recorder, first + Duration::from_secs(DAYS * 86_400).mul_f64(part));
    }
    sinks.shutdown();
    let seconds = began.elapsed().as_secs_f64();
    println!("{} records, {} bytes, {:.0} records a second", made.number, size(), made.number as f64 / seconds);
}

fn start(dir: &Path, jsonl: bool, sqlite: bool) -> (Recorder, Sinks) {
    let path = |name: &str| -> PathBuf { dir.join(name) };
    let settings = Settings {
        listeners: vec!["browser".into()],
        workers: 1,
        required: false,
        redact: Redact::default(),
        max_destinations: 2000,
    };
    let (recorder, intake) = Recorder::new(settings).expect("a recorder");
    let sinks = sink::Settings {
        jsonl: jsonl.then(|| Jsonl { path: path("records.jsonl"), max_size: 64 << 20, files: 3, keep: Duration::MAX }),
        sqlite: sqlite.then(|| Sqlite {
            path: path("history.db"),
            keep: Duration::from_secs(3650 * 86_400),
            max_size: 1 << 40,
        }),
        chain_key: None,
        terminal: Terminal::Off,
        ring: 10_000,
    };
    (recorder, Sinks::start(intake, sinks).expect("sinks"))
}

/// Records that are made up, the same ones each time.
struct Made {
    number: u64,
    flood: bool,
    allowed: Cited,
    denied: Cited,
}

impl Made {
    fn new(flood: bool) -> Self {
        let text = "version = 1\nname = \"bench\"\nrevision = \"2026-11-23.1\"\nallow = [\"*.example\"]";
        let document = read_policy(text, Format::Toml).expect("no mistakes");
        let compiled = Policy::compile(&document, Source { lists: &[], content_hash: "0123456789abcdef" });
        let policy = Snapshot::from(compiled.expect("no mistakes").policy);
        let cited = |host: &str| match policy.decide(&facts(host)) {
            Decision::Allow(permit) => Cited::from(&permit),
            Decision::Deny(denial) => Cited::from(&denial),
        };
        Self { number: 0, flood, allowed: cited("www.host1.example:443"), denied: cited("made-up.test:443") }
    }

    /// Hands in one batch, a second's worth, and waits until it is on the disk.
    fn hand_in(&mut self, recorder: &Recorder, at: SystemTime) {
        let worker = recorder.worker(0);
        for place in 0..BATCH {
            self.number += 1;
            let mut record = self.record(at + Duration::from_micros(place * 100));
            record.id = worker.next_id();
            worker.emit(record);
        }
        recorder.flush();
        assert_eq!(recorder.totals().dropped, 0, "a buffer was full");
    }

    fn record(&self, started: SystemTime) -> Record {
        let random =
            self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let (dice, tail) = (random >> 56, random & 0xffff);
        // 300 names that come again and again; with a flood, every other name is new.
        let made_up = if self.flood { dice & 1 == 0 } else { dice < 2 };
        let host = match made_up {
            true => format!("{random:x}.made-up.test:443"),
            false => format!("www.host{}.example:443", (tail * tail) / (0x1_0000 * 0xda)),
        };
        let allowed = !made_up && dice & 2 == 0;
        let http = allowed && dice & 4 == 0;
        Record {
            id: outgate::facts::RequestId::new(*b"made", self.number),
            started,
            kind: Kind::End,
            listener: Tool::new("browser"),
            protocol: Some(if http { Protocol::Http } else { Protocol::Connect }),
            client: Client::anonymous(Peer::Tcp(([127, 0, 0, 1], 40_000 + (self.number % 20_000) as u16).into())),
            method: Some(Method::new(if http { "GET" } else { "CONNECT" })),
            destination: Destination::parse(host.as_bytes(), None).ok(),
            path: http.then(|| format!("/v1/messages/{tail}").into()),
            verdict: if allowed { Verdict::Allow } else { Verdict::Deny(DenyReason::HostNotAllowed) },
            cited: if allowed { self.allowed.clone() } else { self.denied.clone() },
            address: allowed.then(|| ([192, 0, 2, (tail % 250) as u8], 443).into()),
            sni: (allowed && !http).then(|| host.trim_end_matches(":443").into()),
            outcome: if allowed { Outcome::Completed } else { Outcome::Denied },
            status: if allowed { 200 } else { 403 },
            bytes_up: random >> 48,
            bytes_down: random >> 44,
            decide: Duration::from_nanos(200 + dice).into(),
            dial: allowed.then(|| Duration::from_micros(80 + dice).into()),
            duration: Duration::from_micros(900 + tail).into(),
            hint: None,
        }
    }
}

fn facts(to: &str) -> RequestFacts {
    RequestFacts {
        client: Client::hypothetical(),
        tool: Tool::new("browser"),
        protocol: Protocol::Connect,
        destination: Destination::parse(to.as_bytes(), None).expect("a destination"),
        method: None,
        upgrade: None,
        path: None,
        passed_through_us: false,
        at: SystemTime::now(),
    }
}

/// Seconds of processor time of this process.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        stat.rsplit(") ").next().unwrap_or_default().split(' ').map(|n| n.parse().unwrap_or(0.0)).collect();
    fields.get(11..13).map_or(0.0, |ticks| ticks.iter().sum::<f64>() / 100.0)
}
