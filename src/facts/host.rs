//! The only code that turns text into a host.
//!
//! Guaranteed:
//! - What is accepted is ASCII, lower case, made of letters, digits, `-` and `_`, in labels of 1 to 63 bytes, 253 in all
//!   (RFC 1035 §2.3.4; the underscore because real names have it). One trailing dot is removed (RFC 3986 §3.2.2).
//! - An IPv4 address is four plain decimal octets. Octal, hexadecimal, short and dword spellings are errors, because
//!   libc, browsers and std read them differently; so is any name whose last label a browser would read as a number.
//! - An IPv6 address is in brackets on the wire, without a zone (a zone is only meaningful on the sender's machine).
//!
//! Deliberately not done: IDNA mapping, percent decoding, trimming. A proxy that repairs a name matches one string and
//! dials another.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU16;
use std::sync::Arc;

/// The longest name that DNS can carry, in its text form without the trailing dot (RFC 1035 §2.3.4), in bytes.
pub const MAX_NAME: usize = 253;
/// The longest label of a name (RFC 1035 §2.3.4).
const MAX_LABEL: usize = 63;

/// Where a request wants to go: an address or a name, in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address literal.
    Ip(IpAddr),
    /// A domain name.
    Name(DomainName),
}

/// A syntactically valid, lower-case domain name without its trailing dot. Counted: a request's facts, its permit and its
/// record all have it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DomainName(Arc<str>);

/// A TCP port, which is never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port(NonZeroU16);

/// A host and a port: what is asked for, what a denial is counted under.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    host: Host,
    port: Port,
}

/// Why text is not a host, port or authority. The message is a clause that fits after "malformed request: ".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Nothing where a host belongs.
    #[error("the host is empty")]
    Empty,
    /// A byte that no host name has: blanks, controls, `@`, `%`, `\`, anything beyond ASCII.
    #[error("the host contains the byte 0x{0:02x}, which no host name has")]
    ForbiddenByte(u8),
    /// Two dots in a row, or a dot at the start.
    #[error("the host has an empty label")]
    EmptyLabel,
    /// A label over 63 bytes.
    #[error("a label of the host is longer than 63 bytes")]
    LongLabel,
    /// A name over 253 bytes.
    #[error("the host is longer than 253 bytes")]
    LongName,
    /// Some parsers read it as a number, but it is not a plain dotted quad.
    #[error("the host looks like an IPv4 address but is not four decimal octets")]
    LegacyIpv4,
    /// Brackets around something else than an IPv6 address, or an IPv6 address without them.
    #[error("the host is no IPv6 address in brackets (a zone is not accepted)")]
    Ipv6,
    /// No port where one is needed.
    #[error("the port is missing")]
    MissingPort,
    /// Not 1 to 65535 in plain decimal digits without leading zeros.
    #[error("the port is not a number from 1 to 65535")]
    Port,
}

impl Host {
    /// Reads a host as it is on the wire: a name, a dotted quad, or an IPv6 address in brackets.
    pub fn parse(text: &[u8]) -> Result<Self, HostError> {
        if let Some(inner) = text.strip_prefix(b"[") {
            let inner = inner.strip_suffix(b"]").ok_or(HostError::Ipv6)?;
            return parse_ipv6(inner).map(|ip| Self::Ip(IpAddr::V6(ip)));
        }
        if let Some(ip) = parse_ipv4(text) {
            return Ok(Self::Ip(IpAddr::V4(ip)));
        }
        DomainName::parse(text).map(Self::Name)
    }

    /// The name, if it is one.
    pub fn as_name(&self) -> Option<&DomainName> {
        match self {
            Self::Name(name) => Some(name),
            Self::Ip(_) => None,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl fmt::Display for Host {
    /// As in an authority: IPv6 in brackets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Self::Name(name) => f.write_str(name.as_str()),
        }
    }
}

impl DomainName {
    /// Reads a name, lower-casing it and removing one trailing dot.
    pub fn parse(text: &[u8]) -> Result<Self, HostError> {
        let mut buffer = [0; MAX_NAME];
        let name = Self::parse_into(text, &mut buffer)?;
        // It is ASCII by now; nothing else would be accepted here either.
        std::str::from_utf8(name).map(|name| Self(name.into())).map_err(|_| HostError::Empty)
    }

