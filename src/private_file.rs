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

use std::fs::{self, File, Metadata, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// The mode of every file that is made here.
const OWN: u32 = 0o600;
/// The bits that let anyone but the owner open a file.
const OTHERS: u32 = 0o077;
/// The bits that let anyone but the owner change a file.
const OTHERS_WRITE: u32 = 0o022;
/// The bits that a key may not have: its group may read it, since that is how service managers hand keys to a user.
const KEY_OTHERS: u32 = 0o037;
/// The largest key: a certificate chain in PEM is some 10 KiB.
const MAX_KEY: u64 = 1024 * 1024;
/// How often [`claim`] tries again when somebody changes what has the file's name.
const TRIES: usize = 3;

/// Why a file is not used. Each says what to do.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("it is no regular file; name one")]
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
        // A file system that has no locks is no reason to keep no records.
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

/// Opens any regular file to read it, whoever owns it: one that a person named.
///
/// # Errors
/// `InvalidData` if it is no regular file, or what the system says.
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
/// `NotFound`, `InvalidData` if it is no regular file or has another owner, or what the system says.
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

/// Reads a key or token that is outgate's alone. Symbolic links are followed: that is how keys are mounted.
///
/// # Errors
/// `InvalidData` if it is unfit, or what the system says.
pub fn read_key(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let there = file.metadata()?;
    check_key_owner(&there)?;
    let mode = there.mode() & 0o777;
    let verb = if mode & OTHERS_WRITE != 0 { "change" } else { "read" };
    if mode & KEY_OTHERS != 0 {
        let corrected = there.uid() == effective_user()
            && file.set_permissions(Permissions::from_mode(OWN)).is_ok()
            && file.metadata()?.mode() & KEY_OTHERS == 0;
        if !corrected {
            return Err(Unfit::ExposedKey { verb, mode }.into());
        }
        tracing::warn!(
            path = %path.display(),
            mode = %Mode(mode),
            "other users could {verb} this key; its mode is 600 now; write a new one if others use this machine"
        );
    }
    read_bounded(file)
}

/// Reads a key that other programs of this machine may use as well, as a TLS server's. Its mode is left alone.
///
/// # Errors
/// `InvalidData` if it is no regular file or everybody may change it, or what the system says.
pub fn read_shared_key(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o002 != 0 {
        return Err(Unfit::ExposedKey { verb: "change", mode }.into());
    }
    if mode & 0o004 != 0 {
        tracing::warn!(path = %path.display(), mode = %Mode(mode), "every user can read this key: chmod 600, or 640");
    }
    read_bounded(file)
}

/// Reads a key that a person named on the command line: whose it is and who else may read it is theirs to know.
///
/// # Errors
/// `InvalidData` if it is no regular file, or what the system says.
pub fn read_named_key(path: &Path) -> io::Result<Vec<u8>> {
    read_bounded(open_regular(path)?)
}

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

/// Root may use a key of the person who keeps the configuration.
fn check_key_owner(there: &Metadata) -> Result<(), Unfit> {
    if effective_user() == 0 { Ok(()) } else { check_owner(there) }
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

fn read_bounded(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_KEY + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_KEY { Err(Unfit::TooLarge.into()) } else { Ok(bytes) }
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, content: &str, mode: u32) -> PathBuf {
            let path = self.at(name);
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }

        fn mode(&self, name: &str) -> u32 {
            fs::symlink_metadata(self.at(name)).unwrap().mode() & 0o777
        }
    }

    fn said<T>(result: io::Result<T>) -> String {
        result.map_or_else(|error| error.to_string(), |_| "fit".to_owned())
    }

    #[test]
    fn a_file_that_others_may_open_is_closed_to_them_at_every_open() {
        let folder = Folder::new();
        for mode in [0o666, 0o644, 0o640, 0o604, 0o660, 0o622, 0o610] {
            let path = folder.write("f", "content", mode);
            claim(&path).unwrap().write_all(b"+").unwrap();
            assert_eq!(folder.mode("f"), 0o600, "{mode:o}");
            assert_eq!(fs::read(&path).unwrap(), b"content+", "{mode:o}");
            folder.write("f", "content", mode);
            open_own(&path).unwrap();
            assert_eq!(folder.mode("f"), 0o600, "{mode:o}");
            folder.write("f", "content", mode);
            vet(&path).unwrap();
            assert_eq!(folder.mode("f"), 0o600, "{mode:o}");
        }
        claim(&folder.at("new")).unwrap();
        assert_eq!(folder.mode("new"), 0o600);
        // Modes that let nobody else in stay.
        let path = folder.write("f", "", 0o700);
        claim(&path).unwrap();
        assert_eq!(folder.mode("f"), 0o700);
    }

    #[test]
    fn a_program_that_opened_an_empty_file_early_reads_nothing_that_is_written_later() {
        let folder = Folder::new();
        let path = folder.write("f", "", 0o644);
        let mut early = File::open(&path).unwrap();
        claim(&path).unwrap().write_all(b"secret").unwrap();
        let mut read = String::new();
        early.read_to_string(&mut read).unwrap();
        assert_eq!(read, "");
        assert_eq!(fs::read_to_string(&path).unwrap(), "secret");
        assert_eq!(folder.mode("f"), 0o600);
    }

    #[test]
    fn the_claim_is_on_the_file_that_has_the_name() {
        let folder = Folder::new();
        for (name, mode) in [("private", 0o600), ("exposed", 0o644)] {
            let path = folder.write(name, "", mode);
            let first = claim(&path).unwrap();
            assert_eq!(claim(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock, "{name}");
            // Its mode may be changed by somebody while it is in use.
            fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
            assert_eq!(claim(&path).unwrap_err().kind(), io::ErrorKind::WouldBlock, "{name}");
            assert!(same_file(&first.metadata().unwrap(), &path.metadata().unwrap()), "{name}");
            drop(first);
            claim(&path).unwrap();
        }
    }

    #[test]
    fn neither_links_nor_pipes_nor_folders_are_used() {
        let folder = Folder::new();
        folder.write("f", "content", 0o644);
        symlink(folder.at("f"), folder.at("link")).unwrap();
        symlink(folder.at("none"), folder.at("dangling")).unwrap();
        symlink("/dev/null", folder.at("device")).unwrap();
        fs::create_dir(folder.at("folder")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.at("pipe"), rustix::fs::Mode::RWXU).unwrap();
        let special = "it is no regular file; name one";
        for (name, expected) in [
            ("link", "it is a symbolic link; name the file itself"),
            ("dangling", special),
            ("device", special),
            ("folder", special),
            ("pipe", special),
        ] {
            assert_eq!(said(claim(&folder.at(name))), expected, "{name}");
            assert_eq!(said(open_own(&folder.at(name))), expected, "{name}");
            assert_eq!(said(vet(&folder.at(name))), expected, "{name}");
        }
        assert_eq!(folder.mode("f"), 0o644, "what a link leads to stays as it is");
        assert!(!folder.at("none").exists());
        for (name, expected) in [("f", "fit"), ("link", "fit"), ("device", special), ("pipe", special)] {
            assert_eq!(said(open_regular(&folder.at(name))), expected, "{name}");
        }
        assert_eq!(open_regular(&folder.at("dangling")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(open_own(&folder.at("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(said(vet(&folder.at("none"))), "fit");
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let folder = Folder::new();
        let path = folder.write("f", "content", 0o600);
        if std::os::unix::fs::chown(&path, Some(12_345), None).is_err() {
            println!("skipped: only root can give files away");
            return;
        }
        let expected =
            "it belongs to user 12345, not to user 0 that outgate runs as: run `chown 0` on it, or move it away";
        assert_eq!(said(claim(&path)), expected);
        assert_eq!(said(open_own(&path)), expected);
        assert_eq!(said(vet(&path)), expected);
        assert_eq!(said(open_regular(&path)), "fit", "a person may name it");
        assert_eq!(said(read_key(&path)), "fit", "root may use the key of whoever keeps the configuration");
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        assert_eq!(said(claim(&path)), "fit");
    }

    #[test]
    fn a_key_is_closed_to_others_and_its_group_may_read_it() {
        let folder = Folder::new();
        for (before, after) in [
            (0o600, 0o600),
            (0o400, 0o400),
            (0o640, 0o640),
            (0o440, 0o440),
            (0o644, 0o600),
            (0o660, 0o600),
            (0o602, 0o600),
        ] {
            let path = folder.write("key", "k", before);
            assert_eq!(read_key(&path).unwrap(), b"k");
            assert_eq!(folder.mode("key"), after, "{before:o}");
            fs::remove_file(path).unwrap();
        }
        symlink(folder.write("key", "k", 0o644), folder.at("link")).unwrap();
        assert_eq!(read_key(&folder.at("link")).unwrap(), b"k");
        assert_eq!(folder.mode("key"), 0o600, "the mode of the file and not of the link");
    }

    #[test]
    fn a_shared_key_stays_as_it_is_and_is_refused_where_everybody_may_change_it() {
        let folder = Folder::new();
        for (mode, expected) in [(0o600, "fit"), (0o640, "fit"), (0o644, "fit"), (0o664, "fit")] {
            let path = folder.write("key", "k", mode);
            assert_eq!(said(read_shared_key(&path)), expected, "{mode:o}");
            assert_eq!(folder.mode("key"), mode);
        }
        let exposed = folder.write("key", "k", 0o666);
        assert!(said(read_shared_key(&exposed)).starts_with("other users may change it (mode 666): run `chmod 600`"));
    }

    #[test]
    fn what_is_no_key_is_not_read_to_its_end() {
        let folder = Folder::new();
        let large = folder.write("large", "", 0o600);
        File::options().write(true).open(&large).unwrap().set_len(MAX_KEY).unwrap();
        assert_eq!(read_key(&large).unwrap().len() as u64, MAX_KEY);
        File::options().write(true).open(&large).unwrap().set_len(MAX_KEY + 1).unwrap();
        for read in [read_key, read_shared_key] {
            assert_eq!(said(read(&large)), "it is larger than a key: check that it is the right file");
            assert_eq!(said(read(Path::new("/dev/zero"))), "it is no regular file; name one");
        }
    }

    #[test]
    fn a_folder_where_every_user_may_remove_files_is_a_risk() {
        let folder = Folder::new();
        let path = folder.at("f");
        for (mode, is_risk) in
            [(0o700, false), (0o755, false), (0o775, false), (0o777, true), (0o1777, false), (0o702, true)]
        {
            fs::set_permissions(folder.0.path(), Permissions::from_mode(mode)).unwrap();
            assert_eq!(folder_risk(&path).is_some(), is_risk, "{mode:o}");
        }
        assert_eq!(folder_risk(Path::new("no/such/folder/f")), None);
    }
}
