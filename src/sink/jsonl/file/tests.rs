//! The live file: rotation, restarts, modes, full disks.

use std::path::Path;

use super::*;

/// A disk with room for so many bytes.
#[derive(Debug, Default)]
pub(in crate::sink) struct Disk {
    pub(in crate::sink) room: Option<usize>,
}

impl Disk {
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let Some(room) = &mut self.room else { return Ok(bytes) };
        if *room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let fits = bytes.len().min(*room);
        *room -= fits;
        Ok(&bytes[..fits])
    }
}

fn settings(dir: &tempfile::TempDir, max_size: u64, files: usize) -> Jsonl {
    Jsonl { path: dir.path().join("r.jsonl"), max_size, files, keep: Duration::MAX }
}

/// A line of 16 bytes with its line feed.
fn text(seq: u64) -> String {
    format!("{{\"seq\":{seq:8}}}").replace("\": ", "\":")
}

fn append(file: &mut JsonlFile, seqs: impl IntoIterator<Item = u64>) -> u64 {
    let lost: u64 = seqs
        .into_iter()
        .map(|seq| file.append(text(seq).as_bytes(), seq, LineHash::of(text(seq).as_bytes()), true))
        .sum();
    lost + file.write_out()
}

fn seqs(path: &Path) -> Vec<u64> {
    let lines = std::fs::read_to_string(path).unwrap();
    lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["seq"].as_u64().unwrap())
        .collect()
}

#[test]
fn it_rotates_at_its_size_and_keeps_so_many_files() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir, 2 * 17, 3);
    let (mut file, tail) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests continue").unwrap();
    assert_eq!(tail, Tail::EMPTY);
    assert_eq!(append(&mut file, 1..=9), 0);
    assert_eq!(seqs(&settings.path), [9]);
    assert_eq!(seqs(&numbered(&settings.path, 1)), [7, 8]);
    assert_eq!(seqs(&numbered(&settings.path, 2)), [5, 6]);
    assert!(!numbered(&settings.path, 3).exists());
    assert_eq!(mode(&settings.path), 0o600);
}

#[test]
fn a_single_file_begins_again() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir, 2 * 17, 1);
    let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests continue").unwrap();
    assert_eq!(append(&mut file, 1..=5), 0);
    assert_eq!(seqs(&settings.path), [5]);
    assert!(!numbered(&settings.path, 1).exists());
}

#[test]
fn a_restart_goes_on_from_the_rotated_file_when_the_live_one_is_empty() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir, 2 * 17, 3);
    let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests continue").unwrap();
    append(&mut file, 1..=2);
    file.rotate();
    drop(file);
    let (_, tail) = JsonlFile::open(settings, Chain::PLAIN, "requests continue").unwrap();
    assert_eq!(tail, Tail { seq: 2, hash: Some(LineHash::of(text(2).as_bytes())), ..Tail::EMPTY });
}

fn make(path: &Path, mode: u32) {
    std::fs::write(path, "").unwrap();
    set_mode(path, mode);
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
}

#[test]
fn a_file_that_others_may_open_is_closed_to_them_before_a_line_is_in_it() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir, 1 << 20, 3);
    make(&settings.path, 0o666);
    let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests continue").unwrap();
    assert_eq!(append(&mut file, 1..=2), 0);
    assert_eq!(mode(&settings.path), 0o600);
    // As logrotate does, with `create 0644`.
    std::fs::rename(&settings.path, dir.path().join("old")).unwrap();
    make(&settings.path, 0o644);
    assert_eq!(append(&mut file, [3]), 0);
    assert_eq!((mode(&settings.path), seqs(&settings.path)), (0o600, vec![3]));
    drop(file);
    set_mode(&settings.path, 0o644);
    let (_file, tail) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests continue").unwrap();
    assert_eq!((mode(&settings.path), tail.seq), (0o600, 3));
}

#[test]
fn a_link_in_the_place_of_the_file_is_never_followed() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir, 1 << 20, 3);
    let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests continue").unwrap();
    append(&mut file, 1..=2);
    let target = dir.path().join("target");
    make(&target, 0o644);
    let old = dir.path().join("old");
    std::fs::rename(&settings.path, &old).unwrap();
    std::os::unix::fs::symlink(&target, &settings.path).unwrap();
    assert_eq!(append(&mut file, [3]), 1, "lost, and counted");
    assert_eq!(file.fault(), Some("it is a symbolic link; name the file itself"));
    assert_eq!((std::fs::read_to_string(&target).unwrap(), mode(&target)), (String::new(), 0o644));
    drop(file);
    let open = || JsonlFile::open(settings.clone(), Chain::PLAIN, "requests continue").map(|_| ()).unwrap_err();
    assert_eq!(open().kind(), io::ErrorKind::InvalidData);
    // A symbolic link in place of the rotated file is refused as well; an empty live file continues from that file.
    std::fs::remove_file(&settings.path).unwrap();
    let rotated = numbered(&settings.path, 1);
    std::os::unix::fs::symlink(&old, &rotated).unwrap();
    assert_eq!(open().to_string(), format!("{}: it is a symbolic link; name the file itself", rotated.display()));
}

