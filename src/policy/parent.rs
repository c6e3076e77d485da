//! Which destinations go by the parent proxy: all of them, but for the exceptions.
//!
//! An exception says which way, never whether: what it names is judged like everything else.

use super::pattern::{HostPattern, Pattern, Scope};
use super::{Complaint, ProblemCode};
use crate::facts::Host;

/// The destinations that go by the parent proxy.
///
/// The list of exceptions is walked for each request: administrators write a handful.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParentScope {
    except: Vec<HostPattern>,
}

impl ParentScope {
    /// Excepts what this pattern names: a name's as in a policy, or an address or a block, which means literals. Ports
    /// have no part in it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn except(&mut self, pattern: &str) -> Result<(), Complaint> {
        let read = Pattern::parse(pattern).and_then(|pattern| match pattern.ports {
            None => Ok(pattern.target),
            Some(_) => Err(Complaint::new(
                ProblemCode::InvalidPort,
                format!("`{pattern}` has a port, and the way to a host is the same for all its ports"),
                format!("write `{}`", pattern.target),
            )),
        });
        self.except.push(read?);
        Ok(())
    }

    /// Whether the way to this host leads through the parent.
    pub fn covers(&self, host: &Host) -> bool {
        !self.except.iter().any(|target| names(target, host))
    }
}

fn names(target: &HostPattern, host: &Host) -> bool {
    match (target, host) {
        (HostPattern::Name(name, scope), Host::Name(asked)) => {
            let below = || asked.suffixes().skip(1).any(|suffix| suffix == name.as_str());
            match scope {
                Scope::Exact => asked == name,
                Scope::Below => below(),
                Scope::Both => asked == name || below(),
            }
        }
        (HostPattern::Network(net), Host::Ip(ip)) => net.contains(ip) || net.contains(&ip.to_canonical()),
        (HostPattern::Name(..), Host::Ip(_)) | (HostPattern::Network(_), Host::Name(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(patterns: &[&str]) -> ParentScope {
        let mut scope = ParentScope::default();
        patterns.iter().for_each(|pattern| scope.except(pattern).unwrap());
        scope
    }

    #[test]
    fn everything_but_the_exceptions_goes_by_the_parent() {
        let scope =
            scope(&["*.internal.example", "**.corp.test", "one.test", "10.0.0.0/8", "2001:db8::/32", "192.0.2.7"]);
        for (host, covered) in [
            ("a.internal.example", false),
            ("b.a.internal.example", false),
            ("internal.example", true),
            ("ainternal.example", true),
            ("internal.example.test", true),
            ("corp.test", false),
            ("a.corp.test", false),
            ("acorp.test", true),
            ("one.test", false),
            ("a.one.test", true),
            ("10.1.2.3", false),
            ("[::ffff:10.1.2.3]", false),
            ("11.1.2.3", true),
            ("[2001:db8::1]", false),
            ("[2001:db9::1]", true),
            ("192.0.2.7", false),
            ("192.0.2.8", true),
        ] {
            assert_eq!(scope.covers(&Host::parse(host.as_bytes()).unwrap()), covered, "{host}");
        }
        assert!(ParentScope::default().covers(&Host::parse(b"10.1.2.3").unwrap()));
    }

    #[test]
    fn an_exception_is_a_pattern_without_a_port() {
        for (pattern, fix) in [
            ("one.test:443", "write `one.test`"),
            ("*.one.test:*", "write `*.one.test`"),
            ("[2001:db8::1]:443", "write `2001:db8::1`"),
            ("10.0.0.1/8", "write `10.0.0.0/8` for the block, or `10.0.0.1` for the one address"),
            ("http://one.test", "write `one.test`"),
            ("*one.test", "write `*.one.test` for what is below `one.test`, or `**.one.test` for both"),
        ] {
            let refused = ParentScope::default().except(pattern).unwrap_err();
            assert_eq!(refused.fix, fix, "{pattern}: {}", refused.what);
        }
    }
}
