//! One request, from its facts to a connection.

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

/// A request that has begun and has no response yet. Dropped, it is recorded as `internal`.
#[derive(Debug)]
pub struct Attempt {
    enforcer: Rc<Enforcer>,
    pending: Pending,
    client: Client,
    tool: Tool,
}

/// A request as it was received, in any protocol.
#[derive(Debug)]
pub struct ReceivedRequest {
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

    /// Notes by which protocol it came, before its destination is known.
    pub fn protocol(&mut self, protocol: Protocol) {
        self.pending.protocol(protocol);
    }

    /// Opens a connection for the request: decides, then resolves, vets and connects. No other code leads to a socket. The
    /// decision is made here and now, so that no future has to hold what it takes; [`Opening::unless`] does the rest.
    ///
    /// `idle` is the origin connection that this client's last request left open. It is used again only for the very same
    /// destination, after this request was decided and the connection's address vetted like any other.
    pub fn open(self, received: ReceivedRequest, idle: &mut Option<Idle>) -> Opening {
        Opening(self.decide(received, idle))
    }

    /// Whether the request may go on, and over an open connection or a new one.
    fn decide(mut self, received: ReceivedRequest, idle: &mut Option<Idle>) -> Result<Decided, Refused> {
        let facts = self.facts(received);
        self.pending.asked(&facts);
        // Before the policy: a request that cannot be recorded is not even judged.
        if self.enforcer.recorder.must_refuse() {
            return Err(self.pending.refuse(Refusal::Unrecordable));
        }
        let permit = match self.permit(&facts) {
            Ok(permit) => permit,
            Err(why) => return Err(self.pending.refuse(why)),
        };
        let reused = self.reuse(&permit, &facts, idle);
        if let Some(reused) = &reused {
            self.pending.connected(reused.address, None);
        }
        let request = Box::new(Permitted::new(self.pending, permit, facts));
        Ok(match reused {
            Some(reused) => Decided::Reuse(Session::dialled(request, reused)),
            None => Decided::Dial(self.enforcer, request),
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

    fn facts(&self, received: ReceivedRequest) -> RequestFacts {
        let ReceivedRequest { identity, protocol, destination, method, upgrade, path, passed_through_us } = received;
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

    fn permit(&mut self, facts: &RequestFacts) -> Result<Permit, Refusal> {
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

/// A request that was decided: permitted, to be connected, or refused.
#[derive(Debug)]
pub struct Opening(Result<Decided, Refused>);

/// The next step of a permitted request.
#[derive(Debug)]
enum Decided {
    /// Over the connection that the client's last request left open.
    Reuse(Session<Dialled>),
    /// Over a new connection.
    Dial(Rc<Enforcer>, Box<Permitted>),
}

impl Opening {
    /// Resolves, vets and connects, unless the connection is open already. A client that leaves meanwhile, which is when
    /// `left` is ready, ends the lookup and the dial, and gives their places back.
    ///
    /// # Errors
    /// The refusal to send, or that the client has left; already recorded.
    pub async fn unless(self, left: impl Future<Output = ()>) -> Result<Opened, Unreached> {
        match self.0? {
            Decided::Reuse(session) => Ok(Opened { session, is_reused: true }),
            Decided::Dial(enforcer, request) => {
                // In a box: a request that reuses a connection needs no room for this.
                let session = Box::pin(enforcer.dial(request, left)).await?;
                Ok(Opened { session, is_reused: false })
            }
        }
    }
}

/// A connection for a permitted request.
#[derive(Debug)]
pub struct Opened {
    /// The request with its connection.
    pub session: Session<Dialled>,
    /// Whether the connection was used before.
    pub is_reused: bool,
}

/// Why a request has no connection.
#[derive(Debug)]
pub enum Unreached {
    /// The refusal to send to the client.
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
    /// Gives up a session's connection and opens another by the same permit; its addresses are resolved and vetted
    /// again.
    ///
    /// # Errors
    /// As [`Opening::unless`].
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
            // A loop that shows only once it is connected is denied like one that the address shows.
            Err(Refusal::Unreachable(DialError::Loop)) => {
                let denial = request.permit.leads_back();
                Err(request.pending.refuse(denial.into()).into())
            }
            Err(why) => Err(request.pending.refuse(why).into()),
        }
    }

    /// The steps after the decision: resolve, vet, connect. After each step that took time, the policy in force judges again
    /// before the next step tells anything to another machine.
    async fn reach(&self, request: &mut Permitted) -> Result<Connection, Refusal> {
        request.renew(&self.in_force, None)?;
        let client = request.facts.client.peer.holder();
        let resolved = match self.resolver.resolve(request.permit.destination().host(), client).await {
            // A limit of this proxy says nothing about the name. A client that reaches it must not get around the vetting.
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
