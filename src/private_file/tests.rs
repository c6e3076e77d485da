//! Files of every mode, owner and kind.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::key::MAX_KEY;
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
    // A mode that gives no access to other users is kept.
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
        // Another process may change the mode while the file is in use.
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
    let special = "it is not a regular file; name one";
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
    let expected = "it belongs to user 12345, not to user 0 that outgate runs as: run `chown 0` on it, or move it away";
    assert_eq!(said(claim(&path)), expected);
    assert_eq!(said(open_own(&path)), expected);
    assert_eq!(said(vet(&path)), expected);
    assert_eq!(said(open_regular(&path)), "fit", "a person may name it");
    assert_eq!(said(read_key(&path)), "fit", "root may use a key that the configuration's owner owns");
    std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    assert_eq!(said(claim(&path)), "fit");
}

#[test]
fn a_key_is_closed_to_others_and_its_group_may_read_it() {
    let folder = Folder::new();
    for (before, after) in
        [(0o600, 0o600), (0o400, 0o400), (0o640, 0o640), (0o440, 0o440), (0o644, 0o600), (0o660, 0o600), (0o602, 0o600)]
    {
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
        assert_eq!(said(read(Path::new("/dev/zero"))), "it is not a regular file; name one");
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
