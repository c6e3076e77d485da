//! Reading a table by its section: everything that is wrong is collected, nothing stops at the first mistake.

use std::time::{Duration, SystemTime};

use super::keys::{Key, Section, Shape, Support};
use super::moment::{MomentError, parse_moment};
use super::place::quote;
use super::quantity::{Written, parse_duration, parse_size};
use super::suggest::{nearest, unknown_key};
use super::{Member, Node, Span, Spanned, Value};
use crate::policy::{ProblemCode, Problems};
use crate::text::visible::is_visible;

/// One table, read by its section.
///
/// Every method reads one key. Where it is absent the answer is none (or an empty list); where it is wrong, the problem
/// is noted and the answer is the same, so that reading continues.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a> {
    section: &'static Section,
    span: Span,
    entries: &'a [Member],
}

impl<'a> Fields<'a> {
    /// Takes a node as such a table. Notes unknown keys, keys of a later version and keys that are missing.
    pub fn open(node: &'a Node, section: &'static Section, problems: &mut Problems) -> Option<Self> {
        Self::open_within(node, section, None, problems)
    }

    /// `outer` is the section that the table is in, so that a key that slipped into the wrong one is recognised.
    fn open_within(
        node: &'a Node,
        section: &'static Section,
        outer: Option<&Section>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            let what = format!("{} is {}, but must be a table of keys and values", section.what, node.value.describe());
            problems.at(node.span, ProblemCode::WrongType, what, "write its keys, or remove it");
            return None;
        };
        for Member { name, .. } in entries {
            match section.key(&name.value) {
                None => {
                    let (what, fix) = unknown_key(section, outer, &name.value);
                    problems.at(name.span, ProblemCode::UnknownKey, what, fix);
                }
                Some(Key { support: Support::Later(fix), .. }) => {
                    problems.at(
                        name.span,
                        ProblemCode::Unsupported,
                        format!("`{}` is not supported in this version", name.value),
                        *fix,
                    );
                }
                Some(Key { support: Support::Now, .. }) => {}
            }
        }
        let fields = Self { section, span: node.span, entries };
        for key in section.keys.iter().filter(|key| key.needed && fields.node(key).is_none()) {
            let what = format!("{} has no `{}`", section.what, key.name);
            problems.at(node.span, ProblemCode::MissingKey, what, format!("add {}", example(key)));
        }
        Some(fields)
    }

    /// The table's place.
    pub fn span(&self) -> Span {
        self.span
    }

    /// The value of a key, unread.
    pub fn node(&self, key: &Key) -> Option<&'a Node> {
        debug_assert!(self.section.key(key.name).is_some(), "{} is not a key of {}", key.name, self.section.what);
        self.entries.iter().find(|entry| entry.name.value == key.name).map(|entry| &entry.value)
    }

    /// A [`Shape::Text`].
    pub fn text(&self, key: &Key, problems: &mut Problems) -> Option<Spanned<String>> {
        let node = self.node(key)?;
        let Value::String(text) = &node.value else {
            wrong(key, node, "a text", "put it in quotation marks", problems);
            return None;
        };
        let most = if let Shape::Text(most) = key.shape { most } else { usize::MAX };
        let name = key.name;
        if text.trim().is_empty() {
            problems.at(
                node.span,
                ProblemCode::EmptyValue,
                format!("`{name}` is empty"),
                "write something, or leave the key out",
            );
        } else if text.len() > most {
            let what = format!("`{name}` has {} bytes, the most is {most}", text.len());
            problems.at(node.span, ProblemCode::TooLarge, what, "shorten it");
        } else if let Some(hidden) = text.chars().find(|letter| !is_fit_to_show(*letter)) {
            let what = format!("`{name}` holds the invisible character U+{:04X}", u32::from(hidden));
            problems.at(
                node.span,
                ProblemCode::InvisibleCharacter,
                what,
                "remove it: it would not be seen where the text is shown",
            );
        } else {
            return Some(Spanned { value: text.clone(), span: node.span });
        }
        None
    }

    /// A [`Shape::Texts`].
    pub fn texts(&self, key: &Key, problems: &mut Problems) -> Vec<Spanned<String>> {
        let read = |node: &Node, problems: &mut Problems| match &node.value {
            Value::String(text) => Some(Spanned { value: text.clone(), span: node.span }),
            other => {
                let what = format!("an entry of `{}` is {}, but must be a text", key.name, other.describe());
                problems.at(node.span, ProblemCode::WrongType, what, "put it in quotation marks");
                None
            }
        };
        self.list(key, "a list of texts", read, problems)
    }

    /// As [`Fields::texts`], but an empty list is an error: people would take it for "none", while absent means "any".
    pub fn some_texts(&self, key: &Key, fix: &str, problems: &mut Problems) -> Vec<Spanned<String>> {
        if let Some(Node { value: Value::Array(nodes), span }) = self.node(key)
            && nodes.is_empty()
        {
            problems.at(*span, ProblemCode::EmptyValue, format!("`{}` is an empty list", key.name), fix);
        }
        self.texts(key, problems)
    }

    /// A [`Shape::Flag`].
    pub fn flag(&self, key: &Key, problems: &mut Problems) -> Option<bool> {
        let node = self.node(key)?;
        if let Value::Boolean(value) = node.value {
            return Some(value);
        }
        wrong(key, node, "true or false", "write true or false, without quotation marks", problems);
        None
    }

    /// A [`Shape::Count`].
    pub fn count(&self, key: &Key, problems: &mut Problems) -> Option<Spanned<u64>> {
        let node = self.node(key)?;
        let Shape::Count(least, most) = key.shape else { return None };
        let number = if let Value::Integer(number) = node.value { u64::try_from(number).ok() } else { None };
        if let Some(value) = number.filter(|number| (least..=most).contains(number)) {
            return Some(Spanned { value, span: node.span });
        }
        if least == most {
            wrong(key, node, &least.to_string(), &format!("write {} = {least}", key.name), problems);
        } else {
            let must = format!("a whole number from {least} to {most}");
            wrong(key, node, &must, "write such a number, without quotation marks", problems);
        }
        None
    }

    /// A [`Shape::Choice`], by the table of its words.
    pub fn choice<T: Copy>(&self, key: &Key, words: &[(&'static str, T)], problems: &mut Problems) -> Option<T> {
        let node = self.node(key)?;
        choose(key, node, words, problems)
    }

    /// A [`Shape::Choices`], by the table of its words. An empty list is an error.
    pub fn choices<T: Copy>(&self, key: &Key, words: &[(&'static str, T)], problems: &mut Problems) -> Option<Vec<T>> {
        let node = self.node(key)?;
        if matches!(&node.value, Value::Array(nodes) if nodes.is_empty()) {
            problems.at(
                node.span,
                ProblemCode::EmptyValue,
                format!("`{}` is an empty list", key.name),
                "name one, or leave the key out",
            );
            return None;
        }
        Some(self.list(key, "a list of words", |node, problems| choose(key, node, words, problems), problems))
    }

    /// A [`Shape::Time`].
    pub fn time(&self, key: &Key, problems: &mut Problems) -> Option<Spanned<SystemTime>> {
        let node = self.node(key)?;
        let (Value::Datetime(text) | Value::String(text)) = &node.value else {
            wrong(key, node, "a time", "write it as 2026-11-01T00:00:00Z", problems);
            return None;
        };
        match parse_moment(text) {
            Ok(value) => return Some(Spanned { value, span: node.span }),
            Err(MomentError::NoOffset) => {
                let what = format!("`{}` has no time zone", key.name);
                problems.at(node.span, ProblemCode::InvalidTime, what, "add Z for UTC, or an offset such as +01:00");
            }
            Err(MomentError::NoTime) => {
                let what = format!("`{}` needs a date, a time and a time zone", key.name);
                problems.at(node.span, ProblemCode::InvalidTime, what, "write it as 2026-11-01T00:00:00Z");
            }
            Err(MomentError::Impossible) => {
                let what = format!("`{}` is a time that does not exist", key.name);
                problems.at(node.span, ProblemCode::InvalidTime, what, "write a day and a time that do");
            }
        }
        None
    }

    /// A [`Shape::Duration`].
    pub fn duration(&self, key: &Key, problems: &mut Problems) -> Option<Spanned<Duration>> {
        let node = self.node(key)?;
        let Shape::Duration(least, most) = key.shape else { return None };
        let read = if let Value::String(text) = &node.value { parse_duration(text) } else { None };
        let Some(value) = read else {
            wrong(
                key,
                node,
                "a length of time",
                "write a whole number with ms, s, m, h or d, such as \"10s\"",
                problems,
            );
            return None;
        };
        if (least..=most).contains(&value) {
            return Some(Spanned { value, span: node.span });
        }
        let must = format!("from {} to {}", Written::duration(least), Written::duration(most));
        wrong(key, node, &must, "write a length within these bounds", problems);
        None
    }

    /// A [`Shape::Size`], in bytes.
    pub fn size(&self, key: &Key, problems: &mut Problems) -> Option<Spanned<u64>> {
        let node = self.node(key)?;
        let Shape::Size(least, most) = key.shape else { return None };
        let read = if let Value::String(text) = &node.value { parse_size(text) } else { None };
        let Some(value) = read else {
            wrong(key, node, "a size", "write a whole number with B, KiB, MiB or GiB, such as \"64 KiB\"", problems);
            return None;
        };
        if (least..=most).contains(&value) {
            return Some(Spanned { value, span: node.span });
        }
        let must = format!("from {} to {}", Written::size(least), Written::size(most));
        wrong(key, node, &must, "write a size within these bounds", problems);
        None
    }

    /// A [`Shape::Table`].
    pub fn table(&self, key: &Key, problems: &mut Problems) -> Option<Self> {
        let node = self.node(key)?;
        let Shape::Table(section) = key.shape else { return None };
        Fields::open_within(node, section, Some(self.section), problems)
    }

    /// A [`Shape::Tables`].
    pub fn tables(&self, key: &Key, problems: &mut Problems) -> Vec<Self> {
        let Shape::Tables(section) = key.shape else { return Vec::new() };
        if let Some(node @ Node { value: Value::Table(_), span }) = self.node(key) {
            let what = format!("`{}` is one table, but must be a list of tables", key.name);
            problems.at(
                *span,
                ProblemCode::WrongType,
                what,
                format!("in TOML write [[{}]] with two brackets each time", key.name),
            );
            return Fields::open_within(node, section, Some(self.section), problems).into_iter().collect();
        }
        self.list(
            key,
            "a list of tables",
            |node, problems| Fields::open_within(node, section, Some(self.section), problems),
            problems,
        )
    }

    /// A [`Shape::Map`]: each name with its texts.
    pub fn map(&self, key: &Key, problems: &mut Problems) -> Vec<(Spanned<String>, Vec<Spanned<String>>)> {
        let Some(node) = self.node(key) else { return Vec::new() };
        let Value::Table(entries) = &node.value else {
            wrong(key, node, "a table", "write it as { \"name\" = [\"…\"] }", problems);
            return Vec::new();
        };
        let mut map = Vec::with_capacity(entries.len());
        for Member { name, value } in entries {
            let Value::Array(nodes) = &value.value else {
                let what = format!("{} is {}, but must be a list of texts", quote(&name.value), value.value.describe());
                problems.at(value.span, ProblemCode::WrongType, what, "put it in brackets");
                continue;
            };
            let mut texts = Vec::with_capacity(nodes.len());
            for node in nodes {
                match &node.value {
                    Value::String(text) => texts.push(Spanned { value: text.clone(), span: node.span }),
                    other => {
                        let what = format!("an entry of {} is {}", quote(&name.value), other.describe());
                        problems.at(node.span, ProblemCode::WrongType, what, "put it in quotation marks");
                    }
                }
            }
            map.push((name.clone(), texts));
        }
        map
    }

    /// A list of anything, its entries read one by one.
    pub(super) fn list<T>(
        &self,
        key: &Key,
        must: &str,
        mut read: impl FnMut(&'a Node, &mut Problems) -> Option<T>,
        problems: &mut Problems,
    ) -> Vec<T> {
        match self.node(key) {
            None => Vec::new(),
            Some(Node { value: Value::Array(nodes), .. }) => {
                nodes.iter().filter_map(|node| read(node, problems)).collect()
            }
            Some(node) => {
                wrong(key, node, must, "put it in brackets: [ … ]", problems);
                Vec::new()
            }
        }
    }
}

/// Whether a policy's own texts may hold this character. Blanks of other widths are seen as blanks, and some languages
/// need them; what ends a line is none of them.
fn is_fit_to_show(letter: char) -> bool {
    let ends_a_line = letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
    is_visible(letter) || letter.is_whitespace() && !ends_a_line
}

/// Notes that a key's value is of the wrong type, or not one of those that the key takes.
pub(super) fn wrong(key: &Key, node: &Node, must: &str, fix: &str, problems: &mut Problems) {
    let is_of_type = match key.shape {
        Shape::Text(_)
        | Shape::Choice(_)
        | Shape::Choices(_)
        | Shape::Duration(..)
        | Shape::Size(..)
        | Shape::Ports => {
            matches!(node.value, Value::String(_))
        }
        Shape::Time => matches!(node.value, Value::String(_) | Value::Datetime(_)),
        Shape::Count(..) => matches!(node.value, Value::Integer(_)),
        Shape::Flag => matches!(node.value, Value::Boolean(_)),
        Shape::Texts => matches!(node.value, Value::Array(_)),
        Shape::Table(_) | Shape::Tables(_) | Shape::Map => matches!(node.value, Value::Table(_)),
    };
    let code = if is_of_type { ProblemCode::InvalidValue } else { ProblemCode::WrongType };
    problems.at(node.span, code, format!("`{}` is {}, but must be {must}", key.name, node.value.describe()), fix);
}

fn choose<T: Copy>(key: &Key, node: &Node, words: &[(&'static str, T)], problems: &mut Problems) -> Option<T> {
    let written = if let Value::String(text) = &node.value { Some(text.as_str()) } else { None };
    if let Some((_, meaning)) = words.iter().find(|(word, _)| Some(*word) == written) {
        return Some(*meaning);
    }
    let must: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    let meant = written.and_then(|written| nearest(written, words.iter().map(|(word, _)| *word)));
    let fix = meant.map_or_else(|| "write one of these".into(), |meant| format!("did you mean \"{meant}\"?"));
    wrong(key, node, &must.join(" or "), &fix, problems);
    None
}

/// A key with a value, as one would write it in TOML.
fn example(key: &Key) -> String {
    let value = match key.shape {
        Shape::Count(least, _) => least.to_string(),
        Shape::Choice(words) => words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or "),
        Shape::Texts => "[\"…\"]".into(),
        _ => "\"…\"".into(),
    };
    format!("{} = {value}", key.name)
}
