//! Another proxy on the way out: what it is asked, what it never learns, and what becomes of its answers.

use std::time::{Duration, Instant};

use crate::harness::{
    Conn, Ending, NameServer, Origin, Outgate, Port, Proxy, Settings, WITHIN_A_SECOND, allow, get, hello, ok, policy,
    request, rule, until,
};

/// `user:s3cret` as Basic has it.
const BASIC: &str = "Basic dXNlcjpzM2NyZXQ=";

const STANDS: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// A proxy that goes out by this parent. `out.test` is an address that no test could reach, `in.test` an internal one,
/// `mixed.test` both; `gone.test` does not exist.
fn by(parent: &Origin, policy: &str, except: &[&str]) -> Settings {
    by_within(parent, policy, except, "10s")
}

/// As [`by`], with this `connect-timeout`.
fn by_within(parent: &Origin, policy: &str, except: &[&str], limit: &str) -> Settings {
    let url = format!("http://user:s3cret@127.0.0.1:{}", parent.port());
    Settings::with(policy)
        .limit(&format!("connect-timeout = \"{limit}\""))
        .host("out.test", "[\"8.8.8.8\"]")
        .host("in.test", "[\"10.0.0.1\"]")
        .host("mixed.test", "[\"8.8.8.8\", \"10.0.0.1\"]")
        .limit(&format!("[parent]\nurl = \"{url}\"\nexcept = {except:?}"))
}

/// A parent that opens every tunnel and then plays the origin: it says `hello` at once, and sends back what it gets.
/// It has received the request head.
fn tunnelling() -> Origin {
    Origin::script(|conn| {
        let Some(head) = conn.request_head() else { return (Vec::new(), Ending::Closed) };
        conn.send([STANDS, b"hello"].concat());
        let stream = conn.stream();
        let _gone = std::io::copy(&mut stream.try_clone().unwrap(), stream);
        (head.join("\n").into_bytes(), Ending::Closed)
    })
}

/// A parent that answers one `CONNECT` with these bytes.
fn answering(bytes: &'static [u8]) -> Origin {
    Origin::answering_once(bytes)
}

fn head_received(parent: &Origin) -> Vec<String> {
    String::from_utf8(parent.received().0).unwrap().lines().map(str::to_owned).collect()
}

/// Neither the records nor the output may hold the password, in any form.
fn nothing_leaks(proxy: &Proxy) {
    for line in proxy.record_lines().iter().chain(&proxy.output()) {
        for secret in ["s3cret", &BASIC["Basic ".len()..], "czNjcmV0", "Authorization"] {
            assert!(!line.contains(secret), "{secret} in {line}");
        }
    }
}

fn is_alive(tunnel: &mut Conn) {
    tunnel.send(b"ping");
    assert_eq!(tunnel.read(4), b"ping");
}

#[test]
fn a_tunnel_is_requested_by_name_and_bytes_after_the_response_are_kept() {
    let parent = tunnelling();
    let proxy = by(&parent, &policy("r1", &rule("ok", &["out.test"])), &[]).start();
    let mut client = proxy.client();
    client.send(
        "CONNECT Out.Test:443 HTTP/1.1\r\nHost: out.test:443\r\nProxy-Authorization: Basic Y2xpZW50OngK\r\n\
         X-Secret: of the client\r\n\r\n",
    );
    assert_eq!(client.answer_to("CONNECT").status(), 200);
    assert_eq!(client.read(5), b"hello");
    is_alive(&mut client);
    client.half_close();
    client.rest();
    let head = head_received(&parent);
    let [line, host, via, login] = head.as_slice() else { panic!("{head:#?}") };
    assert_eq!((line.as_str(), host.as_str()), ("CONNECT out.test:443 HTTP/1.1", "Host: out.test:443"));
    assert!(via.starts_with("Via: 1.1 outgate-"), "{via}");
    assert_eq!(*login, format!("Proxy-Authorization: {BASIC}"));
    let records = proxy.account(&["connect out.test:443 allow - completed 200"]);
    assert_eq!(records[0]["address"], format!("127.0.0.1:{}", parent.port()));
    assert_eq!((&records[0]["bytes_up"], &records[0]["bytes_down"]), (&4.into(), &9.into()));
    assert_eq!(proxy.names_asked(), [""; 0], "its own resolver was not needed");
    nothing_leaks(&proxy);
}

