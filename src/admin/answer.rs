//! The responses of the admin listener: content, or a problem (RFC 9457).

use std::borrow::Cow;
use std::convert::Infallible;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde_json::json;

/// The body of a response.
pub(super) type Body = BoxBody<Bytes, Infallible>;

/// What a request comes to.
pub(super) type ApiResult = Result<Response<Body>, ApiError>;

/// The error that the client receives for a request that cannot be answered.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    detail: Cow<'static, str>,
    field: Option<(HeaderName, HeaderValue)>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { status, detail: detail.into(), field: None }
    }

    /// The request itself is wrong.
    pub(super) fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// It would be answered at another time.
    pub(super) fn unavailable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// The same with a header field.
    pub(super) fn with(self, name: HeaderName, value: HeaderValue) -> Self {
        Self { field: Some((name, value)), ..self }
    }
}

impl From<ApiError> for Response<Body> {
    fn from(ApiError { status, detail, field }: ApiError) -> Self {
        let title = status.canonical_reason().unwrap_or_default();
        let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
        let mut response = respond(status, "application/problem+json", body.to_string());
        response.headers_mut().extend(field);
        response
    }
}

/// Content of this media type.
pub(super) fn content(kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    respond(StatusCode::OK, kind, body)
}

/// A page.
pub(super) fn html(body: String) -> Response<Body> {
    content("text/html; charset=utf-8", body)
}

/// Plain text with this status.
pub(super) fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", body)
}

/// A JSON document.
pub(super) fn json_of(value: &impl serde::Serialize) -> ApiResult {
    match serde_json::to_vec(value) {
        Ok(body) => Ok(content("application/json", body)),
        Err(_) => Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "the response could not be written")),
    }
}

fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
