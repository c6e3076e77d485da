//! From what was written to what is asked.
//!
//! Guaranteed: every mistake is found at once, each with its place and its fix; a document with one mistake gives no
//! policy at all. What only looks wrong comes as a warning with the policy.
//!
//! Deliberately not done here: reading files, checking a list's `lines` and `sha256` (what reads the file does), and
//! judging a document by the clock or by the listeners there are.

use std::collections::HashMap;

use ipnet::{IpNet, Ipv4Net};

use super::decision::RuleIndex;
use super::document::{Covers, Effect, Egress, ListDocument, PolicyDocument};
use super::draft::{Draft, default_ports, too_much};
use super::matcher::{ClauseRef, Matcher, MatcherBuilder};
use super::pattern::{HostPattern, Scope};
use super::ports::Ports;
use super::problem::{Complaint, ProblemPlace, Problems};
use super::rule::{Rule, RuleDestination};
use super::suffix::{Breadth, breadth};
use super::table::TableFull;
use super::{Policy, ProblemCode, list};

/// Deny rules for one target that an allow rule is compared with. A warning is not worth the product of their numbers.
const MOST_COMPARED: usize = 16;

/// What a document does not hold itself.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The files of the document's lists, in its order.
    pub lists: &'a [ListSource<'a>],
    /// A hash of all of it in hexadecimal; the revision of a document that has none.
    pub content_hash: &'a str,
}

/// One list's file.
#[derive(Clone, Copy, Debug)]
pub struct ListSource<'a> {
    /// Its bytes, or why they cannot be had.
    pub text: Result<&'a [u8], &'a Complaint>,
}

/// A policy, and what looks wrong in it.
#[derive(Debug)]
pub struct Compiled {
    /// The policy.
    pub policy: Policy,
    /// In the order of their places.
    pub warnings: Problems,
}

impl Policy {
    /// Compiles a document.
    ///
    /// # Errors
    /// Every mistake in it and in its lists, those of its shape among them, in the order of the text; never empty.
    pub fn compile(document: &PolicyDocument, source: Source<'_>) -> Result<Compiled, Problems> {
        let mut draft = Draft::default();
        draft.problems.append(document.problems.clone());
        draft.add_entries("allow", Effect::Allow, &document.allow);
        draft.add_entries("deny", Effect::Deny, &document.deny);
        if document.egress == Egress::PackageManagers {
            draft.add_entries("package-managers", Effect::Allow, &document.package_managers);
        } else {
            document.package_managers.iter().for_each(|text| drop(draft.read_pattern(text)));
        }
        document.rules.iter().for_each(|rule| draft.add_rule(rule));
        let first_list = draft.rules.len();
        document.lists.iter().for_each(|list| draft.add_list_rule(list));
        let internal = draft.read_networks(&document.internal_addresses);
        draft.warn_of_overruled();
        let denies_addresses_conditionally = draft.denies_addresses_conditionally();
        let (allows, denies) = draft.build_matchers(&document.lists, first_list, source);
        draft.finish().map(|(rules, warnings)| {
            let mut changes: Vec<_> = rules.iter().flat_map(|rule| [rule.from, rule.until]).flatten().collect();
            changes.sort_unstable();
            changes.dedup();
            let hash = source.content_hash;
            let revision = document.revision.as_deref().unwrap_or_else(|| hash.get(..12).unwrap_or(hash));
            let policy = Self {
                name: document.name.as_str().into(),
                revision: revision.into(),
                enabled: document.enabled,
                egress: document.egress,
                mode: document.mode,
                contact: document.contact.as_deref().map(Into::into),
                rules: rules.into_boxed_slice(),
                allows,
                denies,
                denies_addresses_conditionally,
                internal,
                changes: changes.into_boxed_slice(),
            };
            Compiled { policy, warnings }
        })
    }
}

impl Draft {
    /// Warns of what is allowed and denied in the same words. What a wider pattern overrules is for a linter to find.
    fn warn_of_overruled(&mut self) {
        let Self { rules, warnings, .. } = self;
        let of = |effect: Effect| rules.iter().filter(move |rule| rule.effect == effect);
        let mut denied: HashMap<&HostPattern, Vec<(&Rule, &Ports)>> = HashMap::new();
        for rule in of(Effect::Deny).filter(|rule| !rule.is_conditional()) {
            for RuleDestination { target, ports, .. } in &rule.destinations {
                denied.entry(target).or_default().push((rule, ports));
            }
        }
        for rule in of(Effect::Allow) {
            for RuleDestination { target, ports, span } in &rule.destinations {
                let mut denials = denied.get(target).into_iter().flatten().take(MOST_COMPARED);
                if let Some((deny, _)) = denials.find(|(_, denied)| denied.cover(ports)) {
                    let what = format!("`{target}` can never match in `{}`: `{}` denies it", rule.id, deny.id);
                    warnings.at(*span, ProblemCode::Overruled, what, "take one of the two out; deny wins");
                }
            }
        }
    }

