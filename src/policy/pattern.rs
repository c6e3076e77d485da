//! Patterns: what a rule says of where a request may go (`docs/reference/policy.md`).
//!
//! Guaranteed: a pattern that is read is in canonical form, ASCII and lower case, and prints as it would be read again.
//! A pattern that is refused comes with what to write instead. Nothing is guessed: a text that two people could read in
//! two ways is refused.

use std::fmt;

use ipnet::IpNet;

use super::ProblemCode;
use super::host_name::read_name;
use super::network;
use super::pattern_text::{HostText, bare_ipv6, check_shape, split};
use super::ports::Ports;
use super::problem::Complaint;
use super::suffix::{Breadth, breadth};
use crate::facts::DomainName;

/// One pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    pub(super) target: HostPattern,
    /// Its own ports; they win over the rule's.
    pub(super) ports: Option<Ports>,
}

/// What a pattern names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum HostPattern {
    /// A name, or what is below it.
    Name(DomainName, Scope),
    /// Address literals. One address is a block of one.
    Network(IpNet),
}

/// How far a name reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// `example.com`: that name.
    Exact,
    /// `*.example.com`: every depth below it, not the name itself.
    Below,
    /// `**.example.com`: both.
    Both,
}

impl Pattern {
    /// Reads one pattern.
    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        check_shape(text)?;
        let (host, ports) = split(text)?;
        let ports = ports.map(Ports::parse).transpose()?;
        let target = match host {
            HostText::Numeric(host) => HostPattern::Network(network::parse_numeric(host)?),
            HostText::Name(host) => parse_name(host, text)?,
        };
        Ok(Self { target, ports })
    }

    /// The name below which many tenants share a provider's suffix, if this pattern reaches all of them.
    pub(super) fn shared_suffix(&self) -> Option<&str> {
        match &self.target {
            HostPattern::Name(name, Scope::Below | Scope::Both) if breadth(name.as_str()) == Breadth::Shared => {
                Some(name.as_str())
            }
            _ => None,
        }
    }
}

fn parse_name(host: &str, text: &str) -> Result<HostPattern, Complaint> {
    let (scope, name) = match host.strip_prefix("**.") {
        Some(name) => (Scope::Both, name),
        None => match host.strip_prefix("*.") {
            Some(name) => (Scope::Below, name),
            None => (Scope::Exact, host),
        },
    };
    if host.bytes().all(|byte| matches!(byte, b'*' | b'.')) {
        return Err(match host.contains('*') {
            true => Complaint::new(
                ProblemCode::MatchesEverything,
                format!("`{text}` would allow everything"),
                "write `egress = \"all\"`, in plain words, or name the hosts",
            ),
            false => Complaint::new(
                ProblemCode::InvalidHostName,
                format!("`{text}` has no host"),
                "write a host such as `example.com`",
            ),
        });
    }
    if name.contains('*') {
        return Err(misplaced_star(host));
    }
    if let Some(below) = name.strip_prefix('.') {
        return Err(Complaint::new(
            ProblemCode::MisplacedWildcard,
            format!("`{host}` begins with a dot"),
            format!("write `*.{below}` for what is below, or `**.{below}` for both"),
        ));
    }
    let name = read_name(name)?;
    if scope != Scope::Exact && breadth(name.as_str()) == Breadth::Registry {
        return Err(Complaint::new(
            ProblemCode::PublicSuffixWildcard,
            format!("`{host}` covers every name under the public suffix `{name}`"),
            format!("name the domains that you mean, such as `*.example.{name}`"),
        ));
    }
    Ok(HostPattern::Name(name, scope))
}

