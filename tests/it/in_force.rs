//! When a permission ends while a connection is being opened under it, no byte leaves afterwards.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use crate::expectations::assert_denied;
use crate::harness::{Conn, Ending, Origin, Proxy, Settings, get, hello, ok, policy, rule, systems_can_be_made, until};
use crate::scripted_names::{Latch, Say, ScriptedNames};

/// A fatal alert `access_denied` (RFC 8446 §6.2).
const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];

/// A rule that allows TLS alone.
fn strict(id: &str, patterns: &[&str]) -> String {
    format!("[[rule]]\nid = \"{id}\"\neffect = \"allow\"\nto = {patterns:?}\n")
}

fn listening() -> Origin {
    Origin::script(Conn::rest)
}

/// A SOCKS5 connection that has asked for this name.
fn socks(proxy: &Proxy, name: &str, port: u16) -> Conn {
    let mut client = proxy.client();
    client.send([5, 1, 0]);
    assert_eq!(client.read(2), [5, 0]);
    let length = u8::try_from(name.len()).unwrap();
    client.send([&[5, 1, 0, 3, length], name.as_bytes(), &port.to_be_bytes()].concat());
    client
}

#[test]
fn fifty_tunnels_waiting_for_their_hello_deliver_nothing_after_the_switch_is_off() {
    let origin = listening();
    let port = origin.port();
    let authority = format!("ok.test:{port}");
    let rules = strict("ok", &["ok.test:*"]);
    let proxy = Proxy::with(policy("r1", &rules));
    let mut tunnels: Vec<_> = (0..50).map(|_| proxy.tunnel(&authority)).collect();
    let mut by_socks = socks(&proxy, "ok.test", port);
    assert_eq!(by_socks.read(10)[..2], [5, 0]);
    tunnels.push(by_socks);
    proxy.set_policy(&policy("r2", &format!("enabled = false\n{rules}")));
    for tunnel in &mut tunnels {
        // The proxy may close before it has read all of it.
        let _refused = tunnel.try_send([hello(Some("ok.test")), vec![23; 100_000]].concat());
        assert_eq!(tunnel.read(7), ACCESS_DENIED);
        assert_eq!(origin.received(), (Vec::new(), Ending::Closed));
    }
    let denied = format!("connect {authority} deny egress_disabled denied 403");
    let by_socks = format!("socks5 {authority} deny egress_disabled denied 403");
    let mut expected = vec![denied.as_str(); 50];
    expected.push(&by_socks);
    for record in proxy.account(&expected) {
        assert_eq!((&record["revision"], &record["bytes_up"]), (&"r2".into(), &0.into()), "{record}");
    }
}

#[test]
fn a_tunnel_where_tls_is_optional_delivers_nothing_either() {
    let origin = listening();
    let authority = format!("ok.test:{}", origin.port());
    let proxy = Proxy::with(policy("r1", &rule("ok", &["ok.test:*"])));
    let mut silent = proxy.tunnel(&authority);
    proxy.set_policy(&policy("r2", &rule("ok", &["also.test:*"])));
    silent.send(b"SSH-2.0-x\r\n");
    silent.rest();
    assert_eq!(origin.received(), (Vec::new(), Ending::Closed));
    // The first bytes came at once, so it was refused; a second later it would have been revoked.
    let record = proxy.records(1).remove(0);
    assert!(["denied", "revoked"].map(Into::into).contains(&record["outcome"]), "{record}");
    assert_eq!(record["bytes_up"], 0);
}

#[test]
fn tunnels_that_a_newer_policy_also_permits_continue_under_it() {
    let origin = listening();
    let authority = format!("ok.test:{}", origin.port());
    let proxy = Proxy::with(policy("r1", &strict("ok", &["ok.test:*"])));
    let mut tunnel = proxy.tunnel(&authority);
    proxy.set_policy(&policy("r2", &strict("newer", &["*.test:*"])));
    tunnel.send(hello(Some("ok.test")));
    tunnel.half_close();
    assert_eq!(origin.received(), (hello(Some("ok.test")), Ending::Closed));
    let records = proxy.account(&[&format!("connect {authority} allow - completed 200")]);
    assert_eq!((&records[0]["revision"], &records[0]["rule"]), (&"r2".into(), &"newer".into()));
}

