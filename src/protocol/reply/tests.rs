use proptest::prelude::*;

use super::*;

fn denial() -> Explanation<'static> {
    Explanation {
        status: 403,
        token: "host_not_allowed",
        error: ProxyError::HttpRequestDenied,
        denied: true,
        policy_name: "Example Corp",
        contact: Some("it-help@example.com"),
        destination: Some("example.com:443".to_owned()),
        rule: None,
        rule_reason: None,
        hint: Some("`*.example.com` does not cover `example.com` itself"),
        revision: "2026-11-23.1",
        request_id: "k3f9-1".to_owned(),
        detail: None,
    }
}

fn fault(status: u16, token: &'static str, error: ProxyError) -> Explanation<'static> {
    Explanation { status, token, error, denied: false, hint: None, ..denial() }
}

fn bytes(explanation: &Explanation<'_>, form: Form) -> String {
    let mut out = Vec::new();
    write(explanation, Delivery { form, keep_alive: false, head_only: false }, &mut out);
    String::from_utf8(out).expect("UTF-8")
}

const SENTENCE: &str = "Blocked by the egress policy of Example Corp: example.com:443 is not allowed (host_not_allowed). \
     `*.example.com` does not cover `example.com` itself. This is the organisation's decision, not a fault: report it, \
     do not look for a way round. Ask it-help@example.com; request k3f9-1.";

#[test]
fn a_denial_is_a_sentence_with_everything_in_the_head_that_other_clients_show() {
    let expected = format!(
        "HTTP/1.1 403 Blocked by Example Corp egress policy: host_not_allowed, request k3f9-1\r\n\
         Proxy-Status: outgate; error=http_request_denied; details=\"host_not_allowed\"\r\n\
         X-Proxy-Error: blocked-by-allowlist\r\n\
         X-Deny-Reason: host_not_allowed\r\n\
         X-Request-Id: k3f9-1\r\n\
         Cache-Control: no-store\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         X-Content-Type-Options: nosniff\r\n\
         Content-Length: {}\r\n\
         Connection: close\r\n\
         \r\n\
         {SENTENCE}\n",
        SENTENCE.len() + 1
    );
    assert_eq!(bytes(&denial(), Form::Sentence), expected);
}

#[test]
fn a_denial_in_json_has_the_members_of_the_contract_in_its_order() {
    let answer = bytes(&denial(), Form::Json);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains("\r\nContent-Type: application/problem+json\r\n"));
    assert!(head.contains("\r\nX-Deny-Reason: host_not_allowed\r\n"));
    assert_eq!(
        body,
        format!(
            "{{\"type\":\"about:blank\",\"title\":\"Egress denied\",\"status\":403,\"reason\":\"host_not_allowed\",\
             \"destination\":\"example.com:443\",\"rule\":null,\"revision\":\"2026-11-23.1\",\"request_id\":\"k3f9-1\",\
             \"hint\":\"`*.example.com` does not cover `example.com` itself\",\"contact\":\"it-help@example.com\",\
             \"detail\":\"{SENTENCE}\"}}\n"
        )
    );
}

#[test]
fn a_denial_in_html_says_the_same_in_a_page_that_loads_nothing() {
    let answer = bytes(&denial(), Form::Html);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
    assert!(head.contains("\r\nContent-Security-Policy: default-src 'none'; style-src 'sha256-"));
    assert!(body.starts_with("<!doctype html>\n<html lang=\"en\">"));
    assert!(body.contains("<title>Egress denied: example.com:443</title>"));
    assert!(body.contains(&format!("<p>{}</p>", SENTENCE.replace('\'', "&#39;"))));
    assert!(body.contains("<dt>Reason</dt><dd>host_not_allowed</dd>"));
    assert!(!body.contains("<dt>Rule</dt>"), "there was none");
    assert!(!body.contains("<script") && !body.contains("http"), "nothing from elsewhere");
}

#[test]
fn a_fault_says_what_happened_and_whose_it_is_and_does_not_look_like_a_denial() {
    let unresolved =
        Explanation { detail: Some("the name has no address"), ..fault(502, "dns_error", ProxyError::DnsError) };
    let answer = bytes(&unresolved, Form::Sentence);
    assert!(answer.starts_with(
        "HTTP/1.1 502 Could not resolve name: dns_error, request k3f9-1\r\n\
         Proxy-Status: outgate; error=dns_error; details=\"dns_error\"\r\n\
         X-Request-Id: k3f9-1\r\n"
    ));
    assert!(!answer.contains("X-Deny-Reason") && !answer.contains("X-Proxy-Error"));
    assert!(answer.ends_with(
        "\r\n\r\nCould not resolve the name of example.com:443 (dns_error): the name has no address. The policy allows it; \
         the fault is with the name or its name servers, not with the policy. Request k3f9-1.\n"
    ));
}

