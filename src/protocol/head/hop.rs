//! What a field means to the hop that it crosses (RFC 9110 §7.6), by one table for reading and for writing.

use super::Version;
use super::fields::{Field, FieldBlock, list};
use super::framing::FramingFields;
use crate::facts::HeadError;

/// Connection options of one head, in bytes. Real ones are under 50; every option is compared with every field.
const MAX_CONNECTION_BYTES: usize = 1024;

/// What a client wants to upgrade to (`Upgrade` present, and named by `Connection`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// Exactly `websocket`, by a GET of HTTP/1.1 without a body (RFC 6455 §4.1).
    WebSocket,
    /// Anything else, a list among it. It is never forwarded; without it the request is an ordinary one.
    Other,
}

/// What a field is to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    ProxyConnection,
    Upgrade,
    Expect,
    MaxForwards,
    Via,
    Trailer,
    /// What proxies say about a response; a request has none.
    ProxyStatus,
    /// Says that this proxy denied the request: nobody else may say so, in a head or in trailers.
    Denial,
    /// Ends at this hop, and means nothing to us.
    Hop,
    /// Everything else: passes, unless `Connection` names it.
    EndToEnd,
}

/// The fields that stand on denials of this proxy and on nothing else. Two names of one length, and no hop's.
const DENIAL: [&[u8]; 2] = [b"x-deny-reason", b"x-proxy-error"];

/// What means something to a hop, in lower case and with hyphens: the one such name that begins so and is so long.
/// All of `Proxy-*` that is not here is [`Role::Hop`].
fn special(first: u8, length: usize) -> Option<(&'static [u8], Role)> {
    Some(match (first.to_ascii_lowercase(), length) {
        (b't', 2) => (b"te", Role::Hop),
        (b'v', 3) => (b"via", Role::Via),
        (b'h', 4) => (b"host", Role::Host),
        (b'e', 6) => (b"expect", Role::Expect),
        (b'u', 7) => (b"upgrade", Role::Upgrade),
        (b't', 7) => (b"trailer", Role::Trailer),
        (b'c', 10) => (b"connection", Role::Connection),
        (b'k', 10) => (b"keep-alive", Role::Hop),
        (b'm', 12) => (b"max-forwards", Role::MaxForwards),
        (b'p', 12) => (b"proxy-status", Role::ProxyStatus),
        (b'c', 14) => (b"content-length", Role::ContentLength),
        (b'h', 14) => (b"http2-settings", Role::Hop),
        (b'p', 16) => (b"proxy-connection", Role::ProxyConnection),
        (b't', 17) => (b"transfer-encoding", Role::TransferEncoding),
        _ => return None,
    })
}

impl Role {
    /// The role of a field, an underscore or other punctuation counting as a hyphen: CGI-style origins make an
    /// underscore of all of them (RFC 3875 §4.1.18).
    pub(super) fn of(name: &[u8]) -> Self {
        let Some(first) = name.first() else { return Self::EndToEnd };
        match special(*first, name.len()) {
            Some((known, role)) if same_name(name, known) => role,
            _ if name.len() == 13 && DENIAL.iter().any(|denial| same_name(name, denial)) => Self::Denial,
            _ if name.get(..6).is_some_and(|start| same_name(start, b"proxy-")) => Self::Hop,
            _ => Self::EndToEnd,
        }
    }

    /// The role of a received field. One that is special only if its punctuation is read as a hyphen has no meaning to us:
    /// it is dropped when the head is written, and where it would reframe the request, the request is refused.
    pub(super) fn of_received(field: &Field<'_>) -> Result<Self, HeadError> {
        match field.role {
            Self::EndToEnd => Ok(Self::EndToEnd),
            role if field.name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') => Ok(role),
            Self::Host | Self::ContentLength | Self::TransferEncoding => Err(HeadError::DisguisedName),
            _ => Ok(Self::Hop),
        }
    }
}

