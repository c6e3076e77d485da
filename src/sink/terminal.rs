//! One line a decision, for whoever watches the terminal; or each record as JSON.
//!
//! Guaranteed: at most [`MAX_LINES`] lines a second for people, then "and 312 more"; at most [`MAX_JSON`] as JSON where a
//! file or a database has all of them, and without a bound where nothing else has; visible ASCII only, whatever a rule or
//! a name holds; a terminal that is stopped, or a pipe that nobody reads, holds nothing up for longer than
//! [`PATIENCE`], and what it did not take is counted.
//!
//! What is open for long has its line when its `open` record comes, and none at its end.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::account::Account;
use crate::facts::{Outcome, RequestId};
use crate::record::{Body, Kind, Record, RecordLine, Verdict};

/// Lines a second: as many as somebody can follow.
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
/// How long a reader of ours may keep the records waiting. Longer is for a terminal that was stopped, or a pipe whose
/// reader hangs; workers' buffers hold far more than comes in this time.
const PATIENCE: Duration = Duration::from_millis(200);
/// What a pipe that is ready takes without blocking (`PIPE_BUF`).
const CHUNK: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };
/// Room that is kept from batch to batch; more is for a burst.
const ROOM: usize = 256 * 1024;
/// What a file takes at once: it never makes a writer wait for a reader.
const FILE_CHUNK: usize = 64 * 1024;

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
    account: Arc<Account>,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    shown: u32,
    hidden: u64,
}

#[derive(Debug)]
enum Out {
    /// In pieces of at most so many bytes.
    Stderr { chunk: usize },
    #[cfg(test)]
    Kept(Vec<u8>),
}

