//! `/metrics` where it is hard: scrapers that do not read, more destinations than there is room for, the process itself.
//! On Linux alone: what a process holds is read from `/proc`, and other systems' queues and buffers do as they like.

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::expectations::assert_denied;
use crate::harness::{Conn, Origin, Port, Proxy, Settings, allow, until, until_equal};

/// As many as the admin listener serves one client at once: three quarters of `MAX_CONNECTIONS` in src/admin/server.rs.
const PLACES: usize = 72;
/// Connections of the proxy's own making that may come and go meanwhile: the self-test's, on both sides.
const OWN: usize = 4;

/// A scraper that takes next to nothing into its own buffer and asks for one answer. Its segments are small, because
/// Linux sizes the proxy's buffer by them: one of a hundred kilobytes does not fit.
fn stalled_scraper(address: SocketAddr) -> Conn {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    socket.set_tcp_mss(536).unwrap();
    socket.connect(&address.into()).unwrap();
    let mut scraper = Conn::over(socket.into());
    scraper.send(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    scraper
}

/// One byte, and no more than that.
fn byte(scraper: &mut Conn) -> u8 {
    let mut byte = [0];
    scraper.stream().read_exact(&mut byte).unwrap();
    byte[0]
}

/// Denies so many destinations that one answer has hundreds of kilobytes.
fn fill(proxy: &Proxy, destinations: usize) {
    let mut client = proxy.client();
    for number in 0..destinations {
        client.send(crate::harness::get(&format!("http://{}.n{number}.test/", "x".repeat(60)), &[]));
        assert_eq!(client.answer().status(), 403);
    }
}

#[test]
fn two_hundred_scrapers_that_do_not_read_delay_only_each_other() {
    let origin = Origin::saying("served");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    fill(&proxy, 1500);
    let large = proxy.admin("GET", "/metrics").body.len();
    assert!(large > 150_000, "{large}");
    let (files, memory) = (open_files(&proxy), resident(&proxy));
    let mut scrapers: Vec<_> = (0..200).map(|_| stalled_scraper(proxy.admin_address())).collect();
    // The maximum number of answers is under way. One client reads a byte now and then, the others read nothing.
    for scraper in scrapers.iter_mut().take(PLACES - OWN) {
        assert_eq!(byte(scraper), b'H');
    }
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", origin.port()));
    for round in 0..20 {
        assert_eq!(byte(&mut scrapers[0]), b"TTP/1.1 200 OK\r\ncont"[round]);
        assert_eq!(proxy.get(&format!("http://ok.test:{}/", origin.port())).text(), "served");
        assert_denied(&proxy.connect("no.test:443").1, "host_not_allowed");
    }
    tunnel.send("GET / HTTP/1.1\r\nHost: ok.test\r\n\r\n");
    assert_eq!(tunnel.answer().text(), "served");
    let now = open_files(&proxy);
    assert!(now <= files + PLACES + OWN + 2, "{files} files before, {now} now");
    // An answer made whole, and what the text of one is made from, for each place.
    let now = resident(&proxy);
    assert!(now < memory + PLACES * 3 * large, "{memory} bytes before, {now} now, {large} an answer");
    drop(scrapers);
    tunnel.half_close();
    tunnel.rest();
    until("the files are given back", || (open_files(&proxy) <= files + OWN).then_some(()));
    until_equal("requests are counted as ever", &(1500 + 20), || {
        proxy.metrics().sum("outgate_requests_total", &[("decision", "deny")])
    });
}

#[test]
fn a_scraper_is_served_while_sixty_others_do_not_read() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    fill(&proxy, 800);
    let stalled: Vec<_> = (0..60).map(|_| stalled_scraper(proxy.admin_address())).collect();
    for _ in 0..10 {
        assert_eq!(proxy.metrics().sum("outgate_requests_total", &[("decision", "deny")]), 800);
    }
    drop(stalled);
}