#[test]
fn a_full_disk_leaves_whole_lines_and_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir, 1 << 20, 3);
    let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests continue").unwrap();
    file.disk.room = Some(2 * 17 + 5);
    assert_eq!(append(&mut file, 1..=4), 2);
    assert_eq!(seqs(&settings.path), [1, 2], "half of the third was taken back");
    assert!(file.retry_at().is_some());
    assert_eq!(append(&mut file, [5]), 1, "no try before its time");

    let gap = LineHash::of(text(6).as_bytes());
    assert_eq!(file.reopen(), Some((3, Some(LineHash::of(text(2).as_bytes())))));
    assert!(!file.write_gap(text(6).as_bytes(), 6, gap), "the disk is still full");
    assert_eq!(append(&mut file, [7]), 1);

    file.disk.room = None;
    assert_eq!(file.reopen().unwrap().0, 4);
    assert!(file.write_gap(text(8).as_bytes(), 8, gap));
    assert_eq!(append(&mut file, [9]), 0);
    assert_eq!(seqs(&settings.path), [1, 2, 8, 9]);
    assert_eq!(file.missing, 0);
}

#[test]
fn a_file_is_rotated_by_age_in_time_and_not_by_a_clock_that_steps_back() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let dir = tempfile::tempdir().unwrap();
    let settings = Jsonl { keep: DAY * 9, ..settings(&dir, 1 << 20, 3) };
    let open = || JsonlFile::open(settings.clone(), Chain::PLAIN, "").unwrap().0;
    let mut file = open();
    let at = |day: u32| SystemTime::UNIX_EPOCH + DAY * day;
    let put = |file: &mut JsonlFile, day: u32| {
        let line = format!("{{\"seq\":{day},\"time\":\"1970-01-{:02}T00:00:00.000Z\"}}", day + 1);
        assert_eq!(file.append(line.as_bytes(), u64::from(day), LineHash::of(line.as_bytes()), true), 0);
        assert_eq!(file.write_out(), 0);
    };
    assert!(!file.rotate_older(at(20)), "it is empty");
    put(&mut file, 10);
    put(&mut file, 12);
    for (day, rotates) in [(12, false), (2, false), (13, true), (14, false)] {
        assert_eq!(file.rotate_older(at(day)), rotates, "{day}");
    }
    assert_eq!(seqs(&settings.path), [0; 0]);
    put(&mut file, 14);
    drop(file);
    let mut file = open();
    assert!(!file.rotate_older(at(16)) && file.rotate_older(at(17)), "after a restart too");
}

#[test]
fn a_hundred_rotations_leave_every_line_once_compressed_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir, 2 * 17, 80);
    let (mut file, _) = JsonlFile::open(settings.clone(), Chain::PLAIN, "").unwrap();
    assert_eq!((1..=100).map(|seq| append(&mut file, [seq])).sum::<u64>(), 0);
    drop(file);
    let (file, tail) = JsonlFile::open(settings.clone(), Chain::PLAIN, "").unwrap();
    assert_eq!(tail.seq, 100);
    let done = || {
        crate::record::files::rotated(&settings.path)
            .unwrap()
            .into_iter()
            .all(|n| (n < 2) != compressed(&settings.path, n).exists())
    };
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < Duration::from_secs(15));
        file.archive.wake();
        std::thread::sleep(Duration::from_millis(5));
    }
    let mut all = Vec::new();
    for n in (0..50).rev() {
        let path = if n < 2 { numbered(&settings.path, n) } else { compressed(&settings.path, n) };
        let mut text = String::new();
        io::Read::read_to_string(&mut crate::record::files::open_lines(&path).unwrap(), &mut text).unwrap();
        all.extend(text.lines().map(|line| {
            let number = line.trim_start_matches("{\"seq\":").trim_end_matches('}');
            number.trim().parse::<u64>().unwrap()
        }));
    }
    assert_eq!(all, (1..=100).collect::<Vec<_>>());
}

#[test]
fn two_processes_never_write_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings(&dir, 1 << 20, 3);
    let _first = JsonlFile::open(settings.clone(), Chain::PLAIN, "requests continue").unwrap();
    assert_eq!(
        JsonlFile::open(settings, Chain::PLAIN, "requests continue").unwrap_err().kind(),
        io::ErrorKind::WouldBlock
    );
}
