//! Permission, as values that cannot be had otherwise.
//!
//! A [`Permit`] is made by [`Snapshot::decide`] alone; a [`Route`] by [`Permit::route`] alone, after it has judged every
//! address. What dials takes what is in a `Route`, so a check that was forgotten does not compile.
//!
//! A parent proxy is handed the name and resolves it again. So what was vetted here is what this network's resolver said,
//! and says nothing of where the parent connects: its operator vets for that network. A name without an address here
//! cannot be vetted at all; it goes to the parent only where a rule says `parent = true`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use smallvec::SmallVec;

use super::decision::{Objection, RuleIndex};
use super::opening::{self, Fault};
use super::rule::{Rule, RuleFacts};
use super::stack::LayerIndex;
use super::{Cited, Denial, DenyReason, Mode, ParentScope, Policy, Snapshot, Stack, Tls};
use crate::facts::{AddressClass, Destination, Opening, OwnAddresses, Port, RequestFacts};

/// Permission to reach one destination, by one revision of each layer.
#[derive(Clone)]
pub struct Permit {
    snapshot: Snapshot,
    /// What each layer gives, in their order.
    grants: Grants,
    destination: Destination,
    /// Only where a deny rule for addresses needs it.
    circumstances: Option<Box<RuleFacts>>,
}

/// What each layer gives. One fits without an allocation.
pub(super) type Grants = SmallVec<[Grant; 1]>;

/// What one layer gives.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) basis: Basis,
    /// Every rule that allows the request, including the basis. Empty if the basis is not a rule.
    pub(super) matched: Matched,
}

impl Grant {
    /// By `egress = "all"`.
    pub(super) fn by_egress() -> Self {
        Self { basis: Basis::EgressAll, matched: Matched::new() }
    }
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

/// An allow rule of one of the permit's own layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuleRef {
    pub(super) layer: LayerIndex,
    pub(super) rule: RuleIndex,
}

/// Addresses of each family that a route keeps. All of an answer are judged; no more than a few are ever tried, and an
/// answer of thousands (64 KiB by TCP) must not cost the square of their number.
const MAX_OF_A_FAMILY: usize = 16;

/// The way out that a permit has vetted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// Straight to these addresses, in the order that they were resolved in.
    Direct(VettedAddrs),
    /// Through the parent proxy, which receives the destination as the client requested it.
    Parent(ParentPermit),
}

