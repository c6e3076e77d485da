//! The gate on a tunnel's first bytes: a tunnel leads to the requested host, or none of its bytes arrive.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use crate::harness::{
    Conn, Ending, Origin, Proxy, Settings, captured_clients, captured_hello, get, hello, hello_message, hello_with,
    in_records, policy, until,
};

/// Fatal alerts, each in its own record (RFC 8446 §5.1, §6.2).
const ACCESS_DENIED: [u8; 7] = [21, 3, 3, 0, 2, 2, 49];
const UNEXPECTED_MESSAGE: [u8; 7] = [21, 3, 3, 0, 2, 2, 10];
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

/// The server that the captured hellos name.
const NAME: &str = "client.example.test";

/// Revision `r1`, that allows tunnels to [`NAME`] and the loopback address, with this in the rule.
fn gated(line: &str) -> String {
    policy("r1", &rule(line))
}

fn rule(line: &str) -> String {
    format!("[[rule]]\nid = \"ok\"\neffect = \"allow\"\nto = [\"{NAME}:*\", \"127.0.0.1:*\"]\n{line}\n")
}

fn settings(policy: String) -> Settings {
    Settings::with(policy).host(NAME, "[\"127.0.0.1\"]")
}

/// An origin that only listens.
fn listening() -> Origin {
    Origin::script(Conn::rest)
}

fn connect(authority: &str) -> Vec<u8> {
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n").into_bytes()
}

/// The gate's own count by result, without what is 0.
fn hellos(proxy: &Proxy) -> BTreeMap<String, u64> {
    let counts = proxy.metrics().by("outgate_client_hellos_total", ["result", ""]);
    counts.into_iter().map(|([result, _], count)| (result, count)).collect()
}

fn counted(counts: &[(&str, u64)]) -> BTreeMap<String, u64> {
    counts.iter().map(|(result, count)| ((*result).to_owned(), *count)).collect()
}

/// Sends this into a new tunnel and asserts that it is answered by an alert and the end, and that the origin gets nothing.
fn assert_refused(proxy: &Proxy, origin: &Origin, authority: &str, bytes: &[u8], alert: [u8; 7]) {
    let mut tunnel = proxy.tunnel(authority);
    tunnel.send(bytes);
    assert_eq!(tunnel.rest(), (alert.to_vec(), Ending::Closed), "{}", String::from_utf8_lossy(bytes));
    assert_eq!(origin.received(), (Vec::new(), Ending::Closed), "{}", String::from_utf8_lossy(bytes));
}

/// Sends this into a new tunnel and ends it, and asserts that the origin gets just that.
fn assert_passed(proxy: &Proxy, origin: &Origin, authority: &str, bytes: &[u8]) {
    let mut tunnel = proxy.tunnel(authority);
    tunnel.send(bytes);
    tunnel.half_close();
    assert_eq!(origin.received(), (bytes.to_vec(), Ending::Closed), "{}", String::from_utf8_lossy(bytes));
    assert_eq!(tunnel.rest(), (Vec::new(), Ending::Closed));
}

