use super::*;

fn at_byte(start: usize, text: &str) -> Spanned<String> {
    Spanned { value: text.to_owned(), span: Span { start, end: start + 1 } }
}

fn show(problems: &Problems) -> Vec<String> {
    let place = |place: ProblemPlace| match place {
        ProblemPlace::Whole => "whole".to_owned(),
        ProblemPlace::Document(span) => format!("{}", span.start),
        ProblemPlace::List { list, line } => format!("list {list} line {line}"),
    };
    problems
        .kept()
        .iter()
        .map(|problem| format!("{}: {}; {}", place(problem.place), problem.what, problem.fix))
        .collect()
}

#[test]
fn every_mistake_is_found_at_once_in_the_order_of_places() {
    let bad = RuleDocument {
        id: at_byte(30, "allow:a.test"),
        to: vec![at_byte(31, "*.com"), at_byte(32, "b.test")],
        ports: Some(PortsDocument::These(vec![Spanned { value: (0, 5), span: Span { start: 33, end: 34 } }])),
        tools: vec![at_byte(34, " ")],
        methods: vec![at_byte(35, "G ET")],
        addresses: vec![at_byte(36, "10.0.0.1/8")],
        from: Some(spanned(at(5))),
        until: Some(Spanned { value: at(5), span: Span { start: 37, end: 38 } }),
        ..rule("", &[])
    };
    let document = PolicyDocument {
        allow: vec![at_byte(10, "a.test"), at_byte(11, "*")],
        deny: vec![at_byte(12, "https://up.test/")],
        package_managers: vec![at_byte(13, "h.*")],
        internal_addresses: vec![at_byte(14, "intranet.test")],
        rules: vec![
            bad,
            RuleDocument { id: at_byte(40, "twice"), ..rule("", &["c.test"]) },
            rule("twice", &["d.test"]),
        ],
        lists: vec![list("l.txt", Effect::Deny, Covers::Exact), list("l.txt", Effect::Deny, Covers::Exact)],
        ..document()
    };
    let problems = compile_with(&document, &["ok.test\nnot ok.test\n", "ok.test"]).unwrap_err();
    assert_eq!(
        show(&problems),
        [
            "0: the id `twice` is taken; choose another",
            "0: the id `list:l.txt` is taken; name each file once",
            "11: `*` would allow everything; write `egress = \"all\"`, in plain words, or name the hosts",
            "12: `https://up.test/` is a URL; write `up.test`",
            "13: the `*` in `h.*` is not for whole labels at the front; name the hosts one by one",
            "14: `intranet.test` is neither an address nor a CIDR block; write the block that the name resolves into, \
             such as `10.0.0.0/8`",
            "30: the id `allow:a.test` is taken; the entry of that pattern has it; choose another",
            "31: `*.com` covers every name under the public suffix `com`; name the domains that you mean, such as \
             `*.example.com`",
            "33: port 0 is not a port; write a number from 1 to 65535",
            "34: the tool has no name; write the name of a listener, or take the entry out",
            "35: `G ET` is not a method; write a method such as `GET`, or `WEBSOCKET`",
            "36: `10.0.0.1/8` has bits set after its prefix; write `10.0.0.0/8` for the block, or `10.0.0.1` for the \
             one address",
            "37: `until` is not later than `from`; set it to a later time, or take one out",
            "list 0 line 2: `not ok.test` has blanks; write one pattern an entry, without blanks",
        ]
    );
}

#[test]
fn what_looks_wrong_is_a_warning_and_the_policy_compiles() {
    let never = RuleDocument { span: Span { start: 20, end: 21 }, ..rule("never", &[]) };
    let no_ports = RuleDocument {
        span: Span { start: 21, end: 22 },
        ports: Some(PortsDocument::These(Vec::new())),
        ..rule("no-ports", &["e.test"])
    };
    let methods =
        RuleDocument { methods: vec![at_byte(22, "get"), at_byte(23, "CONNECT")], ..rule("methods", &["f.test"]) };
    let deny = RuleDocument {
        span: Span { start: 25, end: 26 },
        addresses: vec![at_byte(24, "10.0.0.0/8")],
        tls: Tls::Optional,
        parent: true,
        ..deny_rule("deny", &["g.test"])
    };
    let document = PolicyDocument {
        allow: vec![
            at_byte(10, "a.test"),
            at_byte(11, "A.test."),
            at_byte(12, "*.githubusercontent.com"),
            at_byte(13, "d.test"),
            at_byte(14, "half.test:*"),
        ],
        deny: texts(&["d.test", "half.test:443"]),
        rules: vec![never, no_ports, methods, deny],
        lists: vec![ListDocument { file: at_byte(30, "empty.txt"), ..list("", Effect::Deny, Covers::Subdomains) }],
        ..document()
    };
    let compiled = compile_with(&document, &["# nothing\n"]).unwrap();
    assert_eq!(
        show(&compiled.warnings),
        [
            "11: `a.test` is in `allow` twice; take one out",
            "12: `*.githubusercontent.com` covers every tenant of `githubusercontent.com`, and anyone can become one; \
             name the tenants that you mean, such as `tenant.githubusercontent.com`",
            "13: `d.test` can never match in `allow:d.test`: `deny:d.test` denies it; take one of the two out; deny wins",
            "20: the rule `never` can never match: `to` is empty; name hosts in `to`",
            "21: the rule `no-ports` can never match: `ports` is empty; name ports, or take `ports` out",
            "22: methods are case-sensitive, and `get` is unusual; write `GET`",
            "23: no request has the method `CONNECT` here: a tunnel is asked for without one; take `methods` out to \
             allow tunnels",
            "24: `addresses` does nothing in a deny rule; put blocks to deny into `to`",
            "25: `tls` does nothing in the deny rule `deny`; take it out",
            "25: `parent` does nothing in the deny rule `deny`; take it out",
            "30: the list `empty.txt` holds no name; fill it, or take the list out",
        ]
    );
}

