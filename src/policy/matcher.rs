//! Destinations to the rules that name them.
//!
//! A name asks the table once for itself and once for each of its suffixes; an address asks one trie. What is found
//! there is a chain of clauses, one for each rule that has this very pattern, so the cost depends on how many rules name
//! the same thing, and not on how many there are.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use prefix_trie::PrefixMap;
use smallvec::SmallVec;

use super::decision::RuleIndex;
use super::network;
use super::pattern::{HostPattern, Scope};
use super::ports::Ports;
use super::table::{NameTable, TableFull};
use crate::facts::{DomainName, Port};

/// One pattern of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Clause {
    pub(super) rule: RuleIndex,
    ports: u32,
    scope: Scope,
}

/// The clauses of all rules of one effect.
pub(super) struct Matcher {
    names: NameTable,
    v4: PrefixMap<Ipv4Net, u32>,
    v6: PrefixMap<Ipv6Net, u32>,
    clauses: Vec<Clause>,
    links: Vec<Link>,
    ports: Vec<Ports>,
}

/// One clause of a chain, and the next link. Chains share their tails: a list's million names are one link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Link {
    clause: u32,
    next: Option<u32>,
}

/// Collects clauses. What is added later is asked earlier, so a compiler adds the last rule first.
pub(super) struct MatcherBuilder {
    matcher: Matcher,
    clauses: HashMap<Clause, u32>,
    links: HashMap<Link, u32>,
    ports: HashMap<Ports, u32>,
}

impl Matcher {
    /// Whether no rule is in it.
    pub(super) fn is_empty(&self) -> bool {
        self.clauses.is_empty()
    }

    /// The ports of a clause.
    pub(super) fn ports(&self, clause: Clause) -> &Ports {
        self.ports.get(clause.ports as usize).unwrap_or(&Ports::Any)
    }

    /// Whether a clause is for this port.
    pub(super) fn has_port(&self, clause: Clause, port: Port) -> bool {
        self.ports(clause).contains(port)
    }

    /// The clauses that cover a name, the most specific pattern first, then in the order of the rules.
    pub(super) fn on_name<'a>(&'a self, name: &'a DomainName) -> impl Iterator<Item = Clause> + 'a {
        let labels = memchr::memchr_iter(b'.', name.as_str().as_bytes()).count() + 1;
        name.suffixes().enumerate().filter(move |(above, _)| self.names.has_depth(labels - above)).flat_map(
            move |(above, suffix)| {
                self.chain(self.names.get(suffix.as_bytes())).filter(move |c| c.scope.reaches(above))
            },
        )
    }

    /// The clauses that are about a name as it is written, whether they cover it or only what is below it.
    pub(super) fn at_name<'a>(&'a self, name: &str) -> impl Iterator<Item = (Clause, Scope)> + 'a {
        self.chain(self.names.get(name.as_bytes())).map(|clause| (clause, clause.scope))
    }

    /// The clauses that cover an address literal, the narrowest block first.
    pub(super) fn on_literal(&self, ip: IpAddr) -> impl Iterator<Item = Clause> + '_ {
        let mut heads: SmallVec<[u32; 8]> = match ip {
            IpAddr::V4(ip) => self.v4.cover_values(&Ipv4Net::from(ip)).copied().collect(),
            IpAddr::V6(ip) => self.v6.cover_values(&Ipv6Net::from(ip)).copied().collect(),
        };
        heads.reverse();
        heads.into_iter().flat_map(|head| self.chain(Some(head)))
    }

    /// As [`Matcher::on_literal`], for allow rules: those whose block covers the address as it is written.
    pub(super) fn on_allowed_literal(&self, ip: IpAddr) -> impl Iterator<Item = Clause> + '_ {
        let covers = |net: IpNet| network::covers_literal(&net, ip);
        let mut heads: SmallVec<[u32; 8]> = match ip {
            IpAddr::V4(ip) => self
                .v4
                .cover(&Ipv4Net::from(ip))
                .filter(|(net, _)| covers(IpNet::V4(*net)))
                .map(|(_, head)| *head)
                .collect(),
            IpAddr::V6(ip) => self
                .v6
                .cover(&Ipv6Net::from(ip))
                .filter(|(net, _)| covers(IpNet::V6(*net)))
                .map(|(_, head)| *head)
                .collect(),
        };
        heads.reverse();
        heads.into_iter().flat_map(|head| self.chain(Some(head)))
    }

    /// Whether a rule has just this block.
    pub(super) fn has_network(&self, net: IpNet) -> bool {
        match net {
            IpNet::V4(net) => self.v4.contains_key(&net),
            IpNet::V6(net) => self.v6.contains_key(&net),
        }
    }

    /// The blocks of rules within this block.
    pub(super) fn networks_in(&self, net: IpNet) -> impl Iterator<Item = IpNet> + '_ {
        let (v4, v6) = match net {
            IpNet::V4(net) => (Some(self.v4.children(&net)), None),
            IpNet::V6(net) => (None, Some(self.v6.children(&net))),
        };
        let v4 = v4.into_iter().flatten().map(|(net, _)| IpNet::V4(net));
        v4.chain(v6.into_iter().flatten().map(|(net, _)| IpNet::V6(net)))
    }

    /// Whether a rule names a name.
    pub(super) fn has_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// As [`Matcher::on_literal`], without the blocks that are only about literals.
    pub(super) fn on_resolved(&self, ip: IpAddr) -> impl Iterator<Item = Clause> + '_ {
        self.on_literal(ip).filter(|clause| clause.scope == Scope::Both)
    }

    fn chain(&self, head: Option<u32>) -> impl Iterator<Item = Clause> + '_ {
        let link = |at: u32| self.links.get(at as usize);
        std::iter::successors(head.and_then(link), move |found| found.next.and_then(link))
            .filter_map(|link| self.clauses.get(link.clause as usize).copied())
    }
}

