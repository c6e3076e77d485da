//! The live file: lines are appended, written out, rotated; a failed one is tried again.

#[cfg(test)]
pub(super) mod tests;

use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime};

use super::Jsonl;
use super::archive::Archive;
use super::live::{Live, has_room, identity, open_live};
use super::tail::Tail;
use crate::private_file;
use crate::record::files::{compressed, numbered, remove, rename, time_of};
use crate::record::{Chain, LineHash};
use crate::sink::age::{Age, Expiry, Reading};
use crate::sink::retry::{Retry, fix_of};

/// Lines are written when they are this many bytes, or a batch ends: a hundred lines, so that the call is cheap compared
/// with them, and few enough to be still in the cache.
const WRITE_AT: usize = 64 * 1024;
/// A crash of the machine loses at most this much.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The file, and what has not reached it yet.
#[derive(Debug)]
pub(super) struct JsonlFile {
    settings: Jsonl,
    archive: Archive,
    chain: Chain,
    live: Option<Live>,
    /// The last line that is whole in the files: its `seq` and hash.
    last: Option<(u64, LineHash)>,
    pending: Vec<u8>,
    /// Where each pending line ends, its `seq` and hash, and whether it is a request's record.
    ends: Vec<(usize, (u64, LineHash), bool)>,
    /// Records that are missing since the last gap line.
    missing: u64,
    /// Records that were written since the last query.
    written: u64,
    /// Why it cannot be written, while it cannot.
    fault: Option<String>,
    retry: Retry,
    /// What follows for requests when it fails, for the log.
    consequence: &'static str,
    unsynced_since: Option<Instant>,
    #[cfg(test)]
    disk: tests::Disk,
}

impl JsonlFile {
    /// Opens the file, or makes it, and says where its lines stopped.
    ///
    /// # Errors
    /// Fails if the file cannot be opened, another process writes it, or it is not a regular file of records.
    pub(super) fn open(settings: Jsonl, chain: Chain, consequence: &'static str) -> io::Result<(Self, Tail)> {
        let (live, mut tail) = open_live(&settings, &chain)?;
        if tail.hash.is_none() {
            let before = numbered(&settings.path, 1);
            match private_file::open_own(&before) {
                Ok(mut rotated) => tail = Tail { whole: 0, ..Tail::read(&mut rotated, &chain)? },
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(io::Error::new(error.kind(), format!("{}: {error}", before.display()))),
            }
        }
        if let Some(risk) = private_file::folder_risk(&settings.path) {
            tracing::warn!(path = %settings.path.display(), "{risk}");
        }
        chain.notice_change(&settings.path, tail.seq, &tail.prev);
        let file = Self {
            archive: Archive::start(&settings.path, Age::new(settings.keep, tail.time, Reading::now()), settings.keep)?,
            settings,
            chain,
            live: Some(live),
            last: tail.hash.map(|hash| (tail.seq, hash)),
            pending: Vec::new(),
            ends: Vec::new(),
            missing: 0,
            written: 0,
            fault: None,
            retry: Retry::new(Instant::now()),
            consequence,
            unsynced_since: None,
            #[cfg(test)]
            disk: tests::Disk::default(),
        };
        Ok((file, tail))
    }

    /// Takes one line without its line feed. Returns how many records were lost by writing, if that failed.
    pub(super) fn append(&mut self, line: &[u8], seq: u64, hash: LineHash, is_record: bool) -> u64 {
        let Some(live) = &self.live else {
            self.missing += u64::from(is_record);
            return u64::from(is_record);
        };
        let after = live.size + (self.pending.len() + line.len() + 1) as u64;
        let mut lost = 0;
        if after > live.rotate_at && live.size + self.pending.len() as u64 > 0 {
            lost += self.write_out();
            self.rotate();
            if self.live.is_none() {
                self.missing += u64::from(is_record);
                return lost + u64::from(is_record);
            }
        }
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        self.ends.push((self.pending.len(), (seq, hash), is_record));
        if self.pending.len() >= WRITE_AT {
            lost += self.write_out();
        }
        lost
    }