#[test]
fn first_bytes_without_a_hello_for_the_host_get_an_alert_and_never_arrive() {
    let origin = listening();
    let authority = format!("{NAME}:{}", origin.port());
    let proxy = settings(gated("")).start();
    let two_hellos = in_records(&[hello_message(Some(NAME)), hello_message(Some(NAME))].concat(), 9999);
    let not_tls = "the first bytes in the tunnel are no TLS; only a rule with `tls = \"optional\"`";
    for (bytes, alert, reason, sni, result, hint) in [
        (hello(Some("ok.test")), ACCESS_DENIED, "sni_mismatch", "ok.test", "sni_mismatch", "names `ok.test`"),
        (hello(Some("example.test")), ACCESS_DENIED, "sni_mismatch", "example.test", "sni_mismatch", "`example.test`"),
        (
            hello(Some("a.client.example.test")),
            ACCESS_DENIED,
            "sni_mismatch",
            "a.client.example.test",
            "sni_mismatch",
            "",
        ),
        (hello(Some("127.0.0.1")), ACCESS_DENIED, "sni_mismatch", "127.0.0.1", "sni_mismatch", "names `127.0.0.1`"),
        (hello(None), ACCESS_DENIED, "sni_missing", "", "sni_missing", "names no server; only a rule with `tls"),
        (captured_hello("gnutls-address"), ACCESS_DENIED, "sni_missing", "", "sni_missing", "`tls = \"optional\"`"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), UNEXPECTED_MESSAGE, "not_tls", "", "not_tls", not_tls),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), UNEXPECTED_MESSAGE, "not_tls", "", "not_tls", not_tls),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), UNEXPECTED_MESSAGE, "not_tls", "", "not_tls", not_tls),
        (b"\0".to_vec(), UNEXPECTED_MESSAGE, "not_tls", "", "not_tls", not_tls),
        (two_hellos, DECODE_ERROR, "not_tls", "", "malformed", "something follows it in the same record"),
        (b"\x16\x03\x01\0\x05hello".to_vec(), DECODE_ERROR, "not_tls", "", "malformed", "of another type"),
        (b"\x16\x03\x01\x40\0\x01\xff\xff\xff".to_vec(), DECODE_ERROR, "not_tls", "", "too_large", "`max-hello`"),
    ] {
        let before = hellos(&proxy);
        assert_refused(&proxy, &origin, &authority, &bytes, alert);
        let denial = last_denial(&proxy);
        let record = until("it is recorded", || {
            proxy.records_now().into_iter().find(|record| record["id"] == denial["request_id"])
        });
        assert_eq!((&record["decision"], &record["reason"]), (&"deny".into(), &reason.into()), "{record}");
        assert_eq!((&record["sni"], &record["outcome"]), (&sni.into(), &"denied".into()), "{record}");
        assert_eq!((&record["rule"], &record["revision"]), (&"ok".into(), &"r1".into()), "{record}");
        assert_eq!((&record["bytes_up"], &record["bytes_down"]), (&0.into(), &0.into()), "{record}");
        let after = hellos(&proxy);
        assert_eq!(after.get(result), Some(&(before.get(result).unwrap_or(&0) + 1)), "{result}: {before:?} {after:?}");
        assert_eq!(after.values().sum::<u64>(), before.values().sum::<u64>() + 1);
        assert_eq!((&denial["destination"], &denial["reason"]), (&authority.as_str().into(), &reason.into()));
        assert!(denial["hint"].as_str().unwrap().contains(hint), "{hint}: {denial}");
    }
    proxy.counts_agree_with(&proxy.records(26));
}

/// The last denial of this client, as the proxy reports it.
fn last_denial(proxy: &Proxy) -> serde_json::Value {
    let url = format!("http://{}/.well-known/outgate/denials", proxy.address());
    proxy.raw(get(&url, &["Connection: close"])).only().json()["denials"][0].clone()
}

#[test]
fn the_limit_on_a_hello_is_the_configured_one() {
    let origin = listening();
    let authority = format!("{NAME}:{}", origin.port());
    let proxy = settings(gated("")).limit("max-hello = \"4 KiB\"").start();
    let padded = |length: usize| {
        // An extension that means padding (RFC 7685), after all others.
        let mut message = hello_message(Some(NAME));
        let extensions = message.len() - (4 + 2 + 32 + 1 + 4 + 2 + 2);
        message.extend([0, 21]);
        message.extend(u16::try_from(length).unwrap().to_be_bytes());
        message.extend(vec![0; length]);
        let whole = u32::try_from(message.len() - 4).unwrap().to_be_bytes();
        message[1..4].copy_from_slice(&whole[1..]);
        let at = 4 + 2 + 32 + 1 + 4 + 2;
        message[at..at + 2].copy_from_slice(&u16::try_from(extensions + 4 + length).unwrap().to_be_bytes());
        in_records(&message, 16_000)
    };
    let fits = 4096 - padded(0).len();
    assert_passed(&proxy, &origin, &authority, &padded(fits));
    assert_refused(&proxy, &origin, &authority, &padded(fits + 1), DECODE_ERROR);
    assert_eq!(hellos(&proxy), counted(&[("passed", 1), ("too_large", 1)]));
}

