//! The file of JSON Lines.
//!
//! Guaranteed:
//! - Only whole lines: what a full disk cut off in the middle is taken back before anything follows it.
//! - Each line's `prev` is the hash of the line before it in the files, over rotation, restarts and gaps.
//! - What could not be written is counted; once writing works again, a `gap` line says how many are missing.
//! - Only its owner can open the file, even if it existed with another mode ([`private_file`]). An advisory lock admits
//!   one process at a time.
//! - A file that is moved, deleted or truncated is noticed before the next write: lines continue in a new one under the
//!   old name, and the chain with them. No signal is needed for it.
//! - The file is rotated at `max-size`, and at the latest when its first line is a `files`-th of `keep` old; so nothing stays
//!   in it for longer than `keep`, and no file is removed much before its last line is that old ([`archive`]).
//! - Only regular files: a pipe without a reader would block every record.
//!
//! Deliberately not done: keeping lines in memory until the disk has room again. That would only move the loss.

mod archive;
mod file;
mod left_open;
mod live;
mod tail;

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use self::file::JsonlFile;
use super::account::SinkAccount;
use super::age::Reading;
use super::fault::SinkFault;
use super::{BatchEnd, Before};
use crate::record::{Body, Chain, Clock, Gap, GapCause, Health, Hourly, Kind, LineHash, RecordLine};

/// Between two looks at how old the file is, which is rotated after days.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// A file of JSON Lines.
#[derive(Clone, Debug)]
pub struct Jsonl {
    /// The live file; older ones are in the same folder, as `FILE.1`, `FILE.2.gz`, `FILE.3.gz` …
    pub path: PathBuf,
    /// Bytes at which it is rotated.
    pub max_size: u64,
    /// How many files there are, with the live one.
    pub files: usize,
    /// For how long records are kept, if that is not too many of them.
    pub keep: Duration,
}

/// The file as a sink.
#[derive(Debug)]
pub(super) struct JsonlSink {
    file: JsonlFile,
    path: PathBuf,
    chain: Chain,
    /// The hash of the last line that was handed in, whether or not it could be written.
    prev: Option<LineHash>,
    hourly: Hourly,
    /// When the file's age is looked at next.
    look_at: Instant,
    account: Arc<SinkAccount>,
    health: Arc<Health>,
}

impl JsonlSink {
    /// Opens the file, or makes it. Also the last line's `seq`; 0 without one.
    ///
    /// # Errors
    /// Fails if the file cannot be opened, another process writes it, or it is not a regular file of records.
    pub(super) fn open(
        settings: Jsonl,
        chain: Chain,
        account: Arc<SinkAccount>,
        health: Arc<Health>,
    ) -> io::Result<(Self, u64)> {
        let path = settings.path.clone();
        let (file, tail) = JsonlFile::open(settings, chain.clone(), health.consequence())
            .map_err(|error| io::Error::new(error.kind(), format!("records file {}: {error}", path.display())))?;
        let now = Instant::now();
        let hourly = Hourly::new("jsonl", &path, now);
        let sink = Self { file, path, chain, prev: tail.hash, hourly, look_at: now, account, health };
        Ok((sink, tail.seq))
    }

    /// The file's last line is `last`, and another sink has lines up to `seq`. It says so in the place of the last of them.
    pub(super) fn note_lag(&mut self, last: u64, seq: u64) {
        let gap = Gap { at: SystemTime::now(), dropped: seq - last, cause: GapCause::Restart };
        let line = RecordLine { seq, prev: self.prev, body: Body::Gap(gap), client: None };
        let mut json = Vec::new();
        line.write_json(&mut Clock::default(), &mut json);
        let hash = self.chain.hash(&json);
        self.file.append(&json, seq, hash, false);
        self.prev = Some(hash);
    }

    /// The ids of what has no end, by the file and by what is known already of another sink.
    pub(super) fn left_open(&self, known: HashSet<String>) -> HashSet<String> {
        left_open::left_open(&self.path, known)
    }

    pub(super) fn prev(&self) -> Option<LineHash> {
        self.prev
    }

    pub(super) fn take(&mut self, line: &RecordLine, json: &[u8]) {
        let hash = self.chain.hash(json);
        let is_record = line.record().is_some_and(|record| record.kind == Kind::End);
        self.account.lose(self.file.append(json, line.seq(), hash, is_record));
        self.prev = Some(hash);
    }

    /// Tries a failed file again, if it is time. The first line in it is the gap; lines after it go on from there.
    pub(super) fn before_lines(&mut self, whole: bool, now: Instant) -> Option<Before> {
        if self.file.retry_at().is_none_or(|at| at > now && !whole) {
            return None;
        }
        let (dropped, prev) = self.file.reopen()?;
        Some(Before::First { gap: Gap { at: SystemTime::now(), dropped, cause: GapCause::WriteFailed }, prev })
    }

    /// Writes the gap that [`Self::before_lines`] asked for. Whether that worked.
    pub(super) fn write_first(&mut self, line: &RecordLine, json: &[u8]) -> bool {
        let hash = self.chain.hash(json);
        let written = self.file.write_gap(json, line.seq(), hash);
        if written {
            self.prev = Some(hash);
        }
        written
    }

    /// Rotates a file that is too old. The line after that says so; it also keeps the sequence, when all others are
    /// removed.
    pub(super) fn after_lines(&mut self, now: Instant) -> Option<GapCause> {
        if now < self.look_at {
            return None;
        }
        self.look_at = now + LOOK_EVERY;
        self.file.rotate_by_age(Reading::now()).then_some(GapCause::Aged)
    }

    pub(super) fn write_out(&mut self, end: BatchEnd) {
        let BatchEnd { now, whole, last } = end;
        self.account.lose(self.file.write_out());
        SinkFault::Jsonl.set(&self.health, self.file.retry_at().is_some());
        if whole || self.file.sync_at().is_some_and(|at| at <= now) {
            self.file.sync();
        }
        self.account.wrote(self.file.take_written());
        match self.file.fault() {
            Some(fault) => self.account.fail(fault),
            None => self.account.heal(),
        }
        self.hourly.tell(self.file.head(), Instant::now(), last);
    }

    pub(super) fn due_at(&self) -> Option<Instant> {
        let times = [self.file.sync_at(), self.file.retry_at(), Some(self.hourly.next()), Some(self.look_at)];
        times.into_iter().flatten().min()
    }
}
