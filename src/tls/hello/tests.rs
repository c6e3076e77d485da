//! The reader against bytes written by hand, hellos of real clients, and rustls.

use proptest::prelude::*;

use super::record::{ALERT, CHANGE_CIPHER_SPEC, HANDSHAKE, MAX_RECORD};
use super::*;
use crate::facts::DomainName;

const LIMIT: usize = 64 * 1024;

const NOT_TLS: Result<Option<ServerName>, HelloError> = Err(HelloError::NotTls);
const TOO_LARGE: Result<Option<ServerName>, HelloError> = Err(HelloError::TooLarge);
const MORE: Result<Option<ServerName>, HelloError> = Ok(None);
const NONE: Result<Option<ServerName>, HelloError> = Ok(Some(ServerName::Missing));

fn malformed(why: &'static str) -> Result<Option<ServerName>, HelloError> {
    Err(HelloError::Malformed(why))
}

fn named(name: &str) -> Result<Option<ServerName>, HelloError> {
    Ok(Some(ServerName::Name(DomainName::parse(name.as_bytes()).unwrap())))
}

fn addressed(ip: &str) -> Result<Option<ServerName>, HelloError> {
    Ok(Some(ServerName::Address(ip.parse().unwrap())))
}

/// The answer to bytes that are all there, and the same bytes one at a time must come to the same.
fn read(bytes: &[u8]) -> Result<Option<ServerName>, HelloError> {
    let at_once = HelloReader::new(LIMIT).read(bytes).map(|hello| hello.map(|hello| hello.sni));
    let mut reader = HelloReader::new(LIMIT);
    let bytewise = (1..=bytes.len()).find_map(|end| match reader.read(&bytes[..end]) {
        Ok(None) => None,
        Ok(Some(hello)) => Some(Ok(Some(hello.sni))),
        Err(error) => Some(Err(error)),
    });
    assert_eq!(at_once, bytewise.unwrap_or(MORE), "one byte at a time");
    at_once
}

fn vec8(data: &[u8]) -> Vec<u8> {
    [&[u8::try_from(data.len()).unwrap()], data].concat()
}

fn vec16(data: &[u8]) -> Vec<u8> {
    [&u16::try_from(data.len()).unwrap().to_be_bytes(), data].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().as_slice(), &vec16(data)].concat()
}

fn name(kind: u8, name: &[u8]) -> Vec<u8> {
    [&[kind], vec16(name).as_slice()].concat()
}

fn sni(host: &str) -> Vec<u8> {
    extension(0, &vec16(&name(0, host.as_bytes())))
}

/// supported_versions with TLS 1.3, signature_algorithms: what the oracle insists on.
fn usual() -> Vec<u8> {
    [extension(43, &[2, 3, 4]), extension(13, &[0, 4, 4, 3, 8, 4])].concat()
}

/// A handshake message around a body.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

/// Everything of a hello's body before its extensions.
fn front() -> Vec<u8> {
    [&[3, 3], [7; 32].as_slice(), &vec8(&[9; 32]), &vec16(&[0x13, 1, 0xc0, 0x2f]), &vec8(&[0])].concat()
}

fn hello(extensions: &[u8]) -> Vec<u8> {
    message(1, &[front(), vec16(extensions)].concat())
}

fn record(kind: u8, data: &[u8]) -> Vec<u8> {
    [&[kind, 3, 1], vec16(data).as_slice()].concat()
}

/// Splits a message into records of at most the given size.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|fragment| record(22, fragment)).collect()
}

fn with(extensions: &[Vec<u8>]) -> Vec<u8> {
    records(&hello(&extensions.concat()), MAX_RECORD)
}