#[test]
fn every_token_reads_as_a_sentence() {
    for (explanation, beginning) in [
        (
            fault(502, "connection_refused", ProxyError::ConnectionRefused),
            "Could not connect to example.com:443 (connection_refused). The policy allows it",
        ),
        (
            fault(504, "connection_timeout", ProxyError::ConnectionTimeout),
            "Could not connect in time to example.com:443 (conn",
        ),
        (
            fault(504, "dns_timeout", ProxyError::DnsTimeout),
            "Could not resolve in time the name of example.com:443 (dns",
        ),
        (
            fault(503, "busy", ProxyError::ConnectionLimitReached),
            "This proxy is too busy to serve example.com:443 (busy). Neither",
        ),
        (
            fault(500, "internal", ProxyError::ProxyInternalError),
            "Something failed inside this proxy, asked for example.com:443 (internal)",
        ),
        (
            fault(400, "malformed_request", ProxyError::HttpRequestError),
            "The request is malformed (malformed_request). The fault is with the client",
        ),
        (
            fault(421, "misdirected", ProxyError::HttpRequestError),
            "The request is not meant for a proxy (misdirected). ",
        ),
        (
            fault(431, "malformed_request", ProxyError::HttpRequestError),
            "The request's header fields are too large (malf",
        ),
    ] {
        assert!(explanation.sentence().starts_with(beginning), "{}", explanation.sentence());
    }
    let nameless = Explanation { destination: None, ..fault(503, "busy", ProxyError::ConnectionLimitReached) };
    assert!(nameless.sentence().starts_with("This proxy is too busy (busy). "));
    for (token, middle) in [
        ("host_denied", "example.com:443 is denied by a rule (host_denied). The rule says: no uploads. Because."),
        (
            "port_not_allowed",
            "example.com:443 is not allowed on this port (port_not_allowed). Because. The rule says: no uploads.",
        ),
        ("loop", "example.com:443 would lead back into this proxy (loop)."),
        ("a_new_one", "example.com:443 is not allowed (a_new_one)."),
    ] {
        let denied = Explanation { token, hint: Some("Because."), rule_reason: Some("no uploads."), ..denial() };
        assert!(denied.sentence().contains(middle), "{}", denied.sentence());
    }
    let bare = Explanation { policy_name: "", contact: None, destination: None, hint: Some(" . "), ..denial() };
    assert_eq!(
        bare.sentence(),
        "Blocked by the egress policy: this request is not allowed (host_not_allowed). This is the organisation's \
         decision, not a fault: report it, do not look for a way round. Ask your administrator; request k3f9-1."
    );
}

#[test]
fn the_status_line_keeps_its_token_whatever_the_policy_is_called() {
    for (name, line) in [
        ("Müller & Söhne", "HTTP/1.1 403 Blocked by M?ller & S?hne egress policy: host_not_allowed, request k3f9-1"),
        ("株式会社", "HTTP/1.1 403 Blocked by egress policy: host_not_allowed, request k3f9-1"),
        ("a\r\nX: b", "HTTP/1.1 403 Blocked by a X: b egress policy: host_not_allowed, request k3f9-1"),
        ("", "HTTP/1.1 403 Blocked by egress policy: host_not_allowed, request k3f9-1"),
    ] {
        let answer = bytes(&Explanation { policy_name: name, ..denial() }, Form::Sentence);
        assert_eq!(answer.lines().next(), Some(line));
    }
    let long = "Example ".repeat(40);
    let answer = bytes(&Explanation { policy_name: &long, ..denial() }, Form::Sentence);
    let line = answer.lines().next().expect("a line");
    assert!(line.ends_with("... egress policy: host_not_allowed, request k3f9-1"), "{line}");
    assert!((110..=MAX_PHRASE).contains(&(line.len() - "HTTP/1.1 403 ".len())), "{line}");
}

