//! Which way a permit leads: straight, or by the parent proxy.

use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;

fn scope(except: &[&str]) -> ParentScope {
    let mut scope = ParentScope::default();
    except.iter().for_each(|pattern| scope.except(pattern).unwrap());
    scope
}

/// The way: `direct ADDRS`, `parent NAME [ADDRS]`, `unresolved`, or the reason of a denial.
fn way(permit: &Permit, resolved: Option<&[&str]>, parent: Option<&ParentScope>) -> String {
    let resolved: Option<Vec<IpAddr>> = resolved.map(|ips| ips.iter().map(|ip| ip.parse().unwrap()).collect());
    let shown = |addrs: &VettedAddrs| addrs.as_slice().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    match permit.route(resolved.as_deref().ok_or(()), &OwnAddresses::default(), parent) {
        Ok(Route::Direct(addrs)) => format!("direct {}", shown(&addrs)),
        Ok(Route::Parent(leave)) => format!("parent {} {:?}", leave.destination(), leave.vetted().map(shown)),
        Err(NoRoute::Unresolved(())) => "unresolved".to_owned(),
        Err(NoRoute::Denied(denial)) => denial.reason().to_string(),
    }
}

#[test]
fn the_parent_gets_the_name_of_what_was_vetted_here() {
    let policy = with_rules(vec![
        rule("plain", &["a.test", "in.test", "8.8.8.8"]),
        RuleDocument { parent: true, ..rule("handed", &["b.test", "out.test"]) },
    ]);
    let (none, some) = (None, Some(scope(&["in.test", "**.out.test"])));
    for (to, resolved, direct, parent) in [
        ("a.test", Some(&["8.8.8.8"][..]), "direct 8.8.8.8:443", "parent a.test:443 Some(\"8.8.8.8:443\")"),
        ("b.test", Some(&["8.8.8.8"]), "direct 8.8.8.8:443", "parent b.test:443 Some(\"8.8.8.8:443\")"),
        ("8.8.8.8", Some(&["8.8.8.8"]), "direct 8.8.8.8:443", "parent 8.8.8.8:443 Some(\"8.8.8.8:443\")"),
        ("in.test", Some(&["8.8.8.8"]), "direct 8.8.8.8:443", "direct 8.8.8.8:443"),
        ("a.test", Some(&["10.0.0.1"]), "address_not_allowed", "address_not_allowed"),
        ("b.test", Some(&["10.0.0.1"]), "address_not_allowed", "address_not_allowed"),
        ("b.test", Some(&["8.8.8.8", "10.0.0.1"]), "address_not_allowed", "address_not_allowed"),
        ("a.test", None, "unresolved", "unresolved"),
        ("b.test", None, "unresolved", "parent b.test:443 None"),
        ("out.test", None, "unresolved", "unresolved"),
    ] {
        let permit = permit(&policy, &tunnel(to));
        assert_eq!(way(&permit, resolved, none), direct, "{to} {resolved:?}");
        assert_eq!(way(&permit, resolved, some.as_ref()), parent, "{to} {resolved:?}");
    }
}

#[test]
fn only_a_rule_can_hand_on_what_does_not_resolve() {
    let parent = scope(&[]);
    let rules = vec![
        RuleDocument { parent: true, ..rule("handed", &["*.in.test"]) },
        RuleDocument { parent: true, ports: Some(PortsDocument::Any), tools: texts(&["x"]), ..rule("x", &["x.test"]) },
        rule("plain", &["a.in.test", "x.test"]),
    ];
    let document = PolicyDocument { rules, ..document() };
    let policy = compile(&document);
    assert_eq!(way(&permit(&policy, &tunnel("a.in.test")), None, Some(&parent)), "parent a.in.test:443 None");
    assert_eq!(way(&permit(&policy, &tunnel("x.test")), None, Some(&parent)), "unresolved", "another tool's rule");
    assert_eq!(way(&permit(&policy, &by("x", tunnel("x.test"))), None, Some(&parent)), "parent x.test:443 None");
    for document in
        [PolicyDocument { egress: Egress::All, ..document.clone() }, PolicyDocument { mode: Mode::Observe, ..document }]
    {
        let permit = permit(&compile(&document), &tunnel("unlisted.test"));
        assert_eq!(way(&permit, None, Some(&parent)), "unresolved", "no rule names it");
    }
}

