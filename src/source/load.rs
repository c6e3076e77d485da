//! A policy's file and the lists that it names, read together.
//!
//! Guaranteed:
//! - What is handed out is one state of all the files: each was the same before and after it was read, and none had
//!   changed when the last was through.
//! - Only regular files are read, and only up to a limit.
//! - All that is wrong is said at once; the files to wait for are named also where loading fails.
//!
//! Deliberately not done: judging the lines of lists (compiling the policy does), and waiting for a slow writer.
//! A writer that pauses in the middle of a file looks like one that has finished; such writers must rename.

use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::Watched;
use super::steady::{self, FileError};
use crate::policy::text::{Format, ProblemReport, SourceText, decode, read_policy};
use crate::policy::{Complaint, ListDocument, ListFormat, PolicyDocument, ProblemCode, ProblemPlace, Problems};

/// The largest policy. A rule takes some 200 bytes, so that this holds 300,000; larger sets belong into lists.
const MAX_POLICY: u64 = 64 * 1024 * 1024;
/// The largest list. A name takes some 20 bytes, so that this holds ten million.
const MAX_LIST: u64 = 256 * 1024 * 1024;
/// How often files that change while they are read are read again. With the pauses in [`steady`] about a quarter of a
/// second: the next look at a watched file comes soon enough.
const ATTEMPTS: usize = 5;

/// A policy as it was read: its document carries what is wrong with its shape.
#[derive(Debug)]
pub struct LoadedDocument {
    /// What it says.
    pub document: PolicyDocument,
    /// Its text, to show places in.
    pub source: SourceText,
    /// The bytes of its lists, in the document's order, or why they cannot be read.
    pub lists: Vec<Result<Vec<u8>, Complaint>>,
    /// Identifies this content, as 64 hexadecimal digits: the file's SHA-256 where there is no list, else the SHA-256
    /// of the SHA-256s of all files in order.
    pub content_hash: String,
    /// The files, the policy's own first.
    pub files: Vec<Watched>,
}

/// Why a policy could not be read at all.
#[derive(Debug)]
pub struct LoadError {
    /// Every mistake. Never empty.
    pub report: ProblemReport,
    /// The files whose change may correct it.
    pub files: Vec<Watched>,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report.fmt(f)
    }
}

impl std::error::Error for LoadError {}

/// Reads a policy and its lists. Blocks, for a large list or a busy writer about a second.
///
/// # Errors
/// Everything that is wrong with the policy's file or its syntax. What is wrong with its keys is in the document; patterns and
/// the lines of lists are judged later.
pub fn load(path: &Path) -> Result<LoadedDocument, LoadError> {
    let mut changing = path.to_owned();
    for _ in 0..ATTEMPTS {
        match attempt(path) {
            Ok(loaded) => return Ok(loaded),
            Err(Failure::Changed(file)) => changing = file,
            Err(Failure::Wrong(error)) => return Err(error),
        }
    }
    Err(LoadError {
        report: whole_file(&changing, unusable(&FileError::Changing)),
        files: vec![awaited(path.to_owned(), &FileError::Changing)],
    })
}

/// A policy that is not in a file: without lists, since there is no folder to find them in.
pub(super) fn load_text(name: &str, text: &str) -> Result<LoadedDocument, LoadError> {
    let source = SourceText::new(name, text);
    let document = read_policy(text, Format::Toml)
        .map_err(|problems| LoadError { report: ProblemReport::new(&source, problems), files: Vec::new() })?;
    let lists = document.lists.iter().map(|_| Err(unusable_list(&FileError::Missing))).collect();
    Ok(LoadedDocument { document, source, lists, content_hash: hex(&Sha256::digest(text)), files: Vec::new() })
}

enum Failure {
    /// This file changed while it was read.
    Changed(PathBuf),
    /// Retrying does not help.
    Wrong(LoadError),
}

