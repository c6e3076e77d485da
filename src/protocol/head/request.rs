//! The head of a request.

use super::fields::{Field, FieldBlock, split_line};
use super::framing::BodyFraming;
use super::hop::{HopFields, Upgrade};
use super::role::Role;
use super::{HeadLimits, HeadScan, Target, Version, method as methods};
use crate::facts::{Destination, HeadError, Port};

/// A request's head that passed every check of this module.
#[derive(Clone, Debug)]
pub struct RequestHead<'b> {
    /// The method in its own spelling: a token of at most 32 bytes.
    pub method: &'b str,
    /// What it is for.
    pub target: Target<'b>,
    /// The client's version.
    pub version: Version,
    /// How its body is framed.
    pub framing: BodyFraming,
    /// Whether the client keeps the connection: by version and `Connection`; a `close` in `Proxy-Connection` counts too.
    pub keep_alive: bool,
    /// Whether the client waits for a 100 before it sends its body. Never in HTTP/1.0 and never without a body.
    pub expect_continue: bool,
    /// What it wants to upgrade to. `Other` is an ordinary request whose wish is not passed on.
    pub upgrade: Option<Upgrade>,
    /// `Max-Forwards` of an OPTIONS; `None` for every other method. The caller answers `Some(0)` itself and forwards
    /// nothing (RFC 9110 §7.6.2).
    pub max_forwards: Option<u32>,
    /// The value of its first `Accept` field: in which form a refusal is wanted.
    pub accept: Option<&'b [u8]>,
    pub(super) block: FieldBlock<'b>,
    pub(super) nominates: bool,
    pub(super) has_via: bool,
    /// `OPTIONS http://host`, whose last hop reads `OPTIONS *` (RFC 9112 §3.2.4).
    pub(super) asks_whole_server: bool,
}

/// Reads the head at the front of `buf`, and says how many bytes it has. `None`: more bytes are needed, and there is
/// room for them.
///
/// It starts anew on each call; where bytes drip in, ask a [`HeadScan`] for the end first and call this once.
pub fn read_request<'b>(buf: &'b [u8], limits: &HeadLimits) -> Result<Option<(RequestHead<'b>, usize)>, HeadError> {
    let Some(end) = HeadScan::request().find_end(buf, limits)? else { return Ok(None) };
    read_scanned_request(buf.get(..end).unwrap_or_default(), limits).map(|head| Some((head, end)))
}

/// Reads one whole head, whose end a [`HeadScan`] has found: what that has judged, line ends above all, is not judged
/// again.
pub(in crate::protocol) fn read_scanned_request<'b>(
    head: &'b [u8],
    limits: &HeadLimits,
) -> Result<RequestHead<'b>, HeadError> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let (line, lines) = split_line(head).ok_or(HeadError::RequestLine)?;
    let (method, target_text, version) = split_request_line(line)?;
    methods::judge(method)?;
    let target = Target::parse(method, target_text)?;
    let block = FieldBlock::parse(lines, limits.max_fields)?;
    let said = Said::collect(method, &block)?;
    said.judge_host(version, target.authority_in(target_text))?;
    let framing = said.hop.framing.judge(version)?;
    // `Content-Length: 0` is what Windows' own client library sends with every CONNECT; it announces nothing.
    if matches!(target, Target::Authority(_)) && !matches!(framing, BodyFraming::None | BodyFraming::Length(0)) {
        return Err(HeadError::ConnectBody);
    }
    let has_body = !matches!(framing, BodyFraming::None | BodyFraming::Length(0));
    let may_websocket = method == "GET" && version == Version::Http11 && framing == BodyFraming::None;
    let upgrade = said.hop.upgrade().map(|asked| if may_websocket { asked } else { Upgrade::Other });
    let asks_whole_server = method == "OPTIONS" && target.is_bare_in(target_text);
    Ok(RequestHead {
        method,
        target,
        version,
        framing,
        keep_alive: said.hop.keeps_alive(version),
        expect_continue: said.expects && has_body && version == Version::Http11,
        upgrade,
        max_forwards: said.max_forwards,
        accept: said.accept,
        block,
        nominates: said.hop.nominates,
        has_via: said.has_via,
        asks_whole_server,
    })
}

