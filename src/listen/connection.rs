//! A client's connection, which is not the same as a stream.
//!
//! A connection is the accepted socket: its peer, its handshake, and its slot among those that may be open. A stream is
//! one conversation on it. In HTTP/1 and SOCKS5 a connection carries one stream, and ends as a connection when that
//! stream becomes a tunnel: tunnels have limits of their own. A protocol with many streams for each connection spawns
//! them here, and the connection lasts as long as any of them.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use tokio::net::TcpStream;

use crate::facts::{Client, ConnectionResult};
use crate::places::{Place, Places};
use crate::protocol::{ListenerContext, serve};
use crate::session::WorkerLoad;
use crate::stream::ClientStream;
use crate::tls::TlsAcceptor;

use super::WorkerHandoff;

/// The client connections of one worker.
#[derive(Debug)]
pub struct Connections {
    count: Cell<usize>,
    pub(super) limits: AcceptLimits,
    empty: tokio::sync::Notify,
    pub(super) load: WorkerLoad,
    pub(super) handoff: WorkerHandoff,
}

/// What all workers together may hold.
#[derive(Clone, Debug)]
pub struct AcceptLimits {
    /// `max-connections`, `max-connections-per-client`.
    pub connections: Arc<Places>,
    /// `max-handshakes`, `max-handshakes-per-client`.
    pub handshakes: Arc<Places>,
}

/// A connection's slot among those of its worker and of its client, given back by dropping it.
#[derive(Debug)]
pub(super) struct Slot {
    connections: Rc<Connections>,
    _place: Place,
}

/// A connection that was accepted, and is served by this worker.
#[derive(Debug)]
pub(super) struct Connection {
    /// Of the listener that accepted it.
    pub(super) context: Rc<ListenerContext>,
    /// Who is at its other end, as far as the connection tells.
    pub(super) client: Client,
    pub(super) slot: Slot,
}

impl Connections {
    /// None yet, on the worker that has this load.
    pub fn new(limits: AcceptLimits, load: WorkerLoad, handoff: WorkerHandoff) -> Rc<Self> {
        Rc::new(Self { count: Cell::new(0), limits, empty: tokio::sync::Notify::new(), load, handoff })
    }

    /// Waits until none is left.
    pub async fn gone(&self) {
        while self.count.get() > 0 {
            self.empty.notified().await;
        }
    }

    /// A slot for one more, which the worker's load counts already.
    pub(super) fn enter(self: &Rc<Self>, place: Place) -> Slot {
        self.count.set(self.count.get() + 1);
        Slot { connections: Rc::clone(self), _place: place }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let left = self.connections.count.get() - 1;
        self.connections.count.set(left);
        self.connections.load.remove();
        if left == 0 {
            self.connections.empty.notify_waiters();
        }
    }
}

impl Connection {
    /// Serves the one stream that it carries, from its first byte to its last.
    pub(super) fn carry(self, stream: ClientStream) -> impl Future<Output = ()> {
        let Self { context, client, slot } = self;
        // In a box of its own, which a tunnel does not keep.
        let requests = Box::pin(serve(context, stream, client));
        async move {
            let tunnel = requests.await;
            // From here on it is counted among the tunnels.
            drop(slot);
            if let Some(tunnel) = tunnel {
                tunnel.await;
            }
        }
    }

    /// Performs the handshake, then serves the stream inside. `handshake` is its place among the handshakes under way.
    #[expect(clippy::manual_async_fn, reason = "that would hold room for each argument twice")]
    pub(super) fn carry_tls(
        self,
        socket: TcpStream,
        tls: Arc<TlsAcceptor>,
        handshake: Option<Place>,
    ) -> impl Future<Output = ()> {
        async move {
            // A handshake needs much room, which the connection does not keep.
            let accept = async { tls.accept(socket).await.map(Box::new) };
            let accepted = Box::pin(tokio::time::timeout(self.context.limits.head_timeout, accept)).await;
            drop(handshake);
            match accepted {
                Ok(Ok(stream)) => self.carry(ClientStream::Tls(stream)).await,
                _ => self.context.enforcer.connection(&self.context.listener, ConnectionResult::TlsFailed),
            }
        }
    }
}
