//! The nearest miss, in words.
//!
//! Guaranteed: hash lookups only, however many rules there are; ASCII, at most [`LONGEST`] bytes; and a hint names only
//! what was asked for, or a pattern whose name lies within the registrable domain of what was asked for. A denial must
//! not publish the allowlist.

use std::time::SystemTime;

use super::miss::Miss;
use super::pattern::Scope;
use super::ports::Ports;
use super::rule::Test;
use super::suffix::registrable;
use super::{Policy, address_hint};
use crate::facts::{DomainName, Host, RequestFacts, Upgrade};

/// In bytes. A denial as a whole is under 500 bytes, and clients show it word for word.
pub(super) const LONGEST: usize = 160;
/// How much of a name a hint shows, in bytes: two names and the sentence around them fit into [`LONGEST`].
const LONGEST_NAME: usize = 44;
/// How much of a tool's or a method's name.
const LONGEST_WORD: usize = 20;
/// How many ports or methods a hint lists.
const MOST_LISTED: usize = 3;

/// What the nearest rule wants that this request is not.
pub(super) fn for_miss(policy: &Policy, facts: &RequestFacts, miss: Miss) -> String {
    let host = shorten(&facts.destination.host().to_string(), LONGEST_NAME);
    let rule = policy.rule(miss.clause.rule);
    let hint = match miss.test {
        Test::Port => {
            let ports = describe_ports(policy.allows.ports(miss.clause));
            format!("`{host}` is allowed on {ports}, not {}", facts.destination.port())
        }
        Test::Tool => match visible(facts.tool.as_str()).filter(|tool| !tool.is_empty()) {
            Some(tool) => format!("`{host}` is allowed to other tools, not to `{}`", shorten(tool, LONGEST_WORD)),
            None if facts.tool.as_str().is_empty() => format!("`{host}` is allowed to certain tools only"),
            None => format!("`{host}` is allowed to other tools, not to this one"),
        },
        Test::Period => match (rule.from, rule.until) {
            (Some(from), _) if facts.at < from => format!("`{host}` is allowed only from {} on", time(from)),
            (_, Some(until)) => format!("`{host}` was allowed only until {}", time(until)),
            (_, None) => format!("`{host}` is allowed at another time"),
        },
        Test::Method => {
            let allowed = listed(rule.methods.iter().map(|method| shorten(method, LONGEST_WORD)).collect());
            // A method token that only looks like the name of an upgrade would read as a contradiction.
            let asked = facts.named_method();
            let is_clear = |method: &&str| facts.upgrade.is_some() || Upgrade::named(method).is_none();
            match asked.as_ref().map(|method| visible(method.as_str()).filter(is_clear)) {
                Some(Some(asked)) => {
                    format!("`{host}` is allowed for {allowed}, not for {}", shorten(asked, LONGEST_WORD))
                }
                Some(None) => format!("`{host}` is allowed for {allowed} only"),
                None => format!("`{host}` is allowed for {allowed} only, and a method inside a tunnel cannot be seen"),
            }
        }
    };
    shorten(&hint, LONGEST)
}

/// What is near a host that no rule names.
pub(super) fn for_unlisted(policy: &Policy, facts: &RequestFacts) -> Option<String> {
    let name = match facts.destination.host() {
        Host::Ip(ip) => return address_hint::for_address(policy, facts, *ip).map(|hint| shorten(&hint, LONGEST)),
        Host::Name(name) => name,
    };
    if name.is_single_label() {
        return Some("a name of one label needs a rule that names it".to_owned());
    }
    let own = registrable(name.as_str())?;
    let shown = || shorten(name.as_str(), LONGEST_NAME);
    let would_allow = |asked: &str, scope: Scope| {
        let clauses = policy.allows.at_name(asked);
        clauses.filter(|(_, at)| *at == scope).any(|(clause, _)| policy.missed(&policy.allows, clause, facts).is_none())
    };
    if would_allow(name.as_str(), Scope::Below) {
        let shown = shown();
        return Some(format!("`*.{shown}` does not cover `{shown}` itself"));
    }
    // Another name is only worth naming where it would get through.
    let is_open = |other: &str| {
        would_allow(other, Scope::Exact)
            && DomainName::parse(other.as_bytes()).is_ok_and(|other| !policy.denies_name(&other, facts))
    };
    if let Some((_, parent)) = name.as_str().split_once('.')
        && parent.len() >= own.len()
        && is_open(parent)
    {
        return Some(format!("`{}` is allowed, `{}` below it is not", shorten(parent, LONGEST_NAME), shown()));
    }
    // One label less than a rule: the only label that can be guessed is a commonly known one.
    let www = ["www.", name.as_str()].concat();
    is_open(&www).then(|| format!("`{}` is allowed, `{}` is not", shorten(&www, LONGEST_NAME), shown()))
}

fn describe_ports(ports: &Ports) -> String {
    let ranges = match ports {
        Ports::Any => return "any port".to_owned(),
        Ports::These(ranges) => ranges,
    };
    let show = |(low, high): &(u16, u16)| if low == high { low.to_string() } else { format!("{low}-{high}") };
    match &**ranges {
        [] => "no port".to_owned(),
        [(low, high)] if low == high => format!("port {low}"),
        ranges => format!("ports {}", listed(ranges.iter().map(show).collect())),
    }
}

/// "GET", "GET and HEAD", "GET, HEAD, PUT and others".
fn listed(mut words: Vec<String>) -> String {
    if words.len() > MOST_LISTED {
        words.truncate(MOST_LISTED);
        words.push("others".to_owned());
    }
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        None => String::new(),
    }
}

fn time(at: SystemTime) -> String {
    let shown = jiff::Timestamp::try_from(at).and_then(|at| at.round(jiff::Unit::Second));
    shown.map_or_else(|_| "another time".to_owned(), |at| at.to_string())
}

/// The text, if all of it is visible ASCII.
fn visible(text: &str) -> Option<&str> {
    text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'`').then_some(text)
}

/// ASCII text of at most `longest` bytes: the middle of what is longer goes.
fn shorten(text: &str, longest: usize) -> String {
    if text.len() <= longest {
        return text.to_owned();
    }
    let head = (longest - 3) / 2;
    let tail = text.len() - (longest - 3 - head);
    match (text.get(..head), text.get(tail..)) {
        (Some(head), Some(tail)) => format!("{head}...{tail}"),
        _ => "...".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_names_are_cut() {
        assert_eq!(describe_ports(&Ports::web()), "ports 80 and 443");
        assert_eq!(describe_ports(&Ports::of(vec![(443, 443)])), "port 443");
        assert_eq!(describe_ports(&Ports::of(vec![(8000, 8999)])), "ports 8000-8999");
        assert_eq!(
            describe_ports(&Ports::of(vec![(1, 1), (3, 3), (5, 9), (11, 11), (13, 13)])),
            "ports 1, 3, 5-9 and others"
        );
        assert_eq!(shorten("abcdefghij", 10), "abcdefghij");
        assert_eq!(shorten("abcdefghijk", 10), "abc...hijk");
        assert_eq!(visible("a b"), None);
        assert_eq!(visible("browser"), Some("browser"));
    }
}
