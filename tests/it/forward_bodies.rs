//! Bodies: streamed both ways, whole or not at all.

use crate::expectations::{assert_denied, hash, noise};
use crate::harness::{Ending, Origin, Proxy, allow, answer, chunked, get, ok, request};

const LARGE: usize = 8 * 1024 * 1024;

fn post(url: &str, fields: &[&str]) -> String {
    request("POST", url, fields)
}

#[test]
fn a_body_of_known_length_arrives_with_its_length() {
    let origin = Origin::saying("thanks");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    let url = format!("http://ok.test:{}/in", origin.port());
    client.send(post(&url, &["Content-Length: 11"]) + "hello world");
    assert_eq!(client.answer().text(), "thanks");
    client.send(post(&url, &["Content-Length: 0", "Connection: close"]));
    assert_eq!(client.answer().text(), "thanks");
    let seen = origin.wait_for(2);
    assert_eq!(
        (seen[0].value("content-length").as_deref(), seen[0].body.as_slice()),
        (Some("11"), &b"hello world"[..])
    );
    assert_eq!((seen[1].value("content-length").as_deref(), seen[1].body.as_slice()), (Some("0"), &b""[..]));
    let line = format!("http ok.test:{}/in allow - completed 200", origin.port());
    proxy.account(&[&line, &line]);
}

#[test]
fn chunks_and_trailers_pass_both_ways() {
    let reply = b"HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let reply = [reply, chunked(b"some answer", 4, &["X-Sum: 7"])].concat();
    let origin = Origin::http(move |_| reply.clone());
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = format!("http://ok.test:{}/", origin.port());
    let mut client = proxy.client();
    client.send(post(&url, &["Transfer-Encoding: chunked", "Trailer: X-Check", "TE: trailers"]));
    client.send(chunked(b"in several pieces", 5, &["X-Check: 9"]));
    let answer = client.answer();
    assert_eq!((answer.text(), answer.header("transfer-encoding")), ("some answer", Some("chunked")));
    assert_eq!(answer.trailers, [("X-Sum".to_owned(), "7".to_owned())]);
    let seen = &origin.wait_for(1)[0];
    assert_eq!(seen.body, b"in several pieces");
    assert_eq!(seen.trailers, [("X-Check".to_owned(), "9".to_owned())]);
}

#[test]
fn trailers_cannot_bring_what_belongs_in_the_head() {
    let origin = Origin::saying("x");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    client.send(post(&format!("http://ok.test:{}/", origin.port()), &["Transfer-Encoding: chunked"]));
    client.send(chunked(b"abc", 3, &["Content-Length: 99", "Host: no.test", "X-Fine: 1"]));
    // Refused or left out, but never passed on.
    client.answer();
    for seen in origin.seen() {
        let names: Vec<_> = seen.trailers.iter().map(|(name, _)| name.to_lowercase()).collect();
        assert!(names.iter().all(|name| name == "x-fine"), "{seen:#?}");
    }
}

#[test]
fn no_request_follows_a_body_that_the_origin_may_leave_unread() {
    let origin = Origin::http(|_| ok("read"));
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = format!("http://ok.test:{}/", origin.port());
    let (length, chunks) = ("Content-Length: 3", "Transfer-Encoding: chunked");
    for (method, field, body, closes) in [
        ("GET", length, "abc", true),
        ("GET", chunks, "3\r\nabc\r\n0\r\n\r\n", true),
        ("DELETE", length, "abc", true),
        ("OPTIONS", length, "abc", true),
        ("POST", length, "abc", false),
        ("PUT", chunks, "3\r\nabc\r\n0\r\n\r\n", false),
        ("GET", "X: no body", "", false),
        ("DELETE", "Content-Length: 0", "", false),
    ] {
        let before = (origin.seen().len(), origin.connections());
        let mut client = proxy.client();
        client.send(request(method, &url, &[field]) + body);
        assert_eq!(client.answer().text(), "read", "{method} {field}");
        client.send(get(&url, &[]));
        assert_eq!(client.answer().text(), "read", "the client's connection stays: {method} {field}");
        let seen = &origin.wait_for(before.0 + 2)[before.0];
        assert_eq!(seen.value("connection").as_deref(), closes.then_some("close"), "{method} {field}");
        assert_eq!(seen.body, if body.is_empty() { "" } else { "abc" }.as_bytes(), "{method} {field}");
        let connections = if closes { 2 } else { 1 };
        assert_eq!(origin.connections() - before.1, connections, "{method} {field}");
    }
}

