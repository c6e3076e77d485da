//! The files of a database: the database itself, and what is next to it under the same name.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use jiff::Timestamp;

use super::fault::DatabaseFault;
use crate::private_file;

/// Renames a damaged database, with its log, so that it can still be examined. The new name.
pub(super) fn set_aside(path: &Path, now: SystemTime) -> io::Result<PathBuf> {
    let stamp = Timestamp::try_from(now).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
    let name = |suffix: &str| part(path, suffix);
    let aside = (1..)
        .map(|n| if n == 1 { format!(".damaged-{stamp}") } else { format!(".damaged-{stamp}-{n}") })
        .find(|suffix| !name(suffix).exists())
        .unwrap_or_default();
    std::fs::rename(path, name(&aside))?;
    for part in ["-wal", "-shm"] {
        match std::fs::rename(name(part), name(&format!("{aside}{part}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(name(&aside))
}

/// Which file has this name.
pub(super) fn identity(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

/// Renames the log of a database that was moved away from next to it: a new one must not take it for its own. Where it went,
/// if there was anything in it.
pub(super) fn set_log_aside(path: &Path, now: SystemTime) -> Option<PathBuf> {
    let stamp = Timestamp::try_from(now).unwrap_or_default().strftime("%Y%m%dT%H%M%SZ").to_string();
    let name = |suffix: &str| part(path, suffix);
    let (log, aside) = (name("-wal"), name(&format!(".moved-{stamp}-wal")));
    let holds_rows = std::fs::metadata(&log).is_ok_and(|log| log.len() > 0);
    // What is not there needs no moving.
    let moved = holds_rows && std::fs::rename(&log, &aside).is_ok();
    let _ = std::fs::remove_file(log);
    let _ = std::fs::remove_file(name("-shm"));
    moved.then_some(aside)
}

/// Makes an empty file that only its owner may read; what SQLite puts next to it gets the same mode.
pub(super) fn create(path: &Path) -> Result<(), DatabaseFault> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(DatabaseFault::Foreign(error.to_string())),
        Err(error) => Err(DatabaseFault::Unavailable(error.to_string())),
    }
}

/// One process at a time writes. The lock is on a file next to the database: where SQLite's own locks and this kind know
/// of each other, one on the very file would lock ourselves out.
pub(super) fn lock_next_to(path: &Path) -> Result<File, DatabaseFault> {
    let name = part(path, "-lock");
    private_file::claim(&name).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => {
            DatabaseFault::Unavailable("another process writes its records to this database".into())
        }
        _ => unfit(&name, &error),
    })
}

/// Judges the database and what SQLite keeps next to it: the log, its index, and the journal, by which another program
/// could make SQLite change the database.
pub(super) fn vet(path: &Path) -> Result<(), DatabaseFault> {
    ["", "-wal", "-shm", "-journal"].into_iter().try_for_each(|suffix| {
        let part = part(path, suffix);
        private_file::vet(&part).map_err(|error| match suffix {
            "" => fault_of(&error, error.to_string()),
            _ => unfit(&part, &error),
        })
    })
}

fn unfit(part: &Path, error: &io::Error) -> DatabaseFault {
    fault_of(error, format!("{}: {error}", part.display()))
}

fn fault_of(error: &io::Error, what: String) -> DatabaseFault {
    match error.kind() {
        io::ErrorKind::InvalidData => DatabaseFault::Foreign(what),
        _ => DatabaseFault::Unavailable(what),
    }
}

/// The file next to the database with this suffix.
fn part(path: &Path, suffix: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
