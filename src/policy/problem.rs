//! What is wrong with a policy, or looks wrong, and what to write instead.

use super::{ProblemCode, Span};
use crate::text::visible::is_visible;

/// One problem: an error or a warning, as its code says. [`SourceText`](super::text::SourceText) finds its file, line and
/// column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: ProblemPlace,
    /// What kind of problem it is.
    pub code: ProblemCode,
    /// What is wrong: a clause in lower case, without a full stop.
    pub what: String,
    /// What to do about it, likewise.
    pub fix: String,
}

/// Where a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemPlace {
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

/// The maximum number of problems that are kept for one document. Problems are logged, shown and sent in responses, so
/// a generated file with a million wrong entries must not produce a million messages.
const MOST_KEPT: usize = 100;

/// The problems of one document. The first 100 are kept, all are counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    kept: Vec<Problem>,
    total: usize,
}

impl Problems {
    /// Adds one at a place in the document. `what` and `fix` are clauses, see [`Problem`].
    pub fn at(&mut self, span: Span, code: ProblemCode, what: impl Into<String>, fix: impl Into<String>) {
        self.push(Complaint::new(code, what, fix).at(ProblemPlace::Document(span)));
    }

    /// Adds one.
    pub fn push(&mut self, problem: Problem) {
        if self.kept.len() < MOST_KEPT {
            self.kept.push(problem);
        }
        self.total += 1;
    }

    /// Counts that many more, which are not kept.
    pub(super) fn count_more(&mut self, more: usize) {
        self.total += more;
    }

    /// Adds all of another document's part.
    pub fn append(&mut self, other: Self) {
        let unkept = other.total - other.kept.len();
        other.kept.into_iter().for_each(|problem| self.push(problem));
        self.total += unkept;
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// How many there are, kept or not.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Those that were kept; in the order of the text after [`Problems::sorted`].
    pub fn kept(&self) -> &[Problem] {
        &self.kept
    }

    /// The same problems in the order of the text.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.kept.sort_by_key(|problem| problem.place);
        self
    }
}

/// Why a value cannot be read, before its place is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub(super) code: ProblemCode,
    pub(super) what: String,
    pub(super) fix: String,
}

impl Complaint {
    /// `what` and `fix` are clauses, see [`Problem`].
    pub fn new(code: ProblemCode, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { code, what: shown(what.into()), fix: shown(fix.into()) }
    }

    /// The problem at this place.
    pub fn at(self, place: ProblemPlace) -> Problem {
        Problem { place, code: self.code, what: self.what, fix: self.fix }
    }
}

/// Most messages repeat what was written, and they are shown on terminals: characters that would not be visible there, or
/// that change the direction of writing, are escaped.
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

    fn complaint(what: &str) -> Complaint {
        Complaint::new(ProblemCode::InvalidValue, what, "write `\u{feff}b`")
    }

    #[test]
    fn a_message_escapes_what_would_not_be_visible() {
        let shown = complaint("`a\u{202e}b.test` is a\tURL");
        assert_eq!((shown.what.as_str(), shown.fix.as_str()), (r"`a\u{202e}b.test` is a\tURL", r"write `\u{feff}b`"));
        assert_eq!(complaint("`b\u{fc}cher`").what, "`b\u{fc}cher`");
    }

    #[test]
    fn all_problems_are_counted_and_the_first_hundred_are_kept() {
        let many = |count: usize| {
            let mut problems = Problems::default();
            (0..count).for_each(|start| problems.at(Span { start, end: start }, ProblemCode::Syntax, "a", "b"));
            problems
        };
        assert_eq!((many(100).kept().len(), many(100).total()), (100, 100));
        let mut both = many(101);
        both.count_more(5);
        both.append(many(250));
        assert_eq!((both.kept().len(), both.total()), (100, 356));
        let mut few = many(1);
        few.append(many(250));
        assert_eq!((few.kept().len(), few.total()), (100, 251));
    }
}
