//! Bodies, as their bytes arrive: content out of its framing, and into ours.
//!
//! Guaranteed: the verdict and the content do not depend on how the bytes were split; each byte is looked at once; what
//! is held is a trailer section at most. After an error every further call fails with the same.

use std::io::Write;

use super::framing::{BodyFraming, ResponseFraming};
use super::trailers::Trailers;
use crate::facts::BodyError;

/// Extension bytes of all chunks of one message. They are unused in practice; without a bound they carry data past every limit
/// (80 kB of them around some bytes of content, CVE-2023-39326).
const MAX_EXTENSION_BYTES: u32 = 16 * 1024;
/// Digits of a chunk size: those of 64 bits, leading zeros among them.
const MAX_SIZE_DIGITS: u8 = 16;

/// Takes a body out of its framing.
#[derive(Debug)]
pub struct BodyReader {
    state: BodyState,
    extension_bytes: u32,
    trailers: Trailers,
}

/// What one look at the input found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<'b> {
    /// Bytes of the input that belong to this body and are dealt with.
    pub consumed: usize,
    /// Content among them, without its framing.
    pub data: &'b [u8],
    /// The body is complete. The rest of the input belongs to the next message.
    pub done: bool,
}

#[derive(Clone, Copy, Debug)]
enum BodyState {
    /// That many bytes are still to come, at least one.
    Exactly(u64),
    UntilClose,
    /// In the digits of a chunk's size.
    Size {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    /// In a chunk's data, with at least one byte to come.
    Data(u64),
    DataCr,
    DataLf,
    /// After the last chunk: its empty line, or a first trailer.
    LastChunk,
    LastLf,
    Trailers,
    Done,
    Failed(BodyError),
}

const CHUNK_START: BodyState = BodyState::Size { size: 0, digits: 0 };

impl From<BodyFraming> for BodyReader {
    fn from(framing: BodyFraming) -> Self {
        Self::new(match framing {
            BodyFraming::None | BodyFraming::Length(0) => BodyState::Done,
            BodyFraming::Length(length) => BodyState::Exactly(length),
            BodyFraming::Chunked => CHUNK_START,
        })
    }
}

impl From<ResponseFraming> for BodyReader {
    fn from(framing: ResponseFraming) -> Self {
        Self::new(match framing {
            ResponseFraming::None | ResponseFraming::Length(0) => BodyState::Done,
            ResponseFraming::Length(length) => BodyState::Exactly(length),
            ResponseFraming::Chunked => CHUNK_START,
            ResponseFraming::UntilClose => BodyState::UntilClose,
        })
    }
}

impl BodyReader {
    fn new(state: BodyState) -> Self {
        Self { state, extension_bytes: 0, trailers: Trailers::default() }
    }

