//! What the dashboard shows, gathered.

use std::time::SystemTime;

use serde_json::json;

use super::page::{DenialRow, ListenerRow, PolicyView, RecordRow, SelfTestView, Totals, View};
use super::routes::Admin;
use crate::record::{Kind, RecentFilter, Record, RecordLine, Recorder, UtcTime};
use crate::session::Listed;

/// Rows of each table: what fits a screen or two.
const ROWS: usize = 50;

/// The page's content at this moment.
pub(super) fn of(admin: &Admin) -> View {
    let shared = &admin.shared;
    let totals = shared.recorder.totals();
    let denials = shared.recorder.denials(ROWS);
    // A tunnel's interim lines say nothing new here: its end does.
    let ends = RecentFilter { kind: Some(Kind::End), ..RecentFilter::newest(ROWS) };
    let mut records = shared.recorder.recent(&ends);
    records.reverse();
    let now = SystemTime::now();
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
        other_denials: denials.other,
        denials: denials
            .destinations
            .iter()
            .map(|row| DenialRow {
                destination: row.destination.to_string(),
                reason: row.reason.to_string(),
                count: row.count,
                first: rfc3339(row.first),
                last: rfc3339(row.last),
                rule: row.rule.as_deref().map(str::to_owned),
            })
            .collect(),
        records: records.iter().filter_map(|line| record(line)).collect(),
        listeners: admin
            .listeners
            .iter()
            .map(|(name, address, tls)| ListenerRow {
                name: name.clone(),
                url: format!("{}://{address}", if *tls { "https" } else { "http" }),
            })
            .collect(),
        tunnels_open: totals.tunnels_open,
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