#[test]
fn a_parent_without_a_login_gets_none() {
    let parent = tunnelling();
    let settings =
        Settings::with(allow(&["ok.test"])).limit(&format!("[parent]\nurl = \"http://also.test:{}\"", parent.port()));
    let proxy = settings.start();
    let (mut client, answer) = proxy.connect("ok.test:443");
    assert_eq!(answer.status(), 200, "a parent by name");
    client.half_close();
    client.rest();
    let head = head_received(&parent);
    assert_eq!(head[0], "CONNECT ok.test:443 HTTP/1.1");
    assert!(!head.iter().any(|line| line.starts_with("Proxy-")), "{head:#?}");
}

#[test]
fn what_is_excepted_goes_straight() {
    let parent = answering(b"HTTP/1.1 403 Forbidden\r\n\r\n");
    let origin = Origin::saying("straight");
    let port = origin.port();
    let policy = allow(&["ok.test:*", "also.test:*", "127.0.0.1:*"]);
    let proxy = by(&parent, &policy, &["*.test", "127.0.0.0/8"]).start();
    for host in ["ok.test", "127.0.0.1"] {
        assert_eq!(proxy.get(&format!("http://{host}:{port}/")).text(), "straight");
    }
    let mut tunnel = proxy.tunnel(&format!("also.test:{port}"));
    tunnel.send("GET / HTTP/1.1\r\nHost: also.test\r\n\r\n");
    assert_eq!(tunnel.answer().text(), "straight");
    assert_eq!(parent.connections(), 0);
    assert!(origin.seen().iter().all(|seen| seen.value("proxy-authorization").is_none()));
}

#[test]
fn a_name_that_does_not_resolve_needs_a_rule_that_hands_it_on() {
    let parent = tunnelling();
    let handed = format!("{}parent = true\n", rule("handed", &["gone.test"]));
    let policy = policy("r1", &(rule("ok", &["lost.test"]) + &handed));
    let proxy = by(&parent, &policy, &[]).start();
    let (_, answer) = proxy.connect("lost.test:443");
    assert_eq!(answer.status(), 502, "{answer}");
    assert!(answer.text().contains("there is no such name"), "{answer}");
    assert_eq!(proxy.get("http://lost.test/").status(), 502);
    assert_eq!(parent.connections(), 0);
    let mut tunnel = proxy.tunnel("gone.test:443");
    assert_eq!(tunnel.read(5), b"hello");
    tunnel.half_close();
    tunnel.rest();
    assert_eq!(head_received(&parent)[0], "CONNECT gone.test:443 HTTP/1.1");
    assert_eq!(proxy.connect("else.test:443").1.status(), 403);
    proxy.account(&[
        "connect lost.test:443 allow - unresolvable 502",
        "http lost.test:80/ allow - unresolvable 502",
        "connect gone.test:443 allow - completed 200",
        "connect else.test:443 deny host_not_allowed denied 403",
    ]);
    assert!(!proxy.names_asked().iter().any(|name| name.contains("else")), "a denied name is never looked up");
}

#[test]
fn an_internal_answer_is_refused_before_the_parent_is_asked() {
    let parent = tunnelling();
    let handed = format!("{}parent = true\n", rule("handed", &["in.test", "mixed.test", "10.0.0.1"]));
    let proxy = by(&parent, &policy("r1", &handed), &[]).start();
    for to in ["in.test:443", "mixed.test:443", "10.0.0.1:443"] {
        assert_eq!(proxy.connect(to).1.status(), 403, "{to}");
    }
    assert_eq!(proxy.get("http://in.test/").status(), 403);
    assert_eq!(parent.connections(), 0);
    proxy.account(&[
        "connect in.test:443 deny address_not_allowed denied 403",
        "connect mixed.test:443 deny address_not_allowed denied 403",
        "connect 10.0.0.1:443 deny address_not_allowed denied 403",
        "http in.test:80/ deny address_not_allowed denied 403",
    ]);
}

