//! How many of something may be open in the whole process, and how much of that one client may have.
//!
//! Guaranteed:
//! - The bounds are exact across workers. A place is given back by dropping it, so no way out of the code keeps one.
//! - A client that asks is answered at once and never waits: the newest work is refused, and open work continues.
//! - No client takes all places. One gets a further place only while it has fewer than `FREE_TIMES` times as many as
//!   are free, and never more than its own limit. A single client can have three quarters of all places (with fewer
//!   than four there is nothing to keep free), two can have three sevenths each, and so on: however much a few clients
//!   take, the next one finds room.
//!
//! Cost: a lock and a count that all workers touch, once for each connection, handshake, lookup, dial or tunnel, never
//! for a byte.

#[cfg(test)]
#[cfg(feature = "model")]
mod model_tests;

use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, PoisonError};

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard, bound};

/// How many times the free places a client may have. With 3, one client on a machine of its own has three quarters of
/// all; a larger number leaves less for the next client, a smaller one more unused.
const FREE_TIMES: usize = 3;

/// Parts of the table of clients, so that two workers seldom want the same lock.
const SHARDS: usize = bound(16, 1);

/// Whose places are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Holder {
    /// Those of an IPv4 address, or of an IPv6 /64.
    Address(IpAddr),
    /// Those of a user of this machine, by its number.
    User(u32),
}

impl From<IpAddr> for Holder {
    fn from(address: IpAddr) -> Self {
        Self::Address(address)
    }
}

/// A number of places that all workers share. A client is a [`Holder`].
#[derive(Debug)]
pub struct Places {
    limit: usize,
    per_client: usize,
    taken: AtomicUsize,
    /// How many each client has. A client without any is not in it, so there are never more entries than places.
    clients: [Mutex<HashMap<Holder, usize>>; SHARDS],
    keys: RandomState,
}

/// One of them, given back by dropping it.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    client: Holder,
}

/// Which limit a client met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// All places are taken.
    All,
    /// This client has its share.
    Client,
}

