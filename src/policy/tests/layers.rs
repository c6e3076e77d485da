//! Several policies at once: each can only narrow what the others allow.

use super::*;
use crate::facts::{Opening, ServerName};

fn layer(name: &str, layer: PolicyDocument) -> Policy {
    let document = PolicyDocument { name: name.to_owned(), revision: Some(format!("{name}-1")), ..layer };
    compile_with(&document, &[]).unwrap().policy
}

fn stack(organisation: PolicyDocument, machine: PolicyDocument) -> Snapshot {
    let stack = Stack::new(layer("org", organisation), vec![layer("machine", machine)]);
    Snapshot::new(Arc::new(stack))
}

fn allowing(allow: &[&str]) -> PolicyDocument {
    PolicyDocument { allow: texts(allow), ..document() }
}

fn only_denying(deny: &[&str]) -> PolicyDocument {
    PolicyDocument { egress: Egress::All, deny: texts(deny), ..document() }
}

/// The decision with the layer that is cited, and the revision that a record cites.
fn cited(policy: &Snapshot, facts: &RequestFacts) -> String {
    let (layer, mut cited) = match policy.decide(facts) {
        Decision::Allow(permit) => (permit.layer().map(str::to_owned), Cited::from(&permit)),
        Decision::Deny(denial) => (denial.layer().map(str::to_owned), Cited::from(&denial)),
    };
    let (rule, revision) = (cited.rule().map(str::to_owned), cited.revision().to_owned());
    assert_eq!(cited.layer(), layer.as_deref());
    cited.detach();
    assert_eq!((cited.layer(), cited.rule(), cited.revision()), (layer.as_deref(), rule.as_deref(), &*revision));
    format!("{}, layer {}, revision {revision}", verdict(policy, facts), layer.as_deref().unwrap_or("-"))
}

#[test]
fn a_request_passes_only_if_every_layer_allows_it_and_the_first_that_denies_is_cited() {
    let policy = stack(allowing(&["both.test", "org.test"]), allowing(&["both.test", "machine.test"]));
    for (to, expected) in [
        ("both.test", "allow allow:both.test, layer org, revision org-1"),
        ("org.test", "deny host_not_allowed -, layer machine, revision machine-1"),
        ("machine.test", "deny host_not_allowed -, layer org, revision org-1"),
        ("neither.test", "deny host_not_allowed -, layer org, revision org-1"),
    ] {
        assert_eq!(cited(&policy, &tunnel(to)), expected, "{to}");
    }
    assert_eq!((policy.name(), policy.revision(), policy.rule_count()), ("org", "org-1+machine-1", 4));
}

#[test]
fn a_layer_that_only_denies_cites_the_rule_of_the_one_that_allows() {
    let policy = stack(only_denying(&["bad.both.test"]), allowing(&["**.both.test"]));
    for (to, expected) in [
        ("both.test", "allow allow:**.both.test, layer machine, revision machine-1"),
        ("bad.both.test", "deny host_denied deny:bad.both.test, layer org, revision org-1"),
        ("other.test", "deny host_not_allowed -, layer machine, revision machine-1"),
    ] {
        assert_eq!(cited(&policy, &tunnel(to)), expected, "{to}");
    }
    assert_eq!(
        cited(&stack(only_denying(&[]), only_denying(&[])), &tunnel("a.test")),
        "all, layer org, revision org-1"
    );
}

#[test]
fn a_single_layer_is_not_named() {
    let policy = Snapshot::from(layer("org", allowing(&["a.test"])));
    assert_eq!(cited(&policy, &tunnel("a.test")), "allow allow:a.test, layer -, revision org-1");
    assert_eq!(cited(&policy, &tunnel("b.test")), "deny host_not_allowed -, layer -, revision org-1");
}

#[test]
fn a_switch_in_any_layer_denies_and_observing_in_one_layer_lifts_nothing_in_the_other() {
    let observing = |allow: &[&str]| PolicyDocument { mode: Mode::Observe, ..allowing(allow) };
    let off = || PolicyDocument { enabled: false, ..allowing(&["a.test"]) };
    let table = [
        (stack(allowing(&["a.test"]), off()), "deny egress_disabled -, layer machine, revision machine-1"),
        (stack(observing(&[]), allowing(&["a.test"])), "observe host_not_allowed, layer org, revision org-1"),
        (stack(allowing(&["a.test"]), observing(&[])), "observe host_not_allowed, layer machine, revision machine-1"),
        (stack(observing(&[]), allowing(&[])), "deny host_not_allowed -, layer machine, revision machine-1"),
        (stack(observing(&["a.test"]), allowing(&["a.test"])), "allow allow:a.test, layer org, revision org-1"),
    ];
    for (policy, expected) in &table {
        assert_eq!(cited(policy, &tunnel("a.test")), *expected);
    }
    assert!(!table[0].0.enabled());
    assert_eq!((table[1].0.mode(), table[4].0.mode()), (Mode::Observe, Mode::Observe));
}