#[test]
fn a_parent_that_refuses_is_named_as_the_one_who_did() {
    let refused = "connection_refused";
    for (answer, detail, token) in [
        (
            &b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n"[..],
            "the parent proxy wants other credentials",
            refused,
        ),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "the parent proxy refused the destination with status 403", refused),
        (b"HTTP/1.1 503 No\r\n\r\nbody", "the parent proxy refused the destination with status 503", refused),
        (b"HTTP/1.1 200 OK\n\n", "the parent proxy's answer is not acceptable HTTP", "http_protocol_error"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "the parent proxy's answer is not acceptable HTTP", "http_protocol_error"),
        (b"HTTP/1.1 200 OK\r\n", "the parent proxy closed the connection", "connection_terminated"),
        (b"", "the parent proxy closed the connection", "connection_terminated"),
    ] {
        let parent = answering(answer);
        let proxy = by(&parent, &allow(&["out.test"]), &[]).start();
        let (_, answer) = proxy.connect("out.test:443");
        assert_eq!(answer.status(), 502, "{answer}");
        assert!(answer.text().contains(detail), "{detail}: {answer}");
        assert!(answer.header("proxy-status").unwrap().contains(&format!("error={token}")), "{answer}");
        assert_eq!(answer.header("proxy-authenticate"), None, "a challenge is not the client's");
        proxy.account(&["connect out.test:443 allow - unreachable 502"]);
        until("the log names the fault", || proxy.output().iter().any(|line| line.contains(detail)).then_some(()));
        nothing_leaks(&proxy);
    }
}

#[test]
fn silent_and_unreachable_parents_give_different_errors() {
    let silent = Origin::script(|conn| conn.rest());
    let proxy = by_within(&silent, &allow(&["out.test"]), &[], "200ms").start();
    let began = Instant::now();
    let (_, answer) = proxy.connect("out.test:443");
    assert_eq!(answer.status(), 504, "{answer}");
    assert!(answer.text().contains("the parent proxy did not answer in time"), "{answer}");
    assert!(began.elapsed() > Duration::from_millis(190));
    let closed = Port::reserve();
    let settings = Settings::with(allow(&["ok.test"]));
    let proxy = settings.limit(&format!("[parent]\nurl = \"http://{}\"", closed.address())).start();
    let (_, answer) = proxy.connect("ok.test:443");
    assert_eq!(answer.status(), 502, "{answer}");
    assert!(answer.text().contains("the parent proxy cannot be reached"), "{answer}");
    let settings = Settings::with(allow(&["ok.test"]));
    let proxy = settings.limit("[parent]\nurl = \"http://gone.test:3128\"").start();
    let (_, answer) = proxy.connect("ok.test:443");
    assert_eq!(answer.status(), 502, "{answer}");
    assert!(answer.text().contains("the parent proxy's own name cannot be resolved"), "{answer}");
}

#[test]
fn plain_http_goes_to_the_parent_in_absolute_form() {
    let parent = Origin::http(|seen| match seen.line() {
        line if line.contains("/denied") => {
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nProxy-Authenticate: Basic\r\n\r\nparent".to_vec()
        }
        _ => ok("by the parent"),
    });
    let proxy = by(&parent, &allow(&["out.test:*", "ok.test"]), &[]).start();
    let mut client = proxy.client();
    let own = "Proxy-Authorization: Basic Y2xpZW50OngK";
    client.send(get("http://out.test/a?b", &[own, "Authorization: Basic Zm9yOm9yaWdpbgo="]));
    assert_eq!(client.answer().text(), "by the parent");
    client
        .send("POST http://out.test/c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    assert_eq!(client.answer().text(), "by the parent");
    client.send(get("http://out.test:8080/denied", &[]));
    let denied = client.answer();
    assert_eq!((denied.status(), denied.text()), (403, "parent"), "its answer is the origin's as far as we can know");
    assert_eq!(denied.header("proxy-authenticate"), None);
    client.send(request("OPTIONS", "http://ok.test", &[]));
    assert_eq!(client.answer().status(), 200);
    client.half_close();
    client.rest();
    let seen = parent.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line()).collect();
    assert_eq!(
        lines,
        [
            "GET http://out.test/a?b HTTP/1.1",
            "POST http://out.test/c HTTP/1.1",
            "GET http://out.test:8080/denied HTTP/1.1",
            "OPTIONS http://ok.test HTTP/1.1",
        ]
    );
    for seen in &seen {
        assert_eq!(seen.values("proxy-authorization"), [BASIC], "ours, once: {seen:#?}");
        assert!(seen.value("via").unwrap().starts_with("1.1 outgate-"));
    }
    assert_eq!(
        (seen[0].value("host").unwrap(), seen[2].value("host").unwrap()),
        ("out.test".into(), "out.test:8080".into())
    );
    assert_eq!(seen[0].value("authorization").unwrap(), "Basic Zm9yOm9yaWdpbgo=", "the origin's own passes");
    assert_eq!(seen[1].body, b"abc");
    let connections: Vec<_> = seen.iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [1, 1, 2, 3], "kept for the very same destination");
    let records = proxy.account(&[
        "http out.test:80/a allow - completed 200",
        "http out.test:80/c allow - completed 200",
        "http out.test:8080/denied allow - completed 403",
        "http ok.test:80/ allow - completed 200",
    ]);
    assert!(records.iter().all(|record| record["address"] == format!("127.0.0.1:{}", parent.port())));
    nothing_leaks(&proxy);
}

