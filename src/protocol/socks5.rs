//! SOCKS5 (RFC 1928): `CONNECT` by name or address, on the same port by the first byte, through the same checks.
//!
//! Guaranteed: the name or address is judged like any other, as the bytes that came: no NUL, no blank, no text of an
//! address in another spelling. Bytes that a client sends ahead of the reply are the tunnel's first bytes.
//!
//! Deliberately not done: BIND and UDP ASSOCIATE (reply 07); user names and passwords (RFC 1929), because outgate has no
//! accounts to check them against: a client that offers no other method gets FF.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;
use std::time::Instant;

use tokio::time::timeout_at;

use super::listener_context::ListenerContext;
use super::next::Next;
use super::tunnelled;
use crate::enforce::{Attempt, ReceivedRequest, Unreached};
use crate::facts::{Destination, Host, HostError, Identity, Port, Protocol, SocksError, SocksReply};
use crate::session::Malformed;
use crate::stream::{ClientStream, Wire};

/// The version, and so the first byte of a connection.
pub(super) const VERSION: u8 = 5;

/// "No authentication required".
const NO_AUTHENTICATION: u8 = 0;
/// The choice of a method, and that there is none.
const CHOSEN: [u8; 2] = [VERSION, NO_AUTHENTICATION];
const NONE_ACCEPTABLE: [u8; 2] = [VERSION, 0xff];

/// What a client's method selection offers (RFC 1928 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MethodSelection {
    /// Its length on the wire.
    pub length: usize,
    /// Whether "no authentication" is among the methods.
    pub offers_none: bool,
}

/// Reads a method selection from the front of `bytes`; `None` asks for more.
///
/// # Errors
/// As soon as it cannot become one.
pub fn read_method_selection(bytes: &[u8]) -> Result<Option<MethodSelection>, SocksError> {
    match bytes {
        [] | [VERSION] => Ok(None),
        [VERSION, 0, ..] => Err(SocksError::NoMethods),
        [VERSION, count, rest @ ..] => Ok(rest.get(..usize::from(*count)).map(|methods| MethodSelection {
            length: 2 + methods.len(),
            offers_none: methods.contains(&NO_AUTHENTICATION),
        })),
        _ => Err(SocksError::Version),
    }
}

