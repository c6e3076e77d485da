//! What tells one state of a file from another.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The state of the file that a path leads to, symbolic links followed: a ConfigMap's swap of a link changes it like any
/// other replacement.
///
/// Deliberately no hash: it is asked often. The time of the last change of status is part of it because a program can
/// set a file's modification time back, but not that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// A file that a policy was read from, or would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The path as it was opened.
    pub path: PathBuf,
    /// Its state before it was read; `None` if it could not be accessed.
    pub stamp: Option<Stamp>,
}

impl Stamp {
    /// The current state; `None` if the file does not exist or this process cannot access it.
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(|metadata| Self::from_metadata(&metadata))
    }

    pub(super) fn from_metadata(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl Watched {
    /// A path in its present state.
    pub fn now(path: PathBuf) -> Self {
        let stamp = Stamp::of(&path);
        Self { path, stamp }
    }

    /// Whether its state is another one now. A file that appeared or vanished has changed.
    pub fn has_changed(&self) -> bool {
        Stamp::of(&self.path) != self.stamp
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_has_changed_when_what_the_path_leads_to_has() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.toml");
        let absent = Watched::now(path.clone());
        assert!(!absent.has_changed());
        fs::write(&path, "a").unwrap();
        assert!(absent.has_changed(), "it appeared");
        let first = Watched::now(path.clone());
        assert!(!first.has_changed());
        fs::read(&path).unwrap();
        assert!(!first.has_changed(), "reading changes nothing");
        fs::write(&path, "ab").unwrap();
        assert!(first.has_changed(), "its size changed");
        let second = Watched::now(path.clone());
        fs::write(folder.path().join("new"), "ab").unwrap();
        fs::rename(folder.path().join("new"), &path).unwrap();
        assert!(second.has_changed(), "another file took its place");
        let third = Watched::now(path.clone());
        fs::remove_file(&path).unwrap();
        assert!(third.has_changed(), "it vanished");
    }

    /// As Kubernetes does: policy.toml -> ..data/policy.toml, and ..data is a link that is swapped by renaming.
    #[test]
    fn the_swap_of_a_link_on_the_way_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["one", "two"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("policy.toml"), "same").unwrap();
        }
        symlink("one", at("..data")).unwrap();
        symlink("..data/policy.toml", at("policy.toml")).unwrap();
        let watched = Watched::now(at("policy.toml"));
        assert!(!watched.has_changed());
        symlink("two", at("..data_tmp")).unwrap();
        assert!(!watched.has_changed());
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        assert!(watched.has_changed());
    }
}
