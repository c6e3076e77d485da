//! An open tunnel or a long request, as the sweep sees it.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::SystemTime;

use super::PROGRESS_EVERY;
use crate::facts::{Outcome, RequestFacts, RequestId};
use crate::policy::{Permit, Reached};
use crate::record::{Kind, Record};
use crate::session::in_force::Renewal;
use crate::session::pending::Account;
use crate::session::{FirstBytes, InForce, Pending};

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
pub(super) struct Entry {
    pub(super) facts: RefCell<RequestFacts>,
    pub(super) permit: RefCell<Permit>,
    pub(super) owner: RefCell<EntryOwner>,
    /// How a tunnel began; `None` if it is not a tunnel yet.
    pub(super) first: Option<FirstBytes>,
    /// Where it leads; none before it is connected.
    pub(super) reached: Option<Reached>,
    /// Seconds of the registry's clock at the last byte.
    pub(super) active: Cell<u32>,
    /// When the next interim record is due.
    pub(super) next: Cell<u32>,
    /// Bytes to the origin and to the client so far.
    pub(super) moved: Cell<(u64, u64)>,
    /// How many of them the metrics know.
    pub(super) counted: Cell<(u64, u64)>,
    pub(super) cut: Cell<Option<Cut>>,
    pub(super) waker: RefCell<Option<Waker>>,
}

/// Whose entry it is, and what is known of it.
#[derive(Debug)]
pub(super) enum EntryOwner {
    /// A tunnel's, which it ends with.
    Tunnel(Pending),
    /// A request's, which its own connection ends.
    Request(Account),
    /// It is over.
    Over,
}

impl EntryOwner {
    pub(super) fn account(&self) -> Option<&Account> {
        match self {
            Self::Tunnel(pending) => Some(pending.account()),
            Self::Request(account) => Some(account),
            Self::Over => None,
        }
    }

    pub(super) fn account_mut(&mut self) -> Option<&mut Account> {
        match self {
            Self::Tunnel(pending) => Some(pending.account_mut()),
            Self::Request(account) => Some(account),
            Self::Over => None,
        }
    }
}

impl Entry {
    pub(super) fn id(&self) -> Option<RequestId> {
        self.owner.borrow().account().map(Account::id)
    }

    pub(super) fn started(&self) -> Option<SystemTime> {
        self.owner.borrow().account().and_then(Account::started)
    }

    pub(super) fn is_tunnel(&self) -> bool {
        matches!(*self.owner.borrow(), EntryOwner::Tunnel(_))
    }

    /// What an interim record of this kind says now.
    pub(super) fn so_far(&self, kind: Kind) -> Option<Record> {
        let (up, down) = self.moved.get();
        self.owner.borrow().account().and_then(|account| account.so_far(kind, up, down))
    }

    /// Whether the policy in force permits it, what a tunnel began with included. Then it stays by that policy, and the
    /// one before can go. What is not permitted has to be cut at once.
    pub(super) fn is_permitted(&self, in_force: &InForce) -> bool {
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
        if let Some(account) = self.owner.borrow_mut().account_mut() {
            account.detach_policy();
        }
        true
    }

    /// Counts the bytes that moved since the last sweep.
    pub(super) fn count_bytes(&self) {
        let (up, down) = self.uncounted();
        if (up, down) != (0, 0)
            && let EntryOwner::Tunnel(pending) = &*self.owner.borrow()
        {
            pending.account().worker().tunnel_bytes(up, down);
        }
    }

    /// Hands in an interim record if one is due at `now`. Whether one was.
    pub(super) fn report(&self, now: u32) -> bool {
        let owner = self.owner.borrow();
        let Some(account) = owner.account().filter(|_| now >= self.next.get()) else { return false };
        let (up, down) = self.moved.get();
        account.interim(up, down);
        self.next.set(now.saturating_add(u32::try_from(PROGRESS_EVERY.as_secs()).unwrap_or(u32::MAX)));
        true
    }

    /// Bytes that the metrics do not know yet; from now on they do.
    pub(super) fn uncounted(&self) -> (u64, u64) {
        let (up, down) = self.moved.get();
        let (counted_up, counted_down) = self.counted.replace((up, down));
        (up.saturating_sub(counted_up), down.saturating_sub(counted_down))
    }

    pub(super) fn cut(&self, cut: Cut) {
        if self.cut.get().is_none() {
            self.cut.set(Some(cut));
        }
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}
