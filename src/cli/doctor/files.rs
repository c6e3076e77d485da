//! Files and their modes, the limit on open files, the clock.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{Access, access};

use super::finding::{Finding, fail, ok, warn};
use crate::config::Config;

/// 2026-01-01, before which this program did not exist: a clock that says so is not set.
const FIRST_YEAR: Duration = Duration::from_secs(1_767_225_600);

/// Files beside those of tunnels: listeners, the records, runtimes, look-ups, requests that are no tunnels.
const OTHER_FILES: u64 = 256;

/// A Mac lets no process have more, whatever its limits say (OPEN_MAX).
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
    if let Some(token) = &config.admin.token_file {
        findings.push(match fs::metadata(token) {
            Ok(file) => token_mode(token, file.mode()),
            Err(error) => fail(
                "token",
                format!("cannot read {}: {error}", token.display()),
                "make it: one line of at least 16 random characters, mode 600",
            ),
        });
    }
    for listen in &config.listen {
        let key = listen.tls.as_ref().map(|files| files.key.as_path());
        findings.extend(key.and_then(|key| key_mode(key, fs::metadata(key).ok()?.mode())));
    }
    if let Some(records) = &config.record.jsonl {
        findings.extend(judge_records(records));
    }
    findings
}

fn judge_records(path: &Path) -> Vec<Finding> {
    const CHECK: &str = "records";
    let place = path.display();
    match fs::metadata(path) {
        Ok(file) if !file.is_file() => {
            vec![fail(CHECK, format!("{place} is no regular file"), "name another file in `[record] jsonl`")]
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
    }
}

/// Whether we may write there, where the answer means anything: a service of another user has its own rights.
fn writable(path: &Path, owner: Option<u32>) -> Finding {
    let place = path.display();
    let us = rustix::process::geteuid();
    if owner != Some(us.as_raw()) && !us.is_root() {
        return ok(
            "records",
            format!("{place} belongs to another user; whether that one can write there was not asked"),
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
        let what = format!("{place} (mode {:o}) can be read by others: it says who went where", file.mode() & 0o777);
        warn("records", what, format!("chmod 600 {place}"))
    })
}

fn token_mode(path: &Path, mode: u32) -> Finding {
    let place = path.display();
    if mode & 0o077 == 0 {
        return ok("token", format!("{place} is for its owner alone"));
    }
    let what = format!("{place} (mode {:o}) can be read by others: they can read everyone's records", mode & 0o777);
    fail("token", what, format!("chmod 600 {place}, write a new token into it, and restart"))
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
            assert_eq!(token_mode(Path::new("t"), 0o100_000 | mode).level, level, "{mode:o}");
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
