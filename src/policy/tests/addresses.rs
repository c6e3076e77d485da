use super::*;

#[test]
fn literals_are_allowed_as_written_and_denied_in_every_form() {
    let policy = policy(&["198.51.100.0/24", "[2001:db8::/32]:*", "::ffff:203.0.113.1"], &["198.51.100.7"]);
    for (to, expected) in [
        ("198.51.100.1", "allow allow:198.51.100.0/24"),
        ("198.51.101.1", "deny host_not_allowed -"),
        ("198.51.100.1:22", "deny port_not_allowed allow:198.51.100.0/24"),
        ("[2001:db8::1]:22", "allow allow:[2001:db8::/32]:*"),
        ("[2001:db9::1]", "deny host_not_allowed -"),
        ("[::ffff:198.51.100.1]", "deny host_not_allowed -"),
        ("203.0.113.1", "deny host_not_allowed -"),
        ("[::ffff:203.0.113.1]", "allow allow:::ffff:203.0.113.1"),
        ("198.51.100.7", "deny address_not_allowed deny:198.51.100.7"),
        ("[::ffff:198.51.100.7]", "deny address_not_allowed deny:198.51.100.7"),
        ("[64:ff9b::198.51.100.7]", "deny address_not_allowed deny:198.51.100.7"),
        ("[2002:c633:6407::1]", "deny address_not_allowed deny:198.51.100.7"),
        ("[64:ff9b::198.51.100.8]", "deny host_not_allowed -"),
    ] {
        assert_eq!(verdict(&policy, &tunnel(to)), expected, "{to}");
    }
}

#[test]
fn a_block_to_deny_also_covers_what_names_resolve_to() {
    let policy = policy(&["a.test:*", "8.8.8.0/24"], &["8.8.8.0/28", "9.9.9.0/24:22", "::ffff:7.7.7.0/120"]);
    let web = permit(&policy, &tunnel("a.test"));
    let ssh = permit(&policy, &tunnel("a.test:22"));
    assert_eq!(vet(&web, &["8.8.8.16"]), "ok");
    assert_eq!(vet(&web, &["8.8.8.15"]), "address_not_allowed deny:8.8.8.0/28");
    assert_eq!(vet(&web, &["::ffff:8.8.8.1"]), "address_not_allowed deny:8.8.8.0/28");
    assert_eq!(vet(&web, &["64:ff9b::8.8.8.1"]), "address_not_allowed deny:8.8.8.0/28");
    assert_eq!(vet(&web, &["7.7.7.7"]), "address_not_allowed deny:::ffff:7.7.7.0/120");
    assert_eq!(vet(&web, &["9.9.9.1"]), "ok");
    assert_eq!(vet(&ssh, &["9.9.9.1"]), "address_not_allowed deny:9.9.9.0/24:22");
    assert_eq!(vet(&web, &["8.8.8.16", "8.8.8.1"]), "address_not_allowed deny:8.8.8.0/28", "a mixed answer");
}

#[test]
fn the_whole_of_a_family_is_every_literal_of_it_that_is_not_special_purpose() {
    let open = PolicyDocument {
        allow: texts(&["0.0.0.0/0", "::/0", "a.test"]),
        internal_addresses: texts(&["127.0.0.0/8", "::1/128", "::ffff:127.0.0.0/104", "10.0.0.0/8"]),
        ..document()
    };
    let open = compile(&open);
    for (to, expected) in [
        ("8.8.8.8", "allow allow:0.0.0.0/0"),
        ("[2a00::1]", "allow allow:::/0"),
        ("[64:ff9b::8.8.8.8]", "allow allow:::/0"),
        ("127.0.0.1", "deny host_not_allowed -"),
        ("10.0.0.1", "deny host_not_allowed -"),
        ("[::1]", "deny host_not_allowed -"),
        ("[fd00::1]", "deny host_not_allowed -"),
        ("169.254.169.254", "deny host_not_allowed -"),
        ("[::ffff:8.8.8.8]", "deny host_not_allowed -"),
        ("[::ffff:127.0.0.1]", "deny host_not_allowed -"),
        ("[64:ff9b::10.0.0.1]", "deny host_not_allowed -"),
        ("b.test", "deny host_not_allowed -"),
    ] {
        assert_eq!(verdict(&open, &tunnel(to)), expected, "{to}");
    }
    // A special-purpose one has an entry of its own, next to the whole.
    let own = compile(&PolicyDocument { allow: texts(&["0.0.0.0/0", "127.0.0.0/8", "::ffff:0:0/96"]), ..document() });
    assert_eq!(verdict(&own, &tunnel("127.0.0.1")), "allow allow:127.0.0.0/8");
    assert_eq!(verdict(&own, &tunnel("[::ffff:8.8.8.8]")), "allow allow:::ffff:0.0.0.0/96");
}

