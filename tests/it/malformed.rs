//! What is no acceptable request: answered, closed, recorded, and never passed on.

use crate::expectations::assert_failed;
use crate::harness::{Ending, Origin, Proxy, Settings, allow, summary, until};

/// Bytes (`|` is CRLF), the status that answers them, and its token.
const CASES: [(&str, u16, &str); 41] = [
    ("nonsense||", 400, "malformed_request"),
    ("GET||", 400, "malformed_request"),
    ("GET  http://ok.test/ HTTP/1.1|Host: ok.test||", 400, "malformed_request"),
    ("GET http://ok.test/ HTTP/1.1 |Host: ok.test||", 400, "malformed_request"),
    ("GET http://ok.test/ HTTP/2.0|Host: ok.test||", 505, "unsupported"),
    ("GET http://ok.test/ http/1.1|Host: ok.test||", 400, "malformed_request"),
    ("GET http://ok.test/ HTTP/1.1\nHost: ok.test\n\n", 400, "malformed_request"),
    ("GET http://ok.test/ HTTP/1.1||", 400, "malformed_request"),
    ("GET http://ok.test/ HTTP/1.1|Host: ok.test|Host: no.test||", 400, "malformed_request"),
    ("GET http://ok.test/ HTTP/1.1|Host : ok.test||", 400, "malformed_request"),
    ("GET http://ok.test/ HTTP/1.1|Host: ok.test|X-A: 1| folded||", 400, "malformed_request"),
    ("GET http://ok.test/ HTTP/1.1|Host: ok.test|X-A: \u{1}||", 400, "malformed_request"),
    ("GET http://user:pw@ok.test/ HTTP/1.1|Host: ok.test||", 400, "malformed_request"),
    ("GET http://ok.test:0/ HTTP/1.1|Host: ok.test||", 400, "malformed_request"),
    ("GET http://ok.test:65536/ HTTP/1.1|Host: ok.test||", 400, "malformed_request"),
    ("GET http://0177.0.0.1/ HTTP/1.1|Host: ok.test||", 400, "malformed_request"),
    ("GET http://2130706433/ HTTP/1.1|Host: ok.test||", 400, "malformed_request"),
    ("GET http://ok%2etest/ HTTP/1.1|Host: ok.test||", 400, "malformed_request"),
    ("GET http://ok.test/a#b HTTP/1.1|Host: ok.test||", 400, "malformed_request"),
    ("GET http://ok.test\\@no.test/ HTTP/1.1|Host: ok.test||", 400, "malformed_request"),
    (
        "POST http://ok.test/ HTTP/1.1|Host: ok.test|Content-Length: 1|Transfer-Encoding: chunked||",
        400,
        "malformed_request",
    ),
    ("POST http://ok.test/ HTTP/1.1|Host: ok.test|Content-Length: 3|Content-Length: 3||abc", 400, "malformed_request"),
    ("POST http://ok.test/ HTTP/1.1|Host: ok.test|Content-Length: +3||abc", 400, "malformed_request"),
    ("POST http://ok.test/ HTTP/1.1|Host: ok.test|Transfer-Encoding: gzip, chunked||", 501, "unsupported"),
    ("POST http://ok.test/ HTTP/1.1|Host: ok.test|Transfer-Encoding: chunked, identity||", 400, "malformed_request"),
    ("POST http://ok.test/ HTTP/1.0|Host: ok.test|Transfer-Encoding: chunked||", 400, "malformed_request"),
    ("POST http://ok.test/ HTTP/1.1|Host: ok.test|Content-Length: 1|Expect: something||", 417, "malformed_request"),
    ("TRACE http://ok.test/ HTTP/1.1|Host: ok.test||", 501, "unsupported"),
    ("Connect http://ok.test/ HTTP/1.1|Host: ok.test||", 501, "unsupported"),
    ("connect ok.test:443 HTTP/1.1|Host: ok.test||", 501, "unsupported"),
    ("get http://ok.test/ HTTP/1.1|Host: ok.test||", 501, "unsupported"),
    ("Propfind http://ok.test/ HTTP/1.1|Host: ok.test||", 501, "unsupported"),
    ("POST http://ok.test/ HTTP/1.1|Host: ok.test|Content_Length: 3||abc", 400, "malformed_request"),
    ("POST http://ok.test/ HTTP/1.1|Host: ok.test|Transfer.Encoding: chunked||", 400, "malformed_request"),
    ("POST http://ok.test/ HTTP/1.1|Host: ok.test|Transfer-Encoding: chunked;q=1||", 400, "malformed_request"),
    ("GET https://ok.test/ HTTP/1.1|Host: ok.test||", 501, "unsupported"),
    ("GET ftp://ok.test/ HTTP/1.1|Host: ok.test||", 501, "unsupported"),
    ("CONNECT ok.test HTTP/1.1|Host: ok.test||", 400, "malformed_request"),
    ("CONNECT http://ok.test:80/ HTTP/1.1|Host: ok.test||", 400, "malformed_request"),
    ("CONNECT ok.test:443 HTTP/1.1|Host: ok.test|Content-Length: 5||hello", 400, "malformed_request"),
    ("\u{16}\u{3}\u{1}||", 400, "malformed_request"),
];

