//! One rule, as it is asked.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use ipnet::IpNet;

use super::document::{Effect, Tls};
use crate::facts::{Method, RequestFacts, Tool};

/// A rule without its patterns: those are in the matchers, which lead here.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: Arc<str>,
    pub(super) effect: Effect,
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

/// A test of a rule that a request did not pass, in the order in which they are asked: the later, the nearer the miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Test {
    Port,
    Tool,
    Period,
    Method,
}

/// What a rule may ask of a request beside its destination.
#[derive(Clone, Debug)]
pub(super) struct Circumstances {
    tool: Tool,
    method: Option<Method>,
    at: SystemTime,
}

impl Circumstances {
    pub(super) fn of(facts: &RequestFacts) -> Self {
        Self { tool: facts.tool.clone(), method: facts.method.clone(), at: facts.at }
    }
}

impl Rule {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The id, to be kept longer than the policy.
    pub(super) fn shared_id(&self) -> Arc<str> {
        Arc::clone(&self.id)
    }

    pub(super) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    pub(super) fn until(&self) -> Option<SystemTime> {
        self.until
    }

    /// Whether `addresses` covers a special-purpose address.
    pub(super) fn opens(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|net| net.contains(&ip))
    }

    /// Whether `addresses` names just this one address.
    pub(super) fn opens_exactly(&self, ip: IpAddr) -> bool {
        self.addresses.iter().any(|net| net.addr() == ip && net.prefix_len() == net.max_prefix_len())
    }

    /// Whether it depends on anything beside the destination.
    pub(super) fn is_conditional(&self) -> bool {
        !self.tools.is_empty() || !self.methods.is_empty() || self.from.is_some() || self.until.is_some()
    }

    /// The first test, after that of the port, that a request fails.
    pub(super) fn missed(&self, tool: &Tool, method: Option<&Method>, at: SystemTime) -> Option<Test> {
        if !self.tools.is_empty() && !self.tools.iter().any(|name| **name == *tool.as_str()) {
            return Some(Test::Tool);
        }
        if self.from.is_some_and(|from| at < from) || self.until.is_some_and(|until| at >= until) {
            return Some(Test::Period);
        }
        if !self.methods.is_empty() && !self.matches_method(method) {
            return Some(Test::Method);
        }
        None
    }

    /// As [`Rule::missed`], of a request that was judged before.
    pub(super) fn applies_under(&self, asked: &Circumstances) -> bool {
        self.missed(&asked.tool, asked.method.as_ref(), asked.at).is_none()
    }

    /// A method that nobody can see might be any: that is enough to deny and not enough to allow. So is one in another
    /// spelling: methods are case-sensitive (RFC 9110 §9.1), and yet some origins take `post` for `POST`.
    fn matches_method(&self, method: Option<&Method>) -> bool {
        match method {
            Some(method) if self.effect == Effect::Deny => {
                self.methods.iter().any(|name| name.eq_ignore_ascii_case(method.as_str()))
            }
            Some(method) => self.methods.iter().any(|name| **name == *method.as_str()),
            None => self.effect == Effect::Deny,
        }
    }
}