    /// Writes what is pending. Returns how many records were lost, if that failed.
    pub(super) fn write_out(&mut self) -> u64 {
        if self.pending.is_empty() {
            return 0;
        }
        self.notice();
        let pending = std::mem::take(&mut self.pending);
        let ends = std::mem::take(&mut self.ends);
        let (written, error) = if self.live.is_some() { self.write_bytes(&pending) } else { (0, None) };
        let whole = ends.iter().take_while(|(end, ..)| *end <= written).count();
        if let Some((end, last, _)) = whole.checked_sub(1).and_then(|last| ends.get(last)) {
            self.last = Some(*last);
            if let Some(live) = &mut self.live {
                if live.size == 0 {
                    live.begun = time_of(&pending);
                }
                live.size += *end as u64;
            }
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        self.written += ends.iter().take(whole).filter(|(.., is_record)| *is_record).count() as u64;
        let lost = ends.iter().skip(whole).filter(|(.., is_record)| *is_record).count() as u64;
        self.missing += lost;
        if let Some(error) = error {
            self.fail(&error);
        }
        // The capacity serves the next batch.
        self.pending = cleared(pending);
        self.ends = ends;
        self.ends.clear();
        lost
    }

    fn write_bytes(&mut self, bytes: &[u8]) -> (usize, Option<io::Error>) {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.write_some(rest) {
                Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
                Ok(n) => written += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (written, Some(error)),
            }
        }
        (written, None)
    }

