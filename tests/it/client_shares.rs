//! One client cannot use up the connections, TLS handshakes, lookups and dials of the others. A client that leaves frees
//! all of them.
#![cfg(target_os = "linux")] // elsewhere only 127.0.0.1 is an address of the machine

use std::net::SocketAddr;
use std::time::Duration;

use crate::expectations::assert_failed;
use crate::harness::{Answer, Conn, Ending, Origin, Proxy, Settings, allow, get, until};
use crate::scripted_names::{Say, ScriptedNames};
use crate::tls_listener::{Certificate, handshake};

const GREEDY: [u8; 4] = [127, 0, 0, 2];
const OTHER: [u8; 4] = [127, 0, 0, 3];

/// Far longer than any of these tests: nothing ends by itself.
const FOREVER: &str = "\"10m\"";

fn turned_away(proxy: &Proxy) -> u64 {
    proxy.metrics().sum("outgate_connections_total", &[("result", "busy_client")])
}

fn connect_head(authority: &str) -> String {
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n")
}

fn answered(mut client: Conn, authority: &str) -> (Conn, Answer) {
    client.send(connect_head(authority));
    let answer = client.answer_to("CONNECT");
    (client, answer)
}

#[test]
fn a_client_with_all_its_silent_connections_does_not_block_others() {
    let settings = Settings::with(allow(&["ok.test"])).limit("max-connections = 16");
    let proxy = settings.limit(&format!("head-timeout = {FOREVER}")).start();
    let greedy = || Conn::between(GREEDY, proxy.address());
    let mut silent: Vec<_> = (0..60).map(|_| greedy()).collect();
    // Three quarters of them have a place, at most: the proxy's test of itself may hold one for a moment.
    until("the rest is turned away", || (turned_away(&proxy) >= 48).then_some(()));
    let mut last = silent.pop().unwrap();
    let answer = last.answer();
    assert_eq!((answer.status(), answer.header("connection")), (503, Some("close")), "{answer}");
    assert!(answer.text().contains("(max-connections-per-client)"), "{answer}");
    assert_eq!(last.rest(), (Vec::new(), Ending::Closed));
    let mut other = Conn::between(OTHER, proxy.address());
    other.send(get("http://no.test/", &[]));
    assert_eq!(other.answer().status(), 403, "another client gets in");
    // One that has a place is served, too.
    let mut first = silent.remove(0);
    first.send(get("http://no.test/", &[]));
    assert_eq!(first.answer().status(), 403);
    drop((silent, first));
    until("its places are free once it has left", || {
        let mut again = greedy();
        let _turned_away = again.try_send(get("http://no.test/", &[]));
        (again.answer().status() == 403).then_some(())
    });
}

#[test]
fn a_limit_of_ones_own_is_exact_for_connections() {
    let proxy = Settings::with(allow(&["ok.test"])).limit("max-connections-per-client = 2").start();
    let served = |from: [u8; 4]| {
        let mut client = Conn::between(from, proxy.address());
        let _turned_away = client.try_send(get("http://no.test/", &[]));
        let status = client.answer().status();
        (client, status)
    };
    let held = [served(GREEDY), served(GREEDY), served(OTHER)];
    assert_eq!(held.each_ref().map(|(_, status)| *status), [403; 3]);
    assert_eq!(served(GREEDY).1, 503);
    assert_eq!(served(OTHER).1, 403);
}

#[test]
fn a_client_with_all_its_stalled_handshakes_does_not_block_others() {
    let certificate = Certificate::new();
    let settings = Settings::with(allow(&["ok.test"])).listen(&certificate.line());
    let settings = settings.limit("max-handshakes = 8").limit(&format!("head-timeout = {FOREVER}"));
    let proxy = settings.start();
    let mut stalled: Vec<_> = (0..60).map(|_| Conn::between(GREEDY, proxy.address())).collect();
    until("the rest is turned away", || (turned_away(&proxy) >= 54).then_some(()));
    // A fatal alert, internal_error (RFC 8446 §6.2).
    assert_eq!(stalled.pop().unwrap().rest(), (vec![21, 3, 3, 0, 2, 2, 80], Ending::Closed));
    let shake = |from| handshake(Conn::between(from, proxy.address()).into_stream(), &certificate.der);
    assert!(shake(GREEDY).is_err());
    let mut other = shake(OTHER).expect("another client's handshake");
    other.send(get("http://no.test/", &[]));
    assert_eq!(other.answer().status(), 403);
    drop(stalled);
    until("its places are free once it has left", || shake(GREEDY).ok());
}

