//! A document while it is read: rules without their matchers, and every problem so far.

use std::collections::HashSet;

use ipnet::IpNet;

use super::ProblemCode;
use super::document::{Effect, ListDocument, PortsDocument, RuleDocument, Span, Spanned, Tls};
use super::network;
use super::pattern::{HostPattern, Pattern};
use super::ports::{Ports, range};
use super::problem::{Complaint, ProblemPlace, Problems};
use super::rule::{Rule, RuleDestination};

/// The longest method that a message repeats, in bytes; the registered ones have up to 17.
const LONGEST_METHOD: usize = 1000;

/// What has been read so far.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) rules: Vec<Rule>,
    ids: HashSet<String>,
    pub(super) problems: Problems,
    pub(super) warnings: Problems,
}

impl Draft {
    /// The entries of `allow`, `deny` or `package-managers`: each a rule of its own.
    pub(super) fn add_entries(&mut self, key: &str, effect: Effect, entries: &[Spanned<String>]) {
        let mut seen = HashSet::new();
        for text in entries {
            let Some(pattern) = self.read_pattern(text) else { continue };
            let id = format!("{key}:{pattern}");
            if !seen.insert(id.clone()) {
                self.warn(
                    text.span,
                    ProblemCode::DuplicateEntry,
                    format!("`{pattern}` is in `{key}` twice"),
                    "take one out",
                );
                continue;
            }
            self.claim_id(&id, text.span);
            self.warn_of_whole(effect, &pattern.target, text.span);
            let ports = pattern.ports.unwrap_or_else(|| default_ports(effect));
            let destination = RuleDestination { target: pattern.target, ports, span: text.span };
            self.rules.push(Rule { destinations: Box::new([destination]), ..plain_rule(&id, effect) });
        }
    }

    pub(super) fn add_rule(&mut self, document: &RuleDocument) {
        let effect = document.effect;
        self.claim_id(&document.id.value, document.id.span);
        let ports = self.read_ports(document);
        let mut destinations = Vec::with_capacity(document.to.len());
        let mut seen = HashSet::new();
        for text in &document.to {
            let Some(pattern) = self.read_pattern(text) else { continue };
            if !seen.insert(pattern.clone()) {
                self.warn(
                    text.span,
                    ProblemCode::DuplicateEntry,
                    format!("`{pattern}` is in this rule twice"),
                    "take one out",
                );
                continue;
            }
            self.warn_of_whole(effect, &pattern.target, text.span);
            let ports = pattern.ports.unwrap_or_else(|| ports.clone());
            destinations.push(RuleDestination { target: pattern.target, ports, span: text.span });
        }
        let id = &document.id.value;
        if document.to.is_empty() {
            self.warn(
                document.span,
                ProblemCode::NeverMatches,
                format!("the rule `{id}` can never match: `to` is empty"),
                "name hosts in `to`",
            );
        }
        if let (Some(from), Some(until)) = (&document.from, &document.until)
            && from.value >= until.value
        {
            self.complain(
                until.span,
                ProblemCode::EmptyPeriod,
                "`until` is not later than `from`",
                "set it to a later time, or take one out",
            );
        }
        self.check_tools(&document.tools);
        self.check_methods(effect, &document.methods);
        let addresses = self.read_networks(&document.addresses);
        if effect == Effect::Deny {
            if let Some(first) = document.addresses.first() {
                self.warn(
                    first.span,
                    ProblemCode::IgnoredKey,
                    "`addresses` does nothing in a deny rule",
                    "put blocks to deny into `to`",
                );
            }
            if document.tls == Tls::Optional {
                self.warn(
                    document.span,
                    ProblemCode::IgnoredKey,
                    format!("`tls` does nothing in the deny rule `{id}`"),
                    "take it out",
                );
            }
            if document.parent {
                self.warn(
                    document.span,
                    ProblemCode::IgnoredKey,
                    format!("`parent` does nothing in the deny rule `{id}`"),
                    "take it out",
                );
            }
        }
        self.rules.push(Rule {
            effect,
            destinations: destinations.into_boxed_slice(),
            tools: boxed(&document.tools),
            methods: boxed(&document.methods),
            addresses,
            tls: document.tls,
            parent: document.parent,
            from: document.from.as_ref().map(|from| from.value),
            until: document.until.as_ref().map(|until| until.value),
            reason: document.reason.as_deref().map(Into::into),
            ..plain_rule(id, effect)
        });
    }

