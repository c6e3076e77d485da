//! What a person types to ask about a destination: a URL, or `host:port`.

use std::sync::Arc;

use super::{Destination, HostError, Method, Port, Protocol, Upgrade};

/// A destination as a person names it, with what the way of naming it says about the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// For where.
    pub destination: Destination,
    /// How a client would come with it: `http://` is forwarded, everything else is a tunnel.
    pub protocol: Protocol,
    /// `GET` for `http://` and `ws://`, none for a tunnel.
    pub method: Option<Method>,
    /// A WebSocket for `ws://`.
    pub upgrade: Option<Upgrade>,
    /// The path of an `http://` URL without its query.
    pub path: Option<Arc<str>>,
}

/// Why a text names no destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuestionError {
    /// Neither `http`, `https`, `ws` nor `wss`.
    #[error("the scheme is none that this proxy knows (http, https, ws, wss)")]
    Scheme,
    /// The host or the port.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl Question {
    /// Reads `https://host/…` and `wss://` (port 443), `http://` and `ws://` (port 80), `host:port`, or a bare host (443).
    ///
    /// # Errors
    /// What is wrong with the host or the port. Userinfo is refused, as on the wire.
    pub fn parse(text: &str) -> Result<Self, QuestionError> {
        let (scheme, rest) = text.split_once("://").map_or(("", text), |(scheme, rest)| (scheme, rest));
        let end = rest.find(['/', '?', '#']).filter(|_| !scheme.is_empty()).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let plain = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("ws");
        let known =
            plain || scheme.is_empty() || scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("wss");
        if !known {
            return Err(QuestionError::Scheme);
        }
        let default = if plain { Port::HTTP } else { Port::HTTPS };
        let destination = Destination::parse(authority.as_bytes(), Some(default))?;
        if !plain {
            return Ok(Self { destination, protocol: Protocol::Connect, method: None, upgrade: None, path: None });
        }
        let method = Some(Method::new("GET"));
        let upgrade = scheme.eq_ignore_ascii_case("ws").then_some(Upgrade::WebSocket);
        let path = tail.split(['?', '#']).next().filter(|path| !path.is_empty()).unwrap_or("/");
        Ok(Self { destination, protocol: Protocol::Http, method, upgrade, path: Some(path.into()) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_or_an_authority_names_a_destination() {
        for (text, destination, method, upgrade) in [
            ("https://Example.test/a?b", "example.test:443", None, None),
            ("example.test", "example.test:443", None, None),
            ("example.test:8443", "example.test:8443", None, None),
            ("wss://example.test", "example.test:443", None, None),
            ("http://example.test/a", "example.test:80", Some("GET"), None),
            ("http://example.test:8080?x", "example.test:8080", Some("GET"), None),
            ("ws://example.test/", "example.test:80", Some("GET"), Some(Upgrade::WebSocket)),
            ("https://[2001:db8::1]/", "[2001:db8::1]:443", None, None),
        ] {
            let question = Question::parse(text).unwrap();
            assert_eq!(question.destination.to_string(), destination, "{text}");
            assert_eq!(question.method.as_ref().map(Method::as_str), method, "{text}");
            assert_eq!(question.upgrade, upgrade, "{text}");
        }
        assert_eq!(Question::parse("http://example.test/a?b#c").unwrap().path.as_deref(), Some("/a"));
        assert_eq!(Question::parse("ftp://example.test/"), Err(QuestionError::Scheme));
        assert_eq!(Question::parse("https://user@example.test/"), Err(HostError::ForbiddenByte(b'@').into()));
        assert_eq!(Question::parse("example.test/path"), Err(HostError::ForbiddenByte(b'/').into()));
    }
}