#[test]
fn an_ipv6_block_reaches_an_ipv4_address_in_its_mapped_form_only_from_within_the_mapped_ones() {
    for (block, literal) in
        [("::/0", false), ("::/1", false), ("::/80", false), ("::ffff:0:0/96", true), ("::ffff:8.8.8.0/120", true)]
    {
        let policy = policy(&[block], &[]);
        let id = block.replace("ffff:0:0", "ffff:0.0.0.0");
        let expected = if literal { format!("allow allow:{id}") } else { "deny host_not_allowed -".to_owned() };
        assert_eq!(verdict(&policy, &tunnel("[::ffff:8.8.8.8]")), expected, "{block}");
    }
    for (block, ip, opened) in [
        ("::/0", "::ffff:127.0.0.1", false),
        ("::/1", "::ffff:127.0.0.1", false),
        ("::ffff:0:0/96", "::ffff:127.0.0.1", true),
        ("::ffff:127.0.0.0/104", "::ffff:127.0.0.1", true),
        ("::/0", "::1", false),
        ("::/1", "::1", true),
        ("0.0.0.0/0", "127.0.0.1", false),
        ("0.0.0.0/1", "127.0.0.1", true),
        ("127.0.0.0/8", "::ffff:127.0.0.1", false),
    ] {
        let internal = PolicyDocument { allow: texts(&["a.test"]), internal_addresses: texts(&[block]), ..document() };
        let rule = RuleDocument { addresses: texts(&[block]), ..rule("r", &["a.test"]) };
        for policy in [compile(&internal), with_rules(vec![rule])] {
            let expected = if opened { "ok" } else { "address_not_allowed -" };
            assert_eq!(vet(&permit(&policy, &tunnel("a.test")), &[ip]), expected, "{block} for {ip}");
        }
    }
}

#[test]
fn the_whole_of_a_family_to_deny_is_every_literal_in_every_form_and_no_name() {
    let policy = policy(&["a.test", "127.0.0.1", "8.8.8.8", "2a00::1", "::ffff:8.8.8.8"], &["0.0.0.0/0"]);
    for (to, expected) in [
        ("127.0.0.1", "deny address_not_allowed deny:0.0.0.0/0"),
        ("8.8.8.8", "deny address_not_allowed deny:0.0.0.0/0"),
        ("[::ffff:8.8.8.8]", "deny address_not_allowed deny:0.0.0.0/0"),
        ("[2a00::1]", "allow allow:2a00::1"),
        ("a.test", "allow allow:a.test"),
    ] {
        assert_eq!(verdict(&policy, &tunnel(to)), expected, "{to}");
    }
    assert_eq!(vet(&permit(&policy, &tunnel("a.test")), &["8.8.8.8"]), "ok");
    let halves = super::policy(&["a.test"], &["0.0.0.0/1", "128.0.0.0/1"]);
    let permit = permit(&halves, &tunnel("a.test"));
    assert_eq!(vet(&permit, &["8.8.8.8"]), "address_not_allowed deny:0.0.0.0/1");
    assert_eq!(vet(&permit, &["::ffff:200.8.8.8"]), "address_not_allowed deny:128.0.0.0/1");
}

#[test]
fn the_whole_of_a_family_comes_with_a_warning_wherever_it_is_written() {
    let whole = texts(&["0.0.0.0/0", "::/0"]);
    let documents = [
        (PolicyDocument { allow: whole.clone(), ..document() }, "no names"),
        (PolicyDocument { deny: whole.clone(), ..document() }, "no name that leads to one"),
        (PolicyDocument { internal_addresses: whole.clone(), ..document() }, "opens nothing here"),
        (
            PolicyDocument { rules: vec![RuleDocument { to: whole.clone(), ..rule("r", &[]) }], ..document() },
            "no names",
        ),
        (
            PolicyDocument { rules: vec![RuleDocument { addresses: whole, ..rule("r", &["a.test"]) }], ..document() },
            "opens nothing here",
        ),
    ];
    for (document, said) in documents {
        let warnings = compile_with(&document, &[]).unwrap().warnings;
        assert_eq!(warnings.total(), 2, "{warnings:?}");
        assert!(warnings.kept().iter().all(|warning| warning.what.contains(said)), "{warnings:?}");
    }
    let near = PolicyDocument { allow: texts(&["0.0.0.0/1", "::/1"]), ..document() };
    assert!(compile_with(&near, &[]).unwrap().warnings.is_empty());
}

#[test]
fn a_block_to_allow_is_about_literals_alone() {
    assert_eq!(verdict(&policy(&["8.8.8.0/24"], &[]), &tunnel("a.test")), "deny host_not_allowed -");
}

