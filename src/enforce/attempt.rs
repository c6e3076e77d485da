//! One request on its way to a way out.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::{Enforcer, Parent};
use crate::dial::{self, Dialled as Connection};
use crate::facts::{
    Client, Destination, DialError, Identity, Method, NextHop, Outcome, ParentFault, Protocol, RequestFacts,
    ResolveError, Tool, Upgrade,
};
use crate::policy::{Decision, NoRoute, ParentPermit, Permit, Reached, Route};
use crate::session::{Busy, Cleared, Dialled, Pending, Permitted, Refusal, Refused, Session};

/// A request that has begun and has no answer yet. Dropped, it is recorded as `internal`.
#[derive(Debug)]
pub struct Attempt {
    enforcer: Rc<Enforcer>,
    pending: Pending,
    client: Client,
    tool: Tool,
}

/// What the protocol rooms know of a request.
#[derive(Debug)]
pub struct Asked {
    /// Who its head proved to ask, beyond what its connection proves.
    pub identity: Identity,
    /// By which protocol it came.
    pub protocol: Protocol,
    /// For where.
    pub destination: Destination,
    /// The method as it was sent; none inside a tunnel.
    pub method: Option<Method>,
    /// The protocol that it asks to switch to.
    pub upgrade: Option<Upgrade>,
    /// The path without its query; none inside a tunnel.
    pub path: Option<Arc<str>>,
    /// Whether its `Via` names this proxy.
    pub passed_through_us: bool,
}

impl Attempt {
    pub(super) fn new(enforcer: Rc<Enforcer>, pending: Pending, client: Client, tool: Tool) -> Self {
        Self { enforcer, pending, client, tool }
    }

    /// Who asks.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Notes by which protocol it came, before it is known for where.
    pub fn protocol(&mut self, protocol: Protocol) {
        self.pending.protocol(protocol);
    }

    /// Decides on a way out, or says why there is none. The only road to a socket.
    ///
    /// Waits for nothing, so that a refusal needs no room for what might have been waited for.
    ///
    /// `idle` is the origin connection that this client's last request left open. It is used again only for the very same
    /// destination, after this request was decided and the connection's address vetted like any other.
    ///
    /// # Errors
    /// The refusal to answer with, already recorded.
    pub fn open(mut self, asked: Asked, idle: &mut Option<Idle>) -> Result<WayOut, Refused> {
        let facts = self.facts(asked);
        self.pending.asked(&facts);
        // Asked before the policy: what nobody can account for is not even judged.
        if self.enforcer.recorder.must_refuse() {
            return Err(self.pending.refuse(Refusal::Unrecordable));
        }
        let permit = match self.decide(&facts) {
            Ok(permit) => permit,
            Err(why) => return Err(self.pending.refuse(why)),
        };
        let reused = self.reuse(&permit, &facts, idle);
        if let Some(reused) = &reused {
            self.pending.connected(reused.address, None);
        }
        let request = Box::new(Permitted::new(self.pending, permit, facts));
        Ok(match reused {
            Some(reused) => WayOut::Open(Session::dialled(request, reused)),
            None => WayOut::Dial(self.enforcer, request),
        })
    }

    /// Ends a request that cannot even be judged: malformed, timed out, busy. These have records too.
    pub fn refuse(self, why: Refusal) -> Refused {
        self.pending.refuse(why)
    }

    /// Ends a request for one of the proxy's own paths.
    pub fn finish_own(mut self, status: u16, path: &str) {
        self.pending.own_path(path);
        self.pending.finish_own(status);
    }

    fn facts(&self, asked: Asked) -> RequestFacts {
        let Asked { identity, protocol, destination, method, upgrade, path, passed_through_us } = asked;
        let at = SystemTime::now();
        RequestFacts {
            client: self.client.identified(&identity),
            tool: self.tool.clone(),
            protocol,
            destination,
            method,
            upgrade,
            path,
            passed_through_us,
            at,
        }
    }

