//! Permission, as values that cannot be had otherwise.
//!
//! A [`Permit`] is made by [`Snapshot::decide`] alone; a [`Route`] by [`Permit::vet`] alone, after
//! it has judged every address. What dials takes a `Route`, so a check that was forgotten does not compile.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::SystemTime;

use smallvec::SmallVec;

use super::decision::RuleIndex;
use super::rule::{Circumstances, Rule};
use super::{Cited, Denial, DenyReason, Mode, Policy, Snapshot, Tls, opening};
use crate::facts::{AddressClass, Destination, Opening, OwnAddresses, RequestFacts};

/// Leave to reach one destination, by one revision of the policy.
#[derive(Clone)]
pub struct Permit {
    snapshot: Snapshot,
    basis: Basis,
    /// Every rule that allows the request, the basis among them; none where the basis is no rule.
    matched: Matched,
    destination: Destination,
    /// Only where a deny rule for addresses needs it.
    circumstances: Option<Box<Circumstances>>,
}

/// The rules that allow one request. Four fit without an allocation; more than that seldom name the same host.
pub(super) type Matched = SmallVec<[RuleIndex; 4]>;

/// What a permit rests on.
#[derive(Clone, Debug)]
pub enum Basis {
    /// An allow rule, an entry of `allow` or `package-managers`, or a list.
    Rule(RuleRef),
    /// `egress = "all"` and no rule against it.
    EgressAll,
    /// Observe mode: this would have been denied.
    Observed(Box<Denial>),
}

/// An allow rule of the permit's own policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRef(pub(super) RuleIndex);

/// Addresses of each family that a route keeps. All of an answer are judged; no more than a few are ever tried, and an
/// answer of thousands (64 KiB by TCP) must not cost the square of their number.
const MAX_OF_A_FAMILY: usize = 16;

/// The way out that a permit has vetted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Straight to these addresses, in the order that they were resolved in.
    Direct(VettedAddrs),
}

/// Addresses that were judged, and the only ones that may be dialled. There is no way back to the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VettedAddrs(SmallVec<[SocketAddr; 2]>);

impl VettedAddrs {
    /// The addresses; never empty.
    pub fn as_slice(&self) -> &[SocketAddr] {
        &self.0
    }
}

impl Permit {
    pub(super) fn new(
        snapshot: Snapshot,
        basis: Basis,
        matched: Matched,
        destination: Destination,
        circumstances: Option<Box<Circumstances>>,
    ) -> Self {
        Self { snapshot, basis, matched, destination, circumstances }
    }

    /// What may be reached.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What it rests on.
    pub fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The denial that observe mode let pass.
    pub fn observed(&self) -> Option<&Denial> {
        match &self.basis {
            Basis::Observed(denial) => Some(denial),
            Basis::Rule(_) | Basis::EgressAll => None,
        }
    }

    /// The allow rule's id, where one is the basis.
    pub fn rule_id(&self) -> Option<&str> {
        self.rule().map(|rule| self.snapshot.rule(rule).id())
    }

    /// What a record keeps of it.
    pub(super) fn cited(&self) -> Cited {
        match self.observed() {
            Some(denial) => denial.cited(),
            None => Cited::new(self.snapshot.clone(), self.rule()),
        }
    }

    /// The policy that answered.
    pub fn policy(&self) -> &Policy {
        &self.snapshot
    }

    /// When the allow rule lapses by itself, if it does. Live tunnels are judged again then.
    pub fn until(&self) -> Option<SystemTime> {
        self.rule().and_then(|rule| self.snapshot.rule(rule).until())
    }

    /// Whether a tunnel must begin with a ClientHello that names the host: so, unless a rule that allows it says
    /// `tls = "optional"`.
    pub fn tls(&self) -> Tls {
        if self.rules().any(|rule| rule.tls == Tls::Optional) { Tls::Optional } else { Tls::Required }
    }

    /// Judges every address that the destination resolved to (or is) and makes them the route.
    ///
    /// All must pass: of a mixed answer nothing is dialled, because whoever can add one address to an answer can also
    /// choose the order. `resolved` is not empty; an empty answer is the resolver's error.
    ///
    /// # Errors
    /// The denial to answer with: `loop` for one of our own sockets, `address_not_allowed` for the rest.
    pub fn vet(&self, resolved: &[IpAddr], own: &OwnAddresses) -> Result<Route, Denial> {
        let mut vetted: SmallVec<[SocketAddr; 2]> = SmallVec::new();
        for ip in resolved {
            let addr = SocketAddr::new(*ip, self.destination.port().get());
            if own.contains(addr) {
                return Err(self.denial(DenyReason::Loop, None, None));
            }
            self.vet_address(*ip)?;
            // Where the network translates it, a packet ends at the address inside, which then has to pass as well.
            own.translated(*ip).try_for_each(|inside| self.vet_address(inside))?;
            let alike = vetted.iter().filter(|known| known.is_ipv4() == addr.is_ipv4()).count();
            if alike < MAX_OF_A_FAMILY && !vetted.contains(&addr) {
                vetted.push(addr);
            }
        }
        Ok(Route::Direct(VettedAddrs(vetted)))
    }

    fn vet_address(&self, ip: IpAddr) -> Result<(), Denial> {
        let denied = self.snapshot.denied_address(ip, self.destination.port(), self.circumstances.as_deref());
        if let Some(rule) = denied {
            return Err(self.denial(DenyReason::AddressNotAllowed, Some(rule), None));
        }
        let class = AddressClass::of(ip);
        let opened = match class {
            AddressClass::Global => true,
            AddressClass::Metadata => self.rules().any(|rule| rule.opens_exactly(ip)),
            _ => self.rules().any(|rule| rule.opens(ip) || self.snapshot.opens_internal(ip)),
        };
        if opened {
            return Ok(());
        }
        let hint = format!("it leads to {}, and only a rule's `addresses` can open those", class.describe());
        Err(self.denial(DenyReason::AddressNotAllowed, None, Some(hint)))
    }

    /// Judges how a tunnel begins. `facts` are those that this permit was given for. What comes back is the denial that
    /// observe mode let pass, if it did.
    ///
    /// # Errors
    /// The denial; nothing of the client may reach the origin.
    pub fn admit(&self, facts: &RequestFacts, opening: &Opening) -> Result<Option<Denial>, Denial> {
        let Some((reason, hint)) = opening::fault(self, facts, opening) else {
            return Ok(None);
        };
        let denial = self.denial(reason, self.rule(), Some(hint));
        if self.snapshot.mode() == Mode::Observe { Ok(Some(denial)) } else { Err(denial) }
    }

    /// The policy's handle, for judging something else by the same revision.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn rule(&self) -> Option<RuleIndex> {
        match self.basis {
            Basis::Rule(RuleRef(rule)) => Some(rule),
            Basis::EgressAll | Basis::Observed(_) => None,
        }
    }

    /// The rules that allow the request. Each stands for itself: what one of them opens is open, or else a second rule
    /// for a host could take away what the first one gave.
    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.matched.iter().map(|rule| self.snapshot.rule(*rule))
    }

    fn denial(&self, reason: DenyReason, rule: Option<RuleIndex>, hint: Option<String>) -> Denial {
        Denial::new(self.snapshot.clone(), reason, rule, hint, self.destination.clone())
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("basis", &self.basis)
            .field("destination", &self.destination)
            .field("revision", &self.snapshot.revision())
            .finish()
    }
}
