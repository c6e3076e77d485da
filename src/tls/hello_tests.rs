//! The reader of ClientHellos against one that sees a byte at a time and knows nothing of the other.

use proptest::prelude::*;
use proptest::sample::Index;

use super::hello::{HelloError, HelloReader};
use crate::facts::{Host, ServerName};

/// What either says of some first bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    More,
    Name(ServerName),
    NotTls,
    Malformed,
    TooLarge,
}

fn fast(reader: &mut HelloReader, bytes: &[u8]) -> Answer {
    match reader.read(bytes) {
        Ok(None) => Answer::More,
        Ok(Some(hello)) => Answer::Name(hello.sni),
        Err(HelloError::NotTls) => Answer::NotTls,
        Err(HelloError::Malformed(_)) => Answer::Malformed,
        Err(HelloError::TooLarge) => Answer::TooLarge,
    }
}

fn slow(bytes: &[u8], limit: usize) -> Answer {
    let mut wire = Wire { bytes: bytes.iter(), room: limit, record: 0, is_first: true, message: None };
    match wire.message() {
        Ok(body) => body_of(&mut body.into_iter()).map_or(Answer::Malformed, Answer::Name),
        Err(answer) => answer,
    }
}

/// The handshake bytes inside of records (RFC 8446 §5.1).
struct Wire<'a> {
    bytes: std::slice::Iter<'a, u8>,
    /// Bytes that it may still have on the wire.
    room: usize,
    /// Bytes of the present record that are to come.
    record: usize,
    is_first: bool,
    /// Bytes of the message that are to come, once it has said so.
    message: Option<usize>,
}

impl Wire<'_> {
    fn byte(&mut self) -> Result<u8, Answer> {
        self.room = self.room.checked_sub(1).ok_or(Answer::TooLarge)?;
        self.bytes.next().copied().ok_or(Answer::More)
    }

    fn next(&mut self) -> Result<u8, Answer> {
        if self.record == 0 {
            let kind = self.byte()?;
            if kind != 22 && !self.is_first {
                return Err(Answer::Malformed);
            }
            if kind >= 0x80 {
                return Err(self.ssl_2(kind)?);
            }
            if !(20..=24).contains(&kind) {
                return Err(Answer::NotTls);
            }
            let major = self.byte()?;
            if (kind, major) != (22, 3) {
                return Err(self.strange(kind, major)?);
            }
            self.byte()?;
            self.record = usize::from(self.byte()?) * 256 + usize::from(self.byte()?);
            self.is_first = false;
            if self.record == 0 || self.record > 16_384 {
                return Err(Answer::Malformed);
            }
            self.ends_with_its_record()?;
        }
        let byte = self.byte()?;
        self.record -= 1;
        self.message = self.message.map(|left| left - 1);
        Ok(byte)
    }

    /// What begins with these two bytes: TLS for a lenient server or for none. Of any version that is a record which a
    /// ClientHello begins in, an empty one, a warning or a fatal alert, and a change of cipher.
    fn strange(&mut self, kind: u8, major: u8) -> Result<Answer, Answer> {
        if major == 3 || !self.is_first {
            return Ok(Answer::Malformed);
        }
        if kind > 22 {
            return Ok(Answer::NotTls);
        }
        let (_minor, length) = (self.byte()?, usize::from(self.byte()?) * 256 + usize::from(self.byte()?));
        if kind == 22 && length == 0 {
            return Ok(Answer::Malformed);
        }
        let content = self.byte()?;
        let is_tls = match kind {
            20 => (length, content) == (1, 1),
            21 => length == 2 && (1..=2).contains(&content),
            _ => content == 1,
        };
        Ok(if is_tls { Answer::Malformed } else { Answer::NotTls })
    }

    /// What begins with this byte: a ClientHello in the format of SSL 2.0 (RFC 5246 appendix E.2) or none.
    fn ssl_2(&mut self, high: u8) -> Result<Answer, Answer> {
        let length = usize::from(high & 0x7f) * 256 + usize::from(self.byte()?);
        let is_tls = length >= 9 && self.byte()? == 1 && self.byte()? >= 3;
        Ok(if is_tls { Answer::Malformed } else { Answer::NotTls })
    }

    fn ends_with_its_record(&self) -> Result<(), Answer> {
        if self.message.is_some_and(|left| self.record > left) { Err(Answer::Malformed) } else { Ok(()) }
    }

    /// The body of one ClientHello, which ends where its record ends.
    fn message(&mut self) -> Result<Vec<u8>, Answer> {
        let limit = self.room;
        if self.next()? != 1 {
            return Err(Answer::Malformed);
        }
        let length = (0..3).try_fold(0, |length, _| Ok(length * 256 + usize::from(self.next()?)))?;
        if length + 4 > limit {
            return Err(Answer::TooLarge);
        }
        self.message = Some(length);
        self.ends_with_its_record()?;
        (0..length).map(|_| self.next()).collect()
    }
}

type Body = std::vec::IntoIter<u8>;

fn number(body: &mut Body, bytes: usize) -> Option<usize> {
    (0..bytes).try_fold(0, |number, _| Some(number * 256 + usize::from(body.next()?)))
}

/// As many bytes as a number of so many bytes says, one by one.
fn vector(body: &mut Body, length_bytes: usize) -> Option<Body> {
    let length = number(body, length_bytes)?;
    let bytes: Option<Vec<u8>> = (0..length).map(|_| body.next()).collect();
    bytes.map(Vec::into_iter)
}