fn attempt(path: &Path) -> Result<LoadedDocument, Failure> {
    let name = path.display().to_string();
    // Before anything is looked at, so that a change from here on is noticed.
    let watched = Watched::now(path.to_owned());
    let wrong = |report| Failure::Wrong(LoadError { report, files: vec![watched.clone()] });
    let format = format_of(path).map_err(|complaint| wrong(whole_file(path, complaint)))?;
    let (bytes, stamp) = match steady::read(path, MAX_POLICY) {
        Ok(read) => read,
        Err(FileError::Changing) => return Err(Failure::Changed(path.to_owned())),
        Err(error) => {
            let files = vec![awaited(path.to_owned(), &error)];
            return Err(Failure::Wrong(LoadError { report: whole_file(path, unusable(&error)), files }));
        }
    };
    let mut hashes = vec![Sha256::digest(&bytes)];
    let source = decode(&name, bytes).map_err(|problem| wrong(problem.into()))?;
    let mut document =
        read_policy(source.text(), format).map_err(|problems| wrong(ProblemReport::new(&source, problems)))?;

    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let mut read = vec![Watched { path: path.to_owned(), stamp: Some(stamp) }];
    let mut unread = Vec::new();
    let mut names = Vec::with_capacity(document.lists.len());
    let mut lists = Vec::with_capacity(document.lists.len());
    for list in &document.lists {
        let file = folder.join(&list.file.value);
        names.push(file.display().to_string());
        match steady::read(&file, MAX_LIST) {
            Ok((bytes, stamp)) => {
                let hash = Sha256::digest(&bytes);
                check(list, &bytes, &hex(&hash), &mut document.problems);
                hashes.push(hash);
                lists.push(Ok(bytes));
                read.push(Watched { path: file, stamp: Some(stamp) });
            }
            Err(FileError::Changing) => return Err(Failure::Changed(file)),
            Err(error) => {
                lists.push(Err(unusable_list(&error)));
                unread.push(awaited(file, &error));
            }
        }
    }
    if let Some(changed) = read.iter().find(|file| file.has_changed()) {
        return Err(Failure::Changed(changed.path.clone()));
    }
    let content_hash = match hashes.as_slice() {
        [policy] => hex(policy),
        all => hex(&Sha256::digest(all.concat())),
    };
    let files = read.into_iter().chain(unread).collect();
    Ok(LoadedDocument { document, source: source.with_lists(names), lists, content_hash, files })
}

/// A file that could not be read, as it has to look for another attempt to be worth while. After an error that passes by
/// itself that is at once: no file has no stamp, so that the next look finds it changed.
fn awaited(path: PathBuf, error: &FileError) -> Watched {
    match error {
        FileError::Changing | FileError::Busy(_) => Watched { path, stamp: None },
        FileError::Missing
        | FileError::Folder
        | FileError::Special
        | FileError::Unreadable(_)
        | FileError::TooLarge(_)
        | FileError::Empty => Watched::now(path),
    }
}

fn format_of(path: &Path) -> Result<Format, Complaint> {
    let (what, fix) = match path.extension().and_then(|extension| extension.to_str()) {
        Some("toml") => return Ok(Format::Toml),
        Some("json") => return Ok(Format::Json),
        Some("yaml" | "yml") => ("YAML is not supported in this version", "write the policy as .toml or .json"),
        _ => ("its name does not say how it is written", "let it end in .toml or .json"),
    };
    Err(Complaint::new(ProblemCode::UnknownFormat, what, fix))
}

/// The problem with a file as a whole.
fn whole_file(path: &Path, complaint: Complaint) -> ProblemReport {
    SourceText::new(path.display().to_string(), "").located(&complaint.at(ProblemPlace::Whole)).into()
}

fn unusable(error: &FileError) -> Complaint {
    Complaint::new(ProblemCode::UnusableFile, error.to_string(), error.fix())
}

fn unusable_list(error: &FileError) -> Complaint {
    Complaint::new(ProblemCode::UnusableFile, format!("the list's file cannot be used: {error}"), error.fix())
}

/// What the policy says that the file must be.
fn check(list: &ListDocument, bytes: &[u8], hash: &str, problems: &mut Problems) {
    const FIX: &str = "get the right file, or correct this";
    if let Some(expected) = &list.lines {
        let names = count_names(bytes, list.format);
        if names != expected.value {
            let what = format!("the number of names in the list's file is {names}, not {}", expected.value);
            problems.at(expected.span, ProblemCode::ListMismatch, what, FIX);
        }
    }
    if let Some(expected) = &list.sha256
        && expected.value != hash
    {
        let what = format!("the list's file is another one, its SHA-256 is {hash}");
        problems.at(expected.span, ProblemCode::ListMismatch, what, FIX);
    }
}

/// How many names a list holds; blank lines and comments are none.
fn count_names(bytes: &[u8], format: ListFormat) -> u64 {
    let names = |line: &[u8]| {
        let line = line.split(|byte| *byte == b'#').next().unwrap_or_default();
        let words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
        match format {
            ListFormat::Domains => words.min(1),
            // The first word is the address.
            ListFormat::Hosts => words.saturating_sub(1),
        }
    };
    bytes.split(|byte| *byte == b'\n').map(|line| names(line) as u64).sum()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
