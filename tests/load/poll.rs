//! epoll, and the few calls on sockets that the standard library has not.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

pub(crate) use rustix::event::epoll::EventFlags as Flags;

/// Connections that wait to be accepted; the kernel's own default limit.
const BACKLOG: i32 = 4096;
/// Events taken at once.
const EVENTS: usize = 256;

/// Who is ready, and for what.
pub(crate) type Ready = Vec<epoll::Event>;

#[derive(Debug)]
pub(crate) struct Poll(OwnedFd);

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self(epoll::create(epoll::CreateFlags::CLOEXEC)?))
    }

    pub(crate) fn add(&self, source: impl AsFd, token: u64, interest: Flags) -> io::Result<()> {
        Ok(epoll::add(&self.0, source, epoll::EventData::new_u64(token), interest)?)
    }

    pub(crate) fn change(&self, source: impl AsFd, token: u64, interest: Flags) -> io::Result<()> {
        Ok(epoll::modify(&self.0, source, epoll::EventData::new_u64(token), interest)?)
    }

    /// Waits until a connection is ready or the time is over.
    pub(crate) fn wait(&self, ready: &mut Ready, at_most: Duration) -> io::Result<()> {
        ready.clear();
        ready.reserve(EVENTS);
        let timeout = Timespec::try_from(at_most).map_err(io::Error::other)?;
        match epoll::wait(&self.0, spare_capacity(ready), Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A socket that listens and does not block. `shared`: other threads listen there too, and the kernel deals out.
pub(crate) fn listen(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = new_socket()?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if shared {
        sockopt::set_socket_reuseport(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// The next connection, if there is one; it does not block.
pub(crate) fn accept(listener: &TcpListener) -> io::Result<Option<TcpStream>> {
    match rustix::net::accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok(socket) => prompt(socket).map(Some),
        // A client that has left meanwhile is not a failure.
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::CONNABORTED | rustix::io::Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A connection that is being made.
pub(crate) fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = new_socket()?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => prompt(socket),
        Err(error) => Err(error.into()),
    }
}

fn new_socket() -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?)
}

/// Small messages leave at once.
fn prompt(socket: OwnedFd) -> io::Result<TcpStream> {
    sockopt::set_tcp_nodelay(&socket, true)?;
    Ok(socket.into())
}

/// What a call that must not block has done: `None`, where it would have blocked.
pub(crate) fn unless_blocked<T>(done: io::Result<T>) -> io::Result<Option<T>> {
    match done {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
