//! Tunnels and requests that were open when the process ended without its last word.
//!
//! Such a one has an `open` or `progress` line and no `end`. It is looked for once, at the start; the `gap` line that
//! reports it (reason `restart`) ends the matter for later starts. Since one that is open has a `progress` line
//! each minute, only the last of the file has to be read.

use std::collections::HashSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use memchr::memmem;
use serde::Deserialize;

use crate::private_file;

/// How much of the file is read: 150,000 lines, in some hundred milliseconds. Only a flood of thousands of requests a
/// second can push a minute's `progress` lines further back.
const LOOK_BACK: u64 = 64 * 1024 * 1024;

/// The ids of what has no end, by the file of lines and by what is known already of another sink.
pub(super) fn left_open(path: &Path, known: HashSet<String>) -> HashSet<String> {
    let mut rotated = path.as_os_str().to_owned();
    rotated.push(".1");
    let (live, live_len) = end_of(path, LOOK_BACK).unwrap_or_default();
    let (before, _) = end_of(Path::new(&rotated), LOOK_BACK.saturating_sub(live_len)).unwrap_or_default();
    let mut open = known;
    scan(&before, &mut open);
    scan(&live, &mut open);
    open
}

fn end_of(path: &Path, len: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut file = private_file::open_own(path)?;
    file.seek(SeekFrom::Start(file.metadata()?.len().saturating_sub(len)))?;
    let mut end = Vec::new();
    file.take(len).read_to_end(&mut end)?;
    let read = end.len() as u64;
    Ok((end, read))
}

/// The beginning of a line.
#[derive(Deserialize)]
struct Beginning<'a> {
    kind: &'a str,
    id: &'a str,
    reason: &'a str,
}

fn scan(lines: &[u8], open: &mut HashSet<String>) {
    let kind = memmem::Finder::new(b"\"kind\":\"");
    for line in lines.split(|byte| *byte == b'\n') {
        // Inside of text the quotes would be escaped.
        let Some(rest) = kind.find(line).and_then(|at| line.get(at + 8..)) else { continue };
        if rest.starts_with(b"end\"") && open.is_empty() {
            continue;
        }
        // The first line may be half a one.
        let Ok(Beginning { kind, id, reason }) = serde_json::from_slice(line) else { continue };
        match kind {
            "open" | "progress" => {
                open.insert(id.to_owned());
            }
            "end" => {
                open.remove(id);
            }
            "gap" if reason == "restart" => open.clear(),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::line::tests::{denied, line};
    use crate::record::line::{Body, Gap, GapCause, RecordLine};
    use crate::record::{Kind, Record};

    #[test]
    fn a_tunnel_without_an_end_is_found_until_it_has_been_reported() {
        let of = |seq, kind, id| line(seq, Record { kind, ..denied(id, "a.test:443") }).to_json();
        let gap = |cause| {
            let gap = Gap { at: std::time::SystemTime::now(), dropped: 1, cause };
            RecordLine { seq: 9, prev: None, body: Body::Gap(gap), client: None }.to_json()
        };
        let lines = [
            of(1, Kind::End, 1),
            of(2, Kind::Open, 2),
            of(3, Kind::Open, 3),
            of(4, Kind::Progress, 4),
            of(5, Kind::End, 3),
        ];
        let open = |lines: &[String]| {
            let mut open = HashSet::new();
            scan(lines.join("\n").as_bytes(), &mut open);
            let mut open: Vec<_> = open.into_iter().collect();
            open.sort();
            open
        };
        assert_eq!(open(&lines), ["k3f9-2", "k3f9-4"]);
        assert_eq!(open(&[&lines[..], &[gap(GapCause::WriteFailed)]].concat()), ["k3f9-2", "k3f9-4"]);
        assert_eq!(open(&[&lines[..], &[gap(GapCause::Restart)]].concat()), [""; 0]);
        assert_eq!(open(&[&[gap(GapCause::Restart)], &lines[1..2]].concat()), ["k3f9-2"]);
    }
}
