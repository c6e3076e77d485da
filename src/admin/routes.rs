//! The paths of the admin listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use serde_json::json;
use tracing::info;

use super::door::Door;
use super::query::{Query, filter};
use super::selftest::SelfTest;
use super::token::Token;
use super::{advised, metrics, page, report, status, stream, view};
use crate::enforce::{self, Circumstances, Shared};
use crate::facts::{self, Destination, Host, Port, Question, Tool};
use crate::policy::Snapshot;
use crate::protocol::pac;
use crate::record::RequestId;
use crate::store::Reloads;

/// How many denied destinations are shown unless `limit` says otherwise.
const DENIALS: usize = 100;
/// How many open tunnels and requests are shown unless `limit` says otherwise.
const TUNNELS: usize = 100;
/// Everything that is served here, but for single tunnels.
const PATHS: [&str; 15] = [
    "/",
    page::STYLE_PATH,
    page::SCRIPT_PATH,
    "/metrics",
    "/v1/policy",
    "/v1/check",
    "/v1/denials",
    "/v1/records",
    "/v1/status",
    "/v1/tunnels",
    "/v1/report",
    "/v1/policy/reload",
    "/healthz",
    "/readyz",
    "/proxy.pac",
];
/// What single tunnels' paths begin with.
const TUNNEL: &str = "/v1/tunnels/";

/// Everything that the admin listener shows and does.
#[derive(Debug)]
pub struct Admin {
    /// Where it listens.
    pub address: SocketAddr,
    /// Who may read.
    pub token: Token,
    /// Where a browser comes in that brought the token once.
    pub door: Door,
    /// Whether `/metrics` needs the token too.
    pub protect_metrics: bool,
    /// What the workers share: policy, records, resolver.
    pub shared: Arc<Shared>,
    /// How to reload the policy.
    pub reloads: Reloads,
    /// The metrics registry.
    pub metrics: metrics::Registry,
    /// What the self-test found last.
    pub selftest: Arc<SelfTest>,
    /// The proxy's listeners: name, address, whether TLS.
    pub listeners: Vec<(String, SocketAddr, bool)>,
}

/// Where the dashboard is, for the banner.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where it listens.
    pub address: SocketAddr,
    /// The link that opens it, with the token. None where the token is in a file: whoever may read it has it.
    pub url: String,
}

pub(super) type Body = BoxBody<Bytes, std::convert::Infallible>;

/// Answers one request.
///
/// # Errors
/// None: every fault is an answer.
pub(super) async fn serve(
    admin: Arc<Admin>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let mut response = answer(&admin, request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Ok(response)
}

async fn answer(admin: &Arc<Admin>, request: Request<Incoming>) -> Response<Body> {
    if !admin.is_addressed(&request) {
        return problem(StatusCode::MISDIRECTED_REQUEST, "this listener answers by its own address only");
    }
    let asked = request.uri().path();
    let inside = admin.door.open(asked, request.headers());
    let path = inside.unwrap_or(asked);
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match path {
        "/healthz" if is_read => return text(StatusCode::OK, "ok\n"),
        // There is no start without a policy and a bound listener, so whoever answers has both.
        "/readyz" if is_read => {
            return match admin.shared.sinks.refusal() {
                None => text(StatusCode::OK, "ready\n"),
                Some(why) => {
                    text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}, and records are required\n"))
                }
            };
        }
        "/proxy.pac" if is_read => return admin.pac(),
        "/metrics" if is_read && !admin.protect_metrics => return admin.metrics(),
        _ => {}
    }
    let query = Query::of(&request);
    if path == "/" && is_read && query.get("token").is_some_and(|token| admin.token.is(token.as_bytes())) {
        return admin.welcome();
    }
    if inside.is_none() && !admin.knows(&request) {
        return if is_served(path) { stranger() } else { nowhere() };
    }
    match (path, request.method().as_str()) {
        ("/", "GET" | "HEAD") => {
            admin.shared.recorder.caught_up().await;
            html(page::render(&view::of(admin).await))
        }
        (page::STYLE_PATH, "GET" | "HEAD") => content("text/css; charset=utf-8", page::STYLE),
        (page::SCRIPT_PATH, "GET" | "HEAD") => content("text/javascript; charset=utf-8", page::SCRIPT),
        ("/metrics", "GET" | "HEAD") => admin.metrics(),
        ("/v1/policy", "GET" | "HEAD") => json_of(&admin.policy()),
        ("/v1/check", "GET" | "HEAD") => admin.check(&query).await,
        ("/v1/denials", "GET" | "HEAD") => match query.number("limit", DENIALS) {
            Ok(limit) => json_of(&advised::denials(admin, limit)),
            Err(answer) => *answer,
        },
        ("/v1/records", "GET" | "HEAD") => admin.records(&query).await,
        ("/v1/status", "GET" | "HEAD") => {
            admin.shared.recorder.caught_up().await;
            json_of(&status::of(&admin.shared.recorder, &admin.shared.sinks))
        }
        ("/v1/tunnels", "GET" | "HEAD") => admin.tunnels(&query).await,
        ("/v1/report", "GET" | "HEAD") => report::answer(&admin.shared.sinks, &query).await,
        ("/v1/policy/reload", "POST") => admin.reload(&request).await,
        (path, method) => match path.strip_prefix(TUNNEL) {
            Some(id) if method == "DELETE" => admin.end_tunnel(id, &request).await,
            _ if is_served(path) => problem(StatusCode::METHOD_NOT_ALLOWED, "this path has another method"),
            _ => nowhere(),
        },
    }
}

