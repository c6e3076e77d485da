//! The end of the process: requests in progress finish, every record is written, and the exit code is 0.

use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::{Conn, Ending, Origin, Proxy, Settings, allow, get, ok, policy, summary, until};

/// An origin that answers once the test sends on the channel.
fn answering_on_signal(answer: &'static str) -> (Origin, mpsc::Sender<()>) {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::http(move |_| {
        wait.lock().unwrap().recv().unwrap();
        ok(answer)
    });
    (origin, go)
}

fn wait_until_draining(proxy: &Proxy) {
    until("the proxy accepts nothing new", || TcpStream::connect(proxy.address()).is_err().then_some(()));
}

#[test]
fn a_request_and_a_tunnel_under_way_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let (origin, go) = answering_on_signal("finished");
        let echo = Origin::echo();
        let mut proxy = Proxy::with(allow(&["ok.test:*"]));
        let mut client = proxy.client();
        client.send(get(&format!("http://ok.test:{}/", origin.port()), &[]));
        let mut tunnel = proxy.tunnel(&format!("ok.test:{}", echo.port()));
        let mut idle = proxy.client();
        idle.send(get("http://no.test/", &[]));
        assert_eq!(idle.answer().status(), 403);
        until("the origin is asked", || (origin.connections() == 1).then_some(()));
        proxy.signal(signal);
        wait_until_draining(&proxy);
        // An idle connection ends at once.
        assert_eq!(idle.rest().0, b"");
        tunnel.send(b"still here");
        assert_eq!(tunnel.read(10), b"still here");
        go.send(()).unwrap();
        assert_eq!(client.answer().text(), "finished");
        client.rest();
        tunnel.half_close();
        tunnel.rest();
        assert_eq!(proxy.wait(), Some(0), "{:#?}", proxy.output());
        let mut records: Vec<_> = proxy.records_now().iter().map(summary).collect();
        records.sort();
        let mut expected = [
            format!("connect ok.test:{} allow - completed 200", echo.port()),
            "http no.test:80/ deny host_not_allowed denied 403".to_owned(),
            format!("http ok.test:{}/ allow - completed 200", origin.port()),
        ];
        expected.sort();
        assert_eq!(records, expected);
    }
}

