//! SOCKS5 messages: the verdict does not depend on how the bytes arrive, and the destination is the one in the message.

use std::net::IpAddr;

use outgate::facts::{Destination, Host, Port, SocksError};
use outgate::protocol::socks5::{MethodSelection, read_method_selection, read_request};

pub(super) fn check(input: &[u8]) {
    let selection = by_prefixes(input, read_method_selection);
    if let Ok(Some(selection)) = selection {
        check_method_selection(selection, input);
    }
    // An input is a request alone, or a request right after the method selection, as from a client that does not wait.
    for begin in [0, selection.ok().flatten().map_or(0, |selection| selection.length)] {
        let message = &input[begin..];
        if let Ok(Some((destination, length))) = by_prefixes(message, read_request) {
            check_request(&destination, &message[..length]);
        }
    }
}

/// What a reader says of the whole it says of the first prefix that suffices, and of none before.
fn by_prefixes<T: PartialEq + std::fmt::Debug>(
    input: &[u8],
    read: fn(&[u8]) -> Result<Option<T>, SocksError>,
) -> Result<Option<T>, SocksError> {
    let whole = read(input);
    // No message is longer than 262 bytes.
    let verdicts = (0..=input.len().min(300)).map(|end| read(&input[..end]));
    let mut verdicts = verdicts.skip_while(|verdict| *verdict == Ok(None)).peekable();
    if verdicts.peek().is_none() {
        assert_eq!(whole, Ok(None));
    }
    assert!(verdicts.all(|verdict| verdict == whole), "a prefix says something else than {whole:?}");
    whole
}

fn check_method_selection(selection: MethodSelection, input: &[u8]) {
    let methods = &input[2..selection.length];
    assert_eq!((input[0], usize::from(input[1])), (5, methods.len()));
    assert!(!methods.is_empty());
    assert_eq!(selection.offers_none, methods.contains(&0));
}

fn check_request(destination: &Destination, message: &[u8]) {
    let (head, rest) = message.split_at(4);
    let (address, port) = rest.split_at(rest.len() - 2);
    assert_eq!(head[..3], [5, 1, 0]);
    assert_eq!(port, destination.port().get().to_be_bytes());
    match (head[3], destination.host()) {
        (1, Host::Ip(IpAddr::V4(ip))) => assert_eq!(address, ip.octets()),
        (4, Host::Ip(IpAddr::V6(ip))) => assert_eq!(address, ip.octets()),
        (3, host) => {
            let name = &address[1..];
            assert_eq!(usize::from(address[0]), name.len());
            // The same bytes in a CONNECT lead to the same place.
            let authority = [name, b":", destination.port().to_string().as_bytes()].concat();
            assert_eq!(Destination::parse(&authority, None).as_ref(), Ok(destination));
            assert!(!matches!(host, Host::Ip(IpAddr::V6(_))), "an IPv6 address has its own type");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(Destination::parse(destination.to_string().as_bytes(), Some(Port::HTTP)).as_ref(), Ok(destination));
}
