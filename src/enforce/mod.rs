//! The enforcement point: the whole sequence from a request to its connection, in one place. [`Attempt::open`] decides,
//! [`Opening::unless`] resolves, vets and connects.
//!
//! Guaranteed: a name is resolved only after the policy allowed it; every address is vetted before any is dialled; what
//! is dialled is what was vetted; every request that ends here is recorded. The order is the security property, and the
//! types enforce it: `dial` takes what is in a `Route`, which only a `Permit` makes.
//!
//! Deliberately not here: any byte of a protocol, and what a response looks like.

mod attempt;
mod check;
mod parent;
#[cfg(test)]
mod tests;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::dial::{Loops, ParentProxy, Resolver, SetUpError};
use crate::facts::{
    Client, ConnectionResult, Destination, NextHop, OwnAddresses, ParentFault, Peer, Protocol, Upgrade,
};
use crate::places::Places;
use crate::policy::Snapshot;
use crate::record::{RecordLine, Recorder, WorkerRecorder};
use crate::session::{InForce, ListenerId, Pending, Registry, TunnelDirectory, WorkerLoads};
use crate::sink::{RecentFilter, Sinks};
use crate::store::Store;

pub use attempt::{Attempt, Idle, Opened, Opening, ReceivedRequest, Unreached};
pub use check::{Checked, Circumstances, check};
pub use parent::Parent;

/// One worker's enforcement point.
#[derive(Debug)]
pub struct Enforcer {
    in_force: Rc<InForce>,
    recorder: Rc<WorkerRecorder>,
    shared: Arc<Shared>,
    registry: Rc<Registry>,
    resolver: Resolver,
    complaints: parent::Complaints,
}

/// What all workers share: read often, written hardly ever.
#[derive(Debug)]
pub struct Shared {
    /// Where the policy comes from.
    pub store: Arc<Store>,
    /// The account of what happened.
    pub recorder: Recorder,
    /// Where its records go.
    pub sinks: Arc<Sinks>,
    /// How names become addresses.
    pub resolver: Resolver,
    /// The parent proxy, if there is one on the way out.
    pub parent: Option<Parent>,
    /// Our own sockets.
    pub own: Arc<ArcSwap<OwnAddresses>>,
    /// What is open on all workers.
    pub tunnel_directory: TunnelDirectory,
    /// What is dialled to ports of our own sockets.
    pub loops: Arc<Loops>,
    /// How long and how much.
    pub limits: Limits,
    /// How much each worker has open.
    pub worker_loads: Arc<WorkerLoads>,
    /// What this process calls itself in `Via`, as in `Via: 1.1 outgate-…`: a request that names it has been here before.
    pub via: String,
}

/// The limits that this module enforces. Units are in the types; reasons are with the configuration keys.
#[derive(Debug)]
pub struct Limits {
    /// `connect-timeout`: all attempts to reach an origin together.
    pub connect: Duration,
    /// `idle-timeout`: a tunnel without a byte.
    pub idle: Duration,
    /// `max-tunnels` and `max-tunnels-per-client`.
    pub tunnels: Arc<Places>,
    /// `max-dials` and `max-dials-per-client`: ways out that are being looked up and connected.
    pub dials: Arc<Places>,
}

impl Enforcer {
    /// Worker `index`'s enforcement point.
    ///
    /// # Errors
    /// If the resolver library cannot be set up.
    pub fn new(shared: Arc<Shared>, index: usize) -> Result<Self, SetUpError> {
        let in_force = Rc::new(InForce::new(shared.store.handle(), Arc::clone(&shared.own)));
        let recorder = Rc::new(shared.recorder.worker(index));
        let resolver = shared.resolver.for_worker()?;
        let complaints = parent::Complaints::default();
        let registry = Rc::new(Registry::new(shared.worker_loads.worker(index), Rc::clone(&in_force)));
        Ok(Self { in_force, recorder, shared, registry, resolver, complaints })
    }

    /// Begins a request at its first byte. From here on it will have a record. `client` is what the connection reveals
    /// about the client; the request's head may reveal more ([`ReceivedRequest::identity`]).
    pub fn begin(self: &Rc<Self>, client: &Client, listener: &ListenerId) -> Attempt {
        let pending = Pending::begin(Rc::clone(&self.recorder), listener, client.clone());
        Attempt::new(Rc::clone(self), pending, client.clone(), listener.tool.clone())
    }

    /// Counts a connection that never became a request, or began.
    pub fn connection(&self, listener: &ListenerId, result: ConnectionResult) {
        self.recorder.connection(listener.index, result);
    }

    /// The drain time is over: what is dropped from now on was stopped with the process.
    pub fn stop(&self) {
        self.recorder.stop();
    }

    /// The policy in force, for the proxy's own paths.
    pub fn snapshot(&self) -> Snapshot {
        self.in_force.snapshot()
    }

    /// What everything that is under way is judged by.
    pub fn in_force(&self) -> &InForce {
        &self.in_force
    }

    /// The asking client's own last denials, newest first; each that was answered before the call is among them.
    pub async fn recent_denials(&self, client: Peer, limit: usize) -> Vec<Arc<RecordLine>> {
        self.shared.recorder.caught_up().await;
        let mut filter = RecentFilter::newest(limit);
        filter.decision = Some("deny".to_owned());
        filter.client = Some(client);
        let mut lines = self.shared.sinks.recent(&filter);
        lines.reverse();
        lines
    }

    /// Returns the parent proxy if a plain request for this destination would go through it.
    pub fn forwards_to(&self, destination: &Destination, upgrade: Option<Upgrade>) -> Option<&ParentProxy> {
        let parent = self.shared.parent.as_ref()?;
        let next_hop = parent.next_hop(Protocol::Http, destination, upgrade);
        (next_hop == NextHop::Parent).then_some(&parent.proxy)
    }

    /// Tells the log that the parent proxy failed.
    pub fn complain(&self, fault: ParentFault) {
        if let Some(parent) = &self.shared.parent {
            self.complaints.tell(parent, fault);
        }
    }

    /// Our token in `Via`.
    pub fn via(&self) -> &str {
        &self.shared.via
    }

    /// What is open on this worker.
    pub fn registry(&self) -> &Rc<Registry> {
        &self.registry
    }

    /// What all workers share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
