//! What is shown, in words: the same on a screen and as plain text.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ask::{ApiPolicy, ApiRecord, ApiSnapshot};
use super::state::{Pane, ShownSnapshot, TopState};
use crate::text::Inert;
use crate::text::figures::{self, bytes, counted, rate};

/// A piece of text and how it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StyledText {
    pub(super) text: String,
    pub(super) tone: Tone,
}

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Soft,
    /// Something is wrong, or was denied.
    Bad,
    /// Something that one should know.
    Odd,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) title: &'static str,
    /// Its characters; 0 for the one that takes what the others leave.
    pub(super) width: usize,
    pub(super) right: bool,
    /// On narrower screens it is left out.
    pub(super) from: usize,
}

const fn column(title: &'static str, width: usize, from: usize) -> Column {
    Column { title, width, right: false, from }
}

const fn number(title: &'static str, width: usize, from: usize) -> Column {
    Column { title, width, right: true, from }
}

const DENIED: &[Column] = &[
    number("COUNT", 8, 0),
    column("DESTINATION", 0, 0),
    column("REASON", 20, 44),
    number("SINCE", 5, 56),
    number("LAST", 5, 68),
];
const TUNNELS: &[Column] = &[
    number("AGE", 5, 0),
    column("DESTINATION", 0, 0),
    column("TOOL", 10, 64),
    column("CLIENT", 21, 108),
    number("UP", 9, 40),
    number("DOWN", 9, 52),
    column("ID", 10, 80),
];
const RECORDS: &[Column] = &[
    column("TIME", 8, 48),
    column("DECISION", 8, 0),
    column("DESTINATION", 0, 0),
    column("WHY", 20, 56),
    column("TOOL", 10, 76),
    column("OUTCOME", 13, 100),
];

impl Pane {
    pub(super) fn columns(self) -> &'static [Column] {
        match self {
            Self::Denied => DENIED,
            Self::Tunnels => TUNNELS,
            Self::Records => RECORDS,
        }
    }
}

/// The title of a pane.
pub(super) fn title(pane: Pane, state: &TopState) -> String {
    let snapshot = state.shown.as_ref().map(|shown| &shown.snapshot);
    match pane {
        Pane::Denied => match snapshot.map_or(0, |snapshot| snapshot.denials.other) {
            0 => "Denied destinations".to_owned(),
            other => format!("Denied destinations (and {other} denials of others)"),
        },
        Pane::Tunnels => {
            let open = snapshot.map_or(0, |snapshot| snapshot.tunnels.total);
            let order = if state.biggest { "the biggest" } else { "the oldest" };
            match usize::try_from(open).unwrap_or(usize::MAX) > state.rows(pane) {
                true => format!("Open tunnels and requests, {order} of the oldest {} of {open}", state.rows(pane)),
                false => format!("Open tunnels and requests, {order} first"),
            }
        }
        Pane::Records => "Last requests".to_owned(),
    }
}

/// The cells of one row.
pub(super) fn row(pane: Pane, snapshot: &ApiSnapshot, at: usize) -> Vec<StyledText> {
    let now = snapshot.now;
    match pane {
        Pane::Denied => snapshot.denials.destinations.get(at).map(|denied| {
            vec![
                bad(denied.count.to_string()),
                plain(&denied.destination),
                plain(&denied.reason),
                soft(age(now, &denied.first)),
                soft(age(now, &denied.last)),
            ]
        }),
        Pane::Tunnels => snapshot.tunnels.tunnels.get(at).map(|tunnel| {
            vec![
                soft(age(now, &tunnel.started)),
                plain(match tunnel.protocol.as_str() {
                    "http" => format!("{} {}", tunnel.method.as_str(), tunnel.destination.as_str()),
                    _ => tunnel.destination.as_str().to_owned(),
                }),
                plain(&tunnel.tool),
                plain(&tunnel.client),
                plain(bytes(tunnel.bytes_up)),
                plain(bytes(tunnel.bytes_down)),
                soft(&tunnel.id),
            ]
        }),
        Pane::Records => snapshot.records.get(at).map(record),
    }
    .unwrap_or_default()
}

