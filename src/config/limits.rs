//! The limits of `[limits]`: every wait and every buffer that a client or an origin could stretch.

use std::time::Duration;

/// For a request's head, a TLS handshake and the first message of SOCKS. Clients send them at once; ten seconds allow for a
/// very bad line.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// For the ClientHello after a 200. As for heads: no client waits before it begins TLS.
const HELLO_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two pieces of a body. Long enough for a laptop that changes networks.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// Between two requests on one connection. Longer than the 60 s that most origins and clients hold one themselves.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(75);
/// For all addresses of one destination together. Browsers' users give up at about this.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For a tunnel in which no byte moves. Claude's own stream watchdogs fire at 180 and 300 s, and must be the first to.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// For connections that are open when the process is asked to end. By default, Kubernetes kills a process after 30 s.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// For one lookup, retries included. The system's resolver gives up on the first server after 5 s.
const DNS_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a request's head. Browsers' heads with large cookies reach 16 KiB; origins refuse more than 8 to 64 KiB.
const MAX_HEAD: usize = 64 * 1024;
/// Bytes of a ClientHello. Chromium's with post-quantum key shares is about 1.8 KiB; this leaves room for a decade.
const MAX_HELLO: usize = 64 * 1024;
/// Fields of a head. Browsers send about 20; common servers stop at 100.
const MAX_FIELDS: usize = 100;
/// Look-ups under way at once, in all. Each is a place in a queue for the system's resolver, or a socket to a name server;
/// an agent's browser asks for some dozens at once.
const MAX_LOOKUPS: usize = 1024;
/// Ways out that are being looked up and connected at once. Ten thousand tunnels a second to origins that are 100 ms away
/// have a thousand; this leaves room, and bounds the sockets (up to eight each) that hosts which do not answer can hold.
const MAX_DIALS: usize = 4096;
/// TLS handshakes of clients at once. Each may hold 64 KiB until the client is known to speak TLS at all, so 64 MiB.
const MAX_HANDSHAKES: usize = 1024;
/// Tunnels at once. Each holds two sockets, and a process may usually open some 20,000 to a million.
const MAX_TUNNELS: usize = 10_000;
// Of one client as many as in all, unless said otherwise: on one machine there is often one client only. That no client
// takes all is held without a key of its own: a part is always kept for the next one (see `places`).

/// Client connections at once, open tunnels aside, are twice [`Limits::max_tunnels`] unless said otherwise: there must be
/// room to ask for a tunnel, or be refused one, while all of them are in use.
const CONNECTIONS_PER_TUNNEL: usize = 2;

/// `[limits]`. Passing one ends the connection concerned, never the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A request head, a TLS handshake, the first message of SOCKS.
    pub head_timeout: Duration,
    /// The ClientHello after a 200.
    pub hello_timeout: Duration,
    /// Between bytes of a body.
    pub body_timeout: Duration,
    /// Between requests on one connection.
    pub keep_alive_timeout: Duration,
    /// Reaching an origin.
    pub connect_timeout: Duration,
    /// A tunnel without a byte.
    pub idle_timeout: Duration,
    /// Finishing what is open at the end.
    pub drain_timeout: Duration,
    /// One lookup of a name.
    pub dns_timeout: Duration,
    /// Bytes of a request head.
    pub max_head: usize,
    /// Bytes of a ClientHello.
    pub max_hello: usize,
    /// Fields of a head.
    pub max_fields: usize,
    /// Tunnels at once.
    pub max_tunnels: usize,
    /// Tunnels at once of one client.
    pub max_tunnels_per_client: usize,
    /// Client connections at once, those that became tunnels aside.
    pub max_connections: usize,
    /// Those of one client.
    pub max_connections_per_client: usize,
    /// Ways out being looked up and connected at once.
    pub max_dials: usize,
    /// Those of one client.
    pub max_dials_per_client: usize,
    /// Names being looked up at once.
    pub max_lookups: usize,
    /// Those of one client.
    pub max_lookups_per_client: usize,
    /// TLS handshakes of clients at once.
    pub max_handshakes: usize,
    /// Those of one client.
    pub max_handshakes_per_client: usize,
}

impl Limits {
    /// What holds where nothing is written.
    pub const BUILT_IN: Self = Self {
        head_timeout: HEAD_TIMEOUT,
        hello_timeout: HELLO_TIMEOUT,
        body_timeout: BODY_TIMEOUT,
        keep_alive_timeout: KEEP_ALIVE_TIMEOUT,
        connect_timeout: CONNECT_TIMEOUT,
        idle_timeout: IDLE_TIMEOUT,
        drain_timeout: DRAIN_TIMEOUT,
        dns_timeout: DNS_TIMEOUT,
        max_head: MAX_HEAD,
        max_hello: MAX_HELLO,
        max_fields: MAX_FIELDS,
        max_tunnels: MAX_TUNNELS,
        max_tunnels_per_client: MAX_TUNNELS,
        max_connections: Self::connections_for(MAX_TUNNELS),
        max_connections_per_client: Self::connections_for(MAX_TUNNELS),
        max_dials: MAX_DIALS,
        max_dials_per_client: MAX_DIALS,
        max_lookups: MAX_LOOKUPS,
        max_lookups_per_client: MAX_LOOKUPS,
        max_handshakes: MAX_HANDSHAKES,
        max_handshakes_per_client: MAX_HANDSHAKES,
    };

    /// Returns the number of client connections that a number of tunnels requires.
    pub(super) const fn connections_for(tunnels: usize) -> usize {
        tunnels.saturating_mul(CONNECTIONS_PER_TUNNEL)
    }
}
