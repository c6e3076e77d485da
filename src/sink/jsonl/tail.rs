//! Where a file of records stopped.
//!
//! Guaranteed: a file that was not written by this room is never changed. Whatever is cut off is the end of a line that
//! was being written when the machine or the process stopped.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::SystemTime;

use crate::record::files::time_of;
use crate::record::{Chain, LineHash};

/// How far back the last line may begin: far more than the longest line (a path of 2 KiB, escaped, and the rest).
const MAX_LINE: u64 = 64 * 1024;
/// What every line begins with.
const BEGINNING: &[u8] = b"{\"seq\":";

/// The end of a file of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    /// The `seq` of the last line; 0 without one.
    pub(super) seq: u64,
    /// The last line's hash.
    pub(super) hash: Option<LineHash>,
    /// The last line's own `prev`.
    pub(super) prev: String,
    /// When the last line's request began.
    pub(super) time: Option<SystemTime>,
    /// How many bytes of the file are whole lines.
    pub(super) whole: u64,
}

impl Tail {
    pub(super) const EMPTY: Self = Self { seq: 0, hash: None, prev: String::new(), time: None, whole: 0 };

    /// Reads the end of a file.
    ///
    /// # Errors
    /// Returns the error of reading, or `InvalidData` if this is not a file of records.
    pub(super) fn read(file: &mut File, chain: &Chain) -> io::Result<Self> {
        let len = file.metadata()?.len();
        if len == 0 {
            return Ok(Self::EMPTY);
        }
        let Some(whole) = end_of_lines(file, len)? else {
            let start = read_at(file, 0, len.min(MAX_LINE))?;
            let torn_first_line = start.starts_with(BEGINNING) || BEGINNING.starts_with(&start);
            return if torn_first_line { Ok(Self::EMPTY) } else { Err(foreign()) };
        };
        let start = whole.saturating_sub(MAX_LINE);
        let end = read_at(file, start, whole - start)?;
        let last = end.strip_suffix(b"\n").unwrap_or(&end).rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        #[derive(serde::Deserialize)]
        struct Seq {
            seq: u64,
            #[serde(default)]
            prev: String,
        }
        let Seq { seq, prev } = serde_json::from_slice(last).map_err(|_| foreign())?;
        Ok(Self { seq, hash: Some(chain.hash(last)), prev, time: time_of(last), whole })
    }
}

fn foreign() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its last line is not a record: this file is something else, or damaged")
}

/// Where the last whole line ends, if there is one.
fn end_of_lines(file: &mut File, len: u64) -> io::Result<Option<u64>> {
    let mut end = len;
    while end > 0 {
        let start = end.saturating_sub(MAX_LINE);
        let block = read_at(file, start, end - start)?;
        if let Some(at) = memchr::memrchr(b'\n', &block) {
            return Ok(Some(start + at as u64 + 1));
        }
        end = start;
    }
    Ok(None)
}

fn read_at(file: &mut File, start: u64, len: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(start))?;
    let mut block = Vec::new();
    file.take(len).read_to_end(&mut block)?;
    Ok(block)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn tail(content: &[u8]) -> io::Result<Tail> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Tail::read(&mut file, &Chain::PLAIN)
    }

    #[test]
    fn a_file_goes_on_after_its_last_whole_line() {
        let hash = |line: &str| Some(LineHash::of(line.as_bytes()));
        assert_eq!(tail(b"").unwrap(), Tail::EMPTY);
        assert_eq!(
            tail(b"{\"seq\":1}\n").unwrap(),
            Tail { seq: 1, hash: hash("{\"seq\":1}"), whole: 10, ..Tail::EMPTY }
        );
        let two = b"{\"seq\":1}\n{\"seq\":2}\n{\"seq\":3,\"ti";
        assert_eq!(tail(two).unwrap(), Tail { seq: 2, hash: hash("{\"seq\":2}"), whole: 20, ..Tail::EMPTY });
        assert_eq!(tail(b"{\"se").unwrap(), Tail::EMPTY, "torn in the very first line");
        let zeros = [b"{\"seq\":1}\n".to_vec(), vec![0; 200_000]].concat();
        assert_eq!(tail(&zeros).unwrap().whole, 10, "a power cut can leave zeros");
    }

    #[test]
    fn a_file_of_something_else_is_left_alone() {
        for content in ["root:x:0:0\n", "[a]\nb = 1\n", "no line at all", "{\"seq\":1}\nnot json\n", "{}\n"] {
            assert_eq!(tail(content.as_bytes()).unwrap_err().kind(), io::ErrorKind::InvalidData, "{content:?}");
        }
    }
}
