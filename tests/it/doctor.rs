//! `outgate doctor`: the faults of a setup, each with its fix.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use serde_json::Value;

use crate::harness::{Finished, Outgate, Port, Proxy, TOKEN, allow, finish, policy, rule, until};

/// The doctor's opinion of a proxy's set-up, in a shell with these variables.
fn examine(proxy: &Proxy, variables: &[(&str, &str)]) -> (Finished, Value) {
    let outgate = Outgate::new();
    let config = proxy.path("outgate.toml");
    let mut command = outgate.command(&["doctor", "--json", "--config", config.to_str().unwrap()]);
    command.envs(variables.iter().copied());
    let finished = finish(&mut command, "");
    let document = serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished:#?}"));
    (finished, document)
}

/// The findings of this kind, as `level finding`.
fn found(document: &Value, check: &str) -> Vec<String> {
    let findings = document["findings"].as_array().unwrap();
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let of_check = findings.iter().filter(|finding| finding["check"] == check);
    of_check.map(|finding| format!("{} {}", text(finding, "level"), text(finding, "what"))).collect()
}

#[test]
fn a_healthy_proxy_has_nothing_to_fix() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let here = format!("http://{}", proxy.address());
    let (finished, document) = examine(&proxy, &[("HTTPS_PROXY", &here), ("HTTP_PROXY", &here)]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert_eq!(document["ok"], true);
    let own = proxy.address();
    assert_eq!(
        found(&document, "listener"),
        [format!("ok agent: an outgate answers at {own}, revision r1, mode enforce")]
    );
    assert_eq!(found(&document, "self-test"), ["ok agent denies an unknown name and the way back into itself"]);
    assert_eq!(found(&document, "admin"), [format!("ok {} responds, and accepts the token", proxy.admin_address())]);
    assert_eq!(found(&document, "environment")[0], format!("ok HTTPS_PROXY leads here ({own})"));
    for check in ["configuration", "policy", "token", "records", "clock"] {
        assert!(found(&document, check).iter().all(|finding| finding.starts_with("ok ")), "{check}: {document}");
    }
    assert_eq!(proxy.names_asked(), [""; 0], "nothing is looked up");
    let records = proxy.records(3);
    let paths: Vec<_> =
        records.iter().map(|record| (record["protocol"].as_str(), record["decision"].as_str())).collect();
    assert_eq!(paths, [(Some("own"), Some("none")), (Some("connect"), Some("deny")), (Some("connect"), Some("deny"))]);
    let row = |what: &str| {
        let rows = document["traffic"].as_array().unwrap();
        rows.iter().find(|row| row["what"].as_str().unwrap().contains(what)).unwrap()["passes"].clone()
    };
    assert_eq!((row("Claude Code"), row("web search")), ("yes".into(), "never".into()));
}

#[test]
fn a_changed_configuration_is_reported_until_it_is_as_it_was() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let config = proxy.path("outgate.toml");
    let at_start = fs::read_to_string(&config).unwrap();
    let is_changed = || {
        let metric = proxy.metrics().sum("outgate_configuration_changed", &[]);
        let status = proxy.api("/v1/status")["configuration_changed"] == true;
        let is_shown = !proxy
            .admin_with("GET", "/", &[&format!("Authorization: Bearer {TOKEN}")])
            .text()
            .contains("id=\"restart\" class=\"problem\" role=\"alert\" hidden");
        assert_eq!((metric == 1, status), (is_shown, is_shown), "the metric, the API and the dashboard agree");
        status
    };
    let finding = "fail the running proxy started with another version of its configuration file";
    assert!(!is_changed());
    assert!(!found(&examine(&proxy, &[]).1, "configuration").contains(&finding.to_owned()));
    fs::write(&config, format!("{at_start}\n# changed\n")).unwrap();
    until("the change is seen", || (proxy.metrics().sum("outgate_configuration_changed", &[]) == 1).then_some(()));
    assert!(is_changed());
    assert!(proxy.output().iter().any(|line| line.contains("restart outgate to apply it")), "{:#?}", proxy.output());
    let (finished, document) = examine(&proxy, &[]);
    assert_eq!(finished.code, Some(1), "{finished:#?}");
    assert!(found(&document, "configuration").contains(&finding.to_owned()), "{document}");
    fs::write(&config, at_start).unwrap();
    until("it is as it was", || (proxy.metrics().sum("outgate_configuration_changed", &[]) == 0).then_some(()));
    assert!(!is_changed());
}

