//! The policy in force on a worker, asked again at each moment at which bytes may flow.
//!
//! Guaranteed: if the policy was replaced, or if the period of one of its rules began or ended, every earlier permit is
//! judged again in full: the request, the address that was reached, and the proxy's own sockets. The newer permit then
//! takes the place of the older one. While nothing has changed, this costs a comparison of two pointers.
//!
//! A clock that is set back counts as a change, too: what was permitted while it was ahead is judged again.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::facts::{OwnAddresses, RequestFacts};
use crate::policy::{Decision, Denial, Permit, Reached, Snapshot};
use crate::store::Handle;

/// The policy in force, and the proxy's own sockets, as one worker sees them.
#[derive(Debug)]
pub struct InForce {
    policy: RefCell<Handle>,
    own: Arc<ArcSwap<OwnAddresses>>,
}

/// Which policy a permit is by, once it was asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// By the same as before.
    Unchanged,
    /// The policy in force gave another.
    Replaced,
}

impl InForce {
    /// Reads the policy through this handle.
    pub fn new(policy: Handle, own: Arc<ArcSwap<OwnAddresses>>) -> Self {
        Self { policy: RefCell::new(policy), own }
    }

    /// The policy in force.
    pub fn snapshot(&self) -> Snapshot {
        self.policy.borrow_mut().snapshot()
    }

    /// The proxy's own sockets.
    pub fn own(&self) -> impl std::ops::Deref<Target = Arc<OwnAddresses>> {
        self.own.load()
    }

    /// Sees to it that this permit is one that the policy in force gives now. `reached` is where the connection leads, once
    /// there is one.
    ///
    /// # Errors
    /// The denial. Permit and facts are then as before: asked again, the answer is the same.
    pub(super) fn renew(
        &self,
        permit: &mut Permit,
        facts: &mut RequestFacts,
        reached: Option<&Reached>,
    ) -> Result<Renewal, Denial> {
        let is_current = permit.is_by(self.policy.borrow_mut().current());
        if is_current && !permit.stack().changes_since(facts.at, SystemTime::now) {
            return Ok(Renewal::Unchanged);
        }
        let now = RequestFacts { at: SystemTime::now(), ..facts.clone() };
        *permit = self.judge(&now, reached)?;
        facts.at = now.at;
        Ok(Renewal::Replaced)
    }

    /// The permit that the policy in force gives for this request over this connection.
    pub(super) fn judge(&self, facts: &RequestFacts, reached: Option<&Reached>) -> Result<Permit, Denial> {
        match self.snapshot().decide(facts) {
            Decision::Allow(permit) => {
                if let Some(reached) = reached {
                    permit.reaches(reached, &self.own.load())?;
                }
                Ok(permit)
            }
            Decision::Deny(denial) => Err(denial),
        }
    }
}