    pub(super) fn add_list_rule(&mut self, document: &ListDocument) {
        let id = format!("list:{}", document.file.value);
        self.claim_id(&id, document.file.span);
        self.rules.push(plain_rule(&id, document.effect));
    }

    /// The ports of a rule's patterns that have none of their own.
    fn read_ports(&mut self, document: &RuleDocument) -> Ports {
        match &document.ports {
            None => default_ports(document.effect),
            Some(PortsDocument::Any) => Ports::Any,
            Some(PortsDocument::These(ranges)) => {
                let mut good = Vec::with_capacity(ranges.len());
                for Spanned { value: (low, high), span } in ranges {
                    match range(*low, *high) {
                        Ok(range) => good.push(range),
                        Err(complaint) => self.problems.push(complaint.at(ProblemPlace::Document(*span))),
                    }
                }
                let ports = Ports::of(good);
                if ports.is_empty() && ranges.is_empty() {
                    let what = format!("the rule `{}` can never match: `ports` is empty", document.id.value);
                    self.warn(document.span, ProblemCode::NeverMatches, what, "name ports, or take `ports` out");
                }
                ports
            }
        }
    }

    pub(super) fn read_pattern(&mut self, text: &Spanned<String>) -> Option<Pattern> {
        match Pattern::parse(&text.value) {
            Ok(pattern) => {
                if let Some(suffix) = pattern.shared_suffix() {
                    let what = format!("`{pattern}` covers every tenant of `{suffix}`, and anyone can become one");
                    let fix = format!("name the tenants that you mean, such as `tenant.{suffix}`");
                    self.warn(text.span, ProblemCode::SharedSuffixWildcard, what, fix);
                }
                Some(pattern)
            }
            Err(complaint) => {
                self.problems.push(complaint.at(ProblemPlace::Document(text.span)));
                None
            }
        }
    }

    pub(super) fn read_networks(&mut self, texts: &[Spanned<String>]) -> Box<[IpNet]> {
        let mut networks = Vec::with_capacity(texts.len());
        for text in texts {
            match network::parse(&text.value) {
                Ok(net) => {
                    if network::is_whole(&net) {
                        let what = format!(
                            "`{net}` opens nothing here: it means addresses that are not special-purpose, and those are open"
                        );
                        self.warn(
                            text.span,
                            ProblemCode::WholeAddressSpace,
                            what,
                            "name the ranges that you mean, such as `10.0.0.0/8`",
                        );
                    }
                    networks.push(net);
                }
                Err(complaint) => self.problems.push(complaint.at(ProblemPlace::Document(text.span))),
            }
        }
        networks.into_boxed_slice()
    }

    /// Warns of `0.0.0.0/0` and `::/0`, which many take for "everything".
    fn warn_of_whole(&mut self, effect: Effect, target: &HostPattern, span: Span) {
        let (family, halves) = match target {
            HostPattern::Network(net @ IpNet::V4(_)) if network::is_whole(net) => {
                ("IPv4", "`0.0.0.0/1` and `128.0.0.0/1`")
            }
            HostPattern::Network(net @ IpNet::V6(_)) if network::is_whole(net) => ("IPv6", "`::/1` and `8000::/1`"),
            HostPattern::Network(_) | HostPattern::Name(..) => return,
        };
        match effect {
            Effect::Allow => self.warn(
                span,
                ProblemCode::WholeAddressSpace,
                format!(
                    "`{target}` allows {family} addresses that are asked for as such and are not special-purpose, and \
                     no names"
                ),
                "leave it if that is meant; `egress = \"all\"` allows everything",
            ),
            Effect::Deny => self.warn(
                span,
                ProblemCode::WholeAddressSpace,
                format!(
                    "`{target}` denies {family} addresses that are asked for as such, and no name that leads to one"
                ),
                format!("leave it if that is meant; {halves} also deny what names resolve to"),
            ),
        }
    }

