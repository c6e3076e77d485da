//! The handles by which a tunnel or a request is in the registry.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::Registry;
use super::entry::{Cut, Entry, EntryOwner};
use crate::facts::Outcome;
use crate::session::pending::Account;
use crate::session::{Ongoing, Pending};

/// An entry's place in the registry, given back by dropping it.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) registry: Rc<Registry>,
    pub(super) index: usize,
    pub(super) entry: Rc<Entry>,
}

/// A tunnel's own place in the registry; it leaves by dropping this.
#[derive(Debug)]
pub struct OpenTunnel(pub(super) Slot);

/// The place of a request that its own code carries on and ends; it leaves by dropping this.
#[derive(Debug)]
pub struct ListedRequest(pub(super) Slot);

impl Slot {
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
        if let EntryOwner::Tunnel(mut pending) = self.entry.owner.replace(EntryOwner::Over) {
            let (up, down) = self.entry.moved.get();
            pending.sent_up(up);
            pending.sent_down(down);
            let (up, down) = self.entry.uncounted();
            pending.account().worker().tunnel_closed(up, down, outcome == Outcome::Revoked);
            pending.finish(outcome);
            self.registry.load.remove();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(place) = self.registry.slots.borrow_mut().get_mut(self.index) {
            *place = None;
            self.registry.free.borrow_mut().push(self.index);
        }
        let outcome = self.entry.owner.borrow().account().map(|account| account.worker().outcome_of_dropped());
        self.close(outcome.unwrap_or(Outcome::Internal));
        if self.registry.is_empty() {
            self.registry.empty.notify_waiters();
        }
    }
}

impl OpenTunnel {
    /// Ready once the tunnel must end. To be asked before each turn that moves bytes: none moves under a permission that had
    /// been taken away before that turn.
    pub fn poll_cut(&self, context: &Context<'_>) -> Poll<Cut> {
        let Slot { registry, entry, .. } = &self.0;
        if entry.cut.get().is_none() && !entry.is_permitted(&registry.in_force) {
            registry.revoked.set(registry.revoked.get() + 1);
            entry.cut(Cut::Revoked);
        }
        self.0.poll_cut(context)
    }

    /// Records that bytes moved, with the total to the origin and the total to the client.
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
    pub(in crate::session) fn cut_by(&self) -> Option<Cut> {
        self.0.entry.cut.get()
    }
}

impl ListedRequest {
    /// Waits until the request must end.
    pub async fn cut(&self) -> Cut {
        poll_fn(|context| self.poll_cut(context)).await
    }

    /// Ready once the request must end.
    pub fn poll_cut(&self, context: &Context<'_>) -> Poll<Cut> {
        self.0.poll_cut(context)
    }

    /// Records that bytes moved, with the total to the origin and the total to the client; and the status that the
    /// client sees by now, if it does.
    pub fn moved(&self, up: u64, down: u64, status: Option<u16>) {
        self.0.moved(up, down);
        if let (Some(status), Some(account)) = (status, self.0.entry.owner.borrow_mut().account_mut()) {
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
        if self.0.entry.owner.borrow().account().is_some_and(Account::is_open) {
            pending.account_mut().opened();
        }
    }
}
