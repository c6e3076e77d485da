use super::*;

fn hint(policy: &Snapshot, facts: &RequestFacts) -> Option<String> {
    denial(policy, facts).hint().map(str::to_owned)
}

#[test]
fn a_hint_names_the_nearest_rule_of_the_same_owner() {
    let policy = policy(&["*.apex.test", "one.test", "www.site.test", "a.deep.test", "x.port.test:8443"], &[]);
    for (to, expected) in [
        ("apex.test", Some("`*.apex.test` does not cover `apex.test` itself")),
        ("a.one.test", Some("`one.test` is allowed, `a.one.test` below it is not")),
        ("b.a.one.test", None),
        ("site.test", Some("`www.site.test` is allowed, `site.test` is not")),
        ("deep.test", None),
        ("b.deep.test", None),
        ("b.a.deep.test", Some("`a.deep.test` is allowed, `b.a.deep.test` below it is not")),
        ("oone.test", None),
        ("apex.test.evil.test", None),
        ("apex.test:22", None),
        ("x.port.test", Some("`x.port.test` is allowed on port 8443, not 443")),
        ("a.apex.test:22", Some("`a.apex.test` is allowed on ports 80 and 443, not 22")),
        ("198.51.100.1", Some("rules for names do not cover the address `198.51.100.1`")),
        ("intranet", Some("a name of one label needs a rule that names it")),
    ] {
        assert_eq!(hint(&policy, &tunnel(to)).as_deref(), expected, "{to}");
    }
}

#[test]
fn a_hint_tells_nothing_of_other_owners() {
    // Each of these is one label away from a rule, on the other side of a public suffix.
    let policy = policy(&["github.io", "co.uk", "*.corp", "*.tenant.github.io", "8.8.8.0/24"], &[]);
    for to in ["other.github.io", "other.co.uk", "github.io.test", "x.y.test"] {
        assert_eq!(hint(&policy, &tunnel(to)), None, "{to}");
    }
    assert_eq!(
        hint(&policy, &tunnel("tenant.github.io")).as_deref(),
        Some("`*.tenant.github.io` does not cover `tenant.github.io` itself")
    );
    for (to, expected) in [
        ("a.b.corp:22", "`a.b.corp` is allowed on ports 80 and 443, not 22"),
        ("8.8.8.8:22", "`8.8.8.8` is allowed on ports 80 and 443, not 22"),
        ("corp", "a name of one label needs a rule that names it"),
    ] {
        assert_eq!(hint(&policy, &tunnel(to)).as_deref(), Some(expected), "{to}: the pattern itself is not shown");
    }
}

#[test]
fn a_hint_never_sends_people_to_what_is_denied() {
    let denied = policy(&["one.test", "www.site.test"], &["one.test", "www.site.test"]);
    assert_eq!(hint(&denied, &tunnel("a.one.test")), None);
    assert_eq!(hint(&denied, &tunnel("site.test")), None);
    assert_eq!(hint(&denied, &tunnel("one.test")), None);
}

#[test]
fn tools_times_and_methods_are_explained() {
    let tool = RuleDocument { tools: texts(&["secret-tool"]), ..rule("tool", &["tool.test"]) };
    let period =
        RuleDocument { from: Some(spanned(at(10))), until: Some(spanned(at(20))), ..rule("period", &["period.test"]) };
    let read = RuleDocument { methods: texts(&["GET", "HEAD"]), ..rule("read", &["read.test"]) };
    let live = RuleDocument { methods: texts(&["WEBSOCKET"]), ..rule("live", &["live.test"]) };
    let policy = with_rules(vec![tool, period, read, live]);
    for (facts, expected) in [
        (tunnel("tool.test"), "`tool.test` is allowed to other tools, not to `cli`"),
        (by("b\u{f6}se", tunnel("tool.test")), "`tool.test` is allowed to other tools, not to this one"),
        (by("", tunnel("tool.test")), "`tool.test` is allowed to certain tools only"),
        (tunnel("period.test"), "`period.test` is allowed only from 2026-11-20T12:00:10Z on"),
        (later(20, tunnel("period.test")), "`period.test` was allowed only until 2026-11-20T12:00:20Z"),
        (plain("POST", "read.test"), "`read.test` is allowed for GET and HEAD, not for POST"),
        (websocket("read.test"), "`read.test` is allowed for GET and HEAD, not for WEBSOCKET"),
        (plain("GET", "live.test"), "`live.test` is allowed for WEBSOCKET, not for GET"),
        (plain("WEBSOCKET", "live.test"), "`live.test` is allowed for WEBSOCKET only"),
        (
            tunnel("read.test"),
            "`read.test` is allowed for GET and HEAD only, and a method inside a tunnel cannot be seen",
        ),
    ] {
        assert_eq!(hint(&policy, &facts).as_deref(), Some(expected));
    }
}

