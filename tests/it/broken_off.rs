//! An interrupted response or tunnel never looks complete, on either side and for any cause.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;

use rustix::process::Signal;

use crate::harness::{Conn, Ending, Origin, Proxy, Settings, allow, answer, get, policy, rule, until};
use crate::tls_listener::{Certificate, handshake};

/// More than sockets hold, so that some of it is always under way.
const BULK: usize = 4 << 20;

/// What an origin does after part of a response or a tunnel.
#[derive(Clone, Copy, Debug)]
enum Then {
    Resets,
    Closes,
    Stalls,
}

/// Reads one request, sends these bytes, and then this.
fn origin(bytes: impl Into<Vec<u8>>, then: Then) -> Origin {
    let bytes = bytes.into();
    Origin::script(move |conn| {
        conn.request_head();
        conn.send(&bytes);
        match then {
            Then::Resets => {
                conn.reset_at_end();
                (Vec::new(), Ending::Reset)
            }
            Then::Closes => (Vec::new(), Ending::Closed),
            Then::Stalls => conn.rest(),
        }
    })
}

fn old(port: u16) -> String {
    format!("GET http://ok.test:{port}/ HTTP/1.0\r\n\r\n")
}

fn new(port: u16) -> String {
    get(&format!("http://ok.test:{port}/"), &[])
}

#[test]
fn a_response_that_breaks_off_is_no_complete_one() {
    const CLOSE: &str = "HTTP/1.1 200 OK\r\n\r\nhalf of it";
    const CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf of it\r\n";
    const LENGTH: &str = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of it";
    for (bytes, then, request, ending) in [
        (CLOSE, Then::Resets, new as fn(u16) -> String, Ending::Reset),
        (CLOSE, Then::Resets, old, Ending::Reset),
        (CLOSE, Then::Stalls, new, Ending::Reset),
        (CHUNKS, Then::Closes, old, Ending::Reset),
        (CHUNKS, Then::Resets, old, Ending::Reset),
        (CHUNKS, Then::Stalls, old, Ending::Reset),
        // Here the framing says that something is missing, and what came may as well arrive.
        (CHUNKS, Then::Closes, new, Ending::Closed),
        (CHUNKS, Then::Resets, new, Ending::Closed),
        (CHUNKS, Then::Stalls, new, Ending::Closed),
        (LENGTH, Then::Closes, new, Ending::Closed),
        (LENGTH, Then::Closes, old, Ending::Closed),
        (LENGTH, Then::Stalls, old, Ending::Closed),
    ] {
        let origin = origin(bytes, then);
        let proxy = Settings::with(allow(&["ok.test:*"])).limit("body-timeout = \"1s\"").start();
        let mut client = proxy.client();
        let request = request(origin.port());
        client.send(&request);
        let (got, ended) = client.rest();
        let (got, what) = (String::from_utf8(got).unwrap(), format!("{bytes:?} {then:?} {request:?}"));
        assert_eq!(ended, ending, "{what}: {got:?}");
        assert!(got.contains("half of it") && !got.ends_with("0\r\n\r\n"), "{what}: {got:?}");
        assert_eq!(got.contains("\r\nContent-Length: 100\r\n"), bytes == LENGTH, "{what}: {got:?}");
        let outcome = if matches!(then, Then::Stalls) { "timeout" } else { "origin_closed" };
        proxy.account(&[&format!("http ok.test:{}/ allow - {outcome} 200", origin.port())]);
    }
}

