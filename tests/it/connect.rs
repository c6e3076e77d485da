//! `CONNECT`: tunnels, and refusals that close.

use crate::expectations::{assert_denied, assert_failed};
use crate::harness::{Ending, Origin, Port, Proxy, Settings, allow, policy, rule};

#[test]
fn an_allowed_tunnel_carries_bytes_both_ways_and_both_ends_close_it() {
    let origin = Origin::echo();
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", origin.port()));
    for said in [&b"hello"[..], b"\0\r\n\r\n\xff", b"GET / HTTP/1.1\r\n\r\n"] {
        tunnel.send(said);
        assert_eq!(tunnel.read(said.len()), said);
    }
    tunnel.half_close();
    assert_eq!(tunnel.rest(), (Vec::new(), Ending::Closed));
    let records = proxy.account(&[&format!("connect ok.test:{} allow - completed 200", origin.port())]);
    assert_eq!((&records[0]["bytes_up"], &records[0]["bytes_down"]), (&29.into(), &29.into()));
    assert_eq!(records[0]["rule"], "ok");
    assert_eq!(records[0]["address"], format!("127.0.0.1:{}", origin.port()));
    let metrics = proxy.metrics();
    let labels = [("listener", "agent"), ("protocol", "connect"), ("decision", "allow"), ("reason", "")];
    assert_eq!(metrics.sum("outgate_requests_total", &labels), 1);
    assert_eq!(metrics.sum("outgate_tunnels_open", &[]), 0);
    assert_eq!(metrics.sum("outgate_tunnel_bytes_total", &[("direction", "up")]), 29);
}

#[test]
fn the_answer_to_an_allowed_connect_has_no_body_and_no_framing() {
    let origin = Origin::echo();
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let (_client, answer) = proxy.connect(&format!("ok.test:{}", origin.port()));
    assert_eq!(answer.status(), 200);
    assert_eq!((answer.header("content-length"), answer.header("transfer-encoding")), (None, None));
}

