//! The rule book as people meet it: policies built by hand, requests asked of them.

mod addresses;
mod advice;
mod compiling;
mod deciding;
mod hints;
mod layers;
mod reference;
mod routing;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::facts::{Client, Destination, Method, OwnAddresses, Port, Protocol, RequestFacts, Tool, Upgrade};

/// A policy that allows nothing, to change in the test.
fn document() -> PolicyDocument {
    PolicyDocument {
        name: "test".to_owned(),
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

fn spanned<T>(value: T) -> Spanned<T> {
    Spanned { value, span: Span::default() }
}

fn texts(values: &[&str]) -> Vec<Spanned<String>> {
    values.iter().map(|value| spanned((*value).to_owned())).collect()
}

/// An allow rule for `to`, to change in the test.
fn rule(id: &str, to: &[&str]) -> RuleDocument {
    RuleDocument {
        span: Span::default(),
        id: spanned(id.to_owned()),
        effect: Effect::Allow,
        to: texts(to),
        ports: None,
        tools: Vec::new(),
        methods: Vec::new(),
        addresses: Vec::new(),
        tls: Tls::Required,
        parent: false,
        from: None,
        until: None,
        reason: None,
    }
}

fn deny_rule(id: &str, to: &[&str]) -> RuleDocument {
    RuleDocument { effect: Effect::Deny, ..rule(id, to) }
}

fn list(file: &str, effect: Effect, covers: Covers) -> ListDocument {
    ListDocument {
        span: Span::default(),
        effect,
        file: spanned(file.to_owned()),
        format: ListFormat::Domains,
        covers,
        lines: None,
        sha256: None,
    }
}

fn compile_with(document: &PolicyDocument, lists: &[&str]) -> Result<Compiled, Problems> {
    let lists: Vec<ListSource<'_>> = lists.iter().map(|text| ListSource { text: Ok(text.as_bytes()) }).collect();
    Policy::compile(document, Source { lists: &lists, content_hash: "0123456789abcdef" })
}

fn compile(document: &PolicyDocument) -> Snapshot {
    Snapshot::from(compile_with(document, &[]).unwrap().policy)
}

/// A policy of `allow` and `deny` entries.
fn policy(allow: &[&str], deny: &[&str]) -> Snapshot {
    compile(&PolicyDocument { allow: texts(allow), deny: texts(deny), ..document() })
}

fn with_rules(rules: Vec<RuleDocument>) -> Snapshot {
    compile(&PolicyDocument { rules, ..document() })
}

/// Noon of some day; tests count from it in seconds.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_176_000 + seconds)
}

/// A tunnel, by the tool `cli`; port 443 unless `to` has one.
fn tunnel(to: &str) -> RequestFacts {
    RequestFacts {
        client: Client::hypothetical(),
        tool: Tool::new("cli"),
        protocol: Protocol::Connect,
        destination: Destination::parse(to.as_bytes(), Some(Port::HTTPS)).unwrap(),
        method: None,
        upgrade: None,
        path: None,
        passed_through_us: false,
        at: at(0),
    }
}

/// A plain request; port 80 unless `to` has one.
fn plain(method: &str, to: &str) -> RequestFacts {
    RequestFacts {
        protocol: Protocol::Http,
        destination: Destination::parse(to.as_bytes(), Some(Port::HTTP)).unwrap(),
        method: Some(Method::new(method)),
        path: Some("/".into()),
        ..tunnel("placeholder.test")
    }
}

/// A GET that asks for a WebSocket; port 80 unless `to` has one.
fn websocket(to: &str) -> RequestFacts {
    RequestFacts { upgrade: Some(Upgrade::WebSocket), ..plain("GET", to) }
}

fn by(tool: &str, facts: RequestFacts) -> RequestFacts {
    RequestFacts { tool: Tool::new(tool), ..facts }
}

fn later(seconds: u64, facts: RequestFacts) -> RequestFacts {
    RequestFacts { at: at(seconds), ..facts }
}

/// "allow ID", "deny REASON ID" (`-` for no rule), "all" or "observe REASON".
fn verdict(policy: &Snapshot, facts: &RequestFacts) -> String {
    match policy.decide(facts) {
        Decision::Allow(permit) => match permit.basis() {
            Basis::Rule(_) => format!("allow {}", permit.rule_id().unwrap()),
            Basis::EgressAll => "all".to_owned(),
            Basis::Observed(denial) => format!("observe {}", denial.reason()),
        },
        Decision::Deny(denial) => format!("deny {} {}", denial.reason(), denial.rule_id().unwrap_or("-")),
    }
}

fn permit(policy: &Snapshot, facts: &RequestFacts) -> Permit {
    match policy.decide(facts) {
        Decision::Allow(permit) => permit,
        Decision::Deny(denial) => panic!("{denial:?}"),
    }
}

/// Leave to reach a destination by a parent proxy at this address, for tests of what dials.
pub(crate) fn permit_by_parent(to: &str, address: std::net::SocketAddr) -> (VettedAddrs, ParentPermit) {
    let permit = permit(&policy(&["a.test"], &[]), &tunnel(to));
    let at = permit.vet_parent(&[address.ip()], Port::new(address.port()).unwrap(), &OwnAddresses::default()).unwrap();
    let resolved: [IpAddr; 1] = ["8.8.8.8".parse().unwrap()];
    match permit.route::<()>(Ok(&resolved), &OwnAddresses::default(), Some(&ParentScope::default())) {
        Ok(Route::Parent(leave)) => (at, leave),
        other => panic!("{other:?}"),
    }
}

fn denial(policy: &Snapshot, facts: &RequestFacts) -> Denial {
    match policy.decide(facts) {
        Decision::Allow(permit) => panic!("{permit:?}"),
        Decision::Deny(denial) => denial,
    }
}

/// What comes of resolved addresses: "ok" or "REASON ID".
fn vet(permit: &Permit, resolved: &[&str]) -> String {
    let resolved: Vec<IpAddr> = resolved.iter().map(|ip| ip.parse().unwrap()).collect();
    match permit.vet(&resolved, &OwnAddresses::default()) {
        Ok(_) => "ok".to_owned(),
        Err(denial) => format!("{} {}", denial.reason(), denial.rule_id().unwrap_or("-")),
    }
}