#[test]
fn the_gate_waits_a_limited_time_for_a_complete_hello() {
    let origin = listening();
    let port = origin.port();
    let authority = format!("{NAME}:{port}");
    let proxy = settings(gated("")).limit("hello-timeout = \"500ms\"").start();
    let whole = captured_hello("curl-openssl3");
    assert_refused(&proxy, &origin, &authority, &whole[..whole.len() - 1], DECODE_ERROR);
    assert_eq!(last_denial(&proxy)["hint"], "the ClientHello cannot be judged: it stopped in the middle");
    assert_refused(&proxy, &origin, &authority, b"", ACCESS_DENIED);
    let hint = last_denial(&proxy)["hint"].clone();
    assert!(hint.as_str().unwrap().contains("came in time") && hint.as_str().unwrap().contains("`tls"), "{hint}");
    assert_eq!(hellos(&proxy), counted(&[("malformed", 1), ("late", 1)]));
    let line = format!("connect {authority} deny not_tls denied 403");
    let own = "own -/.well-known/outgate/denials none - completed 200";
    proxy.account(&[&line, &line, own, own]);
}

#[test]
fn a_client_that_ends_in_the_middle_of_its_hello_is_denied() {
    let origin = listening();
    let authority = format!("{NAME}:{}", origin.port());
    let proxy = settings(gated("")).start();
    let whole = captured_hello("python-ssl");
    for length in [1, 6, 200, whole.len() - 1] {
        let mut tunnel = proxy.tunnel(&authority);
        tunnel.send(&whole[..length]);
        tunnel.half_close();
        assert_eq!(tunnel.rest(), (ACCESS_DENIED.to_vec(), Ending::Closed), "{length}");
        assert_eq!(origin.received(), (Vec::new(), Ending::Closed), "{length}");
    }
    proxy.account(&[format!("connect {authority} deny not_tls denied 403").as_str(); 4]);
    assert_eq!(hellos(&proxy), counted(&[("cut", 4)]));
}

#[test]
fn a_client_that_leaves_without_a_byte_is_not_denied() {
    let origin = listening();
    let authority = format!("{NAME}:{}", origin.port());
    let proxy = settings(gated("")).start();
    proxy.tunnel(&authority).half_close();
    drop(proxy.tunnel(&authority));
    proxy.tunnel(&authority).reset_at_end();
    for _ in 0..3 {
        assert_eq!(origin.received(), (Vec::new(), Ending::Closed));
    }
    proxy.account(&[format!("connect {authority} allow - client_closed 200").as_str(); 3]);
    assert_eq!(hellos(&proxy), counted(&[]));
}

#[test]
fn an_alert_arrives_although_the_client_has_sent_much_more() {
    let origin = listening();
    let proxy = settings(gated("")).start();
    let mut tunnel = proxy.tunnel(&format!("{NAME}:{}", origin.port()));
    // The proxy may close before it has read all of it.
    let _cut = tunnel.try_send([hello(Some("ok.test")), vec![23; 200 * 1024]].concat());
    assert_eq!(tunnel.read(7), ACCESS_DENIED);
    assert_eq!(origin.received(), (Vec::new(), Ending::Closed));
}

