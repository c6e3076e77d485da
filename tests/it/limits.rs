//! Limits: the newest is refused, what is open lives.

use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::expectations::assert_failed;
use crate::harness::{Answer, Conn, Ending, Origin, Proxy, Settings, allow, get, until};
use crate::scripted_names::{Say, ScriptedNames};

fn lives(tunnel: &mut Conn) {
    tunnel.send(b"alive");
    assert_eq!(tunnel.read(5), b"alive");
}

fn connect_over(mut client: Conn, authority: &str) -> (Conn, Answer) {
    client.send(format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"));
    let answer = client.answer_to("CONNECT");
    (client, answer)
}

#[test]
fn the_bound_on_tunnels_is_exact_whichever_worker_serves_them() {
    let origin = Origin::echo();
    let authority = format!("ok.test:{}", origin.port());
    let proxy = Settings::with(allow(&["ok.test:*"])).limit("max-tunnels = 3").start();
    let mut open: Vec<_> = (0..3).map(|_| proxy.tunnel(&authority)).collect();
    for _ in 0..4 {
        assert_failed(&proxy.connect(&authority).1, 503, "busy");
    }
    open.iter_mut().for_each(lives);
    let upgrade = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhl"];
    let mut client = proxy.client();
    client.send(get(&format!("http://{authority}/"), &upgrade));
    assert_failed(&client.answer(), 503, "busy");
    let mut first = open.remove(0);
    first.half_close();
    first.rest();
    until("its place is free", || {
        let (mut tunnel, answer) = proxy.connect(&authority);
        (answer.status() == 200).then(|| lives(&mut tunnel))
    });
    let busy = proxy.records(6).into_iter().filter(|record| record["outcome"] == "busy").take(5);
    for record in busy {
        assert_eq!((&record["decision"], &record["status"]), (&"allow".into(), &503.into()), "{record}");
    }
}

#[cfg(target_os = "linux")] // elsewhere only 127.0.0.1 is an address of the machine
#[test]
fn a_client_with_all_its_tunnels_takes_none_from_another() {
    let origin = Origin::echo();
    let authority = format!("ok.test:{}", origin.port());
    let settings = Settings::with(allow(&["ok.test:*"])).limit("max-tunnels = 3").limit("max-tunnels-per-client = 2");
    let proxy = settings.start();
    let from = |ip: [u8; 4]| connect_over(Conn::between(ip, proxy.address()), &authority);
    let mut open: Vec<_> = (0..2).map(|_| from([127, 0, 0, 2])).collect();
    let (_, answer) = from([127, 0, 0, 2]);
    assert_failed(&answer, 503, "busy");
    assert!(answer.text().contains("max-tunnels-per-client"), "{answer}");
    open.push(from([127, 0, 0, 3]));
    let (_, answer) = from([127, 0, 0, 3]);
    assert!(answer.text().contains("(`max-tunnels`)"), "{answer}");
    for (tunnel, answer) in &mut open {
        assert_eq!(answer.status(), 200);
        lives(tunnel);
    }
}

#[test]
fn dials_and_lookups_have_separate_limits() {
    let origin = Origin::echo();
    let names = ScriptedNames::start(&[("silent.test", Say::Nothing)]);
    for (limit, other, status) in [
        ("max-dials = 1", format!("ok.test:{}", origin.port()), 503),
        ("max-dials = 2", format!("ok.test:{}", origin.port()), 200),
        ("max-lookups = 1", format!("ok.test:{}", origin.port()), 200),
        ("max-lookups = 1", "unknown.test:443".to_owned(), 503),
        ("max-lookups = 2", "unknown.test:443".to_owned(), 502),
    ] {
        let settings = Settings::with(allow(&["*.test:*"])).limit(limit).limit("dns-timeout = \"5s\"");
        let proxy = names.proxy(settings);
        names.asked();
        let mut waiting = proxy.client();
        waiting.send(b"CONNECT silent.test:443 HTTP/1.1\r\nHost: silent.test:443\r\n\r\n");
        until("it is being looked up", || {
            names.asked().iter().any(|asked| asked.contains("silent.test")).then_some(())
        });
        let (_tunnel, answer) = proxy.connect(&other);
        match status {
            503 => assert_failed(&answer, 503, "busy"),
            _ => assert_eq!(answer.status(), status, "{limit} {other}: {answer}"),
        }
    }
}

#[test]
fn a_connection_above_the_limit_gets_a_complete_response() {
    let proxy = Settings::with(allow(&["ok.test:*"])).limit("max-connections = 2").start();
    let connections = |result: &str| proxy.metrics().sum("outgate_connections_total", &[("result", result)]);
    // Both have a place once both are answered; the proxy's own test of itself may hold one for a moment.
    let idle = until("two connections are taken in", || {
        let mut two = [proxy.client(), proxy.client()];
        let served = two.iter_mut().all(|client| {
            let _gone = client.try_send(b"GET http://no.test/ HTTP/1.1\r\nHost: no.test\r\n\r\n");
            client.answer().status() == 403
        });
        served.then_some(two)
    });
    let before = connections("busy");
    let mut third = proxy.client();
    // What it sends meanwhile must not turn the close into a reset that takes the answer away.
    let _gone = third.try_send(b"GET http://ok.test/ HTTP/1.1\r\nHost: ok.test\r\n\r\n");
    thread::sleep(Duration::from_millis(50));
    let _gone = third.try_send(vec![b'x'; 10_000]);
    let answer = third.answer();
    assert_eq!((answer.status(), answer.header("connection")), (503, Some("close")), "{answer}");
    assert_eq!(answer.header("proxy-status"), Some("outgate; error=connection_limit_reached; details=\"busy\""));
    assert_eq!(third.rest(), (Vec::new(), Ending::Closed));
    assert_eq!(connections("busy"), before + 1);
    drop(idle);
    until("there is room again", || (proxy.get("http://no.test/").status() == 403).then_some(()));
}

#[test]
fn an_answers_head_that_drips_in_ends_at_the_time_for_heads() {
    let origin = Origin::script(|conn| {
        let head = conn.request_head().unwrap_or_default();
        // One byte at a time is progress for the silence, but not for ever.
        for byte in b"HTTP/1.1 200 OK\r\nX-Slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" {
            if conn.try_send([*byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        (head.join("\n").into_bytes(), Ending::Closed)
    });
    let settings = Settings::with(allow(&["ok.test:*"])).limit("head-timeout = \"500ms\"");
    let proxy = settings.start();
    let answer = proxy.get(&format!("http://ok.test:{}/", origin.port()));
    assert_failed(&answer, 504, "connection_timeout");
}

/// A program with so few files that a handful of clients takes them all.
struct Starved {
    proxy: Proxy,
    child: Child,
}

impl Starved {
    fn start(mut proxy: Proxy, files: usize) -> Self {
        proxy.stop();
        let binary = std::env::var_os("OUTGATE_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_outgate").into());
        let child = Command::new("sh")
            .args(["-c", &format!("ulimit -n {files} && exec \"$0\" run --config \"$1\"")])
            .arg(binary)
            .arg(proxy.path("outgate.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let starved = Self { proxy, child };
        until("it listens", || TcpStream::connect(starved.proxy.address()).ok());
        starved
    }
}

impl Drop for Starved {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[test]
fn running_out_of_files_refuses_the_newest_and_ends_nothing() {
    const FILES: usize = 80;
    let origin = Origin::echo();
    let authority = format!("ok.test:{}", origin.port());
    let starved = Starved::start(Proxy::with(allow(&["ok.test:*"])), FILES);
    let proxy = &starved.proxy;
    let mut tunnel = proxy.tunnel(&authority);
    // Connections that were accepted before the last file went, and one that was not.
    let mut held = Vec::new();
    let refused = until("it has no file left", || {
        let mut conn = proxy.client();
        conn.stream().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let mut first = [0; 12];
        if std::io::Read::read(conn.stream(), &mut first).is_ok_and(|count| count == 12) {
            return Some(first);
        }
        held.push(conn);
        assert!(held.len() < 2 * FILES, "there is no limit");
        None
    });
    assert_eq!(&refused, b"HTTP/1.1 503");
    // The one that was turned away gives its file back, which the first dial after it may be quicker to take than the
    // worker that keeps it to turn the next one away. Each worker keeps one.
    let workers = thread::available_parallelism().unwrap().get();
    let mut tunnels = Vec::new();
    let answer = loop {
        let mut last = held.pop().unwrap();
        last.stream().set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
        let (conn, answer) = connect_over(last, &authority);
        if answer.status() != 200 {
            break answer;
        }
        tunnels.push(conn);
        assert!(tunnels.len() <= workers, "a dial found a file that none had given back");
    };
    assert_failed(&answer, 503, "busy");
    lives(&mut tunnel);
    drop(held);
    until("it accepts again", || {
        let (mut tunnel, answer) = proxy.connect(&authority);
        (answer.status() == 200).then(|| lives(&mut tunnel))
    });
    lives(&mut tunnel);
    until("the refused dial is recorded", || {
        proxy
            .records_now()
            .iter()
            .any(|record| record["outcome"] == "busy" && record["decision"] == "allow")
            .then_some(())
    });
}

#[test]
fn connections_that_open_at_once_are_served_by_all_workers() {
    let workers = thread::available_parallelism().unwrap().get();
    let proxy = Proxy::with(allow(&["ok.test"]));
    let mut clients: Vec<_> = (0..8 * workers).map(|_| proxy.client()).collect();
    let mut served = vec![0; workers];
    for client in &mut clients {
        client.send(get("http://no.test/", &[]));
        let id = client.answer().header("X-Request-Id").unwrap().to_owned();
        // Each worker takes every n-th number.
        let number: usize = id.rsplit_once('-').unwrap().1.parse().unwrap();
        served[number % workers] += 1;
    }
    assert!(served.iter().all(|count| *count >= 4), "{served:?}");
}
