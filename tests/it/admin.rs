//! The admin listener: who may ask, and what it says.

use crate::harness::{Conn, Origin, Proxy, Settings, TOKEN, allow, policy, rule, until};

const OPEN: [&str; 4] = ["/healthz", "/readyz", "/metrics", "/proxy.pac"];
const CLOSED: [&str; 7] =
    ["/", "/v1/policy", "/v1/check?to=ok.test:443", "/v1/denials", "/v1/records", "/v1/status", "/v1/tunnels"];

#[test]
fn everything_but_health_and_metrics_needs_the_token() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    for path in OPEN {
        assert_eq!(proxy.admin_with("GET", path, &[]).status(), 200, "{path}");
    }
    for path in CLOSED {
        for fields in [
            &[][..],
            &["Authorization: Bearer wrong"],
            &["Authorization: Bearer "],
            &["Authorization: Basic dGVzdA=="],
            &["Cookie: outgate=wrong"],
        ] {
            let answer = proxy.admin_with("GET", path, fields);
            assert_eq!(answer.status(), 401, "{path} {fields:?}: {answer}");
            assert!(!answer.text().contains("r1") && !answer.text().contains(TOKEN), "{answer}");
        }
    }
    assert_eq!(proxy.admin_with("POST", "/v1/policy/reload", &["Content-Length: 0"]).status(), 401);
    assert_eq!(proxy.admin("GET", "/v1/policy").status(), 200);
    assert_eq!(proxy.admin("GET", "/v1/policy").header("access-control-allow-origin"), None);
    assert_eq!(proxy.admin("GET", "/nothing/here").status(), 404);
}

#[test]
fn metrics_can_be_protected_too() {
    let proxy = Settings::with(allow(&["ok.test:*"])).admin("protect-metrics = true").start();
    assert_eq!(proxy.admin_with("GET", "/metrics", &[]).status(), 401);
    assert_eq!(proxy.admin("GET", "/metrics").status(), 200);
    assert_eq!(proxy.admin_with("GET", "/healthz", &[]).status(), 200);
}

#[test]
fn the_link_of_the_banner_leads_to_a_path_whose_cookie_opens_the_rest() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    assert_eq!(proxy.admin_with("GET", "/?token=wrong", &[]).status(), 401);
    let answer = proxy.admin_with("GET", &format!("/?token={TOKEN}"), &[]);
    let (path, cookie) = (answer.header("location").unwrap(), answer.header("set-cookie").unwrap());
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!((answer.status(), attributes), (303, &*format!("Path={path}; HttpOnly; SameSite=Strict")));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"), "the path is a secret");
    assert!(path.len() == 34 && path.bytes().all(|byte| byte == b'/' || byte.is_ascii_hexdigit()), "{path}");
    assert!(!cookie.contains(TOKEN) && !path.contains(TOKEN), "{cookie}");

    let cookie = format!("Cookie: {pair}");
    let dashboard = proxy.admin_with("GET", path, &[&cookie]);
    assert_eq!(dashboard.status(), 200, "{dashboard}");
    assert!(dashboard.header("content-type").unwrap().starts_with("text/html"));
    assert_eq!(dashboard.header("referrer-policy"), Some("no-referrer"));
    let csp = dashboard.header("content-security-policy").expect("a strict policy of its own");
    assert!(csp.contains("default-src 'none'") || csp.contains("default-src 'self'"), "{csp}");
    assert!(!csp.contains("*") && !csp.contains("unsafe-eval"), "{csp}");
    for outside in ["src=\"http", "href=\"http", "url(http", "//cdn", "src=\"/", "href=\"/"] {
        assert!(!dashboard.text().contains(outside), "{outside} in the dashboard");
    }
    for below in
        ["dashboard.css", "dashboard.js", "metrics", "healthz"].into_iter().chain(CLOSED.map(|path| &path[1..]))
    {
        assert_eq!(proxy.admin_with("GET", &format!("{path}{below}"), &[&cookie]).status(), 200, "{below}");
    }
    let reload = format!("{path}v1/policy/reload");
    for (origin, status) in [(format!("http://{}", proxy.admin_address()), 200), ("http://127.0.0.1:1".to_owned(), 403)]
    {
        let fields = [&*cookie, &format!("Origin: {origin}"), "Content-Length: 0"];
        assert_eq!(proxy.admin_with("POST", &reload, &fields).status(), status, "{origin}");
    }
    assert_eq!(proxy.admin_with("GET", &reload, &[&cookie]).status(), 405);
    assert_eq!(proxy.admin_with("GET", &format!("{path}nothing/here"), &[&cookie]).status(), 404);
}

