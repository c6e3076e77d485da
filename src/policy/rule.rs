//! One rule, as it is asked.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;

use super::document::{Effect, Span, Tls};
use super::network;
use super::pattern::HostPattern;
use super::ports::Ports;
use crate::facts::{Method, RequestFacts, Tool, Upgrade};

/// One rule as it was written, next to the tables that find it.
///
/// An entry of `allow`, `deny` or `package-managers` is a rule of one pattern, and a list is a rule whose patterns are in its
/// file.
#[derive(Debug)]
pub struct Rule {
    pub(super) id: Arc<str>,
    pub(super) effect: Effect,
    pub(super) destinations: Box<[RuleDestination]>,
    /// Empty: any.
    pub(super) tools: Box<[Box<str>]>,
    /// Empty: any.
    pub(super) methods: Box<[Box<str>]>,
    /// Special-purpose ranges that this rule opens.
    pub(super) addresses: Box<[IpNet]>,
    pub(super) tls: Tls,
    /// Whether names that cannot be resolved here may be handed to the parent proxy.
    pub(super) parent: bool,
    pub(super) from: Option<SystemTime>,
    pub(super) until: Option<SystemTime>,
    pub(super) reason: Option<Box<str>>,
}

/// One pattern of a rule, with the ports that it is for.
#[derive(Debug)]
pub struct RuleDestination {
    pub(super) target: HostPattern,
    pub(super) ports: Ports,
    pub(super) span: Span,
}

impl RuleDestination {
    /// Where the pattern is in the policy's text.
    pub fn span(&self) -> Span {
        self.span
    }
}

impl fmt::Display for RuleDestination {
    /// The pattern, and its ports after a colon: `*.example.com:80,443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            HostPattern::Network(IpNet::V6(_)) => write!(f, "[{}]:{}", self.target, self.ports),
            HostPattern::Network(IpNet::V4(_)) | HostPattern::Name(..) => write!(f, "{}:{}", self.target, self.ports),
        }
    }
}

/// A test of a rule that a request did not pass, in the order in which they are asked: the later, the nearer the miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Test {
    Port,
    Tool,
    Period,
    Method,
}

/// What a rule may ask of a request, apart from its destination.
#[derive(Clone, Debug)]
pub(super) struct RuleFacts {
    tool: Tool,
    method: Option<Method>,
    upgrade: Option<Upgrade>,
    at: SystemTime,
}

impl RuleFacts {
    pub(super) fn of(facts: &RequestFacts) -> Self {
        Self { tool: facts.tool.clone(), method: facts.method.clone(), upgrade: facts.upgrade, at: facts.at }
    }

    /// How the request looks to a rule.
    pub(super) fn asked(&self) -> RuleFactsRef<'_> {
        RuleFactsRef { tool: &self.tool, method: self.method.as_ref(), upgrade: self.upgrade, at: self.at }
    }
}

/// What a rule may ask of a request, apart from its destination, borrowed from where it is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct RuleFactsRef<'a> {
    tool: &'a Tool,
    method: Option<&'a Method>,
    upgrade: Option<Upgrade>,
    at: SystemTime,
}

impl<'a> RuleFactsRef<'a> {
    pub(super) fn of(facts: &'a RequestFacts) -> Self {
        Self { tool: &facts.tool, method: facts.method.as_ref(), upgrade: facts.upgrade, at: facts.at }
    }
}

impl Rule {
    /// Its id, which no other rule of the policy has.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether it allows or denies.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Its patterns in the order of the text; none of a list's.
    pub fn destinations(&self) -> &[RuleDestination] {
        &self.destinations
    }

    /// The id, to be kept longer than the policy.
    pub(super) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    /// What its author wants people to read.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// When it ends, if it does.
    pub fn until(&self) -> Option<SystemTime> {
        self.until
    }

    /// Whether `addresses` covers a special-purpose address.
    pub(super) fn opens(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|net| network::opens(net, ip))
    }

    /// Whether `addresses` names just this one address.
    pub(super) fn opens_exactly(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|net| net.addr() == ip && net.prefix_len() == net.max_prefix_len())
    }

    /// Whether it depends on anything but the destination.
    pub(super) fn is_conditional(&self) -> bool {
        !self.tools.is_empty() || !self.methods.is_empty() || self.from.is_some() || self.until.is_some()
    }

    /// The first test, after that of the port, that a request fails.
    pub(super) fn missed(&self, asked: RuleFactsRef<'_>) -> Option<Test> {
        let RuleFactsRef { tool, at, .. } = asked;
        if !self.tools.is_empty() && !self.tools.iter().any(|name| **name == *tool.as_str()) {
            return Some(Test::Tool);
        }
        if self.from.is_some_and(|from| at < from) || self.until.is_some_and(|until| at >= until) {
            return Some(Test::Period);
        }
        if !self.methods.is_empty() && !self.matches_method(asked) {
            return Some(Test::Method);
        }
        None
    }

    /// A method that is not visible might be any: that is enough to deny and not enough to allow. So is one in another
    /// spelling: methods are case-sensitive (RFC 9110 §9.1), and yet some origins take `post` for `POST`.
    ///
    /// A request for an upgrade is two things, because the origin chooses what it becomes: a deny rule applies if it names
    /// either, and an allow rule has to name the upgrade. The name of an upgrade never means a method token.
    fn matches_method(&self, asked: RuleFactsRef<'_>) -> bool {
        let Some(method) = asked.method else { return self.effect == Effect::Deny };
        let method = method.as_str();
        self.methods.iter().any(|name| match Upgrade::named(name) {
            Some(upgrade) => asked.upgrade == Some(upgrade),
            None if self.effect == Effect::Deny => name.eq_ignore_ascii_case(method),
            None => asked.upgrade.is_none() && **name == *method,
        })
    }
}
