//! Look-ups by the system's resolver, so that split DNS, VPNs and local services answer as for every other program.
//!
//! Guaranteed:
//! - The reactor never blocks: `getaddrinfo` runs on threads of its own, at most [`MAX_THREADS`].
//! - The name is absolute (it ends in a dot), so no search list applies.
//! - Look-ups under way are bounded, those that their caller gave up included, because they still hold a thread. Equal
//!   ones are asked once.
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
use tokio::sync::oneshot;

use super::resolve::{Addresses, ResolveError};
use crate::facts::DomainName;
use crate::sync::{Condvar, Mutex, MutexGuard, bound, thread};

/// Each look-up that waits holds a thread. Names that answer take milliseconds; 32 lets a burst pass while some names'
/// servers are dead, at no more than 32 small stacks.
const MAX_THREADS: usize = bound(32, 1);
/// What a thread may use for its stack. The C library's resolver takes some tens of KiB, its modules are strangers.
const STACK: usize = 512 * 1024;
/// Where a system keeps its fixed names.
const HOSTS_FILE: &str = "/etc/hosts";

pub(super) type Answer = Result<Addresses, ResolveError>;
pub(super) type Ask = Box<dyn Fn(&DomainName) -> Answer + Send + Sync>;

/// The process's threads for look-ups. They are started as they are needed and end when this is dropped.
#[derive(Debug)]
pub(super) struct System {
    pool: Arc<Pool>,
}

struct Pool {
    state: Mutex<State>,
    work: Condvar,
    max_in_flight: usize,
    ask: Ask,
}

#[derive(Default)]
struct State {
    /// Names that no thread has taken yet.
    queue: VecDeque<DomainName>,
    /// Who waits for each name that is queued or being asked.
    waiting: HashMap<DomainName, Vec<oneshot::Sender<Answer>>>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl System {
    pub(super) fn new(max_in_flight: usize) -> Self {
        Self::asking(max_in_flight, Box::new(ask_system))
    }

    pub(super) fn asking(max_in_flight: usize, ask: Ask) -> Self {
        Self { pool: Arc::new(Pool { state: Mutex::default(), work: Condvar::new(), max_in_flight, ask }) }
    }

    pub(super) async fn look_up(&self, name: &DomainName) -> Answer {
        let answer = self.pool.enqueue(name)?;
        answer.await.unwrap_or(Err(ResolveError::Failed))
    }
}

#[cfg(test)]
#[cfg(feature = "model")]
impl System {
    /// Names that are queued or being asked.
    pub(super) fn under_way(&self) -> usize {
        self.pool.lock().waiting.len()
    }
}

impl Drop for System {
    fn drop(&mut self) {
        self.pool.lock().closed = true;
        self.pool.work.notify_all();
    }
}

impl Pool {
    fn enqueue(self: &Arc<Self>, name: &DomainName) -> Result<oneshot::Receiver<Answer>, ResolveError> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.lock();
        if let Some(waiting) = state.waiting.get_mut(name) {
            waiting.retain(|waiter| !waiter.is_closed());
            waiting.push(sender);
            return Ok(receiver);
        }
        if state.waiting.len() >= self.max_in_flight {
            return Err(ResolveError::Busy);
        }
        if state.idle <= state.queue.len() && state.threads < MAX_THREADS {
            let pool = Arc::clone(self);
            let started = thread::Builder::new().name("dns".to_owned()).stack_size(STACK).spawn(move || pool.work());
            match started {
                Ok(_) => state.threads += 1,
                Err(_) if state.threads == 0 => return Err(ResolveError::Busy),
                Err(_) => {} // those that run will come to it
            }
        }
        state.waiting.insert(name.clone(), vec![sender]);
        state.queue.push_back(name.clone());
        self.work.notify_one();
        Ok(receiver)
    }

    /// One thread's life.
    fn work(&self) {
        while let Some(name) = self.next() {
            let answer = (self.ask)(&name);
            let waiting = self.lock().waiting.remove(&name);
            for waiter in waiting.into_iter().flatten() {
                let _ = waiter.send(answer.clone()); // gave up meanwhile
            }
        }
    }

