//! TLS records (RFC 8446 §5.1), and what else a first byte can begin.

use super::HelloError;
use super::message::CLIENT_HELLO;

/// Type, version and length of a record (RFC 8446 §5.1).
pub(super) const RECORD_HEADER: usize = 5;
/// The most that a plaintext record may hold (RFC 8446 §5.1).
pub(super) const MAX_RECORD: usize = 1 << 14;
/// The record types that may come first (RFC 8446 §5.1).
pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;

/// A handshake record of which at least the header has arrived.
pub(super) struct TlsRecord<'a> {
    /// As its header says.
    pub(super) length: usize,
    /// As much of it as has arrived.
    pub(super) fragment: &'a [u8],
}

impl<'a> TlsRecord<'a> {
    /// Judges each byte of the header when it is there, so that a client which waits for an answer gets one.
    pub(super) fn read(bytes: &'a [u8], first: bool) -> Result<Option<Self>, HelloError> {
        let strange = |why| match (first, begins_as_tls(bytes)) {
            (false, _) => Err(HelloError::Malformed(why)),
            (true, Some(true)) => Err(HelloError::Malformed("its first record is of another kind or version")),
            (true, Some(false)) => Err(HelloError::NotTls),
            (true, None) => Ok(None),
        };
        if bytes.first().is_some_and(|kind| *kind != HANDSHAKE) {
            return strange("a record of another kind interrupts it");
        }
        // The minor version of a record means nothing, and servers must take any (RFC 5246 appendix E.1, RFC 8446 §5.1).
        if bytes.get(1).is_some_and(|major| *major != 3) {
            return strange("a record of another protocol interrupts it");
        }
        let Some(([_, _, _, high, low], rest)) = bytes.split_first_chunk() else { return Ok(None) };
        match usize::from(u16::from_be_bytes([*high, *low])) {
            0 => Err(HelloError::Malformed("a record is empty")),
            length @ 1..=MAX_RECORD => Ok(Some(Self { length, fragment: rest.get(..length).unwrap_or(rest) })),
            _ => Err(HelloError::Malformed("a record is longer than TLS permits")),
        }
    }
}

/// Whether bytes that this reader does not accept as a first record might begin TLS for a more lenient server, which
/// would then read the ClientHello after them. `None` while that is open.
///
/// The version decides nothing: Java takes any from 3.0 on and Go any below 16.0, and both skip an alert before the
/// ClientHello. Where the version is not that of TLS, the shape of the record has to tell, since other protocols begin
/// with such a byte too.
fn begins_as_tls(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [] | [20..=24] => None,
        [20..=24, 3, ..] => Some(true),
        // An empty record, and one that a ClientHello begins in.
        [HANDSHAKE, _, _, 0, 0, ..] | [HANDSHAKE, _, _, _, _, CLIENT_HELLO, ..] => Some(true),
        // A warning or a fatal alert, and a change of cipher (RFC 8446 §5, §6).
        [ALERT, _, _, 0, 2, 1 | 2, ..] | [CHANGE_CIPHER_SPEC, _, _, 0, 1, 1, ..] => Some(true),
        [high, ..] if *high >= 0x80 => begins_as_ssl_2(bytes),
        [HANDSHAKE | ALERT | CHANGE_CIPHER_SPEC, rest @ ..] if rest.len() < RECORD_HEADER => None,
        _ => Some(false),
    }
}

/// Whether these bytes, of which the first has its high bit set, begin a ClientHello in the format of SSL 2.0 (RFC 5246
/// appendix E.2): a length that has room for its fixed part, the type, and the version of SSL 3.0 or TLS.
///
/// Java reads one of any length, and NSS one with a padded header, which begin as other protocols do. Those are left out:
/// this format cannot name a server, so they pass only where a ClientHello without a server name may.
fn begins_as_ssl_2(bytes: &[u8]) -> Option<bool> {
    match bytes {
        [0x80, 0..=8, ..] => Some(false),
        [_] | [_, _] | [_, _, CLIENT_HELLO] => None,
        [_, _, CLIENT_HELLO, major, ..] => Some(*major >= 3),
        _ => Some(false),
    }
}
