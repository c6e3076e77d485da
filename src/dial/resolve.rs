//! From a host to its addresses.
//!
//! Guaranteed:
//! - An address literal is its own answer; `[dns] hosts` comes before any resolver, by the exact name.
//! - An answer is never empty, and it comes, or its error, within the time given.
//!
//! Deliberately not done: judging what came back, and sorting it (the resolver's order is kept: the system's by RFC 6724,
//! or IPv6 first).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use foldhash::fast::RandomState;
use smallvec::smallvec;
use tokio::time;

use super::addresses::Addresses;
use super::servers::Servers;
use super::system::System;
use crate::facts::{DomainName, Host, ResolveError};
use crate::places::{Holder, Places};

/// The names that the self-test asks for end in this. No name of the real world does (RFC 6761 §6.4), so that a lookup of
/// one is a lookup of a name that had to be denied first.
pub const CANARY_ZONE: &str = ".outgate.invalid";

/// How names are resolved (`docs/reference/configuration.md`, `[dns]`).
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// The servers to ask, by UDP and, where an answer does not fit, TCP. None: the system's resolver.
    pub servers: Vec<SocketAddr>,
    /// Names with fixed answers.
    pub hosts: Vec<(DomainName, Vec<IpAddr>)>,
    /// The longest that one lookup may take, all its queries and repetitions together.
    pub timeout: Duration,
    /// How many lookups may be in progress in the whole process, and of one client.
    pub in_flight: Arc<Places>,
}

/// Resolves hosts. One is made for the process; each worker takes its own by [`Resolver::for_worker`].
#[derive(Debug)]
pub struct Resolver {
    shared: Arc<ResolverSettings>,
    source: Source,
}

/// What all workers have in common.
#[derive(Debug)]
struct ResolverSettings {
    servers: Vec<SocketAddr>,
    hosts: HashMap<DomainName, Addresses, RandomState>,
    timeout: Duration,
    in_flight: Arc<Places>,
    /// Lookups of names under [`CANARY_ZONE`].
    canaries: AtomicU64,
}

#[derive(Debug)]
enum Source {
    System(Arc<System>),
    Servers(Box<Servers>),
}

/// Why a resolver cannot be made.
#[derive(Debug, thiserror::Error)]
#[error("the resolver cannot be set up: {0}")]
pub struct SetUpError(#[from] hickory_resolver::net::NetError);

impl Resolver {
    /// The process's resolver, which the first worker may use as its own.
    ///
    /// # Errors
    /// If the resolver library cannot be set up.
    pub fn new(settings: DnsSettings) -> Result<Self, SetUpError> {
        let DnsSettings { servers, hosts, timeout, in_flight } = settings;
        let hosts = hosts.into_iter().map(|(name, addresses)| (name, addresses.into())).collect();
        let shared = Arc::new(ResolverSettings { servers, hosts, timeout, in_flight, canaries: AtomicU64::new(0) });
        let source = if shared.servers.is_empty() {
            Source::System(Arc::new(System::new(Arc::clone(&shared.in_flight))))
        } else {
            Source::Servers(Box::new(shared.servers()?))
        };
        Ok(Self { shared, source })
    }

    /// Another worker's: it shares the settings, the bound and the system's threads, but has sockets and a cache of its
    /// own, because those belong to the runtime that made them.
    ///
    /// # Errors
    /// If the resolver library cannot be set up.
    pub fn for_worker(&self) -> Result<Self, SetUpError> {
        let source = match &self.source {
            Source::System(system) => Source::System(Arc::clone(system)),
            Source::Servers(_) => Source::Servers(Box::new(self.shared.servers()?)),
        };
        Ok(Self { shared: Arc::clone(&self.shared), source })
    }

    /// The addresses of a host, unvetted. Only to be asked about what a policy has allowed. The lookup counts as one of
    /// `client`'s, and ends when the future is dropped; what the system's resolver is busy with at that moment counts
    /// until it has an answer.
    ///
    /// # Errors
    /// If the name has no address, or if the lookup fails.
    pub async fn resolve(&self, host: &Host, client: Holder) -> Result<Addresses, ResolveError> {
        let name = match host {
            Host::Ip(ip) => return Ok(smallvec![*ip]),
            Host::Name(name) => name,
        };
        if name.as_str().ends_with(CANARY_ZONE) {
            self.shared.canaries.fetch_add(1, Ordering::SeqCst);
        }
        let answer = match self.shared.hosts.get(name) {
            Some(fixed) => fixed.clone(),
            // In a box, as all that is rare on the way to a connection: the waiting future has room for the common path only.
            None => {
                let looked_up = time::timeout(self.shared.timeout, Box::pin(self.look_up(name, client))).await;
                looked_up.unwrap_or(Err(ResolveError::Timeout))?
            }
        };
        if answer.is_empty() { Err(ResolveError::NoAddresses) } else { Ok(answer) }
    }

    /// How often names under [`CANARY_ZONE`] were to be resolved, by all workers together.
    pub fn canaries(&self) -> u64 {
        self.shared.canaries.load(Ordering::SeqCst)
    }

    async fn look_up(&self, name: &DomainName, client: Holder) -> Result<Addresses, ResolveError> {
        match &self.source {
            Source::System(system) => system.look_up(name, client).await,
            Source::Servers(servers) => servers.look_up(name, client).await,
        }
    }
}

#[cfg(test)]
impl Resolver {
    /// Lookups in progress.
    pub(super) fn in_progress(&self) -> usize {
        self.shared.in_flight.taken().0
    }

    /// One that asks this, on a thread of its own, as it would ask the system.
    pub(crate) fn asking(ask: impl Fn(&DomainName) -> Result<Addresses, ResolveError> + Send + Sync + 'static) -> Self {
        let in_flight = Places::new(16, 16);
        let system = System::asking(Arc::clone(&in_flight), Box::new(ask));
        let settings =
            DnsSettings { servers: Vec::new(), hosts: Vec::new(), timeout: Duration::from_secs(5), in_flight };
        Self { source: Source::System(Arc::new(system)), ..Self::new(settings).unwrap() }
    }
}

impl ResolverSettings {
    fn servers(&self) -> Result<Servers, SetUpError> {
        Ok(Servers::new(&self.servers, self.timeout, Arc::clone(&self.in_flight))?)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test]
    async fn look_ups_of_the_self_tests_names_are_counted_by_all_workers_together_and_no_others() {
        let names = ["a.outgate.invalid", "outgate.invalid", "a.xoutgate.invalid", "a.outgate.invalid.test"];
        let name = |text: &str| DomainName::parse(text.as_bytes()).unwrap();
        let resolver = Resolver::new(DnsSettings {
            servers: Vec::new(),
            hosts: names.map(|text| (name(text), vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])).into(),
            timeout: Duration::from_secs(5),
            in_flight: Places::new(1, 1),
        })
        .unwrap();
        let worker = resolver.for_worker().unwrap();
        for (text, expected) in names.into_iter().zip([1, 1, 1, 1]) {
            worker.resolve(&Host::Name(name(text)), IpAddr::V4(Ipv4Addr::LOCALHOST).into()).await.unwrap();
            assert_eq!(resolver.canaries(), expected, "{text}");
        }
    }
}
