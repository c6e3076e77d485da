//! The running process asks itself, as a client would, for what it must deny.
//!
//! Guaranteed:
//! - Every listener is asked at the start and then every [`INTERVAL`], over its real socket, TLS included, for two
//!   things: a name under the reserved `.invalid` (RFC 6761), which must be denied without a lookup, and the listener's
//!   own socket, which must be denied under every policy.
//! - "Denied" means that the answer is our 403 and that this very process recorded the denial: another program on the
//!   port does not pass for us.
//! - A test that was denied leaves no trace in counts and records ([`crate::record::Probe`]); one that was not is a
//!   request like any other, with its record.
//!
//! Deliberately not done: SOCKS5, which takes the same path after its handshake. The name where the policy lets unlisted names pass (observe mode, `egress = "all"`): it would be
//! resolved, and that is what the policy says. Ending the process on a failure: clients that find no proxy go direct.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender, TryRecvError};
use std::time::{Duration, SystemTime};

use tracing::{error, info};

use super::canary::{self, CanaryResponse, ConnectionEnds, TestedListener};
use super::listeners::BoundListener;
use crate::admin::{SelfTest, SelfTestResult};
use crate::enforce::Shared;
use crate::facts::Destination;
use crate::policy::{Egress, Mode, Stack};

/// Between two tests. Monitoring commonly looks every 15 to 60 s; two connections a minute cost nothing.
const INTERVAL: Duration = Duration::from_secs(60);

/// The number of attempts, each of which can fail because the policy is replaced during it. People change policies
/// minutes apart.
const TRIES: usize = 3;

/// What is tested, and with what.
pub(super) struct SelfTestPlan {
    shared: Arc<Shared>,
    /// Each listener's name, and where it is asked; nowhere if it speaks no HTTP.
    tested: Vec<(String, Option<TestedListener>)>,
    results: Arc<SelfTest>,
}

/// Tests once, and continues in a thread of its own until the sender is dropped.
///
/// # Errors
/// If the thread cannot be started.
pub(super) fn start(subject: SelfTestPlan) -> io::Result<Sender<()>> {
    let (keep, kept) = mpsc::channel();
    subject.note(subject.test());
    std::thread::Builder::new().name("selftest".into()).spawn(move || {
        while kept.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
            let tested = subject.test();
            // If a shutdown has begun, the listener is expected not to answer.
            if kept.try_recv() == Err(TryRecvError::Disconnected) {
                return;
            }
            subject.note(tested);
        }
    })?;
    Ok(keep)
}

impl SelfTestPlan {
    pub(super) fn new(shared: &Arc<Shared>, listeners: &[BoundListener], results: &Arc<SelfTest>) -> Self {
        let tested_as = |listener: &BoundListener| {
            let target = TestedListener { address: listener.address, tls: listener.tls.is_some() };
            (listener.name.clone(), listener.speaks.http.then_some(target))
        };
        let tested = listeners.iter().map(tested_as).collect();
        Self { shared: Arc::clone(shared), tested, results: Arc::clone(results) }
    }

    /// Asks every listener. What fails while the policy is being replaced is asked again under the new one.
    fn test(&self) -> SelfTestResult {
        let mut tries = TRIES;
        loop {
            let policy = self.shared.store.current();
            let tested = self.test_under(&policy);
            tries -= 1;
            if tested.ok || tries == 0 || Arc::ptr_eq(&policy, &self.shared.store.current()) {
                return tested;
            }
        }
    }

