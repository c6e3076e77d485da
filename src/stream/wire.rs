//! A stream and the bytes that were read from it ahead of time.
//!
//! Guaranteed: while it waits with nothing buffered, it holds no memory; bytes that were read and not consumed are
//! never lost when the stream is handed on.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use super::{ClientStream, spare, with_scratch};

/// After an answer that ends a connection, what the client still sends is read and thrown away up to this much, so that
/// the kernel does not answer it with a reset that would take the answer with it (RFC 9112 §9.6).
const LINGER_BYTES: usize = 256 * 1024;
/// As [`LINGER_BYTES`], in time; with what our side still has to say among it.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// For an answer of our own, which is some KiB: it fits any socket's buffer, unless many before it were not read.
const SEND_TIME: Duration = Duration::from_secs(10);

/// A stream and what was read ahead.
#[derive(Debug)]
pub struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
    consumed: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Nothing was read ahead of it yet.
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new(), consumed: 0 }
    }

    /// The bytes that were read and not consumed.
    pub fn ahead(&self) -> &[u8] {
        self.buffer.get(self.consumed..).unwrap_or_default()
    }

    /// Takes the first `count` of them off.
    pub fn consume(&mut self, count: usize) {
        self.consumed += count;
        if self.consumed >= self.buffer.len() {
            self.buffer.clear();
            self.consumed = 0;
        }
    }

    /// Appends bytes to what was read ahead.
    pub fn keep(&mut self, bytes: &[u8]) {
        if self.consumed > 0 {
            self.buffer.drain(..self.consumed);
            self.consumed = 0;
        }
        spare::make_room(&mut self.buffer, bytes.len());
        self.buffer.extend_from_slice(bytes);
    }

    /// Gives the buffer up if nothing is in it; for connections that may now be silent for long.
    pub fn rest(&mut self) {
        if self.ahead().is_empty() {
            spare::give(std::mem::take(&mut self.buffer));
            self.consumed = 0;
        }
    }

    /// Reads once. 0 is the end of the stream.
    ///
    /// # Errors
    /// What the stream says.
    pub async fn fill(&mut self) -> io::Result<usize> {
        poll_fn(|context| self.poll_fill(context)).await
    }

    /// As [`Self::fill`].
    ///
    /// # Errors
    /// As it.
    pub fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            let read = buffer.filled();
            self.keep(read);
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Writes all of it, soon: a client that does not read its answers is gone.
    ///
    /// # Errors
    /// What the stream says, or `TimedOut`.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut write = pin!(async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        });
        // The socket nearly always accepts the bytes at once, and then the clock is not read.
        let at_once = poll_fn(|context| Poll::Ready(write.as_mut().poll(context))).await;
        match at_once {
            Poll::Ready(written) => written,
            Poll::Pending => timeout(SEND_TIME, write).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
        }
    }

    /// The stream itself. To read from it directly skips what was read ahead.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns the stream and the bytes that were already read from it.
    pub fn into_parts(mut self) -> (S, Vec<u8>) {
        self.buffer.drain(..self.consumed);
        (self.stream, self.buffer)
    }

    /// Ends the connection so that what was sent arrives: says that nothing more comes, then reads what the client still
    /// sends, within bounds.
    pub async fn close_gently(mut self) {
        self.buffer = Vec::new();
        let drain = async {
            if self.stream.shutdown().await.is_err() {
                return;
            }
            let mut left = LINGER_BYTES;
            while left > 0 {
                let count = poll_fn(|context| {
                    with_scratch(|scratch| {
                        let mut buffer = ReadBuf::new(scratch);
                        ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
                        Poll::Ready(io::Result::Ok(buffer.filled().len()))
                    })
                })
                .await;
                match count {
                    Ok(0) | Err(_) => return,
                    Ok(count) => left = left.saturating_sub(count),
                }
            }
        };
        // Late or not, the connection is over.
        let _late = timeout(LINGER_TIME, drain).await;
    }
}

impl Wire<ClientStream> {
    /// Waits until the client has reset the connection. The end of its data is not a reset: a client may close its
    /// sending half after a request and wait for the answer (RFC 9112 §9.6 speaks of closing both).
    pub async fn reset(&self) {
        self.stream.reset().await;
    }

    /// Waits until the client of a tunnel that is being opened has left: it has reset the connection, or it has closed
    /// its sending half without a byte for the tunnel, so that there is nothing to open it for. Bytes that it sends
    /// ahead are kept, one read of them; after these the end of what it sends may be the tunnel's own.
    pub async fn left_unbegun(&mut self) {
        while self.ahead().is_empty() {
            if let Ok(0) | Err(_) = self.fill().await {
                return;
            }
        }
        self.reset().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_reads_ends_the_connection() {
        let (ours, mut theirs) = duplex(16);
        let began = Instant::now();
        let mut wire = Wire::new(ours);
        assert!(wire.send(&[b'x'; 16]).await.is_ok(), "what fits needs no reader");
        let error = wire.send(&[b'x'; 17]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, SEND_TIME));
        drop(wire);
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).await.unwrap();
        assert_eq!(got.len(), 16);
    }

    #[tokio::test]
    async fn a_wire_that_rests_holds_nothing_and_loses_nothing() {
        let (ours, mut theirs) = duplex(4096);
        let mut wire = Wire::new(ours);
        theirs.write_all(&[b'x'; 3000]).await.unwrap();
        wire.fill().await.unwrap();
        wire.consume(2999);
        wire.rest();
        assert_eq!(wire.ahead(), b"x");
        wire.consume(1);
        wire.rest();
        assert_eq!(wire.buffer.capacity(), 0);
    }
}
