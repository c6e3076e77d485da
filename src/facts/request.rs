//! One request, as far as a policy can know it.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use super::Destination;

/// Everything that a policy may judge by. Built by the protocol rooms, read by `policy`.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    /// Who asks.
    pub client: Client,
    /// By which tool: the listener's name.
    pub tool: Tool,
    /// By which protocol it came.
    pub protocol: Protocol,
    /// For where.
    pub destination: Destination,
    /// The method; none inside an opaque tunnel, where nobody can see it.
    pub method: Option<Method>,
    /// The path without its query; none inside an opaque tunnel. Kept for the record.
    pub path: Option<Arc<str>>,
    /// Whether the request has already passed through this very proxy (its `Via` says so).
    pub passed_through_us: bool,
    /// When it is judged.
    pub at: SystemTime,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Client {
    /// The peer's address and port.
    pub addr: SocketAddr,
}

/// The name of the listener that a request came in by. No credential: whoever can connect there is that tool.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tool(Arc<str>);

impl Tool {
    /// A tool by its listener's name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The protocol that a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP `CONNECT`: a tunnel.
    Connect,
    /// HTTP with an absolute-form target: forwarded.
    Http,
    /// SOCKS5 (RFC 1928).
    Socks5,
    /// One of the proxy's own paths.
    Own,
}

impl Protocol {
    /// Every protocol, in the order of [`Protocol::index`].
    pub const ALL: [Self; 4] = [Self::Connect, Self::Http, Self::Socks5, Self::Own];

    /// The stable token in records and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Http => "http",
            Self::Socks5 => "socks5",
            Self::Own => "own",
        }
    }

    /// Its place in [`Protocol::ALL`], for counters that are arrays.
    pub fn index(self) -> usize {
        match self {
            Self::Connect => 0,
            Self::Http => 1,
            Self::Socks5 => 2,
            Self::Own => 3,
        }
    }
}

/// A method as a rule names it: an HTTP method in its own spelling (methods are case-sensitive, RFC 9110 §9.1), or
/// `WEBSOCKET` for an upgrade to one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Method(Cow<'static, str>);

/// Those that nearly every request has: they need no memory of their own.
const USUAL: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "PATCH", Method::WEBSOCKET];

impl Method {
    /// What rules and records call an upgrade to a WebSocket.
    pub const WEBSOCKET: &str = "WEBSOCKET";

    /// A method by its token. The caller has checked that it is one (RFC 9110 §5.6.2).
    pub fn new(token: &str) -> Self {
        let usual = USUAL.into_iter().find(|usual| *usual == token);
        Self(usual.map_or_else(|| Cow::Owned(token.to_owned()), Cow::Borrowed))
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