#[test]
fn a_large_upload_arrives_whole_in_either_framing() {
    let origin = Origin::http(|seen| ok(&hash(&seen.body)));
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = format!("http://ok.test:{}/", origin.port());
    let body = noise(LARGE);
    let mut client = proxy.client();
    client.send(post(&url, &[&format!("Content-Length: {LARGE}")]));
    client.send(&body);
    assert_eq!(client.answer().text(), hash(&body));
    client.send(post(&url, &["Transfer-Encoding: chunked"]));
    client.send(chunked(&body, 10_007, &[]));
    assert_eq!(client.answer().text(), hash(&body));
    let records = proxy.records(2);
    assert!(records.iter().all(|record| record["bytes_up"].as_u64() >= Some(LARGE as u64)), "{records:#?}");
}

#[test]
fn a_large_answer_arrives_whole_in_every_framing() {
    let body = noise(LARGE);
    let sent = body.clone();
    let origin = Origin::http(move |seen| match seen.line().split(' ').nth(1).unwrap() {
        "/length" => answer("200 OK", &[], &sent),
        "/chunked" => {
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            [head, chunked(&sent, 65_521, &[])].concat()
        }
        _ => [b"HTTP/1.1 200 OK\r\n\r\n", sent.as_slice()].concat(),
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    for path in ["/length", "/chunked", "/close"] {
        client.send(get(&format!("http://ok.test:{}{path}", origin.port()), &[]));
        let answer = client.answer();
        assert_eq!((answer.body.len(), hash(&answer.body)), (LARGE, hash(&body)), "{path}");
    }
    let records = proxy.records(3);
    assert!(records.iter().all(|record| record["bytes_down"].as_u64() >= Some(LARGE as u64)), "{records:#?}");
}

#[test]
fn an_answer_without_framing_ends_with_the_connection() {
    let origin = Origin::answering_once("HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\nuntil the end");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    client.send(get(&format!("http://ok.test:{}/", origin.port()), &[]));
    let answer = client.answer();
    assert_eq!((answer.text(), answer.header("connection")), ("until the end", Some("close")));
    proxy.account(&[&format!("http ok.test:{}/ allow - completed 200", origin.port())]);
}

#[test]
fn answers_that_have_no_body_leave_the_connection_in_step() {
    let origin = Origin::http(|seen| match seen.line() {
        line if line.starts_with("HEAD ") => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec(),
        line if line.contains("/204") => b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n".to_vec(),
        line if line.contains("/304") => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n".to_vec(),
        _ => ok("whole"),
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = |path: &str| format!("http://ok.test:{}{path}", origin.port());
    let mut client = proxy.client();
    client.send(request("HEAD", &url("/"), &[]));
    let answer = client.answer_to("HEAD");
    assert_eq!((answer.status(), answer.header("content-length")), (200, Some("1000")));
    for (path, status) in [("/204", 204), ("/304", 304), ("/", 200)] {
        client.send(get(&url(path), &[]));
        let answer = client.answer();
        assert_eq!((answer.status(), answer.text()), (status, if status == 200 { "whole" } else { "" }), "{answer}");
    }
}

#[test]
fn a_client_that_waits_for_a_100_gets_one_before_its_body_and_none_before_a_refusal() {
    let origin = Origin::saying("got it");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    let fields = ["Expect: 100-continue", "Content-Length: 4"];
    client.send(post(&format!("http://ok.test:{}/", origin.port()), &fields));
    assert_eq!(client.answer().status_line, "HTTP/1.1 100 Continue");
    client.send(b"body");
    assert_eq!(client.answer().text(), "got it");
    assert_eq!(origin.wait_for(1)[0].body, b"body");
    let answers = proxy.raw(post("http://no.test/", &fields));
    assert_denied(answers.only(), "host_not_allowed");
    proxy.account(&[
        &format!("http ok.test:{}/ allow - completed 200", origin.port()),
        "http no.test:80/ deny host_not_allowed denied 403",
    ]);
}

#[test]
fn a_client_need_not_wait_for_its_100_and_an_early_refusal_reaches_it() {
    let deaf = Origin::script(|conn| {
        let head = conn.request_head().unwrap().join("\n");
        let body = conn.read(4);
        conn.send(ok("got it"));
        ([head.into_bytes(), body].concat(), conn.rest().1)
    });
    let refusing = Origin::answering_once(answer("413 Content Too Large", &["Connection: close"], b"no"));
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let fields = ["Expect: 100-continue", "Content-Length: 4"];
    let mut client = proxy.client();
    client.send(post(&format!("http://ok.test:{}/", deaf.port()), &fields) + "body");
    let mut first = client.answer();
    if first.status() == 100 {
        first = client.answer();
    }
    assert_eq!(first.text(), "got it");
    let mut client = proxy.client();
    client.send(post(&format!("http://ok.test:{}/", refusing.port()), &fields));
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text()), (413, "no"), "{answer}");
}

#[test]
fn interim_answers_pass_by_themselves() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    let reply = [early.as_bytes(), &ok("final")].concat();
    let origin = Origin::script(move |conn| {
        let head = conn.request_head().unwrap().join("\n");
        conn.send(&reply);
        (head.into_bytes(), conn.rest().1)
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    client.send(get(&format!("http://ok.test:{}/", origin.port()), &[]));
    let hints = client.answer();
    assert_eq!((hints.status(), hints.header("link")), (103, Some("</a.css>; rel=preload")));
    assert_eq!(client.answer().text(), "final");
    proxy.account(&[&format!("http ok.test:{}/ allow - completed 200", origin.port())]);
}

#[test]
fn an_answer_before_the_end_of_the_request_is_passed_on_and_ends_the_connection() {
    let origin = Origin::script(|conn| {
        let head = conn.request_head().unwrap().join("\n");
        conn.send(answer("413 Content Too Large", &["Connection: close"], b"too much"));
        conn.half_close();
        // Reads on for a while, as servers do, so that the answer is not lost to a reset.
        conn.rest();
        (head.into_bytes(), Ending::Closed)
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    client.send(post(&format!("http://ok.test:{}/", origin.port()), &["Content-Length: 1000000"]));
    client.send(b"the beginning");
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text()), (413, "too much"));
    client.half_close();
    client.rest();
    proxy.account(&[&format!("http ok.test:{}/ allow - completed 413", origin.port())]);
}

#[test]
fn a_body_that_breaks_its_framing_never_arrives_whole() {
    for (fields, body) in [
        (&["Transfer-Encoding: chunked"][..], "5\r\nhello\r\nZZ\r\n"),
        (&["Transfer-Encoding: chunked"], "5\r\nhelloXX0\r\n\r\n"),
        (&["Transfer-Encoding: chunked"], "5\nhello\r\n0\r\n\r\n"),
        (&["Transfer-Encoding: chunked"], "-1\r\n\r\n0\r\n\r\n"),
    ] {
        let origin = Origin::script(|conn| conn.rest());
        let proxy = Proxy::with(allow(&["ok.test:*"]));
        let mut client = proxy.client();
        client.send(post(&format!("http://ok.test:{}/", origin.port()), fields));
        client.send(body);
        let answer = client.answer();
        assert_eq!((answer.status(), answer.header("connection")), (400, Some("close")), "{body:?}: {answer}");
        let upstream = String::from_utf8(origin.received().0).unwrap();
        // Of the body alone: the head ends in an instance's name, which may end in 0 as well.
        let (_, passed) = upstream.split_once("\r\n\r\n").expect("a head");
        assert!(!passed.ends_with("0\r\n\r\n"), "{body:?} arrived whole: {upstream:?}");
        let records = proxy.records(1);
        assert_eq!((&records[0]["decision"], &records[0]["outcome"]), (&"allow".into(), &"malformed".into()));
    }
}