impl Scope {
    /// Whether it reaches a name that is so many labels below its own.
    fn reaches(self, below: usize) -> bool {
        match self {
            Self::Exact => below == 0,
            Self::Below => below > 0,
            Self::Both => true,
        }
    }
}

impl MatcherBuilder {
    /// Room for that many names.
    pub(super) fn with_capacity(names: usize) -> Self {
        Self {
            matcher: Matcher {
                names: NameTable::with_capacity(names),
                v4: PrefixMap::new(),
                v6: PrefixMap::new(),
                clauses: Vec::new(),
                links: Vec::new(),
                ports: Vec::new(),
            },
            clauses: HashMap::new(),
            links: HashMap::new(),
            ports: HashMap::new(),
        }
    }

    /// The clause of a rule with these ports and this scope.
    pub(super) fn clause(&mut self, rule: RuleIndex, ports: &Ports, scope: Scope) -> Result<ClauseRef, TableFull> {
        let ports = match self.ports.get(ports) {
            Some(index) => *index,
            None => {
                let index = intern(&mut self.matcher.ports, ports.clone())?;
                self.ports.insert(ports.clone(), index);
                index
            }
        };
        let clause = Clause { rule, ports, scope };
        match self.clauses.get(&clause) {
            Some(index) => Ok(ClauseRef(*index)),
            None => {
                let index = intern(&mut self.matcher.clauses, clause)?;
                self.clauses.insert(clause, index);
                Ok(ClauseRef(index))
            }
        }
    }

    /// Adds what a pattern names. Of a block the scope says whether it is about literals alone.
    pub(super) fn add(&mut self, rule: RuleIndex, target: &HostPattern, ports: &Ports) -> Result<(), TableFull> {
        match target {
            HostPattern::Name(name, scope) => {
                let clause = self.clause(rule, ports, *scope)?;
                self.add_name(name.as_str().as_bytes(), clause)
            }
            HostPattern::Network(net) => {
                // The whole space means "any literal"; as a block it would be about every name too.
                let scope = if net.prefix_len() == 0 { Scope::Exact } else { Scope::Both };
                let clause = self.clause(rule, ports, scope)?;
                self.add_network(*net, clause)
            }
        }
    }

    /// Adds one name, in canonical form, to a clause.
    pub(super) fn add_name(&mut self, name: &[u8], clause: ClauseRef) -> Result<(), TableFull> {
        let Self { matcher, links, .. } = self;
        let mut full = Ok(());
        let chains = &mut matcher.links;
        let clauses = &matcher.clauses;
        matcher.names.change(name, |head| match prepend(chains, links, clauses, head, clause) {
            Ok(head) => head,
            Err(error) => {
                full = Err(error);
                0
            }
        })?;
        full
    }

    fn add_network(&mut self, net: IpNet, clause: ClauseRef) -> Result<(), TableFull> {
        let Self { matcher: Matcher { v4, v6, links: chains, clauses, .. }, links, .. } = self;
        match net {
            IpNet::V4(net) => {
                let head = prepend(chains, links, clauses, v4.get(&net).copied(), clause)?;
                v4.insert(net, head);
            }
            IpNet::V6(net) => {
                let head = prepend(chains, links, clauses, v6.get(&net).copied(), clause)?;
                v6.insert(net, head);
            }
        }
        Ok(())
    }

