//! The live file: lines are appended, written out, rotated; a failed one is tried again.

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
use crate::sink::retry::{Retry, mend_of};

/// Lines are written when they are this many bytes, or a batch ends: a hundred lines, so that the call is cheap beside
/// them, and no more than what is in the cache still.
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
    /// Records that were written since somebody asked.
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
    /// It cannot be opened, another process writes it, or it is no file of records, or no file.
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
                    tracing::warn!(path = %path.display(), "somebody cut off the file of records; lines go on in it");
                    live.size = there.len();
                }
                return;
            }
            // What cannot be seen now shows when it is written.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return,
            _ => {}
        }
        tracing::warn!(path = %path.display(), "the file of records was moved or deleted; lines go on in a new one");
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
                mend = mend_of(error),
                "records cannot be written; {}; what is lost is counted, and the file tried again every few seconds",
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
            if self.retry.mended(Instant::now()) {
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
            tracing::warn!(path = %path.display(), %error, "records cannot be rotated; the file grows on");
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

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;

    /// A disk with room for so many bytes.
    #[derive(Debug, Default)]
    pub(in crate::sink) struct Disk {
        pub(in crate::sink) room: Option<usize>,
    }

    impl Disk {
        pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
            let Some(room) = &mut self.room else { return Ok(bytes) };
            if *room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            let fits = bytes.len().min(*room);
            *room -= fits;
            Ok(&bytes[..fits])
        }
    }

    fn settings(dir: &tempfile::TempDir, max_size: u64, files: usize) -> Jsonl {
        Jsonl { path: dir.path().join("r.jsonl"), max_size, files, keep: Duration::MAX }
    }

    /// A line of 16 bytes with its line feed.
    fn text(seq: u64) -> String {
        format!("{{\"seq\":{seq:8}}}").replace("\": ", "\":")
    }

    fn append(file: &mut JsonlFile, seqs: impl IntoIterator<Item = u64>) -> u64 {
        let lost: u64 = seqs
            .into_iter()
            .map(|seq| file.append(text(seq).as_bytes(), seq, LineHash::of(text(seq).as_bytes()), true))
            .sum();
        lost + file.write_out()
    }

    fn seqs(path: &Path) -> Vec<u64> {
        let lines = std::fs::read_to_string(path).unwrap();
        lines
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap())
            .collect()
    }

    #[test]
    fn it_rotates_at_its_size_and_keeps_so_many_files() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 2 * 17, 3);
        let (mut file, tail) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests go on").unwrap();
        assert_eq!(tail, Tail::EMPTY);
        assert_eq!(append(&mut file, 1..=9), 0);
        assert_eq!(seqs(&settings.path), [9]);
        assert_eq!(seqs(&numbered(&settings.path, 1)), [7, 8]);
        assert_eq!(seqs(&numbered(&settings.path, 2)), [5, 6]);
        assert!(!numbered(&settings.path, 3).exists());
        assert_eq!(mode(&settings.path), 0o600);
    }

    #[test]
    fn a_single_file_begins_again() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 2 * 17, 1);
        let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests go on").unwrap();
        assert_eq!(append(&mut file, 1..=5), 0);
        assert_eq!(seqs(&settings.path), [5]);
        assert!(!numbered(&settings.path, 1).exists());
    }

    #[test]
    fn a_restart_goes_on_from_the_rotated_file_when_the_live_one_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 2 * 17, 3);
        let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests go on").unwrap();
        append(&mut file, 1..=2);
        file.rotate();
        drop(file);
        let (_, tail) = JsonlFile::open(settings, Chain::PLAIN, "requests go on").unwrap();
        assert_eq!(tail, Tail { seq: 2, hash: Some(LineHash::of(text(2).as_bytes())), ..Tail::EMPTY });
    }

    fn make(path: &Path, mode: u32) {
        std::fs::write(path, "").unwrap();
        set_mode(path, mode);
    }

    fn set_mode(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }

    fn mode(path: &Path) -> u32 {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
    }

    #[test]
    fn a_file_that_others_may_open_is_closed_to_them_before_a_line_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 1 << 20, 3);
        make(&settings.path, 0o666);
        let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests go on").unwrap();
        assert_eq!(append(&mut file, 1..=2), 0);
        assert_eq!(mode(&settings.path), 0o600);
        // As logrotate does, with `create 0644`.
        std::fs::rename(&settings.path, dir.path().join("old")).unwrap();
        make(&settings.path, 0o644);
        assert_eq!(append(&mut file, [3]), 0);
        assert_eq!((mode(&settings.path), seqs(&settings.path)), (0o600, vec![3]));
        drop(file);
        set_mode(&settings.path, 0o644);
        let (_file, tail) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests go on").unwrap();
        assert_eq!((mode(&settings.path), tail.seq), (0o600, 3));
    }

    #[test]
    fn a_link_in_the_place_of_the_file_is_never_followed() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 1 << 20, 3);
        let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests go on").unwrap();
        append(&mut file, 1..=2);
        let target = dir.path().join("target");
        make(&target, 0o644);
        let old = dir.path().join("old");
        std::fs::rename(&settings.path, &old).unwrap();
        std::os::unix::fs::symlink(&target, &settings.path).unwrap();
        assert_eq!(append(&mut file, [3]), 1, "lost, and counted");
        assert_eq!(file.fault(), Some("it is a symbolic link; name the file itself"));
        assert_eq!((std::fs::read_to_string(&target).unwrap(), mode(&target)), (String::new(), 0o644));
        drop(file);
        let open = || JsonlFile::open(settings.clone(), Chain::PLAIN, "requests go on").map(|_| ()).unwrap_err();
        assert_eq!(open().kind(), io::ErrorKind::InvalidData);
        // Neither is one in the place of the rotated file, from which an empty one goes on.
        std::fs::remove_file(&settings.path).unwrap();
        let rotated = numbered(&settings.path, 1);
        std::os::unix::fs::symlink(&old, &rotated).unwrap();
        assert_eq!(open().to_string(), format!("{}: it is a symbolic link; name the file itself", rotated.display()));
    }

    #[test]
    fn a_full_disk_leaves_whole_lines_and_a_gap() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 1 << 20, 3);
        let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests go on").unwrap();
        file.disk.room = Some(2 * 17 + 5);
        assert_eq!(append(&mut file, 1..=4), 2);
        assert_eq!(seqs(&settings.path), [1, 2], "half of the third was taken back");
        assert!(file.retry_at().is_some());
        assert_eq!(append(&mut file, [5]), 1, "no try before its time");

        let gap = LineHash::of(text(6).as_bytes());
        assert_eq!(file.reopen(), Some((3, Some(LineHash::of(text(2).as_bytes())))));
        assert!(!file.write_gap(text(6).as_bytes(), 6, gap), "the disk is still full");
        assert_eq!(append(&mut file, [7]), 1);

        file.disk.room = None;
        assert_eq!(file.reopen().unwrap().0, 4);
        assert!(file.write_gap(text(8).as_bytes(), 8, gap));
        assert_eq!(append(&mut file, [9]), 0);
        assert_eq!(seqs(&settings.path), [1, 2, 8, 9]);
        assert_eq!(file.missing, 0);
    }

    #[test]
    fn a_file_is_rotated_by_age_in_time_and_not_by_a_clock_that_steps_back() {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let dir = tempfile::tempdir().unwrap();
        let settings = Jsonl { keep: DAY * 9, ..settings(&dir, 1 << 20, 3) };
        let open = || JsonlFile::open(settings.clone(), Chain::PLAIN, "").unwrap().0;
        let mut file = open();
        let at = |day: u32| SystemTime::UNIX_EPOCH + DAY * day;
        let put = |file: &mut JsonlFile, day: u32| {
            let line = format!("{{\"seq\":{day},\"time\":\"1970-01-{:02}T00:00:00.000Z\"}}", day + 1);
            assert_eq!(file.append(line.as_bytes(), u64::from(day), LineHash::of(line.as_bytes()), true), 0);
            assert_eq!(file.write_out(), 0);
        };
        assert!(!file.rotate_older(at(20)), "it is empty");
        put(&mut file, 10);
        put(&mut file, 12);
        for (day, rotates) in [(12, false), (2, false), (13, true), (14, false)] {
            assert_eq!(file.rotate_older(at(day)), rotates, "{day}");
        }
        assert_eq!(seqs(&settings.path), [0; 0]);
        put(&mut file, 14);
        drop(file);
        let mut file = open();
        assert!(!file.rotate_older(at(16)) && file.rotate_older(at(17)), "after a restart too");
    }

    #[test]
    fn a_hundred_rotations_leave_every_line_once_compressed_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 2 * 17, 80);
        let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "").unwrap();
        assert_eq!((1..=100).map(|seq| append(&mut file, [seq])).sum::<u64>(), 0);
        drop(file);
        let (file, tail) = JsonlFile::open(settings.clone(), Chain::PLAIN, "").unwrap();
        assert_eq!(tail.seq, 100);
        let done = || {
            crate::record::files::rotated(&settings.path)
                .unwrap()
                .into_iter()
                .all(|n| (n < 2) != compressed(&settings.path, n).exists())
        };
        let began = Instant::now();
        while !done() {
            assert!(began.elapsed() < Duration::from_secs(15));
            file.archive.wake();
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut all = Vec::new();
        for n in (0..50).rev() {
            let path = if n < 2 { numbered(&settings.path, n) } else { compressed(&settings.path, n) };
            let mut text = String::new();
            io::Read::read_to_string(&mut crate::record::files::open_lines(&path).unwrap(), &mut text).unwrap();
            all.extend(text.lines().map(|line| {
                let number = line.trim_start_matches("{\"seq\":").trim_end_matches('}');
                number.trim().parse::<u64>().unwrap()
            }));
        }
        assert_eq!(all, (1..=100).collect::<Vec<_>>());
    }

    #[test]
    fn two_processes_never_write_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir, 1 << 20, 3);
        let _first = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests go on").unwrap();
        assert_eq!(
            JsonlFile::open(settings, Chain::PLAIN, "requests go on").unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
    }
}