#[test]
fn each_fault_is_answered_recorded_and_ends_the_connection() {
    let origin = Origin::saying("never");
    let proxy = Settings::with(allow(&["ok.test:*"])).start();
    for (text, status, token) in CASES {
        let bytes = text.replace('|', "\r\n");
        // The bytes after the fault look like a valid request.
        let smuggled = format!("GET http://ok.test:{}/ HTTP/1.1\r\nHost: ok.test\r\n\r\n", origin.port());
        let answers = proxy.raw(bytes + &smuggled);
        assert_eq!(answers.statuses(), [status], "{text:?}: {answers:#?}");
        assert_eq!(answers.ending, Ending::Closed, "{text:?}");
        assert_failed(&answers.all[0], status, token);
        assert_eq!(answers.all[0].header("connection"), Some("close"), "{text:?}");
    }
    let records = proxy.records(CASES.len());
    assert_eq!(records.len(), CASES.len());
    for (record, (text, status, token)) in records.iter().zip(CASES) {
        let line = summary(record);
        assert!(line.ends_with(&format!(" none {token} malformed {status}")), "{text:?}: {line}");
    }
    proxy.counts_agree_with(&records);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_head_that_is_too_large_is_431_and_a_target_that_is_414() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let long = "x".repeat(70 * 1024);
    let answers = proxy.raw(format!("GET http://ok.test/ HTTP/1.1\r\nHost: ok.test\r\nX-Long: {long}\r\n\r\n"));
    assert_eq!(answers.only().status(), 431);
    let answers = proxy.raw(format!("GET http://ok.test/{long} HTTP/1.1\r\nHost: ok.test\r\n\r\n"));
    assert_eq!(answers.only().status(), 414);
    let many = "X-A: 1\r\n".repeat(2000);
    let answers = proxy.raw(format!("GET http://ok.test/ HTTP/1.1\r\nHost: ok.test\r\n{many}\r\n"));
    assert_eq!(answers.only().status(), 431);
    proxy.account(&[
        "- - none malformed_request malformed 431",
        "- - none malformed_request malformed 414",
        "- - none malformed_request malformed 431",
    ]);
}

#[test]
fn a_head_that_is_not_too_large_is_served() {
    let origin = Origin::saying("x");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let long = "x".repeat(60 * 1024);
    let url = format!("http://ok.test:{}/", origin.port());
    let answers =
        proxy.raw(format!("GET {url} HTTP/1.1\r\nHost: ok.test\r\nX-Long: {long}\r\nConnection: close\r\n\r\n"));
    assert_eq!(answers.only().status(), 200);
    assert_eq!(origin.wait_for(1)[0].value("x-long"), Some(long));
}

#[test]
fn a_head_that_takes_too_long_is_408_however_it_drips() {
    let proxy = Settings::with(allow(&["ok.test:*"])).limit("head-timeout = \"300ms\"").start();
    let mut silent = proxy.client();
    silent.send("GET http://ok.test/ HTTP/1.1\r\nHost: ok");
    let answers = silent.answers_to("GET");
    assert_eq!(answers.only().status(), 408);
    assert_eq!(answers.only().header("x-deny-reason"), None);
    let mut dripping = proxy.client();
    let began = std::time::Instant::now();
    while began.elapsed() < crate::harness::PATIENCE && dripping.try_send("x").is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(began.elapsed() < crate::harness::PATIENCE, "a byte now and then keeps a head alive");
    let records = proxy.records(2);
    for record in &records {
        assert_eq!((&record["decision"], &record["status"]), (&"none".into(), &408.into()));
        assert_eq!(record["outcome"], "timeout");
    }
    proxy.counts_agree_with(&records);
}

#[test]
fn a_silent_connection_is_counted_and_has_no_record() {
    let proxy = Settings::with(allow(&["ok.test:*"])).limit("head-timeout = \"300ms\"").start();
    let before = proxy.metrics().sum("outgate_connections_total", &[("listener", "agent")]);
    let mut silent = proxy.client();
    assert_eq!(silent.rest(), (Vec::new(), Ending::Closed), "closed without a word");
    drop(proxy.client());
    until("both connections are counted", || {
        (proxy.metrics().sum("outgate_connections_total", &[("listener", "agent")]) >= before + 2).then_some(())
    });
    proxy.account(&[]);
}

#[test]
fn a_client_that_leaves_inside_its_head_has_a_record() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    client.send("GET http://ok.test/ HT");
    client.half_close();
    client.rest();
    let records = proxy.records(1);
    assert_eq!((&records[0]["decision"], &records[0]["protocol"]), (&"none".into(), &"".into()));
    proxy.counts_agree_with(&records);
}

#[test]
fn socks_of_another_version_is_closed_and_recorded() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    client.send(b"\x04\x01\x01\xbb\x7f\x00\x00\x01\x00");
    assert_eq!(client.rest(), (Vec::new(), Ending::Closed));
    let records = proxy.records(1);
    assert!(records.iter().all(|record| record["decision"] == "none"), "{records:#?}");
    proxy.counts_agree_with(&records);
}

#[test]
fn what_is_malformed_shows_nothing_of_itself_to_the_terminal() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.raw("GET http://ok.test/ HTTP/1.1\r\nHost: ok.test\r\nX: \x1b[31mred\x07\r\n\r\n").only();
    proxy.raw("CONNECT \x1b]0;title\x07:443 HTTP/1.1\r\nHost: ok.test\r\n\r\n").only();
    proxy.records(2);
    let shown = proxy.output().join("\n");
    assert!(!shown.contains(['\u{1b}', '\u{7}']), "{shown:?}");
}
