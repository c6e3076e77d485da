use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;
use serde_json::{Value, json};

use super::ask::ApiSnapshot;
use super::content::age;
use super::rates::RequestsAndDenials;
use super::state::{AfterKey, Pane, TopState};
use super::{plain, screen};
use crate::text::Inert;

const NOW: &str = "2026-11-23T14:00:00.000Z";

/// Answers as the proxy gives them.
#[derive(Clone)]
struct Answers {
    policy: Value,
    denials: Vec<Value>,
    tunnels: Vec<Value>,
    records: Vec<Value>,
    counted: RequestsAndDenials<u64>,
}

impl Answers {
    fn empty() -> Self {
        let policy = json!({
            "name": "Example Corp", "revision": "r7", "mode": "enforce", "enabled": true, "egress": "allowlist",
            "rules": 14, "source": "policy.toml", "loaded": "2026-11-23T13:00:00.000Z", "error": null, "selftest": null,
        });
        let counted = RequestsAndDenials { requests: 0, denied: 0 };
        Self { policy, denials: Vec::new(), tunnels: Vec::new(), records: Vec::new(), counted }
    }

    /// So many rows in each table, of these destinations in turn.
    fn rows(count: usize, destinations: &[&str]) -> Self {
        let names = || destinations.iter().cycle().enumerate().take(count);
        let denial = |(at, name): (usize, &&str)| {
            json!({ "destination": format!("{name}:{at}"), "reason": "host_not_allowed", "count": count - at,
                "first": "2026-11-23T11:00:00.000Z", "last": "2026-11-23T13:59:30.000Z", "rule": null })
        };
        let tunnel = |(at, name): (usize, &&str)| {
            json!({ "id": format!("k3f9-{at}"), "destination": format!("{name}:{at}"), "tool": name,
                "client": "127.0.0.1:40736", "started": format!("2026-11-23T13:{:02}:00.000Z", at % 60),
                "bytes_up": at * 2000, "bytes_down": 5 })
        };
        let record = |(at, name): (usize, &&str)| {
            json!({ "kind": "end", "time": NOW, "host": name, "port": at % 65_536, "decision": "deny", "tool": name,
                "reason": "host_not_allowed", "rule": name, "outcome": "denied" })
        };
        Self {
            denials: names().map(denial).collect(),
            tunnels: names().map(tunnel).collect(),
            records: names().map(record).collect(),
            counted: RequestsAndDenials { requests: 2 * count as u64, denied: count as u64 },
            ..Self::empty()
        }
    }

    fn snapshot(self) -> ApiSnapshot {
        ApiSnapshot {
            now: NOW.parse().unwrap(),
            at: Instant::now(),
            policy: serde_json::from_value(self.policy).unwrap(),
            counted: self.counted,
            denials: serde_json::from_value(json!({ "total": 9, "destinations": self.denials, "other": 3 })).unwrap(),
            tunnels: serde_json::from_value(json!({ "total": self.tunnels.len(), "tunnels": self.tunnels })).unwrap(),
            records: serde_json::from_value(json!(self.records)).unwrap(),
        }
    }

    fn state(self) -> TopState {
        let mut state = TopState::default();
        state.hear(Ok(Box::new(self.snapshot())));
        state
    }
}

fn buffer(state: &mut TopState, width: u16, height: u16, colour: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| screen::draw(frame, state, "127.0.0.1:3129", colour)).unwrap();
    terminal.backend().buffer().clone()
}

/// The screen's lines, without blanks at their ends.
fn lines(state: &mut TopState, width: u16, height: u16) -> Vec<String> {
    let buffer = buffer(state, width, height, true);
    let line = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
    (0..height).map(line).collect()
}

fn has(lines: &[String], text: &str) {
    assert!(lines.iter().any(|line| line.contains(text)), "no {text:?} in\n{}", lines.join("\n"));
}

fn press(state: &mut TopState, keys: &[KeyCode]) {
    for key in keys {
        assert_eq!(state.press(KeyEvent::from(*key)), AfterKey::Continue, "{key:?}");
    }
}

