use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::policy::text::{ProblemReport, SourceText, json_schema};

/// The lines that a user sees.
fn lines(text: &str, format: Format) -> Vec<String> {
    let name = if format == Format::Toml { "p.toml" } else { "p.json" };
    let source = SourceText::new(name, text);
    let problems = read_policy(text, format).map_or_else(|problems| problems, |document| document.problems);
    ProblemReport::new(&source, problems).lines()
}

fn toml(text: &str) -> PolicyDocument {
    assert_eq!(lines(text, Format::Toml), [""; 0]);
    read_policy(text, Format::Toml).unwrap()
}

/// Returns the problems of a policy that consists of a valid version line and `body`.
fn toml_lines(body: &str) -> Vec<String> {
    lines(&format!("version = 1\n{body}"), Format::Toml)
}

/// Formats the document without its source positions, so that documents in different formats compare equal.
fn meaning(document: &PolicyDocument) -> String {
    let text = format!("{document:#?}");
    text.lines()
        .filter(|line| !["start:", "end:"].iter().any(|key| line.trim_start().starts_with(key)))
        .collect::<Vec<_>>()
        .join("\n")
}

const FULL_TOML: &str = r#"
version = 1
name = "Example Corp"
revision = "2026-11-23.1"
enabled = false
egress = "package-managers"
mode = "observe"
contact = "it-help@example.com"
allow = ["*.example.com", "api.example.test"]
deny = ["upload.example.com"]
package-managers = ["*.packages.example"]
internal-addresses = ["10.20.0.0/16"]

[[rule]]
id = "repo-read"
effect = "allow"
to = ["repo.example", "198.51.100.0/24:8443"]
ports = [443, "8000-8100"]
tools = ["browser"]
methods = ["GET", "WEBSOCKET"]
addresses = ["10.0.0.0/8"]
tls = "optional"
parent = true
from = 2026-11-01T00:00:00Z
until = 2026-12-01T01:00:00.5+01:00
reason = "read-only mirror"

[[rule]]
effect = "deny"
to = ["bad.example"]
ports = "any"

[[list]]
effect = "deny"
file = "lists/malware.txt"
format = "hosts"
covers = "subdomains"
lines = 812345
sha256 = "E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855"

[[test]]
to = "https://example.com/"
tool = "browser"
expect = "deny"
reason = "egress_disabled"
"#;

const FULL_JSON: &str = r#"{
  "version": 1, "name": "Example Corp", "revision": "2026-11-23.1", "enabled": false,
  "egress": "package-managers", "mode": "observe", "contact": "it-help@example.com",
  "allow": ["*.example.com", "api.example.test"], "deny": ["upload.example.com"],
  "package-managers": ["*.packages.example"], "internal-addresses": ["10.20.0.0/16"],
  "rule": [
    { "id": "repo-read", "effect": "allow", "to": ["repo.example", "198.51.100.0/24:8443"],
      "ports": [443, "8000-8100"], "tools": ["browser"], "methods": ["GET", "WEBSOCKET"],
      "addresses": ["10.0.0.0/8"], "tls": "optional", "parent": true, "from": "2026-11-01T00:00:00Z",
      "until": "2026-12-01T01:00:00.5+01:00", "reason": "read-only mirror" },
    { "effect": "deny", "to": ["bad.example"], "ports": "any" }
  ],
  "list": [
    { "effect": "deny", "file": "lists/malware.txt", "format": "hosts", "covers": "subdomains", "lines": 812345,
      "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" }
  ],
  "test": [
    { "to": "https://example.com/", "tool": "browser", "expect": "deny", "reason": "egress_disabled" }
  ]
}"#;