#[test]
fn a_name_is_read_in_any_place_and_in_any_case() {
    for (bytes, expected) in [
        (with(&[sni("a.test")]), named("a.test")),
        (with(&[usual(), sni("a.test")]), named("a.test")),
        (with(&[sni("A.TEST"), usual()]), named("a.test")),
        (with(&[sni("a.test.")]), named("a.test")),
        (with(&[sni("a_b.a.test")]), named("a_b.a.test")),
        (with(&[extension(21, &[0; 12_000]), sni("a.test")]), named("a.test")),
        (with(&[extension(0x0a0a, b""), sni("a.test"), extension(0x1a1a, b"x")]), named("a.test")),
        (with(&[extension(0xfe0d, &[0; 200]), sni("outer.test")]), named("outer.test")),
        (with(&[usual()]), NONE),
        (with(&[]), NONE),
        (records(&message(1, &front()), MAX_RECORD), NONE),
        (with(&[sni("192.0.2.1")]), addressed("192.0.2.1")),
        (with(&[sni("[2001:db8::1]")]), addressed("2001:db8::1")),
    ] {
        assert_eq!(read(&bytes), expected);
    }
}

#[test]
fn what_two_servers_could_read_differently_has_no_name() {
    let no_host = || malformed("its server name is not a host name");
    let no_list = || malformed("its server name extension is not a list");
    let (a, b) = (name(0, b"a.test"), name(0, b"b.test"));
    for (data, expected) in [
        (vec16(&a), named("a.test")),
        (vec16(&[a.clone(), b].concat()), malformed("it names more than one server")),
        (vec16(&[a.clone(), a.clone()].concat()), malformed("it names more than one server")),
        (vec16(&[a.clone(), vec![0]].concat()), malformed("it names more than one server")),
        (vec16(&[name(1, b"x"), a.clone()].concat()), malformed("its server name is of an unknown type")),
        (vec16(&name(1, b"a.test")), malformed("its server name is of an unknown type")),
        (vec16(b""), no_list()),
        (b"".to_vec(), no_list()),
        ([vec16(&a), vec![0]].concat(), no_list()),
        (vec16(&a)[..8].to_vec(), no_list()),
        (vec16(&a[..8]), no_list()),
        (vec16(&name(0, b"")), no_host()),
        (vec16(&name(0, b"a.test..")), no_host()),
        (vec16(&name(0, b"a.test\0.b.test")), no_host()),
        (vec16(&name(0, "ä.test".as_bytes())), no_host()),
        (vec16(&name(0, b"\xff.test")), no_host()),
        (vec16(&name(0, b"*.test")), no_host()),
        (vec16(&name(0, b"0x7f.1")), no_host()),
        (vec16(&name(0, b"2001:db8::1")), no_host()),
        (vec16(&name(0, &[b'a'; 63])), named(&"a".repeat(63))),
        (vec16(&name(0, &[b'a'; 64])), no_host()),
        (vec16(&name(0, &b"a.".repeat(130))), no_host()),
    ] {
        assert_eq!(read(&with(&[extension(0, &data)])), expected, "{data:?}");
    }
    let twice = || malformed("it has an extension twice");
    assert_eq!(read(&with(&[sni("a.test"), sni("b.test")])), twice());
    assert_eq!(read(&with(&[sni("a.test"), usual(), sni("a.test")])), twice());
    assert_eq!(read(&with(&[sni("a.test"), usual(), usual()])), twice());
    assert_eq!(read(&with(&[extension(7, b""), sni("a.test"), extension(8, b"")])), named("a.test"));
}

#[test]
fn every_length_is_exact() {
    let short = || malformed("a length reaches beyond its end");
    let good = [front(), vec16(&sni("a.test"))].concat();
    let whole = |body: &[u8]| read(&records(&message(1, body), MAX_RECORD));
    assert_eq!(whole(&good), named("a.test"));
    assert_eq!(whole(&[good.as_slice(), &[0]].concat()), malformed("something follows its extensions"));
    for end in 0..good.len() {
        let expected = if end == front().len() { NONE } else { short() };
        assert_eq!(whole(&good[..end]), expected, "cut at {end}");
    }
    assert_eq!(whole(&[front(), vec16(&[0, 5, 0])].concat()), short());
    assert_eq!(whole(&[front(), vec16(&[0, 5, 0, 2, 1])].concat()), short());
    for (session, suites, methods, expected) in [
        (0, 2, 1, NONE),
        (32, 4, 2, NONE),
        (33, 2, 1, malformed("its session id is too long")),
        (0, 0, 1, malformed("its list of cipher suites has an impossible length")),
        (0, 3, 1, malformed("its list of cipher suites has an impossible length")),
        (0, 2, 0, malformed("its list of compression methods is empty")),
    ] {
        let lists = [vec8(&vec![0; session]), vec16(&vec![0; suites]), vec8(&vec![0; methods])].concat();
        assert_eq!(whole(&[&[3, 3], [7; 32].as_slice(), &lists].concat()), expected);
    }
    for (version, expected) in
        [(0x0300, NONE), (0x0301, NONE), (0x0304, NONE), (0xfefd, malformed("its version is not TLS"))]
    {
        let body = [u16::to_be_bytes(version).as_slice(), &front()[2..]].concat();
        assert_eq!(whole(&body), expected, "{version:x}");
    }
}

