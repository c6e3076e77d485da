//! A policy that changes while the proxy runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Instant;

use rustix::process::Signal;

use crate::expectations::assert_denied;
use crate::harness::{Origin, Proxy, Settings, WITHIN_A_SECOND, allow, policy, rule, until};

/// Waits for a revision to be in force by itself.
fn assert_soon(proxy: &Proxy, revision: &str, began: Instant) {
    until(&format!("{revision} is in force"), || (proxy.revision() == revision).then_some(()));
    assert!(began.elapsed() < WITHIN_A_SECOND, "{revision} took {:?}", began.elapsed());
}

#[test]
fn a_file_that_is_written_anew_is_in_force_within_a_second() {
    let proxy = Proxy::with(policy("r1", ""));
    assert_denied(&proxy.get("http://ok.test/"), "host_not_allowed");
    let began = Instant::now();
    fs::write(proxy.path("policy.toml"), policy("r2", "enabled = false\n")).unwrap();
    assert_soon(&proxy, "r2", began);
    assert_denied(&proxy.get("http://ok.test/"), "egress_disabled");
    let began = Instant::now();
    proxy.replace_policy(&policy("r3", "egress = \"none\"\n"));
    assert_soon(&proxy, "r3", began);
    assert_denied(&proxy.get("http://ok.test/"), "egress_none");
    let records = proxy.records(3);
    assert_eq!(records.iter().map(|record| &record["revision"]).collect::<Vec<_>>(), ["r1", "r2", "r3"]);
    assert_eq!(proxy.metrics().sum("outgate_policy_info", &[("revision", "r3")]), 1);
    assert!(!proxy.metrics().has("outgate_policy_info", &[("revision", "r1")]));
}

#[test]
fn a_symlink_that_is_swapped_as_in_a_config_map_is_followed() {
    let proxy = Proxy::with(policy("r1", ""));
    // policy.toml → ..data/policy.toml, ..data → the folder of a revision.
    for revision in ["r2", "r3", "r4"] {
        fs::create_dir(proxy.path(revision)).unwrap();
        fs::write(proxy.path(revision).join("policy.toml"), policy(revision, "")).unwrap();
    }
    symlink("r2", proxy.path("..data")).unwrap();
    symlink("..data/policy.toml", proxy.path("policy.link")).unwrap();
    let began = Instant::now();
    fs::rename(proxy.path("policy.link"), proxy.path("policy.toml")).unwrap();
    assert_soon(&proxy, "r2", began);
    for revision in ["r3", "r4"] {
        symlink(revision, proxy.path("..data_tmp")).unwrap();
        let began = Instant::now();
        fs::rename(proxy.path("..data_tmp"), proxy.path("..data")).unwrap();
        assert_soon(&proxy, revision, began);
    }
}

#[test]
fn a_list_that_changes_changes_the_policy() {
    let list = "[[list]]\neffect = \"deny\"\nfile = \"bad.txt\"\ncovers = \"subdomains\"\n";
    let proxy = Proxy::with(policy("r1", &rule("ok", &["**.ok.test:*"])));
    fs::write(proxy.path("bad.txt"), "other.ok.test\n").unwrap();
    proxy.set_policy(&policy("r2", &(rule("ok", &["**.ok.test:*"]) + list)));
    assert_denied(&proxy.connect("a.other.ok.test:443").1, "host_denied");
    assert_ne!(proxy.connect("bad.ok.test:443").1.status(), 403);
    let began = Instant::now();
    fs::write(proxy.path("bad.txt"), "other.ok.test\nbad.ok.test\n").unwrap();
    until("the list is in force", || (proxy.connect("bad.ok.test:443").1.status() == 403).then_some(()));
    assert!(began.elapsed() < WITHIN_A_SECOND, "{:?}", began.elapsed());
}