impl Places {
    /// `limit` places, all free, of which one client gets `per_client` at most.
    pub fn new(limit: usize, per_client: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            per_client,
            taken: AtomicUsize::new(0),
            clients: std::array::from_fn(|_| Mutex::default()),
            keys: RandomState::new(),
        })
    }

    /// One of them for this client.
    ///
    /// # Errors
    /// Which limit is reached.
    pub fn take(self: &Arc<Self>, client: impl Into<Holder>) -> Result<Place, Full> {
        let client = counted_as(client.into());
        // Both counts change under the client's lock: a client at its own limit never holds a place for a moment that
        // another client could have wanted just then.
        let mut clients = self.clients(client);
        let count = clients.get(&client).copied().unwrap_or_default();
        if self.per_client < self.limit && count >= self.per_client {
            return Err(Full::Client);
        }
        // The count guards nothing but itself.
        let taken = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            let free = self.limit.saturating_sub(taken);
            (count < free.saturating_mul(FREE_TIMES)).then_some(taken + 1) // below a limit there is a next number
        });
        match taken {
            Ok(_) => {
                clients.insert(client, count + 1);
                Ok(Place { places: Arc::clone(self), client })
            }
            Err(taken) if taken >= self.limit => Err(Full::All),
            Err(_) => Err(Full::Client),
        }
    }

    fn clients(&self, client: Holder) -> MutexGuard<'_, HashMap<Holder, usize>> {
        let [first, rest @ ..] = &self.clients;
        let which = usize::try_from(self.keys.hash_one(client) % SHARDS as u64).unwrap_or_default();
        which.checked_sub(1).and_then(|at| rest.get(at)).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many places are taken, and how many clients the table holds.
    #[cfg(test)]
    pub(crate) fn taken(&self) -> (usize, usize) {
        let clients = self.clients.iter().map(|clients| clients.lock().unwrap().len()).sum();
        (self.taken.load(Ordering::Relaxed), clients)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut clients = self.places.clients(self.client);
        if let Entry::Occupied(mut count) = clients.entry(self.client) {
            match count.get() {
                0 | 1 => drop(count.remove()),
                more => *count.get_mut() = more - 1,
            }
        }
        self.places.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Returns the holder that a client is counted as. A user counts as itself, and so does an IPv4 address. An IPv6
/// address counts as the first address of its /64, because a client can use any number of addresses in it (RFC 8981).
/// Loopback and link-local addresses count individually, because all clients share these /64s.
fn counted_as(client: Holder) -> Holder {
    let Holder::Address(address) = client else { return client };
    Holder::Address(match address.to_canonical() {
        IpAddr::V6(ip) if !ip.is_loopback() && !ip.is_unicast_link_local() => {
            Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into()
        }
        ip => ip,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn nth(client: u8) -> IpAddr {
        [192, 0, 2, client].into()
    }

    /// As many places as this client gets.
    fn all_for(places: &Arc<Places>, client: u8) -> Vec<Place> {
        std::iter::from_fn(|| places.take(nth(client)).ok()).collect()
    }

    #[test]
    fn the_last_place_is_given_once_and_again_when_it_is_free() {
        let places = Places::new(2, 2);
        let one = places.take(nth(1)).unwrap();
        let two = places.take(nth(1)).unwrap();
        assert_eq!(places.take(nth(1)).unwrap_err(), Full::All);
        assert_eq!(places.take(nth(2)).unwrap_err(), Full::All);
        drop(one);
        let three = places.take(nth(2)).unwrap();
        assert_eq!(places.take(nth(2)).unwrap_err(), Full::All);
        drop((two, three));
        assert_eq!(places.taken(), (0, 0));
    }

    #[test]
    fn the_bound_is_exact_across_threads() {
        let places = Places::new(100, 100);
        let take = |client: u8| (0..50).filter_map(|_| places.take(nth(client)).ok()).collect::<Vec<_>>();
        let taken: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..40).map(|client| scope.spawn(move || take(client))).collect();
            threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.len(), 100);
    }

    #[test]
    fn a_client_at_its_own_limit_takes_none_from_another() {
        let places = Places::new(3, 2);
        let first = places.take(ip("192.0.2.1")).unwrap();
        let second = places.take(ip("::ffff:192.0.2.1")).unwrap();
        assert_eq!(places.take(nth(1)).unwrap_err(), Full::Client);
        let other = places.take(nth(2)).unwrap();
        assert_eq!(places.take(nth(3)).unwrap_err(), Full::All);
        drop(first);
        let third = places.take(nth(1)).unwrap();
        assert_eq!(places.take(nth(1)).unwrap_err(), Full::Client, "both limits are reached");
        drop((second, third, other));
        assert_eq!(places.taken(), (0, 0), "a client without a place is forgotten");
    }

    #[test]
    fn one_client_has_three_quarters_at_most_and_the_next_ones_find_room() {
        for (limit, shares) in [
            (1, &[1, 0][..]),
            (2, &[2, 0]),
            (3, &[3, 0]),
            (4, &[3, 1, 0]),
            (8, &[6, 2, 0]),
            (32, &[24, 6, 2, 0]),
            (1024, &[768, 192, 48, 12, 3, 1, 0]),
        ] {
            let places = Places::new(limit, limit);
            let held: Vec<_> = (0..).zip(shares).map(|(client, _)| all_for(&places, client)).collect();
            let counts: Vec<_> = held.iter().map(Vec::len).collect();
            assert_eq!(counts, shares, "of {limit}, one client after the other");
        }
    }

    #[test]
    fn clients_that_compete_have_equal_shares_and_leave_some_free() {
        for (clients, each) in [(1, 75), (2, 43), (3, 30), (4, 24), (10, 10)] {
            let places = Places::new(100, 100);
            let mut held: Vec<_> = (0..clients).map(|_| Vec::new()).collect();
            for _ in 0..100 {
                for (client, held) in (0..).zip(&mut held) {
                    held.extend(places.take(nth(client)));
                }
            }
            for held in &held {
                assert!(held.len().abs_diff(each) <= 1, "{clients} clients: {} and not {each}", held.len());
            }
            drop(places.take(nth(99)).expect("the next client finds room"));
        }
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
            let places = Places::new(2, 1);
            let first = places.take(ip(client)).unwrap();
            let second = places.take(ip(other));
            assert_eq!(second.is_err_and(|why| why == Full::Client), is_same, "{client} {other}");
            drop(first);
            assert!(places.take(ip(other)).is_ok(), "{other} again");
            assert_eq!(places.taken(), (0, 0));
        }
    }

    #[test]
    fn a_user_has_a_share_of_its_own_next_to_every_address() {
        let places = Places::new(4, 1);
        let root = places.take(Holder::User(0)).unwrap();
        assert_eq!(places.take(Holder::User(0)).unwrap_err(), Full::Client);
        let others = (places.take(Holder::User(1000)).unwrap(), places.take(ip("0.0.0.0")).unwrap());
        drop((root, others));
        assert!(places.take(Holder::User(0)).is_ok());
        assert_eq!(places.taken(), (0, 0));
    }

    proptest! {
        /// Compares the counts with a list of the places that each holder has, for any sequence of taking and giving
        /// back.
        #[test]
        fn counts_agree_with_what_is_held(
            limit in 1_usize..20,
            per_client in 1_usize..20,
            steps in proptest::collection::vec((0_u8..5, any::<bool>()), 0..100),
        ) {
            let places = Places::new(limit, per_client);
            let mut held: Vec<(u8, Place)> = Vec::new();
            for (client, takes) in steps {
                let own = held.iter().filter(|(holder, _)| *holder == client).count();
                if takes {
                    let free = limit - held.len();
                    let expected = if own >= per_client && per_client < limit || free > 0 && own >= 3 * free {
                        Err(Full::Client)
                    } else if free == 0 {
                        Err(Full::All)
                    } else {
                        Ok(())
                    };
                    let taken = places.take(nth(client));
                    prop_assert_eq!(taken.as_ref().map(|_| ()).map_err(|full| *full), expected);
                    held.extend(taken.map(|place| (client, place)));
                } else if let Some(at) = held.iter().position(|(holder, _)| *holder == client) {
                    drop(held.swap_remove(at));
                }
                let holders: std::collections::HashSet<_> = held.iter().map(|(holder, _)| *holder).collect();
                prop_assert_eq!(places.taken(), (held.len(), holders.len()));
            }
        }
    }
}