#[test]
fn hellos_of_real_clients_arrive_as_they_were_sent() {
    let origin = listening();
    let port = origin.port();
    let proxy = settings(gated("")).start();
    let clients = captured_clients();
    assert!(clients.len() >= 12, "{clients:?}");
    for client in &clients {
        let host = if client.ends_with("-address") { "127.0.0.1" } else { NAME };
        let authority = format!("{host}:{port}");
        // The gate ignores bytes after the ClientHello.
        let bytes = [captured_hello(client), b"\x17\x03\x03\0\x01xGET / HTTP/1.1\r\n\r\n".to_vec()].concat();
        assert_passed(&proxy, &origin, &authority, &bytes);
        let mut early = proxy.client();
        early.send([connect(&authority), bytes.clone()].concat());
        assert_eq!(early.answer_to("CONNECT").status(), 200, "{client}");
        early.half_close();
        assert_eq!(origin.received(), (bytes, Ending::Closed), "{client}, in the segment of its CONNECT");
    }
    let passed = 2 * clients.len() as u64;
    until("all are counted", || (hellos(&proxy) == counted(&[("passed", passed)])).then_some(()));
    let records = proxy.records(2 * clients.len());
    for record in &records {
        let sni = if record["host"] == NAME { NAME } else { "" };
        assert_eq!((&record["sni"], &record["outcome"]), (&sni.into(), &"completed".into()), "{record}");
    }
    proxy.counts_agree_with(&records);
}

#[test]
fn neither_segments_nor_records_nor_case_matter() {
    let origin = listening();
    let authority = format!("{NAME}:{}", origin.port());
    let proxy = settings(gated("")).start();
    let bytes = hello(Some(NAME));
    for at in 1..bytes.len() {
        let mut tunnel = proxy.tunnel(&authority);
        tunnel.send(&bytes[..at]);
        tunnel.send(&bytes[at..]);
        tunnel.half_close();
        assert_eq!(origin.received(), (bytes.clone(), Ending::Closed), "cut at {at}");
    }
    let mut tunnel = proxy.tunnel(&authority);
    bytes.iter().for_each(|byte| tunnel.send([*byte]));
    tunnel.half_close();
    assert_eq!(origin.received(), (bytes, Ending::Closed), "byte by byte");
    for size in [1, 3, 50] {
        assert_passed(&proxy, &origin, &authority, &in_records(&hello_message(Some(NAME)), size));
        assert_refused(&proxy, &origin, &authority, &in_records(&hello_message(Some("ok.test")), size), ACCESS_DENIED);
    }
    assert_passed(&proxy, &origin, &authority, &hello(Some("Client.EXAMPLE.test")));
    assert_passed(&proxy, &origin, &format!("CLIENT.example.test.:{}", origin.port()), &hello(Some(NAME)));
}

#[test]
fn a_tunnel_to_an_address_names_no_server_or_one_that_is_allowed() {
    let origin = listening();
    let port = origin.port();
    let authority = format!("127.0.0.1:{port}");
    let rules = rule("") + "[[rule]]\nid = \"web\"\neffect = \"allow\"\nto = [\"web.example.test:443\"]\n";
    let proxy = settings(policy("r1", &format!("deny = [\"bad.example.test:*\"]\n{rules}"))).start();
    for name in [None, Some(NAME), Some("127.0.0.1")] {
        assert_passed(&proxy, &origin, &authority, &hello(name));
    }
    // Denied; unknown; allowed at another port; another address.
    for name in ["bad.example.test", "no.test", "web.example.test", "127.0.0.2"] {
        assert_refused(&proxy, &origin, &authority, &hello(Some(name)), ACCESS_DENIED);
    }
    assert_refused(&proxy, &origin, &authority, b"SSH-2.0-x\r\n", UNEXPECTED_MESSAGE);
    let records = proxy.records(8);
    let mut seen: Vec<_> = records.iter().map(|record| [&record["sni"], &record["reason"]].map(text)).collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            ["", ""],
            ["", "not_tls"],
            ["127.0.0.1", ""],
            ["127.0.0.2", "sni_mismatch"],
            ["bad.example.test", "host_denied"],
            [NAME, ""],
            ["no.test", "sni_mismatch"],
            ["web.example.test", "sni_mismatch"],
        ]
    );
    proxy.counts_agree_with(&records);
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().unwrap().to_owned()
}

