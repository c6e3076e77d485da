//! The policy in force: what it is, what it would decide, and its reload.

use std::time::SystemTime;

use hyper::StatusCode;
use serde_json::json;

use super::answer::{ApiError, ApiResult, json_of};
use super::call::Call;
use crate::enforce::{self, Circumstances};
use crate::facts::{Method, Question, Tool};
use crate::policy::{Policy, Snapshot};
use crate::record::UtcTime;

/// `/v1/policy`.
pub(super) fn show(call: &Call) -> ApiResult {
    let context = &call.context;
    let (policy, status) = (context.shared.store.current(), context.shared.store.status());
    let layer = |layer: &Policy| json!({ "source": status.source, "revision": layer.revision() });
    let layers: Vec<_> = policy.layers().map(layer).collect();
    json_of(&json!({
        "name": policy.name(),
        "revision": policy.revision(),
        "mode": policy.mode().as_str(),
        "enabled": policy.enabled(),
        "egress": policy.egress().as_str(),
        "rules": policy.rule_count(),
        "source": status.source,
        "layers": layers,
        "loaded": UtcTime(status.loaded).to_string(),
        "error": status.error,
        "selftest": context.selftest.last().map(|tested| json!({
            "ok": tested.ok,
            "at": UtcTime(tested.at).to_string(),
            "detail": tested.detail,
        })),
    }))
}

/// `/v1/check`: asks the policy, by the same code that decides requests.
pub(super) async fn check(call: Call) -> ApiResult {
    let Call { context, query, .. } = call;
    let to = query.get("to").ok_or_else(|| ApiError::bad_request("`to` is missing: a URL or host:port"))?;
    if query.get("as").is_some() {
        return Err(ApiError::bad_request("`as` is not supported in this version"));
    }
    let question = Question::parse(&to)
        .map_err(|error| ApiError::bad_request(format!("`to` is not a URL or host:port: {error}")))?;
    let circumstances = Circumstances {
        tool: Tool::new(query.get("tool").as_deref().unwrap_or_default()),
        method: query.get("method").map(|method| Method::new(&method)),
        at: SystemTime::now(),
    };
    let shared = &context.shared;
    let policy = Snapshot::new(shared.store.current());
    let own = shared.own.load_full();
    json_of(&enforce::check(&policy, &shared.resolver, &own, shared.parent.as_ref(), question, circumstances).await)
}

/// `/v1/policy/reload`.
pub(super) async fn reload(call: Call) -> ApiResult {
    match call.context.reloads.reload().await {
        Ok(revision) => json_of(&json!({ "revision": revision })),
        Err(errors) => {
            let mut response = json_of(&json!({ "errors": errors }))?;
            *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(response)
        }
    }
}
