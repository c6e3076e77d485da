//! SOCKS5 on the same port: the same rules, records and gate, and RFC 1928's own answers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::thread;

use crate::clients::tool;
use crate::harness::{
    Conn, Ending, Origin, Port, Proxy, Settings, allow, finish, get, hello, ok, policy, rule, summary,
};

/// Version 5, one method: none.
const GREETING: &[u8] = &[5, 1, 0];
const CHOSEN: [u8; 2] = [5, 0];

/// A request for `CONNECT` to a name (RFC 1928 §4).
fn by_name(name: &str, port: u16) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap();
    [&[5, 1, 0, 3, length], name.as_bytes(), &port.to_be_bytes()].concat()
}

fn by_address(ip: IpAddr, port: u16) -> Vec<u8> {
    let (kind, octets) = match ip {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (4, ip.octets().to_vec()),
    };
    [&[5, 1, 0, kind], octets.as_slice(), &port.to_be_bytes()].concat()
}

/// Greets and asks: the connection and the reply's code. The rest of the reply tells nothing of this machine.
fn ask(proxy: &Proxy, request: &[u8]) -> (Conn, u8) {
    let mut client = proxy.client();
    client.send(GREETING);
    assert_eq!(client.read(2), CHOSEN);
    client.send(request);
    let reply = client.read(10);
    assert_eq!([&reply[..1], &reply[2..]].concat(), [5, 0, 1, 0, 0, 0, 0, 0, 0], "{reply:?}");
    (client, reply[1])
}

/// Sends a request that is refused. Returns the reply code and checks that the connection then ends.
fn refused(proxy: &Proxy, request: &[u8]) -> u8 {
    let (mut client, code) = ask(proxy, request);
    assert_eq!(client.rest(), (Vec::new(), Ending::Closed), "after {code}");
    code
}

/// Everything that comes until the end.
fn all(proxy: &Proxy, bytes: &[u8]) -> Vec<u8> {
    let mut client = proxy.client();
    client.send(bytes);
    client.rest().0
}

#[test]
fn a_tunnel_by_name_or_address_carries_bytes_both_ways() {
    let origin = Origin::echo();
    let port = origin.port();
    let proxy = Proxy::with(allow(&["ok.test:*", "127.0.0.1:*"]));
    for request in [by_name("ok.test", port), by_name("OK.test.", port), by_address(Ipv4Addr::LOCALHOST.into(), port)] {
        let (mut tunnel, code) = ask(&proxy, &request);
        assert_eq!(code, 0);
        tunnel.send(b"hello");
        assert_eq!(tunnel.read(5), b"hello");
        tunnel.half_close();
        assert_eq!(tunnel.rest(), (Vec::new(), Ending::Closed));
    }
    let line = format!("socks5 ok.test:{port} allow - completed 200");
    let records = proxy.account(&[&line, &line, &format!("socks5 127.0.0.1:{port} allow - completed 200")]);
    assert_eq!((&records[0]["bytes_up"], &records[0]["rule"]), (&5.into(), &"ok".into()));
    assert_eq!(proxy.metrics().sum("outgate_requests_total", &[("protocol", "socks5")]), 3);
}

#[test]
fn a_tunnel_by_ipv6_address_too() {
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        println!("skipped: no IPv6 on this machine");
        return;
    };
    let port = listener.local_addr().unwrap().port();
    let origin = thread::spawn(move || Conn::over(listener.accept().unwrap().0).rest());
    let rules = rule("six", &["[::1]:*"]) + "addresses = [\"::1/128\"]\n";
    let proxy = Proxy::with(policy("r1", &rules));
    let request = by_address(Ipv6Addr::LOCALHOST.into(), port);
    let (mut tunnel, code) = ask(&proxy, &request);
    assert_eq!(code, 0);
    tunnel.send(b"six");
    tunnel.half_close();
    assert_eq!(origin.join().unwrap(), (b"six".to_vec(), Ending::Closed));
    assert_eq!(refused(&proxy, &request), 5, "it listens no more");
    proxy.account(&[
        &format!("socks5 [::1]:{port} allow - completed 200"),
        &format!("socks5 [::1]:{port} allow - unreachable 502"),
    ]);
}

