//! The forwarded head: without anything that ends at this hop, with our own framing, `Host`, `Via` and `Connection`.
//!
//! What the sender wrote about the hop is never copied; each of these fields is generated from the parsed values.

use std::io::Write;

use super::fields::{Field, FieldBlock};
use super::framing::{BodyFraming, ResponseFraming};
use super::hop::{Upgrade, is_nominated};
use super::role::Role;
use super::{RequestHead, ResponseHead, Target, Version, proxy_status};
use crate::facts::{Destination, Host, Port};

/// What the hop to the origin is to be like.
#[derive(Clone, Copy, Debug)]
pub struct OriginHop<'a> {
    /// What we call ourselves in `Via`: the token that [`names_instance`] looks for.
    pub via: &'a str,
    /// Whether we may send another request on this connection. HTTP/1.1 needs no field to say yes.
    pub keep_alive: bool,
    /// Whether a client's `Expect: 100-continue` is forwarded to the origin. If not, the caller sends the 100.
    pub expect: bool,
}

/// Appends the head to send to the origin of an absolute-form target.
///
/// It is HTTP/1.1 regardless of the client's version. `Upgrade: websocket` is forwarded, every other upgrade is not;
/// `Max-Forwards` of an OPTIONS is one less. Other target forms keep their form and their `Host`, and nothing here
/// routes by that.
pub fn write_request(head: &RequestHead<'_>, hop: &OriginHop<'_>, out: &mut Vec<u8>) {
    write_line_and_host(head, false, out);
    write_fields(head, hop, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends the head to send to another proxy: as [`write_request`], but an absolute-form target stays one (RFC 9112
/// §3.2.2), and `authorization` is the proxy's own `Proxy-Authorization`. What the client sent of that name never passes.
pub fn write_request_to_proxy(
    head: &RequestHead<'_>,
    hop: &OriginHop<'_>,
    authorization: Option<&str>,
    out: &mut Vec<u8>,
) {
    write_line_and_host(head, true, out);
    write_fields(head, hop, out);
    if let Some(value) = authorization {
        push(out, &[b"Proxy-Authorization: ", value.as_bytes(), b"\r\n"]);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_line_and_host(head: &RequestHead<'_>, to_proxy: bool, out: &mut Vec<u8>) {
    push(out, &[head.method.as_bytes(), b" "]);
    if let (Target::Absolute { destination, .. }, true) = (&head.target, to_proxy) {
        out.extend_from_slice(b"http://");
        write_authority(destination, false, out);
    }
    let (target, host): (&str, _) = match &head.target {
        // Only the last proxy makes an asterisk of it (RFC 9112 §3.2.4).
        Target::Absolute { destination, .. } if head.asks_whole_server => {
            (if to_proxy { "" } else { "*" }, Ok(destination))
        }
        Target::Absolute { destination, path_and_query } => (path_and_query, Ok(destination)),
        Target::Authority(destination) => ("", Ok(destination)),
        Target::Origin { path_and_query } => (path_and_query, Err(head.field("host"))),
        Target::Asterisk => ("*", Err(head.field("host"))),
    };
    out.extend_from_slice(target.as_bytes());
    if let Target::Authority(destination) = &head.target {
        print(out, format_args!("{destination}"));
    }
    out.extend_from_slice(b" HTTP/1.1\r\nHost: ");
    match host {
        Ok(destination) => write_authority(destination, head.is_connect(), out),
        Err(received) => out.extend_from_slice(received.unwrap_or_default()),
    }
    out.extend_from_slice(b"\r\n");
}

/// All fields but `Host`.
fn write_fields(head: &RequestHead<'_>, hop: &OriginHop<'_>, out: &mut Vec<u8>) {
    let has_trailers = head.framing == BodyFraming::Chunked;
    write_passing(&head.block, head.nominates, has_trailers, Message::Request, out);
    match head.framing {
        BodyFraming::None => {}
        BodyFraming::Length(length) => write_length(length, out),
        BodyFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
    }
    if let Some(left) = head.max_forwards {
        print(out, format_args!("Max-Forwards: {}\r\n", left.saturating_sub(1)));
    }
    if head.expect_continue && hop.expect {
        out.extend_from_slice(b"Expect: 100-continue\r\n");
    }
    write_via(head.version, hop.via, out);
    if head.upgrade == Some(Upgrade::WebSocket) {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
    } else if !hop.keep_alive {
        out.extend_from_slice(b"Connection: close\r\n");
    }
}

/// Whether a `Via` field names this instance: the request has been here before.
///
/// Every word counts, in comments too: a malformed field cannot hide a loop, and no other program uses our name.
pub fn names_instance(head: &RequestHead<'_>, via_token: &str) -> bool {
    head.has_via
        && head.fields().filter(|field| field.role == Role::Via).any(|field| {
            field
                .value
                .split(|byte| matches!(byte, b',' | b' ' | b'\t' | b'(' | b')'))
                .any(|word| word.eq_ignore_ascii_case(via_token.as_bytes()))
        })
}

/// Appends the head to send to the client.
///
/// `framing_out` is how the body will be written, usually [`ResponseHead::framing_toward`] the client; what ends with
/// the connection also says `close`. `keep_alive` is what we shall do with the client's connection.
pub fn write_response(
    head: &ResponseHead<'_>,
    via: &str,
    client_version: Version,
    keep_alive: bool,
    framing_out: ResponseFraming,
    out: &mut Vec<u8>,
) {
    push(out, &[b"HTTP/1.1 ", itoa::Buffer::new().format(head.status).as_bytes(), b" ", head.reason, b"\r\n"]);
    let has_trailers = framing_out == ResponseFraming::Chunked;
    write_passing(&head.block, head.nominates, has_trailers, Message::Response, out);
    match framing_out {
        ResponseFraming::None => {
            if let Some(length) = head.told_length {
                write_length(length, out);
            }
        }
        ResponseFraming::Length(length) => write_length(length, out),
        ResponseFraming::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        ResponseFraming::UntilClose => {}
    }
    write_via(head.version, via, out);
    if head.upgrade_websocket {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
    } else if head.is_interim() {
        // What becomes of the connection is for the final response to say.
    } else if !keep_alive || framing_out == ResponseFraming::UntilClose {
        out.extend_from_slice(b"Connection: close\r\n");
    } else if client_version == Version::Http10 {
        out.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// What a head is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    Request,
    Response,
}

/// Copies the fields that pass this hop.
///
/// `Connection` can name a field away only where nothing depends on it: `Host`, the framing, `Via` and `Max-Forwards`
/// stay, however they are named.
fn write_passing(block: &FieldBlock<'_>, nominates: bool, has_trailers: bool, of: Message, out: &mut Vec<u8>) {
    for Field { name, value, role } in block.iter() {
        let is_named_away = || nominates && is_nominated(block, name);
        let passes = match role {
            Role::Via => true,
            Role::EndToEnd => !is_named_away(),
            Role::ProxyStatus => {
                if of == Message::Response && name.contains(&b'-') && !is_named_away() {
                    proxy_status::write_others(value, out);
                }
                false
            }
            Role::Trailer => has_trailers,
            Role::Host
            | Role::ContentLength
            | Role::TransferEncoding
            | Role::Connection
            | Role::ProxyConnection
            | Role::Upgrade
            | Role::Expect
            | Role::MaxForwards
            | Role::Denial
            | Role::Hop => false,
        };
        if passes {
            push(out, &[name, b": ", value, b"\r\n"]);
        }
    }
}

/// The default port is left out (RFC 9110 §4.2.1), as every client does; a CONNECT always has its port.
fn write_authority(destination: &Destination, with_port: bool, out: &mut Vec<u8>) {
    match destination.host() {
        Host::Name(name) => out.extend_from_slice(name.as_str().as_bytes()),
        host @ Host::Ip(_) => print(out, format_args!("{host}")),
    }
    if destination.port() != Port::HTTP || with_port {
        push(out, &[b":", itoa::Buffer::new().format(destination.port().get()).as_bytes()]);
    }
}

fn write_length(length: u64, out: &mut Vec<u8>) {
    push(out, &[b"Content-Length: ", itoa::Buffer::new().format(length).as_bytes(), b"\r\n"]);
}

/// One more line after the existing ones, which is equivalent to one more list element (RFC 9110 §5.3).
fn write_via(received: Version, via: &str, out: &mut Vec<u8>) {
    push(out, &[b"Via: ", received.as_str().as_bytes(), b" ", via.as_bytes(), b"\r\n"]);
}

fn push(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn print(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    // Into a Vec this cannot fail.
    let _ = out.write_fmt(text);
}

#[cfg(test)]
mod tests {
    use super::super::{HeadLimits, read_request, read_response};
    use super::*;

    const HOP: OriginHop<'_> = OriginHop { via: "outgate-1", keep_alive: true, expect: false };

    /// In `text`, `|` means CRLF. The final empty line is added to the request and removed from the result.
    fn request_by(hop: &OriginHop<'_>, text: &str) -> String {
        let text = format!("{text}||").replace('|', "\r\n");
        let (head, _) = read_request(text.as_bytes(), &HeadLimits::default()).unwrap().unwrap();
        let mut out = b"before".to_vec();
        write_request(&head, hop, &mut out);
        let out = String::from_utf8(out).unwrap();
        out.strip_prefix("before").unwrap().strip_suffix("\r\n\r\n").unwrap().replace("\r\n", "|")
    }

    fn request(text: &str) -> String {
        request_by(&HOP, text)
    }

    /// What is forwarded of these fields, apart from request line, `Host` and `Via`.
    fn forwarded(fields: &str) -> String {
        let out = request(&format!("GET http://h.test/ HTTP/1.1|Host: h.test|{fields}"));
        let out = out.strip_prefix("GET / HTTP/1.1|Host: h.test|").expect("request line and Host");
        let (fields, via) = out.rsplit_once("Via: 1.1 outgate-1").expect("our own Via");
        format!("{fields}{}", via.trim_start_matches('|')).trim_matches('|').to_owned()
    }

    fn response(method: &str, client: Version, keep_alive: bool, text: &str) -> String {
        let text = format!("{text}||").replace('|', "\r\n");
        let (head, _) = read_response(text.as_bytes(), method, &HeadLimits::default()).unwrap().unwrap();
        let mut out = Vec::new();
        write_response(&head, "outgate-1", client, keep_alive, head.framing_toward(client), &mut out);
        String::from_utf8(out).unwrap().strip_suffix("\r\n\r\n").unwrap().replace("\r\n", "|")
    }

    #[test]
    fn the_target_becomes_origin_form_and_host_is_the_targets() {
        for (line, sent) in [
            ("GET http://h.test/a?b HTTP/1.1|Host: evil.test", "GET /a?b HTTP/1.1|Host: h.test"),
            ("GET http://H.test:80?b HTTP/1.1|Host:", "GET /?b HTTP/1.1|Host: h.test"),
            ("GET http://h.test.:81 HTTP/1.1|Host: x", "GET / HTTP/1.1|Host: h.test:81"),
            ("GET http://[::1]/ HTTP/1.1|Host: x", "GET / HTTP/1.1|Host: [::1]"),
            ("GET http://[::1]:443/ HTTP/1.1|Host: x", "GET / HTTP/1.1|Host: [::1]:443"),
            ("OPTIONS http://h.test HTTP/1.1|Host: h.test", "OPTIONS * HTTP/1.1|Host: h.test"),
            ("OPTIONS http://h.test/ HTTP/1.1|Host: h.test", "OPTIONS / HTTP/1.1|Host: h.test"),
            ("OPTIONS http://h.test?a HTTP/1.1|Host: h.test", "OPTIONS /?a HTTP/1.1|Host: h.test"),
            ("OPTIONS http://h.test/h.test HTTP/1.1|Host: h.test", "OPTIONS /h.test HTTP/1.1|Host: h.test"),
            ("CONNECT h.test:80 HTTP/1.1|Host: x", "CONNECT h.test:80 HTTP/1.1|Host: h.test:80"),
        ] {
            assert_eq!(request(line), format!("{sent}|Via: 1.1 outgate-1"), "{line}");
        }
        assert_eq!(request("GET http://h.test/ HTTP/1.0"), "GET / HTTP/1.1|Host: h.test|Via: 1.0 outgate-1");
    }

    #[test]
    fn another_proxy_gets_the_absolute_form_and_our_own_credentials() {
        let to_proxy = |authorization, text: &str| {
            let text = format!("{text}||").replace('|', "\r\n");
            let (head, _) = read_request(text.as_bytes(), &HeadLimits::default()).unwrap().unwrap();
            let mut out = Vec::new();
            write_request_to_proxy(&head, &HOP, authorization, &mut out);
            String::from_utf8(out).unwrap().strip_suffix("\r\n\r\n").unwrap().replace("\r\n", "|")
        };
        for (line, sent) in [
            ("GET http://h.test/a?b HTTP/1.1|Host: evil.test", "GET http://h.test/a?b HTTP/1.1|Host: h.test"),
            ("GET http://H.test:80?b HTTP/1.1|Host:", "GET http://h.test/?b HTTP/1.1|Host: h.test"),
            ("GET http://h.test.:81 HTTP/1.1|Host: x", "GET http://h.test:81/ HTTP/1.1|Host: h.test:81"),
            ("GET http://[::1]/ HTTP/1.1|Host: x", "GET http://[::1]/ HTTP/1.1|Host: [::1]"),
            ("OPTIONS http://h.test HTTP/1.1|Host: h.test", "OPTIONS http://h.test HTTP/1.1|Host: h.test"),
            ("OPTIONS http://h.test/ HTTP/1.1|Host: h.test", "OPTIONS http://h.test/ HTTP/1.1|Host: h.test"),
            ("CONNECT h.test:80 HTTP/1.1|Host: x", "CONNECT h.test:80 HTTP/1.1|Host: h.test:80"),
        ] {
            assert_eq!(to_proxy(None, line), format!("{sent}|Via: 1.1 outgate-1"), "{line}");
        }
        let secret = "GET http://h.test/ HTTP/1.1|Host: h.test|Proxy-Authorization: Basic Y2xpZW50|A: b";
        let sent = "GET http://h.test/ HTTP/1.1|Host: h.test|A: b|Via: 1.1 outgate-1";
        assert_eq!(to_proxy(None, secret), sent);
        assert_eq!(to_proxy(Some("Basic b3Vycw=="), secret), format!("{sent}|Proxy-Authorization: Basic b3Vycw=="));
    }

    #[test]
    fn what_ends_at_this_hop_does_not_pass_it() {
        for gone in [
            "Connection: keep-alive",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "pRoXy-AuThOrIzAtIoN: Basic c2VjcmV0",
            "Proxy_Authorization: Basic c2VjcmV0",
            "Proxy.Authorization: Basic c2VjcmV0",
            "Proxy!Connection: x",
            "Keep.Alive: 5",
            "Max~Forwards: 5",
            "Proxy-Anything: x",
            "Proxy-Status: a",
            "X-Deny-Reason: x|x_proxy_error: y",
            "TE: trailers, deflate",
            "Trailer: X",
            "Upgrade: h2c",
            "Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AAMAAABkAAQAAP__",
            "HTTP2-Settings: x",
            "Connection: Upgrade|Upgrade: TLS/1.0, foo",
            "Connection: Upgrade|Upgrade: websocket, h2c",
            "Connection: close, X-Secret|X-Secret: s3cr3t",
            "Connection: x-a|Connection: keep-alive, X-B|X-A: s3cr3t|x-b: s3cr3t",
            "Connection: x-a|X_A: s3cr3t",
            "Connection: x-a|X.A: s3cr3t",
            "Connection: Host",
            "Connection: host, via, max-forwards",
            "Expect: 100-continue",
        ] {
            assert_eq!(forwarded(gone), "", "{gone}");
        }
        for kept in [
            "Accept: */*|Accept: x",
            "ProxyX: y",
            "X-Proxy-A: y",
            "Max-Forward: 1",
            "Content_Type: x",
            "Via: 1.0 a|X: y|Via: 1.1 b",
            "TEX: y",
        ] {
            assert_eq!(forwarded(kept), kept);
        }
        assert_eq!(forwarded("X:\t y |Connection: z"), "X: y");
        assert_eq!(forwarded("Via: 1.0 a|Connection: via, X"), "Via: 1.0 a", "naming Via does not hide a loop");
    }

    #[test]
    fn a_websocket_is_asked_for_anew() {
        let fields = "Connection: keep-alive, Upgrade|Upgrade: WebSocket|Sec-WebSocket-Version: 13";
        let sent = "Sec-WebSocket-Version: 13|Connection: Upgrade|Upgrade: websocket";
        assert_eq!(forwarded(fields), sent);
    }

    #[test]
    fn there_is_exactly_one_framing() {
        let body = |fields: &str| {
            let out = request(&format!("POST http://h.test/ HTTP/1.1|Host: h.test|{fields}"));
            out.trim_start_matches("POST / HTTP/1.1|Host: h.test|").trim_end_matches("|Via: 1.1 outgate-1").to_owned()
        };
        assert_eq!(body("Connection: Content-Length|Content-Length: 005"), "Content-Length: 5");
        assert_eq!(body("Content-Length: 0"), "Content-Length: 0");
        let chunked = "Connection: Transfer-Encoding|Trailer: X|transfer-encoding: CHUNKED";
        assert_eq!(body(chunked), "Trailer: X|Transfer-Encoding: chunked");
    }

    #[test]
    fn the_hop_says_what_goes_on() {
        let expecting = "POST http://h.test/ HTTP/1.1|Host: h.test|Expect: 100-Continue|Content-Length: 5";
        let sent = "POST / HTTP/1.1|Host: h.test|Content-Length: 5";
        assert_eq!(request(expecting), format!("{sent}|Via: 1.1 outgate-1"));
        let hop = OriginHop { expect: true, keep_alive: false, ..HOP };
        let expected = format!("{sent}|Expect: 100-continue|Via: 1.1 outgate-1|Connection: close");
        assert_eq!(request_by(&hop, expecting), expected);
    }

    #[test]
    fn max_forwards_is_one_less() {
        let options =
            |left: &str| request(&format!("OPTIONS http://h.test/ HTTP/1.1|Host: h.test|Max-Forwards: {left}"));
        let sent = |left: &str| format!("OPTIONS / HTTP/1.1|Host: h.test|Max-Forwards: {left}|Via: 1.1 outgate-1");
        assert_eq!(options("7"), sent("6"));
        assert_eq!(options("0"), sent("0"));
    }

    #[test]
    fn our_own_name_in_any_via_is_a_loop() {
        let text = |via: &str| format!("GET http://h.test/ HTTP/1.1\r\nHost: h.test\r\n{via}\r\n\r\n");
        for (via, ours) in [
            ("Via: 1.1 outgate-1", true),
            ("VIA: 1.1 OUTGATE-1", true),
            ("Via: 1.0 a, 1.1 outgate-1 (x), 1.1 b", true),
            ("Via: 1.0 a,HTTP/1.1\toutgate-1", true),
            ("Via: 1.0 a\r\nVia: 1.1 outgate-1", true),
            ("Via: 1.0 a (unclosed, 1.1 outgate-1", true),
            ("Via: 1.1 outgate-12", false),
            ("Via: 1.1 xoutgate-1", false),
            ("Via: 1.1 outgate-2, 1.1 a", false),
            ("X-Via: 1.1 outgate-1", false),
        ] {
            let text = text(via);
            let (head, _) = read_request(text.as_bytes(), &HeadLimits::default()).unwrap().unwrap();
            assert_eq!(names_instance(&head, "outgate-1"), ours, "{via}");
        }
    }

    #[test]
    fn an_answer_has_one_framing_and_our_word_on_the_connection() {
        let (old, new) = (Version::Http10, Version::Http11);
        for (method, client, keep, text, sent) in [
            ("GET", new, true, "200 OK|Content-Length: 2|ETag: x", "200 OK|ETag: x|Content-Length: 2|<via>"),
            ("GET", new, false, "200 OK|Content-Length: 2", "200 OK|Content-Length: 2|<via>|Connection: close"),
            ("GET", old, true, "200 OK|Content-Length: 2", "200 OK|Content-Length: 2|<via>|Connection: keep-alive"),
            (
                "GET",
                new,
                true,
                "200 OK|Transfer-Encoding: chunked|Trailer: X",
                "200 OK|Trailer: X|Transfer-Encoding: chunked|<via>",
            ),
            ("GET", old, true, "200 OK|Transfer-Encoding: chunked|Trailer: X", "200 OK|<via>|Connection: close"),
            ("GET", new, true, "200 ", "200 |<via>|Connection: close"),
            ("GET", new, true, "204 X|Content-Length: 0", "204 X|<via>"),
            ("GET", new, true, "304 X|Content-Length: 9", "304 X|Content-Length: 9|<via>"),
            ("HEAD", new, true, "200 X|Content-Length: 9", "200 X|Content-Length: 9|<via>"),
            ("HEAD", new, true, "200 X|Transfer-Encoding: chunked", "200 X|<via>"),
            ("GET", new, false, "103 X|Link: </a>", "103 X|Link: </a>|<via>"),
            // What looks like a denial of ours: only we send these.
            (
                "GET",
                new,
                true,
                "403 Blocked|X-Proxy-Error: a|x_deny_reason: b|X-Request-Id: c|Proxy-Status: outgate; error=d|Content-Length: 0",
                "403 Blocked|X-Request-Id: c|Content-Length: 0|<via>",
            ),
            ("GET", new, true, "103 X|X-Deny-Reason: a|proxy-status: outgate", "103 X|<via>"),
            (
                "GET",
                new,
                true,
                "101 X|Connection: Upgrade|Upgrade: websocket|X-Deny-Reason: a",
                "101 X|<via>|Connection: Upgrade|Upgrade: websocket",
            ),
            (
                "GET",
                new,
                true,
                "200 X|proxy-status: a; error=b, outgate; c|Proxy_Status: d|Proxy.Status: d|Proxy-Status: e f|Content-Length: 0",
                "200 X|Proxy-Status: a; error=b|Content-Length: 0|<via>",
            ),
            (
                "GET",
                new,
                true,
                "200 X|Connection: proxy-status|Proxy-Status: a|Content-Length: 0",
                "200 X|Content-Length: 0|<via>",
            ),
            (
                "GET",
                new,
                true,
                "101 X|Connection: Upgrade|Upgrade: websocket",
                "101 X|<via>|Connection: Upgrade|Upgrade: websocket",
            ),
            (
                "GET",
                new,
                true,
                "200 X|Content-Length: 0|Connection: x|X: y|Keep-Alive: z|Upgrade: h2|Proxy-Authenticate: b|Via: 1.1 a",
                "200 X|Via: 1.1 a|Content-Length: 0|<via>",
            ),
        ] {
            let sent = format!("HTTP/1.1 {}", sent.replace("<via>", "Via: 1.1 outgate-1"));
            assert_eq!(response(method, client, keep, &format!("HTTP/1.1 {text}")), sent, "{method} {text}");
        }
    }
}