#[test]
fn the_cookie_and_its_path_are_only_valid_together() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let (path, cookie) = proxy.by_the_link();
    for closed in CLOSED {
        assert_eq!(proxy.admin_with("GET", closed, &[&cookie]).status(), 401, "{closed}");
    }
    assert_eq!(proxy.admin_with("POST", "/v1/policy/reload", &[&cookie, "Content-Length: 0"]).status(), 401);
    let (name, value) = cookie.strip_prefix("Cookie: ").unwrap().split_once('=').unwrap();
    assert_eq!(proxy.admin_with("GET", "/v1/policy", &[&format!("Authorization: Bearer {value}")]).status(), 401);
    assert_eq!(proxy.admin_with("GET", &format!("/?token={value}"), &[]).status(), 401);

    let elsewhere = format!("/{}/", "0".repeat(32));
    let unknown = proxy.admin_with("GET", &elsewhere, &[]);
    assert_eq!(unknown.status(), 404, "{unknown}");
    let token = format!("Cookie: {name}={TOKEN}");
    let secret = format!("Cookie: {name}={}", path.trim_matches('/'));
    for fields in [&[][..], &[&*token], &["Cookie: outgate-dashboard=wrong"], &[&*secret]] {
        for (base, rest) in [(&path, ""), (&path, "v1/policy"), (&path, "healthz"), (&elsewhere, "v1/policy")] {
            let answer = proxy.admin_with("GET", &format!("{base}{rest}"), fields);
            assert_eq!((answer.status(), answer.text()), (404, unknown.text()), "{base}{rest} {fields:?}");
        }
    }
    assert_eq!(proxy.admin_with("GET", path.trim_end_matches('/'), &[&cookie]).status(), 404);
    assert_eq!(proxy.admin_with("GET", &format!("{path}v1/policy"), &[&token, &cookie]).status(), 200);
}

#[test]
fn path_and_cookie_are_made_anew_at_each_start() {
    let doors = [(); 2].map(|()| Proxy::with(allow(&["ok.test:*"])).by_the_link());
    let [(one, its_cookie), (other, other_cookie)] = doors;
    assert!(one != other && its_cookie != other_cookie, "though the token is the same");
}

#[test]
fn a_name_is_misdirected_and_an_address_or_localhost_is_not() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let token = format!("Authorization: Bearer {TOKEN}");
    let port = proxy.admin_address().port();
    let evil =
        ["Host: evil.test".to_owned(), format!("Host: evil.test:{port}"), "Host: 127.0.0.1.evil.test".to_owned()];
    for host in &evil {
        for path in ["/healthz", "/metrics", "/v1/policy", "/"] {
            assert_eq!(proxy.admin_raw("GET", path, &[host, &token]).status(), 421, "{host} {path}");
        }
    }
    let forwarded = ["Host: localhost:9", "Host: localhost", "Host: 192.0.2.7:3129", "Host: [::1]:8080"];
    let own = [format!("Host: 127.0.0.1:{port}"), format!("Host: localhost:{port}")];
    for host in own.iter().map(String::as_str).chain(forwarded) {
        assert_eq!(proxy.admin_raw("GET", "/v1/policy", &[host, &token]).status(), 200, "{host}");
    }
}