    fn write_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        #[cfg(test)]
        let bytes = self.disk.take(bytes)?;
        match &mut self.live {
            Some(live) => live.file.write(bytes),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Looks whether the file is still the one of that name, with all that was written to it. Whoever rotates it from
    /// outside need not tell us.
    fn notice(&mut self) {
        let Some(live) = &mut self.live else { return };
        let path = &self.settings.path;
        match std::fs::metadata(path) {
            Ok(there) if identity(&there) == live.identity => {
                if there.len() < live.size {
                    tracing::warn!(path = %path.display(), "the file of records was truncated; lines continue at its new end");
                    live.size = there.len();
                }
                return;
            }
            // What cannot be seen now shows when it is written.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return,
            _ => {}
        }
        tracing::warn!(path = %path.display(), "the file of records was moved or deleted; lines continue in a new one");
        // The old one is whole, and not ours any more.
        self.live = None;
        match open_live(&self.settings, &self.chain) {
            Ok((live, _)) => self.live = Some(live),
            Err(error) => self.fail(&error),
        }
    }

    /// Takes back half a line and waits before the next try.
    fn fail(&mut self, error: &io::Error) {
        self.fault = Some(error.to_string());
        if self.retry.failed(Instant::now()) {
            tracing::warn!(
                path = %self.settings.path.display(),
                %error,
                fix = fix_of(error),
                "records cannot be written; {}; lost records are counted, and the file is tried again every few seconds",
                self.consequence,
            );
        }
        if let Some(live) = self.live.take()
            && live.file.metadata().is_ok_and(|there| there.len() > live.size)
        {
            // If even this fails, opening it again cuts the torn line off.
            let _ = live.file.set_len(live.size);
        }
    }

    /// When a failed file wants to be tried again.
    pub(super) fn retry_at(&self) -> Option<Instant> {
        self.live.is_none().then(|| self.retry.at())
    }

    /// Tries a failed file again. If it opens: the records that are missing and the hash to go on from, for a gap line,
    /// which the caller hands to [`Self::write_gap`].
    pub(super) fn reopen(&mut self) -> Option<(u64, Option<LineHash>)> {
        match open_live(&self.settings, &self.chain).and_then(|(live, tail)| has_room(&live).map(|()| (live, tail))) {
            Ok((live, tail)) => {
                self.live = Some(live);
                if let Some(hash) = tail.hash {
                    self.last = Some((tail.seq, hash));
                }
                Some((self.missing, self.last.map(|(_, hash)| hash)))
            }
            Err(error) => {
                self.fail(&error);
                None
            }
        }
    }

    /// Writes the line that says what is missing; whether that worked.
    pub(super) fn write_gap(&mut self, line: &[u8], seq: u64, hash: LineHash) -> bool {
        self.append(line, seq, hash, false);
        self.write_out();
        if self.live.is_some() {
            if self.retry.recovered(Instant::now()) {
                let path = self.settings.path.display();
                tracing::info!(%path, missing = self.missing, "records are written again");
            }
            self.missing = 0;
            self.fault = None;
        }
        self.live.is_some()
    }

    /// The last line that is whole in the files: its `seq` and hash.
    pub(super) fn head(&self) -> Option<(u64, LineHash)> {
        self.last
    }

    /// Records that were written since the last time that this was asked.
    pub(super) fn take_written(&mut self) -> u64 {
        std::mem::take(&mut self.written)
    }

    /// Why it cannot be written, while it cannot.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }

    /// When what was written should be on the disk at the latest.
    pub(super) fn sync_at(&self) -> Option<Instant> {
        self.unsynced_since.map(|since| since + SYNC_EVERY)
    }

    /// Waits until what was written is on the disk.
    pub(super) fn sync(&mut self) {
        if self.unsynced_since.take().is_some()
            && let Some(live) = &self.live
            && let Err(error) = live.file.sync_data()
        {
            // What the system could not bring to the disk it may have forgotten; from here on it is a file that failed.
            self.fail(&error);
        }
    }

    /// Rotates a file whose first line is too old for it to grow on. Whether it did.
    pub(super) fn rotate_by_age(&mut self, now: Reading) -> bool {
        self.archive.wake();
        let Expiry { time, .. } = self.archive.judge(now);
        self.rotate_older(time)
    }

    fn rotate_older(&mut self, now: SystemTime) -> bool {
        let most = self.settings.keep / u32::try_from(self.settings.files.max(1)).unwrap_or(u32::MAX);
        let begun = self.live.as_ref().filter(|live| live.size > 0).and_then(|live| live.begun);
        // Where the clock was stepped back, a line from the future is young.
        let is_old = begun.and_then(|begun| now.duration_since(begun).ok()).is_some_and(|age| age >= most);
        if is_old {
            self.write_out();
            self.rotate();
        }
        is_old
    }

    /// path → path.1 → path.2 …, so that there are `files` of them with the live one.
    fn rotate(&mut self) {
        self.sync();
        let Some(live) = &mut self.live else { return };
        let path = &self.settings.path;
        let renamed = if self.settings.files > 1 {
            self.archive.with_names(|| {
                let last = self.settings.files - 1;
                remove(&compressed(path, last))?;
                remove(&numbered(path, last))?;
                (0..last).rev().try_for_each(|n| {
                    rename(&compressed(path, n), &compressed(path, n + 1))?;
                    rename(&numbered(path, n), &numbered(path, n + 1))
                })
            })
        } else {
            live.file.set_len(0)
        };
        if let Err(error) = renamed {
            tracing::warn!(path = %path.display(), %error, "records cannot be rotated; the file keeps growing");
            live.rotate_at = live.size + self.settings.max_size / 4;
            return;
        }
        // Closed first: with one file only the lock is on the very file that is opened again. Nothing is to be taken
        // back from it if that fails, so it is not there for `fail` to see.
        self.live = None;
        match open_live(&self.settings, &self.chain) {
            Ok((live, _)) => self.live = Some(live),
            Err(error) => self.fail(&error),
        }
        self.archive.wake();
    }
}

impl Drop for JsonlFile {
    fn drop(&mut self) {
        self.sync();
    }
}

fn cleared(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    buffer.shrink_to(2 * WRITE_AT);
    buffer
}
