//! Bytes both ways between a client and its origin, until both have ended.
//!
//! Guaranteed:
//! - Every byte arrives once, in order, unchanged. When one direction ends, only that end is passed on (half-close),
//!   and the other direction continues.
//! - A failure of one side, or cutting the tunnel, is passed on as a reset, not as an orderly end.
//! - A side that does not read stops the other side from being read: at most one buffer of bytes waits per direction, or
//!   one pipe where bulk is spliced.
//! - A silent tunnel holds no buffer: bytes are read into the worker's one scratch buffer, and only what the other side
//!   would not take at once is kept.
//! - Bulk data between plain sockets is spliced where the system supports it. This is not observable from outside,
//!   which a property test checks.
//! - It takes only a way out that was cleared: an [`OpenTunnel`] comes from a `Session<Cleared>` alone.

mod direction;
#[cfg_attr(not(target_os = "linux"), path = "no_splice.rs")]
mod splice;

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

use crate::facts::Outcome;
use crate::session::OpenTunnel;
use crate::stream::{ClientStream, OriginStream, PlainSocket};

use direction::{Direction, DirectionFault};

/// How often it is asked whether a direction's pipe is still worth having.
const LOOK: Duration = Duration::from_secs(1);

/// One side of a tunnel.
pub trait Side: AsyncRead + AsyncWrite + Unpin {
    /// The socket, where its bytes are the tunnel's own: then the kernel may hand them on by itself.
    fn plain(&self) -> Option<PlainSocket<'_>>;
}

impl Side for OriginStream {
    fn plain(&self) -> Option<PlainSocket<'_>> {
        self.plain()
    }
}

impl Side for ClientStream {
    fn plain(&self) -> Option<PlainSocket<'_>> {
        self.plain()
    }
}

/// The future that runs a tunnel. It is boxed because every future that passes it on would otherwise have to reserve
/// space for it.
pub type RunningTunnel = Pin<Box<dyn Future<Output = ()>>>;

/// Two sides between which bytes may flow.
#[derive(Debug)]
pub struct Tunnel {
    /// The client that opened the tunnel.
    pub client: ClientStream,
    /// The way out.
    pub origin: OriginStream,
    /// Its place among the open ones.
    pub open: OpenTunnel,
    /// Bytes that the client sent before the tunnel was established; they go first.
    pub early_up: Vec<u8>,
    /// As above, that the origin sent.
    pub early_down: Vec<u8>,
}

impl Tunnel {
    /// Moves bytes until both directions have ended or the tunnel is cut, and records the end.
    pub fn run(self) -> RunningTunnel {
        let Self { mut client, mut origin, open, early_up, early_down } = self;
        let mut both = Both::new(early_up, early_down);
        // Not an `async fn`: that would hold room for each argument twice, for as long as the tunnel is open.
        Box::pin(async move {
            let outcome = poll_fn(|context| {
                if let Poll::Ready(cut) = open.poll_cut(context) {
                    return Poll::Ready(cut.outcome());
                }
                let before = both.bytes();
                let ended = both.poll(context, &mut client, &mut origin);
                let (up, down) = both.bytes();
                if before != (up, down) {
                    open.moved(up, down);
                }
                ended
            })
            .await;
            // A truncated stream must not look complete: a side that has not received an orderly end gets a reset. A
            // side that has received one must not, because a reset would discard the data before that end.
            if !both.down.has_ended() {
                let _gone = client.reset_on_close(true);
            }
            if !both.up.has_ended() {
                let _gone = origin.reset_on_close();
            }
            let (up, down) = both.bytes();
            open.finish(outcome, up, down);
        })
    }
}

/// Both directions.
#[derive(Debug)]
struct Both {
    up: Direction,
    down: Direction,
    /// Runs while one of them has a pipe.
    look: Option<Pin<Box<Sleep>>>,
}

impl Both {
    fn new(early_up: Vec<u8>, early_down: Vec<u8>) -> Self {
        Self { up: Direction::new(early_up), down: Direction::new(early_down), look: None }
    }

    /// Bytes that the origin and the client have taken.
    fn bytes(&self) -> (u64, u64) {
        (self.up.bytes(), self.down.bytes())
    }

    /// Ready once both directions have ended, or one has failed.
    fn poll<C: Side, O: Side>(&mut self, context: &mut Context<'_>, client: &mut C, origin: &mut O) -> Poll<Outcome> {
        let sent = self.up.poll(context, client, origin, self.down.has_ended());
        let received = self.down.poll(context, origin, client, self.up.has_ended());
        match (sent, received) {
            (Poll::Ready(Err(side)), _) => Poll::Ready(outcome(side, Outcome::ClientClosed, Outcome::OriginClosed)),
            (_, Poll::Ready(Err(side))) => Poll::Ready(outcome(side, Outcome::OriginClosed, Outcome::ClientClosed)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Outcome::Completed),
            _ => {
                self.look(context);
                Poll::Pending
            }
        }
    }

    /// Sees to it that pipes are given back when bulk is over: the tunnel may be silent from now on.
    fn look(&mut self, context: &mut Context<'_>) {
        while self.up.is_spliced() || self.down.is_spliced() {
            let timer = self.look.get_or_insert_with(|| Box::pin(tokio::time::sleep(LOOK)));
            if timer.as_mut().poll(context).is_pending() {
                return;
            }
            timer.as_mut().reset(tokio::time::Instant::now() + LOOK);
            self.up.look();
            self.down.look();
        }
        self.look = None;
    }
}

fn outcome(failed: DirectionFault, source: Outcome, target: Outcome) -> Outcome {
    match failed {
        DirectionFault::Source => source,
        DirectionFault::Target => target,
    }
}

#[cfg(test)]
mod tests;