#[test]
fn the_policy_in_force_is_shown_with_its_health() {
    let proxy = Proxy::with(policy("r7", &(rule("a", &["a.test"]) + &rule("b", &["b.test"]))));
    let shown = proxy.api("/v1/policy");
    for key in ["name", "revision", "mode", "enabled", "egress", "rules", "source", "layers", "loaded", "error"] {
        assert!(shown.get(key).is_some(), "no {key} in {shown}");
    }
    assert_eq!((&shown["name"], &shown["revision"]), (&"test".into(), &"r7".into()));
    assert_eq!((&shown["mode"], &shown["enabled"]), (&"enforce".into(), &true.into()));
    assert_eq!((&shown["egress"], &shown["error"]), (&"allowlist".into(), &serde_json::Value::Null));
    assert!(shown["rules"] == 2 || shown["rules"].as_array().is_some_and(|rules| rules.len() == 2), "{shown}");
    let metrics = proxy.metrics();
    assert!(metrics.has("outgate_policy_info", &[("name", "test"), ("revision", "r7")]));
    assert_eq!(metrics.sum("outgate_policy_rules", &[]), 2);
    assert!(metrics.sum("outgate_policy_loaded_timestamp_seconds", &[]) > 1_600_000_000);
    assert!(metrics.has("outgate_build_info", &[("version", env!("CARGO_PKG_VERSION"))]));
    for name in ["outgate_decision_seconds_count", "outgate_tunnels_open", "outgate_records_total"] {
        assert!(metrics.has(name, &[]), "{name}");
    }
}

#[test]
fn check_says_what_the_proxy_would() {
    let proxy = Proxy::with(allow(&["ok.test:443", "*.corp.test"]));
    let check = |to: &str| proxy.api(&format!("/v1/check?to={to}"));
    let allowed = check("https%3A%2F%2Fok.test%2Fpath");
    let mut keys: Vec<_> = allowed.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let contract =
        ["decision", "destination", "hint", "host", "layer", "port", "reason", "revision", "rule", "would_dial"];
    assert_eq!(keys, contract);
    assert_eq!((&allowed["decision"], &allowed["destination"]), (&"allow".into(), &"ok.test:443".into()));
    assert_eq!((&allowed["host"], &allowed["port"]), (&"ok.test".into(), &443.into()));
    assert_eq!((&allowed["rule"], &allowed["revision"]), (&"ok".into(), &"r1".into()));
    let denied = check("ok.test:80");
    assert_eq!((&denied["decision"], &denied["reason"]), (&"deny".into(), &"port_not_allowed".into()));
    assert_eq!(denied["would_dial"], serde_json::Value::Null);
    let denied = check("corp.test:443");
    assert!(denied["hint"].as_str().unwrap().contains("`*.corp.test`"), "{denied}");
    assert_eq!(proxy.admin("GET", "/v1/check?to=http%3A%2F%2F0x7f.1%2F").status(), 400);
    assert_eq!(proxy.admin("GET", "/v1/check").status(), 400);
    proxy.account(&[]);
}

#[test]
fn denials_are_listed_by_frequency_and_omitted_ones_are_counted() {
    let proxy = Proxy::with(allow(&["ok.test:443"]));
    for (destination, times) in [("a.test:443", 3), ("b.test:443", 2), ("c.test:443", 1)] {
        for _ in 0..times {
            proxy.connect(destination);
        }
    }
    proxy.records(6);
    let denials = proxy.api("/v1/denials?limit=2");
    assert_eq!((&denials["total"], &denials["other"]), (&6.into(), &1.into()), "{denials}");
    let rows = denials["destinations"].as_array().unwrap();
    let shown: Vec<_> = rows.iter().map(|row| (row["destination"].as_str().unwrap(), row["count"].clone())).collect();
    assert_eq!(shown, [("a.test:443", 3.into()), ("b.test:443", 2.into())]);
    for key in ["destination", "reason", "count", "first", "last", "rule"] {
        assert!(rows[0].get(key).is_some(), "no {key} in {denials}");
    }
    assert!(rows[0]["first"].as_str() <= rows[0]["last"].as_str(), "{denials}");
}

