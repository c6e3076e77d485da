//! What this process calls itself in `Via` (RFC 9110 §7.6.3).
//!
//! Guaranteed: random, and unrelated to everything else that is random here: every origin reads it, so it must tell none of
//! them anything, such as how the ids of requests begin, by which a forged denial would look like ours.

use std::fmt::Write as _;
use std::io;

/// A name for this run. Eight random bytes: no other process has it, by accident or by guessing, so that its presence in a
/// request means a loop.
///
/// # Errors
/// What the system says when it has no randomness to give.
pub(super) fn name() -> io::Result<String> {
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let mut name = String::from("outgate-");
    for byte in random {
        // Writing to a String cannot fail.
        let _always = write!(name, "{byte:02x}");
    }
    Ok(name)
}