    fn decide(&mut self, facts: &RequestFacts) -> Result<Permit, Refusal> {
        let began = Instant::now();
        let decision = self.enforcer.snapshot().decide(facts);
        let took = began.elapsed();
        match decision {
            Decision::Deny(denial) => {
                self.pending.judged_in(took);
                Err(denial.into())
            }
            Decision::Allow(permit) => {
                self.pending.permitted(&permit, took);
                // Asked after the policy: a denial explains itself even when the proxy is full. Taken before the dial, so
                // that tunnels which are being opened count as well.
                if is_tunnel(facts) {
                    let place = self.enforcer.shared.limits.tunnels.take(facts.client.peer.holder());
                    self.pending.occupy(place.map_err(|full| Refusal::Busy(Busy::Tunnels(full)))?);
                }
                Ok(permit)
            }
        }
    }

    /// The idle connection, if it leads where this request may go. Otherwise it is closed: one client connection has at
    /// most one origin connection at a time.
    fn reuse(&self, permit: &Permit, facts: &RequestFacts, idle: &mut Option<Idle>) -> Option<dial::Dialled> {
        let Idle { destination, connection } = idle.take()?;
        let leads_there = destination == *permit.destination() && connection.next_hop == self.enforcer.next_hop(facts);
        let usable = leads_there && permit.reaches(&connection.reached, &self.enforcer.in_force.own()).is_ok();
        (usable && connection.is_quiet()).then_some(connection)
    }
}

/// A way out that was decided on.
#[derive(Debug)]
pub enum WayOut {
    /// Over the connection that the client's last request left open.
    Open(Session<Dialled>),
    /// To be resolved, vetted and dialled.
    Dial(Rc<Enforcer>, Box<Permitted>),
}

impl WayOut {
    /// Goes it: at once where it is open. A client that leaves meanwhile, which is when `left` is ready, ends the lookup
    /// and the dial, and gives their places back.
    ///
    /// # Errors
    /// The refusal to answer with, or that there is nobody left to answer; already recorded.
    pub async fn reach(self, left: impl Future<Output = ()>) -> Result<Session<Dialled>, Unreached> {
        match self {
            Self::Open(session) => Ok(session),
            // In a box: requests that reuse a connection need no room for this.
            Self::Dial(enforcer, request) => Box::pin(enforcer.dial(request, left)).await,
        }
    }
}

/// Why a way out was not reached.
#[derive(Debug)]
pub enum Unreached {
    /// The client is to be answered with this.
    Refused(Refused),
    /// The client left first.
    ClientLeft,
}

impl From<Refused> for Unreached {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Enforcer {
    /// Gives up a session's connection and opens another by the same permit; its addresses are resolved and vetted anew.
    ///
    /// # Errors
    /// As [`WayOut::reach`].
    pub async fn redial(
        &self,
        session: Session<Cleared>,
        left: impl Future<Output = ()>,
    ) -> Result<Session<Dialled>, Unreached> {
        self.dial(session.abandon_origin(), left).await
    }

    async fn dial(
        &self,
        mut request: Box<Permitted>,
        left: impl Future<Output = ()>,
    ) -> Result<Session<Dialled>, Unreached> {
        let _place = match self.shared.limits.dials.take(request.facts.client.peer.holder()) {
            Ok(place) => place,
            Err(full) => return Err(request.pending.refuse(Refusal::Busy(Busy::Dials(full))).into()),
        };
        let began = Instant::now();
        let reached = tokio::select! {
            biased;
            reached = self.reach(&mut request) => reached,
            () = left => {
                request.pending.finish(Outcome::ClientClosed);
                return Err(Unreached::ClientLeft);
            }
        };
        match reached {
            Ok(origin) => {
                request.pending.connected(origin.address, Some(began.elapsed()));
                Ok(Session::dialled(request, origin))
            }
            // Found only when it was connected, it is the same denial as one that its address tells of.
            Err(Refusal::Unreachable(DialError::Loop)) => {
                let denial = request.permit.leads_back();
                Err(request.pending.refuse(denial.into()).into())
            }
            Err(why) => Err(request.pending.refuse(why).into()),
        }
    }

