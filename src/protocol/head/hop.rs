//! What the fields of a head say about its hop (RFC 9110 §7.6): framing, the connection, and an upgrade.

use super::Version;
use super::fields::{FieldBlock, list};
use super::framing::FramingFields;
use super::role::{Role, same_name};
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
