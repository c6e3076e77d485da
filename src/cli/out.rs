//! What commands write to stdout and stderr.
//!
//! Guaranteed: text from files, from the network and from other people never drives the terminal. [`print`] and [`say`]
//! spell out every character that does not show as itself, line breaks of the caller aside. A caller that puts text from
//! elsewhere *into a line* escapes that part first, so that it cannot pretend to be a line of its own.

use std::io::Write;
use std::process::ExitCode;

use super::FAILED;
use crate::text::visible::{escaped, is_visible};

/// Says why a command failed, on stderr.
pub(super) fn fail(what: &str) -> ExitCode {
    say(&format!("outgate: {what}"));
    ExitCode::from(FAILED)
}

/// A line to stderr. If stderr has no reader any more, the line is lost.
pub(super) fn say(line: &str) {
    let _closed = writeln!(std::io::stderr().lock(), "{}", inert(line));
}

/// Prints text to stdout and ends it with a newline. A reader that has left (`outgate … | head`) is not an error.
pub(super) fn print(text: &str) {
    print_as_is(&inert(text));
}

/// As [`print`], for colours and for formats with escapes of their own. Every part from elsewhere is escaped already.
pub(super) fn print_as_is(text: &str) {
    let mut out = std::io::stdout().lock();
    let end = if text.ends_with('\n') { "" } else { "\n" };
    let _left = write!(out, "{text}{end}").and_then(|()| out.flush());
}

/// A JSON document in one line, its invisible characters written as `\uXXXX`, which means the same document.
pub(super) fn json_line(document: &impl serde::Serialize) -> String {
    // Only a map with keys that are not strings fails, and no document here has one.
    let text = serde_json::to_string(document).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if is_visible(character) {
            out.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    out
}

fn inert(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines_and_nothing_else_drives_the_terminal() {
        assert_eq!(inert("one\ntwo \u{1b}[31m\u{202e}\r\n"), "one\ntwo \\u{1b}[31m\\u{202e}\\u{d}\n");
        assert_eq!(inert("m\u{fc}ller.test"), "m\u{fc}ller.test");
    }

    #[test]
    fn a_json_document_is_the_same_document_without_invisible_characters() {
        let document = serde_json::json!({ "a\u{7f}": "b\u{9b}31m\u{202e}\u{e0041}\n\"\\\u{fc}" });
        let text = json_line(&document);
        assert!(text.chars().all(is_visible), "{text}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), document);
    }
}
