//! What is under way for long on one worker, and the one sweep that ends what must end.
//!
//! Every tunnel is here from its first byte on. A request over plain HTTP is from an age of five seconds on, once it has a
//! connection; so is a tunnel whose first bytes may be waited for without a limit of their own.
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

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use super::in_force::Renewal;
use super::pending::Account;
use super::{FirstBytes, InForce, Listed, Ongoing, Pending, Permitted, Share};
use crate::facts::{Outcome, RequestFacts, RequestId};
use crate::policy::{Permit, Reached};
use crate::record::{Kind, Record};

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

/// What is under way for long on one worker.
#[derive(Debug)]
pub struct Registry {
    /// Slots are reused through `free`, so that the table is as large as the most that was ever open at once.
    slots: RefCell<Vec<Option<Rc<Entry>>>>,
    free: RefCell<Vec<usize>>,
    epoch: Instant,
    empty: tokio::sync::Notify,
    share: Share,
    in_force: Rc<InForce>,
    /// Tunnels that found out by themselves, since the last sweep, that they are denied now.
    revoked: Cell<usize>,
}

/// Why a tunnel or a request is cut.
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

/// Something under way, as the sweep sees it.
#[derive(Debug)]
struct Entry {
    facts: RefCell<RequestFacts>,
    permit: RefCell<Permit>,
    what: RefCell<What>,
    /// How a tunnel began; none of what is no tunnel yet.
    first: Option<FirstBytes>,
    /// Where it leads; none before it is connected.
    reached: Option<Reached>,
    /// Seconds of the registry's clock at the last byte.
    active: Cell<u32>,
    /// When the next interim record is due.
    next: Cell<u32>,
    /// Bytes to the origin and to the client so far.
    moved: Cell<(u64, u64)>,
    /// How many of them the metrics know.
    counted: Cell<(u64, u64)>,
    cut: Cell<Option<Cut>>,
    waker: RefCell<Option<Waker>>,
}

/// Whose entry it is, and what is known of it.
#[derive(Debug)]
enum What {
    /// A tunnel's, which it ends with.
    Tunnel(Pending),
    /// A request's, which is somebody else's to end.
    Request(Account),
    /// It is over.
    Over,
}

impl What {
    fn account(&self) -> Option<&Account> {
        match self {
            Self::Tunnel(pending) => Some(pending.account()),
            Self::Request(account) => Some(account),
            Self::Over => None,
        }
    }

    fn account_mut(&mut self) -> Option<&mut Account> {
        match self {
            Self::Tunnel(pending) => Some(pending.account_mut()),
            Self::Request(account) => Some(account),
            Self::Over => None,
        }
    }
}

/// A place in the registry, given back by dropping it.
#[derive(Debug)]
struct Place {
    registry: Rc<Registry>,
    slot: usize,
    entry: Rc<Entry>,
}

/// A tunnel's own place in the registry; it leaves by dropping this.
#[derive(Debug)]
pub struct Open(Place);

