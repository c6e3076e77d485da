//! Markup in the making.

use std::time::Duration;

use super::reasons::meaning;
use crate::text::figures::{self, grouped};
use crate::text::visible;

/// Names longer than this are elided on the page; the title has the whole. A table column holds about that much.
const MAX_SHOWN: usize = 72;

/// A page under construction. Text goes in escaped; only what is ours goes in raw, which `'static` holds.
#[derive(Default)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn raw(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Somebody's text: inert, with its invisible characters spelled out.
    pub(super) fn text(&mut self, text: &str) {
        visible::push_html(&mut self.0, &visible::escaped(text));
    }

    /// Sentences of ours, in which what stands between backticks is code.
    pub(super) fn prose(&mut self, text: &str) {
        for (place, part) in text.split('`').enumerate() {
            let (open, close) = if place % 2 == 1 { ("<code>", "</code>") } else { ("", "") };
            self.raw(open);
            self.text(part);
            self.raw(close);
        }
    }

    /// A name: isolated from the direction of the text around it, elided where it is long.
    pub(super) fn name(&mut self, name: &str) {
        self.named(name, &[]);
    }

    /// A name where there is little room, as a rule's or a file's: it is broken behind a mark rather than within a word.
    pub(super) fn narrow_name(&mut self, name: &str) {
        self.named(name, &[':', '.', '/', '@']);
    }

    fn named(&mut self, name: &str, break_behind: &[char]) {
        let shown = visible::escaped(name);
        let short = visible::elided(&shown, MAX_SHOWN);
        if short.len() == shown.len() {
            self.raw("<bdi>");
        } else {
            self.raw("<bdi title=\"");
            visible::push_html(&mut self.0, &shown);
            self.raw("\">");
        }
        for (place, part) in short.split_inclusive(break_behind).enumerate() {
            self.raw(if place > 0 { "<wbr>" } else { "" });
            visible::push_html(&mut self.0, part);
        }
        self.raw("</bdi>");
    }

    /// A count, its digits in groups.
    pub(super) fn number(&mut self, number: u64) {
        self.0.push_str(&grouped(number));
    }

    /// A time: the clock's part of it, the whole for who hovers and for the script, which shows it in local time.
    pub(super) fn time(&mut self, time: &str) {
        self.raw("<time datetime=\"");
        self.text(time);
        self.raw("\">");
        match time.get(11..19) {
            Some(clock) => {
                self.text(clock);
                self.raw(" UTC");
            }
            None => self.text(time),
        }
        self.raw("</time>");
    }

    /// An age, which the script keeps true.
    pub(super) fn age(&mut self, since: &str, age: Duration) {
        self.raw("<time datetime=\"");
        self.text(since);
        self.raw("\" data-age>");
        self.text(&figures::ago(age));
        self.raw("</time>");
    }

    /// An amount of bytes, in the largest unit of which there is one.
    pub(super) fn bytes(&mut self, bytes: u64) {
        self.text(&figures::bytes(bytes));
    }

    /// A head of columns: class and label of each.
    pub(super) fn columns(&mut self, columns: &[(&'static str, &'static str)]) {
        self.raw("<thead><tr>");
        for (class, label) in columns {
            self.raw("<th scope=\"col\"");
            if !class.is_empty() {
                self.raw(" class=\"");
                self.raw(class);
                self.raw("\"");
            }
            self.raw(">");
            self.raw(label);
            self.raw("</th>");
        }
        self.raw("</tr></thead>\n");
    }

    /// ` hidden`, if it is to be.
    pub(super) fn hidden_if(&mut self, hidden: bool) {
        if hidden {
            self.raw(" hidden");
        }
    }

    /// A reason's token with its meaning as title.
    pub(super) fn reason(&mut self, token: &str) {
        if token.is_empty() {
            return;
        }
        self.raw("<code");
        if let Some(meaning) = meaning(token) {
            self.raw(" title=\"");
            self.text(meaning);
            self.raw("\"");
        }
        self.raw(">");
        self.text(token);
        self.raw("</code>");
    }

    pub(super) fn finish(self) -> String {
        self.0
    }
}