    /// Resolve, vet, connect: in this order. Whatever took time, the policy in force is asked afterwards, before the next
    /// step can tell anybody anything.
    async fn reach(&self, request: &mut Permitted) -> Result<Connection, Refusal> {
        request.renew(&self.in_force, None)?;
        let client = request.facts.client.peer.holder();
        let resolved = match self.resolver.resolve(request.permit.destination().host(), client).await {
            // A limit of ours says nothing of the name; a client that can reach it must not get around the vetting.
            Err(ResolveError::Busy(full)) => return Err(ResolveError::Busy(full).into()),
            resolved => resolved,
        };
        request.renew(&self.in_force, None)?;
        let scope = self.shared.parent.as_ref().map(|parent| &parent.scope);
        let resolved = resolved.as_ref().map(|addresses| addresses.as_slice());
        let limit = self.shared.limits.connect;
        let connection = match request.permit.route(resolved, &self.in_force.own(), scope) {
            Ok(Route::Direct(addresses)) => dial::connect(&addresses, &self.shared.loops, limit).await?,
            Ok(Route::Parent(leave)) => Box::pin(self.reach_by_parent(request, leave)).await?,
            Err(NoRoute::Denied(denial)) => return Err(denial.into()),
            Err(NoRoute::Unresolved(error)) => return Err((*error).into()),
        };
        request.renew(&self.in_force, Some(&connection.reached))?;
        Ok(connection)
    }

    async fn reach_by_parent(&self, request: &mut Permitted, leave: ParentPermit) -> Result<Connection, Refusal> {
        let Some(parent) = &self.shared.parent else { return Err(Refusal::Internal) };
        let address = parent.proxy.address();
        let connected = match self.resolver.resolve(address.host(), request.facts.client.peer.holder()).await {
            Ok(addresses) => {
                let at = request.permit.vet_parent(&addresses, address.port(), &self.in_force.own())?;
                let next_hop = self.next_hop(&request.facts);
                let leave = || {
                    let reached = Reached::Parent(Box::new(leave.clone()));
                    request.renew(&self.in_force, Some(&reached))?;
                    Ok(leave)
                };
                let limit = self.shared.limits.connect;
                dial::connect_by_parent(&parent.proxy, &at, leave, next_hop, &self.shared.loops, limit).await
            }
            Err(ResolveError::Busy(full)) => return Err(ResolveError::Busy(full).into()),
            Err(ResolveError::Timeout) => Err(DialError::Parent(ParentFault::Timeout).into()),
            Err(ResolveError::NotFound | ResolveError::NoAddresses | ResolveError::Failed) => {
                Err(DialError::Parent(ParentFault::Unresolvable).into())
            }
        };
        if let Err(Refusal::Unreachable(DialError::Parent(fault))) = &connected {
            self.complain(*fault);
        }
        connected
    }

    fn next_hop(&self, facts: &RequestFacts) -> NextHop {
        let next_hop = |parent: &Parent| parent.next_hop(facts.protocol, &facts.destination, facts.upgrade);
        self.shared.parent.as_ref().map_or(NextHop::Origin, next_hop)
    }
}

/// Whether a request is for a tunnel: by `CONNECT` or SOCKS at once, by a WebSocket when the origin agrees.
fn is_tunnel(facts: &RequestFacts) -> bool {
    match facts.protocol {
        Protocol::Connect | Protocol::Socks5 => true,
        Protocol::Http => facts.upgrade.is_some(),
        Protocol::Own => false,
    }
}

/// An origin connection that the last request of a client connection left open.
#[derive(Debug)]
pub struct Idle {
    /// What it was opened for.
    pub destination: Destination,
    /// The connection.
    pub connection: dial::Dialled,
}
