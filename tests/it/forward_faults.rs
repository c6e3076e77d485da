//! Origins that misbehave: the client hears whose fault it was, and never half a truth.

use std::sync::mpsc;

use crate::expectations::assert_failed;
use crate::harness::{Conn, Ending, Origin, Proxy, Settings, allow, get, ok, request, until};

/// What a client gets of an origin that answers with these bytes and closes.
fn answered_with(bytes: &'static str) -> (Proxy, u16, crate::harness::Answers) {
    let origin = Origin::answering_once(bytes);
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let answers = proxy.raw(get(&format!("http://ok.test:{}/", origin.port()), &["Connection: close"]));
    (proxy, origin.port(), answers)
}

#[test]
fn an_answer_that_is_no_clear_http_is_502() {
    for bytes in [
        "hello there\r\n\r\n",
        "220 ready\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\nA b: c\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
    ] {
        let (proxy, port, answers) = answered_with(bytes);
        let answer = answers.only();
        assert_eq!((answer.status(), answer.header("x-deny-reason")), (502, None), "{bytes:?}: {answer}");
        assert!(!answer.text().contains("hello there"), "{answer}");
        proxy.account(&[&format!("http ok.test:{port}/ allow - origin_closed 502")]);
    }
}

#[test]
fn an_origin_that_ends_without_an_answer_is_502() {
    let (proxy, port, answers) = answered_with("");
    assert_failed(answers.only(), 502, "connection_terminated");
    proxy.account(&[&format!("http ok.test:{port}/ allow - origin_closed 502")]);
    let (proxy, port, answers) = answered_with("HTTP/1.1 200 OK\r\nContent-Le");
    assert_failed(answers.only(), 502, "connection_terminated");
    proxy.account(&[&format!("http ok.test:{port}/ allow - origin_closed 502")]);
}

#[test]
fn an_origin_that_resets_is_502() {
    let origin = Origin::script(|conn| {
        let head = conn.request_head().unwrap().join("\n");
        conn.reset_at_end();
        (head.into_bytes(), Ending::Reset)
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let answer = proxy.get(&format!("http://ok.test:{}/", origin.port()));
    assert_failed(&answer, 502, "connection_terminated");
    proxy.account(&[&format!("http ok.test:{}/ allow - origin_closed 502", origin.port())]);
}

#[test]
fn half_an_answer_never_looks_whole() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nonly this\r\nXYZ\r\n",
    ] {
        let origin = Origin::answering_once(bytes);
        let proxy = Proxy::with(allow(&["ok.test:*"]));
        let mut client = proxy.client();
        client.send(get(&format!("http://ok.test:{}/", origin.port()), &["Connection: close"]));
        let (received, _) = client.rest();
        let text = String::from_utf8(received).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        assert!(head.contains("\r\nContent-Length: 1000") || !body.ends_with("0\r\n\r\n"), "{text}");
        assert!(!text.contains("XYZ"), "{text}");
        let records = proxy.records(1);
        assert_eq!((&records[0]["outcome"], &records[0]["status"]), (&"origin_closed".into(), &200.into()));
    }
}

#[test]
fn an_origin_that_stalls_is_504() {
    let origin = Origin::script(|conn| conn.rest());
    let proxy = Settings::with(allow(&["ok.test:*"])).limit("body-timeout = \"300ms\"").start();
    let answer = proxy.get(&format!("http://ok.test:{}/", origin.port()));
    assert_failed(&answer, 504, "connection_timeout");
    assert_eq!(origin.received().1, Ending::Closed, "the origin connection ends too");
    proxy.account(&[&format!("http ok.test:{}/ allow - timeout 504", origin.port())]);
}

#[test]
fn an_answer_that_stalls_in_the_middle_is_cut() {
    let origin = Origin::script(|conn| {
        conn.request_head();
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nonly this");
        conn.rest()
    });
    let proxy = Settings::with(allow(&["ok.test:*"])).limit("body-timeout = \"300ms\"").start();
    let mut client = proxy.client();
    client.send(get(&format!("http://ok.test:{}/", origin.port()), &[]));
    let (received, _) = client.rest();
    assert!(received.ends_with(b"only this"), "{}", String::from_utf8_lossy(&received));
    proxy.account(&[&format!("http ok.test:{}/ allow - timeout 200", origin.port())]);
}

#[test]
fn a_client_that_stalls_in_its_body_is_408_and_the_origin_sees_no_whole_request() {
    let origin = Origin::script(|conn| conn.rest());
    let proxy = Settings::with(allow(&["ok.test:*"])).limit("body-timeout = \"300ms\"").start();
    let url = format!("http://ok.test:{}/", origin.port());
    let answers = proxy.raw(request("POST", &url, &["Content-Length: 10"]) + "four");
    assert_eq!(answers.only().status(), 408, "{answers:?}");
    assert!(origin.received().0.ends_with(b"\r\n\r\nfour"));
    proxy.account(&[&format!("http ok.test:{}/ allow - timeout 408", origin.port())]);
}

