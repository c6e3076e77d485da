//! A strict reader of HTTP responses. A response that it rejects is a fault of the proxy.

use std::fmt::Write as _;

use super::Ending;

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Without its line end.
    pub status_line: String,
    /// Names as written, in their order.
    pub headers: Vec<(String, String)>,
    /// Without its framing.
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
}

/// All answers of a connection, and how it ended.
#[derive(Debug)]
pub struct Answers {
    pub all: Vec<Answer>,
    pub ending: Ending,
}

/// How the body after a head is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

impl Answer {
    /// Reads a head, with its empty line.
    pub fn of_head(head: &[u8]) -> Self {
        let mut lines = head_lines(head);
        let status_line = lines.remove(0);
        assert!(status_line.starts_with("HTTP/1.1 "), "status line {status_line:?}");
        assert!(status_line.is_char_boundary(12) && status_line[9..12].bytes().all(|digit| digit.is_ascii_digit()));
        assert_eq!(status_line.as_bytes().get(12), Some(&b' '), "{status_line:?}");
        Self {
            status_line,
            headers: lines.iter().map(|line| field(line)).collect(),
            body: Vec::new(),
            trailers: Vec::new(),
        }
    }

    pub fn status(&self) -> u16 {
        self.status_line[9..12].parse().unwrap()
    }

    /// The value of the one field of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(each, _)| each.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert_eq!(values.next(), None, "{name} occurs twice in {self:#?}");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {self}"))
    }

    /// The framing of the answer to a request by this method. Two ways to frame it are none.
    pub fn framing(&self, method: &str) -> Framing {
        let length = self.header("content-length").map(|length| length.parse().expect("a plain Content-Length"));
        let coding = self.header("transfer-encoding");
        assert!(length.is_none() || coding.is_none(), "two framings in {self}");
        let status = self.status();
        if method == "HEAD" || status < 200 || matches!(status, 204 | 304) || (method == "CONNECT" && status < 300) {
            return Framing::None;
        }
        match (length, coding) {
            (Some(length), _) => Framing::Length(length),
            (None, Some(coding)) => {
                assert_eq!(coding, "chunked");
                Framing::Chunked
            }
            (None, None) => Framing::UntilClose,
        }
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = self.status_line.clone() + "\n";
        for (name, value) in &self.headers {
            writeln!(text, "{name}: {value}")?;
        }
        write!(f, "{text}\n{}", String::from_utf8_lossy(&self.body))
    }
}

impl Answers {
    pub fn statuses(&self) -> Vec<u16> {
        self.all.iter().map(Answer::status).collect()
    }

    /// The only answer of a connection that was closed after it.
    pub fn only(&self) -> &Answer {
        assert_eq!(self.ending, Ending::Closed, "{self:#?}");
        let [only] = self.all.as_slice() else { panic!("one answer was expected: {self:#?}") };
        only
    }
}

/// The lines of a head that ends in an empty line; each ends in CRLF and holds neither.
pub fn head_lines(head: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(head).expect("a head in UTF-8");
    let text = text.strip_suffix("\r\n\r\n").expect("a head with its empty line");
    let lines: Vec<_> = text.split("\r\n").map(str::to_owned).collect();
    for line in &lines {
        assert!(!line.contains(['\r', '\n', '\0']), "a bare line end in {text:?}");
    }
    lines
}

/// `name: value`.
pub fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("a field without a colon: {line:?}"));
    assert!(!name.is_empty() && !name.contains([' ', '\t']), "a field name in {line:?}");
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}
