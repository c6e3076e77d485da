//! One strict reader of HTTP/1 heads and of body framing, in both directions, and the writer of forwarded heads.
//!
//! It is the only judge of framing: what a message is, where it ends and where the next begins is decided here and
//! nowhere else (RFC 9110, RFC 9112, RFC 9931). httparse judges the tokens of field lines; everything else is ours.
//!
//! Guaranteed:
//! - A line ends in CRLF. A bare CR or LF, a folded line, a blank before a colon, a control byte in a value: refused.
//!   So nothing that was accepted here can be read as two messages, or as another message, by a laxer reader.
//! - A method that differs from a registered one only by case is refused: the next program may not distinguish them.
//! - A message has no length, one length, or chunks. Both, a repeated or listed length (equal ones too), a coding other
//!   than exactly `chunked`: refused, never repaired.
//! - Every message that is written has exactly one framing, one `Host` that is the target's, no hop-by-hop field, no
//!   chunk extension, and only trailer fields that mean nothing for framing, routing or authority.
//! - No field that says that this proxy denied a request passes, in a head or in trailers, regardless of the sender.
//! - Pure: bytes in, values out. No I/O, no clock, no panic. Work and memory are bounded by [`HeadLimits`] and the named
//!   limits next to the code. A head allocates its destination's name, its path only where the client left out the slash,
//!   and room for its fields where there are more than usual; a body allocates its trailers, if it has any.
//!
//! Deliberately not done: repairing (RFC 9112 permits it here and there; every repair is a guess at what the sender
//! meant), deciding, answering, counting bytes against timers. A response is judged as strictly as a request: the caller
//! answers 502 for what is refused here.

mod body;
mod fields;
mod forward;
mod framing;
mod hop;
mod method;
mod proxy_status;
mod request;
mod response;
mod role;
mod scan;
mod target;
mod trailers;

use crate::facts::HeadError;

pub use body::{BodyReader, BodyWriter, Step};
pub use fields::Field;
pub use forward::{OriginHop, names_instance, write_request, write_request_to_proxy, write_response};
pub use framing::{BodyFraming, ResponseFraming};
pub use hop::Upgrade;
pub(super) use request::read_scanned_request;
pub use request::{RequestHead, read_request};
pub(super) use response::read_scanned_response;
pub use response::{ResponseHead, read_response};
pub use scan::HeadScan;
pub use target::Target;

/// How large a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes from the first one to the end of the empty line, a tolerated leading CRLF included.
    pub max_bytes: usize,
    /// Field lines. More than 128 are never accepted, regardless of this value.
    pub max_fields: usize,
}

impl Default for HeadLimits {
    /// 64 KiB: four times what Node takes by default, room for the tickets and cookies of single sign-on. 128 fields:
    /// browsers send about 20, hyper's own limit is 100; it bounds the work that one head can ask for.
    fn default() -> Self {
        Self { max_bytes: 64 * 1024, max_fields: fields::MAX_FIELDS }
    }
}

/// The version of a message. Every other is refused before anything else is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunks, closes unless the head says otherwise.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// The number alone, as `Via` has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
        }
    }

    /// Reads `HTTP/1.0` or `HTTP/1.1`. Any other number is an unsupported version; anything else is not a version.
    fn parse(text: &[u8], garbage: HeadError) -> Result<Self, HeadError> {
        match text {
            b"HTTP/1.1" => Ok(Self::Http11),
            b"HTTP/1.0" => Ok(Self::Http10),
            [b'H', b'T', b'T', b'P', b'/', number @ ..]
                if !number.is_empty() && number.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.') =>
            {
                Err(HeadError::Version)
            }
            _ => Err(garbage),
        }
    }
}

#[cfg(test)]
mod tests;