/// What the fields of one head say about its hop.
#[derive(Debug, Default)]
pub(super) struct HopFields<'b> {
    pub(super) framing: FramingFields<'b>,
    close: bool,
    keep_alive: bool,
    upgrade_named: bool,
    upgrade: Option<Upgrade>,
    /// `Connection` names a field that is none of the usual ones.
    pub(super) nominates: bool,
    connection_bytes: usize,
}

impl<'b> HopFields<'b> {
    pub(super) fn see(&mut self, role: Role, value: &'b [u8]) -> Result<(), HeadError> {
        match role {
            Role::ContentLength => self.framing.see_length(value),
            Role::TransferEncoding => self.framing.see_coding(value),
            Role::Connection => return self.see_connection(value),
            // Never a standard; only its `close` is believed, because closing is always safe.
            Role::ProxyConnection => self.close |= list(value).any(|option| option.eq_ignore_ascii_case(b"close")),
            Role::Upgrade => {
                let websocket = self.upgrade.is_none() && value.eq_ignore_ascii_case(b"websocket");
                self.upgrade = Some(if websocket { Upgrade::WebSocket } else { Upgrade::Other });
            }
            Role::Host
            | Role::Expect
            | Role::MaxForwards
            | Role::Via
            | Role::Trailer
            | Role::ProxyStatus
            | Role::Denial
            | Role::Hop
            | Role::EndToEnd => {}
        }
        Ok(())
    }

    fn see_connection(&mut self, value: &[u8]) -> Result<(), HeadError> {
        self.connection_bytes += value.len();
        if self.connection_bytes > MAX_CONNECTION_BYTES {
            return Err(HeadError::ConnectionOptions);
        }
        for option in list(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade_named = true;
            } else if !option.is_empty() {
                self.nominates = true;
            }
        }
        Ok(())
    }

    /// Whether the sender keeps the connection (RFC 9112 §9.3).
    pub(super) fn keeps_alive(&self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }

    /// The upgrade, if `Connection` names it; without that the field was not meant for us.
    pub(super) fn upgrade(&self) -> Option<Upgrade> {
        self.upgrade.filter(|_| self.upgrade_named)
    }
}

/// Whether a `Connection` field names this one.
pub(super) fn is_nominated(block: &FieldBlock<'_>, name: &[u8]) -> bool {
    block
        .iter()
        .filter(|field| field.role == Role::Connection)
        .any(|field| list(field.value).any(|option| same_name(option, name)))
}

/// Equal but for case and for which punctuation is where.
pub(super) fn same_name(name: &[u8], known: &[u8]) -> bool {
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == known.len() && name.iter().zip(known).all(|(a, b)| fold(*a) == fold(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_name_is_found_by_its_own_beginning_and_length() {
        let known: Vec<_> = (b'a'..=b'z').flat_map(|first| (0..64).filter_map(move |n| special(first, n))).collect();
        assert_eq!(known.len(), 14);
        for (name, role) in known {
            let name = std::str::from_utf8(name).unwrap();
            let of = |name: &str| Role::of(name.as_bytes());
            assert_eq!((of(name), of(&name.to_uppercase())), (role, role), "{name}");
            for other in ["_", ".", "~", "!", "'"] {
                assert_eq!(of(&name.replace('-', other)), role, "{name} with {other}");
            }
            assert_eq!(of(&format!("x{name}")), Role::EndToEnd, "{name}");
            let near = if name.starts_with("proxy-") { Role::Hop } else { Role::EndToEnd };
            let cut = name.strip_suffix(|_: char| true).unwrap();
            assert_eq!(of(&format!("{cut}x")), near, "{name}");
        }
    }

    #[test]
    fn what_says_that_we_denied_is_known_in_every_spelling() {
        for name in ["X-Deny-Reason", "x_deny_reason", "X-DENY.REASON", "X-Proxy-Error", "x~proxy_error"] {
            assert_eq!(Role::of(name.as_bytes()), Role::Denial, "{name}");
        }
        for near in ["X-Deny-Reasons", "X-Deny-Reaso", "X-DenysReason", "X-Denial-Why", "X-Proxy-Errol", "X-Request-Id"]
        {
            assert_eq!(Role::of(near.as_bytes()), Role::EndToEnd, "{near}");
        }
    }
}
