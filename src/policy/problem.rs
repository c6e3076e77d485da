//! What is wrong with a policy, or looks wrong, and what to write instead.

use super::Span;

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

/// Why a value cannot be read, before anybody knows where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) what: String,
    pub(super) mend: String,
}

impl Refusal {
    pub(super) fn new(what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { what: what.into(), mend: mend.into() }
    }

    pub(super) fn at(self, place: Place) -> Problem {
        Problem { place, what: self.what, mend: self.mend }
    }
}
