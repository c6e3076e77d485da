//! What a policy answers: the vocabulary of a decision.

use std::fmt;

use super::stack::LayerIndex;
use super::{Cited, DenyReason, Permit, Policy, Snapshot};
use crate::facts::Destination;

/// The answer to one request. There is no default: every decision is explicit.
#[derive(Clone, Debug)]
pub enum Decision {
    /// It may go on, to addresses that the permit vets.
    Allow(Permit),
    /// It may not.
    Deny(Denial),
}

/// A request that the policy denied, with what a person needs to understand it.
#[derive(Clone)]
pub struct Denial {
    snapshot: Snapshot,
    layer: LayerIndex,
    reason: DenyReason,
    rule: Option<RuleIndex>,
    hint: Option<Box<str>>,
    destination: Destination,
}

/// Which rule of a policy; only meaningful together with that policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct RuleIndex(pub(super) u32);

/// What one layer has against a request.
#[derive(Debug)]
pub(super) struct Objection {
    pub(super) layer: LayerIndex,
    pub(super) reason: DenyReason,
    /// The layer's rule that denies, or that came nearest to allowing.
    pub(super) rule: Option<RuleIndex>,
    pub(super) hint: Option<String>,
}

impl Denial {
    pub(super) fn new(snapshot: Snapshot, objection: Objection, destination: Destination) -> Self {
        let Objection { layer, reason, rule, hint } = objection;
        Self { snapshot, layer, reason, rule, hint: hint.map(String::into_boxed_str), destination }
    }

    /// Why.
    pub fn reason(&self) -> DenyReason {
        self.reason
    }

    /// What was asked for.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// The rule that denied it, or that it missed most narrowly; none where no rule names the host.
    pub fn rule_id(&self) -> Option<&str> {
        self.rule.map(|rule| self.policy().rule(rule).id())
    }

    /// What that rule's author wants people to read.
    pub fn rule_reason(&self) -> Option<&str> {
        self.rule.and_then(|rule| self.policy().rule(rule).reason())
    }

    /// The nearest miss in one sentence without its full stop: "`*.example.com` does not cover `example.com` itself".
    /// Names only rules of the asked name's own registrable domain: a denial must not publish the allowlist.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What a record keeps of it.
    pub(super) fn cited(&self) -> Cited {
        Cited::new(self.snapshot.clone(), self.layer, self.rule)
    }

    /// The policy that denied it: the first layer that does.
    pub fn policy(&self) -> &Policy {
        self.snapshot.layer(self.layer)
    }

    /// The name of that layer, where there is more than one.
    pub fn layer(&self) -> Option<&str> {
        self.snapshot.layer_name(self.layer)
    }
}

impl fmt::Debug for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Denial")
            .field("reason", &self.reason)
            .field("rule", &self.rule_id())
            .field("hint", &self.hint)
            .field("destination", &self.destination)
            .field("revision", &self.policy().revision())
            .finish()
    }
}
