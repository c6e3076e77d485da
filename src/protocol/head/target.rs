//! Request targets (RFC 9112 §3.2).

use std::borrow::Cow;

use crate::facts::{Destination, HeadError, Port};

/// What a request is for, in the form in which it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target<'b> {
    /// `host:port`, of a CONNECT.
    Authority(Destination),
    /// `http://host[:port]/…`: what is forwarded.
    Absolute {
        /// Where to; port 80 where none was written.
        destination: Destination,
        /// What goes into the origin's request line. It starts with `/`, also where the client left that out.
        path_and_query: Cow<'b, str>,
    },
    /// `/…`: a request to the proxy itself.
    Origin {
        /// As received.
        path_and_query: &'b str,
    },
    /// `*`, of an OPTIONS to the proxy itself.
    Asterisk,
}

impl<'b> Target<'b> {
    /// Reads the target that a method came with. The bytes are visible ASCII already.
    pub(super) fn parse(method: &str, text: &'b str) -> Result<Self, HeadError> {
        if method == "CONNECT" {
            // The other three forms have a byte that no authority has, or no port.
            return Destination::parse(text.as_bytes(), None).map(Self::Authority).map_err(HeadError::Authority);
        }
        if memchr::memchr(b'#', text.as_bytes()).is_some() {
            return Err(HeadError::Fragment);
        }
        if text.starts_with('/') {
            refuse_backslash(text)?;
            return Ok(Self::Origin { path_and_query: text });
        }
        if text == "*" {
            return if method == "OPTIONS" { Ok(Self::Asterisk) } else { Err(HeadError::TargetForm) };
        }
        let (scheme, rest) = split_scheme(text).ok_or(HeadError::TargetForm)?;
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(if is_scheme(scheme) { HeadError::Scheme } else { HeadError::TargetForm });
        }
        let authority = until_path(rest);
        let path = rest.strip_prefix(authority).unwrap_or_default();
        let destination = Destination::parse(authority.as_bytes(), Some(Port::HTTP)).map_err(HeadError::Authority)?;
        refuse_backslash(path)?;
        let path_and_query = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
        Ok(Self::Absolute { destination, path_and_query })
    }

    /// The authority as it is written in the text that this was read from.
    pub(super) fn authority_in<'t>(&self, text: &'t str) -> Option<&'t str> {
        match self {
            Self::Authority(_) => Some(text),
            Self::Absolute { .. } => split_scheme(text).map(|(_, rest)| until_path(rest)),
            Self::Origin { .. } | Self::Asterisk => None,
        }
    }

    /// Whether the text that this was read from is a scheme and an authority, with nothing after it.
    pub(super) fn is_bare_in(&self, text: &str) -> bool {
        matches!(self, Self::Absolute { .. }) && split_scheme(text).is_some_and(|(_, rest)| until_path(rest) == rest)
    }

    /// The path without its query; empty for an authority.
    pub(super) fn path(&self) -> &str {
        let text = match self {
            Self::Authority(_) => "",
            Self::Asterisk => "*",
            Self::Absolute { path_and_query, .. } => path_and_query,
            Self::Origin { path_and_query } => path_and_query,
        };
        without_query(text)
    }
}

/// A scheme, and what follows its `://`.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    Some((scheme, rest.strip_prefix("//")?))
}

/// The part before path and query.
fn until_path(text: &str) -> &str {
    before(text, memchr::memchr2(b'/', b'?', text.as_bytes()))
}

/// The part before a query.
fn without_query(text: &str) -> &str {
    before(text, memchr::memchr(b'?', text.as_bytes()))
}

/// The part before the byte that was found; all of it if none was.
fn before(text: &str, found: Option<usize>) -> &str {
    found.and_then(|end| text.get(..end)).unwrap_or(text)
}

/// Browsers and some origins read `\` in a path as `/`, so a rule on paths would judge a different path from the one
/// served. In a query `\` has no special meaning, and browsers send it.
fn refuse_backslash(target: &str) -> Result<(), HeadError> {
    match memchr::memchr2(b'\\', b'?', target.as_bytes()).and_then(|at| target.as_bytes().get(at)) {
        Some(b'\\') => Err(HeadError::TargetByte(b'\\')),
        _ => Ok(()),
    }
}

/// RFC 3986 §3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}