#[test]
fn optional_means_other_protocols_and_not_other_servers() {
    let origin = listening();
    let authority = format!("{NAME}:{}", origin.port());
    let proxy = settings(gated("tls = \"optional\"")).limit("hello-timeout = \"500ms\"").start();
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"SSH-2.0-x\r\n", b"\x16not TLS", b"\0"] {
        assert_passed(&proxy, &origin, &authority, bytes);
    }
    assert_passed(&proxy, &origin, &authority, &hello(Some(NAME)));
    assert_passed(&proxy, &origin, &authority, &hello(None));
    assert_refused(&proxy, &origin, &authority, &hello(Some("ok.test")), ACCESS_DENIED);
    assert_refused(&proxy, &origin, &authority, &hello(None)[..9], DECODE_ERROR);
    assert_refused(&proxy, &origin, &authority, b"\x16\x03\x01\0\x05hello", DECODE_ERROR);
    // A record that a lenient server passes over, and a version that it does not look at.
    let warned = [b"\x15\x03\x01\0\x02\x01\x70".as_slice(), &hello(Some("ok.test"))].concat();
    assert_refused(&proxy, &origin, &authority, &warned, DECODE_ERROR);
    for (major, minor) in [(2, 1), (0x0f, 0xff), (0x10, 0), (0xfe, 0xfd), (0xff, 0xff)] {
        let odd = [&[0x16, major, minor], &hello(Some("ok.test"))[3..]].concat();
        assert_refused(&proxy, &origin, &authority, &odd, DECODE_ERROR);
        let odd = [&[0x15, major, minor], &warned[3..]].concat();
        assert_refused(&proxy, &origin, &authority, &odd, DECODE_ERROR);
        // Near misses: no alert, no ClientHello.
        assert_passed(&proxy, &origin, &authority, &[0x15, major, minor, 0, 2, 3, 0]);
        assert_passed(&proxy, &origin, &authority, &[0x16, major, minor, 0, 4, 2, 0, 0, 0]);
    }
    // In the format of SSL 2.0 it names no server at all.
    assert_refused(&proxy, &origin, &authority, b"\x80\x2e\x01\x03\x01\0\x15\0\0\0\x10", DECODE_ERROR);
    let expected = [("passed", 16), ("sni_mismatch", 1), ("malformed", 14)];
    until("all are counted", || (hellos(&proxy) == counted(&expected)).then_some(()));
}

#[test]
fn late_first_bytes_with_optional_tls_are_still_judged() {
    let origin = listening();
    let authority = format!("{NAME}:{}", origin.port());
    let proxy = settings(gated("tls = \"optional\"")).limit("hello-timeout = \"100ms\"").start();
    let mut tunnels: Vec<_> = (0..3).map(|_| proxy.tunnel(&authority)).collect();
    // The tunnels stay silent for longer than `hello-timeout`.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    let [other, late, doomed] = &mut tunnels[..] else { panic!("three") };
    other.send(hello(Some("ok.test")));
    assert_eq!(other.rest(), (ACCESS_DENIED.to_vec(), Ending::Closed));
    assert_eq!(origin.received().0, b"");
    late.send(b"late");
    late.half_close();
    assert_eq!(origin.received(), (b"late".to_vec(), Ending::Closed));
    proxy.set_policy(&policy("r2", ""));
    doomed.rest();
    assert_eq!(origin.received().0, b"");
    proxy.account(&[
        &format!("connect {authority} deny sni_mismatch denied 403"),
        &format!("connect {authority} allow - completed 200"),
        &format!("connect {authority} allow - revoked 200"),
    ]);
}

