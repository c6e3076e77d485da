//! A file of lines and those that it was rotated into.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::verify::{Known, Line, Place, Verified, Walk};
use super::{Beside, Request};

/// More rotated files than a configuration can ask for.
const MAX_FILES: usize = 1000;
/// A line is never so long; what is, is something else.
const MAX_LINE: u64 = 1024 * 1024;

/// What reports and the chain need of a line.
#[derive(Deserialize)]
struct Fields<'a> {
    seq: u64,
    #[serde(borrow)]
    time: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    tool: Cow<'a, str>,
    #[serde(borrow)]
    identity: Cow<'a, str>,
    #[serde(borrow)]
    host: Cow<'a, str>,
    port: u16,
    #[serde(borrow)]
    decision: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
    #[serde(borrow)]
    rule: Cow<'a, str>,
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(default)]
    dropped: u64,
    #[serde(borrow)]
    prev: Cow<'a, str>,
}

pub(super) fn requests(path: &Path, since: i64, each: &mut dyn FnMut(&Request<'_>)) -> io::Result<Beside> {
    let mut beside = Beside::default();
    lines(path, |_, line, whole| {
        let Ok(fields) = serde_json::from_slice::<Fields<'_>>(line) else {
            beside.unreadable += u64::from(whole);
            return;
        };
        let Ok(time) = fields.time.parse::<jiff::Timestamp>() else {
            beside.unreadable += 1;
            return;
        };
        let ms = time.as_millisecond();
        if ms < since {
            return;
        }
        match &*fields.kind {
            "end" => each(&Request {
                ms,
                decision: &fields.decision,
                reason: &fields.reason,
                rule: &fields.rule,
                tool: &fields.tool,
                identity: &fields.identity,
                host: &fields.host,
                port: fields.port,
                address: &fields.address,
            }),
            "gap" => beside.gap(&fields.reason, fields.dropped),
            _ => {}
        }
    })?;
    Ok(beside)
}

pub(super) fn verify(path: &Path, known: &Known) -> io::Result<Verified> {
    let mut walk = Walk::new(path.display().to_string(), known);
    lines(path, |place, line, whole| {
        let fields = serde_json::from_slice::<Fields<'_>>(line).ok();
        match fields {
            _ if !whole => walk.torn(place),
            None => walk.unreadable(place),
            Some(fields) => walk.line(
                place,
                &Line {
                    seq: fields.seq,
                    prev: &fields.prev,
                    text: line,
                    gap: (fields.kind == "gap").then_some((&*fields.reason, fields.dropped)),
                },
            ),
        }
    })?;
    Ok(walk.finish())
}

/// Shows every line of all files, the oldest first; whether it has its line feed comes with it.
fn lines(path: &Path, mut each: impl FnMut(Place<'_>, &[u8], bool)) -> io::Result<()> {
    for (path, file) in files(path)? {
        let mut reader = BufReader::with_capacity(256 * 1024, file);
        let (mut line, mut number) = (Vec::new(), 0);
        loop {
            line.clear();
            let read = io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut line)?;
            if read == 0 {
                break;
            }
            number += 1;
            let whole = line.last() == Some(&b'\n');
            each(Place::Line(&path, number), line.strip_suffix(b"\n").unwrap_or(&line), whole);
        }
    }
    Ok(())
}

/// The files, the oldest first. They are opened from the newest on: what is rotated meanwhile is met again, never missed.
fn files(path: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let mut files = Vec::new();
    let mut known = Vec::new();
    for number in 0..MAX_FILES {
        let name = if number == 0 {
            path.to_owned()
        } else {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            name.into()
        };
        let mut file = match File::open(&name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && number > 0 => break,
            opened => opened?,
        };
        let identity = identity(&file)?;
        if !known.contains(&identity) {
            known.push(identity);
            file.rewind()?;
            files.push((name, file));
        }
    }
    files.reverse();
    Ok(files)
}

#[cfg(unix)]
fn identity(file: &File) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    file.metadata().map(|metadata| (metadata.dev(), metadata.ino()))
}
