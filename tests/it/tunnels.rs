//! Open tunnels and requests that last, listed and ended by an administrator.

use serde_json::Value;

use crate::harness::{Conn, Ending, Origin, Proxy, Settings, TOKEN, allow, get, hello, until};

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
        "method",
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
    assert_eq!(tunnel["method"], "CONNECT");
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
fn a_tunnel_ended_by_hand_ends_on_both_sides_and_others_continue() {
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
    assert_eq!(origin.received().0, b"last words");
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

/// Requests that last, one of each kind: what is sent, and what the client has got when it is ended.
struct Lasting {
    name: &'static str,
    method: &'static str,
    request: fn(port: u16) -> String,
    origin: fn(&mut Conn) -> (Vec<u8>, Ending),
    status: u16,
}

fn silent(conn: &mut Conn) -> (Vec<u8>, Ending) {
    conn.request_head();
    conn.rest()
}

fn lasting() -> [Lasting; 5] {
    [
        Lasting {
            name: "waits for a head",
            method: "GET",
            request: |port| get(&format!("http://ok.test:{port}/wait"), &[]),
            origin: silent,
            status: 0,
        },
        Lasting {
            name: "uploads",
            method: "POST",
            request: |port| {
                format!(
                    "POST http://ok.test:{port}/up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmore\r\n"
                )
            },
            origin: silent,
            status: 0,
        },
        Lasting {
            name: "downloads until the connection closes",
            method: "GET",
            request: |port| get(&format!("http://ok.test:{port}/close"), &[]),
            origin: |conn| {
                conn.request_head();
                conn.send("HTTP/1.1 200 OK\r\n\r\nhalf of it");
                conn.rest()
            },
            status: 200,
        },
        Lasting {
            name: "downloads chunks",
            method: "GET",
            request: |port| get(&format!("http://ok.test:{port}/chunks"), &[]),
            origin: |conn| {
                conn.request_head();
                conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf of it\r\n");
                conn.rest()
            },
            status: 200,
        },
        Lasting {
            name: "downloads chunks by HTTP/1.0",
            method: "GET",
            request: |port| format!("GET http://ok.test:{port}/old HTTP/1.0\r\n\r\n"),
            origin: |conn| {
                conn.request_head();
                conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf of it\r\n");
                conn.rest()
            },
            status: 200,
        },
    ]
}

#[test]
fn a_long_request_is_listed_recorded_as_open_and_can_be_ended_by_hand() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let origins = lasting().map(|lasting| Origin::script(lasting.origin));
    let mut clients: Vec<_> = lasting()
        .iter()
        .zip(&origins)
        .map(|(lasting, origin)| {
            let mut client = proxy.client();
            client.send((lasting.request)(origin.port()));
            client
        })
        .collect();
    // A near miss: what is over soon is in no list and has one line.
    let quick = Origin::saying("quick");
    assert_eq!(proxy.get(&format!("http://ok.test:{}/", quick.port())).status(), 200);
    let list = listed(&proxy, 5);
    assert_eq!(proxy.metrics().sum("outgate_tunnels_open", &[]), 0, "they are no tunnels");
    let opened = until("each has its `open` line", || {
        let lines = proxy.record_lines();
        let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let open: Vec<_> = lines.into_iter().filter(|line| line["kind"] == "open").collect();
        (open.len() == 5).then_some(open)
    });
    for ((lasting, origin), client) in lasting().iter().zip(&origins).zip(&mut clients) {
        let name = lasting.name;
        let to = format!("ok.test:{}", origin.port());
        let row = list["tunnels"].as_array().unwrap().iter().find(|row| row["destination"] == to).expect(name);
        assert_eq!((&row["protocol"], &row["method"]), (&"http".into(), &lasting.method.into()), "{name}");
        assert!(row["bytes_up"].as_u64() > Some(0) && row["rule"] == "ok", "{name}: {row}");
        assert_eq!(row["bytes_down"].as_u64() > Some(0), lasting.status != 0, "{name}: {row}");
        let id = row["id"].as_str().unwrap();
        let open = opened.iter().find(|line| line["id"] == id).expect(name);
        assert_eq!((&open["status"], &open["outcome"]), (&lasting.status.into(), &"".into()), "{name}");
        assert_eq!((&open["protocol"], &open["host"]), (&"http".into(), &"ok.test".into()), "{name}");
        assert_eq!(delete(&proxy, id), 204, "{name}");
        let (got, ending) = client.rest();
        let got = String::from_utf8(got).unwrap();
        assert_eq!(got.contains("half of it"), lasting.status != 0, "{name}: {got:?}");
        let shows = got.is_empty() || got.contains("chunked") && !got.ends_with("0\r\n\r\n") || ending == Ending::Reset;
        assert!(shows, "{name}: it looks complete, {ending:?} after {got:?}");
        let upstream = String::from_utf8(origin.received().0).unwrap();
        assert!(!upstream.ends_with("0\r\n\r\n"), "{name}: {upstream:?}");
        assert_eq!(delete(&proxy, id), 404, "{name}");
    }
    let mut expected: Vec<_> = lasting()
        .iter()
        .zip(&origins)
        .map(|(lasting, origin)| {
            let path = (lasting.request)(1).split("ok.test:1").nth(1).unwrap().split(' ').next().unwrap().to_owned();
            format!("http ok.test:{}{path} allow - revoked {}", origin.port(), lasting.status)
        })
        .collect();
    expected.push(format!("http ok.test:{}/ allow - completed 200", quick.port()));
    proxy.account(&expected.iter().map(String::as_str).collect::<Vec<_>>());
    listed(&proxy, 0);
}

