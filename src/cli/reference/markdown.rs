//! Tables and headings in Markdown.

use std::fmt::Write as _;

/// Says on each page where it comes from.
const NOTE: &str = "<!-- Written by `outgate reference`. Change the program's tables, not this page. -->";

/// A page under construction.
#[derive(Debug)]
pub(super) struct Page(String);

impl Page {
    pub(super) fn new(title: &str, introduction: &str) -> Self {
        Self(format!("# {title}\n\n{NOTE}\n\n{introduction}\n"))
    }

    pub(super) fn heading(&mut self, text: &str) {
        self.line(&format!("\n## {text}"));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        if !text.is_empty() {
            self.line(&format!("\n{text}"));
        }
    }

    /// A table; nothing where it has no rows.
    pub(super) fn table<const N: usize>(&mut self, head: [&str; N], rows: &[[String; N]]) {
        if rows.is_empty() {
            return;
        }
        self.line("");
        self.row(&head.map(str::to_owned));
        self.line(&format!("|{}", "---|".repeat(N)));
        for row in rows {
            self.row(row);
        }
    }

    fn row(&mut self, cells: &[String]) {
        // A bar would end the cell, also within code marks.
        let cells = cells.iter().map(|cell| cell.replace('|', "\\|"));
        self.line(&format!("| {} |", cells.collect::<Vec<_>>().join(" | ")));
    }

    fn line(&mut self, line: &str) {
        // Writing to a string cannot fail.
        let _infallible = writeln!(self.0, "{}", line.trim_end());
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}

/// A text in code marks; nothing for none.
pub(super) fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}

/// Words in code marks, as a list to choose from.
pub(super) fn choice(words: &[&str]) -> String {
    words.iter().map(|word| code(word)).collect::<Vec<_>>().join(", ")
}
