use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::facts::Host;
use crate::policy::text::{ProblemReport, SourceText};

fn parse(text: &str) -> Result<(Config, Vec<String>), Vec<String>> {
    let source = SourceText::new("outgate.toml", text);
    let lines = |problems| ProblemReport::new(&source, problems).lines();
    match Config::parse(text, Path::new("/etc/outgate")) {
        Ok((config, warnings)) => Ok((config, lines(warnings))),
        Err(problems) => Err(lines(problems)),
    }
}

fn config(text: &str) -> Config {
    let (config, warnings) = parse(text).unwrap_or_else(|lines| panic!("{lines:#?}"));
    assert_eq!(warnings, [""; 0]);
    config
}

fn errors(text: &str) -> Vec<String> {
    parse(text).err().unwrap_or_default()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn without_a_word_it_is_the_proxy_on_3128_and_admin_on_3129() {
    let config = config("");
    assert_eq!(config, Config::built_in());
    let [listener] = config.listen.as_slice() else { panic!("one listener") };
    assert_eq!((listener.name.as_str(), listener.address.to_string().as_str()), ("default", "127.0.0.1:3128"));
    assert_eq!(listener.protocols, [ListenProtocol::Http, ListenProtocol::Socks5]);
    assert_eq!((&listener.tls, listener.open, listener.denials), (&None, false, true));
    assert_eq!(config.admin.address.unwrap().to_string(), "127.0.0.1:3129");
    assert_eq!((config.admin.token_file, config.admin.protect_metrics), (None, false));
    assert_eq!((config.policy.source.len(), config.policy.poll), (0, secs(60)));
    let record = config.record;
    assert_eq!((record.jsonl, record.max_size, record.files), (None, 64 << 20, 3));
    assert_eq!((record.keep, record.max_destinations, record.required), (secs(90 * 86_400), 2000, false));
    assert_eq!((config.dns.servers.len(), config.dns.hosts.len(), config.parent), (0, 0, None));
}

#[test]
fn the_default_limits_are_those_of_the_contract() {
    let limits = Config::built_in().limits;
    assert_eq!((limits.head_timeout, limits.hello_timeout), (secs(10), secs(10)));
    assert_eq!((limits.body_timeout, limits.keep_alive_timeout), (secs(60), secs(75)));
    assert_eq!((limits.connect_timeout, limits.idle_timeout), (secs(10), secs(3600)));
    assert_eq!((limits.drain_timeout, limits.dns_timeout), (secs(30), secs(10)));
    assert_eq!((limits.max_head, limits.max_hello, limits.max_fields), (65_536, 65_536, 100));
    assert_eq!((limits.max_tunnels, limits.max_tunnels_per_client, limits.max_connections), (10_000, 10_000, 20_000));
    let per_client = |limits: Limits| {
        let Limits { max_connections_per_client, max_dials_per_client, .. } = limits;
        [
            max_connections_per_client,
            max_dials_per_client,
            limits.max_lookups_per_client,
            limits.max_handshakes_per_client,
        ]
    };
    assert_eq!(per_client(limits), [20_000, 4096, 1024, 1024]);
    let larger = "[limits]\nmax-tunnels = 50\nmax-dials = 7\nmax-lookups = 8\nmax-handshakes = 9\n";
    assert_eq!(per_client(config(larger).limits), [100, 7, 8, 9], "as many as in all");
    let own = "max-connections-per-client = 1\nmax-dials-per-client = 2\nmax-lookups-per-client = 3\n\
        max-handshakes-per-client = 4\n";
    assert_eq!(per_client(config(&format!("{larger}{own}")).limits), [1, 2, 3, 4]);
}

#[test]
fn what_the_reference_calls_the_default_is_the_default() {
    let mut tested = 0;
    for (key, default, _) in Config::reference() {
        // Some defaults are described and cannot be written.
        let described = ["built-in", "random", "twice", "none", "as many as"].iter().any(|word| default.contains(word));
        if default.is_empty() || described {
            continue;
        }
        let (header, name) = key.rsplit_once(' ').unwrap();
        assert_eq!(config(&format!("{header}\n{name} = {default}\n")), Config::built_in(), "{key} = {default}");
        tested += 1;
    }
    assert!(tested > 25, "{tested}");
}

#[test]
fn every_key_arrives_where_it_belongs() {
    let config = config(
        r#"
[[listen]]
name = "browser"
address = "[::1]:8080"
protocols = ["http"]
tls = { cert = "tls/cert.pem", key = "/run/key.pem" }
identity = []
proxy-protocol = false
transparent = false
denials = false
[[listen]]
name = "plugin:sales"
address = "0.0.0.0:8081"
open = true
[policy]
source = ["policy.toml"]
poll = "5m"
[admin]
address = "off"
token-file = "admin.token"
protect-metrics = true
[record]
jsonl = "/var/log/outgate.jsonl"
max-size = "1 GiB"
files = 5
keep = "7d"
max-destinations = 10
required = true
[limits]
head-timeout = "500ms"
hello-timeout = "1s"
body-timeout = "2s"
keep-alive-timeout = "3s"
connect-timeout = "4s"
idle-timeout = "2h"
drain-timeout = "6s"
dns-timeout = "7s"
max-head = "16 KiB"
max-hello = "8KiB"
max-fields = 50
max-tunnels = 40000
max-tunnels-per-client = 7
[dns]
servers = ["192.0.2.53", "127.0.0.1:5353"]
hosts = { "Intranet.test" = ["127.0.0.10", "::1"] }
[parent]
url = "http://user:password@proxy.example:3128"
except = ["*.internal.example", "10.0.0.0/8"]
"#,
    );
    let [browser, sales] = config.listen.as_slice() else { panic!("two listeners") };
    assert_eq!((browser.name.as_str(), browser.address.to_string().as_str()), ("browser", "[::1]:8080"));
    assert_eq!((browser.protocols.as_slice(), browser.denials), ([ListenProtocol::Http].as_slice(), false));
    let tls = TlsFiles { cert: "/etc/outgate/tls/cert.pem".into(), key: "/run/key.pem".into() };
    assert_eq!(browser.tls, Some(tls), "relative to the configuration's folder, unless absolute");
    assert_eq!(
        (sales.name.as_str(), sales.address.to_string().as_str(), sales.open),
        ("plugin:sales", "0.0.0.0:8081", true)
    );
    assert_eq!(config.policy, PolicyConfig { source: vec!["/etc/outgate/policy.toml".into()], poll: secs(300) });
    assert_eq!((config.admin.address, config.admin.protect_metrics), (None, true));
    assert_eq!(config.admin.token_file, Some("/etc/outgate/admin.token".into()));
    let record = config.record;
    assert_eq!((record.jsonl, record.max_size, record.files), (Some("/var/log/outgate.jsonl".into()), 1 << 30, 5));
    assert_eq!((record.keep, record.max_destinations), (secs(7 * 86_400), 10));
    let limits = config.limits;
    assert_eq!((limits.head_timeout, limits.hello_timeout), (Duration::from_millis(500), secs(1)));
    assert_eq!((limits.body_timeout, limits.keep_alive_timeout, limits.connect_timeout), (secs(2), secs(3), secs(4)));
    assert_eq!((limits.idle_timeout, limits.drain_timeout, limits.dns_timeout), (secs(7200), secs(6), secs(7)));
    assert_eq!((limits.max_head, limits.max_hello, limits.max_fields), (16_384, 8192, 50));
    assert_eq!((limits.max_tunnels, limits.max_tunnels_per_client, limits.max_connections), (40_000, 7, 80_000));
    let servers: Vec<_> = config.dns.servers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["192.0.2.53:53", "127.0.0.1:5353"]);
    let [(name, addresses)] = config.dns.hosts.as_slice() else { panic!("one host") };
    assert_eq!((name.as_str(), addresses.len()), ("intranet.test", 2));
    let parent = config.parent.unwrap();
    assert_eq!(parent.address.to_string(), "proxy.example:3128");
    assert_eq!(parent.credentials, Some(Credentials::basic("user", "password").unwrap()));
    let covers = |host: &str| parent.scope.covers(&Host::parse(host.as_bytes()).unwrap());
    assert_eq!(["a.internal.example", "10.1.2.3", "a.example"].map(covers), [false, false, true]);
}