    /// The next name that somebody still waits for; none when there will be no more.
    fn next(&self) -> Option<DomainName> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let Some(name) = state.queue.pop_front() else {
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
                continue;
            };
            if state.waiting.get(&name).is_some_and(|waiting| waiting.iter().any(|waiter| !waiter.is_closed())) {
                return Some(name);
            }
            state.waiting.remove(&name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("max_in_flight", &self.max_in_flight).finish_non_exhaustive()
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
        (System::asking(max_in_flight, Box::new(ask)), seen, allow)
    }

    #[tokio::test]
    async fn equal_names_are_asked_once_and_answered_each() {
        let (system, seen, allow) = scripted(8);
        let name = name("a.test");
        let answers = async { tokio::join!(system.look_up(&name), system.look_up(&name), system.look_up(&name)) };
        let release = async { allow.send(()).unwrap() };
        let ((one, two, three), ()) = tokio::join!(answers, release);
        for answer in [one, two, three] {
            assert_eq!(answer.unwrap().as_slice(), [ANSWER]);
        }
        drop(system);
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["a.test"]);
    }

    #[tokio::test]
    async fn beyond_the_bound_a_look_up_is_refused_at_once_even_when_callers_gave_up() {
        let (system, seen, allow) = scripted(2);
        let held = system.pool.enqueue(&name("a.test")).unwrap();
        let abandoned = system.pool.enqueue(&name("b.test")).unwrap();
        let mut taken = [seen.recv().unwrap(), seen.recv().unwrap()];
        taken.sort();
        assert_eq!(taken, ["a.test", "b.test"]);
        drop(abandoned);
        assert_eq!(system.look_up(&name("c.test")).await, Err(ResolveError::Busy));
        drop(allow);
        assert_eq!(held.await.unwrap().unwrap().as_slice(), [ANSWER]);
        // Room comes when a thread has come back, which it does in its own time.
        let answer = loop {
            match system.look_up(&name("c.test")).await {
                Err(ResolveError::Busy) => tokio::task::yield_now().await,
                answer => break answer,
            }
        };
        assert_eq!(answer.unwrap().as_slice(), [ANSWER]);
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["c.test"]);
    }

    #[tokio::test]
    async fn threads_are_bounded_and_the_rest_waits_its_turn() {
        let (system, seen, allow) = scripted(100);
        let names: Vec<DomainName> = (0..MAX_THREADS + 1).map(|index| name(&format!("n{index}.test"))).collect();
        let answers: Vec<_> = names.iter().map(|name| system.pool.enqueue(name).unwrap()).collect();
        let mut taken: Vec<String> = (0..MAX_THREADS).map(|_| seen.recv().unwrap()).collect();
        assert!(seen.try_recv().is_err(), "every thread waits");
        for _ in &names {
            allow.send(()).unwrap();
        }
        for answer in answers {
            assert!(answer.await.unwrap().is_ok());
        }
        taken.extend(seen.try_iter());
        taken.sort();
        let mut asked: Vec<String> = names.iter().map(ToString::to_string).collect();
        asked.sort();
        assert_eq!(taken, asked);
    }

    #[tokio::test]
    async fn a_name_that_nobody_waits_for_any_more_is_not_asked() {
        let (system, seen, allow) = scripted(100);
        let held: Vec<_> =
            (0..MAX_THREADS).map(|index| system.pool.enqueue(&name(&format!("n{index}.test"))).unwrap()).collect();
        for _ in &held {
            seen.recv().unwrap();
        }
        drop(system.pool.enqueue(&name("abandoned.test")).unwrap());
        let last = system.pool.enqueue(&name("last.test")).unwrap();
        for _ in 0..=MAX_THREADS {
            allow.send(()).unwrap();
        }
        assert!(last.await.unwrap().is_ok());
        assert_eq!(seen.try_iter().collect::<Vec<_>>(), ["last.test"]);
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
