//! What can be added to the policy so that a denied destination is allowed, or why there is nothing to add.
//!
//! Guaranteed:
//! - Judged by the policy in force, not by the one that denied: what was allowed meanwhile is said to be, and what is denied
//!   by a switch or a deny rule is not "allowed" by a rule that would do nothing.
//! - A rule that is offered, added to the policy, allows that destination, for the tools that asked, and no other host or
//!   port (a test adds it and asks). A collapsed row's rule allows the names below that domain.
//! - Nothing is offered that opens a cloud's metadata service or the proxy's own sockets.
//!
//! Deliberately not done: resolving a name. Which special-purpose address it leads to is not known here, so a name that was
//! denied for its address gets words, and no rule.

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use super::pattern::{HostPattern, Pattern, Scope};
use super::rule::Rule;
use super::text::RuleText;
use super::{Basis, Decision, Denial, DenyReason, Egress, Permit, Snapshot, Tls};
use crate::facts::{
    AddressClass, Client, Destination, DomainName, Host, OwnAddresses, Port, Protocol, RequestFacts, Tool,
};

/// A destination that was denied, as far as is remembered of it.
#[derive(Clone, Copy, Debug)]
pub struct DeniedBefore<'a> {
    /// `host:port`, or `*.domain` for many names of one domain.
    pub destination: &'a str,
    /// Why it was denied.
    pub reason: DenyReason,
    /// By which tools it was asked for; empty where that is not known.
    pub tools: &'a [Tool],
    /// When it is judged again.
    pub at: SystemTime,
}

/// What to do about a denied destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// This rule allows it. The note says what else an operator should know before adding it.
    Add {
        /// The rule.
        rule: RuleText,
        /// One sentence without its full stop.
        note: Option<String>,
    },
    /// The policy in force allows it by now.
    Allowed {
        /// By this rule; none where everything is allowed.
        rule: Option<String>,
    },
    /// No rule that could be added would allow it, or should. One sentence without its full stop.
    Nothing(String),
}

/// What every id of an offered rule begins with. Ids of rules without one, of entries and of lists begin otherwise.
const ID: &str = "allow-";

/// Judges what was denied. Made for one answer, since it knows every id of the policy that begins as its own do.
#[derive(Debug)]
pub struct Adviser<'a> {
    policy: &'a Snapshot,
    own: &'a OwnAddresses,
    taken: HashSet<&'a str>,
}

impl<'a> Adviser<'a> {
    /// By this policy, in a process with these sockets.
    pub fn new(policy: &'a Snapshot, own: &'a OwnAddresses) -> Self {
        let taken = policy
            .layers()
            .flat_map(|layer| layer.rules.iter().map(Rule::id))
            .filter(|id| id.starts_with(ID))
            .collect();
        Self { policy, own, taken }
    }

    /// What could be added to the policy so that the destination is allowed.
    pub fn advise(&self, denied: DeniedBefore<'_>) -> Advice {
        if !self.policy.enabled() {
            return nothing("the organisation's switch is off: `enabled = true` turns it on");
        }
        if self.policy.egress() == Egress::None {
            return nothing("`egress = \"none\"` closes everything: change `egress`");
        }
        match denied.reason {
            DenyReason::SniMismatch => {
                return nothing(
                    "the TLS hello named another server than was asked for: look at the client, no rule allows that",
                );
            }
            DenyReason::Loop => {
                return nothing("it would lead back into this proxy: look at the client's proxy settings");
            }
            _ => {}
        }
        match Destination::parse(denied.destination.as_bytes(), None) {
            Ok(destination) => self.advise_one(denied, &destination),
            Err(_) => self.advise_domain(denied),
        }
    }

