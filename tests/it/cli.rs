//! The commands.

use serde_json::Value;

use crate::harness::{Ending, Finished, Origin, Outgate, Proxy, allow, answer, policy, rule};

const POLICY: &str =
    "version = 1\nname = \"test\"\nrevision = \"r1\"\nallow = [\"ok.test\", \"*.corp.test\", \"192.0.2.1:9\"]\n";

fn outgate() -> Outgate {
    Outgate::new().file("policy.toml", POLICY)
}

fn assert_code(finished: &Finished, code: i32) {
    assert_eq!(finished.code, Some(code), "{finished:#?}");
}

#[test]
fn help_names_each_command_and_version_the_version() {
    let outgate = outgate();
    let help = outgate.run(&["--help"]);
    assert_code(&help, 0);
    for command in ["run", "check", "policy"] {
        assert!(help.stdout.contains(command), "no {command} in {}", help.stdout);
    }
    let help = outgate.run(&["policy", "--help"]);
    for command in ["validate", "test", "schema"] {
        assert!(help.stdout.contains(command), "no {command} in {}", help.stdout);
    }
    let help = outgate.run(&["run", "--help"]);
    for flag in ["--config", "--policy", "--listen", "--admin", "--observe", "--log-format"] {
        assert!(help.stdout.contains(flag), "no {flag} in {}", help.stdout);
    }
    let version = outgate.run(&["--version"]);
    assert_eq!(version.stdout.trim(), format!("outgate {}", env!("CARGO_PKG_VERSION")));
    assert_code(&outgate.run(&["chekc"]), 2);
    assert_code(&outgate.run(&["run", "--no-such-flag"]), 2);
}

#[test]
fn check_answers_by_exit_code_and_in_words() {
    let outgate = outgate();
    let check = |to: &[&str]| outgate.run(&[&["check", "--policy", "policy.toml"], to].concat());
    for (to, code, word) in [
        (&["ok.test:443"][..], 0, "allow"),
        (&["https://ok.test/path?q"], 0, "allow"),
        (&["http://ok.test"], 0, "allow"),
        (&["ok.test:8443"], 1, "port_not_allowed"),
        (&["corp.test:443"], 1, "`*.corp.test`"),
        (&["a.b.corp.test:443"], 0, "allow"),
        (&["no.test:443"], 1, "host_not_allowed"),
        (&["192.0.2.1:9"], 1, "address_not_allowed"),
        (&["ok.test:443", "no.test:443"], 1, "host_not_allowed"),
    ] {
        let finished = check(to);
        assert_code(&finished, code);
        assert!(finished.stdout.contains(word), "{to:?}: {finished:#?}");
    }
    for to in ["ok.test:0", "http://0177.0.0.1/", "two words", "ok.test:443:443"] {
        let finished = check(&[to]);
        assert_code(&finished, 2);
        assert!(finished.stderr.lines().count() >= 1 && !finished.stderr.contains("panicked"), "{finished:#?}");
    }
}

#[test]
fn check_as_json_is_one_object_a_line() {
    let outgate = outgate();
    let finished = outgate.run(&["check", "--policy", "policy.toml", "--json", "ok.test:443", "no.test:443"]);
    assert_code(&finished, 1);
    let lines: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2, "{finished:#?}");
    for (line, decision) in lines.iter().zip(["allow", "deny"]) {
        let mut keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let contract =
            ["decision", "destination", "hint", "host", "layer", "port", "reason", "revision", "rule", "would_dial"];
        assert_eq!(keys, contract);
        assert_eq!((&line["decision"], &line["revision"]), (&decision.into(), &"r1".into()));
    }
    assert_eq!((&lines[0]["rule"], &lines[0]["port"]), (&"allow:ok.test".into(), &443.into()));
    assert_eq!((&lines[1]["rule"], &lines[1]["would_dial"]), (&Value::Null, &Value::Null));
}

