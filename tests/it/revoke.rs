//! Live tunnels end when what allowed them ends.

use std::time::{Duration, Instant, SystemTime};

use crate::harness::{Conn, Ending, Origin, Proxy, Settings, WITHIN_A_SECOND, allow, get, policy, rule, until};

fn is_alive(tunnel: &mut Conn) {
    tunnel.send(b"ping");
    assert_eq!(tunnel.read(4), b"ping");
}

#[test]
fn a_tunnel_that_a_new_policy_denies_ends_within_a_second_and_others_continue() {
    let origin = Origin::echo();
    let port = origin.port();
    let proxy = Proxy::with(allow(&["ok.test:*", "also.test:*"]));
    let mut doomed = proxy.tunnel(&format!("ok.test:{port}"));
    let mut spared = proxy.tunnel(&format!("also.test:{port}"));
    is_alive(&mut doomed);
    is_alive(&mut spared);
    until("both are counted", || (proxy.metrics().sum("outgate_tunnels_open", &[]) == 2).then_some(()));
    proxy.set_policy(&policy("r2", &rule("ok", &["also.test:*"])));
    let began = Instant::now();
    doomed.rest();
    assert!(began.elapsed() < WITHIN_A_SECOND, "{:?}", began.elapsed());
    is_alive(&mut spared);
    until("it is recorded", || (proxy.records_now().len() == 1).then_some(()));
    spared.half_close();
    spared.rest();
    let records = proxy.account(&[
        &format!("connect ok.test:{port} allow - revoked 200"),
        &format!("connect also.test:{port} allow - completed 200"),
    ]);
    assert_eq!((&records[0]["bytes_up"], &records[0]["revision"]), (&4.into(), &"r1".into()));
    let metrics = proxy.metrics();
    assert_eq!(metrics.sum("outgate_tunnels_revoked_total", &[]), 1);
    assert_eq!(metrics.sum("outgate_tunnels_open", &[]), 0);
}

#[test]
fn a_deny_rule_the_switch_and_a_changed_file_revoke_too() {
    let origin = Origin::echo();
    let port = origin.port();
    let allowed = rule("ok", &["ok.test:*"]);
    for change in [
        policy("r2", &format!("deny = [\"ok.test:*\"]\n{allowed}")),
        policy("r2", &format!("enabled = false\n{allowed}")),
        policy("r2", &allowed).replace("internal-addresses = [\"127.0.0.0/8\"]", ""),
    ] {
        let proxy = Proxy::with(policy("r1", &allowed));
        let mut tunnel = proxy.tunnel(&format!("ok.test:{port}"));
        is_alive(&mut tunnel);
        proxy.replace_policy(&change);
        tunnel.rest();
        proxy.account(&[&format!("connect ok.test:{port} allow - revoked 200")]);
    }
}

#[test]
fn a_policy_that_still_allows_it_touches_no_tunnel() {
    let origin = Origin::echo();
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let mut tunnel = proxy.tunnel(&format!("ok.test:{}", origin.port()));
    for number in 2..20 {
        proxy.set_policy(&policy(&format!("r{number}"), &rule("other", &["*.test:*"])));
        is_alive(&mut tunnel);
    }
    proxy.replace_policy("nonsense");
    assert_eq!(proxy.reload().status(), 422);
    is_alive(&mut tunnel);
    assert_eq!(proxy.metrics().sum("outgate_tunnels_revoked_total", &[]), 0);
}

#[test]
fn a_tunnel_ends_when_its_rules_period_does() {
    let origin = Origin::echo();
    let port = origin.port();
    let until = jiff::Timestamp::try_from(SystemTime::now() + Duration::from_secs(3)).unwrap();
    let rules = rule("short", &["ok.test:*"]) + &format!("until = {until}\n") + &rule("long", &["also.test:*"]);
    let proxy = Proxy::with(policy("r1", &rules));
    let mut short = proxy.tunnel(&format!("ok.test:{port}"));
    let mut long = proxy.tunnel(&format!("also.test:{port}"));
    is_alive(&mut short);
    short.rest();
    let late = jiff::Timestamp::now().duration_since(until);
    assert!(!late.is_negative(), "{late:?} too early");
    assert!(late.unsigned_abs() < WITHIN_A_SECOND, "{late:?} too late");
    is_alive(&mut long);
    let (_, answer) = proxy.connect(&format!("ok.test:{port}"));
    crate::expectations::assert_denied(&answer, "outside_period");
    drop(long);
    let records = proxy.records(3);
    let outcomes: Vec<_> = records.iter().map(|record| record["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes[..2], ["revoked", "denied"]);
}

#[test]
fn a_silent_tunnel_ends_at_its_limit_and_a_busy_one_does_not() {
    let origin = Origin::echo();
    let port = origin.port();
    let proxy = Settings::with(allow(&["ok.test:*", "also.test:*"])).limit("idle-timeout = \"2s\"").start();
    let mut silent = proxy.tunnel(&format!("ok.test:{port}"));
    let mut busy = proxy.tunnel(&format!("also.test:{port}"));
    let began = Instant::now();
    let ended = std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            silent.rest();
            began.elapsed()
        });
        while !watch.is_finished() {
            is_alive(&mut busy);
            std::thread::sleep(Duration::from_millis(100));
        }
        watch.join().unwrap()
    });
    assert!(ended >= Duration::from_millis(1000) && ended < Duration::from_secs(6), "{ended:?}");
    is_alive(&mut busy);
    busy.half_close();
    busy.rest();
    proxy.account(&[
        &format!("connect ok.test:{port} allow - timeout 200"),
        &format!("connect also.test:{port} allow - completed 200"),
    ]);
}

