//! The fast decision against a slow one that reads like the contract.

use proptest::prelude::*;

use super::super::pattern::{HostPattern, Pattern, Scope};
use super::super::ports::Ports;
use super::*;
use crate::facts::{Host, embedded_ipv4};

/// Every rule of a document with its patterns, asked one after the other.
fn decide_slowly(document: &PolicyDocument, lists: &[String], facts: &RequestFacts) -> String {
    let mut rules: Vec<RuleDocument> = Vec::new();
    let entries = |key: &str, effect: Effect, texts: &[Spanned<String>]| {
        let entry = |text: &Spanned<String>| {
            let id = format!("{key}:{}", Pattern::parse(&text.value).unwrap());
            RuleDocument { effect, ..rule(&id, &[&text.value]) }
        };
        texts.iter().map(entry).collect::<Vec<_>>()
    };
    rules.extend(entries("allow", Effect::Allow, &document.allow));
    rules.extend(entries("deny", Effect::Deny, &document.deny));
    if document.egress == Egress::PackageManagers {
        rules.extend(entries("package-managers", Effect::Allow, &document.package_managers));
    }
    rules.extend(document.rules.clone());
    for (list, text) in document.lists.iter().zip(lists) {
        let prefix = if list.covers == Covers::Subdomains { "**." } else { "" };
        let to: Vec<String> = text.lines().map(|line| format!("{prefix}{line}")).collect();
        let to: Vec<&str> = to.iter().map(String::as_str).collect();
        let id = format!("list:{}", list.file.value);
        rules.push(RuleDocument { effect: list.effect, ..rule(&id, &to) });
    }
    let any = |effect: Effect, wanted: fn(Option<u8>) -> bool| {
        rules.iter().filter(|rule| rule.effect == effect).any(|rule| wanted(stage(rule, facts)))
    };
    let furthest = rules.iter().filter(|rule| rule.effect == Effect::Allow).filter_map(|rule| stage(rule, facts)).max();
    let single = facts.destination.host().as_name().is_some_and(crate::facts::DomainName::is_single_label);
    let literal = facts.destination.host().as_name().is_none();
    let denied = match () {
        () if !document.enabled => "egress_disabled",
        () if document.egress == Egress::None => "egress_none",
        () if facts.passed_through_us => "loop",
        () if any(Effect::Deny, |stage| stage == Some(PASSED)) && literal => "address_not_allowed",
        () if any(Effect::Deny, |stage| stage == Some(PASSED)) => "host_denied",
        () if furthest == Some(PASSED) => return "allow".to_owned(),
        () if document.egress == Egress::All && (furthest.is_some() || !single) => return "all".to_owned(),
        () => match furthest {
            None => "host_not_allowed",
            Some(0) => "port_not_allowed",
            Some(1) => "tool_not_allowed",
            Some(2) => "outside_period",
            Some(_) => "method_not_allowed",
        },
    };
    let observed = denied.ends_with("_not_allowed") && denied != "address_not_allowed" || denied == "outside_period";
    if document.mode == Mode::Observe && observed { format!("observe {denied}") } else { format!("deny {denied}") }
}

const PASSED: u8 = 4;

/// The furthest test that some pattern of the rule reaches; none where no pattern names the host.
fn stage(rule: &RuleDocument, facts: &RequestFacts) -> Option<u8> {
    let stage_of = |text: &Spanned<String>| {
        let pattern = Pattern::parse(&text.value).unwrap();
        if !names(&pattern.target, facts.destination.host(), rule.effect) {
            return None;
        }
        let port = facts.destination.port();
        let on_port = match (&pattern.ports, &rule.ports) {
            (Some(ports), _) => ports.contains(port),
            (None, Some(PortsDocument::Any)) => true,
            (None, Some(PortsDocument::These(ranges))) => {
                ranges.iter().any(|range| (range.value.0..=range.value.1).contains(&port.get()))
            }
            (None, None) => rule.effect == Effect::Deny || Ports::web().contains(port),
        };
        let is = |texts: &[Spanned<String>], asked: &str| texts.is_empty() || texts.iter().any(|t| t.value == asked);
        let by_tool = is(&rule.tools, facts.tool.as_str());
        let in_period = rule.from.as_ref().is_none_or(|from| facts.at >= from.value)
            && rule.until.as_ref().is_none_or(|until| facts.at < until.value);
        let by_method = match &facts.method {
            _ if rule.methods.is_empty() => true,
            Some(method) => {
                let named = |name: &str| rule.methods.iter().any(|written| written.value == name);
                let by_token = method.as_str() != "WEBSOCKET" && named(method.as_str());
                let by_upgrade = facts.upgrade.is_some() && named("WEBSOCKET");
                match rule.effect {
                    Effect::Deny => by_token || by_upgrade,
                    Effect::Allow if facts.upgrade.is_some() => by_upgrade,
                    Effect::Allow => by_token,
                }
            }
            None => rule.effect == Effect::Deny,
        };
        let passed = [on_port, by_tool, in_period, by_method].into_iter().take_while(|passed| *passed).count();
        u8::try_from(passed).ok()
    };
    rule.to.iter().filter_map(stage_of).max()
}