/// Permission to hand a destination on to the parent proxy.
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
        grants: Grants,
        destination: Destination,
        circumstances: Option<Box<RuleFacts>>,
    ) -> Self {
        Self { snapshot, grants, destination, circumstances }
    }

    /// What may be reached.
    pub fn destination(&self) -> &Destination {
        &self.destination
    }

    /// What it rests on. Of several layers: the first denial that was only observed, else the first rule.
    pub fn basis(&self) -> &Basis {
        let bases = || self.grants.iter().map(|grant| &grant.basis);
        let observed = bases().find(|basis| matches!(basis, Basis::Observed(_)));
        let cited = observed.or_else(|| bases().find(|basis| matches!(basis, Basis::Rule(_))));
        cited.unwrap_or(&Basis::EgressAll)
    }

    /// The denial that observe mode let pass.
    pub fn observed(&self) -> Option<&Denial> {
        match self.basis() {
            Basis::Observed(denial) => Some(denial),
            Basis::Rule(_) | Basis::EgressAll => None,
        }
    }

    /// The allow rule's id, where one is the basis.
    pub fn rule_id(&self) -> Option<&str> {
        self.rule().map(|RuleRef { layer, rule }| self.snapshot.layer(layer).rule(rule).id())
    }

    /// The name of the layer that it rests on, where there is more than one.
    pub fn layer(&self) -> Option<&str> {
        match self.basis() {
            Basis::Observed(denial) => denial.layer(),
            Basis::Rule(RuleRef { layer, .. }) => self.snapshot.layer_name(*layer),
            Basis::EgressAll => self.snapshot.layer_name(LayerIndex::FIRST),
        }
    }

    /// What a record keeps of it.
    pub(super) fn cited(&self) -> Cited {
        match self.basis() {
            Basis::Observed(denial) => denial.cited(),
            Basis::Rule(RuleRef { layer, rule }) => Cited::new(self.snapshot.clone(), *layer, Some(*rule)),
            Basis::EgressAll => Cited::new(self.snapshot.clone(), LayerIndex::FIRST, None),
        }
    }

    /// The policies that answered.
    pub fn stack(&self) -> &Stack {
        &self.snapshot
    }

    /// When a rule that it rests on ends by itself, if one does. Live tunnels are judged again then.
    pub fn until(&self) -> Option<SystemTime> {
        let until = |grant: &Grant| match &grant.basis {
            Basis::Rule(RuleRef { layer, rule }) => self.snapshot.layer(*layer).rule(*rule).until(),
            Basis::EgressAll | Basis::Observed(_) => None,
        };
        self.grants.iter().filter_map(until).min()
    }

    /// Whether a tunnel must begin with a ClientHello that names the host: so, unless rules that allow it say
    /// `tls = "optional"`.
    pub fn tls(&self) -> Tls {
        let optional = self.granted(|_, rule| rule.tls == Tls::Optional);
        if optional.is_ok() { Tls::Optional } else { Tls::Required }
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
    /// All must pass: of a mixed answer nothing is dialled, because an attacker who can add one address to an answer can also
    /// choose the order. An empty answer is the resolver's error; one that comes here all the same leads nowhere.
    ///
    /// # Errors
    /// The denial to answer with: `loop` for one of our own sockets, `address_not_allowed` for the rest, and for nothing.
    pub fn vet(&self, resolved: &[IpAddr], own: &OwnAddresses) -> Result<VettedAddrs, Denial> {
        let mut vetted: SmallVec<[SocketAddr; 2]> = SmallVec::new();
        for ip in resolved {
            let addr = SocketAddr::new(*ip, self.destination.port().get());
            if own.contains(addr) {
                return Err(self.leads_back());
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
            return Err(self.denial(LayerIndex::FIRST, DenyReason::Loop, None, Some(hint)));
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
        self.denial(LayerIndex::FIRST, DenyReason::Loop, None, None)
    }

    fn may_go_unresolved(&self) -> bool {
        self.granted(|_, rule| rule.parent).is_ok()
    }

    fn vet_address(&self, ip: IpAddr) -> Result<(), Denial> {
        let (port, circumstances) = (self.destination.port(), self.circumstances.as_deref());
        for (index, layer) in self.snapshot.indexed() {
            if let Some(rule) = layer.denied_address(ip, port, circumstances) {
                return Err(self.denial(index, DenyReason::AddressNotAllowed, Some(rule), None));
            }
        }
        let class = AddressClass::of(ip);
        let opened = match class {
            AddressClass::Global => Ok(()),
            AddressClass::Metadata => self.granted(|_, rule| rule.opens_exactly(ip)),
            _ => self.granted(|layer, rule| rule.opens(ip) || layer.opens_internal(ip)),
        };
        opened.map_err(|layer| {
            let hint = format!("it leads to {}, and only a rule's `addresses` can open those", class.describe());
            self.denial(layer, DenyReason::AddressNotAllowed, None, Some(hint))
        })
    }

    /// Whether something that only rules can give is given by every layer whose rules name the host, and by one at least; else
    /// the first layer that withholds it. Within a layer each rule counts by itself: what one of them gives is given, or
    /// else a second rule for a host could take away what the first one gave.
    fn granted(&self, gives: impl Fn(&Policy, &Rule) -> bool) -> Result<(), LayerIndex> {
        let mut given = Err(LayerIndex::FIRST);
        for ((index, layer), grant) in self.snapshot.indexed().zip(&self.grants) {
            match grant.basis {
                Basis::EgressAll => {}
                Basis::Rule(_) if grant.matched.iter().any(|rule| gives(layer, layer.rule(*rule))) => given = Ok(()),
                Basis::Rule(_) | Basis::Observed(_) => return Err(index),
            }
        }
        given
    }

    fn no_address(&self) -> Denial {
        let hint = "it leads to no address at all".to_owned();
        self.denial(LayerIndex::FIRST, DenyReason::AddressNotAllowed, None, Some(hint))
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
        let rule = rule.or_else(|| self.rule());
        let layer = rule.map_or(LayerIndex::FIRST, |rule| rule.layer);
        let denial = self.denial(layer, reason, rule.map(|rule| rule.rule), Some(hint));
        let all_observe = self.snapshot.layers().all(|layer| layer.mode() == Mode::Observe);
        if all_observe && reason.is_observable() { Ok(Some(denial)) } else { Err(denial) }
    }

    /// Whether it was given by just these policies, and not by ones before them.
    pub fn is_by(&self, stack: &Arc<Stack>) -> bool {
        Arc::ptr_eq(self.snapshot.stack(), stack)
    }

    /// The handle to the policies, for judging something else by the same revisions.
    pub(super) fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    fn rule(&self) -> Option<RuleRef> {
        match self.basis() {
            Basis::Rule(rule) => Some(*rule),
            Basis::EgressAll | Basis::Observed(_) => None,
        }
    }

    fn denial(&self, layer: LayerIndex, reason: DenyReason, rule: Option<RuleIndex>, hint: Option<String>) -> Denial {
        Denial::new(self.snapshot.clone(), Objection { layer, reason, rule, hint }, self.destination.clone())
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit")
            .field("basis", self.basis())
            .field("destination", &self.destination)
            .field("revision", &self.snapshot.revision())
            .finish()
    }
}
