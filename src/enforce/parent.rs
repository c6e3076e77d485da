//! The parent proxy, where one is configured: which requests go by it, and in which form.

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::dial::ParentProxy;
use crate::facts::{Destination, NextHop, ParentFault, Protocol, Upgrade};
use crate::policy::ParentScope;

/// Between two lines of the log about a parent that fails: every request fails then, and has its own record.
const BETWEEN_WARNINGS: Duration = Duration::from_secs(10);

/// The parent proxy and what goes by it.
#[derive(Clone, Debug)]
pub struct Parent {
    /// Which destinations.
    pub scope: ParentScope,
    /// Where it is, and how to log in.
    pub proxy: ParentProxy,
}

impl Parent {
    /// Who would read a request for this destination.
    ///
    /// Plain HTTP goes to the parent as it came, in absolute-form: parents of this kind (Squid as it is delivered) permit
    /// `CONNECT` to port 443 alone. A WebSocket needs a tunnel even so, because an upgrade does not pass a proxy that
    /// does not know it (RFC 6455 §4.1); everything else is a tunnel anyway.
    pub(super) fn next_hop(&self, protocol: Protocol, destination: &Destination, upgrade: Option<Upgrade>) -> NextHop {
        if protocol == Protocol::Http && upgrade.is_none() && self.scope.covers(destination.host()) {
            NextHop::Parent
        } else {
            NextHop::Origin
        }
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parent {}", self.proxy.address())
    }
}

/// Tells the log of faults of the parent, and not too often.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    last: Cell<Option<(Instant, ParentFault)>>,
}

impl Complaints {
    pub(super) fn tell(&self, parent: &Parent, fault: ParentFault) {
        let is_repeated = self.last.get().is_some_and(|(at, last)| last == fault && at.elapsed() < BETWEEN_WARNINGS);
        if !is_repeated {
            self.last.set(Some((Instant::now(), fault)));
            warn!(parent = %parent.proxy.address(), "{fault}");
        }
    }
}
