//! Open tunnels and requests that last: which they are, and their end.

use hyper::StatusCode;
use serde_json::json;
use tracing::info;

use super::answer::{ApiError, ApiResult, json_of, text};
use super::call::Call;
use crate::facts::{Method, RequestId};
use crate::record::{Record, UtcTime};

/// How many open tunnels and requests are shown unless `limit` says otherwise.
const TUNNELS: usize = 100;

/// `/v1/tunnels`: names, ids and clients are those of their records.
pub(super) async fn list(call: Call) -> ApiResult {
    let limit = call.query.number("limit", TUNNELS)?;
    let shared = &call.context.shared;
    let listed =
        shared.tunnel_directory.list(limit).await.map_err(|silent| ApiError::unavailable(silent.to_string()))?;
    let tunnel = |tunnel: &Record| {
        json!({
            "id": tunnel.id.to_string(),
            "destination": tunnel.destination.as_ref().map(ToString::to_string).unwrap_or_default(),
            "address": tunnel.address.map(|address| address.to_string()).unwrap_or_default(),
            "listener": tunnel.listener.as_str(),
            "protocol": tunnel.protocol.map(|protocol| protocol.as_str()).unwrap_or_default(),
            "method": tunnel.method.as_ref().map(Method::as_str),
            "tool": tunnel.listener.as_str(),
            "client": shared.recorder.client(tunnel.client.peer).to_string(),
            "rule": tunnel.rule(),
            "started": UtcTime(tunnel.started).to_string(),
            "bytes_up": tunnel.bytes_up,
            "bytes_down": tunnel.bytes_down,
        })
    };
    json_of(&json!({ "total": listed.total, "tunnels": listed.tunnels.iter().map(tunnel).collect::<Vec<_>>() }))
}

/// `DELETE /v1/tunnels/ID`.
pub(super) async fn end(call: Call) -> ApiResult {
    let id = call.name;
    let revoked = match RequestId::parse(&id) {
        Some(id) => call.context.shared.tunnel_directory.revoke(id).await,
        None => Ok(false),
    };
    if revoked.map_err(|silent| ApiError::unavailable(silent.to_string()))? {
        info!(id, "tunnel or request ended by the admin API");
        Ok(text(StatusCode::NO_CONTENT, ""))
    } else {
        Err(ApiError::new(StatusCode::NOT_FOUND, "no tunnel or request with this id is open"))
    }
}
