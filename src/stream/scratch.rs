//! One buffer for each worker, so that a stream that waits for bytes holds none of its own.

use std::cell::RefCell;

/// What one read may take. Large enough that a bulk transfer makes few system calls, small enough that the bytes that
/// wait for slow readers (at most this many per direction) stay bounded with thousands of tunnels.
const CHUNK: usize = 64 * 1024;

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// Lends the worker's buffer for the length of a call. Nothing may be left in it: the next caller overwrites it.
pub fn with_scratch<R>(use_it: impl FnOnce(&mut [u8]) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| use_it(scratch))
}