#[test]
fn where_tls_is_optional_a_server_may_speak_first() {
    let origin = Origin::script(|conn| {
        conn.send(b"220 ready\r\n");
        conn.rest()
    });
    // With the default limits: the server's banner does not wait for a ClientHello that will not come.
    let proxy = settings(gated("tls = \"optional\"")).start();
    let mut tunnel = proxy.tunnel(&format!("{NAME}:{}", origin.port()));
    assert_eq!(tunnel.read(11), b"220 ready\r\n");
    tunnel.send(b"QUIT\r\n");
    tunnel.half_close();
    assert_eq!(origin.received(), (b"QUIT\r\n".to_vec(), Ending::Closed));

    // Where it is not, the origin receives nothing.
    let proxy = settings(gated("")).limit("hello-timeout = \"500ms\"").start();
    let mut tunnel = proxy.tunnel(&format!("{NAME}:{}", origin.port()));
    assert_eq!(tunnel.rest(), (ACCESS_DENIED.to_vec(), Ending::Closed));
    assert_eq!(origin.received().0, b"");
}

#[test]
fn observe_mode_passes_tunnels_and_records_would_be_denials() {
    let origin = listening();
    let port = origin.port();
    let authority = format!("{NAME}:{port}");
    let proxy = settings(policy("r1", &format!("mode = \"observe\"\n{}", rule("")))).start();
    assert_passed(&proxy, &origin, &authority, &hello(Some("ok.test")));
    assert_passed(&proxy, &origin, &authority, &hello(None));
    assert_passed(&proxy, &origin, &authority, b"SSH-2.0-x\r\n");
    assert_passed(&proxy, &origin, &authority, &hello(Some(NAME)));
    assert_passed(&proxy, &origin, &format!("127.0.0.1:{port}"), &hello(Some("no.test")));
    proxy.account(&[
        &format!("connect {authority} observe sni_mismatch completed 200"),
        &format!("connect {authority} observe sni_missing completed 200"),
        &format!("connect {authority} observe not_tls completed 200"),
        &format!("connect {authority} allow - completed 200"),
        &format!("connect 127.0.0.1:{port} observe sni_mismatch completed 200"),
    ]);
    assert_eq!(hellos(&proxy), counted(&[("passed", 1), ("sni_mismatch", 2), ("sni_missing", 1), ("not_tls", 1)]));
}

#[test]
fn observe_mode_still_refuses_a_denied_server_in_any_tunnel() {
    let origin = listening();
    let port = origin.port();
    let (name, address) = (format!("{NAME}:{port}"), format!("127.0.0.1:{port}"));
    let deny = "deny = [\"**.bad.test\", \"other.test:1\", \"127.0.0.2\"]\n";
    let proxy = settings(policy("r1", &format!("mode = \"observe\"\n{deny}{}", rule("tls = \"optional\"")))).start();
    for authority in [&name, &address] {
        for denied in ["bad.test", "a.BAD.test", "127.0.0.2"] {
            assert_refused(&proxy, &origin, authority, &hello(Some(denied)), ACCESS_DENIED);
        }
        // A deny rule for another port, and a name that no rule knows, are what observe mode is for.
        for observed in ["other.test", "bad.test.example"] {
            assert_passed(&proxy, &origin, authority, &hello(Some(observed)));
        }
    }
    let denial = last_denial(&proxy);
    assert!(denial["hint"].as_str().unwrap().contains("names `127.0.0.2`, which is denied"), "{denial}");
    let line = |to: &str, rest: &str| format!("connect {to} {rest}");
    let mut expected: Vec<_> = [&name, &address]
        .iter()
        .flat_map(|to| {
            [
                line(to, "deny host_denied denied 403"),
                line(to, "deny host_denied denied 403"),
                line(to, "deny address_not_allowed denied 403"),
                line(to, "observe sni_mismatch completed 200"),
                line(to, "observe sni_mismatch completed 200"),
            ]
        })
        .collect();
    expected.push("own -/.well-known/outgate/denials none - completed 200".to_owned());
    let records = proxy.account(&expected.iter().map(String::as_str).collect::<Vec<_>>());
    let denied = records.iter().find(|record| record["sni"] == "bad.test").unwrap();
    assert_eq!((&denied["rule"], &denied["bytes_up"]), (&"deny:**.bad.test".into(), &0.into()), "{denied}");
}

