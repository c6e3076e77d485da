//! Compresses rotated files, and removes them when they are too old. This happens in a thread of its own, so that the
//! writer does not wait; the thread works a fiftieth of the time and yields to others, since no request waits for it.
//!
//! Guaranteed: lines are in a file of their own name at any moment, whenever the process ends. A compressed file gets its
//! name only when it is whole and on the disk, and only then the other goes; where both are there, the compressed one is
//! made anew. What a crash left half done is removed at the next start.
//!
//! Deliberately not done: removing single lines of a file. A file goes when its first line is older than `keep`; the writer
//! rotates early enough that its last line is not much younger (see [`super`]).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::live::identity;
use crate::private_file;
use crate::record::files::{begun, compressed, create, numbered, remove, rotated, unfinished};
use crate::record::lock;
use crate::sink::age::{Age, Expiry, Reading, share};
use crate::sink::retry::{Retry, fix_of};
use crate::sync::{self, Mutex};

/// What is compressed between two looks at whether to stop: less than half a millisecond's work, and as long may a worker
/// wait for its processor.
const PIECE: usize = 64 * 1024;
/// How many times as long it then rests. A file of 64 MiB takes half a minute; when they come faster, some are replaced
/// before their turn comes, and the work for those would have been for nothing.
const REST: u32 = 49;
/// A sixth of the time that the usual level takes, for a file that is a third larger: lines repeat so much that a tenth
/// of them is left, and at full load a file is due every other second.
const LEVEL: Compression = Compression::fast();
/// The first rotated file stays as it is.
const FIRST_COMPRESSED: usize = 2;

/// The thread's handle. Dropping it ends the thread at the next piece.
#[derive(Debug)]
pub(super) struct Archive {
    shared: Arc<ArchiveState>,
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct ArchiveState {
    path: PathBuf,
    keep: Duration,
    age: Mutex<Age>,
    /// Whoever renames or removes rotated files holds this.
    names: Mutex<()>,
    stop: AtomicBool,
}

impl Archive {
    /// Completes interrupted work, and starts the thread.
    ///
    /// # Errors
    /// Fails if the thread cannot be spawned.
    pub(super) fn start(path: &Path, age: Age, keep: Duration) -> io::Result<Self> {
        let shared = Arc::new(ArchiveState {
            path: path.to_owned(),
            keep,
            age: Mutex::new(age),
            names: Mutex::new(()),
            stop: AtomicBool::new(false),
        });
        // One is enough: each wake-up does everything that is due.
        let (wake, woken) = mpsc::sync_channel(1);
        let work = Arc::clone(&shared);
        let run = move || {
            sync::give_way();
            let mut retry = Retry::new(Instant::now());
            while woken.recv().is_ok() && !work.stop.load(Ordering::Relaxed) {
                let expiry = lock(&work.age).judge(Reading::now(), &work.path);
                work.tidy(expiry, &mut retry);
            }
        };
        let thread = std::thread::Builder::new().name("archive".into()).spawn(run)?;
        let archive = Self { shared, wake: Some(wake), thread: Some(thread) };
        archive.wake();
        Ok(archive)
    }

    /// There may be something to do.
    pub(super) fn wake(&self) {
        if let Some(wake) = &self.wake {
            // It is awake already.
            let _ = wake.try_send(());
        }
    }

    /// By which time files are old.
    pub(super) fn judge(&self, now: Reading) -> Expiry {
        lock(&self.shared.age).judge(now, &self.shared.path)
    }

    /// Runs `rename` with exclusive access to the names of rotated files.
    pub(super) fn with_names<T>(&self, rename: impl FnOnce() -> T) -> T {
        let _held = lock(&self.shared.names);
        rename()
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            // One that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl ArchiveState {
    fn tidy(&self, expiry: Expiry, retry: &mut Retry) {
        let path = self.path.display();
        let (expired, compressed) = (self.expire(expiry), self.compress_all());
        match expired.and(compressed) {
            Ok(()) => _ = retry.recovered(Instant::now()),
            Err(error) if retry.failed(Instant::now()) => {
                let fix = fix_of(&error);
                tracing::warn!(%path, %error, fix, "rotated files of records cannot be removed or compressed");
            }
            Err(_) => {}
        }
    }

    /// Removes what is too old, the oldest first.
    fn expire(&self, expiry: Expiry) -> io::Result<()> {
        let _held = lock(&self.names);
        let (mut unfit, mut old) = (Ok(()), Vec::new());
        let numbers = rotated(&self.path)?;
        for number in numbers.iter().copied().rev() {
            let (plain, compressed) = (numbered(&self.path, number), compressed(&self.path, number));
            if plain.exists() && compressed.exists() {
                remove(&compressed)?;
            }
            let file = if plain.exists() { plain } else { compressed };
            let begun = match begun(&file) {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    unfit = Err(io::Error::new(error.kind(), format!("{}: {error}", file.display())));
                    continue;
                }
                // What cannot be read is as old as the file system says.
                begun => begun.ok().flatten().or_else(|| file.metadata().ok()?.modified().ok()),
            };
            // A clock that was stepped back makes files from the future, which are young.
            if begun.and_then(|begun| expiry.time.duration_since(begun).ok()).is_some_and(|age| age >= self.keep) {
                old.push(file);
            }
        }
        // With the live one.
        let is_large = old.len() as u64 > share(numbers.len() as u64 + 1);
        if is_large && !expiry.is_steady {
            lock(&self.age).log_postponed(&self.path);
            return unfit;
        }
        // Files are rotated long before they are old, so one at a time is the usual case, however few there are.
        let is_unusual = is_large && old.len() > 1;
        for file in old {
            remove(&file)?;
            let path = file.display();
            match is_unusual {
                true => {
                    tracing::warn!(%path, "a file of records was removed: it was older than `keep`, and so were others")
                }
                false => tracing::info!(%path, "a file of records was removed: it was older than `keep`"),
            }
        }
        unfit
    }

