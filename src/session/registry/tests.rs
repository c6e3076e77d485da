//! What the registry lists, counts, records and ends.

use std::sync::Arc;
use std::time::SystemTime;

use super::*;
use crate::facts::{Client, Destination, Outcome, Protocol, Tool};
use crate::policy::text::{Format, read_policy};
use crate::policy::{Policy, Source};
use crate::session::{ListenerId, Pending, WorkerLoads};
use crate::sink::RecentFilter;
use crate::sink::tests::room::{Room, Settings};
use crate::store::Store;

fn recorder() -> Room {
    Room::start(Settings { ring: 20_000, ..Settings::default() }).unwrap()
}

fn policy() -> Policy {
    let document = read_policy("version = 1\nallow = [\"ok.test\"]\n", Format::Toml).unwrap();
    Policy::compile(&document, Source { lists: &[], content_hash: "r1" }).unwrap().policy
}

fn registry_of(store: &Store) -> Rc<Registry> {
    let in_force = InForce::new(store.handle(), Arc::default());
    Rc::new(Registry::new(WorkerLoads::new(1).worker(0), Rc::new(in_force)))
}

fn registry() -> Rc<Registry> {
    registry_of(&Store::new(policy(), String::new()))
}

fn permitted(registry: &Registry, recorder: &Room) -> Permitted {
    let facts = RequestFacts {
        client: Client::hypothetical(),
        tool: Tool::new("browser"),
        protocol: Protocol::Connect,
        destination: Destination::parse(b"ok.test:443", None).unwrap(),
        method: None,
        upgrade: None,
        path: None,
        passed_through_us: false,
        at: SystemTime::now(),
    };
    let permit = registry.in_force.judge(&facts, None).unwrap();
    let listener = ListenerId { index: 0, tool: Tool::new("browser") };
    let mut pending = Pending::begin(Rc::new(recorder.worker(0)), &listener, facts.client.clone());
    pending.asked(&facts);
    pending.permitted(&permit, Duration::ZERO);
    Permitted::new(pending, permit, facts)
}

fn reached() -> Reached {
    Reached::Direct([192, 0, 2, 1].into())
}

fn tunnel(registry: &Rc<Registry>, recorder: &Room) -> OpenTunnel {
    let first = FirstBytes::Request { may_be_judged_again: false };
    registry.enter(permitted(registry, recorder), first, reached())
}

fn listing(registry: &Rc<Registry>, request: &mut Permitted) -> ListedRequest {
    registry.list_request(&Ongoing { request, reached: &reached() })
}

/// Kind and bytes of each line, once all are there.
fn lines(recorder: &Room) -> Vec<(&'static str, u64, u64)> {
    recorder.flush();
    let lines = recorder.recent(&RecentFilter::newest(20_000));
    lines
        .iter()
        .filter_map(|line| line.record())
        .map(|record| (record.kind.as_str(), record.bytes_up, record.bytes_down))
        .collect()
}

#[test]
fn a_tunnel_that_stays_open_says_so_and_how_it_goes_on() {
    let (recorder, registry) = (recorder(), registry());
    let open = tunnel(&registry, &recorder);
    let entry = Rc::clone(&open.0.entry);
    assert!(!entry.report(4));
    assert_eq!(lines(&recorder), [], "most tunnels are over before");
    open.moved(10, 200);
    entry.count_bytes();
    assert_eq!(recorder.totals().bytes_down, 200, "the metrics know its bytes while it is open");
    assert!(entry.report(5) && !entry.report(6));
    open.moved(11, 300);
    assert!(!entry.report(64) && entry.report(65));
    assert_eq!(lines(&recorder), [("open", 10, 200), ("progress", 11, 300)]);
    open.finish(Outcome::Completed, 12, 400);
    assert!(!entry.report(200));
    assert_eq!(lines(&recorder), [("open", 10, 200), ("progress", 11, 300), ("end", 12, 400)]);
    let totals = recorder.totals();
    assert_eq!((totals.records, totals.bytes_up, totals.bytes_down, totals.tunnels_open), (1, 12, 400, 0));
}

#[test]
fn a_tunnel_that_is_dropped_keeps_the_bytes_that_it_moved() {
    let (recorder, registry) = (recorder(), registry());
    let open = tunnel(&registry, &recorder);
    open.moved(7, 8);
    drop(open);
    assert_eq!(lines(&recorder), [("end", 7, 8)]);
    assert!(registry.is_empty());
}

