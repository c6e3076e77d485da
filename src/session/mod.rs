//! An open way out, in the two states that it passes through, and the registry of those that are open.
//!
//! Guaranteed:
//! - A [`Session`] exists only for a request that was permitted and whose addresses were vetted; `tunnel` and `forward`
//!   take only a [`Session<Cleared>`], and only [`Session::clear`] makes one.
//! - Whatever becomes of a request, exactly one [`Record`](crate::record::Record) is emitted for it: a [`Pending`] that is
//!   dropped unfinished emits `internal`.
//!
//! Deliberately not here: deciding, resolving, dialling (`enforce` does that in one place), and any byte of a protocol.

#[cfg(test)]
#[cfg(feature = "model")]
mod model_tests;
mod pending;
mod places;
mod refusal;
mod registry;
mod roll;
mod share;

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use tokio::net::TcpStream;

use crate::dial;
use crate::facts::{Destination, Opening, OwnAddresses, RequestFacts};
use crate::policy::{Decision, Denial, Permit, Reached, Snapshot, Tls};
use crate::record::Outcome;

pub use pending::{ListenerId, Pending};
pub use places::{Place, Places, TunnelPlace, TunnelPlaces};
pub use refusal::{Busy, Malformed, OriginFault, Refusal, Refused};
pub use registry::{Cut, Open, Registry, Sweep};
pub use roll::{Listed, Roll, RollCall, Unanswered};
pub use share::{Share, Shares};

/// A permitted request: its record in the making, what permits it, and what was asked.
#[derive(Debug)]
pub struct Permitted {
    /// The record.
    pub pending: Pending,
    /// By which it may have a way out.
    pub permit: Permit,
    /// What the permit was given for.
    pub facts: RequestFacts,
}

/// A way out that has been dialled, for a permitted request.
#[derive(Debug)]
pub struct Session<S> {
    /// In a box: a session passes through many hands, and through futures that would have to hold room for it.
    request: Box<Permitted>,
    state: S,
}

/// What an open way out rests on, to be judged again while it lasts.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    permit: &'a Permit,
    facts: &'a RequestFacts,
    reached: &'a Reached,
}

impl Standing<'_> {
    /// Whether this policy permits it still, at this time. Costs next to nothing while nothing has changed.
    pub fn holds(&self, policy: &Snapshot, own: &OwnAddresses, now: SystemTime) -> bool {
        let lapsed = policy.next_change_after(self.facts.at).is_some_and(|at| at <= now);
        if self.permit.is_by(policy) && !lapsed {
            return true;
        }
        let facts = RequestFacts { at: now, ..self.facts.clone() };
        judge_again(policy, &facts, self.reached, own).is_ok()
    }

    /// Judges the request that is left when the origin does not switch protocols. What comes back is the denial that
    /// observe mode let pass, if it did.
    ///
    /// # Errors
    /// The denial; nothing of the answer may reach the client.
    pub fn without_upgrade(
        &self,
        policy: &Snapshot,
        own: &OwnAddresses,
        now: SystemTime,
    ) -> Result<Option<Denial>, Denial> {
        let facts = RequestFacts { at: now, ..self.facts.without_upgrade() };
        Ok(judge_again(policy, &facts, self.reached, own)?.observed().cloned())
    }
}

/// The permit by this policy for what an earlier one has opened.
fn judge_again(
    policy: &Snapshot,
    facts: &RequestFacts,
    reached: &Reached,
    own: &OwnAddresses,
) -> Result<Permit, Denial> {
    match policy.decide(facts) {
        Decision::Allow(permit) => permit.reaches(reached, own).map(|()| permit),
        Decision::Deny(denial) => Err(denial),
    }
}

/// Connected, but the client's first bytes have not been judged yet.
#[derive(Debug)]
pub struct Dialled {
    origin: dial::Dialled,
}

/// Connected and judged: bytes may flow.
#[derive(Debug)]
pub struct Cleared {
    origin: dial::Dialled,
    first: FirstBytes,
}

