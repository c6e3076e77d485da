//! Requests and denials, added up for people.

mod html;
mod keys;
mod text;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use jiff::Timestamp;
use jiff::tz::Offset;

use self::keys::Keys;
use super::{Detail, Request};
use crate::policy::registrable;

pub use html::{ROWS, name, page};
pub use text::Document;

/// What a report has a row for each of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// `host:port` as asked for.
    Destination,
    /// The registrable domain; an address is its own.
    Domain,
    /// The rule that decided.
    Rule,
    /// Who asked.
    User,
    /// The listener.
    Tool,
    /// The reason; allowed requests have none.
    Reason,
    /// How the request ended. An allowed request can fail.
    Outcome,
    /// The day, in UTC.
    Day,
}

impl By {
    /// All of them, in the order in which they are named to people.
    pub const ALL: [Self; 8] =
        [Self::Destination, Self::Domain, Self::Rule, Self::User, Self::Tool, Self::Reason, Self::Outcome, Self::Day];

    /// Its name.
    pub fn token(self) -> &'static str {
        match self {
            Self::Destination => "destination",
            Self::Domain => "domain",
            Self::Rule => "rule",
            Self::User => "user",
            Self::Tool => "tool",
            Self::Reason => "reason",
            Self::Outcome => "outcome",
            Self::Day => "day",
        }
    }
}

/// How many requests there were, and how many of them were denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Count {
    /// All.
    pub requests: u64,
    /// `decision = "deny"`.
    pub denied: u64,
}

/// A sum in the making.
#[derive(Debug)]
pub struct Report {
    by: By,
    most_denied: bool,
    keys: Keys,
    total: Count,
    hours: BTreeMap<i64, Count>,
    /// Denied destinations; none where the rows have them all.
    denied: Option<Keys>,
    /// Reused for each key.
    key: String,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ReportRow {
    /// What it is about; empty for what has none.
    pub key: Box<str>,
    /// How often.
    #[serde(flatten)]
    pub count: Count,
}

/// A report that is done.
#[derive(Clone, Debug)]
pub struct Summed {
    /// The most denied first, then the most asked for; days in their order. As many as were wanted.
    pub rows: Vec<ReportRow>,
    /// Further rows, which are left out; they are in the total.
    pub more_rows: usize,
    /// All together.
    pub total: Count,
    /// By hour since 1970; hours without a request are not there.
    pub hours: BTreeMap<i64, Count>,
    /// Denied destinations, the most denied first, if they were asked for; the first [`MOST_DENIED`].
    pub denied: Vec<(Box<str>, u64)>,
    /// Further denied destinations, which are left out.
    pub more_denied: usize,
}

/// As many denied destinations as a plot shows.
pub const MOST_DENIED: usize = 15;
/// The key of what found no room; it is the last row.
const OTHER: &str = "other";
const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

impl Report {
    /// An empty one, that grows with the number of its rows.
    pub fn new(by: By) -> Self {
        Self::of(by, Keys::all(), (by != By::Destination).then(Keys::all))
    }

    /// An empty one with a bound on its memory: what comes after the first `max_keys` rows counts together as `other`.
    pub fn at_most(by: By, max_keys: usize) -> Self {
        Self::of(by, Keys::at_most(max_keys), Some(Keys::at_most(max_keys)))
    }

    fn of(by: By, keys: Keys, denied: Option<Keys>) -> Self {
        let (total, hours) = (Count::default(), BTreeMap::new());
        Self { by, most_denied: true, keys, total, hours, denied, key: String::new() }
    }

    /// Without [`Summed::denied`], which needs more reading.
    pub fn rows_alone(self) -> Self {
        Self { most_denied: false, ..self }
    }

    /// What it needs to know of each request.
    pub fn wanted(&self) -> Detail {
        match self.by {
            By::Outcome => Detail::Each,
            By::Destination | By::Domain => Detail::Destinations,
            By::Rule | By::User | By::Tool | By::Reason | By::Day if self.most_denied => Detail::Destinations,
            By::Rule | By::User | By::Tool | By::Reason | By::Day => Detail::Totals,
        }
    }

    /// Adds a request, or some that are alike.
    pub fn add(&mut self, request: &Request<'_>) {
        let count =
            Count { requests: request.count, denied: if request.decision == "deny" { request.count } else { 0 } };
        self.key.clear();
        match self.by {
            By::Destination => destination(&mut self.key, request),
            By::Domain => self.key.push_str(domain(request.host)),
            By::Rule => self.key.push_str(request.rule),
            By::User => self.key.push_str(request.identity),
            By::Tool => self.key.push_str(request.tool),
            By::Reason => self.key.push_str(request.reason),
            By::Outcome => self.key.push_str(request.outcome),
            By::Day => self.key.push_str(&day(request.ms)),
        }
        self.keys.add(&self.key, count);
        self.total.add(count);
        self.hours.entry(request.ms.div_euclid(HOUR_MS)).or_default().add(count);
        if let Some(denied) = self.denied.as_mut().filter(|_| self.most_denied && count.denied > 0) {
            self.key.clear();
            destination(&mut self.key, request);
            denied.add(&self.key, count);
        }
    }