    /// Looks at the front of `input`, up to and with the first run of content. Call it until the input is used up or the
    /// body is done.
    pub fn read<'b>(&mut self, input: &'b [u8]) -> Result<Step<'b>, BodyError> {
        let mut rest = input;
        let mut data: &[u8] = b"";
        loop {
            match self.state {
                BodyState::Done => return Ok(Step { consumed: input.len() - rest.len(), data, done: true }),
                BodyState::Failed(error) => return Err(error),
                _ if rest.is_empty() || !data.is_empty() => {
                    return Ok(Step { consumed: input.len() - rest.len(), data, done: false });
                }
                BodyState::UntilClose => (data, rest) = (rest, b""),
                BodyState::Exactly(left) => {
                    (data, rest) = split_at_most(rest, left);
                    self.state = after(left, data).map_or(BodyState::Done, BodyState::Exactly);
                }
                BodyState::Data(left) => {
                    (data, rest) = split_at_most(rest, left);
                    self.state = after(left, data).map_or(BodyState::DataCr, BodyState::Data);
                }
                framing => {
                    let Some((byte, tail)) = rest.split_first() else { continue };
                    rest = tail;
                    self.state = self.framing_byte(framing, *byte).unwrap_or_else(BodyState::Failed);
                }
            }
        }
    }

    /// Whether the body is complete. True from the start if there is no body.
    pub fn is_done(&self) -> bool {
        matches!(self.state, BodyState::Done)
    }

    /// The trailer fields that may be forwarded, each with its CRLF, ready for [`BodyWriter::end`]. Empty until the body is
    /// done, and for nearly every body.
    pub fn trailers(&self) -> &[u8] {
        if self.is_done() { self.trailers.as_bytes() } else { b"" }
    }

    /// Returns whether the message is complete at the end of the input.
    pub fn finish(&self) -> Result<(), BodyError> {
        match self.state {
            BodyState::Done | BodyState::UntilClose => Ok(()),
            BodyState::Failed(error) => Err(error),
            BodyState::Exactly(_)
            | BodyState::Size { .. }
            | BodyState::Extension { .. }
            | BodyState::SizeLf { .. }
            | BodyState::Data(_)
            | BodyState::DataCr
            | BodyState::DataLf
            | BodyState::LastChunk
            | BodyState::LastLf
            | BodyState::Trailers => Err(BodyError::Truncated),
        }
    }

    /// One byte between runs of content.
    fn framing_byte(&mut self, state: BodyState, byte: u8) -> Result<BodyState, BodyError> {
        match (state, byte) {
            (BodyState::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                // With one more digit it must still fit into 63 bits: some readers have signed sizes.
                if digits >= MAX_SIZE_DIGITS || size > (i64::MAX as u64) >> 4 {
                    return Err(BodyError::LargeChunk);
                }
                Ok(BodyState::Size { size: size << 4 | hex_value(byte), digits: digits + 1 })
            }
            (BodyState::Size { size, digits: 1.. }, b'\r') => Ok(BodyState::SizeLf { size }),
            (BodyState::Size { size, digits: 1.. }, b';') => Ok(BodyState::Extension { size }),
            (BodyState::Size { .. }, _) => Err(BodyError::ChunkSize),
            (BodyState::Extension { size }, b'\r') => Ok(BodyState::SizeLf { size }),
            (BodyState::Extension { size }, b'\t' | b' '..=b'~' | 0x80..) => {
                self.extension_bytes += 1;
                let fits = self.extension_bytes <= MAX_EXTENSION_BYTES;
                if fits { Ok(BodyState::Extension { size }) } else { Err(BodyError::LongExtensions) }
            }
            (BodyState::Extension { .. }, _) => Err(BodyError::Extension),
            (BodyState::SizeLf { size: 0 }, b'\n') => Ok(BodyState::LastChunk),
            (BodyState::SizeLf { size }, b'\n') => Ok(BodyState::Data(size)),
            (BodyState::SizeLf { .. }, _) => Err(BodyError::ChunkSize),
            (BodyState::DataCr, b'\r') => Ok(BodyState::DataLf),
            (BodyState::DataLf, b'\n') => Ok(CHUNK_START),
            (BodyState::DataCr | BodyState::DataLf, _) => Err(BodyError::ChunkEnd),
            (BodyState::LastChunk, b'\r') => Ok(BodyState::LastLf),
            (BodyState::LastLf, b'\n') => Ok(BodyState::Done),
            (BodyState::LastLf, _) => Err(BodyError::Trailer),
            (BodyState::LastChunk | BodyState::Trailers, _) => {
                self.trailers.take(byte).map(|ended| if ended { BodyState::Done } else { BodyState::Trailers })
            }
            (
                BodyState::Exactly(_)
                | BodyState::UntilClose
                | BodyState::Data(_)
                | BodyState::Done
                | BodyState::Failed(_),
                _,
            ) => Ok(state),
        }
    }
}

/// How a body is framed where it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyWriter {
    chunked: bool,
}

impl From<BodyFraming> for BodyWriter {
    fn from(framing: BodyFraming) -> Self {
        Self { chunked: framing == BodyFraming::Chunked }
    }
}

impl From<ResponseFraming> for BodyWriter {
    fn from(framing: ResponseFraming) -> Self {
        Self { chunked: framing == ResponseFraming::Chunked }
    }
}

impl BodyWriter {
    /// Appends content with its framing. Nothing for no content: an empty chunk would end the body.
    pub fn write(&self, data: &[u8], out: &mut Vec<u8>) {
        if !data.is_empty() {
            self.prefix(data.len(), out);
            out.extend_from_slice(data);
            self.suffix(out);
        }
    }

    /// The framing before `length` bytes of content, at least one, that the caller sends from where they are.
    pub fn prefix(&self, length: usize, out: &mut Vec<u8>) {
        if self.chunked {
            // Into a Vec this cannot fail.
            let _ = write!(out, "{length:x}\r\n");
        }
    }

