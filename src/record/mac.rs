//! Keyed hashes (HMAC-SHA256, RFC 2104), and the files that hold their keys.

use std::io;
use std::path::Path;

use sha2::{Digest as _, Sha256};

/// A shorter key could be tried out.
const MIN_KEY: usize = 16;
/// The block of SHA-256, in bytes.
const BLOCK: usize = 64;

/// Reads the key in `file`, which the configuration calls `name`. Blanks and line ends around it do not count.
///
/// # Errors
/// The file cannot be read or holds less than 16 bytes.
pub(super) fn read_key(name: &str, file: &Path) -> io::Result<Vec<u8>> {
    let wrong =
        |what: String| io::Error::new(io::ErrorKind::InvalidInput, format!("{name} {}: {what}", file.display()));
    let text = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
    let key = text.trim_ascii();
    if key.len() < MIN_KEY {
        return Err(wrong(format!("it must hold at least {MIN_KEY} characters")));
    }
    Ok(key.to_vec())
}

pub(super) fn hmac(key: &[u8], text: &[u8]) -> impl IntoIterator<Item = u8> + use<> {
    let mut block = [0; BLOCK];
    let place = block.iter_mut();
    if key.len() > BLOCK {
        place.zip(Sha256::digest(key)).for_each(|(to, byte)| *to = byte);
    } else {
        place.zip(key).for_each(|(to, byte)| *to = *byte);
    }
    let inner = Sha256::new().chain_update(block.map(|byte| byte ^ 0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(block.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_standard_one() {
        // RFC 4231, test cases 2 and 6.
        let hex = |key: &[u8], text: &[u8]| {
            hmac(key, text).into_iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        assert_eq!(hex(b"Jefe", b"what do ya want for nothing?"), "5bdcc146bf60754e");
        assert_eq!(hex(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"), "60e431591ee0b67f");
    }
}
