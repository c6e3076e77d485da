//! Files that are for outgate's own user alone: records, their locks, keys and the admin token.
//!
//! Guaranteed:
//! - A file of records is opened only if it is a regular file of this user (or of root), reached without a symbolic link in
//!   its last component. Nothing is read from or written to any other.
//! - A file of records that other users may open gets mode 0600 before it is used, and the log says so. Where the mode
//!   cannot be changed, the file is refused. The same holds for a key that is used by outgate alone.
//! - Opening never waits for a pipe and never acts on a device.
//!
//! A mode says who may open a file from now on; a program that opened it before keeps its access. An empty file is
//! therefore replaced by a new one, and the log names the case for others.
//!
//! Deliberately not done: judging every folder on the way to a file. [`folder_risk`] looks at the file's own folder, where
//! another user may be able to remove or replace files; what is in its place afterwards is judged like any other file.

mod folder;
mod key;
#[cfg(test)]
mod tests;

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

pub use folder::{FolderRisk, folder_risk};
pub use key::{read_key, read_named_key, read_shared_key};

/// The mode of every file that is made here.
const OWN: u32 = 0o600;
/// The bits that let anyone but the owner open a file.
const OTHERS: u32 = 0o077;
/// The bits that let anyone but the owner change a file.
const OTHERS_WRITE: u32 = 0o022;
/// How often [`claim`] tries again when another file takes the name meanwhile.
const TRIES: usize = 3;

/// Why a file is not used. Each says what to do.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("it is not a regular file; name one")]
    Special,
    #[error("it is a symbolic link; name the file itself")]
    Link,
    #[error(
        "it belongs to user {owner}, not to user {us} that outgate runs as: run `chown {us}` on it, or move it away"
    )]
    Foreign { owner: u32, us: u32 },
    #[error("other users may open it (mode {mode:03o}), which cannot be changed ({error}): run `chmod 600` on it")]
    Exposed { mode: u32, error: io::Error },
    #[error(
        "other users may {verb} it (mode {mode:03o}): run `chmod 600` on it, and write a new one if others use this machine"
    )]
    ExposedKey { verb: &'static str, mode: u32 },
    #[error("it is larger than a key: check that it is the right file")]
    TooLarge,
}

impl From<Unfit> for io::Error {
    fn from(unfit: Unfit) -> Self {
        Self::new(io::ErrorKind::InvalidData, unfit)
    }
}

/// Opens a file to append to, or makes it, and locks it against other processes that do the same.
///
/// # Errors
/// `WouldBlock` if another process has it, `InvalidData` if it is unfit, or what the system says.
pub fn claim(path: &Path) -> io::Result<File> {
    let mut tries = TRIES;
    loop {
        let (file, exposed) = open(path, OpenOptions::new().read(true).append(true).create(true))?;
        // A file system without locks must not prevent records from being kept.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let Some(mode) = exposed else { return Ok(file) };
        let opened = file.metadata()?;
        let is_there = fs::symlink_metadata(path).is_ok_and(|there| same_file(&there, &opened));
        tries = tries.saturating_sub(1);
        // Where the folder does not let us remove it, the changed mode has to do.
        if opened.len() == 0 && is_there && tries > 0 && fs::remove_file(path).is_ok() {
            tracing::warn!(
                path = %path.display(),
                mode = %Mode(mode),
                "other users could open this empty file; a new one with mode 600 replaced it (logrotate: `nocreate`)"
            );
            continue;
        }
        tell(path, mode);
        return Ok(file);
    }
}

/// Opens a file that we made earlier, to read it.
///
/// # Errors
/// `NotFound`, `InvalidData` if it is unfit, or what the system says.
pub fn open_own(path: &Path) -> io::Result<File> {
    let (file, exposed) = open(path, OpenOptions::new().read(true))?;
    if let Some(mode) = exposed {
        tell(path, mode);
    }
    Ok(file)
}

