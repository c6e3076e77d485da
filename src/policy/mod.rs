//! The decision point.
//!
//! Text becomes a [`PolicyDocument`] (what was written), which compiles into one immutable [`Policy`]. One or more policies
//! are a [`Stack`] (what is asked). [`Snapshot::decide`] answers one request; [`Permit::route`] judges the addresses that it would reach and says by
//! which way.
//!
//! Guaranteed:
//! - A request that no rule allows is denied; nothing outside this module can make a [`Permit`].
//! - Deny rules win over allow rules, so the order of rules in a document never matters.
//! - The cost does not depend on the number of rules: one hash lookup for each label of the host, one trie walk for each address.
//!
//! Deliberately not here: resolving names, reading files or the clock, waiting, logging. Time is an argument, and files
//! that a policy includes are passed to the compiler.

mod address_hint;
mod advice;
mod cited;
mod compile;
mod decide;
mod decision;
mod document;
mod draft;
mod hint;
mod host_name;
mod list;
mod matcher;
mod miss;
mod network;
mod opening;
mod parent;
mod pattern;
mod pattern_text;
mod permit;
mod ports;
mod problem;
mod problem_code;
mod reason;
mod rule;
mod snapshot;
mod stack;
mod suffix;
mod table;
pub mod text;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::permit_by_parent;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;

pub use advice::{Advice, Adviser, DeniedBefore};
pub use cited::Cited;
pub use compile::{Compiled, ListSource, Source};
pub use decision::{Decision, Denial};
pub use document::{
    Covers, Effect, Egress, ListDocument, ListFormat, Mode, PolicyDocument, PortsDocument, RuleDocument, Span, Spanned,
    TestDocument, Tls,
};
pub use parent::ParentScope;
pub use permit::{Basis, NoRoute, ParentPermit, Permit, Reached, Route, RuleRef, VettedAddrs};
pub use problem::{Complaint, Problem, ProblemPlace, Problems};
pub use problem_code::{Example, ProblemCode, Severity};
pub use reason::DenyReason;
pub use rule::{Rule, RuleDestination};
pub use snapshot::Snapshot;
pub use stack::Stack;
pub use suffix::{is_registry_suffix, registrable};

use decision::RuleIndex;
use matcher::Matcher;

/// A compiled policy: one layer of a [`Stack`].
pub struct Policy {
    name: Arc<str>,
    revision: Arc<str>,
    enabled: bool,
    egress: Egress,
    mode: Mode,
    contact: Option<Box<str>>,
    rules: Box<[Rule]>,
    allows: Matcher,
    denies: Matcher,
    /// Whether some deny rule for addresses depends on more than the address, so that permits must remember the rest.
    denies_addresses_conditionally: bool,
    internal: Box<[IpNet]>,
    /// Every `from` and `until`, in order, each once.
    changes: Box<[SystemTime]>,
}

impl Policy {
    /// Whose policy it is.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which version of it this is: the author's text, or the first 12 hexadecimal digits of the content's hash.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Whether its mode is to enforce or to observe.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The organisation's switch; off, everything is denied.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// How far the egress goes.
    pub fn egress(&self) -> Egress {
        self.egress
    }

    /// Whom to ask.
    pub fn contact(&self) -> Option<&str> {
        self.contact.as_deref()
    }

    /// The rules in force, in the order of the text: entries, rules, lists.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// How many rules are in force. An entry of `allow`, `deny` or (where it counts) `package-managers` is one rule, and
    /// so is a list, however long.
    pub fn rule_count(&self) -> usize {
        self.rules.len()
    }

    /// The next time after `t` at which some rule begins or lapses.
    pub fn next_change_after(&self, t: SystemTime) -> Option<SystemTime> {
        self.changes.get(self.changes.partition_point(|change| *change <= t)).copied()
    }

    /// Whether some rule began or lapsed between a time and now, whichever of the two is earlier: clocks are set back. The
    /// clock is asked only where it matters.
    pub fn changes_since(&self, t: SystemTime, clock: impl Fn() -> SystemTime) -> bool {
        let before = |t: SystemTime| self.changes.partition_point(|change| *change <= t);
        !self.changes.is_empty() && before(t) != before(clock())
    }

    fn rule(&self, index: RuleIndex) -> &Rule {
        #[expect(clippy::indexing_slicing, reason = "compile hands out indices of this very slice and no others")]
        &self.rules[index.0 as usize]
    }

    /// Whether a name that a rule names may resolve to this special-purpose address.
    fn opens_internal(&self, ip: IpAddr) -> bool {
        self.internal.iter().any(|net| network::opens(net, ip))
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("revision", &self.revision)
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}
