//! Denied destinations, each with what could be added to the policy so that it is allowed.

use std::sync::Arc;
use std::time::SystemTime;

use serde::Serialize;

use super::answer::{ApiResult, json_of};
use super::call::Call;
use super::context::AdminContext;
use crate::facts::{OwnAddresses, Tool};
use crate::policy::text::Format;
use crate::policy::{Advice, Adviser, DeniedBefore, Snapshot};
use crate::record::DeniedDestination;

/// How many denied destinations are shown unless `limit` says otherwise.
const DENIALS: usize = 100;

/// What `/v1/denials` answers: [`Denials`](crate::record::Denials), each row with its advice.
#[derive(Debug, Serialize)]
pub(super) struct Advised {
    pub(super) total: u64,
    pub(super) destinations: Vec<AdvisedRow>,
    pub(super) other: u64,
}

/// One denied destination.
#[derive(Debug, Serialize)]
pub(super) struct AdvisedRow {
    #[serde(flatten)]
    pub(super) row: DeniedDestination,
    /// A rule that allows it, as text to be added to the policy; none where there is none to offer.
    pub(super) allow: Option<String>,
    /// Whether the policy in force allows it by now.
    pub(super) allowed_now: bool,
    /// What else there is to know: what the rule opens beyond, which rule allows it now, or why no rule is offered.
    pub(super) note: Option<String>,
}

/// `/v1/denials`.
pub(super) fn list(call: &Call) -> ApiResult {
    json_of(&most_denied(&call.context, call.query.number("limit", DENIALS)?))
}

/// The most denied destinations, judged by the policy in force.
pub(super) fn most_denied(context: &AdminContext, limit: usize) -> Advised {
    let shared = &context.shared;
    let policy = Snapshot::new(shared.store.current());
    let own: Arc<OwnAddresses> = shared.own.load_full();
    let adviser = Adviser::new(&policy, &own);
    let format = format(&shared.store.status().source);
    let now = SystemTime::now();
    let denials = shared.recorder.denials(limit);
    let advised = |row: DeniedDestination| {
        let tools: Vec<_> = row.tools.iter().map(|tool| Tool::new(tool)).collect();
        let denied = DeniedBefore { destination: &row.destination, reason: row.reason, tools: &tools, at: now };
        let (allow, allowed_now, note) = match adviser.advise(denied) {
            Advice::Add { rule, note } => (Some(rule.write(format, None)), false, note),
            Advice::Allowed { rule } => (None, true, Some(allowed(rule.as_deref()))),
            Advice::Nothing(why) => (None, false, Some(why)),
        };
        AdvisedRow { row, allow, allowed_now, note }
    };
    Advised {
        total: denials.total,
        destinations: denials.destinations.into_iter().map(advised).collect(),
        other: denials.other,
    }
}

fn allowed(rule: Option<&str>) -> String {
    match rule {
        Some(rule) => format!("the policy in force allows it, by the rule `{rule}`"),
        None => "the policy in force allows it".to_owned(),
    }
}

/// How the policy's file is written: as its name says, and TOML for the built-in one.
fn format(source: &str) -> Format {
    let is_json = source.rsplit_once('.').is_some_and(|(_, end)| end.eq_ignore_ascii_case("json"));
    if is_json { Format::Json } else { Format::Toml }
}
