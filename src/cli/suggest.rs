//! `outgate suggest`: the least policy that would have allowed what was recorded.
//!
//! Guaranteed: it names exact hosts and ports, nothing wider; `policy validate` accepts it as it is; what it leaves out
//! is in its comments. It is a draft to review, since it allows what was asked for, wanted or not.
//!
//! Deliberately not done: wildcards (no client asked for the names below), tools, methods and identities (a rule
//! made from one week's traffic breaks in the next).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use clap::Args as ClapArgs;

use super::kept::{RecordsArgs, requests};
use super::{fail, print};
use crate::facts::{AddressClass, Destination, Host};
use crate::history::{Detail, Request};
use crate::policy::DenyReason;
use crate::policy::text::{Format, RuleText};
use crate::text::visible::escaped;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    chosen: RecordsArgs,
}

pub(super) fn run(config: Option<&Path>, args: Args) -> ExitCode {
    match suggest(config, args) {
        Ok(policy) => {
            print(&policy);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn suggest(config: Option<&Path>, args: Args) -> Result<String, String> {
    let mut seen = SeenRequests::default();
    requests(config, args.chosen, Detail::Each, |request| seen.add(request))?;
    Ok(seen.policy())
}

/// What was asked for.
#[derive(Debug, Default)]
struct SeenRequests {
    requests: u64,
    /// By host and port, hosts of one owner together.
    destinations: BTreeMap<(Vec<Box<str>>, u16), SeenDestination>,
    /// What no policy of this kind can allow: by reason and destination.
    left_out: BTreeMap<(Box<str>, Box<str>), u64>,
}

/// One destination.
#[derive(Debug)]
struct SeenDestination {
    host: Host,
    allowed: u64,
    /// By reason.
    denied: BTreeMap<DenyReason, u64>,
    /// Special-purpose addresses that it led to.
    special: BTreeSet<IpAddr>,
    /// Whether a tunnel to it did not begin with TLS for its name, and was let pass.
    began_otherwise: bool,
}

/// Saturates, because the counts come from a file that may have been edited.
fn add(sum: &mut u64, count: u64) {
    *sum = sum.saturating_add(count);
}

impl SeenRequests {
    fn add(&mut self, request: &Request<'_>) {
        add(&mut self.requests, request.count);
        if request.decision == "none" {
            return;
        }
        let written = format!("{}:{}", request.host, request.port);
        let Ok(destination) = Destination::parse(written.as_bytes(), None) else {
            return self.leave_out(request.reason, &written);
        };
        let reason = DenyReason::ALL.into_iter().find(|reason| reason.as_str() == request.reason);
        let allowed = request.decision == "allow";
        // What observe mode would not let pass either is the machine's protection, and no rule's to give.
        let can_be_allowed = |reason: &DenyReason| reason.is_observable() && *reason != DenyReason::SniMismatch;
        if !allowed && !reason.as_ref().is_some_and(can_be_allowed) {
            return self.leave_out(request.reason, &written);
        }
        let key = (labels(destination.host()), destination.port().get());
        let asked = self.destinations.entry(key).or_insert_with(|| SeenDestination {
            host: destination.host().clone(),
            allowed: 0,
            denied: BTreeMap::new(),
            special: BTreeSet::new(),
            began_otherwise: false,
        });
        match reason.filter(|_| !allowed) {
            Some(reason) => add(asked.denied.entry(reason).or_default(), request.count),
            None => add(&mut asked.allowed, request.count),
        }
        // A ClientHello to an address need not name anything.
        asked.began_otherwise |= request.began_otherwise && matches!(destination.host(), Host::Name(_));
        let dialled = request.address.parse::<SocketAddr>().map(|address| address.ip().to_canonical());
        if let Ok(ip) = dialled
            && !AddressClass::of(ip).is_global()
        {
            asked.special.insert(ip);
        }
    }

    fn leave_out(&mut self, reason: &str, destination: &str) {
        *self.left_out.entry((reason.into(), destination.into())).or_default() += 1;
    }

    fn policy(&self) -> String {
        let mut text =
            format!("# Suggested by outgate from {} recorded requests. Read it before you use it: it\n", self.requests);
        text.push_str("# allows what was asked for, wanted or not.\nversion = 1\nname = \"Suggested\"\n\nallow = [\n");
        let is_plain = |asked: &&SeenDestination| !asked.needs_rule();
        for (pattern, asked) in self.patterns(is_plain) {
            let _ = writeln!(text, "  {pattern:?},{}  # {}", " ".repeat(40_usize.saturating_sub(pattern.len())), asked);
        }
        text.push_str("]\n");
        for (key, asked) in self.destinations.iter().filter(|(_, asked)| asked.needs_rule()) {
            let pattern = format!("{}:{}", asked.host, key.1);
            let rule = RuleText {
                id: pattern.clone(),
                to: pattern,
                tools: Vec::new(),
                addresses: asked.special.iter().map(ToString::to_string).collect(),
                tls_optional: asked.speaks_no_tls(),
            };
            let comment = asked.tally();
            let _ = write!(text, "\n{}", rule.write(Format::Toml, Some(&comment)));
        }
        if !self.left_out.is_empty() {
            text.push_str("\n# Left out, because a rule for the host alone would not allow it or should not:\n");
            for ((reason, destination), count) in &self.left_out {
                let reason = if reason.is_empty() { "not understood" } else { reason };
                let line = format!("#   {reason}  {destination}  {}", times(*count, "request"));
                text.push_str(&escaped(&line));
                text.push('\n');
            }
        }
        text
    }

    /// Patterns with their comments. A host alone means the ports 80 and 443, and is used where both were seen.
    fn patterns(&self, wanted: impl Fn(&&SeenDestination) -> bool) -> Vec<(String, String)> {
        let mut patterns = Vec::new();
        for ((labels, port), asked) in self.destinations.iter().filter(|(_, asked)| wanted(asked)) {
            let other = |port| self.destinations.get(&(labels.clone(), port)).filter(&wanted);
            match (*port, other(80), other(443)) {
                (80, _, Some(secure)) => {
                    patterns.push((asked.host.to_string(), format!("443: {}; 80: {}", secure.tally(), asked.tally())));
                }
                (443, Some(_), _) => {}
                _ => patterns.push((format!("{}:{port}", asked.host), asked.tally())),
            }
        }
        patterns
    }
}

impl SeenDestination {
    fn needs_rule(&self) -> bool {
        !self.special.is_empty() || self.speaks_no_tls()
    }

    fn speaks_no_tls(&self) -> bool {
        self.began_otherwise
            || [DenyReason::NotTls, DenyReason::SniMissing].iter().any(|reason| self.denied.contains_key(reason))
    }

    fn tally(&self) -> String {
        let all = self.denied.values().fold(self.allowed, |all, count| all.saturating_add(*count));
        let mut text = times(all, "request");
        for (reason, count) in &self.denied {
            let _ = write!(text, ", {count} {reason}");
        }
        text
    }
}

fn times(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// What hosts are ordered by: names by their labels from the end, so that one owner's are next to each other.
fn labels(host: &Host) -> Vec<Box<str>> {
    match host {
        Host::Ip(ip) => vec!["".into(), ip.to_string().into()],
        Host::Name(name) => name.as_str().rsplit('.').map(Into::into).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::facts::{Client, Protocol, RequestFacts, Tool};
    use crate::policy::text::read_policy;
    use crate::policy::{Decision, Policy, Snapshot, Source};

    fn request(
        decision: &'static str,
        reason: &'static str,
        host: &'static str,
        port: u16,
        address: &'static str,
    ) -> Request<'static> {
        Request {
            count: 1,
            ms: 0,
            decision,
            reason,
            rule: "",
            tool: "browser",
            identity: "",
            host,
            port,
            address,
            outcome: "completed",
            began_otherwise: false,
        }
    }

    fn traffic() -> Vec<Request<'static>> {
        let deny = |reason, host, port| request("deny", reason, host, port, "");
        vec![
            request("allow", "", "api.example.com", 443, "198.41.128.1:443"),
            request("allow", "", "api.example.com", 443, "198.41.128.1:443"),
            request("allow", "", "www.example.com", 80, "198.41.128.1:80"),
            deny("host_not_allowed", "www.example.com", 443),
            request("observe", "port_not_allowed", "api.example.com", 8443, "198.41.128.1:8443"),
            request("allow", "", "intranet.test", 443, "10.0.0.7:443"),
            request("allow", "", "intranet.test", 443, "[fd00::1]:443"),
            deny("not_tls", "chat.example.net", 8080),
            request("allow", "", "[2606:4700::1]", 443, "[2606:4700::1]:443"),
            request("allow", "", "198.41.128.9", 443, "198.41.128.9:443"),
            deny("address_not_allowed", "10.0.0.1", 22),
            deny("loop", "127.0.0.1", 3128),
            deny("host_denied", "upload.example.com", 443),
            deny("egress_disabled", "any.test", 443),
            deny("sni_mismatch", "front.test", 443),
            request("none", "malformed_request", "", 0, ""),
        ]
    }

    fn suggested(traffic: &[Request<'_>]) -> String {
        let mut seen = SeenRequests::default();
        traffic.iter().for_each(|request| seen.add(request));
        seen.policy()
    }

    #[test]
    fn it_is_the_least_policy_and_has_its_counts() {
        let text = suggested(&traffic());
        let lines: Vec<_> = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let at = |line: &str| {
            lines.iter().position(|known| known == line).unwrap_or_else(|| panic!("no {line:?} in {text}"))
        };
        let order = [
            "# Suggested by outgate from 16 recorded requests. Read it before you use it: it",
            "\"198.41.128.9:443\", # 1 request",
            "\"[2606:4700::1]:443\", # 1 request",
            "\"api.example.com:443\", # 2 requests",
            "\"api.example.com:8443\", # 1 request, 1 port_not_allowed",
            "\"www.example.com\", # 443: 1 request, 1 host_not_allowed; 80: 1 request",
            "[[rule]] # 1 request, 1 not_tls",
            "to = [\"chat.example.net:8080\"]",
            "tls = \"optional\"",
            "to = [\"intranet.test:443\"]",
            "addresses = [\"10.0.0.7\", \"fd00::1\"]",
            "# address_not_allowed 10.0.0.1:22 1 request",
            "# egress_disabled any.test:443 1 request",
            "# host_denied upload.example.com:443 1 request",
            "# loop 127.0.0.1:3128 1 request",
            "# sni_mismatch front.test:443 1 request",
        ];
        assert!(order.map(at).is_sorted(), "{text}");
    }

    #[test]
    fn it_compiles_unchanged_and_allows_what_was_seen_and_no_neighbour() {
        let document = read_policy(&suggested(&traffic()), Format::Toml).unwrap();
        let compiled = Policy::compile(&document, Source { lists: &[], content_hash: "r1" }).unwrap();
        assert!(compiled.warnings.is_empty(), "{:?}", compiled.warnings);
        let policy = Snapshot::from(compiled.policy);
        for (to, allowed) in [
            ("api.example.com:443", true),
            ("api.example.com:80", false),
            ("api.example.com:8443", true),
            ("a.api.example.com:443", false),
            ("www.example.com:80", true),
            ("www.example.com:443", true),
            ("www.example.com:8080", false),
            ("intranet.test:443", true),
            ("chat.example.net:8080", true),
            ("[2606:4700::1]:443", true),
            ("[2606:4700::2]:443", false),
            ("198.41.128.9:443", true),
            ("10.0.0.1:22", false),
            ("upload.example.com:443", false),
            ("front.test:443", false),
        ] {
            let facts = RequestFacts {
                client: Client::hypothetical(),
                tool: Tool::new("browser"),
                protocol: Protocol::Connect,
                destination: Destination::parse(to.as_bytes(), None).unwrap(),
                method: None,
                upgrade: None,
                path: None,
                passed_through_us: false,
                at: SystemTime::UNIX_EPOCH,
            };
            assert_eq!(matches!(policy.decide(&facts), Decision::Allow(_)), allowed, "{to}");
        }
    }

    #[test]
    fn nothing_recorded_is_a_policy_that_denies_everything() {
        let document = read_policy(&suggested(&[]), Format::Toml).unwrap();
        assert!(document.allow.is_empty() && document.rules.is_empty());
    }

    #[test]
    fn text_in_records_never_becomes_policy() {
        let evil = "x\"]\nallow = [\"*.evil.test";
        let text = suggested(&[request("allow", "", evil, 443, ""), request("deny", "a\nb", "b.test", 443, "")]);
        let document = read_policy(&text, Format::Toml).unwrap();
        assert!(document.allow.is_empty(), "{text}");
        assert!(text.contains("#   not understood  x\"]\\u{a}allow"), "{text}");
    }
}
