//! Answers and closes connections for which there is no room.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::places::Full;
use crate::protocol::{BUSY, BUSY_CLIENT};

/// What a TLS client gets instead: the fatal alert `internal_error` (RFC 8446 §6.2), which needs no handshake.
const TLS_BUSY: &[u8] = &[21, 3, 3, 0, 2, 2, 80];
/// The maximum number of connections per worker that are being turned away at once. Any further connection is closed
/// without waiting for the answer to arrive, so that a flood cannot hold files here.
const MAX_LEAVING: usize = 256;
/// How long one may take to read that answer and close.
const LEAVE_TIME: Duration = Duration::from_secs(1);
/// How many bytes that the client still sends are read, so that no reset discards the answer. This covers most heads.
const LEAVE_BYTES: usize = 64 * 1024;
/// How long accepting rests when the process has no file left for a new connection, nor for turning it away.
const OUT_OF_FILES_REST: Duration = Duration::from_millis(50);

/// What one listener's share of a worker turns connections away with.
#[derive(Debug)]
pub(super) struct TurnAway {
    speaks_tls: bool,
    leaving: Rc<Cell<usize>>,
    /// A file that is kept so that it can be given up: with it one connection can be accepted when no other file is left.
    spare: RefCell<Option<File>>,
}

impl TurnAway {
    pub(super) fn new(tls: bool) -> Self {
        Self { speaks_tls: tls, leaving: Rc::default(), spare: RefCell::new(spare()) }
    }

    /// Answers, and reads what comes until the client has closed, within bounds.
    pub(super) fn connection(&self, mut stream: TcpStream, full: Full) {
        // One try: a client that floods us gets no memory and no waiting of ours.
        if !answer_at_once(&stream, self.answer(full)) || self.leaving.get() >= MAX_LEAVING {
            return;
        }
        self.leaving.set(self.leaving.get() + 1);
        let leaving = Rc::clone(&self.leaving);
        tokio::task::spawn_local(async move {
            // Late or not, the connection is over.
            let _late = timeout(LEAVE_TIME, async {
                if stream.shutdown().await.is_ok() {
                    read_away(&stream).await;
                }
            })
            .await;
            leaving.set(leaving.get() - 1);
        });
    }

    fn answer(&self, full: Full) -> &'static [u8] {
        match full {
            _ if self.speaks_tls => TLS_BUSY,
            Full::All => BUSY,
            Full::Client => BUSY_CLIENT,
        }
    }

    /// Takes one connection off the queue although no file descriptor is left for it, and turns it away. Returns
    /// whether there was one.
    pub(super) async fn out_of_files(&self, listener: &TcpListener) -> bool {
        let had_spare = self.spare.take().is_some();
        let accepted = if had_spare { accept_now(listener).await } else { None };
        let turned_away = accepted.is_some();
        if let Some(stream) = accepted {
            let _gone = answer_at_once(&stream, self.answer(Full::All));
            let _gone = stream.try_read(&mut [0; 4096]);
        }
        self.spare.replace(spare());
        if !turned_away {
            tokio::time::sleep(OUT_OF_FILES_REST).await;
        }
        turned_away
    }
}

/// Whether the whole answer is on its way. A new socket has room for it; but of one that another worker has accepted the
/// runtime knows only after its next look that it can be written to, and would refuse to try.
fn answer_at_once(stream: &TcpStream, answer: &[u8]) -> bool {
    rustix::io::write(stream, answer).is_ok_and(|count| count == answer.len())
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

/// The next connection if there is one already.
async fn accept_now(listener: &TcpListener) -> Option<TcpStream> {
    poll_fn(|context| {
        Poll::Ready(match listener.poll_accept(context) {
            Poll::Ready(Ok((stream, _))) => Some(stream),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        })
    })
    .await
}

async fn read_away(stream: &TcpStream) {
    let mut left = LEAVE_BYTES;
    let mut buffer = [0; 1024];
    while stream.readable().await.is_ok() {
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(count) if count < left => left -= count,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use tokio::task::LocalSet;

    use super::*;

    #[tokio::test]
    async fn a_connection_that_another_worker_has_accepted_gets_the_answer_too() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for (tls, full) in [(false, Full::All), (false, Full::Client), (true, Full::All), (true, Full::Client)] {
            let mut client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            client.write_all(b"unread").unwrap();
            let (accepted, _) = listener.accept().unwrap();
            accepted.set_nonblocking(true).unwrap();
            let turn_away = TurnAway::new(tls);
            let answer = turn_away.answer(full);
            let read = move || {
                let mut all = Vec::new();
                client.read_to_end(&mut all).map(|_| all)
            };
            LocalSet::new()
                .run_until(async {
                    turn_away.connection(TcpStream::from_std(accepted).unwrap(), full);
                    assert_eq!(tokio::task::spawn_blocking(read).await.unwrap().unwrap(), answer);
                })
                .await;
        }
    }
}