#[test]
fn each_refusal_has_its_own_reply() {
    let closed = Port::reserve().number();
    let mapped: Ipv6Addr = "::ffff:192.0.2.1".parse().unwrap();
    let proxy = Proxy::with(allow(&["ok.test:*", "gone.test:*", "127.0.0.1:*"]));
    let own = proxy.address().port();
    for (request, code, line) in [
        (by_name("no.test", 443), 2, "no.test:443 deny host_not_allowed denied 403".to_owned()),
        (by_address([192, 0, 2, 1].into(), 443), 2, "192.0.2.1:443 deny host_not_allowed denied 403".to_owned()),
        (by_name("192.0.2.1", 443), 2, "192.0.2.1:443 deny host_not_allowed denied 403".to_owned()),
        (by_address(mapped.into(), 443), 2, "[::ffff:192.0.2.1]:443 deny host_not_allowed denied 403".to_owned()),
        (by_address(Ipv6Addr::LOCALHOST.into(), 443), 2, "[::1]:443 deny host_not_allowed denied 403".to_owned()),
        (by_name("ok.test", own), 2, format!("ok.test:{own} deny loop denied 403")),
        (by_name("gone.test", 443), 4, "gone.test:443 allow - unresolvable 502".to_owned()),
        (by_name("ok.test", closed), 5, format!("ok.test:{closed} allow - unreachable 502")),
        (by_address(Ipv4Addr::LOCALHOST.into(), closed), 5, format!("127.0.0.1:{closed} allow - unreachable 502")),
    ] {
        let before = proxy.records_now().len();
        assert_eq!(refused(&proxy, &request), code, "{line}");
        assert_eq!(summary(&proxy.records(before + 1)[before]), format!("socks5 {line}"));
    }
    proxy.counts_agree_with(&proxy.records(9));
    assert_eq!(proxy.names_asked(), ["gone.test"], "a denied name is not looked up");
}

#[test]
fn what_is_not_served_is_said_in_the_protocols_own_words() {
    let origin = Origin::echo();
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let whole = by_name("ok.test", origin.port());
    let with = |at: usize, byte: u8| {
        let mut request = whole.clone();
        request[at] = byte;
        request
    };
    let cases = [
        (with(1, 2), 7, "BIND"),
        (with(1, 3), 7, "UDP ASSOCIATE"),
        (with(1, 0), 7, "no command"),
        (with(3, 2), 8, "an unknown address type"),
        (with(0, 4), 1, "another version"),
        (with(2, 1), 1, "the reserved byte"),
        (by_name("", 443), 1, "no name"),
        (by_name("ok.test\0.evil.test", 443), 1, "a NUL in the name"),
        (by_name("ok.test", 0), 1, "no port"),
        (by_name("0x7f.1", 443), 1, "another spelling of an address"),
    ];
    for (request, code, what) in &cases {
        assert_eq!(refused(&proxy, request), *code, "{what}");
    }
    proxy.account(&vec!["socks5 - none malformed_request malformed 400"; cases.len()]);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn without_an_acceptable_method_nothing_is_looked_up() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    // Name and password alone; GSSAPI and name and password; and what a client sends on without waiting.
    for bytes in [&[5, 1, 2][..], &[5, 2, 1, 2], &[&[5, 1, 2][..], &by_name("ok.test", 443)].concat()] {
        assert_eq!(all(&proxy, bytes), [5, 0xff], "{bytes:?}");
    }
    assert_eq!(all(&proxy, &[5, 0]), b"", "no method at all");
    let mut cut = proxy.client();
    cut.send([5, 2, 0]);
    cut.half_close();
    assert_eq!(cut.rest().0, b"", "half a method selection");
    let mut cut = proxy.client();
    cut.send([GREETING, &[5, 1, 0, 3, 9]].concat());
    cut.half_close();
    assert_eq!(cut.rest().0, CHOSEN, "half a request");
    proxy.account(&["socks5 - none malformed_request malformed 400"; 6]);
}

#[test]
fn a_client_that_dawdles_is_let_go() {
    let proxy = Settings::with(allow(&["ok.test:*"])).limit("head-timeout = \"500ms\"").start();
    assert_eq!(all(&proxy, &[5, 2]), b"", "in the method selection");
    let half = [GREETING, &[5, 1, 0, 3]].concat();
    assert_eq!(all(&proxy, &half), [5, 0, 5, 1, 0, 1, 0, 0, 0, 0, 0, 0], "in its request");
    proxy.account(&["socks5 - none request_timeout timeout 408"; 2]);
}

