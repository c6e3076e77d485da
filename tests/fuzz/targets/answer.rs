//! Our own answers keep their shape and bounds with any input texts.
//!
//! An input is four bytes of choices, then texts, each ended by RS (0x1e).

use outgate::facts::ProxyError;
use outgate::protocol::reply::{Delivery, Explanation, Form, MAX_PHRASE, MAX_SENTENCE, write};

use super::problems::check_visible;
use super::wire::LaxHead;

const TOKENS: [&str; 8] = [
    "host_not_allowed",
    "identity_not_allowed",
    "egress_none",
    "sni_mismatch",
    "host_denied",
    "loop",
    "malformed_request",
    "connection_terminated",
];
const STATUSES: [u16; 12] = [400, 403, 404, 408, 414, 417, 421, 431, 501, 502, 504, 505];

pub(super) fn check(input: &[u8]) {
    let Some(([flags, error, token, status], rest)) = input.split_first_chunk() else { return };
    let mut texts = rest.split(|byte| *byte == 0x1e).map(|text| String::from_utf8_lossy(text).into_owned());
    let mut text = || texts.next().unwrap_or_default();
    let (policy_name, contact, rule, rule_reason, hint) = (text(), text(), text(), text(), text());
    let (revision, request_id, detail, destination) = (text(), text(), text(), text());
    // A text that is not there and an empty one are different answers.
    let given = |bit: u8| flags & bit != 0;
    let explanation = Explanation {
        status: pick(&STATUSES, *status),
        token: pick(&TOKENS, *token),
        error: pick(&ProxyError::ALL, *error),
        denied: given(1),
        policy_name: &policy_name,
        contact: given(4).then_some(contact.as_str()),
        destination: given(8).then_some(destination),
        rule: given(16).then_some(rule.as_str()),
        rule_reason: given(32).then_some(rule_reason.as_str()),
        hint: given(64).then_some(hint.as_str()),
        revision: &revision,
        request_id,
        detail: given(128).then_some(detail.as_str()),
    };
    let sentence = explanation.sentence();
    assert!(sentence.len() <= MAX_SENTENCE && sentence.contains(explanation.token), "{sentence:?}");
    check_visible(&sentence);
    let form = pick(&[Form::Sentence, Form::Html, Form::Json], status / 12);
    check_answer(&explanation, Delivery { form, keep_alive: given(2), head_only: false });
}

fn pick<T: Copy, const N: usize>(from: &[T; N], number: u8) -> T {
    from[usize::from(number) % N]
}

fn check_answer(explanation: &Explanation<'_>, delivery: Delivery) {
    let mut out = Vec::new();
    write(explanation, delivery, &mut out);
    let end = out.windows(4).position(|window| window == b"\r\n\r\n").expect("an empty line") + 4;
    let (head, body) = out.split_at(end);
    let mut head_alone = Vec::new();
    write(explanation, Delivery { head_only: true, ..delivery }, &mut head_alone);
    assert_eq!(head_alone, head, "a HEAD has the same head");

    let begin = format!("HTTP/1.1 {} ", explanation.status);
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let phrase = line.strip_prefix(begin.as_bytes()).expect("a status line");
    assert!((1..=MAX_PHRASE).contains(&phrase.len()) && phrase.iter().all(|byte| (0x20..0x7f).contains(byte)));
    assert!(head.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0x20..0x7f)));
    let fields = LaxHead::read(head);
    assert_eq!(fields.all("content-length"), [body.len().to_string().as_bytes()]);
    assert_eq!(fields.all("connection"), [if delivery.keep_alive { b"keep-alive".as_slice() } else { b"close" }]);
    assert_eq!(fields.all("x-deny-reason").len(), usize::from(explanation.denied));
    assert_eq!(fields.all("x-proxy-error").len(), usize::from(explanation.denied));
    for once in ["proxy-status", "x-request-id", "cache-control", "content-type", "x-content-type-options"] {
        assert_eq!(fields.all(once).len(), 1, "{once}");
    }
    assert!(fields.all("transfer-encoding").is_empty() && fields.all("location").is_empty());

    let body = std::str::from_utf8(body).expect("a body in UTF-8");
    match delivery.form {
        Form::Sentence => assert_eq!(body, explanation.sentence() + "\n"),
        Form::Html => check_page(body),
        Form::Json => check_problem(explanation, body),
    }
}

/// No text opens an element or ends an attribute: the page has its own elements and no other.
fn check_page(body: &str) {
    const OWN: [&str; 14] =
        ["!doctype", "html", "head", "meta", "title", "style", "body", "main", "h1", "p", "dl", "div", "dt", "dd"];
    for opened in body.split('<').skip(1) {
        let name = opened.strip_prefix('/').unwrap_or(opened);
        let name = name.split([' ', '>']).next().unwrap_or_default();
        assert!(OWN.contains(&name), "<{opened}");
    }
    assert_eq!(body.matches("<p>").count(), 1);
    assert!(body.matches("<div>").count() + body.matches("<div ").count() <= 7);
    body.lines().for_each(check_visible);
}

fn check_problem(explanation: &Explanation<'_>, body: &str) {
    let problem: serde_json::Value = serde_json::from_str(body).expect("JSON");
    let members = problem.as_object().expect("an object");
    assert_eq!(members.len(), 11);
    assert_eq!(problem["reason"], explanation.token);
    assert_eq!(problem["status"], explanation.status);
    assert_eq!(problem["detail"], explanation.sentence().as_str());
    members.values().filter_map(serde_json::Value::as_str).for_each(check_visible);
}
