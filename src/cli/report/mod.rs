//! `outgate report`: requests and denials from kept records, added up; and the check of their chain.

mod html;

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::SystemTime;

use clap::{Args as ClapArgs, ValueEnum};
use serde::Serialize;
use serde_json::json;

use super::kept::{since, source, sources, warn_of};
use super::{fail, print};
use crate::protocol::visible::escaped;
use crate::record::kept::{Verified, Wanted};
use crate::record::report::{By, Count, Report, ReportRow, Summed};

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The file of records (JSON Lines or SQLite), instead of the configuration's
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// From when on: 7d, 12h, 2026-11-23 or a time [default: all that is kept]
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// What there is a row for each of
    #[arg(long, value_enum, default_value = "destination")]
    by: ByName,
    /// How it is written
    #[arg(long, value_enum, default_value = "table")]
    format: Format,
    /// At most so many rows; what is left out stays in the total
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
    /// Check the chain of all records instead: exit 1 if one is missing or was changed
    #[arg(long, conflicts_with_all = ["since", "limit"])]
    verify: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ByName {
    Destination,
    Domain,
    Rule,
    User,
    Tool,
    Reason,
    Day,
}

impl ByName {
    fn by(self) -> By {
        match self {
            Self::Destination => By::Destination,
            Self::Domain => By::Domain,
            Self::Rule => By::Rule,
            Self::User => By::User,
            Self::Tool => By::Tool,
            Self::Reason => By::Reason,
            Self::Day => By::Day,
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Destination => "destination",
            Self::Domain => "domain",
            Self::Rule => "rule",
            Self::User => "user",
            Self::Tool => "tool",
            Self::Reason => "reason",
            Self::Day => "day",
        }
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
            print(&text);
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

fn report(config: Option<&Path>, args: Args) -> Result<String, String> {
    let now = SystemTime::now();
    let from = args.since.as_deref().map(|text| since(text, now)).transpose()?;
    let kept = source(config, args.file)?;
    let mut report = Report::new(args.by.by());
    let beside =
        kept.requests(Wanted::Report, from, |request| report.add(request)).map_err(|error| error.to_string())?;
    warn_of(&beside);
    let summed = report.finish();
    let limit = args.limit.unwrap_or(usize::MAX);
    Ok(match args.format {
        Format::Table => table(&summed, args.by.title(), limit, colour()),
        Format::Json => json(&summed, limit),
        Format::Csv => csv(&summed, limit),
        Format::Html | Format::Ocsf => html::page(&summed, args.by.title(), args.limit, now),
    })
}

fn colour() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal()
}

/// What stands for an empty key.
fn name(key: &str) -> String {
    if key.is_empty() { "(none)".to_owned() } else { escaped(key) }
}

fn table(summed: &Summed, title: &str, limit: usize, colour: bool) -> String {
    let rows: Vec<_> = summed.rows.iter().take(limit).map(|row| (name(&row.key), row.count)).collect();
    let shown = rows.iter().map(|(key, _)| key.chars().count());
    let width = shown.chain([title.len(), "total".len()]).max().unwrap_or_default();
    let digits = summed.total.requests.to_string().len().max("requests".len());
    let mut text = format!("{title:<width$}  {:>digits$}  {:>digits$}\n", "requests", "denied");
    let mut line = |key: &str, Count { requests, denied }: Count| {
        let (on, off) = if colour && denied > 0 { ("\u{1b}[31m", "\u{1b}[0m") } else { ("", "") };
        // A String takes all.
        let _ = writeln!(text, "{key:<width$}  {requests:>digits$}  {on}{denied:>digits$}{off}");
    };
    for (key, count) in &rows {
        line(key, *count);
    }
    line("total", summed.total);
    let hidden = summed.rows.len() - rows.len();
    if hidden > 0 {
        let _ = writeln!(text, "and {hidden} more rows");
    }
    text
}

/// The document of `--format json` (CONTRACT §2).
#[derive(Serialize)]
struct Document<'a> {
    rows: &'a [ReportRow],
    total: Count,
}

fn json(summed: &Summed, limit: usize) -> String {
    let rows = summed.rows.get(..limit.min(summed.rows.len())).unwrap_or_default();
    serde_json::to_string(&Document { rows, total: summed.total }).unwrap_or_default()
}

fn csv(summed: &Summed, limit: usize) -> String {
    let mut text = String::from("key,requests,denied\r\n");
    for row in summed.rows.iter().take(limit) {
        let _ = write!(text, "{},{},{}\r\n", field(&row.key), row.count.requests, row.count.denied);
    }
    text
}

/// A field as RFC 4180 has it. What a spreadsheet would take for a formula is made text.
fn field(key: &str) -> String {
    let inert = if key.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{key}") } else { key.to_owned() };
    if inert.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", inert.replace('"', "\"\"")) } else { inert }
}

fn verify(config: Option<&Path>, args: Args) -> ExitCode {
    let verified: Result<Vec<Verified>, String> = sources(config, args.file)
        .and_then(|sources| sources.iter().map(|kept| kept.verify().map_err(|error| error.to_string())).collect());
    let verified = match verified {
        Ok(verified) => verified,
        Err(error) => return fail(&error),
    };
    let whole = verified.iter().all(Verified::is_whole);
    print(&match args.format {
        Format::Json => json!({ "whole": whole, "sources": verified }).to_string(),
        Format::Table => verified.iter().map(told).collect(),
        Format::Csv | Format::Html | Format::Ocsf => return fail("--verify is written as table or json"),
    });
    if whole { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// A walk's result for people.
fn told(verified: &Verified) -> String {
    let Verified { source, lines, first, last, faults, findings } = verified;
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
        let _ = writeln!(text, "  {mark}{}: {}", finding.place, finding.what);
    }
    let shown = findings.iter().filter(|finding| finding.fault).count() as u64;
    if shown < *faults {
        let _ = writeln!(text, "  and {} more", faults - shown);
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::record::kept::Request;

    pub(in crate::cli) fn request(ms: i64, decision: &'static str, host: &'static str) -> Request<'static> {
        Request {
            ms,
            decision,
            reason: if decision == "allow" { "" } else { "host_not_allowed" },
            rule: "",
            tool: "browser",
            identity: "",
            host,
            port: 443,
            address: "",
        }
    }

    fn summed() -> Summed {
        let mut report = Report::new(By::Destination);
        for (count, decision, host) in
            [(3, "deny", "no.test"), (12, "allow", "a-long-name.example.test"), (1, "none", "")]
        {
            (0..count).for_each(|_| report.add(&request(1_795_442_531_042, decision, host)));
        }
        report.finish()
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
        assert_eq!(table(&summed(), "destination", 9, false), expected);
        let short = table(&summed(), "destination", 1, false);
        assert!(short.ends_with("\ntotal              16         3\nand 2 more rows\n"), "{short}");
        let coloured = table(&summed(), "destination", 9, true);
        assert_eq!(coloured.matches("\u{1b}[31m").count(), 2, "denials alone, and their sum");
    }

    #[test]
    fn json_and_csv_have_the_same_rows() {
        assert_eq!(
            json(&summed(), 9),
            r#"{"rows":[{"key":"no.test:443","requests":3,"denied":3},{"key":"a-long-name.example.test:443","requests":12,"denied":0},{"key":"","requests":1,"denied":0}],"total":{"requests":16,"denied":3}}"#
        );
        assert_eq!(
            csv(&summed(), 2),
            "key,requests,denied\r\nno.test:443,3,3\r\na-long-name.example.test:443,12,0\r\n"
        );
        assert_eq!(field("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(field("=1+1"), "'=1+1");
    }
}