    fn advise_one(&self, denied: DeniedBefore<'_>, destination: &Destination) -> Advice {
        let tools = if denied.tools.is_empty() { &[Tool::new("")] } else { denied.tools };
        let mut refused: Vec<(Denial, &Tool)> = Vec::new();
        let mut permit = None;
        for tool in tools {
            match self.policy.decide(&facts(destination, tool, denied.at)) {
                Decision::Allow(given) => match given.observed() {
                    Some(denial) => refused.push((denial.clone(), tool)),
                    None => permit = Some(given),
                },
                Decision::Deny(denial) => refused.push((denial, tool)),
            }
        }
        if let Some(deny) = refused.iter().find_map(|(denial, _)| denied_by_rule(denial)) {
            return deny;
        }
        let addresses = match (destination.host(), denied.reason) {
            (Host::Ip(ip), _) => match self.to_open(*ip, destination.port(), permit.as_ref()) {
                Ok(addresses) => addresses,
                Err(why) => return Advice::Nothing(why),
            },
            (Host::Name(_), DenyReason::AddressNotAllowed) => return leads_elsewhere(permit.as_ref()),
            (Host::Name(_), _) => Vec::new(),
        };
        let tls_optional = matches!(denied.reason, DenyReason::NotTls | DenyReason::SniMissing);
        if let (Some(permit), true, true) = (&permit, refused.is_empty(), addresses.is_empty())
            && (!tls_optional || permit.tls() == Tls::Optional)
        {
            return Advice::Allowed { rule: permit.rule_id().map(str::to_owned) };
        }
        let pattern = destination.to_string();
        if !is_just(&pattern, destination) {
            return nothing("a pattern cannot name it");
        }
        let (mut for_tools, note) = widens(&refused);
        if permit.is_some() && !for_tools.is_empty() && (tls_optional || !addresses.is_empty()) {
            // Those that another rule lets in need this one too, for what it opens.
            for_tools = tools.iter().map(|tool| tool.as_str().to_owned()).collect();
        }
        let note = note.or_else(|| {
            tls_optional.then(|| "tunnels may then begin with something else than TLS for that name".to_owned())
        });
        // One destination may be denied for several reasons, each with a rule of its own.
        let for_what = match (tls_optional, &for_tools[..]) {
            (true, _) => "-tls-optional".to_owned(),
            (false, []) => String::new(),
            (false, tools) => format!("-for-{}", tools.join("-")),
        };
        let id = format!("{ID}{pattern}{for_what}");
        let rule = RuleText {
            id: self.free_id(&id),
            to: pattern,
            tools: for_tools,
            addresses: addresses.iter().map(ToString::to_string).collect(),
            tls_optional,
        };
        Advice::Add { rule, note }
    }

    /// Many names of one domain.
    fn advise_domain(&self, denied: DeniedBefore<'_>) -> Advice {
        let Some((domain, pattern)) = whole_domain(denied.destination) else {
            return nothing("it was not understood, so that no rule can name it");
        };
        if denied.reason != DenyReason::HostNotAllowed {
            return nothing("these are many names of one domain: the records name them");
        }
        // No registry gives out such a label, so no rule that is about one name below has it.
        let Ok(probe) = DomainName::parse(format!("_any.{domain}").as_bytes()) else {
            return nothing("no name below it is short enough to be asked for");
        };
        let probe = Destination::new(Host::Name(probe), Port::HTTPS);
        let tool = denied.tools.first().cloned().unwrap_or_else(|| Tool::new(""));
        match self.policy.decide(&facts(&probe, &tool, denied.at)) {
            Decision::Allow(permit) if permit.observed().is_none() => {
                return Advice::Allowed { rule: permit.rule_id().map(str::to_owned) };
            }
            Decision::Deny(denial) => {
                if let Some(deny) = denied_by_rule(&denial) {
                    return deny;
                }
            }
            Decision::Allow(_) => {}
        }
        let note =
            format!("covers every name below `{domain}`, on the ports 80 and 443: rather name the few that are needed");
        let rule = RuleText { id: self.free_id(&format!("{ID}{pattern}")), to: pattern, ..RuleText::default() };
        Advice::Add { rule, note: Some(note) }
    }

    /// The special-purpose addresses that a rule for this literal has to open; none for an ordinary address.
    fn to_open(&self, ip: IpAddr, port: Port, permit: Option<&Permit>) -> Result<Vec<IpAddr>, String> {
        if self.own.contains(SocketAddr::new(ip, port.get())) {
            return Err("it is one of this proxy's own sockets".to_owned());
        }
        if permit.is_some_and(|permit| permit.vet(&[ip], self.own).is_ok()) {
            return Ok(Vec::new());
        }
        let mut special = Vec::new();
        for ip in std::iter::once(ip).chain(self.own.translated(ip)) {
            for layer in self.policy.layers() {
                if let Some(rule) = layer.denied_address(ip, port, None) {
                    return Err(names_it(layer.rule(rule).id()));
                }
            }
            match AddressClass::of(ip) {
                AddressClass::Global => {}
                AddressClass::Metadata => {
                    return Err(
                        "a cloud's metadata service gives credentials to any program that reaches it; it is not offered here"
                            .to_owned(),
                    );
                }
                _ if self.policy.layers().all(|layer| layer.opens_internal(ip)) => {}
                _ => special.push(ip),
            }
        }
        Ok(special)
    }

