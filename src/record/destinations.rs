//! Which destinations were denied, how often, and why: exact sums in a bounded table.
//!
//! Guaranteed:
//! - The counts of all rows and of `other` add up to the denied requests, to the unit.
//! - A row, once there, stays until restart and is exact since it appeared. What came before it, or does not fit,
//!   counts under `*.domain` or `other`.
//! - A destination is a row by itself while there is room. One domain (or address) has at most [`MAX_PER_GROUP`] rows,
//!   so names made up under one domain collapse into `*.domain`. The last quarter of the rows is kept for what is
//!   denied again and again, so names made up under many domains fill `other` and not the table.
//! - Domains are registrable ones (public suffix list, private section too: tenants of one host do not collapse).
//!
//! The names are the clients' choice, so the tables are seeded anew in each process, and each is bounded besides.
//!
//! Deliberately not done: making room by forgetting a row. A counter that goes away and comes back is no counter.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use foldhash::{HashMap, HashMapExt};
use serde::{Serialize, Serializer};
use smallvec::SmallVec;

use super::sightings::Sightings;
use super::tools::Tools;
use super::utc::UtcTime;
use crate::facts::{Destination, Host};
use crate::policy::{DenyReason, registrable};

/// Rows of one registrable domain, or of one address. Enough to see what a product does with its own domain; beyond it
/// the names are made up, or belong to tenants.
const MAX_PER_GROUP: u32 = 50;
/// Denials that make a destination worth one of the last rows: more than a page's retries.
const WORTH_A_ROW: u64 = 8;
/// Destinations that one worker counts between two merges.
const MAX_DELTA: usize = 1024;
/// The longest rule id that a row keeps, in bytes.
const MAX_RULE: usize = 128;
/// The label of what has no row.
const OTHER: &str = "other";

/// What `/v1/denials` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denials {
    /// Denied requests since the start.
    pub total: u64,
    /// The most denied destinations, the most denied first.
    pub destinations: Vec<DeniedDestination>,
    /// Denied requests that none of `destinations` counts: `total` less their sum.
    pub other: u64,
}

/// One denied destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeniedDestination {
    /// `host:port` as asked for, or `*.domain` for a domain's names that have no row of their own.
    #[serde(serialize_with = "as_text")]
    pub destination: Arc<str>,
    /// Why.
    #[serde(serialize_with = "as_token")]
    pub reason: DenyReason,
    /// How often, since the row appeared.
    pub count: u64,
    /// The first of them, UTC.
    #[serde(serialize_with = "as_utc")]
    pub first: SystemTime,
    /// The last of them, UTC.
    #[serde(serialize_with = "as_utc")]
    pub last: SystemTime,
    /// The rule that the last of them cited, if any.
    #[serde(serialize_with = "as_optional_text")]
    pub rule: Option<Arc<str>>,
    /// By which tools it was asked for: the listeners' names, in their order.
    pub tools: Vec<String>,
}

fn as_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn as_optional_text<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}

fn as_token<S: Serializer>(reason: &DenyReason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.as_str())
}

fn as_utc<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&UtcTime(*time))
}

/// What one worker has counted since the last merge.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    rows: HashMap<Destination, SmallVec<[(DenyReason, Tally); 1]>>,
    /// Denials whose destination is not known.
    nameless: Vec<(DenyReason, u64)>,
}

/// Denials of one destination for one reason.
#[derive(Clone, Debug)]
struct Tally {
    count: u64,
    first: SystemTime,
    last: SystemTime,
    rule: Option<Arc<str>>,
    tools: Tools,
}

impl Delta {
    /// Whether one more destination would be too many. Its owner then merges first.
    pub(crate) fn is_full_for(&self, destination: Option<&Destination>) -> bool {
        self.rows.len() >= MAX_DELTA && destination.is_some_and(|destination| !self.rows.contains_key(destination))
    }

