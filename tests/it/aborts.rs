//! Clients that leave at every point of every kind of request: what was asked has one record, and nothing else has any.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::harness::{Proxy, Settings, allow, get, hello, request, until, until_equal};

/// Serves each connection in its own thread. Errors from clients that leave early are ignored.
fn origin(serve: fn(&mut TcpStream) -> std::io::Result<()>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || serve(&mut stream));
        }
    });
    port
}

fn echo(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut back = stream.try_clone()?;
    std::io::copy(stream, &mut back)?;
    stream.shutdown(Shutdown::Write)
}

/// Answers one request once it is whole, which here always ends in an empty line, and closes.
fn answer_one(stream: &mut TcpStream) -> std::io::Result<()> {
    let (mut seen, mut piece) = (Vec::new(), [0; 1024]);
    let end: &[u8] = loop {
        let count = stream.read(&mut piece)?;
        seen.extend_from_slice(&piece[..count]);
        let end =
            if seen.windows(7).any(|bytes| bytes.eq_ignore_ascii_case(b"chunked")) { "0\r\n\r\n" } else { "\r\n\r\n" };
        if count == 0 || seen.ends_with(end.as_bytes()) {
            break end.as_bytes();
        }
    };
    if seen.ends_with(end) {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
    }
    Ok(())
}

/// What a client sends: requests one after the other, the last of which may be followed by anything.
#[derive(Clone, Debug)]
struct Script {
    requests: Vec<Vec<u8>>,
}

impl Script {
    fn bytes(&self) -> Vec<u8> {
        self.requests.concat()
    }

    /// How many requests have begun in so many bytes.
    fn begun(&self, bytes: usize) -> usize {
        let starts = self.requests.iter().scan(0, |at, request| {
            let start = *at;
            *at += request.len();
            Some(start)
        });
        starts.filter(|start| *start < bytes).count()
    }
}

fn scripts(http: u16, tunnels: u16) -> Vec<Script> {
    let url = format!("http://ok.test:{http}/");
    let body = "5\r\nhello\r\n0\r\n\r\n";
    let post = request("POST", &url, &["Transfer-Encoding: chunked"]) + body;
    let connect = |to: &str| format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n").into_bytes();
    let tunnel = [connect(&format!("ok.test:{tunnels}")), hello(Some("ok.test")), b"more".to_vec()].concat();
    let denied = [connect("no.test:443"), hello(Some("no.test"))].concat();
    let socks = |name: &str| {
        let to = [&[5, 1, 0, 5, 1, 0, 3, name.len() as u8], name.as_bytes(), &tunnels.to_be_bytes()].concat();
        [to, hello(Some(name)), b"more".to_vec()].concat()
    };
    [
        vec![get(&url, &[]).into_bytes(), get(&url, &["X-Second: yes"]).into_bytes()],
        vec![get("http://no.test/", &[]).into_bytes()],
        vec![post.into_bytes()],
        vec![tunnel],
        vec![denied],
        vec![socks("ok.test")],
        vec![socks("no.test")],
    ]
    .map(|requests| Script { requests })
    .into()
}

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leaves {
    /// It says that nothing more comes, and reads to the end.
    InOrder,
    /// It is gone, without reading a byte.
    Gone,
    /// It cuts the connection.
    Reset,
}

/// Sends so many bytes of a script, in pieces that end at `pause` too, and leaves.
fn client(proxy: &Proxy, script: &Script, cut: usize, pause: usize, leaves: Leaves) {
    let bytes = script.bytes();
    let (first, second) = bytes[..cut].split_at(pause.min(cut));
    let mut conn = proxy.client();
    // It may have been answered and closed meanwhile.
    let _closed = conn.try_send(first).and_then(|()| conn.try_send(second));
    match leaves {
        Leaves::InOrder => {
            let _closed = conn.stream().shutdown(Shutdown::Write);
            conn.rest();
        }
        Leaves::Gone => {}
        Leaves::Reset => conn.reset_at_end(),
    }
}

fn start() -> (Proxy, Vec<Script>) {
    let (http, tunnels) = (origin(answer_one), origin(echo));
    (Settings::with(allow(&["ok.test:*"])).start(), scripts(http, tunnels))
}

fn assert_each_has_one_record(proxy: &Proxy) {
    let records = proxy.records_now();
    let ids: HashSet<_> = records.iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), records.len(), "one record each");
    let lost: Vec<_> = records.iter().filter(|record| record["outcome"] == "internal").collect();
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn a_client_that_stops_at_any_byte_gets_a_record_for_each_request_that_began() {
    let (proxy, scripts) = start();
    let begun: Vec<usize> = thread::scope(|scope| {
        let run = |script: &Script| {
            let cuts = 0..=script.bytes().len();
            cuts.map(|cut| {
                client(&proxy, script, cut, cut / 2, Leaves::InOrder);
                script.begun(cut)
            })
            .sum()
        };
        let threads: Vec<_> = scripts.iter().map(|script| scope.spawn(move || run(script))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    until_equal("records", &begun.iter().sum::<usize>(), || proxy.records_now().len());
    assert_each_has_one_record(&proxy);
    proxy.counts_agree_with(&proxy.records_now());
}

#[test]
fn concurrent_aborts_leave_one_record_for_each_request() {
    let (mut proxy, scripts) = start();
    let leaves = prop::sample::select(vec![Leaves::InOrder, Leaves::Gone, Leaves::Reset]);
    let one = (prop::sample::select(scripts), any::<prop::sample::Index>(), any::<prop::sample::Index>(), leaves);
    let config = ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() };
    let (mut least, mut most) = (0, 0);
    let bounds = std::cell::RefCell::new((&mut least, &mut most));
    TestRunner::new(config)
        .run(&prop::collection::vec(one, 1..8), |clients| {
            let before = proxy.metrics().sum("outgate_requests_total", &[]);
            let (mut fewest, mut all) = (0, 0);
            thread::scope(|scope| {
                for (script, cut, pause, leaves) in &clients {
                    let length = script.bytes().len();
                    let (cut, pause) = (cut.index(length + 1), pause.index(length + 1));
                    let begun = script.begun(cut);
                    all += begun;
                    fewest += match leaves {
                        Leaves::InOrder => begun,
                        // An answer to a client that has left ends the connection and drops the requests after it.
                        Leaves::Gone => begun.min(1),
                        // A reset takes away what has not been read.
                        Leaves::Reset => 0,
                    };
                    scope.spawn({
                        let proxy = &proxy;
                        move || client(proxy, script, cut, pause, *leaves)
                    });
                }
            });
            until("those that must have begun are counted and recorded", || {
                let counted = proxy.metrics().sum("outgate_requests_total", &[]);
                let open = proxy.metrics().sum("outgate_tunnels_open", &[]);
                (counted >= before + fewest as u64 && proxy.records_now().len() as u64 >= counted && open == 0)
                    .then_some(())
            });
            let (least, most) = &mut *bounds.borrow_mut();
            (**least, **most) = (**least + fewest, **most + all);
            Ok(())
        })
        .unwrap();
    until("what was counted is recorded", || {
        let counted = proxy.metrics().sum("outgate_requests_total", &[]);
        (proxy.records_now().len() as u64 == counted).then_some(())
    });
    assert_eq!(proxy.stop(), Some(0));
    assert_each_has_one_record(&proxy);
    let records = proxy.records_now().len();
    assert!((least..=most).contains(&records), "{records} records of {least} to {most} requests");
}
