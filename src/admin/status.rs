//! How things stand, in numbers: what the dashboard asks for every two seconds.

use std::time::SystemTime;

use serde_json::{Value, json};

use super::view::rfc3339;
use crate::record::{Decided, Recorder, Window};
use crate::sink::Sinks;

/// What `/v1/status` answers. Its size is fixed but for the files' names.
pub(super) fn of(recorder: &Recorder, sinks: &Sinks) -> Value {
    let over_time = recorder.over_time();
    json!({
        "now": rfc3339(SystemTime::now()),
        "totals": recorder.totals(),
        "over_time": {
            "since": rfc3339(over_time.since),
            "reading": over_time.reading,
            "minutes": window(&over_time.minutes),
            "hours": window(&over_time.hours),
        },
        "sinks": sinks.status(),
    })
}

/// Columns rather than rows: a third of the bytes.
fn window(window: &Window) -> Value {
    let column = |of: fn(&Decided) -> u64| window.buckets.iter().map(of).collect::<Vec<_>>();
    json!({
        "start": rfc3339(window.start),
        "step": window.step.as_secs(),
        "allow": column(|bucket| bucket.allow),
        "deny": column(|bucket| bucket.deny),
        "observe": column(|bucket| bucket.observe),
        "none": column(|bucket| bucket.none),
        "before": window.before,
    })
}
