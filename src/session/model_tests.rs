//! The policy's swap and the registry of tunnels, in every order that their threads can take.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::facts::{Client, Destination, Protocol, RequestFacts, Tool};
use crate::policy::text::{Format, read_policy};
use crate::policy::{Decision, Permit, Policy, Reached, Source};
use crate::record::Recorder;
use crate::sink::tests::room::Settings;
use crate::store::Store;
use crate::sync::{explore, thread};

fn policy(revision: &str, allow: &str) -> Policy {
    let text = format!("version = 1\nrevision = \"{revision}\"\nallow = [{allow}]\n");
    let document = read_policy(&text, Format::Toml).unwrap();
    Policy::compile(&document, Source { lists: &[], content_hash: "" }).unwrap().policy
}

fn facts() -> RequestFacts {
    RequestFacts {
        client: Client::hypothetical(),
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
            let (is_done, is_signalled) = (*done.lock().unwrap(), changes.has_changed().unwrap());
            let snapshot = handle.snapshot();
            let is_new = snapshot.revision() == "r2";
            assert!(is_new || !is_done, "swap had returned");
            assert!(is_new || !is_signalled, "the change had been signalled");
            assert!(is_new || !seen_new, "no policy comes back");
            assert_eq!(matches!(snapshot.decide(&facts()), Decision::Deny(_)), is_new, "one revision, whole");
            seen_new = is_new;
        }
        loader.join().unwrap();
        assert_eq!(handle.snapshot().revision(), "r2");
        assert!(changes.has_changed().unwrap());
        changes.mark_unchanged();
        // The replaced policy is freed by the replacing thread, once the last handle has moved on.
        store.free_retired();
        assert_eq!(store.status().reloads, 1);
    });
}

/// A worker as `app` runs it: one thread that checks the policy for each request and sweeps when a change is signalled.
struct Worker {
    in_force: Rc<InForce>,
    registry: Rc<Registry>,
    recorder: Rc<Recorder>,
}

impl Worker {
    fn new(store: &Store) -> Self {
        let recorder = Rc::new(Recorder::new(Settings::default().record()).unwrap().0);
        let in_force = Rc::new(InForce::new(store.handle(), Arc::default()));
        let registry = Rc::new(Registry::new(WorkerLoads::new(1).worker(0), Rc::clone(&in_force)));
        Self { in_force, registry, recorder }
    }

    fn permit(&self) -> Option<Permit> {
        self.in_force.judge(&facts(), None).ok()
    }

    fn open(&self, permit: Permit) -> OpenTunnel {
        let facts = facts();
        let listener = ListenerId { index: 0, tool: facts.tool.clone() };
        let mut pending = Pending::begin(Rc::new(self.recorder.worker(0)), &listener, facts.client.clone());
        pending.asked(&facts);
        pending.permitted(&permit, Duration::ZERO);
        let reached = Reached::Direct([192, 0, 2, 1].into());
        let first = FirstBytes::Request { may_be_judged_again: false };
        self.registry.enter(Permitted::new(pending, permit, facts), first, reached)
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
                // A worker that saw the signal before the session was open sweeps at the next tick; any other worker
                // gets the signal now.
                if !swept_when_open {
                    worker.sweep();
                }
                assert_eq!(open.cut_by(), Some(Cut::Revoked), "{turn:?}: neither swept nor judged by the new policy");
                open.finish(Outcome::Revoked, 0, 0);
            }
            let signalled = changes.has_changed().unwrap();
            let swept = swept_when_open || turn != Turn::OnceOpen;
            assert!(signalled || swept, "{turn:?}: the swap was not signalled");
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
