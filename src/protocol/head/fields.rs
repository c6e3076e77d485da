//! Field lines: the block of a head between its first line and its empty line.

use smallvec::SmallVec;

use super::role::Role;
use crate::facts::HeadError;

/// No head has more fields than this, regardless of the limits: the tokenizer's room is on the stack.
pub(super) const MAX_FIELDS: usize = 128;
/// Room for as many as nearly every head has. It is written before it is used, and a head is moved with it.
const USUAL_FIELDS: usize = 16;

/// A field as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'b> {
    /// The name in its own spelling: a token (RFC 9110 §5.6.2), so always ASCII.
    pub name: &'b [u8],
    /// The value without the blanks around it: no NUL, CR, LF or other control than HTAB; may hold bytes beyond ASCII.
    pub value: &'b [u8],
    /// What it is to us, by its name alone.
    pub(super) role: Role,
}

impl Field<'_> {
    /// The role of a received field. One that is special only if its punctuation is read as a hyphen has no meaning to this
    /// proxy: it is dropped when the head is written, and where it would reframe the request, the request is refused.
    pub(super) fn received_role(&self) -> Result<Role, HeadError> {
        match self.role {
            Role::EndToEnd => Ok(Role::EndToEnd),
            role if self.name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') => Ok(role),
            Role::Host | Role::ContentLength | Role::TransferEncoding => Err(HeadError::DisguisedName),
            _ => Ok(Role::Hop),
        }
    }
}

/// The valid fields of a head, in the order in which they came.
#[derive(Clone, Debug)]
pub(super) struct FieldBlock<'b>(SmallVec<[Field<'b>; USUAL_FIELDS]>);

impl<'b> FieldBlock<'b> {
    /// Judges field lines that end with the empty line. The caller has seen to it that every CR and LF is a CRLF
    /// ([`super::HeadScan`] or the trailer reader), since httparse takes a bare LF for a line end.
    pub(super) fn parse(lines: &'b [u8], max_fields: usize) -> Result<Self, HeadError> {
        let mut block = Self(SmallVec::new());
        match block.fill(&mut [httparse::EMPTY_HEADER; USUAL_FIELDS], lines, max_fields) {
            Err(HeadError::TooManyFields) if max_fields > USUAL_FIELDS => {
                block.fill(&mut [httparse::EMPTY_HEADER; MAX_FIELDS], lines, max_fields)?;
            }
            filled => filled?,
        }
        Ok(block)
    }

    fn fill(&mut self, room: &mut [httparse::Header<'b>], lines: &'b [u8], max_fields: usize) -> Result<(), HeadError> {
        let most = max_fields.min(room.len());
        match httparse::parse_headers(lines, room.get_mut(..most).unwrap_or_default()) {
            Ok(httparse::Status::Complete((length, fields))) if length == lines.len() => {
                let field = |&httparse::Header { name, value }| {
                    let name = name.as_bytes();
                    Field { name, value, role: Role::of(name) }
                };
                self.0.extend(fields.iter().map(field));
                Ok(())
            }
            Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooManyFields),
            _ => Err(explain(lines)),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Field<'b>> {
        self.0.iter().copied()
    }
}

/// The first line without its CRLF, and what follows it.
pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (line, rest) = bytes.split_at_checked(memchr::memchr(b'\r', bytes)?)?;
    Some((line, rest.get(2..)?))
}

/// Without the optional blanks around it (OWS, RFC 9110 §5.6.3): SP and HTAB alone.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// The elements of a comma-separated list, trimmed; empty ones too.
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim)
}

/// Whether a byte may be in a token (RFC 9110 §5.6.2): a method, a field name, a coding.
pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether this is a token.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().copied().all(is_token_byte)
}

/// Which line httparse disliked, and why. Off the ordinary path; it only words the refusal, it cannot undo it.
fn explain(mut lines: &[u8]) -> HeadError {
    while let Some((line, rest)) = split_line(lines) {
        lines = rest;
        if line.starts_with(b" ") || line.starts_with(b"\t") {
            return HeadError::FoldedLine;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().unwrap_or_default();
        if !line.is_empty() && !is_token(name) {
            let blank_ended = line.len() > name.len() && is_token(trim(name));
            return if blank_ended { HeadError::BlankBeforeColon } else { HeadError::FieldName };
        }
        if !line.is_empty() && parts.next().is_none() {
            return HeadError::FieldName;
        }
    }
    HeadError::FieldValue
}
