//! Patterns: what a rule says of where a request may go (CONTRACT §3).
//!
//! Guaranteed: a pattern that is read is in canonical form, ASCII and lower case, and prints as it would be read again.
//! A pattern that is refused comes with what to write instead. Nothing is guessed: a text that two people could read in
//! two ways is refused.

use std::fmt;

use idna::AsciiDenyList;
use ipnet::IpNet;

use super::ProblemCode;
use super::network;
use super::ports::Ports;
use super::problem::Complaint;
use super::suffix::{Breadth, breadth};
use crate::facts::{DomainName, HostError};

/// One pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pattern {
    pub(super) target: Target,
    /// Its own ports; they win over the rule's.
    pub(super) ports: Option<Ports>,
}

/// What a pattern names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Target {
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
            HostText::Numeric(host) => Target::Network(network::parse_numeric(host)?),
            HostText::Name(host) => parse_name(host, text)?,
        };
        Ok(Self { target, ports })
    }

    /// The name below which many tenants share a provider's suffix, if this pattern reaches all of them.
    pub(super) fn shared_suffix(&self) -> Option<&str> {
        match &self.target {
            Target::Name(name, Scope::Below | Scope::Both) if breadth(name.as_str()) == Breadth::Shared => {
                Some(name.as_str())
            }
            _ => None,
        }
    }
}

/// The longest text that is read as a pattern or repeated in a message, in bytes. A name has 253, an international one up
/// to four times as many; `**.` and ports are short. URLs that people paste are longer at times, and are no patterns.
pub(super) const LONGEST: usize = 1200;

pub(super) fn too_long() -> Complaint {
    Complaint::new(ProblemCode::TooLarge, "the text is longer than any host name", "write a host such as `example.com`")
}

/// A host part, by how it must be read.
enum HostText<'a> {
    Numeric(&'a str),
    Name(&'a str),
}

/// What can be seen at once to be something else than a pattern.
fn check_shape(text: &str) -> Result<(), Complaint> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(Complaint::new(
            ProblemCode::EmptyValue,
            "the pattern is empty",
            "write a host such as `example.com`, or take the entry out",
        ));
    }
    if text.len() > LONGEST {
        return Err(too_long());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let fix = match trimmed.chars().any(|c| c.is_whitespace() || c.is_control()) {
            true => "write one pattern an entry, without blanks".to_owned(),
            false => format!("write `{trimmed}`"),
        };
        return Err(Complaint::new(ProblemCode::BlankInPattern, format!("`{}` has blanks", text.escape_debug()), fix));
    }
    if let Some((_, rest)) = text.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let host = authority.rsplit('@').next().unwrap_or(authority);
        let fix = if host.is_empty() { "write the host alone".to_owned() } else { format!("write `{host}`") };
        return Err(Complaint::new(ProblemCode::UrlAsPattern, format!("`{text}` is a URL"), fix));
    }
    if let Some((_, after)) = text.rsplit_once('@') {
        return Err(Complaint::new(
            ProblemCode::UrlAsPattern,
            format!("`{text}` has user information"),
            format!("write `{after}`"),
        ));
    }
    if let Some((host, _)) = text.split_once(['/', '?', '#'])
        && !network::is_numeric(host.trim_start_matches('['))
    {
        return Err(Complaint::new(
            ProblemCode::UrlAsPattern,
            format!("`{text}` has a path"),
            if host.is_empty() { "write the host alone".to_owned() } else { format!("write `{host}`") },
        ));
    }
    Ok(())
}

/// Parts the host from its ports.
fn split(text: &str) -> Result<(HostText<'_>, Option<&str>), Complaint> {
    if let Some(inside) = text.strip_prefix('[') {
        let bare = |text: &str| match text.trim_start_matches('[') {
            "" => "write a host such as `example.com`".to_owned(),
            bare => format!("write `{bare}`"),
        };
        let Some((host, rest)) = inside.split_once(']') else {
            let fix = if inside.contains(':') { format!("write `{text}]`") } else { bare(inside) };
            return Err(Complaint::new(
                ProblemCode::InvalidBrackets,
                format!("`{text}` has a bracket that does not close"),
                fix,
            ));
        };
        if !host.contains(':') {
            let what = format!("`{text}` has brackets around something else than IPv6");
            return Err(Complaint::new(ProblemCode::InvalidBrackets, what, bare(&format!("{host}{rest}"))));
        }
        return match rest.strip_prefix(':') {
            Some(ports) => Ok((HostText::Numeric(host), Some(ports))),
            None if rest.is_empty() => Ok((HostText::Numeric(host), None)),
            None => Err(Complaint::new(
                ProblemCode::InvalidBrackets,
                format!("`{rest}` stands behind the brackets"),
                format!("write `[{host}]`, or `[{host}]:443` for one port"),
            )),
        };
    }
    if text.matches(':').count() >= 2 {
        return bare_ipv6(text).map(|host| (HostText::Numeric(host), None));
    }
    let (host, ports) = match text.split_once(':') {
        Some((host, ports)) => (host, Some(ports)),
        None => (text, None),
    };
    Ok((if network::is_numeric(host) { HostText::Numeric(host) } else { HostText::Name(host) }, ports))
}

/// IPv6 without brackets has no port. A last group that reads as a port of two digits or more, behind what is an address
/// without it, might be either; guessing wrong would open another host than the one that was meant.
fn bare_ipv6(text: &str) -> Result<&str, Complaint> {
    if let Some((before, port)) = text.rsplit_once(':')
        && network::parse_numeric(before).is_ok()
        && (port.len() >= 2 || port == "*")
        && Ports::parse(port).is_ok()
    {
        return Err(match before.contains('/') || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Complaint::new(
                ProblemCode::AmbiguousIpv6,
                format!("`{text}` is IPv6 with a port, without brackets"),
                format!("write `[{before}]:{port}`"),
            ),
            false => network::needs_brackets(before, port),
        });
    }
    Ok(text)
}