#[test]
fn records_can_be_narrowed() {
    let origin = Origin::saying("x");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.get(&format!("http://ok.test:{}/one", origin.port()));
    proxy.connect("no.test:443");
    proxy.connect("other.test:443");
    let written = proxy.records(3);
    let ids = |query: &str| -> Vec<String> {
        let json = proxy.api(&format!("/v1/records{query}"));
        let list = json.as_array().or_else(|| json["records"].as_array()).expect("a list of records");
        let mut ids: Vec<_> = list.iter().map(|record| record["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    let expected = |hosts: &[&str]| {
        let chosen = written.iter().filter(|record| hosts.contains(&record["host"].as_str().unwrap()));
        let mut ids: Vec<_> = chosen.map(|record| record["id"].as_str().unwrap().to_owned()).collect();
        ids.sort();
        ids
    };
    until("all are listed", || (ids("").len() == 3).then_some(()));
    assert_eq!(ids("?decision=deny"), expected(&["no.test", "other.test"]));
    assert_eq!(ids("?decision=allow"), expected(&["ok.test"]));
    assert_eq!(ids("?host=no.test"), expected(&["no.test"]));
    assert_eq!(ids("?decision=allow&host=no.test"), [""; 0]);
    assert_eq!(ids("?limit=1").len(), 1);
}

#[test]
fn records_can_be_followed() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let address = proxy.admin_address();
    let mut follower = Conn::to(address);
    follower
        .send(format!("GET /v1/records?follow HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"));
    let head = String::from_utf8(follower.read_until(b"\r\n\r\n")).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("content-type: text/event-stream"), "{head}");
    let (_, answer) = proxy.connect("no.test:443");
    let id = answer.header("x-request-id").unwrap();
    follower.read_until(b"data:");
    let line = String::from_utf8(follower.read_until(b"\n")).unwrap();
    let record: serde_json::Value = serde_json::from_str(line.trim()).unwrap();
    assert_eq!((&record["id"], &record["host"]), (&id.into(), &"no.test".into()));
}

#[test]
fn the_plots_are_served_as_the_page_draws_them_and_only_with_the_token() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.connect("no.test:443");
    let plots = proxy.admin("GET", "/dashboard.json").json();
    let hour = &plots["ranges"][0];
    assert_eq!(
        (&hour["key"], &hour["plots"][0]["kind"], &hour["plots"][0]["most"]),
        (&"hour".into(), &"deny".into(), &"1".into())
    );
    let said = "In the last hour: 1 denied of 1 requests. Most denied in one minute: 1, ";
    assert!(hour["sentence"].as_str().unwrap().starts_with(said), "{plots}");
    let page = proxy.admin("GET", "/");
    assert!(page.text().contains(&format!("<figcaption>{said}")), "{page}");
    assert_eq!(proxy.admin_with("GET", "/dashboard.json", &[]).status(), 401);
}

#[test]
fn what_is_asked_by_another_method_changes_nothing() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.replace_policy(&policy("r2", ""));
    let answer = proxy.admin("GET", "/v1/policy/reload");
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("POST")), "{answer}");
    let answer = proxy.admin("DELETE", "/v1/policy");
    assert_eq!((answer.status(), answer.header("allow")), (405, Some("GET, HEAD")), "{answer}");
}