#[test]
fn a_client_with_hanging_lookups_does_not_block_others_and_ends_them_by_leaving() {
    let origin = Origin::echo();
    for (limit, own) in [
        ("max-lookups = 8", "max-lookups-per-client"),
        ("max-lookups-per-client = 6", "max-lookups-per-client"),
        ("max-dials = 8", "max-dials-per-client"),
        ("max-dials-per-client = 6", "max-dials-per-client"),
    ] {
        let silent = ["s0.test", "s1.test", "s2.test", "s3.test", "s4.test", "s5.test", "s6.test"];
        let names = ScriptedNames::start(&[
            ("s0.test", Say::Nothing),
            ("s1.test", Say::Nothing),
            ("s2.test", Say::Nothing),
            ("s3.test", Say::Nothing),
            ("s4.test", Say::Nothing),
            ("s5.test", Say::Nothing),
            ("s6.test", Say::Nothing),
            ("here.test", Say::Ips(vec!["127.0.0.1".parse().unwrap()])),
        ]);
        let settings = Settings::with(allow(&["*.test:*"])).limit(limit);
        let proxy = names.proxy(settings.limit(&format!("dns-timeout = {FOREVER}")));
        let here = format!("here.test:{}", origin.port());
        let from = |from| Conn::between(from, proxy.address());
        let begin = |count: usize| {
            let hanging = silent.iter().take(count).map(|name| {
                let mut client = from(GREEDY);
                client.send(connect_head(&format!("{name}:443")));
                client
            });
            let hanging: Vec<_> = hanging.collect();
            let mut seen = 0;
            until("they are looked up", || {
                seen += names.asked().iter().filter(|question| question.starts_with("A s")).count();
                (seen >= count).then_some(())
            });
            hanging
        };
        let hanging = begin(6);
        let (_, refused) = answered(from(GREEDY), "s6.test:443");
        assert_failed(&refused, 503, "busy");
        assert!(refused.text().contains(own), "{limit}: {refused}");
        let (mut tunnel, answer) = answered(from(OTHER), &here);
        assert_eq!(answer.status(), 200, "{limit}: {answer}");
        tunnel.send(b"alive");
        assert_eq!(tunnel.read(5), b"alive");
        drop(hanging);
        until("its places are free once it has left", || {
            let (_, answer) = answered(from(GREEDY), &here);
            (answer.status() == 200).then_some(())
        });
        drop(begin(6));
        let ended = until("all that was given up is recorded", || {
            let records = proxy.records_now().into_iter().filter(|record| record["port"] == 443);
            let ended: Vec<_> = records.filter(|record| record["outcome"] == "client_closed").collect();
            (ended.len() >= 12).then_some(ended)
        });
        for record in ended {
            assert_eq!((&record["decision"], &record["status"]), (&"allow".into(), &0.into()), "{record}");
        }
    }
}

