//! What the dashboard shows, gathered.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::advised;
use super::page::{
    AdviceView, Buckets, DenialRow, ListenerRow, PolicyView, RecordRow, SelfTestView, SinkView, TimeView, Totals,
    TunnelRow, TunnelsView, View,
};
use super::routes::Admin;
use crate::record::{Decided, Kind, OverTime, Record, RecordLine, Recorder, UtcTime, Window};
use crate::session::Listed;
use crate::sink::{RecentFilter, SinkStatus};

/// Rows of each table: what fits a screen or two.
const ROWS: usize = 50;

/// What stands for the source of the policy that the program carries.
const BUILT_IN: &str = "built in";

/// For how long a lost record is news.
const LATELY: Duration = Duration::from_secs(600);

/// The page's content at this moment.
pub(super) async fn of(admin: &Admin) -> View {
    let shared = &admin.shared;
    let totals = shared.recorder.totals();
    let denials = advised::denials(admin, ROWS);
    // A tunnel's interim lines say nothing new here: its end does.
    let ends = RecentFilter { kind: Some(Kind::End), ..RecentFilter::newest(ROWS) };
    let mut records = shared.sinks.recent(&ends);
    records.reverse();
    let now = SystemTime::now();
    // Workers that do not answer leave the number that is counted anyway.
    let tunnels = shared.roll.list(ROWS).await.map_or_else(
        |_| TunnelsView { total: totals.tunnels_open, oldest: Vec::new() },
        |listed| open_tunnels(&listed, &shared.recorder, now),
    );
    View {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        now: rfc3339(now),
        policy: policy(admin, now),
        totals: Totals {
            requests: totals.requests,
            allowed: totals.allowed,
            denied: totals.denied,
            observed: totals.observed,
            other: totals.unjudged,
        },
        time: over_time(&shared.recorder.over_time()),
        other_denials: denials.other,
        denials: denials.destinations.into_iter().map(denial).collect(),
        records: records.iter().filter_map(|line| record(line)).collect(),
        listeners: admin
            .listeners
            .iter()
            .map(|(name, address, tls)| ListenerRow {
                name: name.clone(),
                url: format!("{}://{address}", if *tls { "https" } else { "http" }),
            })
            .collect(),
        tunnels,
        sinks: shared.sinks.status().into_iter().map(|sink| sink_view(sink, now)).collect(),
    }
}

fn denial(advised: advised::AdvisedRow) -> DenialRow {
    let advised::AdvisedRow { row, allow, allowed_now, note } = advised;
    DenialRow {
        destination: row.destination.to_string(),
        reason: row.reason.to_string(),
        count: row.count,
        first: rfc3339(row.first),
        last: rfc3339(row.last),
        rule: row.rule.as_deref().map(str::to_owned),
        tools: row.tools,
        advice: AdviceView { allow, allowed_now, note },
    }
}

fn over_time(over_time: &OverTime) -> TimeView {
    let buckets = |window: &Window| {
        let before = over_time.since.duration_since(window.start).unwrap_or_default().as_secs();
        Buckets {
            denied: window.buckets.iter().map(|bucket| bucket.deny).collect(),
            all: window.buckets.iter().map(Decided::all).collect(),
            unknown: usize::try_from(before / window.step.as_secs().max(1)).map_or(0, |n| n.min(window.buckets.len())),
        }
    };
    TimeView {
        since: rfc3339(over_time.since),
        reading: over_time.reading,
        minutes: buckets(&over_time.minutes),
        hours: buckets(&over_time.hours),
    }
}

fn open_tunnels(listed: &Listed, recorder: &Recorder, now: SystemTime) -> TunnelsView {
    let row = |tunnel: &Record| TunnelRow {
        destination: tunnel.destination.as_ref().map(ToString::to_string).unwrap_or_default(),
        address: tunnel.address.map(|address| address.to_string()).unwrap_or_default(),
        tool: tunnel.listener.as_str().to_owned(),
        client: recorder.client(tunnel.client).to_string(),
        rule: tunnel.rule().map(str::to_owned),
        started: rfc3339(tunnel.started),
        age: now.duration_since(tunnel.started).unwrap_or_default(),
        bytes_up: tunnel.bytes_up,
        bytes_down: tunnel.bytes_down,
    };
    TunnelsView { total: listed.total as u64, oldest: listed.tunnels.iter().map(row).collect() }
}

fn sink_view(sink: SinkStatus, now: SystemTime) -> SinkView {
    SinkView {
        lost_lately: sink.lost_ago(now).is_some_and(|ago| ago < LATELY),
        sink: sink.sink.to_owned(),
        path: sink.path.map(|path| path.display().to_string()),
        written: sink.written,
        dropped: sink.dropped,
        last_dropped: sink.last_dropped.map(rfc3339),
        error: sink.error,
        since: sink.since.map(rfc3339),
    }
}

fn policy(admin: &Admin, now: SystemTime) -> PolicyView {
    let (policy, status) = (admin.shared.store.current(), admin.shared.store.status());
    PolicyView {
        name: policy.name().to_owned(),
        revision: policy.revision().to_owned(),
        mode: policy.mode().as_str().to_owned(),
        enabled: policy.enabled(),
        egress: policy.egress().as_str().to_owned(),
        loaded: rfc3339(status.loaded),
        age: now.duration_since(status.loaded).unwrap_or_default(),
        built_in: status.source == BUILT_IN,
        source: status.source,
        error: status.error,
        rules: policy.rule_count() as u64,
        selftest: admin.selftest.last().map(|tested| SelfTestView { ok: tested.ok, detail: tested.detail }),
    }
}

fn record(line: &RecordLine) -> Option<RecordRow> {
    let record = line.record()?;
    Some(RecordRow {
        time: rfc3339(record.started),
        decision: record.verdict.decision().to_owned(),
        destination: record.destination.as_ref().map(ToString::to_string).unwrap_or_default(),
        reason: record.verdict.reason().to_owned(),
        id: record.id.to_string(),
        tool: record.listener.as_str().to_owned(),
    })
}

/// Open tunnels as the API shows them: names, ids and clients are those of their records.
pub(super) fn tunnels(listed: &Listed, recorder: &Recorder) -> serde_json::Value {
    let tunnel = |tunnel: &Record| {
        json!({
            "id": tunnel.id.to_string(),
            "destination": tunnel.destination.as_ref().map(ToString::to_string).unwrap_or_default(),
            "address": tunnel.address.map(|address| address.to_string()).unwrap_or_default(),
            "listener": tunnel.listener.as_str(),
            "protocol": tunnel.protocol.map(|protocol| protocol.as_str()).unwrap_or_default(),
            "tool": tunnel.listener.as_str(),
            "client": recorder.client(tunnel.client).to_string(),
            "rule": tunnel.rule(),
            "started": rfc3339(tunnel.started),
            "bytes_up": tunnel.bytes_up,
            "bytes_down": tunnel.bytes_down,
        })
    };
    json!({ "total": listed.total, "tunnels": listed.tunnels.iter().map(tunnel).collect::<Vec<_>>() })
}

/// A time as records have it.
pub(super) fn rfc3339(time: SystemTime) -> String {
    UtcTime(time).to_string()
}