#[test]
fn a_deny_rule_for_addresses_asks_who_resolves_them() {
    let rules = vec![
        rule("all", &["a.test"]),
        RuleDocument { tools: texts(&["browser"]), ..deny_rule("tool", &["8.8.8.8"]) },
        RuleDocument { methods: texts(&["POST"]), ..deny_rule("method", &["9.9.9.9"]) },
        RuleDocument { until: Some(spanned(at(5))), ..deny_rule("period", &["7.7.7.7"]) },
    ];
    let policy = with_rules(rules);
    for (facts, ip, expected) in [
        (by("browser", tunnel("a.test")), "8.8.8.8", "address_not_allowed tool"),
        (by("cli", tunnel("a.test")), "8.8.8.8", "ok"),
        (plain("POST", "a.test"), "9.9.9.9", "address_not_allowed method"),
        (plain("GET", "a.test"), "9.9.9.9", "ok"),
        (tunnel("a.test"), "9.9.9.9", "address_not_allowed method"),
        (tunnel("a.test"), "7.7.7.7", "address_not_allowed period"),
        (later(5, tunnel("a.test")), "7.7.7.7", "ok"),
    ] {
        assert_eq!(vet(&permit(&policy, &facts), &[ip]), expected, "{ip}");
    }
}

#[test]
fn the_whole_space_means_any_literal_and_no_name() {
    let policy = policy(&["0.0.0.0/0", "::/0"], &[]);
    assert_eq!(vet(&permit(&policy, &tunnel("8.8.8.8")), &["8.8.8.8"]), "ok");
    assert_eq!(verdict(&policy, &tunnel("10.0.0.1")), "deny host_not_allowed -");
    assert_eq!(verdict(&policy, &tunnel("a.test")), "deny host_not_allowed -");
    let denied = super::policy(&["a.test", "8.8.8.8"], &["0.0.0.0/0", "::/0"]);
    assert_eq!(verdict(&denied, &tunnel("8.8.8.8")), "deny address_not_allowed deny:0.0.0.0/0");
    assert_eq!(vet(&permit(&denied, &tunnel("a.test")), &["8.8.8.8"]), "ok", "names may still resolve");
}

#[test]
fn special_addresses_need_a_rule_that_opens_them() {
    let opens = RuleDocument { addresses: texts(&["10.1.0.0/16", "169.254.169.254"]), ..rule("opens", &["in.test"]) };
    let wide = RuleDocument { addresses: texts(&["169.254.0.0/16"]), ..rule("wide", &["wide.test"]) };
    let document = PolicyDocument {
        allow: texts(&["a.test", "10.9.9.9"]),
        internal_addresses: texts(&["10.2.0.0/16", "169.254.0.0/16", "127.0.0.0/8"]),
        rules: vec![opens, wide],
        ..document()
    };
    let policy = compile(&document);
    for (to, ip, expected) in [
        ("a.test", "8.8.8.8", "ok"),
        ("a.test", "10.2.0.1", "ok"),
        ("a.test", "10.1.0.1", "address_not_allowed -"),
        ("a.test", "169.254.1.1", "ok"),
        ("a.test", "169.254.169.254", "address_not_allowed -"),
        ("a.test", "::ffff:127.0.0.1", "address_not_allowed -"),
        ("a.test", "127.0.0.1", "ok"),
        ("in.test", "10.1.0.1", "ok"),
        ("in.test", "10.3.0.1", "address_not_allowed -"),
        ("in.test", "169.254.169.254", "ok"),
        ("wide.test", "169.254.7.7", "ok"),
        ("wide.test", "169.254.169.254", "address_not_allowed -"),
        ("10.9.9.9", "10.9.9.9", "address_not_allowed -"),
    ] {
        assert_eq!(vet(&permit(&policy, &tunnel(to)), &[ip]), expected, "{to} {ip}");
    }
    for document in
        [PolicyDocument { egress: Egress::All, ..document.clone() }, PolicyDocument { mode: Mode::Observe, ..document }]
    {
        let permit = permit(&compile(&document), &tunnel("unlisted.test"));
        assert_eq!(vet(&permit, &["10.2.0.1"]), "address_not_allowed -", "no rule names it");
        assert_eq!(vet(&permit, &["8.8.8.8"]), "ok");
    }
}

#[test]
fn a_second_rule_for_a_host_takes_nothing_away() {
    let opens =
        |id: &str, to: &str, addresses: &str| RuleDocument { addresses: texts(&[addresses]), ..rule(id, &[to]) };
    let rules = vec![
        rule("plain", &["a.in.test"]),
        opens("ten", "*.in.test", "10.0.0.0/8"),
        opens("nine", "a.in.test", "192.168.0.0/16"),
    ];
    for rules in [rules.clone(), rules.into_iter().rev().collect()] {
        let permit = permit(&with_rules(rules), &tunnel("a.in.test"));
        assert_eq!(vet(&permit, &["10.0.0.1", "192.168.0.1"]), "ok");
        assert_eq!(vet(&permit, &["10.0.0.1", "172.16.0.1"]), "address_not_allowed -");
    }
}