#[test]
fn every_key_arrives_where_it_belongs() {
    let document = toml(FULL_TOML);
    assert_eq!(document.name, "Example Corp");
    assert_eq!(document.revision.as_deref(), Some("2026-11-23.1"));
    assert!(!document.enabled);
    assert_eq!((document.egress, document.mode), (Egress::PackageManagers, Mode::Observe));
    assert_eq!(document.contact.as_deref(), Some("it-help@example.com"));
    let texts = |list: &[Spanned<String>]| list.iter().map(|text| text.value.clone()).collect::<Vec<_>>().join(" ");
    assert_eq!(texts(&document.allow), "*.example.com api.example.test");
    assert_eq!(texts(&document.deny), "upload.example.com");
    assert_eq!(texts(&document.package_managers), "*.packages.example");
    assert_eq!(texts(&document.internal_addresses), "10.20.0.0/16");
    let [rule, second] = document.rules.as_slice() else { panic!("two rules") };
    assert_eq!((rule.id.value.as_str(), rule.effect, rule.tls), ("repo-read", Effect::Allow, Tls::Optional));
    assert!(rule.parent);
    assert_eq!(texts(&rule.to), "repo.example 198.51.100.0/24:8443");
    let Some(PortsDocument::These(ports)) = &rule.ports else { panic!("ports") };
    assert_eq!(ports.iter().map(|port| port.value).collect::<Vec<_>>(), [(443, 443), (8000, 8100)]);
    assert_eq!((texts(&rule.tools), texts(&rule.methods)), ("browser".into(), "GET WEBSOCKET".into()));
    assert_eq!(texts(&rule.addresses), "10.0.0.0/8");
    let at = |seconds: u64, millis: u64| {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(millis)
    };
    assert_eq!(rule.from.as_ref().unwrap().value, at(1_793_491_200, 0));
    assert_eq!(rule.until.as_ref().unwrap().value, at(1_796_083_200, 500));
    assert_eq!(rule.reason.as_deref(), Some("read-only mirror"));
    assert_eq!((second.id.value.as_str(), second.effect, second.tls), ("rule:2", Effect::Deny, Tls::Required));
    assert_eq!(second.ports, Some(PortsDocument::Any));
    let [list] = document.lists.as_slice() else { panic!("one list") };
    assert_eq!((list.effect, list.format, list.covers), (Effect::Deny, ListFormat::Hosts, Covers::Subdomains));
    assert_eq!((list.file.value.as_str(), list.lines.as_ref().unwrap().value), ("lists/malware.txt", 812_345));
    assert!(list.sha256.as_ref().unwrap().value.starts_with("e3b0c442"), "in lower case");
    let [test] = document.tests.as_slice() else { panic!("one test") };
    assert_eq!((test.to.value.as_str(), test.tool.as_deref()), ("https://example.com/", Some("browser")));
    assert_eq!((test.expect, test.reason.as_ref().unwrap().value.as_str()), (Effect::Deny, "egress_disabled"));
}

#[test]
fn a_policy_says_only_what_differs_from_the_defaults() {
    let document = toml("version = 1\n[[rule]]\neffect = \"allow\"\nto = [\"a.test\"]\n");
    assert_eq!((document.name.as_str(), document.enabled), ("this organisation", true));
    assert_eq!((document.egress, document.mode), (Egress::Allowlist, Mode::Enforce));
    assert_eq!((document.revision, document.contact), (None, None));
    let rule = &document.rules[0];
    assert_eq!((rule.id.value.as_str(), &rule.ports, rule.tls), ("rule:1", &None, Tls::Required));
    assert!(rule.tools.is_empty() && rule.methods.is_empty() && rule.addresses.is_empty());
    assert_eq!((&rule.from, &rule.until, &rule.reason), (&None, &None, &None));
}

#[test]
fn toml_and_json_of_one_policy_are_one_document() {
    let json = read_policy(FULL_JSON, Format::Json).unwrap_or_else(|_| panic!("{:#?}", lines(FULL_JSON, Format::Json)));
    assert_eq!(meaning(&toml(FULL_TOML)), meaning(&json));
}

