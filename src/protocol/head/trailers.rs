//! The trailer section of a chunked body (RFC 9110 §6.5, RFC 9112 §7.1.2).

use super::fields::{Field, FieldBlock};
use super::role::{Role, same_name};
use crate::facts::{BodyError, HeadError};

/// A trailer section in bytes. gRPC statuses and checksums take some hundred; the section is held until it is complete.
const MAX_BYTES: usize = 16 * 1024;
/// Trailer fields.
const MAX_FIELDS: usize = 32;

/// Fields that a recipient must not take from a trailer, since they frame, route, control, authenticate or describe the
/// content (RFC 9110 §6.5.1). Those of [`Role`] come on top.
const FORBIDDEN: [&str; 34] = [
    "accept-encoding",
    "age",
    "authorization",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-location",
    "content-range",
    "content-security-policy",
    "content-type",
    "cookie",
    "date",
    "expires",
    "forwarded",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "origin",
    "pragma",
    "range",
    "retry-after",
    "set-cookie",
    "strict-transport-security",
    "vary",
    "warning",
    "www-authenticate",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-http-method-override",
];

/// Collects a trailer section as its bytes arrive.
#[derive(Debug, Default)]
pub(super) struct Trailers {
    /// As received while it is collected, then the part that may be forwarded.
    bytes: Vec<u8>,
}

impl Trailers {
    /// The fields that may be forwarded, each line with its CRLF.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Takes one byte; true when it was the last of the section's empty line.
    pub(super) fn take(&mut self, byte: u8) -> Result<bool, BodyError> {
        let after_cr = self.bytes.last() == Some(&b'\r');
        if after_cr != (byte == b'\n') {
            return Err(BodyError::Trailer);
        }
        if self.bytes.len() >= MAX_BYTES {
            return Err(BodyError::LargeTrailers);
        }
        self.bytes.push(byte);
        if self.bytes.ends_with(b"\r\n\r\n") {
            self.sanitise()?;
            return Ok(true);
        }
        Ok(false)
    }

    fn sanitise(&mut self) -> Result<(), BodyError> {
        let received = std::mem::take(&mut self.bytes);
        let block = FieldBlock::parse(&received, MAX_FIELDS).map_err(|error| match error {
            HeadError::TooManyFields => BodyError::LargeTrailers,
            _ => BodyError::Trailer,
        })?;
        for field in block.iter().filter(may_trail) {
            for part in [field.name, b": ", field.value, b"\r\n"] {
                self.bytes.extend_from_slice(part);
            }
        }
        Ok(())
    }
}

/// Whether a recipient may merge such a field, or a client see it.
fn may_trail(field: &Field<'_>) -> bool {
    field.role == Role::EndToEnd && !FORBIDDEN.iter().any(|forbidden| same_name(field.name, forbidden.as_bytes()))
}
