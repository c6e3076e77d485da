//! Sockets: bound before anything else happens, accepted by every worker.
//!
//! Guaranteed:
//! - Either every configured address is bound, or none stays bound.
//! - One listening socket per address, shared by all workers; never `SO_REUSEPORT`, with which another process of the
//!   same user could bind it too and take a share of the connections.
//! - Running out of files does not end accepting; what cannot be served is refused with 503 while the open ones go on.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::facts::Client;
use crate::protocol::{Door, serve};
use crate::record::ConnectionResult;
use crate::tls::{ClientStream, TlsAcceptor};

/// How many connections may wait to be accepted. An agent's browser opens hundreds at once; the kernel caps it further.
const BACKLOG: i32 = 4096;

/// How long accepting rests when the process has no file left for a new connection.
const OUT_OF_FILES_REST: Duration = Duration::from_millis(50);

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
    limit: usize,
    empty: tokio::sync::Notify,
}

/// A place among them, given back by dropping it.
#[derive(Debug)]
struct Place(Rc<Connections>);

impl Connections {
    /// None yet, of at most `limit`.
    pub fn new(limit: usize) -> Rc<Self> {
        Rc::new(Self { count: Cell::new(0), limit, empty: tokio::sync::Notify::new() })
    }

    /// Waits until none is left.
    pub async fn gone(&self) {
        while self.count.get() > 0 {
            self.empty.notified().await;
        }
    }

    fn enter(self: &Rc<Self>) -> Option<Place> {
        if self.count.get() >= self.limit {
            return None;
        }
        self.count.set(self.count.get() + 1);
        Some(Place(Rc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let left = self.0.count.get() - 1;
        self.0.count.set(left);
        if left == 0 {
            self.0.empty.notify_waiters();
        }
    }
}

impl Acceptor {
    /// Accepts until the drain begins.
    pub async fn run(self) {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.door.drain.draining() => return self.last(),
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer),
                Err(error) if is_transient(&error) => {}
                Err(_) => {
                    self.door.enforcer.connection(&self.door.listener, ConnectionResult::AcceptFailed);
                    tokio::time::sleep(OUT_OF_FILES_REST).await;
                }
            }
        }
    }

    /// Takes what has connected before the drain began: those clients got through, and a closed socket would reset them.
    fn last(&self) {
        let Ok(socket) = self.listener.as_fd().try_clone_to_owned() else { return };
        let listener = TcpListener::from(socket);
        while let Ok((stream, peer)) = listener.accept() {
            let nonblocking = stream.set_nonblocking(true);
            if let (Ok(()), Ok(stream)) = (nonblocking, tokio::net::TcpStream::from_std(stream)) {
                self.admit(stream, peer);
            }
        }
    }

    fn admit(&self, stream: tokio::net::TcpStream, peer: SocketAddr) {
        let enforcer = &self.door.enforcer;
        let Some(place) = self.open.enter() else {
            enforcer.connection(&self.door.listener, ConnectionResult::Busy);
            // One try: whoever floods us gets no memory and no waiting of ours.
            let _sent = stream.try_write(crate::protocol::BUSY);
            return;
        };
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
                    match tokio::time::timeout(door.limits.head_timeout, tls.accept(stream)).await {
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
