//! Observe mode: what would be denied passes, is recorded as such, and what protects the machine stays.
//!
//! On loopback an observed request never arrives: no rule names it, so nothing lifts the address check. How far it comes
//! shows all the same: the policy lets it pass, its name is looked up, and then it fails like an allowed one.

use crate::expectations::{assert_denied, assert_failed};
use crate::harness::{Proxy, Settings, policy, rule};

#[test]
fn what_no_rule_names_passes_and_is_recorded_as_observed() {
    let proxy = Proxy::with(policy("r1", &format!("mode = \"observe\"\n{}", rule("ok", &["ok.test:443"]))));
    assert_failed(&proxy.connect("gone.test:443").1, 502, "dns_error");
    assert_failed(&proxy.get("http://gone.test:8080/x"), 502, "dns_error");
    let records = proxy.account(&[
        "connect gone.test:443 observe host_not_allowed unresolvable 502",
        "http gone.test:8080/x observe host_not_allowed unresolvable 502",
    ]);
    assert_eq!(records[0]["revision"], "r1");
    assert_eq!(proxy.names_asked(), ["gone.test"]);
    assert_eq!(proxy.api("/v1/policy")["mode"], "observe");
}

#[test]
fn the_same_request_is_denied_and_not_looked_up_when_enforced() {
    let proxy = Proxy::with(policy("r1", &rule("ok", &["ok.test:443"])));
    assert_denied(&proxy.connect("gone.test:443").1, "host_not_allowed");
    proxy.account(&["connect gone.test:443 deny host_not_allowed denied 403"]);
    assert_eq!(proxy.names_asked(), [""; 0]);
}

#[test]
fn what_protects_the_machine_is_never_observed_only() {
    let rules = format!("mode = \"observe\"\ndeny = [\"bad.test\"]\n{}", rule("ok", &["ok.test:443"]));
    let proxy = Proxy::with(policy("r1", &rules));
    assert_denied(&proxy.connect("bad.test:443").1, "host_denied");
    assert_denied(&proxy.connect("no.test:443").1, "address_not_allowed");
    assert_denied(&proxy.connect("127.0.0.1:9").1, "address_not_allowed");
    assert_denied(&proxy.connect(&proxy.address().to_string()).1, "loop");
    assert_eq!(proxy.raw("nonsense\r\n\r\n").only().status(), 400);
    proxy.account(&[
        "connect bad.test:443 deny host_denied denied 403",
        "connect no.test:443 deny address_not_allowed denied 403",
        "connect 127.0.0.1:9 deny address_not_allowed denied 403",
        &format!("connect {} deny loop denied 403", proxy.address()),
        "- - none malformed_request malformed 400",
    ]);
    proxy.set_policy(&policy("r2", "mode = \"observe\"\nenabled = false\n"));
    assert_denied(&proxy.connect("gone.test:443").1, "egress_disabled");
    proxy.set_policy(&policy("r3", "mode = \"observe\"\negress = \"none\"\n"));
    assert_denied(&proxy.connect("gone.test:443").1, "egress_none");
}

#[test]
fn the_flag_overrides_the_policy_and_is_reported_at_start() {
    let proxy = Settings::with(policy("r1", &rule("ok", &["ok.test:443"]))).argument("--observe").start();
    assert_failed(&proxy.connect("gone.test:443").1, 502, "dns_error");
    proxy.account(&["connect gone.test:443 observe host_not_allowed unresolvable 502"]);
    assert!(proxy.output().iter().any(|line| line.to_lowercase().contains("observe")), "{:#?}", proxy.output());
    proxy.set_policy(&policy("r2", ""));
    assert_failed(&proxy.connect("gone.test:443").1, 502, "dns_error");
}

#[test]
fn the_start_message_warns_that_names_are_looked_up_only_when_they_are() {
    let said = |mode: &str| {
        let proxy = Proxy::with(policy("r1", &format!("mode = \"{mode}\"\n{}", rule("ok", &["ok.test:443"]))));
        proxy.output().join("\n").contains("names that no rule lists are resolved")
    };
    assert!(said("observe"));
    assert!(!said("enforce"));
}

#[test]
fn a_name_of_one_label_passes_in_observe_mode_as_any_other_and_its_addresses_are_checked() {
    let policy = |mode: &str| policy("r1", &format!("mode = \"{mode}\"\n{}", rule("ok", &["ok.test:443"])));
    let proxy = Settings::with(policy("observe")).host("intranet", "[\"127.0.0.1\"]").start();
    assert_failed(&proxy.connect("gone:443").1, 502, "dns_error");
    assert_denied(&proxy.connect("intranet:443").1, "address_not_allowed");
    assert_eq!(proxy.names_asked(), ["gone"], "as it was asked for, without a search list");
    proxy.account(&[
        "connect gone:443 observe host_not_allowed unresolvable 502",
        "connect intranet:443 deny address_not_allowed denied 403",
    ]);
    let proxy = Proxy::with(policy("enforce"));
    assert_denied(&proxy.connect("gone:443").1, "host_not_allowed");
    assert_eq!(proxy.names_asked(), [""; 0]);
}
