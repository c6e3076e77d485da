//! The proxy does not connect to itself through any of its addresses.
#![cfg(target_os = "linux")] // routes and addresses are made as Linux makes them

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::thread;

use crate::expectations::assert_denied;
use crate::harness::{Conn, Proxy, Settings, allow, get, in_own_network, policy, rule, until};

const ROUTES: &str = "ip route add local 192.0.2.0/24 dev lo
    ip route add local 198.51.100.0/24 dev lo src 127.0.0.1";

/// Listens on all addresses, and opens all those that are used here.
fn on_all_addresses() -> Proxy {
    let opened = "addresses = [\"127.0.0.0/8\", \"192.0.2.0/24\", \"198.51.100.0/24\", \"203.0.113.0/24\"]\n";
    let to = ["*.test:*", "192.0.2.7:*", "192.0.2.8:*", "198.51.100.7:*", "203.0.113.5:*"];
    let settings = Settings::with(policy("r1", &(rule("ok", &to) + opened))).listen("open = true").admin("open = true");
    let mut proxy = settings.host("back.test", "[\"192.0.2.9\"]").start();
    proxy.stop();
    let path = proxy.path("outgate.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("address = \"127.0.0.1:", "address = \"0.0.0.0:")).unwrap();
    proxy.start_again();
    proxy
}

/// An origin that answers each connection once.
fn origin(address: &str) -> SocketAddr {
    let listener = TcpListener::bind(address).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _head = stream.read(&mut [0; 4096]);
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\norigin");
        }
    });
    address
}

#[test]
fn a_locally_routed_address_and_one_that_was_just_added_lead_to_no_listener_of_ours() {
    const NAME: &str = "own_sockets::a_locally_routed_address_and_one_that_was_just_added_lead_to_no_listener_of_ours";
    if !in_own_network(NAME, ROUTES) {
        return;
    }
    let proxy = on_all_addresses();
    let ports = [proxy.admin_address().port(), proxy.address().port()];
    let mut expected = 0;
    for port in ports {
        for host in ["192.0.2.7", "back.test"] {
            assert_denied(&proxy.get(&format!("http://{host}:{port}/healthz")), "loop");
            assert_denied(&proxy.connect(&format!("{host}:{port}")).1, "loop");
            expected += 2;
        }
        let mut socks = proxy.client();
        socks.send([&[5, 1, 0, 5, 1, 0, 1, 192, 0, 2, 8][..], &port.to_be_bytes()].concat());
        assert_eq!(socks.read(4), [5, 0, 5, 2], "not allowed by the rules");
        expected += 1;
    }
    // Not only after the next look at the machine's addresses.
    let added = Command::new("ip").args(["addr", "add", "203.0.113.5/32", "dev", "lo"]).status().unwrap();
    assert!(added.success());
    assert_denied(&proxy.get(&format!("http://203.0.113.5:{}/healthz", ports[0])), "loop");
    expected += 1;
    let records = proxy.records(expected);
    for record in records {
        assert_eq!((&record["decision"], &record["reason"]), (&"deny".into(), &"loop".into()), "{record}");
        assert_eq!((&record["outcome"], &record["bytes_up"]), (&"denied".into(), &0.into()), "{record}");
    }
    // The nearest that there is: such an address with a port that is not ours.
    let elsewhere = origin("0.0.0.0:0").port();
    for host in ["192.0.2.7", "198.51.100.7", "203.0.113.5"] {
        assert_eq!(proxy.get(&format!("http://{host}:{elsewhere}/")).text(), "origin", "{host}");
    }
    // A client of this machine that comes from such an address is a client, and so is the proxy's test of itself.
    let mut client = Conn::between([192, 0, 2, 7], SocketAddr::new([192, 0, 2, 8].into(), ports[1]));
    client.send(get(&format!("http://192.0.2.7:{elsewhere}/"), &[]));
    assert_eq!(client.answer().text(), "origin");
    until("it has tested itself", || (proxy.metrics().sum("outgate_selftest_ok", &[]) == 1).then_some(()));
}

#[test]
fn a_listener_on_all_addresses_serves_its_own_paths_at_each() {
    const NAME: &str = "own_sockets::a_listener_on_all_addresses_serves_its_own_paths_at_each";
    if !in_own_network(NAME, ROUTES) {
        return;
    }
    let proxy = on_all_addresses();
    let port = proxy.address().port();
    for ip in ["127.0.0.1", "192.0.2.7"] {
        let fetch = |target: String| {
            let mut client = Conn::between([127, 0, 0, 1], format!("{ip}:{port}").parse().unwrap());
            client.send(format!("GET {target} HTTP/1.1\r\nHost: {ip}:{port}\r\n\r\n"));
            client.answer()
        };
        let pac = fetch("/proxy.pac".to_owned());
        assert!(pac.text().contains(&format!("return \"PROXY {ip}:{port}\"")), "{pac}");
        // A client that has the proxy set asks for it through the proxy.
        let about = fetch(format!("http://{ip}:{port}/.well-known/outgate"));
        assert_eq!(about.status(), 200, "{about}");
        assert_denied(&fetch(format!("http://192.0.2.8:{port}/.well-known/outgate")), "loop");
    }
}

#[test]
fn a_connection_of_ours_is_known_where_it_is_accepted_though_its_two_addresses_differ() {
    const NAME: &str =
        "own_sockets::a_connection_of_ours_is_known_where_it_is_accepted_though_its_two_addresses_differ";
    if !in_own_network(NAME, ROUTES) {
        return;
    }
    let proxy = on_all_addresses();
    // From 127.0.0.1, as the route says, to an address that no interface has.
    for port in [proxy.admin_address().port(), proxy.address().port()] {
        for turn in 0..20 {
            let answer = proxy.get(&format!("http://198.51.100.7:{port}/healthz"));
            // Whether the dial or the listener was second decides who says so.
            assert!(matches!(answer.status(), 403 | 502), "{turn}: {answer}");
            let (mut client, answer) = proxy.connect(&format!("198.51.100.7:{port}"));
            if answer.status() == 200 {
                let _closed = client.try_send(b"GET /healthz HTTP/1.1\r\nHost: a.test\r\n\r\n");
                assert_eq!(client.rest().0, b"", "{turn}");
            } else {
                assert_denied(&answer, "loop");
            }
        }
    }
    // Nothing of them became a request: those that were asked for are all there are.
    let records = proxy.records(80);
    assert_eq!(records.len(), 80);
    assert!(records.iter().all(|record| record["host"] == "198.51.100.7"), "{records:#?}");
    assert!(records.iter().all(|record| record["bytes_down"] == 0), "{records:#?}");
}

#[test]
fn a_server_with_our_port_on_another_local_address_is_reached() {
    let proxy = Proxy::with(allow(&["127.0.0.2:*"]));
    let neighbour = origin(&format!("127.0.0.2:{}", proxy.address().port()));
    for _ in 0..3 {
        assert_eq!(proxy.get(&format!("http://{neighbour}/")).text(), "origin");
    }
}
