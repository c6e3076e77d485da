//! A socket whose bytes are exactly those of the conversation, so that the kernel may move them by itself.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll};

use tokio::io::Interest;
use tokio::net::TcpStream;

/// A socket with nothing between it and the conversation: no TLS, no framing.
#[derive(Clone, Copy, Debug)]
pub struct PlainSocket<'a>(&'a TcpStream);

impl<'a> PlainSocket<'a> {
    pub(super) fn tcp(socket: &'a TcpStream) -> Self {
        Self(socket)
    }

    /// Ready once it may have bytes to read.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub fn poll_read_ready(self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_read_ready(context)
    }

    /// Ready once it may take bytes.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub fn poll_write_ready(self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_write_ready(context)
    }

    /// Makes a system call on it, if it is ready for that as far as the runtime knows. Where the call would block, the runtime
    /// takes it for not ready from then on.
    ///
    /// # Errors
    /// What the call says, or `WouldBlock`.
    pub fn try_io<R>(self, interest: Interest, call: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        self.0.try_io(interest, call)
    }
}

impl AsFd for PlainSocket<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
