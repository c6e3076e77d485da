//! Standard error: how much it takes without keeping records waiting.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a reader of ours may keep the records waiting. Longer is for a terminal that was stopped, or a pipe whose
/// reader hangs; workers' buffers hold far more than comes in this time.
pub(super) const PATIENCE: Duration = Duration::from_millis(200);
/// What a pipe that is ready takes without blocking (`PIPE_BUF`).
pub(super) const CHUNK: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };
/// What a file takes at once: it never makes a writer wait for a reader.
pub(super) const FILE_CHUNK: usize = 64 * 1024;

#[derive(Debug)]
pub(super) enum Out {
    /// In pieces of at most so many bytes.
    Stderr { chunk: usize },
    #[cfg(test)]
    Kept(Vec<u8>),
}

impl Out {
    /// Writes as much as is taken in time; how much that was. A reader that was late before must be ready at once.
    pub(super) fn write(&mut self, bytes: &[u8], was_late: bool) -> usize {
        match self {
            Self::Stderr { chunk } => write_in_time(&mut io::stderr(), bytes, *chunk, was_late),
            #[cfg(test)]
            Self::Kept(kept) => {
                kept.extend_from_slice(bytes);
                bytes.len()
            }
        }
    }
}

pub(super) fn write_in_time(to: &mut (impl Write + AsFd), bytes: &[u8], most: usize, was_late: bool) -> usize {
    if was_late && !is_ready(to, Duration::ZERO) {
        return 0;
    }
    let deadline = Instant::now() + PATIENCE;
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        if !is_ready(to, deadline.saturating_duration_since(Instant::now())) {
            break;
        }
        match to.write(chunk(rest, most)) {
            Ok(0) => break,
            Ok(n) => written += n,
            Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(_) => break,
        }
    }
    written
}

/// What is written at once: whole lines, where one fits. The program's messages go to the same place between two writes,
/// and must not be inside a line.
pub(super) fn chunk(rest: &[u8], most: usize) -> &[u8] {
    let most = rest.get(..most).unwrap_or(rest);
    let end = memchr::memrchr(b'\n', most).map_or(most.len(), |at| at + 1);
    most.get(..end).unwrap_or(most)
}

/// Waits until a chunk is taken without blocking; whether it is.
fn is_ready(to: &impl AsFd, patience: Duration) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: patience.min(PATIENCE).subsec_nanos().into() };
    let mut fds = [PollFd::new(to, PollFlags::OUT)];
    loop {
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) => return fds.iter().all(|fd| fd.revents().contains(PollFlags::OUT)),
            Err(rustix::io::Errno::INTR) => {}
            // No reason to be silent: the write will say what is wrong.
            Err(_) => return true,
        }
    }
}