/// The server name of a hello's body (RFC 8446 §4.1.2, RFC 6066 §3); none where it is broken or ambiguous.
fn body_of(body: &mut Body) -> Option<ServerName> {
    (number(body, 2)? / 256 == 3).then_some(())?;
    for _ in 0..32 {
        body.next()?;
    }
    (vector(body, 1)?.count() <= 32).then_some(())?;
    let suites = vector(body, 2)?.count();
    (suites > 0 && suites % 2 == 0).then_some(())?;
    vector(body, 1)?.next()?;
    if body.as_slice().is_empty() {
        return Some(ServerName::Missing);
    }
    let mut extensions = vector(body, 2)?;
    let mut kinds = std::collections::HashSet::new();
    let mut found = ServerName::Missing;
    while !extensions.as_slice().is_empty() {
        let kind = number(&mut extensions, 2)?;
        let mut data = vector(&mut extensions, 2)?;
        kinds.insert(kind).then_some(())?;
        if kind == 0 {
            let mut list = vector(&mut data, 2)?;
            (list.next()? == 0).then_some(())?;
            let name: Vec<u8> = vector(&mut list, 2)?.collect();
            (list.next().is_none() && data.next().is_none()).then_some(())?;
            found = match Host::parse(&name).ok()? {
                Host::Name(name) => ServerName::Name(name),
                Host::Ip(ip) => ServerName::Address(ip),
            };
        }
    }
    body.next().is_none().then_some(found)
}

fn vec8(data: &[u8]) -> Vec<u8> {
    [&[u8::try_from(data.len()).unwrap()], data].concat()
}

fn vec16(data: &[u8]) -> Vec<u8> {
    [&u16::try_from(data.len()).unwrap().to_be_bytes(), data].concat()
}

fn extension() -> impl Strategy<Value = Vec<u8>> {
    let entry = |kind: u8, name: &str| [&[kind], vec16(name.as_bytes()).as_slice()].concat();
    let name = "[a-zA-Z0-9_-]{1,12}(\\.[a-z]{1,6}){0,2}|192\\.0\\.2\\.[0-9]|[ -~]{0,9}";
    let list = prop_oneof![
        6 => name.prop_map(move |name| vec16(&entry(0, &name))),
        1 => (0_u8..3, name).prop_map(move |(kind, name)| vec16(&[entry(0, "a.test"), entry(kind, &name)].concat())),
        1 => name.prop_map(move |name| [vec16(&entry(0, &name)), vec![0]].concat()),
    ];
    let other = (1_u16..6, prop::collection::vec(any::<u8>(), 0..20));
    prop_oneof![
        list.prop_map(|data| [&[0, 0], vec16(&data).as_slice()].concat()),
        other.prop_map(|(kind, data)| [kind.to_be_bytes().as_slice(), &vec16(&data)].concat()),
    ]
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let lists = (0_usize..34, 0_usize..6, 0_usize..3);
    let extensions = proptest::option::weighted(0.9, prop::collection::vec(extension(), 0..4));
    let trailing = prop_oneof![9 => Just(Vec::new()), 1 => Just(vec![0])];
    (lists, extensions, trailing).prop_map(|((session, suites, methods), extensions, trailing)| {
        let lists = [vec8(&vec![9; session]), vec16(&vec![0x13; suites]), vec8(&vec![0; methods])].concat();
        let extensions = extensions.map(|all| vec16(&all.concat())).unwrap_or_default();
        let body = [&[3, 3], [7; 32].as_slice(), &lists, &extensions, &trailing].concat();
        [&[1, 0], vec16(&body).as_slice()].concat()
    })
}

/// A message in records of these sizes, over and over.
fn cut(mut rest: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            return bytes;
        }
        let (fragment, tail) = rest.split_at(rest.len().min(*size));
        bytes.extend([&[22, 3, 1], vec16(fragment).as_slice()].concat());
        rest = tail;
    }
    bytes
}

proptest! {
    /// Of every beginning of the bytes both say the same, and so does a reader that saw all the beginnings before.
    #[test]
    fn the_gate_answers_as_one_that_reads_byte_by_byte(
        message in message(),
        in_its_record in prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any::<u8>(), 1..3)],
        sizes in prop_oneof![Just(vec![16_384]), prop::collection::vec(1_usize..90, 1..5)],
        damage in prop_oneof![
            2 => Just(Vec::new()),
            1 => prop::collection::vec((any::<Index>(), any::<u8>()), 1..3),
        ],
        beginning in prop_oneof![
            3 => Just(Vec::new()),
            1 => prop::collection::vec((0_usize..6, prop_oneof![3 => 0_u8..26, 1 => any::<u8>()]), 1..6),
        ],
        trailing in prop::collection::vec(any::<u8>(), 0..9),
        limit in prop_oneof![3 => Just(65_536_usize), 1 => 1_usize..200],
    ) {
        let mut bytes = cut(&[message, in_its_record].concat(), &sizes);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for (at, byte) in beginning {
            bytes[at] = byte;
        }
        bytes.extend(trailing);
        let mut reader = HelloReader::new(limit);
        for end in 0..=bytes.len() {
            let seen = &bytes[..end];
            let expected = slow(seen, limit);
            prop_assert_eq!(&fast(&mut HelloReader::new(limit), seen), &expected, "{} bytes", end);
            prop_assert_eq!(&fast(&mut reader, seen), &expected, "{} bytes, one at a time", end);
            if expected != Answer::More {
                break;
            }
        }
    }
}
