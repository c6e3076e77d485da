//! What sinks could not take, as Prometheus wants it (CONTRACT §7).

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{MetricFamily, MetricType};

use super::{Shared, SinkKind};
use crate::record::{Family, Recorder, counter, family};

const DROPPED: Family =
    Family("outgate_records_dropped_total", "Records that a sink could not take; buffer: that no sink has.", &["sink"]);

/// The collector of this room's metrics.
#[derive(Debug)]
pub struct Metrics {
    recorder: Recorder,
    shared: Arc<Shared>,
    descriptions: Vec<Desc>,
}

impl Metrics {
    pub(super) fn new(recorder: Recorder, shared: Arc<Shared>) -> Self {
        Self { recorder, shared, descriptions: DROPPED.description().into_iter().collect() }
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let lost = SinkKind::ALL.map(|kind| match kind {
            // What no buffer had room for, no sink has.
            SinkKind::Memory => ("buffer", self.recorder.shared().dropped()),
            SinkKind::Jsonl | SinkKind::Sqlite | SinkKind::Terminal | SinkKind::Followers => {
                (kind.as_str(), self.shared.account(kind).lost())
            }
        });
        let series = lost.map(|(sink, count)| counter(&DROPPED, &[sink], count));
        vec![family(&DROPPED, MetricType::COUNTER, series.into())]
    }
}
