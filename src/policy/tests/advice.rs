//! What is offered for a denied destination, added to the policy and asked again.

use proptest::prelude::*;

use super::*;
use crate::facts::{Host, Opening};
use crate::policy::text::{Format, read_policy};

const POLICY: &str = r#"
version = 1
name = "test"
allow = ["*.example.com", "ok.test", "allow.test:8000-8999", "10.9.0.0/16:*"]
deny = ["upload.example.com", "*.evil.test", "203.0.113.0/24", "bad.example.com:8443"]
internal-addresses = ["192.168.7.0/24"]
[[rule]]
id = "one-tool"
effect = "allow"
to = ["tool.test:443"]
tools = ["browser"]
[[rule]]
id = "get-only"
effect = "allow"
to = ["method.test"]
methods = ["GET"]
[[rule]]
effect = "allow"
to = ["late.test"]
from = 2099-01-01T00:00:00Z
[[rule]]
id = "allow-again.test:443"
effect = "allow"
to = ["elsewhere.test"]
[[rule]]
id = "not-for-cli"
effect = "deny"
to = ["**.split.test"]
tools = ["cli"]
"#;

fn read(text: &str, format: Format) -> Snapshot {
    let document = read_policy(text, format).unwrap_or_else(|problems| panic!("{problems:?} in {text}"));
    let compiled = Policy::compile(&document, Source { lists: &[], content_hash: "0123456789abcdef" });
    Snapshot::from(compiled.unwrap_or_else(|problems| panic!("{problems:?} in {text}")).policy)
}

fn own() -> OwnAddresses {
    OwnAddresses::new(vec!["127.0.0.1:3128".parse().unwrap()], Vec::new())
}

fn advise(policy: &Snapshot, destination: &str, reason: DenyReason, tools: &[&str]) -> Advice {
    let tools: Vec<_> = tools.iter().map(|tool| Tool::new(tool)).collect();
    Adviser::new(policy, &own()).advise(DeniedBefore { destination, reason, tools: &tools, at: at(0) })
}

fn facts(destination: &Destination, tool: &str) -> RequestFacts {
    RequestFacts { destination: destination.clone(), ..by(tool, tunnel("placeholder.test")) }
}

/// "add RULE KEYS; NOTE", "allowed RULE" or "nothing; WHY", shortened.
fn said(destination: &str, reason: DenyReason, tools: &[&str]) -> String {
    match advise(&read(POLICY, Format::Toml), destination, reason, tools) {
        Advice::Add { rule, note } => {
            let text = rule.write(Format::Json, None).replace("\"effect\": \"allow\", ", "");
            format!("{text} {}", note.unwrap_or_default())
        }
        Advice::Allowed { rule } => format!("allowed {}", rule.unwrap_or_default()),
        Advice::Nothing(why) => why,
    }
}

