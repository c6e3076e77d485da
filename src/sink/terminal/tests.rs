//! Lines as they are shown, floods, and readers that do not read.

use super::output::*;
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
    let malformed = Record { destination: None, verdict: Verdict::None("malformed_request"), ..denied(4, "a.test:1") };
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
    assert_eq!(text, "14:02:11  \u{1b}[31mdeny \u{1b}[0m  a.test:1               host_not_allowed            k3f9-1\n");
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
    let mut sink = TerminalSink::new(Terminal::Json, true, false, TimeZone::UTC, Out::Kept(Vec::new()), Arc::default());
    assert_eq!(show(&mut sink, flood(), now), "{}\n".repeat(1_000));
    assert_eq!(sink.due_at(), Some(now + WINDOW), "the line with the number of missing records is due");
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