#[test]
fn the_parent_s_own_address_is_anything_but_ours() {
    let policy = policy(&["a.test"], &[]);
    let permit = permit(&policy, &tunnel("a.test"));
    let own = OwnAddresses::new(vec!["127.0.0.1:3128".parse().unwrap()], Vec::new());
    let vet = |ip: &str, port: u16| {
        let vetted = permit.vet_parent(&[ip.parse().unwrap()], Port::new(port).unwrap(), &own);
        vetted.map(|addrs| addrs.as_slice().to_vec()).map_err(|denial| denial.reason())
    };
    assert_eq!(vet("10.0.0.1", 3128), Ok(vec!["10.0.0.1:3128".parse().unwrap()]));
    assert_eq!(vet("127.0.0.1", 3129), Ok(vec!["127.0.0.1:3129".parse().unwrap()]));
    assert_eq!(vet("127.0.0.1", 3128), Err(DenyReason::Loop));
}

#[test]
fn an_open_connection_is_judged_again_by_what_it_rests_on() {
    let handed = |parent| RuleDocument { parent, ..rule("r", &["a.test"]) };
    let of = |document: PolicyDocument| permit(&compile(&document), &tunnel("a.test"));
    let plain = of(PolicyDocument { rules: vec![handed(false)], ..document() });
    let by_parent = of(PolicyDocument { rules: vec![handed(true)], ..document() });
    let tighter = of(PolicyDocument { rules: vec![handed(true)], deny: texts(&["8.8.8.0/24"]), ..document() });
    let leave = |resolved: Result<&[IpAddr], ()>| match by_parent.route(
        resolved,
        &OwnAddresses::default(),
        Some(&scope(&[])),
    ) {
        Ok(Route::Parent(leave)) => Reached::Parent(Box::new(leave)),
        other => panic!("{other:?}"),
    };
    let (resolved, unresolved) = (leave(Ok(&["8.8.8.8".parse().unwrap()])), leave(Err(())));
    let direct = Reached::Direct("8.8.8.8".parse().unwrap());
    for (reached, permit, may_stay) in [
        (&resolved, &by_parent, true),
        (&resolved, &plain, true),
        (&resolved, &tighter, false),
        (&unresolved, &by_parent, true),
        (&unresolved, &plain, false),
        (&unresolved, &tighter, true),
        (&direct, &plain, true),
        (&direct, &tighter, false),
    ] {
        assert_eq!(permit.reaches(reached, &OwnAddresses::default()).is_ok(), may_stay, "{reached:?} {permit:?}");
    }
}

fn an_address() -> impl Strategy<Value = IpAddr> {
    let known =
        ["8.8.8.8", "9.9.9.9", "10.0.0.1", "10.9.0.1", "127.0.0.1", "169.254.169.254", "2606:4700::1", "fd00::1"];
    prop_oneof![
        prop::sample::select(known.to_vec()).prop_map(|ip| ip.parse().unwrap()),
        any::<[u8; 4]>().prop_map(IpAddr::from),
    ]
}

proptest! {
    /// For any resolved addresses and either route, a route carries only addresses that were resolved and vetted one by
    /// one, and carries none if any of them would be refused on its own.
    #[test]
    fn a_route_carries_only_vetted_addresses(
        resolved in prop::collection::vec(an_address(), 0..5),
        by_parent in any::<bool>(),
        handed in any::<bool>(),
        excepted in any::<bool>(),
    ) {
        let opens = RuleDocument { addresses: texts(&["10.9.0.0/16"]), parent: handed, ..rule("r", &["a.test"]) };
        let policy = compile(&PolicyDocument { rules: vec![opens], deny: texts(&["9.9.9.0/24"]), ..document() });
        let permit = permit(&policy, &tunnel("a.test"));
        let own = OwnAddresses::new(vec!["8.8.8.8:444".parse().unwrap()], Vec::new());
        let scope = scope(if excepted { &["a.test"] } else { &[] });
        let parent = by_parent.then_some(&scope);
        let alone = !resolved.is_empty() && resolved.iter().all(|ip| permit.vet(&[*ip], &own).is_ok());
        let addrs = |vetted: &VettedAddrs| vetted.as_slice().to_vec();
        let carried: Vec<SocketAddr> = match permit.route::<()>(Ok(&resolved), &own, parent) {
            Ok(Route::Direct(vetted)) => {
                prop_assert!(!by_parent || excepted);
                addrs(&vetted)
            }
            Ok(Route::Parent(leave)) => {
                prop_assert!(by_parent && !excepted);
                addrs(leave.vetted().expect("it resolved, so it was vetted"))
            }
            Err(_) => Vec::new(),
        };
        prop_assert_eq!(alone, !carried.is_empty());
        prop_assert!(carried.iter().all(|addr| resolved.contains(&addr.ip()) && addr.port() == 443));
        let unresolved = permit.route(Err(()), &own, parent).is_ok();
        prop_assert_eq!(unresolved, by_parent && !excepted && handed);
    }
}
