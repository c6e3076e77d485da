//! An HTTP answer as a load generator needs it: its status, where it ends, and whether another may follow.

use memchr::memmem;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether another request may follow on the connection.
    pub(crate) keeps: bool,
}

/// The answer, once it is whole. `to_connect`: nothing follows the head of a 200. `ended`: no more will come.
pub(crate) fn read(bytes: &[u8], to_connect: bool, ended: bool) -> Option<Answer> {
    let end = memmem::find(bytes, b"\r\n\r\n")? + 4;
    let (head, body) = bytes.split_at(end);
    let status = std::str::from_utf8(head.get(9..12)?).ok()?.parse().ok()?;
    let (mut length, mut chunked) = (None, false);
    let mut keeps = head.starts_with(b"HTTP/1.1");
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse::<usize>().ok();
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        } else if name.eq_ignore_ascii_case("connection") || name.eq_ignore_ascii_case("proxy-connection") {
            keeps = !value.eq_ignore_ascii_case("close") && (keeps || value.eq_ignore_ascii_case("keep-alive"));
        }
    }
    let is_whole = match length {
        _ if to_connect && status == 200 => true,
        Some(length) => body.len() >= length,
        None if chunked => body.ends_with(b"0\r\n\r\n"),
        None => ended,
    };
    is_whole.then_some(Answer { status, keeps: keeps && (length.is_some() || chunked) && !ended })
}
