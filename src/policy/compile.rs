//! From what was written to what is asked.
//!
//! Guaranteed: every mistake is found at once, each with its place and its fix; a document with one mistake gives no
//! policy at all. What is merely doubtful comes as a warning beside the policy.
//!
//! Deliberately not done here: reading files, checking a list's `lines` and `sha256` (whoever reads the file does), and
//! judging a document by the clock or by the listeners there are.

use std::collections::HashMap;

use ipnet::{IpNet, Ipv4Net};

use super::decision::RuleIndex;
use super::document::{Covers, Effect, Egress, ListDocument, PolicyDocument};
use super::draft::{Draft, Entry, default_ports, too_much};
use super::matcher::{ClauseRef, Matcher, MatcherBuilder};
use super::pattern::{Scope, Target};
use super::problem::{Complaint, Place, Problems};
use super::rule::Rule;
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
    /// A hash of all of it in hexadecimal; stands in where the document has no revision.
    pub content_hash: &'a str,
}

/// One list's file.
#[derive(Clone, Copy, Debug)]
pub struct ListSource<'a> {
    /// Its bytes, or why they cannot be had.
    pub text: Result<&'a [u8], &'a Complaint>,
}

/// A policy, and what looks doubtful in it.
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
        let mut denied: HashMap<&Target, Vec<&Entry>> = HashMap::new();
        let rules = &self.rules;
        let rule = |entry: &Entry| rules.get(entry.rule.0 as usize);
        for entry in &self.entries {
            if rule(entry).is_some_and(|rule| rule.effect == Effect::Deny && !rule.is_conditional()) {
                denied.entry(&entry.target).or_default().push(entry);
            }
        }
        let mut warnings = std::mem::take(&mut self.warnings);
        for entry in &self.entries {
            let Some(allow) = rule(entry).filter(|rule| rule.effect == Effect::Allow) else { continue };
            let denials = denied.get(&entry.target).into_iter().flatten().take(MOST_COMPARED);
            let over = denials.into_iter().find(|deny| deny.ports.cover(&entry.ports));
            if let Some(deny) = over.and_then(|deny| rule(deny)) {
                let what = format!("`{}` can never match in `{}`: `{}` denies it", entry.target, allow.id, deny.id);
                warnings.at(entry.span, ProblemCode::Overruled, what, "take one of the two out; deny wins");
            }
        }
        self.warnings = warnings;
    }

    /// Fills the matchers, the last rule first, so that of two equal patterns the first rule is asked first.
    fn build_matchers(&mut self, lists: &[ListDocument], first_list: usize, source: Source<'_>) -> (Matcher, Matcher) {
        let texts = self.list_texts(lists, source);
        let entries = std::mem::take(&mut self.entries);
        let room = |effect: Effect| {
            let listed = lists.iter().zip(&texts).filter(|(document, _)| document.effect == effect);
            let listed: usize = listed.map(|(_, text)| text.map_or(0, list::estimate)).sum();
            let named = |entry: &&Entry| matches!(entry.target, Target::Name(..)) && self.effect(entry.rule) == effect;
            listed + entries.iter().filter(named).count()
        };
        let mut allows = MatcherBuilder::with_capacity(room(Effect::Allow));
        let mut denies = MatcherBuilder::with_capacity(room(Effect::Deny));
        for (index, (document, text)) in lists.iter().zip(&texts).enumerate().rev() {
            let Some(text) = text else { continue };
            let builder = match document.effect {
                Effect::Allow => &mut allows,
                Effect::Deny => &mut denies,
            };
            match u32::try_from(first_list + index) {
                Ok(rule) => self.add_list(builder, RuleIndex(rule), index, document, text),
                Err(_) => self.problems.push(too_much().at(Place::Whole)),
            }
        }
        for entry in entries.iter().rev() {
            let added = match self.effect(entry.rule) {
                Effect::Allow => allows.add(entry.rule, &entry.target, &entry.ports),
                Effect::Deny => add_deny(&mut denies, entry),
            };
            if let Err(TableFull) = added {
                self.problems.push(too_much().at(Place::Whole));
            }
        }
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
            self.problems.push(too_much().at(Place::Whole));
            return;
        };
        // A list may deny a whole registry's names; to allow them takes plainer words.
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
                    self.problems.push(complaint.at(Place::Document(document.file.span)));
                    texts.push(None);
                }
            }
        }
        texts
    }

    fn denies_addresses_conditionally(&self) -> bool {
        let conditional = |rule: &Rule| rule.effect == Effect::Deny && rule.is_conditional();
        self.entries.iter().any(|entry| {
            matches!(entry.target, Target::Network(_)) && self.rules.get(entry.rule.0 as usize).is_some_and(conditional)
        })
    }
}

/// A deny rule in v4-mapped form means the address inside: both spellings lead there. The whole of ::ffff:0:0/96 means
/// the form itself, since it would otherwise deny every IPv4 address there is.
fn add_deny(denies: &mut MatcherBuilder, entry: &Entry) -> Result<(), TableFull> {
    if let Target::Network(IpNet::V6(net)) = &entry.target
        && let Some(inside) = net.addr().to_ipv4_mapped()
        && let Some(length) = net.prefix_len().checked_sub(96).filter(|length| *length > 0)
        && let Ok(inside) = Ipv4Net::new(inside, length)
    {
        denies.add(entry.rule, &Target::Network(IpNet::V4(inside)), &entry.ports)?;
    }
    denies.add(entry.rule, &entry.target, &entry.ports)
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
