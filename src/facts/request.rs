//! One request, as far as a policy can know it.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use super::{Client, Destination};

/// Everything that a policy may judge by. Built by the protocol modules, read by `policy`.
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
    /// The method as it was sent; none inside an opaque tunnel, where it is not visible.
    pub method: Option<Method>,
    /// The protocol that the request asks to switch to. The method stays what was sent: the origin may answer as if no
    /// upgrade had been asked for.
    pub upgrade: Option<Upgrade>,
    /// The path without its query; none inside an opaque tunnel. Kept for the record.
    pub path: Option<Arc<str>>,
    /// Whether the request has already passed through this very proxy (its `Via` says so).
    pub passed_through_us: bool,
    /// When it is judged.
    pub at: SystemTime,
}

impl RequestFacts {
    /// The same request without its upgrade.
    #[must_use]
    pub fn without_upgrade(&self) -> Self {
        Self { upgrade: None, ..self.clone() }
    }

    /// The method as rules and records name it.
    pub fn named_method(&self) -> Option<Method> {
        match self.upgrade {
            Some(upgrade) => Some(Method::new(upgrade.as_str())),
            None => self.method.clone(),
        }
    }
}

/// The name of the listener that a request came in by. Not a credential: any program that can connect there counts as that tool.
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

/// A request method in its own spelling: methods are case-sensitive (RFC 9110 §9.1).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Method(Cow<'static, str>);

/// Those that nearly every request has: they need no memory of their own.
const USUAL: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "PATCH", Upgrade::WebSocket.as_str()];

impl Method {
    /// A method by its token. The caller has checked that it is one (RFC 9110 §5.6.2).
    pub fn new(token: &str) -> Self {
        let usual = USUAL.into_iter().find(|usual| *usual == token);
        Self(usual.map_or_else(|| Cow::Owned(token.to_owned()), Cow::Borrowed))
    }

    /// The method and the upgrade that a rule's `methods` mean by this name: `WEBSOCKET` is a GET that asks for one.
    pub fn named(name: &str) -> (Self, Option<Upgrade>) {
        match Upgrade::named(name) {
            Some(upgrade) => (Self::new("GET"), Some(upgrade)),
            None => (Self::new(name), None),
        }
    }

    /// The token.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A protocol that a request asks to switch to (RFC 9110 §7.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Upgrade {
    /// A WebSocket (RFC 6455).
    WebSocket,
}

impl Upgrade {
    /// What rules and records call it, in the place of a method.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::WebSocket => "WEBSOCKET",
        }
    }

    /// The upgrade that a rule means by this name. A method token on the wire never means one.
    pub fn named(name: &str) -> Option<Self> {
        [Self::WebSocket].into_iter().find(|upgrade| upgrade.as_str() == name)
    }
}