    pub(crate) fn count(
        &mut self,
        to: Option<&Destination>,
        reason: DenyReason,
        rule: Option<&str>,
        listener: usize,
        at: SystemTime,
    ) {
        let tools = Tools::of(listener);
        let Some(destination) = to else {
            match self.nameless.iter_mut().find(|(of, _)| *of == reason) {
                Some((_, count)) => *count += 1,
                None => self.nameless.push((reason, 1)),
            }
            return;
        };
        let rows = match self.rows.get_mut(destination) {
            Some(rows) => rows,
            None => self.rows.entry(destination.clone()).or_default(),
        };
        match rows.iter_mut().find(|(of, _)| *of == reason) {
            Some((_, tally)) => {
                tally.count += 1;
                tally.last = at;
                tally.tools.join(tools);
                if tally.rule.as_deref() != rule.map(short_rule) {
                    tally.rule = rule.map(|rule| short_rule(rule).into());
                }
            }
            None => {
                let rule = rule.map(|rule| short_rule(rule).into());
                rows.push((reason, Tally { count: 1, first: at, last: at, rule, tools }));
            }
        }
    }
}

fn short_rule(rule: &str) -> &str {
    rule.get(..rule.floor_char_boundary(MAX_RULE)).unwrap_or(rule)
}

/// All that was denied since the start.
#[derive(Debug)]
pub(crate) struct Table {
    limits: Limits,
    named: HashMap<Destination, SmallVec<[Row; 1]>>,
    named_rows: usize,
    groups: HashMap<Group, u32>,
    collapsed: HashMap<Box<str>, SmallVec<[Row; 1]>>,
    collapsed_rows: usize,
    other: [u64; DenyReason::ALL.len()],
    total: u64,
    sightings: Sightings,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Rows with a destination of their own.
    named: usize,
    /// Those of them that whoever comes first may take.
    first_come: usize,
    /// Rows of whole domains.
    collapsed: usize,
}

#[derive(Debug)]
struct Row {
    reason: DenyReason,
    label: Arc<str>,
    tally: Tally,
}

/// What shares the rows of one group.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Group {
    /// A registrable domain.
    Domain(Box<str>),
    /// A name that is a public suffix itself, or has one label.
    Suffix(Box<str>),
    /// An address literal.
    Ip(IpAddr),
}

impl Table {
    pub(crate) fn new(max_destinations: usize) -> Self {
        let limits = Limits {
            named: max_destinations,
            first_come: max_destinations - max_destinations / 4,
            collapsed: max_destinations / 2,
        };
        Self {
            limits,
            named: HashMap::new(),
            named_rows: 0,
            groups: HashMap::new(),
            collapsed: HashMap::new(),
            collapsed_rows: 0,
            other: [0; DenyReason::ALL.len()],
            total: 0,
            sightings: Sightings::new(),
        }
    }

    /// Takes in what a worker has counted.
    pub(crate) fn merge(&mut self, delta: Delta) {
        for (reason, count) in delta.nameless {
            self.total += count;
            self.add_other(reason, count);
        }
        for (destination, tallies) in delta.rows {
            for (reason, tally) in tallies {
                self.total += tally.count;
                self.add(&destination, reason, tally);
            }
        }
    }

    fn add(&mut self, destination: &Destination, reason: DenyReason, tally: Tally) {
        let rows = self.named.get_mut(destination);
        if let Some(row) = rows.and_then(|rows| rows.iter_mut().find(|row| row.reason == reason)) {
            return row.tally.absorb(tally);
        }
        let group = Group::of(destination.host());
        let crowded = self.groups.get(&group).is_some_and(|rows| *rows >= MAX_PER_GROUP);
        if !crowded && self.has_room_for(destination, reason, tally.count) {
            let row = Row { reason, label: destination.to_string().into(), tally };
            self.named.entry(destination.clone()).or_default().push(row);
            self.named_rows += 1;
            *self.groups.entry(group).or_default() += 1;
            return;
        }
        match group {
            Group::Domain(domain) => self.collapse(domain, crowded, reason, tally),
            Group::Suffix(_) | Group::Ip(_) => self.add_other(reason, tally.count),
        }
    }

    fn has_room_for(&mut self, destination: &Destination, reason: DenyReason, count: u64) -> bool {
        self.named_rows < self.limits.first_come
            || self.named_rows < self.limits.named && self.sightings.note((destination, reason), count) >= WORTH_A_ROW
    }

