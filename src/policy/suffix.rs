//! What the public suffix list says of a name: how many owners lie below it, and where one owner's part begins.
//!
//! The list is 0.7 MB of code, and every module that asks it by itself gets a copy of its own. So all ask here.

use psl::{Suffix, Type};

/// How broad "everything below this name" is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breadth {
    /// One owner, or a name that the list does not know.
    Owned,
    /// A registry's suffix (the list's ICANN section): anyone may register a name below it.
    Registry,
    /// A provider's suffix (its private section): many tenants share it.
    Shared,
}

/// How broad everything below `name` is.
pub(super) fn breadth(name: &str) -> Breadth {
    // The list says `*.ck` without `ck`: what lies below such a name is suffixes, one and all. A label that no
    // registry can give out finds them.
    let below = format!("-.{name}");
    let typ = [name, below.as_str()].into_iter().find_map(|asked| {
        let suffix = suffix(asked)?;
        (suffix.as_bytes() == asked.as_bytes()).then_some(suffix.typ()).flatten()
    });
    match typ {
        Some(Type::Icann) => Breadth::Registry,
        Some(Type::Private) => Breadth::Shared,
        None => Breadth::Owned,
    }
}

/// The part of `name` that one owner registered: `example.co.uk` of `a.b.example.co.uk`. None for a suffix itself and
/// for a single label.
#[inline(never)]
pub fn registrable(name: &str) -> Option<&str> {
    psl::domain_str(name)
}

/// Whether anyone may register a name below this one (the list's ICANN section): `com`, `co.uk`.
pub fn is_registry_suffix(name: &str) -> bool {
    breadth(name) == Breadth::Registry
}

#[inline(never)]
fn suffix(name: &str) -> Option<Suffix<'_>> {
    psl::suffix(name.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_is_a_registry_s_a_provider_s_or_none() {
        for (name, expected) in [
            ("com", Breadth::Registry),
            ("co.uk", Breadth::Registry),
            ("ck", Breadth::Registry),
            ("anything.ck", Breadth::Registry),
            ("www.ck", Breadth::Owned),
            ("githubusercontent.com", Breadth::Shared),
            ("example.com", Breadth::Owned),
            ("test", Breadth::Owned),
            ("corp", Breadth::Owned),
            ("example.test", Breadth::Owned),
        ] {
            assert_eq!(breadth(name), expected, "{name}");
        }
    }

    #[test]
    fn the_registrable_part_is_one_label_more_than_the_suffix() {
        for (name, expected) in [
            ("a.b.example.co.uk", Some("example.co.uk")),
            ("example.test", Some("example.test")),
            ("a.example.test", Some("example.test")),
            ("a.tenant.github.io", Some("tenant.github.io")),
            ("github.io", None),
            ("co.uk", None),
            ("localhost", None),
        ] {
            assert_eq!(registrable(name), expected, "{name}");
        }
    }
}