#[test]
fn values_know_their_place_in_both_formats() {
    let document = toml(FULL_TOML);
    let source = SourceText::new("p", FULL_TOML);
    assert_eq!(source.locate(document.allow[1].span), (9, 27));
    assert_eq!(source.locate(document.rules[1].span), (28, 1), "a rule without an id is shown at its header");
    assert_eq!(source.locate(document.rules[1].id.span), (28, 1));
    let json = read_policy(FULL_JSON, Format::Json).unwrap();
    let source = SourceText::new("p", FULL_JSON);
    assert_eq!(source.locate(json.allow[1].span), (4, 30));
    assert_eq!(source.locate(json.rules[1].span), (11, 5));
}

#[test]
fn every_mistake_is_reported_at_once_and_in_order() {
    let text = r#"
nam = "x"
enabled = "yes"
egress = "allowlst"
allow = "*.example.com"
[groups]
finance = ["user:ana@example.com"]
[[rule]]
id = 7
effect = "permit"
to = []
services = ["github"]
ports = 443
from = 2026-11-01T00:00:00
[[test]]
to = "a.test"
as = "user:a"
"#;
    assert_eq!(
        lines(text, Format::Toml),
        [
            "p.toml:1:1: the policy has no `version`; add version = 1",
            "p.toml:2:1: the policy has no key \"nam\"; did you mean `name`?",
            "p.toml:3:11: `enabled` is the text \"yes\", but must be true or false; write true or false, without quotation marks",
            "p.toml:4:10: `egress` is the text \"allowlst\", but must be \"none\" or \"package-managers\" or \"allowlist\" or \"all\"; did you mean \"allowlist\"?",
            "p.toml:5:9: `allow` is the text \"*.example.com\", but must be a list of texts; put it in brackets: [ … ]",
            "p.toml:6:2: `groups` is not supported in this version; remove it: rules apply to everyone",
            "p.toml:9:6: `id` is the number 7, but must be a text; put it in quotation marks",
            "p.toml:10:10: `effect` is the text \"permit\", but must be \"allow\" or \"deny\"; write one of these",
            "p.toml:11:6: `to` is an empty list; name a destination, or remove the rule",
            "p.toml:12:1: `services` is not supported in this version; list the service's hosts in `to`",
            "p.toml:13:9: `ports` is the number 443, but must be \"any\" or a list of ports; put it in brackets: [443]",
            "p.toml:14:8: `from` has no time zone; add Z for UTC, or an offset such as +01:00",
            "p.toml:15:1: a test has no `expect`; add expect = \"allow\" or \"deny\"",
            "p.toml:17:1: `as` is not supported in this version; remove it: cases are judged for everyone alike",
        ]
    );
}

#[test]
fn an_unknown_key_leads_to_the_one_that_was_meant() {
    for (body, line) in [
        ("alow = []", "p.toml:2:1: the policy has no key \"alow\"; did you mean `allow`?"),
        (
            "package_managers = []",
            "p.toml:2:1: the policy has no key \"package_managers\"; did you mean `package-managers`?",
        ),
        ("allowedDomains = []", "p.toml:2:1: the policy has no key \"allowedDomains\"; did you mean `allow`?"),
        ("effect = \"deny\"", "p.toml:2:1: `effect` is a key of a rule, not of the policy; write it below [[rule]]"),
        (
            "[[rule]]\neffect = \"deny\"\nto = [\"a.test\"]\ncontact = \"x\"",
            "p.toml:5:1: `contact` is a key of the policy, not of a rule; move it above the first [table] or [[table]], since what follows one belongs to it",
        ),
        (
            "[[rule]]\neffect = \"deny\"\nto = [\"a.test\"]\nname = \"x\"",
            "p.toml:5:1: a rule has no key \"name\"; did you mean `id`?",
        ),
        (
            "[[rule]]\naction = \"deny\"\neffect = \"deny\"\nto = [\"a.test\"]",
            "p.toml:3:1: a rule has no key \"action\"; did you mean `effect`?",
        ),
        (
            "[[test]]\nto = \"a.test\"\nexpect = \"deny\"\nflavour = 1",
            "p.toml:5:1: a test has no key \"flavour\"; its keys are `to`, `tool`, `expect`, `reason`",
        ),
        (
            "\"a\\u202eb\" = 1",
            "p.toml:2:1: the policy has no key \"a\\u{202e}b\"; its keys are `version`, `name`, `revision`, `enabled`, `egress`, `mode`, `contact`, `allow`, `deny`, `package-managers`, `internal-addresses`, `rule`, `list`, `test`",
        ),
    ] {
        assert_eq!(toml_lines(body), [line]);
    }
}