#[test]
fn a_lookup_that_returns_after_the_permission_ended_opens_no_connection() {
    let origin = listening();
    let port = origin.port();
    let rules = rule("ok", &["*.test:*"]);
    let denying = policy("r2", &format!("deny = [\"slow.test:*\"]\n{rules}"));
    let post = format!("POST http://slow.test:{port}/ HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nsecret");
    for (way, request) in [("http", post), ("connect", format!("CONNECT slow.test:{port} HTTP/1.1\r\nHost: x\r\n\r\n"))]
    {
        let latch = Arc::new(Latch::default());
        let names =
            ScriptedNames::start(&[("slow.test", Say::Held(Arc::clone(&latch), vec!["127.0.0.1".parse().unwrap()]))]);
        let proxy = names.proxy(Settings::with(policy("r1", &rules)));
        let mut client = proxy.client();
        client.send(&request);
        until("it is being looked up", || (!names.asked().is_empty()).then_some(()));
        proxy.set_policy(&denying);
        latch.open();
        assert_denied(&client.answer(), "host_denied");
        assert_eq!(origin.connections(), 0, "{way}: it is not even connected to");
        let path = if way == "http" { "/" } else { "" };
        let records = proxy.account(&[&format!("{way} slow.test:{port}{path} deny host_denied denied 403")]);
        assert_eq!((&records[0]["revision"], &records[0]["bytes_up"]), (&"r2".into(), &0.into()));
    }
    let latch = Arc::new(Latch::default());
    let names =
        ScriptedNames::start(&[("slow.test", Say::Held(Arc::clone(&latch), vec!["127.0.0.1".parse().unwrap()]))]);
    let proxy = names.proxy(Settings::with(policy("r1", &rules)));
    let mut client = socks(&proxy, "slow.test", port);
    until("it is being looked up", || (!names.asked().is_empty()).then_some(()));
    proxy.set_policy(&denying);
    latch.open();
    assert_eq!(client.read(10)[..2], [5, 2]);
    assert_eq!(origin.connections(), 0);
    proxy.account(&[&format!("socks5 slow.test:{port} deny host_denied denied 403")]);
}

#[test]
fn an_address_that_a_newer_policy_denies_is_not_used_by_a_lookup_in_progress() {
    let origin = listening();
    let port = origin.port();
    let rules = rule("ok", &["*.test:*"]);
    let latch = Arc::new(Latch::default());
    let names =
        ScriptedNames::start(&[("slow.test", Say::Held(Arc::clone(&latch), vec!["127.0.0.1".parse().unwrap()]))]);
    let proxy = names.proxy(Settings::with(policy("r1", &rules)));
    let mut client = proxy.client();
    client.send(get(&format!("http://slow.test:{port}/"), &[]));
    until("it is being looked up", || (!names.asked().is_empty()).then_some(()));
    proxy.set_policy(&policy("r2", &format!("deny = [\"127.0.0.0/8\"]\n{rules}")));
    latch.open();
    assert_denied(&client.answer(), "address_not_allowed");
    assert_eq!(origin.connections(), 0);
    proxy.account(&[&format!("http slow.test:{port}/ deny address_not_allowed denied 403")]);
}

