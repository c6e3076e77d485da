//! Bytes both ways between a client and its origin, until both have ended.
//!
//! Guaranteed:
//! - Every byte arrives once, in order, unchanged. An end of one direction is passed on by itself (half-close), and the
//!   other direction goes on.
//! - A side that does not read stops the other side from being read: at most one buffer of bytes waits per direction.
//! - A silent tunnel holds no buffer: bytes are read into the worker's one scratch buffer, and only what the other side
//!   would not take at once is kept.
//! - It takes only a way out that was cleared: an [`Open`] comes from a `Session<Cleared>` alone.

mod scratch;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::record::Outcome;
use crate::session::Open;

pub use scratch::with_scratch;

/// How often one direction may go round before the other, and every other tunnel of the worker, gets its turn.
const TURNS: usize = 8;

/// Moves bytes until both directions have ended or the tunnel is cut, and records the end.
///
/// `early_up` are bytes that the client sent before the tunnel stood, `early_down` those that the origin did; they go
/// first.
pub async fn run<C, O>(mut client: C, mut origin: O, open: Open, early_up: Vec<u8>, early_down: Vec<u8>)
where
    C: AsyncRead + AsyncWrite + Unpin,
    O: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Direction::new(early_up);
    let mut down = Direction::new(early_down);
    let outcome = poll_fn(|context| {
        if let Poll::Ready(cut) = open.poll_cut(context) {
            return Poll::Ready(cut.outcome());
        }
        let before = (up.bytes, down.bytes);
        let sent = up.poll(context, &mut client, &mut origin);
        let received = down.poll(context, &mut origin, &mut client);
        if before != (up.bytes, down.bytes) {
            open.moved(up.bytes, down.bytes);
        }
        match (sent, received) {
            (Poll::Ready(Err(side)), _) => Poll::Ready(side.outcome(Outcome::ClientClosed, Outcome::OriginClosed)),
            (_, Poll::Ready(Err(side))) => Poll::Ready(side.outcome(Outcome::OriginClosed, Outcome::ClientClosed)),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => Poll::Ready(Outcome::Completed),
            _ => Poll::Pending,
        }
    })
    .await;
    open.finish(outcome, up.bytes, down.bytes);
}

/// One direction of a tunnel.
#[derive(Debug)]
struct Direction {
    /// Bytes that were read and not yet written, from `written` on.
    kept: Vec<u8>,
    written: usize,
    state: State,
    /// Whether the target may hold bytes of its own that it was given (TLS does).
    unflushed: bool,
    /// Bytes that the receiving side has taken.
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The source has ended; the target does not know yet.
    Ending,
    Ended,
}

/// Which side of a direction failed.
enum Failed {
    Source,
    Target,
}

impl Failed {
    fn outcome(self, source: Outcome, target: Outcome) -> Outcome {
        match self {
            Self::Source => source,
            Self::Target => target,
        }
    }
}

impl Direction {
    fn new(early: Vec<u8>) -> Self {
        Self { kept: early, written: 0, state: State::Open, unflushed: false, bytes: 0 }
    }

    /// Ready once the source has ended and the target has been told.
    fn poll<S, T>(&mut self, context: &mut Context<'_>, source: &mut S, target: &mut T) -> Poll<Result<(), Failed>>
    where
        S: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        for _ in 0..TURNS {
            ready!(self.poll_flush(context, target)).map_err(|_| Failed::Target)?;
            match self.state {
                State::Ended => return Poll::Ready(Ok(())),
                State::Ending => {
                    // A target that is already gone has been told well enough.
                    let _gone = ready!(Pin::new(&mut *target).poll_shutdown(context));
                    self.state = State::Ended;
                    return Poll::Ready(Ok(()));
                }
                State::Open => match self.poll_move(context, source, target) {
                    Poll::Ready(moved) => moved?,
                    Poll::Pending => return self.poll_settle(context, target),
                },
            }
        }
        // Others are waiting: come back for the rest.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what was kept. Ready when nothing is left, and then no buffer is.
    fn poll_flush<T: AsyncWrite + Unpin>(&mut self, context: &mut Context<'_>, target: &mut T) -> Poll<io::Result<()>> {
        while let Some(rest) = self.kept.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut *target).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.bytes += count as u64;
            self.unflushed = true;
        }
        self.kept = Vec::new();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Nothing more to read for now: what the target holds back must not wait for the next byte.
    fn poll_settle<T: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        target: &mut T,
    ) -> Poll<Result<(), Failed>> {
        if self.unflushed {
            ready!(Pin::new(target).poll_flush(context)).map_err(|_| Failed::Target)?;
            self.unflushed = false;
        }
        Poll::Pending
    }

    /// Reads once and writes what was read; what the target does not take is kept.
    fn poll_move<S, T>(&mut self, context: &mut Context<'_>, source: &mut S, target: &mut T) -> Poll<Result<(), Failed>>
    where
        S: AsyncRead + Unpin,
        T: AsyncWrite + Unpin,
    {
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(source).poll_read(context, &mut buffer)).map_err(|_| Failed::Source)?;
            let read = buffer.filled();
            if read.is_empty() {
                self.state = State::Ending;
                return Poll::Ready(Ok(()));
            }
            let taken = match Pin::new(target).poll_write(context, read) {
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Failed::Target)),
                Poll::Pending => 0,
            };
            self.bytes += taken as u64;
            self.unflushed = true;
            if let Some(rest) = read.get(taken..).filter(|rest| !rest.is_empty()) {
                self.kept = rest.to_vec();
                self.written = 0;
            }
            Poll::Ready(Ok(()))
        })
    }
}
