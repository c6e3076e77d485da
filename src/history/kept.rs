//! Where records were kept, and the requests in them.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::SystemTime;

use super::{Known, Verified, jsonl, sqlite};
use crate::policy::text::parse_duration;

/// Where records were kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// A file of lines, with the rotated ones beside it.
    Jsonl(PathBuf),
    /// A database.
    Sqlite(PathBuf),
}

/// Why kept records cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the records in {}: {what}", path.display())]
pub struct KeptError {
    path: PathBuf,
    what: String,
}

/// One request that ended, as far as reports ask, or some that are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// How many.
    pub count: u64,
    /// When it began, in milliseconds since 1970; of some, when their hour did.
    pub ms: i64,
    /// `allow`, `deny`, `observe` or `none`.
    pub decision: &'a str,
    /// The reason's token; empty where allowed.
    pub reason: &'a str,
    /// The rule's id, or empty.
    pub rule: &'a str,
    /// The listener's name.
    pub tool: &'a str,
    /// Who asked, where that is known.
    pub identity: &'a str,
    /// The host as it is matched; empty where none was understood; not to be relied on where
    /// [`Wanted::Totals`] was asked for.
    pub host: &'a str,
    /// The port; 0 where there is no host.
    pub port: u16,
    /// The address that was dialled, with its port; empty for none; not to be relied on where [`Wanted::Each`] was
    /// not asked for.
    pub address: &'a str,
    /// Whether it was a tunnel that did not begin with a TLS greeting for its host, as far as records show. As
    /// above.
    pub greeted_otherwise: bool,
}

/// What somebody needs to know of each request. A database has sums by hour for the first two, so that they need not
/// read its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Neither destination nor address.
    Totals,
    /// All but the address, and how a tunnel began.
    Destinations,
    /// All, and each request by itself.
    Each,
}

/// What was found beside requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// Records that are missing, by the reason of their `gap` lines.
    pub missing: Vec<(String, u64)>,
    /// Lines that are no records.
    pub unreadable: u64,
}

impl Kept {
    /// Records in a file; which kind it is, its first bytes say.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of_file(path: PathBuf) -> Result<Self, KeptError> {
        const MAGIC: &[u8] = b"SQLite format 3\0";
        let mut first = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut first));
        match read {
            Err(error) => Err(KeptError::new(path, &error)),
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
        wanted: Wanted,
        since: Option<SystemTime>,
        mut each: impl FnMut(&Request<'_>),
    ) -> Result<Beside, KeptError> {
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
    pub fn verify(&self, known: &Known) -> Result<Verified, KeptError> {
        match self {
            Self::Jsonl(path) => jsonl::verify(path, known).map_err(|error| self.error(&error)),
            Self::Sqlite(path) => sqlite::verify(path, known).map_err(|error| self.error(&error)),
        }
    }

    fn error(&self, what: &dyn std::fmt::Display) -> KeptError {
        KeptError { path: self.path().clone(), what: what.to_string() }
    }
}

impl KeptError {
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

impl Beside {
    pub(super) fn gap(&mut self, reason: &str, dropped: u64) {
        match self.missing.iter_mut().find(|(known, _)| known == reason) {
            Some((_, sum)) => *sum += dropped,
            None if dropped > 0 => self.missing.push((reason.to_owned(), dropped)),
            None => {}
        }
    }
}
