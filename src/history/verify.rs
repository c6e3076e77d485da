//! Verifies the chain.
//!
//! A line's `prev` is the hash of the line before it, and `seq` counts on by one; only a `gap` may jump. So a line that
//! was changed, taken out, put in or moved shows at the next one. A recomputed chain is detected only if it has a key
//! that is known here. The lines alone do not show a change of the last one, or lines missing at the end or the
//! beginning. A head that was kept elsewhere detects these, and a recomputed chain as well.

use std::io;
use std::path::Path;
use std::str::FromStr;

use serde::Serialize;

use crate::record::chain::shown;
use crate::record::{Chain, KeyId, LineHash};

/// Findings that are kept; what is broken in a thousand places is broken.
const MAX_FINDINGS: usize = 100;

/// What is known of a chain from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct ChainFacts {
    /// By which keys it may be. If there are any, a chain without a key is a fault.
    pub keys: Vec<Chain>,
    /// Heads that were kept elsewhere.
    pub heads: Vec<ChainHead>,
}

/// The head of a chain at some time: a line's `seq` and hash, written `SEQ:HASH`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainHead {
    seq: u64,
    hash: LineHash,
}

impl FromStr for ChainHead {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split_once(':').and_then(|(seq, hash)| Some((seq.parse().ok()?, LineHash::parse(hash)?)));
        let (seq, hash) = parts.ok_or("not a head, which is SEQ:HASH as in the log's \"chain of records\"")?;
        Ok(Self { seq, hash })
    }
}

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
    /// The chain's head now, as [`ChainHead`] is written; empty without a line, or where its key is not known.
    pub head: String,
    /// How many places are wrong.
    pub faults: u64,
    /// The first of them, and what else is worth knowing.
    pub findings: Vec<Finding>,
}

/// One thing that a walk came upon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// `FILE:LINE`, or `seq N` in a database; the file for findings that do not belong to a line.
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

/// Where a line is.
#[derive(Clone, Copy, Debug)]
pub(super) enum LinePlace<'a> {
    Line(&'a Path, u64),
    Row(i64),
    Whole,
}

/// What a walk needs of a line.
#[derive(Debug)]
pub(super) struct ChainLine<'a> {
    pub(super) seq: u64,
    pub(super) prev: &'a str,
    /// As it was written.
    pub(super) text: &'a [u8],
    /// Of a gap that is this sink's: its reason, and how many records are missing.
    pub(super) gap: Option<(&'a str, u64)>,
}

