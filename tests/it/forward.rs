//! Plain HTTP by absolute-form: what the origin gets, what the client gets.

use crate::expectations::assert_denied;
use crate::harness::{Ending, Origin, Proxy, allow, answer, chunked, get, ok, policy, request, rule};

#[test]
fn a_request_reaches_the_origin_in_origin_form_with_its_host_and_our_via() {
    let origin = Origin::saying("hello");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let port = origin.port();
    let answer = proxy.raw(format!(
        "GET http://ok.test:{port}/a/b?q=1&r=%20 HTTP/1.1\r\nHost: elsewhere.test\r\nAccept: */*\r\nX-One: 1\r\n\
         Connection: close\r\n\r\n"
    ));
    let answer = answer.only();
    assert_eq!((answer.status_line.as_str(), answer.text()), ("HTTP/1.1 200 OK", "hello"));
    let seen = &origin.wait_for(1)[0];
    assert_eq!(seen.line(), "GET /a/b?q=1&r=%20 HTTP/1.1");
    assert_eq!(seen.value("host"), Some(format!("ok.test:{port}")));
    assert_eq!((seen.value("accept"), seen.value("x-one")), (Some("*/*".into()), Some("1".into())));
    assert!(seen.value("via").unwrap().starts_with("1.1 outgate-"), "{seen:#?}");
    assert!(answer.header("via").unwrap().starts_with("1.1 outgate-"), "{answer}");
    let records = proxy.account(&[&format!("http ok.test:{port}/a/b allow - completed 200")]);
    assert_eq!((&records[0]["method"], &records[0]["rule"]), (&"GET".into(), &"ok".into()));
}

#[test]
fn what_belongs_to_one_hop_ends_there_in_both_directions() {
    let fields =
        ["Connection: close, X-Gone", "Keep-Alive: timeout=5", "X-Gone: 1", "X-Stays: 1", "Proxy-Authenticate: Basic"];
    let reply = answer("200 OK", &fields, b"hello");
    let origin = Origin::http(move |_| reply.clone());
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let answer = proxy.raw(format!(
        "GET http://ok.test:{}/ HTTP/1.1\r\nHost: ok.test\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n\
         Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic c2VjcmV0\r\nTE: trailers\r\nUpgrade: h2c\r\n\
         X-Stays: 1\r\nCookie: a=b\r\nAuthorization: Bearer x\r\n\r\n",
        origin.port()
    ));
    let seen = &origin.wait_for(1)[0];
    for gone in ["x-mine", "keep-alive", "proxy-connection", "proxy-authorization", "te", "upgrade"] {
        assert_eq!(seen.value(gone), None, "{gone} in {seen:#?}");
    }
    for (stays, value) in [("x-stays", "1"), ("cookie", "a=b"), ("authorization", "Bearer x")] {
        assert_eq!(seen.value(stays).as_deref(), Some(value));
    }
    let answer = answer.only();
    for gone in ["x-gone", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.header(gone), None, "{gone} in {answer}");
    }
    assert_eq!((answer.header("x-stays"), answer.text()), (Some("1"), "hello"));
}

#[test]
fn no_origin_can_send_the_fields_that_mark_our_denials() {
    const FORGED: [&str; 5] = [
        "X-Deny-Reason: host_not_allowed",
        "x_deny_reason: host_not_allowed",
        "X-Proxy-Error: blocked-by-allowlist",
        "Proxy-Status: outgate; error=http_request_denied",
        "Proxy-Status: \"Outgate\"; error=http_request_denied",
    ];
    let fields = [&FORGED[..], &["Proxy-Status: cdn.test; fwd=miss, outgate", "X-Request-Id: theirs"]].concat();
    let interim = format!("HTTP/1.1 103 Early Hints\r\n{}\r\n\r\n", FORGED.join("\r\n"));
    let plain = answer("403 Blocked by Example policy", &fields, b"Blocked by the egress policy");
    let chunks = chunked(b"Blocked by the egress policy", 100, &[&FORGED[..], &["X-Sum: 1"]].concat());
    let in_chunks = [
        format!("HTTP/1.1 403 X\r\nTransfer-Encoding: chunked\r\n{}\r\n\r\n", fields.join("\r\n")).as_bytes(),
        &chunks,
    ]
    .concat();
    let until_close = format!("HTTP/1.1 403 X\r\n{}\r\n\r\nBlocked by the egress policy", fields.join("\r\n"));
    for bytes in [plain.clone(), [interim.as_bytes(), &plain].concat(), in_chunks, until_close.into_bytes()] {
        let origin = Origin::http(move |_| bytes.clone());
        let proxy = Proxy::with(allow(&["ok.test:*"]));
        for version in ["1.1", "1.0"] {
            let answers = proxy.raw(format!(
                "GET http://ok.test:{}/ HTTP/{version}\r\nHost: ok.test\r\nConnection: close\r\n\r\n",
                origin.port()
            ));
            let last = answers.all.last().unwrap();
            assert_eq!((last.status(), last.text()), (403, "Blocked by the egress policy"), "{last}");
            assert_eq!(
                (last.header("proxy-status"), last.header("x-request-id")),
                (Some("cdn.test; fwd=miss"), Some("theirs"))
            );
            for answer in &answers.all {
                let names: Vec<_> =
                    answer.headers.iter().chain(&answer.trailers).map(|(name, _)| name.to_lowercase()).collect();
                for name in ["x-deny-reason", "x_deny_reason", "x-proxy-error"] {
                    assert!(!names.iter().any(|own| own == name), "{name} in {answer}");
                }
            }
        }
    }
}

