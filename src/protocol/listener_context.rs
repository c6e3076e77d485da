//! What every connection of one listener needs, in every protocol.

use std::rc::Rc;
use std::time::Duration;

use super::drain::Drain;
use super::head::HeadLimits;
use super::own_paths::OwnPaths;
use crate::enforce::Enforcer;
use crate::session::ListenerId;

/// What every connection of one listener needs.
#[derive(Debug)]
pub struct ListenerContext {
    /// The worker's enforcement point.
    pub enforcer: Rc<Enforcer>,
    /// Which listener.
    pub listener: ListenerId,
    /// What the proxy's own paths need.
    pub own: OwnPaths,
    /// How much and how long.
    pub limits: GateLimits,
    /// Our token in `Via`.
    pub via: Rc<str>,
    /// What is spoken here.
    pub speaks: Speaks,
    /// Signals shutdown.
    pub drain: Rc<Drain>,
}

/// The protocol of a connection, detected by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Speaks {
    /// HTTP/1: `CONNECT` and absolute-form.
    pub http: bool,
    /// SOCKS5.
    pub socks5: bool,
}

/// The limits of this module. The configuration keys document the reasons.
#[derive(Clone, Copy, Debug)]
pub struct GateLimits {
    /// `head-timeout`: a whole head, from the connection's or its own first byte; an origin's too.
    pub head_timeout: Duration,
    /// `hello-timeout`: a whole ClientHello, counted from the moment the tunnel is established.
    pub hello_timeout: Duration,
    /// `max-hello`: bytes of a ClientHello on the wire.
    pub max_hello: usize,
    /// `keep-alive-timeout`: between two requests.
    pub keep_alive: Duration,
    /// `body-timeout`: between bytes of a body, either way, and until a response begins.
    pub body_timeout: Duration,
    /// `max-head` and the number of fields.
    pub head: HeadLimits,
}

/// How often what is under way is asked whether it is still permitted, where no sweep does that: as often as tunnels are.
pub(super) const REVOKED_WITHIN: Duration = Duration::from_secs(1);
