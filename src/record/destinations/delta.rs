//! Denials that one worker has counted and not yet handed to the table.

use std::sync::Arc;
use std::time::SystemTime;

use foldhash::HashMap;
use smallvec::SmallVec;

use crate::facts::Destination;
use crate::policy::DenyReason;
use crate::record::tools::Tools;

/// Destinations that one worker counts between two merges.
const MAX_DELTA: usize = 1024;
/// The longest rule id that a row keeps, in bytes.
const MAX_RULE: usize = 128;

/// What one worker has counted since the last merge.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    pub(super) rows: HashMap<Destination, SmallVec<[(DenyReason, Tally); 1]>>,
    /// Denials whose destination is not known.
    pub(super) nameless: Vec<(DenyReason, u64)>,
}

/// Denials of one destination for one reason.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) count: u64,
    pub(super) first: SystemTime,
    pub(super) last: SystemTime,
    pub(super) rule: Option<Arc<str>>,
    pub(super) tools: Tools,
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

impl Tally {
    /// Adds another tally of the same destination and reason.
    pub(super) fn absorb(&mut self, later: Self) {
        self.count += later.count;
        self.first = self.first.min(later.first);
        self.tools.join(later.tools);
        if later.last >= self.last {
            self.last = later.last;
            self.rule = later.rule;
        }
    }
}
