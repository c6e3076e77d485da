//! Policies as text: every text gets a verdict. An accepted policy means the same in both formats, and decides in the
//! order of the contract.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use outgate::facts::{Client, Destination, OwnAddresses, Port, Protocol, RequestFacts, Tool};
use outgate::policy::text::{Format, Node, Problems, Value, read_policy};
use outgate::policy::{
    Decision, DenyReason, Egress, ListSource, Mode, Permit, Policy, PolicyDocument, Snapshot, Source, Span, Spanned,
};

use super::problems;

/// Requests that are asked of one policy.
const MOST_ASKED: usize = 6;

pub(super) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let format = if text.trim_start().starts_with('{') { Format::Json } else { Format::Toml };
    let mut syntax = Problems::default();
    let tree = format.parse(text, &mut syntax).filter(|_| syntax.is_empty());
    if let (Some(tree), Format::Json) = (&tree, format) {
        check_json(text, tree);
    }
    match read_policy(text, format) {
        Err(found) => {
            assert!(!found.is_empty(), "refused without a word");
            problems::check(text, &[], &found);
        }
        Ok(document) => {
            if document.problems.is_empty() {
                check_other_format(&tree.expect("a document has a tree"), &document);
            }
            check_document(text, &document);
        }
    }
}

fn check_document(text: &str, document: &PolicyDocument) {
    let lists = vec![1; document.lists.len()];
    match compile(document) {
        Ok((policy, warnings)) => {
            assert!(document.problems.is_empty(), "in force although its shape is wrong");
            problems::check(text, &lists, &warnings);
            check_decisions(document, &policy);
        }
        Err(found) => {
            assert!(!found.is_empty(), "refused without a word");
            assert!(found.total() >= document.problems.total(), "a mistake of shape was forgotten");
            problems::check(text, &lists, &found);
        }
    }
}

/// A policy that allows nothing.
pub(super) fn empty() -> PolicyDocument {
    PolicyDocument {
        name: "fuzz".to_owned(),
        revision: None,
        enabled: true,
        egress: Egress::Allowlist,
        mode: Mode::Enforce,
        contact: None,
        allow: Vec::new(),
        deny: Vec::new(),
        package_managers: Vec::new(),
        internal_addresses: Vec::new(),
        rules: Vec::new(),
        lists: Vec::new(),
        tests: Vec::new(),
        problems: Problems::default(),
    }
}

/// A text in no particular place.
pub(super) fn spanned(text: &str) -> Spanned<String> {
    Spanned { value: text.to_owned(), span: Span::default() }
}

/// Whether a tunnel to this host and port is allowed.
pub(super) fn allows(policy: &Snapshot, host: &str, port: Port) -> bool {
    let destination = Destination::parse(host.as_bytes(), Some(port)).expect("a host");
    matches!(policy.decide(&tunnel(destination)), Decision::Allow(_))
}

fn tunnel(destination: Destination) -> RequestFacts {
    RequestFacts {
        client: Client::hypothetical(),
        tool: Tool::new("cli"),
        protocol: Protocol::Connect,
        destination,
        method: None,
        upgrade: None,
        path: None,
        passed_through_us: false,
        at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_176_000),
    }
}

fn compile(document: &PolicyDocument) -> Result<(Snapshot, Problems), Problems> {
    let lists: Vec<_> = document.lists.iter().map(|_| ListSource { text: Ok(b"") }).collect();
    let compiled = Policy::compile(document, Source { lists: &lists, content_hash: "0123456789abcdef" })?;
    Ok((Snapshot::from(compiled.policy), compiled.warnings))
}

/// What we take for JSON every reader of JSON takes for the same.
fn check_json(text: &str, tree: &Node) {
    if let Some(ours) = json(tree) {
        let body = text.strip_prefix('\u{feff}').unwrap_or(text);
        let theirs: serde_json::Value = serde_json::from_str(body).expect("JSON is JSON");
        assert_eq!(ours, theirs);
    }
}

/// The tree as JSON; none where it holds a number that is not whole, which no key takes.
fn json(node: &Node) -> Option<serde_json::Value> {
    Some(match &node.value {
        Value::String(text) | Value::Datetime(text) => text.as_str().into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(_) => return None,
        Value::Boolean(value) => (*value).into(),
        Value::Null => serde_json::Value::Null,
        Value::Array(nodes) => nodes.iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        Value::Table(entries) => entries
            .iter()
            .map(|entry| Some((entry.name.value.clone(), json(&entry.value)?)))
            .collect::<Option<serde_json::Map<_, _>>>()?
            .into(),
    })
}

