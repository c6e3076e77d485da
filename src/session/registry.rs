//! The open tunnels of one worker, and the one sweep that ends those which must end.
//!
//! Guaranteed: after a swap of the policy, and when a rule's period begins or ends, every open tunnel is judged again by
//! the policy in force, its address too; those that it denies are cut with `revoked`, the others notice nothing. A tunnel
//! that has been silent for longer than the limit is cut with `timeout`.
//!
//! Deliberately not done: a timer or a watcher per tunnel. One sweep looks at all of them; ten thousand take a few
//! milliseconds.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use super::Pending;
use crate::facts::{OwnAddresses, RequestFacts};
use crate::policy::{Decision, Permit, Snapshot};
use crate::record::Outcome;

/// The open tunnels of one worker.
#[derive(Debug)]
pub struct Registry {
    /// Slots are reused through `free`, so that the table is as large as the most tunnels that were ever open at once.
    slots: RefCell<Vec<Option<Rc<Entry>>>>,
    free: RefCell<Vec<usize>>,
    epoch: Instant,
    empty: tokio::sync::Notify,
}

/// Why a tunnel is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The policy in force denies it.
    Revoked,
    /// No byte for the idle limit.
    Idle,
    /// The proxy is shutting down and its drain time is over.
    Shutdown,
}

impl Cut {
    /// How the record ends.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Revoked => Outcome::Revoked,
            Self::Idle => Outcome::Timeout,
            Self::Shutdown => Outcome::Shutdown,
        }
    }
}

/// One open tunnel, as the sweep sees it.
#[derive(Debug)]
struct Entry {
    facts: RefCell<RequestFacts>,
    permit: RefCell<Permit>,
    pending: RefCell<Option<Pending>>,
    address: IpAddr,
    /// Seconds of the registry's clock at the last byte.
    active: Cell<u32>,
    cut: Cell<Option<Cut>>,
    waker: RefCell<Option<Waker>>,
}

/// A tunnel's own place in the registry; it leaves by dropping this.
#[derive(Debug)]
pub struct Open {
    registry: Rc<Registry>,
    slot: usize,
    entry: Rc<Entry>,
}

/// What a sweep judges by.
#[derive(Debug)]
pub struct Sweep<'a> {
    /// The policy in force, if it may have changed since the last sweep.
    pub policy: Option<&'a Snapshot>,
    /// Our own sockets.
    pub own: &'a OwnAddresses,
    /// The time to judge at.
    pub now: SystemTime,
    /// How long a tunnel may be silent.
    pub idle: Duration,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            slots: RefCell::default(),
            free: RefCell::default(),
            epoch: Instant::now(),
            empty: tokio::sync::Notify::new(),
        }
    }
}

impl Registry {
    pub(super) fn enter(
        self: &Rc<Self>,
        pending: Pending,
        permit: Permit,
        facts: RequestFacts,
        address: IpAddr,
    ) -> Open {
        pending.worker().tunnel_opened();
        let entry = Rc::new(Entry {
            facts: RefCell::new(facts),
            permit: RefCell::new(permit),
            pending: RefCell::new(Some(pending)),
            address,
            active: Cell::new(self.seconds()),
            cut: Cell::new(None),
            waker: RefCell::new(None),
        });
        let mut slots = self.slots.borrow_mut();
        let slot = match self.free.borrow_mut().pop() {
            Some(slot) => slot,
            None => {
                slots.push(None);
                slots.len() - 1
            }
        };
        if let Some(place) = slots.get_mut(slot) {
            *place = Some(Rc::clone(&entry));
        }
        Open { registry: Rc::clone(self), slot, entry }
    }

    /// How many are open on this worker.
    pub fn len(&self) -> usize {
        self.slots.borrow().len() - self.free.borrow().len()
    }

    /// Whether none is open on this worker.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Judges every open tunnel and cuts those that must end. Returns how many were revoked.
    pub fn sweep(&self, sweep: &Sweep<'_>) -> usize {
        let idle = u32::try_from(sweep.idle.as_secs()).unwrap_or(u32::MAX);
        let now = self.seconds();
        let mut revoked = 0;
        // The entries are copied out first: waking a tunnel must not find the table borrowed.
        let entries: Vec<_> = self.slots.borrow().iter().flatten().map(Rc::clone).collect();
        for entry in entries {
            if entry.cut.get().is_some() {
                continue;
            }
            if sweep.policy.is_some_and(|policy| !entry.is_still_permitted(policy, sweep)) {
                revoked += 1;
                entry.cut(Cut::Revoked);
            } else if now.saturating_sub(entry.active.get()) >= idle {
                entry.cut(Cut::Idle);
            }
        }
        revoked
    }

    /// Waits until none is open.
    pub async fn gone(&self) {
        while !self.is_empty() {
            self.empty.notified().await;
        }
    }

    /// Cuts whatever is open.
    pub fn cut_all(&self, cut: Cut) {
        let entries: Vec<_> = self.slots.borrow().iter().flatten().map(Rc::clone).collect();
        for entry in entries {
            entry.cut(cut);
        }
    }

    fn seconds(&self) -> u32 {
        u32::try_from(self.epoch.elapsed().as_secs()).unwrap_or(u32::MAX)
    }
}

impl Entry {
    /// Judges the tunnel by the policy in force; when it may stay, it stays by that policy, and the old one can go.
    fn is_still_permitted(&self, policy: &Snapshot, sweep: &Sweep<'_>) -> bool {
        let mut facts = self.facts.borrow_mut();
        facts.at = sweep.now;
        let Decision::Allow(permit) = policy.decide(&facts) else {
            return false;
        };
        if permit.vet(&[self.address], sweep.own).is_err() {
            return false;
        }
        *self.permit.borrow_mut() = permit;
        if let Some(pending) = self.pending.borrow_mut().as_mut() {
            pending.detach_policy();
        }
        true
    }

    fn cut(&self, cut: Cut) {
        if self.cut.get().is_none() {
            self.cut.set(Some(cut));
        }
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Open {
    /// Ready once the tunnel must end.
    pub fn poll_cut(&self, context: &Context<'_>) -> Poll<Cut> {
        if let Some(cut) = self.entry.cut.get() {
            return Poll::Ready(cut);
        }
        let mut waker = self.entry.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(context.waker()),
            none => *none = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// Notes that bytes moved.
    pub fn is_active(&self) {
        self.entry.active.set(self.registry.seconds());
    }

    /// Ends the tunnel with its byte counts.
    pub fn finish(self, outcome: Outcome, up: u64, down: u64) {
        if let Some(mut pending) = self.entry.pending.borrow_mut().take() {
            pending.sent_up(up);
            pending.sent_down(down);
            pending.worker().tunnel_closed(up, down, outcome == Outcome::Revoked);
            pending.finish(outcome);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(place) = self.registry.slots.borrow_mut().get_mut(self.slot) {
            *place = None;
            self.registry.free.borrow_mut().push(self.slot);
        }
        if let Some(pending) = self.entry.pending.borrow_mut().take() {
            pending.worker().tunnel_closed(0, 0, false);
        }
        if self.registry.is_empty() {
            self.registry.empty.notify_waiters();
        }
    }
}
