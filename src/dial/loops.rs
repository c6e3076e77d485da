//! Connections of this process that end in its own listeners.
//!
//! The addresses of the machine say most of them before anything is connected (`OwnAddresses`). Two kinds of address they do
//! not know: those that are routed to this machine without belonging to an interface (`ip route add local …`), and those
//! that were added a moment ago. What is left is the connection itself: its two addresses are those of one that a listener
//! of ours accepts.
//!
//! Guaranteed, for a connection to a port that a listener of ours has:
//! - Its two sides are compared before a byte flows, regardless of which comes first: the listener looks for it among
//!   those that were dialled, and the dial among those that were accepted while it connected.
//! - A connection from an address to itself ends on this machine, and a port that we have on all addresses is ours on all
//!   of them. That needs no comparison.
//!
//! Cost: a connection to another port is compared with the listeners' ports; accepting one reads a count, which is zero
//! unless something was dialled to such a port just now.
//!
//! Deliberately not done: addresses and ports that a packet filter rewrites on the way (NAT). `Via` still detects a loop of
//! requests.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// For how long a connection is known after it was dialled or accepted. Between a listener's queue and its worker there are
/// milliseconds; a worker that is held up for longer than this is an outage.
const KNOWN_FOR: Duration = Duration::from_secs(10);

/// Connections of each kind that are known, so that a flood of them costs a few megabytes at most: more than there are ports
/// on one address.
const MAX_KNOWN: usize = 65_536;

/// The connections that this process dials to ports of its own listeners, and those that the listeners accept at the
/// same time.
#[derive(Debug)]
pub struct Loops {
    listening: Box<[SocketAddr]>,
    /// Dials in progress and connections that were dialled, as counted at the last look at `state`.
    watched: AtomicUsize,
    state: Mutex<OwnConnections>,
}

/// A connection would lead from this process into itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsLoop;

#[derive(Debug, Default)]
struct OwnConnections {
    /// Dials in progress.
    connecting: usize,
    /// What was dialled.
    dialled: Known,
    /// What was accepted while a dial was in progress.
    accepted: Known,
}

/// A connection: where it comes from, and where it leads to.
type Ends = (SocketAddr, SocketAddr);

/// Connections, for as long as they may still be asked for.
#[derive(Debug, Default)]
struct Known {
    since: HashMap<Ends, Instant>,
    order: VecDeque<(Ends, Instant)>,
}

/// A dial in progress, to a port that a listener of ours has.
#[derive(Debug)]
pub(super) struct Dialling<'a> {
    loops: &'a Loops,
    to: SocketAddr,
}

impl Loops {
    /// For a process that listens here.
    pub fn new(listening: &[SocketAddr]) -> Arc<Self> {
        let listening = listening.iter().map(|own| canonical(*own)).collect();
        Arc::new(Self { listening, watched: AtomicUsize::new(0), state: Mutex::default() })
    }

    /// To be called before anything is dialled; none for a port that no listener of ours has.
    pub(super) fn dial(&self, to: SocketAddr) -> Option<Dialling<'_>> {
        if !self.listening.iter().any(|own| own.port() == to.port()) {
            return None;
        }
        let mut state = self.state();
        state.connecting += 1;
        self.watch(&state);
        Some(Dialling { loops: self, to: canonical(to) })
    }

    /// To be called for each connection that a listener of ours accepts, with its other end and, asked for only where it
    /// matters, its end here.
    ///
    /// # Errors
    /// If this process has dialled it: nothing may be read from it or written to it.
    pub fn accept(&self, peer: SocketAddr, here: impl FnOnce() -> io::Result<SocketAddr>) -> Result<(), IsLoop> {
        // A dial is counted before it begins to connect, and so before its connection can be accepted.
        if self.watched.load(Ordering::SeqCst) == 0 {
            return Ok(());
        }
        // A connection that has no end here any more carries nothing.
        let Ok(here) = here() else { return Ok(()) };
        let (ends, now) = ((canonical(peer), canonical(here)), crate::sync::now());
        let mut state = self.state();
        state.forget(now);
        let is_loop = state.dialled.contains(ends);
        if state.connecting > 0 && !is_loop {
            state.accepted.add(ends, now);
        }
        self.watch(&state);
        if is_loop { Err(IsLoop) } else { Ok(()) }
    }

    /// Whether a connection that leads there from this address of ours ends in a listener on all addresses.
    fn ends_here(&self, (local, to): Ends) -> bool {
        let is_wildcard = |own: &SocketAddr| own.ip().is_unspecified() && own.is_ipv4() == to.is_ipv4();
        local.ip() == to.ip() && self.listening.iter().any(|own| own.port() == to.port() && is_wildcard(own))
    }

    fn watch(&self, state: &OwnConnections) {
        self.watched.store(state.connecting + state.dialled.since.len(), Ordering::SeqCst);
    }

    fn state(&self) -> MutexGuard<'_, OwnConnections> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dialling<'_> {
    /// To be called once it is connected, with our end of it, before anything is written.
    ///
    /// # Errors
    /// If its other end is in this process.
    pub(super) fn connected(self, local: SocketAddr) -> Result<(), IsLoop> {
        let ends = (canonical(local), self.to);
        let mut state = self.loops.state();
        // Remembered in any case: a listener that comes to it later has to know it.
        state.dialled.add(ends, crate::sync::now());
        if state.accepted.contains(ends) || self.loops.ends_here(ends) { Err(IsLoop) } else { Ok(()) }
    }
}

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        let mut state = self.loops.state();
        state.connecting -= 1;
        if state.connecting == 0 {
            state.accepted = Known::default();
        }
        state.forget(crate::sync::now());
        self.loops.watch(&state);
    }
}

