//! The metrics of this room.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::account::SinkAccounts;
use super::kind::SinkKind;
use crate::record::{self, Family, FamilyKind};

const DROPPED: Family = Family {
    name: "outgate_records_dropped_total",
    kind: FamilyKind::Counter,
    help: "Records that a sink could not take; buffer: records that no sink has.",
    labels: &["sink"],
    details: "`jsonl`, `sqlite`, `terminal`, `followers` (streams of the admin API), `buffer`.",
};
/// Every metric of this room.
pub(crate) const FAMILIES: [Family; 1] = [DROPPED];

/// The collector of this room's metrics.
#[derive(Debug)]
pub struct Metrics {
    room: Arc<record::RecordState>,
    accounts: SinkAccounts,
    descriptions: Vec<Desc>,
}

impl Metrics {
    pub(super) fn new(room: Arc<record::RecordState>, accounts: SinkAccounts) -> Self {
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
        let series = lost.map(|(sink, count)| DROPPED.counter(&[sink], count));
        vec![DROPPED.of(series.into())]
    }
}