fn misplaced_star(host: &str) -> Complaint {
    let what = format!("the `*` in `{host}` is not for whole labels at the front");
    let rest = host.trim_start_matches('*');
    if !rest.contains('*') && !rest.starts_with('.') {
        return Complaint::new(
            ProblemCode::MisplacedWildcard,
            what,
            format!("write `*.{rest}` for what is below `{rest}`, or `**.{rest}` for both"),
        );
    }
    match host.rsplit_once('*').and_then(|(_, rest)| rest.strip_prefix('.')) {
        Some(rest) if rest.contains('.') => Complaint::new(
            ProblemCode::MisplacedWildcard,
            what,
            format!("write `*.{rest}`, which covers more, or name the hosts"),
        ),
        _ => Complaint::new(ProblemCode::MisplacedWildcard, what, "name the hosts one by one"),
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name, Scope::Exact) => write!(f, "{name}"),
            Self::Name(name, Scope::Below) => write!(f, "*.{name}"),
            Self::Name(name, Scope::Both) => write!(f, "**.{name}"),
            Self::Network(net) if net.prefix_len() == net.max_prefix_len() => write!(f, "{}", net.addr()),
            Self::Network(net) => write!(f, "{net}"),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.target, &self.ports) {
            (HostPattern::Network(IpNet::V6(_)), None) if bare_ipv6(&self.target.to_string()).is_err() => {
                write!(f, "[{}]", self.target)
            }
            (target, None) => write!(f, "{target}"),
            (HostPattern::Network(IpNet::V6(_)), Some(ports)) => write!(f, "[{}]:{ports}", self.target),
            (target, Some(ports)) => write!(f, "{target}:{ports}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> String {
        Pattern::parse(text)
            .map_or_else(|complaint| format!("{}; {}", complaint.what, complaint.fix), |p| p.to_string())
    }

    #[test]
    fn what_is_accepted_has_one_canonical_form() {
        for (text, canonical) in [
            ("example.com", "example.com"),
            ("Example.COM.", "example.com"),
            ("*.Example.com", "*.example.com"),
            ("**.example.com.", "**.example.com"),
            ("under_score.example.com", "under_score.example.com"),
            ("b\u{fc}cher.test", "xn--bcher-kva.test"),
            ("*.B\u{dc}CHER.test:443", "*.xn--bcher-kva.test:443"),
            ("xn--bcher-kva.test", "xn--bcher-kva.test"),
            ("example.com:443", "example.com:443"),
            ("example.com:8000-8999", "example.com:8000-8999"),
            ("example.com:*", "example.com:*"),
            ("localhost", "localhost"),
            ("com", "com"),
            ("*.corp", "*.corp"),
            ("*.test", "*.test"),
            ("*.www.ck", "*.www.ck"),
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32:8443", "192.0.2.1:8443"),
            ("198.41.128.0/17:8443", "198.41.128.0/17:8443"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:DB8::1", "2001:db8::1"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::/0", "::/0"),
            ("::1", "::1"),
            ("2620:fe::fe:9", "2620:fe::fe:9"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "[2001:db8::1]:443"),
            ("[2001:db8::/32]:*", "[2001:db8::/32]:*"),
            ("[2001:db8::1:443]", "[2001:db8::1:443]"),
        ] {
            assert_eq!(read(text), canonical, "{text}");
        }
    }

    #[test]
    fn what_is_refused_says_what_to_write_instead() {
        for (text, message) in [
            ("", "the pattern is empty; write a host such as `example.com`, or take the entry out"),
            ("  ", "the pattern is empty; write a host such as `example.com`, or take the entry out"),
            (" example.com", "` example.com` has blanks; write `example.com`"),
            ("a.test b.test", "`a.test b.test` has blanks; write one pattern an entry, without blanks"),
            ("a.test\n", "`a.test\\n` has blanks; write `a.test`"),
            ("*", "`*` would allow everything; write `egress = \"all\"`, in plain words, or name the hosts"),
            ("**", "`**` would allow everything; write `egress = \"all\"`, in plain words, or name the hosts"),
            ("*.*", "`*.*` would allow everything; write `egress = \"all\"`, in plain words, or name the hosts"),
            ("*:443", "`*:443` would allow everything; write `egress = \"all\"`, in plain words, or name the hosts"),
            (".", "`.` has no host; write a host such as `example.com`"),
            (
                "*.com",
                "`*.com` covers every name under the public suffix `com`; name the domains that you mean, such as \
                 `*.example.com`",
            ),
            (
                "**.co.uk",
                "`**.co.uk` covers every name under the public suffix `co.uk`; name the domains that you mean, such \
                 as `*.example.co.uk`",
            ),
            (
                "*.ck:443",
                "`*.ck` covers every name under the public suffix `ck`; name the domains that you mean, such as \
                 `*.example.ck`",
            ),
            (
                "a.*.example.com",
                "the `*` in `a.*.example.com` is not for whole labels at the front; write `*.example.com`, \
                 which covers more, or name the hosts",
            ),
            ("a.*.b", "the `*` in `a.*.b` is not for whole labels at the front; name the hosts one by one"),
            (
                "*example.com",
                "the `*` in `*example.com` is not for whole labels at the front; write `*.example.com` for \
                 what is below `example.com`, or `**.example.com` for both",
            ),
            ("h.*", "the `*` in `h.*` is not for whole labels at the front; name the hosts one by one"),
            (
                "***.h.test",
                "the `*` in `***.h.test` is not for whole labels at the front; write `*.h.test`, which \
                 covers more, or name the hosts",
            ),
            (
                ".example.com",
                "`.example.com` begins with a dot; write `*.example.com` for what is below, or `**.example.com` for \
                 both",
            ),
            ("https://example.com/a?b", "`https://example.com/a?b` is a URL; write `example.com`"),
            ("http://u:p@example.com:8080/", "`http://u:p@example.com:8080/` is a URL; write `example.com:8080`"),
            ("*://example.com", "`*://example.com` is a URL; write `example.com`"),
            ("example.com/a", "`example.com/a` has a path; write `example.com`"),
            ("example.com:443/", "`example.com:443/` has a path; write `example.com:443`"),
            ("u@example.com", "`u@example.com` has user information; write `example.com`"),
            ("u@v@example.com", "`u@v@example.com` has user information; write `example.com`"),
            (
                "10.0.0.1/8",
                "`10.0.0.1/8` has bits set after its prefix; write `10.0.0.0/8` for the block, or `10.0.0.1` for \
                 the one address",
            ),
            (
                "[2001:db8::1/32]:443",
                "`2001:db8::1/32` has bits set after its prefix; write `2001:db8::/32` for the block, or \
                 `2001:db8::1` for the one address",
            ),
            (
                "127.1",
                "`127.1` is an old spelling of an IPv4 address, which programs read in different ways; write four \
                 decimal numbers from 0 to 255 without leading zeros, such as `192.0.2.1`",
            ),
            (
                "0177.0.0.1:80",
                "`0177.0.0.1` is an old spelling of an IPv4 address, which programs read in different ways; write \
                 four decimal numbers from 0 to 255 without leading zeros, such as `192.0.2.1`",
            ),
            (
                "0x7f.1",
                "`0x7f.1` ends in a number, so that some programs read it as an IPv4 address; write four decimal \
                 numbers from 0 to 255 without leading zeros, such as `192.0.2.1`",
            ),
            (
                "\u{ff11}27.0.0.1",
                "`127.0.0.1` ends in a number, so that some programs read it as an IPv4 address; write four decimal \
                 numbers from 0 to 255 without leading zeros, such as `192.0.2.1`",
            ),
            (
                "2001:db8::1:443",
                "`2001:db8::1:443` is an IPv6 address without brackets, and its port is ambiguous; write \
                 `[2001:db8::1]:443`, or `[2001:db8::1:443]` if that is the whole address",
            ),
            (
                "2001:db8::/32:443",
                "`2001:db8::/32:443` is IPv6 with a port, without brackets; write `[2001:db8::/32]:443`",
            ),
            ("::1:*", "`::1:*` is IPv6 with a port, without brackets; write `[::1]:*`"),
            ("[::1", "`[::1` has a bracket that does not close; write `[::1]`"),
            ("[[a.test", "`[[a.test` has a bracket that does not close; write `a.test`"),
            ("[]", "`[]` has brackets around something else than IPv6; write a host such as `example.com`"),
            ("[127.0.0.1]:80", "`[127.0.0.1]:80` has brackets around something else than IPv6; write `127.0.0.1:80`"),
            ("[::1]x", "`x` follows the brackets; write `[::1]`, or `[::1]:443` for one port"),
            ("fe80::1%lo", "`fe80::1%lo` has a zone; leave out `%` and what follows"),
            ("example.com:", "`` is not a port; write a number from 1 to 65535, a range `lo-hi`, or `*`"),
            ("example.com:https", "`https` is not a port; write a number from 1 to 65535, a range `lo-hi`, or `*`"),
            ("example.com:9-1", "the range 9-1 runs backwards; write `1-9`"),
            ("a..test", "`a..test` has an empty label; write `a.test`"),
            (
                "a%b.test",
                "`a%b.test` contains `%`, which no host name has; write letters, digits, `-`, `_` and dots alone",
            ),
        ] {
            assert_eq!(read(text), message, "{text:?}");
        }
    }

    #[test]
    fn a_provider_s_suffix_is_told_from_an_owner_s() {
        let shared = |text: &str| Pattern::parse(text).unwrap().shared_suffix().map(str::to_owned);
        assert_eq!(shared("*.githubusercontent.com"), Some("githubusercontent.com".into()));
        assert_eq!(shared("githubusercontent.com"), None);
        assert_eq!(shared("*.raw.githubusercontent.com"), None);
        assert_eq!(shared("*.example.com"), None);
    }

    proptest! {
        #[test]
        fn what_is_read_prints_as_it_reads(text in "\\PC{0,24}|(\\*\\.|\\*\\*\\.)?[a-z0-9.:/*-]{1,20}|[0-9a-f:.\\[\\]/*]{1,24}") {
            if let Ok(pattern) = Pattern::parse(&text) {
                let shown = pattern.to_string();
                prop_assert!(shown.is_ascii());
                prop_assert_eq!(Pattern::parse(&shown), Ok(pattern));
            }
        }
    }
}
