//! The elements that every section is made of.

use std::time::Duration;

use maud::{Markup, html};

use super::reasons::meaning;
use crate::text::visible::elided;
use crate::text::{HtmlText, Inert, figures};

/// Names longer than this are elided on the page; the title has the whole. A table column holds about that much.
const MAX_SHOWN: usize = 72;

/// Sentences of ours, in which what is between backticks is code.
pub(super) fn prose(text: &Inert) -> Markup {
    html! {
        @for (place, part) in text.as_str().split('`').enumerate() {
            @if place % 2 == 1 { code { (HtmlText(part)) } } @else { (HtmlText(part)) }
        }
    }
}

/// Lines of text, for a `pre`.
pub(super) fn lines(lines: &[Inert]) -> Markup {
    html! {
        @for (place, line) in lines.iter().enumerate() {
            @if place > 0 { "\n" }
            (line)
        }
    }
}

/// A name: isolated from the direction of the text around it, elided where it is long.
pub(super) fn name(name: &Inert) -> Markup {
    named(name, &[])
}

/// A name where there is little room, such as a rule's or a file's: it is broken after a mark rather than within a word.
pub(super) fn narrow_name(name: &Inert) -> Markup {
    named(name, &[':', '.', '/', '@'])
}

fn named(name: &Inert, break_after: &[char]) -> Markup {
    let short = elided(name.as_str(), MAX_SHOWN);
    let is_whole = short.len() == name.as_str().len();
    html! {
        bdi title=[(!is_whole).then_some(name)] {
            @for (place, part) in short.split_inclusive(break_after).enumerate() {
                @if place > 0 { wbr; }
                (HtmlText(part))
            }
        }
    }
}

/// A time: the clock's part of it; the whole as the title, and for the script, which shows it in local time.
pub(super) fn time(time: &Inert) -> Markup {
    html! {
        time datetime=(time) {
            @match time.as_str().get(11..19) {
                Some(clock) => { (HtmlText(clock)) " UTC" }
                None => (time)
            }
        }
    }
}

/// An age, which the script keeps up to date.
pub(super) fn age(since: &Inert, age: Duration) -> Markup {
    html! { time datetime=(since) data-age { (figures::ago(age)) } }
}

/// A reason's token with its meaning as title.
pub(super) fn reason(token: &Inert) -> Markup {
    html! {
        @if !token.is_empty() {
            code title=[meaning(token.as_str())] { (token) }
        }
    }
}
