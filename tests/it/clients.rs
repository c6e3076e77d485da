//! Real clients: what people see when the policy says no.

use std::path::Path;
use std::process::Command;

use crate::harness::{Finished, Origin, Proxy, allow, finish};

/// The command, or none with a printed reason where this machine has no such program. On CI that is a failure.
pub fn tool(name: &str, probe: &[&str]) -> Option<Command> {
    let works = Command::new(name).args(probe).output().is_ok_and(|output| output.status.success());
    if !works {
        assert_ne!(std::env::var("CI_REQUIRE_TOOLS").as_deref(), Ok("1"), "{name} is required here");
        println!("skipped: no {name} on this machine");
        return None;
    }
    let mut command = Command::new(name);
    for (variable, _) in std::env::vars() {
        if variable.to_lowercase().ends_with("_proxy") {
            command.env_remove(variable);
        }
    }
    Some(command)
}

fn curl(proxy: &Proxy, arguments: &[&str]) -> Option<Finished> {
    let mut command = tool("curl", &["--version"])?;
    command.args(["-q", "-sS", "--max-time", "10", "--noproxy", "", "-x", &format!("http://{}", proxy.address())]);
    Some(finish(command.args(arguments), ""))
}

#[test]
fn curl_reports_403_for_https_and_shows_the_message_for_http() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let Some(https) = curl(&proxy, &["https://no.test/"]) else { return };
    assert_eq!(https.code, Some(56), "{https:#?}");
    assert!(https.stderr.contains("response 403"), "{https:#?}");
    let http = curl(&proxy, &["http://no.test/path"]).unwrap();
    assert_eq!(http.code, Some(0), "{http:#?}");
    assert!(http.stdout.starts_with("Blocked by the egress policy of test: no.test:80 is not allowed"), "{http:#?}");
    let failing = curl(&proxy, &["--fail", "http://no.test/"]).unwrap();
    assert_eq!(failing.code, Some(22), "{failing:#?}");
    let verbose = curl(&proxy, &["-v", "https://no.test/"]).unwrap();
    assert!(verbose.stderr.contains("Blocked by test egress policy: host_not_allowed, request "), "{verbose:#?}");
    proxy.account(&[
        "connect no.test:443 deny host_not_allowed denied 403",
        "http no.test:80/path deny host_not_allowed denied 403",
        "http no.test:80/ deny host_not_allowed denied 403",
        "connect no.test:443 deny host_not_allowed denied 403",
    ]);
}

#[test]
fn curl_gets_what_is_allowed_both_ways() {
    let origin = Origin::http(|seen| crate::harness::ok(&format!("{} {}", seen.line(), seen.body.len())));
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = format!("http://ok.test:{}/x", origin.port());
    let Some(plain) = curl(&proxy, &[&url]) else { return };
    assert_eq!(plain.stdout, "GET /x HTTP/1.1 0", "{plain:#?}");
    let tunnelled = curl(&proxy, &["--proxytunnel", &url]).unwrap();
    assert_eq!(tunnelled.stdout, "GET /x HTTP/1.1 0", "{tunnelled:#?}");
    let body = "x".repeat(100_000);
    let posted = curl(&proxy, &["-d", &body, &url]).unwrap();
    assert_eq!(posted.stdout, "POST /x HTTP/1.1 100000", "{posted:#?}");
    let chunked = curl(&proxy, &["-H", "Transfer-Encoding: chunked", "-d", "hello", &url]).unwrap();
    assert_eq!(chunked.stdout, "POST /x HTTP/1.1 5", "{chunked:#?}");
    let both = curl(&proxy, &[&url, &url, "http://no.test/", &url]).unwrap();
    assert_eq!(both.stdout.matches("GET /x HTTP/1.1 0").count(), 3, "{both:#?}");
    let port = origin.port();
    let line = format!("http ok.test:{port}/x allow - completed 200");
    let mut expected = vec![line.as_str(); 6];
    let tunnel = format!("connect ok.test:{port} allow - completed 200");
    expected.extend([tunnel.as_str(), "http no.test:80/ deny host_not_allowed denied 403"]);
    proxy.account(&expected);
}

#[test]
fn python_shows_the_reason_phrase() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let Some(mut python) = tool("python3", &["-c", "import urllib.request, ssl"]) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients.py");
    let finished = finish(python.arg(script).arg(format!("http://{}", proxy.address())), "");
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    let lines: Vec<_> = finished.stdout.lines().collect();
    assert_eq!(lines.len(), 2, "{finished:#?}");
    let phrase = "Blocked by test egress policy: host_not_allowed, request ";
    assert!(lines[0].starts_with("http: HTTP Error 403: ") && lines[0].contains(phrase), "{finished:#?}");
    assert!(lines[1].contains("Tunnel connection failed: 403 ") && lines[1].contains(phrase), "{finished:#?}");
    proxy.account(&[
        "http no.test:80/ deny host_not_allowed denied 403",
        "connect no.test:443 deny host_not_allowed denied 403",
    ]);
}