#[test]
fn each_reason_has_the_smallest_rule_that_allows_it_or_says_why_none_does() {
    use DenyReason::*;
    let rows: [(&str, DenyReason, &[&str], &str); 30] = [
        ("new.test:443", HostNotAllowed, &["cli"], r#"{"id": "allow-new.test:443", "to": ["new.test:443"]} "#),
        ("example.com:443", HostNotAllowed, &[], r#"{"id": "allow-example.com:443", "to": ["example.com:443"]} "#),
        ("again.test:443", HostNotAllowed, &[], r#"{"id": "allow-again.test:443-2", "to": ["again.test:443"]} "#),
        ("printer:631", HostNotAllowed, &[], r#"{"id": "allow-printer:631", "to": ["printer:631"]} "#),
        ("allow.test:443", PortNotAllowed, &[], r#"{"id": "allow-allow.test:443", "to": ["allow.test:443"]} "#),
        ("ok.test:443", HostNotAllowed, &[], "allowed allow:ok.test"),
        (
            "upload.example.com:443",
            HostDenied,
            &[],
            "the deny rule `deny:upload.example.com` names it, and deny wins over any allow: change that rule",
        ),
        (
            "upload.example.com:443",
            HostNotAllowed,
            &[],
            "the deny rule `deny:upload.example.com` names it, and deny wins over any allow: change that rule",
        ),
        ("bad.example.com:443", HostDenied, &[], "allowed allow:*.example.com"),
        (
            "203.0.113.9:443",
            AddressNotAllowed,
            &[],
            "the deny rule `deny:203.0.113.0/24` names it, and deny wins over any allow: change that rule",
        ),
        (
            "a.split.test:443",
            HostDenied,
            &["cli"],
            "the deny rule `not-for-cli` names it, and deny wins over any allow: change that rule",
        ),
        (
            "a.split.test:443",
            HostNotAllowed,
            &["web"],
            r#"{"id": "allow-a.split.test:443", "to": ["a.split.test:443"]} "#,
        ),
        (
            "tool.test:443",
            ToolNotAllowed,
            &["cli", "web"],
            r#"{"id": "allow-tool.test:443-for-cli-web", "to": ["tool.test:443"], "tools": ["cli", "web"]} the rule `one-tool` allows it to other tools"#,
        ),
        (
            "tool.test:443",
            ToolNotAllowed,
            &["cli", "browser"],
            r#"{"id": "allow-tool.test:443-for-cli", "to": ["tool.test:443"], "tools": ["cli"]} the rule `one-tool` allows it to other tools"#,
        ),
        (
            "tool.test:443",
            SniMissing,
            &["cli", "browser"],
            r#"{"id": "allow-tool.test:443-tls-optional", "to": ["tool.test:443"], "tools": ["cli", "browser"], "tls": "optional"} the rule `one-tool` allows it to other tools"#,
        ),
        (
            "method.test:80",
            MethodNotAllowed,
            &[],
            r#"{"id": "allow-method.test:80", "to": ["method.test:80"]} the rule `get-only` allows only some methods; this one allows all"#,
        ),
        (
            "late.test:443",
            OutsidePeriod,
            &[],
            r#"{"id": "allow-late.test:443", "to": ["late.test:443"]} the rule `rule:3` allows it at another time; this one does at any"#,
        ),
        (
            "ok.test:443",
            NotTls,
            &[],
            r#"{"id": "allow-ok.test:443-tls-optional", "to": ["ok.test:443"], "tls": "optional"} tunnels may then begin with something else than TLS for that name"#,
        ),
        (
            "ok.test:443",
            SniMissing,
            &[],
            r#"{"id": "allow-ok.test:443-tls-optional", "to": ["ok.test:443"], "tls": "optional"} tunnels may then begin with something else than TLS for that name"#,
        ),
        (
            "ok.test:443",
            SniMismatch,
            &[],
            "the TLS hello named another server than was asked for: look at the client, no rule allows that",
        ),
        (
            "ok.test:443",
            AddressNotAllowed,
            &[],
            "it leads to an address that is not public: if that is meant, name the range in `addresses` of the rule `allow:ok.test`, or in `internal-addresses`",
        ),
        (
            "10.9.0.1:22",
            AddressNotAllowed,
            &[],
            r#"{"id": "allow-10.9.0.1:22", "to": ["10.9.0.1:22"], "addresses": ["10.9.0.1"]} "#,
        ),
        (
            "10.0.0.1:22",
            HostNotAllowed,
            &[],
            r#"{"id": "allow-10.0.0.1:22", "to": ["10.0.0.1:22"], "addresses": ["10.0.0.1"]} "#,
        ),
        ("192.168.7.9:443", HostNotAllowed, &[], r#"{"id": "allow-192.168.7.9:443", "to": ["192.168.7.9:443"]} "#),
        (
            "[fd00::1]:443",
            HostNotAllowed,
            &[],
            r#"{"id": "allow-[fd00::1]:443", "to": ["[fd00::1]:443"], "addresses": ["fd00::1"]} "#,
        ),
        (
            "169.254.169.254:80",
            HostNotAllowed,
            &[],
            "a cloud's metadata service gives credentials to any program that reaches it; it is not offered here",
        ),
        ("127.0.0.1:3128", Loop, &[], "it would lead back into this proxy: look at the client's proxy settings"),
        ("127.0.0.1:3128", HostNotAllowed, &[], "it is one of this proxy's own sockets"),
        (
            "*.flood.test",
            HostNotAllowed,
            &[],
            r#"{"id": "allow-*.flood.test", "to": ["*.flood.test"]} covers every name below `flood.test`, on the ports 80 and 443: rather name the few that are needed"#,
        ),
        (
            "*.evil.test",
            HostNotAllowed,
            &[],
            "the deny rule `deny:*.evil.test` names it, and deny wins over any allow: change that rule",
        ),
    ];
    for (destination, reason, tools, expected) in rows {
        assert_eq!(said(destination, reason, tools), expected, "{destination} {reason} {tools:?}");
    }
}

#[test]
fn a_switch_comes_before_any_rule() {
    for (line, why) in [
        ("enabled = false\n", "the organisation's switch is off: `enabled = true` turns it on"),
        ("egress = \"none\"\n", "`egress = \"none\"` closes everything: change `egress`"),
    ] {
        let policy = read(&POLICY.replacen("name", &format!("{line}name"), 1), Format::Toml);
        let advice = advise(&policy, "new.test:443", DenyReason::HostNotAllowed, &[]);
        assert_eq!(advice, Advice::Nothing(why.to_owned()));
    }
}

#[test]
fn what_no_pattern_can_name_gets_no_rule() {
    for row in [
        "",
        "*.",
        "*.com",
        "*.co.uk",
        "*.*.test",
        "*",
        "other",
        "a b:443",
        "\"]:1",
        "a.test",
        "a.test:0",
        "*.1",
        "*.githubusercontent.com",
    ] {
        assert!(
            matches!(advise(&read(POLICY, Format::Toml), row, DenyReason::HostNotAllowed, &[]), Advice::Nothing(_)),
            "{row}"
        );
    }
}

fn hosts() -> impl Strategy<Value = String> {
    let label = "[a-z0-9_-]{1,9}";
    prop_oneof![
        3 => proptest::collection::vec(label, 1..5).prop_map(|labels| labels.join(".")),
        2 => (label, proptest::sample::select(vec!["example.com", "ok.test", "evil.test", "split.test", "tool.test", "allow.test", "com", "1", "0x7f.1"]))
            .prop_map(|(label, domain)| format!("{label}.{domain}")),
        1 => proptest::sample::select(vec!["ok.test", "tool.test", "method.test", "late.test", "again.test", "rule", "allow", "upload.example.com", "bad.example.com", "xn--bcher-kva.test"]).prop_map(str::to_owned),
        2 => any::<[u8; 4]>().prop_map(|ip| std::net::Ipv4Addr::from(ip).to_string()),
        1 => proptest::sample::select(vec!["10.9.0.1", "127.0.0.1", "169.254.169.254", "203.0.113.7", "192.168.7.1", "[fd00:ec2::254]", "[::ffff:10.0.0.1]", "[64:ff9b::7f00:1]"]).prop_map(str::to_owned),
        1 => any::<[u8; 16]>().prop_map(|ip| format!("[{}]", std::net::Ipv6Addr::from(ip))),
        1 => "\\PC{0,20}",
    ]
}

fn is_allowed(policy: &Snapshot, destination: &Destination, tool: &str, reason: DenyReason) -> bool {
    let facts = facts(destination, tool);
    let Decision::Allow(permit) = policy.decide(&facts) else { return false };
    let opening = match reason {
        DenyReason::NotTls => Opening::NotTls,
        DenyReason::SniMissing => Opening::Hello(crate::facts::ServerName::Missing),
        _ => match destination.host() {
            Host::Name(name) => Opening::Hello(crate::facts::ServerName::Name(name.clone())),
            Host::Ip(_) => Opening::Hello(crate::facts::ServerName::Missing),
        },
    };
    let reached = match destination.host() {
        Host::Ip(ip) => permit.vet(&[*ip], &own()).is_ok(),
        Host::Name(_) => true,
    };
    permit.observed().is_none() && reached && permit.admit(&facts, &opening).is_ok()
}

/// The policy with the rule that was offered: TOML at its end, JSON in its list.
fn with(rule: &crate::policy::text::RuleText) -> [Snapshot; 2] {
    let toml = read(&format!("{POLICY}\n{}", rule.write(Format::Toml, None)), Format::Toml);
    let base =
        r#""version": 1, "name": "test", "deny": ["upload.example.com"], "internal-addresses": ["192.168.7.0/24"]"#;
    let json = read(&format!("{{{base}, \"rule\": [{}]}}", rule.write(Format::Json, None)), Format::Json);
    [toml, json]
}

proptest! {
    #[test]
    fn a_rule_that_is_offered_is_valid_allows_just_that_and_what_is_said_to_be_allowed_is(
        host in hosts(),
        port in prop_oneof![Just(443_u16), Just(80), Just(8443), Just(3128), any::<u16>()],
        reason in proptest::sample::select(DenyReason::ALL.to_vec()),
        tools in proptest::sample::subsequence(vec!["cli", "browser", "web-fetch"], 0..=3),
        neighbour in hosts(),
    ) {
        let row = format!("{host}:{port}");
        let before = read(POLICY, Format::Toml);
        let asked: Vec<&str> = if tools.is_empty() { vec![""] } else { tools.clone() };
        match advise(&before, &row, reason, &tools) {
            Advice::Add { rule, .. } => {
                let destination = Destination::parse(row.as_bytes(), None).expect("a rule only for what is a destination");
                let [after, json] = with(&rule);
                for tool in &asked {
                    prop_assert!(is_allowed(&after, &destination, tool, reason), "{row} by {tool:?}: {rule:?}");
                }
                let limited = rule.tools.first().map_or("", String::as_str);
                prop_assert!(is_allowed(&json, &destination, limited, reason) || row.starts_with("upload."), "{row}: {rule:?}");
                let other = destination.port().get().wrapping_add(1).max(1);
                let near = [
                    format!("{host}:{other}"),
                    format!("a.{host}:{port}"),
                    format!("{neighbour}:{port}"),
                    host.split_once('.').map_or_else(String::new, |(_, above)| format!("{above}:{port}")),
                ];
                for text in near {
                    let Ok(near) = Destination::parse(text.as_bytes(), None) else { continue };
                    if near == destination {
                        continue;
                    }
                    let facts = facts(&near, "cli");
                    let allows = |policy| verdict(policy, &facts).starts_with("allow");
                    prop_assert_eq!(allows(&before), allows(&after), "{} next to {}", text, row);
                }
            }
            Advice::Allowed { .. } => {
                let destination = Destination::parse(row.as_bytes(), None).expect("allowed");
                for tool in &asked {
                    prop_assert!(is_allowed(&before, &destination, tool, reason), "{row} by {tool:?}");
                }
            }
            Advice::Nothing(why) => prop_assert!(!why.is_empty() && !why.ends_with('.')),
        }
    }

    #[test]
    fn a_domain_s_rule_is_valid_and_allows_what_is_below_it_alone(domain in "[a-z0-9_.-]{1,20}", label in "[a-z]{1,8}") {
        let row = format!("*.{domain}");
        if let Advice::Add { rule, .. } = advise(&read(POLICY, Format::Toml), &row, DenyReason::HostNotAllowed, &[]) {
            let [after, json] = with(&rule);
            let below = format!("{label}.{domain}");
            let other_port = format!("{below}:22");
            for policy in [after, json] {
                prop_assert!(verdict(&policy, &tunnel(&below)).starts_with("allow "));
                prop_assert!(verdict(&policy, &tunnel(&other_port)).starts_with("deny port_not_allowed"));
            }
        }
    }
}