fn is_served(path: &str) -> bool {
    PATHS.contains(&path) || path.starts_with(TUNNEL)
}

impl Admin {
    /// Whether the request names this listener as its host. Browsers cannot be made to say otherwise, and a page that was
    /// led here by a rebound name says that name.
    fn is_addressed(&self, request: &Request<Incoming>) -> bool {
        let host = request.headers().get(header::HOST).map(HeaderValue::as_bytes);
        let Some(Ok(named)) = host.map(|host| Destination::parse(host, Some(Port::HTTP))) else {
            return false;
        };
        let is_here = match named.host() {
            Host::Ip(ip) => *ip == self.address.ip() || (self.address.ip().is_unspecified() && !ip.is_unspecified()),
            Host::Name(name) => name.as_str() == "localhost" && self.address.ip().is_loopback(),
        };
        is_here && named.port().get() == self.address.port()
    }

    /// Whether the request carries the token.
    fn knows(&self, request: &Request<Incoming>) -> bool {
        let mut bearers = request.headers().get_all(header::AUTHORIZATION).iter().filter_map(|value| {
            let (scheme, token) = value.as_bytes().split_at_checked(7)?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
        });
        bearers.any(|token| self.token.is(token))
    }

    /// The banner's link: the browser is let in by the door, and the token leaves the address bar.
    fn welcome(&self) -> Response<Body> {
        let mut response = text(StatusCode::SEE_OTHER, "");
        for (name, value) in [(header::LOCATION, self.door.path()), (header::SET_COOKIE, self.door.set_cookie())] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    fn metrics(&self) -> Response<Body> {
        content("text/plain; version=0.0.4; charset=utf-8", self.metrics.text(&self.shared.store, &self.selftest))
    }

    /// The PAC names the first listener, as the one on its own port does.
    fn pac(&self) -> Response<Body> {
        let script = self.listeners.first().and_then(|(_, address, tls)| {
            let proxy = Destination::new(Host::Ip(address.ip()), Port::new(address.port()).ok()?);
            Some(pac::script(&proxy, *tls))
        });
        match script {
            Some(script) => content(pac::CONTENT_TYPE, script),
            None => problem(StatusCode::NOT_FOUND, "there is no listener to point at"),
        }
    }

    pub(super) fn policy(&self) -> serde_json::Value {
        let (policy, status) = (self.shared.store.current(), self.shared.store.status());
        json!({
            "name": policy.name(),
            "revision": policy.revision(),
            "mode": policy.mode().as_str(),
            "enabled": policy.enabled(),
            "egress": policy.egress().as_str(),
            "rules": policy.rule_count(),
            "source": status.source,
            "layers": [{ "source": status.source, "revision": policy.revision() }],
            "loaded": view::rfc3339(status.loaded),
            "error": status.error,
            "selftest": self.selftest.last().map(|tested| json!({
                "ok": tested.ok,
                "at": view::rfc3339(tested.at),
                "detail": tested.detail,
            })),
        })
    }

    async fn check(&self, query: &Query) -> Response<Body> {
        let Some(to) = query.get("to") else {
            return problem(StatusCode::BAD_REQUEST, "`to` is missing: a URL or host:port");
        };
        if query.get("as").is_some() {
            return problem(StatusCode::BAD_REQUEST, "`as` is not supported in this version");
        }
        let question = match Question::parse(&to) {
            Ok(question) => question,
            Err(error) => return problem(StatusCode::BAD_REQUEST, &format!("`to` is no URL or host:port: {error}")),
        };
        let circumstances = Circumstances {
            tool: Tool::new(query.get("tool").as_deref().unwrap_or_default()),
            method: query.get("method").map(|method| facts::Method::new(&method)),
            at: SystemTime::now(),
        };
        let policy = Snapshot::new(self.shared.store.current());
        let own = self.shared.own.load_full();
        let parent = self.shared.parent.as_ref();
        json_of(&enforce::check(&policy, &self.shared.resolver, &own, parent, question, circumstances).await)
    }

    async fn records(&self, query: &Query) -> Response<Body> {
        let filter = match filter(query) {
            Ok(filter) => filter,
            Err(answer) => return *answer,
        };
        if query.get("follow").is_some() {
            return stream::events(self.shared.sinks.follow(), filter).unwrap_or_else(|| {
                problem(StatusCode::SERVICE_UNAVAILABLE, "too many clients follow the records already")
            });
        }
        self.shared.recorder.caught_up().await;
        let records: Vec<_> = self.shared.sinks.recent(&filter).iter().map(|line| line.to_json()).collect();
        content("application/json", format!("{{\"records\":[{}]}}", records.join(",")))
    }

    async fn tunnels(&self, query: &Query) -> Response<Body> {
        let limit = match query.number("limit", TUNNELS) {
            Ok(limit) => limit,
            Err(answer) => return *answer,
        };
        match self.shared.roll.list(limit).await {
            Ok(listed) => json_of(&view::tunnels(&listed, &self.shared.recorder)),
            Err(unanswered) => problem(StatusCode::SERVICE_UNAVAILABLE, &unanswered.to_string()),
        }
    }

    async fn end_tunnel(&self, id: &str, request: &Request<Incoming>) -> Response<Body> {
        if self.is_foreign(request) {
            return problem(StatusCode::FORBIDDEN, "not for other sites");
        }
        let revoked = match RequestId::parse(id) {
            Some(id) => self.shared.roll.revoke(id).await,
            None => Ok(false),
        };
        match revoked {
            Ok(true) => {
                info!(id, "tunnel or request ended by the admin API");
                text(StatusCode::NO_CONTENT, "")
            }
            Ok(false) => problem(StatusCode::NOT_FOUND, "no tunnel or request with this id is open"),
            Err(unanswered) => problem(StatusCode::SERVICE_UNAVAILABLE, &unanswered.to_string()),
        }
    }

    async fn reload(&self, request: &Request<Incoming>) -> Response<Body> {
        if self.is_foreign(request) {
            return problem(StatusCode::FORBIDDEN, "not for other sites");
        }
        match self.reloads.reload().await {
            Ok(revision) => json_of(&json!({ "revision": revision })),
            Err(errors) => {
                let mut response = json_of(&json!({ "errors": errors }));
                *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
                response
            }
        }
    }

    /// Whether a page of another site sent this. A form there can post here with the cookie only where SameSite is not
    /// honoured; it cannot hide that.
    fn is_foreign(&self, request: &Request<Incoming>) -> bool {
        let Some(origin) = request.headers().get(header::ORIGIN) else { return false };
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        !matches!((origin.to_str(), host), (Ok(origin), Some(host)) if origin == format!("http://{host}"))
    }
}

pub(super) fn respond(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(body.into()).boxed());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

pub(super) fn content(kind: &'static str, body: impl Into<Bytes>) -> Response<Body> {
    respond(StatusCode::OK, kind, body)
}

fn html(body: String) -> Response<Body> {
    content("text/html; charset=utf-8", body)
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", body)
}

pub(super) fn json_of(value: &impl serde::Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(body) => content("application/json", body),
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written"),
    }
}

pub(super) fn problem(status: StatusCode, detail: &str) -> Response<Body> {
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({ "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail });
    respond(status, "application/problem+json", body.to_string())
}

fn stranger() -> Response<Body> {
    let detail =
        "this needs the admin token: open the link that outgate printed at its start, or send Authorization: Bearer";
    let mut response = problem(StatusCode::UNAUTHORIZED, detail);
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"outgate\""));
    response
}

/// The same for everybody: it does not say whether the path would be there with a cookie.
fn nowhere() -> Response<Body> {
    let detail = "there is no such path; the dashboard opens by the link that outgate printed at its start";
    problem(StatusCode::NOT_FOUND, detail)
}
