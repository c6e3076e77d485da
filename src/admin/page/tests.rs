use super::*;

fn view() -> View {
    View {
        version: "0.1.0".into(),
        now: "2026-11-23T14:02:20Z".into(),
        configuration_changed: false,
        policy: PolicyView {
            name: "Example Corp".into(),
            revision: "2026-11-23.1".into(),
            mode: "enforce".into(),
            enabled: true,
            egress: "allowlist".into(),
            source: "policy.toml".into(),
            built_in: false,
            loaded: "2026-11-23T13:40:00Z".into(),
            age: Duration::from_secs(22 * 60),
            error: None,
            rules: 14,
            selftest: Some(SelfTestView { ok: true, detail: "2 listeners".into() }),
        },
        totals: Totals { requests: 12_904, allowed: 11_871, denied: 1021, observed: 0, other: 12, tunnels_open: 7 },
        denials: vec![
            denial("example.com:443", "host_not_allowed", 640, Some("allow:*.example.com")),
            denial("telemetry.example.net:443", "host_not_allowed", 320, None),
            denial("upload.example.com:443", "host_denied", 41, Some("deny:upload.example.com")),
            denial("intranet.example.org:443", "address_not_allowed", 9, Some("intranet")),
            denial(
                &format!("{}.{}.example.test:8443", "very-long-label".repeat(4), "second-label".repeat(5)),
                "port_not_allowed",
                1,
                None,
            ),
        ],
        other_denials: 10,
        records: vec![
            record("deny", "example.com:443", "host_not_allowed", "k3f9-31"),
            record("allow", "api.example.org:443", "", "k3f9-30"),
            record("observe", "new.example.net:443", "host_not_allowed", "k3f9-2z"),
            record("none", "", "malformed_request", "k3f9-2y"),
            record("deny", "[2001:db8::1]:443", "address_not_allowed", "k3f9-2x"),
        ],
        listeners: vec![
            ListenerRow { name: "browser".into(), url: "http://127.0.0.1:3128".into() },
            ListenerRow { name: "web-fetch".into(), url: "http://127.0.0.1:3130".into() },
        ],
        time: TimeView {
            since: "2026-11-23T13:40:00Z".into(),
            reading: false,
            minutes: Buckets { denied: wave(60, 9), all: wave(60, 80), unknown: 38 },
            hours: Buckets { denied: wave(168, 200), all: wave(168, 4000), unknown: 167 },
        },
        tunnels: TunnelsView {
            total: 7,
            oldest: vec![TunnelRow {
                request: None,
                destination: "api.example.org:443".into(),
                address: "198.51.100.7:443".into(),
                tool: "browser".into(),
                client: "127.0.0.1:50512".into(),
                rule: Some("allow:api.example.org".into()),
                started: "2026-11-23T13:52:00Z".into(),
                age: Duration::from_secs(620),
                bytes_up: 12_345,
                bytes_down: 5 << 20,
            }],
        },
        sinks: vec![
            sink("memory", None),
            sink("jsonl", Some("/var/log/outgate/records.jsonl")),
            SinkView {
                dropped: 3,
                lost_lately: true,
                last_dropped: Some("2026-11-23T14:01:00Z".into()),
                ..sink("sqlite", Some("/var/lib/outgate/history.db"))
            },
        ],
    }
}

fn denial(destination: &str, reason: &str, count: u64, rule: Option<&str>) -> DenialRow {
    DenialRow {
        destination: destination.into(),
        reason: reason.into(),
        count,
        first: "2026-11-23T09:12:40Z".into(),
        last: "2026-11-23T14:02:11Z".into(),
        rule: rule.map(Inert::new),
        tools: "browser, web-fetch".into(),
        advice: AdviceView {
            allow: Some(Inert::lines(&format!("[[rule]]\nid = \"allow-{destination}\"\n"))),
            allowed_now: false,
            note: None,
        },
    }
}

fn sink(sink: &str, path: Option<&str>) -> SinkView {
    SinkView {
        sink: sink.into(),
        path: path.map(Inert::new),
        written: 12_904,
        dropped: 0,
        last_dropped: None,
        lost_lately: false,
        error: None,
        since: None,
    }
}

fn wave(len: u64, height: u64) -> Vec<u64> {
    (0..len).map(|n| (n * n * 7 + n) % (height + 1)).collect()
}

