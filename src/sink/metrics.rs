//! What sinks could not take, as Prometheus wants it (CONTRACT §7).

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};

use super::account::Accounts;
use super::kind::SinkKind;
use crate::record::{self, Family, counter, family};

const DROPPED: Family =
    Family("outgate_records_dropped_total", "Records that a sink could not take; buffer: that no sink has.", &["sink"]);

/// The collector of this room's metrics.
#[derive(Debug)]
pub struct Metrics {
    room: Arc<record::Shared>,
    accounts: Accounts,
    descriptions: Vec<Desc>,
}

impl Metrics {
    pub(super) fn new(room: Arc<record::Shared>, accounts: Accounts) -> Self {
        Self { room, accounts, descriptions: DROPPED.description().into_iter().collect() }
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let lost = SinkKind::ALL.map(|kind| match kind {
            // What no buffer had room for, no sink has.
            SinkKind::Memory => ("buffer", self.room.dropped()),
            SinkKind::Jsonl | SinkKind::Sqlite | SinkKind::Terminal | SinkKind::Followers => {
                (kind.as_str(), self.accounts.of(kind).lost())
            }
        });
        let series = lost.map(|(sink, count)| counter(&DROPPED, &[sink], count));
        vec![family(&DROPPED, MetricType::COUNTER, series.into())]
    }
}
