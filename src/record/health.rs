//! Whether records can be kept at this moment, and what follows for requests.
//!
//! A sink *cannot* while its last try failed (until a later one has worked: a write, not only opening), or while what
//! waits for it has no room (until half of the room is free again). A failed sink is tried again after growing waits, and
//! a file only counts as working again when its disk has room for some thousand lines, so that a disk that is full but
//! for a block does not let requests come and go.
//!
//! With `required` requests are refused meanwhile; without, they go on. Deliberately not done: waiting for a record to be
//! on the disk before its request continues. What was under way when a sink failed is counted as lost.

use std::sync::atomic::{AtomicU8, Ordering};

/// The fault that workers see themselves: a worker's buffer has no room, because the writer is held up. Sinks have the
/// other bits.
pub(crate) const BUFFER_FULL: u8 = 1;

/// The faults that there are now, one bit each. One relaxed load tells a request.
#[derive(Debug, Default)]
pub(crate) struct Health {
    required: bool,
    faults: AtomicU8,
}

impl Health {
    pub(crate) fn new(required: bool) -> Self {
        Self { required, faults: AtomicU8::new(0) }
    }

    pub(crate) fn set(&self, fault: u8, is_there: bool) {
        // Nothing else depends on the order in which it is seen.
        if is_there {
            self.faults.fetch_or(fault, Ordering::Relaxed);
        } else {
            self.faults.fetch_and(!fault, Ordering::Relaxed);
        }
    }

    /// Whether requests are to be refused.
    pub(crate) fn refuses(&self) -> bool {
        self.refused_for() != 0
    }

    /// The faults for which requests are refused; 0 while they are not.
    pub(crate) fn refused_for(&self) -> u8 {
        if self.required { self.faults.load(Ordering::Relaxed) } else { 0 }
    }

    /// What follows for requests when a sink fails, as a clause for the log.
    pub(crate) fn consequence(&self) -> &'static str {
        if self.required { "requests are refused" } else { "requests continue" }
    }
}