#[test]
fn a_policy_with_a_mistake_never_replaces_the_good_one() {
    let origin = Origin::saying("still allowed");
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = format!("http://ok.test:{}/", origin.port());
    let whole = policy("r2", "deny = [\"ok.test\"]\n");
    let bad = [
        String::new(),
        "\n\n".to_owned(),
        "# nothing but a comment\n".to_owned(),
        whole.replace("deny", "denny"),
        whole.replace("version = 1", "version = 2"),
        whole.replace("\"ok.test\"", "\"*\""),
        whole[..whole.len() - 4].to_owned(),
        "version = 1\nversion = 1\n".to_owned(),
        policy("r2", "[[rule]]\neffect = \"allow\"\n"),
    ];
    for text in &bad {
        proxy.replace_policy(text);
        let answer = proxy.reload();
        assert_eq!(answer.status(), 422, "{text:?}: {answer}");
        let errors = answer.json()["errors"].as_array().expect("errors").len();
        assert!(errors > 0, "{answer}");
        let shown = proxy.api("/v1/policy");
        assert_eq!(shown["revision"], "r1", "{text:?}");
        assert!(shown["error"].as_str().is_some_and(|error| error.contains("policy.toml")), "{shown}");
        assert_eq!(proxy.get(&url).text(), "still allowed", "{text:?}");
    }
    let metrics = proxy.metrics();
    let reloads = |metrics: &crate::harness::Metrics| {
        let by = metrics.by("outgate_policy_reloads_total", ["result", "result"]);
        by.into_iter().map(|([result, _], count)| (result, count)).collect::<Vec<_>>()
    };
    let failed: u64 = reloads(&metrics).iter().filter(|(result, _)| !is_success(result)).map(|(_, count)| count).sum();
    assert!(failed >= bad.len() as u64, "{:?}", reloads(&metrics));
    let succeeded = || proxy.metrics().sum("outgate_policy_last_reload_successful", &[]) == 1;
    assert!(!succeeded());
    proxy.set_policy(&whole);
    assert!(succeeded());
    assert_eq!((proxy.revision().as_str(), &proxy.api("/v1/policy")["error"]), ("r2", &serde_json::Value::Null));
    assert!(reloads(&proxy.metrics()).iter().any(|(result, count)| is_success(result) && *count >= 1));
    fs::remove_file(proxy.path("policy.toml")).unwrap();
    assert_eq!(proxy.reload().status(), 422, "a file that is gone");
    assert!(!succeeded());
    assert_eq!(proxy.revision(), "r2");
}

fn is_success(result: &str) -> bool {
    matches!(result, "ok" | "success" | "loaded")
}

#[test]
fn every_mistake_is_in_the_answer_with_its_place() {
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    proxy.replace_policy("version = 1\nalow = [\"a.test\"]\nallow = [\"*\"]\n");
    let answer = proxy.reload();
    let errors = answer.json();
    let errors: Vec<_> = errors["errors"].as_array().unwrap().iter().map(ToString::to_string).collect();
    assert!(errors.iter().any(|error| error.contains("policy.toml:2:1") && error.contains("`allow`")), "{errors:?}");
    proxy.replace_policy("version = 1\nallow = [\"a.test\", \"*\"]\n");
    let answer = proxy.reload();
    assert!(answer.text().contains("policy.toml:2:20"), "{answer}");
}

