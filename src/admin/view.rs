//! What the dashboard shows, gathered.

use std::time::{Duration, SystemTime};

use super::context::AdminContext;
use super::denials::{self, AdvisedRow};
use super::page::{
    AdviceView, Buckets, DenialRow, ListenerRow, PolicyView, RecordRow, SelfTestView, SinkView, TimeView, Totals,
    TunnelRow, TunnelsView, View,
};
use crate::facts::Protocol;
use crate::record::{Decided, Kind, OverTime, Record, RecordLine, Recorder, UtcTime, Window};
use crate::session::OpenTunnels;
use crate::sink::{RecentFilter, SinkStatus};
use crate::text::Inert;

/// Rows of each table: what fits a screen or two.
const ROWS: usize = 50;

/// What is shown as the source of the built-in policy.
const BUILT_IN: &str = "built in";

/// For how long a lost record is news.
const LATELY: Duration = Duration::from_secs(600);

/// The page's content at this moment.
pub(super) async fn of(context: &AdminContext) -> View {
    let shared = &context.shared;
    let totals = shared.recorder.totals();
    let denials = denials::most_denied(context, ROWS);
    // A tunnel's interim lines say nothing new here: its end does.
    let ends = RecentFilter { kind: Some(Kind::End), ..RecentFilter::newest(ROWS) };
    let mut records = shared.sinks.recent(&ends);
    records.reverse();
    let now = SystemTime::now();
    // Workers that do not answer leave the number that is counted anyway.
    let tunnels = shared.tunnel_directory.list(ROWS).await.map_or_else(
        |_| TunnelsView { total: totals.tunnels_open, oldest: Vec::new() },
        |listed| open_tunnels(&listed, &shared.recorder, now),
    );
    View {
        version: env!("CARGO_PKG_VERSION").into(),
        now: inert(UtcTime(now)),
        configuration_changed: context.is_configuration_changed(),
        policy: policy(context, now),
        totals: Totals {
            requests: totals.requests,
            allowed: totals.allowed,
            denied: totals.denied,
            observed: totals.observed,
            other: totals.unjudged,
            tunnels_open: totals.tunnels_open,
        },
        time: over_time(&shared.recorder.over_time()),
        other_denials: denials.other,
        denials: denials.destinations.into_iter().map(denial).collect(),
        records: records.iter().filter_map(|line| record(line)).collect(),
        listeners: context
            .listeners
            .iter()
            .map(|(name, address, tls)| ListenerRow {
                name: name.as_str().into(),
                url: inert(format_args!("{}://{address}", if *tls { "https" } else { "http" })),
            })
            .collect(),
        tunnels,
        sinks: shared.sinks.status().into_iter().map(|sink| sink_view(sink, now)).collect(),
    }
}

fn denial(advised: AdvisedRow) -> DenialRow {
    let AdvisedRow { row, allow, allowed_now, note } = advised;
    DenialRow {
        destination: inert(&row.destination),
        reason: inert(row.reason),
        count: row.count,
        first: inert(UtcTime(row.first)),
        last: inert(UtcTime(row.last)),
        rule: row.rule.as_deref().map(Inert::new),
        tools: row.tools.join(", ").as_str().into(),
        advice: AdviceView {
            allow: allow.as_deref().map(Inert::lines),
            allowed_now,
            note: note.as_deref().map(Inert::new),
        },
    }
}

/// Requests over time, as the page plots them.
pub(super) fn over_time(over_time: &OverTime) -> TimeView {
    let buckets = |window: &Window| {
        let before = over_time.since.duration_since(window.start).unwrap_or_default().as_secs();
        Buckets {
            denied: window.buckets.iter().map(|bucket| bucket.deny).collect(),
            all: window.buckets.iter().map(Decided::all).collect(),
            unknown: usize::try_from(before / window.step.as_secs().max(1)).map_or(0, |n| n.min(window.buckets.len())),
        }
    };
    TimeView {
        since: inert(UtcTime(over_time.since)),
        reading: over_time.reading,
        minutes: buckets(&over_time.minutes),
        hours: buckets(&over_time.hours),
    }
}

fn open_tunnels(listed: &OpenTunnels, recorder: &Recorder, now: SystemTime) -> TunnelsView {
    let row = |tunnel: &Record| TunnelRow {
        request: match tunnel.protocol {
            Some(Protocol::Http) => tunnel.method.as_ref().map(|method| method.as_str().into()),
            _ => None,
        },
        destination: tunnel.destination.as_ref().map(inert).unwrap_or_default(),
        address: tunnel.address.map(inert).unwrap_or_default(),
        tool: tunnel.listener.as_str().into(),
        client: inert(recorder.client(tunnel.client.peer)),
        rule: tunnel.rule().map(Inert::new),
        started: inert(UtcTime(tunnel.started)),
        age: now.duration_since(tunnel.started).unwrap_or_default(),
        bytes_up: tunnel.bytes_up,
        bytes_down: tunnel.bytes_down,
    };
    TunnelsView { total: listed.total as u64, oldest: listed.tunnels.iter().map(row).collect() }
}

fn sink_view(sink: SinkStatus, now: SystemTime) -> SinkView {
    SinkView {
        lost_lately: sink.lost_ago(now).is_some_and(|ago| ago < LATELY),
        sink: sink.sink.into(),
        path: sink.path.map(|path| inert(path.display())),
        written: sink.written,
        dropped: sink.dropped,
        last_dropped: sink.last_dropped.map(|at| inert(UtcTime(at))),
        error: sink.error.as_deref().map(Inert::new),
        since: sink.since.map(|at| inert(UtcTime(at))),
    }
}

fn policy(context: &AdminContext, now: SystemTime) -> PolicyView {
    let (policy, status) = (context.shared.store.current(), context.shared.store.status());
    PolicyView {
        name: policy.name().into(),
        revision: policy.revision().into(),
        mode: policy.mode().as_str().into(),
        enabled: policy.enabled(),
        egress: policy.egress().as_str().into(),
        loaded: inert(UtcTime(status.loaded)),
        age: now.duration_since(status.loaded).unwrap_or_default(),
        built_in: status.source == BUILT_IN,
        source: status.source.as_str().into(),
        error: status.error.as_deref().map(Inert::lines),
        rules: policy.rule_count() as u64,
        selftest: context
            .selftest
            .last()
            .map(|tested| SelfTestView { ok: tested.ok, detail: tested.detail.as_str().into() }),
    }
}

fn record(line: &RecordLine) -> Option<RecordRow> {
    let record = line.record()?;
    Some(RecordRow {
        time: inert(UtcTime(record.started)),
        decision: record.verdict.decision().into(),
        destination: record.destination.as_ref().map(inert).unwrap_or_default(),
        reason: record.verdict.reason().into(),
        outcome: record.outcome.as_str().into(),
        id: inert(record.id),
        tool: record.listener.as_str().into(),
    })
}

/// A value as text that can be shown.
#[expect(clippy::needless_pass_by_value, reason = "most are numbers and texts that were made for this")]
fn inert(value: impl ToString) -> Inert {
    value.to_string().as_str().into()
}
