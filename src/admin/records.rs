//! The last records.

use super::answer::{ApiError, ApiResult, content};
use super::call::{Call, Query};
use super::stream;
use crate::facts::{Host, Tool};
use crate::record::Kind;
use crate::sink::RecentFilter;

/// How many records are shown unless `limit` says otherwise.
const RECORDS: usize = 100;

/// `/v1/records`: those that there are, or with `follow` those to come.
pub(super) async fn list(call: Call) -> ApiResult {
    let filter = filter(&call.query)?;
    let shared = &call.context.shared;
    if call.query.get("follow").is_some() {
        return stream::events(shared.sinks.follow(), filter)
            .ok_or_else(|| ApiError::unavailable("too many clients follow the records already"));
    }
    shared.recorder.caught_up().await;
    let records: Vec<_> = shared.sinks.recent(&filter).iter().map(|line| line.to_json()).collect();
    Ok(content("application/json", format!("{{\"records\":[{}]}}", records.join(","))))
}

/// Which records a query asks for.
fn filter(query: &Query) -> Result<RecentFilter, ApiError> {
    let bad = |detail: String| ApiError::bad_request(detail);
    let mut filter = RecentFilter::newest(query.number("limit", RECORDS)?);
    filter.since_seq = match query.get("since") {
        Some(since) => Some(since.parse().map_err(|_| bad("`since` is not a sequence number".into()))?),
        None => None,
    };
    filter.decision = match query.get("decision").as_deref() {
        None => None,
        Some(decision @ ("allow" | "deny" | "observe" | "none")) => Some(decision.to_owned()),
        Some(_) => return Err(bad("`decision` is one of allow, deny, observe, none".into())),
    };
    filter.kind = match query.get("kind").as_deref() {
        None => None,
        Some("end") => Some(Kind::End),
        Some("open") => Some(Kind::Open),
        Some("progress") => Some(Kind::Progress),
        Some(_) => return Err(bad("`kind` is one of end, open, progress".into())),
    };
    filter.tool = query.get("tool").map(|tool| Tool::new(&tool));
    // Hosts are stored in lower case, so the filter must be in lower case too.
    filter.host_part = query.get("contains").map(|part| part.to_lowercase());
    filter.host = match query.get("host") {
        Some(host) => Some(Host::parse(host.as_bytes()).map_err(|error| bad(format!("`host`: {error}")))?),
        None => None,
    };
    Ok(filter)
}
