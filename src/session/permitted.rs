//! A permitted request, and how it is judged again while it is open.

use std::rc::Rc;
use std::time::SystemTime;

use super::in_force::Renewal;
use super::{InForce, ListedRequest, OPEN_AFTER, Pending, Registry};
use crate::facts::RequestFacts;
use crate::policy::{Denial, Permit, Reached};

/// A permitted request: its record in the making, what permits it, and what was asked.
#[derive(Debug)]
pub struct Permitted {
    /// The record.
    pub pending: Pending,
    /// By which it may have a way out.
    pub permit: Permit,
    /// What the permit was given for.
    pub facts: RequestFacts,
    /// Whether the record cites an older permit than this one.
    cites_older: bool,
}

impl Permitted {
    /// A request whose record cites this permit.
    pub fn new(pending: Pending, permit: Permit, facts: RequestFacts) -> Self {
        Self { pending, permit, facts, cites_older: false }
    }

    /// Judges it by the policy in force, whole, if that is not the one that permitted it; from now on the record cites that
    /// policy. For each moment at which bytes may flow that could not before. `reached` is where its connection leads, once
    /// there is one.
    ///
    /// # Errors
    /// The denial; no byte of it may leave.
    pub fn renew(&mut self, in_force: &InForce, reached: Option<&Reached>) -> Result<(), Denial> {
        self.judge_again(in_force, reached)?;
        if std::mem::take(&mut self.cites_older) {
            self.pending.permitted_again(&self.permit);
        }
        Ok(())
    }

    /// As [`Self::renew`], while the record still cites the policy by which bytes began to flow.
    fn judge_again(&mut self, in_force: &InForce, reached: Option<&Reached>) -> Result<(), Denial> {
        let renewal = in_force.renew(&mut self.permit, &mut self.facts, reached)?;
        self.cites_older |= renewal == Renewal::Replaced;
        Ok(())
    }
}

/// A request that has its way out and stays open, to be judged again while it does.
#[derive(Debug)]
pub struct Ongoing<'a> {
    pub(super) request: &'a mut Permitted,
    pub(super) reached: &'a Reached,
}

impl Ongoing<'_> {
    /// Its record.
    pub fn pending(&mut self) -> &mut Pending {
        &mut self.request.pending
    }

    /// Judges it by the policy in force before bytes flow that could not until now; the record cites that policy.
    ///
    /// # Errors
    /// The denial.
    pub fn renew(&mut self, in_force: &InForce) -> Result<(), Denial> {
        self.request.renew(in_force, Some(self.reached))
    }

    /// Whether the policy in force permits it still. The record cites the policy by which its bytes began to flow.
    pub fn holds(&mut self, in_force: &InForce) -> bool {
        self.request.judge_again(in_force, Some(self.reached)).is_ok()
    }

    /// Lists it, once it has lasted for long enough.
    pub fn list_if_lasting(&self, registry: &Rc<Registry>) -> Option<ListedRequest> {
        (self.request.pending.age() >= OPEN_AFTER).then(|| registry.list_request(self))
    }

    /// Judges the request as it would be without its upgrade, while the origin may still switch protocols. What comes back
    /// is the denial that observe mode let pass, if it did.
    ///
    /// # Errors
    /// The denial; no interim response may reach the client.
    pub fn without_upgrade(&self, in_force: &InForce) -> Result<Option<Denial>, Denial> {
        Ok(self.plain(in_force)?.0.observed().cloned())
    }

    /// As [`Self::without_upgrade`], once the origin has not switched protocols: from now on the response rests on the plain
    /// request, and is judged as its response.
    ///
    /// # Errors
    /// The denial; nothing of the response may reach the client.
    pub fn drop_upgrade(&mut self, in_force: &InForce) -> Result<Option<Denial>, Denial> {
        let (permit, facts) = self.plain(in_force)?;
        let observed = permit.observed().cloned();
        (self.request.permit, self.request.facts) = (permit, facts);
        Ok(observed)
    }

    fn plain(&self, in_force: &InForce) -> Result<(Permit, RequestFacts), Denial> {
        let facts = RequestFacts { at: SystemTime::now(), ..self.request.facts.without_upgrade() };
        Ok((in_force.judge(&facts, Some(self.reached))?, facts))
    }
}
