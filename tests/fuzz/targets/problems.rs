//! What is said about a document that is wrong: one visible line each, at a place that is there.

use outgate::policy::text::{ProblemReport, SourceText};
use outgate::policy::{ProblemPlace, Problems};

/// Checks what was said about this text. `lists` says how many lines each list has.
#[track_caller]
pub(super) fn check(text: &str, lists: &[usize], problems: &Problems) {
    let source = SourceText::new("file", text);
    assert!(problems.total() >= problems.kept().len());
    for problem in problems.kept() {
        match problem.place {
            ProblemPlace::Document(span) => {
                assert!(span.start <= span.end && span.end <= text.len(), "{problem:?}");
                let (line, column) = source.locate(span);
                assert!(line >= 1 && column >= 1 && line <= text.split('\n').count(), "{problem:?}");
            }
            ProblemPlace::List { list, line } => {
                assert!(line >= 1 && lists.get(list).is_some_and(|lines| line <= *lines))
            }
            ProblemPlace::Whole => {}
        }
        assert!(!problem.what.is_empty() && !problem.fix.is_empty(), "{problem:?}");
    }
    ProblemReport::new(&source, problems.clone()).lines().iter().for_each(|line| check_visible(line));
}

/// A line that can be shown on a terminal: nothing ends it, drives the terminal or turns the direction of writing.
#[track_caller]
pub(super) fn check_visible(line: &str) {
    if line.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return;
    }
    let hidden = line.chars().find(|letter| {
        letter.is_control()
            || matches!(letter, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    });
    assert_eq!(hidden, None, "{line:?}");
}
