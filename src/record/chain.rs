//! The chain that holds lines together: each line's `prev` is the hash of the line before.
//!
//! Without a key anyone can compute it, so it shows accidents. With one (`chain-key`; HMAC-SHA256) a line can neither be
//! changed, taken out, put in nor moved by anyone without the key. A keyed hash names its key by a short id, which
//! distinguishes a different key from a changed line and lets a chain adopt or replace a key.
//!
//! The lines alone do not show that some are missing at the end. For that the head, the last line's `seq` and
//! hash, goes to the log at the start, hourly and at the end ([`Hourly`]); a head that is kept elsewhere can be checked later.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::mac::MacKey;

/// Between two heads in the log: how much could be cut off unnoticed, if nothing else was changed.
const HEAD_EVERY: Duration = Duration::from_secs(3600);

/// How the hash of a line is made.
#[derive(Clone)]
pub struct Chain(Option<ChainKey>);

#[derive(Clone)]
struct ChainKey {
    id: KeyId,
    key: MacKey,
}

/// Says which key, and nothing about it.
pub(crate) type KeyId = [u8; 4];

/// Half a hash of a line: 128 bits. Of the two halves nothing is lost: what finds accidents needs far less, and a keyed
/// hash may be cut to half (RFC 2104 §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LineHash {
    key: Option<KeyId>,
    half: [u8; 16],
}

impl Chain {
    /// The chain without a key.
    pub const PLAIN: Self = Self(None);

    /// The chain by the key in this file; without one if there is none.
    ///
    /// # Errors
    /// The file cannot be read or holds less than 16 bytes.
    pub fn open(file: Option<&Path>) -> io::Result<Self> {
        let key = file.map(|file| MacKey::read("chain-key", file)).transpose()?;
        Ok(Self(key.map(ChainKey::new)))
    }

    /// The chain by the key in a file that a person named, to check lines.
    ///
    /// # Errors
    /// The file cannot be read or holds less than 16 bytes.
    pub fn known(file: &Path) -> io::Result<Self> {
        Ok(Self(Some(ChainKey::new(MacKey::read_named("chain-key", file)?))))
    }

    /// The hash of a line without its line feed.
    pub(crate) fn hash(&self, line: &[u8]) -> LineHash {
        let mut half = [0; 16];
        match &self.0 {
            None => fill(&mut half, Sha256::digest(line)),
            Some(ChainKey { key, .. }) => fill(&mut half, key.hash(line)),
        }
        LineHash { key: self.key(), half }
    }

    /// Which key it has.
    pub(crate) fn key(&self) -> Option<KeyId> {
        self.0.as_ref().map(|key| key.id)
    }

    /// Says in the log that lines go on by another key than before, if they do. `prev` is that of the last line.
    pub(crate) fn notice_change(&self, path: &Path, seq: u64, prev: &str) {
        let Some(LineHash { key: before, .. }) = LineHash::parse(prev) else { return };
        let what = match (before, self.key()) {
            (before, now) if before == now => return,
            (None, _) => "from here on the chain of records has a key",
            (Some(_), None) => {
                "from here on the chain of records has no key; `report --verify` reports that as a fault"
            }
            (Some(_), Some(_)) => "from here on the chain of records has another key; `report --verify` needs both",
        };
        tracing::warn!(path = %path.display(), after_seq = seq, "{what}");
    }
}

impl ChainKey {
    fn new(key: MacKey) -> Self {
        let mut id = [0; 4];
        // No line begins like this.
        fill(&mut id, key.hash(b"outgate chain-key"));
        Self { id, key }
    }
}

impl LineHash {
    /// The hash without a key.
    #[cfg(test)]
    pub(crate) fn of(line: &[u8]) -> Self {
        Chain::PLAIN.hash(line)
    }