#[test]
fn what_is_not_built_yet_says_so() {
    let rule = |key: &str| format!("[[rule]]\neffect = \"deny\"\nto = [\"a.test\"]\n{key}");
    for (body, place, key) in [
        ("[groups]\na = []".to_owned(), "2:2", "groups"),
        ("grace = \"1h\"".to_owned(), "2:1", "grace"),
        (rule("services = []"), "5:1", "services"),
        (rule("who = [\"group:a\"]"), "5:1", "who"),
        (rule("paths = [\"/a/**\"]"), "5:1", "paths"),
        (rule("upload-limit = \"10 MiB\""), "5:1", "upload-limit"),
        (rule("inspect = false"), "5:1", "inspect"),
        (rule("set-headers = { a = \"b\" }"), "5:1", "set-headers"),
        ("[[test]]\nto = \"a.test\"\nexpect = \"deny\"\nas = \"user:a\"".to_owned(), "5:1", "as"),
    ] {
        let lines = toml_lines(&body);
        let start = format!("p.toml:{place}: `{key}` is not supported in this version; ");
        assert!(matches!(lines.as_slice(), [line] if line.starts_with(&start)), "{lines:?} for {start}");
    }
}

#[test]
fn another_version_is_the_only_complaint() {
    assert_eq!(
        lines("version = 2\nfuture = true\n", Format::Toml),
        [
            "p.toml:1:11: this policy is of version 2 of the schema, and this program reads version 1; write version = 1, or use a program that reads the other"
        ]
    );
    assert_eq!(
        lines("version = \"1\"\n", Format::Toml),
        ["p.toml:1:11: `version` is the text \"1\", but must be 1; write version = 1"]
    );
    assert_eq!(lines("", Format::Toml), ["p.toml:1:1: the policy has no `version`; add version = 1"]);
    assert_eq!(
        lines("[]", Format::Json),
        ["p.json:1:1: the policy is a list, but must be a table of keys and values; write its keys, or remove it"]
    );
}

#[test]
fn ports_are_any_or_a_list() {
    let ports = |value: &str| toml_lines(&format!("[[rule]]\neffect = \"deny\"\nto = [\"a.test\"]\nports = {value}"));
    for fine in ["\"any\"", "[443]", "[1, 65535]", "[\"1-65535\"]", "[\"80-80\"]", "[443, \"8000 - 8100\"]"] {
        assert_eq!(ports(fine), [""; 0], "{fine}");
    }
    for (value, line) in [
        ("[]", "p.toml:5:9: `ports` is an empty list; name a port, write \"any\", or leave the key out for 80 and 443"),
        (
            "\"all\"",
            "p.toml:5:9: `ports` is the text \"all\", but must be \"any\" or a list of ports; write it as [443], [443, \"8000-8100\"] or \"any\"",
        ),
        (
            "[0]",
            "p.toml:5:10: an entry of `ports` is the number 0, but must be a port or a range; write a number from 1 to 65535, or \"lo-hi\"",
        ),
        (
            "[65536]",
            "p.toml:5:10: an entry of `ports` is the number 65536, but must be a port or a range; write a number from 1 to 65535, or \"lo-hi\"",
        ),
        ("[\"443\"]", "p.toml:5:10: an entry of `ports` is the text \"443\"; write the number without quotation marks"),
        ("[\"90-80\"]", "p.toml:5:10: the range 90-80 of `ports` runs backwards; write \"80-90\""),
        (
            "[\"0-80\"]",
            "p.toml:5:10: an entry of `ports` is the text \"0-80\", but must be a port or a range; write a number from 1 to 65535, or \"lo-hi\"",
        ),
        (
            "[\"080-90\"]",
            "p.toml:5:10: an entry of `ports` is the text \"080-90\", but must be a port or a range; write a number from 1 to 65535, or \"lo-hi\"",
        ),
        (
            "[\"80-\"]",
            "p.toml:5:10: an entry of `ports` is the text \"80-\", but must be a port or a range; write a number from 1 to 65535, or \"lo-hi\"",
        ),
        (
            "[true]",
            "p.toml:5:10: an entry of `ports` is true, but must be a port or a range; write a number from 1 to 65535, or \"lo-hi\"",
        ),
    ] {
        assert_eq!(ports(value), [line]);
    }
}

