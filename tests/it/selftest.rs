//! The proxy asks itself whether it still denies, and that shows nowhere but where it is looked for.

use std::fs;

use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{Proxy, Settings, allow, policy, rule, summary};

/// The result, which is there as soon as the proxy is ready.
fn result(proxy: &Proxy) -> (bool, String, u64) {
    let shown = &proxy.api("/v1/policy")["selftest"];
    let detail = shown["detail"].as_str().unwrap_or_else(|| panic!("no detail in {shown}")).to_owned();
    assert!(shown["at"].as_str().unwrap().starts_with("20"), "{shown}");
    (shown["ok"] == Value::Bool(true), detail, proxy.metrics().sum("outgate_selftest_ok", &[]))
}

#[test]
fn a_proxy_that_denies_says_so_and_counts_and_resolves_nothing() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let (ok, detail, gauge) = result(&proxy);
    assert!(ok && gauge == 1, "{detail}");
    assert_eq!(detail, "1 listener denies an unknown name, unresolved, and the way back into itself");
    assert!(proxy.admin("GET", "/").text().contains("<dd id=\"policy-selftest\">passed</dd>"));
    proxy.account(&[]);
    assert_eq!(proxy.metrics().sum("outgate_requests_total", &[]), 0);
    assert_eq!(proxy.names_asked(), [""; 0]);
}

#[test]
fn only_its_own_requests_are_left_out() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let own = proxy.address().to_string();
    proxy.connect("selftest-00000000.outgate.invalid:443");
    proxy.connect(&own);
    proxy.account(&[
        "connect selftest-00000000.outgate.invalid:443 deny host_not_allowed denied 403",
        &format!("connect {own} deny host_not_allowed denied 403"),
    ]);
}

#[test]
fn a_canary_that_passes_is_a_failure_and_a_request_like_any_other() {
    let proxy = Proxy::with(allow(&["**.invalid:*"]));
    let (ok, detail, gauge) = result(&proxy);
    assert!(!ok && gauge == 0, "{detail}");
    assert!(detail.starts_with("listener agent (127.0.0.1:"), "{detail}");
    assert!(detail.contains(".outgate.invalid:443 should have been denied, but the response was 502"), "{detail}");
    let page = proxy.admin("GET", "/");
    assert!(page.text().contains("<section id=\"unenforced\" class=\"problem\" role=\"alert\">"));
    assert!(page.text().contains("should have been denied, but the response was 502</pre>"));
    let records = proxy.records(1);
    assert!(
        summary(&records[0]).ends_with(".outgate.invalid:443 allow - unresolvable 502"),
        "{}",
        summary(&records[0])
    );
    proxy.counts_agree_with(&records);
    assert!(proxy.output().iter().any(|line| line.contains("self-test failed")), "{:?}", proxy.output());
}

#[test]
fn where_unlisted_names_may_pass_only_the_way_back_is_asked_for() {
    let ok = rule("ok", &["ok.test:*"]);
    for (rest, why) in [
        (format!("mode = \"observe\"\n{ok}"), "unknown names were not asked for: observe mode"),
        (format!("egress = \"all\"\n{ok}"), "unknown names were not asked for: egress = \"all\""),
        (format!("mode = \"observe\"\nenabled = false\n{ok}"), "an unknown name, unresolved,"),
        (format!("mode = \"observe\"\negress = \"none\"\n{ok}"), "an unknown name, unresolved,"),
    ] {
        let proxy = Proxy::with(policy("r1", &rest));
        let (ok, detail, gauge) = result(&proxy);
        assert!(ok && gauge == 1 && detail.contains(why), "{rest}: {detail}");
        proxy.account(&[]);
        assert_eq!(proxy.names_asked(), [""; 0], "{rest}");
    }
}

#[test]
fn a_tls_listener_is_asked_by_tls() {
    let dir = TempDir::new().unwrap();
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["proxy.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let [cert_file, key_file] = ["cert.pem", "key.pem"].map(|name| dir.path().join(name));
    fs::write(&cert_file, cert.pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    let tls = format!("tls = {{ cert = {cert_file:?}, key = {key_file:?} }}");
    let proxy = Settings::with(allow(&["ok.test:*"])).listen(&tls).start();
    let (ok, detail, _) = result(&proxy);
    assert!(ok && detail.starts_with("1 listener denies an unknown name, unresolved,"), "{detail}");
    assert!(!detail.contains("not tested"), "{detail}");
    assert_eq!(proxy.metrics().sum("outgate_connections_total", &[("result", "tls_failed")]), 0);
    proxy.account(&[]);
}