#[test]
fn a_slow_answer_is_no_stalled_one() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::script(move |conn| {
        conn.request_head();
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n");
        for piece in ["ab", "cd", "ef"] {
            wait.lock().unwrap().recv().unwrap();
            conn.send(piece);
        }
        conn.rest()
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    client.send(get(&format!("http://ok.test:{}/", origin.port()), &[]));
    client.read_until(b"\r\n\r\n");
    for piece in [b"ab", b"cd", b"ef"] {
        go.send(()).unwrap();
        assert_eq!(client.read(2), piece, "each piece comes when it is sent, not when there are more");
    }
    proxy.account(&[&format!("http ok.test:{}/ allow - completed 200", origin.port())]);
}

#[test]
fn a_client_that_leaves_in_the_middle_ends_the_origins_work() {
    let origin = Origin::script(|conn| {
        conn.request_head();
        conn.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while conn.try_send([b'x'; 64 * 1024]).is_ok() {}
        (Vec::new(), Ending::Closed)
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    client.send(get(&format!("http://ok.test:{}/", origin.port()), &[]));
    client.read(200_000);
    client.reset_at_end();
    drop(client);
    origin.received();
    proxy.account(&[&format!("http ok.test:{}/ allow - client_closed 200", origin.port())]);
}

#[test]
fn bytes_after_a_response_are_not_the_next_response() {
    let first = [ok("first").as_slice(), b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\npoisoned"].concat();
    let origin = Origin::script(move |conn| {
        while conn.request_head().is_some() {
            conn.send(&first);
        }
        (Vec::new(), Ending::Closed)
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = format!("http://ok.test:{}/", origin.port());
    let mut client = proxy.client();
    for _ in 0..3 {
        client.send(get(&url, &[]));
        assert_eq!(client.answer().text(), "first");
    }
    let line = format!("http ok.test:{}/ allow - completed 200", origin.port());
    proxy.account(&[&line, &line, &line]);
}

#[test]
fn a_kept_connection_that_the_origin_closed_costs_a_safe_request_nothing() {
    let origin = Origin::script(|conn| {
        conn.request_head();
        conn.send(ok("x"));
        (Vec::new(), Ending::Closed)
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = format!("http://ok.test:{}/", origin.port());
    let mut client: Conn = proxy.client();
    for count in 1..=3 {
        client.send(get(&url, &[]));
        assert_eq!(client.answer().text(), "x");
        until("the origin has closed", || (origin.connections() >= count).then_some(()));
        origin.received();
    }
    let line = format!("http ok.test:{}/ allow - completed 200", origin.port());
    proxy.account(&[&line, &line, &line]);
}

#[test]
fn a_request_lost_on_a_kept_connection_is_sent_again_only_if_that_is_safe() {
    // Answers a connection's first request and swallows its second.
    let forgetful = Origin::script(|conn| {
        conn.request_head();
        conn.send(ok("x"));
        conn.request_head();
        (Vec::new(), Ending::Closed)
    });
    // Swallows its first.
    let mute = Origin::script(|conn| {
        conn.request_head();
        (Vec::new(), Ending::Closed)
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let at = |origin: &Origin| format!("http://ok.test:{}/", origin.port());
    let mut client: Conn = proxy.client();
    for connections in 1..=2 {
        client.send(get(&at(&forgetful), &[]));
        assert_eq!(client.answer().text(), "x");
        assert_eq!(forgetful.connections(), connections);
    }
    // The proxy drops that connection and opens a new one, which the origin cannot have closed already.
    client.send(get(&at(&mute), &[]));
    assert_failed(&client.answer(), 502, "connection_terminated");
    assert_eq!(mute.connections(), 1);
    let mut client = proxy.client();
    client.send(get(&at(&forgetful), &[]));
    assert_eq!(client.answer().text(), "x");
    client.send(request("POST", &at(&forgetful), &["Content-Length: 0"]));
    assert_failed(&client.answer(), 502, "connection_terminated");
    assert_eq!(forgetful.connections(), 3);
    let line = |origin: &Origin, end: &str| format!("http {} allow - {end}", at(origin).trim_start_matches("http://"));
    proxy.account(&[
        &line(&forgetful, "completed 200"),
        &line(&forgetful, "completed 200"),
        &line(&mute, "origin_closed 502"),
        &line(&forgetful, "completed 200"),
        &line(&forgetful, "origin_closed 502"),
    ]);
}
