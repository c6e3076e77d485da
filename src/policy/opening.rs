//! The gate on a tunnel's first bytes: a tunnel leads where it was asked for, or nowhere.
//!
//! Without it a permit for one name on a shared front would open every name there (domain fronting), and a tunnel on port
//! 443 would be a tunnel for anything.
//!
//! Guaranteed: what has not been seen does not pass; not even where TLS is optional, since silence may end in a ClientHello.
//! Judged by the permit's own policy, whatever is in force by now. A name must be the asked one; an address
//! may go unnamed, and a name beside it must be allowed by itself.
//!
//! Deliberately not done: looking behind an encrypted hello. Its outer name is the answer, and what else the same front
//! serves under it cannot be seen.

use super::{Decision, DenyReason, Permit, Tls};
use crate::facts::{Destination, DomainName, Host, Opening, RequestFacts, ServerName};

/// What is wrong with how a tunnel begins, and its explanation; none if it may begin so.
pub(super) fn fault(permit: &Permit, facts: &RequestFacts, opening: &Opening) -> Option<(DenyReason, String)> {
    let optional = permit.tls() == Tls::Optional;
    let not_tls = |what: &str| {
        let hint = format!("{what}; only a rule with `tls = \"optional\"` lets such tunnels pass");
        Some((DenyReason::NotTls, hint))
    };
    match opening {
        Opening::Hello(server) => wrong_server(permit, facts, server, optional),
        Opening::NotTls if optional => None,
        Opening::NotTls => not_tls("the first bytes in the tunnel are no TLS"),
        Opening::Late => not_tls("no whole ClientHello came in time"),
        // These begin as TLS does, so no other protocol is meant: also `optional` does not mean them.
        Opening::Malformed(why) => Some((DenyReason::NotTls, format!("the ClientHello cannot be judged: {why}"))),
        Opening::TooLarge => Some((DenyReason::NotTls, "the ClientHello is longer than `max-hello`".into())),
        Opening::Cut => Some((DenyReason::NotTls, "the client ended in the middle of its ClientHello".into())),
    }
}

fn wrong_server(
    permit: &Permit,
    facts: &RequestFacts,
    server: &ServerName,
    optional: bool,
) -> Option<(DenyReason, String)> {
    let asked = permit.destination().host();
    let mismatch = |named: &dyn std::fmt::Display| {
        let hint = format!("the tunnel was asked for `{asked}` and the ClientHello names `{named}`");
        Some((DenyReason::SniMismatch, hint))
    };
    match (asked, server) {
        (Host::Name(asked), ServerName::Name(named)) if asked == named => None,
        (Host::Name(_), ServerName::Missing) if optional => None,
        (Host::Name(_), ServerName::Missing) => {
            let hint = "the ClientHello names no server; only a rule with `tls = \"optional\"` lets such tunnels pass";
            Some((DenyReason::SniMissing, hint.into()))
        }
        (Host::Ip(_), ServerName::Missing) => None,
        (Host::Ip(asked), ServerName::Address(named)) if asked.to_canonical() == named.to_canonical() => None,
        (Host::Ip(_), ServerName::Name(named)) if allows_too(permit, facts, named) => None,
        (_, ServerName::Name(named)) => mismatch(named),
        (_, ServerName::Address(named)) => mismatch(named),
    }
}

/// Whether the same request for this name would be allowed, by a rule and not for want of enforcement.
fn allows_too(permit: &Permit, facts: &RequestFacts, name: &DomainName) -> bool {
    let destination = Destination::new(Host::Name(name.clone()), permit.destination().port());
    let facts = RequestFacts { destination, ..facts.clone() };
    matches!(permit.snapshot().decide(&facts), Decision::Allow(permit) if permit.observed().is_none())
}
