//! The decision: one request's facts in, one answer out.
//!
//! Guaranteed:
//! - A request that no rule allows is denied; there is no default. Of several layers each must allow it.
//! - Deny rules are asked before allow rules, so the order of rules in a document never matters. Nor does it among allow
//!   rules: a permit carries every rule that allows the request, and what any of them opens is open.
//! - The cost does not depend on the number of rules, but on how many name the same host or block.
//! - A name of one label is only for rules that name it; `egress = "all"` does not reach it, since it means something
//!   else on every network.
//!
//! Deliberately not done here: resolving names (the answer would be stale when dialled, and a denied name must never reach
//! a resolver), reading the clock (`facts.at` is an argument, so that a replay judges yesterday as yesterday did).

use std::net::IpAddr;

use smallvec::SmallVec;

use super::decision::{Objection, RuleIndex};
use super::document::{Egress, Mode};
use super::matcher::{Clause, Matcher};
use super::miss::Miss;
use super::permit::{Grant, Grants, Matched};
use super::rule::{RuleFacts, RuleFactsRef, Test};
use super::stack::LayerIndex;
use super::{Basis, Decision, Denial, DenyReason, Permit, Policy, RuleRef, Snapshot, hint};
use crate::facts::{DomainName, Host, Port, RequestFacts, embedded_ipv4};

impl Snapshot {
    /// Judges one request: every layer has to allow it, and the first that does not is the one that denies it. Pure.
    pub fn decide(&self, facts: &RequestFacts) -> Decision {
        let mut grants = Grants::new();
        for (index, layer) in self.indexed() {
            let grant = match layer.judge(index, facts) {
                Ok(grant) => grant,
                Err(objection) => {
                    let lets_pass = layer.mode == Mode::Observe && objection.reason.is_observable();
                    let denial = Denial::new(self.clone(), objection, facts.destination.clone());
                    if !lets_pass {
                        return Decision::Deny(denial);
                    }
                    Grant { basis: Basis::Observed(Box::new(denial)), matched: Matched::new() }
                }
            };
            grants.push(grant);
        }
        let is_needed = self.layers().any(|layer| layer.denies_addresses_conditionally);
        let circumstances = is_needed.then(|| Box::new(RuleFacts::of(facts)));
        Decision::Allow(Permit::new(self.clone(), grants, facts.destination.clone(), circumstances))
    }
}

/// What the allow rules say.
enum Search {
    /// The rule to name, and every other one that allows the request too.
    Full(RuleIndex, Matched),
    /// The rule that came nearest.
    Near(Miss),
    /// No rule names the host.
    Nothing,
}

impl Policy {
    /// What this layer says of a request.
    fn judge(&self, layer: LayerIndex, facts: &RequestFacts) -> Result<Grant, Objection> {
        let objection = |reason, rule, hint| Err(Objection { layer, reason, rule, hint });
        if !self.enabled {
            return objection(DenyReason::EgressDisabled, None, None);
        }
        if self.egress == Egress::None {
            return objection(DenyReason::EgressNone, None, None);
        }
        if facts.passed_through_us {
            return objection(DenyReason::Loop, None, None);
        }
        if let Some((rule, reason)) = self.denied(facts) {
            return objection(reason, Some(rule), None);
        }
        match self.allowed(facts) {
            Search::Full(rule, matched) => Ok(Grant { basis: Basis::Rule(RuleRef { layer, rule }), matched }),
            Search::Near(_) if self.egress == Egress::All => Ok(Grant::by_egress()),
            Search::Nothing if self.egress == Egress::All && !is_single_label(facts) => Ok(Grant::by_egress()),
            // The host is known but something else about the request is not: say what, people act on it.
            Search::Near(miss) => {
                let hint = hint::for_miss(self, facts, miss);
                objection(miss.reason(), Some(miss.clause.rule), Some(hint))
            }
            Search::Nothing => objection(DenyReason::HostNotAllowed, None, hint::for_unlisted(self, facts)),
        }
    }

