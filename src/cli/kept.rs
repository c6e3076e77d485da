//! Which records a command reads, and from when on.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;

use super::{configuration, say};
use crate::history::{Detail, NotRequests, RecordSource, Request, since};
use crate::text::visible::escaped;

/// Which records.
#[derive(Debug, Args)]
pub(super) struct RecordsArgs {
    /// The file of records (JSON Lines or SQLite), instead of the configuration's
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// The earliest record to read: 7d, 12h, 2026-11-23 or a time [default: all records]
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
}

/// The records of a file, or all that the configuration keeps, the database first.
pub(super) fn sources(config: Option<&Path>, file: Option<PathBuf>) -> Result<Vec<RecordSource>, String> {
    if let Some(file) = file {
        return Ok(vec![RecordSource::of_file(file).map_err(|error| error.to_string())?]);
    }
    let Some(path) = config else {
        return Err("say where the records are: name their file, or a configuration with --config".into());
    };
    let (config, _) = configuration(Some(path))?;
    let named = [config.record.sqlite.map(RecordSource::Sqlite), config.record.jsonl.map(RecordSource::Jsonl)];
    let named: Vec<_> = named.into_iter().flatten().collect();
    if named.is_empty() {
        return Err(format!("{} keeps no records: it has neither `sqlite` nor `jsonl` in [record]", path.display()));
    }
    // What was configured only now may not be there yet.
    let there: Vec<_> = named.iter().filter(|kept| kept.path().exists()).cloned().collect();
    Ok(if there.is_empty() { named } else { there })
}

/// Shows every request of the first of them: the database, where there is one, since it reaches back further. What they
/// do not contain is said on stderr.
pub(super) fn requests(
    config: Option<&Path>,
    chosen: RecordsArgs,
    wanted: Detail,
    each: impl FnMut(&Request<'_>),
) -> Result<(), String> {
    let from = chosen.since.map(|text| since(&text, SystemTime::now()).map_err(|error| format!("--since: {error}")));
    let from = from.transpose()?;
    let kept = sources(config, chosen.file)?.into_iter().next().ok_or("there are no records")?;
    warn_of(&kept.requests(wanted, from, each).map_err(|error| error.to_string())?);
    Ok(())
}

/// Says on stderr what a sum does not contain.
fn warn_of(not_requests: &NotRequests) {
    for (reason, count) in &not_requests.missing {
        say(&match reason.as_str() {
            "restart" => format!("outgate: cut off by a crash, and not counted: {count}"),
            // The reason comes from the file; escaping keeps it on this line.
            _ => format!("outgate: missing ({}), and not counted: {count}", escaped(reason)),
        });
    }
    if not_requests.unreadable > 0 {
        say(&format!("outgate: lines that are not records, and not counted: {}", not_requests.unreadable));
    }
}
