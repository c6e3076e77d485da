//! One line for each decision, for people who watch the terminal; or each record as JSON.
//!
//! Guaranteed: at most [`MAX_LINES`] lines a second for people, then "and 312 more"; at most [`MAX_JSON`] as JSON where a
//! file or a database has all of them, and without a bound where nothing else has; visible ASCII only, with other
//! characters in rules and names escaped; a stopped terminal, or a pipe without a reader, blocks for at most
//! [`output::PATIENCE`], and the lines that it did not take are counted.
//!
//! What is open for long has its line when its `open` record comes, and none at its end.

mod output;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use self::output::{CHUNK, FILE_CHUNK, Out};
use super::account::SinkAccount;
use crate::facts::{Outcome, RequestId};
use crate::record::{Body, Kind, Record, RecordLine, Verdict};

/// Lines a second: as many as a person can follow.
const MAX_LINES: u32 = 20;
/// The same for JSON that is kept elsewhere too: more would only push everything else out of a journal.
const MAX_JSON: u32 = 1_000;
/// What those are counted over.
const WINDOW: Duration = Duration::from_secs(1);
/// The destination's column: as wide as `api2.example.test:443`, and as names have needed since, up to this.
const DESTINATION: std::ops::RangeInclusive<usize> = 21..=44;
/// The column of the reason or rule.
const REASON: usize = 26;
/// The longest reason or rule that is shown.
const MAX_REASON: usize = 60;
/// What was shown as open and whose end has not come; beyond it an end is shown again, which is harmless.
const MAX_OPEN: usize = 10_000;
/// Room that is kept from batch to batch; more is for a burst.
const ROOM: usize = 256 * 1024;

/// What standard error shows of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// Nothing.
    Off,
    /// One line a decision, for people.
    Lines,
    /// Each line as JSON.
    Json,
}

#[derive(Debug)]
pub(super) struct TerminalSink {
    format: Terminal,
    /// Lines a second.
    most: u32,
    colour: bool,
    zone: TimeZone,
    out: Out,
    pending: Vec<u8>,
    /// Records among the pending.
    pending_records: u64,
    /// Whether the last write stopped inside a line.
    torn: bool,
    /// Whether the reader has used up its patience.
    stalled: bool,
    width: usize,
    window: Option<Window>,
    open: HashSet<RequestId>,
    account: Arc<SinkAccount>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    shown: u32,
    hidden: u64,
}

impl TerminalSink {
    /// A sink to standard error; none if it is off. Colour only on a terminal, and never with `NO_COLOR` set. `kept`: a
    /// file or a database has all the records too.
    pub(super) fn stderr(format: Terminal, kept: bool, account: Arc<SinkAccount>) -> Option<Self> {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let colour = wanted && io::IsTerminal::is_terminal(&io::stderr());
        let is_file = rustix::fs::fstat(io::stderr())
            .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
        let out = Out::Stderr { chunk: if is_file { FILE_CHUNK } else { CHUNK } };
        match format {
            Terminal::Off => None,
            Terminal::Lines => Some(Self::new(format, kept, colour, TimeZone::system(), out, account)),
            // Its times are UTC: the machine's zone need not be looked up.
            Terminal::Json => Some(Self::new(format, kept, colour, TimeZone::UTC, out, account)),
        }
    }

    fn new(format: Terminal, kept: bool, colour: bool, zone: TimeZone, out: Out, account: Arc<SinkAccount>) -> Self {
        let most = match format {
            Terminal::Json if kept => MAX_JSON,
            Terminal::Json => u32::MAX,
            Terminal::Lines | Terminal::Off => MAX_LINES,
        };
        Self {
            format,
            most,
            colour,
            zone,
            out,
            pending: Vec::new(),
            pending_records: 0,
            torn: false,
            stalled: false,
            width: *DESTINATION.start(),
            window: None,
            open: HashSet::new(),
            account,
        }
    }

    /// Whether it wants each line's JSON.
    pub(super) fn wants_json(&self) -> bool {
        self.format == Terminal::Json
    }

    /// Takes one line. `json` is that line's, if it [wants](Self::wants_json) it.
    pub(super) fn line(&mut self, line: &RecordLine, json: &[u8], now: Instant) {
        if !self.wants_json() && line.record().is_some_and(|record| !self.is_news(record)) {
            return;
        }
        if !self.has_room(now) {
            return;
        }
        if self.wants_json() {
            self.pending.extend_from_slice(json);
            self.pending.push(b'\n');
        } else {
            self.human_line(line);
        }
        self.pending_records += u64::from(line.record().is_some_and(|record| record.kind == Kind::End));
    }

    /// Whether this second has room for one more line; if not, it is counted among those that are not shown.
    fn has_room(&mut self, now: Instant) -> bool {
        self.close_window(now);
        let window = self.window.get_or_insert(Window { began: now, shown: 0, hidden: 0 });
        if window.shown >= self.most {
            window.hidden += 1;
            return false;
        }
        window.shown += 1;
        true
    }