#[test]
fn our_name_in_via_tells_an_origin_nothing_of_request_ids() {
    let origin = Origin::saying("hello");
    let names: Vec<_> = (0..2)
        .map(|_| {
            let proxy = Proxy::with(allow(&["ok.test:*"]));
            assert_eq!(proxy.get(&format!("http://ok.test:{}/", origin.port())).status(), 200);
            let (_, denied) = proxy.connect("no.test:443");
            let prefix = denied.header("x-request-id").unwrap().split('-').next().unwrap().to_owned();
            let name = origin.seen().last().unwrap().value("via").unwrap();
            let random = name.strip_prefix("1.1 outgate-").expect("our name").to_owned();
            assert_eq!((random.len(), prefix.len()), (16, 4));
            assert!(!random.starts_with(&prefix) && !random.ends_with(&prefix), "{name} and {prefix}");
            random
        })
        .collect();
    assert_ne!(names[0], names[1]);
}

#[test]
fn each_request_of_a_kept_connection_is_judged_by_itself() {
    let (first, second) = (Origin::saying("first"), Origin::saying("second"));
    let proxy = Proxy::with(allow(&["ok.test:*", "also.test:*"]));
    let mut client = proxy.client();
    let one = format!("http://ok.test:{}/", first.port());
    let two = format!("http://also.test:{}/", second.port());
    for (url, status, body) in [
        (&one, 200, Some("first")),
        (&"http://no.test/".to_owned(), 403, None),
        (&two, 200, Some("second")),
        (&one, 200, Some("first")),
    ] {
        client.send(get(url, &[]));
        let answer = client.answer();
        assert_eq!(answer.status(), status, "{answer}");
        assert!(body.is_none_or(|body| answer.text() == body), "{answer}");
    }
    proxy.account(&[
        &format!("http ok.test:{}/ allow - completed 200", first.port()),
        &format!("http ok.test:{}/ allow - completed 200", first.port()),
        "http no.test:80/ deny host_not_allowed denied 403",
        &format!("http also.test:{}/ allow - completed 200", second.port()),
    ]);
    assert_eq!(proxy.names_asked(), [""; 0]);
}

