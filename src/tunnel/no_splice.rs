//! For systems without splice(2): no direction has a shortcut, and all bytes are copied.

use std::io;
use std::task::{Context, Poll};

use crate::stream::PlainSocket;

/// As in `splice`, and never open.
#[derive(Debug, Default)]
pub(super) struct Shortcut;

/// As in `splice`.
pub(super) enum Spliced {
    #[expect(dead_code, reason = "as in `splice`")]
    Moved(usize),
    Refused(Vec<u8>),
}

impl Shortcut {
    pub(super) fn open(&mut self) {}

    pub(super) fn is_open(&self) -> bool {
        false
    }

    pub(super) fn holds_bytes(&self) -> bool {
        false
    }

    pub(super) fn poll_fill(&mut self, _: &mut Context<'_>, _: PlainSocket<'_>) -> Poll<io::Result<Spliced>> {
        Poll::Ready(Ok(Spliced::Refused(Vec::new())))
    }

    pub(super) fn poll_drain(&mut self, _: &mut Context<'_>, _: PlainSocket<'_>) -> Poll<io::Result<Spliced>> {
        Poll::Ready(Ok(Spliced::Refused(Vec::new())))
    }

    pub(super) fn look(&mut self) {}

    pub(super) fn give_back(&mut self) {}
}
