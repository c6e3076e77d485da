//! The chain, walked.
//!
//! A line's `prev` is the hash of the line before it, and `seq` counts on by one; only a `gap` may jump. So a line that
//! was changed, taken out or put in shows at the next one. Not to be found: a change of the very last line, lines missing
//! at the end or the beginning, and a chain that somebody computed anew.

use std::path::Path;

use serde::Serialize;

/// Findings that are kept; what is broken in a thousand places is broken.
const MAX_FINDINGS: usize = 100;

/// What a walk along a chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// The file.
    pub source: String,
    /// How many lines there are.
    pub lines: u64,
    /// The first line's `seq`; 0 without one.
    pub first: u64,
    /// The last line's.
    pub last: u64,
    /// How many places are wrong.
    pub faults: u64,
    /// The first of them, and what else is worth knowing.
    pub findings: Vec<Finding>,
}

/// One thing that a walk came upon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `FILE:LINE`, or `seq N` in a database.
    pub place: String,
    /// Whether something is missing or was changed.
    pub fault: bool,
    /// What, in a clause.
    pub what: String,
}

impl Verified {
    /// Whether nothing is missing or was changed.
    pub fn is_whole(&self) -> bool {
        self.faults == 0
    }
}

/// Where a line stands.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    Line(&'a Path, u64),
    Row(i64),
}

/// What a walk needs of a line.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) seq: u64,
    pub(super) prev: &'a str,
    pub(super) hash: String,
    /// Of a gap that is this sink's: its reason, and how many records are missing.
    pub(super) gap: Option<(&'a str, u64)>,
}

#[derive(Debug)]
pub(super) struct Walk {
    so_far: Verified,
    /// The line before: its hash, or none where that could not be known.
    before: Option<Option<String>>,
}

impl Walk {
    pub(super) fn new(source: String) -> Self {
        let so_far = Verified { source, lines: 0, first: 0, last: 0, faults: 0, findings: Vec::new() };
        Self { so_far, before: None }
    }

    pub(super) fn line(&mut self, place: Place<'_>, line: &Line<'_>) {
        let expected = self.so_far.last + 1;
        match self.before.take() {
            None => {
                self.so_far.first = line.seq;
                if !line.prev.is_empty() {
                    let what = format!("begins with seq {}; what was before it is not kept any more", line.seq);
                    self.note(place, false, what);
                }
            }
            Some(before) => {
                let jumps = line.seq != expected;
                match line.gap {
                    _ if line.seq < expected => {
                        self.note(place, true, format!("seq {} follows {}", line.seq, expected - 1))
                    }
                    None if jumps => self.note(place, true, missing(expected, line.seq)),
                    _ => {}
                }
                // Where lines are missing, the hash cannot fit: that is said already.
                let fits = before.is_none_or(|before| before == line.prev);
                if !fits && (!jumps || line.gap.is_some()) {
                    let what = "its `prev` is not the hash of the line before: one of the two was changed";
                    self.note(place, true, what.to_owned());
                }
            }
        }
        if let Some((reason, dropped)) = line.gap {
            let jumped = line.seq > expected && self.so_far.lines > 0;
            // A tunnel that a crash cut off has its `open` line here; nothing is missing that was ever written.
            let fault = jumped || (reason != "restart" && dropped > 0);
            if dropped > 0 || jumped {
                self.note(place, fault, format!("a gap, of records that are missing: {dropped} ({reason})"));
            }
        }
        // What follows a line that is out of its place goes on from before it.
        let in_place = line.seq >= expected || self.so_far.lines == 0;
        self.so_far.lines += 1;
        self.so_far.last = self.so_far.last.max(line.seq);
        self.before = Some(in_place.then(|| line.hash.clone()));
    }

    /// A line that is no record.
    pub(super) fn unreadable(&mut self, place: Place<'_>) {
        self.note(place, true, "this is no record".to_owned());
        self.so_far.lines += 1;
        if self.before.is_some() {
            self.so_far.last += 1;
        }
        self.before = Some(None);
    }

    /// A line without its end: it is being written, or was when the process was killed.
    pub(super) fn torn(&mut self, place: Place<'_>) {
        self.note(place, false, "this line has no end: it is being written, or a crash cut it off".to_owned());
    }

    pub(super) fn finish(self) -> Verified {
        self.so_far
    }

    fn note(&mut self, place: Place<'_>, fault: bool, what: String) {
        self.so_far.faults += u64::from(fault);
        if self.so_far.findings.len() < MAX_FINDINGS {
            let place = match place {
                Place::Line(path, number) => format!("{}:{number}", path.display()),
                Place::Row(seq) => format!("seq {seq}"),
            };
            self.so_far.findings.push(Finding { place, fault, what });
        }
    }
}

fn missing(expected: u64, found: u64) -> String {
    match found - expected {
        1 => format!("the line before it is missing (seq {expected})"),
        count => format!("{count} lines before it are missing (seq {expected} to {})", found - 1),
    }
}