#[test]
fn the_hint_for_an_address_names_what_is_near_it() {
    let patterns = ["198.51.100.0/25", "8.8.4.4", "9.9.0.0/17", "::ffff:7.7.7.7", "2001:db8::/64", "a.test", "6.6.6.6"];
    let listed = policy(&patterns, &["6.6.6.6"]);
    for (asked, expected) in [
        ("198.51.100.200", "`198.51.100.0/25` is allowed, `198.51.100.200` is not in it"),
        ("8.8.4.8", "`8.8.4.4` is allowed, `8.8.4.8` is not"),
        ("9.9.200.1", "`9.9.0.0/17` is allowed, `9.9.200.1` is not in it"),
        ("7.7.7.7", "`::ffff:7.7.7.7` is allowed, its other form `7.7.7.7` is not"),
        ("[::ffff:8.8.4.4]", "`8.8.4.4` is allowed, its other form `::ffff:8.8.4.4` is not"),
        ("[2001:db8:0:1::1]", "`2001:db8::/64` is allowed, `2001:db8:0:1::1` is not in it"),
        ("10.0.0.1", "rules for names do not cover the address `10.0.0.1`"),
        ("8.8.4.8:22", "rules for names do not cover the address `8.8.4.8`"),
        ("6.6.6.7", "rules for names do not cover the address `6.6.6.7`"),
    ] {
        assert_eq!(hint(&listed, &tunnel(asked)).as_deref(), Some(expected), "{asked}");
    }
    let whole = policy(&["0.0.0.0/0"], &[]);
    let special = "`0.0.0.0/0` does not cover `10.0.0.1`, a private address";
    assert_eq!(hint(&whole, &tunnel("10.0.0.1")).as_deref(), Some(special));
    let addresses = policy(&["198.51.100.0/25", "6.6.6.6"], &["6.6.6.6"]);
    for asked in ["203.0.113.1", "6.6.6.7", "198.52.0.1", "[2001:db8::1]", "198.51.100.200:22"] {
        assert_eq!(hint(&addresses, &tunnel(asked)), None, "{asked}: nothing near is open, and there are no names");
    }
}

#[test]
fn a_hint_is_short_ascii_whatever_was_asked() {
    let long = format!("{0}.{0}.{0}.example.test", "a".repeat(60));
    let many: Vec<String> = (1..100).map(|port| format!("{long}:{}", port * 100)).collect();
    let mut patterns: Vec<&str> = many.iter().map(String::as_str).collect();
    let apex = format!("*.b.{long}");
    patterns.push(&apex);
    let read = RuleDocument {
        methods: (0..9).map(|n| spanned(format!("M{n}{}", "X".repeat(90)))).collect(),
        ..rule("read", &["*.read.test"])
    };
    let policy = compile(&PolicyDocument { allow: texts(&patterns), rules: vec![read], ..document() });
    let asked = [
        tunnel(&long),
        tunnel(&format!("b.{long}")),
        plain(&"P".repeat(500), &format!("{}.read.test", "r".repeat(63))),
        tunnel(&format!("{}.read.test", "r".repeat(63))),
    ];
    for facts in asked {
        let hint = hint(&policy, &facts).unwrap();
        assert!(hint.is_ascii() && hint.len() <= hint::LONGEST, "{} {hint}", hint.len());
    }
}