    /// The first test of a clause that a request fails; none where it passes them all.
    pub(super) fn missed(&self, matcher: &Matcher, clause: Clause, facts: &RequestFacts) -> Option<Test> {
        if !matcher.has_port(clause, facts.destination.port()) {
            return Some(Test::Port);
        }
        self.rule(clause.rule).missed(RuleFactsRef::of(facts))
    }

    /// Whether a deny rule is against this name, in a request that is otherwise like this one.
    pub(super) fn denies_name(&self, name: &DomainName, facts: &RequestFacts) -> bool {
        self.denies.on_name(name).any(|clause| self.missed(&self.denies, clause, facts).is_none())
    }

    /// Whether a deny rule is against this literal, in a request that is otherwise like this one.
    pub(super) fn denies_literal(&self, ip: IpAddr, facts: &RequestFacts) -> bool {
        forms(ip)
            .flat_map(|ip| self.denies.on_literal(ip))
            .any(|clause| self.missed(&self.denies, clause, facts).is_none())
    }

    /// The deny rule against a resolved address, if there is one. An address inside the address counts too, because a
    /// packet to 64:ff9b::192.0.2.1 ends at 192.0.2.1. Without `asked`, rules that depend on more do not apply.
    pub(super) fn denied_address(&self, ip: IpAddr, port: Port, asked: Option<&RuleFacts>) -> Option<RuleIndex> {
        if self.denies.is_empty() {
            return None;
        }
        let applies = |clause: &Clause| {
            let rule = self.rule(clause.rule);
            self.denies.has_port(*clause, port)
                && asked.map_or_else(|| !rule.is_conditional(), |asked| rule.missed(asked.asked()).is_none())
        };
        forms(ip).flat_map(|ip| self.denies.on_resolved(ip)).find(applies).map(|clause| clause.rule)
    }

    /// The deny rule against what is asked for, if there is one.
    pub(super) fn denied(&self, facts: &RequestFacts) -> Option<(RuleIndex, DenyReason)> {
        if self.denies.is_empty() {
            return None;
        }
        let applies = |clause: &Clause| self.missed(&self.denies, *clause, facts).is_none();
        match facts.destination.host() {
            Host::Name(name) => {
                self.denies.on_name(name).find(applies).map(|clause| (clause.rule, DenyReason::HostDenied))
            }
            Host::Ip(ip) => forms(*ip)
                .flat_map(|ip| self.denies.on_literal(ip))
                .find(applies)
                .map(|clause| (clause.rule, DenyReason::AddressNotAllowed)),
        }
    }

    fn allowed(&self, facts: &RequestFacts) -> Search {
        match facts.destination.host() {
            Host::Name(name) => self.search(self.allows.on_name(name), facts),
            Host::Ip(ip) => self.search(self.allows.on_allowed_literal(*ip), facts),
        }
    }

    fn search(&self, clauses: impl Iterator<Item = Clause>, facts: &RequestFacts) -> Search {
        let mut matched = Matched::new();
        let mut nearest: Option<Miss> = None;
        for clause in clauses {
            match self.missed(&self.allows, clause, facts) {
                None if matched.contains(&clause.rule) => {}
                None => matched.push(clause.rule),
                Some(test) if nearest.is_none_or(|miss| test > miss.test) => nearest = Some(Miss { clause, test }),
                Some(_) => {}
            }
        }
        match (matched.first().copied(), nearest) {
            (Some(rule), _) => Search::Full(rule, matched),
            (None, Some(miss)) => Search::Near(miss),
            (None, None) => Search::Nothing,
        }
    }
}

/// An address, and the IPv4 address inside it.
fn forms(ip: IpAddr) -> impl Iterator<Item = IpAddr> {
    let mut forms: SmallVec<[IpAddr; 2]> = SmallVec::new();
    forms.push(ip);
    if let IpAddr::V6(ip) = ip {
        forms.extend(embedded_ipv4(ip).map(IpAddr::V4));
    }
    forms.into_iter()
}

fn is_single_label(facts: &RequestFacts) -> bool {
    facts.destination.host().as_name().is_some_and(DomainName::is_single_label)
}