/// The place of a request that somebody else carries on and ends; it leaves by dropping this.
#[derive(Debug)]
pub struct Listing(Place);

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
        let Permitted { pending, permit, facts, .. } = request;
        pending.account().worker().tunnel_opened();
        self.share.add();
        Open(self.place(What::Tunnel(pending), permit, facts, Some(first), Some(reached)))
    }

    /// Lists a request that lasts, while its owner carries it on.
    pub fn list_request(self: &Rc<Self>, ongoing: &Ongoing<'_>) -> Listing {
        let Permitted { pending, permit, facts, .. } = &*ongoing.request;
        let (permit, facts, reached) = (permit.clone(), facts.clone(), ongoing.reached.clone());
        Listing(self.place(What::Request(pending.copy()), permit, facts, None, Some(reached)))
    }

    fn place(
        self: &Rc<Self>,
        what: What,
        permit: Permit,
        facts: RequestFacts,
        first: Option<FirstBytes>,
        reached: Option<Reached>,
    ) -> Place {
        let now = self.seconds();
        let wait = match what.account() {
            Some(account) if !account.is_open() => OPEN_AFTER.saturating_sub(account.age()),
            _ => PROGRESS_EVERY,
        };
        let wait = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
        let entry = Rc::new(Entry {
            facts: RefCell::new(facts),
            permit: RefCell::new(permit),
            what: RefCell::new(what),
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
        Place { registry: Rc::clone(self), slot, entry }
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
        // The entries are copied out first: who is woken must not find the table borrowed.
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
        self.what.borrow().account().map(Account::id)
    }

    fn started(&self) -> Option<SystemTime> {
        self.what.borrow().account().and_then(Account::started)
    }

    fn is_tunnel(&self) -> bool {
        matches!(*self.what.borrow(), What::Tunnel(_))
    }

    /// What an interim record of this kind says now.
    fn so_far(&self, kind: Kind) -> Option<Record> {
        let (up, down) = self.moved.get();
        self.what.borrow().account().and_then(|account| account.so_far(kind, up, down))
    }

    /// Whether the policy in force permits it, what a tunnel began with included. Then it stays by that policy, and the
    /// one before can go. What is not permitted has to be cut at once.
    fn is_permitted(&self, in_force: &InForce) -> bool {
        let (mut permit, mut facts) = (self.permit.borrow_mut(), self.facts.borrow_mut());
        match in_force.renew(&mut permit, &mut facts, self.reached.as_ref()) {
            Ok(Renewal::Unchanged) => return true,
            Ok(Renewal::Replaced) => {}
            Err(_) => return false,
        }
        if let Some(FirstBytes::Tunnel(opening)) = &self.first
            && permit.admit(&facts, opening).is_err()
        {
            return false;
        }
        if let Some(account) = self.what.borrow_mut().account_mut() {
            account.detach_policy();
        }
        true
    }

    /// Counts the bytes that moved since the last sweep.
    fn count_bytes(&self) {
        let (up, down) = self.uncounted();
        if (up, down) != (0, 0)
            && let What::Tunnel(pending) = &*self.what.borrow()
        {
            pending.account().worker().tunnel_bytes(up, down);
        }
    }

    /// Hands in an interim record if one is due at `now`. Whether one was.
    fn report(&self, now: u32) -> bool {
        let what = self.what.borrow();
        let Some(account) = what.account().filter(|_| now >= self.next.get()) else { return false };
        let (up, down) = self.moved.get();
        account.interim(up, down);
        self.next.set(now.saturating_add(u32::try_from(PROGRESS_EVERY.as_secs()).unwrap_or(u32::MAX)));
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

impl Place {
    fn poll_cut(&self, context: &Context<'_>) -> Poll<Cut> {
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

    fn moved(&self, up: u64, down: u64) {
        self.entry.active.set(self.registry.seconds());
        self.entry.moved.set((up, down));
    }

    /// Records the end, if it is this place's to record.
    fn close(&self, outcome: Outcome) {
        if let What::Tunnel(mut pending) = self.entry.what.replace(What::Over) {
            let (up, down) = self.entry.moved.get();
            pending.sent_up(up);
            pending.sent_down(down);
            let (up, down) = self.entry.uncounted();
            pending.account().worker().tunnel_closed(up, down, outcome == Outcome::Revoked);
            pending.finish(outcome);
            self.registry.share.remove();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(place) = self.registry.slots.borrow_mut().get_mut(self.slot) {
            *place = None;
            self.registry.free.borrow_mut().push(self.slot);
        }
        let outcome = self.entry.what.borrow().account().map(|account| account.worker().outcome_of_dropped());
        self.close(outcome.unwrap_or(Outcome::Internal));
        if self.registry.is_empty() {
            self.registry.empty.notify_waiters();
        }
    }
}

impl Open {
    /// Ready once the tunnel must end. To be asked before each turn that moves bytes: none moves under a permission that had
    /// been taken away before that turn.
    pub fn poll_cut(&self, context: &Context<'_>) -> Poll<Cut> {
        let Place { registry, entry, .. } = &self.0;
        if entry.cut.get().is_none() && !entry.is_permitted(&registry.in_force) {
            registry.revoked.set(registry.revoked.get() + 1);
            entry.cut(Cut::Revoked);
        }
        self.0.poll_cut(context)
    }

    /// Notes that bytes moved: so many in all to the origin, so many to the client.
    pub fn moved(&self, up: u64, down: u64) {
        self.0.moved(up, down);
    }

    /// Ends the tunnel with its byte counts.
    pub fn finish(self, outcome: Outcome, up: u64, down: u64) {
        self.0.entry.moved.set((up, down));
        self.0.close(outcome);
    }

    #[cfg(test)]
    #[cfg(feature = "model")]
    pub(super) fn cut_by(&self) -> Option<Cut> {
        self.0.entry.cut.get()
    }
}

impl Listing {
    /// Waits until the request must end.
    pub async fn cut(&self) -> Cut {
        poll_fn(|context| self.poll_cut(context)).await
    }

    /// Ready once the request must end.
    pub fn poll_cut(&self, context: &Context<'_>) -> Poll<Cut> {
        self.0.poll_cut(context)
    }

    /// Notes that bytes moved: so many in all to the origin, so many to the client; and the status that the client sees
    /// by now, if it does.
    pub fn moved(&self, up: u64, down: u64, status: Option<u16>) {
        self.0.moved(up, down);
        if let (Some(status), Some(account)) = (status, self.0.entry.what.borrow_mut().account_mut()) {
            account.status(status);
        }
    }

    /// Notes that the request rests on something else now.
    pub fn rests_on(&self, ongoing: &Ongoing<'_>) {
        self.0.entry.permit.replace(ongoing.request.permit.clone());
        self.0.entry.facts.replace(ongoing.request.facts.clone());
    }

    /// Leaves. The request's own record learns from here whether it has had an `open` record.
    pub fn leave(self, pending: &mut Pending) {
        if self.0.entry.what.borrow().account().is_some_and(Account::is_open) {
            pending.account_mut().opened();
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

    fn registry_of(store: &Store) -> Rc<Registry> {
        let in_force = InForce::new(store.handle(), Arc::default());
        Rc::new(Registry::new(Shares::new(1).worker(0), Rc::new(in_force)))
    }

    fn registry() -> Rc<Registry> {
        registry_of(&Store::new(policy(), String::new()))
    }

    fn permitted(registry: &Registry, recorder: &Room) -> Permitted {
        let facts = RequestFacts {
            client: Client::hypothetical(),
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
        let mut pending = Pending::begin(Rc::new(recorder.worker(0)), &listener, facts.client.clone());
        pending.asked(&facts);
        pending.permitted(&permit, Duration::ZERO);
        Permitted::new(pending, permit, facts)
    }

    fn reached() -> Reached {
        Reached::Direct([192, 0, 2, 1].into())
    }

    fn tunnel(registry: &Rc<Registry>, recorder: &Room) -> Open {
        let first = FirstBytes::Request { may_be_judged_again: false };
        registry.enter(permitted(registry, recorder), first, reached())
    }

    fn listing(registry: &Rc<Registry>, request: &mut Permitted) -> Listing {
        registry.list_request(&Ongoing { request, reached: &reached() })
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
        let entry = Rc::clone(&open.0.entry);
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
    fn a_request_that_is_listed_is_recorded_by_its_owner_alone_and_is_no_tunnel() {
        let (recorder, registry) = (recorder(), registry());
        let mut request = permitted(&registry, &recorder);
        let listed = listing(&registry, &mut request);
        listed.moved(10, 200, Some(206));
        assert!(listed.0.entry.report(5));
        let shown = registry.list(9).tunnels.remove(0);
        assert_eq!((shown.status, shown.bytes_up, shown.bytes_down), (206, 10, 200));
        listed.0.entry.count_bytes();
        let totals = recorder.totals();
        assert_eq!((totals.tunnels_open, totals.bytes_up, totals.bytes_down), (0, 0, 0), "these are of tunnels");
        listed.leave(&mut request.pending);
        assert!(registry.is_empty());
        // Listed once more, as when it is sent again: its `open` line is there already.
        let again = listing(&registry, &mut request);
        assert!(!again.0.entry.report(59) && again.0.entry.report(60));
        drop(again);
        assert_eq!(lines(&recorder), [("open", 10, 200), ("progress", 0, 0)], "leaving ends nothing");
        request.pending.sent_up(11);
        request.pending.finish(Outcome::Completed);
        assert_eq!(lines(&recorder).last(), Some(&("end", 11, 0)));
        assert_eq!(recorder.totals().records, 1);
    }

    #[test]
    fn silence_ends_a_tunnel_and_a_request_has_limits_of_its_own() {
        let store = Store::new(policy(), String::new());
        let (recorder, registry) = (recorder(), registry_of(&store));
        let mut request = permitted(&registry, &recorder);
        let (tunnel, listed) = (tunnel(&registry, &recorder), listing(&registry, &mut request));
        assert_eq!(registry.sweep(Duration::ZERO), 0);
        assert_eq!((tunnel.0.entry.cut.get(), listed.0.entry.cut.get()), (Some(Cut::Idle), None));
        let document = read_policy("version = 1\n", Format::Toml).unwrap();
        store.swap(Policy::compile(&document, Source { lists: &[], content_hash: "r2" }).unwrap().policy);
        assert_eq!(registry.sweep(Duration::ZERO), 1);
        assert_eq!(listed.0.entry.cut.get(), Some(Cut::Revoked));
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
            open.iter().for_each(|open| open.0.entry.next.set(0));
            assert_eq!([sweep(), sweep(), sweep()].map(|lines| lines - before), handed_in, "{tunnels}");
            open.into_iter().for_each(|open| open.finish(Outcome::Completed, 0, 0));
        }
    }

    #[test]
    fn what_is_not_over_has_no_outcome_yet() {
        let (recorder, registry) = (recorder(), registry());
        let open = tunnel(&registry, &recorder);
        assert!(open.0.entry.report(5));
        recorder.flush();
        let line = recorder.recent(&RecentFilter::newest(1)).remove(0).to_json();
        assert!(line.contains(r#""kind":"open""#) && line.contains(r#""outcome":"","#), "{line}");
        assert!(line.contains(r#""decision":"allow""#), "{line}");
    }

    #[test]
    fn a_record_cites_the_policy_by_which_bytes_began_to_flow() {
        let store = Store::new(policy(), String::new());
        let (recorder, registry) = (recorder(), registry_of(&store));
        let public = Reached::Direct([1, 1, 1, 1].into());
        let again = |revision: &'static str| {
            let document = read_policy("version = 1\nallow = [\"*.test\", \"ok.test\"]\n", Format::Toml).unwrap();
            store.swap(Policy::compile(&document, Source { lists: &[], content_hash: revision }).unwrap().policy);
        };
        let cited = |request: Permitted| {
            request.pending.finish(Outcome::Completed);
            recorder.flush();
            recorder.recent(&RecentFilter::newest(1))[0].record().unwrap().revision().to_owned()
        };
        // It goes on while the policy is replaced.
        let mut request = permitted(&registry, &recorder);
        let first = registry.in_force.snapshot().revision().to_owned();
        again("r2");
        assert!(Ongoing { request: &mut request, reached: &public }.holds(&registry.in_force));
        assert_eq!(cited(request), first);
        // It goes on as well, and then bytes begin to flow: those of a tunnel, or to another connection.
        let mut request = permitted(&registry, &recorder);
        again("r3");
        let second = registry.in_force.snapshot().revision().to_owned();
        let mut ongoing = Ongoing { request: &mut request, reached: &public };
        assert!(ongoing.holds(&registry.in_force));
        ongoing.renew(&registry.in_force).unwrap();
        assert_ne!(first, second);
        assert_eq!(cited(request), second);
    }
}