#[test]
fn a_request_that_is_listed_is_recorded_by_its_owner_alone_and_is_no_tunnel() {
    let (recorder, registry) = (recorder(), registry());
    let mut request = permitted(&registry, &recorder);
    let listed = listing(&registry, &mut request);
    listed.moved(10, 200, Some(206));
    assert!(listed.0.entry.report(5));
    let shown = registry.list(9).tunnels.remove(0);
    assert_eq!((shown.status, shown.bytes_up, shown.bytes_down), (206, 10, 200));
    listed.0.entry.count_bytes();
    let totals = recorder.totals();
    assert_eq!((totals.tunnels_open, totals.bytes_up, totals.bytes_down), (0, 0, 0), "these are of tunnels");
    listed.leave(&mut request.pending);
    assert!(registry.is_empty());
    // OpenTunnels once more, as when it is sent again: its `open` line is there already.
    let again = listing(&registry, &mut request);
    assert!(!again.0.entry.report(59) && again.0.entry.report(60));
    drop(again);
    assert_eq!(lines(&recorder), [("open", 10, 200), ("progress", 0, 0)], "leaving ends nothing");
    request.pending.sent_up(11);
    request.pending.finish(Outcome::Completed);
    assert_eq!(lines(&recorder).last(), Some(&("end", 11, 0)));
    assert_eq!(recorder.totals().records, 1);
}

#[test]
fn silence_ends_a_tunnel_and_a_request_has_limits_of_its_own() {
    let store = Store::new(policy(), String::new());
    let (recorder, registry) = (recorder(), registry_of(&store));
    let mut request = permitted(&registry, &recorder);
    let (tunnel, listed) = (tunnel(&registry, &recorder), listing(&registry, &mut request));
    assert_eq!(registry.sweep(Duration::ZERO), 0);
    assert_eq!((tunnel.0.entry.cut.get(), listed.0.entry.cut.get()), (Some(Cut::Idle), None));
    let document = read_policy("version = 1\n", Format::Toml).unwrap();
    store.swap(Policy::compile(&document, Source { lists: &[], content_hash: "r2" }).unwrap().policy);
    assert_eq!(registry.sweep(Duration::ZERO), 1);
    assert_eq!(listed.0.entry.cut.get(), Some(Cut::Revoked));
}

#[test]
fn what_falls_due_at_once_is_handed_in_over_several_sweeps() {
    let (recorder, registry) = (recorder(), registry());
    let sweep = || {
        registry.sweep(Duration::MAX);
        lines(&recorder).len()
    };
    for (tunnels, handed_in) in [
        (MIN_INTERIM, [MIN_INTERIM, MIN_INTERIM, MIN_INTERIM]),
        (MIN_INTERIM + 1, [MIN_INTERIM, MIN_INTERIM + 1, MIN_INTERIM + 1]),
        (SPREAD * 600, [600, 1200, 1800]),
    ] {
        let before = lines(&recorder).len();
        let open: Vec<_> = (0..tunnels).map(|_| tunnel(&registry, &recorder)).collect();
        open.iter().for_each(|open| open.0.entry.next.set(0));
        assert_eq!([sweep(), sweep(), sweep()].map(|lines| lines - before), handed_in, "{tunnels}");
        open.into_iter().for_each(|open| open.finish(Outcome::Completed, 0, 0));
    }
}

#[test]
fn what_is_not_over_has_no_outcome_yet() {
    let (recorder, registry) = (recorder(), registry());
    let open = tunnel(&registry, &recorder);
    assert!(open.0.entry.report(5));
    recorder.flush();
    let line = recorder.recent(&RecentFilter::newest(1)).remove(0).to_json();
    assert!(line.contains(r#""kind":"open""#) && line.contains(r#""outcome":"","#), "{line}");
    assert!(line.contains(r#""decision":"allow""#), "{line}");
}

#[test]
fn a_record_cites_the_policy_by_which_bytes_began_to_flow() {
    let store = Store::new(policy(), String::new());
    let (recorder, registry) = (recorder(), registry_of(&store));
    let public = Reached::Direct([1, 1, 1, 1].into());
    let again = |revision: &'static str| {
        let document = read_policy("version = 1\nallow = [\"*.test\", \"ok.test\"]\n", Format::Toml).unwrap();
        store.swap(Policy::compile(&document, Source { lists: &[], content_hash: revision }).unwrap().policy);
    };
    let cited = |request: Permitted| {
        request.pending.finish(Outcome::Completed);
        recorder.flush();
        recorder.recent(&RecentFilter::newest(1))[0].record().unwrap().revision().to_owned()
    };
    // It continues while the policy is replaced.
    let mut request = permitted(&registry, &recorder);
    let first = registry.in_force.snapshot().revision().to_owned();
    again("r2");
    assert!(Ongoing { request: &mut request, reached: &public }.holds(&registry.in_force));
    assert_eq!(cited(request), first);
    // It continues as well, and then bytes begin to flow: those of a tunnel, or to another connection.
    let mut request = permitted(&registry, &recorder);
    again("r3");
    let second = registry.in_force.snapshot().revision().to_owned();
    let mut ongoing = Ongoing { request: &mut request, reached: &public };
    assert!(ongoing.holds(&registry.in_force));
    ongoing.renew(&registry.in_force).unwrap();
    assert_ne!(first, second);
    assert_eq!(cited(request), second);
}
