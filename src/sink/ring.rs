//! The last lines, in memory.

use std::collections::VecDeque;
use std::sync::Arc;

use super::account::SinkAccount;
use crate::facts::{Destination, Host, Peer, Tool};
use crate::record::{Kind, RecordLine, lock};
use crate::sync::Mutex;

/// The maximum bytes of text in all lines in memory. Ordinary lines have under 100 each and never reach it;
/// ten thousand of the longest paths would exceed it.
pub const MAX_RING_TEXT: usize = 8 * 1024 * 1024;

/// Which of the last lines to show; every field narrows.
#[derive(Clone, Debug)]
pub struct RecentFilter {
    /// At most so many, the newest.
    pub limit: usize,
    /// Only lines after this one.
    pub since_seq: Option<u64>,
    /// Only this kind of a request's lines, and no gaps.
    pub kind: Option<Kind>,
    /// Only this decision, by its token (`deny`).
    pub decision: Option<String>,
    /// Only this host.
    pub host: Option<Host>,
    /// Only hosts whose canonical text (lower case, A-labels) contains this.
    pub host_part: Option<String>,
    /// Only this tool.
    pub tool: Option<Tool>,
    /// Only this client, on any of its connections.
    pub client: Option<Peer>,
}

impl RecentFilter {
    /// The newest `limit` lines of every kind.
    pub fn newest(limit: usize) -> Self {
        Self {
            limit,
            since_seq: None,
            kind: None,
            decision: None,
            host: None,
            host_part: None,
            tool: None,
            client: None,
        }
    }

    /// Whether it shows this line; the limit aside.
    pub fn shows(&self, line: &RecordLine) -> bool {
        let Some(record) = line.record() else {
            return self.shows_gaps();
        };
        let host = || record.destination.as_ref().map(Destination::host);
        self.kind.is_none_or(|kind| kind == record.kind)
            && self.decision.as_deref().is_none_or(|decision| decision == record.verdict.decision())
            && self.host.as_ref().is_none_or(|asked| host() == Some(asked))
            && self.host_part.as_ref().is_none_or(|part| host().is_some_and(|host| has(host, part)))
            && self.tool.as_ref().is_none_or(|tool| *tool == record.listener)
            && self.client.is_none_or(|client| client.is_same_client(&record.client.peer))
    }

    fn shows_gaps(&self) -> bool {
        let Self { limit: _, since_seq: _, kind, decision, host, host_part, tool, client } = self;
        let is_about_requests = kind.is_some() || decision.is_some() || host.is_some() || host_part.is_some();
        !is_about_requests && tool.is_none() && client.is_none()
    }
}

fn has(host: &Host, part: &str) -> bool {
    match host {
        Host::Name(name) => name.as_str().contains(part),
        Host::Ip(_) => host.to_string().contains(part),
    }
}

#[derive(Debug)]
pub(super) struct Ring {
    lines: VecDeque<Arc<RecordLine>>,
    capacity: usize,
    text: usize,
}

impl Ring {
    pub(super) fn new(capacity: usize) -> Self {
        Self { lines: VecDeque::new(), capacity, text: 0 }
    }

    pub(super) fn push(&mut self, line: Arc<RecordLine>) {
        self.text += line.text_len();
        self.lines.push_back(line);
        while self.lines.len() > self.capacity || self.text > MAX_RING_TEXT {
            let Some(oldest) = self.lines.pop_front() else { break };
            self.text -= oldest.text_len();
        }
    }

    /// The newest lines that the filter shows, the newest last.
    pub(super) fn recent(&self, filter: &RecentFilter) -> Vec<Arc<RecordLine>> {
        let since = filter.since_seq.unwrap_or_default();
        let newest_first = self.lines.iter().rev().take_while(|line| line.seq() > since);
        let mut lines: Vec<_> = newest_first.filter(|line| filter.shows(line)).take(filter.limit).cloned().collect();
        lines.reverse();
        lines
    }
}

