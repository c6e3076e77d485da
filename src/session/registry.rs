//! The open tunnels of one worker, and the one sweep that ends those which must end.
//!
//! Guaranteed: after the policy is replaced, and when a rule's period begins or ends, every open tunnel is judged again by
//! the policy in force, its address and its first bytes too: before it moves another byte, and at the next sweep if it
//! moves none. Those that it denies are cut with `revoked`, the others notice nothing. A tunnel that has been silent for longer than the limit is cut with `timeout`. One that stays open hands in an `open` record
//! after five seconds and a `progress` record every minute, with its bytes so far, so that a crash hides nothing. Where
//! hundreds of them fall due at once, the last come up to ten seconds later.
//!
//! Deliberately not done: a timer or a watcher per tunnel. One sweep looks at all of them; ten thousand take a few
//! milliseconds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use super::in_force::Renewal;
use super::{FirstBytes, InForce, Listed, Pending, Permitted, Share};
use crate::facts::RequestFacts;
use crate::policy::{Permit, Reached};
use crate::record::{Kind, Outcome, Record, RequestId};

/// The age at which a tunnel is recorded as open. Most are over before: their `end` says it all.
const OPEN_AFTER: u32 = 5;
/// Seconds between two `progress` records of a tunnel: what a crash leaves unknown of its bytes.
const PROGRESS_EVERY: u32 = 60;
/// Sweeps over which interim records are spread that fall due together, as they do when thousands of tunnels opened at
/// once: handed in together they would hold up the worker and the writer, and overflow the buffer between them.
const SPREAD: usize = 10;
/// Interim records that one sweep hands in at any rate: a tenth of a millisecond's work.
const MIN_INTERIM: usize = 256;

/// The open tunnels of one worker.
#[derive(Debug)]
pub struct Registry {
    /// Slots are reused through `free`, so that the table is as large as the most tunnels that were ever open at once.
    slots: RefCell<Vec<Option<Rc<Entry>>>>,
    free: RefCell<Vec<usize>>,
    epoch: Instant,
    empty: tokio::sync::Notify,
    share: Share,
    in_force: Rc<InForce>,
    /// Tunnels that found out by themselves, since the last sweep, that they are denied now.
    revoked: Cell<usize>,
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
    first: FirstBytes,
    reached: Reached,
    /// Seconds of the registry's clock at the last byte.
    active: Cell<u32>,
    /// When the next interim record is due, and of which kind.
    next: Cell<(u32, Kind)>,
    /// Bytes to the origin and to the client so far.
    moved: Cell<(u64, u64)>,
    /// How many of them the metrics know.
    counted: Cell<(u64, u64)>,
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

impl Registry {
    /// Of a worker with this share and under this policy, none open.
    pub fn new(share: Share, in_force: Rc<InForce>) -> Self {
        Self {
            slots: RefCell::default(),
            free: RefCell::default(),
            epoch: Instant::now(),
            empty: tokio::sync::Notify::new(),
            share,
            in_force,
            revoked: Cell::default(),
        }
    }