impl<'b> RequestHead<'b> {
    /// All fields as received, in their order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'b>> {
        self.block.iter()
    }

    /// Returns the value of the first field with this case-insensitive name.
    pub fn field(&self, name: &str) -> Option<&'b [u8]> {
        self.fields().find(|field| field.name.eq_ignore_ascii_case(name.as_bytes())).map(|field| field.value)
    }

    /// The path without its query: empty for a CONNECT, `*` for the asterisk.
    pub fn path(&self) -> &str {
        self.target.path()
    }

    /// Whether the next program may leave its body unread and take that for a request of its own: content of a method
    /// for which RFC 9110 §9.3 gives it no meaning. No other request may then share the connection.
    pub fn has_stray_body(&self) -> bool {
        !matches!(self.framing, BodyFraming::None | BodyFraming::Length(0))
            && methods::has_content_without_meaning(self.method)
    }

    /// Whether it asks for a tunnel.
    pub fn is_connect(&self) -> bool {
        matches!(self.target, Target::Authority(_))
    }
}

/// Exactly `method SP target SP version`.
fn split_request_line(line: &[u8]) -> Result<(&str, &str, Version), HeadError> {
    let line = std::str::from_utf8(line).map_err(|_| HeadError::RequestLine)?;
    let mut parts = line.split(' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(HeadError::RequestLine);
    };
    if method.is_empty() || target.is_empty() {
        return Err(HeadError::RequestLine);
    }
    let version = Version::parse(version.as_bytes(), HeadError::RequestLine)?;
    Ok((method, target, version))
}

/// What the fields of a request say, before they are weighed against version and target.
#[derive(Default)]
struct Said<'b> {
    host: Option<&'b [u8]>,
    hop: HopFields<'b>,
    expects: bool,
    max_forwards: Option<u32>,
    accept: Option<&'b [u8]>,
    has_via: bool,
}

impl<'b> Said<'b> {
    fn collect(method: &str, block: &FieldBlock<'b>) -> Result<Self, HeadError> {
        let mut said = Self::default();
        for field in block.iter() {
            let role = field.received_role()?;
            match role {
                Role::Host => {
                    if said.host.replace(field.value).is_some() {
                        return Err(HeadError::RepeatedHost);
                    }
                }
                Role::Expect => said.see_expect(&field)?,
                // Other methods may ignore it (RFC 9110 §7.6.2); TRACE never comes this far.
                Role::MaxForwards if method == "OPTIONS" => {
                    if said.max_forwards.replace(parse_max_forwards(field.value)?).is_some() {
                        return Err(HeadError::MaxForwards);
                    }
                }
                Role::Via => said.has_via = true,
                Role::EndToEnd if field.name.eq_ignore_ascii_case(b"accept") => {
                    said.accept.get_or_insert(field.value);
                }
                _ => said.hop.see(role, field.value)?,
            }
        }
        Ok(said)
    }

    fn see_expect(&mut self, field: &Field<'_>) -> Result<(), HeadError> {
        if self.expects || !field.value.eq_ignore_ascii_case(b"100-continue") {
            return Err(HeadError::Expectation);
        }
        self.expects = true;
        Ok(())
    }

    /// RFC 9112 §3.2. Its value routes nothing: the target does, and `Host` is rewritten from it. But one that is no
    /// authority could be interpreted further on. An empty one is valid, it says that the target has none.
    fn judge_host(&self, version: Version, judged: Option<&str>) -> Result<(), HeadError> {
        match self.host {
            None if version == Version::Http11 => Err(HeadError::MissingHost),
            None => Ok(()),
            // The ordinary case, at no cost: byte for byte the authority that was read from the target.
            Some(host) if host.is_empty() || judged.is_some_and(|judged| judged.as_bytes() == host) => Ok(()),
            Some(host) => Destination::parse(host, Some(Port::HTTP)).map(drop).map_err(HeadError::Host),
        }
    }
}

