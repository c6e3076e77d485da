//! `outgate reference`: writes the reference pages in `docs/reference`.
//!
//! Guaranteed: each page is made from the table that the program itself works by, so a page cannot describe another
//! version. A test compares the pages in the repository with what this command writes.

mod commands;
mod keys;
mod markdown;
mod metrics;
mod problems;
mod reasons;
mod records;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args as ClapArgs;

use super::fail;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The folder to write the pages to
    #[arg(value_name = "FOLDER", default_value = "docs/reference")]
    folder: PathBuf,
}

/// A page: its file, and what writes it.
type Page = (&'static str, fn() -> String);

const PAGES: [Page; 7] = [
    ("commands.md", commands::page),
    ("configuration.md", keys::configuration),
    ("metrics.md", metrics::page),
    ("policy.md", keys::policy),
    ("problems.md", problems::page),
    ("reasons.md", reasons::page),
    ("records.md", records::page),
];

pub(super) fn run(args: &Args) -> ExitCode {
    for (file, write) in PAGES {
        let path = args.folder.join(file);
        if let Err(error) = std::fs::write(&path, write()) {
            return fail(&format!("cannot write {}: {error}", path.display()));
        }
    }
    ExitCode::SUCCESS
}