#[test]
fn a_listener_beyond_loopback_says_that_it_is_meant() {
    for (address, fine) in [
        ("127.0.0.1:3128", true),
        ("127.9.9.9:3128", true),
        ("[::1]:3128", true),
        ("[::ffff:127.0.0.1]:3128", true),
        ("0.0.0.0:3128", false),
        ("[::]:3128", false),
        ("192.0.2.1:3128", false),
    ] {
        assert_eq!(errors(&format!("[[listen]]\naddress = \"{address}\"")).is_empty(), fine, "{address}");
        assert_eq!(errors(&format!("[[listen]]\naddress = \"{address}\"\nopen = true")), [""; 0], "{address}");
        let admin = address.replace("3128", "3200");
        assert_eq!(errors(&format!("[admin]\naddress = \"{admin}\"")).is_empty(), fine, "{admin}");
    }
    assert_eq!(
        errors("[[listen]]\naddress = \"0.0.0.0:3128\""),
        [
            "outgate.toml:2:11: 0.0.0.0:3128 can be reached from other machines, and outgate does not authenticate clients; write \"127.0.0.1:3128\", or add open = true"
        ]
    );
    assert_eq!(
        errors("[admin]\naddress = \"0.0.0.0:3129\""),
        [
            "outgate.toml:2:11: 0.0.0.0:3129 can be reached from other machines, and shows everyone's records; write \"127.0.0.1:3129\", or add open = true"
        ]
    );
}