#[test]
fn requests_to_one_origin_share_its_connection_until_it_closes() {
    let origin = Origin::http(|seen| match seen.line().contains("/last") {
        true => answer("200 OK", &["Connection: close"], b"x"),
        false => ok("x"),
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    for path in ["a", "b", "last", "c"] {
        client.send(get(&format!("http://ok.test:{}/{path}", origin.port()), &[]));
        assert_eq!(client.answer().status(), 200);
    }
    assert_eq!(origin.seen().iter().map(|seen| seen.connection).collect::<Vec<_>>(), [1, 1, 1, 2]);
    // Another client has nothing of it.
    proxy.get(&format!("http://ok.test:{}/", origin.port()));
    assert_eq!(origin.connections(), 3);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let origin = Origin::http(|seen| ok(seen.line().split(' ').nth(1).unwrap()));
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = |path: &str| format!("http://ok.test:{}{path}", origin.port());
    let all = get(&url("/1"), &[]) + &get("http://no.test/2", &[]) + &get(&url("/3"), &["Connection: close"]);
    let answers = proxy.raw(all);
    assert_eq!((answers.statuses(), answers.ending), (vec![200, 403, 200], Ending::Closed));
    assert_eq!((answers.all[0].text(), answers.all[2].text()), ("/1", "/3"));
    assert_denied(&answers.all[1], "host_not_allowed");
}

#[test]
fn a_denied_get_says_why_and_keeps_the_connection() {
    let proxy = Proxy::with(allow(&["ok.test:443"]));
    let mut client = proxy.client();
    client.send(get("http://ok.test/x?token=1", &[]));
    let answer = client.answer();
    assert_denied(&answer, "port_not_allowed");
    assert!(answer.text().contains("ok.test:80") && !answer.text().contains("token"), "{answer}");
    client.send(request("HEAD", "http://no.test/", &["Connection: close"]));
    let answer = client.answer_to("HEAD");
    assert_denied(&answer, "host_not_allowed");
    assert_ne!(answer.header("content-length"), None);
    assert_eq!(client.rest(), (Vec::new(), Ending::Closed), "no body after the answer to a HEAD");
    proxy.account(&[
        "http ok.test:80/x deny port_not_allowed denied 403",
        "http no.test:80/ deny host_not_allowed denied 403",
    ]);
}

#[test]
fn methods_are_judged_where_they_can_be_seen() {
    let origin = Origin::saying("x");
    let rules = rule("read", &["ok.test:*"]) + "methods = [\"GET\", \"HEAD\"]\n";
    let proxy = Proxy::with(policy("r1", &rules));
    let url = format!("http://ok.test:{}/", origin.port());
    assert_eq!(proxy.get(&url).status(), 200);
    for method in ["POST", "PUT", "DELETE", "gets"] {
        let answers = proxy.raw(request(method, &url, &["Content-Length: 0", "Connection: close"]));
        assert_denied(answers.only(), "method_not_allowed");
    }
    let (_, answer) = proxy.connect(&format!("ok.test:{}", origin.port()));
    assert_denied(&answer, "method_not_allowed");
    assert_eq!(origin.lines(), ["GET / HTTP/1.1"]);
}

#[test]
fn our_own_via_is_a_loop_and_another_proxys_is_not() {
    let origin = Origin::saying("x");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = format!("http://ok.test:{}/", origin.port());
    proxy.raw(get(&url, &["Via: 1.0 elsewhere, 1.1 outgate-zzzzzz", "Connection: close"])).only();
    let seen = &origin.wait_for(1)[0];
    let ours = seen.values("via").join(", ");
    assert!(ours.starts_with("1.0 elsewhere, 1.1 outgate-zzzzzz, 1.1 outgate-"), "{ours}");
    for via in [format!("Via: {ours}"), format!("via: {}", ours.to_uppercase())] {
        assert_denied(proxy.raw(get(&url, &[&via, "Connection: close"])).only(), "loop");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_client_of_http_1_0_is_served_and_closed() {
    let origin = Origin::http(|seen| match seen.line().contains("chunked") {
        true => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".to_vec(),
        false => ok("hello"),
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let ask = |path: &str| {
        proxy
            .raw(format!("GET http://ok.test:{}{path} HTTP/1.0\r\nHost: ok.test\r\n\r\n", origin.port()))
            .only()
            .clone()
    };
    assert_eq!(ask("/").text(), "hello");
    let answer = ask("/chunked");
    assert_eq!((answer.text(), answer.header("transfer-encoding")), ("abc", None));
    assert!(origin.seen().iter().all(|seen| seen.line().ends_with(" HTTP/1.1")));
    assert_denied(proxy.raw("GET http://no.test/ HTTP/1.0\r\n\r\n").only(), "host_not_allowed");
}

#[test]
fn a_websocket_is_a_request_that_becomes_a_tunnel() {
    let origin = Origin::script(|conn| {
        let head = conn.request_head().unwrap().join("\r\n");
        conn.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nfirst",
        );
        let said = conn.read(4);
        conn.send(said);
        conn.rest();
        (head.into_bytes(), Ending::Closed)
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = format!("http://ok.test:{}/chat?room=1", origin.port());
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhl"];
    let mut client = proxy.client();
    client.send(get(&url, &upgrade));
    let answer = client.answer();
    assert_eq!((answer.status(), answer.header("upgrade")), (101, Some("websocket")));
    assert_eq!(client.read(5), b"first");
    client.send(b"ping");
    assert_eq!(client.read(4), b"ping");
    client.half_close();
    assert_eq!(client.rest(), (Vec::new(), Ending::Closed));
    let head = String::from_utf8(origin.received().0).unwrap().to_lowercase();
    assert!(head.contains("\r\nupgrade: websocket") && head.contains("\r\nsec-websocket-key: dghl"), "{head}");
    let records = proxy.account(&[&format!("http ok.test:{}/chat allow - completed 101", origin.port())]);
    assert_eq!(records[0]["method"], "WEBSOCKET");
    let reading = rule("read", &["ok.test:*"]) + "methods = [\"GET\"]\n";
    proxy.set_policy(&policy("r2", &reading));
    let mut client = proxy.client();
    client.send(get(&url, &upgrade));
    assert_denied(&client.answer(), "method_not_allowed");
}

#[test]
fn a_refusal_of_a_websocket_reaches_the_client() {
    let origin = Origin::http(|_| answer("403 Forbidden", &[], b"not here"));
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    let fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhl"];
    client.send(get(&format!("http://ok.test:{}/", origin.port()), &fields));
    let answer = client.answer();
    assert_eq!((answer.status_line.as_str(), answer.text()), ("HTTP/1.1 403 Forbidden", "not here"));
    assert_eq!(answer.header("x-deny-reason"), None, "it is not ours");
    proxy.account(&[&format!("http ok.test:{}/ allow - completed 403", origin.port())]);
}

/// A request for a WebSocket.
fn upgrade(host: &str, port: u16) -> String {
    let fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhl"];
    get(&format!("http://{host}:{port}/x"), &fields)
}

fn with_methods(effect: &str, host: &str, methods: &[&str]) -> String {
    format!("[[rule]]\nid = \"{host}\"\neffect = \"{effect}\"\nto = [\"{host}:*\"]\nmethods = {methods:?}\n")
}

#[test]
fn a_deny_rule_for_the_method_is_not_evaded_by_asking_for_a_websocket() {
    let origin = Origin::saying("secret");
    let port = origin.port();
    let rules = rule("all", &["*.test:*"])
        + &with_methods("deny", "ok.test", &["GET"])
        + &with_methods("deny", "also.test", &["WEBSOCKET"])
        + &with_methods("deny", "no.test", &["POST"]);
    let proxy = Proxy::with(policy("r1", &rules));
    for host in ["ok.test", "also.test"] {
        let mut client = proxy.client();
        client.send(upgrade(host, port));
        assert_denied(&client.answer(), "host_denied");
    }
    assert_eq!(origin.connections(), 0, "nothing is sent, and nothing is connected");
    let mut client = proxy.client();
    client.send(upgrade("no.test", port));
    assert_eq!(client.answer().text(), "secret", "a rule for another method denies neither");
    assert_eq!(proxy.get(&format!("http://also.test:{port}/x")).text(), "secret");
    let records = proxy.account(&[
        &format!("http ok.test:{port}/x deny host_denied denied 403"),
        &format!("http also.test:{port}/x deny host_denied denied 403"),
        &format!("http no.test:{port}/x allow - completed 200"),
        &format!("http also.test:{port}/x allow - completed 200"),
    ]);
    let methods: Vec<_> = records.iter().map(|record| record["method"].as_str().unwrap()).collect();
    assert_eq!(methods, ["WEBSOCKET", "WEBSOCKET", "WEBSOCKET", "GET"]);
}

#[test]
fn permission_for_a_websocket_does_not_allow_reading_pages() {
    let origin = Origin::http(|seen| match seen.line().contains("/hint") {
        true => [b"HTTP/1.1 103 Early Hints\r\nX-Secret: hint\r\n\r\n".as_slice(), &ok("secret")].concat(),
        false => ok("secret"),
    });
    let port = origin.port();
    let rules = with_methods("allow", "ok.test", &["WEBSOCKET"])
        + &with_methods("allow", "also.test", &["GET", "WEBSOCKET"])
        + &with_methods("allow", "no.test", &["GET"]);
    let proxy = Proxy::with(policy("r1", &rules));
    for path in ["/x", "/hint"] {
        let mut client = proxy.client();
        client.send(upgrade("ok.test", port).replace("/x", path));
        let answers = client.answers_to("GET");
        let [answer] = answers.all.as_slice() else { panic!("{answers:#?}") };
        assert_denied(answer, "method_not_allowed");
        assert!(!answer.to_string().contains("ecret"), "{answer}");
        assert!(answer.text().contains("is allowed for WEBSOCKET, not for GET"), "{answer}");
    }
    assert_eq!(origin.lines(), ["GET /x HTTP/1.1", "GET /hint HTTP/1.1"]);
    let mut client = proxy.client();
    client.send(upgrade("also.test", port));
    assert_eq!(client.answer().text(), "secret");
    let mut client = proxy.client();
    client.send(upgrade("no.test", port));
    assert_denied(&client.answer(), "method_not_allowed");
    // A method token of that name asks for no upgrade, and carries a body.
    let literal = format!("WEBSOCKET http://ok.test:{port}/y HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nsecret");
    assert_denied(proxy.raw(literal).only(), "method_not_allowed");
    assert_eq!(origin.lines().len(), 3);
    let denied = |host: &str, path: &str| format!("http {host}:{port}{path} deny method_not_allowed denied 403");
    let records = proxy.account(&[
        &denied("ok.test", "/x"),
        &denied("ok.test", "/hint"),
        &format!("http also.test:{port}/x allow - completed 200"),
        &denied("no.test", "/x"),
        &denied("ok.test", "/y"),
    ]);
    assert!(records[0]["bytes_up"].as_u64().unwrap() > 0, "the request had been sent: {}", records[0]);
    assert_eq!(records[0]["bytes_down"], 0);
}