    /// As [`DomainName::parse`], into a buffer of the caller's: lists have millions of names, and none of them needs a
    /// `String` of its own.
    pub fn parse_into<'b>(text: &[u8], buffer: &'b mut [u8; MAX_NAME]) -> Result<&'b [u8], HostError> {
        let text = text.strip_suffix(b".").unwrap_or(text);
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        // Before the length: a byte that cannot be in a name is the better explanation of a long line of garbage.
        if let Some(byte) = text.iter().copied().find(|byte| !is_name_byte(*byte)) {
            return Err(HostError::ForbiddenByte(byte));
        }
        let name = buffer.get_mut(..text.len()).ok_or(HostError::LongName)?;
        name.copy_from_slice(text);
        name.make_ascii_lowercase();
        let mut last: &[u8] = b"";
        for label in text.split(|byte| *byte == b'.') {
            match label.len() {
                0 => return Err(HostError::EmptyLabel),
                1..=MAX_LABEL => last = label,
                _ => return Err(HostError::LongLabel),
            }
        }
        if reads_as_number(last) {
            return Err(HostError::LegacyIpv4);
        }
        Ok(name)
    }

    /// The name in lower case, without a trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same text, counted.
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// The name itself, then what is left after each of its labels: `a.b.c`, `b.c`, `c`.
    pub fn suffixes(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.as_str()), |rest| rest.split_once('.').map(|(_, rest)| rest))
    }

    /// Whether it has one label only; such a name means something different on every network.
    pub fn is_single_label(&self) -> bool {
        !self.0.contains('.')
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Port {
    /// Plain HTTP's port.
    pub const HTTP: Self = Self(NonZeroU16::new(80).unwrap());
    /// The port of HTTP over TLS.
    pub const HTTPS: Self = Self(NonZeroU16::new(443).unwrap());

    /// A port from its number; zero is none.
    pub fn new(number: u16) -> Result<Self, HostError> {
        NonZeroU16::new(number).map(Self).ok_or(HostError::Port)
    }

    /// Reads plain decimal digits without sign, blank or leading zero.
    pub fn parse(text: &[u8]) -> Result<Self, HostError> {
        if text.is_empty() || text.len() > 5 || text.starts_with(b"0") || !text.iter().all(u8::is_ascii_digit) {
            return Err(HostError::Port);
        }
        let number = text.iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'));
        u16::try_from(number).map_err(|_| HostError::Port).and_then(Self::new)
    }

    /// The number.
    pub fn get(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Destination {
    /// A host and a port that are already known to be good.
    pub fn new(host: Host, port: Port) -> Self {
        Self { host, port }
    }

    /// Reads `host:port` or, where a default is given, also a bare `host` (RFC 9110 §4.2, RFC 9112 §3.2.3).
    ///
    /// Userinfo is refused: `@` is not a host byte. An empty port (`host:`) is refused although RFC 3986 permits it,
    /// since clients and servers disagree on what it means.
    pub fn parse(authority: &[u8], default: Option<Port>) -> Result<Self, HostError> {
        let (host, port) = split_port(authority)?;
        let port = match port {
            Some(digits) => Port::parse(digits)?,
            None => default.ok_or(HostError::MissingPort)?,
        };
        Ok(Self { host: Host::parse(host)?, port })
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> Port {
        self.port
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// Splits an authority at its port's colon. IPv6 without brackets is an error, since no colon of it is the port's.
fn split_port(authority: &[u8]) -> Result<(&[u8], Option<&[u8]>), HostError> {
    if authority.starts_with(b"[") {
        let end = authority.iter().position(|byte| *byte == b']').ok_or(HostError::Ipv6)?;
        let (host, rest) = authority.split_at(end + 1);
        return match rest {
            [] => Ok((host, None)),
            [b':', port @ ..] => Ok((host, Some(port))),
            _ => Err(HostError::Ipv6),
        };
    }
    let mut parts = authority.splitn(3, |byte| *byte == b':');
    let host = parts.next().unwrap_or_default();
    let port = parts.next();
    match parts.next() {
        Some(_) => Err(HostError::Ipv6),
        None => Ok((host, port)),
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Whether WHATWG's URL parser would take a host with this last label for an IPv4 address ("ends in a number").
fn reads_as_number(label: &[u8]) -> bool {
    match label {
        [b'0', b'x' | b'X', hex @ ..] => hex.iter().all(u8::is_ascii_hexdigit),
        _ => label.iter().all(u8::is_ascii_digit),
    }
}

/// Four decimal octets without leading zeros, and nothing else. std's parser is exactly that since 1.55, but the rule is
/// ours: written out, it cannot change under us.
fn parse_ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split(|byte| *byte == b'.');
    for octet in &mut octets {
        let part = parts.next()?;
        let plain = matches!(part, [_] | [b'1'..=b'9', _] | [b'1'..=b'9', _, _]);
        if !plain || !part.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let number = part.iter().fold(0_u16, |number, digit| number * 10 + u16::from(digit - b'0'));
        *octet = u8::try_from(number).ok()?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// RFC 4291 §2.2 text, as std reads it: no zone, no blanks, embedded IPv4 as a plain dotted quad.
fn parse_ipv6(text: &[u8]) -> Result<Ipv6Addr, HostError> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(HostError::Ipv6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn host(text: &str) -> Result<String, HostError> {
        Host::parse(text.as_bytes()).map(|host| host.to_string())
    }

    fn authority(text: &str) -> Result<String, HostError> {
        Destination::parse(text.as_bytes(), Some(Port::HTTP)).map(|destination| destination.to_string())
    }

    #[test]
    fn names_are_lower_cased_and_lose_one_trailing_dot() {
        assert_eq!(host("Example.TEST"), Ok("example.test".into()));
        assert_eq!(host("example.test."), Ok("example.test".into()));
        assert_eq!(host("example.test.."), Err(HostError::EmptyLabel));
        assert_eq!(host("."), Err(HostError::Empty));
        assert_eq!(host(""), Err(HostError::Empty));
        assert_eq!(host(".example.test"), Err(HostError::EmptyLabel));
        assert_eq!(host("a..test"), Err(HostError::EmptyLabel));
    }

    #[test]
    fn only_letters_digits_hyphen_and_underscore_are_names() {
        assert_eq!(host("under_score.test"), Ok("under_score.test".into()));
        assert_eq!(host("-a.example.test"), Ok("-a.example.test".into()));
        assert_eq!(host("xn--bcher-kva.test"), Ok("xn--bcher-kva.test".into()));
        for (text, byte) in [
            ("a b.test", b' '),
            ("a\0.test", 0),
            ("u@h.test", b'@'),
            ("a%2e.test", b'%'),
            ("a\\b.test", b'\\'),
            ("b\u{fc}cher.test", 0xc3),
            ("a/b", b'/'),
            ("a?b", b'?'),
            ("a#b", b'#'),
            ("*.test", b'*'),
            ("a\t.test", b'\t'),
        ] {
            assert_eq!(host(text), Err(HostError::ForbiddenByte(byte)), "{text:?}");
        }
    }

    #[test]
    fn lengths_are_those_of_dns() {
        let label = "a".repeat(63);
        let name = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(name.len(), 253);
        assert_eq!(host(&name), Ok(name.clone()));
        assert_eq!(host(&format!("{name}.")), Ok(name.clone()));
        assert_eq!(host(&format!("{name}a")), Err(HostError::LongName));
        assert_eq!(host(&format!("{label}a.test")), Err(HostError::LongLabel));
    }

    #[test]
    fn ipv4_is_four_plain_decimal_octets() {
        assert_eq!(host("192.0.2.1"), Ok("192.0.2.1".into()));
        assert_eq!(host("0.0.0.0"), Ok("0.0.0.0".into()));
        for text in [
            "192.0.2.01",
            "0300.0.2.1",
            "0xc0.0.2.1",
            "192.0.2",
            "3221225985",
            "192.0.2.256",
            "1.2.3.4.5",
            "192.0.2.1.",
            "0x7f.1",
            "a.1",
            "a.0x",
            "a.0xff",
            "256.256.256.256",
            "00.0.0.0",
        ] {
            assert_eq!(host(text), Err(HostError::LegacyIpv4), "{text}");
        }
        assert_eq!(host("1.2.3.4a"), Ok("1.2.3.4a".into()), "a name, not a number: its last label has a letter");
        assert_eq!(host("1.0xg"), Ok("1.0xg".into()));
    }

    #[test]
    fn ipv6_needs_brackets_and_has_no_zone() {
        assert_eq!(host("[2001:DB8::1]"), Ok("[2001:db8::1]".into()));
        assert_eq!(host("[::ffff:127.0.0.1]"), Ok("[::ffff:127.0.0.1]".into()));
        for text in [
            "[::1%lo]",
            "[::1%25lo]",
            "[example.test]",
            "[127.0.0.1]",
            "[]",
            "[::1",
            "[ ::1]",
            "[::ffff:127.1]",
            "[12345::]",
            "[:::1]",
        ] {
            assert_eq!(host(text), Err(HostError::Ipv6), "{text}");
        }
        assert_eq!(host("::1"), Err(HostError::ForbiddenByte(b':')));
    }

    #[test]
    fn an_authority_has_one_host_and_one_plain_port() {
        assert_eq!(authority("example.test"), Ok("example.test:80".into()));
        assert_eq!(authority("example.test:443"), Ok("example.test:443".into()));
        assert_eq!(authority("[::1]:443"), Ok("[::1]:443".into()));
        assert_eq!(authority("[::1]"), Ok("[::1]:80".into()));
        for text in [
            "example.test:",
            "example.test:0",
            "example.test:080",
            "example.test:65536",
            "example.test:+1",
            "example.test:99999",
            "example.test: 1",
        ] {
            assert_eq!(authority(text), Err(HostError::Port), "{text}");
        }
        for text in ["::1:443", "a:1:2", "[::1]x:443", "[::1].test", "[::1][::1]:1", "2001:db8::1"] {
            assert_eq!(authority(text), Err(HostError::Ipv6), "{text}");
        }
        assert_eq!(Destination::parse(b"example.test", None), Err(HostError::MissingPort));
        assert_eq!(authority("user@example.test:80"), Err(HostError::ForbiddenByte(b'@')));
        assert_eq!(authority(":80"), Err(HostError::Empty));
    }

    #[test]
    fn suffixes_run_from_the_name_to_its_last_label() {
        let name = DomainName::parse(b"a.b.c").unwrap();
        assert_eq!(name.suffixes().collect::<Vec<_>>(), ["a.b.c", "b.c", "c"]);
    }

    proptest! {
        #[test]
        fn what_parses_prints_as_it_parses(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(host) = Host::parse(&bytes) {
                prop_assert_eq!(Host::parse(host.to_string().as_bytes()), Ok(host));
            }
        }

        #[test]
        fn the_canonical_form_is_its_own(
            host in "[A-Za-z0-9_-]{1,9}(\\.[A-Za-z0-9_-]{1,9}){0,3}\\.?|[0-9]{1,3}(\\.[0-9]{1,3}){3}|\\[[0-9a-fA-F]{0,4}(:{1,2}[0-9a-fA-F]{1,4}){1,7}\\]|\\[::[fF]{4}:[0-9]{1,2}(\\.[0-9]{1,3}){3}\\]|[0-9a-fx.]{1,12}",
            port in "(:[0-9]{1,5})?",
        ) {
            if let Ok(parsed) = Host::parse(host.as_bytes()) {
                let text = parsed.to_string();
                let again = Host::parse(text.as_bytes());
                prop_assert_eq!(again.as_ref().map(Host::to_string), Ok(text.clone()));
                prop_assert_eq!(again, Ok(parsed));
                prop_assert!(!text.ends_with('.') && !text.bytes().any(|byte| byte.is_ascii_uppercase()), "{}", text);
            }
            let authority = host + &port;
            if let Ok(parsed) = Destination::parse(authority.as_bytes(), Some(Port::HTTPS)) {
                let text = parsed.to_string();
                let again = Destination::parse(text.as_bytes(), None);
                prop_assert_eq!(again.as_ref().map(Destination::to_string), Ok(text));
                prop_assert_eq!(again, Ok(parsed));
            }
        }

        #[test]
        fn case_and_a_trailing_dot_do_not_matter(name in "[a-z0-9_-]{1,20}(\\.[a-z0-9_-]{1,20}){0,4}\\.[a-z]{2,8}") {
            let plain = Host::parse(name.as_bytes());
            prop_assert!(plain.is_ok());
            prop_assert_eq!(&Host::parse(name.to_uppercase().as_bytes()), &plain);
            prop_assert_eq!(&Host::parse(format!("{name}.").as_bytes()), &plain);
        }

        #[test]
        fn every_address_survives_its_own_text(v4 in any::<[u8; 4]>(), v6 in any::<[u8; 16]>()) {
            for ip in [IpAddr::from(v4), IpAddr::from(v6)] {
                let host = Host::Ip(ip);
                prop_assert_eq!(Host::parse(host.to_string().as_bytes()), Ok(host));
            }
        }
    }
}