    /// Fills the matchers, the last rule first, so that of two equal patterns the first rule is asked first.
    fn build_matchers(&mut self, lists: &[ListDocument], first_list: usize, source: Source<'_>) -> (Matcher, Matcher) {
        let texts = self.list_texts(lists, source);
        let rules = std::mem::take(&mut self.rules);
        let room = |effect: Effect| {
            let listed = lists.iter().zip(&texts).filter(|(document, _)| document.effect == effect);
            let listed: usize = listed.map(|(_, text)| text.map_or(0, list::estimate)).sum();
            let named = rules.iter().filter(|rule| rule.effect == effect).flat_map(|rule| &rule.destinations);
            listed + named.filter(|destination| matches!(destination.target, HostPattern::Name(..))).count()
        };
        let mut allows = MatcherBuilder::with_capacity(room(Effect::Allow));
        let mut denies = MatcherBuilder::with_capacity(room(Effect::Deny));
        for (index, rule) in rules.iter().enumerate().rev() {
            let Ok(rule_index) = u32::try_from(index).map(RuleIndex) else {
                self.problems.push(too_much().at(ProblemPlace::Whole));
                break;
            };
            let builder = match rule.effect {
                Effect::Allow => &mut allows,
                Effect::Deny => &mut denies,
            };
            let list =
                index.checked_sub(first_list).and_then(|list| Some((list, lists.get(list)?, (*texts.get(list)?)?)));
            if let Some((list, document, text)) = list {
                self.add_list(builder, rule_index, list, document, text);
            }
            for destination in rule.destinations.iter().rev() {
                let added = match rule.effect {
                    Effect::Allow => builder.add(rule_index, &destination.target, &destination.ports),
                    Effect::Deny => add_deny(builder, rule_index, destination),
                };
                if let Err(TableFull) = added {
                    self.problems.push(too_much().at(ProblemPlace::Whole));
                }
            }
        }
        self.rules = rules;
        (allows.build(), denies.build())
    }

    fn add_list(
        &mut self,
        builder: &mut MatcherBuilder,
        rule: RuleIndex,
        index: usize,
        document: &ListDocument,
        text: &[u8],
    ) {
        let scope = match document.covers {
            Covers::Exact => Scope::Exact,
            Covers::Subdomains => Scope::Both,
        };
        let Ok(clause) = builder.clause(rule, &default_ports(document.effect), scope) else {
            self.problems.push(too_much().at(ProblemPlace::Whole));
            return;
        };
        // A list may deny all names of a registry, but allowing them requires an explicit pattern.
        let check_breadth = document.effect == Effect::Allow && document.covers == Covers::Subdomains;
        let mut names = 0_usize;
        let problems = list::read(index, text, document.format, |name| {
            names += 1;
            if check_breadth { check_listed(name) } else { Ok(()) }.and_then(|()| add_listed(builder, name, clause))
        });
        if names == 0 && problems.is_empty() {
            let what = format!("the list `{}` holds no name", document.file.value);
            self.warn(document.file.span, ProblemCode::NeverMatches, what, "fill it, or take the list out");
        }
        self.problems.append(problems);
    }

    /// The bytes of each list; none where they cannot be had, which is a mistake.
    fn list_texts<'a>(&mut self, lists: &[ListDocument], source: Source<'a>) -> Vec<Option<&'a [u8]>> {
        let mut texts = Vec::with_capacity(lists.len());
        for (index, document) in lists.iter().enumerate() {
            let unread = || Complaint::new(ProblemCode::UnusableFile, "the list's file was not read", "read it first");
            let read = source.lists.get(index).map_or_else(|| Err(unread()), |list| list.text.map_err(Clone::clone));
            match read {
                Ok(text) => texts.push(Some(text)),
                Err(complaint) => {
                    self.problems.push(complaint.at(ProblemPlace::Document(document.file.span)));
                    texts.push(None);
                }
            }
        }
        texts
    }

    fn denies_addresses_conditionally(&self) -> bool {
        let mut conditional = self.rules.iter().filter(|rule| rule.effect == Effect::Deny && rule.is_conditional());
        let is_network = |destination: &RuleDestination| matches!(destination.target, HostPattern::Network(_));
        conditional.any(|rule| rule.destinations.iter().any(is_network))
    }
}

/// A deny rule in v4-mapped form means the address inside: both spellings lead there. The whole of ::ffff:0:0/96 means
/// the form itself, since it would otherwise deny every IPv4 address there is.
fn add_deny(denies: &mut MatcherBuilder, rule: RuleIndex, denied: &RuleDestination) -> Result<(), TableFull> {
    if let HostPattern::Network(IpNet::V6(net)) = &denied.target
        && let Some(inside) = net.addr().to_ipv4_mapped()
        && let Some(length) = net.prefix_len().checked_sub(96).filter(|length| *length > 0)
        && let Ok(inside) = Ipv4Net::new(inside, length)
    {
        denies.add(rule, &HostPattern::Network(IpNet::V4(inside)), &denied.ports)?;
    }
    denies.add(rule, &denied.target, &denied.ports)
}

fn add_listed(builder: &mut MatcherBuilder, name: &[u8], clause: ClauseRef) -> Result<(), Complaint> {
    builder.add_name(name, clause).map_err(|TableFull| too_much())
}

fn check_listed(name: &[u8]) -> Result<(), Complaint> {
    let name = String::from_utf8_lossy(name);
    if breadth(&name) == Breadth::Registry {
        return Err(Complaint::new(
            ProblemCode::PublicSuffixWildcard,
            format!("`{name}` is a public suffix, and the list covers everything below its names"),
            "name the domains that you mean",
        ));
    }
    Ok(())
}
