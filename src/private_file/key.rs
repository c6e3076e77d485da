//! Keys and tokens.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::{Mode, OTHERS_WRITE, OWN, Unfit, check_owner, effective_user, open_regular};

/// The bits that a key may not have: its group may read it, since that is how service managers hand keys to a user.
const KEY_OTHERS: u32 = 0o037;
/// The largest key: a certificate chain in PEM is some 10 KiB.
pub(super) const MAX_KEY: u64 = 1024 * 1024;
/// Reads a key or token that is outgate's alone. Symbolic links are followed: that is how keys are mounted.
///
/// # Errors
/// `InvalidData` if it is unfit, or what the system says.
pub fn read_key(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let there = file.metadata()?;
    check_key_owner(&there)?;
    let mode = there.mode() & 0o777;
    let verb = if mode & OTHERS_WRITE != 0 { "change" } else { "read" };
    if mode & KEY_OTHERS != 0 {
        let corrected = there.uid() == effective_user()
            && file.set_permissions(Permissions::from_mode(OWN)).is_ok()
            && file.metadata()?.mode() & KEY_OTHERS == 0;
        if !corrected {
            return Err(Unfit::ExposedKey { verb, mode }.into());
        }
        tracing::warn!(
            path = %path.display(),
            mode = %Mode(mode),
            "other users could {verb} this key; its mode is 600 now; write a new one if others use this machine"
        );
    }
    read_bounded(file)
}

/// Reads a key that other programs of this machine may use as well, as a TLS server's. Its mode is left alone.
///
/// # Errors
/// `InvalidData` if it is not a regular file or every user may change it; otherwise the system's error.
pub fn read_shared_key(path: &Path) -> io::Result<Vec<u8>> {
    let file = open_regular(path)?;
    let mode = file.metadata()?.mode() & 0o777;
    if mode & 0o002 != 0 {
        return Err(Unfit::ExposedKey { verb: "change", mode }.into());
    }
    if mode & 0o004 != 0 {
        tracing::warn!(path = %path.display(), mode = %Mode(mode), "every user can read this key: chmod 600, or 640");
    }
    read_bounded(file)
}

/// Reads a key that a person named on the command line. That person is responsible for its owner and permissions.
///
/// # Errors
/// `InvalidData` if it is not a regular file, or what the system says.
pub fn read_named_key(path: &Path) -> io::Result<Vec<u8>> {
    read_bounded(open_regular(path)?)
}

/// Root may use a key of any owner, such as the user that maintains the configuration.
fn check_key_owner(there: &Metadata) -> Result<(), Unfit> {
    if effective_user() == 0 { Ok(()) } else { check_owner(there) }
}

fn read_bounded(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_KEY + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_KEY { Err(Unfit::TooLarge.into()) } else { Ok(bytes) }
}