fn names(target: &HostPattern, host: &Host, effect: Effect) -> bool {
    match (target, host) {
        (HostPattern::Name(name, scope), Host::Name(asked)) => {
            let below = asked.as_str().ends_with(&format!(".{name}"));
            match scope {
                Scope::Exact => asked == name,
                Scope::Below => below,
                Scope::Both => below || asked == name,
            }
        }
        (HostPattern::Network(net), Host::Ip(ip)) => {
            let inside = match ip {
                IpAddr::V6(ip) if effect == Effect::Deny => embedded_ipv4(*ip).map(IpAddr::V4),
                _ => None,
            };
            // A deny rule for one v4-mapped address is one for the address inside.
            let meant = match net {
                ipnet::IpNet::V6(v6) if effect == Effect::Deny && v6.prefix_len() == 128 => v6.addr().to_ipv4_mapped(),
                _ => None,
            };
            let covers = |ip: IpAddr| net.contains(&ip) || meant.is_some_and(|meant| ip == IpAddr::V4(meant));
            if effect == Effect::Allow {
                let mapped = matches!(ip, IpAddr::V6(ip) if ip.segments()[..6] == [0, 0, 0, 0, 0, 0xffff]);
                let special = !crate::facts::AddressClass::of(*ip).is_global();
                return covers(*ip) && !(special && net.prefix_len() == 0) && !(mapped && net.prefix_len() < 96);
            }
            covers(*ip) || inside.is_some_and(covers)
        }
        _ => false,
    }
}

fn fast(policy: &Snapshot, facts: &RequestFacts) -> String {
    match policy.decide(facts) {
        Decision::Allow(permit) => match permit.basis() {
            Basis::Rule(_) => "allow".to_owned(),
            Basis::EgressAll => "all".to_owned(),
            Basis::Observed(denial) => format!("observe {}", denial.reason()),
        },
        Decision::Deny(denial) => format!("deny {}", denial.reason()),
    }
}

/// Names from so few labels that rules and requests meet often.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::collection::vec("[ab]", 1..3).prop_map(|labels| format!("{}.test", labels.join("."))),
        1 => Just("test".to_owned()),
    ]
}

fn address() -> impl Strategy<Value = String> {
    let v4 = (0_u8..2, 0_u8..4).prop_map(|(c, d)| format!("9.9.{c}.{d}"));
    prop_oneof![
        3 => v4,
        1 => (0_u8..3).prop_map(|d| format!("::ffff:9.9.0.{d}")),
        1 => (0_u8..3).prop_map(|d| format!("64:ff9b::9.9.0.{d}")),
        1 => (0_u8..3).prop_map(|d| format!("2001:db8::{d}")),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        name(),
        name().prop_map(|name| format!("*.{name}")),
        name().prop_map(|name| format!("**.{name}")),
        address().prop_map(|ip| if ip.contains(':') { format!("[{ip}]") } else { ip }),
        (0_u8..=32, 0_u32..4).prop_map(|(length, low)| {
            let net = ipnet::Ipv4Net::new((0x0909_0000 | low).into(), length).unwrap();
            net.trunc().to_string()
        }),
        Just("[2001:db8::/127]".to_owned()),
        Just("[::/0]".to_owned()),
    ];
    (host, prop_oneof![3 => Just(""), 1 => Just(":443"), 1 => Just(":1-99"), 1 => Just(":*")])
        .prop_map(|(host, ports)| format!("{host}{ports}"))
}

fn patterns() -> impl Strategy<Value = Vec<Spanned<String>>> {
    proptest::collection::btree_set(pattern(), 0..4).prop_map(|set| {
        let mut seen = std::collections::HashSet::new();
        let fresh = |text: &String| seen.insert(Pattern::parse(text).unwrap());
        set.into_iter().filter(fresh).map(spanned).collect()
    })
}

fn some_of(words: &'static [&'static str]) -> impl Strategy<Value = Vec<Spanned<String>>> {
    prop_oneof![3 => Just(Vec::new()), 2 => proptest::sample::subsequence(words, 0..=words.len()).prop_map(|w| texts(&w))]
}