/// The same policy, written as JSON, is the same policy.
fn check_other_format(tree: &Node, document: &PolicyDocument) {
    let json = json(tree).expect("no key takes a number that is not whole");
    let again = read_policy(&json.to_string(), Format::Json).expect("the same keys and values");
    assert_eq!(meaning(&again), meaning(document));
}

/// The document without its places.
fn meaning(document: &PolicyDocument) -> String {
    let shown = format!("{document:?}");
    let mut parts = shown.split("Span { start: ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |meaning, part| meaning + part.split_once('}').map_or(part, |(_, rest)| rest))
}

fn check_decisions(document: &PolicyDocument, policy: &Snapshot) {
    let rules = document.rules.iter().flat_map(|rule| &rule.to);
    let named = document.allow.iter().chain(&document.deny).chain(rules).chain(&document.package_managers);
    let hosts = named.map(|text| text.value.trim_start_matches("*").trim_start_matches('.')).chain(["near.example"]);
    let asked: HashSet<_> = hosts
        .flat_map(|host| [Destination::parse(host.as_bytes(), Some(Port::HTTPS)).ok(), below(host)])
        .flatten()
        .take(MOST_ASKED)
        .collect();
    for destination in asked {
        let facts = tunnel(destination);
        check_decision(document, policy, &facts);
    }
}

fn below(host: &str) -> Option<Destination> {
    Destination::parse(format!("below.{host}").as_bytes(), Some(Port::HTTPS)).ok()
}

fn check_decision(document: &PolicyDocument, policy: &Snapshot, facts: &RequestFacts) {
    let reason = match policy.decide(facts) {
        Decision::Allow(permit) => {
            assert_eq!(permit.destination(), &facts.destination);
            check_permit(document, &permit);
            None
        }
        Decision::Deny(denial) => {
            assert_eq!(denial.destination(), &facts.destination);
            [denial.hint(), denial.rule_reason(), denial.rule_id()]
                .into_iter()
                .flatten()
                .for_each(problems::check_visible);
            Some(denial.reason())
        }
    };
    if !document.enabled {
        assert_eq!(reason, Some(DenyReason::EgressDisabled));
    } else if document.egress == Egress::None {
        assert_eq!(reason, Some(DenyReason::EgressNone));
    } else {
        let looped = RequestFacts { passed_through_us: true, ..facts.clone() };
        assert!(matches!(policy.decide(&looped), Decision::Deny(denial) if denial.reason() == DenyReason::Loop));
        if reason.is_none() {
            check_deny_wins(document, facts);
        }
    }
}

/// A destination that an added deny entry names is denied, regardless of the rest of the policy.
fn check_deny_wins(document: &PolicyDocument, facts: &RequestFacts) {
    let mut stricter = document.clone();
    stricter.deny.push(spanned(&format!("{}:*", facts.destination.host())));
    let (stricter, _) = compile(&stricter).expect("one more entry");
    assert!(matches!(stricter.decide(facts), Decision::Deny(_)), "{facts:?}");
}

/// What no permit opens: our own sockets, and metadata services that no rule's `addresses` name.
fn check_permit(document: &PolicyDocument, permit: &Permit) {
    let own = OwnAddresses::new(vec![(Ipv4Addr::LOCALHOST, 443).into()], Vec::new());
    let vet = |ip: &str| permit.vet(&[ip.parse::<IpAddr>().expect("an address")], &own);
    for own in ["127.0.0.1", "::ffff:127.0.0.1"] {
        assert!(vet(own).is_err() || permit.destination().port() != Port::HTTPS, "a way to our own socket");
    }
    let opened = |address: &Spanned<String>| address.value.contains("169.254.169.254");
    let named = document.rules.iter().any(|rule| rule.addresses.iter().any(opened));
    assert!(named || vet("169.254.169.254").is_err(), "a way to the metadata service");
    for ip in ["10.0.0.1", "fd00::1", "64:ff9b::a00:1", "2002:a00:1::"] {
        let internal = document.internal_addresses.iter().chain(document.rules.iter().flat_map(|rule| &rule.addresses));
        assert!(internal.count() > 0 || vet(ip).is_err(), "a way to {ip}");
    }
    let _ = vet("8.8.8.8");
}
