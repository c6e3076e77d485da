//! Lookups by the system's resolver, so that split DNS, VPNs and local services answer as for every other program.
//!
//! Guaranteed:
//! - The reactor never blocks: `getaddrinfo` runs on threads of its own, at most [`MAX_THREADS`].
//! - The name is absolute (it ends in a dot), so no search list applies.
//! - Lookups in progress are bounded, in all and for one client. Equal ones are asked once.
//! - No client has all threads: each has its share of them, as with every bounded resource (see `places`), and a name that waits for a
//!   client's share lets the next client's name pass.
//! - No domain has all threads either: names of one registrable domain whose servers are dead (a VPN that is down) have at
//!   most [`DOMAIN_SHARE`] of them, and other names pass theirs in the queue.
//! - A lookup that no client waits for any more is taken out of the queue at once. One that a thread has begun cannot be
//!   ended: it keeps its place and its thread, as its client's, until the system has an answer.
//!
//! The C library of Linux does not find an absolute name in the hosts file; it is read here first, as its default order
//! says (`files dns`).
//!
//! Deliberately not done: keeping answers. The system says no TTL, and most systems keep answers themselves.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use dns_lookup::{AddrInfoHints, LookupErrorKind, getaddrinfo};
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::addresses::Addresses;
use crate::facts::{DomainName, ResolveError};
use crate::places::{Full, Holder, Place, Places};
use crate::policy::registrable;
use crate::sync::{Condvar, Mutex, MutexGuard, bound, thread};

/// Each lookup that waits holds a thread. Names that answer take milliseconds; 64 let a burst pass while some names'
/// servers are dead, at no more than 64 small stacks.
const MAX_THREADS: usize = bound(64, 1);
/// Threads that ask for names of one registrable domain at once. A burst of them that are answered passes through eight
/// without a noticeable delay; six dead domains leave room within one client's share.
const DOMAIN_SHARE: usize = bound(8, 1);
/// What a thread may use for its stack. The C library's resolver takes some tens of KiB, its modules are strangers.
const STACK: usize = 512 * 1024;
/// Where a system keeps its fixed names.
const HOSTS_FILE: &str = "/etc/hosts";

pub(super) type Answer = Result<Addresses, ResolveError>;
pub(super) type Ask = Box<dyn Fn(&DomainName) -> Answer + Send + Sync>;

/// The process's threads for lookups. They are started as they are needed and end when this is dropped.
#[derive(Debug)]
pub(super) struct System {
    pool: Arc<Pool>,
}

struct Pool {
    state: Mutex<LookupQueue>,
    work: Condvar,
    in_flight: Arc<Places>,
    /// One for each thread that is asking.
    asking: Arc<Places>,
    ask: Ask,
}

#[derive(Default)]
struct LookupQueue {
    /// Names that no thread has taken yet, all of them in `lookups`.
    queue: VecDeque<DomainName>,
    /// The names that are queued or being asked.
    lookups: HashMap<DomainName, Lookup>,
    /// How many names of each registrable domain are being asked; none is in it without one.
    domains: HashMap<Box<str>, usize>,
    threads: usize,
    idle: usize,
    closed: bool,
}

/// A name that is queued or being asked.
struct Lookup {
    waiting: Vec<Waiter>,
    /// Of the client that asked first.
    _place: Place,
    is_queued: bool,
}

struct Waiter {
    client: Holder,
    answer: oneshot::Sender<Answer>,
}

/// A request that waits for a lookup. Dropping it before the answer arrives removes the request from the lookup.
struct Waiting<'a> {
    pool: &'a Pool,
    name: &'a DomainName,
    answer: oneshot::Receiver<Answer>,
    is_answered: bool,
}

impl System {
    pub(super) fn new(in_flight: Arc<Places>) -> Self {
        Self::asking(in_flight, Box::new(ask_system))
    }

    pub(super) fn asking(in_flight: Arc<Places>, ask: Ask) -> Self {
        let asking = Places::new(MAX_THREADS, MAX_THREADS);
        Self { pool: Arc::new(Pool { state: Mutex::default(), work: Condvar::new(), in_flight, asking, ask }) }
    }

