//! The metrics of this room, as Prometheus wants them (CONTRACT §7).
//!
//! Guaranteed: one scrape is one moment for denials: in `outgate_requests_total` and in
//! `outgate_denied_destinations_total` they are the same number. Nothing here is on a request's way.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use super::counts::Sums;
use super::histogram::HistogramSum;
use super::shared::Shared;

/// The collector of this room's metrics.
#[derive(Debug)]
pub struct Metrics {
    shared: Arc<Shared>,
    descriptions: Vec<Desc>,
}

/// One metric's name, help and labels.
pub(crate) struct Family(pub(crate) &'static str, pub(crate) &'static str, pub(crate) &'static [&'static str]);

const REQUESTS: Family = Family(
    "outgate_requests_total",
    "Requests, each counted once when its last check is done.",
    &["listener", "protocol", "decision", "reason"],
);
const OUTCOMES: Family = Family(
    "outgate_request_outcomes_total",
    "Requests that ended, by how they ended. An allowed request can fail: see unresolvable, unreachable, timeout and busy.",
    &["listener", "outcome"],
);
const DENIED: Family = Family(
    "outgate_denied_destinations_total",
    "Denied requests by destination; what has no series of its own counts under *.domain or other.",
    &["destination", "reason"],
);
const DECISION: Family = Family("outgate_decision_seconds", "How long deciding took.", &[]);
const DIAL: Family = Family("outgate_dial_seconds", "How long resolving and connecting took.", &[]);
const REQUEST: Family = Family("outgate_request_seconds", "From a request's first byte to its end.", &[]);
const CONNECTIONS: Family =
    Family("outgate_connections_total", "Client connections by what became of them.", &["listener", "result"]);
const HELLOS: Family = Family(
    "outgate_client_hellos_total",
    "Tunnels by what their first bytes were; whatever is not passed would be denied.",
    &["result"],
);
const TUNNELS_OPEN: Family = Family("outgate_tunnels_open", "Tunnels that are open now.", &[]);
const TUNNEL_BYTES: Family =
    Family("outgate_tunnel_bytes_total", "Bytes through tunnels: up to origins, down to clients.", &["direction"]);
const REVOKED: Family =
    Family("outgate_tunnels_revoked_total", "Tunnels that a later policy, or the end of a rule's period, cut.", &[]);
const RECORDS: Family = Family("outgate_records_total", "Records of requests that ended and were not dropped.", &[]);
const FAMILIES: [Family; 12] = [
    REQUESTS,
    OUTCOMES,
    DENIED,
    DECISION,
    DIAL,
    REQUEST,
    CONNECTIONS,
    HELLOS,
    TUNNELS_OPEN,
    TUNNEL_BYTES,
    REVOKED,
    RECORDS,
];

impl Metrics {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { descriptions: FAMILIES.iter().filter_map(Family::description).collect(), shared }
    }

    fn listener(&self, index: usize) -> &str {
        self.shared.listeners.get(index).map_or("", String::as_str)
    }

    fn requests(&self, sums: &Sums) -> MetricFamily {
        let series = sums.requests().map(|(listener, protocol, verdict, count)| {
            counter(&REQUESTS, &[self.listener(listener), protocol, verdict.decision(), verdict.reason()], count)
        });
        family(&REQUESTS, MetricType::COUNTER, series.collect())
    }

    /// Those of listeners that are configured start at 0, since `increase` does not see a series' first value.
    fn outcomes(&self, sums: &Sums) -> MetricFamily {
        let known = self.shared.listeners.len();
        let series = sums.outcomes().filter(|(listener, _, count)| *listener < known || *count > 0);
        let series = series
            .map(|(listener, outcome, count)| counter(&OUTCOMES, &[self.listener(listener), outcome.as_str()], count));
        family(&OUTCOMES, MetricType::COUNTER, series.collect())
    }

    fn connections(&self, sums: &Sums) -> MetricFamily {
        let known = self.shared.listeners.len();
        let series = sums.connections().filter(|(listener, _, count)| *listener < known || *count > 0);
        let series = series
            .map(|(listener, result, count)| counter(&CONNECTIONS, &[self.listener(listener), result.as_str()], count));
        family(&CONNECTIONS, MetricType::COUNTER, series.collect())
    }
}

impl Collector for Metrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    /// Families without a series are left out, since the text format has no place for them.
    fn collect(&self) -> Vec<MetricFamily> {
        let (sums, mut denied) = self.shared.snapshot(super::destinations::Table::series);
        denied.sort_unstable();
        let denied = denied.iter().map(|(label, reason, count)| counter(&DENIED, &[label, reason.as_str()], *count));
        let hellos = sums.client_hellos().map(|(result, count)| counter(&HELLOS, &[result.as_str()], count));
        let bytes = [("up", sums.bytes_up), ("down", sums.bytes_down)];
        let bytes = bytes.map(|(direction, count)| counter(&TUNNEL_BYTES, &[direction], count));
        let families = vec![
            self.requests(&sums),
            self.outcomes(&sums),
            family(&DENIED, MetricType::COUNTER, denied.collect()),
            histogram(&DECISION, &sums.decision),
            histogram(&DIAL, &sums.dial),
            histogram(&REQUEST, &sums.request),
            self.connections(&sums),
            family(&HELLOS, MetricType::COUNTER, hellos.collect()),
            gauge(&TUNNELS_OPEN, sums.tunnels_open()),
            family(&TUNNEL_BYTES, MetricType::COUNTER, bytes.into()),
            family(&REVOKED, MetricType::COUNTER, vec![counter(&REVOKED, &[], sums.tunnels_revoked)]),
            family(&RECORDS, MetricType::COUNTER, vec![counter(&RECORDS, &[], sums.records)]),
        ];
        families.into_iter().filter(|family| !family.get_metric().is_empty()).collect()
    }
}

impl Family {
    /// What the registry wants to know of it.
    pub(crate) fn description(&self) -> Option<Desc> {
        let Self(name, help, labels) = *self;
        let labels = labels.iter().map(ToString::to_string).collect();
        Desc::new(name.into(), help.into(), labels, HashMap::new()).ok()
    }
}

pub(crate) fn family(of: &Family, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let Family(name, help, _) = of;
    let mut family = MetricFamily::default();
    family.set_name((*name).into());
    family.set_help((*help).into());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

pub(crate) fn counter(of: &Family, labels: &[&str], count: u64) -> Metric {
    let pairs = of.2.iter().zip(labels).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).into());
        pair.set_value((*value).into());
        pair
    });
    let mut metric = Metric::from_label(pairs.collect());
    let mut counter = Counter::default();
    counter.set_value(as_f64(count));
    metric.set_counter(counter);
    metric
}

fn gauge(of: &Family, value: u64) -> MetricFamily {
    let mut gauge = Gauge::default();
    gauge.set_value(as_f64(value));
    family(of, MetricType::GAUGE, vec![Metric::from_gauge(gauge)])
}

fn histogram(of: &Family, sum: &HistogramSum) -> MetricFamily {
    let buckets = sum.cumulative().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound);
        bucket.set_cumulative_count(count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(sum.count());
    histogram.set_sample_sum(sum.seconds());
    let mut metric = Metric::default();
    metric.set_histogram(histogram);
    family(of, MetricType::HISTOGRAM, vec![metric])
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows only f64, which is exact to 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