    fn compress_all(&self) -> io::Result<()> {
        let half_done = unfinished(&self.path);
        remove(&half_done)?;
        let mut tried = Vec::new();
        loop {
            let next = {
                let _held = lock(&self.names);
                let numbers = rotated(&self.path)?.into_iter().filter(|number| *number >= FIRST_COMPRESSED);
                let mut files = numbers.filter_map(|number| {
                    let file = private_file::open_own(&numbered(&self.path, number)).ok()?;
                    let identity = identity(&file.metadata().ok()?);
                    Some((file, identity))
                });
                files.find(|(_, identity)| !tried.contains(identity))
            };
            let Some((file, identity)) = next else { return Ok(()) };
            tried.push(identity);
            let done =
                self.compress(file, &half_done).and_then(|whole| if whole { self.replace(identity) } else { Ok(()) });
            if let Err(error) = done {
                let _ = remove(&half_done);
                return Err(error);
            }
            if self.stop.load(Ordering::Relaxed) {
                return remove(&half_done);
            }
        }
    }

    /// Writes the compressed file, and waits until it is on the disk. Whether it is whole; not if we have to stop.
    fn compress(&self, mut from: File, to: &Path) -> io::Result<bool> {
        let mut encoder = GzEncoder::new(create(to)?, LEVEL);
        let mut piece = vec![0; PIECE];
        loop {
            let began = Instant::now();
            let read = from.read(&mut piece)?;
            if read == 0 {
                break;
            }
            encoder.write_all(piece.get(..read).unwrap_or_default())?;
            if self.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            std::thread::sleep((began.elapsed() * REST).min(Duration::from_secs(1)));
        }
        encoder.finish()?.sync_all()?;
        Ok(true)
    }