    pub(super) async fn look_up(&self, name: &DomainName, client: Holder) -> Answer {
        let mut waiting = self.pool.enqueue(name, client)?;
        let answer = (&mut waiting.answer).await;
        waiting.is_answered = true;
        answer.unwrap_or(Err(ResolveError::Failed))
    }
}

#[cfg(test)]
#[cfg(feature = "model")]
impl System {
    /// Names that are queued or being asked.
    pub(super) fn under_way(&self) -> usize {
        self.pool.lock().lookups.len()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.pool.lock().closed = true;
        self.pool.work.notify_all();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let mut state = self.pool.lock();
        self.answer.close();
        let LookupQueue { queue, lookups, .. } = &mut *state;
        if lookups.get(self.name).is_some_and(|lookup| lookup.is_queued && !lookup.is_wanted()) {
            lookups.remove(self.name);
            queue.retain(|name| name != self.name);
        }
    }
}

impl LookupQueue {
    /// Gives back a thread of the name's domain.
    fn leave(&mut self, name: &DomainName) {
        if let Some(asked) = self.domains.get_mut(domain(name)) {
            *asked -= 1;
            if *asked == 0 {
                self.domains.remove(domain(name));
            }
        }
    }
}

/// What one owner registered, and so what is dead or alive together; a single label is its own.
fn domain(name: &DomainName) -> &str {
    registrable(name.as_str()).unwrap_or(name.as_str())
}

impl Lookup {
    /// Whether a client still waits for it.
    fn is_wanted(&self) -> bool {
        self.waiting.iter().any(|waiter| !waiter.answer.is_closed())
    }
}

impl Pool {
    fn enqueue<'a>(self: &'a Arc<Self>, name: &'a DomainName, client: Holder) -> Result<Waiting<'a>, ResolveError> {
        let (sender, answer) = oneshot::channel();
        let waiter = Waiter { client, answer: sender };
        let waiting = Waiting { pool: self, name, answer, is_answered: false };
        let mut state = self.lock();
        if let Some(lookup) = state.lookups.get_mut(name) {
            lookup.waiting.retain(|waiter| !waiter.answer.is_closed());
            lookup.waiting.push(waiter);
            // A queued name may have waited for the share of another client.
            self.work.notify_one();
            drop(state);
            return Ok(waiting);
        }
        let refused = self.add(&mut state, name, waiter).err();
        drop(state);
        refused.map_or(Ok(waiting), Err)
    }

    /// Puts a name into the queue, with a thread to take it from there.
    fn add(self: &Arc<Self>, state: &mut LookupQueue, name: &DomainName, waiter: Waiter) -> Result<(), ResolveError> {
        let place = self.in_flight.take(waiter.client).map_err(ResolveError::Busy)?;
        if state.idle <= state.queue.len() && state.threads < MAX_THREADS {
            let pool = Arc::clone(self);
            let started = thread::Builder::new().name("dns".to_owned()).stack_size(STACK).spawn(move || pool.work());
            match started {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads == 0 => return Err(ResolveError::Busy(Full::All)),
                Err(_) => {} // those that run will come to it
            }
        }
        state.lookups.insert(name.clone(), Lookup { waiting: vec![waiter], _place: place, is_queued: true });
        state.queue.push_back(name.clone());
        self.work.notify_one();
        Ok(())
    }

    /// One thread's life.
    fn work(&self) {
        while let Some((name, asking)) = self.next() {
            let answer = (self.ask)(&name);
            // With the name goes its place, under the lock: a client that finds the name gone finds the place free.
            let waiting = {
                let mut state = self.lock();
                drop(asking);
                state.leave(&name);
                state.lookups.remove(&name).map(|lookup| lookup.waiting)
            };
            for waiter in waiting.into_iter().flatten() {
                let _ = waiter.answer.send(answer.clone()); // the waiter may have given up
            }
        }
    }

