//! JSON into the tree: RFC 8259, and no key twice.

use std::collections::HashSet;

use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::errors::{ParseError, ParseErrorKind};
use jsonc_parser::{CollectOptions, ParseOptions, ast, parse_to_ast};

use super::place::quote;
use super::{Member, Node, Problems, Span, Spanned, Value};
use crate::policy::ProblemCode;

/// The parser reads a superset; policies are signed and exchanged, so that every reader must see the same document.
const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

pub(super) fn parse(text: &str, problems: &mut Problems) -> Option<Node> {
    // RFC 8259 §8.1 lets a reader ignore a byte order mark; editors on Windows write one.
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut tree = Tree { text: body, shift: text.len() - body.len(), problems };
    match parse_to_ast(body, &CollectOptions::default(), &STRICT) {
        Ok(result) => match result.value {
            Some(value) => {
                tree.refuse_other_whitespace();
                Some(tree.convert(value))
            }
            None => {
                tree.problems.at(
                    tree.span(Range::new(0, 0)),
                    ProblemCode::Syntax,
                    "there is no JSON value here",
                    "write an object: { … }",
                );
                None
            }
        },
        Err(error) => {
            let (what, fix) = explain(&error);
            let at = tree.span(error.range());
            tree.problems.at(at, ProblemCode::Syntax, what, fix);
            None
        }
    }
}

struct Tree<'a> {
    text: &'a str,
    shift: usize,
    problems: &'a mut Problems,
}

impl Tree<'_> {
    fn span(&self, range: Range) -> Span {
        Span { start: range.start + self.shift, end: range.end + self.shift }
    }

    fn convert(&mut self, value: ast::Value<'_>) -> Node {
        let span = self.span(value.range());
        let value = match value {
            ast::Value::StringLit(text) => {
                self.refuse_raw_controls(text.range);
                Value::String(text.value.into_owned())
            }
            ast::Value::NumberLit(number) => self.number(number.value, span),
            ast::Value::BooleanLit(value) => Value::Boolean(value.value),
            ast::Value::NullKeyword(_) => Value::Null,
            ast::Value::Array(array) => {
                Value::Array(array.elements.into_iter().map(|element| self.convert(element)).collect())
            }
            ast::Value::Object(object) => self.object(object),
        };
        Node { value, span }
    }

    fn number(&mut self, text: &str, span: Span) -> Value {
        // Readers that keep whole numbers apart have no whole number for -0.
        if text.contains(['.', 'e', 'E']) || text == "-0" {
            return Value::Float(text.parse().unwrap_or(f64::NAN));
        }
        text.parse().map_or_else(
            |_| {
                self.problems.at(span, ProblemCode::InvalidValue, "this number is too large", "write a smaller one");
                Value::Integer(0)
            },
            Value::Integer,
        )
    }

    fn object(&mut self, object: ast::Object<'_>) -> Value {
        let mut seen = HashSet::new();
        let mut entries = Vec::with_capacity(object.properties.len());
        for property in object.properties {
            let range = property.name.range();
            self.refuse_raw_controls(range);
            let name = property.name.into_string();
            let span = self.span(range);
            if seen.insert(name.clone()) {
                entries.push(Member { name: Spanned { value: name, span }, value: self.convert(property.value) });
            } else {
                self.problems.at(
                    span,
                    ProblemCode::DuplicateKey,
                    format!("{} is in one object twice", quote(&name)),
                    "keep one of them",
                );
            }
        }
        Value::Table(entries)
    }

    /// Reports whitespace other than the four characters of RFC 8259 §2. Between values, the parser also accepts what
    /// Unicode or C classify as whitespace.
    fn refuse_other_whitespace(&mut self) {
        let (mut in_string, mut escaped) = (false, false);
        for (start, letter) in self.text.char_indices() {
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = in_string,
                '"' => in_string = !in_string,
                ' ' | '\t' | '\n' | '\r' => {}
                _ if !in_string && (letter.is_whitespace() || letter.is_control() || !letter.is_ascii()) => {
                    let at = self.span(Range::new(start, start + letter.len_utf8()));
                    let what = format!("JSON knows no {} between values", letter.escape_unicode());
                    return self.problems.at(at, ProblemCode::Syntax, what, "use spaces, tabs and line breaks");
                }
                _ => {}
            }
        }
    }

    /// RFC 8259 §7; the parser lets them through.
    fn refuse_raw_controls(&mut self, range: Range) {
        let raw = self.text.as_bytes().get(range.start..range.end).unwrap_or_default();
        if let Some(offset) = raw.iter().position(|byte| *byte < 0x20) {
            let start = range.start + offset;
            let at = self.span(Range::new(start, start + 1));
            self.problems.at(
                at,
                ProblemCode::Syntax,
                "a JSON text may not hold a line break or tab as such",
                "write \\n or \\t",
            );
        }
    }
}

fn explain(error: &ParseError) -> (String, &'static str) {
    let fix = match error.kind() {
        ParseErrorKind::CommentsNotAllowed => "remove the comment, or write the file as .toml",
        ParseErrorKind::TrailingCommasNotAllowed => "remove the comma",
        ParseErrorKind::ExpectedComma => "put a comma between the two",
        ParseErrorKind::UnterminatedObject => "close it with }",
        ParseErrorKind::UnterminatedArray => "close it with ]",
        ParseErrorKind::MultipleRootJsonValues => "keep one object",
        ParseErrorKind::ExpectedStringObjectProperty | ParseErrorKind::SingleQuotedStringsNotAllowed => {
            "put it in double quotation marks"
        }
        ParseErrorKind::UnexpectedWord => "put the text in double quotation marks",
        _ => "correct the syntax here",
    };
    let kind = error.kind().to_string();
    let mut letters = kind.chars();
    let lower = letters.next().map(|first| first.to_lowercase().chain(letters).collect::<String>());
    (format!("this is not JSON: {}", lower.unwrap_or_default()), fix)
}
