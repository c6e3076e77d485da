//! Whether the listeners are ours and deny, as a client sees it.

use std::io;
use std::net::SocketAddr;

use serde_json::Value;

use super::finding::{Finding, fail, ok, warn};
use crate::app::canary::{self, CanaryResponse, TestedListener};

/// What the configuration's files say of the proxy that should be running.
#[derive(Debug)]
pub(super) struct Expected<'a> {
    /// The policy's revision; none where it has mistakes.
    pub(super) revision: Option<&'a str>,
    /// Whether what no rule lists may pass, or is not known not to.
    pub(super) unlisted_pass: bool,
    /// The command that starts the proxy.
    pub(super) start: &'a str,
}

/// Asks a listener for its identity and for destinations that it must deny.
///
/// `instance` is the process that answered so far.
pub(super) fn ask(
    name: &str,
    listener: TestedListener,
    expected: &Expected<'_>,
    instance: &mut Option<String>,
) -> Vec<Finding> {
    let about = match identify(canary::own_path(listener, "/.well-known/outgate")) {
        Ok(about) => about,
        Err(stranger) => return vec![stranger.finding(name, listener.address, expected.start)],
    };
    let mut findings = vec![judge_about(name, listener.address, &about, expected.revision)];
    let is_current = expected.revision == about.revision.as_deref();
    let may_ask_for_names = is_current && about.mode.as_deref() == Some("enforce") && !expected.unlisted_pass;
    let name_canary = may_ask_for_names.then(canary::name_canary).flatten();
    let mut asked = Vec::new();
    // None is the way back into the listener itself, which has its address only once it is reached.
    for canary in std::iter::once(None).chain(name_canary.clone().map(Some)) {
        let mut destination = String::new();
        let answer = canary::connect(listener, |ends| {
            let to = canary.or_else(|| canary::loop_canary(ends.listener)).ok_or(io::ErrorKind::InvalidInput)?;
            destination = to.to_string();
            Ok((to, ()))
        });
        asked.push((destination, answer.map(|(answer, ())| answer)));
    }
    findings.push(judge_denials(name, &asked, name_canary.is_some(), instance));
    findings
}

/// What a listener says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct About {
    revision: Option<String>,
    mode: Option<String>,
}

/// Why a listener is not ours.
#[derive(Debug)]
enum Stranger {
    Silent(io::Error),
    Other(u16),
    NoHttp,
}

impl Stranger {
    fn finding(&self, name: &str, address: SocketAddr, start: &str) -> Finding {
        const CHECK: &str = "listener";
        let another = "stop the program that has the port, or give the listener another `address`";
        match self {
            Self::Silent(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fail(CHECK, format!("{name}: nothing listens at {address}"), format!("start the proxy: {start}"))
            }
            Self::Silent(error) => fail(
                CHECK,
                format!("{name}: {address} does not answer: {error}"),
                "look at the proxy's log, and restart it",
            ),
            Self::Other(status) => {
                fail(CHECK, format!("{name}: the server at {address} ({status}) is not outgate"), another)
            }
            Self::NoHttp => fail(CHECK, format!("{name}: the server at {address} does not speak HTTP"), another),
        }
    }
}

fn identify(answer: io::Result<CanaryResponse>) -> Result<About, Stranger> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(Stranger::NoHttp),
        Err(error) => return Err(Stranger::Silent(error)),
    };
    let document: Option<Value> = serde_json::from_str(&answer.body).ok();
    match document {
        Some(document) if answer.status == 200 && document.get("policy").is_some() => {
            let text = |key: &str| document.get(key).and_then(Value::as_str).map(str::to_owned);
            Ok(About { revision: text("revision"), mode: text("mode") })
        }
        _ => Err(Stranger::Other(answer.status)),
    }
}

fn judge_about(name: &str, address: SocketAddr, about: &About, written: Option<&str>) -> Finding {
    let running = about.revision.as_deref().unwrap_or("unknown");
    let mode = about.mode.as_deref().unwrap_or("unknown");
    match written {
        Some(written) if written != running => warn(
            "listener",
            format!("{name}: {address} has the policy's revision {running} in force, not {written} as written"),
            "reload the policy (SIGHUP), or name the configuration that the proxy runs with: --config",
        ),
        _ => ok("listener", format!("{name}: an outgate answers at {address}, revision {running}, mode {mode}")),
    }
}

/// Judges the answers to what had to be denied.
fn judge_denials(
    name: &str,
    asked: &[(String, io::Result<CanaryResponse>)],
    with_name: bool,
    instance: &mut Option<String>,
) -> Finding {
    const CHECK: &str = "self-test";
    let fix = "do not rely on this proxy: stop it, and report it (SECURITY.md) with its policy and `outgate --version`";
    for (destination, answer) in asked {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                return fail(
                    CHECK,
                    format!("{name}: no answer to CONNECT: {error}"),
                    "look at the proxy's log, and restart it",
                );
            }
        };
        if answer.status == 503 {
            return warn(
                CHECK,
                format!("{name}: it is full and could not be tested"),
                "raise `max-connections`, or wait",
            );
        }
        if !answer.is_denial() {
            let what = format!("{name}: {destination} should have been denied, but the response was {}", answer.status);
            return fail(CHECK, what, fix);
        }
        let answered = answer.instance().unwrap_or_default();
        let first = instance.get_or_insert_with(|| answered.to_owned());
        if first != answered {
            let what = format!("{name}: process {answered} answers here, and process {first} on another listener");
            return fail(CHECK, what, "two proxies are running: stop the wrong one");
        }
    }
    let what = if with_name { "an unknown name and the way back into itself" } else { "the way back into itself" };
    let left_out = if with_name { "" } else { "; unknown names were not tested, because they may pass at the moment" };
    ok(CHECK, format!("{name} denies {what}{left_out}"))
}

