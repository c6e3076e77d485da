//! Files and their modes, the limit on open files, the clock.

use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Access, access};

use super::finding::{Finding, fail, ok, warn};
use crate::config::Config;
use crate::private_file::{self, FolderRisk};

/// 2026-01-01, before which this program did not exist: a clock that says so is not set.
const FIRST_YEAR: Duration = Duration::from_secs(1_767_225_600);

/// File descriptors in addition to those of tunnels: listeners, records, runtimes, lookups, requests that are not tunnels.
const OTHER_FILES: u64 = 256;

/// macOS allows a process no more, even with higher limits (OPEN_MAX).
const MAC_FILES: u64 = 10_240;

/// Judges the files that the configuration names, and the configuration itself.
pub(super) fn judge(path: Option<&Path>, config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (check, path) in path
        .map(|path| ("configuration", path))
        .into_iter()
        .chain(config.policy.source.first().map(|path| ("policy", path.as_path())))
    {
        findings.extend(fs::metadata(path).ok().and_then(|file| writable_by_others(check, path, file.mode())));
    }
    let secrets = [
        ("token", &config.admin.token_file),
        ("chain-key", &config.record.chain_key),
        ("redact-key", &config.record.redact_key),
    ];
    for (check, path) in secrets.into_iter().filter_map(|(check, path)| Some((check, path.as_ref()?))) {
        findings.push(match fs::metadata(path) {
            Ok(file) => secret_mode(check, path, file.mode()),
            Err(error) => fail(
                check,
                format!("cannot read {}: {error}", path.display()),
                "create it: one line of at least 16 random characters, mode 600",
            ),
        });
    }
    for listen in &config.listen {
        let key = listen.tls.as_ref().map(|files| files.key.as_path());
        findings.extend(key.and_then(|key| key_mode(key, fs::metadata(key).ok()?.mode())));
    }
    for records in [&config.record.jsonl, &config.record.sqlite].into_iter().flatten() {
        findings.extend(judge_records(records));
    }
    findings
}

fn judge_records(path: &Path) -> Vec<Finding> {
    const CHECK: &str = "records";
    let place = path.display();
    let mut findings = Vec::new();
    if let Some(FolderRisk { what, fix }) = private_file::folder_risk(path) {
        findings.push(warn(CHECK, what, fix));
    }
    findings.extend(match fs::symlink_metadata(path) {
        Ok(file) if file.is_symlink() => {
            vec![fail(CHECK, format!("{place} is a symbolic link"), "name the file itself in `[record]`")]
        }
        Ok(file) if !file.is_file() => {
            vec![fail(CHECK, format!("{place} is not a regular file"), "name another file in `[record]`")]
        }
        Ok(file) => {
            let mut findings: Vec<_> = readable_by_others(path, &file).into_iter().collect();
            findings.push(writable(path, Some(file.uid())));
            findings
        }
        Err(_) => {
            let folder =
                path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
            vec![match fs::metadata(folder) {
                Ok(file) if file.is_dir() => writable(folder, Some(file.uid())),
                _ => fail(
                    CHECK,
                    format!("the folder of {place} does not exist"),
                    format!("mkdir -p {}", folder.display()),
                ),
            }]
        }
    });
    findings.extend(next_to(path).into_iter().filter_map(|path| {
        let file = fs::symlink_metadata(&path).ok()?;
        match file.is_file() {
            true => readable_by_others(&path, &file),
            false => Some(fail(CHECK, format!("{} is not a regular file", path.display()), "move it away")),
        }
    }));
    findings
}

/// The files of the same records: rotated ones, and those that SQLite keeps.
fn next_to(path: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Vec::new() };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let names = fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name()));
    let is_part = |other: &OsString| {
        let suffix = other.as_encoded_bytes().strip_prefix(name.as_encoded_bytes()).unwrap_or_default();
        match suffix.strip_prefix(b".") {
            Some(rest) => rest.strip_suffix(b".gz").unwrap_or(rest).iter().all(u8::is_ascii_digit),
            None => [&b"-wal"[..], b"-shm", b"-journal", b"-lock"].contains(&suffix),
        }
    };
    let mut parts: Vec<_> = names.filter(is_part).map(|name| folder.join(name)).collect();
    parts.sort();
    parts
}

