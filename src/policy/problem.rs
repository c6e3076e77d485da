//! What is wrong with a policy, or looks wrong, and what to write instead.

use super::Span;
use crate::text::visible::is_visible;

/// One mistake or one doubt. Whoever knows the files renders it as `file:line:column: what; mend`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What is wrong: a clause in lower case, without a full stop.
    pub what: String,
    /// What to do about it, likewise.
    pub mend: String,
}

/// Where a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// In no place in particular.
    Whole,
    /// In the policy's own text.
    Document(Span),
    /// In a list's file.
    List {
        /// Which of the document's lists, from 0.
        list: usize,
        /// The line, from 1.
        line: usize,
    },
}

/// How many problems of one document are kept. Nobody fixes more at once, and a generated file of a million wrong entries
/// must not make a million messages: they are logged, shown and answered, and take the time of the policy after it.
const MOST_KEPT: usize = 100;

/// What is wrong with a document, or doubtful, as it is found.
#[derive(Debug, Default)]
pub struct Problems {
    found: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// Adds one at a place in the document. `what` and `mend` are clauses, see [`Problem`].
    pub fn at(&mut self, span: Span, what: impl Into<String>, mend: impl Into<String>) {
        self.push(Refusal::new(what, mend).at(Place::Document(span)));
    }

    /// Adds one.
    pub(super) fn push(&mut self, problem: Problem) {
        if self.found.len() < MOST_KEPT {
            self.found.push(problem);
        } else {
            self.more += 1;
        }
    }

    /// Whether none was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// All that were kept, in the order of their places, and how many were not.
    pub fn finish(mut self) -> Vec<Problem> {
        self.found.sort_by_key(|problem| problem.place);
        if self.more > 0 {
            let what = format!("there are {} more problems", self.more);
            self.found.push(Problem { place: Place::Whole, what, mend: "fix these first".into() });
        }
        self.found
    }
}

/// Why a value cannot be read, before anybody knows where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) what: String,
    pub(super) mend: String,
}

impl Refusal {
    pub(super) fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: shown(what.into()), mend: shown(mend.into()) }
    }

    pub(super) fn at(self, place: Place) -> Problem {
        Problem { place, what: self.what, mend: self.mend }
    }
}

/// Most messages repeat what was written, and they end up on terminals: what would not be seen there, or would turn the
/// direction of writing, is spelled out.
fn shown(text: String) -> String {
    if text.chars().all(is_visible) {
        return text;
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        if is_visible(letter) {
            shown.push(letter);
        } else {
            shown.extend(letter.escape_default());
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_repeats_is_seen() {
        let refusal = Refusal::new("`a\u{202e}b.test` is a\tURL", "write `\u{feff}b`");
        assert_eq!(
            (refusal.what.as_str(), refusal.mend.as_str()),
            (r"`a\u{202e}b.test` is a\tURL", r"write `\u{feff}b`")
        );
        assert_eq!(Refusal::new("`b\u{fc}cher`", "…").what, "`b\u{fc}cher`");
    }
}