#[test]
fn where_nothing_runs_it_says_how_to_start_it() {
    let mut proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.stop();
    let (finished, document) = examine(&proxy, &[]);
    assert_eq!(finished.code, Some(1), "{finished:#?}");
    assert_eq!(document["ok"], false);
    assert_eq!(found(&document, "listener"), [format!("fail agent: nothing listens at {}", proxy.address())]);
    assert!(found(&document, "admin")[0].starts_with("fail "), "{document}");
    assert!(finished.stdout.contains("start the proxy: outgate run --config "), "{finished:#?}");
    let table = Outgate::new().run(&["doctor", "--config", proxy.path("outgate.toml").to_str().unwrap()]);
    assert_eq!(table.code, Some(1));
    assert!(table.stdout.contains("fail  listener       agent: nothing listens at "), "{}", table.stdout);
    assert!(table.stdout.contains("fix: start the proxy: outgate run --config "), "{}", table.stdout);
    assert!(!table.stdout.contains('\u{1b}'), "no colour in a pipe");
}

#[test]
fn what_is_wrong_around_a_proxy_is_named() {
    let proxy = Proxy::with(policy("r1", &rule("ok", &["ok.test:*"])));
    let (token, text) = (proxy.path("admin.token"), fs::read_to_string(proxy.path("policy.toml")).unwrap());
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    let (finished, document) = examine(&proxy, &[("NO_PROXY", "*"), ("https_proxy", "http://proxy.example:8080")]);
    assert_eq!(finished.code, Some(1), "{finished:#?}");
    assert!(found(&document, "token")[0].starts_with("fail "), "{document}");
    let environment = found(&document, "environment").join("\n");
    for words in ["https_proxy leads to proxy.example:8080, not here", "NO_PROXY has `*`", "HTTP_PROXY is not set"] {
        assert!(environment.contains(words), "no {words} in {environment}");
    }
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(examine(&proxy, &[]).0.code, Some(0));

    proxy.replace_policy(&text.replace("effect", "efect"));
    assert_eq!(proxy.reload().status(), 422);
    let (finished, document) = examine(&proxy, &[]);
    assert_eq!(finished.code, Some(1), "{finished:#?}");
    let policy = found(&document, "policy").join("\n");
    assert!(policy.contains("efect") && policy.contains("fail the last reload failed"), "{policy}");
    assert_eq!(
        found(&document, "self-test"),
        [
            "ok agent denies the way back into itself; unknown names were not tested, because they may pass at the moment"
        ]
    );
}

#[test]
fn an_observing_proxy_is_not_tested_with_names() {
    let proxy = Proxy::with(policy("r1", &format!("mode = \"observe\"\n{}", rule("ok", &["ok.test:*"]))));
    let (finished, document) = examine(&proxy, &[]);
    assert_eq!(finished.code, Some(0), "{finished:#?}");
    assert!(
        found(&document, "policy")
            .iter()
            .any(|finding| finding == "warn requests that no rule covers pass: observe mode")
    );
    assert_eq!(proxy.names_asked(), [""; 0]);
}

#[test]
fn a_mistake_in_the_configuration_is_a_finding_with_its_place() {
    let outgate = Outgate::new().file("outgate.toml", "[[listen]]\nname = \"a\"\nadress = \"127.0.0.1:1\"\n");
    let finished = outgate.run(&["doctor", "--json", "--config", "outgate.toml"]);
    assert_eq!(finished.code, Some(1), "{finished:#?}");
    let document: Value = serde_json::from_str(&finished.stdout).unwrap();
    assert!(found(&document, "configuration")[0].starts_with("fail outgate.toml:3:"), "{document}");
}

/// Another program's proxy that imitates our status response and allows everything.
fn impostor(port: &Port, about: &'static str, connect: &'static str) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&port.address().into()).unwrap();
    socket.listen(8).unwrap();
    let listener = TcpListener::from(socket);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let read = stream.read(&mut head).unwrap();
            let answer = if head[..read].starts_with(b"CONNECT") { connect } else { about };
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
}

#[test]
fn doctor_detects_another_program_that_answers_in_our_place() {
    const ABOUT: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{\"policy\":\"test\",\"revision\":\"r1\",\"mode\":\"enforce\"}";
    for (about, connect, check, words) in [
        (ABOUT, "HTTP/1.1 200 OK\r\n\r\n", "self-test", "should have been denied, but the response was 200"),
        (ABOUT, "HTTP/1.1 403 Forbidden\r\n\r\n", "self-test", "should have been denied, but the response was 403"),
        ("HTTP/1.1 404 Not Found\r\n\r\n", "", "listener", "(404) is not outgate"),
        ("SSH-2.0-test\r\n", "", "listener", "does not speak HTTP"),
    ] {
        let port = Port::reserve();
        impostor(&port, about, connect);
        let config =
            format!("[[listen]]\nname = \"a\"\naddress = \"{}\"\n[admin]\naddress = \"off\"\n", port.address());
        let outgate = Outgate::new().file("outgate.toml", config);
        let finished = outgate.run(&["doctor", "--json", "--config", "outgate.toml"]);
        assert_eq!(finished.code, Some(1), "{finished:#?}");
        let document: Value = serde_json::from_str(&finished.stdout).unwrap();
        assert!(found(&document, check)[0].contains(words), "{words}: {document}");
    }
}