fn record(decision: &str, destination: &str, reason: &str, id: &str) -> RecordRow {
    RecordRow {
        time: "2026-11-23T14:02:11Z".into(),
        decision: decision.into(),
        destination: destination.into(),
        reason: reason.into(),
        outcome: "completed".into(),
        id: id.into(),
        tool: "browser".into(),
    }
}

fn with_policy(change: impl FnOnce(&mut PolicyView)) -> String {
    let mut view = view();
    change(&mut view.policy);
    render(&view)
}

#[test]
fn the_page_says_what_is_denied_and_how_often_without_any_script() {
    let page = render(&view());
    assert!(page.contains("<title>1\u{202f}021 denied · Example Corp · outgate</title>"));
    assert!(page.contains("<th scope=\"row\"><bdi>example.com:443</bdi></th><td><code title=\"no rule allows this host\">host_not_allowed</code></td><td class=\"number\">640<svg"));
    assert!(page.contains("<td class=\"tools\"><bdi>browser, web-fetch</bdi></td>"));
    assert!(page.contains("<td class=\"minor\"><bdi>deny:<wbr>upload.<wbr>example.<wbr>com</bdi></td>"), "{page}");
    assert!(page.contains("<pre>[[rule]]\nid = &quot;allow-example.com:443&quot;\n</pre>"), "{page}");
    assert!(page.contains("<span id=\"denied-total\">1\u{202f}021</span>"));
    assert!(page.contains("<span id=\"other-denials\">10</span> more"));
    assert!(
        page.contains(
            "<dd id=\"policy-loaded\"><time datetime=\"2026-11-23T13:40:00Z\" data-age>22 min ago</time></dd>"
        )
    );
    assert!(page.contains("id=\"no-denials\" class=\"empty\" hidden"));
}

#[test]
fn an_empty_page_says_so_and_how_to_try() {
    let empty = View { denials: Vec::new(), records: Vec::new(), other_denials: 0, ..view() };
    let page = render(&empty);
    assert!(page.contains("<p id=\"no-denials\" class=\"empty\">Nothing has been denied since the start.</p>"));
    assert!(page.contains("Try <code>curl -x http://127.0.0.1:3128 https://example.com</code>"));
    assert!(page.contains("<p id=\"more\" class=\"lead\" hidden>"));
}

#[test]
fn the_state_is_in_words_and_the_switches_come_before_observe_mode() {
    for (page, heading) in [
        (with_policy(|_| ()), "In force: only what a rule allows gets out"),
        (with_policy(|policy| policy.mode = "observe".into()), "Observe mode: the list is not enforced"),
        (with_policy(|policy| policy.egress = "all".into()), "Open: everything that no rule denies is allowed"),
        (with_policy(|policy| policy.egress = "none".into()), "Closed: the policy allows no egress at all"),
        (with_policy(|policy| policy.enabled = false), "Switched off: every request is denied"),
        (
            with_policy(|policy| (policy.enabled, policy.mode) = (false, "observe".into())),
            "Switched off: every request is denied",
        ),
    ] {
        assert!(page.contains(&format!("<h1 id=\"state-title\">{heading}</h1>")), "{heading}");
    }
}

#[test]
fn a_failed_self_test_is_an_alert_and_a_good_one_a_word() {
    let with = |tested: Option<(bool, &str)>| {
        with_policy(|policy| {
            policy.selftest = tested.map(|(ok, detail)| SelfTestView { ok, detail: detail.into() });
        })
    };
    for (tested, word, hidden) in [
        (None, "not yet", true),
        (Some((true, "1 listener denies")), "passed", true),
        (Some((false, "listener <a>: answered 200")), "failed", false),
    ] {
        let page = with(tested);
        assert!(page.contains(&format!("<dd id=\"policy-selftest\">{word}</dd>")), "{word}");
        let alert = "<section id=\"unenforced\" class=\"problem\" role=\"alert\"";
        assert!(page.contains(&format!("{alert}{}>", if hidden { " hidden" } else { "" })), "{word}");
    }
    assert!(with(Some((false, "listener <a>"))).contains("<pre id=\"unenforced-text\">listener &lt;a&gt;</pre>"));
}