#[test]
fn records_may_cut_the_hello_anywhere_but_hold_nothing_else() {
    let hello = hello(&sni("a.test"));
    for size in [1, 2, 3, 4, 5, 50, hello.len() - 1, hello.len()] {
        assert_eq!(read(&records(&hello, size)), named("a.test"), "records of {size}");
    }
    let (head, tail) = hello.split_at(40);
    let other = || malformed("its first record is of another kind or version");
    let around = |middle: &[u8]| [record(22, head), middle.to_vec(), record(22, tail)].concat();
    assert_eq!(read(&around(b"")), named("a.test"));
    assert_eq!(read(&around(&record(22, b""))), malformed("a record is empty"));
    for kind in [20, 21, 23, 24, 0, 255] {
        assert_eq!(read(&around(&record(kind, b"x"))), malformed("a record of another kind interrupts it"));
    }
    for (kind, expected) in [(20, other()), (21, other()), (23, other()), (24, other()), (25, NOT_TLS), (0, NOT_TLS)] {
        assert_eq!(read(&[record(kind, b"x"), records(&hello, 99)].concat()), expected, "{kind}");
    }
    assert_eq!(read(&[record(22, b""), records(&hello, 99)].concat()), malformed("a record is empty"));
    let follows = || malformed("something follows it in the same record");
    assert_eq!(read(&record(22, &[hello.clone(), hello.clone()].concat())), follows());
    assert_eq!(read(&record(22, &[hello.clone(), vec![0]].concat())), follows());
    assert_eq!(read(&[record(22, head), record(22, &[tail, b"\0"].concat())].concat()), follows());
    assert_eq!(read(&[record(22, &hello), b"anything".to_vec()].concat()), named("a.test"));
    let long = [&[22, 3, 1, 0x40, 1], hello.as_slice()].concat();
    assert_eq!(read(&long), malformed("a record is longer than TLS permits"));
}

#[test]
fn a_record_may_bear_any_minor_version() {
    let good = with(&[sni("a.test")]);
    for (major, minor, expected) in [
        (3, 0, named("a.test")),
        (3, 3, named("a.test")),
        (3, 4, named("a.test")),
        (3, 0x99, named("a.test")),
        (2, 3, malformed("its first record is of another kind or version")),
        (0x0f, 0xff, malformed("its first record is of another kind or version")),
        (0, 0, malformed("its first record is of another kind or version")),
        (0x10, 0, malformed("its first record is of another kind or version")),
        (0x99, 0x99, malformed("its first record is of another kind or version")),
        (0xfe, 0xfd, malformed("its first record is of another kind or version")),
        (0xff, 0xff, malformed("its first record is of another kind or version")),
    ] {
        let bytes = [&[22, major, minor], &good[3..]].concat();
        assert_eq!(read(&bytes), expected, "{major}.{minor}");
    }
}