    pub(super) fn enter(self: &Rc<Self>, request: Permitted, first: FirstBytes, reached: Reached) -> Open {
        let Permitted { pending, permit, facts } = request;
        pending.worker().tunnel_opened();
        self.share.add();
        let entry = Rc::new(Entry {
            facts: RefCell::new(facts),
            permit: RefCell::new(permit),
            pending: RefCell::new(Some(pending)),
            first,
            reached,
            active: Cell::new(self.seconds()),
            next: Cell::new((self.seconds().saturating_add(OPEN_AFTER), Kind::Open)),
            moved: Cell::default(),
            counted: Cell::default(),
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

    /// Judges every open tunnel and cuts those that must end, after `idle` of silence too; hands in the interim records that
    /// are due. Returns how many were revoked since the last sweep.
    pub fn sweep(&self, idle: Duration) -> usize {
        let idle = u32::try_from(idle.as_secs()).unwrap_or(u32::MAX);
        let now = self.seconds();
        let mut revoked = self.revoked.take();
        // The entries are copied out first: waking a tunnel must not find the table borrowed.
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
            } else if now.saturating_sub(entry.active.get()) >= idle {
                entry.cut(Cut::Idle);
            }
        }
        revoked
    }

    /// How many are open on this worker, and the `limit` oldest of them, oldest first.
    pub fn list(&self, limit: usize) -> Listed {
        let slots = self.slots.borrow();
        let mut entries: Vec<_> = slots.iter().flatten().map(|entry| (entry.started(), entry)).collect();
        let total = entries.len();
        entries.sort_by_key(|(started, _)| *started);
        Listed {
            total,
            tunnels: entries.iter().take(limit).filter_map(|(_, entry)| entry.so_far(Kind::Open)).collect(),
        }
    }

    /// Ends the tunnel of this request with `revoked`. False if there is none here, or if it is ending already.
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
    fn id(&self) -> Option<RequestId> {
        self.pending.borrow().as_ref().map(Pending::id)
    }

    fn started(&self) -> Option<SystemTime> {
        self.pending.borrow().as_ref().and_then(Pending::started)
    }

    /// What an interim record of this kind says now.
    fn so_far(&self, kind: Kind) -> Option<Record> {
        let (up, down) = self.moved.get();
        self.pending.borrow().as_ref().and_then(|pending| pending.so_far(kind, up, down))
    }

    /// Whether the policy in force permits the tunnel, what it began with included. Then it stays by that policy, and the
    /// one before can go. A tunnel that is not permitted has to be cut at once.
    fn is_permitted(&self, in_force: &InForce) -> bool {
        let (mut permit, mut facts) = (self.permit.borrow_mut(), self.facts.borrow_mut());
        match in_force.renew(&mut permit, &mut facts, Some(&self.reached)) {
            Ok(Renewal::Unchanged) => return true,
            Ok(Renewal::Replaced) => {}
            Err(_) => return false,
        }
        if let FirstBytes::Tunnel(opening) = &self.first
            && permit.admit(&facts, opening).is_err()
        {
            return false;
        }
        if let Some(pending) = self.pending.borrow_mut().as_mut() {
            pending.detach_policy();
        }
        true
    }

    /// Counts the bytes that moved since the last sweep.
    fn count_bytes(&self) {
        let (up, down) = self.uncounted();
        if (up, down) != (0, 0)
            && let Some(pending) = self.pending.borrow().as_ref()
        {
            pending.worker().tunnel_bytes(up, down);
        }
    }

    /// Hands in an interim record if one is due at `now`. Whether one was.
    fn report(&self, now: u32) -> bool {
        let (due, kind) = self.next.get();
        let pending = self.pending.borrow();
        let Some(pending) = pending.as_ref().filter(|_| now >= due) else { return false };
        let (up, down) = self.moved.get();
        pending.interim(kind, up, down);
        self.next.set((now.saturating_add(PROGRESS_EVERY), Kind::Progress));
        true
    }

    /// Bytes that the metrics do not know yet; from now on they do.
    fn uncounted(&self) -> (u64, u64) {
        let (up, down) = self.moved.get();
        let (counted_up, counted_down) = self.counted.replace((up, down));
        (up.saturating_sub(counted_up), down.saturating_sub(counted_down))
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
    /// Ready once the tunnel must end. To be asked before each turn that moves bytes: none moves under a permission that had
    /// been taken away before that turn.
    pub fn poll_cut(&self, context: &Context<'_>) -> Poll<Cut> {
        if self.entry.cut.get().is_none() && !self.entry.is_permitted(&self.registry.in_force) {
            self.registry.revoked.set(self.registry.revoked.get() + 1);
            self.entry.cut(Cut::Revoked);
        }
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

    /// Notes that bytes moved: so many in all to the origin, so many to the client.
    pub fn moved(&self, up: u64, down: u64) {
        self.entry.active.set(self.registry.seconds());
        self.entry.moved.set((up, down));
    }

    /// Ends the tunnel with its byte counts.
    pub fn finish(self, outcome: Outcome, up: u64, down: u64) {
        self.entry.moved.set((up, down));
        self.close(outcome);
    }

    #[cfg(test)]
    #[cfg(feature = "model")]
    pub(super) fn cut_by(&self) -> Option<Cut> {
        self.entry.cut.get()
    }

    fn close(&self, outcome: Outcome) {
        if let Some(mut pending) = self.entry.pending.borrow_mut().take() {
            let (up, down) = self.entry.moved.get();
            pending.sent_up(up);
            pending.sent_down(down);
            let (up, down) = self.entry.uncounted();
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
        self.registry.share.remove();
        self.close(Outcome::Internal);
        if self.registry.is_empty() {
            self.registry.empty.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::facts::{Client, Destination, Protocol, Tool};
    use crate::policy::text::{Format, read_policy};
    use crate::policy::{Policy, Source};
    use crate::session::{ListenerId, Shares};
    use crate::sink::RecentFilter;
    use crate::sink::tests::room::{Room, Settings};
    use crate::store::Store;

    fn recorder() -> Room {
        Room::start(Settings { ring: 20_000, ..Settings::default() }).unwrap()
    }

    fn policy() -> Policy {
        let document = read_policy("version = 1\nallow = [\"ok.test\"]\n", Format::Toml).unwrap();
        Policy::compile(&document, Source { lists: &[], content_hash: "r1" }).unwrap().policy
    }

    fn registry() -> Rc<Registry> {
        let in_force = InForce::new(Store::new(policy(), String::new()).handle(), Arc::default());
        Rc::new(Registry::new(Shares::new(1).worker(0), Rc::new(in_force)))
    }

    fn tunnel(registry: &Rc<Registry>, recorder: &Room) -> Open {
        let client = Client { addr: ([127, 0, 0, 1], 9).into() };
        let facts = RequestFacts {
            client,
            tool: Tool::new("browser"),
            protocol: Protocol::Connect,
            destination: Destination::parse(b"ok.test:443", None).unwrap(),
            method: None,
            upgrade: None,
            path: None,
            passed_through_us: false,
            at: SystemTime::now(),
        };
        let permit = registry.in_force.judge(&facts, None).unwrap();
        let listener = ListenerId { index: 0, tool: Tool::new("browser") };
        let mut pending = Pending::begin(Rc::new(recorder.worker(0)), &listener, client);
        pending.asked(&facts);
        pending.permitted(&permit, Duration::ZERO);
        registry.enter(
            Permitted { pending, permit, facts },
            FirstBytes::Request { may_be_judged_again: false },
            Reached::Direct([192, 0, 2, 1].into()),
        )
    }

    /// Kind and bytes of each line, once all are there.
    fn lines(recorder: &Room) -> Vec<(&'static str, u64, u64)> {
        recorder.flush();
        let lines = recorder.recent(&RecentFilter::newest(20_000));
        lines
            .iter()
            .filter_map(|line| line.record())
            .map(|record| (record.kind.as_str(), record.bytes_up, record.bytes_down))
            .collect()
    }

    #[test]
    fn a_tunnel_that_stays_open_says_so_and_how_it_goes_on() {
        let (recorder, registry) = (recorder(), registry());
        let open = tunnel(&registry, &recorder);
        let entry = Rc::clone(&open.entry);
        assert!(!entry.report(4));
        assert_eq!(lines(&recorder), [], "most tunnels are over before");
        open.moved(10, 200);
        entry.count_bytes();
        assert_eq!(recorder.totals().bytes_down, 200, "the metrics know its bytes while it is open");
        assert!(entry.report(5) && !entry.report(6));
        open.moved(11, 300);
        assert!(!entry.report(64) && entry.report(65));
        assert_eq!(lines(&recorder), [("open", 10, 200), ("progress", 11, 300)]);
        open.finish(Outcome::Completed, 12, 400);
        assert!(!entry.report(200));
        assert_eq!(lines(&recorder), [("open", 10, 200), ("progress", 11, 300), ("end", 12, 400)]);
        let totals = recorder.totals();
        assert_eq!((totals.records, totals.bytes_up, totals.bytes_down, totals.tunnels_open), (1, 12, 400, 0));
    }

    #[test]
    fn a_tunnel_that_is_dropped_keeps_the_bytes_that_it_moved() {
        let (recorder, registry) = (recorder(), registry());
        let open = tunnel(&registry, &recorder);
        open.moved(7, 8);
        drop(open);
        assert_eq!(lines(&recorder), [("end", 7, 8)]);
        assert!(registry.is_empty());
    }

    #[test]
    fn what_falls_due_at_once_is_handed_in_over_several_sweeps() {
        let (recorder, registry) = (recorder(), registry());
        let sweep = || {
            registry.sweep(Duration::MAX);
            lines(&recorder).len()
        };
        for (tunnels, handed_in) in [
            (MIN_INTERIM, [MIN_INTERIM, MIN_INTERIM, MIN_INTERIM]),
            (MIN_INTERIM + 1, [MIN_INTERIM, MIN_INTERIM + 1, MIN_INTERIM + 1]),
            (SPREAD * 600, [600, 1200, 1800]),
        ] {
            let before = lines(&recorder).len();
            let open: Vec<_> = (0..tunnels).map(|_| tunnel(&registry, &recorder)).collect();
            open.iter().for_each(|open| open.entry.next.set((0, Kind::Open)));
            assert_eq!([sweep(), sweep(), sweep()].map(|lines| lines - before), handed_in, "{tunnels}");
            open.into_iter().for_each(|open| open.finish(Outcome::Completed, 0, 0));
        }
    }

    #[test]
    fn what_is_not_over_has_no_outcome_yet() {
        let (recorder, registry) = (recorder(), registry());
        let open = tunnel(&registry, &recorder);
        assert!(open.entry.report(5));
        recorder.flush();
        let line = recorder.recent(&RecentFilter::newest(1)).remove(0).to_json();
        assert!(line.contains(r#""kind":"open""#) && line.contains(r#""outcome":"","#), "{line}");
        assert!(line.contains(r#""decision":"allow""#), "{line}");
    }
}
