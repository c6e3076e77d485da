//! The stream to a client, with or without TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::PlainSocket;

/// The stream to a client. TLS state is boxed: most streams have none, and a tunnel should cost what it needs.
///
/// A stream over a unix socket gets a variant with the first listener that accepts one. It must keep the promise of
/// [`Self::reset_on_close`], which a unix socket has no linger option for.
#[derive(Debug)]
pub enum ClientStream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TCP with TLS that we terminate.
    Tls(Box<TlsStream<TcpStream>>),
}

impl ClientStream {
    /// The socket, where its bytes are the conversation's own: then the kernel may move them by itself.
    pub fn plain(&self) -> Option<PlainSocket<'_>> {
        match self {
            Self::Tcp(socket) => Some(PlainSocket::tcp(socket)),
            Self::Tls(_) => None,
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        }
    }

    /// The local address that the client connected to; `None` if the system does not report it.
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.socket().local_addr().ok()
    }

    /// Waits until the client has reset it, or has failed otherwise; not for the end of what the client sends.
    pub async fn reset(&self) {
        // A socket that cannot be watched counts as failed.
        let _failed = self.socket().ready(Interest::ERROR).await;
    }

    /// Whether closing it without a shutdown before is a reset, which no client takes for an end in order: by dropping it,
    /// and also when the process is killed.
    ///
    /// # Errors
    /// What the system says; the connection is over then.
    pub fn reset_on_close(&self, reset: bool) -> io::Result<()> {
        SockRef::from(self.socket()).set_linger(reset.then_some(Duration::ZERO))
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
        }
    }
}
