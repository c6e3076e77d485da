//! What is shown, in words: the same on a screen and as plain text.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::ask::{Inert, Policy, Record, Snapshot};
use super::state::{Pane, Shown, State};

/// A piece of text and how it is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
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

/// What stands above a pane.
pub(super) fn title(pane: Pane, state: &State) -> String {
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
                true => format!("Open tunnels, {order} of the oldest {} of {open}", state.rows(pane)),
                false => format!("Open tunnels, {order} first"),
            }
        }
        Pane::Records => "Last requests".to_owned(),
    }
}

/// The cells of one row.
pub(super) fn row(pane: Pane, snapshot: &Snapshot, at: usize) -> Vec<Piece> {
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
                plain(&tunnel.destination),
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

fn record(record: &Record) -> Vec<Piece> {
    if record.kind.as_str() == "gap" {
        let missing = format!("{} missing", counted_as(record.dropped, "record"));
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
pub(super) fn header(shown: &Shown) -> Vec<Vec<Piece>> {
    let Shown { snapshot, rate, .. } = shown;
    let (policy, counted) = (&snapshot.policy, &snapshot.counted);
    let mut lines = vec![named(policy), origin(policy, snapshot.now)];
    if let Some(error) = &policy.error {
        lines.push(vec![bad(format!("the last reload failed: {error}"))]);
    }
    if let Some(tested) = policy.selftest.as_ref().filter(|tested| !tested.ok) {
        lines.push(vec![bad(format!("self-test failed {} ago: {}", age(snapshot.now, &tested.at), tested.detail))]);
    }
    let (requests, denied) =
        rate.map_or(("-".to_owned(), "-".to_owned()), |rate| (decimal(rate.requests), decimal(rate.denied)));
    lines.push(vec![
        strong(format!("{requests} requests/s  ")),
        if rate.is_some_and(|rate| rate.denied > 0.0) {
            bad(format!("{denied} denied/s"))
        } else {
            strong(format!("{denied} denied/s"))
        },
        strong(format!("  {}", counted_as(snapshot.tunnels.total, "tunnel"))),
        soft(format!("   in all {} requests, {} denied", counted.requests, counted.denied)),
    ]);
    lines
}

fn named(policy: &Policy) -> Vec<Piece> {
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
    line.push(soft(format!("  {}", counted_as(policy.rules, "rule"))));
    line
}

fn origin(policy: &Policy, now: Timestamp) -> Vec<Piece> {
    let mut line = vec![soft(format!("{}, in force for {}", policy.source, age(now, &policy.loaded)))];
    match &policy.selftest {
        None => line.push(soft("; not tested yet")),
        Some(tested) if tested.ok => line.push(soft(format!("; self-test ok {} ago", age(now, &tested.at)))),
        Some(_) => {}
    }
    line
}

/// How long ago something was, in at most four characters for less than 27 years.
pub(super) fn age(now: Timestamp, then: &Inert) -> String {
    let Some(then) = then.time() else { return "-".to_owned() };
    let seconds = now.duration_since(then).as_secs().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// The time of day where the reader is.
fn clock(time: &Inert) -> String {
    let Some(time) = time.time() else { return "-".to_owned() };
    let local = TimeZone::system().to_datetime(time);
    format!("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second())
}

/// Bytes in at most eight characters.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let (mut tenths, mut unit) = (u128::from(count) * 10 / 1024, UNITS.iter());
    let mut name = unit.next();
    while tenths >= 10_240 {
        tenths /= 1024;
        name = unit.next();
    }
    let name = name.copied().unwrap_or_default();
    if tenths >= 1000 { format!("{} {name}", tenths / 10) } else { format!("{}.{} {name}", tenths / 10, tenths % 10) }
}

fn counted_as(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

/// A rate with as many digits as mean something.
pub(super) fn decimal(value: f64) -> String {
    if value >= 99.95 { format!("{value:.0}") } else { format!("{value:.1}") }
}

fn piece(text: impl Into<String>, tone: Tone) -> Piece {
    Piece { text: text.into(), tone }
}

pub(super) fn plain(text: impl Into<String>) -> Piece {
    piece(text, Tone::Plain)
}

pub(super) fn strong(text: impl Into<String>) -> Piece {
    piece(text, Tone::Strong)
}

pub(super) fn soft(text: impl Into<String>) -> Piece {
    piece(text, Tone::Soft)
}

pub(super) fn bad(text: impl Into<String>) -> Piece {
    piece(text, Tone::Bad)
}

pub(super) fn odd(text: impl Into<String>) -> Piece {
    piece(text, Tone::Odd)
}