const HOSTILE: [&str; 6] = [
    "\u{1b}[2J\u{1b}]0;owned\u{7}.test",
    "\u{202e}moc.elpmaxe",
    "a\u{200b}b\r\n\tc\0d\u{85}.test",
    "漢字かな交じり文のとても長い名前.test",
    "e\u{301}\u{301}\u{301}\u{301}.test",
    "an-endless-name.an-endless-name.an-endless-name.an-endless-name.an-endless-name.an-endless-name.an-endless-name.test",
];

#[test]
fn an_ordinary_screen_has_everything() {
    let mut state = Answers::rows(5, &["no.test"]).state();
    let screen = lines(&mut state, 80, 24);
    assert_eq!(screen[0], "enforce  Example Corp  r7  14 rules");
    assert_eq!(screen[1], "policy.toml, in force for 1h; not tested yet");
    assert_eq!(screen[2], "- requests/s  - denied/s  5 open   in all 10 requests, 5 denied");
    assert!(screen[5].starts_with("1 Denied destinations (and 3 denials of others) ───"), "{screen:#?}");
    assert_eq!(screen[6], "   COUNT  DESTINATION                         REASON                SINCE   LAST");
    assert_eq!(screen[7], "       5  no.test:0                           host_not_allowed         3h    30s");
    has(&screen, "2 Open tunnels and requests, the oldest first 1-3 of 5 ──");
    has(&screen, "3 Last requests 1-3 of 5 ──");
    has(&screen, "deny      no.test:0 ");
    assert!(screen[23].starts_with("q quit"), "{screen:#?}");
}

#[test]
fn any_content_fits_a_screen_of_any_size() {
    let mut failing = Answers::rows(10_000, &HOSTILE);
    failing.policy["error"] = json!("policy.toml:3:1: \u{1b}[31mbad\nmore");
    failing.policy["name"] = json!(HOSTILE.join(" "));
    for answers in [Answers::empty(), Answers::rows(1, &["no.test"]), failing] {
        let mut state = answers.state();
        for (width, height) in
            [(1, 1), (2, 30), (3, 2), (10, 4), (20, 10), (40, 15), (80, 24), (79, 23), (200, 50), (300, 1)]
        {
            for pane in ['1', '2', '3'] {
                let keys = [KeyCode::Char(pane), KeyCode::End, KeyCode::Char('?')];
                for key in keys {
                    press(&mut state, &[key]);
                    let buffer = buffer(&mut state, width, height, true);
                    for cell in &buffer.content {
                        let hidden = |c: char| c.is_control() || "\u{202e}\u{200b}\u{85}".contains(c);
                        assert!(!cell.symbol().contains(hidden), "{:?} at {width}x{height}", cell.symbol());
                    }
                }
                press(&mut state, &[KeyCode::Char('?')]);
            }
        }
    }
}