    /// Counts under the domain, if it has a row or now deserves one: because it has had all the rows that one domain
    /// may have, or because it would have, were there room.
    fn collapse(&mut self, domain: Box<str>, crowded: bool, reason: DenyReason, tally: Tally) {
        let rows = self.collapsed.get_mut(&domain);
        if let Some(row) = rows.and_then(|rows| rows.iter_mut().find(|row| row.reason == reason)) {
            return row.tally.absorb(tally);
        }
        let room = self.collapsed_rows < self.limits.collapsed;
        if room && (crowded || self.sightings.note(&domain, tally.count) >= u64::from(MAX_PER_GROUP)) {
            let row = Row { reason, label: format!("*.{domain}").into(), tally };
            self.collapsed.entry(domain).or_default().push(row);
            self.collapsed_rows += 1;
        } else {
            self.add_other(reason, tally.count);
        }
    }

    fn add_other(&mut self, reason: DenyReason, count: u64) {
        if let Some(other) = self.other.get_mut(reason.index()) {
            *other += count;
        }
    }

    fn rows(&self) -> impl Iterator<Item = &Row> {
        self.named.values().chain(self.collapsed.values()).flatten()
    }

    /// Every series of `outgate_denied_destinations_total`: label, reason, count.
    pub(crate) fn series(&self) -> Vec<(Arc<str>, DenyReason, u64)> {
        let rows = self.rows().map(|row| (Arc::clone(&row.label), row.reason, row.tally.count));
        let other = DenyReason::ALL.into_iter().zip(self.other).filter(|(_, count)| *count > 0);
        rows.chain(other.map(|(reason, count)| (OTHER.into(), reason, count))).collect()
    }

    /// The `limit` most denied rows, and everything else in one number.
    pub(crate) fn denials(&self, limit: usize, listeners: &[String]) -> Denials {
        let mut rows: Vec<&Row> = self.rows().collect();
        rows.sort_unstable_by(|a, b| {
            let order = b.tally.count.cmp(&a.tally.count);
            order.then_with(|| a.label.cmp(&b.label)).then_with(|| a.reason.cmp(&b.reason))
        });
        let destinations: Vec<_> = rows.into_iter().take(limit).map(|row| row.shown(listeners)).collect();
        let shown: u64 = destinations.iter().map(|row| row.count).sum();
        Denials { total: self.total, destinations, other: self.total - shown }
    }

    /// Denied requests since the start.
    #[cfg(test)]
    pub(crate) fn total(&self) -> u64 {
        self.total
    }
}

impl Tally {
    fn absorb(&mut self, later: Self) {
        self.count += later.count;
        self.first = self.first.min(later.first);
        self.tools.join(later.tools);
        if later.last >= self.last {
            self.last = later.last;
            self.rule = later.rule;
        }
    }
}

impl Row {
    fn shown(&self, listeners: &[String]) -> DeniedDestination {
        let Tally { count, first, last, ref rule, tools } = self.tally;
        DeniedDestination {
            destination: Arc::clone(&self.label),
            reason: self.reason,
            count,
            first,
            last,
            rule: rule.clone(),
            tools: tools.names(listeners),
        }
    }
}

