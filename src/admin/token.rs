//! The admin token: who may read everyone's records.

use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::private_file;

/// A token in a file must be at least this long; shorter ones can be guessed on the same machine.
const MIN_LENGTH: usize = 16;

/// The admin token. It is never printed but in the banner's link.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A random one, for this run of the process.
    ///
    /// # Errors
    /// What the system says when it has no randomness to give.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        let mut text = String::with_capacity(32);
        for byte in bytes {
            // Writing to a String cannot fail.
            let _always = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    /// The one in the process's own file: one line of at least 16 visible ASCII characters. Other users lose access to it.
    ///
    /// # Errors
    /// What is wrong with the file, and how to fix it.
    pub fn from_file(path: &Path) -> Result<Self, String> {
        Self::from_bytes(path, private_file::read_key(path))
    }

    /// The same of a file that a person named on the command line: its mode is not judged.
    ///
    /// # Errors
    /// What is wrong with the file, and how to fix it.
    pub fn from_named_file(path: &Path) -> Result<Self, String> {
        Self::from_bytes(path, private_file::read_named_key(path))
    }

    fn from_bytes(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<Self, String> {
        let bytes = bytes.map_err(|error| format!("cannot read the token file {}: {error}", path.display()))?;
        std::str::from_utf8(&bytes).ok().and_then(Self::from_text).ok_or_else(|| {
            format!(
                "the token file {} must hold one line of at least {MIN_LENGTH} visible ASCII characters",
                path.display()
            )
        })
    }

    /// The one that this text is, blanks around it aside; none if it is too short or something else.
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = text.len() >= MIN_LENGTH && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }

    /// Whether the given token is right. Takes the same time for every input: digests are compared, not texts.
    pub fn is(&self, said: &[u8]) -> bool {
        Sha256::digest(self.0.as_bytes()) == Sha256::digest(said)
    }

    /// The token itself, for the banner's link.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