    /// Replaces the plain file, under its current name, by the compressed one.
    fn replace(&self, identity_of_plain: super::live::Identity) -> io::Result<()> {
        let _held = lock(&self.names);
        let is_it = |number: &usize| {
            numbered(&self.path, *number).metadata().is_ok_and(|file| identity(&file) == identity_of_plain)
        };
        let half_done = unfinished(&self.path);
        // It may be one too many by now.
        let Some(number) = rotated(&self.path)?.into_iter().find(is_it) else { return remove(&half_done) };
        std::fs::rename(&half_done, compressed(&self.path, number))?;
        // The name has to be on the disk before the other is gone.
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            File::open(folder)?.sync_all()?;
        }
        remove(&numbered(&self.path, number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::files::open_lines;

    use std::time::SystemTime;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(day: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * u32::try_from(day).unwrap()
    }

    fn steady(day: u64) -> Expiry {
        Expiry { time: at(day), is_steady: true }
    }

    fn line(day: u64) -> String {
        format!("{{\"seq\":{day},\"time\":\"1970-01-{:02}T00:00:00.000Z\"}}\n", day + 1)
    }

    fn shared(dir: &tempfile::TempDir, keep: Duration) -> ArchiveState {
        ArchiveState {
            path: dir.path().join("r.jsonl"),
            keep,
            age: Mutex::new(Age::new(keep, None, Reading::now())),
            names: Mutex::new(()),
            stop: AtomicBool::new(false),
        }
    }

    fn names(dir: &tempfile::TempDir) -> Vec<String> {
        let all = std::fs::read_dir(dir.path()).unwrap();
        let mut names: Vec<_> = all.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn read(path: &Path) -> String {
        let mut text = String::new();
        open_lines(path).unwrap().read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn all_but_the_first_are_compressed_and_what_a_crash_left_is_set_right() {
        let dir = tempfile::tempdir().unwrap();
        let shared = shared(&dir, DAY * 365);
        let write = |name: &str, content: &str| std::fs::write(dir.path().join(name), content).unwrap();
        for number in 1..=4 {
            write(&format!("r.jsonl.{number}"), &line(5 - number).repeat(1000));
        }
        // Killed while it was compressing; between the two names; and before the other was gone.
        write("r.jsonl.gz.tmp", "half of it");
        write("r.jsonl.3.gz", "not trusted");
        shared.tidy(steady(10), &mut Retry::new(Instant::now()));
        assert_eq!(names(&dir), ["r.jsonl.1", "r.jsonl.2.gz", "r.jsonl.3.gz", "r.jsonl.4.gz"]);
        for number in 2..=4 {
            let path = compressed(&shared.path, number);
            assert_eq!(read(&path), line(5 - number as u64).repeat(1000));
            let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
            assert_eq!(mode & 0o777, 0o600);
        }
    }

    #[test]
    fn rotated_files_are_closed_to_others_and_what_is_not_ours_is_neither_read_nor_removed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let shared = shared(&dir, DAY * 7);
        for name in ["r.jsonl.1", "r.jsonl.2", "secret"] {
            std::fs::write(dir.path().join(name), line(1)).unwrap();
            std::fs::set_permissions(dir.path().join(name), PermissionsExt::from_mode(0o644)).unwrap();
        }
        std::os::unix::fs::symlink(dir.path().join("secret"), dir.path().join("r.jsonl.3")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("r.jsonl.4"), rustix::fs::Mode::RWXU).unwrap();
        shared.tidy(steady(2), &mut Retry::new(Instant::now()));
        assert_eq!(names(&dir), ["r.jsonl.1", "r.jsonl.2.gz", "r.jsonl.3", "r.jsonl.4", "secret"]);
        for name in ["r.jsonl.1", "r.jsonl.2.gz"] {
            let mode = dir.path().join(name).metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        shared.tidy(steady(10), &mut Retry::new(Instant::now()));
        assert_eq!(names(&dir), ["r.jsonl.3", "r.jsonl.4", "secret"]);
    }

    #[test]
    fn a_file_that_is_rotated_while_it_is_compressed_gets_the_name_that_it_has_by_then() {
        let dir = tempfile::tempdir().unwrap();
        let shared = shared(&dir, DAY * 365);
        let plain = numbered(&shared.path, 2);
        std::fs::write(&plain, line(1)).unwrap();
        let file = File::open(&plain).unwrap();
        let its = identity(&file.metadata().unwrap());
        assert!(shared.compress(file, &unfinished(&shared.path)).unwrap());
        std::fs::rename(&plain, numbered(&shared.path, 3)).unwrap();
        shared.replace(its).unwrap();
        assert_eq!(names(&dir), ["r.jsonl.3.gz"]);

        // Or none any more.
        std::fs::write(&plain, line(1)).unwrap();
        let file = File::open(&plain).unwrap();
        let its = identity(&file.metadata().unwrap());
        assert!(shared.compress(file, &unfinished(&shared.path)).unwrap());
        std::fs::remove_file(&plain).unwrap();
        shared.replace(its).unwrap();
        assert_eq!(names(&dir), ["r.jsonl.3.gz"]);
    }

    #[test]
    fn while_the_clock_is_not_steady_no_more_than_a_quarter_of_the_files_goes() {
        let dir = tempfile::tempdir().unwrap();
        let shared = shared(&dir, DAY * 7);
        for number in 1..=7 {
            std::fs::write(numbered(&shared.path, number), line(20 - number as u64)).unwrap();
        }
        let tidy = |time, is_steady| {
            shared.tidy(Expiry { time, is_steady }, &mut Retry::new(Instant::now()));
            names(&dir).len()
        };
        // Of eight files with the live one, the oldest begun on day 13.
        assert_eq!(tidy(at(19), false), 7);
        assert_eq!(tidy(at(119), false), 7, "all are old, by a clock that was stepped");
        assert_eq!(tidy(at(22), false), 7, "three of eight");
        assert_eq!(tidy(at(21), false), 5, "two of eight");
        assert_eq!(tidy(at(22), true), 4);
        assert_eq!(tidy(at(119), true), 0);
    }

    #[test]
    fn files_go_when_their_first_line_is_too_old_and_not_because_a_clock_steps_back() {
        let dir = tempfile::tempdir().unwrap();
        let shared = shared(&dir, DAY * 7);
        for (number, day) in [(1, 9), (2, 6), (3, 3)] {
            std::fs::write(numbered(&shared.path, number), line(day) + &line(day + 2)).unwrap();
        }
        let tidy = |day| {
            shared.tidy(steady(day), &mut Retry::new(Instant::now()));
            names(&dir)
        };
        let all = ["r.jsonl.1", "r.jsonl.2.gz", "r.jsonl.3.gz"];
        assert_eq!(tidy(9), all);
        assert_eq!(tidy(1), all, "the clock went back to before all of them");
        assert_eq!(tidy(10), all[..2]);
        assert_eq!(tidy(12), all[..2]);
        assert_eq!(tidy(13), all[..1]);
        assert_eq!(tidy(16), [""; 0]);
    }
}