#[test]
fn a_silent_tunnel_with_optional_tls_is_listed_and_has_one_open_line() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let echo = Origin::echo();
    let to = format!("ok.test:{}", echo.port());
    let (mut doomed, mut spared) = (proxy.tunnel(&to), proxy.tunnel(&to));
    let clients = [&mut doomed, &mut spared].map(|client| client.stream().local_addr().unwrap().to_string());
    let lines = || -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let lines = proxy.record_lines();
        let lines = lines.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.map(|line| (text(&line["kind"]), text(&line["client"]))).collect()
    };
    let list = until("both are listed and recorded as open", || {
        let list = proxy.api("/v1/tunnels");
        (list["total"] == 2 && lines().len() == 2).then_some(list)
    });
    let id = |client: &str| {
        let rows = list["tunnels"].as_array().unwrap();
        rows.iter().find(|row| row["client"] == client).unwrap()["id"].as_str().unwrap().to_owned()
    };
    assert_eq!(delete(&proxy, &id(&clients[0])), 204);
    assert_eq!(doomed.rest(), (Vec::new(), Ending::Reset));
    is_alive(&mut spared);
    assert_eq!(listed(&proxy, 1)["tunnels"][0]["id"], id(&clients[1]));
    spared.half_close();
    spared.rest();
    proxy.account(&[&format!("connect {to} allow - revoked 200"), &format!("connect {to} allow - completed 200")]);
    let of = |client: &String| lines().into_iter().filter(|(_, own)| own == client).map(|(kind, _)| kind).collect();
    let kinds: [Vec<String>; 2] = clients.each_ref().map(of);
    assert_eq!(kinds, [["open", "end"], ["open", "end"]]);
}

#[test]
fn a_websocket_that_was_listed_as_a_request_is_one_tunnel_with_one_open_line() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::script(move |conn| {
        conn.request_head();
        wait.lock().unwrap().recv().unwrap();
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        conn.rest()
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    let fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhl"];
    client.send(get(&format!("http://ok.test:{}/", origin.port()), &fields));
    let kinds = || -> Vec<String> {
        let kind = |line: &String| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned();
        proxy.record_lines().iter().map(kind).collect()
    };
    until("it is recorded as open", || (kinds() == ["open"]).then_some(()));
    let id = listed(&proxy, 1)["tunnels"][0]["id"].clone();
    assert_eq!(proxy.metrics().sum("outgate_tunnels_open", &[]), 0);
    go.send(()).unwrap();
    assert_eq!(client.answer().status(), 101);
    until("it is a tunnel", || (proxy.metrics().sum("outgate_tunnels_open", &[]) == 1).then_some(()));
    assert_eq!(listed(&proxy, 1)["tunnels"][0]["id"], id);
    client.half_close();
    client.rest();
    proxy.records(1);
    assert_eq!(kinds(), ["open", "end"]);
}