#[test]
fn a_head_request_gets_the_head_alone_and_a_live_connection_says_so() {
    let mut full = Vec::new();
    write(&denial(), Delivery { form: Form::Sentence, keep_alive: true, head_only: false }, &mut full);
    let mut head = Vec::new();
    write(&denial(), Delivery { form: Form::Sentence, keep_alive: true, head_only: true }, &mut head);
    let full = String::from_utf8(full).expect("UTF-8");
    let head = String::from_utf8(head).expect("UTF-8");
    assert!(head.ends_with("\r\nConnection: keep-alive\r\n\r\n"));
    assert_eq!(full, format!("{head}{SENTENCE}\n"));
}

#[test]
fn an_own_page_is_bytes_with_a_type_that_no_other_site_can_read() {
    let mut out = Vec::new();
    let page = Page { status: "200 OK", content_type: "application/json", body: b"{}" };
    write_page(page, Delivery { form: Form::Json, keep_alive: true, head_only: false }, &mut out);
    assert_eq!(
        String::from_utf8(out).expect("UTF-8"),
        "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}"
    );
}

/// Hostile texts: long, in any script, with markup, line breaks and invisible characters.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        ".{0,300}",
        "[\\x00-\\x7f]{0,300}",
        "[<>\"'&\\\\\r\n\u{202e}\u{200b}\u{fffd}\u{10ffff}ab ]{0,120}",
        "[a-z]{0,30}",
        "(\u{1f600}|名){90,140}",
    ]
}

proptest! {
    #[test]
    fn whatever_comes_in_the_answer_keeps_its_shape(
        (policy, contact, destination, rule, reason) in (hostile(), prop::option::of(hostile()), prop::option::of(hostile()), hostile(), hostile()),
        (hint, revision, id, detail) in (hostile(), hostile(), hostile(), hostile()),
        (denied, error) in (any::<bool>(), prop::sample::select(&ProxyError::ALL[..])),
        token in prop::sample::select(&["identity_not_allowed", "egress_none", "sni_mismatch", "host_denied", "malformed_request"][..]),
    ) {
        let explanation = Explanation {
            status: 403, token, error, denied, policy_name: &policy, contact: contact.as_deref(), destination,
            rule: Some(&rule), rule_reason: Some(&reason), hint: Some(&hint), revision: &revision, request_id: id,
            detail: Some(&detail),
        };
        for form in [Form::Sentence, Form::Html, Form::Json] {
            let answer = bytes(&explanation, form);
            let (head, body) = answer.split_once("\r\n\r\n").expect("a body");
            prop_assert!(!body.contains('\r'));
            let mut lines = head.split("\r\n");
            let phrase = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 403 ")).expect("a status line");
            prop_assert!(phrase.len() <= MAX_PHRASE && phrase.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{}", phrase);
            prop_assert!(phrase.contains(token));
            let names: Vec<&str> = lines.map(|line| line.split_once(": ").expect("a field").0).collect();
            let expected = 7 + 2 * usize::from(denied) + usize::from(form == Form::Html);
            prop_assert_eq!(names.len(), expected, "{:?}", names);
            prop_assert!(head.bytes().all(|byte| matches!(byte, b'\r' | b'\n' | 0x20..0x7f)));
            let length = format!("\r\nContent-Length: {}\r\n", body.len());
            prop_assert!(head.contains(&length));
            match form {
                Form::Sentence => {
                    prop_assert!(body.len() < 500, "{}", body.len());
                    prop_assert!(body.contains(token), "{}", body);
                    prop_assert!(body.ends_with(".\n") && body.matches('\n').count() == 1, "{}", body);
                    prop_assert!(!denied || body.contains("This is the organisation's decision"), "{}", body);
                }
                Form::Html => {
                    // The page's own elements, whose number depends only on which rows there are.
                    let own = ["<!doctype", "<html", "</html", "<head", "</head", "<meta", "<title", "</title", "<style",
                        "</style", "<body", "</body", "<main", "</main", "<h1", "</h1", "<p>", "</p>", "<dl", "</dl", "<div",
                        "</div", "<dt", "</dt", "<dd", "</dd"];
                    let count: usize = own.iter().map(|tag| body.matches(tag).count()).sum();
                    prop_assert_eq!(body.matches('<').count(), count);
                    prop_assert!(body.matches("<div").count() <= 7 && body.matches("<p>").count() == 1);
                }
                Form::Json => {
                    let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
                    prop_assert_eq!(problem["reason"].as_str(), Some(token));
                    prop_assert_eq!(problem.as_object().map(serde_json::Map::len), Some(11));
                }
            }
        }
    }
}