fn parse_max_forwards(value: &[u8]) -> Result<u32, HeadError> {
    if value.is_empty() || value.len() > 9 || !value.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::MaxForwards);
    }
    Ok(value.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::HostError;

    fn read(text: &str) -> Result<Option<(RequestHead<'_>, usize)>, HeadError> {
        read_request(text.as_bytes(), &HeadLimits::default())
    }

    #[track_caller]
    fn head(text: &str) -> RequestHead<'_> {
        let (head, length) = read(text).unwrap().expect(text);
        assert_eq!(length, text.len());
        head
    }

    /// A POST with these field lines after a valid `Host`.
    fn post(lines: &str) -> String {
        let lines = lines.replace('|', "\r\n");
        format!("POST http://h.test/ HTTP/1.1\r\nHost: h.test\r\n{lines}\r\n\r\n")
    }

    fn line(line: &str) -> String {
        format!("{line}\r\nHost: h.test\r\n\r\n")
    }

    fn framing(lines: &str) -> Result<BodyFraming, HeadError> {
        read(&post(lines)).map(|read| read.unwrap().0.framing)
    }

    #[test]
    fn an_ordinary_head_is_read() {
        let text = "GET http://H.test:8080/a?b=c HTTP/1.1\r\nHost: H.test:8080\r\nX:  y \r\nX:\r\n\r\n";
        let head = head(text);
        assert_eq!((head.method, head.path(), head.version), ("GET", "/a", Version::Http11));
        let Target::Absolute { destination, path_and_query } = &head.target else { panic!("{:?}", head.target) };
        assert_eq!((destination.to_string().as_str(), path_and_query.as_ref()), ("h.test:8080", "/a?b=c"));
        assert_eq!((head.framing, head.keep_alive, head.upgrade), (BodyFraming::None, true, None));
        let fields: Vec<_> = head.fields().map(|field| (field.name, field.value)).collect();
        assert_eq!(fields, [(&b"Host"[..], &b"H.test:8080"[..]), (b"X", b"y"), (b"X", b"")]);
        assert_eq!((head.field("x"), head.field("Y")), (Some(&b"y"[..]), None));
    }

    #[test]
    fn a_request_line_is_three_words_and_two_blanks() {
        for bad in [
            "CONNECT  h.test:443 HTTP/1.1",
            "GET http://h.test/ HTTP/1.1 ",
            " GET http://h.test/ HTTP/1.1",
            "GET http://h.test/  HTTP/1.1",
            "G ET http://h.test/ HTTP/1.1",
            "CONNECT a.test .h.test:443 HTTP/1.1",
            "GET http://h.test/",
            "GET",
            "GET  HTTP/1.1",
            "GE\0T http://h.test/ HTTP/1.1",
            "GE\tT http://h.test/ HTTP/1.1",
            "G(T http://h.test/ HTTP/1.1",
            "\u{16}\u{3}\u{1}",
            "GET http://h.test/ http/1.1",
            "GET http://h.test/ HTTP/1.1x",
            "GET http://h.test/ HTTP/",
        ] {
            assert_eq!(read(&line(bad)).unwrap_err(), HeadError::RequestLine, "{bad:?}");
        }
        for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/3", "HTTP/0.9", "HTTP/11", "HTTP/1.10"] {
            let error = read(&line(&format!("GET http://h.test/ {version}"))).unwrap_err();
            assert_eq!(error, HeadError::Version, "{version}");
        }
        assert_eq!(read("PRI * HTTP/2.0\r\n\r\n").unwrap_err(), HeadError::Version);
        let method = "M".repeat(32);
        assert!(read(&line(&format!("{method} http://h.test/ HTTP/1.1"))).is_ok());
        assert_eq!(read(&line(&format!("{method}M http://h.test/ HTTP/1.1"))).unwrap_err(), HeadError::LongMethod);
    }

    #[test]
    fn lines_end_in_crlf() {
        for (text, error) in [
            ("GET http://h.test/ HTTP/1.1\nHost: h.test\n\n", HeadError::BareLf),
            ("GET http://h.test/ HTTP/1.1\r\nX: a\nHost: h.test\r\n\r\n", HeadError::BareLf),
            ("GET http://h.test/ HTTP/1.1\r\nHost: h.test\n\nGET", HeadError::BareLf),
            ("GET http://h.test/ HTTP/1.1\r\nHost: h.test\r\n\n", HeadError::BareLf),
            ("CONNECT evil.test\n.h.test:1 HTTP/1.1\r\n", HeadError::BareLf),
            ("\n", HeadError::BareLf),
            ("GET http://h.test/ HTTP/1.1\r\nX: a\rb\r\n", HeadError::BareCr),
            ("GET http://h.test/ HTTP/1.1\r\r\n", HeadError::BareCr),
            ("\r\n\r\n", HeadError::EmptyLines),
            ("\r\n\r\nGET http://h.test/ HTTP/1.1\r\nHost: h.test\r\n\r\n", HeadError::EmptyLines),
        ] {
            assert_eq!(read(text).unwrap_err(), error, "{text:?}");
        }
        head("\r\nGET http://h.test/ HTTP/1.1\r\nHost: h.test\r\n\r\n");
        assert!(read("\r\n").unwrap().is_none());
    }

    #[test]
    fn only_http_in_absolute_form_has_a_destination() {
        for (target, to) in [
            ("http://h.test", "h.test:80 /"),
            ("HTTP://h.test/", "h.test:80 /"),
            ("http://h.test?a=@evil.test", "h.test:80 /?a=@evil.test"),
            ("http://h.test?a=b/c", "h.test:80 /?a=b/c"),
            ("http://h.test:81/a//b?c?d", "h.test:81 /a//b?c?d"),
            ("http://[::1]:81/", "[::1]:81 /"),
            ("http://h.test/a?b=\\{}|\"", "h.test:80 /a?b=\\{}|\""),
            ("http://h.test/http://evil.test/", "h.test:80 /http://evil.test/"),
        ] {
            let text = line(&format!("GET {target} HTTP/1.1"));
            let Target::Absolute { destination, path_and_query } = head(&text).target else { panic!("{target}") };
            assert_eq!(format!("{destination} {path_and_query}"), to);
        }
        for (target, error) in [
            ("https://h.test/", HeadError::Scheme),
            ("ftp://h.test/", HeadError::Scheme),
            ("ws://h.test/", HeadError::Scheme),
            ("file:///etc/passwd", HeadError::Scheme),
            ("http+unix://%2Ftmp%2Fs/x", HeadError::Scheme),
            ("hxxp://h.test/", HeadError::Scheme),
            ("javascript:alert(1)", HeadError::TargetForm),
            ("http:/h.test/", HeadError::TargetForm),
            ("http:h.test/", HeadError::TargetForm),
            ("http:\\\\h.test/", HeadError::TargetForm),
            ("h.test:443", HeadError::TargetForm),
            ("h.test", HeadError::TargetForm),
            ("1http://h.test/", HeadError::TargetForm),
            ("://h.test/", HeadError::TargetForm),
            ("*", HeadError::TargetForm),
            ("http:///h.test/", HeadError::Authority(HostError::Empty)),
            ("http:////h.test/", HeadError::Authority(HostError::Empty)),
            ("http://", HeadError::Authority(HostError::Empty)),
            ("http://?@h.test/", HeadError::Authority(HostError::Empty)),
            ("http://#@h.test/", HeadError::Fragment),
            ("http://h.test/#a", HeadError::Fragment),
            ("/#a", HeadError::Fragment),
            ("http://evil.test\\@h.test/", HeadError::Authority(HostError::ForbiddenByte(b'\\'))),
            ("http://u@h.test/", HeadError::Authority(HostError::ForbiddenByte(b'@'))),
            ("http://u:p@h.test/", HeadError::Authority(HostError::Port)),
            ("http://http://h.test/", HeadError::Authority(HostError::Port)),
            ("http://h.test:/", HeadError::Authority(HostError::Port)),
            ("http://h.test/a\\b", HeadError::TargetByte(b'\\')),
            ("/a\\b", HeadError::TargetByte(b'\\')),
            ("http://\th.test/", HeadError::TargetByte(b'\t')),
            ("http://h.test/\0", HeadError::TargetByte(0)),
            ("http://h.test/\x7f", HeadError::TargetByte(0x7f)),
            ("http://h.test/\u{fc}", HeadError::TargetByte(0xc3)),
        ] {
            assert_eq!(read(&line(&format!("GET {target} HTTP/1.1"))).unwrap_err(), error, "{target}");
        }
        assert!(matches!(head(&line("GET //h.test/ HTTP/1.1")).target, Target::Origin { path_and_query: "//h.test/" }));
        assert!(matches!(head(&line("OPTIONS * HTTP/1.1")).target, Target::Asterisk));
        assert_eq!(read(&line("TRACE http://h.test/ HTTP/1.1")).unwrap_err(), HeadError::Trace);
        assert_eq!(read(&line("track / HTTP/1.1")).unwrap_err(), HeadError::Trace);
    }

    #[test]
    fn connect_has_an_authority_with_a_port_and_no_body() {
        assert_eq!(head(&line("CONNECT H.test:443 HTTP/1.1")).target, {
            Target::Authority(Destination::parse(b"h.test:443", None).unwrap())
        });
        assert!(head("CONNECT h.test:443 HTTP/1.0\r\n\r\n").is_connect());
        for target in
            ["h.test", "http://h.test:443/", "/", "*", "h.test:443/", "h.test:443?a", "h.test:443#a", "u@h.test:1"]
        {
            let error = read(&line(&format!("CONNECT {target} HTTP/1.1"))).unwrap_err();
            assert!(matches!(error, HeadError::Authority(_)), "{target}: {error}");
        }
        for method in ["connect", "Connect", "CONNECt"] {
            for target in ["h.test:443", "http://h.test/"] {
                let error = read(&line(&format!("{method} {target} HTTP/1.1"))).unwrap_err();
                assert_eq!(error, HeadError::MethodCase, "{method} {target}");
            }
        }
        assert!(read(&line("Connects http://h.test/ HTTP/1.1")).is_ok());
        let with = |field: &str| read(&line(&format!("CONNECT h.test:443 HTTP/1.1\r\n{field}"))).map(drop);
        assert_eq!(with("Content-Length: 0"), Ok(()), "what Windows sends");
        assert_eq!(with("Content-Length: 1"), Err(HeadError::ConnectBody));
        assert_eq!(with("Transfer-Encoding: chunked"), Err(HeadError::ConnectBody));
    }

    #[test]
    fn there_is_one_host_and_it_is_an_authority() {
        let with = |version: &str, fields: &str| {
            let fields = fields.replace('|', "\r\n");
            read(&format!("GET http://h.test/a/b HTTP/{version}\r\n{fields}\r\n")).map(drop)
        };
        assert_eq!(with("1.1", ""), Err(HeadError::MissingHost));
        assert_eq!(with("1.0", ""), Ok(()));
        for good in ["h.test", "H.TEST", "h.test:80", "evil.test:1", "[::1]", ""] {
            assert_eq!(with("1.1", &format!("Host: {good}|")), Ok(()), "{good}");
        }
        for bad in [
            "h.test, evil.test",
            "h.test@evil.test",
            "h.test/",
            "h.test/a",
            "a b",
            "http://h.test",
            "::1",
            "h.test:",
            "*",
        ] {
            assert!(matches!(with("1.1", &format!("Host: {bad}|")), Err(HeadError::Host(_))), "{bad}");
        }
        for version in ["1.0", "1.1"] {
            assert_eq!(with(version, "Host: h.test|Host: h.test|"), Err(HeadError::RepeatedHost));
        }
        assert_eq!(with("1.1", "Host: h.test| evil.test|"), Err(HeadError::FoldedLine));
        assert_eq!(with("1.1", " Host: evil.test|Host: h.test|"), Err(HeadError::FoldedLine));
        let odd = "GET /://a@b/ HTTP/1.1\r\nHost: a@b\r\n\r\n";
        assert!(matches!(read(odd), Err(HeadError::Host(_))), "a path is not an authority to compare with");
    }

    #[test]
    fn a_field_line_is_name_colon_value() {
        for (bad, error) in [
            ("X : y", HeadError::BlankBeforeColon),
            ("X\t: y", HeadError::BlankBeforeColon),
            ("Content-Length : 5", HeadError::BlankBeforeColon),
            ("Transfer-Encoding : chunked", HeadError::BlankBeforeColon),
            ("X", HeadError::FieldName),
            (": y", HeadError::FieldName),
            ("X Y: z", HeadError::FieldName),
            ("X(: z", HeadError::FieldName),
            ("X\0: z", HeadError::FieldName),
            ("\u{fc}: z", HeadError::FieldName),
            ("X: y|\tz", HeadError::FoldedLine),
            ("X: y| ", HeadError::FoldedLine),
            ("X: a\0b", HeadError::FieldValue),
            ("X: a\u{b}b", HeadError::FieldValue),
            ("X: a\x7fb", HeadError::FieldValue),
            ("Content-Length: \u{b}5", HeadError::FieldValue),
            ("Content-Length: 5\0", HeadError::FieldValue),
        ] {
            assert_eq!(framing(bad), Err(error), "{bad:?}");
        }
        assert_eq!(framing("X: a\tb \u{fc}|!#$%&'*+-.^_`~9z: |X:"), Ok(BodyFraming::None));
    }

    #[test]
    fn a_body_has_one_plain_framing() {
        use BodyFraming::*;
        for (lines, expected) in [
            ("X: y", Ok(None)),
            ("Content-Length: 5", Ok(Length(5))),
            ("content-length:\t 5 ", Ok(Length(5))),
            ("Content-Length: 005", Ok(Length(5))),
            ("Content-Length: 0", Ok(Length(0))),
            ("Content-Length: 9223372036854775807", Ok(Length(i64::MAX as u64))),
            ("Content-Length: 9223372036854775808", Err(HeadError::Length)),
            ("Content-Length: 18446744073709551621", Err(HeadError::Length)),
            ("Content-Length: 99999999999999999999999999", Err(HeadError::Length)),
            ("Content-Length:", Err(HeadError::Length)),
            ("Content-Length: +5", Err(HeadError::Length)),
            ("Content-Length: -5", Err(HeadError::Length)),
            ("Content-Length: 0x5", Err(HeadError::Length)),
            ("Content-Length: 5 5", Err(HeadError::Length)),
            ("Content-Length: 5.0", Err(HeadError::Length)),
            ("Content-Length: 5, 5", Err(HeadError::Length)),
            ("Content-Length: 5,", Err(HeadError::Length)),
            ("Content-Length: \"5\"", Err(HeadError::Length)),
            ("Content-Length: 5|Content-Length: 5", Err(HeadError::RepeatedLength)),
            ("Content-Length: 5|content-length: 6", Err(HeadError::RepeatedLength)),
            ("Transfer-Encoding: chunked", Ok(Chunked)),
            ("transfer-encoding:CHUNKED\t", Ok(Chunked)),
            ("Transfer-Encoding: chunked|Content-Length: 5", Err(HeadError::LengthAndCoding)),
            ("Content-Length: x|Transfer-Encoding:", Err(HeadError::LengthAndCoding)),
            ("Transfer-Encoding: chunked|Transfer-Encoding: chunked", Err(HeadError::RepeatedCoding)),
            ("Transfer-Encoding: identity|Transfer-Encoding: chunked", Err(HeadError::RepeatedCoding)),
            ("Transfer-Encoding:", Err(HeadError::Coding)),
            ("Transfer-Encoding: identity", Err(HeadError::Coding)),
            ("Transfer-Encoding: identity, chunked", Err(HeadError::Coding)),
            ("Transfer-Encoding: chunked, identity", Err(HeadError::Coding)),
            ("Transfer-Encoding: chunked, chunked", Err(HeadError::Coding)),
            ("Transfer-Encoding: ,chunked", Err(HeadError::Coding)),
            ("Transfer-Encoding: chunked,", Err(HeadError::Coding)),
            ("Transfer-Encoding: \"chunked\"", Err(HeadError::Coding)),
            ("Transfer-Encoding: chunked;q=1", Err(HeadError::Coding)),
            ("Transfer-Encoding: xchunked", Err(HeadError::Coding)),
            ("Transfer-Encoding: chunked gzip", Err(HeadError::Coding)),
            ("Transfer-Encoding: gzip", Err(HeadError::Coding)),
            ("Transfer-Encoding: gzip, chunked", Err(HeadError::UnknownCoding)),
            ("Content_Length: 5", Err(HeadError::DisguisedName)),
            ("Transfer_Encoding: chunked|Content-Length: 15", Err(HeadError::DisguisedName)),
            ("Content.Length: 5", Err(HeadError::DisguisedName)),
            ("Transfer~Encoding: chunked", Err(HeadError::DisguisedName)),
            ("Transfer'encoding: x", Err(HeadError::DisguisedName)),
            ("Content5Length: 5", Ok(None)),
            ("ContentLength: 5", Ok(None)),
            ("X_Length: 5", Ok(None)),
        ] {
            assert_eq!(framing(lines), expected, "{lines}");
        }
        let old = post("Transfer-Encoding: chunked").replace("HTTP/1.1", "HTTP/1.0");
        assert_eq!(read(&old).unwrap_err(), HeadError::CodingInHttp10);
        let get = "GET http://h.test/ HTTP/1.1\r\nHost: h.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(head(get).framing, Chunked, "a GET may have a body, and it is framed like any other");
    }

    #[test]
    fn a_connection_is_kept_by_version_and_options() {
        for (version, fields, kept) in [
            ("1.1", "", true),
            ("1.1", "Connection: close", false),
            ("1.1", "Connection: x, CLOSE", false),
            ("1.1", "Connection: closed", true),
            ("1.1", "Connection: keep-alive|Connection: close", false),
            ("1.1", "Proxy-Connection: close", false),
            ("1.1", "Proxy-Connection: keep-alive", true),
            ("1.0", "", false),
            ("1.0", "Connection: Keep-Alive", true),
            ("1.0", "Connection: keep-alive, close", false),
            ("1.0", "Proxy-Connection: keep-alive", false),
        ] {
            let text = post(&format!("X: y|{fields}")).replace("HTTP/1.1", &format!("HTTP/{version}"));
            let text = text.replace("\r\n\r\n\r\n", "\r\n\r\n");
            assert_eq!(head(&text).keep_alive, kept, "{version} {fields}");
        }
        assert!(framing(&format!("Connection: {}", "x".repeat(1024))).is_ok());
        assert_eq!(framing(&format!("Connection: {}", "x".repeat(1025))), Err(HeadError::ConnectionOptions));
    }

    #[test]
    fn only_a_plain_get_upgrades_to_a_websocket() {
        let upgrade = |method: &str, fields: &str| {
            let text = post(fields).replace("POST", method);
            read(&text).unwrap().unwrap().0.upgrade
        };
        assert_eq!(upgrade("GET", "Connection: Upgrade|Upgrade: WebSocket"), Some(Upgrade::WebSocket));
        assert_eq!(upgrade("GET", "Connection: keep-alive, upgrade|Upgrade: websocket"), Some(Upgrade::WebSocket));
        assert_eq!(upgrade("GET", "Upgrade: websocket"), None);
        assert_eq!(upgrade("GET", "Connection: Upgrade"), None);
        for (method, fields) in [
            ("POST", "Connection: Upgrade|Upgrade: websocket"),
            ("GET", "Connection: Upgrade|Upgrade: h2c"),
            ("GET", "Connection: Upgrade|Upgrade: websocket, h2c"),
            ("GET", "Connection: Upgrade|Upgrade: websocket|Upgrade: websocket"),
            ("GET", "Connection: Upgrade|Upgrade: websocket|Content-Length: 5"),
            ("GET", "Connection: Upgrade|Upgrade: websocket/13"),
        ] {
            assert_eq!(upgrade(method, fields), Some(Upgrade::Other), "{method} {fields}");
        }
        let old = post("Connection: Upgrade|Upgrade: websocket").replace("POST", "GET").replace("HTTP/1.1", "HTTP/1.0");
        assert_eq!(head(&old).upgrade, Some(Upgrade::Other));
    }

    #[test]
    fn the_only_expectation_is_100_continue() {
        let expects = |fields: &str| read(&post(fields)).map(|read| read.unwrap().0.expect_continue);
        assert_eq!(expects("Expect: 100-Continue|Content-Length: 5"), Ok(true));
        assert_eq!(expects("Expect: 100-continue|Content-Length: 0"), Ok(false), "there is nothing to wait for");
        assert_eq!(expects("Expect: 100-continue"), Ok(false));
        for odd in [
            "Expect: y 100-continue",
            "Expect:",
            "Expect: 100-continue, x",
            "Expect: 100-continue|Expect: 100-continue",
        ] {
            assert_eq!(expects(odd).unwrap_err(), HeadError::Expectation, "{odd}");
        }
        let old = post("Expect: 100-continue|Content-Length: 5").replace("HTTP/1.1", "HTTP/1.0");
        assert!(!head(&old).expect_continue);
    }

    #[test]
    fn max_forwards_counts_for_options_alone() {
        let left = |method: &str, fields: &str| {
            read(&post(fields).replace("POST", method)).map(|read| read.unwrap().0.max_forwards)
        };
        assert_eq!(left("OPTIONS", "Max-Forwards: 0"), Ok(Some(0)));
        assert_eq!(left("OPTIONS", "X: y"), Ok(None));
        for bad in ["-1", "", "1, 1", "9999999999"] {
            assert_eq!(left("OPTIONS", &format!("Max-Forwards: {bad}")), Err(HeadError::MaxForwards), "{bad}");
            assert_eq!(left("GET", &format!("Max-Forwards: {bad}")), Ok(None), "{bad}");
        }
        assert_eq!(left("OPTIONS", "Max-Forwards: 1|Max-Forwards: 1"), Err(HeadError::MaxForwards));
    }

    #[test]
    fn a_head_has_limits() {
        let limits = HeadLimits { max_bytes: 100, max_fields: 3 };
        let verdict = |text: &[u8]| read_request(text, &limits).map(|read| read.map(|(_, length)| length));
        let with = |text: &str| verdict(text.as_bytes());
        let start = "GET http://h.test/ HTTP/1.1\r\nHost: h.test\r\n";
        let padded = |bytes: usize| format!("{start}X: {}\r\n\r\n", "y".repeat(bytes - start.len() - 7));
        assert_eq!(with(&padded(100)), Ok(Some(100)));
        assert_eq!(with(&padded(101)), Err(HeadError::HeadTooLarge));
        assert_eq!(verdict(&padded(101).as_bytes()[..99]), Ok(None));
        assert_eq!(verdict(&padded(101).as_bytes()[..100]), Err(HeadError::HeadTooLarge));
        assert_eq!(with(&format!("{start}A: \r\nB: \r\n\r\n")), Ok(Some(start.len() + 12)));
        assert_eq!(with(&format!("{start}A: \r\nB: \r\nC: \r\n")), Err(HeadError::TooManyFields));
        assert_eq!(with(&format!("GET http://h.test/{}", "y".repeat(82))), Err(HeadError::TargetTooLong));
        let many = |count| post(&vec!["X: y"; count].join("|"));
        assert!(read(&many(127)).is_ok());
        assert_eq!(read(&many(128)).unwrap_err(), HeadError::TooManyFields);
        let generous = HeadLimits { max_fields: 1000, ..HeadLimits::default() };
        assert_eq!(read_request(many(128).as_bytes(), &generous).unwrap_err(), HeadError::TooManyFields);
    }

    #[test]
    fn what_can_never_become_a_request_fails_at_once() {
        for (start, error) in [
            (&b"\x16"[..], HeadError::RequestLine),
            (b"\x05", HeadError::RequestLine),
            (b"GET http://h.test/\x80", HeadError::TargetByte(0x80)),
            (b"GET / HTTP/1.1 ", HeadError::RequestLine),
            (b"\r\n\r\n", HeadError::EmptyLines),
            (b"GET / HTTP/1.1\r\nX\n", HeadError::BareLf),
            (b"GET / HTTP/1.1\r\nX\rY", HeadError::BareCr),
        ] {
            let limits = HeadLimits::default();
            assert_eq!(read_request(start, &limits).unwrap_err(), error, "{start:?}");
            assert!(read_request(&start[..start.len() - 1], &limits).unwrap().is_none(), "{start:?}");
        }
    }
}
