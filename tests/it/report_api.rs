//! `/v1/report`: the sums of `outgate report`, asked of the proxy that runs.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{Conn, Origin, Outgate, Proxy, Settings, TOKEN, allow, systems_can_be_made, until};

fn row(key: &str, requests: u64, denied: u64) -> Value {
    json!({ "key": key, "requests": requests, "denied": denied })
}

/// Four requests, three of them denied; the address of the one that was not.
fn traffic(proxy: &Proxy) -> String {
    let origin = Origin::saying("hello");
    assert_eq!(proxy.get(&format!("http://ok.test:{}/", origin.port())).status(), 200);
    for to in ["a.corp.test:443", "a.corp.test:443", "=1+1.corp.test:443"] {
        proxy.connect(to);
    }
    format!("ok.test:{}", origin.port())
}

#[test]
fn it_says_what_the_command_says_wherever_records_are_kept() {
    for (settings, source) in [
        (Settings::with(allow(&["ok.test:*"])).record("sqlite = \"history.db\""), "sqlite"),
        (Settings::with(allow(&["ok.test:*"])), "jsonl"),
        (Settings::with(allow(&["ok.test:*"])).no_records_file(), "memory"),
    ] {
        let proxy = settings.start();
        let allowed = traffic(&proxy);
        let report = until("all are kept", || {
            let report = proxy.api("/v1/report");
            (report["total"]["requests"] == 4).then_some(report)
        });
        assert_eq!((&report["source"], &report["missing"]), (&source.into(), &json!({})), "{report}");
        assert_eq!(report["total"], json!({ "requests": 4, "denied": 2 }), "{source}: a name with `=` is malformed");
        assert_eq!(
            report["rows"],
            json!([row("a.corp.test:443", 2, 2), row("", 1, 0), row(&allowed, 1, 0)]),
            "{source}"
        );
        for (query, rows) in [
            ("by=reason", json!([row("host_not_allowed", 2, 2), row("", 1, 0), row("malformed_request", 1, 0)])),
            ("by=domain&limit=1", json!([row("corp.test", 2, 2)])),
            ("by=outcome", json!([row("denied", 2, 2), row("completed", 1, 0), row("malformed", 1, 0)])),
            ("by=tool&since=1h", json!([row("agent", 4, 2)])),
            ("since=2999-01-01", json!([])),
        ] {
            assert_eq!(proxy.api(&format!("/v1/report?{query}"))["rows"], rows, "{source} {query}");
        }
        if source != "memory" {
            let config = proxy.path("outgate.toml");
            let printed = Outgate::new().run(&["report", "--format", "csv", "--config", config.to_str().unwrap()]);
            let answer = proxy.admin("GET", "/v1/report?format=csv");
            assert!(answer.text().lines().eq(printed.stdout.lines()), "{answer}\n{printed:?}");
            assert_eq!(answer.header("x-outgate-source"), Some(source));
            assert_eq!(answer.header("content-type"), Some("text/csv; charset=utf-8"));
        }
        let page = proxy.admin("GET", "/v1/report?format=html&by=rule");
        assert!(page.text().starts_with("<!doctype html>"), "{page}");
        let policy = page.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline'"), "{policy}");
    }
}

#[test]
fn what_it_does_not_know_is_refused_with_what_it_knows() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    for (query, expected) in [
        ("by=colour", "`by` is one of destination, domain, rule, user, tool, reason, outcome, day"),
        ("by=", "`by` is one of destination, domain, rule, user, tool, reason, outcome, day"),
        ("format=table", "`format` is one of json, csv, html"),
        (
            "since=soon",
            "`since`: `soon` is neither a time ago (7d, 12h), nor a day (2026-11-23), nor a time (2026-11-23T14:00:00Z)",
        ),
        ("limit=many", "`limit` is not a number"),
    ] {
        let answer = proxy.admin("GET", &format!("/v1/report?{query}"));
        assert_eq!((answer.status(), answer.json()["detail"].as_str()), (400, Some(expected)), "{query}");
    }
    assert_eq!(proxy.admin_with("GET", "/v1/report", &[]).status(), 401);
    assert_eq!(proxy.admin("DELETE", "/v1/report").status(), 405);
}

#[test]
fn while_a_report_is_read_others_are_answered_and_another_report_waits_its_turn() {
    if !systems_can_be_made() {
        return;
    }
    let mut proxy = Settings::with(allow(&["ok.test:*"])).obedient_system().start();
    proxy.connect("no.test:443");
    proxy.records(1);
    let address = proxy.admin_address();
    let ask = || {
        let mut conn = Conn::to(address);
        conn.send(format!(
            "GET /v1/report HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {TOKEN}\r\nConnection: close\r\n\r\n"
        ));
        conn
    };
    // A disk that does not answer.
    let held = proxy.hold_disk();
    let mut first = ask();
    let mut second = ask();
    let refused = second.answer();
    assert_eq!((refused.status(), refused.header("retry-after")), (503, Some("5")), "{refused}");
    assert_eq!(proxy.admin("GET", "/v1/policy").status(), 200);
    drop(held);
    assert_eq!(first.answer().status(), 200);
    assert_eq!(proxy.api("/v1/report")["rows"], json!([row("no.test:443", 1, 1)]));
    // The next one would wait for ever; the end of the process does not wait for it.
    let _held = proxy.hold_disk();
    let _third = ask();
    assert_eq!(proxy.admin("GET", "/healthz").status(), 200);
    assert_eq!(proxy.stop(), Some(0));
}

#[test]
fn a_pipe_in_the_place_of_the_file_is_an_error_and_not_a_wait() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let (pipe, live) = (proxy.path("pipe"), proxy.path("records.jsonl"));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    std::fs::rename(&pipe, &live).unwrap();
    let answer = proxy.admin("GET", "/v1/report");
    assert_eq!(answer.status(), 500, "a pipe is not a file: {answer}");
    assert!(answer.text().contains("cannot read the records in "), "{answer}");
    std::fs::rename(&live, &pipe).unwrap();
    std::fs::write(&live, "").unwrap();
    assert_eq!(proxy.api("/v1/report")["rows"], json!([]));
}
