//! Four accounts of ten thousand requests, kept while the policy changes under them, agree to the unit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::harness::{Answer, Origin, Proxy, Settings, get, policy, rule};

const CLIENTS: usize = 50;
const REQUESTS_EACH: usize = 200;
/// The time between two policies.
const PERIOD: Duration = Duration::from_millis(10);

/// Of ten requests, five go to a destination that is always allowed, three to one that is always denied, and two to one
/// that every other revision allows. Four of ten are denied.
const TURNS: [&str; 10] =
    ["ok.test", "no.test", "flip.test", "ok.test", "no.test", "ok.test", "flip.test", "ok.test", "no.test", "ok.test"];

/// Revision `n`: an even one allows `flip.test`.
fn revision(number: usize) -> String {
    let flip = if number.is_multiple_of(2) { rule("flip", &["flip.test:*"]) } else { String::new() };
    policy(&number.to_string(), &(rule("ok", &["ok.test:*"]) + &flip))
}

/// How often each host was answered how, by the client's own count.
type Tally = BTreeMap<(String, String), u64>;

#[test]
fn every_count_agrees_to_the_unit_while_the_policy_changes() {
    let origin = Origin::saying("x");
    let proxy = Settings::with(revision(0)).host("flip.test", "[\"127.0.0.1\"]").record("max-size = \"1 GiB\"").start();
    let done = AtomicBool::new(false);
    let loaded = AtomicUsize::new(0);
    let tally = thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                let next = loaded.load(Ordering::SeqCst) + 1;
                proxy.set_policy(&revision(next));
                loaded.store(next, Ordering::SeqCst);
                thread::sleep(PERIOD);
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn({
                    let (proxy, origin) = (&proxy, &origin);
                    move || client(proxy, origin.port(), number)
                })
            })
            .collect();
        let tallies: Vec<_> = clients.into_iter().map(thread::ScopedJoinHandle::join).collect();
        done.store(true, Ordering::SeqCst);
        let mut sum = Tally::new();
        for (key, count) in tallies.into_iter().flat_map(|tally| tally.unwrap()) {
            *sum.entry(key).or_default() += count;
        }
        sum
    });
    let total = CLIENTS * REQUESTS_EACH;
    assert_eq!(tally.values().sum::<u64>(), total as u64);
    let loaded = loaded.load(Ordering::SeqCst);
    assert!(loaded >= 10, "only {loaded} policies were loaded meanwhile");
    let records = proxy.records(total);
    assert_eq!(records.len(), total);
    proxy.counts_agree_with(&records);
    let mut recorded = Tally::new();
    for record in &records {
        let text = |key: &str| record[key].as_str().unwrap().to_owned();
        let number: usize = text("revision").parse().unwrap();
        let allowed = text("decision") == "allow";
        match text("host").as_str() {
            "ok.test" => assert!(allowed, "{record}"),
            "no.test" => assert!(!allowed, "{record}"),
            _ => assert_eq!(allowed, number.is_multiple_of(2), "judged by two revisions: {record}"),
        }
        assert!(number <= loaded, "{record}");
        *recorded.entry((text("host"), text("decision"))).or_default() += 1;
    }
    assert_eq!(recorded, tally, "by host and decision");
    let [allowed, denied] = ["allow", "deny"]
        .map(|decision| tally.iter().filter(|((_, each), _)| each == decision).map(|(_, count)| count).sum::<u64>());
    assert!(denied > total as u64 * 3 / 10 && allowed >= total as u64 / 2, "{tally:?}");
    assert!(tally.contains_key(&("flip.test".into(), "allow".into())), "{tally:?}");
    assert!(tally.contains_key(&("flip.test".into(), "deny".into())), "{tally:?}");
    assert_eq!(origin.seen().len() as u64, allowed, "the origin's own count");
}

/// One client's requests over one connection, and what it counts.
fn client(proxy: &Proxy, port: u16, number: usize) -> Tally {
    let mut tally = Tally::new();
    let mut connection = proxy.client();
    for turn in 0..REQUESTS_EACH {
        let host = TURNS[(turn + number) % TURNS.len()];
        connection.send(get(&format!("http://{host}:{port}/"), &["Accept: application/json"]));
        let answer = connection.answer();
        *tally.entry((host.to_owned(), decision(&answer, host).to_owned())).or_default() += 1;
    }
    tally
}

/// What an answer says; a denial names the one revision that it is of.
fn decision(answer: &Answer, host: &str) -> &'static str {
    if answer.status() == 200 {
        assert_eq!(answer.text(), "x");
        return "allow";
    }
    assert_eq!(answer.status(), 403, "{answer}");
    let problem = answer.json();
    let number: usize = problem["revision"].as_str().unwrap().parse().unwrap();
    assert!(host == "no.test" || number % 2 == 1, "revision {number} allows {host}: {answer}");
    assert_eq!(problem["reason"], "host_not_allowed", "{answer}");
    "deny"
}