/// Whether we may write there, where the answer means anything: a service of another user has its own rights.
fn writable(path: &Path, owner: Option<u32>) -> Finding {
    let place = path.display();
    let us = rustix::process::geteuid();
    if owner != Some(us.as_raw()) && !us.is_root() {
        return ok(
            "records",
            format!("{place} belongs to another user; whether that user can write there was not checked"),
        );
    }
    match access(path, Access::WRITE_OK) {
        Ok(()) => ok("records", format!("{place} can be written")),
        Err(error) => fail("records", format!("{place} cannot be written: {error}"), format!("chmod u+w {place}")),
    }
}

fn readable_by_others(path: &Path, file: &Metadata) -> Option<Finding> {
    let place = path.display();
    (file.mode() & 0o077 != 0).then(|| {
        let what =
            format!("{place} (mode {:o}) can be read by others: it shows who connected where", file.mode() & 0o777);
        warn("records", what, format!("chmod 600 {place}"))
    })
}

fn secret_mode(check: &'static str, path: &Path, mode: u32) -> Finding {
    let place = path.display();
    if mode & 0o077 == 0 {
        return ok(check, format!("{place} is for its owner alone"));
    }
    let what = format!("{place} (mode {:o}) can be opened by others, so it is not secret", mode & 0o777);
    fail(check, what, format!("chmod 600 {place}, write a new one into it, and restart"))
}

fn key_mode(path: &Path, mode: u32) -> Option<Finding> {
    let place = path.display();
    (mode & 0o007 != 0).then(|| {
        warn(
            "listener",
            format!("the key {place} (mode {:o}) can be read by everybody", mode & 0o777),
            format!("chmod 600 {place}"),
        )
    })
}

fn writable_by_others(check: &'static str, path: &Path, mode: u32) -> Option<Finding> {
    let place = path.display();
    (mode & 0o022 != 0).then(|| {
        let what = format!("{place} (mode {:o}) can be written by others: they decide what is allowed", mode & 0o777);
        warn(check, what, format!("chmod go-w {place}"))
    })
}

/// Whether the limit that the proxy can raise itself to is enough for `max-tunnels`. `hard`: none is unlimited.
pub(super) fn open_files(hard: Option<u64>, max_tunnels: usize, mac: bool) -> Finding {
    const CHECK: &str = "open files";
    let limit = match (hard, mac) {
        (hard, true) => Some(hard.unwrap_or(MAC_FILES).min(MAC_FILES)),
        (hard, false) => hard,
    };
    let wanted = (max_tunnels as u64).saturating_mul(2).saturating_add(OTHER_FILES);
    match limit {
        Some(limit) if limit < wanted => warn(
            CHECK,
            format!(
                "{limit} are enough for about {} tunnels, and `max-tunnels` is {max_tunnels}",
                limit.saturating_sub(OTHER_FILES) / 2
            ),
            if mac {
                "lower `max-tunnels`: a Mac allows no more".to_owned()
            } else {
                format!(
                    "raise the hard limit to {wanted} (LimitNOFILE of the unit, `ulimit -Hn` in a shell), or lower `max-tunnels`"
                )
            },
        ),
        Some(limit) => ok(CHECK, format!("{limit}, for at most {max_tunnels} tunnels")),
        None => ok(CHECK, format!("without a limit, for at most {max_tunnels} tunnels")),
    }
}

