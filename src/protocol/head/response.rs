//! The head of a response.

use super::fields::{Field, FieldBlock, split_line};
use super::framing::{BodyFraming, ResponseFraming};
use super::hop::{HopFields, Upgrade};
use super::{HeadLimits, HeadScan, Version};
use crate::facts::HeadError;

/// A response's head that passed every check of this module.
///
/// Where there can be no body (HEAD, 1xx, 204, 304) framing fields are judged like all others and then frame nothing.
/// If they promise a body where none may be, the origin may well send one: `keep_alive` is false then, so that those
/// bytes die with the connection.
#[derive(Clone, Debug)]
pub struct ResponseHead<'b> {
    /// 100 to 999.
    pub status: u16,
    /// The reason phrase: HTAB, SP, visible bytes and bytes beyond ASCII; often empty.
    pub reason: &'b [u8],
    /// The origin's version.
    pub version: Version,
    /// How its body is framed.
    pub framing: ResponseFraming,
    /// Whether the connection to the origin can carry another request after this message.
    pub keep_alive: bool,
    /// A 101 to exactly `websocket`. Any other 101, and one that was not asked for, is for the caller to refuse.
    pub upgrade_websocket: bool,
    pub(super) block: FieldBlock<'b>,
    pub(super) nominates: bool,
    /// `Content-Length` of a message that has no body of its own, but describes one (HEAD, 304).
    pub(super) told_length: Option<u64>,
}

/// Reads the head at the front of `buf`, and says how many bytes it has. `None`: more bytes are needed, and there is
/// room for them. `request_method` is that of the request which this answers: whether there is a body depends on it.
pub fn read_response<'b>(
    buf: &'b [u8],
    request_method: &str,
    limits: &HeadLimits,
) -> Result<Option<(ResponseHead<'b>, usize)>, HeadError> {
    let Some(end) = HeadScan::response().find_end(buf, limits)? else { return Ok(None) };
    read_scanned_response(buf.get(..end).unwrap_or_default(), request_method, limits).map(|head| Some((head, end)))
}

/// Reads one whole head, whose end a [`HeadScan`] has found: what that has judged, line ends above all, is not judged
/// again.
pub(in crate::protocol) fn read_scanned_response<'b>(
    head: &'b [u8],
    request_method: &str,
    limits: &HeadLimits,
) -> Result<ResponseHead<'b>, HeadError> {
    let (line, lines) = split_line(head).ok_or(HeadError::StatusLine)?;
    let (version, status, reason) = split_status_line(line)?;
    let block = FieldBlock::parse(lines, limits.max_fields)?;
    let mut hop = HopFields::default();
    for field in block.iter() {
        // There is no CGI between us and the client: a disguised name is noise here, dropped when the head is written.
        if let Ok(role) = field.received_role() {
            hop.see(role, field.value)?;
        }
    }
    let declared = hop.framing.judge(version)?;
    let framing = match declared {
        _ if has_no_body(request_method, status) => ResponseFraming::None,
        BodyFraming::Length(length) => ResponseFraming::Length(length),
        BodyFraming::Chunked => ResponseFraming::Chunked,
        BodyFraming::None => ResponseFraming::UntilClose,
    };
    let never_has_length = matches!(status, 100..=199 | 204);
    let broken_promise = never_has_length && !matches!(declared, BodyFraming::None | BodyFraming::Length(0));
    let told_length = match declared {
        BodyFraming::Length(length) if framing == ResponseFraming::None && !never_has_length => Some(length),
        _ => None,
    };
    Ok(ResponseHead {
        status,
        reason,
        version,
        framing,
        keep_alive: hop.keeps_alive(version) && framing != ResponseFraming::UntilClose && !broken_promise,
        upgrade_websocket: status == 101 && hop.upgrade() == Some(Upgrade::WebSocket),
        block,
        nominates: hop.nominates,
        told_length,
    })
}

impl<'b> ResponseHead<'b> {
    /// All fields as received, in their order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'b>> {
        self.block.iter()
    }

    /// Returns the value of the first field with this case-insensitive name.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.fields().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
    }

    /// Whether another response to the same request follows: 1xx other than 101 (RFC 9110 §15.2).
    pub fn is_interim(&self) -> bool {
        matches!(self.status, 100 | 102..=199)
    }

    /// The framing towards a client of this version: HTTP/1.0 knows no chunks, so its body ends with the connection.
    pub fn framing_toward(&self, client: Version) -> ResponseFraming {
        match self.framing {
            ResponseFraming::Chunked if client == Version::Http10 => ResponseFraming::UntilClose,
            framing => framing,
        }
    }
}

