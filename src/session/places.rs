//! How many of something may be open in the whole process, and how many of its tunnels one client may have.
//!
//! Guaranteed: the bounds are exact across workers; a place is given back by dropping it, so no way out of the code keeps
//! one. What asks is refused at once and never waits: the newest work goes, what is open lives.
//!
//! Cost: a count that all workers touch, once for each connection, dial or tunnel, never for a byte. Clients are counted
//! only where one of them may have less than all.

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, PoisonError};

use super::Busy;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, bound};

/// Parts of the table of clients, so that two workers seldom want the same lock.
const SHARDS: usize = bound(16, 1);

/// A number of places that all workers share.
#[derive(Debug)]
pub struct Places {
    limit: usize,
    taken: AtomicUsize,
}

/// One of them, given back by dropping it.
#[derive(Debug)]
pub struct Place(Arc<Places>);

impl Places {
    /// So many, all free.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: AtomicUsize::new(0) })
    }

    /// One of them, if one is free.
    pub fn take(self: &Arc<Self>) -> Option<Place> {
        // The count guards nothing but itself.
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            (taken < self.limit).then_some(taken + 1) // below a limit there is a next number
        });
        taken.ok().map(|_| Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The places for tunnels: so many in all, and so many of one client, which is an IPv4 address or an
/// IPv6 /64.
#[derive(Debug)]
pub struct TunnelPlaces {
    all: Arc<Places>,
    /// Absent where one client may have all of them.
    clients: Option<Arc<Clients>>,
}

/// A tunnel's place, from its permit to its end.
#[derive(Debug)]
pub struct TunnelPlace {
    _all: Place,
    _client: Option<ClientPlace>,
}

impl TunnelPlaces {
    /// `limit` in all, `per_client` for one client.
    pub fn new(limit: usize, per_client: usize) -> Self {
        let clients = (per_client < limit).then(|| Arc::new(Clients::new(per_client)));
        Self { all: Places::new(limit), clients }
    }

    /// A place for one more tunnel of this client.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn take(&self, client: IpAddr) -> Result<TunnelPlace, Busy> {
        match &self.clients {
            Some(clients) => clients.take(counted_as(client), &self.all),
            None => Ok(TunnelPlace { _all: self.all.take().ok_or(Busy::Tunnels)?, _client: None }),
        }
    }

    /// How many clients the table holds.
    #[cfg(test)]
    pub(super) fn clients_known(&self) -> usize {
        let clients = self.clients.iter().flat_map(|clients| &clients.shards);
        clients.map(|shard| shard.lock().unwrap().len()).sum()
    }
}

/// The address that a client counts as: its own, or for IPv6 the first of its /64, in which it can have as many as it
/// likes (RFC 8981). Loopback and link-local ones are /64s that everybody is in, and count each by itself.
fn counted_as(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() && !ip.is_unicast_link_local() => {
            Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into()
        }
        ip => ip,
    }
}

/// How many tunnels each client has. Who has none is not in it, so it never holds more entries than there are tunnels.
#[derive(Debug)]
struct Clients {
    limit: usize,
    shards: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
    keys: RandomState,
}

/// A place among a client's own.
#[derive(Debug)]
struct ClientPlace {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Clients {
    fn new(limit: usize) -> Self {
        Self { limit, shards: Default::default(), keys: RandomState::new() }
    }

    /// Both places or none, under the client's lock: whoever is at its own limit holds none of all for a moment, which
    /// another client could have wanted just then.
    fn take(self: &Arc<Self>, client: IpAddr, all: &Arc<Places>) -> Result<TunnelPlace, Busy> {
        let mut shard = self.shard(client);
        let count = shard.get(&client).copied().unwrap_or_default();
        if count >= self.limit {
            return Err(Busy::TunnelsOfClient);
        }
        let place = all.take().ok_or(Busy::Tunnels)?;
        shard.insert(client, count + 1);
        Ok(TunnelPlace { _all: place, _client: Some(ClientPlace { clients: Arc::clone(self), client }) })
    }

    fn shard(&self, client: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        let [first, rest @ ..] = &self.shards;
        let which = usize::try_from(self.keys.hash_one(client) % SHARDS as u64).unwrap_or_default();
        which.checked_sub(1).and_then(|at| rest.get(at)).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.clients.shard(self.client).entry(self.client) {
            match count.get() {
                0 | 1 => drop(count.remove()),
                more => *count.get_mut() = more - 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_last_place_is_given_once_and_again_when_it_is_free() {
        let places = Places::new(2);
        let one = places.take().unwrap();
        let two = places.take().unwrap();
        assert!(places.take().is_none());
        drop(one);
        let three = places.take().unwrap();
        assert!(places.take().is_none());
        drop((two, three));
        assert_eq!(places.taken.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn the_bound_is_exact_across_threads() {
        let places = Places::new(100);
        let taken: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..50).filter_map(|_| places.take()).collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.len(), 100);
    }

    #[test]
    fn a_client_with_all_its_tunnels_takes_none_from_another() {
        let places = TunnelPlaces::new(3, 2);
        let first = places.take(ip("192.0.2.1")).unwrap();
        let second = places.take(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(places.take(ip("192.0.2.1")).unwrap_err(), Busy::TunnelsOfClient);
        let other = places.take(ip("192.0.2.2")).unwrap();
        assert_eq!(places.take(ip("192.0.2.3")).unwrap_err(), Busy::Tunnels);
        drop(first);
        let third = places.take(ip("192.0.2.1")).unwrap();
        assert_eq!(places.take(ip("192.0.2.1")).unwrap_err(), Busy::TunnelsOfClient, "both are reached");
        drop((second, third, other));
        assert_eq!(places.clients_known(), 0, "who has no tunnel is forgotten");
    }

    #[test]
    fn a_client_has_a_whole_slash_64_and_no_more() {
        for (client, other, is_same) in [
            ("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true),
            ("2001:db8:0:1::1", "2001:db8:0:2::1", false),
            ("2001:db8:0:1::1", "2001:db8:0:0:ffff:ffff:ffff:ffff", false),
            ("::1", "::2", false),
            ("fe80::1", "fe80::2", false),
            ("::ffff:192.0.2.1", "192.0.2.1", true),
            ("::ffff:192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "192.0.2.2", false),
        ] {
            let places = TunnelPlaces::new(2, 1);
            let first = places.take(ip(client)).unwrap();
            let second = places.take(ip(other));
            assert_eq!(second.is_err_and(|why| why == Busy::TunnelsOfClient), is_same, "{client} {other}");
            drop(first);
            assert!(places.take(ip(other)).is_ok(), "{other} again");
            assert_eq!(places.clients_known(), 0);
        }
    }
}
