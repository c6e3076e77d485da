//! Framed bytes on their way from one side to the other.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

/// Framed bytes on their way from one side to the other.
pub(super) struct Pump<'a> {
    /// Bytes to be written, from `written` on. A request's head stays with its request, which may need it again.
    pub(super) out: Cow<'a, [u8]>,
    written: usize,
    /// Whether the target may hold bytes of its own that it was given (TLS does).
    unflushed: bool,
    /// Bytes that the receiving side has taken.
    pub(super) moved: u64,
}

impl<'a> Pump<'a> {
    pub(super) fn new(out: Cow<'a, [u8]>) -> Self {
        Self { out, written: 0, unflushed: false, moved: 0 }
    }

    /// Ready once nothing is left to write.
    pub(super) fn poll_flush<T: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        target: &mut T,
    ) -> Poll<std::io::Result<()>> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut *target).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.moved += count as u64;
            self.unflushed = true;
        }
        match &mut self.out {
            Cow::Borrowed(all) => *all = b"",
            Cow::Owned(all) => all.clear(),
        }
        self.written = 0;
        if self.unflushed {
            ready!(Pin::new(target).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes content straight from where it was read, if nothing waits before it; what the target does not take waits.
    pub(super) fn pass<T: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        target: &mut T,
        data: &[u8],
    ) -> std::io::Result<()> {
        let mut taken = 0;
        if self.out.is_empty()
            && let Poll::Ready(written) = Pin::new(target).poll_write(context, data)
        {
            taken = written?;
        }
        self.moved += taken as u64;
        self.unflushed = true;
        self.out.to_mut().extend_from_slice(data.get(taken..).unwrap_or_default());
        Ok(())
    }
}