#[derive(Debug)]
pub(super) struct Walk<'a> {
    so_far: Verified,
    known: &'a ChainFacts,
    /// The line before: its text, or none where that could not be known.
    before: Option<Option<Vec<u8>>>,
    /// The key of the lines at this position; none until a line names one.
    key: Option<Option<KeyId>>,
    /// Which heads' lines were met.
    met: Vec<u64>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(source: String, known: &'a ChainFacts) -> Self {
        let head = String::new();
        let so_far = Verified { source, lines: 0, first: 0, last: 0, head, faults: 0, findings: Vec::new() };
        Self { so_far, known, before: None, key: None, met: Vec::new() }
    }

    pub(super) fn line(&mut self, place: LinePlace<'_>, line: &ChainLine<'_>) {
        let expected = self.so_far.last.saturating_add(1);
        let prev = LineHash::parse(line.prev);
        if let Some(prev) = prev {
            self.follow_key(place, prev.key());
        }
        match self.before.take() {
            None => {
                self.so_far.first = line.seq;
                if !line.prev.is_empty() {
                    let what = format!("begins with seq {}; earlier lines are no longer kept", line.seq);
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
                let fits = match (before, prev) {
                    (None, _) => true,
                    // A key that is not known was said already.
                    (Some(before), Some(prev)) => {
                        self.chain(prev.key()).is_none_or(|chain| chain.hash(&before) == prev)
                    }
                    (Some(_), None) => false,
                };
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
                self.note(place, fault, format!("a gap: {dropped} records are missing ({reason})"));
            }
        }
        // What follows a line that is out of its place continues from before it.
        let in_place = line.seq >= expected || self.so_far.lines == 0;
        self.so_far.lines += 1;
        self.so_far.last = self.so_far.last.max(line.seq);
        self.before = Some(in_place.then(|| line.text.to_vec()));
        self.compare_heads(place, line);
    }

    /// Notes where lines go over to another key, or to none.
    fn follow_key(&mut self, place: LinePlace<'_>, key: Option<KeyId>) {
        let before = self.key.replace(key);
        if before == Some(key) {
            return;
        }
        let wanted = !self.known.keys.is_empty();
        match (before.flatten(), key) {
            (_, Some(id)) if self.chain(key).is_none() => {
                let whose = if wanted { "another key than was given" } else { "a key that was not given" };
                self.note(
                    place,
                    true,
                    format!("from here on the chain has {whose} (its id is {}): not checked", shown(id)),
                );
            }
            (Some(_), None) if wanted => {
                let what = "from here on the chain has no key: anyone who can write here may have written this";
                self.note(place, true, what.to_owned());
            }
            (Some(_), Some(_)) => self.note(place, false, "from here on the chain has another key".to_owned()),
            (None, Some(_)) if before.is_some() => {
                self.note(place, false, "from here on the chain has a key".to_owned());
            }
            (_, None) | (None, Some(_)) => {}
        }
    }

    /// The chain by this key, if it is known.
    fn chain(&self, key: Option<KeyId>) -> Option<&'a Chain> {
        match key {
            None => Some(&Chain::PLAIN),
            Some(_) => self.known.keys.iter().find(|chain| chain.key() == key),
        }
    }

    fn compare_heads(&mut self, place: LinePlace<'_>, line: &ChainLine<'_>) {
        let known = self.known;
        for head in known.heads.iter().filter(|head| head.seq == line.seq) {
            self.met.push(head.seq);
            match self.chain(head.hash.key()) {
                Some(chain) if chain.hash(line.text) == head.hash => {}
                Some(_) => {
                    let what = "it is not the line of the head that was given: it, or one before it, was changed";
                    self.note(place, true, what.to_owned());
                }
                None => self.note(place, true, "the head that was given has a key that was not".to_owned()),
            }
        }
    }

    /// A line that is not a record.
    pub(super) fn unreadable(&mut self, place: LinePlace<'_>) {
        self.unknown(place, "this is not a record".to_owned());
    }

    /// A line that cannot be checked, and why.
    pub(super) fn unknown(&mut self, place: LinePlace<'_>, what: String) {
        self.note(place, true, what);
        self.so_far.lines += 1;
        if self.before.is_some() {
            self.so_far.last = self.so_far.last.saturating_add(1);
        }
        self.before = Some(None);
    }

    /// A file that cannot be read on, as a compressed one that is damaged.
    pub(super) fn broken(&mut self, place: LinePlace<'_>, error: &io::Error) {
        self.note(place, true, format!("the rest of the file cannot be read: {error}"));
        if self.before.is_some() {
            self.before = Some(None);
        }
    }

    /// A line without its end: it is being written, or was when the process was killed.
    pub(super) fn torn(&mut self, place: LinePlace<'_>) {
        self.note(place, false, "this line has no end: it is being written, or a crash cut it off".to_owned());
    }

    pub(super) fn finish(mut self) -> Verified {
        let known = self.known;
        if !known.keys.is_empty() && self.so_far.lines > 1 && self.key.flatten().is_none() && !self.has_faults() {
            let what = "no line here has a key: anyone who can write here may have written all of it";
            self.note(LinePlace::Whole, true, what.to_owned());
        }
        for ChainHead { seq, .. } in
            known.heads.iter().filter(|head| !self.met.contains(&head.seq)).copied().collect::<Vec<_>>()
        {
            let what = match self.so_far.last {
                last if last < seq => {
                    format!("ends with seq {last}; the head that was given is {seq}: the end is missing")
                }
                _ if seq < self.so_far.first => format!("the line of the head {seq} is no longer kept"),
                _ => format!("the line of the head {seq} is missing"),
            };
            self.note(LinePlace::Whole, true, what);
        }
        if let Some(Some(text)) = &self.before {
            let chain = match self.key {
                Some(key) => self.chain(key),
                None => known.keys.first().or(Some(&Chain::PLAIN)),
            };
            self.so_far.head =
                chain.map_or_else(String::new, |chain| format!("{}:{}", self.so_far.last, chain.hash(text)));
        }
        self.so_far
    }

    fn has_faults(&self) -> bool {
        self.so_far.faults > 0
    }

    fn note(&mut self, place: LinePlace<'_>, fault: bool, what: String) {
        self.so_far.faults += u64::from(fault);
        if self.so_far.findings.len() < MAX_FINDINGS {
            let place = match place {
                LinePlace::Line(path, number) => format!("{}:{number}", path.display()),
                LinePlace::Row(seq) => format!("seq {seq}"),
                LinePlace::Whole => self.so_far.source.clone(),
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