impl OwnConnections {
    fn forget(&mut self, now: Instant) {
        self.dialled.forget(now);
        self.accepted.forget(now);
    }
}

impl Known {
    fn contains(&self, ends: Ends) -> bool {
        self.since.contains_key(&ends)
    }

    fn add(&mut self, ends: Ends, now: Instant) {
        self.since.insert(ends, now);
        self.order.push_back((ends, now));
        while self.order.len() > MAX_KNOWN {
            self.forget_oldest();
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(_, since)| now.saturating_duration_since(*since) > KNOWN_FOR) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some((ends, since)) = self.order.pop_front() else { return };
        // Ends that were used again since then have a later entry.
        if self.since.get(&ends) == Some(&since) {
            self.since.remove(&ends);
        }
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn loops() -> Arc<Loops> {
        Loops::new(&[at("0.0.0.0:3128"), at("[::]:3128"), at("127.0.0.1:3129"), at("0.0.0.0:3130")])
    }

    /// What a listener says to a connection from there to here.
    fn accept(loops: &Loops, peer: &str, here: &str) -> Result<(), IsLoop> {
        loops.accept(at(peer), || Ok(at(here)))
    }

    #[test]
    fn a_connection_to_another_port_is_none_of_ours_and_costs_a_listener_nothing() {
        let loops = loops();
        assert!(loops.dial(at("192.0.2.7:443")).is_none());
        assert_eq!(loops.accept(at("192.0.2.7:50000"), || panic!("the local address is not needed")), Ok(()));
    }

    #[test]
    fn whichever_side_comes_second_knows_the_loop() {
        let loops = loops();
        // Nothing of the two addresses alike: only the connection itself tells.
        let to = "192.0.2.7:3129";
        let dialling = loops.dial(at(to)).unwrap();
        assert_eq!(accept(&loops, "127.0.0.1:50001", to), Ok(()), "another client");
        assert_eq!(accept(&loops, "127.0.0.1:50000", "192.0.2.8:3129"), Ok(()), "another connection");
        assert_eq!(accept(&loops, "127.0.0.1:50000", to), Ok(()), "not known yet");
        assert_eq!(dialling.connected(at("127.0.0.1:50000")), Err(IsLoop));

        assert_eq!(loops.dial(at(to)).unwrap().connected(at("127.0.0.1:50002")), Ok(()));
        assert_eq!(accept(&loops, "127.0.0.1:50003", to), Ok(()), "another client");
        assert_eq!(accept(&loops, "127.0.0.1:50002", "192.0.2.8:3129"), Ok(()), "another connection");
        assert_eq!(accept(&loops, "[::ffff:127.0.0.1]:50002", "[::ffff:192.0.2.7]:3129"), Err(IsLoop));
    }

    #[test]
    fn what_was_accepted_before_a_dial_began_is_not_taken_for_it() {
        let loops = loops();
        let (to, local) = ("192.0.2.7:3129", "127.0.0.1:50000");
        let first = loops.dial(at(to)).unwrap();
        assert_eq!(accept(&loops, local, to), Ok(()));
        drop(first);
        assert_eq!(accept(&loops, local, to), Ok(()));
        assert_eq!(loops.dial(at(to)).unwrap().connected(at(local)), Ok(()), "it was given back, and is used again");
    }

    #[test]
    fn a_connection_from_an_address_to_itself_ends_in_a_listener_on_all_addresses() {
        for (to, local, expected) in [
            ("192.0.2.7:3128", "192.0.2.7:50000", Err(IsLoop)),
            ("[2001:db8::7]:3128", "[2001:db8::7]:50000", Err(IsLoop)),
            ("[::ffff:192.0.2.7]:3128", "192.0.2.7:50000", Err(IsLoop)),
            ("192.0.2.7:3128", "192.0.2.8:50000", Ok(())),
            ("192.0.2.7:3129", "192.0.2.7:50000", Ok(())), // that listener has one address
            ("[2001:db8::7]:3130", "[2001:db8::7]:50000", Ok(())), // and that one has IPv4
        ] {
            let loops = loops();
            assert_eq!(loops.dial(at(to)).unwrap().connected(at(local)), expected, "{to} from {local}");
        }
    }

    #[test]
    fn nothing_is_known_for_longer_than_it_may_be_asked_for() {
        let mut known = Known::default();
        let began = Instant::now();
        let [one, two] = ["127.0.0.1:1", "127.0.0.1:2"].map(|from| (at(from), at("192.0.2.7:3129")));
        known.add(one, began);
        known.add(two, began);
        known.add(one, began + KNOWN_FOR);
        known.forget(began + KNOWN_FOR);
        assert!(known.contains(one) && known.contains(two));
        known.forget(began + KNOWN_FOR + Duration::from_millis(1));
        assert!(known.contains(one), "it was used again");
        assert!(!known.contains(two));
        for port in 1..=u16::MAX {
            for host in [1, 2] {
                let from = SocketAddr::new([127, 0, 0, host].into(), port);
                known.add((from, at("192.0.2.7:3129")), began + KNOWN_FOR);
            }
        }
        assert_eq!((known.since.len(), known.order.len()), (MAX_KNOWN, MAX_KNOWN));
        known.forget(began + KNOWN_FOR * 3);
        assert_eq!((known.since.len(), known.order.len()), (0, 0));
    }
}