#[test]
fn check_reads_destinations_from_standard_input() {
    let outgate = outgate();
    let finished = outgate.run_with(&["check", "--policy", "policy.toml", "--json", "-"], "ok.test:443\nno.test:443\n");
    assert_code(&finished, 1);
    assert_eq!(finished.stdout.lines().count(), 2, "{finished:#?}");
    assert_code(&outgate.run_with(&["check", "--policy", "policy.toml", "-"], "ok.test:443\n"), 0);
}

#[test]
fn check_names_the_policy_that_it_judges_by() {
    let outgate = outgate();
    let by_file = outgate.run(&["check", "--policy", "policy.toml", "ok.test:443"]);
    assert!(by_file.stderr.contains("judged by policy test, revision r1, from policy.toml"), "{by_file:#?}");
    let built_in = Outgate::new().run(&["check", "ok.test:443"]);
    assert!(built_in.stderr.contains("judged by the built-in starter policy"), "{built_in:#?}");
    assert_eq!(built_in.stdout.lines().count(), 1, "{built_in:#?}");
}

#[test]
fn check_knows_methods_tools_and_times() {
    let rules = rule("read", &["ok.test"]) + "methods = [\"GET\"]\ntools = [\"agent\"]\nuntil = 2026-12-01T00:00:00Z\n";
    let outgate = Outgate::new().file("policy.toml", policy("r1", &rules));
    let base = ["check", "--policy", "policy.toml", "http://ok.test/"];
    let at = ["--at", "2026-11-01T00:00:00Z"];
    for (arguments, code, reason) in [
        (&["--method", "GET", "--tool", "agent"][..], 0, "allow"),
        (&["--method", "POST", "--tool", "agent"], 1, "method_not_allowed"),
        (&["--method", "GET", "--tool", "other"], 1, "tool_not_allowed"),
    ] {
        let finished = outgate.run(&[&base, &at[..], arguments].concat());
        assert_code(&finished, code);
        assert!(finished.stdout.contains(reason), "{finished:#?}");
    }
    let tunnel = ["check", "--policy", "policy.toml", "https://ok.test/"];
    let finished = outgate.run(&[&tunnel[..], &at, &["--method", "GET", "--tool", "agent"]].concat());
    assert_code(&finished, 1);
    assert!(finished.stdout.contains("method_not_allowed"), "a CONNECT is no GET: {finished:#?}");
    let late = ["--method", "GET", "--tool", "agent", "--at", "2026-12-01T00:00:00Z"];
    let finished = outgate.run(&[&base[..], &late].concat());
    assert_code(&finished, 1);
    assert!(finished.stdout.contains("outside_period"), "{finished:#?}");
}

#[test]
fn check_and_the_proxy_decide_alike() {
    let text = allow(&["ok.test:443", "*.corp.test:*", "192.0.2.1:443"]);
    let proxy = Proxy::with(text.clone());
    let outgate = Outgate::new().file("policy.toml", &text);
    for to in ["ok.test:443", "ok.test:80", "corp.test:443", "no.test:443", "198.51.100.7:443", "OK.test.:443"] {
        let finished = outgate.run(&["check", "--policy", "policy.toml", "--json", to]);
        let offline: Value = serde_json::from_str(finished.stdout.trim()).unwrap();
        let online = proxy.api(&format!("/v1/check?to={to}"));
        for key in ["decision", "destination", "reason", "rule", "hint", "revision"] {
            assert_eq!(offline[key], online[key], "{key} of {to}");
        }
        if offline["decision"] == "deny" {
            let (_, answer) = proxy.connect(to);
            assert_eq!(answer.header("x-deny-reason"), offline["reason"].as_str(), "{to}");
        }
    }
}

