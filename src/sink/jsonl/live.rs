//! The live file as the operating system has it.

use std::fs::{File, Metadata};
use std::io;
use std::time::SystemTime;

use super::Jsonl;
use super::tail::Tail;
use crate::private_file;
use crate::record::Chain;
use crate::record::files::begun;

/// A file that failed counts as working again when its disk has this much room: some two thousand lines, so that it does not
/// fail at the next.
#[cfg(target_os = "linux")]
const ROOM: u64 = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Live {
    pub(super) file: File,
    pub(super) identity: Identity,
    /// Bytes of whole lines in it.
    pub(super) size: u64,
    /// Beyond this size it is rotated.
    pub(super) rotate_at: u64,
    /// When the request of its first line began.
    pub(super) begun: Option<SystemTime>,
}

/// A file's identity independent of its name: device and inode number.
pub(super) type Identity = (u64, u64);

/// Opens the live file, cuts off a torn last line, and locks it.
pub(super) fn open_live(settings: &Jsonl, chain: &Chain) -> io::Result<(Live, Tail)> {
    let mut file = private_file::claim(&settings.path).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::Error::new(error.kind(), "another process writes its records to this file"),
        _ => error,
    })?;
    let tail = Tail::read(&mut file, chain)?;
    let torn = file.metadata()?.len() - tail.whole;
    if torn > 0 {
        file.set_len(tail.whole)?;
        tracing::warn!(path = %settings.path.display(), bytes = torn, "the last record was incomplete and has been cut off");
    }
    let identity = identity(&file.metadata()?);
    let begun = if tail.whole > 0 { begun(&settings.path)? } else { None };
    Ok((Live { file, identity, size: tail.whole, rotate_at: settings.max_size, begun }, tail))
}

pub(super) fn identity(file: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (file.dev(), file.ino())
}

/// Whether the disk has room for more than a line. What is set aside for it, the next lines use.
#[cfg(target_os = "linux")]
pub(super) fn has_room(live: &Live) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(&live.file, FallocateFlags::KEEP_SIZE, live.size, ROOM) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT)) => Err(error.into()),
        // Not every file system can.
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn has_room(_: &Live) -> io::Result<()> {
    Ok(())
}
