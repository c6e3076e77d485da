//! The gate on a tunnel's first bytes: a tunnel leads where it was asked for, or nowhere.
//!
//! Without it a permit for one name on a shared front would open every name there (domain fronting), and a tunnel on port
//! 443 would be a tunnel for anything.
//!
//! Guaranteed: judged by the permit's own policy, whatever is in force by now. A name must be the asked one; an address
//! may go unnamed, and a name beside it must be allowed by itself.
//!
//! Deliberately not done: looking behind an encrypted hello. Its outer name is the answer, and what else the same front
//! serves under it cannot be seen.

use super::{Decision, Denial, DenyReason, Mode, Permit, Tls};
use crate::facts::{Destination, DomainName, Host, Opening, RequestFacts, ServerName};

impl Permit {
    /// Judges how a tunnel begins. `facts` are those that this permit was given for. What comes back is the denial that
    /// observe mode let pass, if it did.
    ///
    /// # Errors
    /// The denial; nothing of the client may reach the origin.
    pub fn admit(&self, facts: &RequestFacts, opening: &Opening) -> Result<Option<Denial>, Denial> {
        match self.fault(facts, opening) {
            None => Ok(None),
            Some((reason, hint)) => {
                let denial = self.denial(reason, self.basis_rule(), Some(hint));
                if self.policy().mode() == Mode::Observe { Ok(Some(denial)) } else { Err(denial) }
            }
        }
    }

    fn fault(&self, facts: &RequestFacts, opening: &Opening) -> Option<(DenyReason, String)> {
        let optional = self.tls() == Tls::Optional;
        let not_tls = |what: &str| {
            Some((DenyReason::NotTls, format!("{what}; only a rule with `tls = \"optional\"` lets such tunnels pass")))
        };
        match opening {
            Opening::Hello(server) => self.wrong_server(facts, server, optional),
            Opening::NotTls | Opening::Late if optional => None,
            Opening::NotTls => not_tls("the first bytes in the tunnel are no TLS"),
            Opening::Late => not_tls("no whole ClientHello came in time"),
            // These begin as TLS does, so no other protocol is meant: also `optional` does not mean them.
            Opening::Malformed(why) => Some((DenyReason::NotTls, format!("the ClientHello cannot be judged: {why}"))),
            Opening::TooLarge => Some((DenyReason::NotTls, "the ClientHello is longer than `max-hello`".into())),
            Opening::Cut => Some((DenyReason::NotTls, "the client ended in the middle of its ClientHello".into())),
        }
    }

    fn wrong_server(&self, facts: &RequestFacts, server: &ServerName, optional: bool) -> Option<(DenyReason, String)> {
        let asked = self.destination().host();
        let mismatch = |named: &dyn std::fmt::Display| {
            Some((
                DenyReason::SniMismatch,
                format!("the tunnel was asked for `{asked}` and the ClientHello names `{named}`"),
            ))
        };
        match (asked, server) {
            (Host::Name(asked), ServerName::Name(named)) if asked == named => None,
            (Host::Name(_), ServerName::Missing) if optional => None,
            (Host::Name(_), ServerName::Missing) => {
                let hint =
                    "the ClientHello names no server; only a rule with `tls = \"optional\"` lets such tunnels pass";
                Some((DenyReason::SniMissing, hint.into()))
            }
            (Host::Ip(_), ServerName::Missing) => None,
            (Host::Ip(asked), ServerName::Address(named)) if asked.to_canonical() == named.to_canonical() => None,
            (Host::Ip(_), ServerName::Name(named)) if self.allows_too(facts, named) => None,
            (_, ServerName::Name(named)) => mismatch(named),
            (_, ServerName::Address(named)) => mismatch(named),
        }
    }

    /// Whether the same request for this name would be allowed, by a rule and not for want of enforcement.
    fn allows_too(&self, facts: &RequestFacts, name: &DomainName) -> bool {
        let destination = Destination::new(Host::Name(name.clone()), self.destination().port());
        let facts = RequestFacts { destination, ..facts.clone() };
        matches!(self.snapshot().decide(&facts), Decision::Allow(permit) if permit.observed().is_none())
    }
}