#[test]
fn no_spelling_of_connect_reaches_the_parent_but_our_own() {
    let parent = Origin::saying("by the parent");
    let proxy = by(&parent, &allow(&["out.test:*"]), &[]).start();
    for method in ["Connect", "connect", "cONNECT", "CONNECt"] {
        let answers = proxy.raw(request(method, "http://out.test/", &[]));
        assert_eq!(answers.statuses(), [501], "{method}");
    }
    assert_eq!(parent.connections(), 0);
    // A near miss is a method like any other.
    let answers = proxy.raw(request("Connects", "http://out.test/", &["Connection: close"]));
    assert_eq!(answers.statuses(), [200]);
    assert_eq!(parent.wait_for(1)[0].line(), "Connects http://out.test/ HTTP/1.1");
}

#[test]
fn a_challenge_of_the_parent_is_no_answer_to_the_client() {
    let parent = answering(
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
    );
    let proxy = by(&parent, &allow(&["out.test"]), &[]).start();
    let answer = proxy.get("http://out.test/");
    assert_eq!(answer.status(), 502, "{answer}");
    assert!(answer.text().contains("the parent proxy wants other credentials"), "{answer}");
    assert_eq!(answer.header("proxy-authenticate"), None);
    proxy.account(&["http out.test:80/ allow - unreachable 502"]);
    nothing_leaks(&proxy);
}

