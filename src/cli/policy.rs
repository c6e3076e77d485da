//! `outgate policy …`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use clap::Subcommand;

use serde_json::json;

use super::out::json_line;
use super::{FAILED, fail, print, say};
use crate::facts::{Client, Question, RequestFacts, Tool};
use crate::policy::text::{LocatedProblem, ProblemReport, json_schema};
use crate::policy::{Decision, Effect, Snapshot, TestDocument};
use crate::source::{LoadedPolicy, PolicySource};
use crate::text::figures::counted;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Report every mistake of a policy as `file:line:column`, with what to write instead
    Validate {
        /// Policy files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Print one JSON object per file
        #[arg(long)]
        json: bool,
    },
    /// Run the `[[test]]` cases of a policy; exits with 1 if one fails
    Test {
        /// The policy file
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Print the JSON Schema of a policy, for editors
    Schema,
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Policy commands that the contract names and that this version does not have yet.
const LATER: [&str; 8] = ["diff", "replay", "lint", "import", "export", "sign", "verify", "keygen"];

pub(super) fn run(command: Command) -> ExitCode {
    match command {
        Command::Validate { files, json } => validate(files, json),
        Command::Test { file } => test(file),
        Command::Schema => {
            print(&json_schema());
            ExitCode::SUCCESS
        }
        Command::Other(words) => match words.first().map_or("", String::as_str) {
            word if LATER.contains(&word) => fail(&format!("`policy {word}` is not supported in this version")),
            word => fail(&format!("there is no command `policy {word}`; `outgate policy --help` lists them")),
        },
    }
}

/// Every mistake and every warning of every file: on stderr as lines, or on stdout as JSON.
fn validate(files: Vec<PathBuf>, as_json: bool) -> ExitCode {
    let mut mistakes = 0;
    for file in files {
        let name = file.display().to_string();
        let loaded = PolicySource::File(file).load(false).1;
        mistakes += loaded.as_ref().map_or_else(ProblemReport::total, |_| 0);
        if as_json {
            print(&json_line(&validated(&name, &loaded)));
        } else {
            tell(&name, &loaded);
        }
    }
    match (mistakes, as_json) {
        (0, _) => ExitCode::SUCCESS,
        (_, true) => ExitCode::from(FAILED),
        (count, false) => fail(&counted(count as u64, "mistake")),
    }
}

fn tell(name: &str, loaded: &Result<LoadedPolicy, ProblemReport>) {
    match loaded {
        Ok(loaded) => {
            for warning in loaded.warnings.lines() {
                say(&format!("warning: {warning}"));
            }
            let (rules, revision) = (counted(loaded.policy.rule_count() as u64, "rule"), loaded.policy.revision());
            print(&format!("{name}: valid, {rules}, revision {revision}"));
        }
        Err(report) => report.lines().iter().for_each(|line| say(line)),
    }
}

/// What `docs/policy.md` describes.
fn validated(name: &str, loaded: &Result<LoadedPolicy, ProblemReport>) -> serde_json::Value {
    let problems = |report: &ProblemReport| report.problems().iter().map(problem).collect::<Vec<_>>();
    match loaded {
        Ok(LoadedPolicy { policy, warnings, .. }) => json!({
            "file": name,
            "valid": true,
            "name": policy.name(),
            "revision": policy.revision(),
            "rules": policy.rule_count(),
            "errors": 0,
            "warnings": warnings.total(),
            "problems": problems(warnings),
        }),
        Err(report) => json!({
            "file": name,
            "valid": false,
            "errors": report.total(),
            "warnings": 0,
            "problems": problems(report),
        }),
    }
}

fn problem(problem: &LocatedProblem) -> serde_json::Value {
    json!({
        "severity": problem.code.severity().as_str(),
        "code": problem.code.as_str(),
        "file": problem.file,
        "line": problem.line,
        "column": problem.column,
        "what": problem.what,
        "fix": problem.fix,
    })
}

fn test(file: PathBuf) -> ExitCode {
    let name = file.display().to_string();
    let LoadedPolicy { policy, loaded, .. } = match PolicySource::File(file).load(false).1 {
        Ok(loaded) => loaded,
        Err(report) => return fail(&report.to_string()),
    };
    let policy = Snapshot::from(policy);
    let cases = &loaded.document.tests;
    let mut failed = 0;
    for case in cases {
        if let Err(why) = holds(&policy, case) {
            failed += 1;
            let (line, column) = loaded.source.locate(case.span);
            print(&format!("{name}:{line}:{column}: {}: {why}", case.to.value));
        }
    }
    print(&format!("{} passed, {failed} failed", cases.len() - failed));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Judges one case, as a request of that kind would be; names are not resolved.
fn holds(policy: &Snapshot, case: &TestDocument) -> Result<(), String> {
    let question = Question::parse(&case.to.value).map_err(|error| error.to_string())?;
    let facts = RequestFacts {
        client: Client::hypothetical(),
        tool: Tool::new(case.tool.as_deref().unwrap_or_default()),
        protocol: question.protocol,
        destination: question.destination,
        method: question.method,
        upgrade: question.upgrade,
        path: question.path,
        passed_through_us: false,
        at: SystemTime::now(),
    };
    match (policy.decide(&facts), case.expect) {
        (Decision::Allow(permit), expected) => match (permit.observed(), expected) {
            (None, Effect::Allow) => Ok(()),
            (None, Effect::Deny) => Err(format!("is allowed by {}", permit.rule_id().unwrap_or("egress = \"all\""))),
            // Observe mode lets it pass; the case is about the rules.
            (Some(denial), expected) => judged(denial.reason().as_str(), expected, case),
        },
        (Decision::Deny(denial), expected) => judged(denial.reason().as_str(), expected, case),
    }
}

fn judged(reason: &str, expected: Effect, case: &TestDocument) -> Result<(), String> {
    match (expected, &case.reason) {
        (Effect::Allow, _) => Err(format!("is denied ({reason})")),
        (Effect::Deny, Some(wanted)) if wanted.value != reason => {
            Err(format!("is denied for {reason}, not for {}", wanted.value))
        }
        (Effect::Deny, _) => Ok(()),
    }
}