#[test]
fn other_protocols_are_known_by_their_first_bytes() {
    for bytes in [
        b"GET / HTTP/1.1\r\n".as_slice(),
        b"PRI * HTTP/2.0\r\n",
        b"SSH-2.0-x\r\n",
        b"\x16GET /",
        b"\x16\xfe\xfd\0\x05\x02",
        b"\x17\x10",
        b"\x18\xfe",
        b"\x13\x03",
        b"\x19\x03",
        b"\0",
        // Bytes of other protocols that a record may begin with too: a message's length, first its low byte.
        b"\x16\x01\0\0\x05\0\0\0\0\0\0\0",
        b"\x15\x01\0\0\x02\0\0\0\0\0\0\0",
        b"\x15\x02\0\x01\0\x01",
        b"\x15\x10\0\0\x03\x01",
        b"\x15\x10\0\0\x02\x03",
        b"\x14\x01\0\0\x01\0",
        b"\x14\x10\0\0\x02\x01",
        // Other protocols whose messages begin with a high bit: a length, a mark, a first message.
        b"\x80\0\x01\x03",
        b"\x80\x08\x01\x03",
        b"\x80\x2e\x02",
        b"\x80\x2e\x01\x02",
        b"\xff\xfb\x03",
    ] {
        assert_eq!(read(bytes), NOT_TLS, "{bytes:?}");
    }
    let other = || malformed("the first handshake message is of another type");
    assert_eq!(read(b"\x16\x03\x01\0\x05hello"), other());
    assert_eq!(read(&record(22, &message(2, &front()))), other());
    assert_eq!(read(&record(22, &[message(0, b""), hello(&sni("a.test"))].concat())), other());
    assert_eq!(read(b""), MORE);
    assert_eq!(read(b"\x16"), MORE);
    assert_eq!(read(b"\x15"), MORE);
}

#[test]
fn what_a_lenient_server_reads_on_from_is_tls() {
    let alert = record(ALERT, &[1, 112]);
    let change = record(CHANGE_CIPHER_SPEC, &[1]);
    let empty = record(HANDSHAKE, b"");
    for major in [0, 2, 3, 4, 0x0f, 0x10, 0x99, 0xff] {
        for first in [&alert, &change, &empty] {
            let mut bytes = [first.as_slice(), &with(&[sni("a.test")])].concat();
            bytes[1] = major;
            let is_refused = matches!(read(&bytes), Err(HelloError::Malformed(_)));
            assert!(is_refused, "{major} {bytes:?}");
        }
    }
    let lenient = || malformed("its first record is of another kind or version");
    for (bytes, told_at) in [
        (b"\x17\x03".as_slice(), 2),
        (b"\x15\x03", 2),
        (b"\x15\x02\0\0\x02\x01", 6),
        (b"\x15\xff\xff\0\x02\x02", 6),
        (b"\x14\x10\0\0\x01\x01", 6),
        (b"\x16\x04\x01\0\x50\x01", 6),
        (b"\x16\xff\xff\xff\xff\x01", 6),
        (b"\x16\x10\0\0\0", 5),
        // In the format of SSL 2.0, for TLS 1.0 and for a version to come.
        (b"\x80\x2e\x01\x03", 4),
        (b"\x80\x09\x01\x03", 4),
        (b"\x81\0\x01\x10", 4),
    ] {
        assert_eq!(read(bytes), lenient(), "{bytes:?}");
        assert_eq!(bytes.len(), told_at);
        for end in 0..told_at {
            assert_eq!(read(&bytes[..end]), MORE, "{bytes:?} up to {end}");
        }
    }
}

#[test]
fn the_limit_is_the_last_byte_that_a_hello_may_end_at() {
    let bytes = records(&hello(&[sni("a.test"), extension(21, &[0; 500])].concat()), 100);
    let limited = |limit, bytes: &[u8]| HelloReader::new(limit).read(bytes).map(|hello| hello.map(|hello| hello.sni));
    assert_eq!(limited(bytes.len(), &bytes), named("a.test"));
    assert_eq!(limited(bytes.len(), &[bytes.as_slice(), b"early data"].concat()), named("a.test"));
    assert_eq!(limited(bytes.len(), &bytes[..bytes.len() - 1]), MORE);
    assert_eq!(limited(bytes.len() - 1, &bytes), TOO_LARGE);
    assert_eq!(limited(bytes.len() - 1, &bytes[..bytes.len() - 1]), TOO_LARGE);
    assert_eq!(read(b"\x16\x03\x01\x40\0\x01\xff\xff\xff"), TOO_LARGE, "announced, not sent");
    assert_eq!(read(b"\x16\x03\x01\x40\0\x01\0\xff\xfc"), MORE);
    assert_eq!(read(b"\x16\x03\x01\x40\0\x01\0\xff\xfd"), TOO_LARGE);
}

