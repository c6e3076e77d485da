//! Bulk through a pipe of the kernel's (splice(2)): the bytes are handed on and never copied into this process.
//!
//! Guaranteed:
//! - The pipe is empty whenever it is filled, so that "would block" can mean one thing alone: the source has nothing.
//! - Pipes are bounded: [`MAX_PIPES`] of [`PIPE_SIZE`] in this process. A direction that gets none copies instead,
//!   which costs more and changes nothing else. A direction that has become quiet gives its pipe back.
//! - A pipe that contains a byte is never given to another direction.
//!
//! Deliberately not done: short messages. Reading and writing them takes fewer system calls than a pipe does.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;

use crate::stream::PlainSocket;

/// Bytes that a pipe may hold: what one turn moves. It is the most that the system allows by itself.
const PIPE_SIZE: usize = 1024 * 1024;

/// Pipes of this process. An unprivileged user has 64 MiB of them by default (`pipe-user-pages-soft`), in all processes
/// together, and a shell's pipes shrink to a page once they are gone: half is left to others.
const MAX_PIPES: usize = 32;

/// Empty pipes that a worker keeps: making one takes four system calls.
const MAX_SPARE: usize = 2;

/// What a direction must have moved through its pipe since the last look to keep it. A MiB a second is nothing for
/// copying either.
const WORTH_IT: u64 = 1024 * 1024;

/// Pipes there are.
static PIPES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SPARE: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

/// One direction's way past this process, if it has one now.
#[derive(Debug, Default)]
pub(super) struct Shortcut {
    pipe: Option<Box<InUse>>,
    /// The system does not splice these sockets.
    refused: bool,
}

/// What became of an attempt to use it.
pub(super) enum Spliced {
    /// So many bytes; 0 is the end of the source.
    Moved(usize),
    /// The system will not have it. These bytes were in the pipe, and go first.
    Refused(Vec<u8>),
}

#[derive(Debug)]
struct InUse {
    pipe: Pipe,
    holds: usize,
    moved: u64,
}

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

