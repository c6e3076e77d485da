//! A deadline that is moved for every request and seldom met.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::time::{Instant, Sleep};

/// One timer of the runtime for all that a connection waits for, one after the other. Putting its deadline off costs
/// nothing: the runtime's timer stays where it is, and is moved when it fires too early.
#[derive(Debug)]
pub(super) struct Timer<'a> {
    sleep: Pin<&'a mut Sleep>,
    due: Instant,
}

impl<'a> Timer<'a> {
    /// Due when `sleep` is.
    pub(super) fn new(sleep: Pin<&'a mut Sleep>) -> Self {
        Self { due: sleep.deadline(), sleep }
    }

    /// From now on it is due then.
    pub(super) fn set(&mut self, due: Instant) {
        self.due = due;
        if due < self.sleep.deadline() {
            self.sleep.as_mut().reset(due);
        }
    }

    /// Ready once it is due.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(context));
            if self.due <= self.sleep.deadline() {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.due);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_due_at_the_last_deadline_that_was_set() {
        let began = Instant::now();
        let sleep = pin!(tokio::time::sleep(Duration::from_secs(10)));
        let mut timer = Timer::new(sleep);
        let mut due = 0;
        for (name, seconds) in [
            ("as it was made", 10),
            ("later", 30),
            ("sooner", 35),
            ("later, then sooner than it sleeps", 50),
            ("at once", 50),
            ("later, after it was due", 70),
        ] {
            if name.contains("sooner") {
                timer.set(began + Duration::from_secs(seconds + 100));
            }
            timer.set(began + Duration::from_secs(seconds));
            // Cancelling a wait, as happens when bytes arrive, does not move the deadline.
            let given_up =
                tokio::time::timeout(Duration::from_millis(100), poll_fn(|context| timer.poll(context))).await;
            assert_eq!(given_up.is_ok(), seconds == due, "{name}");
            poll_fn(|context| timer.poll(context)).await;
            assert_eq!(began.elapsed().as_secs(), seconds, "{name}");
            due = seconds;
        }
    }
}