    fn test_under(&self, policy: &Stack) -> SelfTestResult {
        let unlisted_pass = lets_unlisted_pass(policy);
        let mut faults = Vec::new();
        let mut left_out = Vec::new();
        for (name, target) in &self.tested {
            let Some(target) = target else {
                left_out.push(format!("listener {name}: not tested, it speaks SOCKS5 alone"));
                continue;
            };
            let mut canaries = vec![Canary::Loop];
            if unlisted_pass.is_none() {
                canaries.push(Canary::Name);
            }
            for canary in canaries {
                match self.ask(*target, canary) {
                    TestResult::Denied => {}
                    TestResult::Unasked(why) => left_out.push(format!("listener {name}: not tested, {why}")),
                    TestResult::Fault(fault) => {
                        faults.push(format!("listener {name} ({}): {fault}", target.address));
                        // One fault is enough to look at, and a listener that hangs would hold up the others twice.
                        break;
                    }
                }
            }
        }
        let detail = if faults.is_empty() {
            let listeners = match self.tested.len() {
                1 => "1 listener denies".to_owned(),
                count => format!("{count} listeners deny"),
            };
            let what = match unlisted_pass {
                None => "an unknown name, unresolved, and the way back into itself".to_owned(),
                Some(why) => format!("the way back into itself; unknown names were not asked for: {why}"),
            };
            std::iter::once(format!("{listeners} {what}")).chain(left_out).collect::<Vec<_>>().join("; ")
        } else {
            faults.join("; ")
        };
        SelfTestResult { ok: faults.is_empty(), at: SystemTime::now(), detail }
    }

    fn ask(&self, target: TestedListener, canary: Canary) -> TestResult {
        let Shared { recorder, resolver, .. } = &*self.shared;
        let before = resolver.canaries();
        let mut asked = String::new();
        let asking = canary::connect(target, |ends| {
            let destination = canary.destination(ends).ok_or(io::ErrorKind::InvalidInput)?;
            asked = destination.to_string();
            let probe = recorder.probe(ends.client, destination.clone());
            Ok((destination, probe))
        });
        let looked_up = canary == Canary::Name && resolver.canaries() != before;
        match asking {
            Ok((answer, probe)) => judge(&asked, &answer, probe.denied().is_some(), looked_up),
            Err(error) => unanswered(target, &error),
        }
    }

    /// Keeps a result, and says so when it is another one than before.
    fn note(&self, tested: SelfTestResult) {
        let (ok, detail) = (tested.ok, tested.detail.clone());
        match (self.results.note(tested).map(|before| before.ok), ok) {
            (Some(true) | None, false) => error!("self-test failed: {detail}"),
            (Some(false), true) => info!("self-test passes again: {detail}"),
            (Some(true) | None, true) | (Some(false), false) => {}
        }
    }
}

/// What a listener is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Canary {
    Name,
    Loop,
}

impl Canary {
    fn destination(self, ends: ConnectionEnds) -> Option<Destination> {
        match self {
            Self::Name => canary::name_canary(),
            Self::Loop => canary::loop_canary(ends.listener),
        }
    }
}

/// What one question showed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum TestResult {
    Denied,
    /// Nothing: no want of enforcement, and no proof of it.
    Unasked(String),
    Fault(String),
}

/// Why unlisted names pass by the policy's own words, if they do.
pub(crate) fn lets_unlisted_pass(policy: &Stack) -> Option<&'static str> {
    match (policy.enabled(), policy.egress(), policy.mode()) {
        (false, _, _) | (true, Egress::None, _) => None,
        (true, _, Mode::Observe) => Some("observe mode"),
        (true, Egress::All, Mode::Enforce) => Some("egress = \"all\""),
        (true, Egress::PackageManagers | Egress::Allowlist, Mode::Enforce) => None,
    }
}

/// Judges an answer to something that must be denied. `recorded`: whether this process saw and denied it.
fn judge(asked: &str, answer: &CanaryResponse, recorded: bool, looked_up: bool) -> TestResult {
    let is_outgate = answer.field("proxy-status").is_some_and(|status| status.starts_with("outgate;"));
    match (answer.is_denial(), recorded) {
        (true, true) if looked_up => TestResult::Fault(format!("{asked} was denied only after it had been resolved")),
        (true, true) => TestResult::Denied,
        (true, false) => TestResult::Fault("another outgate answers there".into()),
        (false, _) if answer.status == 503 && is_outgate => {
            TestResult::Unasked("it was full, or could not record".into())
        }
        // The answer that opens a tunnel has only a status; every other answer of ours names its sender.
        (false, _) if !is_outgate && answer.status != 200 => {
            TestResult::Fault(format!("the server there ({}) is not outgate", answer.status))
        }
        (false, _) => {
            TestResult::Fault(format!("{asked} should have been denied, but the response was {}", answer.status))
        }
    }
}

