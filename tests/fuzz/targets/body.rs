//! Bodies: the content does not depend on how the bytes are split, equals that of a stateless reader, and stays the same
//! in our own framing.

use outgate::facts::BodyError;
use outgate::protocol::head::{BodyFraming, BodyReader, BodyWriter, ResponseFraming};

use super::pieces::pieces;

/// The limits of a trailer section, and of a message's chunk extensions.
const MAX_TRAILERS: usize = 32;
const MAX_TRAILER_BYTES: usize = 16 * 1024;
const MAX_EXTENSION_BYTES: usize = 16 * 1024;

/// Trailers that would reframe, reroute or authorise a message if a peer merged them.
const NEVER: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "host",
    "set-cookie",
    "te",
    "transfer-encoding",
    "upgrade",
    "via",
];

pub(super) fn check(input: &[u8]) {
    let chunked = check_split(|| BodyFraming::Chunked.into(), input);
    assert_eq!(chunked.as_ref().ok().map(|body| (body.data.clone(), body.length)), naive_chunks(input));
    if let Ok(body) = chunked {
        check_trailers(&body);
    }
    let half = input.len() as u64 / 2;
    for length in [0, half, input.len() as u64, input.len() as u64 + 1] {
        let body = check_split(|| BodyFraming::Length(length).into(), input);
        let expected = usize::try_from(length).ok().and_then(|length| input.get(..length));
        assert_eq!(body.as_ref().map(|body| body.data.as_slice()).ok(), expected);
        assert!(body.is_ok() || body == Err(BodyError::Truncated));
    }
    let all = check_split(|| ResponseFraming::UntilClose.into(), input).expect("everything is content");
    assert_eq!(all.data, input);
    let none = check_split(|| BodyFraming::None.into(), input).expect("nothing is content");
    assert_eq!((none.data.len(), none.length), (0, 0));
    check_writer(input);
}

/// A body that was read to its end.
#[derive(Debug, PartialEq, Eq)]
struct Body {
    data: Vec<u8>,
    trailers: Vec<u8>,
    /// How much of the input it took.
    length: usize,
}

fn check_split(reader: impl Fn() -> BodyReader, input: &[u8]) -> Result<Body, BodyError> {
    let whole = read(reader(), &[input]);
    assert_eq!(read(reader(), &pieces(input)), whole, "in pieces");
    let bytes: Vec<&[u8]> = input.chunks(1).collect();
    assert_eq!(read(reader(), &bytes), whole, "byte by byte");
    whole
}

fn read(mut reader: BodyReader, pieces: &[&[u8]]) -> Result<Body, BodyError> {
    let (mut data, mut length) = (Vec::new(), 0);
    for piece in pieces {
        let mut rest = *piece;
        while !rest.is_empty() && !reader.is_done() {
            let step = match reader.read(rest) {
                Ok(step) => step,
                Err(error) => {
                    assert_eq!(reader.read(b"0\r\n\r\n"), Err(error), "an error stays");
                    assert_eq!(reader.finish(), Err(error));
                    return Err(error);
                }
            };
            assert!(step.consumed > 0 && step.consumed <= rest.len(), "a step without progress");
            assert_eq!(step.done, reader.is_done());
            data.extend_from_slice(step.data);
            length += step.consumed;
            rest = &rest[step.consumed..];
        }
    }
    reader.finish()?;
    Ok(Body { data, trailers: reader.trailers().to_vec(), length })
}

/// RFC 9112 §7.1 read line by line over a whole message: content and length, or nothing.
fn naive_chunks(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let line_end = |from: usize| input[from..].windows(2).position(|pair| pair == b"\r\n").map(|at| from + at);
    let is_clean = |line: &[u8]| line.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
    let (mut data, mut at, mut extensions) = (Vec::new(), 0, 0);
    loop {
        let end = line_end(at)?;
        let line = &input[at..end];
        let digits = line.split(|byte| *byte == b';').next()?;
        extensions += line.len().saturating_sub(digits.len() + 1);
        let plain = (1..=16).contains(&digits.len()) && digits.iter().all(u8::is_ascii_hexdigit);
        if !is_clean(line) || !plain || extensions > MAX_EXTENSION_BYTES {
            return None;
        }
        let size = i64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        at = end + 2;
        if size == 0 {
            break;
        }
        let end = at.checked_add(usize::try_from(size).ok()?)?;
        data.extend_from_slice(input.get(at..end)?);
        if input.get(end..end + 2)? != b"\r\n" {
            return None;
        }
        at = end + 2;
    }
    let trailers = at;
    for fields in 0.. {
        let end = line_end(at)?;
        let line = &input[at..end];
        at = end + 2;
        if line.is_empty() {
            return Some((data, at));
        }
        let colon = line.iter().position(|byte| *byte == b':')?;
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let too_much = fields >= MAX_TRAILERS || at - trailers + 2 > MAX_TRAILER_BYTES;
        if colon == 0 || !is_clean(line) || !line[..colon].iter().all(is_token) || too_much {
            return None;
        }
    }
    None
}

fn check_trailers(body: &Body) {
    let lines = body.trailers.split_inclusive(|byte| *byte == b'\n');
    for line in lines {
        let line = line.strip_suffix(b"\r\n").expect("each with its CRLF");
        assert!(!line.iter().any(|byte| b"\r\n\0".contains(byte)));
        let name = String::from_utf8_lossy(line.split(|byte| *byte == b':').next().unwrap_or_default());
        let name = name.to_ascii_lowercase().replace('_', "-");
        assert!(!NEVER.contains(&name.as_str()) && !name.starts_with("proxy-"), "{name}");
    }
    let mut out = Vec::new();
    let writer = BodyWriter::from(BodyFraming::Chunked);
    writer.write(&body.data, &mut out);
    writer.end(&body.trailers, &mut out);
    let again = read(BodyFraming::Chunked.into(), &[&out]).expect("what we write we read");
    assert_eq!((&again.data, &again.trailers, again.length), (&body.data, &body.trailers, out.len()));
}

/// The input as content, in pieces of any size.
fn check_writer(input: &[u8]) {
    let length = input.len() as u64;
    for framing in [ResponseFraming::Chunked, ResponseFraming::Length(length), ResponseFraming::UntilClose] {
        let (writer, mut out) = (BodyWriter::from(framing), Vec::new());
        pieces(input).iter().for_each(|piece| writer.write(piece, &mut out));
        writer.end(b"", &mut out);
        let body = read(framing.into(), &[&out]).expect("what we write we read");
        assert_eq!((body.data.as_slice(), body.length), (input, out.len()));
    }
}