#[test]
fn a_response_that_is_complete_ends_in_order() {
    for bytes in [
        b"HTTP/1.1 200 OK\r\n\r\nall of it".to_vec(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nall of it\r\n0\r\n\r\n".to_vec(),
        answer("200 OK", &[], b"all of it"),
    ] {
        for request in [new, old] {
            let origin = origin(bytes.clone(), Then::Closes);
            let proxy = Proxy::with(allow(&["ok.test:*"]));
            let mut client = proxy.client();
            client.send(request(origin.port()));
            assert_eq!(client.answer().text(), "all of it");
            client.half_close();
            assert_eq!(client.rest(), (Vec::new(), Ending::Closed));
            proxy.account(&[&format!("http ok.test:{}/ allow - completed 200", origin.port())]);
        }
    }
}

#[test]
fn an_interrupted_response_inside_tls_ends_without_a_close_notify() {
    let certificate = Certificate::new();
    let proxy = Settings::with(allow(&["ok.test:*"])).listen(&certificate.line()).start();
    for (then, complete) in [(Then::Closes, true), (Then::Resets, false)] {
        let origin = origin("HTTP/1.1 200 OK\r\n\r\nwhat there is", then);
        let mut client = handshake(TcpStream::connect(proxy.address()).unwrap(), &certificate.der).unwrap();
        client.send(new(origin.port()));
        client.read_until(b"what there is");
        let mut rest = Vec::new();
        // An end in order is one that TLS says: rustls reports every other as an error.
        let ended = client.stream().read_to_end(&mut rest).map_err(|error| error.kind());
        match ended {
            Ok(0) => assert!(complete, "{then:?} looks complete"),
            Err(ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => assert!(!complete, "{then:?}"),
            other => panic!("{then:?}: {other:?}"),
        }
    }
}

/// An origin that sends `first` and then collects what it receives until the end.
fn talker(first: &'static [u8]) -> Origin {
    Origin::script(move |conn| {
        conn.read(4);
        conn.send(first);
        conn.rest()
    })
}

fn talking(proxy: &Proxy, origin: &Origin) -> Conn {
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", origin.port()));
    tunnel.send(b"ping");
    assert_eq!(tunnel.read(4), b"pong");
    tunnel
}

#[test]
fn a_tunnel_side_that_resets_is_a_reset_on_the_other_side() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let resets = Origin::script(|conn| {
        conn.read(4);
        conn.send(b"pong");
        conn.read(4);
        conn.reset_at_end();
        (Vec::new(), Ending::Reset)
    });
    let mut client = talking(&proxy, &resets);
    client.send(b"done");
    assert_eq!(client.rest(), (Vec::new(), Ending::Reset));

    let origin = talker(b"pong");
    let mut client = talking(&proxy, &origin);
    client.reset_at_end();
    drop(client);
    assert_eq!(origin.received(), (Vec::new(), Ending::Reset));

    let mut client = talking(&proxy, &origin);
    client.half_close();
    assert_eq!(origin.received(), (Vec::new(), Ending::Closed), "an end in order is one");
    assert_eq!(client.rest(), (Vec::new(), Ending::Closed));
    proxy.account(&[
        &format!("connect ok.test:{} allow - origin_closed 200", resets.port()),
        &format!("connect ok.test:{} allow - client_closed 200", origin.port()),
        &format!("connect ok.test:{} allow - completed 200", origin.port()),
    ]);
}

#[test]
fn bulk_that_a_reset_cuts_off_is_cut_off_for_its_reader() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let origin = Origin::script(|conn| {
        conn.read(4);
        conn.send(b"pong");
        conn.send(vec![7; BULK]);
        conn.reset_at_end();
        (Vec::new(), Ending::Reset)
    });
    let mut client = talking(&proxy, &origin);
    origin.received();
    let (got, ending) = client.rest();
    assert!(got.len() <= BULK && got.iter().all(|byte| *byte == 7), "{} bytes", got.len());
    assert_eq!(ending, Ending::Reset);
}

#[test]
fn a_direction_that_ended_in_order_keeps_its_bytes_when_the_other_is_cut() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let origin = Origin::script(|conn| {
        conn.read(4);
        conn.send(b"pong");
        conn.send(vec![7; BULK]);
        conn.half_close();
        conn.read(4);
        conn.reset_at_end();
        (Vec::new(), Ending::Reset)
    });
    let mut client = talking(&proxy, &origin);
    assert_eq!(client.read(BULK), vec![7; BULK]);
    client.send(b"more");
    origin.received();
    assert_eq!(client.rest(), (Vec::new(), Ending::Closed), "the client has every byte and an orderly end");
    client.half_close();
}

#[test]
fn a_tunnel_that_is_cut_is_a_reset_on_both_sides() {
    let limits = "idle-timeout = \"2s\"\ndrain-timeout = \"100ms\"";
    for cut in ["revoked", "timeout", "shutdown", "ended by hand"] {
        let origin = talker(b"pong");
        let mut proxy = Settings::with(allow(&["ok.test:*"])).limit(limits).start();
        let mut client = talking(&proxy, &origin);
        match cut {
            "revoked" => proxy.set_policy(&policy("r2", &rule("other", &["also.test:*"]))),
            "shutdown" => proxy.signal(Signal::TERM),
            "ended by hand" => {
                let listed = proxy.api("/v1/tunnels");
                let id = listed["tunnels"][0]["id"].as_str().unwrap();
                assert_eq!(proxy.admin("DELETE", &format!("/v1/tunnels/{id}")).status(), 204);
            }
            _ => {}
        }
        assert_eq!(client.rest(), (Vec::new(), Ending::Reset), "{cut}");
        assert_eq!(origin.received(), (Vec::new(), Ending::Reset), "{cut}");
        if cut == "shutdown" {
            assert_eq!(proxy.wait(), Some(0));
        }
        let outcome = if cut == "ended by hand" { "revoked" } else { cut };
        until("it is recorded", || (proxy.records_now().len() == 1).then_some(()));
        assert_eq!(proxy.records_now()[0]["outcome"], outcome);
    }
}

#[test]
fn an_interrupted_tunnel_inside_tls_ends_without_a_close_notify() {
    let certificate = Certificate::new();
    let proxy = Settings::with(allow(&["ok.test:*"])).listen(&certificate.line()).start();
    for complete in [true, false] {
        let origin = Origin::script(move |conn| {
            conn.read(4);
            conn.send(b"pong");
            if !complete {
                conn.read(4);
                conn.reset_at_end();
            }
            (Vec::new(), Ending::Closed)
        });
        let mut client = handshake(TcpStream::connect(proxy.address()).unwrap(), &certificate.der).unwrap();
        client.send(format!("CONNECT ok.test:{} HTTP/1.1\r\nHost: ok.test\r\n\r\nping", origin.port()));
        assert_eq!(client.answer_to("CONNECT").status(), 200);
        assert_eq!(client.read(4), b"pong");
        if !complete {
            client.send(b"more");
        }
        let ended = client.stream().read_to_end(&mut Vec::new()).map_err(|error| error.kind());
        match ended {
            Ok(0) => assert!(complete, "it looks complete"),
            Err(ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof) => assert!(!complete),
            other => panic!("{complete}: {other:?}"),
        }
    }
}
