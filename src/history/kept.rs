//! Where records were kept, and the requests in them.

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::SystemTime;

use super::request::{Detail, NotRequests, Request};
use super::verify::{ChainFacts, Verified};
use super::{jsonl, sqlite};
use crate::policy::text::parse_duration;
use crate::private_file;

/// Where records were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordSource {
    /// A file of lines, with the rotated ones next to it.
    Jsonl(PathBuf),
    /// A database.
    Sqlite(PathBuf),
}

/// Why kept records cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the records in {}: {what}", path.display())]
pub struct RecordSourceError {
    path: PathBuf,
    what: String,
}

impl RecordSource {
    /// Records in a file; which kind it is, its first bytes say.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_file(path: PathBuf) -> Result<Self, RecordSourceError> {
        const MAGIC: &[u8] = b"SQLite format 3\0";
        let mut first = Vec::new();
        let read =
            private_file::open_regular(&path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut first));
        match read {
            Err(error) => Err(RecordSourceError::new(path, &error)),
            Ok(_) if first == MAGIC => Ok(Self::Sqlite(path)),
            Ok(_) => Ok(Self::Jsonl(path)),
        }
    }

    /// The file, to name it.
    pub fn path(&self) -> &PathBuf {
        match self {
            Self::Jsonl(path) | Self::Sqlite(path) => path,
        }
    }

    /// Shows every request that began at `since` or later.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn requests(
        &self,
        wanted: Detail,
        since: Option<SystemTime>,
        mut each: impl FnMut(&Request<'_>),
    ) -> Result<NotRequests, RecordSourceError> {
        let since = since.map_or(i64::MIN, |since| {
            jiff::Timestamp::try_from(since).map_or(i64::MIN, jiff::Timestamp::as_millisecond)
        });
        match self {
            Self::Jsonl(path) => jsonl::requests(path, wanted, since, &mut each).map_err(|error| self.error(&error)),
            Self::Sqlite(path) => sqlite::requests(path, wanted, since, &mut each).map_err(|error| self.error(&error)),
        }
    }

    /// Walks all lines in order and computes their hashes again, by the keys that are known.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn verify(&self, known: &ChainFacts) -> Result<Verified, RecordSourceError> {
        match self {
            Self::Jsonl(path) => jsonl::verify(path, known).map_err(|error| self.error(&error)),
            Self::Sqlite(path) => sqlite::verify(path, known).map_err(|error| self.error(&error)),
        }
    }

    fn error(&self, what: &dyn std::fmt::Display) -> RecordSourceError {
        RecordSourceError { path: self.path().clone(), what: what.to_string() }
    }
}

impl RecordSourceError {
    fn new(path: PathBuf, what: &io::Error) -> Self {
        Self { path, what: what.to_string() }
    }
}

/// A point in time as people write it, by `now`: a time ago (`7d`), a day, or a moment.
///
/// # Errors
/// What it is not, as a sentence.
pub fn since(text: &str, now: SystemTime) -> Result<SystemTime, String> {
    if let Some(ago) = parse_duration(text) {
        return now.checked_sub(ago).ok_or_else(|| format!("`{text}` is before all time"));
    }
    let wrong = || {
        let what = "neither a time ago (7d, 12h), nor a day (2026-11-23), nor a time (2026-11-23T14:00:00Z)";
        format!("`{text}` is {what}")
    };
    // A day begins at midnight UTC, as in records.
    let day = text.parse::<jiff::civil::Date>().map(|day| format!("{day}T00:00:00Z"));
    let moment = text.parse::<jiff::Timestamp>().or_else(|_| day.and_then(|day| day.parse()));
    moment.ok().and_then(|moment| SystemTime::try_from(moment).ok()).ok_or_else(wrong)
}
