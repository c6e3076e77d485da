//! An open way out, in the two states that it passes through, and the registry of what is under way for long.
//!
//! Guaranteed:
//! - A [`Session`] exists only for a request that was permitted and whose addresses were vetted; `tunnel` and `forward`
//!   take only a [`Session<Cleared>`], and only [`Session::clear`] makes one.
//! - Whatever becomes of a request, exactly one [`Record`](crate::record::Record) is emitted for it: a [`Pending`] that is
//!   dropped unfinished emits `internal`, or `shutdown` once the drain time is over.
//!
//! Deliberately not here: deciding, resolving, dialling (`enforce` does that in one place), and any byte of a protocol.

mod in_force;
#[cfg(test)]
#[cfg(feature = "model")]
mod model_tests;
mod pending;
mod refusal;
mod registry;
mod roll;
mod share;

use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use crate::dial;
use crate::facts::{Destination, NextHop, Opening, Outcome, RequestFacts};
use crate::policy::{Denial, Permit, Reached, Tls};
use crate::stream::OriginStream;

use in_force::Renewal;

pub use in_force::InForce;
pub use pending::{ListenerId, Pending};
pub use refusal::{Busy, Malformed, Refusal, RefusalKind, Refused, Row};
pub use registry::{Cut, Listing, OPEN_AFTER, Open, Registry};
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

impl Permitted {
    /// Judges it by the policy in force, whole, if that is not the one that permitted it. `reached` is where its connection
    /// leads, once there is one.
    ///
    /// # Errors
    /// The denial; no byte of it may leave.
    pub fn renew(&mut self, in_force: &InForce, reached: Option<&Reached>) -> Result<(), Denial> {
        let Self { pending, permit, facts } = self;
        match in_force.renew(permit, facts, reached)? {
            Renewal::Unchanged => {}
            Renewal::Replaced => pending.permitted_again(permit),
        }
        Ok(())
    }
}

/// What an open way out rests on, to be judged again while it lasts.
#[derive(Debug)]
pub struct Standing<'a> {
    permit: &'a mut Permit,
    facts: &'a mut RequestFacts,
    reached: &'a Reached,
}

impl Standing<'_> {
    /// Judges it by the policy in force, if that is not the one that permitted it.
    ///
    /// # Errors
    /// The denial.
    pub fn renew(&mut self, in_force: &InForce) -> Result<(), Denial> {
        in_force.renew(self.permit, self.facts, Some(self.reached)).map(drop)
    }

    /// Whether the policy in force permits it still.
    pub fn holds(&mut self, in_force: &InForce) -> bool {
        self.renew(in_force).is_ok()
    }

    /// Judges the request as it would be without its upgrade, while the origin may still switch protocols. What comes back
    /// is the denial that observe mode let pass, if it did.
    ///
    /// # Errors
    /// The denial; no interim response may reach the client.
    pub fn without_upgrade(&self, in_force: &InForce) -> Result<Option<Denial>, Denial> {
        Ok(self.plain(in_force)?.0.observed().cloned())
    }

    /// As [`Self::without_upgrade`], once the origin has not switched protocols: from now on the response rests on the plain
    /// request, and is judged as its response.
    ///
    /// # Errors
    /// The denial; nothing of the response may reach the client.
    pub fn drop_upgrade(&mut self, in_force: &InForce) -> Result<Option<Denial>, Denial> {
        let (permit, facts) = self.plain(in_force)?;
        let observed = permit.observed().cloned();
        (*self.permit, *self.facts) = (permit, facts);
        Ok(observed)
    }

    fn plain(&self, in_force: &InForce) -> Result<(Permit, RequestFacts), Denial> {
        let facts = RequestFacts { at: SystemTime::now(), ..self.facts.without_upgrade() };
        Ok((in_force.judge(&facts, Some(self.reached))?, facts))
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

    /// Judges the client's first bytes, by the policy in force; only what it returns can carry any.
    ///
    /// # Errors
    /// The refusal to answer with, already recorded.
    pub fn clear(mut self, first: FirstBytes, in_force: &InForce) -> Result<Session<Cleared>, Refused> {
        if let Err(denial) = self.request.renew(in_force, Some(&self.state.origin.reached)) {
            return Err(self.request.pending.refuse(denial.into()));
        }
        let Permitted { pending, permit, facts } = &mut *self.request;
        if let FirstBytes::Tunnel(opening) = &first {
            let admitted = permit.admit(facts, opening);
            pending.opened(opening, &admitted);
            if let Err(denial) = admitted {
                return Err(self.request.pending.refuse(denial.into()));
            }
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

    /// Whether the policy in force permits it still.
    pub fn holds(&mut self, in_force: &InForce) -> bool {
        self.request.renew(in_force, Some(&self.state.origin.reached)).is_ok()
    }

    /// Lists it, once it has lasted for long enough: its first bytes are still waited for.
    pub fn list_if_lasting(&mut self, registry: &Rc<Registry>) -> Option<Listing> {
        let Permitted { pending, permit, facts } = &mut *self.request;
        let standing = Standing { permit, facts, reached: &self.state.origin.reached };
        (pending.age() >= OPEN_AFTER).then(|| registry.list_request(&standing, pending))
    }

    /// Takes it off the list again.
    pub fn unlist(&mut self, listing: Listing) {
        listing.leave(&mut self.request.pending);
    }

    /// Waits until the origin says something, or is gone.
    pub async fn origin_speaks(&self) {
        // A look at the bytes themselves: the runtime still takes a socket for readable after exactly those bytes were read
        // that were there, as the answer of a parent proxy is. An error is an end as well, and the tunnel finds it.
        let _error = self.state.origin.stream.peek(&mut [0]).await;
    }
}

impl Session<Cleared> {
    /// Who is at the other end of that connection.
    pub fn next_hop(&self) -> NextHop {
        self.state.origin.next_hop
    }

    /// All at once, for whoever moves bytes and counts them, as long as it may.
    pub fn parts(&mut self) -> (&mut OriginStream, &mut Pending, Standing<'_>) {
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
    pub fn enter(self, registry: &Rc<Registry>) -> (OriginStream, Open) {
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
