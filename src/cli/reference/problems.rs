//! What can be wrong with a policy.

use super::markdown::{Page, code};
use crate::policy::{Example, ProblemCode};

pub(super) fn page() -> String {
    let introduction = "The problems that `outgate policy validate` finds, by their codes. A code keeps its meaning; the text of a message may change. A policy with an error does not come into force. [Writing a policy](../policy.md) shows what `--json` prints.\n\nThe same codes describe problems of the configuration. The list `lists/names.txt` of the examples holds two names.";
    let mut page = Page::new("Problem codes", introduction);
    let rows: Vec<_> = ProblemCode::all()
        .map(|problem| {
            let severity = problem.severity().as_str().to_owned();
            let [wrong, right] = examples(problem.example());
            [code(problem.as_str()), severity, problem.meaning().to_owned(), wrong, right]
        })
        .collect();
    page.table(["code", "severity", "meaning", "example", "without the problem"], &rows);
    page.finish()
}

fn examples(example: Example) -> [String; 2] {
    match example {
        Example::Policy { wrong, right } => [lines(wrong), lines(right)],
        Example::ListLine { wrong, right } => {
            [format!("in a list: {}", code(wrong)), format!("in a list: {}", code(right))]
        }
        Example::Words(words) => [words.to_owned(), String::new()],
    }
}

/// Several lines in one cell.
fn lines(text: &str) -> String {
    text.lines().map(code).collect::<Vec<_>>().join("<br>")
}
