//! The tree that both formats become.

use super::{Problems, Spanned};

/// A value and its place in the text.
pub type Node = Spanned<Value>;

/// A value from a document in any of the formats.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    String(String),
    /// A whole number.
    Integer(i64),
    /// Any other number.
    Float(f64),
    /// True or false.
    Boolean(bool),
    /// TOML's date, time or both, as its text.
    Datetime(String),
    /// A list.
    Array(Vec<Node>),
    /// A table (TOML) or object (JSON), in the order of the text.
    Table(Vec<Member>),
    /// JSON's null, which no key takes.
    Null,
}

/// One key of a table with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The key.
    pub name: Spanned<String>,
    /// The value.
    pub value: Node,
}

/// How a document is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.1.
    Toml,
    /// JSON as RFC 8259 has it: no comments, no trailing commas, no key twice.
    Json,
}

impl Format {
    /// Parses the document into a tree. Returns `None` if the syntax is too broken to recover a tree.
    pub fn parse(self, text: &str, problems: &mut Problems) -> Option<Node> {
        match self {
            Self::Toml => super::toml::parse(text, problems),
            Self::Json => super::json::parse(text, problems),
        }
    }
}

impl Value {
    /// How to name it to the person who wrote it: "the text \"yes\"".
    pub fn describe(&self) -> String {
        match self {
            Self::String(text) if text.is_empty() => "an empty text".into(),
            Self::String(text) => format!("the text {}", super::place::quote(text)),
            Self::Integer(number) => format!("the number {number}"),
            Self::Float(number) => format!("the number {number}"),
            Self::Boolean(value) => value.to_string(),
            Self::Datetime(_) => "a date or time".into(),
            Self::Array(_) => "a list".into(),
            Self::Table(_) => "a table".into(),
            Self::Null => "null".into(),
        }
    }
}