/// RFC 9112 §6.3, rules 1 and 2.
fn has_no_body(request_method: &str, status: u16) -> bool {
    match status {
        100..=199 | 204 | 304 => true,
        200..=299 if request_method == "CONNECT" => true,
        _ => request_method == "HEAD",
    }
}

/// `version SP 3DIGIT [SP reason]`; the blank before an absent reason is often left out, which is harmless.
fn split_status_line(line: &[u8]) -> Result<(Version, u16, &[u8]), HeadError> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let version = Version::parse(parts.next().unwrap_or_default(), HeadError::StatusLine)?;
    let status = match parts.next() {
        Some([hundreds @ b'1'..=b'9', tens @ b'0'..=b'9', ones @ b'0'..=b'9']) => {
            [hundreds, tens, ones].into_iter().fold(0_u16, |number, digit| number * 10 + u16::from(digit - b'0'))
        }
        _ => return Err(HeadError::StatusLine),
    };
    Ok((version, status, parts.next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In `head`, `|` means CRLF. The final empty line is added.
    fn answer(method: &str, head: &str) -> Result<(ResponseFraming, bool), HeadError> {
        let text = format!("{head}||").replace('|', "\r\n");
        read_response(text.as_bytes(), method, &HeadLimits::default()).map(|read| {
            let (head, length) = read.expect(&text);
            assert_eq!(length, text.len());
            (head.framing, head.keep_alive)
        })
    }

    #[test]
    fn a_status_line_is_version_digits_and_a_reason() {
        let read = |line: &str| answer("GET", &format!("{line}|Content-Length: 0"));
        for good in [
            "HTTP/1.1 200 OK",
            "HTTP/1.1 200 ",
            "HTTP/1.1 200",
            "HTTP/1.0 200 OK",
            "HTTP/1.1 999 \u{fc} \tx",
            "HTTP/1.1 200  two",
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            "HTTP/1.1  200 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 099 OK",
            "HTTP/1.1 +20 OK",
            "HTTP/1.1 OK",
            "HTTP/1.1",
            "HTTP/1.1 200\tOK",
            "HTTP/1.1 200 a\0b",
            "http/1.1 200 OK",
            "ICY 200 OK",
            "HTTP/2 200",
            "",
            "|HTTP/1.1 200 OK",
        ] {
            let error = read(bad).unwrap_err();
            assert!(matches!(error, HeadError::StatusLine | HeadError::EmptyLines), "{bad:?}: {error}");
        }
        assert_eq!(read("HTTP/1.2 200 OK"), Err(HeadError::Version));
        let text = b"HTTP/1.1 404 Not  Found \r\n\r\n";
        let (head, _) = read_response(text, "GET", &HeadLimits::default()).unwrap().unwrap();
        assert_eq!((head.status, head.reason, head.version), (404, &b"Not  Found "[..], Version::Http11));
    }

    #[test]
    fn a_body_is_framed_by_rfc_9112_and_nothing_is_guessed() {
        use ResponseFraming::*;
        for (method, head, expected) in [
            ("GET", "HTTP/1.1 200 OK|Content-Length: 2", Ok((Length(2), true))),
            ("GET", "HTTP/1.1 200 OK|Content-Length: 2|Connection: close", Ok((Length(2), false))),
            ("GET", "HTTP/1.0 200 OK|Content-Length: 2", Ok((Length(2), false))),
            ("GET", "HTTP/1.0 200 OK|Content-Length: 2|Connection: keep-alive", Ok((Length(2), true))),
            ("GET", "HTTP/1.1 200 OK|Transfer-Encoding: chunked", Ok((Chunked, true))),
            ("GET", "HTTP/1.1 200 OK", Ok((UntilClose, false))),
            ("GET", "HTTP/1.1 500 X|Connection: keep-alive", Ok((UntilClose, false))),
            ("HEAD", "HTTP/1.1 200 OK|Content-Length: 9", Ok((None, true))),
            ("HEAD", "HTTP/1.1 200 OK|Transfer-Encoding: chunked", Ok((None, true))),
            ("HEAD", "HTTP/1.1 200 OK", Ok((None, true))),
            ("head", "HTTP/1.1 200 OK|Content-Length: 9", Ok((Length(9), true))),
            ("GET", "HTTP/1.1 304 X|Content-Length: 9", Ok((None, true))),
            ("GET", "HTTP/1.1 204 X", Ok((None, true))),
            ("GET", "HTTP/1.1 204 X|Content-Length: 0", Ok((None, true))),
            ("GET", "HTTP/1.1 204 X|Content-Length: 9", Ok((None, false))),
            ("GET", "HTTP/1.1 204 X|Transfer-Encoding: chunked", Ok((None, false))),
            ("GET", "HTTP/1.1 205 X|Content-Length: 0", Ok((Length(0), true))),
            ("GET", "HTTP/1.1 103 X|Content-Length: 9", Ok((None, false))),
            ("GET", "HTTP/1.1 100 Continue", Ok((None, true))),
            ("CONNECT", "HTTP/1.1 200 OK|Content-Length: 9", Ok((None, true))),
            ("CONNECT", "HTTP/1.1 403 X|Content-Length: 9", Ok((Length(9), true))),
            ("GET", "HTTP/1.1 200 OK|Content-Length: 3|Transfer-Encoding: chunked", Err(HeadError::LengthAndCoding)),
            ("HEAD", "HTTP/1.1 200 OK|Content-Length: 3|Transfer-Encoding: chunked", Err(HeadError::LengthAndCoding)),
            ("GET", "HTTP/1.1 200 OK|Content-Length: 2|Content-Length: 20", Err(HeadError::RepeatedLength)),
            ("GET", "HTTP/1.1 200 OK|Content-Length: 2|Content-Length: 2", Err(HeadError::RepeatedLength)),
            ("GET", "HTTP/1.1 304 OK|Content-Length: 2, 2", Err(HeadError::Length)),
            ("GET", "HTTP/1.1 200 OK|Transfer-Encoding: xchunked, chunked", Err(HeadError::UnknownCoding)),
            ("GET", "HTTP/1.1 200 OK|Transfer-Encoding: identity", Err(HeadError::Coding)),
            ("GET", "HTTP/1.0 200 OK|Transfer-Encoding: chunked", Err(HeadError::CodingInHttp10)),
            ("GET", "HTTP/1.1 200 OK|X: a| b", Err(HeadError::FoldedLine)),
            ("GET", "HTTP/1.1 200 OK|X : a", Err(HeadError::BlankBeforeColon)),
            ("GET", "HTTP/1.1 200 OK|X: a\nb", Err(HeadError::BareLf)),
            ("GET", "HTTP/1.1 200 OK|Content_Length: 5|Content-Length: 2", Ok((Length(2), true))),
        ] {
            assert_eq!(answer(method, head), expected, "{method} {head}");
        }
    }

    #[test]
    fn a_101_to_a_websocket_is_known_from_every_other() {
        let upgraded = |text: &str| {
            let text = format!("{text}||").replace('|', "\r\n");
            read_response(text.as_bytes(), "GET", &HeadLimits::default()).unwrap().unwrap().0.upgrade_websocket
        };
        assert!(upgraded("HTTP/1.1 101 X|Connection: Upgrade|Upgrade: websocket"));
        assert!(!upgraded("HTTP/1.1 101 X|Connection: Upgrade|Upgrade: foo"));
        assert!(!upgraded("HTTP/1.1 101 X|Upgrade: websocket"));
        assert!(!upgraded("HTTP/1.1 200 X|Connection: Upgrade|Upgrade: websocket"));
    }

    #[test]
    fn an_origin_cannot_make_us_hold_more_than_the_limits() {
        let limits = HeadLimits::default();
        let long = format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(64 * 1024));
        assert_eq!(read_response(long.as_bytes(), "GET", &limits).unwrap_err(), HeadError::HeadTooLarge);
        let many = format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(129));
        assert_eq!(read_response(many.as_bytes(), "GET", &limits).unwrap_err(), HeadError::TooManyFields);
        assert_eq!(read_response(b"\r", "GET", &limits).map(drop), Ok(()));
        assert_eq!(read_response(b"HTTX", "GET", &limits).unwrap_err(), HeadError::StatusLine);
    }
}