fn record(record: &ApiRecord) -> Vec<StyledText> {
    if record.kind.as_str() == "gap" {
        let missing = format!("{} missing", counted(record.dropped, "record"));
        return vec![soft(clock(&record.time)), odd("gap"), odd(missing), plain(&record.reason), plain(""), plain("")];
    }
    let destination = match record.host.is_empty() {
        true => "(none)".to_owned(),
        false => format!("{}:{}", record.host, record.port),
    };
    let decision = match record.decision.as_str() {
        "deny" => bad(&record.decision),
        "observe" => odd(&record.decision),
        _ => plain(&record.decision),
    };
    let why = if record.reason.is_empty() { &record.rule } else { &record.reason };
    vec![
        soft(clock(&record.time)),
        decision,
        plain(destination),
        plain(why),
        plain(&record.tool),
        plain(&record.outcome),
    ]
}

/// The lines above the panes.
pub(super) fn header(shown: &ShownSnapshot) -> Vec<Vec<StyledText>> {
    let ShownSnapshot { snapshot, rate: now, .. } = shown;
    let (policy, total) = (&snapshot.policy, &snapshot.counted);
    let mut lines = vec![named(policy), origin(policy, snapshot.now)];
    if let Some(error) = &policy.error {
        lines.push(vec![bad(format!("the last reload failed: {error}"))]);
    }
    if let Some(tested) = policy.selftest.as_ref().filter(|tested| !tested.ok) {
        lines.push(vec![bad(format!("self-test failed {} ago: {}", age(snapshot.now, &tested.at), tested.detail))]);
    }
    let (requests, denied) = now.map_or(("-".to_owned(), "-".to_owned()), |now| (rate(now.requests), rate(now.denied)));
    lines.push(vec![
        strong(format!("{requests} requests/s  ")),
        if now.is_some_and(|now| now.denied > 0.0) {
            bad(format!("{denied} denied/s"))
        } else {
            strong(format!("{denied} denied/s"))
        },
        strong(format!("  {} open", snapshot.tunnels.total)),
        soft(format!("   in all {} requests, {} denied", total.requests, total.denied)),
    ]);
    lines
}

fn named(policy: &ApiPolicy) -> Vec<StyledText> {
    // The mode first: it has to be seen on the narrowest screen.
    let mut line = match policy.mode.as_str() {
        "enforce" => vec![strong(&policy.mode)],
        _ => vec![odd(format!("{}: what is denied passes", policy.mode))],
    };
    match (policy.enabled, policy.egress.as_str()) {
        (false, _) => line.push(bad("  switched off: everything is denied")),
        (true, "allowlist") => {}
        (true, egress) => line.push(odd(format!("  egress {egress}"))),
    }
    line.push(strong(format!("  {}", policy.name)));
    line.push(plain(format!("  {}", policy.revision)));
    line.push(soft(format!("  {}", counted(policy.rules, "rule"))));
    line
}

fn origin(policy: &ApiPolicy, now: Timestamp) -> Vec<StyledText> {
    let mut line = vec![soft(format!("{}, in force for {}", policy.source, age(now, &policy.loaded)))];
    match &policy.selftest {
        None => line.push(soft("; not tested yet")),
        Some(tested) if tested.ok => line.push(soft(format!("; self-test ok {} ago", age(now, &tested.at)))),
        Some(_) => {}
    }
    line
}

/// How long ago something was.
pub(super) fn age(now: Timestamp, then: &Inert) -> String {
    let Some(then) = time(then) else { return "-".to_owned() };
    figures::age(now.duration_since(then).try_into().unwrap_or_default())
}

/// The moment that a text is, if it is one.
fn time(text: &Inert) -> Option<Timestamp> {
    text.as_str().parse().ok()
}

/// The time of day where the reader is.
fn clock(time: &Inert) -> String {
    let Some(time) = self::time(time) else { return "-".to_owned() };
    let local = TimeZone::system().to_datetime(time);
    format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second())
}

fn piece(text: impl Into<String>, tone: Tone) -> StyledText {
    StyledText { text: text.into(), tone }
}

pub(super) fn plain(text: impl Into<String>) -> StyledText {
    piece(text, Tone::Plain)
}

pub(super) fn strong(text: impl Into<String>) -> StyledText {
    piece(text, Tone::Strong)
}

pub(super) fn soft(text: impl Into<String>) -> StyledText {
    piece(text, Tone::Soft)
}

pub(super) fn bad(text: impl Into<String>) -> StyledText {
    piece(text, Tone::Bad)
}

pub(super) fn odd(text: impl Into<String>) -> StyledText {
    piece(text, Tone::Odd)
}