    /// The framing after them.
    pub fn suffix(&self, out: &mut Vec<u8>) {
        if self.chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Writes the end of a body that was read to its end, with the reader's trailers if it is chunked. Must not be
    /// called for a truncated body: the peer would take it for complete.
    pub fn end(&self, trailers: &[u8], out: &mut Vec<u8>) {
        if self.chunked {
            for part in [b"0\r\n", trailers, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
    }
}

/// At most `left` bytes, and what follows them.
fn split_at_most(bytes: &[u8], left: u64) -> (&[u8], &[u8]) {
    bytes.split_at_checked(usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or((bytes, b""))
}

/// What is left to come, if anything.
fn after(left: u64, data: &[u8]) -> Option<u64> {
    left.checked_sub(data.len() as u64).filter(|left| *left > 0)
}

/// The value of a hexadecimal digit.
fn hex_value(digit: u8) -> u64 {
    char::from(digit).to_digit(16).map_or(0, u64::from)
}

#[cfg(test)]
mod tests {
    use BodyError::*;

    use super::*;

    /// Everything at once: content, trailers, and how much of the input is left.
    fn chunked(input: &[u8]) -> Result<(String, String, usize), BodyError> {
        let mut reader = BodyReader::from(BodyFraming::Chunked);
        let (mut data, mut at) = (Vec::new(), 0);
        loop {
            let step = reader.read(&input[at..])?;
            data.extend_from_slice(step.data);
            at += step.consumed;
            if step.done || at == input.len() {
                reader.finish()?;
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                return Ok((text(&data), text(reader.trailers()), input.len() - at));
            }
        }
    }

    fn content(input: &str) -> Result<String, BodyError> {
        chunked(input.as_bytes()).map(|(data, _, left)| {
            assert_eq!(left, 0, "{input:?}");
            data
        })
    }

    #[test]
    fn chunk_sizes_are_plain_hexadecimal_numbers() {
        for size in ["5", "05", "0000000000000005"] {
            assert_eq!(content(&format!("{size}\r\nhello\r\n0\r\n\r\n")), Ok("hello".into()), "{size}");
        }
        assert_eq!(content("A\r\n0123456789\r\n0\r\n\r\n"), Ok("0123456789".into()));
        assert_eq!(content("1\r\na\r\n00000000\r\n\r\n"), Ok("a".into()));
        for (size, error) in [
            ("", ChunkSize),
            ("0x5", ChunkSize),
            ("+5", ChunkSize),
            ("-5", ChunkSize),
            (" 5", ChunkSize),
            ("5 ", ChunkSize),
            ("5\t", ChunkSize),
            ("5\n", ChunkSize),
            ("5\r", ChunkSize),
            ("5_0", ChunkSize),
            ("g", ChunkSize),
            (";a", ChunkSize),
            ("5\0", ChunkSize),
            ("00000000000000005", LargeChunk),
            ("10000000000000005", LargeChunk),
            ("8000000000000000", LargeChunk),
            ("ffffffffffffffff", LargeChunk),
        ] {
            assert_eq!(content(&format!("{size}\r\nhello\r\n0\r\n\r\n")), Err(error), "{size:?}");
        }
        assert_eq!(content("7fffffffffffffff\r\nhello"), Err(Truncated), "the largest size is one");
    }

    #[test]
    fn a_chunk_ends_in_crlf_exactly_where_its_size_says() {
        for (body, error) in [
            ("5\nhello\r\n0\r\n\r\n", ChunkSize),
            ("5\r\nhello\n0\r\n\r\n", ChunkEnd),
            ("5\r\nhello\r0\r\n\r\n", ChunkEnd),
            ("5\r\nhelloXX0\r\n\r\n", ChunkEnd),
            ("5\r\nhello0\r\n\r\n", ChunkEnd),
            ("3\r\nhello\r\n0\r\n\r\n", ChunkEnd),
            ("6\r\nhello\r\n0\r\n\r\n", ChunkEnd),
            ("5\r\nhello\r\n0\n\n", ChunkSize),
            ("5\r\nhello\r\n0\r\n\n", Trailer),
            ("5\r\nhello\r\n0\r\n\rX", Trailer),
            ("5\r\nhello\r\n0\r\n", Truncated),
            ("5\r\nhello\r\n", Truncated),
            ("5\r\nhell", Truncated),
            ("", Truncated),
        ] {
            assert_eq!(content(body), Err(error), "{body:?}");
        }
        let next = b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
        assert_eq!(chunked(next), Ok(("a".into(), String::new(), 16)), "what follows is the next message");
    }

    #[test]
    fn extensions_are_swallowed_within_bounds() {
        for ext in [";", ";a=b", ";a;b=\"c d\"", ";\t\u{fc}"] {
            assert_eq!(content(&format!("5{ext}\r\nhello\r\n0{ext}\r\n\r\n")), Ok("hello".into()), "{ext:?}");
        }
        for ext in [";a\nb", ";\n", ";a\0b", ";\x7f"] {
            assert_eq!(content(&format!("5{ext}\r\nhello\r\n0\r\n\r\n")), Err(Extension), "{ext:?}");
        }
        assert_eq!(content("5;a\rb\r\nhello\r\n0\r\n\r\n"), Err(ChunkSize));
        let of = |bytes: usize| format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(bytes));
        assert_eq!(content(&of(16 * 1024)), Ok("hello".into()));
        assert_eq!(content(&of(16 * 1024 + 1)), Err(LongExtensions));
        let many = format!("1;{}\r\na\r\n", "a".repeat(64));
        assert_eq!(content(&(many.repeat(256) + "0\r\n\r\n")), Ok("a".repeat(256)));
        assert_eq!(content(&(many.repeat(257) + "0\r\n\r\n")), Err(LongExtensions), "the bound is one message's");
    }

    #[test]
    fn trailers_pass_without_those_that_a_recipient_must_not_believe() {
        let trailers = |lines: &str| chunked(format!("0\r\n{lines}\r\n").as_bytes()).map(|(_, trailers, _)| trailers);
        assert_eq!(trailers(""), Ok(String::new()));
        assert_eq!(trailers("Digest:  x \r\nX: \r\n"), Ok("Digest: x\r\nX: \r\n".into()));
        for forbidden in [
            "Content-Length: 5",
            "content_length: 5",
            "Transfer-Encoding: chunked",
            "HOST: evil.test",
            "Connection: close",
            "Proxy-Authorization: x",
            "Authorization: x",
            "Set-Cookie: x",
            "Via: 1.1 x",
            "Trailer: x",
            "Content-Type: x",
            "X-Deny-Reason: x",
            "x_proxy_error: x",
            "Proxy-Status: outgate; error=x",
        ] {
            assert_eq!(trailers(&format!("{forbidden}\r\nX: y\r\n")), Ok("X: y\r\n".into()), "{forbidden}");
        }
        for bad in [
            "bad trailer line",
            "GET http://evil.test/smuggled HTTP/1.1",
            " folded: x",
            "X: y\r\n z",
            "X : y",
            ": y",
            "X: a\0b",
            "X: a\nY: b",
            "X: a\rb",
            "\n",
        ] {
            assert_eq!(trailers(&format!("{bad}\r\n")), Err(Trailer), "{bad:?}");
        }
        assert_eq!(trailers(&"X: y\r\n".repeat(32)), Ok("X: y\r\n".repeat(32)));
        assert_eq!(trailers(&"X: y\r\n".repeat(33)), Err(LargeTrailers));
        assert!(trailers(&format!("X: {}\r\n", "y".repeat(16_377))).is_ok());
        assert_eq!(trailers(&format!("X: {}\r\n", "y".repeat(16_378))), Err(LargeTrailers));
    }

    #[test]
    fn a_length_is_met_to_the_byte() {
        let mut reader = BodyReader::from(BodyFraming::Length(5));
        assert_eq!(reader.read(b"hel"), Ok(Step { consumed: 3, data: b"hel", done: false }));
        assert_eq!(reader.finish(), Err(Truncated));
        assert_eq!(reader.read(b""), Ok(Step { consumed: 0, data: b"", done: false }));
        assert_eq!(reader.read(b"loGET"), Ok(Step { consumed: 2, data: b"lo", done: true }));
        assert_eq!(reader.finish(), Ok(()));
        assert_eq!(reader.read(b"GET"), Ok(Step { consumed: 0, data: b"", done: true }));
        for none in [BodyReader::from(BodyFraming::None), BodyReader::from(BodyFraming::Length(0))] {
            assert!(none.is_done());
        }
    }

    #[test]
    fn a_body_until_close_is_whole_whenever_the_connection_ends() {
        let mut reader = BodyReader::from(ResponseFraming::UntilClose);
        assert_eq!(reader.read(b"abc"), Ok(Step { consumed: 3, data: b"abc", done: false }));
        assert_eq!(reader.finish(), Ok(()));
    }

    #[test]
    fn an_error_stays() {
        let mut reader = BodyReader::from(BodyFraming::Chunked);
        assert_eq!(reader.read(b"x"), Err(ChunkSize));
        assert_eq!(reader.read(b"5\r\nhello\r\n0\r\n\r\n"), Err(ChunkSize));
        assert_eq!(reader.finish(), Err(ChunkSize));
        assert_eq!(reader.trailers(), b"");
    }

    #[test]
    fn the_writer_frames_content_and_nothing_else() {
        let written = |framing: BodyFraming, trailers: &[u8]| {
            let (writer, mut out) = (BodyWriter::from(framing), Vec::new());
            for data in ["hello", "", "0123456789abcdef"] {
                writer.write(data.as_bytes(), &mut out);
            }
            writer.end(trailers, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(written(BodyFraming::Length(21), b""), "hello0123456789abcdef");
        assert_eq!(written(BodyFraming::Chunked, b""), "5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
        assert!(written(BodyFraming::Chunked, b"X: y\r\n").ends_with("\r\n0\r\nX: y\r\n\r\n"));
    }
}
