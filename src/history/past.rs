//! The requests of the past, for the process that records them.

use std::sync::Arc;
use std::time::SystemTime;

use super::kept::{RecordSource, RecordSourceError};
use super::request::{Detail, NotRequests, Request};
use crate::record::{Body, Kind, RecordLine, UtcTime};

/// What a process can read of what it recorded.
#[derive(Clone, Debug)]
pub enum Past {
    /// What a file or a database keeps.
    Stored(RecordSource),
    /// The last lines in memory, the newest last, where nothing else keeps any.
    Memory(Vec<Arc<RecordLine>>),
}

impl Past {
    /// Where it comes from: `sqlite`, `jsonl` or `memory`.
    pub fn source(&self) -> &'static str {
        match self {
            Self::Stored(RecordSource::Sqlite(_)) => "sqlite",
            Self::Stored(RecordSource::Jsonl(_)) => "jsonl",
            Self::Memory(_) => "memory",
        }
    }

    /// Shows every request that began at `since` or later, in the order in which they ended. Reads a disk, for as long as
    /// it takes; the last second may not be there yet.
    ///
    /// # Errors
    /// The file cannot be read, or holds something else.
    pub fn requests(
        &self,
        wanted: Detail,
        since: Option<SystemTime>,
        mut each: impl FnMut(&Request<'_>),
    ) -> Result<NotRequests, RecordSourceError> {
        match self {
            Self::Stored(kept) => kept.requests(wanted, since, each),
            Self::Memory(lines) => Ok(in_memory(lines, since, &mut each)),
        }
    }
}

fn in_memory(lines: &[Arc<RecordLine>], since: Option<SystemTime>, each: &mut dyn FnMut(&Request<'_>)) -> NotRequests {
    let mut not_requests = NotRequests::default();
    for line in lines {
        match &line.body {
            Body::Record(record) if record.kind == Kind::End && since.is_none_or(|since| record.started >= since) => {
                show(line, each);
            }
            Body::Gap(gap) if since.is_none_or(|since| gap.at >= since) => {
                not_requests.gap(gap.cause.as_str(), gap.dropped);
            }
            Body::Record(_) | Body::Gap(_) => {}
        }
    }
    not_requests
}

/// A record as its line would be read back.
fn show(line: &RecordLine, each: &mut dyn FnMut(&Request<'_>)) {
    let columns = line.columns(None);
    let host = columns.host.0.map(ToString::to_string).unwrap_or_default();
    let address = columns.address.0.map(|address| address.to_string()).unwrap_or_default();
    each(&Request {
        count: 1,
        ms: columns.time.0.map_or(0, UtcTime::millis),
        decision: columns.decision.0,
        reason: columns.reason,
        rule: columns.rule,
        tool: columns.tool,
        identity: columns.identity,
        host: &host,
        port: columns.port,
        address: &address,
        outcome: columns.outcome.0,
        began_otherwise: columns.protocol.0 != "http" && columns.bytes_up > 0 && columns.sni != host,
    });
}
