//! Open tunnels, listed and ended by an administrator.

use serde_json::Value;

use crate::harness::{Conn, Origin, Proxy, Settings, TOKEN, allow, hello, until};

/// The list, once every worker's tunnels are in it.
fn listed(proxy: &Proxy, count: usize) -> Value {
    until(&format!("{count} tunnels are listed"), || {
        let list = proxy.api("/v1/tunnels");
        (list["total"] == count).then_some(list)
    })
}

fn is_alive(tunnel: &mut Conn) {
    tunnel.send(b"ping");
    assert_eq!(tunnel.read(4), b"ping");
}

fn delete(proxy: &Proxy, id: &str) -> u16 {
    proxy.admin("DELETE", &format!("/v1/tunnels/{id}")).status()
}

#[test]
fn an_open_tunnel_is_listed_as_its_record_will_name_it() {
    let origin = Origin::echo();
    let to = format!("ok.test:{}", origin.port());
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    assert_eq!(proxy.api("/v1/tunnels"), serde_json::json!({ "total": 0, "tunnels": [] }));
    let mut client = proxy.client();
    let address = client.stream().local_addr().unwrap();
    client.send(format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n"));
    assert_eq!(client.answer_to("CONNECT").status(), 200);
    is_alive(&mut client);
    let list = until("its bytes are counted", || {
        let list = listed(&proxy, 1);
        (list["tunnels"][0]["bytes_down"] == 4).then_some(list)
    });
    let tunnel = &list["tunnels"][0];
    let mut keys: Vec<_> = tunnel.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let contract = [
        "address",
        "bytes_down",
        "bytes_up",
        "client",
        "destination",
        "id",
        "listener",
        "protocol",
        "rule",
        "started",
        "tool",
    ];
    assert_eq!(keys, contract);
    assert_eq!((&tunnel["destination"], &tunnel["bytes_up"]), (&to.into(), &4.into()));
    assert_eq!(tunnel["address"], format!("127.0.0.1:{}", origin.port()));
    assert_eq!(tunnel["client"], address.to_string());
    assert_eq!((&tunnel["listener"], &tunnel["tool"]), (&"agent".into(), &"agent".into()));
    assert_eq!((&tunnel["protocol"], &tunnel["rule"]), (&"connect".into(), &"ok".into()));
    let shown = tunnel.clone();
    client.half_close();
    client.rest();
    let record = &proxy.records(1)[0];
    for (column, key) in
        [("time", "started"), ("id", "id"), ("client", "client"), ("address", "address"), ("rule", "rule")]
    {
        assert_eq!(record[column], shown[key], "{column}");
    }
    listed(&proxy, 0);
}

#[test]
fn the_oldest_come_first_and_all_are_counted() {
    let origin = Origin::echo();
    let to = format!("ok.test:{}", origin.port());
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut tunnels: Vec<_> = (0..7)
        .map(|_| {
            let mut tunnel = proxy.tunnel(&to);
            is_alive(&mut tunnel);
            tunnel
        })
        .collect();
    let clients = |query: &str| -> Vec<String> {
        let list = proxy.api(&format!("/v1/tunnels{query}"));
        assert_eq!(list["total"], 7, "{list}");
        list["tunnels"].as_array().unwrap().iter().map(|tunnel| tunnel["client"].as_str().unwrap().to_owned()).collect()
    };
    let opened: Vec<_> = tunnels.iter_mut().map(|tunnel| tunnel.stream().local_addr().unwrap().to_string()).collect();
    listed(&proxy, 7);
    assert_eq!(clients(""), opened);
    assert_eq!(clients("?limit=3"), opened[..3]);
    assert_eq!(clients("?limit=0"), [""; 0]);
    assert_eq!(proxy.admin("GET", "/v1/tunnels?limit=-1").status(), 400);
}

#[test]
fn a_tunnel_that_is_ended_by_hand_is_over_on_both_sides_and_others_notice_nothing() {
    let origin = Origin::script(Conn::rest);
    let echo = Origin::echo();
    let (doomed_to, spared_to) = (format!("ok.test:{}", origin.port()), format!("also.test:{}", echo.port()));
    let proxy = Proxy::with(allow(&["ok.test:*", "also.test:*"]));
    let mut doomed = proxy.tunnel(&doomed_to);
    let mut spared = proxy.tunnel(&spared_to);
    doomed.send(b"last words");
    is_alive(&mut spared);
    let list = until("its bytes are counted", || {
        let list = listed(&proxy, 2);
        list["tunnels"].as_array().unwrap().iter().any(|tunnel| tunnel["bytes_up"] == 10).then_some(list)
    });
    let of = |to: &str| {
        let tunnel = list["tunnels"].as_array().unwrap().iter().find(|tunnel| tunnel["destination"] == to).unwrap();
        tunnel["id"].as_str().unwrap().to_owned()
    };
    let id = of(&doomed_to);
    assert_eq!(delete(&proxy, &id), 204);
    doomed.rest();
    assert_eq!(origin.heard().0, b"last words");
    is_alive(&mut spared);
    until("it is recorded", || (proxy.records_now().len() == 1).then_some(()));
    let answer = proxy.admin("DELETE", &format!("/v1/tunnels/{id}"));
    assert_eq!((answer.status(), answer.header("content-type")), (404, Some("application/problem+json")), "{answer}");
    assert_eq!(listed(&proxy, 1)["tunnels"][0]["id"], of(&spared_to));
    spared.half_close();
    spared.rest();
    let records = proxy.account(&[
        &format!("connect {doomed_to} allow - revoked 200"),
        &format!("connect {spared_to} allow - completed 200"),
    ]);
    assert_eq!((&records[0]["id"], &records[0]["bytes_up"]), (&id.into(), &10.into()));
    let metrics = proxy.metrics();
    assert_eq!(metrics.sum("outgate_tunnels_revoked_total", &[]), 1);
    assert_eq!(metrics.sum("outgate_tunnels_open", &[]), 0);
}

#[test]
fn what_is_no_open_tunnel_cannot_be_ended() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let (_, denied) = proxy.connect("no.test:443");
    for id in [denied.header("x-request-id").unwrap(), "zzzz-1", "nonsense", "", "..", "1", "%2e"] {
        assert_eq!(delete(&proxy, id), 404, "{id}");
    }
}

