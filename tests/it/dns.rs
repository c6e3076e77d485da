//! What name servers say, and what comes of it: an answer, a record, and nothing dialled that was not vetted.

use std::net::IpAddr;

use crate::expectations::{assert_denied, assert_failed};
use crate::harness::{Origin, Settings, allow, policy, rule, until};
use crate::scripted_names::{Say, ScriptedNames};

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

const HERE: &str = "127.0.0.1";

/// Allows tunnels to `*.test` with any protocol and short timeouts for name servers.
fn settings() -> Settings {
    Settings::with(allow(&["*.test:*"])).limit("dns-timeout = \"1s\"")
}

#[test]
fn each_answer_of_a_name_server_has_its_own_answer_and_record() {
    let many: Vec<String> = (0..300).map(|host| format!("127.0.{}.{}", host / 200, host % 200 + 1)).collect();
    let many = ips(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let huge: Vec<IpAddr> = (0..2000_u32).map(|low| IpAddr::V4((0x7f00_0001 + low).into())).collect();
    // Each false answer follows the correct answer that it resembles most.
    let rows: Vec<(&'static str, Say, u16, &str)> = vec![
        ("plain.test", Say::Ips(ips(&[HERE])), 200, ""),
        ("both.test", Say::Ips(ips(&[HERE, "10.0.0.1"])), 403, "address_not_allowed"),
        ("mixed6.test", Say::Ips(ips(&[HERE, "fd00::1"])), 403, "address_not_allowed"),
        ("private.test", Say::Ips(ips(&["10.0.0.1"])), 403, "address_not_allowed"),
        ("metadata.test", Say::Ips(ips(&["169.254.169.254"])), 403, "address_not_allowed"),
        ("mapped.test", Say::Ips(ips(&["::ffff:10.0.0.1"])), 403, "address_not_allowed"),
        ("empty.test", Say::Ips(Vec::new()), 502, "dns_error"),
        ("refused.test", Say::Code(5), 502, "dns_error"),
        ("failed.test", Say::Code(2), 502, "dns_error"),
        ("unknown.test", Say::Code(3), 502, "dns_error"),
        ("silent.test", Say::Nothing, 504, "dns_timeout"),
        ("alias.test", Say::Cname("plain.test"), 200, ""),
        ("alias2.test", Say::Cname("alias.test"), 200, ""),
        ("badalias.test", Say::Cname("private.test"), 403, "address_not_allowed"),
        ("nowhere.test", Say::Cname("unknown.test"), 502, "dns_error"),
        ("loop1.test", Say::Cname("loop2.test"), 502, "dns_error"),
        ("loop2.test", Say::Cname("loop1.test"), 502, "dns_error"),
        ("large.test", Say::ByTcp(many), 200, ""),
        ("huge.test", Say::ByTcp(huge), 200, ""),
        ("cut.test", Say::TcpCloses, 502, "dns_error"),
        (
            "extra.test",
            Say::WithAnother(ips(&[HERE]), "other.test", "10.0.0.1".parse().unwrap()),
            403,
            "address_not_allowed",
        ),
        ("another.test", Say::OfAnother(ips(&[HERE])), 200, ""),
        ("notmine.test", Say::OfAnother(ips(&[HERE])), 502, "dns_error"),
    ];
    let origin = Origin::echo();
    let script: Vec<_> = rows.iter().map(|(name, say, ..)| (*name, say.clone())).collect();
    let names = ScriptedNames::start(&script);
    let proxy = names.proxy(settings());
    let mut expected = Vec::new();
    let mut reached = 0;
    for (name, _, status, token) in &rows {
        let authority = format!("{name}:{}", origin.port());
        let (mut client, answer) = proxy.connect(&authority);
        assert_eq!(answer.status(), *status, "{name}: {answer}");
        let (verdict, outcome) = match status {
            200 => ("allow -", "client_closed"),
            403 => ("deny address_not_allowed", "denied"),
            _ => ("allow -", "unresolvable"),
        };
        match status {
            200 => reached += 1,
            403 => assert_denied(&answer, token),
            _ => assert_failed(&answer, *status, token),
        }
        expected.push(format!("connect {authority} {verdict} {outcome} {status}"));
        if *status == 200 {
            client.half_close();
            client.rest();
        }
    }
    // The last may have been dialled and not accepted yet.
    until("the origin has them", || (origin.connections() >= reached).then_some(()));
    assert_eq!(origin.connections(), reached, "what was refused was not dialled");
    proxy.account(&expected.iter().map(String::as_str).collect::<Vec<_>>());
}

#[test]
fn an_answer_to_something_else_is_none() {
    let origin = Origin::echo();
    let names = ScriptedNames::start(&[
        ("forged.test", Say::WrongId(ips(&[HERE]))),
        ("astray.test", Say::WrongQuestion(ips(&[HERE]))),
        ("garbage.test", Say::Garbage),
    ]);
    let proxy = names.proxy(settings());
    for name in ["forged.test", "astray.test", "garbage.test"] {
        // Whether it is passed over until the time is up, or taken for a fault of the server, is the resolver's choice.
        let (_, answer) = proxy.connect(&format!("{name}:{}", origin.port()));
        assert!(matches!(answer.status(), 502 | 504), "{answer}");
    }
    assert!(proxy.records(3).iter().all(|record| record["outcome"] == "unresolvable"));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_name_that_moves_between_two_requests_is_judged_at_each() {
    let origin = Origin::echo();
    let names = ScriptedNames::start(&[("moves.test", Say::InTurn(vec![ips(&[HERE]), ips(&["10.0.0.1"])]))]);
    let proxy = names.proxy(settings());
    let authority = format!("moves.test:{}", origin.port());
    let mut tunnel = proxy.tunnel(&authority);
    assert_eq!(names.asked(), ["A moves.test", "AAAA moves.test"], "no second question between vetting and dialling");
    assert_denied(&proxy.connect(&authority).1, "address_not_allowed");
    tunnel.send(b"alive");
    assert_eq!(tunnel.read(5), b"alive", "what was vetted is what the tunnel leads to");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_denied_name_is_never_looked_up() {
    let names = ScriptedNames::start(&[("no.example", Say::Ips(ips(&[HERE])))]);
    let proxy = names.proxy(settings());
    assert_denied(&proxy.connect("no.example:443").1, "host_not_allowed");
    assert_eq!(names.asked(), Vec::<String>::new());
}

#[test]
fn nat64_addresses_are_judged_by_the_ipv4_address_inside() {
    // The name server announces one prefix. The other is documentation space, which the rule allows.
    let opened = policy("r1", &(rule("ok", &["*.test:*"]) + "addresses = [\"2001:db8::/32\"]\n"));
    let names = ScriptedNames::start(&[
        ("inside.test", Say::Ips(ips(&["2001:db8:64::10.0.0.1"]))),
        ("metadata.test", Say::Ips(ips(&["2001:db8:64::169.254.169.254"]))),
        ("outside.test", Say::Ips(ips(&["2001:db8:65::10.0.0.1"]))),
    ]);
    let settings = Settings::with(opened).limit("connect-timeout = \"300ms\"");
    let mut proxy = names.proxy(settings);
    proxy.stop();
    let path = proxy.path("outgate.toml");
    let config = std::fs::read_to_string(&path).unwrap().replace("[dns]\n", "[dns]\nnat64 = [\"2001:db8:64::/96\"]\n");
    std::fs::write(&path, config).unwrap();
    proxy.start_again();
    for name in ["inside.test", "metadata.test"] {
        assert_denied(&proxy.connect(&format!("{name}:443")).1, "address_not_allowed");
    }
    let status = proxy.connect("outside.test:443").1.status();
    assert!(matches!(status, 502 | 504), "it was dialled, in vain: {status}");
}

#[test]
fn an_alias_is_judged_by_the_name_that_was_asked_for_and_by_the_addresses() {
    let origin = Origin::echo();
    let port = origin.port();
    let names = ScriptedNames::start(&[
        ("alias.test", Say::Cname("bad.test")),
        ("elsewhere.test", Say::Cname("far.test")),
        ("bad.test", Say::Ips(ips(&[HERE]))),
        ("far.test", Say::Ips(ips(&["127.0.0.9"]))),
    ]);
    let deny = "deny = [\"bad.test\", \"far.test\", \"127.0.0.9\"]\n";
    let proxy = names.proxy(Settings::with(policy("r1", &format!("{deny}{}", rule("ok", &["*.test:*"])))));
    assert_denied(&proxy.connect(&format!("bad.test:{port}")).1, "host_denied");
    let (mut tunnel, answer) = proxy.connect(&format!("alias.test:{port}"));
    assert_eq!(answer.status(), 200, "a name server may call the same address by any name: {answer}");
    tunnel.half_close();
    tunnel.rest();
    assert_denied(&proxy.connect(&format!("elsewhere.test:{port}")).1, "address_not_allowed");
    proxy.account(&[
        &format!("connect bad.test:{port} deny host_denied denied 403"),
        &format!("connect alias.test:{port} allow - client_closed 200"),
        &format!("connect elsewhere.test:{port} deny address_not_allowed denied 403"),
    ]);
}
