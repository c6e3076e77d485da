use super::*;

/// Each row: a request, and what comes of it.
fn assert_table(policy: &Snapshot, rows: &[(RequestFacts, &str)]) {
    for (facts, expected) in rows {
        assert_eq!(verdict(policy, facts), *expected, "{} by {:?}", facts.destination, facts.tool);
    }
}

#[test]
fn a_policy_without_rules_denies_everything() {
    let policy = compile(&document());
    for to in ["example.test", "localhost", "192.0.2.1", "[2001:db8::1]"] {
        assert_eq!(verdict(&policy, &tunnel(to)), "deny host_not_allowed -", "{to}");
    }
}

#[test]
fn a_name_covers_itself_a_wildcard_what_is_below_and_two_stars_both() {
    let policy = policy(&["one.test", "*.below.test", "**.both.test"], &[]);
    assert_table(
        &policy,
        &[
            (tunnel("one.test"), "allow allow:one.test"),
            (tunnel("ONE.test."), "allow allow:one.test"),
            (tunnel("a.one.test"), "deny host_not_allowed -"),
            (tunnel("xone.test"), "deny host_not_allowed -"),
            (tunnel("one.test.evil.test"), "deny host_not_allowed -"),
            (tunnel("a.below.test"), "allow allow:*.below.test"),
            (tunnel("a.b.c.below.test"), "allow allow:*.below.test"),
            (tunnel("below.test"), "deny host_not_allowed -"),
            (tunnel("abelow.test"), "deny host_not_allowed -"),
            (tunnel("both.test"), "allow allow:**.both.test"),
            (tunnel("a.both.test"), "allow allow:**.both.test"),
            (tunnel("both.test.test"), "deny host_not_allowed -"),
        ],
    );
}

#[test]
fn deny_wins_over_any_allow_however_specific() {
    let policy =
        policy(&["**.a.test", "up.a.test:443", "x.b.test", "c.test"], &["up.a.test", "*.b.test", "c.test:8080"]);
    assert_table(
        &policy,
        &[
            (tunnel("a.test"), "allow allow:**.a.test"),
            (tunnel("up.a.test"), "deny host_denied deny:up.a.test"),
            (tunnel("up.a.test:9"), "deny host_denied deny:up.a.test"),
            (tunnel("x.up.a.test"), "allow allow:**.a.test"),
            (tunnel("x.b.test"), "deny host_denied deny:*.b.test"),
            (tunnel("b.test"), "deny host_not_allowed -"),
            (tunnel("c.test"), "allow allow:c.test"),
            (tunnel("c.test:8080"), "deny host_denied deny:c.test:8080"),
        ],
    );
}

#[test]
fn ports_are_the_pattern_s_own_then_the_rule_s_then_those_of_the_web() {
    let some = RuleDocument {
        ports: Some(PortsDocument::These(vec![spanned((8000, 8999)), spanned((22, 22))])),
        ..rule("some", &["rule.test", "own.test:9"])
    };
    let any = RuleDocument { ports: Some(PortsDocument::Any), ..rule("any", &["any.test"]) };
    let policy = compile(&PolicyDocument {
        allow: texts(&["web.test", "all.test:*", "range.test:10-20"]),
        rules: vec![some, any],
        ..document()
    });
    assert_table(
        &policy,
        &[
            (tunnel("web.test:80"), "allow allow:web.test"),
            (tunnel("web.test:443"), "allow allow:web.test"),
            (tunnel("web.test:81"), "deny port_not_allowed allow:web.test"),
            (tunnel("all.test:1"), "allow allow:all.test:*"),
            (tunnel("range.test:10"), "allow allow:range.test:10-20"),
            (tunnel("range.test:20"), "allow allow:range.test:10-20"),
            (tunnel("range.test:21"), "deny port_not_allowed allow:range.test:10-20"),
            (tunnel("rule.test:22"), "allow some"),
            (tunnel("rule.test:8500"), "allow some"),
            (tunnel("rule.test:443"), "deny port_not_allowed some"),
            (tunnel("own.test:9"), "allow some"),
            (tunnel("own.test:22"), "deny port_not_allowed some"),
            (tunnel("any.test:65535"), "allow any"),
        ],
    );
}