#[test]
fn a_moment_has_a_date_a_time_and_an_offset() {
    let from = |value: &str| toml_lines(&format!("[[rule]]\neffect = \"deny\"\nto = [\"a.test\"]\nfrom = {value}"));
    for fine in [
        "2026-11-01T00:00:00Z",
        "2026-11-01 00:00:00+01:00",
        "\"2026-11-01T00:00:00Z\"",
        "\"2026-11-01t00:00:00.123456789z\"",
    ] {
        assert_eq!(from(fine), [""; 0], "{fine}");
    }
    let no_offset = "p.toml:5:8: `from` has no time zone; add Z for UTC, or an offset such as +01:00";
    let no_moment = "p.toml:5:8: `from` needs a date, a time and a time zone; write it as 2026-11-01T00:00:00Z";
    let impossible = "p.toml:5:8: `from` is a time that does not exist; write a day and a time that do";
    for (value, line) in [
        ("2026-11-01T00:00:00", no_offset),
        ("\"2026-11-01T00:00:00.5\"", no_offset),
        ("2026-11-01", no_moment),
        ("12:00:00", no_moment),
        ("\"tomorrow\"", no_moment),
        ("\"2026-11-01T00:00:00Z[UTC]\"", no_moment),
        ("\"2026-11-01T00:00:00+1:00\"", no_moment),
        ("\"2026-02-30T00:00:00Z\"", impossible),
        ("\"2026-11-01T25:00:00Z\"", impossible),
        (
            "1793491200",
            "p.toml:5:8: `from` is the number 1793491200, but must be a time; write it as 2026-11-01T00:00:00Z",
        ),
    ] {
        assert_eq!(from(value), [line], "{value}");
    }
}

#[test]
fn text_that_people_are_shown_is_visible_and_bounded() {
    assert_eq!(toml_lines(&format!("name = \"{}\"", "ü".repeat(50))), [""; 0], "100 bytes");
    for (body, line) in [
        (format!("name = \"{}\"", "a".repeat(101)), "p.toml:2:8: `name` has 101 bytes, the most is 100; shorten it"),
        (
            format!("contact = \"{}\"", "a".repeat(201)),
            "p.toml:2:11: `contact` has 201 bytes, the most is 200; shorten it",
        ),
        (
            "name = \"Example\\u202E proC\"".into(),
            "p.toml:2:8: `name` holds the invisible character U+202E; remove it: it would not be seen where the text is shown",
        ),
        (
            "contact = \"a\\nb\"".into(),
            "p.toml:2:11: `contact` holds the invisible character U+000A; remove it: it would not be seen where the text is shown",
        ),
        ("name = \"\"".into(), "p.toml:2:8: `name` is empty; write something, or leave the key out"),
        (
            format!("[[rule]]\neffect = \"deny\"\nto = [\"a.test\"]\nreason = \"{}\"", "a".repeat(301)),
            "p.toml:5:10: `reason` has 301 bytes, the most is 300; shorten it",
        ),
    ] {
        assert_eq!(toml_lines(&body), [line]);
    }
}

