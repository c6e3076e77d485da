//! Lists and ends the open tunnels and long requests of all workers, for the admin API.
//!
//! Guaranteed: a tunnel costs no more because it can be listed. Its state stays its worker's own: a query goes to each worker,
//! which answers between two turns of its loop. A worker that does not answer within [`PATIENCE`] makes the query fail.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Registry;
use crate::facts::RequestId;
use crate::record::Record;

/// A turn of a worker's loop takes milliseconds at most.
const PATIENCE: Duration = Duration::from_secs(2);

/// Queries that may wait for one worker; more wait before they are sent.
const WAITING: usize = 4;

/// The open tunnels and long requests of all workers.
#[derive(Debug)]
pub struct TunnelDirectory {
    workers: Vec<mpsc::Sender<DirectoryQuery>>,
}

/// Where one worker gets its queries.
#[derive(Debug)]
pub struct DirectoryInbox(mpsc::Receiver<DirectoryQuery>);

/// What is open: tunnels, and requests that last.
#[derive(Clone, Debug, Default)]
pub struct OpenTunnels {
    /// How many are open.
    pub total: usize,
    /// The oldest of them, each as its record would be if it ended now.
    pub tunnels: Vec<Record>,
}

/// A worker gave no answer: it is held up, or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a worker is held up and gave no answer; ask again")]
pub struct Unanswered;

#[derive(Debug)]
enum DirectoryQuery {
    List { limit: usize, answer: oneshot::Sender<OpenTunnels> },
    Revoke { id: RequestId, answer: oneshot::Sender<bool> },
}

impl TunnelDirectory {
    /// Creates the directory for a number of workers, with the end that belongs to each.
    pub fn new(workers: usize) -> (Self, Vec<DirectoryInbox>) {
        let (workers, calls) = (0..workers).map(|_| mpsc::channel(WAITING)).unzip::<_, _, _, Vec<_>>();
        (Self { workers }, calls.into_iter().map(DirectoryInbox).collect())
    }

    /// How much is open, and the `limit` oldest, oldest first.
    ///
    /// # Errors
    /// A worker gave no answer.
    pub async fn list(&self, limit: usize) -> Result<OpenTunnels, Unanswered> {
        let parts = self.ask(|answer| DirectoryQuery::List { limit, answer }).await?;
        let total = parts.iter().map(|part| part.total).sum();
        let mut tunnels: Vec<_> = parts.into_iter().flat_map(|part| part.tunnels).collect();
        tunnels.sort_by_key(|tunnel| tunnel.started);
        tunnels.truncate(limit);
        Ok(OpenTunnels { total, tunnels })
    }

    /// Ends this tunnel or request with `revoked`. False if no such one is open.
    ///
    /// # Errors
    /// A worker gave no answer; what it has open may have been meant.
    pub async fn revoke(&self, id: RequestId) -> Result<bool, Unanswered> {
        let found = self.ask(|answer| DirectoryQuery::Revoke { id, answer }).await?;
        Ok(found.contains(&true))
    }

    /// Every worker's answer. All are asked before the first answer is waited for.
    async fn ask<T>(&self, call: impl Fn(oneshot::Sender<T>) -> DirectoryQuery) -> Result<Vec<T>, Unanswered> {
        let asked = async {
            let mut answers = Vec::new();
            for worker in &self.workers {
                let (tell, answer) = oneshot::channel();
                worker.send(call(tell)).await.map_err(|_| Unanswered)?;
                answers.push(answer);
            }
            let mut parts = Vec::new();
            for answer in answers {
                parts.push(answer.await.map_err(|_| Unanswered)?);
            }
            Ok(parts)
        };
        timeout(PATIENCE, asked).await.map_err(|_| Unanswered)?
    }
}

impl DirectoryInbox {
    /// Answers for what this worker has open, for as long as queries may arrive.
    pub async fn answer(mut self, registry: &Registry) {
        while let Some(call) = self.0.recv().await {
            // The caller may have given up.
            let _gone = match call {
                DirectoryQuery::List { limit, answer } => answer.send(registry.list(limit)).is_err(),
                DirectoryQuery::Revoke { id, answer } => answer.send(registry.revoke(id)).is_err(),
            };
        }
    }
}