#[test]
fn tools_periods_and_methods_must_match() {
    let tool = RuleDocument { tools: texts(&["browser", "plugin:sales"]), ..rule("tool", &["tool.test"]) };
    let period =
        RuleDocument { from: Some(spanned(at(10))), until: Some(spanned(at(20))), ..rule("period", &["period.test"]) };
    let read = RuleDocument { methods: texts(&["GET", "WEBSOCKET"]), ..rule("read", &["read.test"]) };
    let policy = with_rules(vec![tool, period, read]);
    assert_table(
        &policy,
        &[
            (by("browser", tunnel("tool.test")), "allow tool"),
            (by("plugin:sales", tunnel("tool.test")), "allow tool"),
            (by("Browser", tunnel("tool.test")), "deny tool_not_allowed tool"),
            (by("cli", tunnel("tool.test")), "deny tool_not_allowed tool"),
            (later(9, tunnel("period.test")), "deny outside_period period"),
            (later(10, tunnel("period.test")), "allow period"),
            (later(19, tunnel("period.test")), "allow period"),
            (later(20, tunnel("period.test")), "deny outside_period period"),
            (plain("GET", "read.test"), "allow read"),
            (websocket("read.test"), "allow read"),
            (plain("get", "read.test"), "deny method_not_allowed read"),
            (plain("POST", "read.test"), "deny method_not_allowed read"),
            (tunnel("read.test"), "deny method_not_allowed read"),
        ],
    );
}

#[test]
fn a_deny_rule_applies_only_where_all_of_it_matches_but_a_tunnel_might_hide_any_method() {
    let write = RuleDocument { methods: texts(&["POST"]), ..deny_rule("write", &["write.test"]) };
    let tool = RuleDocument { tools: texts(&["browser"]), ..deny_rule("tool", &["tool.test"]) };
    let port = RuleDocument {
        ports: Some(PortsDocument::These(vec![spanned((443, 443))])),
        ..deny_rule("port", &["port.test"])
    };
    let period = RuleDocument { until: Some(spanned(at(5))), ..deny_rule("period", &["period.test"]) };
    let all = rule("all", &["*.test"]);
    let policy = with_rules(vec![all, write, tool, port, period]);
    assert_table(
        &policy,
        &[
            (plain("POST", "write.test"), "deny host_denied write"),
            (plain("Post", "write.test"), "deny host_denied write"),
            (plain("POSTS", "write.test"), "allow all"),
            (plain("GET", "write.test"), "allow all"),
            (tunnel("write.test"), "deny host_denied write"),
            (by("browser", tunnel("tool.test")), "deny host_denied tool"),
            (by("cli", tunnel("tool.test")), "allow all"),
            (tunnel("port.test:443"), "deny host_denied port"),
            (tunnel("port.test:80"), "allow all"),
            (later(4, tunnel("period.test")), "deny host_denied period"),
            (later(5, tunnel("period.test")), "allow all"),
        ],
    );
}