#[test]
fn a_websocket_is_revoked_like_any_tunnel() {
    let origin = Origin::script(|conn| {
        conn.request_head();
        conn.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        conn.rest()
    });
    let proxy = Proxy::with(allow(&["ok.test:*"]));
    let url = format!("http://ok.test:{}/", origin.port());
    let fields = ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhl"];
    let mut client = proxy.client();
    client.send(crate::harness::get(&url, &fields));
    assert_eq!(client.answer().status(), 101);
    proxy.set_policy(&policy("r2", &(rule("ok", &["ok.test:*"]) + "methods = [\"GET\"]\n")));
    client.rest();
    proxy.account(&[&format!("http ok.test:{}/ allow - revoked 101", origin.port())]);
}

#[test]
fn a_request_under_way_is_revoked_like_any_tunnel() {
    let origin = Origin::script(|conn| {
        conn.request_head();
        conn.rest()
    });
    let other = Origin::saying("all of it");
    let proxy = Proxy::with(allow(&["ok.test:*", "also.test:*"]));
    let upload = |host: &str, port: u16| {
        let mut client = proxy.client();
        let head = format!("PUT http://{host}:{port}/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(head + "6\r\nbefore\r\n");
        client
    };
    let (mut doomed, mut spared) = (upload("ok.test", origin.port()), upload("also.test", other.port()));
    until("both are there", || (origin.connections() + other.connections() == 2).then_some(()));
    proxy.set_policy(&policy("r2", &rule("ok", &["also.test:*"])));
    let began = Instant::now();
    assert_eq!(doomed.rest().0, b"");
    assert!(began.elapsed() < WITHIN_A_SECOND, "{:?}", began.elapsed());
    assert_eq!(origin.received().0, b"6\r\nbefore\r\n", "no end that would make it whole");
    spared.send("5\r\nafter\r\n0\r\n\r\n");
    assert_eq!(spared.answer().text(), "all of it");
    let records = proxy.account(&[
        &format!("http ok.test:{}/ allow - revoked 0", origin.port()),
        &format!("http also.test:{}/ allow - completed 200", other.port()),
    ]);
    assert_eq!(records[0]["revision"], "r1");
}

#[test]
fn a_long_request_is_revoked_at_once_and_its_client_sees_the_interruption() {
    let half = || {
        Origin::script(|conn| {
            conn.request_head();
            conn.send("HTTP/1.1 200 OK\r\n\r\nhalf");
            conn.rest()
        })
    };
    let (doomed_origin, spared_origin) = (half(), half());
    let proxy = Proxy::with(allow(&["ok.test:*", "also.test:*"]));
    let start = |host: &str, origin: &Origin| {
        let mut client = proxy.client();
        client.send(get(&format!("http://{host}:{}/", origin.port()), &[]));
        client.read_until(b"half");
        client
    };
    let (mut doomed, mut spared) = (start("ok.test", &doomed_origin), start("also.test", &spared_origin));
    until("both are listed", || (proxy.api("/v1/tunnels")["total"] == 2).then_some(()));
    proxy.set_policy(&policy("r2", &rule("ok", &["also.test:*"])));
    let began = Instant::now();
    assert_eq!(doomed.rest(), (Vec::new(), Ending::Reset));
    assert!(began.elapsed() < WITHIN_A_SECOND, "{:?}", began.elapsed());
    until("it is recorded", || (proxy.records_now().len() == 1).then_some(()));
    assert_eq!(proxy.api("/v1/tunnels")["total"], 1, "the other stays open");
    spared.reset_at_end();
    drop(spared);
    let records = proxy.records(2);
    assert_eq!((&records[0]["outcome"], &records[0]["status"]), (&"revoked".into(), &200.into()));
    assert!(records[0]["bytes_down"].as_u64() > Some(4), "{}", records[0]);
}