#[test]
fn a_denial_comes_with_the_rule_that_would_allow_it_and_the_rule_works() {
    let base = policy("r1", "deny = [\"never.test\"]\n");
    let proxy = Settings::with(base.clone()).start();
    proxy.connect("no.test:443");
    proxy.connect("never.test:443");
    proxy.records(2);
    let denials = proxy.api("/v1/denials");
    let row = |to: &str| {
        let rows = denials["destinations"].as_array().unwrap();
        rows.iter().find(|row| row["destination"] == to).unwrap_or_else(|| panic!("no {to} in {denials}")).clone()
    };
    let offered = row("no.test:443");
    let text = offered["allow"].as_str().expect("a rule");
    assert_eq!(text, "[[rule]]\nid = \"allow-no.test:443\"\neffect = \"allow\"\nto = [\"no.test:443\"]\n");
    assert_eq!((&offered["note"], &offered["allowed_now"]), (&serde_json::Value::Null, &false.into()));
    assert_eq!(offered["tools"].as_array().map(Vec::len), Some(1), "{offered}");
    let none = row("never.test:443");
    assert_eq!(none["allow"], serde_json::Value::Null);
    assert!(none["note"].as_str().unwrap().contains("the deny rule `deny:never.test`"), "{none}");
    assert_eq!(proxy.api("/v1/check?to=no.test:443")["decision"], "deny");
    proxy.replace_policy(&format!("{base}{text}"));
    until("the rule is in force", || (proxy.api("/v1/check?to=no.test:443")["decision"] == "allow").then_some(()));
    let after = proxy.api("/v1/denials");
    let now = &after["destinations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["destination"] == "no.test:443")
        .unwrap()["allowed_now"];
    assert_eq!(*now, true, "{after}");
}

#[test]
fn records_can_be_narrowed_by_tool_kind_and_a_part_of_the_host() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.connect("needle.in.hay.test:443");
    proxy.connect("192.0.2.77:443");
    let written = proxy.records(2);
    let hosts = |query: &str| {
        let json = proxy.api(&format!("/v1/records?{query}"));
        let list = json["records"].as_array().unwrap().clone();
        list.iter().map(|record| record["host"].as_str().unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    let tool = written[0]["tool"].as_str().unwrap();
    let both = "needle.in.hay.test 192.0.2.77";
    for (query, expected) in [
        ("kind=end".to_owned(), both),
        ("kind=open".to_owned(), ""),
        ("contains=LE.IN".to_owned(), "needle.in.hay.test"),
        ("contains=2.77".to_owned(), "192.0.2.77"),
        ("contains=needles".to_owned(), ""),
        (format!("tool={tool}"), both),
        ("tool=another".to_owned(), ""),
    ] {
        assert_eq!(hosts(&query), expected, "{query}");
    }
    assert_eq!(proxy.admin("GET", "/v1/records?kind=gap").status(), 400);
}

#[test]
fn the_status_adds_up_with_the_records_and_names_every_sink() {
    let origin = Origin::saying("x");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.get(&format!("http://ok.test:{}/", origin.port()));
    proxy.connect("no.test:443");
    proxy.connect("other.test:443");
    proxy.records(3);
    let status = proxy.api("/v1/status");
    assert_eq!((&status["totals"]["requests"], &status["totals"]["denied"]), (&3.into(), &2.into()), "{status}");
    for (window, len) in [("minutes", 60), ("hours", 168)] {
        let column = |name: &str| {
            let counts = status["over_time"][window][name].as_array().unwrap();
            assert_eq!(counts.len(), len);
            counts.iter().map(|count| count.as_u64().unwrap()).sum::<u64>()
        };
        assert_eq!(["allow", "deny", "observe", "none"].map(column), [1, 2, 0, 0], "{window}");
    }
    let sinks = status["sinks"].as_array().unwrap();
    assert_eq!(
        (&sinks[0]["sink"], &sinks[0]["written"], &sinks[0]["dropped"]),
        (&"memory".into(), &3.into(), &0.into())
    );
    let file = sinks.iter().find(|sink| sink["sink"] == "jsonl").expect("the harness keeps a file");
    assert_eq!((&file["written"], &file["error"]), (&3.into(), &serde_json::Value::Null), "{file}");
}
