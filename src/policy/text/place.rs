//! A document's text, and and places in it, as people and editors count them.

use super::LocatedProblem;
use super::Span;
use crate::policy::{Problem, ProblemCode, ProblemPlace};
use crate::text::visible::is_visible;

/// The longest piece of a document that a message repeats. What was written wrongly is recognised by its beginning.
const MAX_QUOTED: usize = 60;

/// Bytes whose characters are counted ahead: a place costs one of these, the count eight bytes for each.
const BLOCK: usize = 4096;

/// A document's text and what it is called in messages.
#[derive(Clone, Debug)]
pub struct SourceText {
    name: String,
    text: String,
    /// Where each line begins, so that many problems in a large file cost one pass.
    lines: Vec<usize>,
    /// How many characters begin before each [`BLOCK`], so that many problems in one long line cost no more.
    characters: Vec<usize>,
    lists: Vec<String>,
}

impl SourceText {
    /// A text by the name that messages show, usually its path as the user wrote it.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(offset, _)| offset + 1);
        let lines = std::iter::once(0).chain(breaks).collect();
        let mut characters = vec![0];
        for block in text.as_bytes().chunks(BLOCK) {
            characters.push(characters.last().copied().unwrap_or_default() + count_characters(block));
        }
        Self { name: name.into(), text, lines, characters, lists: Vec::new() }
    }

    /// With the names of the files that its `[[list]]`s read, in their order.
    #[must_use]
    pub fn with_lists(mut self, lists: Vec<String>) -> Self {
        self.lists = lists;
        self
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The line and column where a span begins, both from 1, the column in characters. A span after the end is at the end.
    pub fn locate(&self, span: Span) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= span.start).max(1);
        let start = self.lines.get(line - 1).copied().unwrap_or_default();
        let end = span.start.min(self.text.len());
        // A byte order mark is not a column.
        let mark = usize::from(line == 1 && end > 0 && self.text.starts_with('\u{feff}'));
        (line, self.characters_before(end).saturating_sub(self.characters_before(start) + mark) + 1)
    }

    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        let rest = self.text.as_bytes().get(block * BLOCK..offset).unwrap_or_default();
        self.characters.get(block).copied().unwrap_or_default() + count_characters(rest)
    }

    /// The name of the file of one of its lists.
    pub(super) fn list_name(&self, list: usize) -> String {
        self.lists.get(list).cloned().unwrap_or_else(|| format!("{}, list {}", self.name, list + 1))
    }
}

/// A character is counted where it begins: continuation bytes are none.
fn count_characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

/// A document's bytes as text.
///
/// # Errors
/// The first byte that is not UTF-8.
pub fn decode(name: &str, bytes: Vec<u8>) -> Result<SourceText, LocatedProblem> {
    String::from_utf8(bytes).map(|text| SourceText::new(name, text)).map_err(|error| {
        let start = error.utf8_error().valid_up_to();
        let byte = error.as_bytes().get(start).copied().unwrap_or_default();
        let problem = Problem {
            place: ProblemPlace::Document(Span { start, end: start + 1 }),
            code: ProblemCode::NotUtf8,
            what: format!("the byte 0x{byte:02x} at offset {start} is not UTF-8"),
            fix: "save the file in UTF-8".into(),
        };
        // Up to that byte the two texts are the same, and nothing after it is located.
        SourceText::new(name, String::from_utf8_lossy(error.as_bytes())).located(&problem)
    })
}

/// Text of a document inside a message: quoted, visible and short.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for (count, letter) in text.chars().enumerate() {
        if count == MAX_QUOTED {
            quoted.push('…');
            break;
        }
        if is_visible(letter) && letter != '"' && letter != '\\' {
            quoted.push(letter);
        } else {
            quoted.extend(letter.escape_default());
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_are_counted_from_one_in_characters() {
        let source = SourceText::new("p", "ab\nü€x\n\nend");
        for (start, place) in
            [(0, (1, 1)), (1, (1, 2)), (2, (1, 3)), (3, (2, 1)), (5, (2, 2)), (8, (2, 3)), (9, (2, 4)), (10, (3, 1))]
        {
            assert_eq!(source.locate(Span { start, end: start }), place, "byte {start}");
        }
        assert_eq!(source.locate(Span { start: 14, end: 14 }), (4, 4), "the end");
        assert_eq!(source.locate(Span { start: 99, end: 99 }), (4, 4), "after the end");
        let marked = SourceText::new("p", "\u{feff}ab");
        assert_eq!(marked.locate(Span { start: 4, end: 5 }), (1, 2), "a byte order mark is not a column");
        assert_eq!(marked.locate(Span { start: 0, end: 5 }), (1, 1), "before the mark");
    }

    #[test]
    fn columns_in_a_long_line_are_counted_as_in_a_short_one() {
        let source = SourceText::new("p", format!("\u{feff}{}\n{}", "ü".repeat(5000), "xü".repeat(5000)));
        for (start, place) in [
            (3 + 2 * 4095, (1, 4096)),
            (3 + 2 * 4999, (1, 5000)),
            (3 + 10_000 + 1, (2, 1)),
            (3 + 10_000 + 1 + 3 * 4096, (2, 2 * 4096 + 1)),
            (3 + 10_000 + 1 + 3 * 4096 + 1, (2, 2 * 4096 + 2)),
        ] {
            assert_eq!(source.locate(Span { start, end: start }), place, "byte {start}");
        }
    }

    #[test]
    fn what_is_no_utf_8_is_shown_where_it_begins() {
        assert_eq!(
            decode("p.toml", b"a = 1\nb = \"\xc3\xbc\xff\"\n".to_vec()).unwrap_err().to_string(),
            "p.toml:2:7: the byte 0xff at offset 13 is not UTF-8; save the file in UTF-8"
        );
        assert_eq!(decode("p.toml", "ü".into()).unwrap().text(), "ü");
    }

    #[test]
    fn quoted_text_is_visible_and_short() {
        assert_eq!(quote("a\"b\\\n\u{202e}"), r#""a\"b\\\n\u{202e}""#);
        assert_eq!(quote("ünï"), "\"ünï\"");
        assert_eq!(quote(&"a".repeat(61)), format!("\"{}…\"", "a".repeat(60)));
        assert_eq!(quote(&"a".repeat(60)), format!("\"{}\"", "a".repeat(60)));
    }
}
