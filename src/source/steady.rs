//! A file's bytes, if it was not written to in the meantime.

use std::fs::{self, File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::Stamp;

/// A file that changed less than this ago may be in the middle of being written: it is looked at again after that time.
/// Long enough for the pieces that an editor or `cp` writes, short enough for a reload within a second.
const SETTLE: Duration = Duration::from_millis(50);

/// Errors that say nothing about the file and pass by themselves: no descriptor or memory left, a disk or a server that
/// does not answer now.
const MAY_PASS: [i32; 7] =
    [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EINTR, libc::EIO, libc::ESTALE, libc::ETIMEDOUT];

/// Why a file cannot be used, as a clause.
#[derive(Debug, thiserror::Error)]
pub(super) enum FileError {
    #[error("there is no such file")]
    Missing,
    #[error("it is a folder")]
    Folder,
    #[error("it is a pipe, a socket or a device")]
    Special,
    #[error("it cannot be read ({0})")]
    Unreadable(io::Error),
    #[error("it cannot be read now ({0})")]
    Busy(io::Error),
    #[error("it is larger than {} MiB", .0 / (1024 * 1024))]
    TooLarge(u64),
    #[error("it is still being written")]
    Changing,
    #[error("it is empty")]
    Empty,
}

/// Reads a regular file of at most `limit` bytes. Blocks: for the disk, and for up to 50 ms after the file's last change.
///
/// # Errors
/// [`FileError::Changing`] if it was not the same before and after, [`FileError::Busy`] where the system has no room now:
/// asking again later may help. The others stay.
pub(super) fn read(path: &Path, limit: u64) -> Result<(Vec<u8>, Stamp), FileError> {
    read_and(path, limit, || ())
}

/// As [`read`], with something that happens between the reading and the second look.
fn read_and(path: &Path, limit: u64, meanwhile: impl FnOnce()) -> Result<(Vec<u8>, Stamp), FileError> {
    // Before opening: to open a device can do something, and a pipe's writer would notice.
    check_type(fs::metadata(path).map_err(FileError::from_io)?.file_type())?;
    // Not blocking: opening a pipe that has replaced the file meanwhile would block until a writer opens it.
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .map_err(FileError::from_io)?;
    let opened = file.metadata().map_err(FileError::from_io)?;
    check_type(opened.file_type())?;
    let before = Stamp::from_metadata(&opened);
    let bytes = read_bounded(&mut file, opened.len(), limit)?;
    meanwhile();
    let age = opened.modified().ok().and_then(|modified| modified.elapsed().ok());
    if age.is_some_and(|age| age < SETTLE) {
        thread::sleep(SETTLE);
    }
    // Both: the path may lead elsewhere by now, and the file may still have grown after it lost its name.
    let after = file.metadata().map_err(FileError::from_io)?;
    if Stamp::of(path) != Some(before) || Stamp::from_metadata(&after) != before {
        return Err(FileError::Changing);
    }
    if bytes.is_empty() { Err(FileError::Empty) } else { Ok((bytes, before)) }
}

fn check_type(file_type: FileType) -> Result<(), FileError> {
    match file_type {
        file_type if file_type.is_file() => Ok(()),
        file_type if file_type.is_dir() => Err(FileError::Folder),
        _ => Err(FileError::Special),
    }
}

fn read_bounded(file: &mut File, size: u64, limit: u64) -> Result<Vec<u8>, FileError> {
    if size > limit {
        return Err(FileError::TooLarge(limit));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or_default().saturating_add(1));
    let read = file.take(limit + 1).read_to_end(&mut bytes).map_err(FileError::from_io)?;
    // Files of some kernel file systems say that they are empty and are not.
    if u64::try_from(read).is_ok_and(|read| read <= limit) { Ok(bytes) } else { Err(FileError::TooLarge(limit)) }
}

impl FileError {
    /// What to do about it.
    pub(super) fn fix(&self) -> &'static str {
        match self {
            Self::Missing => "check the path",
            Self::Folder => "name a file in it",
            Self::Special => "name a regular file",
            Self::Unreadable(_) => "let the user that this process runs as read it",
            Self::Busy(_) => "this is tried again until it passes",
            Self::TooLarge(_) => "check that it is the right file",
            Self::Changing => "write another file and rename it to this one",
            Self::Empty => "check that it was written",
        }
    }

    fn from_io(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Self::Missing,
            _ if error.raw_os_error().is_some_and(|code| MAY_PASS.contains(&code)) => Self::Busy(error),
            _ => Self::Unreadable(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    const LIMIT: u64 = 1024 * 1024;

    fn outcome(result: Result<(Vec<u8>, Stamp), FileError>) -> String {
        match result {
            Ok((bytes, _)) => String::from_utf8(bytes).unwrap(),
            Err(error) => format!("{error}; {}", error.fix()),
        }
    }

    #[test]
    fn what_changes_while_it_is_read_is_not_used() {
        const CHANGING: &str = "it is still being written; write another file and rename it to this one";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let append = || File::options().append(true).open(&path).unwrap().write_all(b"more").unwrap();
        let replace = || {
            fs::write(folder.path().join("b"), "else").unwrap();
            fs::rename(folder.path().join("b"), &path).unwrap();
        };
        for (name, meanwhile, expected) in [
            ("nothing", (&|| ()) as &dyn Fn(), "some"),
            ("append", &append, CHANGING),
            ("truncate", &|| drop(File::create(&path).unwrap()), CHANGING),
            ("same bytes", &|| fs::write(&path, "some").unwrap(), CHANGING),
            ("replace", &replace, CHANGING),
            ("remove", &|| fs::remove_file(&path).unwrap(), CHANGING),
            ("another file", &|| fs::write(folder.path().join("c"), "c").unwrap(), "some"),
        ] {
            fs::write(&path, "some").unwrap();
            assert_eq!(outcome(read_and(&path, LIMIT, meanwhile)), expected, "{name}");
        }
    }

    #[test]
    fn only_a_regular_file_that_holds_something_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "text").unwrap();
        fs::write(at("empty"), "").unwrap();
        fs::create_dir(at("folder")).unwrap();
        symlink(at("file"), at("link")).unwrap();
        symlink(at("nothing"), at("dangling")).unwrap();
        symlink("/dev/zero", at("device")).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        let special = "it is a pipe, a socket or a device; name a regular file";
        let missing = "there is no such file; check the path";
        for (name, expected) in [
            ("file", "text"),
            ("link", "text"),
            ("empty", "it is empty; check that it was written"),
            ("folder", "it is a folder; name a file in it"),
            ("pipe", special),
            ("device", special),
            ("dangling", missing),
            ("nothing", missing),
            ("file/below", missing),
        ] {
            assert_eq!(outcome(read(&at(name), LIMIT)), expected, "{name}");
        }
    }

    #[test]
    fn size_is_bounded_to_the_byte() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, vec![b'a'; 1024 * 1024]).unwrap();
        assert_eq!(read(&path, LIMIT).unwrap().0.len(), 1024 * 1024);
        File::options().append(true).open(&path).unwrap().write_all(b"a").unwrap();
        assert_eq!(outcome(read(&path, LIMIT)), "it is larger than 1 MiB; check that it is the right file");
    }

    #[test]
    fn a_file_of_somebody_else_cannot_be_read() {
        if rustix::process::geteuid().is_root() {
            println!("skipped: root reads everything");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "a").unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
        assert!(outcome(read(&path, LIMIT)).starts_with("it cannot be read (Permission denied"));
    }
}