/// Whether the clock can be right. Periods of rules, certificates and records depend on it.
pub(super) fn clock(now: SystemTime) -> Finding {
    let shown =
        jiff::Timestamp::try_from(now).map_or_else(|_| "a time beyond all dates".to_owned(), |now| format!("{now:.0}"));
    match now.duration_since(UNIX_EPOCH) {
        Ok(since) if since >= FIRST_YEAR => ok("clock", shown),
        _ => fail(
            "clock",
            format!("it says {shown}: rules with `from` and `until`, certificates and records depend on it"),
            "set it, best by NTP",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::finding::Level;
    use super::*;

    #[test]
    fn a_token_is_for_its_owner_alone() {
        for (mode, level) in
            [(0o600, Level::Ok), (0o400, Level::Ok), (0o640, Level::Fail), (0o604, Level::Fail), (0o666, Level::Fail)]
        {
            assert_eq!(secret_mode("token", Path::new("t"), 0o100_000 | mode).level, level, "{mode:o}");
        }
    }

    #[test]
    fn what_others_may_change_or_see_is_worth_a_look() {
        let path = Path::new("f");
        for (mode, written, key) in
            [(0o644, false, true), (0o640, false, false), (0o664, true, true), (0o620, true, false)]
        {
            assert_eq!(writable_by_others("policy", path, mode).is_some(), written, "{mode:o}");
            assert_eq!(key_mode(path, mode).is_some(), key, "{mode:o}");
        }
    }

    #[test]
    fn records_need_a_place_where_they_can_be_written() {
        let folder = tempfile::tempdir().unwrap();
        let levels = |name: &str| {
            judge_records(&folder.path().join(name)).iter().map(|finding| finding.level).collect::<Vec<_>>()
        };
        assert_eq!(levels("new.jsonl"), [Level::Ok]);
        assert_eq!(levels("none/new.jsonl"), [Level::Fail]);
        assert_eq!(levels("."), [Level::Fail]);
        let file = folder.path().join("r.jsonl");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(levels("r.jsonl"), [Level::Ok]);
        fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
        assert_eq!(levels("r.jsonl"), [Level::Warn, Level::Ok]);
    }

    #[test]
    fn files_next_to_the_records_and_their_folder_are_judged_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r");
        let write = |name: &str, mode| {
            let file = folder.path().join(name);
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        };
        let levels = || judge_records(&path).iter().map(|finding| finding.level).collect::<Vec<_>>();
        write("r", 0o600);
        for (name, level) in [
            ("r.1", Some(Level::Warn)),
            ("r.12.gz", Some(Level::Warn)),
            ("r-wal", Some(Level::Warn)),
            ("r-lock", Some(Level::Warn)),
            ("r.txt", None),
            ("r-other", None),
            ("s.1", None),
        ] {
            write(name, 0o644);
            assert_eq!(levels().get(1), level.as_ref(), "{name}");
            write(name, 0o600);
            assert_eq!(levels(), [Level::Ok], "{name}");
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("r", folder.path().join("r.2")).unwrap();
        assert_eq!(levels(), [Level::Ok, Level::Fail]);
        fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).unwrap();
        assert_eq!(levels(), [Level::Warn, Level::Ok, Level::Fail]);
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(judge_records(&link)[1].level, Level::Fail);
    }

    #[test]
    fn each_tunnel_needs_two_files() {
        for (hard, mac, level) in [
            (Some(20_256), false, Level::Ok),
            (Some(20_255), false, Level::Warn),
            (None, false, Level::Ok),
            (None, true, Level::Warn),
            (Some(1_048_576), true, Level::Warn),
        ] {
            assert_eq!(open_files(hard, 10_000, mac).level, level, "{hard:?} {mac}");
        }
        assert_eq!(open_files(None, 4_000, true).level, Level::Ok);
    }

    #[test]
    fn a_clock_before_this_program_is_wrong() {
        assert_eq!(clock(UNIX_EPOCH).level, Level::Fail);
        assert_eq!(clock(UNIX_EPOCH + FIRST_YEAR - Duration::from_secs(1)).level, Level::Fail);
        assert_eq!(clock(UNIX_EPOCH + FIRST_YEAR).level, Level::Ok);
        assert_eq!(clock(UNIX_EPOCH + FIRST_YEAR).what, "2026-01-01T00:00:00Z");
    }
}