#[test]
fn what_is_not_built_yet_says_so() {
    for (text, place) in [
        ("[[listen]]\nidentity = [\"mtls\"]", "2:13: the identity \"mtls\""),
        ("[[listen]]\nproxy-protocol = true", "2:18: `proxy-protocol = true`"),
        ("[[listen]]\ntransparent = true", "2:15: `transparent = true`"),
        ("[[listen]]\ntrusted-peers = [\"192.0.2.1\"]", "2:1: `trusted-peers`"),
        ("[[listen]]\naddress = \"unix:/run/a\"", "2:11: the address \"unix:/run/a\""),
        ("[[listen]]\naddress = \"fd:proxy\"", "2:11: the address \"fd:proxy\""),
        ("[admin]\naddress = \"unix:/run/a\"", "2:11: the address \"unix:/run/a\""),
        ("[[listen]]\ntls = { cert = \"a\", key = \"b\", client-ca = \"c\" }", "2:32: `client-ca`"),
        ("[policy]\ntrusted-keys = [\"a.pub\"]", "2:1: `trusted-keys`"),
        ("[policy]\nsource = [\"https://policy.example/bundle\"]", "2:11: a policy from a URL"),
        ("[policy]\nsource = [\"policies/\"]", "2:11: a folder of policies"),
        ("[policy]\nsource = [\"org.toml\", \"team.toml\"]", "2:23: more than one policy"),
        ("[record]\notlp = \"http://127.0.0.1:4318\"", "2:1: `otlp`"),
    ] {
        let lines = errors(text);
        let start = format!("outgate.toml:{place} is not supported in this version; ");
        assert!(matches!(lines.as_slice(), [line] if line.starts_with(&start)), "{start}: {lines:?}");
    }
}

#[test]
fn a_nat64_prefix_is_one_of_the_standard() {
    let prefixes = config("[dns]\nnat64 = [\"2001:db8:64::/96\", \"2001:db8::/32\"]").dns.nat64;
    assert_eq!(prefixes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["2001:db8:64::/96", "2001:db8::/32"]);
    assert_eq!(
        errors("[dns]\nnat64 = [\"2001:db8:64::/95\"]"),
        [
            "outgate.toml:2:10: \"2001:db8:64::/95\" is not a NAT64 prefix: its length is not 32, 40, 48, 56, 64 or 96 (RFC 6052); write the prefix that the network's DNS64 puts before addresses"
        ]
    );
}