#[test]
fn lists_that_cannot_be_meant_are_refused() {
    let rule = |key: &str| format!("[[rule]]\neffect = \"deny\"\nto = [\"a.test\"]\n{key}");
    let list = |key: &str| format!("[[list]]\neffect = \"deny\"\nfile = \"a.txt\"\ncovers = \"exact\"\n{key}");
    assert_eq!(toml_lines(&rule("methods = [\"GET\"]")), [""; 0]);
    assert_eq!(toml_lines(&list("lines = 0")), [""; 0]);
    for (body, line) in [
        (
            rule("tools = []"),
            "p.toml:5:9: `tools` is an empty list; name a listener, or leave the key out for any tool",
        ),
        (rule("methods = []"), "p.toml:5:11: `methods` is an empty list; name a method, or leave the key out for any"),
        (
            rule("tools = [1]"),
            "p.toml:5:10: an entry of `tools` is the number 1, but must be a text; put it in quotation marks",
        ),
        (
            list("lines = -1"),
            "p.toml:6:9: `lines` is the number -1, but must be a whole number from 0 to 4294967295; write such a number, without quotation marks",
        ),
        (
            list("sha256 = \"abc\""),
            "p.toml:6:10: `sha256` is not a SHA-256; write its 64 hexadecimal digits, as `sha256sum` prints them",
        ),
        (
            "[[list]]\neffect = \"deny\"\nfile = \"a.txt\"".into(),
            "p.toml:2:1: a list has no `covers`; add covers = \"exact\" or \"subdomains\"",
        ),
        (
            "[rule]\neffect = \"deny\"\nto = [\"a.test\"]".into(),
            "p.toml:2:1: `rule` is one table, but must be a list of tables; in TOML write [[rule]] with two brackets each time",
        ),
    ] {
        assert_eq!(toml_lines(&body), [line]);
    }
}

#[test]
fn syntax_errors_are_shown_where_they_are() {
    for (format, text, expected) in [
        (
            Format::Toml,
            "version = 1\nname = Example\n",
            "p.toml:2:8: this is not TOML: string values must be quoted, expected literal string; put the text in quotation marks",
        ),
        (Format::Toml, "version = 1\nversion = 1\n", "p.toml:2:1: this key is in one table twice; keep one of them"),
        (
            Format::Json,
            "{\"version\": 1, \"version\": 1}",
            "p.json:1:16: \"version\" is in one object twice; keep one of them",
        ),
        (
            Format::Json,
            "{\"version\": 1,}",
            "p.json:1:14: this is not JSON: trailing commas are not allowed; remove the comma",
        ),
        (
            Format::Json,
            "// hello\n{\"version\": 1}",
            "p.json:1:1: this is not JSON: comments are not allowed; remove the comment, or write the file as .toml",
        ),
        (
            Format::Json,
            "{\"version\": 1 \"name\": \"a\"}",
            "p.json:1:14: this is not JSON: expected comma; put a comma between the two",
        ),
        (
            Format::Json,
            "{'version': 1}",
            "p.json:1:2: this is not JSON: single-quoted strings are not allowed; put it in double quotation marks",
        ),
        (
            Format::Json,
            "{version: 1}",
            "p.json:1:2: this is not JSON: expected string for object property; put it in double quotation marks",
        ),
        (
            Format::Json,
            "{\"version\": 0x1}",
            "p.json:1:13: this is not JSON: hexadecimal numbers are not allowed; correct the syntax here",
        ),
        (
            Format::Json,
            "{\"version\": 1} {}",
            "p.json:1:16: this is not JSON: text cannot contain more than one JSON value; keep one object",
        ),
        (
            Format::Json,
            "{\"version\": 1, \"name\": \"a\nb\"}",
            "p.json:1:26: a JSON text may not hold a line break or tab as such; write \\n or \\t",
        ),
        (
            Format::Json,
            "{\"version\": 1}\x0c",
            "p.json:1:15: JSON knows no \\u{c} between values; use spaces, tabs and line breaks",
        ),
        (
            Format::Json,
            "{\"version\":\u{a0}1}",
            "p.json:1:12: JSON knows no \\u{a0} between values; use spaces, tabs and line breaks",
        ),
        (
            Format::Json,
            "{\"version\": 1, \"name\": null}",
            "p.json:1:24: `name` is null, but must be a text; put it in quotation marks",
        ),
        (
            Format::Json,
            "{\"version\": -0}",
            "p.json:1:13: `version` is the number -0, but must be 1; write version = 1",
        ),
        (
            Format::Json,
            "{\"version\": 1, \"allow\": [99999999999999999999]}",
            "p.json:1:26: this number is too large; write a smaller one",
        ),
        (Format::Json, "", "p.json:1:1: there is no JSON value here; write an object: { … }"),
    ] {
        let lines = lines(text, format);
        assert!(lines.iter().any(|line| line == expected), "{text:?}: {lines:#?}");
    }
    let two = lines("version = 1\nname = \"a\nallow = [\"x\" \"y\"]\ndeny = nothing\n", Format::Toml);
    let places: Vec<_> = two.iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["p.toml:2:10", "p.toml:3:14", "p.toml:4:8"], "{two:#?}");
}