    fn check_tools(&mut self, tools: &[Spanned<String>]) {
        for tool in tools.iter().filter(|tool| tool.value.trim().is_empty()) {
            self.complain(
                tool.span,
                ProblemCode::EmptyValue,
                "the tool has no name",
                "write the name of a listener, or take the entry out",
            );
        }
    }

    fn check_methods(&mut self, effect: Effect, methods: &[Spanned<String>]) {
        for Spanned { value: method, span } in methods {
            let upper = method.to_ascii_uppercase();
            if method.is_empty() || method.len() > LONGEST_METHOD || !method.bytes().all(is_token_byte) {
                let shown = if method.len() > LONGEST_METHOD { "…" } else { method.as_str() };
                self.complain(
                    *span,
                    ProblemCode::InvalidMethod,
                    format!("`{}` is not a method", shown.escape_debug()),
                    "write a method such as `GET`, or `WEBSOCKET`",
                );
            } else if upper == "CONNECT" && effect == Effect::Allow {
                self.warn(
                    *span,
                    ProblemCode::NeverMatches,
                    "no request has the method `CONNECT` here: a tunnel is asked for without one",
                    "take `methods` out to allow tunnels",
                );
            } else if *method != upper {
                self.warn(
                    *span,
                    ProblemCode::UnusualMethod,
                    format!("methods are case-sensitive, and `{method}` is unusual"),
                    format!("write `{upper}`"),
                );
            }
        }
    }

    fn claim_id(&mut self, id: &str, span: Span) {
        if id.trim().is_empty() {
            self.complain(span, ProblemCode::EmptyValue, "the id is empty", "write a short name, such as `repo-read`");
        } else if !self.ids.insert(id.to_owned()) {
            let fix = match id.split_once(':') {
                Some(("allow" | "deny" | "package-managers", _)) => "the entry of that pattern has it; choose another",
                Some(("list", _)) => "name each file once",
                _ => "choose another",
            };
            self.complain(span, ProblemCode::DuplicateId, format!("the id `{}` is taken", id.escape_debug()), fix);
        }
    }

    fn complain(&mut self, span: Span, code: ProblemCode, what: impl Into<String>, fix: impl Into<String>) {
        self.problems.at(span, code, what, fix);
    }

    pub(super) fn warn(&mut self, span: Span, code: ProblemCode, what: impl Into<String>, fix: impl Into<String>) {
        self.warnings.at(span, code, what, fix);
    }

    pub(super) fn finish(self) -> Result<(Vec<Rule>, Problems), Problems> {
        if self.problems.is_empty() { Ok((self.rules, self.warnings.sorted())) } else { Err(self.problems.sorted()) }
    }
}

/// The ports of a pattern when neither the pattern nor its rule names any. An allow rule opens only the web ports. A
/// deny rule covers every port of the host, because a port that it silently left open would go unnoticed.
pub(super) fn default_ports(effect: Effect) -> Ports {
    match effect {
        Effect::Allow => Ports::web(),
        Effect::Deny => Ports::Any,
    }
}

/// A rule with nothing but its id and effect.
fn plain_rule(id: &str, effect: Effect) -> Rule {
    Rule {
        id: id.into(),
        effect,
        destinations: Box::default(),
        tools: Box::default(),
        methods: Box::default(),
        addresses: Box::default(),
        tls: Tls::Required,
        parent: false,
        from: None,
        until: None,
        reason: None,
    }
}

fn boxed(texts: &[Spanned<String>]) -> Box<[Box<str>]> {
    texts.iter().map(|text| text.value.as_str().into()).collect()
}

pub(super) fn too_much() -> Complaint {
    let what = "the policy is larger than 4 GiB or has more than 4,294,967,295 rules";
    Complaint::new(ProblemCode::TooLarge, what, "make it smaller")
}

/// RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
