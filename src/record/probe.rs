//! Requests that this process makes of itself to see whether it still denies.
//!
//! Guaranteed: a probe leaves no trace in counts and records if, and only if, it was denied as expected. One that got
//! through or failed is counted and recorded like any other request, because an operator has to look at it. No other
//! client can pass for a probe: it is recognised by the peer address of a connection that this process has open at this
//! moment, and by a destination that only the probe requests.

use std::net::SocketAddr;
use std::sync::Arc;

use super::entry::{Kind, Record, Verdict};
use super::lock;
use crate::facts::{Destination, Outcome, Peer};
use crate::policy::DenyReason;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicUsize, Ordering};

/// The probes that are on their way.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// How many, so that a request pays one load and no lock while there are none.
    open: AtomicUsize,
    entries: Mutex<Vec<OpenProbe>>,
}

#[derive(Debug)]
struct OpenProbe {
    client: SocketAddr,
    destination: Destination,
    denied: Option<DenyReason>,
}

/// A probe on its way, until it is dropped. It takes away one record at most.
#[derive(Debug)]
pub struct Probe {
    probes: Arc<Probes>,
    client: SocketAddr,
}

impl Probe {
    pub(super) fn begin(probes: &Arc<Probes>, client: SocketAddr, destination: Destination) -> Self {
        lock(&probes.entries).push(OpenProbe { client, destination, denied: None });
        probes.open.fetch_add(1, Ordering::SeqCst);
        Self { probes: Arc::clone(probes), client }
    }

    /// Why this process denied it; none if it did not, or has not been asked. Known before the answer is sent.
    pub fn denied(&self) -> Option<DenyReason> {
        lock(&self.probes.entries).iter().find(|entry| entry.client == self.client)?.denied
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.probes.open.fetch_sub(1, Ordering::SeqCst);
        lock(&self.probes.entries).retain(|entry| entry.client != self.client);
    }
}

impl Probes {
    /// Whether this record is a probe's that was denied, as it had to be; the probe learns of it.
    pub(super) fn takes(&self, record: &Record) -> bool {
        if self.open.load(Ordering::SeqCst) == 0 {
            return false;
        }
        let (Verdict::Deny(reason), Outcome::Denied, Kind::End) = (&record.verdict, record.outcome, record.kind) else {
            return false;
        };
        let mut entries = lock(&self.entries);
        let entry = entries.iter_mut().find(|entry| {
            Peer::Tcp(entry.client) == record.client.peer && record.destination.as_ref() == Some(&entry.destination)
        });
        entry.is_some_and(|entry| entry.denied.replace(*reason).is_none())
    }
}