fn any_rule() -> impl Strategy<Value = RuleDocument> {
    let ports = prop_oneof![
        3 => Just(None),
        1 => Just(Some(PortsDocument::Any)),
        1 => Just(Some(PortsDocument::These(vec![spanned((22, 22)), spanned((80, 90))]))),
    ];
    let period = prop_oneof![
        3 => Just((None, None)),
        1 => (0_u64..3, 3_u64..5).prop_map(|(from, until)| (Some(spanned(at(from))), Some(spanned(at(until))))),
    ];
    let effect = prop_oneof![2 => Just(Effect::Allow), 1 => Just(Effect::Deny)];
    (effect, patterns(), ports, some_of(&["cli", "web"]), some_of(&["GET", "POST", "WEBSOCKET"]), period).prop_map(
        |(effect, to, ports, tools, methods, (from, until))| RuleDocument {
            effect,
            to,
            ports,
            tools,
            methods,
            from,
            until,
            ..rule("", &[])
        },
    )
}

fn any_list() -> impl Strategy<Value = (ListDocument, String)> {
    let effect = prop_oneof![Just(Effect::Allow), Just(Effect::Deny)];
    let covers = prop_oneof![Just(Covers::Exact), Just(Covers::Subdomains)];
    (effect, covers, proptest::collection::vec(name(), 0..5))
        .prop_map(|(effect, covers, names)| (list("", effect, covers), names.join("\n")))
}

fn any_policy() -> impl Strategy<Value = (PolicyDocument, Vec<String>)> {
    let egress = prop_oneof![
        6 => Just(Egress::Allowlist),
        2 => Just(Egress::All),
        2 => Just(Egress::PackageManagers),
        1 => Just(Egress::None),
    ];
    let mode = prop_oneof![2 => Just(Mode::Enforce), 1 => Just(Mode::Observe)];
    let switches = (proptest::bool::weighted(0.95), egress, mode);
    let entries = (patterns(), patterns(), patterns());
    let rules = proptest::collection::vec(any_rule(), 0..5);
    let lists = proptest::collection::vec(any_list(), 0..3);
    (switches, entries, rules, lists).prop_map(
        |((enabled, egress, mode), (allow, deny, package_managers), mut rules, lists)| {
            for (index, rule) in rules.iter_mut().enumerate() {
                rule.id.value = format!("rule:{index}");
            }
            let (mut lists, texts): (Vec<_>, Vec<_>) = lists.into_iter().unzip();
            for (index, list) in lists.iter_mut().enumerate() {
                list.file.value = format!("{index}");
            }
            let written =
                PolicyDocument { enabled, egress, mode, allow, deny, package_managers, rules, lists, ..document() };
            (written, texts)
        },
    )
}

fn any_facts() -> impl Strategy<Value = RequestFacts> {
    let host = prop_oneof![
        3 => name(),
        1 => address().prop_map(|ip| if ip.contains(':') { format!("[{ip}]") } else { ip }),
    ];
    let port = prop_oneof![Just(443), Just(80), Just(22), Just(9)];
    let method = prop_oneof![
        3 => Just((None, None)),
        3 => Just((Some("GET"), None)),
        3 => Just((Some("POST"), None)),
        3 => Just((Some("GET"), Some(Upgrade::WebSocket))),
        1 => Just((Some("WEBSOCKET"), None)),
    ];
    let tool = prop_oneof![Just("cli"), Just("web"), Just("other")];
    (host, port, method, tool, 0_u64..6, proptest::bool::weighted(0.05)).prop_map(
        |(host, port, (method, upgrade), tool, seconds, passed_through_us)| RequestFacts {
            method: method.map(Method::new),
            upgrade,
            passed_through_us,
            ..by(tool, later(seconds, tunnel(&format!("{host}:{port}"))))
        },
    )
}

fn compiled(document: &PolicyDocument, lists: &[String]) -> Snapshot {
    let lists: Vec<&str> = lists.iter().map(String::as_str).collect();
    Snapshot::from(compile_with(document, &lists).unwrap().policy)
}

/// What two layers come to, by what each says alone.
fn conjunction(organisation: String, machine: String) -> String {
    let denies = |said: &str| said.starts_with("deny");
    let observes = |said: &str| said.starts_with("observe");
    match (organisation, machine) {
        (first, _) if denies(&first) => first,
        (_, second) if denies(&second) => second,
        (first, _) if observes(&first) => first,
        (_, second) if observes(&second) => second,
        (first, second) if first == "all" => second,
        (first, _) => first,
    }
}

/// Whether rules, read one by one as data, allow what is asked for.
fn allowed_by_rules(policy: &Policy, facts: &RequestFacts) -> bool {
    let matches = |rule: &&Rule| {
        let of = |destination: &RuleDestination| {
            let host = names(&destination.target, facts.destination.host(), rule.effect());
            host && destination.ports.contains(facts.destination.port())
        };
        rule.destinations().iter().any(of) && rule.missed(super::super::rule::RuleFactsRef::of(facts)).is_none()
    };
    let any = |effect: Effect| policy.rules().iter().filter(|rule| rule.effect() == effect).any(|rule| matches(&rule));
    any(Effect::Allow) && !any(Effect::Deny)
}