#[test]
fn bytes_ahead_of_the_replies_are_delivered_once_and_first() {
    let origin = Origin::script(Conn::rest);
    let port = origin.port();
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    client.send([&[5, 3, 2, 0, 1], by_name("ok.test", port).as_slice(), b"early "].concat());
    assert_eq!(client.read(12), [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    client.send(b"late");
    client.half_close();
    assert_eq!(origin.received(), (b"early late".to_vec(), Ending::Closed));

    let mut client = proxy.client();
    [GREETING, &by_name("ok.test", port)].concat().iter().for_each(|byte| client.send([*byte]));
    assert_eq!(client.read(12), [5, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0], "byte by byte");
    client.send(b"x");
    client.half_close();
    assert_eq!(origin.received(), (b"x".to_vec(), Ending::Closed));
}

#[test]
fn the_gate_is_the_same() {
    let origin = Origin::script(Conn::rest);
    let port = origin.port();
    let rules = "[[rule]]\nid = \"ok\"\neffect = \"allow\"\nto = [\"ok.test:*\", \"127.0.0.1:*\"]\n";
    let proxy = Proxy::with(policy("r1", rules));
    let (name, address) = (by_name("ok.test", port), by_address(Ipv4Addr::LOCALHOST.into(), port));
    for (request, bytes, alert) in [
        (&name, hello(Some("ok.test")), None),
        (&address, hello(None), None),
        (&name, hello(Some("no.test")), Some(49)),
        (&name, hello(None), Some(49)),
        (&address, hello(Some("no.test")), Some(49)),
        (&name, b"GET / HTTP/1.1\r\n\r\n".to_vec(), Some(10)),
    ] {
        let (mut tunnel, code) = ask(&proxy, request);
        assert_eq!(code, 0);
        tunnel.send(&bytes);
        tunnel.half_close();
        let (passed, answered) = match alert {
            None => (bytes, Vec::new()),
            Some(alert) => (Vec::new(), vec![21, 3, 3, 0, 2, 2, alert]),
        };
        assert_eq!(origin.received(), (passed, Ending::Closed));
        assert_eq!(tunnel.rest(), (answered, Ending::Closed));
    }
    proxy.account(&[
        &format!("socks5 ok.test:{port} allow - completed 200"),
        &format!("socks5 127.0.0.1:{port} allow - completed 200"),
        &format!("socks5 ok.test:{port} deny sni_mismatch denied 403"),
        &format!("socks5 ok.test:{port} deny sni_missing denied 403"),
        &format!("socks5 127.0.0.1:{port} deny sni_mismatch denied 403"),
        &format!("socks5 ok.test:{port} deny not_tls denied 403"),
    ]);
}

#[test]
fn only_a_connections_first_byte_says_socks() {
    let origin = Origin::saying("plain");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    client.send(get(&format!("http://ok.test:{}/", origin.port()), &[]));
    assert_eq!(client.answer().text(), "plain");
    client.send([GREETING, &by_name("ok.test", origin.port())].concat());
    assert_eq!(client.rest().0, b"");
    // A client cannot switch to HTTP after the method selection.
    assert_eq!(all(&proxy, &[GREETING, b"GET http://ok.test/ HTTP/1.1\r\n\r\n"].concat())[..4], [5, 0, 5, 1]);
    assert_eq!(all(&proxy, &[4, 1, 0, 80, 127, 0, 0, 1, 0]), b"", "SOCKS4");
    proxy.account(&[
        &format!("http ok.test:{}/ allow - completed 200", origin.port()),
        "socks5 - none unsupported malformed 501",
        "socks5 - none malformed_request malformed 400",
        "socks5 - none unsupported malformed 501",
    ]);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_listener_speaks_only_its_configured_protocols() {
    let origin = Origin::echo();
    let request = by_name("ok.test", origin.port());
    let http = Settings::with(allow(&["ok.test:*"])).listen("protocols = [\"http\"]").start();
    assert_eq!(all(&http, &[GREETING, &request].concat()), b"");
    assert_eq!(http.connect(&format!("ok.test:{}", origin.port())).1.status(), 200);
    assert_eq!(summary(&http.records(1)[0]), "socks5 - none unsupported malformed 501");

    let socks = Settings::with(allow(&["ok.test:*"])).listen("protocols = [\"socks5\"]").start();
    let (mut tunnel, code) = ask(&socks, &request);
    assert_eq!(code, 0);
    tunnel.send(b"x");
    assert_eq!(tunnel.read(1), b"x");
    let answers = socks.raw(get("http://ok.test/", &[]));
    assert_eq!(answers.only().status(), 501);
    assert!(answers.only().text().contains("SOCKS5 alone"), "{}", answers.only());
    assert_eq!(summary(&socks.records(1)[0]), "- - none unsupported malformed 501");
}

#[test]
fn curl_speaks_it() {
    let origin = Origin::http(|seen| ok(seen.line()));
    let proxy = Proxy::with(allow(&["ok.test:*", "127.0.0.1:*"]));
    let port = origin.port();
    let curl = |kind: &str, url: &str| {
        let mut curl = tool("curl", &["--version"])?;
        curl.args(["-q", "-sS", "--max-time", "10", "--noproxy", "", kind, &proxy.address().to_string(), url]);
        Some(finish(&mut curl, ""))
    };
    let Some(named) = curl("--socks5-hostname", &format!("http://ok.test:{port}/x")) else { return };
    assert_eq!(named.stdout, "GET /x HTTP/1.1", "{named:#?}");
    let addressed = curl("--socks5", &format!("http://127.0.0.1:{port}/y")).unwrap();
    assert_eq!(addressed.stdout, "GET /y HTTP/1.1", "{addressed:#?}");
    let denied = curl("--socks5-hostname", "https://no.test/").unwrap();
    assert_eq!(denied.code, Some(97), "{denied:#?}");
    assert!(denied.stderr.contains("(2)"), "{denied:#?}");
    proxy.account(&[
        &format!("socks5 ok.test:{port} allow - completed 200"),
        &format!("socks5 127.0.0.1:{port} allow - completed 200"),
        "socks5 no.test:443 deny host_not_allowed denied 403",
    ]);
}
