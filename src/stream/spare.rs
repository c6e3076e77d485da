//! Buffers of a worker's between two requests: what a request needs of them is there already, and a connection that waits
//! for its next one holds none.
//!
//! Guaranteed: what is kept is bounded, and a buffer is empty when it is handed out.

use std::cell::RefCell;

/// Buffers that a worker keeps: four for each of the few requests that it is in the middle of at once.
const MOST: usize = 16;
/// The largest that it keeps: heads nearly always fit. A client that sends half a head and waits holds at most this much
/// more than it sent.
const LARGEST: usize = 2048;

thread_local! {
    static SPARE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Makes room for so many bytes more; a buffer that has none at all is changed for a spare one, if there is one.
pub fn make_room(buffer: &mut Vec<u8>, bytes: usize) {
    if buffer.capacity() == 0
        && let Some(spare) = SPARE.with_borrow_mut(Vec::pop)
    {
        *buffer = spare;
    }
    buffer.reserve(bytes);
}

/// Gives a buffer back; its content does not matter. This is optional: a buffer that is dropped is freed.
pub fn give(mut buffer: Vec<u8>) {
    if (1..=LARGEST).contains(&buffer.capacity()) {
        buffer.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < MOST {
                spare.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken() -> Vec<u8> {
        let mut buffer = Vec::new();
        make_room(&mut buffer, 0);
        buffer
    }

    #[test]
    fn a_buffer_comes_back_empty_and_only_so_many_are_kept() {
        give(b"of one client".to_vec());
        let again = taken();
        assert_eq!((again.len(), again.capacity()), (0, 13));
        assert_eq!(taken().capacity(), 0, "there was one");

        give(Vec::new());
        give(Vec::with_capacity(LARGEST + 1));
        assert_eq!(taken().capacity(), 0, "neither is worth keeping");

        (0..=MOST).for_each(|_| give(Vec::with_capacity(LARGEST)));
        let kept = (0..=MOST).filter(|_| taken().capacity() > 0).count();
        assert_eq!(kept, MOST);
    }

    #[test]
    fn room_is_made_where_there_was_too_little_and_what_is_in_a_buffer_stays() {
        give(Vec::with_capacity(8));
        let mut buffer = b"head".to_vec();
        make_room(&mut buffer, 100);
        assert!(buffer.capacity() >= 104);
        assert_eq!((buffer.as_slice(), taken().capacity()), (&b"head"[..], 8), "the spare one was not needed");
    }
}