#[test]
fn what_is_sent_after_a_reload_was_answered_does_not_arrive() {
    let other = Origin::echo();
    let rules = rule("ok", &["*.test:*"]);
    for _ in 0..10 {
        let arrived = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&arrived);
        let origin = Origin::script(move |conn| {
            let before = conn.read_until(b"before");
            count.fetch_add(1, Ordering::SeqCst);
            let (after, ending) = conn.rest();
            ([before, after].concat(), ending)
        });
        let port = origin.port();
        let proxy = Proxy::with(policy("r1", &rules));
        let mut spared = proxy.tunnel(&format!("also.test:{}", other.port()));
        let mut tunnel = proxy.tunnel(&format!("ok.test:{port}"));
        tunnel.send(b"before");
        let mut upload = proxy.client();
        let head = format!("PUT http://ok.test:{port}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        upload.send(head + "6\r\nbefore\r\n");
        until("both have arrived", || (arrived.load(Ordering::SeqCst) == 2).then_some(()));
        proxy.set_policy(&policy("r2", &format!("deny = [\"ok.test:*\"]\n{rules}")));
        // One of them may have been cut already.
        let _cut = tunnel.try_send(b"after");
        let _cut = upload.try_send(b"5\r\nafter\r\n0\r\n\r\n");
        for _ in 0..2 {
            let received = String::from_utf8(origin.received().0).unwrap();
            assert!(received.contains("before") && !received.contains("after"), "{received}");
        }
        tunnel.rest();
        upload.rest();
        spared.send(b"alive");
        assert_eq!(spared.read(5), b"alive");
    }
}

#[test]
fn a_request_on_a_kept_connection_is_not_sent_again_once_it_is_denied() {
    let (tell, asked) = mpsc::channel::<()>();
    let (go, gone) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let origin = Origin::script(move |conn| {
        let Some(_first) = conn.request_head() else { return (Vec::new(), Ending::Closed) };
        conn.send(ok("first"));
        let Some(_second) = conn.request_head() else { return (Vec::new(), Ending::Closed) };
        tell.send(()).unwrap();
        gone.lock().unwrap().recv().unwrap();
        (b"second".to_vec(), Ending::Closed)
    });
    let url = format!("http://ok.test:{}/", origin.port());
    let rules = rule("ok", &["*.test:*"]);
    let proxy = Proxy::with(policy("r1", &rules));
    let mut client = proxy.client();
    client.send(get(&url, &[]));
    assert_eq!(client.answer().text(), "first");
    client.send(get(&url, &[]));
    asked.recv().unwrap();
    proxy.set_policy(&policy("r2", &format!("deny = [\"ok.test:*\"]\n{rules}")));
    go.send(()).unwrap();
    assert_denied(&client.answer(), "host_denied");
    assert_eq!(origin.received().0, b"second");
    assert_eq!(origin.connections(), 1, "without the change it would have been sent again over a new connection");
    proxy.account(&[
        &format!("http ok.test:{}/ allow - completed 200", origin.port()),
        &format!("http ok.test:{}/ deny host_denied denied 403", origin.port()),
    ]);
}

#[test]
fn a_websocket_that_the_origin_grants_too_late_is_no_tunnel() {
    let (tell, asked) = mpsc::channel::<()>();
    let (go, gone) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let origin = Origin::script(move |conn| {
        conn.request_head();
        tell.send(()).unwrap();
        gone.lock().unwrap().recv().unwrap();
        let _cut =
            conn.try_send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        conn.rest()
    });
    let port = origin.port();
    let rules = rule("ok", &["*.test:*"]);
    let proxy = Proxy::with(policy("r1", &rules));
    let fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhl"];
    let mut client = proxy.client();
    client.send([get(&format!("http://ok.test:{port}/"), &fields).as_bytes(), b"a frame"].concat());
    asked.recv().unwrap();
    let deny = "[[rule]]\nid = \"no-ws\"\neffect = \"deny\"\nto = [\"ok.test:*\"]\nmethods = [\"WEBSOCKET\"]\n";
    proxy.set_policy(&policy("r2", &format!("{rules}{deny}")));
    go.send(()).unwrap();
    assert_denied(&client.answer(), "host_denied");
    assert_eq!(origin.received().0, b"", "the frame does not arrive");
    proxy.account(&[&format!("http ok.test:{port}/ deny host_denied denied 403")]);
}

/// An origin that answers an upgrade with `first`, and sends `then` once the test sends on the channel.
fn answering_in_two(first: &'static str, then: &'static str) -> (Origin, mpsc::Sender<()>) {
    let (go, gone) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let origin = Origin::script(move |conn| {
        conn.request_head();
        conn.send(first);
        gone.lock().unwrap().recv().unwrap();
        let _cut = conn.try_send(then.as_bytes());
        conn.rest()
    });
    (origin, go)
}

