//! The names of a file of lines and of those that it was rotated into, and what is at their beginning.
//!
//! `path` is written to; `path.1` is the one before, `path.2` the one before that, and so on. From the second on they are
//! compressed: `path.2.gz`. The first stays as it is, for programs that follow the file by name or have not read all of it yet.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

use crate::private_file;

/// More rotated files than a configuration can ask for.
const MAX_FILES: usize = 1000;
/// A line is never so long.
const MAX_LINE: u64 = 64 * 1024;

/// `path` for 0, else `path.n`.
pub(crate) fn numbered(path: &Path, n: usize) -> PathBuf {
    if n == 0 { path.to_owned() } else { with_suffix(path, &format!(".{n}")) }
}

/// The same compressed.
pub(crate) fn compressed(path: &Path, n: usize) -> PathBuf {
    with_suffix(path, &format!(".{n}.gz"))
}

/// Where a compressed file is made; it has its name only once it is whole.
pub(crate) fn unfinished(path: &Path) -> PathBuf {
    with_suffix(path, ".gz.tmp")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The numbers of the rotated files that are there, in either form, from the newest on.
pub(crate) fn rotated(path: &Path) -> io::Result<Vec<usize>> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let Some(stem) = path.file_name() else { return Ok(Vec::new()) };
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let suffix = name.as_encoded_bytes().strip_prefix(stem.as_encoded_bytes());
        let number = suffix.and_then(|suffix| suffix.strip_prefix(b".")).and_then(|suffix| {
            let number = std::str::from_utf8(suffix.strip_suffix(b".gz").unwrap_or(suffix)).ok()?;
            number.parse::<usize>().ok().filter(|n| (1..=MAX_FILES).contains(n) && n.to_string() == number)
        });
        numbers.extend(number);
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// A file of lines that we wrote, decompressed if it is compressed.
///
/// # Errors
/// It cannot be opened.
pub(crate) fn open_lines(path: &Path) -> io::Result<Box<dyn BufRead>> {
    lines_of(private_file::open_own(path)?)
}

/// The lines of a file, decompressed if its content is compressed. The file is read in pieces, so memory is bounded.
pub(crate) fn lines_of(file: File) -> io::Result<Box<dyn BufRead>> {
    const PIECE: usize = 256 * 1024;
    let mut reader = BufReader::with_capacity(PIECE, file);
    let is_compressed = reader.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(match is_compressed {
        true => Box::new(BufReader::with_capacity(PIECE, MultiGzDecoder::new(reader))),
        false => Box::new(reader),
    })
}

/// When the first request of a file began; none where that cannot be read.
///
/// # Errors
/// The file cannot be opened.
pub(crate) fn begun(path: &Path) -> io::Result<Option<SystemTime>> {
    let mut first = Vec::new();
    let read = open_lines(path)?.take(MAX_LINE).read_until(b'\n', &mut first);
    Ok(read.ok().and_then(|_| time_of(&first)))
}

/// The time of the first of these lines.
pub(crate) fn time_of(lines: &[u8]) -> Option<SystemTime> {
    #[derive(Deserialize)]
    struct Time<'a> {
        time: &'a str,
    }
    let line = lines.split(|byte| *byte == b'\n').next()?;
    let Time { time } = serde_json::from_slice(line).ok()?;
    time.parse::<jiff::Timestamp>().ok()?.try_into().ok()
}

/// Creates a file that only its owner may read, and replaces any file of that name.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Removes a file that may be gone already.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Renames a file that may not be there.
pub(crate) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match std::fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_rotated_files_of_this_one_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.jsonl");
        for name in ["r.jsonl", "r.jsonl.1", "r.jsonl.10.gz", "r.jsonl.2", "r.jsonl.2.gz"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        for other in
            ["r.jsonl.0", "r.jsonl.03", "r.jsonl.gz.tmp", "r.jsonl.3.bz2", "r.jsonl.x", "s.jsonl.4", "r.jsonl5"]
        {
            std::fs::write(dir.path().join(other), "").unwrap();
        }
        assert_eq!(rotated(&path).unwrap(), [1, 2, 10]);
    }

    #[test]
    fn the_time_is_the_first_lines() {
        let time = |text: &str| time_of(text.as_bytes());
        let second = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        assert_eq!(time("{\"seq\":1,\"time\":\"1970-01-01T00:00:01.000Z\"}\n{\"seq\":2}\n"), Some(second));
        for other in
            ["", "{\"seq\":1}\n", "{\"seq\":1,\"time\":\"19", "x\n{\"seq\":1,\"time\":\"1970-01-01T00:00:01.000Z\"}\n"]
        {
            assert_eq!(time(other), None, "{other}");
        }
    }
}