fn unanswered(target: TestedListener, error: &io::Error) -> TestResult {
    // EMFILE and ENFILE; EADDRNOTAVAIL: no free port. These are ours, the client's, and say nothing of the listener.
    let no_socket = [libc::EMFILE, libc::ENFILE, libc::EADDRNOTAVAIL].map(Some).contains(&error.raw_os_error());
    if no_socket {
        return TestResult::Unasked(format!("no socket for asking: {error}"));
    }
    // A full listener says so in plain HTTP, to TLS clients too.
    if target.tls && error.kind() == io::ErrorKind::InvalidData {
        return TestResult::Unasked(format!("no TLS: {error}"));
    }
    TestResult::Fault(format!("it does not answer: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, fields: &[(&str, &str)]) -> CanaryResponse {
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        CanaryResponse { status, fields, body: String::new() }
    }

    const OURS: [(&str, &str); 3] =
        [("proxy-status", "outgate; error=x"), ("x-deny-reason", "host_not_allowed"), ("x-request-id", "k3f9-1")];

    #[test]
    fn only_a_denial_that_this_process_recorded_and_did_not_resolve_is_one() {
        let ours = &OURS[..];
        for (status, fields, recorded, looked_up, expected) in [
            (403, ours, true, false, None),
            (403, ours, true, true, Some("denied only after it had been resolved")),
            (403, ours, false, false, Some("another outgate answers there")),
            (403, &[], false, false, Some("the server there (403) is not outgate")),
            (404, &[("server", "x")], false, false, Some("the server there (404) is not outgate")),
            (200, &[], false, false, Some("a.test:443 should have been denied, but the response was 200")),
            (502, &ours[..1], false, true, Some("a.test:443 should have been denied, but the response was 502")),
            (500, &ours[..1], false, false, Some("a.test:443 should have been denied, but the response was 500")),
        ] {
            match (judge("a.test:443", &answer(status, fields), recorded, looked_up), expected) {
                (TestResult::Denied, None) => {}
                (TestResult::Fault(fault), Some(expected)) if fault.contains(expected) => {}
                (found, expected) => panic!("{status} {recorded} {looked_up}: {found:?}, not {expected:?}"),
            }
        }
        let full = judge(
            "a.test:443",
            &answer(503, &[("proxy-status", "outgate; error=connection_limit_reached")]),
            false,
            false,
        );
        assert_eq!(full, TestResult::Unasked("it was full, or could not record".into()));
    }

    #[test]
    fn want_of_sockets_is_no_fault_of_the_listener_and_silence_is() {
        let [plain, tls] = [false, true].map(|tls| TestedListener { address: ([127, 0, 0, 1], 1).into(), tls });
        for (code, fault) in [(libc::EMFILE, false), (libc::EADDRNOTAVAIL, false), (libc::ECONNREFUSED, true)] {
            let found = unanswered(plain, &io::Error::from_raw_os_error(code));
            assert_eq!(matches!(found, TestResult::Fault(_)), fault, "{code}: {found:?}");
        }
        for (target, kind, fault) in [
            (plain, io::ErrorKind::TimedOut, true),
            (tls, io::ErrorKind::TimedOut, true),
            (plain, io::ErrorKind::InvalidData, true),
            (tls, io::ErrorKind::InvalidData, false),
        ] {
            let found = unanswered(target, &kind.into());
            assert_eq!(matches!(found, TestResult::Fault(_)), fault, "{kind}: {found:?}");
        }
    }
}
