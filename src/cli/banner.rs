//! The first lines that a person sees.

use crate::app::Running;
use crate::policy::{Egress, Mode};
use crate::protocol::visible::ascii;

/// Prints what is running and how to try it, to stderr, where the decisions will stand.
pub(super) fn print(running: &Running) {
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
    eprintln!(
        "outgate {}   policy \"{}\" ({}), {rules}, {rest}",
        env!("CARGO_PKG_VERSION"),
        ascii(policy.name()),
        ascii(&source)
    );
    for (name, address, tls) in &running.listeners {
        let scheme = if *tls { "https" } else { "http" };
        let label = if running.listeners.len() == 1 { "" } else { name };
        eprintln!("  proxy   {:<26}  CONNECT, HTTP, SOCKS5   {label}", format!("{scheme}://{address}"));
    }
    if let Some(admin) = &running.admin {
        eprintln!("  admin   {}    dashboard, metrics", admin.url);
    }
    if let Some((_, address, tls)) = running.listeners.first() {
        let scheme = if *tls { "https" } else { "http" };
        eprintln!("  try     curl -x {scheme}://{address} https://example.com");
    }
}
