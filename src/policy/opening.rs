//! The gate on a tunnel's first bytes: a tunnel leads where it was asked for, or nowhere.
//!
//! Without it a permit for one name on a shared front would open every name there (domain fronting), and a tunnel on port
//! 443 would be a tunnel for anything.
//!
//! Guaranteed: what has not been seen does not pass; not even where TLS is optional, since silence may end in a ClientHello.
//! Judged by the permit's own policy; the caller has made sure that it is the one in force. The ClientHello must name the
//! host that was asked for. A tunnel to an address may begin without a name, and a name there must be allowed by itself. A
//! name that a deny rule matches is denied in observe mode, too.
//!
//! Deliberately not done: looking inside an Encrypted Client Hello. Its outer name is judged, and what else the same front
//! serves cannot be seen.

use super::{Decision, DenyReason, Permit, RuleRef, Tls};
use crate::facts::{Destination, DomainName, Host, Opening, RequestFacts, ServerName};

/// What is wrong with how a tunnel begins.
pub(super) struct Fault {
    pub(super) reason: DenyReason,
    /// The deny rule against the server that the ClientHello names, if there is one.
    pub(super) rule: Option<RuleRef>,
    /// What is wrong, in words.
    pub(super) hint: String,
}

impl Fault {
    fn new(reason: DenyReason, hint: impl Into<String>) -> Self {
        Self { reason, rule: None, hint: hint.into() }
    }
}

/// What is wrong with how a tunnel begins; none if it may begin so.
pub(super) fn fault(permit: &Permit, facts: &RequestFacts, opening: &Opening) -> Option<Fault> {
    let optional = permit.tls() == Tls::Optional;
    let not_tls = |what: &str| {
        let hint = format!("{what}; only a rule with `tls = \"optional\"` lets such tunnels pass");
        Some(Fault::new(DenyReason::NotTls, hint))
    };
    match opening {
        Opening::Hello(server) => {
            denied_server(permit, facts, server).or_else(|| wrong_server(permit, facts, server, optional))
        }
        Opening::NotTls if optional => None,
        Opening::NotTls => not_tls("the first bytes in the tunnel are no TLS"),
        Opening::Late => not_tls("no whole ClientHello came in time"),
        // These begin as TLS does, so no other protocol is meant: also `optional` does not mean them.
        Opening::Malformed(why) => {
            Some(Fault::new(DenyReason::NotTls, format!("the ClientHello cannot be judged: {why}")))
        }
        Opening::TooLarge => Some(Fault::new(DenyReason::NotTls, "the ClientHello is longer than `max-hello`")),
        Opening::Cut => Some(Fault::new(DenyReason::NotTls, "the client ended in the middle of its ClientHello")),
    }
}

/// Returns the deny rule that matches the server named in the ClientHello, regardless of the CONNECT target. This check
/// comes first because observe mode never lets an explicit deny pass.
fn denied_server(permit: &Permit, facts: &RequestFacts, server: &ServerName) -> Option<Fault> {
    let named = match server {
        ServerName::Name(name) => Host::Name(name.clone()),
        ServerName::Address(ip) => Host::Ip(ip.to_canonical()),
        ServerName::Missing => return None,
    };
    let asked = permit.destination().host();
    // What was asked for was judged before.
    if named == *asked {
        return None;
    }
    let hint = format!("the tunnel was asked for `{asked}` and the ClientHello names `{named}`, which is denied");
    let facts = as_named(permit, facts, named);
    let mut denied = permit.snapshot().indexed().filter_map(|(layer, policy)| Some((layer, policy.denied(&facts)?)));
    let (layer, (rule, reason)) = denied.next()?;
    Some(Fault { reason, rule: Some(RuleRef { layer, rule }), hint })
}

fn wrong_server(permit: &Permit, facts: &RequestFacts, server: &ServerName, optional: bool) -> Option<Fault> {
    let asked = permit.destination().host();
    let mismatch = |named: &dyn std::fmt::Display| {
        let hint = format!("the tunnel was asked for `{asked}` and the ClientHello names `{named}`");
        Some(Fault::new(DenyReason::SniMismatch, hint))
    };
    match (asked, server) {
        (Host::Name(asked), ServerName::Name(named)) if asked == named => None,
        (Host::Name(_), ServerName::Missing) if optional => None,
        (Host::Name(_), ServerName::Missing) => {
            let hint = "the ClientHello names no server; only a rule with `tls = \"optional\"` lets such tunnels pass";
            Some(Fault::new(DenyReason::SniMissing, hint))
        }
        (Host::Ip(_), ServerName::Missing) => None,
        (Host::Ip(asked), ServerName::Address(named)) if asked.to_canonical() == named.to_canonical() => None,
        (Host::Ip(_), ServerName::Name(named)) if allows_too(permit, facts, named) => None,
        (_, ServerName::Name(named)) => mismatch(named),
        (_, ServerName::Address(named)) => mismatch(named),
    }
}

/// Whether the same request for this name would be allowed, by a rule and not only because the policy observes.
fn allows_too(permit: &Permit, facts: &RequestFacts, name: &DomainName) -> bool {
    let facts = as_named(permit, facts, Host::Name(name.clone()));
    matches!(permit.snapshot().decide(&facts), Decision::Allow(permit) if permit.observed().is_none())
}

/// The same request for another host.
fn as_named(permit: &Permit, facts: &RequestFacts, host: Host) -> RequestFacts {
    let destination = Destination::new(host, permit.destination().port());
    RequestFacts { destination, ..facts.clone() }
}