    /// The next name for which a client that waits may have a thread; none when there will be no more.
    fn next(&self) -> Option<(DomainName, Place)> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(next) = self.take(&mut state) {
                // What has ended may have made room for more than one.
                if state.idle > 0 && !state.queue.is_empty() {
                    self.work.notify_one();
                }
                return Some(next);
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// Takes the first name off the queue for which a client waits that has not used up its share of the threads, and
    /// whose domain has not used up its share either.
    fn take(&self, state: &mut LookupQueue) -> Option<(DomainName, Place)> {
        let LookupQueue { queue, lookups, domains, .. } = state;
        let mut refused = SmallVec::<[Holder; 4]>::new();
        let found = queue.iter().enumerate().find_map(|(at, name)| {
            if domains.get(domain(name)).is_some_and(|asked| *asked >= DOMAIN_SHARE) {
                return None;
            }
            let waiting = lookups.get(name).into_iter().flat_map(|lookup| &lookup.waiting);
            waiting.filter(|waiter| !waiter.answer.is_closed()).find_map(|Waiter { client, .. }| {
                if refused.contains(client) {
                    return None;
                }
                let place = self.asking.take(*client);
                place.map(|place| (at, place)).map_err(|_| refused.push(*client)).ok()
            })
        });
        let (at, place) = found?;
        let name = queue.remove(at)?;
        *domains.entry(domain(&name).into()).or_default() += 1;
        if let Some(lookup) = lookups.get_mut(&name) {
            lookup.is_queued = false;
        }
        Some((name, place))
    }

    fn lock(&self) -> MutexGuard<'_, LookupQueue> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("in_flight", &self.in_flight).finish_non_exhaustive()
    }
}

fn ask_system(name: &DomainName) -> Answer {
    let fixed = fs::read(HOSTS_FILE).map(|text| in_hosts_file(&text, name)).unwrap_or_default();
    if !fixed.is_empty() {
        return Ok(fixed);
    }
    // Of each address one entry instead of one for each kind of socket.
    let hints = AddrInfoHints { socktype: libc::SOCK_STREAM, ..AddrInfoHints::default() };
    match getaddrinfo(Some(&absolute(name)), None, Some(hints)) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.sockaddr.ip()).collect()),
        Err(error) => Err(match error.kind() {
            LookupErrorKind::NoName => ResolveError::NotFound,
            LookupErrorKind::NoData => ResolveError::NoAddresses,
            _ => ResolveError::Failed,
        }),
    }
}

fn absolute(name: &DomainName) -> String {
    format!("{name}.")
}

/// Every address that hosts(5) gives a name: an address and its names a line, `#` begins a comment.
fn in_hosts_file(text: &[u8], name: &DomainName) -> Addresses {
    String::from_utf8_lossy(text).lines().filter_map(|line| hosts_line(line, name)).collect()
}