/// A policy that allows `ok.test` by these methods.
fn by_methods(revision: &str, methods: &[&str]) -> String {
    policy(revision, &format!("{}methods = {methods:?}\n", rule("ok", &["ok.test:*"])))
}

fn asks_for_a_websocket(proxy: &Proxy, port: u16) -> Conn {
    let fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhl"];
    let mut client = proxy.client();
    client.send(get(&format!("http://ok.test:{port}/"), &fields));
    client
}

#[test]
fn an_interim_response_does_not_decide_for_the_final_one_of_a_request_that_was_not_upgraded() {
    let (origin, go) =
        answering_in_two("HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret");
    let proxy = Proxy::with(by_methods("r1", &["GET", "WEBSOCKET"]));
    let mut client = asks_for_a_websocket(&proxy, origin.port());
    assert!(client.read_until(b"\r\n\r\n").starts_with(b"HTTP/1.1 103 "), "it has passed");
    proxy.set_policy(&by_methods("r2", &["WEBSOCKET"]));
    go.send(()).unwrap();
    let answer = client.answer();
    assert_denied(&answer, "method_not_allowed");
    assert!(!answer.to_string().contains("secret"), "{answer}");
    proxy.account(&[&format!("http ok.test:{}/ deny method_not_allowed denied 403", origin.port())]);
}

#[test]
fn the_response_to_a_request_that_was_not_upgraded_rests_on_the_plain_request_until_its_end() {
    for (revision, methods, goes_on) in [("r2", "WEBSOCKET", false), ("r3", "GET", true)] {
        let (origin, go) = answering_in_two("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nfirst ", "second");
        let proxy = Proxy::with(by_methods("r1", &["GET", "WEBSOCKET"]));
        let mut client = asks_for_a_websocket(&proxy, origin.port());
        client.read_until(b"first ");
        proxy.set_policy(&by_methods(revision, &[methods]));
        // Longer than a response may outlast its permission: one of the responses must still complete.
        std::thread::sleep(std::time::Duration::from_millis(2500));
        go.send(()).unwrap();
        let expected =
            format!("http ok.test:{}/ allow - {} 200", origin.port(), if goes_on { "completed" } else { "revoked" });
        if goes_on {
            assert_eq!(client.read(6), b"second");
        } else {
            // Its length shows that it is cut off, so an ordinary end is enough.
            assert_eq!(client.rest(), (Vec::new(), Ending::Closed));
        }
        proxy.account(&[&expected]);
    }
}

#[test]
fn a_tunnel_that_was_opened_while_the_clock_was_ahead_ends_when_it_is_set_back() {
    if !systems_can_be_made() {
        return;
    }
    const DAY: i64 = 86_400;
    let origin = Origin::echo();
    let port = origin.port();
    let from = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * 1000);
    let rules = rule("future", &["ok.test:*"]) + &format!("from = {from}\n") + &rule("always", &["also.test:*"]);
    let proxy = Settings::with(policy("r1", &rules)).obedient_system().start();
    assert_denied(&proxy.connect(&format!("ok.test:{port}")).1, "outside_period");
    proxy.step_clock(1001 * DAY);
    let mut future = until("the clock is ahead", || {
        let (tunnel, answer) = proxy.connect(&format!("ok.test:{port}"));
        (answer.status() == 200).then_some(tunnel)
    });
    let mut always = proxy.tunnel(&format!("also.test:{port}"));
    for tunnel in [&mut future, &mut always] {
        tunnel.send(b"ahead");
        assert_eq!(tunnel.read(5), b"ahead");
    }
    proxy.step_clock(0);
    let _cut = future.try_send(b"after");
    assert_eq!(future.rest().0, b"", "not even what is sent before the next sweep comes back");
    always.send(b"alive");
    assert_eq!(always.read(5), b"alive");
    let outcome = |record: &serde_json::Value| record["outcome"] == "revoked" && record["host"] == "ok.test";
    until("it is recorded as revoked", || proxy.records_now().iter().any(outcome).then_some(()));
}