    /// A hash as it is written; none for anything else, "" among it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (key, half) = match text.split_once(':') {
            Some((key, half)) if key.len() == 8 => (Some(u32::from_str_radix(key, 16).ok()?.to_be_bytes()), half),
            Some(_) => return None,
            None => (None, text),
        };
        let digits = half.len() == 32 && half.bytes().all(|byte| byte.is_ascii_hexdigit());
        let half = u128::from_str_radix(half, 16).ok().filter(|_| digits)?.to_be_bytes();
        Some(Self { key, half })
    }

    pub(crate) fn half(self) -> [u8; 16] {
        self.half
    }

    /// Which key it was made with.
    pub(crate) fn key(self) -> Option<KeyId> {
        self.key
    }
}

impl fmt::Display for LineHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(key) = self.key {
            write!(f, "{}:", shown(key))?;
        }
        write!(f, "{:032x}", u128::from_be_bytes(self.half))
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain").field("key", &self.key().map(shown)).finish_non_exhaustive()
    }
}

/// A key's id as it is written.
pub(crate) fn shown(key: KeyId) -> String {
    format!("{:08x}", u32::from_be_bytes(key))
}

fn fill(to: &mut [u8], from: impl IntoIterator<Item = u8>) {
    to.iter_mut().zip(from).for_each(|(to, byte)| *to = byte);
}

/// The head of a sink's chain that was logged last.
#[derive(Debug)]
pub(crate) struct Hourly {
    sink: &'static str,
    path: PathBuf,
    next: Instant,
    last_logged: Option<u64>,
}

impl Hourly {
    pub(crate) fn new(sink: &'static str, path: &Path, now: Instant) -> Self {
        Self { sink, path: path.to_owned(), next: now, last_logged: None }
    }

    /// When to call [`Self::tell`] again.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Logs the chain's head, if the hour is over or this is the `end`, and if it has changed.
    pub(crate) fn tell(&mut self, head: Option<(u64, LineHash)>, now: Instant, end: bool) {
        if now < self.next && !end {
            return;
        }
        self.next = now + HEAD_EVERY;
        let Some((seq, hash)) = head.filter(|(seq, _)| self.last_logged != Some(*seq)) else { return };
        self.last_logged = Some(seq);
        tracing::info!(sink = self.sink, path = %self.path.display(), head = %format_args!("{seq}:{hash}"), "chain of records");
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn keyed(key: &str) -> Chain {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), key).unwrap();
        Chain::open(Some(file.path())).unwrap()
    }

    #[test]
    fn a_hash_is_read_as_it_is_written_and_tells_its_key() {
        let (plain, one, two) = (Chain::PLAIN, keyed("0123456789abcdef"), keyed("0123456789abcdeg\n"));
        let hashes = [&plain, &one, &two].map(|chain| chain.hash(b"line"));
        for (hash, key) in hashes.iter().zip([None, one.key(), two.key()]) {
            assert_eq!(LineHash::parse(&hash.to_string()), Some(*hash));
            assert_eq!(hash.key(), key);
        }
        assert!(one.key() != two.key() && hashes[1].half != hashes[2].half && hashes[0].half != hashes[1].half);
        assert_ne!(one.hash(b"line"), one.hash(b"lime"));
        for wrong in ["", "abc", ":", "0123:0123456789abcdef0123456789abcdef", "+123456789abcdef0123456789abcdef"] {
            assert_eq!(LineHash::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_head_is_logged_once_an_hour_and_at_the_end_always() {
        let began = Instant::now();
        let mut hourly = Hourly::new("jsonl", Path::new("r"), began);
        let head = |seq| Some((seq, LineHash::of(b"x")));
        let mut logged = |seq, after, end| {
            hourly.tell(head(seq), began + Duration::from_secs(after), end);
            hourly.last_logged
        };
        assert_eq!(logged(5, 0, false), Some(5), "at the start");
        assert_eq!(logged(6, 3599, false), Some(5));
        assert_eq!(logged(7, 3600, false), Some(7));
        assert_eq!(logged(8, 3601, true), Some(8));
    }
}