#[test]
fn invisible_characters_are_spelled_out() {
    let mut state = Answers::rows(3, &HOSTILE[..3]).state();
    let screen = lines(&mut state, 132, 50);
    has(&screen, "\\u{1b}[2J\\u{1b}]0;owned\\u{7}.test:0");
    has(&screen, "\\u{202e}moc.elpmaxe:1");
    has(&screen, "a\\u{200b}b\\u{d}\\u{a}\\u{9}c\\u{0}d\\u{85}.test:2");
    let plain = plain::text(&state);
    assert!(plain.contains("\\u{202e}moc.elpmaxe:1"), "{plain}");
    assert!(!plain.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{plain:?}");
}

#[test]
fn a_long_table_is_scrolled_to_its_end_and_no_further() {
    let mut state = Answers::rows(10_000, &["no.test"]).state();
    lines(&mut state, 80, 24);
    press(&mut state, &[KeyCode::Down]);
    has(&lines(&mut state, 80, 24), "Denied destinations (and 3 denials of others) 2-9 of 10000");
    press(&mut state, &[KeyCode::PageDown]);
    has(&lines(&mut state, 80, 24), " 10-17 of 10000");
    press(&mut state, &[KeyCode::End, KeyCode::Down, KeyCode::PageDown]);
    let end = lines(&mut state, 80, 24);
    has(&end, " 9993-10000 of 10000");
    has(&end, "no.test:9999");
    press(&mut state, &[KeyCode::Up]);
    has(&lines(&mut state, 80, 24), " 9992-9999 of 10000");
    has(&lines(&mut state, 80, 50), " 9967-10000 of 10000");
    press(&mut state, &[KeyCode::Home, KeyCode::Up]);
    has(&lines(&mut state, 80, 24), " 1-8 of 10000");
    state.hear(Ok(Box::new(Answers::rows(2, &["no.test"]).snapshot())));
    has(&lines(&mut state, 80, 24), "no.test:1");
}

#[test]
fn what_is_wrong_is_red_and_seen_on_the_lowest_screen() {
    let mut answers = Answers::rows(3, &["no.test"]);
    answers.policy["error"] = json!("\npolicy.toml:3:1: unknown key `alow`\n  did you mean `allow`?\n");
    answers.policy["selftest"] =
        json!({ "ok": false, "at": "2026-11-23T13:59:00.000Z", "detail": "agent let it pass" });
    answers.policy["enabled"] = json!(false);
    let mut state = answers.state();
    state.hear(Err(Inert::new("cannot ask the proxy")));
    let screen = lines(&mut state, 120, 12);
    assert_eq!(screen[0], "no answer for 0s, trying again: cannot ask the proxy");
    assert_eq!(screen[1], "enforce  switched off: everything is denied  Example Corp  r7  14 rules");
    assert_eq!(screen[3], "the last reload failed: policy.toml:3:1: unknown key `alow` (and 1 more lines)");
    assert_eq!(screen[4], "self-test failed 1m ago: agent let it pass");
    let coloured = buffer(&mut state, 120, 12, true);
    for row in [0, 3, 4] {
        assert_eq!(coloured[(0, row)].fg, Color::Red, "line {row}");
    }
    let plain = buffer(&mut state, 120, 12, false);
    assert!(plain.content.iter().all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset), "NO_COLOR");
    state.hear(Ok(Box::new(Answers::empty().snapshot())));
    assert_eq!(lines(&mut state, 120, 12)[0], "enforce  Example Corp  r7  14 rules", "it answers again");
}

#[test]
fn before_the_first_answer_it_says_whom_it_asks() {
    let mut state = TopState::default();
    has(&lines(&mut state, 80, 24), "asking the proxy at 127.0.0.1:3129 …");
    state.hear(Err(Inert::new("cannot ask\u{1b}[2J")));
    assert_eq!(lines(&mut state, 80, 24)[0], "no answer, trying again: cannot ask\\u{1b}[2J");
    assert_eq!(plain::text(&state), "");
}

#[test]
fn a_proxy_that_hangs_is_no_proxy_that_answers() {
    for (seconds, expected) in [(7, "no answer for 7s; still waiting"), (3, "enforce  Example Corp  r7  14 rules")] {
        let at = Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        let mut state = TopState::default();
        state.hear(Ok(Box::new(ApiSnapshot { at, ..Answers::empty().snapshot() })));
        assert_eq!(lines(&mut state, 80, 24)[0], expected);
    }
}

#[test]
fn observing_is_said_first() {
    let mut answers = Answers::empty();
    answers.policy["mode"] = json!("observe");
    let mut state = answers.state();
    assert!(lines(&mut state, 40, 10)[0].starts_with("observe: what is denied passes"));
}

#[test]
fn rates_and_plot_come_with_the_second_answer() {
    let mut state = TopState::default();
    let began = Instant::now();
    for (second, requests, denied) in [(0, 100, 10), (1, 130, 15)] {
        let counted = RequestsAndDenials { requests, denied };
        let snapshot = Answers { counted, ..Answers::empty() }.snapshot();
        state.hear(Ok(Box::new(ApiSnapshot { at: began + Duration::from_secs(second), ..snapshot })));
    }
    let screen = lines(&mut state, 80, 24);
    has(&screen, "30.0 requests/s  5.0 denied/s  0 open   in all 130 requests, 15 denied");
    has(&screen, "█ 30.0/s");
    assert!(screen[4].starts_with("denied") && screen[4].ends_with('▃'), "{screen:#?}");
    assert!(!lines(&mut state, 80, 15).iter().any(|line| line.starts_with("requests")), "no room for a plot");
}

