//! Folders in which every user can replace files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Mode;

/// What other users can do to files in a folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: run `{fix}`")]
pub struct FolderRisk {
    /// A clause.
    pub what: String,
    /// A command that ends it.
    pub fix: String,
}

/// The risk in the folder of this file; none where other users can do nothing to it.
pub fn folder_risk(path: &Path) -> Option<FolderRisk> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let mode = fs::metadata(folder).ok()?.mode();
    // With the sticky bit, only the owner of a file can remove or rename it.
    (mode & 0o002 != 0 && mode & 0o1000 == 0).then(|| {
        let (folder, mode) = (folder.display(), Mode(mode & 0o7777));
        FolderRisk {
            what: format!("every user can remove or replace files in {folder} (mode {mode})"),
            fix: format!("chmod o-w {folder}"),
        }
    })
}