/// Reads a request from the front of `bytes`: where to, and its length on the wire; `None` asks for more.
///
/// ```text
/// +----+-----+-------+------+----------+----------+
/// |VER | CMD |  RSV  | ATYP | DST.ADDR | DST.PORT |
/// +----+-----+-------+------+----------+----------+
/// | 1  |  1  | X'00' |  1   | Variable |    2     |
/// +----+-----+-------+------+----------+----------+
/// ```
///
/// # Errors
/// As soon as it cannot become one that is served.
pub fn read_request(bytes: &[u8]) -> Result<Option<(Destination, usize)>, SocksError> {
    // Each byte is judged as soon as it is there, so a request that is refused anyway is not read to its end.
    let fixed = bytes.get(..4.min(bytes.len())).unwrap_or_default();
    match fixed {
        [version, ..] if *version != VERSION => return Err(SocksError::Version),
        [_, command, ..] if *command != 1 => return Err(SocksError::Command),
        [_, _, reserved, ..] if *reserved != 0 => return Err(SocksError::Reserved),
        _ => {}
    }
    let [_, _, _, kind] = fixed else { return Ok(None) };
    let rest = bytes.get(4..).unwrap_or_default();
    let (host, rest) = match kind {
        1 => match rest.split_first_chunk::<4>() {
            Some((octets, rest)) => (Host::Ip(IpAddr::V4(Ipv4Addr::from(*octets))), rest),
            None => return Ok(None),
        },
        4 => match rest.split_first_chunk::<16>() {
            Some((octets, rest)) => (Host::Ip(IpAddr::V6(Ipv6Addr::from(*octets))), rest),
            None => return Ok(None),
        },
        3 => {
            let Some((length, rest)) = rest.split_first() else { return Ok(None) };
            let Some((name, rest)) = rest.split_at_checked(usize::from(*length)) else { return Ok(None) };
            // Brackets belong to an authority; here the address type says what follows.
            if name.starts_with(b"[") {
                return Err(HostError::ForbiddenByte(b'[').into());
            }
            (Host::parse(name)?, rest)
        }
        _ => return Err(SocksError::AddressType),
    };
    let Some((port, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
    let destination = Destination::new(host, Port::new(u16::from_be_bytes(*port))?);
    Ok(Some((destination, bytes.len() - rest.len())))
}

/// Serves one SOCKS5 connection, whose first byte is there.
pub(super) async fn serve(context: &Rc<ListenerContext>, mut wire: Wire<ClientStream>, mut attempt: Attempt) -> Next {
    attempt.protocol(Protocol::Socks5);
    let deadline = Instant::now() + context.limits.head_timeout;
    let selection = match read(&mut wire, deadline, read_method_selection).await {
        Ok(selection) => selection,
        Err(why) => return refuse(wire, attempt, why, false).await,
    };
    wire.consume(selection.length);
    if !selection.offers_none {
        let _recorded = attempt.refuse(Malformed::SocksMethod.into());
        let _gone = wire.send(&NONE_ACCEPTABLE).await;
        return Next::Close(wire);
    }
    // A client that is gone is found by the next read.
    let _gone = wire.send(&CHOSEN).await;
    let (destination, length) = match read(&mut wire, deadline, read_request).await {
        Ok(request) => request,
        Err(why) => return refuse(wire, attempt, why, true).await,
    };
    wire.consume(length);
    let received = ReceivedRequest {
        // A head proves nothing in this version.
        identity: Identity::Anonymous,
        protocol: Protocol::Socks5,
        destination,
        method: None,
        upgrade: None,
        path: None,
        passed_through_us: false,
    };
    match attempt.open(received, &mut None).unless(wire.left_unbegun()).await {
        Ok(opened) => tunnelled::establish(context, wire, opened.session, &reply(SocksReply::Succeeded)).await,
        Err(Unreached::ClientLeft) => Next::Gone,
        Err(Unreached::Refused(refused)) => {
            let _gone = wire.send(&reply(refused.why.row().reply)).await;
            Next::Close(wire)
        }
    }
}

/// Why nothing could be read.
enum Unread {
    Bad(SocksError),
    Late,
    Ended,
}

/// Reads one message with one of the readers above.
async fn read<T>(
    wire: &mut Wire<ClientStream>,
    deadline: Instant,
    reader: impl Fn(&[u8]) -> Result<Option<T>, SocksError>,
) -> Result<T, Unread> {
    loop {
        if let Some(read) = reader(wire.ahead()).map_err(Unread::Bad)? {
            return Ok(read);
        }
        match timeout_at(deadline.into(), wire.fill()).await {
            Err(_) => return Err(Unread::Late),
            Ok(Ok(0) | Err(_)) => return Err(Unread::Ended),
            Ok(Ok(_)) => {}
        }
    }
}

/// Refuses input that is not a request. Before the method is chosen, SOCKS has no reply for this, so the connection is
/// only closed.
async fn refuse(mut wire: Wire<ClientStream>, attempt: Attempt, why: Unread, is_method_chosen: bool) -> Next {
    let (malformed, is_listening) = match why {
        Unread::Bad(error) => (Malformed::Socks(error), true),
        Unread::Late => (Malformed::SocksLate, true),
        Unread::Ended => (Malformed::SocksEnded, false),
    };
    let refused = attempt.refuse(malformed.into());
    if is_method_chosen && is_listening {
        let _gone = wire.send(&reply(refused.why.row().reply)).await;
    }
    Next::Close(wire)
}

/// A reply. The bound address is left unspecified: it would tell a client about this machine's networks.
fn reply(code: SocksReply) -> [u8; 10] {
    [VERSION, code.code(), 0, 1, 0, 0, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(bytes: &[u8]) -> Result<Option<(String, usize)>, SocksError> {
        read_request(bytes).map(|read| read.map(|(destination, length)| (destination.to_string(), length)))
    }

    fn named(name: &[u8]) -> Vec<u8> {
        [&[5, 1, 0, 3, u8::try_from(name.len()).unwrap()], name, &[1, 187]].concat()
    }

    #[test]
    fn a_method_selection_offers_methods() {
        assert_eq!(read_method_selection(b"\x05\x01\x00"), Ok(Some(MethodSelection { length: 3, offers_none: true })));
        assert_eq!(
            read_method_selection(b"\x05\x02\x02\x00x"),
            Ok(Some(MethodSelection { length: 4, offers_none: true }))
        );
        assert_eq!(read_method_selection(b"\x05\x01\x02"), Ok(Some(MethodSelection { length: 3, offers_none: false })));
        assert_eq!(read_method_selection(b"\x05\x02\x00"), Ok(None), "one method is still to come");
        assert_eq!(read_method_selection(b"\x05"), Ok(None));
        assert_eq!(read_method_selection(b"\x05\x00"), Err(SocksError::NoMethods));
        assert_eq!(read_method_selection(b"\x04\x01\x00"), Err(SocksError::Version));
    }

    #[test]
    fn a_request_names_its_destination_in_three_ways() {
        assert_eq!(request(b"\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbbrest"), Ok(Some(("192.0.2.1:443".into(), 10))));
        assert_eq!(request(&named(b"Example.test")), Ok(Some(("example.test:443".into(), 19))));
        let v6 = [&[5, 1, 0, 4][..], &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], &[0, 80]].concat();
        assert_eq!(request(&v6), Ok(Some(("[2001:db8::1]:80".into(), 22))));
        // A dotted quad in a name's place is the address that it says, and is judged as one.
        assert_eq!(request(&named(b"192.0.2.1")), Ok(Some(("192.0.2.1:443".into(), 16))));
    }

    #[test]
    fn what_is_refused_is_refused_at_its_first_wrong_byte() {
        for (bytes, error) in [
            (&b"\x04"[..], SocksError::Version),
            (b"\x05\x02", SocksError::Command),
            (b"\x05\x03\x00\x01", SocksError::Command),
            (b"\x05\x01\x01", SocksError::Reserved),
            (b"\x05\x01\x00\x02", SocksError::AddressType),
            (b"\x05\x01\x00\x03\x00", SocksError::Host(HostError::Empty)),
            (b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x00", SocksError::Host(HostError::Port)),
        ] {
            assert_eq!(request(bytes), Err(error), "{bytes:?}");
        }
        for name in [
            &b"a\0.test"[..],
            b"127.0.0.1 x",
            b"0x7f.1",
            b"[::1]",
            b"::1",
            b"a.test:80",
            b"b\xc3\xbccher.test",
            b"a.test\n",
        ] {
            assert!(matches!(request(&named(name)), Err(SocksError::Host(_))), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn a_prefix_asks_for_more_or_fails_as_the_whole_does(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..300) {
            let whole = request(&bytes);
            let part = request(bytes.get(..cut).unwrap_or(&bytes));
            prop_assert!(part == Ok(None) || part == whole);
        }
    }
}
