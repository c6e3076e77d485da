//! What a terminal shows: where the proxy is, and one line a decision.

use crate::harness::{Origin, Proxy, Settings, TOKEN, allow, until};

fn on_a_terminal(settings: Settings) -> Proxy {
    settings.argument("--log-format").argument("text").start()
}

#[test]
fn the_banner_says_where_things_are_and_names_only_what_works() {
    let proxy = on_a_terminal(Settings::with(allow(&["ok.test:*"])));
    let shown = until("the banner is complete", || {
        let shown = proxy.output().join("\n");
        shown.contains("try ").then_some(shown)
    });
    assert!(shown.contains(&format!("outgate {}", env!("CARGO_PKG_VERSION"))), "{shown}");
    assert!(shown.contains("\"test\"") && shown.contains("1 rule"), "{shown}");
    assert!(shown.contains(&format!("proxy   http://{}", proxy.address())), "{shown}");
    assert!(shown.contains(&format!("curl -x http://{}", proxy.address())), "{shown}");
    assert!(shown.contains("CONNECT, HTTP, SOCKS5"), "{shown}");
    assert!(!shown.contains(TOKEN), "a token from a file is not shown: {shown}");
}

#[test]
fn without_a_token_file_the_banners_link_holds_a_token_that_works() {
    let proxy = on_a_terminal(Settings::with(allow(&["ok.test:*"])).no_token_file());
    let link = format!("http://{}/?token=", proxy.admin_address());
    let token = until("the link is shown", || {
        let shown = proxy.output().join("\n");
        let token = shown.split(&link).nth(1)?.split_whitespace().next()?.to_owned();
        Some(token)
    });
    assert!(token.len() >= 20, "{token}");
    let bearer = format!("Authorization: Bearer {token}");
    assert_eq!(proxy.admin_with("GET", "/v1/policy", &[&bearer]).status(), 200);
    let almost = format!("Authorization: Bearer {}", &token[1..]);
    assert_eq!(proxy.admin_with("GET", "/v1/policy", &[&almost]).status(), 401);
    let other = on_a_terminal(Settings::with(allow(&["ok.test:*"])).no_token_file());
    assert_eq!(other.admin_with("GET", "/v1/policy", &[&bearer]).status(), 401, "each run has its own");
}

#[test]
fn each_decision_is_a_line_with_its_reason_and_its_id() {
    let origin = Origin::saying("x");
    let proxy = on_a_terminal(Settings::with(allow(&["ok.test:*"])));
    let (_, denied) = proxy.connect("no.test:443");
    let allowed = proxy.get(&format!("http://ok.test:{}/", origin.port()));
    assert_eq!(allowed.status(), 200);
    let ok = format!("ok.test:{}", origin.port());
    let id = denied.header("x-request-id").unwrap();
    for words in [&["deny", "no.test:443", "host_not_allowed", id][..], &["allow", &ok, "ok"]] {
        until(&format!("{words:?} is shown"), || {
            let lines = proxy.output();
            lines.iter().any(|line| words.iter().all(|word| line.split_whitespace().any(|w| w == *word))).then_some(())
        });
    }
    assert!(!proxy.output().join("\n").contains('\u{1b}'), "colours are for terminals");
}
