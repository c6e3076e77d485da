//! The command line.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use clap::{Args, Parser};

#[derive(Debug, Parser)]
pub(crate) enum Role {
    /// The origin of all requests and tunnels.
    Origin(Server),
    /// The proxy without a policy.
    Floor(Server),
    /// New tunnels: connect, CONNECT, ClientHello, the origin's first bytes, close.
    Connect(Load),
    /// CONNECT to names that are not allowed.
    DenyConnect(Load),
    /// Requests in absolute-form, on connections that are kept.
    Get(Load),
    /// The same for names that are not allowed.
    DenyGet(Load),
    /// Bytes from the origin through open tunnels.
    Down(Load),
    /// Bytes to the origin.
    Up(Load),
    /// Bytes both ways.
    Both(Load),
    /// Open, silent tunnels: what they cost in memory.
    Idle(Load),
}

#[derive(Args, Debug)]
pub(crate) struct Server {
    /// Where to listen.
    #[arg(value_parser = loopback)]
    pub(crate) address: SocketAddr,
    /// Threads, each with a listening socket of its own.
    #[arg(long, default_value_t = 2)]
    pub(crate) threads: usize,
    /// Seconds after which it ends in any case.
    #[arg(long, default_value_t = 7200.0)]
    lifetime: f64,
}

#[derive(Args, Debug)]
pub(crate) struct Load {
    /// The proxy.
    #[arg(long, value_parser = loopback)]
    pub(crate) proxy: SocketAddr,
    /// The origin's port.
    #[arg(long)]
    pub(crate) origin: u16,
    /// The name that is asked for; it has to lead to the origin.
    #[arg(long, default_value = "allowed.test")]
    pub(crate) host: String,
    /// Connections at once; tunnels for bulk and idle.
    #[arg(long, default_value_t = 32)]
    pub(crate) conns: usize,
    /// Seconds that are measured.
    #[arg(long, default_value_t = 2.0)]
    secs: f64,
    /// Seconds before that.
    #[arg(long, default_value_t = 0.3)]
    warm_up: f64,
    /// The proxy's process: it and all its descendants are accounted for.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// Operations a second that are due, whether or not the proxy keeps up; 0: as many as it takes.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) rate: f64,
}

impl Server {
    pub(crate) fn end(&self) -> Instant {
        Instant::now() + Duration::from_secs_f64(self.lifetime)
    }
}

impl Load {
    pub(crate) fn measured(&self) -> Duration {
        Duration::from_secs_f64(self.secs)
    }

    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up)
    }

    /// `host:port` of the origin, as clients write it.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.origin)
    }
}

/// Load is for machines of one's own.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text.parse().map_err(|error| format!("{error}"))?;
    if address.ip().is_loopback() { Ok(address) } else { Err("only loopback addresses".to_owned()) }
}