#[test]
fn an_end_in_one_direction_leaves_the_other_open() {
    // The client ends first; the origin answers only then.
    let origin = Origin::script(|conn| {
        let received = conn.rest();
        conn.send(b"bye");
        received
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", origin.port()));
    tunnel.send(b"all that I have");
    tunnel.half_close();
    assert_eq!(origin.received(), (b"all that I have".to_vec(), Ending::Closed));
    assert_eq!(tunnel.rest(), (b"bye".to_vec(), Ending::Closed));

    // The origin ends first; what the client says later still arrives.
    let other = Origin::script(|conn| {
        conn.send(b"hello");
        conn.half_close();
        conn.rest()
    });
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", other.port()));
    assert_eq!(tunnel.rest(), (b"hello".to_vec(), Ending::Closed));
    tunnel.send(b"later");
    tunnel.half_close();
    assert_eq!(other.received(), (b"later".to_vec(), Ending::Closed));
    proxy.account(&[
        &format!("connect ok.test:{} allow - completed 200", origin.port()),
        &format!("connect ok.test:{} allow - completed 200", other.port()),
    ]);
}

#[test]
fn bytes_that_come_with_the_connect_are_delivered_once_and_first() {
    let origin = Origin::script(|conn| conn.rest());
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let port = origin.port();
    let mut client = proxy.client();
    client.send(format!("CONNECT ok.test:{port} HTTP/1.1\r\nHost: ok.test:{port}\r\n\r\nearly "));
    assert_eq!(client.answer_to("CONNECT").status(), 200);
    client.send(b"late");
    client.half_close();
    assert_eq!(origin.received(), (b"early late".to_vec(), Ending::Closed));
}

#[test]
fn a_denied_connect_gets_just_this_answer() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let answers = proxy.raw("CONNECT no.test:443 HTTP/1.1\r\nHost: no.test:443\r\n\r\n");
    let answer = answers.only();
    assert_denied(answer, "host_not_allowed");
    let id = answer.header("x-request-id").unwrap();
    let shown: Vec<_> = answer.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    assert_eq!(
        shown[..6],
        [
            "Proxy-Status: outgate; error=http_request_denied; details=\"host_not_allowed\"",
            "X-Proxy-Error: blocked-by-allowlist",
            "X-Deny-Reason: host_not_allowed",
            &format!("X-Request-Id: {id}"),
            "Cache-Control: no-store",
            "Content-Type: text/plain; charset=utf-8",
        ]
    );
    assert_eq!(answer.header("connection"), Some("close"));
    let sentence = answer.text().trim_end_matches('\n');
    assert!(
        sentence.starts_with("Blocked by the egress policy of test: no.test:443 is not allowed (host_not_allowed)."),
        "{sentence}"
    );
    assert!(sentence.ends_with(&format!("Ask help@corp.test; request {id}.")), "{sentence}");
    assert!(answer.body.len() < 500 && !sentence.contains('\n'), "{sentence}");
    let records = proxy.account(&["connect no.test:443 deny host_not_allowed denied 403"]);
    assert_eq!(records[0]["id"], id);
    assert_eq!(records[0]["revision"], "r1");
    assert_eq!(proxy.names_asked(), [""; 0], "a denied name is not looked up");
}

#[test]
fn a_refused_connect_closes_and_the_bytes_after_it_are_not_a_request() {
    let origin = Origin::saying("never");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let smuggled = format!("GET http://ok.test:{}/ HTTP/1.1\r\nHost: ok.test\r\n\r\n", origin.port());
    let answers = proxy.raw(format!("CONNECT no.test:443 HTTP/1.1\r\nHost: no.test:443\r\n\r\n{smuggled}"));
    assert_denied(answers.only(), "host_not_allowed");
    proxy.account(&["connect no.test:443 deny host_not_allowed denied 403"]);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_refusal_arrives_although_the_client_has_sent_much_already() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut bytes = b"CONNECT no.test:443 HTTP/1.1\r\nHost: no.test:443\r\n\r\n".to_vec();
    bytes.resize(200 * 1024, b'x');
    let mut client = proxy.client();
    // The proxy may close before it has read all of it.
    let _cut = client.try_send(&bytes);
    assert_denied(&client.answer(), "host_not_allowed");
}

#[test]
fn the_body_of_a_denial_is_what_accept_asks_for() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let ask = |accept: &str| {
        proxy.raw(format!("CONNECT no.test:443 HTTP/1.1\r\nHost: no.test:443\r\n{accept}\r\n\r\n")).only().clone()
    };
    for (accept, kind) in [
        ("Accept: */*", "text/plain; charset=utf-8"),
        ("Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("Accept: text/html;q=0.1, */*", "text/plain; charset=utf-8"),
        ("Accept: application/json", "application/problem+json"),
        ("Accept: application/problem+json", "application/problem+json"),
        ("Accept: application/json;q=0", "text/plain; charset=utf-8"),
    ] {
        let answer = ask(accept);
        assert_denied(&answer, "host_not_allowed");
        assert_eq!(answer.header("content-type"), Some(kind), "{accept}");
    }
    let page = ask("Accept: text/html");
    assert!(page.text().starts_with("<!") && page.text().contains("no.test:443"), "{page}");
    let answer = ask("Accept: application/json");
    let problem = answer.json();
    let mut keys: Vec<_> = problem.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "contact",
            "destination",
            "detail",
            "hint",
            "reason",
            "request_id",
            "revision",
            "rule",
            "status",
            "title",
            "type"
        ]
    );
    assert_eq!((&problem["type"], &problem["title"]), (&"about:blank".into(), &"Egress denied".into()));
    assert_eq!((&problem["status"], &problem["reason"]), (&403.into(), &"host_not_allowed".into()));
    assert_eq!((&problem["destination"], &problem["rule"]), (&"no.test:443".into(), &serde_json::Value::Null));
    assert_eq!((&problem["revision"], &problem["contact"]), (&"r1".into(), &"help@corp.test".into()));
    assert_eq!(problem["request_id"], answer.header("x-request-id").unwrap());
}

#[test]
fn a_hint_names_the_rule_that_was_nearly_met_and_no_other() {
    let proxy = Proxy::with(allow(&["*.corp.test", "ok.test:443", "secret.partner.test"]));
    let sentence = |authority: &str| proxy.connect(authority).1.text().to_owned();
    assert!(sentence("corp.test:443").contains("`*.corp.test` does not cover `corp.test`"));
    assert!(sentence("ok.test:8443").contains("port_not_allowed"));
    assert!(sentence("ok.test:8443").contains("443"));
    for asked in ["no.test:443", "partner.example:443", "corp.test:443"] {
        assert!(!sentence(asked).contains("secret"), "{asked}");
    }
}

#[test]
fn what_the_policy_allows_and_the_world_does_not_is_no_denial() {
    let closed = Port::reserve();
    let proxy = Proxy::with(allow(&["ok.test:*", "gone.test:*"]));
    let (mut client, answer) = proxy.connect("gone.test:443");
    assert_failed(&answer, 502, "dns_error");
    assert_eq!(client.rest().1, Ending::Closed);
    let (mut client, answer) = proxy.connect(&format!("ok.test:{}", closed.number()));
    assert_failed(&answer, 502, "connection_refused");
    assert_eq!(client.rest().1, Ending::Closed);
    let records = proxy.account(&[
        "connect gone.test:443 allow - unresolvable 502",
        &format!("connect ok.test:{} allow - unreachable 502", closed.number()),
    ]);
    assert!(records.iter().all(|record| record["rule"] == "ok"), "{records:#?}");
    assert_eq!(proxy.names_asked(), ["gone.test"], "as written: no search list");
}

#[test]
fn the_proxy_does_not_connect_to_itself() {
    let proxy = Proxy::with(allow(&["ok.test:*", "127.0.0.1:*"]));
    let (port, admin) = (proxy.address().port(), proxy.admin_address().port());
    for authority in [format!("ok.test:{port}"), format!("ok.test:{admin}"), format!("127.0.0.1:{admin}")] {
        assert_denied(&proxy.connect(&authority).1, "loop");
    }
    assert_denied(&proxy.get(&format!("http://ok.test:{admin}/metrics")), "loop");
    proxy.account(&[
        &format!("connect ok.test:{port} deny loop denied 403"),
        &format!("connect ok.test:{admin} deny loop denied 403"),
        &format!("connect 127.0.0.1:{admin} deny loop denied 403"),
        &format!("http ok.test:{admin}/metrics deny loop denied 403"),
    ]);
}

#[test]
fn an_address_needs_a_rule_of_its_own_and_special_ones_a_second_permission() {
    let origin = Origin::echo();
    let port = origin.port();
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    for authority in [format!("127.0.0.1:{port}"), format!("[::1]:{port}"), format!("[::ffff:127.0.0.1]:{port}")] {
        assert_denied(&proxy.connect(&authority).1, "host_not_allowed");
    }
    let closed = policy("r2", &rule("ok", &["127.0.0.1:*", "ok.test:*"])).replace("internal-addresses", "#");
    proxy.set_policy(&closed);
    for authority in [format!("127.0.0.1:{port}"), format!("ok.test:{port}")] {
        let (_, answer) = proxy.connect(&authority);
        assert_denied(&answer, "address_not_allowed");
        assert!(answer.header("proxy-status").unwrap().contains("error=destination_ip_prohibited"), "{answer}");
    }
    proxy.set_policy(&allow(&["127.0.0.1:*"]));
    let mut tunnel = proxy.tunnel(&format!("127.0.0.1:{port}"));
    tunnel.send(b"x");
    assert_eq!(tunnel.read(1), b"x");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn of_a_mixed_answer_nothing_is_dialled() {
    let origin = Origin::echo();
    let proxy = Settings::with(policy("r1", &rule("ok", &["mixed.test:*"])))
        .host("mixed.test", "[\"127.0.0.1\", \"10.1.2.3\"]")
        .start();
    assert_denied(&proxy.connect(&format!("mixed.test:{}", origin.port())).1, "address_not_allowed");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn deny_wins_over_every_allow_and_case_and_a_final_dot_do_not_matter() {
    let origin = Origin::echo();
    let rules = rule("all", &["**.ok.test:*"]) + "[[rule]]\nid = \"no\"\neffect = \"deny\"\nto = [\"bad.ok.test:*\"]\n";
    let proxy = Settings::with(policy("r1", &rules)).host("good.ok.test", "[\"127.0.0.1\"]").start();
    for name in ["bad.ok.test", "BAD.ok.Test", "bad.ok.test."] {
        let (_, answer) = proxy.connect(&format!("{name}:{}", origin.port()));
        assert_denied(&answer, "host_denied");
    }
    for name in ["good.ok.test", "GOOD.OK.TEST", "good.ok.test."] {
        assert_eq!(proxy.connect(&format!("{name}:{}", origin.port())).1.status(), 200, "{name}");
    }
    let records = proxy.records(3);
    let denied = records.iter().filter(|record| record["decision"] == "deny");
    assert_eq!(denied.map(|record| record["rule"].clone()).collect::<Vec<_>>(), ["no"; 3]);
}

#[test]
fn the_switch_and_no_egress_deny_everything_by_their_own_names() {
    let proxy = Proxy::with(policy("r1", &format!("enabled = false\n{}", rule("ok", &["ok.test:*"]))));
    assert_denied(&proxy.connect("ok.test:443").1, "egress_disabled");
    proxy.set_policy(&policy("r2", &format!("egress = \"none\"\n{}", rule("ok", &["ok.test:*"]))));
    assert_denied(&proxy.connect("ok.test:443").1, "egress_none");
    proxy.account(&[
        "connect ok.test:443 deny egress_disabled denied 403",
        "connect ok.test:443 deny egress_none denied 403",
    ]);
}

#[test]
fn a_full_proxy_refuses_the_next_tunnel_and_keeps_the_open_ones() {
    let origin = Origin::echo();
    let authority = format!("ok.test:{}", origin.port());
    // Room for connections, so that the bound on tunnels is the one that is met: the proxy's own test of itself and tunnels
    // that wait for their first bytes are connections too.
    let proxy = Settings::with(allow(&["ok.test:*"])).limit("max-tunnels = 1").limit("max-connections = 100").start();
    let mut open = Vec::new();
    let busy = loop {
        let (tunnel, answer) = proxy.connect(&authority);
        match answer.status() {
            200 => open.push(tunnel),
            _ => break answer,
        }
        assert!(open.len() < 256, "there is no limit");
    };
    assert_failed(&busy, 503, "busy");
    for tunnel in &mut open {
        tunnel.send(b"alive");
        assert_eq!(tunnel.read(5), b"alive");
    }
}
