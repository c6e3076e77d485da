//! Sockets: bound before anything else happens, accepted by every worker.
//!
//! Guaranteed:
//! - Either every configured address is bound, or none stays bound.
//! - One listening socket per address, shared by all workers; never `SO_REUSEPORT`, with which another process of the
//!   same user could bind it too and take a share of the connections.
//! - Neither a full proxy nor running out of files ends accepting; who cannot be served is told so with 503 and closed,
//!   while the open ones go on.

mod turn_away;

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;

use socket2::{Domain, Protocol, Socket, Type};

use crate::facts::Client;
use crate::protocol::{Door, serve};
use crate::record::ConnectionResult;
use crate::session::{Place, Places};
use crate::tls::{ClientStream, TlsAcceptor};

use turn_away::TurnAway;

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
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// One worker's share of one listening socket.
#[derive(Debug)]
pub struct Acceptor {
    /// The socket.
    pub listener: tokio::net::TcpListener,
    /// What its connections need.
    pub door: Rc<Door>,
    /// How it speaks TLS, if it does.
    pub tls: Option<Arc<TlsAcceptor>>,
    /// Connections of this worker, and how many it may have.
    pub open: Rc<Connections>,
}

/// The client connections of one worker.
#[derive(Debug)]
pub struct Connections {
    count: Cell<usize>,
    limits: AcceptLimits,
    empty: tokio::sync::Notify,
}

/// What all workers together may hold.
#[derive(Clone, Debug)]
pub struct AcceptLimits {
    /// `max-connections`.
    pub connections: Arc<Places>,
    /// `max-handshakes`.
    pub handshakes: Arc<Places>,
}

/// A place among them, given back by dropping it.
#[derive(Debug)]
struct Entered {
    connections: Rc<Connections>,
    _place: Place,
}

impl Connections {
    /// None yet.
    pub fn new(limits: AcceptLimits) -> Rc<Self> {
        Rc::new(Self { count: Cell::new(0), limits, empty: tokio::sync::Notify::new() })
    }

    /// Waits until none is left.
    pub async fn gone(&self) {
        while self.count.get() > 0 {
            self.empty.notified().await;
        }
    }

    fn enter(self: &Rc<Self>) -> Option<Entered> {
        let place = self.limits.connections.take()?;
        self.count.set(self.count.get() + 1);
        Some(Entered { connections: Rc::clone(self), _place: place })
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        let left = self.connections.count.get() - 1;
        self.connections.count.set(left);
        if left == 0 {
            self.connections.empty.notify_waiters();
        }
    }
}

impl Acceptor {
    /// Accepts until the drain begins.
    pub async fn run(self) {
        let turn_away = TurnAway::new(self.tls.is_some());
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.door.drain.draining() => return self.last(&turn_away),
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, &turn_away),
                Err(error) if is_transient(&error) => {}
                Err(_) => {
                    let result = match turn_away.out_of_files(&self.listener).await {
                        true => ConnectionResult::Busy,
                        false => ConnectionResult::AcceptFailed,
                    };
                    self.door.enforcer.connection(&self.door.listener, result);
                }
            }
        }
    }

    /// Takes what has connected before the drain began: those clients got through, and a closed socket would reset them.
    fn last(&self, turn_away: &TurnAway) {
        let Ok(socket) = self.listener.as_fd().try_clone_to_owned() else { return };
        let listener = TcpListener::from(socket);
        while let Ok((stream, peer)) = listener.accept() {
            let nonblocking = stream.set_nonblocking(true);
            if let (Ok(()), Ok(stream)) = (nonblocking, tokio::net::TcpStream::from_std(stream)) {
                self.admit(stream, peer, turn_away);
            }
        }
    }

    fn admit(&self, stream: tokio::net::TcpStream, peer: SocketAddr, turn_away: &TurnAway) {
        let enforcer = &self.door.enforcer;
        let Some(place) = self.open.enter() else {
            enforcer.connection(&self.door.listener, ConnectionResult::Busy);
            return turn_away.connection(stream);
        };
        let handshake = match self.tls {
            Some(_) => self.open.limits.handshakes.take(),
            None => None,
        };
        if self.tls.is_some() && handshake.is_none() {
            enforcer.connection(&self.door.listener, ConnectionResult::Busy);
            return turn_away.connection(stream);
        }
        enforcer.connection(&self.door.listener, ConnectionResult::Accepted);
        // A proxy passes on what it gets when it gets it. Where the option is refused the connection is gone anyway.
        let _gone = stream.set_nodelay(true);
        let client = Client { addr: peer };
        let door = Rc::clone(&self.door);
        match &self.tls {
            None => {
                tokio::task::spawn_local(async move {
                    let _place = place;
                    serve(door, ClientStream::Plain(stream), client).await;
                });
            }
            Some(tls) => {
                let tls = Arc::clone(tls);
                tokio::task::spawn_local(async move {
                    let _place = place;
                    let accepted = tokio::time::timeout(door.limits.head_timeout, tls.accept(stream)).await;
                    drop(handshake);
                    match accepted {
                        Ok(Ok(stream)) => serve(door, ClientStream::Tls(Box::new(stream)), client).await,
                        _ => door.enforcer.connection(&door.listener, ConnectionResult::TlsFailed),
                    }
                });
            }
        }
    }
}

/// Errors of one connection, not of the socket (accept(2)).
fn is_transient(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock)
        || matches!(error.kind(), io::ErrorKind::ConnectionReset)
}