/// The first bytes that a client sends into its way out, as far as a policy cares.
#[derive(Debug)]
pub enum FirstBytes {
    /// A request that this proxy forwards by itself: every byte of it is ours already.
    Request {
        /// Whether it may be judged once more before its answer: over another connection, or as what it is without the
        /// upgrade that it asks for. It is counted afterwards.
        may_be_judged_again: bool,
    },
    /// The beginning of a tunnel.
    Tunnel(Opening),
}

impl<S> Session<S> {
    /// Ends the request and the connection.
    pub fn finish(self, outcome: Outcome) {
        self.request.pending.finish(outcome);
    }
}

impl Session<Dialled> {
    /// A session over a connection that was dialled for this request's permit.
    pub fn dialled(request: Box<Permitted>, origin: dial::Dialled) -> Self {
        Self { request, state: Dialled { origin } }
    }

    /// Judges the client's first bytes; only what it returns can carry any. A permit that has lapsed while they were
    /// waited for carries none.
    ///
    /// # Errors
    /// The refusal to answer with, already recorded.
    pub fn clear(mut self, first: FirstBytes) -> Result<Session<Cleared>, Refused> {
        let Permitted { pending, permit, facts } = &mut *self.request;
        if let FirstBytes::Tunnel(opening) = &first {
            let admitted = permit.admit(facts, opening);
            pending.opened(opening, &admitted);
            if let Err(denial) = admitted {
                return Err(self.request.pending.refuse(denial.into()));
            }
        }
        if let Err(denial) = permit.still_holds(facts, SystemTime::now) {
            return Err(self.request.pending.refuse(denial.into()));
        }
        if !matches!(first, FirstBytes::Request { may_be_judged_again: true }) {
            pending.count();
        }
        let Self { request, state: Dialled { origin } } = self;
        Ok(Session { request, state: Cleared { origin, first } })
    }

    /// Notes the status that the client is answered with.
    pub fn status(&mut self, status: u16) {
        self.request.pending.status(status);
    }

    /// Whether the permit lets other protocols than TLS pass.
    pub fn is_tls_optional(&self) -> bool {
        self.request.permit.tls() == Tls::Optional
    }

    /// What it rests on.
    pub fn standing(&self) -> Standing<'_> {
        let Permitted { permit, facts, .. } = &*self.request;
        Standing { permit, facts, reached: &self.state.origin.reached }
    }

    /// Waits until the origin says something, or is gone.
    pub async fn origin_speaks(&self) {
        // An error is an end as well, and the tunnel finds it.
        let _error = self.state.origin.stream.readable().await;
    }
}

impl Session<Cleared> {
    /// Who is at the other end of that connection.
    pub fn peer(&self) -> dial::Peer {
        self.state.origin.peer
    }

    /// All at once, for whoever moves bytes and counts them, as long as it may.
    pub fn parts(&mut self) -> (&mut TcpStream, &mut Pending, Standing<'_>) {
        let Self { request, state } = self;
        let Permitted { pending, permit, facts } = &mut **request;
        let standing = Standing { permit, facts, reached: &state.origin.reached };
        (&mut state.origin.stream, pending, standing)
    }

    /// Ends the request and gives the connection back, for the next request of the same client connection, and for where
    /// it was opened.
    pub fn finish_and_keep(self, outcome: Outcome) -> (Destination, dial::Dialled) {
        let Permitted { pending, facts, .. } = *self.request;
        pending.finish(outcome);
        (facts.destination, self.state.origin)
    }

    /// Ends the request without an answer from the origin; the connection is closed with it.
    pub fn refuse(self, why: Refusal) -> Refused {
        self.request.pending.refuse(why)
    }

    /// Gives up this connection, to try again with another: the permit stays, and so does the record.
    pub fn abandon_origin(self) -> Box<Permitted> {
        self.request
    }

    /// Enters the registry of open tunnels, where a policy change or silence can end it.
    pub fn enter(self, registry: &Rc<Registry>) -> (TcpStream, Open) {
        let Self { request, state: Cleared { origin, first } } = self;
        let open = registry.enter(*request, first, origin.reached);
        (origin.stream, open)
    }
}

/// What separates quiet from dead: how long since something happened, on a clock that is cheap to keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