#[test]
fn a_file_that_is_still_being_written_is_never_in_force() {
    // Cut at its rules, this policy would be valid, and would deny less.
    let first = policy("r1", "deny = [\"ok.test\"]\nallow = [\"ok.test\", \"no.test\"]\n");
    let proxy = Proxy::with(first.clone());
    let whole = policy("r2", "deny = [\"no.test\"]\nallow = [\"ok.test\", \"no.test\"]\n");
    let part = policy("r2", "allow = [\"ok.test\", \"no.test\"]\n");
    // Someone writes byte after byte for more than a second, over what is a valid policy all the time. Where the machine
    // lets this writer pause for long, it looks like one that has finished, and it begins again.
    let mut began = Instant::now();
    let mut last = began;
    let mut written = 0;
    while began.elapsed().as_millis() < 1500 {
        fs::write(proxy.path("policy.toml"), format!("{part}# {}\n", "x".repeat(written))).unwrap();
        written += 1;
        assert!(written < 2000, "no second and a half without a pause");
        let revision = proxy.revision();
        if last.elapsed().as_millis() > 150 {
            proxy.replace_policy(&first);
            until("the first policy is in force", || (proxy.revision() == "r1").then_some(()));
            began = Instant::now();
        } else {
            assert_ne!(revision, "r2", "half-written, after {:?}", began.elapsed());
        }
        last = Instant::now();
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let began = Instant::now();
    fs::write(proxy.path("policy.toml"), &whole).unwrap();
    assert_soon(&proxy, "r2", began);
    assert_denied(&proxy.connect("no.test:443").1, "host_denied");
}

#[test]
fn a_policy_with_countless_mistakes_delays_no_other_and_gives_few_error_lines() {
    const MISTAKES: usize = 100_000;
    let starred = format!("[{}\"*\"]", "\"*\", ".repeat(MISTAKES - 1));
    let doubled = format!("[{}\"a.test\"]", "\"a.test\", ".repeat(MISTAKES - 1));
    let numbers = format!("[{}1]", "1, ".repeat(MISTAKES - 1));
    for (bad, whole) in [(starred, false), (numbers, false), (doubled, true)] {
        let proxy = Proxy::with(policy("r1", ""));
        fs::write(proxy.path("new.toml"), policy("r2", &format!("allow = {bad}\n"))).unwrap();
        fs::rename(proxy.path("new.toml"), proxy.path("policy.toml")).unwrap();
        // While it is being loaded, or after: nothing says which, and neither may delay the switch.
        std::thread::sleep(std::time::Duration::from_millis(500));
        let began = Instant::now();
        proxy.replace_policy(&policy("r3", "enabled = false\n"));
        until("the switch is in force", || (proxy.revision() == "r3").then_some(()));
        // A load of a file of a megabyte may run next to it on a busy machine.
        assert!(began.elapsed() < 5 * WITHIN_A_SECOND, "the switch took {:?}", began.elapsed());
        fs::write(proxy.path("again.toml"), policy("r2", &format!("allow = {bad}\n"))).unwrap();
        fs::rename(proxy.path("again.toml"), proxy.path("policy.toml")).unwrap();
        let answer = proxy.reload();
        assert_eq!(answer.status(), if whole { 200 } else { 422 });
        if !whole {
            let lines = answer.json()["errors"].as_array().unwrap().len();
            assert_eq!(lines, 101, "the first hundred, and how many more");
            assert!(answer.text().contains(&format!("{} more", MISTAKES - 100)), "{answer}");
        }
        let logged: usize = proxy.output().iter().map(String::len).sum();
        assert!(logged < 100_000, "{logged} bytes of log");
    }
}

#[test]
fn a_hangup_reloads() {
    let proxy = Settings::with(policy("r1", "")).start();
    proxy.replace_policy(&policy("r2", ""));
    proxy.signal(Signal::HUP);
    until("the new policy is in force", || (proxy.revision() == "r2").then_some(()));
    proxy.replace_policy("nonsense");
    proxy.signal(Signal::HUP);
    until("the mistake is shown", || proxy.api("/v1/policy")["error"].as_str().map(|_| ()));
    assert_eq!(proxy.revision(), "r2");
    assert_denied(&proxy.get("http://no.test/"), "host_not_allowed");
}

#[test]
fn a_request_that_waits_for_its_origin_is_of_the_revision_that_judged_it() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let origin = Origin::http(move |_| {
        wait.lock().unwrap().recv().unwrap();
        crate::harness::ok("late")
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut client = proxy.client();
    let url = format!("http://ok.test:{}/", origin.port());
    client.send(crate::harness::get(&url, &[]));
    until("the origin is asked", || (origin.connections() == 1).then_some(()));
    proxy.set_policy(&policy("r2", ""));
    go.send(()).unwrap();
    assert_eq!(client.answer().text(), "late", "a reload does not drop what is under way");
    client.send(crate::harness::get(&url, &[]));
    assert_denied(&client.answer(), "host_not_allowed");
    let records = proxy.account(&[
        &format!("http ok.test:{}/ allow - completed 200", origin.port()),
        &format!("http ok.test:{}/ deny host_not_allowed denied 403", origin.port()),
    ]);
    assert_eq!(records.iter().map(|record| &record["revision"]).collect::<Vec<_>>(), ["r1", "r2"]);
}

#[test]
fn many_who_ask_for_a_reload_at_once_all_get_an_answer() {
    let proxy = Proxy::with(policy("r1", ""));
    proxy.replace_policy(&policy("r2", ""));
    std::thread::scope(|scope| {
        let asked: Vec<_> = (0..20).map(|_| scope.spawn(|| proxy.reload())).collect();
        for answer in asked {
            let answer = answer.join().unwrap();
            assert_eq!((answer.status(), &answer.json()["revision"]), (200, &"r2".into()));
        }
    });
}