#[test]
fn a_database_is_next_to_the_configuration_and_is_not_a_file_of_lines() {
    let record = parse("[record]\nsqlite = \"history.db\"\nsqlite-max-size = \"1 GiB\"\n").unwrap().0.record;
    assert_eq!((record.sqlite, record.sqlite_max_size), (Some("/etc/outgate/history.db".into()), 1 << 30));
    assert_eq!(parse("[record]\n").unwrap().0.record.sqlite_max_size, 2 << 30);
    assert_eq!(errors("[record]\njsonl = \"r\"\nsqlite = \"r\"\n").len(), 1, "one file cannot be both");
    assert_eq!(errors("[record]\nrequired = true\n").len(), 1, "there is nothing that could fail");
}

#[test]
fn what_records_leave_out_is_named_and_its_key_is_a_file() {
    let record = parse("[record]\nredact = [\"client\", \"path\"]\nredact-key = \"record.key\"\nchain-key = \"c\"\n")
        .unwrap()
        .0
        .record;
    assert_eq!(record.redact, [Redacted::Client, Redacted::Path]);
    assert_eq!(record.redact_key, Some("/etc/outgate/record.key".into()));
    assert_eq!(record.chain_key, Some("/etc/outgate/c".into()));
    assert_eq!(errors("[record]\nredact = [\"host\"]\n").len(), 1, "without it there is no record worth keeping");
}

#[test]
fn a_short_idle_limit_is_a_warning() {
    let (config, warnings) = parse("[limits]\nidle-timeout = \"5m\"\n").unwrap();
    assert_eq!(config.limits.idle_timeout, secs(300));
    assert_eq!(
        warnings,
        [
            "outgate.toml:2:16: `idle-timeout` cuts streams that Claude still waits for: its own watchdog fires at 300s; write more than \"5m\"",
        ]
    );
    assert_eq!(parse("[limits]\nidle-timeout = \"301s\"\n").unwrap().1, [""; 0]);
}

#[test]
fn two_listeners_have_two_names_and_two_addresses() {
    assert_eq!(
        errors("[[listen]]\naddress = \"127.0.0.1:1\"\n[[listen]]\naddress = \"127.0.0.1:1\"\nname = \"default\"\n"),
        [
            "outgate.toml:4:11: 127.0.0.1:1 is already taken by 127.0.0.1:1; choose another port",
            "outgate.toml:5:8: another listener is already called \"default\"; give each its own `name`",
        ]
    );
    assert_eq!(
        errors("[[listen]]\naddress = \"127.0.0.1:3129\"\n"),
        ["outgate.toml:2:11: 127.0.0.1:3129 is already taken by 127.0.0.1:3129; choose another port"],
        "the admin listener's"
    );
    assert_eq!(
        errors("[admin]\naddress = \"127.0.0.1:3128\"\n"),
        ["outgate.toml:2:11: 127.0.0.1:3128 is already taken by the listener \"default\"; choose another port"],
        "that of the listener which is there without a word"
    );
    assert_eq!(errors("[admin]\naddress = \"127.0.0.1:3130\"\n"), [""; 0]);
    assert_eq!(errors("[[listen]]\naddress = \"127.0.0.1:3129\"\n[admin]\naddress = \"off\"\n"), [""; 0]);
    assert_eq!(
        errors("listen = []\n"),
        ["outgate.toml:1:10: there is no listener; write a [[listen]], or leave it out for 127.0.0.1:3128"]
    );
}

#[test]
fn a_parent_that_cannot_be_is_explained_without_its_password() {
    for (text, expected) in [
        ("[parent]\n", "1:1: `[parent]` has no `url`; add url = \"…\""),
        (
            "parent = \"http://user:s3cret@proxy.example:3128\"",
            "1:10: `parent` is a text, but must be a table of keys; write [parent], and the URL as its `url`",
        ),
        (
            "[parent]\nurl = \"http://user:s3cret@proxy.example\"",
            "2:7: `url` names no host and port: the port is missing; write it as \"http://proxy.example:3128\" or \"http://user:password@proxy.example:3128\"",
        ),
        (
            "[parent]\nurl = \"http://proxy.example:3128\"\nexcept = [\"a.test:443\"]",
            "3:11: `a.test:443` has a port, and the way to a host is the same for all its ports; write `a.test`",
        ),
    ] {
        assert_eq!(errors(text), [format!("outgate.toml:{expected}")], "{text}");
    }
    let parsed = parse("[parent]\nurl = \"http://user:s3cret@proxy.example:3128\"").unwrap();
    assert!(!format!("{parsed:?}").contains("s3cret") && !format!("{parsed:?}").contains("czNjcmV0"));
}