#[test]
fn a_failed_reload_is_an_alert_with_its_lines_and_is_hidden_while_there_is_none() {
    let page = with_policy(|policy| {
        policy.error = Some(Inert::lines("policy.toml:3:1: unknown key `alow`\ndid you mean `allow`?"))
    });
    assert!(page.contains("role=\"alert\"><h2>The last reload failed. The policy below stays in force.</h2>"));
    assert!(page.contains("<pre id=\"problem-text\">policy.toml:3:1: unknown key `alow`\ndid you mean `allow`?</pre>"));
    assert!(render(&view()).contains("role=\"alert\" hidden>"));
}

#[test]
fn names_are_text_whatever_is_in_them() {
    let mut hostile = view();
    hostile.policy.name = "<script>alert(1)</script>\u{202e}\"'".into();
    hostile.policy.error = Some(Inert::lines("</pre><b>"));
    hostile.denials = vec![denial("a\u{200b}.example:443", "\"><img src=x>", 1, Some("</td>"))];
    hostile.records = vec![record("\" onload=x", "<svg onload=x>", "<i>", "<u>")];
    hostile.denials[0].tools = "<s>".into();
    hostile.denials[0].advice = AdviceView {
        allow: Some(Inert::lines("<pre>\n</details><b>a\u{202e}")),
        allowed_now: false,
        note: Some("the rule `<u>\u{200b}` <i>".into()),
    };
    hostile.tunnels.oldest[0].destination = "<u>".into();
    hostile.tunnels.oldest[0].client = "<i>\u{202e}".into();
    hostile.tunnels.oldest[0].rule = Some("\"><img".into());
    hostile.sinks[0].path = Some("/<s>\u{202e}".into());
    hostile.sinks[1].error = Some("<b>a".into());
    hostile.sinks[1].since = Some("<svg onload".into());
    hostile.listeners = vec![ListenerRow { name: "<s>".into(), url: "<q>".into() }];
    let page = render(&hostile);
    for markup in [
        "<script>",
        "<b>a",
        "</pre><b>",
        "<img",
        "<i>",
        "<u>",
        "<s>",
        "<q>",
        "<svg onload",
        "\" onload",
        "</td></td>",
        "<pre>\n<",
        "\u{202e}",
        "\u{200b}",
    ] {
        assert!(!page.contains(markup), "{markup}");
    }
    assert!(page.contains("<bdi>&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}&quot;&#39;</bdi>"));
    assert!(page.contains("<bdi>a\\u{200b}.example:443</bdi>"));
}

#[test]
fn a_long_name_is_elided_and_whole_in_its_title() {
    let page = render(&view());
    let long = format!("{}.{}.example.test:8443", "very-long-label".repeat(4), "second-label".repeat(5));
    assert!(page.contains(&format!("<bdi title=\"{long}\">very-long-labelvery-long-labelvery-…")));
}