#[test]
fn a_request_that_was_allowed_and_failed_counts_by_its_outcome() {
    let origin = Origin::saying("served");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let reserved = Port::reserve();
    let closed = reserved.number();
    let ended = |outcome: &str| {
        proxy.metrics().sum("outgate_request_outcomes_total", &[("listener", "agent"), ("outcome", outcome)])
    };
    assert_eq!((ended("completed"), ended("unreachable")), (0, 0), "series are there from the start");
    assert_eq!(proxy.get(&format!("http://ok.test:{}/", origin.port())).text(), "served");
    assert_eq!(proxy.get(&format!("http://ok.test:{closed}/")).status(), 502);
    assert_eq!(proxy.connect(&format!("ok.test:{closed}")).1.status(), 502);
    assert_denied(&proxy.connect("no.test:443").1, "host_not_allowed");
    until_equal("all have ended", &4, || proxy.metrics().sum("outgate_request_outcomes_total", &[]));
    assert_eq!((ended("completed"), ended("unreachable"), ended("denied")), (1, 2, 1));
    let allowed = proxy.metrics().sum("outgate_requests_total", &[("decision", "allow")]);
    assert_eq!(allowed, 3, "the decision is another thing than the outcome");
}

#[test]
fn an_answer_has_a_bounded_size_however_many_destinations_are_denied() {
    const ROWS: usize = 100;
    let proxy = Settings::with(allow(&["ok.test:*"])).record(&format!("max-destinations = {ROWS}")).start();
    fill(&proxy, 60);
    let mut client = proxy.client();
    let label = "x".repeat(63);
    for number in 0..2000 {
        // The longest names that there are, of many domains and of one.
        let name = match number % 2 {
            0 => format!("{label}.{label}.{label}.{}.n{number}.test", "x".repeat(40)),
            _ => format!("{label}.{label}.{label}.n{number}.one.test"),
        };
        client.send(crate::harness::get(&format!("http://{name}/"), &[]));
        assert_eq!(client.answer().status(), 403, "{name}");
    }
    let metrics = proxy.metrics();
    assert_eq!(metrics.sum("outgate_denied_destinations_total", &[]), 2060);
    let text = proxy.admin("GET", "/metrics").text().to_owned();
    let rows = text.lines().filter(|line| line.starts_with("outgate_denied_destinations_total{"));
    let (count, longest) = (rows.clone().count(), rows.map(str::len).max().unwrap());
    // docs/metrics.md: by name, half as many by domain, and `other` for each of thirteen reasons.
    assert!(count > ROWS / 2 && count <= ROWS + ROWS / 2 + 13, "{count} rows");
    assert!(longest <= 360, "{longest}");
}

#[test]
fn the_process_is_as_the_kernel_shows_it() {
    let before = since_1970();
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let held: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    let sum = |name: &str| proxy.metrics().sum(name, &[]) as usize;
    // The scrape itself is one connection.
    until("the open files are counted", || {
        let shown = sum("process_open_fds");
        (shown.abs_diff(open_files(&proxy) + 1) <= OWN && shown > held.len()).then_some(())
    });
    let (shown, real) = (sum("process_resident_memory_bytes"), resident(&proxy));
    assert!(shown.abs_diff(real) < real / 2, "{shown} against {real}");
    let started = Duration::from_secs(sum("process_start_time_seconds") as u64);
    let slack = Duration::from_secs(2);
    assert!(started + slack >= before && started <= since_1970() + slack, "{started:?}");
    let limits = fs::read_to_string(format!("/proc/{}/limits", proxy.pid())).unwrap();
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let limit: usize = limit.split_whitespace().next().unwrap().parse().unwrap();
    assert_eq!(sum("process_max_fds"), limit);
    assert!(sum("process_virtual_memory_bytes") > shown);
    fill(&proxy, 1000);
    let spent = proxy.admin("GET", "/metrics").text().to_owned();
    let spent = spent.lines().find_map(|line| line.strip_prefix("process_cpu_seconds_total ")).unwrap().to_owned();
    assert!(spent.parse::<f64>().unwrap() > 0.0, "{spent}");
}

fn since_1970() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}

fn open_files(proxy: &Proxy) -> usize {
    fs::read_dir(format!("/proc/{}/fd", proxy.pid())).unwrap().count()
}

/// Resident memory in bytes.
fn resident(proxy: &Proxy) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", proxy.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}