/// Judges and corrects a file without opening it, for a file that a library opens by its name. One that does not exist is
/// fit. Opening and closing it here would take away the library's own locks on it (POSIX `fcntl`).
///
/// # Errors
/// `InvalidData` if it is unfit, or what the system says.
pub fn vet(path: &Path) -> io::Result<()> {
    let there = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        there => there?,
    };
    check_type(path, &there)?;
    check_owner(&there)?;
    let change = || {
        fs::set_permissions(path, Permissions::from_mode(OWN))?;
        fs::symlink_metadata(path)
    };
    if let Some(mode) = close_to_others(&there, change)? {
        tell(path, mode);
    }
    Ok(())
}

/// Opens for reading a regular file that a person named. Any owner is accepted.
///
/// # Errors
/// `InvalidData` if it is not a regular file, or what the system says.
pub fn open_regular(path: &Path) -> io::Result<File> {
    // Before it is opened: opening a device can do something.
    let check = |there: &Metadata| if there.is_file() { Ok(()) } else { Err(Unfit::Special) };
    check(&fs::metadata(path)?)?;
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Opens a file that belongs to another one, to read it: a rotated file of the file that a person named.
///
/// # Errors
/// `NotFound`, `InvalidData` if it is not a regular file or has another owner, or what the system says.
pub fn open_next_to(path: &Path, main: &File) -> io::Result<File> {
    let check = |there: &Metadata| -> io::Result<()> {
        check_type(path, there)?;
        let (owner, us) = (there.uid(), main.metadata()?.uid());
        if [us, 0, effective_user()].contains(&owner) { Ok(()) } else { Err(Unfit::Foreign { owner, us }.into()) }
    };
    check(&fs::symlink_metadata(path)?)?;
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    check(&file.metadata()?)?;
    Ok(file)
}

/// Opens a file of records. The mode that it had if that let others open it; it does not any more.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<(File, Option<u32>)> {
    // Before it is opened: opening a device can do something.
    match fs::symlink_metadata(path) {
        Ok(there) => check_type(path, &there)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = options.mode(OWN).custom_flags(flags).open(path)?;
    let there = file.metadata()?;
    check_type(path, &there)?;
    check_owner(&there)?;
    let change = || {
        file.set_permissions(Permissions::from_mode(OWN))?;
        file.metadata()
    };
    let exposed = close_to_others(&there, change)?;
    Ok((file, exposed))
}

fn check_type(path: &Path, there: &Metadata) -> Result<(), Unfit> {
    match there.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_symlink() && fs::metadata(path).is_ok_and(|target| target.is_file()) => Err(Unfit::Link),
        _ => Err(Unfit::Special),
    }
}

/// Root can do everything anyway, so that a file of root is as good as one of ours.
fn check_owner(there: &Metadata) -> Result<(), Unfit> {
    let (owner, us) = (there.uid(), effective_user());
    if owner == us || owner == 0 { Ok(()) } else { Err(Unfit::Foreign { owner, us }) }
}

/// Takes other users' access away, if they have any. The mode before.
fn close_to_others(there: &Metadata, change: impl FnOnce() -> io::Result<Metadata>) -> Result<Option<u32>, Unfit> {
    let mode = there.mode() & 0o777;
    if mode & OTHERS == 0 {
        return Ok(None);
    }
    match change() {
        Ok(now) if now.mode() & OTHERS == 0 => Ok(Some(mode)),
        // Some file systems take every mode and keep none.
        Ok(_) => Err(Unfit::Exposed { mode, error: io::Error::other("the file system keeps no modes") }),
        Err(error) => Err(Unfit::Exposed { mode, error }),
    }
}

fn tell(path: &Path, mode: u32) {
    let verb = if mode & OTHERS_WRITE != 0 { "read and change" } else { "read" };
    tracing::warn!(
        path = %path.display(),
        mode = %Mode(mode),
        "other users could {verb} this file; its mode is 600 now; a program that has it open still can"
    );
}

fn same_file(one: &Metadata, other: &Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}

fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// As `ls` and `chmod` have it.
struct Mode(u32);

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}