#[test]
fn what_does_not_finish_in_time_is_cut_and_recorded() {
    let echo = Origin::echo();
    let mut proxy = Settings::with(allow(&["ok.test:*"])).limit("drain-timeout = \"300ms\"").start();
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", echo.port()));
    tunnel.send(b"x");
    assert_eq!(tunnel.read(1), b"x");
    let began = Instant::now();
    assert_eq!(proxy.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    tunnel.rest();
    let records: Vec<_> = proxy.records_now().iter().map(summary).collect();
    assert_eq!(records, [format!("connect ok.test:{} allow - shutdown 200", echo.port())]);
}

#[test]
fn a_second_signal_ends_the_drain_at_once() {
    for second in [Signal::TERM, Signal::INT] {
        let echo = Origin::echo();
        let mut proxy = Settings::with(allow(&["ok.test:*"])).limit("drain-timeout = \"10m\"").start();
        let mut tunnel = proxy.tunnel(&format!("ok.test:{}", echo.port()));
        proxy.signal(Signal::TERM);
        wait_until_draining(&proxy);
        proxy.signal(Signal::HUP);
        tunnel.send(b"x");
        assert_eq!(tunnel.read(1), b"x", "a reload ends nothing");
        proxy.signal(second);
        assert_eq!(proxy.wait(), Some(0));
        tunnel.rest();
        let records: Vec<_> = proxy.records_now().iter().map(summary).collect();
        assert_eq!(records, [format!("connect ok.test:{} allow - shutdown 200", echo.port())]);
    }
}

/// Linux only: other systems have a different script(1).
#[cfg(target_os = "linux")]
#[test]
fn a_proxy_in_a_terminal_ends_with_it_and_the_signal_alone_is_a_reload() {
    let echo = Origin::echo();
    let settings = Settings::with(allow(&["ok.test:*"])).limit("drain-timeout = \"300ms\"");
    let mut proxy = settings.in_a_terminal().start();
    let children = format!("/proc/{0}/task/{0}/children", proxy.pid());
    let child = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", echo.port()));
    rustix::process::kill_process(rustix::process::Pid::from_raw(child).unwrap(), Signal::HUP).unwrap();
    tunnel.send(b"x");
    assert_eq!(tunnel.read(1), b"x");
    proxy.kill();
    tunnel.rest();
    until("the process has ended", || (!std::path::Path::new(&format!("/proc/{child}")).exists()).then_some(()));
    let records: Vec<_> = proxy.records_now().iter().map(summary).collect();
    assert_eq!(records, [format!("connect ok.test:{} allow - shutdown 200", echo.port())]);
}

#[test]
fn a_request_that_does_not_finish_in_time_is_cut_and_recorded() {
    let waiting = Origin::script(Conn::rest);
    let half = Origin::script(|conn| {
        conn.request_head();
        conn.send("HTTP/1.1 200 OK\r\n\r\nhalf of it");
        conn.rest()
    });
    let mut proxy = Settings::with(allow(&["ok.test:*"])).limit("drain-timeout = \"300ms\"").start();
    let mut clients = [waiting.port(), half.port()].map(|port| {
        let mut client = proxy.client();
        client.send(get(&format!("http://ok.test:{port}/"), &[]));
        client
    });
    clients[1].read_until(b"half of it");
    until("the origin is asked", || (waiting.connections() == 1).then_some(()));
    assert_eq!(proxy.stop(), Some(0));
    assert_eq!(clients[0].rest().0, b"");
    assert_eq!(clients[1].rest(), (Vec::new(), Ending::Reset), "it must not look complete");
    let mut records: Vec<_> = proxy.records_now().iter().map(summary).collect();
    records.sort();
    let mut expected = [(&waiting, 0), (&half, 0)]
        .map(|(origin, status)| format!("http ok.test:{}/ allow - shutdown {status}", origin.port()));
    expected.sort();
    assert_eq!(records, expected);
}

#[test]
fn a_tunnel_that_is_revoked_while_the_proxy_drains_does_not_wait_for_its_end() {
    let echo = Origin::echo();
    let mut proxy = Settings::with(allow(&["ok.test:*"])).limit("drain-timeout = \"60s\"").start();
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", echo.port()));
    tunnel.send(b"x");
    assert_eq!(tunnel.read(1), b"x");
    proxy.signal(Signal::TERM);
    wait_until_draining(&proxy);
    proxy.replace_policy(&policy("r2", "enabled = false\n"));
    tunnel.rest();
    assert_eq!(proxy.wait(), Some(0));
    let records: Vec<_> = proxy.records_now().iter().map(summary).collect();
    assert_eq!(records, [format!("connect ok.test:{} allow - revoked 200", echo.port())]);
}

#[test]
fn an_idle_proxy_ends_at_once_and_gives_its_ports_back() {
    let mut proxy = Proxy::with(allow(&["ok.test:*"]));
    for _ in 0..50 {
        proxy.connect("no.test:443");
    }
    let began = Instant::now();
    assert_eq!(proxy.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(proxy.records_now().len(), 50, "what was answered is written");
    assert!(TcpStream::connect(proxy.admin_address()).is_err());
    proxy.start_again();
    proxy.connect("no.test:443");
    assert_eq!(proxy.records(51).len(), 51);
}

#[test]
fn readiness_ends_before_the_process_does() {
    let (origin, go) = answering_on_signal("x");
    let mut proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    client.send(get(&format!("http://ok.test:{}/", origin.port()), &[]));
    until("the origin is asked", || (origin.connections() == 1).then_some(()));
    proxy.signal(Signal::TERM);
    wait_until_draining(&proxy);
    // Gone or not ready, but never ready.
    if let Ok(stream) = TcpStream::connect(proxy.admin_address()) {
        let mut admin = Conn::over(stream);
        admin.send(format!("GET /readyz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", proxy.admin_address()));
        let (bytes, _) = admin.rest();
        assert!(!bytes.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&bytes));
    }
    go.send(()).unwrap();
    client.answer();
    drop(client);
    assert_eq!(proxy.wait(), Some(0));
}

#[test]
fn signals_work_as_soon_as_a_client_can_connect() {
    let mut proxy = Proxy::with(allow(&["ok.test:*"]));
    assert_eq!(proxy.stop(), Some(0));
    for _ in 0..5 {
        proxy.start_again_until_it_listens();
        proxy.signal(Signal::HUP);
        proxy.wait_until_ready();
        assert_eq!(proxy.stop(), Some(0));
        proxy.start_again_until_it_listens();
        assert_eq!(proxy.stop(), Some(0), "ended by the signal instead of by itself");
    }
}
