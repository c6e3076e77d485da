//! Whether the configuration file is still the one that this process started with.
//!
//! Guaranteed: a change is noticed however it was made (written in place, renamed over, removed). A failure to look that
//! may pass, such as too many open files, changes nothing.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// The configuration file, as this process read it and as it is now.
#[derive(Debug)]
pub struct OnDisk {
    path: PathBuf,
    at_start: Vec<u8>,
    is_changed: AtomicBool,
}

impl OnDisk {
    /// The largest file that is read.
    pub const MAX_SIZE: u64 = 1024 * 1024;

    /// Reads the file.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), at_start: content(path)?, is_changed: AtomicBool::new(false) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was another one when it was last looked at.
    pub fn is_changed(&self) -> bool {
        self.is_changed.load(Ordering::Relaxed)
    }

    /// Looks at it; whether it is changed, if that is news.
    pub fn look(&self) -> Option<bool> {
        let is_changed = match content(&self.path) {
            Ok(content) => content != self.at_start,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => true,
            Err(_) => return None,
        };
        (self.is_changed.swap(is_changed, Ordering::Relaxed) != is_changed).then_some(is_changed)
    }
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a pipe waits for a writer, and reading it takes from others.
    if !fs::metadata(path)?.is_file() {
        return Err(ErrorKind::InvalidInput.into());
    }
    let mut content = Vec::new();
    File::open(path)?.take(OnDisk::MAX_SIZE + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_news_once_and_so_is_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outgate.toml");
        fs::write(&path, "a").unwrap();
        let file = OnDisk::read(&path).unwrap();
        assert_eq!((file.look(), file.is_changed()), (None, false));
        fs::write(&path, "b").unwrap();
        assert_eq!((file.look(), file.look(), file.is_changed()), (Some(true), None, true));
        fs::write(&path, "c").unwrap();
        assert_eq!((file.look(), file.is_changed()), (None, true), "still another one");
        fs::write(folder.path().join("new"), "a").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert_eq!((file.look(), file.is_changed()), (Some(false), false), "the same text again");
        fs::remove_file(&path).unwrap();
        assert_eq!(file.look(), Some(true));
        assert!(OnDisk::read(Path::new("/dev/null")).is_err(), "a device is not read");
        fs::create_dir(&path).unwrap();
        assert_eq!((file.look(), file.is_changed()), (None, true), "an unreadable file does not count as a change");
    }
}
