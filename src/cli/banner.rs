//! The first lines that a person sees.

use super::say;
use crate::app::{Listening, RunningProxy};
use crate::policy::{Egress, Mode};
use crate::text::visible::ascii;

/// Prints what is running and how to try it, to stderr, where decisions follow.
pub(super) fn print(running: &RunningProxy) {
    let policy = running.store.current();
    let source = running.store.status().source;
    let rules = match policy.rule_count() {
        1 => "1 rule".to_owned(),
        count => format!("{count} rules"),
    };
    let rest = match (policy.enabled(), policy.mode(), policy.egress()) {
        (false, _, _) | (_, _, Egress::None) => "everything is denied",
        (_, _, Egress::All) => "everything else is allowed",
        (_, Mode::Observe, _) => "everything else passes and is recorded (observe mode)",
        (_, Mode::Enforce, _) => "everything else is denied",
    };
    say(&format!(
        "outgate {}   policy \"{}\" ({}), {rules}, {rest}",
        env!("CARGO_PKG_VERSION"),
        ascii(policy.name()),
        ascii(&source)
    ));
    for listening in &running.listeners {
        let spoken = match (listening.speaks.http, listening.speaks.socks5) {
            (true, true) => "CONNECT, HTTP, SOCKS5",
            (true, false) => "CONNECT, HTTP",
            (false, _) => "SOCKS5",
        };
        let label = if running.listeners.len() == 1 { "" } else { &*listening.name };
        let line = format!("  proxy   {:<26}  {spoken:<22}{label}", url(listening));
        say(line.trim_end());
    }
    if let Some(admin) = &running.admin {
        say(&format!("  admin   {}    dashboard, metrics", admin.url));
    }
    if let Some(parent) = &running.parent {
        say(&format!("  parent  http://{parent}    on the way out"));
    }
    if let Some(first) = running.listeners.first() {
        say(&format!("  try     curl -x {} https://example.com", url(first)));
    }
}

fn url(listening: &Listening) -> String {
    let scheme = match (listening.tls, listening.speaks.http) {
        (true, _) => "https",
        (false, true) => "http",
        (false, false) => "socks5h",
    };
    format!("{scheme}://{}", listening.address)
}