fn parse_name(host: &str, text: &str) -> Result<Target, Complaint> {
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
    Ok(Target::Name(name, scope))
}

fn misplaced_star(host: &str) -> Complaint {
    let what = format!("the `*` in `{host}` does not stand for whole labels at the front");
    let rest = host.trim_start_matches('*');
    if !rest.contains('*') && !rest.starts_with('.') {
        return Complaint::new(
            ProblemCode::MisplacedWildcard,
            what,
            format!("write `*.{rest}` for what is below `{rest}`, or `**.{rest}` for both"),
        );
    }
    match host.rsplit_once('*').and_then(|(_, behind)| behind.strip_prefix('.')) {
        Some(behind) if behind.contains('.') => Complaint::new(
            ProblemCode::MisplacedWildcard,
            what,
            format!("write `*.{behind}`, which covers more, or name the hosts"),
        ),
        _ => Complaint::new(ProblemCode::MisplacedWildcard, what, "name the hosts one by one"),
    }
}

/// A name in its A-label form, as it will be asked for.
pub(super) fn read_name(name: &str) -> Result<DomainName, Complaint> {
    let ascii = if name.is_ascii() {
        name.into()
    } else {
        idna::domain_to_ascii_cow(name.as_bytes(), AsciiDenyList::EMPTY).map_err(|_| {
            Complaint::new(
                ProblemCode::InvalidHostName,
                format!("`{}` is no internationalised name", name.escape_debug()),
                "write its A-label form, which begins with `xn--`",
            )
        })?
    };
    DomainName::parse(ascii.as_bytes()).map_err(|error| explain(&ascii, error))
}

fn explain(name: &str, error: HostError) -> Complaint {
    match error {
        HostError::Empty => {
            Complaint::new(ProblemCode::EmptyValue, "the host is empty", "write a host such as `example.com`")
        }
        HostError::ForbiddenByte(byte) => Complaint::new(
            ProblemCode::InvalidHostName,
            format!("`{}` contains `{}`, which no host name has", name.escape_debug(), char::from(byte).escape_debug()),
            "write letters, digits, `-`, `_` and dots alone",
        ),
        HostError::EmptyLabel => {
            let labels: Vec<&str> = name.split('.').filter(|label| !label.is_empty()).collect();
            Complaint::new(
                ProblemCode::InvalidHostName,
                format!("`{name}` has an empty label"),
                format!("write `{}`", labels.join(".")),
            )
        }
        HostError::LongLabel => Complaint::new(
            ProblemCode::InvalidHostName,
            "a label of the name is longer than 63 bytes, which DNS cannot carry",
            "shorten it",
        ),
        HostError::LongName => Complaint::new(
            ProblemCode::InvalidHostName,
            "the name is longer than 253 bytes, which DNS cannot carry",
            "shorten it",
        ),
        HostError::LegacyIpv4 => Complaint::new(
            ProblemCode::LegacyIpv4,
            format!("`{name}` ends in a number, so that some programs read it as an IPv4 address"),
            "write four decimal numbers from 0 to 255 without leading zeros, such as `192.0.2.1`",
        ),
        HostError::Ipv6 | HostError::MissingPort | HostError::Port => Complaint::new(
            ProblemCode::InvalidHostName,
            format!("`{name}` is no host"),
            "write a host such as `example.com`",
        ),
    }
}

impl fmt::Display for Target {
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
            (Target::Network(IpNet::V6(_)), None) if bare_ipv6(&self.target.to_string()).is_err() => {
                write!(f, "[{}]", self.target)
            }
            (target, None) => write!(f, "{target}"),
            (Target::Network(IpNet::V6(_)), Some(ports)) => write!(f, "[{}]:{ports}", self.target),
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
                "the `*` in `a.*.example.com` does not stand for whole labels at the front; write `*.example.com`, \
                 which covers more, or name the hosts",
            ),
            ("a.*.b", "the `*` in `a.*.b` does not stand for whole labels at the front; name the hosts one by one"),
            (
                "*example.com",
                "the `*` in `*example.com` does not stand for whole labels at the front; write `*.example.com` for \
                 what is below `example.com`, or `**.example.com` for both",
            ),
            ("h.*", "the `*` in `h.*` does not stand for whole labels at the front; name the hosts one by one"),
            (
                "***.h.test",
                "the `*` in `***.h.test` does not stand for whole labels at the front; write `*.h.test`, which \
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
                "`10.0.0.1/8` has bits set behind its length; write `10.0.0.0/8` for the block, or `10.0.0.1` for \
                 the one address",
            ),
            (
                "[2001:db8::1/32]:443",
                "`2001:db8::1/32` has bits set behind its length; write `2001:db8::/32` for the block, or \
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
                "`2001:db8::1:443` is an IPv6 address without brackets, and its port cannot be told apart; write \
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
            ("[::1]x", "`x` stands behind the brackets; write `[::1]`, or `[::1]:443` for one port"),
            ("fe80::1%lo", "`fe80::1%lo` has a zone; leave out `%` and what follows"),
            ("example.com:", "`` is no port; write a number from 1 to 65535, a range `lo-hi`, or `*`"),
            ("example.com:https", "`https` is no port; write a number from 1 to 65535, a range `lo-hi`, or `*`"),
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