    /// The first `limit` rows in their order.
    pub fn finish(self, limit: usize) -> Summed {
        let Self { by, most_denied, keys, total, hours, denied, .. } = self;
        let (mut rows, mut most) = (TopRows::of(limit), TopRows::of(MOST_DENIED));
        let mut denies = |key: &str, count: Count| {
            if most_denied && count.denied > 0 {
                most.offer((count.denied, 0), key, count);
            }
        };
        let other = keys.each(|key, count| {
            rows.offer(if by == By::Day { (0, 0) } else { (count.denied, count.requests) }, key, count);
            if denied.is_none() {
                denies(key, count);
            }
        });
        if let Some(denied) = denied {
            denied.each(denies);
        }
        let (mut rows, mut more_rows) = rows.in_order();
        if other.requests > 0 && more_rows == 0 && rows.len() < limit {
            rows.push(ReportRow { key: OTHER.into(), count: other });
        } else {
            more_rows += usize::from(other.requests > 0);
        }
        let (most, more_denied) = most.in_order();
        let denied = most.into_iter().map(|row| (row.key, row.count.denied)).collect();
        Summed { rows, more_rows, total, hours, denied, more_denied }
    }
}

/// The first rows of many, by rank and then by name; the others are only counted.
struct TopRows {
    limit: usize,
    offered: usize,
    /// The last of them at the top.
    rows: BinaryHeap<Ranked>,
}

/// Rank, name, requests, denied. The counts after a name do not affect the order: names differ.
type Ranked = (Reverse<(u64, u64)>, Box<str>, [u64; 2]);

impl TopRows {
    fn of(limit: usize) -> Self {
        Self { limit, offered: 0, rows: BinaryHeap::new() }
    }

    fn offer(&mut self, rank: (u64, u64), key: &str, count: Count) {
        self.offered += 1;
        let row = || (Reverse(rank), key.into(), [count.requests, count.denied]);
        if self.rows.len() < self.limit {
            self.rows.push(row());
        } else if let Some(mut last) = self.rows.peek_mut()
            && (Reverse(rank), key) < (last.0, &*last.1)
        {
            *last = row();
        }
    }

    /// The rows, and how many more there are.
    fn in_order(self) -> (Vec<ReportRow>, usize) {
        let more = self.offered - self.rows.len();
        let mut rows = self.rows.into_vec();
        rows.sort_unstable();
        let rows =
            rows.into_iter().map(|(_, key, [requests, denied])| ReportRow { key, count: Count { requests, denied } });
        (rows.collect(), more)
    }
}

impl Count {
    /// Adds more requests. Counts come from a file, which may have been edited to hold counts that no proxy writes.
    pub fn add(&mut self, more: Self) {
        self.requests = self.requests.saturating_add(more.requests);
        self.denied = self.denied.saturating_add(more.denied);
    }
}

/// `host:port`; nothing where none was understood.
fn destination(key: &mut String, request: &Request<'_>) {
    if !request.host.is_empty() {
        use std::fmt::Write;
        // A String takes all.
        let _ = write!(key, "{}:{}", request.host, request.port);
    }
}

/// What one owner registered; addresses and single labels are their own.
fn domain(host: &str) -> &str {
    let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    if is_address { host } else { registrable(host).unwrap_or(host) }
}

fn day(ms: i64) -> String {
    let start = ms.div_euclid(DAY_MS) * DAY_MS;
    let date = Offset::UTC.to_datetime(Timestamp::from_millisecond(start).unwrap_or_default()).date();
    date.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two days of traffic, made by hand.
    fn traffic() -> Vec<Request<'static>> {
        let at = |day: i64, hour: i64| 1_795_392_000_000 + day * DAY_MS + hour * HOUR_MS; // 2026-11-23
        let outcome = |decision, host| match (decision, host) {
            ("deny", _) => "denied",
            ("none", _) => "malformed",
            (_, "192.0.2.7") => "unreachable",
            _ => "completed",
        };
        let request = |ms, decision, reason, rule, host, port| Request {
            count: 1,
            ms,
            decision,
            reason,
            rule,
            tool: "browser",
            identity: "",
            host,
            port,
            address: "",
            outcome: outcome(decision, host),
            began_otherwise: false,
        };
        vec![
            request(at(0, 0), "allow", "", "allow:*.example.com", "a.example.com", 443),
            request(at(0, 1), "allow", "", "allow:*.example.com", "b.example.com", 443),
            request(at(0, 1), "deny", "host_not_allowed", "", "example.com", 443),
            request(at(0, 23), "deny", "host_not_allowed", "", "x.example.co.uk", 80),
            request(at(1, 0), "deny", "host_denied", "deny:x.example.co.uk", "x.example.co.uk", 80),
            request(at(1, 5), "observe", "host_not_allowed", "", "192.0.2.7", 8080),
            request(at(1, 5), "none", "malformed_request", "", "", 0),
            request(at(1, 5), "deny", "address_not_allowed", "", "[2001:db8::1]", 443),
        ]
    }

