//! The command line: one file per command.
//!
//! Guaranteed: errors go to stderr as sentences that say what, where and what to do; `--json` never changes with the
//! terminal. Exit codes are those of `docs/reference/commands.md`: 0, 1 for a "no", 2 for an error.

mod admin_client;
mod banner;
mod check;
mod doctor;
mod kept;
mod out;
mod pac;
mod policy;
mod reference;
mod report;
mod run;
mod suggest;
mod top;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use self::out::{fail, print, say};
use crate::config::Config;
use crate::policy::text::{ProblemReport, decode};

/// What ends a command that did not do its work.
const FAILED: u8 = 2;

/// The largest configuration file. Real ones have a few kilobytes.
const MAX_CONFIG: u64 = 1024 * 1024;

/// Commands that the contract names and that this version does not have yet.
const LATER: [&str; 4] = ["ca", "completions", "man", "service"];

#[derive(Debug, Parser)]
#[command(name = "outgate", version, about, long_about = LONG, disable_help_subcommand = true)]
struct Cli {
    /// The configuration file (outgate.toml)
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

const LONG: &str = "A forward proxy that enforces, explains and counts an organisation's network-egress permissions.\n\n\
    Without a command it runs the proxy on 127.0.0.1:3128 with the built-in starter policy.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the proxy; this is the default command
    Run(run::Args),
    /// Say whether destinations would be allowed, and why; exits with 1 if any is denied
    Check(check::Args),
    /// Validate and test policies, and print their JSON Schema
    Policy {
        #[command(subcommand)]
        command: policy::Command,
    },
    /// Find problems in this machine's setup, each with a fix; exits with 1 if there is one
    Doctor(doctor::Args),
    /// Add up recorded requests and denials, or verify the chain of records
    Report(report::Args),
    /// Print the smallest policy that would have allowed the recorded requests
    Suggest(suggest::Args),
    /// Show denials, the policy in force and open tunnels, live in a terminal
    Top(top::Args),
    /// Print the proxy auto-configuration script
    Pac,
    /// Write the reference pages of the documentation
    #[command(hide = true)]
    Reference(reference::Args),
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// Parses the arguments and does what they say.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help to stdout and errors to stderr, and knows which is which.
            let _unprintable = error.print();
            return if error.use_stderr() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS };
        }
    };
    let config = cli.config.as_deref();
    match cli.command {
        None => run::run(config, cli.run),
        Some(Command::Run(args)) => run::run(config, args),
        Some(Command::Check(args)) => check::run(config, &args),
        Some(Command::Policy { command }) => policy::run(command),
        Some(Command::Doctor(args)) => doctor::run(config, &args),
        Some(Command::Report(args)) => report::run(config, args),
        Some(Command::Suggest(args)) => suggest::run(config, args),
        Some(Command::Top(args)) => top::run(config, &args),
        Some(Command::Pac) => pac::run(config),
        Some(Command::Reference(args)) => reference::run(&args),
        Some(Command::Other(words)) => unknown(words.first().map_or("", String::as_str)),
    }
}

fn unknown(word: &str) -> ExitCode {
    if LATER.contains(&word) {
        return fail(&format!("`{word}` is not supported in this version"));
    }
    fail(&format!("there is no command `{word}`; `outgate --help` lists them"))
}

/// Whether colours may be used where they can be.
fn is_colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The configuration that a file describes, or the built-in one; and what is doubtful in it.
fn configuration(path: Option<&Path>) -> Result<(Config, Vec<String>), String> {
    let Some(path) = path else {
        return Ok((Config::built_in(), Vec::new()));
    };
    let name = path.display().to_string();
    let metadata = std::fs::metadata(path).map_err(|error| format!("cannot read the configuration {name}: {error}"))?;
    if !metadata.is_file() || metadata.len() > MAX_CONFIG {
        return Err(format!("the configuration {name} is not a regular file of at most {} KiB", MAX_CONFIG / 1024));
    }
    let bytes = std::fs::read(path).map_err(|error| format!("cannot read the configuration {name}: {error}"))?;
    let source = decode(&name, bytes).map_err(|problem| problem.to_string())?;
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    match Config::parse(source.text(), folder) {
        Ok((config, warnings)) => Ok((config, ProblemReport::new(&source, warnings).lines())),
        Err(problems) => Err(ProblemReport::new(&source, problems).to_string()),
    }
}
