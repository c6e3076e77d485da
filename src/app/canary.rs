//! A request that must be denied, as a client of our own listeners makes it: the self-test and `outgate doctor` send it.
//!
//! Guaranteed: it goes to a listener of this machine and nowhere else; it takes at most [`PATIENCE`] for each step and
//! [`MAX_ANSWER`] bytes; a tunnel that should not have opened is closed before a byte goes through it.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::dial::{self, CANARY_ZONE};
use crate::facts::{Destination, Host, Port};
use crate::tls;

/// How long a listener of this machine may take for an answer. It takes a millisecond; five seconds is a machine that
/// swaps, and ten times less than what would make a minute's test overlap with the next.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// The largest answer that is read. A denial has one kilobyte.
pub const MAX_ANSWER: usize = 16 * 1024;

/// A listener that is asked.
#[derive(Clone, Copy, Debug)]
pub struct TestedListener {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether clients speak TLS to it.
    pub tls: bool,
}

/// The head of an answer, and what of its body came along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CanaryResponse {
    /// The status.
    pub status: u16,
    /// The fields, names in lower case.
    pub fields: Vec<(String, String)>,
    /// The body, as far as it was read.
    pub body: String,
}

impl CanaryResponse {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether an outgate denied it. Only outgate's own fields are considered.
    pub fn is_denial(&self) -> bool {
        let ours = self.field("proxy-status").is_some_and(|status| status.starts_with("outgate;"));
        self.status == 403 && ours && self.field("x-deny-reason").is_some() && self.field("x-request-id").is_some()
    }

    /// Which process answered: the part of the request's id before the number.
    pub fn instance(&self) -> Option<&str> {
        self.field("x-request-id")?.split_once('-').map(|(instance, _)| instance)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Some(Self { status, fields, body: body.to_owned() })
    }
}

/// A name that no other program asks for and that must be denied without being resolved. A new one each time, so that no
/// cache, hosts file or rule can know it.
pub fn unknown_name() -> String {
    let mut random = [0; 4];
    // Without randomness the name is the same each time, which only makes the test a little weaker.
    let _fixed = getrandom::fill(&mut random);
    format!("selftest-{:08x}{CANARY_ZONE}", u32::from_ne_bytes(random))
}

/// Where the name canary leads; its port is the one that most policies open.
pub fn name_canary() -> Option<Destination> {
    Some(Destination::new(Host::parse(unknown_name().as_bytes()).ok()?, Port::new(443).ok()?))
}

/// The destination of the loop canary: the listener itself, which must be denied under every policy.
pub fn loop_canary(reached: SocketAddr) -> Option<Destination> {
    Some(Destination::new(Host::Ip(reached.ip()), Port::new(reached.port()).ok()?))
}

/// Asks a listener to `CONNECT`. `begin` is called with both ends of the connection before a byte is sent; it says where
/// to, and what else it returns is kept until the response is there.
///
/// # Errors
/// If the listener cannot be reached or does not answer in time, or with anything but HTTP.
pub fn connect<T>(
    listener: TestedListener,
    begin: impl FnOnce(ConnectionEnds) -> io::Result<(Destination, T)>,
) -> io::Result<(CanaryResponse, T)> {
    ask(listener, |ends| {
        let (destination, kept) = begin(ends)?;
        Ok((format!("CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\n\r\n"), kept))
    })
}

/// Asks a listener for one of the proxy's own paths.
///
/// # Errors
/// As [`connect`].
pub fn own_path(listener: TestedListener, path: &str) -> io::Result<CanaryResponse> {
    let request = |ends: ConnectionEnds| {
        Ok((format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", ends.listener), ()))
    };
    ask(listener, request).map(|(answer, ())| answer)
}

/// The two ends of a connection to a listener.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionEnds {
    /// Our own.
    pub client: SocketAddr,
    /// The listener's, as it was reached.
    pub listener: SocketAddr,
}

fn ask<T>(
    listener: TestedListener,
    begin: impl FnOnce(ConnectionEnds) -> io::Result<(String, T)>,
) -> io::Result<(CanaryResponse, T)> {
    let stream = dial::to_own_listener(listener.address, PATIENCE)?;
    let (request, kept) = begin(ConnectionEnds { client: stream.local_addr()?, listener: stream.peer_addr()? })?;
    let answer =
        if listener.tls { exchange(tls::to_own_listener(stream)?, &request) } else { exchange(stream, &request) };
    Ok((answer?, kept))
}

fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<CanaryResponse> {
    let give_up = Instant::now() + PATIENCE;
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while bytes.len() < MAX_ANSWER && !is_whole(&bytes) {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => bytes.extend(buffer.iter().take(read)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A listener that closes without TLS's farewell has said what it had to say.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
        if Instant::now() > give_up {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    CanaryResponse::parse(&bytes).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the response is not HTTP"))
}

/// Whether the head and as much of a body as it announces have come. A tunnel that opened has no body and no end.
fn is_whole(bytes: &[u8]) -> bool {
    CanaryResponse::parse(bytes).is_some_and(|answer| {
        let length = answer.field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0_usize);
        answer.body.len() >= length
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DENIAL: &str = "HTTP/1.1 403 Blocked: host_not_allowed\r\nProxy-Status: outgate; error=x\r\n\
        X-Deny-Reason: host_not_allowed\r\nX-Request-Id: k3f9-1\r\nContent-Length: 2\r\n\r\nno";

    #[test]
    fn only_an_answer_with_all_our_marks_is_a_denial() {
        let parse = |text: &str| CanaryResponse::parse(text.as_bytes()).unwrap();
        assert!(parse(DENIAL).is_denial());
        assert_eq!(parse(DENIAL).instance(), Some("k3f9"));
        for (from, to) in [
            (" 403 ", " 200 "),
            (" 403 ", " 503 "),
            ("Proxy-Status: outgate;", "Proxy-Status: other;"),
            ("X-Deny-Reason", "X-Reason"),
            ("X-Request-Id", "X-Id"),
        ] {
            assert!(!parse(&DENIAL.replace(from, to)).is_denial(), "{to}");
        }
        for text in ["", "HTTP/1.1 403 Forbidden\r\n", "SSH-2.0-x\r\n\r\n", "HTTP/1.1 none\r\n\r\n"] {
            assert_eq!(CanaryResponse::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn reading_ends_with_the_announced_body_and_not_before() {
        assert!(is_whole(DENIAL.as_bytes()));
        assert!(!is_whole(DENIAL.strip_suffix("o").unwrap().as_bytes()));
        assert!(is_whole(b"HTTP/1.1 200 Connection established\r\n\r\n"));
    }

    #[test]
    fn the_unknown_name_is_a_name_and_another_one_each_time() {
        let (one, other) = (name_canary().unwrap(), name_canary().unwrap());
        assert_ne!(one, other);
        assert!(one.host().as_name().unwrap().as_str().ends_with(CANARY_ZONE));
        assert_eq!(one.port().get(), 443);
    }
}