    fn rows(by: By) -> Vec<(String, u64, u64)> {
        let mut report = Report::new(by);
        traffic().iter().for_each(|request| report.add(request));
        let summed = report.finish(usize::MAX);
        assert_eq!(summed.total, Count { requests: 8, denied: 4 });
        let sums = summed.rows.iter().fold((0, 0), |sum, row| (sum.0 + row.count.requests, sum.1 + row.count.denied));
        assert_eq!(sums, (8, 4), "rows add up to the total");
        summed.rows.into_iter().map(|row| (row.key.into(), row.count.requests, row.count.denied)).collect()
    }

    fn row(key: &str, requests: u64, denied: u64) -> (String, u64, u64) {
        (key.to_owned(), requests, denied)
    }

    #[test]
    fn each_way_to_add_up_has_its_rows() {
        assert_eq!(
            rows(By::Destination),
            [
                row("x.example.co.uk:80", 2, 2),
                row("[2001:db8::1]:443", 1, 1),
                row("example.com:443", 1, 1),
                row("", 1, 0),
                row("192.0.2.7:8080", 1, 0),
                row("a.example.com:443", 1, 0),
                row("b.example.com:443", 1, 0),
            ]
        );
        assert_eq!(
            rows(By::Domain),
            [
                row("example.co.uk", 2, 2),
                row("example.com", 3, 1),
                row("[2001:db8::1]", 1, 1),
                row("", 1, 0),
                row("192.0.2.7", 1, 0),
            ]
        );
        assert_eq!(rows(By::Day), [row("2026-11-23", 4, 2), row("2026-11-24", 4, 2)]);
        assert_eq!(
            rows(By::Reason),
            [
                row("host_not_allowed", 3, 2),
                row("address_not_allowed", 1, 1),
                row("host_denied", 1, 1),
                row("", 2, 0),
                row("malformed_request", 1, 0),
            ]
        );
        assert_eq!(
            rows(By::Rule),
            [row("", 5, 3), row("deny:x.example.co.uk", 1, 1), row("allow:*.example.com", 2, 0)]
        );
        assert_eq!(
            rows(By::Outcome),
            [row("denied", 4, 4), row("completed", 2, 0), row("malformed", 1, 0), row("unreachable", 1, 0)]
        );
        assert_eq!(rows(By::Tool), [row("browser", 8, 4)]);
        assert_eq!(rows(By::User), [row("", 8, 4)]);
    }

    #[test]
    fn with_a_bound_the_rows_still_add_up_to_the_total() {
        let mut report = Report::at_most(By::Destination, 2);
        traffic().iter().for_each(|request| report.add(request));
        let summed = report.finish(usize::MAX);
        let rows: Vec<_> = summed.rows.iter().map(|row| (&*row.key, row.count.requests, row.count.denied)).collect();
        assert_eq!(rows, [("a.example.com:443", 1, 0), ("b.example.com:443", 1, 0), ("other", 6, 4)]);
        assert_eq!((summed.total, summed.denied.len()), (Count { requests: 8, denied: 4 }, 2));
    }

    #[test]
    fn the_first_rows_are_those_of_the_whole_report() {
        for by in By::ALL {
            for max in [3, usize::MAX] {
                let report = || {
                    let mut report = Report::at_most(by, max);
                    traffic().iter().for_each(|request| report.add(request));
                    report
                };
                let whole = report().finish(usize::MAX);
                for limit in 0..=whole.rows.len() + 1 {
                    let part = report().finish(limit);
                    let shown = limit.min(whole.rows.len());
                    assert_eq!(part.rows, whole.rows[..shown], "{by:?} {limit}");
                    assert_eq!(part.more_rows, whole.rows.len() - shown, "{by:?} {limit}");
                    assert_eq!((part.total, part.denied), (whole.total, whole.denied.clone()));
                }
            }
        }
    }

    #[test]
    fn hours_and_the_most_denied_come_with_every_report() {
        let mut report = Report::new(By::Tool);
        traffic().iter().for_each(|request| report.add(request));
        let summed = report.finish(usize::MAX);
        let hours: Vec<_> = summed.hours.values().map(|count| (count.requests, count.denied)).collect();
        assert_eq!(hours, [(1, 0), (2, 1), (1, 1), (1, 1), (3, 1)]);
        let denied: Vec<_> = summed.denied.iter().map(|(to, count)| (&**to, *count)).collect();
        assert_eq!(denied, [("x.example.co.uk:80", 2), ("[2001:db8::1]:443", 1), ("example.com:443", 1)]);
    }
}
