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
//! Deliberately not done: evicting rows to make room. A counter must not disappear and start again.

mod delta;
mod denials;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use smallvec::SmallVec;

use self::delta::Tally;
use super::sightings::Sightings;
use crate::facts::{Destination, Host};
use crate::policy::{DenyReason, registrable};

pub(crate) use delta::Delta;
pub use denials::{Denials, DeniedDestination};

/// Rows of one registrable domain, or of one address. Enough to see what a product does with its own domain; beyond it
/// the names are made up, or belong to tenants.
const MAX_PER_GROUP: u32 = 50;
/// Denials that make a destination worth one of the last rows: more than a page's retries.
const WORTH_A_ROW: u64 = 8;
/// The label of what has no row.
const OTHER: &str = "other";

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
    /// Those of them that go to the destinations that come first.
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