#[test]
fn what_the_network_translates_is_judged_by_the_address_inside_as_well() {
    let opens = RuleDocument { addresses: texts(&["10.1.0.0/16", "fd00:64::/96"]), ..rule("opens", &["in.test"]) };
    let allows = RuleDocument { ..rule("web", &["a.test"]) };
    let document = PolicyDocument { deny: texts(&["9.9.9.0/24"]), rules: vec![opens, allows], ..document() };
    let policy = compile(&document);
    let prefixes = ["2606:4700:64::/96", "fd00:64::/96"].map(|prefix| prefix.parse().unwrap());
    let own = OwnAddresses::default().with_nat64(prefixes.into());
    for (to, ip, expected) in [
        ("a.test", "2606:4700:64::8.8.8.8", "ok"),
        ("a.test", "2606:4700:64::10.0.0.1", "address_not_allowed -"),
        ("a.test", "2606:4700:65::10.0.0.1", "ok"),
        ("a.test", "2606:4700:64::169.254.169.254", "address_not_allowed -"),
        ("a.test", "2606:4700:64::9.9.9.9", "address_not_allowed deny:9.9.9.0/24"),
        ("a.test", "2606:4700:64::9.9.8.9", "ok"),
        // The prefix itself is private: it needs its rule, and so does what is inside.
        ("a.test", "fd00:64::8.8.8.8", "address_not_allowed -"),
        ("in.test", "fd00:64::8.8.8.8", "ok"),
        ("in.test", "fd00:64::10.1.0.1", "ok"),
        ("in.test", "fd00:64::10.2.0.1", "address_not_allowed -"),
    ] {
        let said = match permit(&policy, &tunnel(to)).vet(&[ip.parse().unwrap()], &own) {
            Ok(_) => "ok".to_owned(),
            Err(denial) => format!("{} {}", denial.reason(), denial.rule_id().unwrap_or("-")),
        };
        assert_eq!(said, expected, "{to} {ip}");
    }
}

#[test]
fn of_a_huge_answer_all_is_judged_and_a_few_are_kept() {
    let permit = permit(&policy(&["a.test"], &[]), &tunnel("a.test"));
    let mut resolved: Vec<IpAddr> = (0..4000_u32).map(|low| IpAddr::V4((0x0800_0000 + low).into())).collect();
    resolved.push("2606:4700::1".parse().unwrap());
    let Ok(kept) = permit.vet(&resolved, &OwnAddresses::default()) else { panic!() };
    assert_eq!(kept.as_slice().len(), 17, "sixteen of one family, and what there is of the other");
    resolved.push("10.0.0.1".parse().unwrap());
    assert!(permit.vet(&resolved, &OwnAddresses::default()).is_err(), "the last one counts too");
}

#[test]
fn of_nothing_there_is_nothing_vetted() {
    let (own, port) = (OwnAddresses::default(), Port::new(3128).unwrap());
    let permit = permit(&policy(&["a.test"], &[]), &tunnel("a.test"));
    assert_eq!(vet(&permit, &[]), "address_not_allowed -");
    assert_eq!(permit.vet_parent(&[], port, &own).unwrap_err().reason(), DenyReason::AddressNotAllowed);
    let at: IpAddr = "192.0.2.1".parse().unwrap();
    assert_eq!(permit.vet_parent(&[at], port, &own).unwrap().as_slice(), [(at, 3128).into()]);
    for parent in [None, Some(&ParentScope::default())] {
        assert!(matches!(permit.route::<()>(Ok(&[]), &own, parent), Err(NoRoute::Denied(_))), "{parent:?}");
    }
}

#[test]
fn what_is_vetted_is_what_may_be_dialled_and_never_ourselves() {
    let policy = policy(&["a.test"], &[]);
    let permit = permit(&policy, &tunnel("a.test"));
    let resolved: Vec<IpAddr> = ["8.8.8.8", "9.9.9.9", "8.8.8.8"].iter().map(|ip| ip.parse().unwrap()).collect();
    let addrs = permit.vet(&resolved, &OwnAddresses::default()).unwrap();
    assert_eq!(addrs.as_slice(), ["8.8.8.8:443".parse().unwrap(), "9.9.9.9:443".parse().unwrap()]);
    let own = OwnAddresses::new(vec!["9.9.9.9:443".parse().unwrap()], Vec::new());
    assert_eq!(permit.vet(&resolved, &own).unwrap_err().reason(), DenyReason::Loop);
}