impl Group {
    fn of(host: &Host) -> Self {
        match host {
            Host::Ip(ip) => Self::Ip(*ip),
            Host::Name(name) => match registrable(name.as_str()) {
                Some(domain) => Self::Domain(domain.into()),
                None => Self::Suffix(name.as_str().into()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const REASON: DenyReason = DenyReason::HostNotAllowed;

    fn deny(table: &mut Table, to: &str) {
        deny_for(table, to, REASON, None, 0);
    }

    fn deny_for(table: &mut Table, to: &str, reason: DenyReason, rule: Option<&str>, second: u64) {
        let destination = Destination::parse(to.as_bytes(), None).unwrap();
        let mut delta = Delta::default();
        delta.count(Some(&destination), reason, rule, 1, SystemTime::UNIX_EPOCH + Duration::from_secs(second));
        table.merge(delta);
    }

    fn count(table: &Table, label: &str) -> Option<u64> {
        table.series().iter().find(|(shown, ..)| &**shown == label).map(|(_, _, count)| *count)
    }

    fn assert_exact(table: &Table, total: u64) {
        assert_eq!(table.total(), total);
        assert_eq!(table.series().iter().map(|(_, _, count)| count).sum::<u64>(), total);
        let cut = table.denials(3, &[]);
        assert_eq!(cut.total, total);
        assert_eq!(cut.destinations.iter().map(|row| row.count).sum::<u64>() + cut.other, total);
    }

    #[test]
    fn names_made_up_under_one_domain_collapse_and_a_busy_one_keeps_its_row() {
        let mut table = Table::new(2000);
        for n in 0..100_000 {
            deny(&mut table, &format!("{n:x}.flood.example.test:443"));
            if n % 1000 == 0 {
                deny(&mut table, "busy.test:443");
            }
        }
        assert_eq!(count(&table, "busy.test:443"), Some(100));
        assert_eq!(count(&table, "0.flood.example.test:443"), Some(1));
        assert_eq!(count(&table, "*.example.test"), Some(100_000 - 50));
        assert_eq!(count(&table, OTHER), None);
        assert_exact(&table, 100_100);
    }

    #[test]
    fn domains_made_up_fill_other_and_leave_room_for_what_comes_again() {
        let mut table = Table::new(200);
        deny(&mut table, "early.test:443");
        for n in 0..100_000 {
            deny(&mut table, &format!("{n:x}-flood.test:443"));
        }
        assert!(table.named_rows <= 160, "{}", table.named_rows);
        for _ in 0..100 {
            deny(&mut table, "early.test:443");
            deny(&mut table, "late.test:443");
        }
        assert_eq!(count(&table, "early.test:443"), Some(101));
        let late = count(&table, "late.test:443").expect("a row");
        assert!(late > 80, "{late}: what came before the row appeared is in `other`");
        for n in 0..1000 {
            deny(&mut table, &format!("{n:x}.one-flood.test:443"));
        }
        let whole = count(&table, "*.one-flood.test").expect("a domain's row although the table was full of others");
        assert!(whole > 850, "{whole}");
        assert_exact(&table, 101_201);
    }

    #[test]
    fn a_table_without_rows_still_counts() {
        let mut table = Table::new(0);
        for n in 0..100 {
            deny(&mut table, &format!("{n}-a.test:443"));
        }
        assert_eq!(table.series(), [(OTHER.into(), REASON, 100)]);
        assert_exact(&table, 100);
    }

    #[test]
    fn rows_are_kept_by_destination_and_reason() {
        let mut table = Table::new(10);
        deny_for(&mut table, "a.test:443", DenyReason::HostDenied, Some("deny:a.test"), 2);
        deny_for(&mut table, "a.test:443", DenyReason::HostDenied, Some("deny:*"), 1);
        deny_for(&mut table, "a.test:443", DenyReason::SniMismatch, None, 3);
        deny_for(&mut table, "a.test:80", DenyReason::HostDenied, None, 4);
        let denials = serde_json::to_string(&table.denials(1, &["cli".into(), "web".into()])).unwrap();
        assert_eq!(
            denials,
            "{\"total\":4,\"destinations\":[{\"destination\":\"a.test:443\",\"reason\":\"host_denied\",\"count\":2,\
             \"first\":\"1970-01-01T00:00:01.000Z\",\"last\":\"1970-01-01T00:00:02.000Z\",\"rule\":\"deny:a.test\",\
             \"tools\":[\"web\"]}],\
             \"other\":2}"
        );
    }

    #[test]
    fn addresses_and_public_suffixes_never_collapse_into_a_domain() {
        let mut table = Table::new(2000);
        for port in 1..=60 {
            deny(&mut table, &format!("192.0.2.1:{port}"));
            deny(&mut table, &format!("[2001:db8::1]:{port}"));
            deny(&mut table, &format!("test:{port}"));
            deny(&mut table, &format!("a.test:{port}"));
        }
        assert_eq!(count(&table, "192.0.2.1:50"), Some(1));
        assert_eq!(count(&table, "192.0.2.1:51"), None, "a scan of one host takes no more than its share");
        assert_eq!(count(&table, "*.a.test"), Some(10));
        assert_eq!(count(&table, OTHER), Some(30));
        assert_exact(&table, 240);
    }

    proptest! {
        /// After every merge: the counts add up, no series has left or shrunk, and what has a row is counted to the unit
        /// from the merge on that brought the row.
        #[test]
        fn a_row_is_exact_since_it_appeared_and_stays(
            merges in vec(vec((0_u32..5, 0_u32..120, 0_usize..2), 1..60), 1..25),
            max_destinations in 0_usize..60,
        ) {
            let mut table = Table::new(max_destinations);
            let mut asked: BTreeMap<(String, DenyReason), u64> = BTreeMap::new();
            // Of each row, the denials before it appeared; of each series, its count at the last look.
            let (mut before, mut shown) = (BTreeMap::new(), BTreeMap::new());
            for merge in merges {
                let mut delta = Delta::default();
                for (kind, n, reason) in merge {
                    let to = match kind {
                        0 => format!("{n}.flood.example.test:443"),
                        1 => format!("{n}-flood.test:443"),
                        2 => format!("{}.busy.test:443", n % 3),
                        3 => format!("{n}.tenant{}.test:{}", n % 4, 1 + n % 2),
                        _ => format!("192.0.2.{}:{}", n % 2, 1 + n),
                    };
                    let reason = [REASON, DenyReason::SniMismatch][reason];
                    delta.count(Destination::parse(to.as_bytes(), None).ok().as_ref(), reason, None, 0, SystemTime::UNIX_EPOCH);
                    *asked.entry((to, reason)).or_default() += 1;
                }
                table.merge(delta);
                let total: u64 = asked.values().sum();
                assert_exact(&table, total);
                let now: BTreeMap<_, _> =
                    table.series().into_iter().map(|(label, reason, count)| ((label.to_string(), reason), count)).collect();
                for (series, count) in &shown {
                    prop_assert!(now.get(series) >= Some(count), "{series:?} went or shrank");
                }
                for (series, count) in now.iter().filter(|((label, _), _)| label != OTHER && !label.starts_with("*.")) {
                    let unseen = asked[series].checked_sub(*count);
                    prop_assert!(unseen.is_some(), "{series:?}: {count} of {}", asked[series]);
                    prop_assert_eq!(*before.entry(series.clone()).or_insert(unseen), unseen, "{:?}", series);
                }
                shown = now;
                let bounded = table.named_rows <= max_destinations && table.collapsed_rows <= max_destinations / 2;
                prop_assert!(bounded, "{} rows, {} domains", table.named_rows, table.collapsed_rows);
            }
        }
    }

    #[test]
    fn no_flood_makes_it_larger_than_its_bound() {
        const ROWS: usize = 2000;
        let mut table = Table::new(ROWS);
        let label = "x".repeat(50);
        for n in 0..60_000_u32 {
            // As long as a name can be; each domain often enough to be worth a row.
            let domain = if n % 2 == 0 { n } else { n / 128 };
            let host = format!("{n:x}.{label}.{label}.{label}.d{domain:x}-{label}.test");
            deny(&mut table, &format!("{host}:443"));
        }
        assert_exact(&table, 60_000);
        assert!(table.named_rows <= ROWS && table.collapsed_rows <= ROWS / 2);
        assert!(table.named.len() <= ROWS && table.groups.len() <= ROWS && table.collapsed.len() <= ROWS / 2);
        // What the module's head promises, by what is held: keys, labels and rows; maps double, and keep an eighth free.
        let slots = table.named.capacity() * (size_of::<Destination>() + size_of::<SmallVec<[Row; 1]>>())
            + table.groups.capacity() * size_of::<(Group, u32)>()
            + table.collapsed.capacity() * size_of::<(Box<str>, SmallVec<[Row; 1]>)>();
        let labels: usize = table.rows().map(|row| row.label.len()).sum();
        let hosts: usize = table.named.keys().map(|to| to.to_string().len()).sum();
        let domains = ROWS * 64 + ROWS / 2 * 64;
        let bytes = slots * 8 / 7 + labels + hosts + domains;
        assert!(bytes < 3 << 20, "{bytes}");
    }
}
