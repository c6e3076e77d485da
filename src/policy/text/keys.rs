//! Which keys a table may have, and what each holds: one table for reading, for the JSON Schema and for the reference.

use std::time::Duration;

/// A kind of table.
#[derive(Debug)]
pub struct Section {
    /// How messages name one: "the policy", "a rule".
    pub what: &'static str,
    /// What it is for, for the schema.
    pub doc: &'static str,
    /// Its keys, in the order that people are shown.
    pub keys: &'static [Key],
}

/// A key of a table.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// What it means, for the schema and the reference.
    pub doc: &'static str,
    /// Whether it must be there.
    pub needed: bool,
    /// Whether this version acts on it.
    pub support: Support,
    /// What other programs call it; leads to a suggestion, is never accepted.
    pub also: &'static [&'static str],
    /// What holds where it is absent, as one would write it.
    pub default: &'static str,
    /// Why that default, for the reference; mostly empty.
    pub why: &'static str,
}

/// Whether this version acts on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Now,
    /// Not yet: an error, with what to do meanwhile.
    Later(&'static str),
}

/// What a key holds.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// One text of visible characters, with the most bytes it may have.
    Text(usize),
    /// A list of texts.
    Texts,
    /// True or false.
    Flag,
    /// A whole number from the first to the second.
    Count(u64, u64),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A list of these words.
    Choices(&'static [&'static str]),
    /// A moment with its offset from UTC: TOML's own, or RFC 3339 as text.
    Time,
    /// A text such as `"10s"`, from the first to the second.
    Duration(Duration, Duration),
    /// A text such as `"64 KiB"`, from the first to the second number of bytes.
    Size(u64, u64),
    /// `"any"`, or a list of port numbers and `"lo-hi"` texts.
    Ports,
    /// One table.
    Table(&'static Section),
    /// A list of tables.
    Tables(&'static Section),
    /// A table of any names, each with a list of texts.
    Map,
}

impl Section {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// The section within this one that has a key of that name, and the key that leads there.
    pub(super) fn inner_with(&self, name: &str) -> Option<(&'static Key, &'static Self)> {
        self.keys.iter().find_map(|key| match key.shape {
            Shape::Table(section) | Shape::Tables(section) if section.key(name).is_some() => Some((key, section)),
            _ => None,
        })
    }
}

impl Key {
    /// A key that may be absent.
    pub const fn new(name: &'static str, shape: Shape, doc: &'static str) -> Self {
        Self { name, shape, doc, needed: false, support: Support::Now, also: &[], default: "", why: "" }
    }

    /// A key that this version refuses, with what to do meanwhile.
    pub const fn later(name: &'static str, fix: &'static str) -> Self {
        Self { support: Support::Later(fix), ..Self::new(name, Shape::Map, "Not supported in this version.") }
    }

    /// The same key, which must be there.
    #[must_use]
    pub const fn needed(self) -> Self {
        Self { needed: true, ..self }
    }

    /// The same key, also known by these words.
    #[must_use]
    pub const fn also(self, words: &'static [&'static str]) -> Self {
        Self { also: words, ..self }
    }

    /// The same key with what holds where it is absent.
    #[must_use]
    pub const fn default(self, written: &'static str) -> Self {
        Self { default: written, ..self }
    }

    /// The same key with the reason for its default.
    #[must_use]
    pub const fn because(self, why: &'static str) -> Self {
        Self { why, ..self }
    }
}

/// The words of a table of words and what they mean, so that a [`Shape::Choice`] and its reader share one list.
pub const fn words<T: Copy, const N: usize>(table: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    while at < N {
        #[expect(clippy::indexing_slicing, reason = "`at` is below N, the length of both; const code has no iterators")]
        {
            words[at] = table[at].0;
        }
        at += 1;
    }
    words
}