#[test]
fn keys_do_what_the_help_says() {
    let mut state = Answers::rows(3, &["no.test"]).state();
    for (keys, pane) in [
        (&[KeyCode::Char('3')][..], Pane::Records),
        (&[KeyCode::Tab], Pane::Denied),
        (&[KeyCode::Tab], Pane::Tunnels),
        (&[KeyCode::BackTab, KeyCode::BackTab], Pane::Records),
        (&[KeyCode::Char('2')], Pane::Tunnels),
        (&[KeyCode::Char('x'), KeyCode::F(1)], Pane::Tunnels),
    ] {
        press(&mut state, keys);
        assert_eq!(state.pane, pane, "{keys:?}");
    }
    has(&lines(&mut state, 132, 30), "  1h  no.test:0  ");
    press(&mut state, &[KeyCode::Char('o')]);
    let biggest = lines(&mut state, 132, 30);
    let at = |text: &str| biggest.iter().position(|line| line.contains(text)).unwrap();
    assert!(at("k3f9-2") < at("k3f9-1") && at("k3f9-1") < at("k3f9-0"), "{biggest:#?}");
    has(&biggest, "Open tunnels and requests, the biggest first");
    press(&mut state, &[KeyCode::Char('?')]);
    has(&lines(&mut state, 80, 24), "q Esc Ctrl-C   quit");
    press(&mut state, &[KeyCode::Esc]);
    assert!(!state.help, "the first Esc closes the help");
    for key in [KeyCode::Esc, KeyCode::Char('q')] {
        assert_eq!(state.press(KeyEvent::from(key)), AfterKey::Quit, "{key:?}");
    }
    let control = |key| KeyEvent::new(KeyCode::Char(key), KeyModifiers::CONTROL);
    assert_eq!(state.press(control('c')), AfterKey::Quit);
    assert_eq!(state.press(control('x')), AfterKey::Continue);
}

#[test]
fn while_it_is_paused_nothing_moves_and_nothing_is_lost() {
    let mut state = Answers::rows(1, &["one.test"]).state();
    press(&mut state, &[KeyCode::Char('p')]);
    state.hear(Ok(Box::new(Answers::rows(1, &["two.test"]).snapshot())));
    let paused = lines(&mut state, 80, 24);
    assert!(paused[0].starts_with("PAUSED  enforce"), "{paused:#?}");
    has(&paused, "one.test:0");
    press(&mut state, &[KeyCode::Char('p')]);
    has(&lines(&mut state, 80, 24), "two.test:0");
}

#[test]
fn a_gap_is_named_as_one() {
    let mut answers = Answers::empty();
    answers.records = vec![json!({ "kind": "gap", "time": NOW, "reason": "buffer_full", "dropped": 312, "host": "" })];
    let mut state = answers.state();
    press(&mut state, &[KeyCode::Char('3')]);
    has(&lines(&mut state, 100, 24), "gap       312 records missing");
}

#[test]
fn ages_are_short() {
    let now = NOW.parse().unwrap();
    for (then, expected) in [
        ("2026-11-23T13:59:59.500Z", "0s"),
        ("2026-11-23T13:59:01.000Z", "59s"),
        ("2026-11-23T13:59:00.000Z", "1m"),
        ("2026-11-23T12:00:01.000Z", "1h"),
        ("2026-11-20T14:00:00.000Z", "3d"),
        ("2026-11-23T14:00:05.000Z", "0s"),
        ("", "-"),
        ("yesterday", "-"),
    ] {
        assert_eq!(age(now, &Inert::new(then)), expected, "{then}");
    }
}