#[test]
fn hellos_of_real_clients_are_read() {
    macro_rules! fixture {
        ($name:literal) => {
            include_bytes!(concat!("../../../tests/fixtures/hellos/", $name, ".bin")).as_slice()
        };
    }
    for bytes in [
        fixture!("curl-openssl3"),
        fixture!("curl-openssl3-tls12"),
        fixture!("openssl3-fragmented"),
        fixture!("python-ssl"),
        fixture!("node20"),
        fixture!("java17"),
        fixture!("rustls"),
        fixture!("chromium156-early"),
        fixture!("chromium156-middle"),
        fixture!("chromium156-late"),
    ] {
        assert_eq!(read(bytes), named("client.example.test"));
        assert_eq!(read(&bytes[..bytes.len() - 1]), MORE);
    }
    for bytes in [fixture!("node20-fetch-address"), fixture!("gnutls-address")] {
        assert_eq!(read(bytes), NONE);
    }
}

/// What another implementation makes of the same bytes: the name, if it takes them for a hello.
fn oracle(mut bytes: &[u8]) -> Result<Option<Option<String>>, rustls::Error> {
    let mut acceptor = rustls::server::Acceptor::default();
    loop {
        let read = acceptor.read_tls(&mut bytes).unwrap();
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(Some(accepted.client_hello().server_name().map(str::to_owned))),
            Ok(None) if read == 0 => return Ok(None),
            Ok(None) => {}
            Err((error, _)) => return Err(error),
        }
    }
}

#[test]
fn the_oracle_reads_what_the_properties_feed_it() {
    let good = with(&[usual(), sni("a.test"), extension(21, b"ab")]);
    assert_eq!(oracle(&good).unwrap(), Some(Some("a.test".to_owned())));
    assert_eq!(oracle(&with(&[usual()])).unwrap(), Some(None));
    assert_eq!(oracle(&good[..99]).unwrap(), None);
}

/// This reader and rustls never find two different names.
fn agree(bytes: &[u8]) {
    let (Ok(ours), Ok(theirs)) = (read(bytes), oracle(bytes)) else { return };
    let ours = ours.map(|sni| match sni {
        ServerName::Name(name) => Some(name.as_str().to_owned()),
        ServerName::Address(_) | ServerName::Missing => None,
    });
    assert_eq!(ours, theirs.map(|name| name.map(|name| name.to_ascii_lowercase())));
}

/// Puts a message into records of the given sizes, over and over.
fn cut(message: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut rest = message;
    let mut bytes = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (fragment, tail) = rest.split_at(rest.len().min(*size));
        bytes.extend(record(22, fragment));
        rest = tail;
    }
    bytes
}

proptest! {
    #[test]
    fn cuts_never_change_the_answer(
        host in "[a-zA-Z0-9-]{1,20}(\\.[a-z]{1,9}){0,3}",
        padding in 0_usize..300,
        sizes in prop::collection::vec(1_usize..120, 1..9),
        ends in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let message = hello(&[usual(), extension(21, &vec![0; padding]), sni(&host)].concat());
        let expected = parse_message(&message).map(|hello| Some(hello.sni));
        let bytes = cut(&message, &sizes);
        prop_assert_eq!(&read(&bytes), &expected);
        let mut ends: Vec<usize> = ends.iter().map(|end| end.index(bytes.len())).collect();
        ends.sort_unstable();
        let mut reader = HelloReader::new(LIMIT);
        for end in ends {
            if expected.is_ok() {
                prop_assert_eq!(reader.read(&bytes[..end]), Ok(None));
            }
        }
        prop_assert_eq!(reader.read(&bytes).map(|hello| hello.map(|hello| hello.sni)), expected);
        agree(&bytes);
    }

    #[test]
    fn a_damaged_hello_never_has_another_name_than_other_servers_read(
        sizes in prop::collection::vec(1_usize..200, 1..4),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        length in any::<prop::sample::Index>(),
    ) {
        let mut bytes = cut(&hello(&[usual(), sni("a.test"), extension(21, b"ab")].concat()), &sizes);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        agree(&bytes);
        agree(&bytes[..length.index(bytes.len())]);
    }

    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..400), wrap in any::<bool>()) {
        let bytes = if wrap { records(&message(1, &body), 90) } else { body };
        agree(&bytes);
    }
}
