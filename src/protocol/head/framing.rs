//! How long a body is, as its head says (RFC 9112 §6).

use super::Version;
use super::fields::{is_token, list};
use crate::facts::HeadError;

/// The longest length in digits: that of 2^63 - 1. More, leading zeros or not, is nothing that a client needs to send.
const MAX_LENGTH_DIGITS: usize = 19;

/// How the body of a request is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// No body was announced.
    None,
    /// That many bytes, possibly none.
    Length(u64),
    /// Chunks until the last one.
    Chunked,
}

/// How the body of a response is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// There can be none: the response to a HEAD, and 1xx, 204 and 304.
    None,
    /// That many bytes, possibly none.
    Length(u64),
    /// Chunks until the last one.
    Chunked,
    /// Everything until the connection ends. Whether it is complete cannot be determined.
    UntilClose,
}

/// The framing fields of one head, as they come by.
#[derive(Debug, Default)]
pub(super) struct FramingFields<'b> {
    length: Option<&'b [u8]>,
    coding: Option<&'b [u8]>,
    repeated: Option<HeadError>,
}

impl<'b> FramingFields<'b> {
    pub(super) fn see_length(&mut self, value: &'b [u8]) {
        if self.length.replace(value).is_some() {
            self.repeated = Some(HeadError::RepeatedLength);
        }
    }

    pub(super) fn see_coding(&mut self, value: &'b [u8]) {
        if self.coding.replace(value).is_some() {
            self.repeated = Some(HeadError::RepeatedCoding);
        }
    }

    /// The one framing that they amount to.
    pub(super) fn judge(&self, version: Version) -> Result<BodyFraming, HeadError> {
        if let Some(error) = self.repeated {
            return Err(error);
        }
        match (self.length, self.coding) {
            (None, None) => Ok(BodyFraming::None),
            (Some(_), Some(_)) => Err(HeadError::LengthAndCoding),
            (Some(length), None) => parse_length(length).map(BodyFraming::Length),
            (None, Some(_)) if version == Version::Http10 => Err(HeadError::CodingInHttp10),
            (None, Some(coding)) => judge_coding(coding).map(|()| BodyFraming::Chunked),
        }
    }
}

/// Digits alone, at most 63 bits: there are readers with signed lengths.
fn parse_length(value: &[u8]) -> Result<u64, HeadError> {
    if value.is_empty() || value.len() > MAX_LENGTH_DIGITS || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::Length);
    }
    let number = value.iter().fold(0_u64, |number, digit| number * 10 + u64::from(digit - b'0'));
    i64::try_from(number).map_err(|_| HeadError::Length).map(|_| number)
}

/// `chunked` alone is known. A list of other codings that ends in it is legal and not built; the rest is nonsense, or a
/// trap for readers that look at one element only.
fn judge_coding(value: &[u8]) -> Result<(), HeadError> {
    if is_chunked(value) {
        return Ok(());
    }
    let mut codings = list(value);
    let mut last: &[u8] = b"";
    for coding in &mut codings {
        if !is_token(coding) || coding.eq_ignore_ascii_case(b"identity") || is_chunked(last) {
            return Err(HeadError::Coding);
        }
        last = coding;
    }
    Err(if is_chunked(last) { HeadError::UnknownCoding } else { HeadError::Coding })
}

fn is_chunked(coding: &[u8]) -> bool {
    coding.eq_ignore_ascii_case(b"chunked")
}