/// The extension of an Encrypted Client Hello, `encrypted_client_hello`, with bytes that the proxy cannot decrypt.
const ENCRYPTED: [u8; 14] = [0xfe, 0x0d, 0, 10, 0, 0, 1, 0, 1, 7, 0, 0, 0, 0];

#[test]
fn an_encrypted_hello_is_judged_by_its_outer_name() {
    let origin = listening();
    let port = origin.port();
    let (name, address) = (format!("{NAME}:{port}"), format!("127.0.0.1:{port}"));
    let proxy = settings(gated("")).start();
    let ech = |server| hello_with(server, &ENCRYPTED);
    assert_passed(&proxy, &origin, &name, &ech(Some(NAME)));
    assert_refused(&proxy, &origin, &name, &ech(Some("ok.test")), ACCESS_DENIED);
    assert_refused(&proxy, &origin, &name, &ech(None), ACCESS_DENIED);
    assert_passed(&proxy, &origin, &address, &ech(None));
    assert_passed(&proxy, &origin, &address, &ech(Some(NAME)));
    assert_refused(&proxy, &origin, &address, &ech(Some("ok.test")), ACCESS_DENIED);
    proxy.account(&[
        &format!("connect {name} allow - completed 200"),
        &format!("connect {name} deny sni_mismatch denied 403"),
        &format!("connect {name} deny sni_missing denied 403"),
        &format!("connect {address} allow - completed 200"),
        &format!("connect {address} allow - completed 200"),
        &format!("connect {address} deny sni_mismatch denied 403"),
    ]);
    let lenient = settings(gated("tls = \"optional\"")).start();
    assert_passed(&lenient, &origin, &name, &ech(None));
    assert_refused(&lenient, &origin, &name, &ech(Some("ok.test")), ACCESS_DENIED);
}

#[test]
fn a_hello_is_judged_by_the_policy_in_force_when_it_comes() {
    let origin = listening();
    let port = origin.port();
    let authority = format!("{NAME}:{port}");
    let strict = |revision| policy(revision, &rule(""));
    let lenient = |revision| policy(revision, &rule("tls = \"optional\""));
    let proxy = settings(lenient("r1")).start();
    let mut begun = proxy.tunnel(&authority);
    proxy.set_policy(&strict("r2"));
    begun.send(b"SSH-2.0-x\r\n");
    assert_eq!(begun.rest(), (UNEXPECTED_MESSAGE.to_vec(), Ending::Closed));
    assert_eq!(origin.received().0, b"");
    let mut begun = proxy.tunnel(&authority);
    proxy.set_policy(&lenient("r3"));
    begun.send(b"SSH-2.0-x\r\n");
    begun.half_close();
    assert_eq!(origin.received().0, b"SSH-2.0-x\r\n");
    let records = proxy.account(&[
        &format!("connect {authority} deny not_tls denied 403"),
        &format!("connect {authority} allow - completed 200"),
    ]);
    assert_eq!((&records[0]["revision"], &records[1]["revision"]), (&"r2".into(), &"r3".into()));
}

#[test]
fn a_tunnel_that_waits_for_its_hello_does_not_outlive_its_permission() {
    let origin = listening();
    let port = origin.port();
    let proxy = settings(gated("")).start();
    let mut waiting = proxy.tunnel(&format!("{NAME}:{port}"));
    let mut spared = proxy.tunnel(&format!("127.0.0.1:{port}"));
    proxy.set_policy(&policy("r2", "[[rule]]\nid = \"ok\"\neffect = \"allow\"\nto = [\"127.0.0.1:*\"]\n"));
    waiting.send(hello(Some(NAME)));
    assert_eq!(waiting.rest(), (ACCESS_DENIED.to_vec(), Ending::Closed));
    assert_eq!(origin.received(), (Vec::new(), Ending::Closed));
    spared.send(hello(None));
    spared.half_close();
    assert_eq!(origin.received(), (hello(None), Ending::Closed));
    spared.rest();
    let records = proxy.account(&[
        &format!("connect {NAME}:{port} deny host_not_allowed denied 403"),
        &format!("connect 127.0.0.1:{port} allow - completed 200"),
    ]);
    assert_eq!((&records[0]["revision"], &records[0]["bytes_up"]), (&"r2".into(), &0.into()));
}