#[test]
fn the_page_keeps_to_its_own_content_policy() {
    let page = render(&view());
    assert!(!page.contains("style=") && !page.contains("<style") && !page.contains("onclick"), "inline is blocked");
    assert_eq!(page.matches("<script").count(), 1);
    assert!(page.contains("<script src=\"./dashboard.js\" defer></script>"));
    assert!(page.contains("href=\"./dashboard.css\""));
    assert!(!SCRIPT.contains("innerHTML") && !SCRIPT.contains("eval("));
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn every_element_that_the_script_looks_for_is_on_the_page() {
    let page = render(&view());
    let ids =
        SCRIPT.split("at(\"").skip(1).chain(SCRIPT.split("show(\"").skip(1)).chain(SCRIPT.split("showName(\"").skip(1));
    let mut found = 0;
    for id in ids.filter_map(|rest| rest.split('"').next()) {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        found += 1;
    }
    assert!(found > 20, "the script's look-ups were not found");
    for (id, _) in
        [("denied-total", 0), ("allowed-total", 0), ("observed-total", 0), ("other-total", 0), ("requests-total", 0)]
    {
        assert!(page.contains(&format!("id=\"{id}\"")) && page.contains(&format!("id=\"{id}-rate\"")), "{id}");
    }
}

#[test]
fn a_row_without_a_rule_says_why_in_prose() {
    let mut view = view();
    view.denials[2].advice =
        AdviceView { allow: None, allowed_now: false, note: Some("the deny rule `x` names it".into()) };
    view.denials[3].advice = AdviceView { allow: None, allowed_now: true, note: None };
    let page = render(&view);
    assert!(page.contains("<td class=\"fix\"><p>the deny rule <code>x</code> names it</p></td>"));
    assert!(
        page.contains(
            "<td class=\"fix\"><span class=\"decision\" data-decision=\"allow\">allowed now</span><p></p></td>"
        )
    );
}

#[test]
fn where_records_are_kept_says_what_is_lost_and_why() {
    let mut view = view();
    let page = render(&view);
    assert!(
        page.contains("<tr data-state=\"ok\"><th scope=\"row\">Memory</th><td class=\"number\">12\u{202f}904</td>")
    );
    assert!(page.contains(
        "<tr data-state=\"losing\"><th scope=\"row\">SQLite <small><bdi>/var/lib/outgate/history.db</bdi></small></th>"
    ));
    assert!(page.contains("OK; last lost one at <time datetime=\"2026-11-23T14:01:00Z\">14:01:00 UTC</time>"));
    assert!(page.contains("<p id=\"unkept\" class=\"lead\" hidden>"));
    view.sinks[1].error = Some("No space left on device".into());
    view.sinks[1].since = Some("2026-11-23T14:01:59Z".into());
    view.sinks[2].lost_lately = false;
    let page = render(&view);
    assert!(page.contains("<tr data-state=\"failing\"><th scope=\"row\">JSON Lines"));
    assert!(page.contains("14:01:59 UTC</time>: No space left on device</td>"));
    assert_eq!(page.matches("data-state=\"ok\"").count(), 2, "a loss of long ago does not count as failing");
    view.sinks.truncate(1);
    assert!(render(&view).contains("<p id=\"unkept\" class=\"lead\">Only the last records are kept"));
}

#[test]
fn open_tunnels_are_listed_and_the_rest_counted() {
    let page = render(&view());
    assert!(
        page.contains(
            "<th scope=\"row\"><bdi>api.example.org:443</bdi> <small><bdi>198.51.100.7:443</bdi></small></th>"
        )
    );
    assert!(page.contains(">10 min ago</time></td><td><bdi>browser</bdi></td>"));
    assert!(page.contains("<td class=\"number\">12.0 KiB</td><td class=\"number\">5.0 MiB</td>"));
    assert!(page.contains("<p id=\"more-tunnels\" class=\"lead\"><span id=\"other-tunnels\">6</span>"));
    let none = View { tunnels: TunnelsView::default(), ..view() };
    assert!(render(&none).contains("<p id=\"no-tunnels\" class=\"empty\">Nothing is open.</p>"));
}

#[test]
fn what_was_before_the_first_count_is_marked_and_each_plot_has_its_words() {
    let page = render(&view());
    for (range, buckets, unknown) in [("hour", 60, 38), ("day", 24, 23), ("week", 168, 167)] {
        let figure =
            page.split("<figure ").find(|part| part.contains(&format!("data-range=\"{range}\""))).expect(range);
        assert_eq!(figure.matches(&format!("viewBox=\"0 0 {buckets} 100\"")).count(), 2, "{range}");
        assert!(
            figure.contains(&format!("<rect class=\"unknown\" height=\"100\" width=\"{unknown}\"></rect>")),
            "{range}"
        );
        assert!(figure.contains("denied of") && !figure.contains("\\u{"), "{range}");
    }
    assert!(page.contains(
        "Counted since <time datetime=\"2026-11-23T13:40:00Z\">13:40:00 UTC</time>.<span id=\"time-reading\" hidden>"
    ));
}

#[test]
#[ignore = "writes the page to the folder that OUTGATE_PAGE_OUT names, to be looked at with a browser"]
fn the_page_can_be_looked_at() {
    let folder = std::path::PathBuf::from(std::env::var_os("OUTGATE_PAGE_OUT").expect("OUTGATE_PAGE_OUT"));
    let mut observed = view();
    observed.policy.mode = "observe".into();
    observed.policy.error = Some(Inert::lines(
        "policy.toml:3:1: unknown key `alow`; did you mean `allow`?\npolicy.toml:9:8: `exa mple.com`: a blank is not a host byte",
    ));
    let off = View { denials: Vec::new(), records: Vec::new(), other_denials: 0, ..view() };
    for (name, view) in [("enforce", view()), ("observe", observed), ("empty", off)] {
        std::fs::write(folder.join(format!("{name}.html")), render(&view)).expect("a folder that can be written");
    }
}
