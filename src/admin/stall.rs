//! A connection whose other side has to read what it asked for.
//!
//! Guaranteed: once a write has had to wait, everything that is to be written goes out within [`DRAIN_TIME`], or the
//! connection fails. A stream of records that waits for the next one is not writing, and may wait for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// For the largest answer (some megabytes of records) over a slow line. A client that reads slower holds one of few places.
const DRAIN_TIME: Duration = Duration::from_secs(30);

/// A stream that does not wait for ever to be read.
#[derive(Debug)]
pub(super) struct NoStall<S> {
    stream: S,
    /// Runs while something waits to be written.
    patience: Option<Pin<Box<Sleep>>>,
}

impl<S> NoStall<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, patience: None }
    }

    /// What a write came to; a pending one only while there is patience.
    fn within<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            return result;
        }
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(DRAIN_TIME)));
        patience.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for NoStall<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for NoStall<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.within(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.within(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when it has nothing left to write. Only then does the time limit start again.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.patience = None;
        }
        self.within(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.within(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::{Instant, sleep};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_never_reads_and_who_drips_are_cut_after_the_same_time() {
        for drip in [0, 1] {
            let (ours, mut theirs) = duplex(16);
            let began = Instant::now();
            let reader = tokio::spawn(async move {
                loop {
                    sleep(Duration::from_secs(1)).await;
                    if drip > 0 && theirs.read_u8().await.is_err() {
                        return;
                    }
                }
            });
            let error = NoStall::new(ours).write_all(&[0; 1000]).await.unwrap_err();
            assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, DRAIN_TIME));
            reader.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_read_lasts_as_long_as_it_likes() {
        let (ours, mut theirs) = duplex(16);
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            theirs.read_to_end(&mut all).await.unwrap();
            all.len()
        });
        let mut stream = NoStall::new(ours);
        for _ in 0..20 {
            stream.write_all(&[0; 100]).await.unwrap();
            stream.flush().await.unwrap();
            sleep(DRAIN_TIME).await;
        }
        drop(stream);
        assert_eq!(reader.await.unwrap(), 2000);
    }
}