fn hosts_line(line: &str, name: &DomainName) -> Option<IpAddr> {
    let mut words = line.split('#').next()?.split_ascii_whitespace();
    let address = words.next()?;
    words.any(|word| word.eq_ignore_ascii_case(name.as_str())).then(|| address.parse().ok())?
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::mpsc;

    use smallvec::smallvec;

    use super::*;

    fn name(text: &str) -> DomainName {
        DomainName::parse(text.as_bytes()).unwrap()
    }

    const ANSWER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const ME: Holder = Holder::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
    const ANOTHER: Holder = Holder::Address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 8)));
    /// What one client has of them.
    const SHARE: usize = MAX_THREADS / 4 * 3;

    /// A system that tells which names it is asked, and answers each when it is let.
    fn scripted(max_in_flight: usize) -> (System, mpsc::Receiver<String>, mpsc::Sender<()>) {
        let (asked, seen) = mpsc::channel();
        let (allow, allowed) = mpsc::channel();
        let allowed = Mutex::new(allowed);
        let ask = move |name: &DomainName| {
            asked.send(name.to_string()).unwrap();
            let _ = allowed.lock().unwrap().recv();
            Ok(smallvec![ANSWER])
        };
        (System::asking(Places::new(max_in_flight, max_in_flight), Box::new(ask)), seen, allow)
    }

    #[tokio::test]
    async fn equal_names_are_asked_once_and_answered_each() {
        let (system, seen, allow) = scripted(8);
        let name = name("a.test");
        let answers =
            async { tokio::join!(system.look_up(&name, ME), system.look_up(&name, ME), system.look_up(&name, ME)) };
        let release = async { allow.send(()).unwrap() };
        let ((one, two, three), ()) = tokio::join!(answers, release);
        for answer in [one, two, three] {
            assert_eq!(answer.unwrap().as_slice(), [ANSWER]);
        }
        drop(system);
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a.test"]);
    }

    #[tokio::test]
    async fn beyond_the_bound_a_lookup_is_refused_at_once_even_when_callers_gave_up() {
        let (system, seen, allow) = scripted(2);
        let (a, b, c) = (name("a.test"), name("b.test"), name("c.test"));
        let held = system.pool.enqueue(&a, ME).unwrap();
        let abandoned = system.pool.enqueue(&b, ME).unwrap();
        let mut taken = [seen.recv().unwrap(), seen.recv().unwrap()];
        taken.sort();
        assert_eq!(taken, ["a.test", "b.test"]);
        drop(abandoned);
        assert_eq!(system.look_up(&c, ME).await, Err(ResolveError::Busy(Full::All)));
        assert_eq!(system.look_up(&c, ANOTHER).await, Err(ResolveError::Busy(Full::All)));
        drop(allow);
        assert_eq!(answer(held).await.unwrap().as_slice(), [ANSWER]);
        // Room comes when a thread has come back, which it does in its own time.
        let answer = loop {
            match system.look_up(&c, ME).await {
                Err(ResolveError::Busy(_)) => tokio::task::yield_now().await,
                answer => break answer,
            }
        };
        assert_eq!(answer.unwrap().as_slice(), [ANSWER]);
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["c.test"]);
    }

    async fn answer(mut waiting: Waiting<'_>) -> Answer {
        let answer = (&mut waiting.answer).await;
        waiting.is_answered = true;
        answer.unwrap()
    }

    fn names(count: usize) -> Vec<DomainName> {
        (0..count).map(|index| name(&format!("n{index}.test"))).collect()
    }

    fn next(seen: &mpsc::Receiver<String>, count: usize) -> Vec<String> {
        let mut names: Vec<_> = (0..count).map(|_| seen.recv().unwrap()).collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn threads_are_bounded_and_the_rest_waits_its_turn() {
        let (system, seen, allow) = scripted(200);
        let names = names(2 * MAX_THREADS);
        let clients: Vec<Holder> = (0..=255).map(Holder::User).collect();
        let waiting: Vec<_> =
            names.iter().zip(&clients).map(|(name, client)| system.pool.enqueue(name, *client).unwrap()).collect();
        let mut asked = next(&seen, MAX_THREADS);
        assert!(seen.try_recv().is_err(), "every thread waits");
        for _ in &names {
            allow.send(()).unwrap();
        }
        for waiting in waiting {
            assert!(answer(waiting).await.is_ok());
        }
        asked.extend(seen.try_iter());
        asked.sort();
        let mut all: Vec<String> = names.iter().map(ToString::to_string).collect();
        all.sort();
        assert_eq!(asked, all);
    }

    #[tokio::test]
    async fn a_client_whose_names_hang_has_its_share_of_the_threads_and_no_more() {
        let (system, seen, allow) = scripted(1000);
        let names = names(SHARE + 10);
        let hanging: Vec<_> = names.iter().map(|name| system.pool.enqueue(name, ME).unwrap()).collect();
        next(&seen, SHARE);
        assert!(seen.try_recv().is_err(), "the rest of the threads waits for another client");
        let other = name("other.test");
        let other = system.pool.enqueue(&other, ANOTHER).unwrap();
        assert_eq!(next(&seen, 1), ["other.test"]);
        // A name of the first client that another one wants as well waits for the share of neither.
        let shared = system.pool.enqueue(&names[SHARE + 5], ANOTHER).unwrap();
        assert_eq!(next(&seen, 1), [names[SHARE + 5].to_string()]);
        // The first client leaves. What its threads have begun stays theirs; the rest is not asked for any more.
        drop(hanging);
        assert_eq!(system.pool.in_flight.taken().0, SHARE + 2, "with the other client's two");
        let last = name("last.test");
        let last = system.pool.enqueue(&last, ANOTHER).unwrap();
        assert_eq!(next(&seen, 1), ["last.test"]);
        for _ in 0..SHARE + 3 {
            allow.send(()).unwrap();
        }
        for waiting in [other, shared, last] {
            assert!(answer(waiting).await.is_ok());
        }
        assert!(seen.try_recv().is_err(), "an abandoned lookup is not asked");
    }

    #[tokio::test]
    async fn five_hundred_dead_names_of_a_domain_leave_the_others_alone() {
        let (system, seen, allow) = scripted(1000);
        let dead: Vec<_> = (0..500).map(|index| name(&format!("n{index}.dead.test"))).collect();
        let hanging: Vec<_> = dead.iter().map(|name| system.pool.enqueue(name, ME).unwrap()).collect();
        next(&seen, DOMAIN_SHARE);
        assert!(seen.try_recv().is_err(), "the others wait, regardless of the client");
        let last = system.pool.enqueue(&dead[499], ANOTHER).unwrap();
        // The same client's names of other domains pass, as many as a burst has.
        let live: Vec<_> = (0..20).map(|index| name(&format!("n{index}.live{index}.test"))).collect();
        let passing: Vec<_> = live.iter().map(|name| system.pool.enqueue(name, ME).unwrap()).collect();
        assert_eq!(next(&seen, 20).len(), 20);
        assert!(seen.try_recv().is_err());
        for _ in 0..500 + 20 {
            allow.send(()).unwrap();
        }
        for waiting in passing.into_iter().chain([last]).chain(hanging) {
            assert!(answer(waiting).await.is_ok());
        }
        assert_eq!(system.pool.in_flight.taken(), (0, 0));
        assert!(system.pool.lock().domains.is_empty());
    }

    #[tokio::test]
    async fn a_name_that_nobody_waits_for_any_more_is_not_asked_and_has_no_place() {
        let (system, seen, allow) = scripted(100);
        let (names, abandoned, wanted, last) =
            (names(SHARE), name("abandoned.test"), name("wanted.test"), name("last.test"));
        let held: Vec<_> = names.iter().map(|name| system.pool.enqueue(name, ME).unwrap()).collect();
        next(&seen, SHARE);
        let before = system.pool.in_flight.taken().0;
        drop(system.pool.enqueue(&abandoned, ME).unwrap());
        let wanted_by_two = (system.pool.enqueue(&wanted, ME).unwrap(), system.pool.enqueue(&wanted, ME).unwrap());
        assert_eq!(system.pool.in_flight.taken().0, before + 1, "the abandoned name has given its place back");
        drop(wanted_by_two.0);
        let last = system.pool.enqueue(&last, ME).unwrap();
        for _ in 0..SHARE + 2 {
            allow.send(()).unwrap();
        }
        assert!(answer(last).await.is_ok());
        assert!(answer(wanted_by_two.1).await.is_ok());
        for waiting in held {
            assert!(answer(waiting).await.is_ok());
        }
        assert_eq!(next(&seen, 2), ["last.test", "wanted.test"]);
        assert!(seen.try_recv().is_err());
        assert_eq!(system.pool.in_flight.taken(), (0, 0));
    }

    #[test]
    fn no_search_list_applies_to_an_absolute_name() {
        assert_eq!(absolute(&name("a.test")), "a.test.");
        assert_eq!(absolute(&name("intranet")), "intranet.");
    }

    #[test]
    fn the_hosts_file_answers_by_whole_names() {
        let text = b"127.0.0.1 localhost\n::1\tLocalhost ip6-localhost\n192.0.2.1 a.test b.test # c.test\n\
            #192.0.2.2 d.test\nnonsense a.test\n192.0.2.3\n\xff 192.0.2.4 a.test\n192.0.2.5 a.test\n";
        let found = |text_name: &str| {
            in_hosts_file(text, &name(text_name)).iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        for (asked, expected) in [
            ("localhost", "127.0.0.1 ::1"),
            ("a.test", "192.0.2.1 192.0.2.5"),
            ("b.test", "192.0.2.1"),
            ("c.test", ""),
            ("d.test", ""),
            ("test", ""),
            ("x.a.test", ""),
            ("192.test", ""),
        ] {
            assert_eq!(found(asked), expected, "{asked}");
        }
    }
}