    /// An id that no rule has.
    fn free_id(&self, plain: &str) -> String {
        let numbered = |number: u64| if number == 1 { plain.to_owned() } else { format!("{plain}-{number}") };
        let free = |id: &String| !self.taken.contains(id.as_str());
        (1..).map(numbered).find(free).unwrap_or_default()
    }
}

/// Of a rule without any limit: the tools to limit it to, so that it gives no other tool what none had, and what it
/// gives beyond the rule that was missed.
fn widens(refused: &[(Denial, &Tool)]) -> (Vec<String>, Option<String>) {
    let named = |denial: &Denial, what: &str| denial.rule_id().map(|rule| format!("the rule `{rule}` {what}"));
    let by_tool = refused.iter().all(|(denial, _)| denial.reason() == DenyReason::ToolNotAllowed);
    let tools = refused.iter().map(|(_, tool)| tool.as_str()).filter(|tool| by_tool && !tool.is_empty());
    let tools: Vec<_> = tools.map(str::to_owned).collect();
    let note = refused.iter().find_map(|(denial, _)| match denial.reason() {
        DenyReason::ToolNotAllowed => named(denial, "allows it to other tools"),
        DenyReason::OutsidePeriod => named(denial, "allows it at another time; this one does at any"),
        DenyReason::MethodNotAllowed => named(denial, "allows only some methods; this one allows all"),
        _ => None,
    });
    (tools, note)
}

fn nothing(why: &str) -> Advice {
    Advice::Nothing(why.to_owned())
}

fn names_it(rule: &str) -> String {
    format!("the deny rule `{rule}` names it, and deny wins over any allow: change that rule")
}

/// What is denied by a rule, and so by any policy that has this one's rules.
fn denied_by_rule(denial: &Denial) -> Option<Advice> {
    let by_rule = matches!(denial.reason(), DenyReason::HostDenied | DenyReason::AddressNotAllowed);
    by_rule.then(|| Advice::Nothing(names_it(denial.rule_id().unwrap_or_default())))
}

/// A name that leads to addresses which its rule does not open.
fn leads_elsewhere(permit: Option<&Permit>) -> Advice {
    let rule = match permit.map(Permit::basis) {
        Some(Basis::Rule(_)) => permit.and_then(Permit::rule_id),
        _ => None,
    };
    let to = rule.map_or_else(|| "a rule for it".to_owned(), |rule| format!("the rule `{rule}`"));
    Advice::Nothing(format!(
        "it leads to an address that is not public: if that is meant, name the range in `addresses` of {to}, or in `internal-addresses`"
    ))
}

/// Whether a pattern means this destination and nothing else.
fn is_just(pattern: &str, destination: &Destination) -> bool {
    let Ok(read) = Pattern::parse(pattern) else { return false };
    let ports = read.ports.as_ref().is_some_and(|ports| ports.is_just(destination.port()));
    ports
        && match (&read.target, destination.host()) {
            (HostPattern::Name(name, Scope::Exact), Host::Name(asked)) => name == asked,
            (HostPattern::Network(net), Host::Ip(ip)) => net.prefix_len() == net.max_prefix_len() && net.addr() == *ip,
            _ => false,
        }
}

/// The domain of a collapsed row, and the pattern for what is below it, if there is one.
fn whole_domain(row: &str) -> Option<(&str, String)> {
    let domain = row.strip_prefix("*.")?;
    let read = Pattern::parse(row).ok()?;
    let is_it = read.ports.is_none()
        && read.shared_suffix().is_none()
        && matches!(&read.target, HostPattern::Name(name, Scope::Below) if name.as_str() == domain);
    is_it.then(|| (domain, row.to_owned()))
}

/// A tunnel, which is what nearly everything asks for, and the strictest: no method is seen.
fn facts(destination: &Destination, tool: &Tool, at: SystemTime) -> RequestFacts {
    RequestFacts {
        client: Client::hypothetical(),
        tool: tool.clone(),
        protocol: Protocol::Connect,
        destination: destination.clone(),
        method: None,
        upgrade: None,
        path: None,
        passed_through_us: false,
        at,
    }
}
