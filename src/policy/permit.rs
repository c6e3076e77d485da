//! Permission, as values that cannot be had otherwise.
//!
//! A [`Permit`] is made by [`Snapshot::decide`] alone; a [`Route`] by [`Permit::route`] alone, after it has judged every
//! address. What dials takes what is in a `Route`, so a check that was forgotten does not compile.
//!
//! A parent proxy is handed the name and resolves it again. So what was vetted here is what this network's resolver said,
//! and no promise of where the parent connects: whoever runs it vets for its own network. A name without an address here
//! cannot be vetted at all; it goes to the parent only where a rule says `parent = true`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use smallvec::SmallVec;

use super::decision::RuleIndex;
use super::opening::{self, Fault};
use super::rule::{Circumstances, Rule};
use super::{Cited, Denial, DenyReason, Mode, ParentScope, Policy, Snapshot, Tls};
use crate::facts::{AddressClass, Destination, Opening, OwnAddresses, Port, RequestFacts};

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
    /// To the parent proxy, which is told the destination as it was asked for.
    Parent(ParentPermit),
}

/// Leave to hand a destination on to the parent proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentPermit {
    destination: Destination,
    /// None: the name has no address here, and a rule says `parent = true`.
    vetted: Option<VettedAddrs>,
}

impl ParentPermit {
    /// What the parent may be asked for.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What it resolved to here, all of it vetted; none where it does not resolve here.
    pub fn vetted(&self) -> Option<&VettedAddrs> {
        self.vetted.as_ref()
    }
}

/// Why a permit leads nowhere.
#[derive(Debug)]
pub enum NoRoute<E> {
    /// An address that it resolves to is not allowed.
    Denied(Denial),
    /// It does not resolve, for this reason, and may not be handed on without.
    Unresolved(E),
}

/// Where an open connection leads, as far as a policy cares: enough to judge it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// To this address of the destination.
    Direct(IpAddr),
    /// To the parent proxy. In a box, since tunnels are many and most of them direct.
    Parent(Box<ParentPermit>),
}

/// Addresses that were judged, and the only ones that may be dialled. There is no way back to the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VettedAddrs(SmallVec<[SocketAddr; 2]>);

impl VettedAddrs {
    /// The only way to one; of no addresses none is made.
    fn new(addrs: SmallVec<[SocketAddr; 2]>) -> Option<Self> {
        (!addrs.is_empty()).then_some(Self(addrs))
    }

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

    /// The way to the destination: to the addresses that it resolved to, once they are all vetted, or to the parent proxy,
    /// if there is one and its scope covers the destination. An address literal resolves to itself.
    ///
    /// # Errors
    /// As [`Permit::vet`]. Where nothing could be resolved: that, unless the way is the parent's and a rule that allows
    /// the request says `parent = true`.
    pub fn route<E>(
        &self,
        resolved: Result<&[IpAddr], E>,
        own: &OwnAddresses,
        parent: Option<&ParentScope>,
    ) -> Result<Route, NoRoute<E>> {
        let by_parent = parent.is_some_and(|scope| scope.covers(self.destination.host()));
        let vetted = match resolved {
            Ok(resolved) => Some(self.vet(resolved, own).map_err(NoRoute::Denied)?),
            Err(_) if by_parent && self.may_go_unresolved() => None,
            Err(error) => return Err(NoRoute::Unresolved(error)),
        };
        Ok(match vetted {
            Some(vetted) if !by_parent => Route::Direct(vetted),
            vetted => Route::Parent(ParentPermit { destination: self.destination.clone(), vetted }),
        })
    }

    /// Judges every address that the destination resolved to (or is).
    ///
    /// All must pass: of a mixed answer nothing is dialled, because whoever can add one address to an answer can also
    /// choose the order. An empty answer is the resolver's error; one that comes here all the same leads nowhere.
    ///
    /// # Errors
    /// The denial to answer with: `loop` for one of our own sockets, `address_not_allowed` for the rest, and for nothing.
    pub fn vet(&self, resolved: &[IpAddr], own: &OwnAddresses) -> Result<VettedAddrs, Denial> {
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
        VettedAddrs::new(vetted).ok_or_else(|| self.no_address())
    }

    /// Judges the addresses of the parent proxy itself. The administrator named it, so only our own sockets are refused.
    ///
    /// # Errors
    /// `loop`, if one of them is ours; `address_not_allowed`, if there is none.
    pub fn vet_parent(&self, resolved: &[IpAddr], port: Port, own: &OwnAddresses) -> Result<VettedAddrs, Denial> {
        let addrs: SmallVec<_> = resolved.iter().map(|ip| SocketAddr::new(*ip, port.get())).collect();
        if addrs.iter().any(|addr| own.contains(*addr)) {
            let hint = "the parent proxy of this proxy's configuration is this proxy itself".to_owned();
            return Err(self.denial(DenyReason::Loop, None, Some(hint)));
        }
        VettedAddrs::new(addrs).ok_or_else(|| self.no_address())
    }

    /// Judges a connection that was opened by another permit for the same destination.
    ///
    /// # Errors
    /// The denial; this permit may not use it.
    pub fn reaches(&self, reached: &Reached, own: &OwnAddresses) -> Result<(), Denial> {
        let vetted = match reached {
            Reached::Direct(ip) => self.vet(&[*ip], own),
            Reached::Parent(permit) => match &permit.vetted {
                Some(vetted) => {
                    let ips: SmallVec<[IpAddr; 4]> = vetted.as_slice().iter().map(SocketAddr::ip).collect();
                    self.vet(&ips, own)
                }
                None if self.may_go_unresolved() => return Ok(()),
                None => Err(self.no_address()),
            },
        };
        vetted.map(drop)
    }

    /// The denial for a connection that turned out to lead back into this process, though no address of it said so.
    pub fn leads_back(&self) -> Denial {
        self.denial(DenyReason::Loop, None, None)
    }

    fn may_go_unresolved(&self) -> bool {
        self.rules().any(|rule| rule.parent)
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

    fn no_address(&self) -> Denial {
        self.denial(DenyReason::AddressNotAllowed, None, Some("it leads to no address at all".to_owned()))
    }

    /// Judges how a tunnel begins. `facts` are those that this permit was given for. What comes back is the denial that
    /// observe mode let pass, if it did.
    ///
    /// # Errors
    /// The denial; nothing of the client may reach the origin.
    pub fn admit(&self, facts: &RequestFacts, opening: &Opening) -> Result<Option<Denial>, Denial> {
        let Some(Fault { reason, rule, hint }) = opening::fault(self, facts, opening) else {
            return Ok(None);
        };
        let denial = self.denial(reason, rule.or_else(|| self.rule()), Some(hint));
        if self.snapshot.mode() == Mode::Observe && reason.is_observable() { Ok(Some(denial)) } else { Err(denial) }
    }

    /// Whether it was given by just this policy, and not by one before it.
    pub fn is_by(&self, policy: &Arc<Policy>) -> bool {
        Arc::ptr_eq(self.snapshot.policy(), policy)
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
