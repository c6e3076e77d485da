//! The metrics of this room.
//!
//! Guaranteed: one scrape is one moment for denials: in `outgate_requests_total` and in
//! `outgate_denied_destinations_total` they are the same number. A scrape costs requests nothing.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;

use super::counts::Sums;
use super::family::{Family, FamilyKind};
use super::shared::RecordState;

/// The collector of this room's metrics.
#[derive(Debug)]
pub struct Metrics {
    shared: Arc<RecordState>,
    descriptions: Vec<Desc>,
}

const REQUESTS: Family = Family {
    name: "outgate_requests_total",
    kind: FamilyKind::Counter,
    help: "Requests, each counted once, when its last check is done.",
    labels: &["listener", "protocol", "decision", "reason"],
    details: "What a listener can allow or deny has a series from the start, at 0, so that `increase` sees the first \
              request; `observe` and `none` appear when they happen.",
};
const OUTCOMES: Family = Family {
    name: "outgate_request_outcomes_total",
    kind: FamilyKind::Counter,
    help: "Requests that ended, by how they ended. An allowed request can fail: see unresolvable, unreachable, timeout and busy.",
    labels: &["listener", "outcome"],
    details: "Its sum is the number of requests that ended, to the unit.",
};
const DENIED: Family = Family {
    name: "outgate_denied_destinations_total",
    kind: FamilyKind::Counter,
    help: "Denied requests by destination; what has no series of its own counts under *.domain or other.",
    labels: &["destination", "reason"],
    details: "`destination` is the `host:port` of the request. The sum is the number of denied requests, to the unit. A \
              series stays until the next restart.",
};
const DECISION: Family = Family {
    name: "outgate_decision_seconds",
    kind: FamilyKind::Histogram,
    help: "How long the policy took to decide.",
    labels: &[],
    details: "From 50 ns to 1 ms.",
};
const DIAL: Family = Family {
    name: "outgate_dial_seconds",
    kind: FamilyKind::Histogram,
    help: "How long resolving and connecting took.",
    labels: &[],
    details: "From 10 \u{b5}s to 25 s.",
};
const REQUEST: Family = Family {
    name: "outgate_request_seconds",
    kind: FamilyKind::Histogram,
    help: "The time from a request's first byte to its end, tunnels included.",
    labels: &[],
    details: "From 25 \u{b5}s to 4 h.",
};
const CONNECTIONS: Family = Family {
    name: "outgate_connections_total",
    kind: FamilyKind::Counter,
    help: "Client connections by what became of them.",
    labels: &["listener", "result"],
    details: "`accepted` counts every connection that was served. Turned away: `busy` (no room), `busy_client` (its client \
              has its share), `accept_failed` (no file descriptor left), `loop` (outgate had dialled itself). Never \
              completed a request: `closed_early`, `timed_out`, `tls_failed`, `unsupported`.",
};
const HELLOS: Family = Family {
    name: "outgate_client_hellos_total",
    kind: FamilyKind::Counter,
    help: "Tunnels by their first bytes; all but passed were refused, unless a rule or observe mode let them pass.",
    labels: &["result"],
    details: "`passed`, `sni_mismatch`, `sni_missing`, `not_tls`, `malformed`, `too_large`, `late`, `cut`.",
};
const TUNNELS_OPEN: Family = Family {
    name: "outgate_tunnels_open",
    kind: FamilyKind::Gauge,
    help: "Tunnels that are open now.",
    labels: &[],
    details: "Requests over plain HTTP are not tunnels.",
};
const TUNNEL_BYTES: Family = Family {
    name: "outgate_tunnel_bytes_total",
    kind: FamilyKind::Counter,
    help: "Bytes through tunnels: up to origins, down to clients.",
    labels: &["direction"],
    details: "`up` and `down`.",
};
const REVOKED: Family = Family {
    name: "outgate_tunnels_revoked_total",
    kind: FamilyKind::Counter,
    help: "Tunnels that a later policy, the end of a rule's period or an administrator ended.",
    labels: &[],
    details: "",
};
const RECORDS: Family = Family {
    name: "outgate_records_total",
    kind: FamilyKind::Counter,
    help: "Records of requests that ended and were not dropped.",
    labels: &[],
    details: "",
};
/// Every metric of this room, in the order of the scrape.
pub(crate) const FAMILIES: [Family; 12] = [
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
    pub(super) fn new(shared: Arc<RecordState>) -> Self {
        Self { descriptions: FAMILIES.iter().filter_map(Family::description).collect(), shared }
    }

    fn listener(&self, index: usize) -> &str {
        self.shared.listeners.get(index).map_or("", String::as_str)
    }

    fn requests(&self, sums: &Sums) -> MetricFamily {
        let series = sums.requests().map(|(listener, protocol, verdict, count)| {
            REQUESTS.counter(&[self.listener(listener), protocol, verdict.decision(), verdict.reason()], count)
        });
        REQUESTS.of(series.collect())
    }

    /// Those of listeners that are configured start at 0, since `increase` does not see a series' first value.
    fn outcomes(&self, sums: &Sums) -> MetricFamily {
        let known = self.shared.listeners.len();
        let series = sums.outcomes().filter(|(listener, _, count)| *listener < known || *count > 0);
        let series = series
            .map(|(listener, outcome, count)| OUTCOMES.counter(&[self.listener(listener), outcome.as_str()], count));
        OUTCOMES.of(series.collect())
    }

    fn connections(&self, sums: &Sums) -> MetricFamily {
        let known = self.shared.listeners.len();
        let series = sums.connections().filter(|(listener, _, count)| *listener < known || *count > 0);
        let series = series
            .map(|(listener, result, count)| CONNECTIONS.counter(&[self.listener(listener), result.as_str()], count));
        CONNECTIONS.of(series.collect())
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
        let denied = denied.iter().map(|(label, reason, count)| DENIED.counter(&[label, reason.as_str()], *count));
        let hellos = sums.client_hellos().map(|(result, count)| HELLOS.counter(&[result.as_str()], count));
        let bytes = [("up", sums.bytes_up), ("down", sums.bytes_down)];
        let bytes = bytes.map(|(direction, count)| TUNNEL_BYTES.counter(&[direction], count));
        let families = vec![
            self.requests(&sums),
            self.outcomes(&sums),
            DENIED.of(denied.collect()),
            DECISION.histogram(&sums.decision),
            DIAL.histogram(&sums.dial),
            REQUEST.histogram(&sums.request),
            self.connections(&sums),
            HELLOS.of(hellos.collect()),
            TUNNELS_OPEN.whole(sums.tunnels_open()),
            TUNNEL_BYTES.of(bytes.into()),
            REVOKED.whole(sums.tunnels_revoked),
            RECORDS.whole(sums.records),
        ];
        families.into_iter().filter(|family| !family.get_metric().is_empty()).collect()
    }
}
