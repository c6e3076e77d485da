//! Problems as people and programs see them: each with its file, line and column.

use std::fmt;

use super::SourceText;
use crate::policy::{Problem, ProblemCode, ProblemPlace, Problems};

/// One problem and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocatedProblem {
    /// The file, as the user named it.
    pub file: String,
    /// The line, from 1; none where the problem is with the file as a whole.
    pub line: Option<usize>,
    /// The column in characters, from 1; none where the problem is with the whole line.
    pub column: Option<usize>,
    /// What kind of problem it is.
    pub code: ProblemCode,
    /// What is wrong: a clause in lower case, without a full stop.
    pub what: String,
    /// What to do about it, likewise.
    pub fix: String,
}

/// The problems of one policy, in the order of the text. A document with very many problems has more than are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProblemReport {
    problems: Vec<LocatedProblem>,
    total: usize,
}

impl fmt::Display for LocatedProblem {
    /// `file:line:column: what; fix`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        write!(f, ": {}; {}", self.what, self.fix)
    }
}

impl ProblemReport {
    /// Of problems in this text.
    pub fn new(source: &SourceText, problems: Problems) -> Self {
        let problems = problems.sorted();
        let located = problems.kept().iter().map(|problem| source.located(problem)).collect();
        Self { problems: located, total: problems.total() }
    }

    /// Those that are shown.
    pub fn problems(&self) -> &[LocatedProblem] {
        &self.problems
    }

    /// How many there are in all.
    pub fn total(&self) -> usize {
        self.total
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// A line for each problem that is shown, and one that counts the others.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self.problems.iter().map(LocatedProblem::to_string).collect();
        let file = self.problems.first().map_or("", |problem| problem.file.as_str());
        match self.total - self.problems.len() {
            0 => {}
            1 => lines.push(format!("{file}: there is 1 more problem; fix these first")),
            more => lines.push(format!("{file}: there are {more} more problems; fix these first")),
        }
        lines
    }
}

impl From<LocatedProblem> for ProblemReport {
    fn from(problem: LocatedProblem) -> Self {
        Self { problems: vec![problem], total: 1 }
    }
}

impl fmt::Display for ProblemReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl SourceText {
    /// The problem with its file, line and column.
    pub fn located(&self, problem: &Problem) -> LocatedProblem {
        let Problem { place, code, what, fix } = problem;
        let (file, line, column) = match place {
            ProblemPlace::Document(span) => {
                let (line, column) = self.locate(*span);
                (self.name().to_owned(), Some(line), Some(column))
            }
            ProblemPlace::List { list, line } => (self.list_name(*list), Some(*line), None),
            ProblemPlace::Whole => (self.name().to_owned(), None, None),
        };
        LocatedProblem { file, line, column, code: *code, what: what.clone(), fix: fix.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Span;

    fn problem(place: ProblemPlace) -> Problem {
        Problem { place, code: ProblemCode::Syntax, what: "it is wrong".into(), fix: "correct it".into() }
    }

    #[test]
    fn a_problem_is_one_line_wherever_it_is() {
        let source = SourceText::new("policy.toml", "a\nb = 1\n").with_lists(vec!["lists/bad.txt".into()]);
        for (place, line) in [
            (ProblemPlace::Document(Span { start: 6, end: 7 }), "policy.toml:2:5: it is wrong; correct it"),
            (ProblemPlace::List { list: 0, line: 7 }, "lists/bad.txt:7: it is wrong; correct it"),
            (ProblemPlace::List { list: 1, line: 7 }, "policy.toml, list 2:7: it is wrong; correct it"),
            (ProblemPlace::Whole, "policy.toml: it is wrong; correct it"),
        ] {
            assert_eq!(source.located(&problem(place)).to_string(), line);
        }
    }

    #[test]
    fn a_report_counts_what_it_does_not_show() {
        let source = SourceText::new("p", "a");
        let lines = |more: usize| {
            let mut problems = Problems::default();
            problems.push(problem(ProblemPlace::Whole));
            problems.count_more(more);
            let report = ProblemReport::new(&source, problems);
            assert_eq!(report.total(), more + 1);
            report.lines()
        };
        assert_eq!(lines(0), ["p: it is wrong; correct it"]);
        assert_eq!(lines(1)[1..], ["p: there is 1 more problem; fix these first"]);
        assert_eq!(lines(199_994)[1..], ["p: there are 199994 more problems; fix these first"]);
    }
}
