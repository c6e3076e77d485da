//! How a worker's connections learn that the proxy is shutting down.

use std::cell::Cell;

use tokio::sync::Notify;

/// One worker's shutdown flag, that can be waited for.
#[derive(Debug, Default)]
pub struct Drain {
    begun: Cell<bool>,
    notify: Notify,
}

impl Drain {
    /// Asks every connection to finish its current request and to accept no new one.
    pub fn begin(&self) {
        self.begun.set(true);
        self.notify.notify_waiters();
    }

    /// Whether it has begun.
    pub fn is_draining(&self) -> bool {
        self.begun.get()
    }

    /// Waits until it begins.
    pub async fn draining(&self) {
        while !self.begun.get() {
            // No race: flag and waiters live on one thread, and nothing runs between the two lines.
            self.notify.notified().await;
        }
    }
}