#[test]
fn an_upgrade_is_denied_by_either_of_its_names_and_allowed_by_its_own_alone() {
    let methods = |names: &[&str], rule: RuleDocument| RuleDocument { methods: texts(names), ..rule };
    let policy = with_rules(vec![
        rule("all", &["*.all.test"]),
        methods(&["GET"], deny_rule("no-get", &["get.all.test"])),
        methods(&["WEBSOCKET"], deny_rule("no-ws", &["ws.all.test"])),
        methods(&["POST"], deny_rule("no-post", &["post.all.test"])),
        methods(&["WEBSOCKET"], rule("ws", &["ws.test"])),
        methods(&["GET", "HEAD"], rule("get", &["get.test"])),
        methods(&["GET", "WEBSOCKET"], rule("both", &["both.test"])),
    ]);
    assert_table(
        &policy,
        &[
            (websocket("any.all.test"), "allow all"),
            (websocket("get.all.test"), "deny host_denied no-get"),
            (websocket("ws.all.test"), "deny host_denied no-ws"),
            (websocket("post.all.test"), "allow all"),
            (plain("GET", "get.all.test"), "deny host_denied no-get"),
            (plain("GET", "ws.all.test"), "allow all"),
            (websocket("ws.test"), "allow ws"),
            (plain("GET", "ws.test"), "deny method_not_allowed ws"),
            (websocket("get.test"), "deny method_not_allowed get"),
            (websocket("both.test"), "allow both"),
            (plain("GET", "both.test"), "allow both"),
            // A method token is always a method, even if it looks like a protocol name.
            (plain("WEBSOCKET", "any.all.test"), "allow all"),
            (plain("WEBSOCKET", "ws.all.test"), "allow all"),
            (plain("WEBSOCKET", "ws.test"), "deny method_not_allowed ws"),
            (plain("websocket", "ws.test"), "deny method_not_allowed ws"),
            (plain("WEBSOCKET", "both.test"), "deny method_not_allowed both"),
        ],
    );
}

#[test]
fn of_several_near_misses_the_furthest_gives_the_reason() {
    let port = rule("port", &["a.test:1"]);
    let tool = RuleDocument { tools: texts(&["x"]), ..rule("tool", &["*.test"]) };
    let period = RuleDocument { until: Some(spanned(at(0))), ..rule("period", &["a.test", "b.test"]) };
    let method = RuleDocument { methods: texts(&["GET"]), ..rule("method", &["a.test"]) };
    let rows = [
        (vec![port.clone()], "deny port_not_allowed port"),
        (vec![port.clone(), tool.clone()], "deny tool_not_allowed tool"),
        (vec![period.clone(), port.clone(), tool.clone()], "deny outside_period period"),
        (vec![port, method, tool, period.clone()], "deny method_not_allowed method"),
    ];
    for (rules, expected) in rows {
        let mut reversed = rules.clone();
        reversed.reverse();
        assert_eq!(verdict(&with_rules(rules), &tunnel("a.test")), expected);
        assert_eq!(verdict(&with_rules(reversed), &tunnel("a.test")), expected);
    }
    // As near as each other: the more specific pattern, then the first rule.
    let other = RuleDocument { id: spanned("other".to_owned()), ..period.clone() };
    let wide = RuleDocument { id: spanned("wide".to_owned()), to: texts(&["*.test"]), ..period.clone() };
    assert_eq!(verdict(&with_rules(vec![wide, other, period]), &tunnel("b.test")), "deny outside_period other");
}

#[test]
fn the_switches_come_before_all_rules() {
    let open = PolicyDocument { allow: texts(&["a.test"]), deny: texts(&["b.test"]), ..document() };
    let off = compile(&PolicyDocument { enabled: false, egress: Egress::None, ..open.clone() });
    let none = compile(&PolicyDocument { egress: Egress::None, ..open.clone() });
    let all = compile(&PolicyDocument { egress: Egress::All, ..open.clone() });
    let on = compile(&open);
    let looped = |to| RequestFacts { passed_through_us: true, ..tunnel(to) };
    assert_table(&off, &[(tunnel("a.test"), "deny egress_disabled -"), (looped("a.test"), "deny egress_disabled -")]);
    assert_table(&none, &[(tunnel("a.test"), "deny egress_none -"), (looped("b.test"), "deny egress_none -")]);
    assert_table(&on, &[(looped("a.test"), "deny loop -"), (looped("b.test"), "deny loop -")]);
    assert_table(
        &all,
        &[
            (tunnel("a.test"), "allow allow:a.test"),
            (tunnel("a.test:22"), "all"),
            (tunnel("c.test:22"), "all"),
            (tunnel("192.0.2.1"), "all"),
            (tunnel("b.test"), "deny host_denied deny:b.test"),
            (looped("c.test"), "deny loop -"),
        ],
    );
}