#[test]
fn validate_reports_every_mistake_with_its_place_and_its_fix() {
    let outgate = outgate().file(
        "bad.toml",
        "version = 1\nalow = [\"a.test\"]\nallow = [\"ok.test\", \"*\", \"*.com\", \"https://a.test/\"]\n\
         [[rule]]\neffect = \"alow\"\nto = [\"b.test\"]\n",
    );
    assert_code(&outgate.run(&["policy", "validate", "policy.toml"]), 0);
    let finished = outgate.run(&["policy", "validate", "policy.toml", "bad.toml"]);
    assert_code(&finished, 2);
    let said = format!("{}{}", finished.stdout, finished.stderr);
    for (place, fix) in [
        ("bad.toml:2:1:", "`allow`"),
        ("bad.toml:3:21:", "`egress = \"all\"`"),
        ("bad.toml:3:26:", "`*.example.com`"),
        ("bad.toml:3:35:", "`a.test`"),
        ("bad.toml:5:10:", "\"allow\""),
    ] {
        assert!(said.lines().any(|line| line.contains(place) && line.contains(fix)), "no {place} {fix} in {said}");
    }
    assert!(finished.stdout.contains("policy.toml: valid, 3 rules, revision r1\n"), "{said}");
    assert!(said.ends_with("outgate: 5 mistakes\n"), "{said}");
    let patterns = outgate.file(
        "patterns.toml",
        "version = 1\nallow = [\"ok.test\", \"*\", \"*.com\", \"https://a.test/\", \"10.0.0.1/8\", \"0177.0.0.1\"]\n",
    );
    let finished = patterns.run(&["policy", "validate", "patterns.toml"]);
    assert_code(&finished, 2);
    let said = format!("{}{}", finished.stdout, finished.stderr);
    for column in [21, 26, 35, 54, 68] {
        assert!(said.contains(&format!("patterns.toml:2:{column}:")), "no column {column} in {said}");
    }
    assert!(said.contains("10.0.0.0/8"), "the corrected spelling: {said}");
}

#[test]
fn validate_prints_one_json_object_for_each_file() {
    let outgate = outgate()
        .file("bad.toml", "version = 1\nalow = []\nallow = [\"*.com\"]\n[[list]]\neffect = \"deny\"\ncovers = \"exact\"\nfile = \"l.txt\"\n")
        .file("l.txt", "a.test\n*.b.test\n")
        .file("warned.toml", "version = 1\nname = \"w\"\nrevision = \"r2\"\nallow = [\"*.github.io\"]\n");
    let files = ["policy.toml", "bad.toml", "warned.toml", "missing.toml"];
    let finished = outgate.run(&[&["policy", "validate", "--json"][..], &files].concat());
    assert_code(&finished, 2);
    assert_eq!(finished.stderr, "");
    let reports: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |report: &Value, fields: &[&str]| {
        fields.iter().map(|field| report[*field].to_string()).collect::<Vec<_>>().join(" ")
    };
    let heads: Vec<_> = reports
        .iter()
        .map(|report| said(report, &["file", "valid", "name", "revision", "rules", "errors", "warnings"]))
        .collect();
    assert_eq!(
        heads,
        [
            r#""policy.toml" true "test" "r1" 3 0 0"#,
            r#""bad.toml" false null null null 3 0"#,
            r#""warned.toml" true "w" "r2" 1 0 1"#,
            r#""missing.toml" false null null null 1 0"#,
        ]
    );
    let problems: Vec<_> = reports
        .iter()
        .flat_map(|report| report["problems"].as_array().unwrap())
        .map(|problem| said(problem, &["severity", "code", "file", "line", "column"]))
        .collect();
    assert_eq!(
        problems,
        [
            r#""error" "unknown-key" "bad.toml" 2 1"#,
            r#""error" "public-suffix-wildcard" "bad.toml" 3 10"#,
            r#""error" "not-a-name" "l.txt" 2 null"#,
            r#""warning" "shared-suffix-wildcard" "warned.toml" 4 10"#,
            r#""error" "unusable-file" "missing.toml" null null"#,
        ]
    );
    let first = &reports[1]["problems"][0];
    assert_eq!(
        (&first["what"], &first["fix"]),
        (&Value::from("the policy has no key \"alow\""), &Value::from("did you mean `allow`?"))
    );
    assert_code(&outgate.run(&["policy", "validate", "--json", "policy.toml", "warned.toml"]), 0);
}