/// The last lines as a sink.
#[derive(Debug)]
pub(super) struct MemorySink {
    ring: Arc<Mutex<Ring>>,
    account: Arc<SinkAccount>,
    /// Records that were taken since they were counted last.
    taken: u64,
}

impl MemorySink {
    pub(super) fn new(ring: Arc<Mutex<Ring>>, account: Arc<SinkAccount>) -> Self {
        Self { ring, account, taken: 0 }
    }

    pub(super) fn take(&mut self, line: &Arc<RecordLine>) {
        self.taken += u64::from(line.record().is_some_and(|record| record.kind == Kind::End));
        lock(&self.ring).push(Arc::clone(line));
    }

    pub(super) fn write_out(&mut self) {
        self.account.wrote(std::mem::take(&mut self.taken));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::line::tests::{client, denied, line};
    use crate::record::{Record, Verdict};

    fn seqs(ring: &Ring, filter: &RecentFilter) -> Vec<u64> {
        ring.recent(filter).iter().map(|line| line.seq()).collect()
    }

    #[test]
    fn each_field_of_a_filter_narrows() {
        let mut ring = Ring::new(10);
        ring.push(Arc::new(line(1, denied(1, "a.test:443"))));
        ring.push(Arc::new(line(2, denied(2, "b.test:443"))));
        ring.push(Arc::new(line(3, Record { verdict: Verdict::Allow, ..denied(3, "b.test:443") })));
        ring.push(Arc::new(line(4, Record { client: client("192.0.2.1:9"), ..denied(4, "a.test:1") })));
        ring.push(Arc::new(line(5, Record { kind: Kind::Open, verdict: Verdict::Allow, ..denied(5, "c.test:1") })));
        let all = RecentFilter::newest(10);
        assert_eq!(seqs(&ring, &all), [1, 2, 3, 4, 5]);
        assert_eq!(seqs(&ring, &RecentFilter::newest(2)), [4, 5]);
        assert_eq!(seqs(&ring, &RecentFilter { since_seq: Some(2), ..all.clone() }), [3, 4, 5]);
        assert_eq!(seqs(&ring, &RecentFilter { kind: Some(Kind::End), ..all.clone() }), [1, 2, 3, 4]);
        assert_eq!(seqs(&ring, &RecentFilter { decision: Some("allow".into()), ..all.clone() }), [3, 5]);
        assert_eq!(seqs(&ring, &RecentFilter { host: Host::parse(b"a.test").ok(), ..all.clone() }), [1, 4]);
        assert_eq!(seqs(&ring, &RecentFilter { host_part: Some("b.te".into()), ..all.clone() }), [2, 3]);
        let tool = |name| RecentFilter { tool: Some(Tool::new(name)), ..RecentFilter::newest(10) };
        let own = ring.recent(&all)[0].record().unwrap().listener.clone();
        assert_eq!((seqs(&ring, &tool(own.as_str())).len(), seqs(&ring, &tool("other")).len()), (5, 0));
        assert_eq!(seqs(&ring, &RecentFilter { client: Some(client("192.0.2.1:1").peer), ..all }), [4]);
    }

    #[test]
    fn the_oldest_go_first_by_number_and_by_size() {
        let mut ring = Ring::new(3);
        (1..=5).for_each(|seq| ring.push(Arc::new(line(seq, denied(seq, "a.test:443")))));
        assert_eq!(seqs(&ring, &RecentFilter::newest(10)), [3, 4, 5]);
        let mut ring = Ring::new(100_000);
        for seq in 1..=5000 {
            let path = Some("x".repeat(2048).into());
            ring.push(Arc::new(line(seq, Record { path, ..denied(seq, "a.test:443") })));
        }
        let kept = seqs(&ring, &RecentFilter::newest(usize::MAX));
        assert!(kept.len() > 3500 && kept.len() < 4100 && kept.last() == Some(&5000), "{}", kept.len());
    }
}