#[test]
fn package_managers_count_only_where_the_egress_says_so() {
    let document = PolicyDocument {
        allow: texts(&["a.test"]),
        package_managers: texts(&["*.packages.test"]),
        rules: vec![rule("r", &["r.test"])],
        ..document()
    };
    let off = compile(&document);
    let on = compile(&PolicyDocument { egress: Egress::PackageManagers, ..document });
    assert_table(
        &off,
        &[(tunnel("x.packages.test"), "deny host_not_allowed -"), (tunnel("a.test"), "allow allow:a.test")],
    );
    assert_table(
        &on,
        &[
            (tunnel("x.packages.test"), "allow package-managers:*.packages.test"),
            (tunnel("a.test"), "allow allow:a.test"),
            (tunnel("r.test"), "allow r"),
            (tunnel("b.test"), "deny host_not_allowed -"),
        ],
    );
    assert_eq!((off.rule_count(), on.rule_count()), (2, 3));
}

#[test]
fn a_name_of_one_label_needs_a_rule_that_names_it() {
    let document = PolicyDocument { allow: texts(&["intranet", "*.corp", "**.lab"]), ..document() };
    let listed = compile(&document);
    let all = compile(&PolicyDocument { egress: Egress::All, ..document });
    for policy in [&listed, &all] {
        assert_table(
            policy,
            &[
                (tunnel("intranet"), "allow allow:intranet"),
                (tunnel("lab"), "allow allow:**.lab"),
                (tunnel("corp"), "deny host_not_allowed -"),
                (tunnel("other"), "deny host_not_allowed -"),
                (tunnel("a.corp"), "allow allow:*.corp"),
            ],
        );
    }
}

#[test]
fn observe_lets_pass_what_only_wants_a_rule() {
    let rules = vec![
        RuleDocument { tools: texts(&["x"]), ..rule("tool", &["tool.test"]) },
        RuleDocument { until: Some(spanned(at(0))), ..rule("period", &["period.test"]) },
        RuleDocument { methods: texts(&["GET"]), ..rule("method", &["method.test"]) },
    ];
    let document = PolicyDocument {
        mode: Mode::Observe,
        allow: texts(&["a.test"]),
        deny: texts(&["b.test", "198.51.100.0/24"]),
        rules,
        ..document()
    };
    assert_table(
        &compile(&document),
        &[
            (tunnel("a.test"), "allow allow:a.test"),
            (tunnel("c.test"), "observe host_not_allowed"),
            (tunnel("a.test:22"), "observe port_not_allowed"),
            (tunnel("tool.test"), "observe tool_not_allowed"),
            (tunnel("period.test"), "observe outside_period"),
            (tunnel("method.test"), "observe method_not_allowed"),
            (tunnel("b.test"), "deny host_denied deny:b.test"),
            (tunnel("198.51.100.9"), "deny address_not_allowed deny:198.51.100.0/24"),
            (RequestFacts { passed_through_us: true, ..tunnel("c.test") }, "deny loop -"),
        ],
    );
    let off = compile(&PolicyDocument { enabled: false, ..document.clone() });
    assert_eq!(verdict(&off, &tunnel("c.test")), "deny egress_disabled -");
    let none = compile(&PolicyDocument { egress: Egress::None, ..document });
    assert_eq!(verdict(&none, &tunnel("c.test")), "deny egress_none -");
}

#[test]
fn lists_are_rules_too() {
    let document = PolicyDocument {
        egress: Egress::All,
        lists: vec![
            list("bad.txt", Effect::Deny, Covers::Subdomains),
            list("exact.txt", Effect::Deny, Covers::Exact),
            list("good.txt", Effect::Allow, Covers::Exact),
        ],
        ..document()
    };
    let lists = ["bad.test\nworse.test\nbad.test\n", "one.test\nbad.test", "good.test\none.test"];
    let policy = Snapshot::from(compile_with(&document, &lists).unwrap().policy);
    assert_table(
        &policy,
        &[
            (tunnel("bad.test"), "deny host_denied list:bad.txt"),
            (tunnel("a.b.bad.test:8443"), "deny host_denied list:bad.txt"),
            (tunnel("notbad.test"), "all"),
            (tunnel("one.test"), "deny host_denied list:exact.txt"),
            (tunnel("a.one.test"), "all"),
            (tunnel("good.test"), "allow list:good.txt"),
            (tunnel("good.test:22"), "all"),
        ],
    );
    assert_eq!(policy.rule_count(), 3);
}

