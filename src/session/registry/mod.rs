//! The open tunnels and the long requests of one worker, and the one sweep that ends those that must end.
//!
//! A tunnel is here from its first byte on. A plain HTTP request is here from the age of five seconds on, once it has a
//! connection; so is a tunnel whose first bytes are waited for without a limit of their own.
//!
//! Guaranteed: after the policy is replaced, and when a rule's period begins or ends, all of them are judged again by
//! the policy in force, with their address and their first bytes: a tunnel before it moves another byte, and each at the
//! next sweep. Those that it denies are cut with `revoked`, the others notice nothing. A tunnel that has been silent for
//! longer than the limit is cut with `timeout`; requests have limits of their own. One that is older than five seconds hands
//! in an `open` record, then a `progress` record every minute, with its bytes so far, so that a crash hides nothing. Where
//! hundreds of them fall due at once, the last come up to ten seconds later.
//!
//! Deliberately not done: a timer or a watcher for each. One sweep looks at all of them; ten thousand take a few
//! milliseconds.

mod entry;
mod slot;
#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::{FirstBytes, InForce, Ongoing, OpenTunnels, Permitted, WorkerLoad};
use crate::facts::{RequestFacts, RequestId};
use crate::policy::{Permit, Reached};
use crate::record::Kind;

pub use entry::Cut;
pub use slot::{ListedRequest, OpenTunnel};

use entry::{Entry, EntryOwner};
use slot::Slot;

/// The age at which what is under way is recorded as open, and a request is listed. Most are over before: their `end`
/// says it all.
pub const OPEN_AFTER: Duration = Duration::from_secs(5);
/// Seconds between two `progress` records: what a crash leaves unknown of the bytes.
const PROGRESS_EVERY: Duration = Duration::from_secs(60);
/// Sweeps over which interim records are spread that fall due together, as they do when thousands of tunnels opened at
/// once: handed in together they would hold up the worker and the writer, and overflow the buffer between them.
const SPREAD: usize = 10;
/// Interim records that one sweep hands in at any rate: a tenth of a millisecond's work.
const MIN_INTERIM: usize = 256;

/// The open tunnels and the long requests of one worker.
#[derive(Debug)]
pub struct Registry {
    /// Slots are reused through `free`, so that the table is as large as the most that was ever open at once.
    slots: RefCell<Vec<Option<Rc<Entry>>>>,
    free: RefCell<Vec<usize>>,
    epoch: Instant,
    empty: tokio::sync::Notify,
    load: WorkerLoad,
    in_force: Rc<InForce>,
    /// Tunnels that found out by themselves, since the last sweep, that they are denied now.
    revoked: Cell<usize>,
}

impl Registry {
    /// An empty one, of a worker with this load and under this policy.
    pub fn new(load: WorkerLoad, in_force: Rc<InForce>) -> Self {
        Self {
            slots: RefCell::default(),
            free: RefCell::default(),
            epoch: Instant::now(),
            empty: tokio::sync::Notify::new(),
            load,
            in_force,
            revoked: Cell::default(),
        }
    }

    pub(super) fn enter(self: &Rc<Self>, request: Permitted, first: FirstBytes, reached: Reached) -> OpenTunnel {
        let Permitted { pending, permit, facts, .. } = request;
        pending.account().worker().tunnel_opened();
        self.load.add();
        OpenTunnel(self.insert(EntryOwner::Tunnel(pending), permit, facts, Some(first), Some(reached)))
    }

    /// Lists a request that lasts, while its owner carries it on.
    pub fn list_request(self: &Rc<Self>, ongoing: &Ongoing<'_>) -> ListedRequest {
        let Permitted { pending, permit, facts, .. } = &*ongoing.request;
        let (permit, facts, reached) = (permit.clone(), facts.clone(), ongoing.reached.clone());
        ListedRequest(self.insert(EntryOwner::Request(pending.copy()), permit, facts, None, Some(reached)))
    }

    fn insert(
        self: &Rc<Self>,
        owner: EntryOwner,
        permit: Permit,
        facts: RequestFacts,
        first: Option<FirstBytes>,
        reached: Option<Reached>,
    ) -> Slot {
        let now = self.seconds();
        let wait = match owner.account() {
            Some(account) if !account.is_open() => OPEN_AFTER.saturating_sub(account.age()),
            _ => PROGRESS_EVERY,
        };
        let wait = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        let entry = Rc::new(Entry {
            facts: RefCell::new(facts),
            permit: RefCell::new(permit),
            owner: RefCell::new(owner),
            first,
            reached,
            active: Cell::new(now),
            next: Cell::new(now.saturating_add(wait)),
            moved: Cell::default(),
            counted: Cell::default(),
            cut: Cell::new(None),
            waker: RefCell::new(None),
        });
        let mut slots = self.slots.borrow_mut();
        let index = match self.free.borrow_mut().pop() {
            Some(index) => index,
            None => {
                slots.push(None);
                slots.len() - 1
            }
        };
        if let Some(slot) = slots.get_mut(index) {
            *slot = Some(Rc::clone(&entry));
        }
        Slot { registry: Rc::clone(self), index, entry }
    }

    /// How many are open on this worker.
    pub fn len(&self) -> usize {
        self.slots.borrow().len() - self.free.borrow().len()
    }

    /// Whether none is open on this worker.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Judges everything that is open and cuts what must end, tunnels after `idle` of silence too; hands in the interim
    /// records that are due. Returns how many were revoked since the last sweep.
    pub fn sweep(&self, idle: Duration) -> usize {
        let idle = u32::try_from(idle.as_secs()).unwrap_or(u32::MAX);
        let now = self.seconds();
        let mut revoked = self.revoked.take();
        // The entries are copied out first: a task that is woken must not find the table borrowed.
        let entries: Vec<_> = self.slots.borrow().iter().flatten().map(Rc::clone).collect();
        let mut interim = (entries.len() / SPREAD).max(MIN_INTERIM);
        for entry in entries {
            if entry.cut.get().is_some() {
                continue;
            }
            entry.count_bytes();
            if interim > 0 && entry.report(now) {
                interim -= 1;
            }
            if !entry.is_permitted(&self.in_force) {
                revoked += 1;
                entry.cut(Cut::Revoked);
            } else if entry.is_tunnel() && now.saturating_sub(entry.active.get()) >= idle {
                entry.cut(Cut::Idle);
            }
        }
        revoked
    }

    /// How many are open on this worker, and the `limit` oldest of them, oldest first.
    pub fn list(&self, limit: usize) -> OpenTunnels {
        let slots = self.slots.borrow();
        let mut entries: Vec<_> = slots.iter().flatten().map(|entry| (entry.started(), entry)).collect();
        let total = entries.len();
        entries.sort_by_key(|(started, _)| *started);
        OpenTunnels {
            total,
            tunnels: entries.iter().take(limit).filter_map(|(_, entry)| entry.so_far(Kind::Open)).collect(),
        }
    }

    /// Ends this tunnel or request with `revoked`. False if there is none here, or if it is ending already.
    pub fn revoke(&self, id: RequestId) -> bool {
        let entry = self.slots.borrow().iter().flatten().find(|entry| entry.id() == Some(id)).map(Rc::clone);
        let entry = entry.filter(|entry| entry.cut.get().is_none());
        entry.map(|entry| entry.cut(Cut::Revoked)).is_some()
    }

    /// Waits until none is open.
    pub async fn gone(&self) {
        while !self.is_empty() {
            self.empty.notified().await;
        }
    }

    /// Cuts everything that is open.
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
