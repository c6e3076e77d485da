//! Which records a command reads, and from when on.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{configuration, say};
use crate::policy::text::parse_duration;
use crate::record::kept::{Beside, Kept};

/// The records of a file, or all that the configuration keeps, the database first.
pub(super) fn sources(config: Option<&Path>, file: Option<PathBuf>) -> Result<Vec<Kept>, String> {
    if let Some(file) = file {
        return Ok(vec![Kept::of_file(file).map_err(|error| error.to_string())?]);
    }
    let Some(path) = config else {
        return Err("say where the records are: name their file, or a configuration with --config".into());
    };
    let (config, _) = configuration(Some(path))?;
    let named = [config.record.sqlite.map(Kept::Sqlite), config.record.jsonl.map(Kept::Jsonl)];
    let named: Vec<_> = named.into_iter().flatten().collect();
    if named.is_empty() {
        return Err(format!("{} keeps no records: it has neither `sqlite` nor `jsonl` in [record]", path.display()));
    }
    // What was configured only now may not be there yet.
    let there: Vec<_> = named.iter().filter(|kept| kept.path().exists()).cloned().collect();
    Ok(if there.is_empty() { named } else { there })
}

/// The first of them: the database, where there is one, since it reaches back further.
pub(super) fn source(config: Option<&Path>, file: Option<PathBuf>) -> Result<Kept, String> {
    sources(config, file)?.into_iter().next().ok_or_else(|| "there are no records".into())
}

/// A point in time: `7d` ago, a day, or a moment.
pub(super) fn since(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    if let Some(ago) = parse_duration(text) {
        return now.checked_sub(ago).ok_or_else(|| format!("--since: `{text}` is before all time"));
    }
    let wrong = || {
        let what = "neither a time ago (7d, 12h), nor a day (2026-11-23), nor a time (2026-11-23T14:00:00Z)";
        format!("--since: `{text}` is {what}")
    };
    // A day begins at midnight UTC, as in records.
    let day = text.parse::<jiff::civil::Date>().map(|day| format!("{day}T00:00:00Z"));
    let moment = text.parse::<jiff::Timestamp>().or_else(|_| day.and_then(|day| day.parse()));
    moment.ok().and_then(|moment| SystemTime::try_from(moment).ok()).ok_or_else(wrong)
}

/// Says on stderr what a sum does not contain.
pub(super) fn warn_of(beside: &Beside) {
    for (reason, count) in &beside.missing {
        say(&match reason.as_str() {
            "restart" => format!("outgate: cut off by a crash, and not counted: {count}"),
            _ => format!("outgate: missing ({reason}), and not counted: {count}"),
        });
    }
    if beside.unreadable > 0 {
        say(&format!("outgate: lines that are no records, and not counted: {}", beside.unreadable));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn since_is_a_time_ago_a_day_or_a_moment() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (text, expected) in [
            ("7d", at(1_000_000 - 7 * 86_400)),
            ("12h", at(1_000_000 - 12 * 3600)),
            ("1970-01-03", at(2 * 86_400)),
            ("1970-01-03T01:00:00Z", at(2 * 86_400 + 3600)),
            ("1970-01-03T01:00:00+01:00", at(2 * 86_400)),
            ("7", None),
            ("yesterday", None),
            ("", None),
            ("1970-13-01", None),
        ] {
            assert_eq!(since(text, now).ok(), expected, "{text:?}");
        }
    }
}