#[test]
fn validate_counts_every_mistake_although_it_shows_a_hundred() {
    let patterns: String = (0..250).map(|number| format!("\"*h{number}.test\", ")).collect();
    let one = "version = 1\nallow = [\"a.test\"]\n";
    let outgate = Outgate::new()
        .file("many.toml", format!("version = 1\nallow = [{patterns}]\n"))
        .file("one.toml", one)
        .file("mistake.toml", "version = 1\nallow = [\"*\"]\n");
    let finished = outgate.run(&["policy", "validate", "many.toml"]);
    assert_code(&finished, 2);
    let end = "many.toml: there are 150 more problems; fix these first\noutgate: 250 mistakes\n";
    assert!(finished.stderr.ends_with(end), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 102);
    assert!(outgate.run(&["policy", "validate", "one.toml"]).stdout.contains("one.toml: valid, 1 rule, revision "));
    assert!(outgate.run(&["policy", "validate", "mistake.toml"]).stderr.ends_with("outgate: 1 mistake\n"));
}

#[test]
fn warnings_are_no_mistakes() {
    let outgate = Outgate::new().file("policy.toml", policy("r1", "allow = [\"*.githubusercontent.com\"]\n"));
    let finished = outgate.run(&["policy", "validate", "policy.toml"]);
    assert_code(&finished, 0);
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert!(said.to_lowercase().contains("warning") && said.contains("*.githubusercontent.com"), "{said}");
}

#[test]
fn policy_test_runs_the_cases_of_the_policy() {
    let case = |to: &str, expect: &str| format!("[[test]]\nto = \"{to}\"\nexpect = \"{expect}\"\n");
    let good = case("https://ok.test/", "allow") + &case("no.test:443", "deny") + "reason = \"host_not_allowed\"\n";
    let outgate = Outgate::new()
        .file("good.toml", POLICY.to_owned() + &good)
        .file("bad.toml", POLICY.to_owned() + &good + &case("no.test:443", "allow"))
        .file("reason.toml", POLICY.to_owned() + &case("no.test:443", "deny") + "reason = \"host_denied\"\n");
    assert_code(&outgate.run(&["policy", "test", "good.toml"]), 0);
    for name in ["bad.toml", "reason.toml"] {
        let finished = outgate.run(&["policy", "test", name]);
        assert_code(&finished, 1);
        let said = format!("{}{}", finished.stdout, finished.stderr);
        assert!(said.contains("no.test:443") && said.contains("host_not_allowed"), "{said}");
    }
}

#[test]
fn the_schema_is_json_and_knows_the_keys() {
    let finished = outgate().run(&["policy", "schema"]);
    assert_code(&finished, 0);
    let schema: Value = serde_json::from_str(&finished.stdout).unwrap();
    for key in ["version", "allow", "deny", "rule", "list", "internal-addresses", "mode", "egress"] {
        assert!(schema["properties"].get(key).is_some(), "no {key} in the schema");
    }
}

/// What drives a terminal, ends a line, or turns the direction of writing.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}moc\nallow   evil.test:443\r";

fn assert_inert(finished: &Finished) {
    let said = format!("{}{}", finished.stdout, finished.stderr);
    let hidden = |letter: &char| letter.is_control() && *letter != '\n' || *letter == '\u{202e}';
    assert_eq!(said.chars().find(hidden), None, "{said:?}");
    let forged = said.lines().find(|line| line.starts_with("allow   evil.test"));
    assert_eq!(forged, None, "{said}");
}

