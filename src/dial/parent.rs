//! The way out by a parent proxy: connected to, and for a tunnel asked to `CONNECT` (RFC 9110 §9.3.6).
//!
//! Guaranteed:
//! - The parent is asked for what a [`ParentPermit`] names and nothing else. It receives the name, not an address: parents
//!   of this kind filter, log and cache by name, and many refuse addresses. So it resolves the name once more, and what
//!   was vetted here does not bind it.
//! - Its response is read strictly and to its last byte only: what follows belongs to the tunnel and stays in the socket.
//! - Credentials go into the request to the parent, and into no error, log or debug output.
//!
//! Deliberately not done: asking a second time with other credentials, TLS to the parent, remembering that it is down.

use std::fmt;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time;

use super::connect::{Dialled, connect_any};
use super::loops::Loops;
use crate::facts::{Credentials, Destination, DialError, NextHop, ParentFault};
use crate::policy::{ParentPermit, Reached, VettedAddrs};
use crate::stream::OriginStream;

/// How much the parent may say before its response to a `CONNECT` is over, interim answers included. Real ones are a few
/// hundred bytes; Squid's own limit for a head is four times this.
const MAX_ANSWER: usize = 16 * 1024;

/// A parent proxy.
#[derive(Clone)]
pub struct ParentProxy {
    address: Destination,
    credentials: Option<Credentials>,
    via: Box<str>,
}

impl ParentProxy {
    /// A parent at `address`. `via` is our name in `Via`, by which we know a request that comes round again.
    pub fn new(address: Destination, credentials: Option<Credentials>, via: &str) -> Self {
        Self { address, credentials, via: via.into() }
    }

    /// Where it is.
    pub fn address(&self) -> &Destination {
        &self.address
    }

    /// What to log in with. Only for requests to the parent itself.
    pub fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    fn connect_request(&self, destination: &Destination) -> String {
        let login = self.credentials.as_ref().map(|login| format!("Proxy-Authorization: {}\r\n", login.reveal()));
        format!(
            "CONNECT {destination} HTTP/1.1\r\nHost: {destination}\r\nVia: 1.1 {}\r\n{}\r\n",
            self.via,
            login.unwrap_or_default()
        )
    }
}

impl fmt::Debug for ParentProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ParentProxy").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Connects to the parent within `timeout`, its response to a `CONNECT` included. `leave` is asked once the connection is there,
/// before anything is sent to the parent: the permit may have been revoked in the meantime.
///
/// With [`NextHop::Origin`] the parent is asked for a tunnel, and what comes back is as good as a connection to the origin.
/// With [`NextHop::Parent`] it is connected to and not asked for anything yet: it takes requests in absolute-form.
///
/// # Errors
/// How the parent failed, that this machine has no socket left, or what `leave` says.
pub async fn connect_by_parent<E: From<DialError>>(
    parent: &ParentProxy,
    at: &VettedAddrs,
    leave: impl FnOnce() -> Result<ParentPermit, E>,
    next_hop: NextHop,
    loops: &Loops,
    timeout: Duration,
) -> Result<Dialled, E> {
    let reach = async {
        let mut dialled = connect_any(at.as_slice(), loops, timeout).await.map_err(of_parent)?;
        let permit = leave()?;
        if next_hop == NextHop::Origin {
            let request = parent.connect_request(permit.destination());
            ask(&mut dialled.stream, request.as_bytes()).await.map_err(DialError::Parent)?;
        }
        Ok(Dialled { reached: Reached::Parent(Box::new(permit)), next_hop, ..dialled })
    };
    time::timeout(timeout, reach).await.unwrap_or(Err(DialError::Parent(ParentFault::Timeout).into()))
}

/// The same failure, reported for the parent instead of the destination.
fn of_parent(error: DialError) -> DialError {
    match error {
        DialError::Unreachable(_) | DialError::Refused => DialError::Parent(ParentFault::Unreachable),
        DialError::Timeout => DialError::Parent(ParentFault::Timeout),
        DialError::NoSockets | DialError::Parent(_) | DialError::Loop => error,
    }
}

/// Asks for the tunnel and waits until it is established.
async fn ask(stream: &mut OriginStream, request: &[u8]) -> Result<(), ParentFault> {
    // A parent that has hung up may have said why; if not, the first read tells.
    let _hung_up = stream.write_all(request).await;
    let mut budget = MAX_ANSWER;
    loop {
        let head = read_head(stream, budget).await?;
        budget = budget.saturating_sub(head.len());
        match status(&head).ok_or(ParentFault::Nonsense)? {
            101 => return Err(ParentFault::Nonsense),
            // Interim: the final response is still to come (RFC 9110 §15.2).
            100..=199 => {}
            200..=299 => return Ok(()),
            407 => return Err(ParentFault::Credentials),
            status => return Err(ParentFault::Status(status)),
        }
    }
}

/// One head with its empty line, and not a byte more: what follows is left in the socket.
async fn read_head(stream: &mut OriginStream, most: usize) -> Result<Vec<u8>, ParentFault> {
    let mut head = Vec::new();
    let mut window = vec![0; 1024];
    loop {
        let seen = stream.peek(&mut window).await.map_err(closed)?;
        if seen == 0 {
            return Err(ParentFault::Closed);
        }
        let before = head.len();
        head.extend_from_slice(window.get(..seen).unwrap_or_default());
        let end = head_end(&head, before)?;
        head.truncate(end.unwrap_or(head.len()));
        if head.len() > most {
            return Err(ParentFault::Nonsense);
        }
        // They are there: this does not wait.
        let taken = window.get_mut(..head.len() - before).unwrap_or_default();
        stream.read_exact(taken).await.map_err(closed)?;
        if end.is_some() {
            return Ok(head);
        }
    }
}

fn closed(_: io::Error) -> ParentFault {
    ParentFault::Closed
}

/// Where the head ends, if its end is among the bytes from `from` on. A line feed that no carriage return precedes, or a
/// carriage return that no line feed follows, ends no line here, though it may elsewhere: refused.
fn head_end(head: &[u8], from: usize) -> Result<Option<usize>, ParentFault> {
    for at in from..head.len() {
        let so_far = head.get(..=at).unwrap_or_default();
        match so_far {
            [.., b'\r', b'\n', b'\r', b'\n'] => return Ok(Some(at + 1)),
            [.., b'\r', b'\n'] => {}
            [.., b'\n'] | [.., b'\r', _] | [.., 0] => return Err(ParentFault::Nonsense),
            _ => {}
        }
    }
    Ok(None)
}

/// The status of a head: `HTTP/1.1 200`, a reason or none, and field lines that each have a name (RFC 9112 §4, §5).
fn status(head: &[u8]) -> Option<u16> {
    let text = head.strip_suffix(b"\r\n\r\n")?;
    let mut lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = lines.next()?;
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, reason) = rest.split_at_checked(3)?;
    let is_field = |line: &[u8]| match line.iter().position(|byte| *byte == b':') {
        Some(colon) => colon > 0 && line.iter().take(colon).all(|byte| byte.is_ascii_graphic()),
        None => false,
    };
    let ends_well = reason.is_empty() || reason.starts_with(b" ");
    if !ends_well || !digits.iter().all(u8::is_ascii_digit) || !lines.all(is_field) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|status| (100..=599).contains(status))
}

#[cfg(test)]
#[path = "parent_tests.rs"]
mod tests;