    /// The finished matcher.
    pub(super) fn build(mut self) -> Matcher {
        self.matcher.names.seal();
        self.matcher
    }
}

/// A clause of a builder.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClauseRef(u32);

/// The chain that has the clause before what `head` has; `head` itself where the same rule put it there already.
fn prepend(
    chains: &mut Vec<Link>,
    links: &mut HashMap<Link, u32>,
    clauses: &[Clause],
    head: Option<u32>,
    clause: ClauseRef,
) -> Result<u32, TableFull> {
    let rule_of = |at: u32| clauses.get(at as usize).map(|clause| clause.rule);
    let mut seen = head;
    // Rules are added one after the other, so a rule's own clauses are all at the front.
    while let Some(at) = seen
        && let Some(link) = chains.get(at as usize)
        && rule_of(link.clause) == rule_of(clause.0)
    {
        if link.clause == clause.0 {
            return head.ok_or(TableFull);
        }
        seen = link.next;
    }
    let link = Link { clause: clause.0, next: head };
    match links.get(&link) {
        Some(index) => Ok(*index),
        None => {
            let index = intern(chains, link)?;
            links.insert(link, index);
            Ok(index)
        }
    }
}

fn intern<T>(values: &mut Vec<T>, value: T) -> Result<u32, TableFull> {
    let index = u32::try_from(values.len()).map_err(|_| TableFull)?;
    values.push(value);
    Ok(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        DomainName::parse(text.as_bytes()).unwrap()
    }

    /// Rules 0.. with one pattern each, added as a compiler does.
    fn matcher(patterns: &[&str]) -> Matcher {
        let mut builder = MatcherBuilder::with_capacity(0);
        for (index, pattern) in patterns.iter().enumerate().rev() {
            let target = super::super::pattern::Pattern::parse(pattern).unwrap().target;
            let rule = RuleIndex(u32::try_from(index).unwrap());
            builder.add(rule, &target, &Ports::Any).unwrap();
            builder.add(rule, &target, &Ports::Any).unwrap();
        }
        builder.build()
    }

    #[test]
    fn the_most_specific_pattern_comes_first_then_the_first_rule() {
        let matcher = matcher(&["*.test", "**.b.test", "a.b.test", "*.b.test", "a.b.test", "b.test", "c.test"]);
        let rules = |text: &str| matcher.on_name(&name(text)).map(|clause| clause.rule.0).collect::<Vec<_>>();
        assert_eq!(rules("a.b.test"), [2, 4, 1, 3, 0]);
        assert_eq!(rules("b.test"), [1, 5, 0]);
        assert_eq!(rules("x.y.b.test"), [1, 3, 0]);
        assert!(rules("test").is_empty());
        assert_eq!(rules("xb.test"), [0]);
    }

    #[test]
    fn the_narrowest_block_comes_first_and_the_whole_space_is_about_literals() {
        let matcher = matcher(&["0.0.0.0/0", "10.0.0.0/8", "10.1.2.3", "::/0"]);
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let literal = |text: &str| matcher.on_literal(ip(text)).map(|clause| clause.rule.0).collect::<Vec<_>>();
        let resolved = |text: &str| matcher.on_resolved(ip(text)).map(|clause| clause.rule.0).collect::<Vec<_>>();
        assert_eq!(literal("10.1.2.3"), [2, 1, 0]);
        assert_eq!(literal("11.0.0.1"), [0]);
        assert_eq!(literal("::ffff:10.1.2.3"), [3]);
        assert_eq!(resolved("10.1.2.3"), [2, 1]);
        assert!(resolved("11.0.0.1").is_empty());
        let allowed = |text: &str| matcher.on_allowed_literal(ip(text)).map(|clause| clause.rule.0).collect::<Vec<_>>();
        assert_eq!(allowed("10.1.2.3"), [2, 1]);
        assert_eq!(allowed("11.0.0.1"), [0]);
        assert_eq!(allowed("127.0.0.1"), [0_u32; 0]);
        assert_eq!(allowed("::ffff:11.0.0.1"), [0_u32; 0]);
        assert_eq!(allowed("2a00::1"), [3]);
        assert_eq!(allowed("::1"), [0_u32; 0]);
    }
}
