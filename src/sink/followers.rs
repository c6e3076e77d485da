//! Whoever reads lines as they come.

use std::sync::Arc;

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::account::SinkAccount;
use crate::record::RecordLine;

/// Lines that a follower may lag before it loses some.
const LAG: usize = 1024;

/// All followers as a sink. When it is dropped, they end.
#[derive(Debug)]
pub(super) struct FollowersSink(broadcast::Sender<Arc<RecordLine>>);

/// Where followers join.
#[derive(Debug)]
pub(super) struct Followers(broadcast::WeakSender<Arc<RecordLine>>);

/// A reader of lines as they are written.
#[derive(Debug)]
pub struct Follower {
    lines: broadcast::Receiver<Arc<RecordLine>>,
    account: Arc<SinkAccount>,
}

/// What a follower sees next.
#[derive(Clone, Debug)]
pub enum Followed {
    /// The next line.
    Line(Arc<RecordLine>),
    /// It was too slow, and lost so many.
    Missed(u64),
}

impl FollowersSink {
    pub(super) fn new() -> (Self, Followers) {
        let lines = broadcast::Sender::new(LAG);
        let followers = Followers(lines.downgrade());
        (Self(lines), followers)
    }

    pub(super) fn take(&self, line: &Arc<RecordLine>) {
        if self.0.receiver_count() > 0 {
            // Nobody follows any more: that is their business.
            let _ = self.0.send(Arc::clone(line));
        }
    }
}

impl Followers {
    /// A follower of every line from now on. What it misses is counted in `account`.
    pub(super) fn join(&self, account: &Arc<SinkAccount>) -> Follower {
        let lines = self.0.upgrade().unwrap_or_else(|| broadcast::Sender::new(1));
        Follower { lines: lines.subscribe(), account: Arc::clone(account) }
    }
}

impl Follower {
    /// The next line, as soon as there is one; none when the sinks have been shut down. May be cancelled.
    pub async fn next(&mut self) -> Option<Followed> {
        match self.lines.recv().await {
            Ok(line) => Some(Followed::Line(line)),
            Err(RecvError::Lagged(missed)) => {
                self.account.lose(missed);
                Some(Followed::Missed(missed))
            }
            Err(RecvError::Closed) => None,
        }
    }
}
