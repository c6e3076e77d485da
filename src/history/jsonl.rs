//! A file of lines and those that it was rotated into.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, Read, Seek};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::request::{Detail, NotRequests, Request};
use super::verify::{ChainFacts, ChainLine, LinePlace, Verified, Walk};
use crate::private_file;
use crate::record::files::{compressed, lines_of, numbered, rotated};
use crate::record::{Chain, LineHash};

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
    #[serde(borrow)]
    protocol: Cow<'a, str>,
    #[serde(borrow)]
    sni: Cow<'a, str>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    bytes_up: u64,
    #[serde(default)]
    dropped: u64,
    #[serde(borrow)]
    prev: Cow<'a, str>,
}

pub(super) fn requests(
    path: &Path,
    wanted: Detail,
    since: i64,
    each: &mut dyn FnMut(&Request<'_>),
) -> io::Result<NotRequests> {
    let (destination, by_itself) = (wanted != Detail::Totals, wanted == Detail::Each);
    let mut not_requests = NotRequests::default();
    lines(path, |_, piece| {
        let line = match piece {
            FileItem::Line(line) => line,
            FileItem::Torn => return,
            FileItem::Broken(_) => return not_requests.unreadable += 1,
        };
        let Ok(fields) = serde_json::from_slice::<Fields<'_>>(line) else {
            not_requests.unreadable += 1;
            return;
        };
        let Ok(time) = fields.time.parse::<jiff::Timestamp>() else {
            not_requests.unreadable += 1;
            return;
        };
        let ms = time.as_millisecond();
        if ms < since {
            return;
        }
        match &*fields.kind {
            "end" => each(&Request {
                count: 1,
                ms,
                decision: &fields.decision,
                reason: &fields.reason,
                rule: &fields.rule,
                tool: &fields.tool,
                identity: &fields.identity,
                host: if destination { &fields.host } else { "" },
                port: if destination { fields.port } else { 0 },
                address: if by_itself { &fields.address } else { "" },
                outcome: if by_itself { &fields.outcome } else { "" },
                began_otherwise: by_itself
                    && fields.protocol != "http"
                    && fields.sni != fields.host
                    && fields.bytes_up > 0,
            }),
            "gap" => not_requests.gap(&fields.reason, fields.dropped),
            _ => {}
        }
    })?;
    Ok(not_requests)
}

pub(super) fn verify(path: &Path, known: &ChainFacts) -> io::Result<Verified> {
    let mut walk = Walk::new(path.display().to_string(), known);
    lines(path, |place, piece| {
        let line = match piece {
            FileItem::Line(line) => line,
            FileItem::Torn => return walk.torn(place),
            FileItem::Broken(error) => return walk.broken(place, error),
        };
        match serde_json::from_slice::<Fields<'_>>(line).ok() {
            None => walk.unreadable(place),
            Some(fields) => walk.line(
                place,
                &ChainLine {
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

/// What is met in a file.
enum FileItem<'a> {
    Line(&'a [u8]),
    /// A line without its line feed.
    Torn,
    /// The file cannot be read on.
    Broken(&'a io::Error),
}

/// Shows every line of all files, the oldest first. At most one line is in memory, even of a compressed file.
fn lines(path: &Path, mut each: impl FnMut(LinePlace<'_>, FileItem<'_>)) -> io::Result<()> {
    for (name, file) in files(path)? {
        let (mut reader, mut line, mut number) = (lines_of(file)?, Vec::new(), 0);
        loop {
            line.clear();
            let read = (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line);
            number += 1;
            let place = LinePlace::Line(&name, number);
            match read {
                Ok(0) => break,
                Ok(_) => match line.strip_suffix(b"\n") {
                    Some(line) => each(place, FileItem::Line(line)),
                    // Too long for a line is none either, and is passed over piece by piece.
                    None if line.len() as u64 == MAX_LINE => each(place, FileItem::Line(&line)),
                    None => each(place, FileItem::Torn),
                },
                Err(error) => {
                    each(place, FileItem::Broken(&error));
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The files, the oldest first. They are opened from the newest on: what is rotated or compressed meanwhile is met again,
/// never missed, and known by its first line.
fn files(path: &Path) -> io::Result<Vec<(PathBuf, File)>> {
    let last = rotated(path).ok().and_then(|numbers| numbers.last().copied()).unwrap_or_default();
    let mut files = Vec::new();
    let mut known = HashSet::new();
    // One more, for a rotation meanwhile.
    for number in 0..=last + 1 {
        let plain = numbered(path, number);
        let open = |path: &Path| match files.first() {
            Some((_, live)) => private_file::open_next_to(path, live)
                .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))),
            None => private_file::open_regular(path),
        };
        let opened = match open(&plain) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && number > 0 => {
                let compressed = compressed(path, number);
                open(&compressed).map(|file| (compressed, file))
            }
            opened => opened.map(|file| (plain, file)),
        };
        let (name, mut file) = match opened {
            // A crash between two steps of a rotation leaves a hole.
            Err(error) if error.kind() == io::ErrorKind::NotFound && number > 0 => continue,
            opened => opened?,
        };
        if first_line(&mut file)?.is_some_and(|first| !known.insert(first)) {
            continue;
        }
        files.push((name, file));
    }
    files.reverse();
    Ok(files)
}

/// The hash of a file's first line, as far as it is whole and readable; the file is at its beginning then.
fn first_line(file: &mut File) -> io::Result<Option<LineHash>> {
    let mut first = Vec::new();
    let read = lines_of(file.try_clone()?).and_then(|lines| lines.take(MAX_LINE).read_until(b'\n', &mut first));
    file.rewind()?;
    Ok((read.is_ok() && first.ends_with(b"\n")).then(|| Chain::PLAIN.hash(&first)))
}
