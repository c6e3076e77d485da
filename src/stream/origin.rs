//! The stream to an origin, or to the parent proxy in its place.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::PlainSocket;

/// The stream to an origin. A parent that is spoken to over TLS, and TLS to an origin, get variants of their own.
#[derive(Debug)]
pub enum OriginStream {
    /// Plain TCP.
    Tcp(TcpStream),
}

impl OriginStream {
    /// The socket, where its bytes are the conversation's own: then the kernel may move them by itself.
    pub fn plain(&self) -> Option<PlainSocket<'_>> {
        match self {
            Self::Tcp(socket) => Some(PlainSocket::tcp(socket)),
        }
    }

    /// Reads bytes and leaves them where they are.
    ///
    /// # Errors
    /// What the system says.
    pub async fn peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(socket) => socket.peek(buffer).await,
        }
    }

    /// Whether the other side has neither closed the stream nor said anything unasked. A byte that it did say is lost: a
    /// stream that is not quiet can only be closed.
    pub fn is_quiet(&self) -> bool {
        match self {
            Self::Tcp(socket) => {
                matches!(socket.try_read(&mut [0_u8; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock)
            }
        }
    }

    /// Makes closing the stream without a previous shutdown send a reset, so that the peer does not take it for an
    /// orderly end.
    ///
    /// # Errors
    /// What the system says; the stream is over then.
    pub fn reset_on_close(&self) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => SockRef::from(socket).set_linger(Some(Duration::ZERO)),
        }
    }
}

impl AsyncRead for OriginStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for OriginStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (OriginStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (OriginStream::Tcp(ours), listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn a_stream_is_quiet_until_the_other_side_speaks_or_closes() {
        let (mut ours, mut theirs) = pair().await;
        assert!(ours.is_quiet());
        theirs.write_all(b"ab").await.unwrap();
        assert_eq!(ours.peek(&mut [0; 8]).await.unwrap(), 2);
        ours.read_exact(&mut [0]).await.unwrap();
        assert!(!ours.is_quiet(), "a byte is left");
        let (ours, theirs) = pair().await;
        drop(theirs);
        assert_eq!(ours.peek(&mut [0; 8]).await.unwrap(), 0);
        assert!(!ours.is_quiet());
    }

    #[tokio::test]
    async fn closing_is_an_end_in_order_unless_a_reset_was_asked_for() {
        let (ours, mut theirs) = pair().await;
        drop(ours);
        assert_eq!(theirs.read(&mut [0; 8]).await.unwrap(), 0);
        let (ours, mut theirs) = pair().await;
        ours.reset_on_close().unwrap();
        drop(ours);
        assert_eq!(theirs.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
}
