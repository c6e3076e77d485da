//! `outgate policy …`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use clap::Subcommand;

use super::{fail, print, say};
use crate::facts::{Client, Question, RequestFacts, Tool};
use crate::policy::text::json_schema;
use crate::policy::{Decision, Effect, Snapshot, TestDocument};
use crate::source::{Compiled, PolicySource};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Report every mistake of a policy as `file:line:column`, with what to write instead
    Validate {
        /// Policy files
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
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
        Command::Validate { files } => validate(files),
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

/// Every mistake of every file on stderr; what is doubtful, too, marked as such.
fn validate(files: Vec<PathBuf>) -> ExitCode {
    let mut mistakes = 0;
    for file in files {
        let name = file.display().to_string();
        match PolicySource::new(Some(file)).load().1 {
            Ok(compiled) => {
                for warning in &compiled.warnings {
                    say(&format!("warning: {warning}"));
                }
                let rules = compiled.policy.rule_count();
                print(&format!("{name}: valid, {rules} rules, revision {}", compiled.policy.revision()));
            }
            Err(lines) => {
                mistakes += lines.len();
                for line in lines {
                    say(&line);
                }
            }
        }
    }
    match mistakes {
        0 => ExitCode::SUCCESS,
        1 => fail("1 mistake"),
        count => fail(&format!("{count} mistakes")),
    }
}

fn test(file: PathBuf) -> ExitCode {
    let name = file.display().to_string();
    let Compiled { policy, loaded, .. } = match PolicySource::new(Some(file)).load().1 {
        Ok(compiled) => compiled,
        Err(lines) => return fail(&lines.join("\n")),
    };
    let policy = Snapshot::new(Arc::new(policy));
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
        client: Client { addr: ([127, 0, 0, 1], 0).into() },
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