#[test]
fn only_an_administrator_ends_tunnels() {
    let origin = Origin::echo();
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", origin.port()));
    is_alive(&mut tunnel);
    let path = format!("/v1/tunnels/{}", listed(&proxy, 1)["tunnels"][0]["id"].as_str().unwrap());
    let token = format!("Authorization: Bearer {TOKEN}");
    let (base, cookie) = proxy.by_the_link();
    let below = format!("{base}{}", path.trim_start_matches('/'));
    assert_eq!(proxy.admin_with("DELETE", &path, &[]).status(), 401);
    assert_eq!(proxy.admin_with("DELETE", &path, &["Authorization: Bearer wrong"]).status(), 401);
    assert_eq!(proxy.admin_with("DELETE", &path, &[&cookie]).status(), 401);
    assert_eq!(proxy.admin_with("DELETE", &below, &[]).status(), 404);
    for origin in ["Origin: http://evil.test", "Origin: http://127.0.0.1:1"] {
        assert_eq!(proxy.admin_with("DELETE", &below, &[&cookie, origin]).status(), 403, "{origin}");
    }
    assert_eq!(proxy.admin_with("DELETE", &path, &[&token, "Origin: null"]).status(), 403);
    for method in ["GET", "POST"] {
        assert_eq!(proxy.admin_with(method, &path, &[&token, "Content-Length: 0"]).status(), 405, "{method}");
    }
    assert_eq!(proxy.admin_with("DELETE", "/v1/tunnels", &[&token]).status(), 405);
    is_alive(&mut tunnel);
    let same = format!("Origin: http://{}", proxy.admin_address());
    assert_eq!(proxy.admin_with("DELETE", &below, &[&cookie, &same]).status(), 204);
    tunnel.rest();
}

#[test]
fn a_hidden_client_is_hidden_here_too() {
    let origin = Origin::echo();
    let proxy = Settings::with(allow(&["ok.test:*"])).record("redact = [\"client\"]").start();
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", origin.port()));
    is_alive(&mut tunnel);
    let client = listed(&proxy, 1)["tunnels"][0]["client"].clone();
    assert!(client.as_str().unwrap().starts_with("hmac:"), "{client}");
    drop(tunnel);
    assert_eq!(proxy.records(1)[0]["client"], client);
}

#[test]
fn a_tunnel_of_another_protocol_is_listed_too() {
    let origin = Origin::echo();
    let port = origin.port();
    let proxy = Settings::with(allow(&["ok.test:*"])).listen("protocols = [\"http\", \"socks5\"]").start();
    let mut client = proxy.client();
    client.send(b"\x05\x01\x00");
    assert_eq!(client.read(2), b"\x05\x00");
    client.send([&b"\x05\x01\x00\x03\x07ok.test"[..], &port.to_be_bytes()].concat());
    assert_eq!(client.read(10)[..2], *b"\x05\x00");
    client.send(hello(Some("ok.test")));
    let list = listed(&proxy, 1);
    let tunnel = &list["tunnels"][0];
    assert_eq!((&tunnel["protocol"], &tunnel["destination"]), (&"socks5".into(), &format!("ok.test:{port}").into()));
    assert_eq!(delete(&proxy, tunnel["id"].as_str().unwrap()), 204);
    client.rest();
    proxy.account(&[&format!("socks5 ok.test:{port} allow - revoked 200")]);
}
