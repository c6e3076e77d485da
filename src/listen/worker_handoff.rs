//! Hands connections from the worker that accepted them to the one that serves them.

use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Acceptor;
use crate::places::Place;

/// A connection that was accepted, of which nothing was read.
#[derive(Debug)]
pub(super) struct HandedOver {
    /// The listener that it came in by: its place in the configuration.
    pub(super) listener: usize,
    pub(super) stream: TcpStream,
    pub(super) peer: SocketAddr,
    pub(super) place: Place,
}

/// The way to every worker. What is under way is bounded by `max-connections`, since each has its place.
#[derive(Clone, Debug)]
pub struct WorkerHandoff(Arc<[UnboundedSender<HandedOver>]>);

/// Where a worker finds what others hand over to it.
#[derive(Debug)]
pub struct HandoffInbox(UnboundedReceiver<HandedOver>);

/// So many workers that can hand connections to each other.
pub fn worker_handoff(workers: usize) -> (Vec<HandoffInbox>, WorkerHandoff) {
    let (senders, inboxes): (Vec<_>, Vec<_>) = (0..workers)
        .map(|_| {
            let (sender, receiver) = unbounded_channel();
            (sender, HandoffInbox(receiver))
        })
        .unzip();
    (inboxes, WorkerHandoff(senders.into()))
}

impl WorkerHandoff {
    /// Hands a connection to a worker. Returns the connection if the worker has ended.
    pub(super) fn hand(&self, worker: usize, handed: HandedOver) -> Result<(), HandedOver> {
        match self.0.get(worker) {
            Some(inbox) => inbox.send(handed).map_err(|error| error.0),
            None => Err(handed),
        }
    }
}

impl HandoffInbox {
    /// Serves what is handed over, each by the listener that it came in by. Ends with the process.
    pub async fn serve(mut self, acceptors: Vec<Rc<Acceptor>>) {
        while let Some(handed) = self.0.recv().await {
            if let Some(acceptor) = acceptors.get(handed.listener) {
                acceptor.take_over(handed);
            }
        }
    }
}