impl Shortcut {
    /// Takes a pipe for what follows, if there is one.
    pub(super) fn open(&mut self) {
        if self.pipe.is_none() && !self.refused {
            let pipe = SPARE.with_borrow_mut(Vec::pop).or_else(Pipe::new);
            self.pipe = pipe.map(|pipe| Box::new(InUse { pipe, holds: 0, moved: 0 }));
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Whether bytes wait in the pipe.
    pub(super) fn holds_bytes(&self) -> bool {
        self.pipe.as_ref().is_some_and(|in_use| in_use.holds > 0)
    }

    /// Takes bytes out of the source. Only while none waits.
    pub(super) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        source: PlainSocket<'_>,
    ) -> Poll<io::Result<Spliced>> {
        let Some(in_use) = &mut self.pipe else { return Poll::Ready(Ok(Spliced::Refused(Vec::new()))) };
        loop {
            ready!(source.poll_read_ready(context))?;
            let into = &in_use.pipe.write;
            match source.try_io(Interest::READABLE, || Ok(splice(source, None, into, None, PIPE_SIZE, flags())?)) {
                Ok(count) => {
                    in_use.holds = count;
                    in_use.moved += count as u64;
                    return Poll::Ready(Ok(Spliced::Moved(count)));
                }
                Err(error) if is_passing(&error) => {}
                Err(error) if is_refusal(&error) => return Poll::Ready(self.refuse()),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Gives the target what waits, or as much of it as it takes at once.
    pub(super) fn poll_drain(
        &mut self,
        context: &mut Context<'_>,
        target: PlainSocket<'_>,
    ) -> Poll<io::Result<Spliced>> {
        let Some(in_use) = &mut self.pipe else { return Poll::Ready(Ok(Spliced::Refused(Vec::new()))) };
        loop {
            ready!(target.poll_write_ready(context))?;
            let (from, holds) = (&in_use.pipe.read, in_use.holds);
            // Never more than there is: the kernel would hold the last segment back for the rest.
            match target.try_io(Interest::WRITABLE, || Ok(splice(from, None, target, None, holds, flags())?)) {
                Ok(count) => {
                    in_use.holds = holds.saturating_sub(count);
                    return Poll::Ready(Ok(Spliced::Moved(count)));
                }
                Err(error) if is_passing(&error) => {}
                Err(error) if is_refusal(&error) => return Poll::Ready(self.refuse()),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Gives the pipe back if it was hardly used since the last look.
    pub(super) fn look(&mut self) {
        if let Some(in_use) = &mut self.pipe
            && std::mem::take(&mut in_use.moved) < WORTH_IT
        {
            self.give_back();
        }
    }

    /// Gives the pipe back, unless bytes wait in it.
    pub(super) fn give_back(&mut self) {
        if !self.holds_bytes()
            && let Some(in_use) = self.pipe.take()
        {
            SPARE.with_borrow_mut(|spare| {
                if spare.len() < MAX_SPARE {
                    spare.push(in_use.pipe);
                }
            });
        }
    }

    /// Never again for this direction; what is in the pipe comes out of it.
    fn refuse(&mut self) -> io::Result<Spliced> {
        self.refused = true;
        let Some(in_use) = self.pipe.take() else { return Ok(Spliced::Refused(Vec::new())) };
        let mut rest = vec![0; in_use.holds];
        let mut unread = rest.as_mut_slice();
        while !unread.is_empty() {
            let count = rustix::io::read(&in_use.pipe.read, &mut *unread)?;
            unread = unread.split_at_mut_checked(count).filter(|_| count > 0).ok_or(ErrorKind::UnexpectedEof)?.1;
        }
        Ok(Spliced::Refused(rest))
    }
}

impl Pipe {
    fn new() -> Option<Self> {
        if PIPES.fetch_add(1, Ordering::Relaxed) >= MAX_PIPES {
            PIPES.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let Ok((read, write)) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK) else {
            PIPES.fetch_sub(1, Ordering::Relaxed);
            return None;
        };
        let pipe = Self { read, write };
        // A small pipe would be worse than none.
        fcntl_setpipe_size(&pipe.write, PIPE_SIZE).is_ok().then_some(pipe)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        PIPES.fetch_sub(1, Ordering::Relaxed);
    }
}

fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}

/// Worth another try once the socket is ready, or at once.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// What systems say that do not splice sockets, or not these.
fn is_refusal(error: &io::Error) -> bool {
    let refusals = [Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP, Errno::PERM];
    Errno::from_io_error(error).is_some_and(|errno| refusals.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_with_bytes_in_it_is_not_given_back_and_what_is_in_it_can_be_had() {
        let mut shortcut = Shortcut::default();
        shortcut.open();
        assert!(shortcut.is_open());
        let in_use = shortcut.pipe.as_mut().unwrap();
        rustix::io::write(&in_use.pipe.write, b"rest").unwrap();
        in_use.holds = 4;
        shortcut.look();
        assert!(shortcut.is_open());
        let Ok(Spliced::Refused(rest)) = shortcut.refuse() else { panic!("not refused") };
        assert_eq!(rest, b"rest");
        assert!(!shortcut.is_open());
        shortcut.open();
        assert!(!shortcut.is_open(), "a system that refused once is asked again");
    }

    #[test]
    fn a_busy_direction_keeps_its_pipe_and_a_quiet_one_gives_it_back() {
        let mut shortcut = Shortcut::default();
        shortcut.open();
        shortcut.pipe.as_mut().unwrap().moved = WORTH_IT;
        shortcut.look();
        assert!(shortcut.is_open());
        shortcut.look();
        assert!(!shortcut.is_open());
        assert_eq!(SPARE.with_borrow(Vec::len), 1);
    }
}
