//! Places, the policy's swap and the registry of tunnels, in every order that their threads can take.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use super::*;
use crate::facts::{Client, Destination, Protocol, Tool};
use crate::policy::text::{Format, read_policy};
use crate::policy::{Decision, Policy, Reached, Source};
use crate::record::Recorder;
use crate::sink::tests::room::Settings;
use crate::store::Store;
use crate::sync::{explore, thread};

/// How many are there at once; std's, because the model is not asked about this one.
#[derive(Default)]
struct Inside(AtomicUsize);

impl Inside {
    fn enter(&self, limit: usize) {
        assert!(self.0.fetch_add(1, Ordering::SeqCst) < limit, "more than {limit} at once");
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[test]
fn places_are_never_more_than_the_limit_and_all_come_back() {
    for limit in [1, 2] {
        explore(2, move || {
            let (places, inside) = (Places::new(limit), Arc::new(Inside::default()));
            let threads = [(); 3].map(|()| {
                let (places, inside) = (Arc::clone(&places), Arc::clone(&inside));
                thread::spawn(move || {
                    let Some(place) = places.take() else { return };
                    inside.enter(limit);
                    thread::yield_now();
                    inside.leave();
                    drop(place);
                })
            });
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let all: Vec<_> = (0..limit).map(|_| places.take().expect("a freed place can be had again")).collect();
            assert!(places.take().is_none());
            drop(all);
        });
    }
}

#[test]
fn a_place_is_refused_only_when_all_are_taken() {
    explore(3, || {
        let places = Places::new(2);
        let threads = [(); 2].map(|()| {
            let places = Arc::clone(&places);
            thread::spawn(move || drop(places.take().expect("two are there for two")))
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

fn ip(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

#[test]
fn a_client_at_its_own_limit_costs_no_other_client_a_place() {
    explore(3, || {
        let places = Arc::new(TunnelPlaces::new(2, 1));
        let first = places.take(ip(1)).unwrap();
        let greedy = {
            let places = Arc::clone(&places);
            thread::spawn(move || assert_eq!(places.take(ip(1)).unwrap_err(), Busy::TunnelsOfClient))
        };
        let other = places.take(ip(2)).expect("one of two is free");
        greedy.join().unwrap();
        drop((first, other));
        let again = [places.take(ip(2)).unwrap(), places.take(ip(1)).unwrap()];
        drop(again);
        assert_eq!(places.clients_known(), 0);
    });
}

#[test]
fn tunnels_of_one_client_and_of_all_stay_within_both_limits() {
    explore(2, || {
        let places = Arc::new(TunnelPlaces::new(2, 1));
        let (all, own) = (Arc::new(Inside::default()), Arc::new(Inside::default()));
        let threads = [1, 1, 2].map(|client| {
            let (places, all, own) = (Arc::clone(&places), Arc::clone(&all), Arc::clone(&own));
            thread::spawn(move || {
                let Ok(place) = places.take(ip(client)) else {
                    assert_eq!(client, 1, "the other one always has room");
                    return;
                };
                all.enter(2);
                if client == 1 {
                    own.enter(1);
                }
                thread::yield_now();
                if client == 1 {
                    own.leave();
                }
                all.leave();
                drop(place);
            })
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        drop((places.take(ip(1)).unwrap(), places.take(ip(2)).unwrap()));
        assert_eq!(places.clients_known(), 0);
    });
}

fn policy(revision: &str, allow: &str) -> Policy {
    let text = format!("version = 1\nrevision = \"{revision}\"\nallow = [{allow}]\n");
    let document = read_policy(&text, Format::Toml).unwrap();
    Policy::compile(&document, Source { lists: &[], content_hash: "" }).unwrap().policy
}

fn facts() -> RequestFacts {
    RequestFacts {
        client: Client { addr: ([127, 0, 0, 1], 9).into() },
        tool: Tool::new("browser"),
        protocol: Protocol::Connect,
        destination: Destination::parse(b"ok.test:443", None).unwrap(),
        method: None,
        upgrade: None,
        path: None,
        passed_through_us: false,
        at: SystemTime::now(),
    }
}

#[test]
fn whoever_begins_after_a_swap_is_judged_by_the_new_policy() {
    explore(3, || {
        let store = Arc::new(Store::new(policy("r1", "\"ok.test\""), String::new()));
        let done = Arc::new(crate::sync::Mutex::new(false));
        let mut handle = store.handle();
        let mut changes = store.subscribe();
        let loader = {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            thread::spawn(move || {
                store.swap(policy("r2", ""));
                *done.lock().unwrap() = true;
            })
        };
        let mut seen_new = false;
        for _ in 0..2 {
            let (is_done, is_told) = (*done.lock().unwrap(), changes.has_changed().unwrap());
            let snapshot = handle.snapshot();
            let is_new = snapshot.revision() == "r2";
            assert!(is_new || !is_done, "swap had returned");
            assert!(is_new || !is_told, "the change had been told");
            assert!(is_new || !seen_new, "no policy comes back");
            assert_eq!(matches!(snapshot.decide(&facts()), Decision::Deny(_)), is_new, "one revision, whole");
            seen_new = is_new;
        }
        loader.join().unwrap();
        assert_eq!(handle.snapshot().revision(), "r2");
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        // What was replaced is freed by whoever replaces, once the last handle has moved on.
        store.free_retired();
        assert_eq!(store.status().reloads, 1);
    });
}

/// A worker as `app` runs it: one thread, that looks at the policy for each request and sweeps when it is told.
struct Worker {
    in_force: Rc<InForce>,
    registry: Rc<Registry>,
    recorder: Rc<Recorder>,
}

impl Worker {
    fn new(store: &Store) -> Self {
        let recorder = Rc::new(Recorder::new(Settings::default().record()).unwrap().0);
        let in_force = Rc::new(InForce::new(store.handle(), Arc::default()));
        let registry = Rc::new(Registry::new(Shares::new(1).worker(0), Rc::clone(&in_force)));
        Self { in_force, registry, recorder }
    }

    fn permit(&self) -> Option<Permit> {
        self.in_force.judge(&facts(), None).ok()
    }

    fn open(&self, permit: Permit) -> Open {
        let facts = facts();
        let listener = ListenerId { index: 0, tool: facts.tool.clone() };
        let mut pending = Pending::begin(Rc::new(self.recorder.worker(0)), &listener, facts.client);
        pending.asked(&facts);
        pending.permitted(&permit, Duration::ZERO);
        let reached = Reached::Direct([192, 0, 2, 1].into());
        let first = FirstBytes::Request { may_be_judged_again: false };
        self.registry.enter(Permitted { pending, permit, facts }, first, reached)
    }

    fn sweep(&self) {
        self.registry.sweep(Duration::MAX);
    }
}

/// When the task that sweeps has its turn, among the steps of a request; it can be at each of their awaits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    BeforeDeciding,
    WhileDialling,
    OnceOpen,
}

#[test]
fn a_tunnel_that_is_opened_while_the_policy_changes_is_swept_or_judged_by_the_new_one() {
    for turn in [Turn::BeforeDeciding, Turn::WhileDialling, Turn::OnceOpen] {
        explore(3, move || {
            let store = Arc::new(Store::new(policy("r1", "\"ok.test\""), String::new()));
            let mut changes = store.subscribe();
            let worker = Worker::new(&store);
            let loader = {
                let store = Arc::clone(&store);
                thread::spawn(move || store.swap(policy("r2", "")))
            };
            let mut swept_when_open = false;
            let mut sweeper = |worker: &Worker, now: Turn| {
                if turn == now && changes.has_changed().unwrap() {
                    changes.mark_unchanged();
                    worker.sweep();
                    swept_when_open = now == Turn::OnceOpen;
                }
            };
            sweeper(&worker, Turn::BeforeDeciding);
            let permit = worker.permit();
            sweeper(&worker, Turn::WhileDialling);
            let open = permit.map(|permit| worker.open(permit));
            sweeper(&worker, Turn::OnceOpen);
            loader.join().unwrap();
            if let Some(open) = open {
                // Whoever was told before it stood sweeps at the next tick; who was not is told now.
                if !swept_when_open {
                    worker.sweep();
                }
                assert_eq!(open.cut_by(), Some(Cut::Revoked), "{turn:?}: neither swept nor judged by the new policy");
                open.finish(Outcome::Revoked, 0, 0);
            }
            let told = changes.has_changed().unwrap();
            let swept = swept_when_open || turn != Turn::OnceOpen;
            assert!(told || swept, "{turn:?}: nobody tells of the swap");
            assert!(worker.permit().is_none(), "the next request is judged by the new policy");
        });
    }
}

#[test]
fn no_turn_of_a_tunnel_that_begins_after_the_swap_may_move_bytes() {
    explore(3, || {
        let store = Arc::new(Store::new(policy("r1", "\"ok.test\""), String::new()));
        let done = Arc::new(crate::sync::Mutex::new(false));
        let worker = Worker::new(&store);
        let open = worker.open(worker.permit().unwrap());
        let loader = {
            let (store, done) = (Arc::clone(&store), Arc::clone(&done));
            thread::spawn(move || {
                store.swap(policy("r2", ""));
                *done.lock().unwrap() = true;
            })
        };
        let context = std::task::Context::from_waker(std::task::Waker::noop());
        for _ in 0..2 {
            let is_done = *done.lock().unwrap();
            let cut = open.poll_cut(&context);
            assert!(cut.is_ready() || !is_done, "swap had returned");
        }
        loader.join().unwrap();
        assert_eq!(open.poll_cut(&context), std::task::Poll::Ready(Cut::Revoked));
        open.finish(Outcome::Revoked, 0, 0);
    });
}
