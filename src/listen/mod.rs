//! Sockets: bound before anything else happens, accepted by every worker.
//!
//! Guaranteed:
//! - Either every configured address is bound, or none stays bound.
//! - One listening socket per address, shared by all workers; never `SO_REUSEPORT`, with which another process of the
//!   same user could bind it, too, and take a share of the connections.
//! - No worker serves much more than another: one that has accepted too many hands them over before the first read.
//! - Neither a full proxy nor running out of files ends accepting; a connection that cannot be served is answered with
//!   503 and closed, while the open ones continue.

mod connection;
mod turn_away;
mod worker_handoff;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::dial::IsLoop;
use crate::facts::{Client, ConnectionResult, Peer};
use crate::places::{Full, Place};
use crate::protocol::ListenerContext;
use crate::stream::ClientStream;
use crate::tls::TlsAcceptor;

pub use connection::{AcceptLimits, Connections};
use connection::{Connection, Slot};
use turn_away::TurnAway;
use worker_handoff::HandedOver;
pub use worker_handoff::{HandoffInbox, WorkerHandoff, worker_handoff};

/// How many connections may wait to be accepted. An agent's browser opens hundreds at once; the kernel caps it further.
const BACKLOG: i32 = 4096;

/// Binds one address.
///
/// # Errors
/// What the system says; the caller names the address.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the connections of the process before to time out.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A proxy passes on what it gets when it gets it. Accepted sockets inherit it, which saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// One worker's handle to one listening socket.
#[derive(Debug)]
pub struct Acceptor {
    context: Rc<ListenerContext>,
    tls: Option<Arc<TlsAcceptor>>,
    open: Rc<Connections>,
    turn_away: TurnAway,
}

impl Acceptor {
    /// `tls` is how it speaks TLS, if it does; `open` are the connections of this worker, and how many there may be.
    pub fn new(context: Rc<ListenerContext>, tls: Option<Arc<TlsAcceptor>>, open: Rc<Connections>) -> Self {
        let turn_away = TurnAway::new(tls.is_some());
        Self { context, tls, open, turn_away }
    }

    /// Accepts until the drain begins, and then closes this worker's handle to the socket.
    pub async fn run(self: Rc<Self>, listener: tokio::net::TcpListener) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.context.drain.draining() => return self.last(&listener),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) if is_transient(&error) => {}
                Err(_) => {
                    let result = match self.turn_away.out_of_files(&listener).await {
                        true => ConnectionResult::Busy,
                        false => ConnectionResult::AcceptFailed,
                    };
                    self.context.enforcer.connection(&self.context.listener, result);
                }
            }
        }
    }

    /// Takes what has connected before the drain began: closing the socket would reset those connections.
    fn last(&self, listener: &tokio::net::TcpListener) {
        let Ok(socket) = listener.as_fd().try_clone_to_owned() else { return };
        let listener = TcpListener::from(socket);
        while let Ok((stream, peer)) = listener.accept() {
            let nonblocking = stream.set_nonblocking(true);
            if let (Ok(()), Ok(stream)) = (nonblocking, tokio::net::TcpStream::from_std(stream)) {
                self.admit(stream, peer);
            }
        }
    }

    fn admit(&self, stream: tokio::net::TcpStream, peer: SocketAddr) {
        if let Err(IsLoop) = self.context.enforcer.shared().loops.accept(peer, || stream.local_addr()) {
            return self.context.enforcer.connection(&self.context.listener, ConnectionResult::Loop);
        }
        let place = match self.open.limits.connections.take(peer.ip()) {
            Ok(place) => place,
            Err(full) => return self.refuse(stream, full),
        };
        // While draining, this worker may be the only one still running.
        let other = if self.context.drain.is_draining() { None } else { self.open.load.hand_over() };
        match other {
            Some(worker) => self.hand_over(worker, stream, peer, place),
            None => {
                self.open.load.add();
                self.serve(stream, peer, self.open.enter(place));
            }
        }
    }

    fn refuse(&self, stream: tokio::net::TcpStream, full: Full) {
        let result = match full {
            Full::All => ConnectionResult::Busy,
            Full::Client => ConnectionResult::BusyClient,
        };
        self.context.enforcer.connection(&self.context.listener, result);
        self.turn_away.connection(stream, full);
    }

    /// Hands a connection to a worker that has less to do.
    fn hand_over(&self, worker: usize, stream: tokio::net::TcpStream, peer: SocketAddr, place: Place) {
        let handed =
            stream.into_std().map(|stream| HandedOver { listener: self.context.listener.index, stream, peer, place });
        let Ok(handed) = handed else { return self.open.load.take_back(worker) };
        if let Err(handed) = self.open.handoff.hand(worker, handed) {
            self.open.load.take_back(worker);
            self.open.load.add();
            self.take_over(handed);
        }
    }

    /// Serves a connection that another worker has accepted.
    fn take_over(&self, handed: HandedOver) {
        let slot = self.open.enter(handed.place);
        // A connection that cannot be watched here is closed, as if no file descriptor were left for it.
        if let Ok(stream) = tokio::net::TcpStream::from_std(handed.stream) {
            self.serve(stream, handed.peer, slot);
        }
    }

    fn serve(&self, socket: tokio::net::TcpStream, peer: SocketAddr, slot: Slot) {
        let handshake = match self.tls.as_ref().map(|_| self.open.limits.handshakes.take(peer.ip())).transpose() {
            Ok(handshake) => handshake,
            Err(full) => return self.refuse(socket, full),
        };
        self.context.enforcer.connection(&self.context.listener, ConnectionResult::Accepted);
        let client = Client::anonymous(Peer::Tcp(peer));
        let connection = Connection { context: Rc::clone(&self.context), client, slot };
        match &self.tls {
            None => tokio::task::spawn_local(connection.carry(ClientStream::Tcp(socket))),
            Some(tls) => tokio::task::spawn_local(connection.carry_tls(socket, Arc::clone(tls), handshake)),
        };
    }
}

/// Errors of one connection, not of the socket (accept(2)).
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
        || matches!(error.kind(), io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_accepted_connection_sends_small_answers_at_once() {
        let listener = tokio::net::TcpListener::from_std(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        let _client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert!(accepted.nodelay().unwrap());
    }
}