#[test]
fn a_list_may_deny_a_registry_but_not_allow_one() {
    let lists = |effect| PolicyDocument { lists: vec![list("l", effect, Covers::Subdomains)], ..document() };
    let denied = compile_with(&lists(Effect::Deny), &["com\n"]).unwrap();
    let policy = Snapshot::from(denied.policy);
    assert_eq!(verdict(&policy, &tunnel("example.com")), "deny host_denied list:l");
    let problems = compile_with(&lists(Effect::Allow), &["example.com\nco.uk\n"]).unwrap_err();
    assert_eq!(
        show(&problems),
        ["list 0 line 2: `co.uk` is a public suffix, and the list covers everything below its names; name the \
          domains that you mean"]
    );
}

#[test]
fn a_list_that_was_not_read_is_a_mistake_and_not_an_empty_list() {
    let document = PolicyDocument { lists: vec![list("l", Effect::Deny, Covers::Exact)], ..document() };
    let problems = compile_with(&document, &[]).unwrap_err();
    assert_eq!(show(&problems), ["0: the list's file was not read; read it first"]);
}

#[test]
fn a_policy_keeps_its_rules_as_they_were_written() {
    let named = RuleDocument {
        ports: Some(PortsDocument::These(vec![spanned((8000, 8010)), spanned((9, 9))])),
        reason: Some("why".to_owned()),
        until: Some(spanned(at(9))),
        ..rule("named", &["c.test", "2001:db8::/32", "10.0.0.0/8:1-9"])
    };
    let document = PolicyDocument {
        allow: vec![at_byte(7, "*.A.test"), spanned("b.test:9".to_owned())],
        deny: texts(&["up.a.test"]),
        rules: vec![named],
        lists: vec![list("l", Effect::Deny, Covers::Exact)],
        ..document()
    };
    let policy = compile_with(&document, &["d.test\n"]).unwrap().policy;
    let shown: Vec<_> = policy
        .rules()
        .iter()
        .map(|rule| {
            let to: Vec<_> = rule.destinations().iter().map(ToString::to_string).collect();
            format!("{:?} {} {}", rule.effect(), rule.id(), to.join(" "))
        })
        .collect();
    assert_eq!(
        shown,
        [
            "Allow allow:*.a.test *.a.test:80,443",
            "Allow allow:b.test:9 b.test:9",
            "Deny deny:up.a.test up.a.test:*",
            "Allow named c.test:9,8000-8010 [2001:db8::/32]:9,8000-8010 10.0.0.0/8:1-9",
            "Deny list:l ",
        ]
    );
    assert_eq!(policy.rules()[0].destinations()[0].span(), Span { start: 7, end: 8 });
    assert_eq!((policy.rules()[3].reason(), policy.rules()[3].until()), (Some("why"), Some(at(9))));
    assert_eq!(policy.rule_count(), policy.rules().len());
}

#[test]
fn a_hundred_thousand_rules_are_a_policy() {
    let names: Vec<String> = (0..100_000).map(|n| format!("h{n}.example.test")).collect();
    let document = PolicyDocument { allow: names.iter().map(|name| spanned(name.clone())).collect(), ..document() };
    let policy = compile(&document);
    assert_eq!(policy.rule_count(), 100_000);
    assert_eq!(verdict(&policy, &tunnel("h99999.example.test")), "allow allow:h99999.example.test");
    assert_eq!(verdict(&policy, &tunnel("h100000.example.test")), "deny host_not_allowed -");
}
