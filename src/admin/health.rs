//! What programs ask without a person: health, metrics, the PAC script.

use hyper::StatusCode;

use super::answer::{ApiError, ApiResult, content, text};
use super::call::Call;
use crate::facts::{Destination, Host, Port};
use crate::protocol::pac;

/// `/healthz`.
pub(super) fn alive(_: &Call) -> ApiResult {
    Ok(text(StatusCode::OK, "ok\n"))
}

/// `/readyz`. Nothing starts without a policy and a bound listener, so a process that answers has both.
pub(super) fn ready(call: &Call) -> ApiResult {
    Ok(match call.context.shared.sinks.refusal() {
        None => text(StatusCode::OK, "ready\n"),
        Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}, and records are required\n")),
    })
}

/// `/metrics`.
pub(super) fn metrics(call: &Call) -> ApiResult {
    let context = &call.context;
    let (store, is_selftest_ok) = (&context.shared.store, context.selftest.is_ok());
    let text = context.metrics.text(store, is_selftest_ok, context.is_configuration_changed());
    Ok(content("text/plain; version=0.0.4; charset=utf-8", text))
}

/// `/proxy.pac`: the script names the first listener, as the one on its own port does.
pub(super) fn pac(call: &Call) -> ApiResult {
    let script = call.context.listeners.first().and_then(|(_, address, tls)| {
        let proxy = Destination::new(Host::Ip(address.ip()), Port::new(address.port()).ok()?);
        Some(pac::script(&proxy, *tls))
    });
    let script = script.ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, "there is no listener to point at"))?;
    Ok(content(pac::CONTENT_TYPE, script))
}
