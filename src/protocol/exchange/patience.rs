//! The limits of time on an exchange.

use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use crate::protocol::listener_context::{GateLimits, REVOKED_WITHIN};
use crate::protocol::timer::Timer;
use crate::session::ListedRequest;

/// The limits on silence, on a head that drips in, and on a permission that is taken away.
pub(super) struct Patience<'a, 't> {
    pub(super) limits: &'a GateLimits,
    /// When something moved last; none before it is asked for the first time.
    pub(super) last: Option<Instant>,
    pub(super) timer: &'a mut Timer<'t>,
}

/// Why an exchange may not go on as it is.
pub(super) enum Over {
    Late,
    Revoked,
    /// It lasts, and is listed now.
    Lasting(ListedRequest),
}

impl Patience<'_, '_> {
    /// `head_began`: since when a head of the origin is incomplete, if one is. Its bytes are progress, but they must not
    /// take for ever: at one byte a minute a head would last for weeks. `look` is asked every second.
    pub(super) fn poll_over(
        &mut self,
        context: &mut Context<'_>,
        progress: bool,
        head_began: Option<Instant>,
        mut look: impl FnMut() -> Option<Over>,
    ) -> Poll<Over> {
        let GateLimits { body_timeout: silence, head_timeout: head, .. } = *self.limits;
        // A head may begin at any time: never sleep past the moment at which it would have to be whole.
        let wait = silence.min(head).min(REVOKED_WITHIN);
        let last = match self.last {
            Some(last) if !progress => last,
            before => {
                let now = Instant::now();
                if before.is_none() {
                    self.timer.set(now + wait);
                }
                *self.last.insert(now)
            }
        };
        loop {
            ready!(self.timer.poll(context));
            if let Some(over) = look() {
                return Poll::Ready(over);
            }
            let now = Instant::now();
            let due = last + silence;
            let due = head_began.map_or(due, |began| due.min(began + head));
            if due <= now {
                return Poll::Ready(Over::Late);
            }
            self.timer.set(due.min(now + wait));
        }
    }
}