#[test]
fn an_internal_address_is_opened_by_every_layer_that_names_the_host_and_by_one_at_least() {
    let opening = |net: &str| PolicyDocument { internal_addresses: texts(&[net]), ..allowing(&["a.test"]) };
    let silent = || PolicyDocument { internal_addresses: texts(&["10.0.0.0/8"]), ..only_denying(&[]) };
    let (all, low) = ("10.0.0.0/8", "10.0.0.0/9");
    for (policy, address, expected) in [
        (stack(opening(all), opening(low)), "10.1.1.1", "ok"),
        (stack(opening(all), opening(low)), "10.200.1.1", "address_not_allowed -"),
        (stack(opening(low), opening(all)), "10.200.1.1", "address_not_allowed -"),
        (stack(opening(all), allowing(&["a.test"])), "10.1.1.1", "address_not_allowed -"),
        (stack(silent(), opening(all)), "10.1.1.1", "ok"),
        (stack(opening(all), silent()), "10.1.1.1", "ok"),
        (stack(silent(), allowing(&["a.test"])), "10.1.1.1", "address_not_allowed -"),
        (stack(silent(), silent()), "10.1.1.1", "address_not_allowed -"),
        (
            stack(PolicyDocument { mode: Mode::Observe, ..silent_allowlist() }, opening(all)),
            "10.1.1.1",
            "address_not_allowed -",
        ),
        (stack(only_denying(&["10.1.0.0/16"]), opening(all)), "10.1.1.1", "address_not_allowed deny:10.1.0.0/16"),
        (stack(only_denying(&["10.1.0.0/16"]), opening(all)), "10.2.1.1", "ok"),
    ] {
        assert_eq!(vet(&permit(&policy, &tunnel("a.test")), &[address]), expected, "{address} {policy:?}");
    }
}

/// Allows nothing, and opens addresses all the same.
fn silent_allowlist() -> PolicyDocument {
    PolicyDocument { internal_addresses: texts(&["10.0.0.0/8"]), ..document() }
}

#[test]
fn a_tunnel_begins_as_every_layer_that_names_the_host_lets_it() {
    let optional =
        || PolicyDocument { rules: vec![RuleDocument { tls: Tls::Optional, ..rule("o", &["a.test"]) }], ..document() };
    for (policy, expected) in [
        (stack(optional(), optional()), Tls::Optional),
        (stack(optional(), allowing(&["a.test"])), Tls::Required),
        (stack(allowing(&["a.test"]), optional()), Tls::Required),
        (stack(only_denying(&[]), optional()), Tls::Optional),
        (stack(only_denying(&[]), only_denying(&[])), Tls::Required),
    ] {
        assert_eq!(permit(&policy, &tunnel("a.test")).tls(), expected, "{policy:?}");
    }
}

#[test]
fn a_deny_rule_of_any_layer_applies_to_the_server_that_a_clienthello_names() {
    let facts = tunnel("192.0.2.1");
    let by = |organisation: PolicyDocument, machine: PolicyDocument| {
        let hello = Opening::Hello(ServerName::Name(crate::facts::DomainName::parse(b"bad.test").unwrap()));
        let permit = permit(&stack(organisation, machine), &facts);
        permit.admit(&facts, &hello).map_err(|denial| format!("{} {:?}", denial.reason(), denial.layer()))
    };
    let denied = by(allowing(&["192.0.2.1", "bad.test"]), only_denying(&["bad.test"]));
    assert_eq!(denied.unwrap_err(), "host_denied Some(\"machine\")");
    assert!(by(allowing(&["192.0.2.1", "bad.test"]), only_denying(&["other.test"])).unwrap().is_none());
}

#[test]
fn a_stack_changes_when_any_layer_does() {
    let until = |seconds: u64| PolicyDocument {
        rules: vec![RuleDocument { until: Some(spanned(at(seconds))), ..rule("r", &["a.test"]) }],
        ..document()
    };
    let policy = stack(until(20), until(10));
    assert_eq!(policy.next_change_after(at(0)), Some(at(10)));
    assert_eq!(policy.next_change_after(at(10)), Some(at(20)));
    assert!(policy.changes_since(at(5), || at(15)) && !policy.changes_since(at(11), || at(19)));
    assert_eq!(permit(&policy, &tunnel("a.test")).until(), Some(at(10)));
}