impl TerminalSink {
    /// A sink to standard error; none if it is off. Colour only on a terminal, and never with `NO_COLOR` set. `kept`: a
    /// file or a database has all the records too.
    pub(super) fn stderr(format: Terminal, kept: bool, account: Arc<Account>) -> Option<Self> {
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

    fn new(format: Terminal, kept: bool, colour: bool, zone: TimeZone, out: Out, account: Arc<Account>) -> Self {
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

impl Out {
    /// Writes as much as is taken in time; how much that was. A reader that was late before must be ready at once.
    fn write(&mut self, bytes: &[u8], was_late: bool) -> usize {
        match self {
            Self::Stderr { chunk } => write_in_time(&mut io::stderr(), bytes, *chunk, was_late),
            #[cfg(test)]
            Self::Kept(kept) => {
                kept.extend_from_slice(bytes);
                bytes.len()
            }
        }
    }
}

fn write_in_time(to: &mut (impl Write + AsFd), bytes: &[u8], most: usize, was_late: bool) -> usize {
    if was_late && !is_ready(to, Duration::ZERO) {
        return 0;
    }
    let deadline = Instant::now() + PATIENCE;
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        if !is_ready(to, deadline.saturating_duration_since(Instant::now())) {
            break;
        }
        match to.write(chunk(rest, most)) {
            Ok(0) => break,
            Ok(n) => written += n,
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(_) => break,
        }
    }
    written
}

/// What is written at once: whole lines, where one fits. The program's messages go to the same place between two writes,
/// and must not stand inside a line.
fn chunk(rest: &[u8], most: usize) -> &[u8] {
    let most = rest.get(..most).unwrap_or(rest);
    let end = memchr::memrchr(b'\n', most).map_or(most.len(), |at| at + 1);
    most.get(..end).unwrap_or(most)
}

/// Waits until a chunk is taken without blocking; whether it is.
fn is_ready(to: &impl AsFd, patience: Duration) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: patience.min(PATIENCE).subsec_nanos().into() };
    let mut fds = [PollFd::new(to, PollFlags::OUT)];
    loop {
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => return fds.iter().all(|fd| fd.revents().contains(PollFlags::OUT)),
            Err(rustix::io::Errno::INTR) => {}
            // No reason to be silent: the write will say what is wrong.
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Cited;
    use crate::record::line::tests::{denied, line};

    fn sink(format: Terminal, colour: bool) -> TerminalSink {
        TerminalSink::new(format, false, colour, TimeZone::UTC, Out::Kept(Vec::new()), Arc::default())
    }

    fn shown(sink: &mut TerminalSink) -> String {
        assert_eq!(sink.write_pending(), 0);
        let Out::Kept(kept) = &mut sink.out else { panic!("kept") };
        String::from_utf8(std::mem::take(kept)).unwrap()
    }

    fn show(sink: &mut TerminalSink, records: impl IntoIterator<Item = Record>, now: Instant) -> String {
        records.into_iter().for_each(|record| sink.line(&line(1, record), b"{}", now));
        shown(sink)
    }

    fn allowed(id: u64, to: &str, rule: &str) -> Record {
        Record {
            verdict: Verdict::Allow,
            cited: Cited::text(Some(rule), ""),
            outcome: Outcome::Completed,
            ..denied(id, to)
        }
    }

    #[test]
    fn a_decision_is_one_line() {
        let now = Instant::now();
        let mut sink = sink(Terminal::Lines, false);
        let records = [denied(1, "example.test:80"), allowed(2, "api2.example.test:443", "allow:api2.example.test")];
        assert_eq!(
            show(&mut sink, records, now),
            "14:02:11  deny   example.test:80        host_not_allowed            k3f9-1\n\
             14:02:11  allow  api2.example.test:443  allow:api2.example.test     k3f9-2\n"
        );
        let evil = Record { outcome: Outcome::Unreachable, ..allowed(3, "a.test:1", "red\u{1b}[31m\n\u{202e}") };
        let malformed =
            Record { destination: None, verdict: Verdict::None("malformed_request"), ..denied(4, "a.test:1") };
        assert_eq!(
            show(&mut sink, [evil, malformed], now),
            "14:02:11  allow  a.test:1               red?[31m??                  k3f9-3  unreachable\n\
             14:02:11  none   -                      malformed_request           k3f9-4\n"
        );
    }

    #[test]
    fn colour_marks_the_decision_alone() {
        let mut sink = sink(Terminal::Lines, true);
        let text = show(&mut sink, [denied(1, "a.test:1")], Instant::now());
        assert_eq!(
            text,
            "14:02:11  \u{1b}[31mdeny \u{1b}[0m  a.test:1               host_not_allowed            k3f9-1\n"
        );
    }

    #[test]
    fn a_flood_is_twenty_lines_a_second_and_a_number() {
        let now = Instant::now();
        let mut sink = sink(Terminal::Lines, false);
        let text = show(&mut sink, (0..332).map(|id| denied(id, "a.test:1")), now);
        assert_eq!(text.lines().count(), 20);
        assert_eq!(sink.due_at(), Some(now + WINDOW));
        sink.close_window(now + WINDOW);
        assert_eq!(shown(&mut sink), "          and 312 more\n");
        assert_eq!(sink.due_at(), None);
        assert_eq!(show(&mut sink, [denied(1, "a.test:1")], now + WINDOW).lines().count(), 1);
    }

    #[test]
    fn a_long_tunnel_has_its_line_when_it_is_known_to_be_open() {
        let now = Instant::now();
        let mut sink = sink(Terminal::Lines, false);
        let kind = |kind| Record { kind, ..allowed(1, "a.test:1", "r") };
        assert_eq!(show(&mut sink, [kind(Kind::Open)], now).lines().count(), 1);
        assert_eq!(show(&mut sink, [kind(Kind::Progress), kind(Kind::End)], now), "");
        assert_eq!(show(&mut sink, [kind(Kind::End)], now).lines().count(), 1, "an id once only");
    }

    #[test]
    fn json_is_the_records_own_line_without_a_cap_unless_it_is_kept_elsewhere() {
        let now = Instant::now();
        let flood = || (0..1_312).map(|id| denied(id, "a.test:1"));
        let mut sink = sink(Terminal::Json, true);
        assert_eq!(show(&mut sink, flood(), now), "{}\n".repeat(1_312));
        assert_eq!(sink.due_at(), None);
        let mut sink =
            TerminalSink::new(Terminal::Json, true, false, TimeZone::UTC, Out::Kept(Vec::new()), Arc::default());
        assert_eq!(show(&mut sink, flood(), now), "{}\n".repeat(1_000));
        assert_eq!(sink.due_at(), Some(now + WINDOW), "then it is told how many are missing");
        assert_eq!(show(&mut sink, flood().take(9), now + WINDOW), "{}\n".repeat(9));
    }

    #[test]
    fn what_is_written_at_once_ends_with_a_line_where_one_fits() {
        let lines = "x".repeat(CHUNK / 2 - 9) + "\n";
        let three = lines.repeat(3);
        assert_eq!(chunk(three.as_bytes(), CHUNK), lines.repeat(2).as_bytes());
        assert_eq!(chunk(b"one\ntwo\n", CHUNK), b"one\ntwo\n");
        let long = "x".repeat(2 * CHUNK) + "\n";
        assert_eq!(chunk(long.as_bytes(), CHUNK).len(), CHUNK, "longer than what a pipe takes: in pieces");
        assert_eq!(chunk(&long.as_bytes()[CHUNK..], CHUNK).len(), CHUNK);
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nothing_up() {
        use std::io::Read;
        let (mut reader, mut writer) = io::pipe().unwrap();
        let lines = b"a line\n".repeat(100_000);
        let began = Instant::now();
        let taken = write_in_time(&mut writer, &lines, CHUNK, false);
        assert!(taken >= CHUNK && taken < lines.len(), "{taken}");
        assert_eq!(write_in_time(&mut writer, &lines, CHUNK, true), 0, "and the next time not even that long");
        assert!(began.elapsed() < 10 * PATIENCE);
        reader.read_exact(&mut vec![0; taken]).unwrap();
        assert_eq!(write_in_time(&mut writer, b"again\n", CHUNK, true), 6);
    }
}
