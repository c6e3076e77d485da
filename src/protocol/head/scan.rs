//! Where a head ends, found as its bytes arrive.

use super::HeadLimits;
use super::fields::is_token_byte;
use crate::facts::HeadError;

/// The longest registered method is `UPDATEREDIRECTREF` with 17 bytes; twice that bounds what a record can be made to
/// hold (RFC 9112 §3 asks for 501 beyond what is implemented).
const MAX_METHOD: usize = 32;

/// What every status line that we accept starts with.
const STATUS_LINE: &[u8] = b"HTTP/1.";

/// Finds the end of one head in a buffer that grows. Looks at every byte once, however the bytes are dealt out, so a
/// head that arrives byte by byte costs no more than one that arrives in one piece.
///
/// It fails as soon as the bytes can no longer become an acceptable head: at the first byte of a ClientHello or SOCKS method selection,
/// at a bare LF, at one field too many, at the limit. The verdict never depends on how the bytes were split.
#[derive(Clone, Debug)]
pub struct HeadScan {
    first_line: FirstLine,
    /// Bytes already judged.
    seen: usize,
    /// Where the current line starts.
    line: usize,
    /// Lines that have ended, empty ones before the message aside.
    lines: usize,
    /// A leading CRLF was passed over.
    empty_line: bool,
}

#[derive(Clone, Copy, Debug)]
enum FirstLine {
    /// With the blanks that it had so far.
    Request(u8),
    Response,
}

impl HeadScan {
    /// For a request, from its first byte.
    pub fn request() -> Self {
        Self::new(FirstLine::Request(0))
    }

    /// For a response, from its first byte.
    pub fn response() -> Self {
        Self::new(FirstLine::Response)
    }

    fn new(first_line: FirstLine) -> Self {
        Self { first_line, seen: 0, line: 0, lines: 0, empty_line: false }
    }

    /// The length of the head, its empty line included, or `None` while more bytes are needed. `buf` is all that arrived
    /// since the message's first byte: what was passed before, and more after it.
    pub fn find_end(&mut self, buf: &[u8], limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        let window = buf.get(..limits.max_bytes).unwrap_or(buf);
        while let Some(rest) = window.get(self.seen..).filter(|rest| !rest.is_empty()) {
            let (text, end) = rest.split_at(memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len()));
            if self.lines == 0 {
                self.judge_first_line(text)?;
            }
            self.seen += text.len();
            match end {
                [] => {}
                [b'\r'] => break,
                [b'\r', b'\n', ..] => {
                    if let Some(end) = self.end_line(limits)? {
                        return Ok(Some(end));
                    }
                }
                [b'\r', ..] => return Err(HeadError::BareCr),
                _ => return Err(HeadError::BareLf),
            }
        }
        if buf.len() < limits.max_bytes { Ok(None) } else { Err(self.too_large()) }
    }

    /// At a CRLF: the end of the head, or of one more line.
    fn end_line(&mut self, limits: &HeadLimits) -> Result<Option<usize>, HeadError> {
        let is_empty = self.seen == self.line;
        self.seen += 2;
        self.line = self.seen;
        if !is_empty {
            self.lines += 1;
            // The first line is not a field.
            return if self.lines > limits.max_fields.saturating_add(1) {
                Err(HeadError::TooManyFields)
            } else {
                Ok(None)
            };
        }
        if self.lines > 0 {
            return Ok(Some(self.seen));
        }
        if self.empty_line || matches!(self.first_line, FirstLine::Response) {
            return Err(HeadError::EmptyLines);
        }
        self.empty_line = true;
        Ok(None)
    }

    /// More bytes of the first line.
    fn judge_first_line(&mut self, text: &[u8]) -> Result<(), HeadError> {
        let at = self.seen - self.line;
        match &mut self.first_line {
            FirstLine::Request(blanks) => judge_request_line(blanks, at, text),
            FirstLine::Response => judge_status_line(at, text),
        }
    }

    fn too_large(&self) -> HeadError {
        match self.first_line {
            FirstLine::Request(1..) if self.lines == 0 => HeadError::TargetTooLong,
            _ => HeadError::HeadTooLarge,
        }
    }
}

/// Bytes of a request line from its byte `at` on, after `blanks` blanks: a method, and then what is visible.
fn judge_request_line(blanks: &mut u8, at: usize, mut text: &[u8]) -> Result<(), HeadError> {
    if *blanks == 0 {
        let method = text.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(text.len());
        if at + method > MAX_METHOD {
            return Err(HeadError::LongMethod);
        }
        text = match text.get(method..).unwrap_or_default() {
            [] => return Ok(()),
            [b' ', rest @ ..] if at + method > 0 => rest,
            _ => return Err(HeadError::RequestLine),
        };
        *blanks = 1;
    }
    while let Some(end) = text.iter().position(|byte| !byte.is_ascii_graphic()) {
        text = match text.get(end..).unwrap_or_default() {
            [b' ', rest @ ..] if *blanks < 2 => rest,
            [b' ', ..] | [] => return Err(HeadError::RequestLine),
            [byte, ..] => return Err(HeadError::TargetByte(*byte)),
        };
        *blanks += 1;
    }
    Ok(())
}

/// Bytes of a status line from its byte `at` on.
fn judge_status_line(at: usize, text: &[u8]) -> Result<(), HeadError> {
    let expected = STATUS_LINE.get(at..).unwrap_or_default();
    let begins = text.iter().zip(expected).all(|(byte, expected)| byte == expected);
    // What a reason may hold (RFC 9112 §4): HTAB, SP, visible and beyond ASCII.
    let holds = text.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~' | 0x80..));
    if begins && holds { Ok(()) } else { Err(HeadError::StatusLine) }
}
