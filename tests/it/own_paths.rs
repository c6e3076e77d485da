//! The proxy's own paths on its own port.

use crate::harness::{Answer, Origin, Proxy, Settings, allow, get};

/// An own path, in origin-form and with these field lines.
fn own(proxy: &Proxy, path: &str, fields: &[&str]) -> Answer {
    let lines: String = fields.iter().map(|line| format!("{line}\r\n")).collect();
    let host = proxy.address();
    proxy.raw(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lines}\r\n")).only().clone()
}

#[test]
fn the_pac_names_this_proxy_and_never_a_way_round() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let answer = own(&proxy, "/proxy.pac", &[]);
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("application/x-ns-proxy-autoconfig")));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let script = answer.text();
    assert!(script.contains("FindProxyForURL") && script.contains(&format!("PROXY {}", proxy.address())), "{script}");
    for literal in script.split('"').filter(|literal| literal.contains("PROXY ")) {
        assert!(!literal.contains("DIRECT"), "{literal}");
    }
    // Nothing of it comes from the request.
    let forged = proxy.raw("GET /proxy.pac HTTP/1.1\r\nHost: evil.test:1\r\nConnection: close\r\n\r\n");
    assert_eq!(forged.only().text(), script);
    let records = proxy.account(&["own -/proxy.pac none - completed 200", "own -/proxy.pac none - completed 200"]);
    assert_eq!(records[0]["listener"], "agent");
}

#[test]
fn a_client_with_the_proxy_set_reaches_the_own_paths_by_their_absolute_form() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = format!("http://{}/.well-known/outgate", proxy.address());
    let answer = proxy.get(&url);
    assert_eq!(answer.status(), 200, "{answer}");
    let about = answer.json();
    assert_eq!((&about["policy"], &about["revision"]), (&"test".into(), &"r1".into()), "{about}");
    assert_eq!((&about["mode"], &about["contact"]), (&"enforce".into(), &"help@corp.test".into()));
    proxy.account(&["own -/.well-known/outgate none - completed 200"]);
}

#[test]
fn a_client_can_ask_for_its_own_last_denials() {
    let proxy = Proxy::with(allow(&["*.corp.test"]));
    let (_, denied) = proxy.connect("corp.test:443");
    let id = denied.header("x-request-id").unwrap();
    proxy.get("http://no.test/path?secret=1");
    proxy.records(2);
    let answer = own(&proxy, "/.well-known/outgate/denials", &[]);
    assert_eq!((answer.status(), answer.header("cache-control")), (200, Some("no-store")));
    let text = answer.text();
    let json = answer.json();
    let denials = json.as_array().or_else(|| json["denials"].as_array()).expect("a list of denials");
    let first = denials.iter().find(|denial| denial["request_id"] == id).unwrap_or_else(|| panic!("no {id} in {text}"));
    assert_eq!((&first["destination"], &first["reason"]), (&"corp.test:443".into(), &"host_not_allowed".into()));
    assert!(first["hint"].as_str().unwrap().contains("`*.corp.test`"), "{first}");
    assert!(first["time"].as_str().unwrap().ends_with('Z'), "{first}");
    assert!(!text.contains("secret") && denials.len() == 2, "{text}");
}

#[test]
fn a_listener_can_keep_its_denials_to_itself() {
    let proxy = Settings::with(allow(&["ok.test:*"])).listen("denials = false").start();
    assert_ne!(own(&proxy, "/.well-known/outgate/denials", &[]).status(), 200);
    assert_eq!(own(&proxy, "/.well-known/outgate", &[]).status(), 200);
}

#[test]
fn no_page_of_another_site_can_read_an_own_path() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    for path in ["/proxy.pac", "/.well-known/outgate", "/.well-known/outgate/denials"] {
        for (fields, status) in [
            (&["Origin: http://evil.test"][..], 403),
            (&["Sec-Fetch-Site: cross-site"], 403),
            (&["Sec-Fetch-Site: same-origin"], 200),
            (&["Sec-Fetch-Site: none"], 200),
        ] {
            let answer = own(&proxy, path, fields);
            assert_eq!(answer.status(), status, "{path} {fields:?}");
            assert_eq!(answer.header("x-deny-reason"), None, "no policy decided this");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    let records = proxy.records(12);
    assert!(records.iter().all(|record| record["protocol"] == "own" && record["decision"] == "none"));
    proxy.counts_agree_with(&records);
}

#[test]
fn a_page_that_gives_this_address_its_own_name_reads_nothing() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let port = proxy.address().port();
    let by = |path: &str, host: &str| {
        let fields = format!("Host: {host}\r\nSec-Fetch-Site: same-origin\r\nConnection: close");
        proxy.raw(format!("GET {path} HTTP/1.1\r\n{fields}\r\n\r\n")).only().status()
    };
    let hosts = [
        (format!("evil.test:{port}"), 403),
        ("LOCALHOST.evil.test".to_owned(), 403),
        (format!("ok.test.:{port}"), 403),
        (format!("Localhost:{port}"), 200),
        (format!("127.0.0.1:{port}"), 200),
        (format!("[::1]:{port}"), 200),
    ];
    for (host, status) in &hosts {
        assert_eq!(by("/.well-known/outgate", host), *status, "{host}");
        assert_eq!(by("/.well-known/outgate/denials", host), *status, "{host}");
        assert_eq!(by("/proxy.pac", host), 200, "{host}: the PAC says nothing of anybody");
    }
    let records = proxy.records(18);
    assert_eq!(records.iter().filter(|record| record["reason"] == "cross_site").count(), 6);
    proxy.counts_agree_with(&records);
}

#[test]
fn anything_else_in_origin_form_is_misdirected() {
    let origin = Origin::saying("never");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    // `Host` does not matter, because this is not a transparent proxy.
    for path in ["/", "/metrics", "/v1/policy", "/proxy.pac/../x"] {
        let host = format!("ok.test:{}", origin.port());
        let answers = proxy.raw(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"));
        assert_eq!(answers.only().status(), 421, "{path}");
        assert!(answers.only().text().contains("misdirected"), "{}", answers.only());
    }
    let records = proxy.records(4);
    let all = |key: &str, value: &str| records.iter().all(|record| record[key] == value);
    assert!(all("decision", "none") && all("reason", "misdirected"), "{records:#?}");
    proxy.counts_agree_with(&records);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn an_own_path_is_only_this_listeners_own() {
    let origin = Origin::saying("the origin's own");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let answer = proxy.get(&format!("http://ok.test:{}/proxy.pac", origin.port()));
    assert_eq!(answer.text(), "the origin's own");
    let mut client = proxy.client();
    client.send(get(&format!("http://{}/.well-known/outgate", proxy.address()), &[]));
    assert_eq!(client.answer().status(), 200);
    client.send(get(&format!("http://ok.test:{}/.well-known/outgate", origin.port()), &[]));
    assert_eq!(client.answer().text(), "the origin's own", "on the same connection");
}

#[test]
fn a_client_sees_the_denials_of_its_address_from_every_listener() {
    let other = crate::harness::Port::reserve();
    let listen = format!("[[listen]]\nname = \"other\"\naddress = \"{}\"", other.address());
    let proxy = Settings::with(allow(&["ok.test:*"])).listen(&listen).start();
    let (_, denied) = proxy.connect("no.test:443");
    let mut client = crate::harness::Conn::to(other.address());
    client.send(format!("GET /.well-known/outgate/denials HTTP/1.1\r\nHost: {}\r\n\r\n", other.address()));
    let body = client.answer().json();
    assert_eq!(body["denials"][0]["request_id"], denied.header("x-request-id").unwrap(), "{body}");
}
