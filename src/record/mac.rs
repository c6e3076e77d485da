//! Keyed hashes (HMAC-SHA256, RFC 2104), and the files that hold their keys.

use std::fmt;
use std::io;
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::private_file;

/// A shorter key could be guessed by trying.
const MIN_KEY: usize = 16;
/// Bytes of a random key: as many as the hash has (RFC 2104 §3).
const RANDOM_KEY: usize = 32;

/// The key of keyed hashes, already mixed into the state that each hash starts from.
#[derive(Clone)]
pub(super) struct MacKey(Hmac<Sha256>);

impl MacKey {
    /// Reads the key in `file`, which the configuration calls `name`. Blanks and line ends around the key are ignored.
    ///
    /// # Errors
    /// The file cannot be read, other users may change it, or it holds less than 16 bytes.
    pub(super) fn read(name: &str, file: &Path) -> io::Result<Self> {
        Self::of_text(name, file, private_file::read_key(file))
    }

    /// The same of a file that a person named on the command line.
    ///
    /// # Errors
    /// The file cannot be read or holds less than 16 bytes.
    pub(super) fn read_named(name: &str, file: &Path) -> io::Result<Self> {
        Self::of_text(name, file, private_file::read_named_key(file))
    }

    fn of_text(name: &str, file: &Path, text: io::Result<Vec<u8>>) -> io::Result<Self> {
        let wrong =
            |what: String| io::Error::new(io::ErrorKind::InvalidInput, format!("{name} {}: {what}", file.display()));
        let text = text.map_err(|error| wrong(error.to_string()))?;
        let key = text.trim_ascii();
        if key.len() < MIN_KEY {
            return Err(wrong(format!("it must hold at least {MIN_KEY} characters")));
        }
        Self::new(key)
    }

    /// A random key, never stored.
    ///
    /// # Errors
    /// The system has no randomness.
    pub(super) fn random() -> io::Result<Self> {
        let mut key = [0; RANDOM_KEY];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        Self::new(&key)
    }

    /// Any length is a key; the error is only what the crate's interface declares for hashes that limit it.
    fn new(key: &[u8]) -> io::Result<Self> {
        Hmac::new_from_slice(key).map(Self).map_err(io::Error::other)
    }

    /// The hash of `text` with this key.
    pub(super) fn hash(&self, text: &[u8]) -> [u8; 32] {
        self.0.clone().chain_update(text).finalize().into_bytes().into()
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MacKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_standard_one() {
        // RFC 4231, test cases 2 and 6.
        let hex = |key: &[u8], text: &[u8]| {
            let hash = MacKey::new(key).unwrap().hash(text);
            hash.into_iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(hex(b"Jefe", b"what do ya want for nothing?"), "5bdcc146bf60754e");
        assert_eq!(hex(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"), "60e431591ee0b67f");
    }

    #[test]
    fn debug_output_does_not_show_the_key() {
        assert_eq!(format!("{:?}", MacKey::new(b"0123456789abcdef").unwrap()), "MacKey { .. }");
    }
}