/// What the admin listener says of the policy and of the proxy's own test.
pub(super) fn judge_health(address: SocketAddr, policy: &Value) -> Vec<Finding> {
    const CHECK: &str = "admin";
    let mut findings = vec![ok(CHECK, format!("{address} responds, and accepts the token"))];
    if let Some(error) = policy.get("error").and_then(Value::as_str) {
        let what = format!("the last reload failed, and the old policy stays in force:\n{error}");
        findings.push(fail("policy", what, "fix the policy and save it: it is read again at once"));
    }
    let detail = |tested: &Value| tested.get("detail").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(tested) = policy.get("selftest").filter(|tested| tested.get("ok") == Some(&Value::Bool(false))) {
        findings.push(fail("self-test", detail(tested), "look at the proxy's log"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn address() -> SocketAddr {
        "127.0.0.1:3128".parse().unwrap()
    }

    fn denial(instance: &str) -> CanaryResponse {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let fields = vec![
            field("proxy-status", "outgate; error=x"),
            field("x-deny-reason", "loop"),
            field("x-request-id", &format!("{instance}-1")),
        ];
        CanaryResponse { status: 403, fields, body: String::new() }
    }

    fn page(status: u16, body: &str) -> io::Result<CanaryResponse> {
        Ok(CanaryResponse { status, fields: Vec::new(), body: body.to_owned() })
    }

    #[test]
    fn only_our_own_page_is_ours_and_each_stranger_has_its_words() {
        let ours = identify(page(200, r#"{"policy":"x","revision":"r1","mode":"observe"}"#)).unwrap();
        assert_eq!((ours.revision.as_deref(), ours.mode.as_deref()), (Some("r1"), Some("observe")));
        for (answer, words) in [
            (page(404, "{}"), "the server at 127.0.0.1:3128 (404) is not outgate"),
            (page(200, "{}"), "(200) is not outgate"),
            (page(200, "hello"), "(200) is not outgate"),
            (Err(io::ErrorKind::ConnectionRefused.into()), "nothing listens at 127.0.0.1:3128"),
            (Err(io::ErrorKind::InvalidData.into()), "does not speak HTTP"),
            (Err(io::ErrorKind::TimedOut.into()), "does not answer"),
        ] {
            let finding = identify(answer).unwrap_err().finding("agent", address(), "outgate run");
            assert!(finding.is_failure() && finding.what.contains(words), "{finding:?}");
        }
    }

    #[test]
    fn another_revision_than_the_written_one_is_worth_a_look() {
        let about = About { revision: Some("r1".into()), mode: Some("enforce".into()) };
        for (written, level) in [(Some("r1"), Level::Ok), (Some("r2"), Level::Warn), (None, Level::Ok)] {
            assert_eq!(judge_about("agent", address(), &about, written).level, level, "{written:?}");
        }
    }

    #[test]
    fn what_is_not_denied_by_one_and_the_same_process_fails() {
        let judge = |answers: Vec<io::Result<CanaryResponse>>| {
            let asked: Vec<_> = answers.into_iter().map(|answer| ("a.test:443".to_owned(), answer)).collect();
            judge_denials("agent", &asked, true, &mut Some("k3f9".into()))
        };
        assert_eq!(judge(vec![Ok(denial("k3f9")), Ok(denial("k3f9"))]).level, Level::Ok);
        assert_eq!(judge(vec![Ok(denial("k3f9")), page(503, "")]).level, Level::Warn);
        for (bad, words) in [
            (page(200, ""), "should have been denied, but the response was 200"),
            (page(403, ""), "should have been denied, but the response was 403"),
            (Ok(denial("zzzz")), "process zzzz answers here"),
            (Err(io::ErrorKind::TimedOut.into()), "no answer to CONNECT"),
        ] {
            let finding = judge(vec![Ok(denial("k3f9")), bad]);
            assert!(finding.is_failure() && finding.what.contains(words), "{finding:?}");
        }
    }

    #[test]
    fn the_proxys_own_word_on_reloads_and_on_its_self_test_counts() {
        let levels =
            |policy: Value| judge_health(address(), &policy).iter().map(|finding| finding.level).collect::<Vec<_>>();
        assert_eq!(levels(serde_json::json!({"error": null, "selftest": {"ok": true}})), [Level::Ok]);
        assert_eq!(levels(serde_json::json!({"error": null, "selftest": null})), [Level::Ok]);
        assert_eq!(levels(serde_json::json!({"error": "x", "selftest": {"ok": true}})), [Level::Ok, Level::Fail]);
        assert_eq!(levels(serde_json::json!({"selftest": {"ok": false, "detail": "x"}})), [Level::Ok, Level::Fail]);
    }
}