#[test]
fn a_duplicate_key_does_not_hide_the_other_mistakes() {
    assert_eq!(
        lines("version = 1\nmode = \"observe\"\nmode = \"enforce\"\nenabled = 1\n", Format::Toml),
        [
            "p.toml:3:1: this key is in one table twice; keep one of them",
            "p.toml:4:11: `enabled` is the number 1, but must be true or false; write true or false, without quotation marks",
        ]
    );
}

#[test]
fn a_byte_order_mark_is_no_mistake() {
    assert_eq!(lines("\u{feff}version = 1\n", Format::Toml), [""; 0]);
    assert_eq!(lines("\u{feff}{\"version\": 1}", Format::Json), [""; 0]);
    assert_eq!(lines("\r\n{\t\"version\" : 1, \"name\": \"\\\"\u{a0}\\\\\"}\n", Format::Json), [""; 0]);
    assert_eq!(
        lines("\u{feff}{\"version\": 1, \"alow\": []}", Format::Json),
        ["p.json:1:16: the policy has no key \"alow\"; did you mean `allow`?"]
    );
}

#[test]
fn nesting_and_the_number_of_messages_are_bounded() {
    for (format, text) in [
        (Format::Toml, format!("a = {}1{}", "[".repeat(100_000), "]".repeat(100_000))),
        (Format::Toml, format!("a{} = 1", ".a".repeat(100_000))),
        (Format::Json, format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000))),
        (Format::Json, "{\"a\":".repeat(100_000)),
    ] {
        assert!(!lines(&text, format).is_empty());
    }
    let many: String = (0..3000).map(|index| format!("key-{index} = 1\n")).collect();
    let lines = toml_lines(&many);
    assert_eq!((lines.len(), lines[100].as_str()), (101, "p.toml: there are 2900 more problems; fix these first"));
}

#[test]
fn the_schema_has_the_keys_that_are_read_and_no_others() {
    let schema = json_schema();
    let mut problems = Problems::default();
    let tree = Format::Json.parse(&schema, &mut problems).expect("the schema is strict JSON");
    assert!(problems.is_empty());
    let root = Fields::of(&tree);
    let names = |node: &Node| Fields::of(node).iter().map(|entry| entry.name.value.clone()).collect::<Vec<_>>();
    let at = |node: &Node, path: &[&str]| {
        path.iter().fold(node.clone(), |node, step| {
            Fields::of(&node).iter().find(|entry| entry.name.value == *step).expect(step).value.clone()
        })
    };
    assert!(root.iter().any(|entry| entry.name.value == "additionalProperties"));
    assert_eq!(
        names(&at(&tree, &["properties"])).join(" "),
        "version name revision enabled egress mode contact allow deny package-managers internal-addresses rule list test"
    );
    assert_eq!(
        names(&at(&tree, &["properties", "rule", "items", "properties"])).join(" "),
        "id effect to ports tools methods addresses tls parent from until reason"
    );
    assert_eq!(at(&tree, &["properties", "rule", "items", "additionalProperties"]).value, Value::Boolean(false));
    let Value::Array(needed) = at(&tree, &["properties", "list", "items", "required"]).value else { panic!("a list") };
    assert_eq!(needed.len(), 3, "effect, file, covers");
}