#[test]
fn admin_responses_are_shown_as_safe_text_on_the_terminal_and_unchanged_as_json() {
    for (status, key) in [("200 OK", "hint"), ("200 OK", "decision"), ("200 OK", "rule"), ("400 Bad Request", "detail")]
    {
        let body = serde_json::json!({ "decision": "deny", "destination": "a.test:443", key: EVIL });
        let sent = body.to_string();
        let fake = Origin::script(move |conn| {
            let _head = conn.request_head();
            let _gone = conn.try_send(answer(status, &[], sent.as_bytes()));
            (Vec::new(), Ending::Closed)
        });
        let admin = format!("127.0.0.1:{}", fake.port());
        let outgate = Outgate::new().file("t", "0123456789abcdef0123\n");
        let ask = ["check", "--admin", &admin, "--token-file", "t", "a.test:443"];
        let finished = outgate.run(&ask);
        let shown = format!("{}{}", finished.stdout, finished.stderr);
        assert!(shown.contains("\\u{1b}]0;owned\\u{7}\\u{9b}31m\\u{202e}moc\\u{a}allow"), "{key}: {finished:?}");
        assert_inert(&finished);
        let finished = outgate.run(&[&ask[..], &["--json"]].concat());
        assert_inert(&finished);
        if status == "200 OK" {
            assert_eq!(serde_json::from_str::<Value>(&finished.stdout).unwrap(), body);
        }
    }
}

#[test]
fn what_a_file_says_is_text_on_the_terminal() {
    let cut = &EVIL[..EVIL.find('\n').unwrap()];
    let outgate = Outgate::new()
        .file(
            "key.toml",
            format!("version = 1\n\"{cut}\" = 1\nallow = [\"{cut}\"]\n")
                .replace('\u{1b}', "\\u001b")
                .replace('\u{7}', "\\u0007"),
        )
        .file("syntax.toml", format!("version = 1\n{EVIL}\n"))
        .file("syntax.json", format!("{{\"version\": 1, {EVIL}}}"))
        .file("list.toml", "version = 1\n[[list]]\nfile = \"l\"\neffect = \"deny\"\ncovers = \"exact\"\n")
        .file("l", EVIL)
        .file("outgate.toml", format!("{EVIL} = 1\n"));
    for name in ["key.toml", "syntax.toml", "syntax.json", "list.toml"] {
        for arguments in [&["policy", "validate", name][..], &["policy", "test", name], &["run", "--policy", name]] {
            let finished = outgate.run(arguments);
            assert_code(&finished, 2);
            assert_inert(&finished);
        }
    }
    let finished = outgate.run(&["doctor", "--config", "outgate.toml"]);
    assert_code(&finished, 1);
    assert_inert(&finished);
    assert_inert(&outgate.run_with(&["check", "--policy", "key.toml", "-"], EVIL));
    assert_inert(&outgate.run_with(&["check", "-"], EVIL));
}

#[test]
fn with_no_argument_it_is_the_proxy() {
    // Only that it takes the same flags: the default ports may be anybody's.
    let outgate = outgate().file("empty.toml", "");
    let finished = outgate.run(&["--policy", "empty.toml"]);
    assert_code(&finished, 2);
    assert!(finished.stderr.contains("empty.toml"), "{finished:#?}");
}

#[test]
fn output_for_programs_has_no_colours() {
    let outgate = outgate();
    for arguments in
        [&["check", "--policy", "policy.toml", "no.test:443"][..], &["--help"], &["policy", "validate", "x"]]
    {
        let finished = outgate.run(arguments);
        assert!(!finished.stdout.contains('\u{1b}') && !finished.stderr.contains('\u{1b}'), "{finished:#?}");
    }
}

#[test]
fn a_reader_that_has_left_is_no_error_worth_a_panic() {
    let outgate = outgate();
    for arguments in [
        &["policy", "schema"][..],
        &["policy", "validate", "policy.toml"],
        &["check", "--policy", "policy.toml", "ok.test:443"],
        &["check", "--policy", "policy.toml", "--json", "ok.test:443", "no.test:443"],
        &["pac"],
        &["--help"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = outgate.command(arguments).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("panicked"), "{arguments:?}: {said}");
        assert_ne!(output.status.code(), Some(101), "{arguments:?}: {said}");
    }
}
