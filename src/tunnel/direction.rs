//! One direction: read here, write there, and keep what is not taken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::ReadBuf;

use super::Side;
use super::splice::{Shortcut, Spliced};
use crate::stream::{PlainSocket, with_scratch};

/// How often one direction may go round before the other, and every other tunnel of the worker, gets its turn.
const TURNS: usize = 8;
/// As [`TURNS`], in bytes.
const SHARE: u64 = 1024 * 1024;

/// A read that brings this much at once is bulk, and worth a pipe.
const BULK: usize = 32 * 1024;

/// One direction of a tunnel.
#[derive(Debug)]
pub(super) struct Direction {
    /// Bytes that were read and not yet written, from `written` on. They come before those in the pipe.
    kept: Vec<u8>,
    written: usize,
    shortcut: Shortcut,
    state: DirectionState,
    /// Whether the target may hold bytes of its own that it was given (TLS does).
    unflushed: bool,
    /// Bytes that the receiving side has taken.
    bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DirectionState {
    Open,
    /// The source has ended; the target does not know yet.
    Ending,
    Ended,
}

/// Which side of a direction failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DirectionFault {
    Source,
    Target,
}

impl Direction {
    pub(super) fn new(early: Vec<u8>) -> Self {
        Self {
            kept: early,
            written: 0,
            shortcut: Shortcut::default(),
            state: DirectionState::Open,
            unflushed: false,
            bytes: 0,
        }
    }

    /// Bytes that the receiving side has taken.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether it has a pipe.
    pub(super) fn is_spliced(&self) -> bool {
        self.shortcut.is_open()
    }

    /// Gives its pipe back if it is hardly used.
    pub(super) fn look(&mut self) {
        self.shortcut.look();
    }

    /// Whether nothing more comes, and the target knows.
    pub(super) fn has_ended(&self) -> bool {
        self.state == DirectionState::Ended
    }

    /// Ready once the source has ended and the end has been passed on to the target. `is_last` means that the other
    /// direction has ended, so that both sides are closed when this one ends.
    pub(super) fn poll<S, T>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut S,
        target: &mut T,
        is_last: bool,
    ) -> Poll<Result<(), DirectionFault>>
    where
        S: Side,
        T: Side,
    {
        let share = self.bytes + SHARE;
        for _ in 0..TURNS {
            ready!(self.poll_flush(context, target)).map_err(|_| DirectionFault::Target)?;
            match self.state {
                DirectionState::Ended => return Poll::Ready(Ok(())),
                DirectionState::Ending => {
                    // Closing a plain target passes the end on as well: no unread data is left that would turn it into
                    // a reset.
                    if !is_last || target.plain().is_none() {
                        // A target that is already gone does not need the end.
                        let _gone = ready!(Pin::new(&mut *target).poll_shutdown(context));
                    }
                    self.state = DirectionState::Ended;
                    self.shortcut.give_back();
                    return Poll::Ready(Ok(()));
                }
                DirectionState::Open => match self.poll_move(context, source, target) {
                    Poll::Ready(moved) => moved?,
                    Poll::Pending => return self.poll_settle(context, target),
                },
            }
            if self.bytes >= share {
                break;
            }
        }
        // Others are waiting: come back for the rest.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    /// Writes what was kept. Ready when nothing is left, and then no buffer is.
    fn poll_flush<T: Side>(&mut self, context: &mut Context<'_>, target: &mut T) -> Poll<io::Result<()>> {
        loop {
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
            match target.plain() {
                Some(target) if self.shortcut.holds_bytes() => ready!(self.poll_drain(context, target))?,
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Empties the pipe, or as much of it as the target takes at once.
    fn poll_drain(&mut self, context: &mut Context<'_>, target: PlainSocket<'_>) -> Poll<io::Result<()>> {
        match ready!(self.shortcut.poll_drain(context, target))? {
            Spliced::Moved(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            Spliced::Moved(count) => self.bytes += count as u64,
            Spliced::Refused(rest) => self.kept = rest,
        }
        Poll::Ready(Ok(()))
    }

    /// Nothing more to read for now: what the target holds back must not wait for the next byte.
    fn poll_settle<T: Side>(&mut self, context: &mut Context<'_>, target: &mut T) -> Poll<Result<(), DirectionFault>> {
        if self.unflushed {
            ready!(Pin::new(target).poll_flush(context)).map_err(|_| DirectionFault::Target)?;
            self.unflushed = false;
        }
        Poll::Pending
    }

    /// Reads once; what was read is written at once or waits to be flushed.
    fn poll_move<S: Side, T: Side>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut S,
        target: &mut T,
    ) -> Poll<Result<(), DirectionFault>> {
        if let (true, Some(source)) = (self.shortcut.is_open(), source.plain()) {
            match ready!(self.shortcut.poll_fill(context, source)).map_err(|_| DirectionFault::Source)? {
                Spliced::Moved(0) => self.state = DirectionState::Ending,
                Spliced::Moved(_) => {}
                // Nothing was in it: the next turn copies.
                Spliced::Refused(rest) => self.kept = rest,
            }
            return Poll::Ready(Ok(()));
        }
        let read = ready!(self.poll_copy(context, source, target))?;
        if read >= BULK && source.plain().is_some() && target.plain().is_some() {
            self.shortcut.open();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once and writes what was read; what the target does not take is kept. How much was read.
    fn poll_copy<S: Side, T: Side>(
        &mut self,
        context: &mut Context<'_>,
        source: &mut S,
        target: &mut T,
    ) -> Poll<Result<usize, DirectionFault>> {
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(source).poll_read(context, &mut buffer)).map_err(|_| DirectionFault::Source)?;
            let read = buffer.filled();
            if read.is_empty() {
                self.state = DirectionState::Ending;
                return Poll::Ready(Ok(0));
            }
            let taken = match Pin::new(target).poll_write(context, read) {
                Poll::Ready(Ok(count)) => count,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(DirectionFault::Target)),
                Poll::Pending => 0,
            };
            self.bytes += taken as u64;
            self.unflushed = true;
            if let Some(rest) = read.get(taken..).filter(|rest| !rest.is_empty()) {
                self.kept = rest.to_vec();
                self.written = 0;
            }
            Poll::Ready(Ok(read.len()))
        })
    }
}