/// Generates arbitrary documents: words of the schema in wrong places, mixed with garbage.
fn documents() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "version",
            "name",
            "allow",
            "rule",
            "[[rule]]\n",
            "[rule]\n",
            "[[test]]\n",
            "to",
            "from",
            "ports",
            " = ",
            "1",
            "\"any\"",
            "\"a.test\"",
            "[",
            "]",
            "{",
            "}",
            ",",
            ":",
            "\n",
            "\"",
            "\\",
            "\\u",
            "d800",
            "true",
            "null",
            "2026-11-01T00:00:00Z",
            "1979-05-27",
            "''",
            "#",
            "-",
            "0",
            ".",
            "e9",
            "99999999999999999999",
            "\u{feff}",
            "\r",
            "\t",
            "ü",
        ])
        .prop_map(str::to_owned),
        ".{0,3}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn quoted() -> impl Strategy<Value = String> {
    "[ -~ü€😀]{1,20}".prop_filter("not blank", |text| !text.trim().is_empty())
}

proptest! {
    #[test]
    fn no_text_panics_and_every_problem_has_a_place(text in documents(), any in any::<String>()) {
        for text in [&text, &any] {
            for format in [Format::Toml, Format::Json] {
                let read = read_policy(text, format);
                prop_assert!(read.as_ref().map_or_else(|problems| !problems.is_empty(), |_| true));
                let problems = read.map_or_else(|problems| problems, |document| document.problems);
                let source = SourceText::new("p", text.as_str());
                for line in ProblemReport::new(&source, problems).lines() {
                    prop_assert!(line.starts_with("p:") && !line.contains('\n'), "{line:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_said_does_not_depend_on_the_format(
        name in quoted(),
        allow in prop::collection::vec(quoted(), 0..5),
        enabled in any::<bool>(),
        egress in 0..4_usize,
        port in 1..=u16::MAX,
        seconds in 0..4_000_000_000_u64,
    ) {
        let text = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        let allow = allow.iter().map(|entry| text(entry)).collect::<Vec<_>>().join(", ");
        let egress = EGRESS[egress].0;
        let from = jiff::Timestamp::try_from(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        let name = text(&name);
        let toml_text = format!(
            "version = 1\nname = {name}\nenabled = {enabled}\negress = \"{egress}\"\nallow = [{allow}]\n\
             [[rule]]\neffect = \"deny\"\nto = [\"a.test\"]\nports = [{port}]\nfrom = {from}\n"
        );
        let json_text = format!(
            "{{\"version\": 1, \"name\": {name}, \"enabled\": {enabled}, \"egress\": \"{egress}\", \"allow\": [{allow}], \
             \"rule\": [{{\"effect\": \"deny\", \"to\": [\"a.test\"], \"ports\": [{port}], \"from\": \"{from}\"}}]}}"
        );
        let json = read_policy(&json_text, Format::Json);
        prop_assert_eq!(lines(&json_text, Format::Json), [""; 0]);
        prop_assert_eq!(meaning(&toml(&toml_text)), meaning(&json.unwrap()));
    }
}

impl Fields<'_> {
    /// Returns the entries of a table.
    fn of(node: &Node) -> &[crate::policy::text::Member] {
        if let Value::Table(entries) = &node.value { entries } else { panic!("not a table: {node:?}") }
    }
}
