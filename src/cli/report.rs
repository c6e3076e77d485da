//! `outgate report`: requests and denials from kept records, added up; and the check of their chain.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::builder::PossibleValue;
use clap::{Args as ClapArgs, ValueEnum};

use super::kept::{RecordsArgs, requests, sources};
use super::out::{json_line, print_as_is};
use super::{configuration, fail, is_colour_wanted, print};
use crate::history::report::{By, Count, ROWS, Report, Summed, name, page};
use crate::history::{ChainFacts, ChainHead, Verified};
use crate::record::Chain;
use crate::text::visible::escaped;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    #[command(flatten)]
    chosen: RecordsArgs,
    /// What each row is for
    #[arg(long, value_enum, default_value = "destination")]
    by: By,
    /// The output format
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// The most rows to print; the total still includes the others
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
    /// Verify the chain of all records instead; exits with 1 if a record is missing or was changed
    #[arg(long, conflicts_with_all = ["since", "limit"])]
    verify: bool,
    /// A key of the chain, in addition to the configuration's; repeat it for each key that was in use
    #[arg(long, value_name = "FILE", requires = "verify")]
    chain_key: Vec<PathBuf>,
    /// A head of the chain from the log, which the records must still contain
    #[arg(long, value_name = "SEQ:HASH", requires = "verify")]
    head: Vec<String>,
}

impl ValueEnum for By {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.token()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
    Html,
    Ocsf,
}

pub(super) fn run(config: Option<&Path>, args: Args) -> ExitCode {
    if args.format == Format::Ocsf {
        return fail("`--format ocsf` is not supported in this version");
    }
    if args.verify {
        return verify(config, args);
    }
    match report(config, args) {
        Ok(text) => {
            print_as_is(&text);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn report(config: Option<&Path>, args: Args) -> Result<String, String> {
    let mut report = Report::new(args.by);
    if args.format != Format::Html {
        report = report.rows_alone();
    }
    requests(config, args.chosen, report.wanted(), |request| report.add(request))?;
    let most = if args.format == Format::Html { ROWS } else { usize::MAX };
    let summed = report.finish(args.limit.unwrap_or(most));
    Ok(match args.format {
        Format::Table => table(&summed, args.by.token(), colour()),
        Format::Json => json_line(&summed.document()),
        Format::Csv => summed.csv(),
        Format::Html | Format::Ocsf => page(&summed, args.by.token(), SystemTime::now()),
    })
}

fn colour() -> bool {
    is_colour_wanted() && std::io::stdout().is_terminal()
}

fn table(summed: &Summed, title: &str, colour: bool) -> String {
    let rows: Vec<_> = summed.rows.iter().map(|row| (name(&row.key), row.count)).collect();
    let shown = rows.iter().map(|(key, _)| key.as_str().chars().count());
    let width = shown.chain([title.len(), "total".len()]).max().unwrap_or_default();
    let digits = summed.total.requests.to_string().len().max("requests".len());
    let mut text = format!("{title:<width$}  {:>digits$}  {:>digits$}\n", "requests", "denied");
    let mut line = |key: &str, Count { requests, denied }: Count| {
        let (on, off) = if colour && denied > 0 { ("\u{1b}[31m", "\u{1b}[0m") } else { ("", "") };
        // A String takes all.
        let _ = writeln!(text, "{key:<width$}  {requests:>digits$}  {on}{denied:>digits$}{off}");
    };
    for (key, count) in &rows {
        line(key.as_str(), *count);
    }
    line("total", summed.total);
    if summed.more_rows > 0 {
        let _ = writeln!(text, "and {} more rows", summed.more_rows);
    }
    text
}

fn verify(config: Option<&Path>, args: Args) -> ExitCode {
    let format = args.format;
    let verified = match walk(config, args) {
        Ok(verified) => verified,
        Err(error) => return fail(&error),
    };
    let whole = verified.iter().all(Verified::is_whole);
    print(&match format {
        Format::Json => json_line(&serde_json::json!({ "whole": whole, "sources": verified })),
        Format::Table => verified.iter().map(verification_text).collect(),
        Format::Csv | Format::Html | Format::Ocsf => return fail("--verify is written as table or json"),
    });
    if whole { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn walk(config: Option<&Path>, args: Args) -> Result<Vec<Verified>, String> {
    let heads =
        args.head.iter().map(|text| text.parse::<ChainHead>().map_err(|what| format!("--head: `{text}` is {what}")));
    let heads = heads.collect::<Result<Vec<_>, _>>()?;
    let configured = match config {
        Some(path) => configuration(Some(path))?.0.record.chain_key,
        None => None,
    };
    let keys = configured.iter().chain(&args.chain_key).map(|file| Chain::known(file));
    let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    let sources = sources(config, args.chosen.file)?;
    if let ([first, second, ..], false) = (sources.as_slice(), heads.is_empty()) {
        let (first, second) = (first.path().display(), second.path().display());
        return Err(format!("--head: each file has its own chain; name one of them: {first} or {second}"));
    }
    let known = ChainFacts { keys, heads };
    sources.iter().map(|kept| kept.verify(&known).map_err(|error| error.to_string())).collect()
}

/// Formats the result of a verification for people.
fn verification_text(verified: &Verified) -> String {
    let Verified { source, lines, first, last, head, faults, findings } = verified;
    let result = match faults {
        0 => "whole".to_owned(),
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    };
    let mut text = match lines {
        0 => format!("{source}: no records\n"),
        _ => format!("{source}: {lines} lines, seq {first} to {last}: {result}\n"),
    };
    for finding in findings {
        let mark = if finding.fault { "" } else { "note: " };
        let _ = writeln!(text, "  {mark}{}: {}", escaped(&finding.place), escaped(&finding.what));
    }
    if !head.is_empty() {
        let _ = writeln!(text, "  head {head}");
    }
    let shown = findings.iter().filter(|finding| finding.fault).count() as u64;
    if shown < *faults {
        let _ = writeln!(text, "  and {} more", faults - shown);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::tests::request;

    fn summed(limit: usize) -> Summed {
        let mut report = Report::new(By::Destination);
        for (count, decision, host) in
            [(3, "deny", "no.test"), (12, "allow", "a-long-name.example.test"), (1, "none", "")]
        {
            (0..count).for_each(|_| report.add(&request(1_795_442_531_042, decision, host)));
        }
        report.finish(limit)
    }

    #[test]
    fn a_table_is_aligned_and_ends_with_the_total() {
        let expected = "\
destination                   requests    denied
no.test:443                          3         3
a-long-name.example.test:443        12         0
(none)                               1         0
total                               16         3
";
        assert_eq!(table(&summed(9), "destination", false), expected);
        let short = table(&summed(1), "destination", false);
        assert!(short.ends_with("\ntotal              16         3\nand 2 more rows\n"), "{short}");
        let coloured = table(&summed(9), "destination", true);
        assert_eq!(coloured.matches("\u{1b}[31m").count(), 2, "denials alone, and their sum");
    }
}