proptest! {
    #[test]
    fn the_rules_of_a_policy_say_what_its_tables_answer(
        (written, _) in any_policy(),
        asked in proptest::collection::vec(any_facts(), 12),
    ) {
        let on = (true, Egress::Allowlist, Mode::Enforce);
        let written = PolicyDocument { enabled: on.0, egress: on.1, mode: on.2, lists: Vec::new(), ..written };
        let policy = compile_with(&written, &[]).unwrap().policy;
        let expected: Vec<bool> = asked.iter().map(|facts| allowed_by_rules(&policy, facts) && !facts.passed_through_us).collect();
        let policy = Snapshot::from(policy);
        for (facts, expected) in asked.iter().zip(expected) {
            prop_assert_eq!(matches!(policy.decide(facts), Decision::Allow(_)), expected, "{:?}", facts);
        }
    }

    #[test]
    fn two_layers_are_the_conjunction_of_the_two(
        (organisation, its_lists) in any_policy(),
        (machine, more_lists) in any_policy(),
        asked in proptest::collection::vec(any_facts(), 12),
        resolved in address(),
    ) {
        let layer = |document: &PolicyDocument, lists: &[String]| {
            let lists: Vec<&str> = lists.iter().map(String::as_str).collect();
            compile_with(document, &lists).unwrap().policy
        };
        let layers = (layer(&organisation, &its_lists), layer(&machine, &more_lists));
        let stack = Snapshot::new(Arc::new(Stack::new(layers.0, vec![layers.1])));
        let (first, second) = (compiled(&organisation, &its_lists), compiled(&machine, &more_lists));
        // No special-purpose address is among these: what opens those is in `layers.rs`.
        let resolved: IpAddr = resolved.parse().unwrap();
        let reaches = |policy: &Snapshot, facts: &RequestFacts| match policy.decide(facts) {
            Decision::Allow(permit) => permit.vet(&[resolved], &OwnAddresses::default()).is_ok(),
            Decision::Deny(_) => false,
        };
        let is_global = crate::facts::AddressClass::of(resolved).is_global();
        for facts in asked {
            let expected = conjunction(fast(&first, &facts), fast(&second, &facts));
            prop_assert_eq!(fast(&stack, &facts), expected, "{:?}", facts);
            if is_global {
                prop_assert_eq!(reaches(&stack, &facts), reaches(&first, &facts) && reaches(&second, &facts), "{:?}", facts);
            }
        }
    }

    #[test]
    fn the_fast_way_answers_as_the_slow_one(
        (document, lists) in any_policy(),
        asked in proptest::collection::vec(any_facts(), 12),
    ) {
        let policy = compiled(&document, &lists);
        for facts in asked {
            let expected = decide_slowly(&document, &lists, &facts);
            prop_assert_eq!(fast(&policy, &facts), expected, "{} {:?}", facts.destination, facts);
        }
    }

    #[test]
    fn one_more_deny_rule_never_allows_more(
        (document, lists) in any_policy(),
        more in any_rule(),
        asked in proptest::collection::vec(any_facts(), 12),
        resolved in address(),
    ) {
        let before = compiled(&document, &lists);
        let mut stricter = document;
        stricter.rules.push(RuleDocument { effect: Effect::Deny, id: spanned("more".to_owned()), ..more });
        let after = compiled(&stricter, &lists);
        let resolved: IpAddr = resolved.parse().unwrap();
        let passes = |policy: &Snapshot, facts: &RequestFacts| match policy.decide(facts) {
            Decision::Allow(permit) => permit.vet(&[resolved], &OwnAddresses::default()).is_ok(),
            Decision::Deny(_) => false,
        };
        for facts in asked {
            prop_assert!(passes(&before, &facts) || !passes(&after, &facts), "{:?}", facts);
        }
    }

    #[test]
    fn one_more_allow_rule_never_denies_more(
        (document, lists) in any_policy(),
        more in any_rule(),
        asked in proptest::collection::vec(any_facts(), 12),
    ) {
        let before = compiled(&document, &lists);
        let mut wider = document;
        wider.rules.push(RuleDocument { effect: Effect::Allow, id: spanned("more".to_owned()), ..more });
        let after = compiled(&wider, &lists);
        let passes = |policy: &Snapshot, facts: &RequestFacts| matches!(policy.decide(facts), Decision::Allow(_));
        for facts in asked {
            prop_assert!(!passes(&before, &facts) || passes(&after, &facts), "{:?}", facts);
        }
    }
}
