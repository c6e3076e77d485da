//! An open way out, in the two states that it passes through, and the registry of what is under way for long.
//!
//! Guaranteed:
//! - A [`Session`] exists only for a request that was permitted and whose addresses were vetted; `tunnel` and `forward`
//!   take only a [`Session<Cleared>`], and only [`Session::clear`] makes one.
//! - Exactly one [`Record`](crate::record::Record) is emitted for each request, however it ends: a [`Pending`] that is
//!   dropped unfinished emits `internal`, or `shutdown` once the drain time is over.
//!
//! Deliberately not here: deciding, resolving, dialling (`enforce` does that in one place), and any byte of a protocol.

mod in_force;
#[cfg(test)]
#[cfg(feature = "model")]
mod model_tests;
mod pending;
mod permitted;
mod refusal;
mod registry;
mod tunnel_directory;
mod worker_load;

use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::dial;
use crate::facts::{Destination, NextHop, Opening, Outcome};
use crate::policy::Tls;
use crate::stream::OriginStream;

pub use in_force::InForce;
pub use pending::{ListenerId, Pending};
pub use permitted::{Ongoing, Permitted};
pub use refusal::{Busy, Malformed, Refusal, RefusalKind, Refused, Row};
pub use registry::{Cut, ListedRequest, OPEN_AFTER, OpenTunnel, Registry};
pub use tunnel_directory::{DirectoryInbox, OpenTunnels, TunnelDirectory, Unanswered};
pub use worker_load::{WorkerLoad, WorkerLoads};

/// A way out that has been dialled, for a permitted request.
#[derive(Debug)]
pub struct Session<S> {
    /// In a box: a session passes through many hands, and through futures that would have to hold room for it.
    request: Box<Permitted>,
    state: S,
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
        let Permitted { pending, permit, facts, .. } = &mut *self.request;
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

    /// The request, to be judged again while its first bytes are waited for.
    pub fn ongoing(&mut self) -> Ongoing<'_> {
        Ongoing { request: &mut self.request, reached: &self.state.origin.reached }
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

    /// The stream to the origin, and the request, to be judged again while its bytes move.
    pub fn parts(&mut self) -> (&mut OriginStream, Ongoing<'_>) {
        let Self { request, state } = self;
        (&mut state.origin.stream, Ongoing { request, reached: &state.origin.reached })
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
    pub fn enter(self, registry: &Rc<Registry>) -> (OriginStream, OpenTunnel) {
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
