//! The terminal: taken, read, and given back.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, TryRecvError};
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use tokio::signal::unix::{SignalKind, signal};

use super::state::{AfterKey, TopState};
use super::{ask, screen};
use crate::cli::admin_client::AdminClient;

/// How long a key is waited for before the screen is drawn again: what comes from the proxy is seen as soon as that.
const TICK: Duration = Duration::from_millis(200);

/// Gives the terminal back when it is dropped, however that comes about. A panic does so before its message, too
/// (`try_init` sees to that).
struct Taken(DefaultTerminal);

impl Drop for Taken {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _gone = self.0.show_cursor();
        let _gone = ratatui::try_restore();
    }
}

/// Shows what happens until the user quits, or a signal ends it.
///
/// # Errors
/// What the system says of a terminal that cannot be read or written.
pub(super) fn run(client: AdminClient, colour: bool) -> io::Result<()> {
    let ended = end_on_signals()?;
    let address = client.address().to_string();
    let (tell, news) = mpsc::channel();
    std::thread::Builder::new().name("ask".into()).spawn(move || ask::follow(&client, &tell))?;
    let terminal = ratatui::try_init().inspect_err(|_| {
        // It may have been taken by half.
        let _gone = ratatui::try_restore();
    })?;
    let mut taken = Taken(terminal);
    let mut state = TopState::default();
    while !ended.load(Ordering::Relaxed) {
        loop {
            match news.try_recv() {
                Ok(news) => state.hear(news),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    return Err(io::Error::other("the thread that polls the proxy has ended"));
                }
            }
        }
        taken.0.draw(|frame| screen::draw(frame, &mut state, &address, colour))?;
        if is_gone()? {
            break;
        }
        // What waits for the terminal never returns from one that has gone, so nothing is waited for there.
        if !event::poll(Duration::ZERO)? {
            continue;
        }
        // Everything else, a new size among it, only asks for a new drawing.
        if let Event::Key(key) = event::read()?
            && state.press(key) == AfterKey::Quit
        {
            break;
        }
    }
    Ok(())
}

/// Waits for a key, or for as long as the screen may stay as it is. True where the terminal has been closed: a process that
/// has left its session gets no signal then.
fn is_gone() -> io::Result<bool> {
    let keys = io::stdin();
    // Keys come from the terminal even where something else is the standard input.
    if !keys.is_terminal() {
        event::poll(TICK)?;
        return Ok(false);
    }
    let mut waited = [PollFd::new(&keys, PollFlags::IN)];
    match rustix::event::poll(&mut waited, Some(&Timespec::try_from(TICK).unwrap_or_default())) {
        // A new size interrupts it.
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let closed = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    Ok(waited.iter().any(|waited| waited.revents().intersects(closed)))
}

/// Turns true at the first signal that asks the process to end.
fn end_on_signals() -> io::Result<Arc<AtomicBool>> {
    let ended = Arc::new(AtomicBool::new(false));
    let signalled = Arc::clone(&ended);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            let kinds = [SignalKind::terminate(), SignalKind::hangup(), SignalKind::interrupt()];
            let [Ok(mut terminate), Ok(mut hangup), Ok(mut interrupt)] = kinds.map(signal) else { return };
            tokio::select! {
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
                _ = interrupt.recv() => {}
            }
            signalled.store(true, Ordering::Relaxed);
        });
    })?;
    Ok(ended)
}