    fn human_line(&mut self, line: &RecordLine) {
        let text = match &line.body {
            Body::Record(record) => self.decision_line(record),
            Body::Gap(gap) => {
                format!("{}  {} records were dropped ({})", self.clock(gap.at), gap.dropped, gap.cause.as_str())
            }
        };
        self.pending.extend_from_slice(text.as_bytes());
        self.pending.push(b'\n');
    }

    /// Whether this decision has had no line yet.
    fn is_news(&mut self, record: &Record) -> bool {
        match record.kind {
            Kind::Open => {
                if self.open.len() < MAX_OPEN {
                    self.open.insert(record.id);
                }
                true
            }
            Kind::Progress => false,
            Kind::End => self.open.is_empty() || !self.open.remove(&record.id),
        }
    }

    fn decision_line(&mut self, record: &Record) -> String {
        let destination = record.destination.as_ref().map_or_else(|| "-".into(), |to| visible(&to.to_string(), 300));
        self.width = self.width.max(destination.len().min(*DESTINATION.end()));
        let reason = match record.verdict {
            Verdict::Allow => record.rule().unwrap_or("-"),
            Verdict::Deny(_) | Verdict::Observe(_) | Verdict::None(_) => record.verdict.reason(),
        };
        let (paint, plain) = match (self.colour, record.verdict) {
            (false, _) => ("", ""),
            (true, Verdict::Allow) => ("\x1b[32m", "\x1b[0m"),
            (true, Verdict::Deny(_)) => ("\x1b[31m", "\x1b[0m"),
            (true, Verdict::Observe(_)) => ("\x1b[33m", "\x1b[0m"),
            (true, Verdict::None(_)) => ("\x1b[2m", "\x1b[0m"),
        };
        let mut text = format!(
            "{time}  {paint}{decision:5}{plain}  {destination:width$}  {reason:REASON$}  {id}",
            time = self.clock(record.started),
            decision = record.verdict.decision(),
            width = self.width,
            reason = visible(reason, MAX_REASON),
            id = record.id,
        );
        if went_wrong(record.outcome) {
            let _ = write!(text, "  {}", record.outcome.as_str());
        }
        text
    }

    fn clock(&self, at: SystemTime) -> String {
        let time = self.zone.to_datetime(Timestamp::try_from(at).unwrap_or_default());
        format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
    }

    /// When "and 312 more" is due.
    pub(super) fn due_at(&self) -> Option<Instant> {
        self.window.as_ref().filter(|window| window.hidden > 0).map(|window| window.began + WINDOW)
    }

    /// Says what was not shown, if its second is over.
    fn close_window(&mut self, now: Instant) {
        let Some(window) = self.window.take_if(|window| now.duration_since(window.began) >= WINDOW) else { return };
        if window.hidden == 0 {
            return;
        }
        if self.wants_json() {
            tracing::info!(records = window.hidden, "and {} more, which are in the records alone", window.hidden);
        } else {
            let more = format!("{:10}and {} more\n", "", window.hidden);
            self.pending.extend_from_slice(more.as_bytes());
        }
    }

    /// Says what was not shown, if its second is over, and writes what is pending.
    pub(super) fn write_out(&mut self, now: Instant) {
        self.close_window(now);
        let lost = self.write_pending();
        self.account.lose(lost);
    }

    /// Writes what is pending. Returns how many records were lost, if the reader did not take them in time.
    fn write_pending(&mut self) -> u64 {
        if self.pending.is_empty() {
            self.pending_records = 0;
            return 0;
        }
        let mut pending = std::mem::take(&mut self.pending);
        if self.torn {
            pending.insert(0, b'\n');
        }
        let written = self.out.write(&pending, self.stalled);
        self.stalled = written < pending.len();
        if written > 0 {
            self.torn = pending.get(written - 1) != Some(&b'\n');
        }
        let records = std::mem::take(&mut self.pending_records);
        let rest = pending.get(written..).unwrap_or_default();
        let lines = memchr::memchr_iter(b'\n', rest).count() as u64;
        pending.clear();
        pending.shrink_to(ROOM);
        self.pending = pending;
        lines.min(records)
    }
}

fn went_wrong(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Completed
        | Outcome::Denied
        | Outcome::Malformed
        | Outcome::ClientClosed
        | Outcome::OriginClosed
        | Outcome::Shutdown => false,
        Outcome::Unresolvable
        | Outcome::Unreachable
        | Outcome::Timeout
        | Outcome::Revoked
        | Outcome::Limit
        | Outcome::Busy
        | Outcome::Internal => true,
    }
}

/// At most `max` characters, each of them visible ASCII.
fn visible(text: &str, max: usize) -> String {
    text.chars().take(max).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}
