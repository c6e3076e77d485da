//! What goes through a tunnel: TLS records whose bytes mean nothing, and one that tells the origin what to do.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::options::Load;

/// Bytes that the origin says first.
pub(crate) const REPLY: usize = 64;
/// How long one blocking step may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of bulk handed over in one call.
const CHUNK: usize = 64 * 1024;
/// Content of a TLS record, at most (RFC 8446 §5.1).
const RECORD: usize = 16 * 1024;

/// What the origin does after its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Send = b's' as isize,
    Discard = b'd' as isize,
    Both = b'b' as isize,
    Echo = b'e' as isize,
}

impl Order {
    pub(crate) const LENGTH: usize = 6;

    /// The record that carries it.
    pub(crate) fn record(self) -> [u8; Self::LENGTH] {
        [0x17, 3, 3, 0, 1, self as u8]
    }

    pub(crate) fn read(record: &[u8]) -> Option<Self> {
        [Self::Send, Self::Discard, Self::Both, Self::Echo].into_iter().find(|order| order.record() == record)
    }
}

/// A ClientHello for this name, as rustls sends it.
pub(crate) fn hello(host: &str) -> io::Result<Vec<u8>> {
    let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let name = host.to_owned().try_into().map_err(io::Error::other)?;
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
    let mut hello = Vec::new();
    connection.write_tls(&mut hello)?;
    Ok(hello)
}

/// Bulk: whole records, back to back.
pub(crate) fn records() -> Vec<u8> {
    let content = RECORD - 5;
    let length = (content as u16).to_be_bytes();
    let record = [&[0x17, 3, 3, length[0], length[1]], vec![0x5a; content].as_slice()].concat();
    record.repeat(CHUNK / RECORD)
}

/// A tunnel through which the origin has answered; blocking, with a limit for each step.
pub(crate) fn open(load: &Load, hello: &[u8]) -> io::Result<TcpStream> {
    let mut tunnel = TcpStream::connect_timeout(&load.proxy, PATIENCE)?;
    tunnel.set_nodelay(true)?;
    tunnel.set_read_timeout(Some(PATIENCE))?;
    tunnel.set_write_timeout(Some(PATIENCE))?;
    let authority = load.authority();
    tunnel.write_all(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        tunnel.read_exact(&mut byte)?;
        answer.push(byte[0]);
    }
    if answer.get(9..12) != Some(b"200") {
        return Err(io::Error::other(format!("the tunnel was refused: {}", String::from_utf8_lossy(&answer))));
    }
    tunnel.write_all(hello)?;
    tunnel.read_exact(&mut [0; REPLY])?;
    Ok(tunnel)
}