#[test]
fn a_rule_whose_period_ends_while_the_gate_waits_lets_nothing_through() {
    let origin = listening();
    let port = origin.port();
    let until_when = jiff::Timestamp::try_from(SystemTime::now() + Duration::from_secs(5)).unwrap();
    let rule = |id, to, line: &str| format!("[[rule]]\nid = \"{id}\"\neffect = \"allow\"\nto = [\"{to}:*\"]\n{line}\n");
    let rules = rule("short", NAME, &format!("until = {until_when}")) + &rule("long", "127.0.0.1", "");
    let proxy = settings(policy("r1", &rules)).limit("hello-timeout = \"60s\"").start();
    let mut late = proxy.tunnel(&format!("{NAME}:{port}"));
    let mut spared = proxy.tunnel(&format!("127.0.0.1:{port}"));
    until("the period is over", || {
        (proxy.api(&format!("/v1/check?to={NAME}:{port}"))["reason"] == "outside_period").then_some(())
    });
    late.send(hello(Some(NAME)));
    assert_eq!(late.rest(), (ACCESS_DENIED.to_vec(), Ending::Closed));
    assert_eq!(origin.received(), (Vec::new(), Ending::Closed));
    spared.send(hello(None));
    spared.half_close();
    assert_eq!(origin.received(), (hello(None), Ending::Closed));
    spared.rest();
    let records = proxy.account(&[
        &format!("connect {NAME}:{port} deny outside_period denied 403"),
        &format!("connect 127.0.0.1:{port} allow - completed 200"),
    ]);
    assert_eq!((&records[0]["rule"], &records[0]["bytes_up"]), (&"short".into(), &0.into()));
}

#[test]
fn how_a_tunnel_began_is_judged_again_when_the_policy_changes() {
    let origin = Origin::echo();
    let port = origin.port();
    let proxy = settings(gated("tls = \"optional\"")).start();
    let begun = |authority: String, bytes: &[u8]| {
        let mut tunnel = proxy.tunnel(&authority);
        tunnel.send(bytes);
        assert_eq!(tunnel.read(bytes.len()), bytes);
        tunnel
    };
    let mut plain = begun(format!("{NAME}:{port}"), b"SSH-2.0-x\r\n");
    let mut fronted = begun(format!("127.0.0.1:{port}"), &hello(Some(NAME)));
    let mut unnamed = begun(format!("127.0.0.1:{port}"), &hello(None));
    let mut named = begun(format!("{NAME}:{port}"), &hello(Some(NAME)));
    // The same destinations, but with TLS: the first tunnel had none.
    proxy.set_policy(&policy("r2", &rule("")));
    plain.rest();
    for tunnel in [&mut fronted, &mut unnamed, &mut named] {
        tunnel.send(b"alive");
        assert_eq!(tunnel.read(5), b"alive");
    }
    // The name is not allowed any more: neither as a destination nor as the name for an address.
    proxy.set_policy(&policy("r3", "[[rule]]\nid = \"ok\"\neffect = \"allow\"\nto = [\"127.0.0.1:*\"]\n"));
    fronted.rest();
    named.rest();
    unnamed.send(b"alive");
    assert_eq!(unnamed.read(5), b"alive");
    let records = proxy.records(3);
    assert!(records.iter().all(|record| record["outcome"] == "revoked"), "{records:#?}");
}