#[test]
fn a_websocket_gets_a_tunnel() {
    let parent = Origin::script(|conn| {
        let head = conn.request_head().unwrap_or_default();
        conn.send(STANDS);
        let inner = conn.request_head().unwrap_or_default();
        conn.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nframe");
        ([head, inner].concat().join("\n").into_bytes(), conn.rest().1)
    });
    let proxy = by(&parent, &allow(&["out.test"]), &[]).start();
    let mut client = proxy.client();
    client.send(get("http://out.test/ws", &["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]));
    assert_eq!(client.answer().status(), 101);
    assert_eq!(client.read(5), b"frame");
    client.half_close();
    client.rest();
    let head = head_received(&parent);
    assert_eq!(head[0], "CONNECT out.test:80 HTTP/1.1");
    let inner = head.iter().position(|line| line == "GET /ws HTTP/1.1").expect("origin-form inside");
    assert!(head[..inner].iter().any(|line| line.starts_with("Proxy-Authorization")));
    assert!(!head[inner..].iter().any(|line| line.starts_with("Proxy-Authorization")), "{head:#?}");
}

#[test]
fn a_hello_for_another_server_is_refused_behind_a_parent_too_where_tls_is_optional() {
    let parent = Origin::script(|conn| {
        conn.request_head();
        conn.send(STANDS);
        conn.rest()
    });
    let optional = "[[rule]]\nid = \"ok\"\neffect = \"allow\"\nto = [\"out.test\"]\ntls = \"optional\"\n";
    let proxy = by(&parent, &policy("r1", optional), &[]).start();
    // What comes first is judged, and the answer that let the tunnel stand was no byte of the origin.
    for silence in [Duration::ZERO, Duration::from_millis(300)] {
        let mut tunnel = proxy.tunnel("out.test:443");
        std::thread::sleep(silence);
        tunnel.send(hello(Some("ok.test")));
        assert_eq!(tunnel.rest(), (vec![21, 3, 3, 0, 2, 2, 49], Ending::Closed), "access_denied after {silence:?}");
        assert_eq!(parent.received().0, b"", "after {silence:?}");
    }
    for first in [hello(Some("out.test")), b"SSH-2.0-x\r\n".to_vec()] {
        let mut tunnel = proxy.tunnel("out.test:443");
        tunnel.send(&first);
        tunnel.half_close();
        assert_eq!(parent.received().0, first);
    }
    proxy.account(&[
        "connect out.test:443 deny sni_mismatch denied 403",
        "connect out.test:443 deny sni_mismatch denied 403",
        "connect out.test:443 allow - completed 200",
        "connect out.test:443 allow - completed 200",
    ]);
}

#[test]
fn open_tunnels_are_judged_by_what_they_rest_on_and_not_by_the_parent_s_address() {
    // Loopback, where the parent is, is opened by no rule here.
    let policy =
        |revision: &str, rules: &str| format!("version = 1\nname = \"test\"\nrevision = \"{revision}\"\n{rules}");
    let handed = |parent: bool| format!("{}parent = {parent}\n", rule("handed", &["gone.test"]));
    let parent = tunnelling();
    let proxy = by(&parent, &policy("r1", &(rule("ok", &["out.test"]) + &handed(true))), &[]).start();
    let mut resolved = proxy.tunnel("out.test:443");
    let mut unresolved = proxy.tunnel("gone.test:443");
    assert_eq!([resolved.read(5), unresolved.read(5)].concat(), b"hellohello");
    proxy.set_policy(&policy("r2", &(rule("ok", &["out.test"]) + &handed(true) + &rule("other", &["other.test"]))));
    is_alive(&mut resolved);
    is_alive(&mut unresolved);
    proxy.set_policy(&policy("r3", &(rule("ok", &["out.test"]) + &handed(false))));
    let began = Instant::now();
    unresolved.rest();
    assert!(began.elapsed() < WITHIN_A_SECOND);
    is_alive(&mut resolved);
    let deny = "deny = [\"8.8.8.0/24\"]\n";
    proxy.set_policy(&policy("r4", &(deny.to_owned() + &rule("ok", &["out.test"]))));
    resolved.rest();
    proxy.account(&["connect gone.test:443 allow - revoked 200", "connect out.test:443 allow - revoked 200"]);
}

#[test]
fn a_parent_that_is_this_proxy_is_no_start() {
    let (port, admin) = (Port::reserve(), Port::reserve());
    let config = |url: &str| {
        format!(
            "[[listen]]\naddress = \"{}\"\n[admin]\naddress = \"{}\"\n[parent]\nurl = \"{url}\"\n\
             [dns.hosts]\n\"self.test\" = [\"127.0.0.1\"]\n",
            port.address(),
            admin.address()
        )
    };
    for url in [
        format!("http://{}", port.address()),
        format!("http://user:s3cret@{}", admin.address()),
        format!("http://self.test:{}", port.number()),
    ] {
        let finished = Outgate::new().file("outgate.toml", config(&url)).run(&["run", "--config", "outgate.toml"]);
        assert_eq!(finished.code, Some(2), "{finished:#?}");
        assert!(finished.stderr.contains("[parent] url leads to 127.0.0.1:"), "{finished:#?}");
        assert!(!finished.stderr.contains("s3cret"), "{finished:#?}");
    }
}

#[test]
fn check_names_the_parent_as_what_would_be_dialled() {
    let names = NameServer::start();
    let handed = format!("{}parent = true\n", rule("handed", &["gone.test"]));
    let rules = rule("ok", &["out.test", "lost.test", "straight.test", "in.test"]) + &handed;
    let config = format!(
        "[policy]\nsource = [\"policy.toml\"]\n[parent]\nurl = \"http://user:s3cret@proxy.test:3128\"\n\
         except = [\"straight.test\"]\n[dns]\nservers = [\"{}\"]\n[dns.hosts]\n\"out.test\" = [\"8.8.8.8\"]\n\
         \"straight.test\" = [\"8.8.8.8\"]\n\"in.test\" = [\"10.0.0.1\"]\n",
        names.address()
    );
    let outgate = Outgate::new().file("outgate.toml", config).file("policy.toml", policy("r1", &rules));
    for (to, decision, would_dial) in [
        ("out.test:443", "allow", "[\"parent proxy.test:3128\"]"),
        ("http://out.test/", "allow", "[\"parent proxy.test:3128\"]"),
        ("gone.test:443", "allow", "[\"parent proxy.test:3128\"]"),
        ("straight.test:443", "allow", "[\"8.8.8.8:443\"]"),
        ("lost.test:443", "allow", "null"),
        ("in.test:443", "deny", "null"),
    ] {
        let finished = outgate.run(&["check", "--config", "outgate.toml", "--json", to]);
        let checked: serde_json::Value =
            serde_json::from_str(&finished.stdout).unwrap_or_else(|_| panic!("{finished:#?}"));
        assert_eq!(
            (checked["decision"].as_str().unwrap(), checked["would_dial"].to_string().as_str()),
            (decision, would_dial),
            "{to}"
        );
        assert!(!finished.stdout.contains("s3cret"));
    }
}
