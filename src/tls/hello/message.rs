//! The handshake message (RFC 8446 §4) and its `server_name` extension (RFC 6066 §3).

use smallvec::SmallVec;

use super::{Hello, HelloError};
use crate::facts::{Host, ServerName};

/// Type and length of a handshake message (RFC 8446 §4).
pub(super) const MESSAGE_HEADER: usize = 4;
/// The handshake message type.
pub(super) const CLIENT_HELLO: u8 = 1;
/// The extension type of `server_name`, and the name type of a host name (RFC 6066 §3).
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// Reads a whole handshake message of which type and length are known to be right.
pub(super) fn parse_message(message: &[u8]) -> Result<Hello, HelloError> {
    const SHORT: HelloError = HelloError::Malformed("a length reaches beyond its end");
    let mut body = MessageReader(message);
    body.take(MESSAGE_HEADER).ok_or(SHORT)?;
    if body.u16().ok_or(SHORT)? >> 8 != 3 {
        return Err(HelloError::Malformed("its version is not TLS"));
    }
    body.take(32).ok_or(SHORT)?;
    if body.vec8().ok_or(SHORT)?.0.len() > 32 {
        return Err(HelloError::Malformed("its session id is too long"));
    }
    let suites = body.vec16().ok_or(SHORT)?.0.len();
    if suites == 0 || suites % 2 != 0 {
        return Err(HelloError::Malformed("its list of cipher suites has an impossible length"));
    }
    if body.vec8().ok_or(SHORT)?.0.is_empty() {
        return Err(HelloError::Malformed("its list of compression methods is empty"));
    }
    if body.0.is_empty() {
        return Ok(Hello { sni: ServerName::Missing }); // TLS 1.2 and before may do without extensions (RFC 5246 §7.4.1.2)
    }
    let mut extensions = body.vec16().ok_or(SHORT)?;
    if !body.0.is_empty() {
        return Err(HelloError::Malformed("something follows its extensions"));
    }
    let mut sni = ServerName::Missing;
    let mut seen = SmallVec::<[u16; 32]>::new();
    while !extensions.0.is_empty() {
        let kind = extensions.u16().ok_or(SHORT)?;
        let data = extensions.vec16().ok_or(SHORT)?;
        seen.push(kind);
        if kind == SERVER_NAME {
            sni = parse_server_name(data)?;
        }
    }
    // Sorted rather than searched: a hello may hold some ten thousand empty extensions.
    seen.sort_unstable();
    if seen.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        return Err(HelloError::Malformed("it has an extension twice"));
    }
    Ok(Hello { sni })
}

/// Reads the extension's data: a list of exactly one host name. Servers differ in which of several they take.
fn parse_server_name(mut data: MessageReader<'_>) -> Result<ServerName, HelloError> {
    const BROKEN: HelloError = HelloError::Malformed("its server name extension is not a list");
    let mut list = data.vec16().filter(|_| data.0.is_empty()).ok_or(BROKEN)?;
    if list.u8().ok_or(BROKEN)? != HOST_NAME {
        return Err(HelloError::Malformed("its server name is of an unknown type"));
    }
    let name = list.vec16().ok_or(BROKEN)?;
    if !list.0.is_empty() {
        return Err(HelloError::Malformed("it names more than one server"));
    }
    match Host::parse(name.0) {
        Ok(Host::Name(name)) => Ok(ServerName::Name(name)),
        Ok(Host::Ip(ip)) => Ok(ServerName::Address(ip)),
        Err(_) => Err(HelloError::Malformed("its server name is not a host name")),
    }
}

/// What is left of a structure; each method takes a field from its front, or nothing where it is not all there.
struct MessageReader<'a>(&'a [u8]);

impl<'a> MessageReader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }

    fn u16(&mut self) -> Option<u16> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u16::from_be_bytes(*bytes))
    }

    fn vec8(&mut self) -> Option<Self> {
        let length = self.u8()?;
        self.take(length.into()).map(Self)
    }

    fn vec16(&mut self) -> Option<Self> {
        let length = self.u16()?;
        self.take(length.into()).map(Self)
    }
}