#[test]
fn a_client_with_all_its_admin_connections_does_not_block_others() {
    let proxy = Settings::with(allow(&["ok.test"])).start();
    let host = proxy.admin_address();
    let ready = |from| {
        let mut client = Conn::between(from, host);
        let _turned_away =
            client.try_send(format!("GET /readyz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        client.answer().status()
    };
    let mut silent: Vec<_> = (0..80).map(|_| Conn::between(GREEDY, host)).collect();
    let answer = silent.pop().unwrap().answer();
    assert_eq!((answer.status(), answer.header("connection")), (503, Some("close")), "{answer}");
    assert_eq!(ready(OTHER), 200, "another client is answered");
    drop(silent);
    until("its places are free once it has left", || (ready(GREEDY) == 200).then_some(()));
}

/// How a client leaves or appears to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaving {
    Reset,
    /// It sends nothing more.
    HalfClose,
    /// It sends bytes for the tunnel first.
    AheadThenHalfClose,
    AheadThenReset,
}

impl Leaving {
    fn of(self, mut client: Conn) -> Conn {
        if matches!(self, Self::AheadThenHalfClose | Self::AheadThenReset) {
            client.send(b"ahead");
        }
        match self {
            Self::Reset | Self::AheadThenReset => client.reset_at_end(),
            Self::HalfClose | Self::AheadThenHalfClose => client.half_close(),
        }
        client
    }
}

/// A destination that accepts no connection, because the queue of its listening socket is full.
struct Unanswering {
    address: SocketAddr,
    _listener: socket2::Socket,
    _queued: Vec<socket2::Socket>,
}

impl Unanswering {
    fn new() -> Self {
        let socket = || socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let listener = socket();
        listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let mut queued = Vec::new();
        loop {
            let next = socket();
            if next.connect_timeout(&address.into(), Duration::from_millis(200)).is_err() {
                return Self { address, _listener: listener, _queued: queued };
            }
            queued.push(next);
            assert!(queued.len() < 10, "the queue never fills");
        }
    }
}

#[test]
fn a_client_that_leaves_ends_its_lookup_and_its_dial_and_one_that_only_ends_its_request_does_not() {
    let names = ScriptedNames::start(&[("silent.test", Say::Nothing)]);
    let unanswering = Unanswering::new();
    let proxy = |most: &str| {
        let settings = Settings::with(allow(&["*.test:*"])).limit(&format!("dns-timeout = {most}"));
        names.proxy(settings.limit(&format!("connect-timeout = {most}")))
    };
    let (patient, hasty) = (proxy(FOREVER), proxy("\"500ms\""));
    let port = unanswering.address.port();
    let looked_up = ("silent.test:443".to_owned(), 504, "dns_timeout", "unresolvable");
    let dialled = (format!("ok.test:{port}"), 504, "connection_timeout", "unreachable");
    for (authority, status, token, outcome) in [looked_up, dialled] {
        let tunnel = connect_head(&authority).into_bytes();
        let (name, port) = authority.split_once(':').unwrap();
        let port: u16 = port.parse().unwrap();
        let length = u8::try_from(name.len()).unwrap();
        let socks = [&[5, 1, 0, 5, 1, 0, 3, length], name.as_bytes(), &port.to_be_bytes()].concat();
        let plain = get(&format!("http://{authority}/"), &[]).into_bytes();
        for (request, leaving, has_left) in [
            (&tunnel, Leaving::Reset, true),
            (&tunnel, Leaving::HalfClose, true),
            (&tunnel, Leaving::AheadThenReset, true),
            (&tunnel, Leaving::AheadThenHalfClose, false),
            (&socks, Leaving::Reset, true),
            (&socks, Leaving::HalfClose, true),
            (&socks, Leaving::AheadThenHalfClose, false),
            (&plain, Leaving::Reset, true),
            (&plain, Leaving::HalfClose, false),
        ] {
            let case = format!("{authority} {leaving:?} {:?}", String::from_utf8_lossy(request));
            let proxy = if has_left { &patient } else { &hasty };
            let before = proxy.records_now().len();
            names.asked();
            let mut client = Conn::to(proxy.address());
            client.send(request);
            // It is on its way out, and not merely read.
            until("it has begun", || match name {
                "silent.test" => names.asked().contains(&"A silent.test".to_owned()).then_some(()),
                _ => is_connecting_to(unanswering.address).then_some(()),
            });
            let mut client = leaving.of(client);
            if has_left && !matches!(leaving, Leaving::HalfClose) {
                drop(client);
            } else if request == &socks {
                client.rest();
            } else if has_left {
                assert_eq!(client.rest().0, b"", "{case}");
            } else {
                assert_failed(&client.answer_to("GET"), status, token);
            }
            let records = until("it is recorded", || {
                let records = proxy.records_now();
                (records.len() > before).then_some(records)
            });
            let expected = if has_left { "client_closed" } else { outcome };
            assert_eq!(records.last().unwrap()["outcome"], expected, "{case}");
            if has_left {
                until("its dial has ended", || (!is_connecting_to(unanswering.address)).then_some(()));
            }
        }
    }
}

/// Whether some socket of this machine has sent a SYN there that was not answered.
fn is_connecting_to(address: SocketAddr) -> bool {
    const SYN_SENT: &str = "02";
    let there = format!("0100007F:{:04X}", address.port());
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    sockets.lines().any(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        matches!(fields.get(2..4), Some([remote, state]) if *remote == there && *state == SYN_SENT)
    })
}