#[test]
fn a_denial_says_what_its_rule_says() {
    let document = PolicyDocument {
        contact: Some("help@example.test".to_owned()),
        rules: vec![RuleDocument { reason: Some("it uploads".to_owned()), ..deny_rule("up", &["up.test"]) }],
        ..document()
    };
    let denial = denial(&compile(&document), &tunnel("up.test"));
    assert_eq!(denial.rule_reason(), Some("it uploads"));
    assert_eq!(denial.destination().to_string(), "up.test:443");
    assert_eq!(denial.policy().contact(), Some("help@example.test"));
    assert_eq!(denial.policy().name(), "test");
    assert_eq!(denial.policy().revision(), "0123456789ab");
    let named = compile(&PolicyDocument { revision: Some("7".to_owned()), ..document });
    assert_eq!(named.revision(), "7");
}

#[test]
fn the_next_change_is_the_nearest_begin_or_lapse() {
    let first =
        RuleDocument { from: Some(spanned(at(10))), until: Some(spanned(at(30))), ..rule("first", &["a.test"]) };
    let second = RuleDocument { until: Some(spanned(at(20))), ..deny_rule("second", &["a.test"]) };
    let policy = with_rules(vec![first, second]);
    for (from, next) in [(0, Some(10)), (10, Some(20)), (19, Some(20)), (20, Some(30)), (30, None)] {
        assert_eq!(policy.next_change_after(at(from)), next.map(at), "{from}");
    }
    for (then, now, expected) in
        [(0, 9, false), (0, 10, true), (10, 19, false), (10, 20, true), (40, 50, false), (10, 9, true), (45, 5, true)]
    {
        assert_eq!(policy.changes_since(at(then), || at(now)), expected, "from {then} to {now}");
    }
    let steady = super::policy(&["a.test"], &[]);
    assert!(!steady.changes_since(at(0), || panic!("the clock matters to no rule")));
    assert_eq!(permit(&policy, &later(25, tunnel("a.test"))).until(), Some(at(30)));
}

#[test]
fn one_optional_rule_is_enough_to_pass_bytes_that_are_no_tls() {
    let optional = RuleDocument { tls: Tls::Optional, ..rule("optional", &["*.a.test", "b.test:22"]) };
    let policy = with_rules(vec![rule("required", &["x.a.test", "b.test"]), optional]);
    assert_eq!(permit(&policy, &tunnel("x.a.test")).tls(), Tls::Optional);
    assert_eq!(permit(&policy, &tunnel("b.test:22")).tls(), Tls::Optional);
    assert_eq!(permit(&policy, &tunnel("b.test")).tls(), Tls::Required);
    let all = compile(&PolicyDocument { egress: Egress::All, ..document() });
    assert_eq!(permit(&all, &tunnel("b.test")).tls(), Tls::Required);
}

#[test]
fn a_snapshot_is_shared_between_threads_and_knows_its_policy() {
    fn shared<T: Send + Sync>(value: T) -> T {
        value
    }
    let policy = Arc::new(Stack::from(compile_with(&document(), &[]).unwrap().policy));
    let snapshot = shared(Snapshot::new(Arc::clone(&policy)));
    let clones: Vec<Snapshot> = (0..3).map(|_| snapshot.clone()).collect();
    assert!(clones.iter().all(|clone| Arc::ptr_eq(clone.stack(), &policy)));
    assert_eq!(Arc::strong_count(&policy), 2, "clones of a handle leave the shared count alone");
}