#[test]
fn every_mistake_is_reported_at_once() {
    let text = r#"
[[listen]]
name = "the browser"
adress = "127.0.0.1:1"
protocols = ["http", "sock5"]
tls = { cert = "a.pem" }
[policy]
source = "policy.toml"
[record]
max-size = "64 KB"
files = 0
[limits]
head-timeout = 10
idle-timeout = "0s"
max-head = "1 GiB"
max-tunnels = "many"
keep = "1d"
[dns]
servers = ["dns.example"]
hosts = { "a b" = ["127.0.0.1"], "a.test" = [], "b.test" = ["localhost"], "c.test" = "127.0.0.1" }
"#;
    assert_eq!(
        errors(text),
        [
            "outgate.toml:3:8: the name \"the browser\" has other characters than letters, digits and -_.:; write a short label such as \"browser\"",
            "outgate.toml:4:1: a listener has no key \"adress\"; did you mean `address`?",
            "outgate.toml:5:22: `protocols` is the text \"sock5\", but must be \"http\" or \"socks5\"; did you mean \"socks5\"?",
            "outgate.toml:6:7: `tls` has no `key`; add key = \"…\"",
            "outgate.toml:8:10: `source` is the text \"policy.toml\", but must be a list of texts; put it in brackets: [ … ]",
            "outgate.toml:10:12: `max-size` is the text \"64 KB\", but must be a size; write a whole number with B, KiB, MiB or GiB, such as \"64 KiB\"",
            "outgate.toml:11:9: `files` is the number 0, but must be a whole number from 1 to 1000; write such a number, without quotation marks",
            "outgate.toml:13:16: `head-timeout` is the number 10, but must be a length of time; write a whole number with ms, s, m, h or d, such as \"10s\"",
            "outgate.toml:14:16: `idle-timeout` is the text \"0s\", but must be from 100ms to 3660d; write a length within these bounds",
            "outgate.toml:15:12: `max-head` is the text \"1 GiB\", but must be from 4 KiB to 1 MiB; write a size within these bounds",
            "outgate.toml:16:15: `max-tunnels` is the text \"many\", but must be a whole number from 1 to 1048576; write such a number, without quotation marks",
            "outgate.toml:17:1: `[limits]` has no key \"keep\"; its keys are `head-timeout`, `hello-timeout`, `body-timeout`, `keep-alive-timeout`, `connect-timeout`, `idle-timeout`, `drain-timeout`, `dns-timeout`, `max-head`, `max-hello`, `max-fields`, `max-tunnels`, `max-tunnels-per-client`, `max-connections`, `max-connections-per-client`, `max-dials`, …",
            "outgate.toml:19:12: \"dns.example\" is not a name server; write an IP address, with a port where it is not 53",
            "outgate.toml:20:11: \"a b\" is not a host name: the host contains the byte 0x20, which no host name has; write a plain name, an international one as xn--…",
            "outgate.toml:20:34: \"a.test\" has no address; write one in the list",
            "outgate.toml:20:61: \"localhost\" is not an IP address; write an address without a port",
            "outgate.toml:20:86: \"c.test\" is the text \"127.0.0.1\", but must be a list of texts; put it in brackets",
        ]
    );
}

#[test]
fn an_empty_source_is_no_built_in_policy() {
    assert_eq!(
        errors("[policy]\nsource = []\n"),
        [
            "outgate.toml:2:10: `source` is an empty list; name the policy's file, or leave the key out for the built-in starter policy"
        ]
    );
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>(), lines in prop::collection::vec(
        prop::sample::select(vec!["[[listen]]", "[policy]", "[limits]", "[dns]", "listen = []", "name = \"a\"", "address = \":\"",
            "tls = {}", "hosts = {}", "hosts = { a = 1 }", "head-timeout = \"9999999999999d\"", "max-head = \"1 B\"", "source = [1]"]), 0..8)) {
        for text in [text, lines.join("\n")] {
            if let Err(problems) = Config::parse(&text, Path::new("")) {
                prop_assert!(!problems.is_empty());
            }
        }
    }
}
