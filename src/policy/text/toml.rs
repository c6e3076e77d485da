//! TOML into the tree.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{Member, Node, Problems, Span, Spanned, Value};
use crate::policy::ProblemCode;

/// Up to this size every syntax error is shown, above it the first alone: each costs memory, and a large file of
/// something else than TOML has one at every byte. No policy written by hand is larger.
const MAX_RECOVERED: usize = 1024 * 1024;

/// What the parser calls a key that is in a table twice. The tree is whole but for the second value, so that reading continues.
const DUPLICATE: &str = "duplicate key";

pub(super) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    let whole = Span { start: 0, end: text.len() };
    match DeTable::parse(text) {
        Ok(table) => Some(Node { value: convert_table(table.get_ref(), problems), span: whole }),
        Err(first) if text.len() > MAX_RECOVERED => {
            report(&first, whole, problems);
            None
        }
        Err(_) => {
            let (table, errors) = DeTable::parse_recoverable(text);
            let mut last_line = None;
            for error in &errors {
                // One slip makes the parser complain about most of the rest of its line.
                let line = error.span().and_then(|span| text.as_bytes().get(..span.start)).map(count_lines);
                if line.is_none() || line != last_line {
                    report(error, whole, problems);
                }
                last_line = line;
            }
            let readable = errors.iter().all(|error| error.message() == DUPLICATE);
            readable.then(|| Node { value: convert_table(table.get_ref(), problems), span: whole })
        }
    }
}

fn report(error: &toml::de::Error, whole: Span, problems: &mut Problems) {
    let span = error.span().map_or(Span { start: whole.end, end: whole.end }, span);
    if error.message() == DUPLICATE {
        problems.at(span, ProblemCode::DuplicateKey, "this key is in one table twice", "keep one of them");
    } else {
        problems.at(span, ProblemCode::Syntax, format!("this is not TOML: {}", error.message()), fix(error.message()));
    }
}

/// The fix for the slips that people make most.
fn fix(message: &str) -> &'static str {
    if message.starts_with("invalid basic string") || message.contains("closing `\"`") {
        "close the text with a quotation mark, and write a backslash as \\\\"
    } else if message.starts_with("string values must be quoted") || message.starts_with("invalid float") {
        "put the text in quotation marks"
    } else {
        "correct the syntax here"
    }
}

fn convert_table(table: &DeTable<'_>, problems: &mut Problems) -> Value {
    let mut entries: Vec<Member> = table
        .iter()
        .map(|(name, value)| Member {
            name: Spanned { value: name.get_ref().to_string(), span: span(name.span()) },
            value: Node { value: convert(value.get_ref(), span(value.span()), problems), span: span(value.span()) },
        })
        .collect();
    // The parser sorts by name; people read from the top.
    entries.sort_by_key(|entry| entry.name.span.start);
    Value::Table(entries)
}

fn convert(value: &DeValue<'_>, at: Span, problems: &mut Problems) -> Value {
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => {
                problems.at(at, ProblemCode::InvalidValue, "this number is too large", "write a smaller one");
                Value::Integer(0)
            }
        },
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(time) => Value::Datetime(time.to_string()),
        DeValue::Array(nodes) => Value::Array(
            nodes
                .iter()
                .map(|node| Node {
                    value: convert(node.get_ref(), span(node.span()), problems),
                    span: span(node.span()),
                })
                .collect(),
        ),
        DeValue::Table(table) => convert_table(table, problems),
    }
}

fn count_lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

fn span(range: Range<usize>) -> Span {
    Span { start: range.start, end: range.end }
}
