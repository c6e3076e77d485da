//! Counts, requests over time and the state of the sinks: what the dashboard asks for every two seconds.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::answer::{ApiResult, json_of};
use super::call::Call;
use crate::record::{Decided, UtcTime, Window};

/// `/v1/status`. Its size is fixed but for the names of files.
pub(super) async fn show(call: Call) -> ApiResult {
    let shared = &call.context.shared;
    shared.recorder.caught_up().await;
    let over_time = shared.recorder.over_time();
    json_of(&json!({
        "now": time(SystemTime::now()),
        "totals": shared.recorder.totals(),
        "over_time": {
            "since": time(over_time.since),
            "reading": over_time.reading,
            "minutes": window(&over_time.minutes),
            "hours": window(&over_time.hours),
        },
        "sinks": shared.sinks.status(),
        "configuration_changed": call.context.is_configuration_changed(),
    }))
}

fn time(time: SystemTime) -> String {
    UtcTime(time).to_string()
}

/// Columns rather than rows: a third of the bytes.
fn window(window: &Window) -> Value {
    let column = |of: fn(&Decided) -> u64| window.buckets.iter().map(of).collect::<Vec<_>>();
    json!({
        "start": time(window.start),
        "step": window.step.as_secs(),
        "allow": column(|bucket| bucket.allow),
        "deny": column(|bucket| bucket.deny),
        "observe": column(|bucket| bucket.observe),
        "none": column(|bucket| bucket.none),
        "before": window.before,
    })
}
