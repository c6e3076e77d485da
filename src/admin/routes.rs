//! The routes of the admin listener: one table, and the checks that each request passes before its handler.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::answer::{ApiError, ApiResult, Body};
use super::call::{Call, Query};
use super::context::AdminContext;
use super::{access, dashboard, denials, health, page, policy, records, report, status, tunnels};

/// Everything that is served here. A new route is a row here and a function.
const ROUTES: [Route; 17] = [
    Route { path: "/healthz", verb: Verb::Read, access: Access::Everyone, handler: Handler::Plain(health::alive) },
    Route { path: "/readyz", verb: Verb::Read, access: Access::Everyone, handler: Handler::Plain(health::ready) },
    Route { path: "/proxy.pac", verb: Verb::Read, access: Access::Everyone, handler: Handler::Plain(health::pac) },
    Route { path: "/metrics", verb: Verb::Read, access: Access::Scraper, handler: Handler::Plain(health::metrics) },
    Route::read("/", Handler::Later(|call| Box::pin(dashboard::show(call)))),
    Route::read(page::STYLE_PATH, Handler::Plain(dashboard::style)),
    Route::read(page::SCRIPT_PATH, Handler::Plain(dashboard::script)),
    Route::read(page::PLOTS_PATH, Handler::Later(|call| Box::pin(dashboard::plots(call)))),
    Route::read("/v1/policy", Handler::Plain(policy::show)),
    Route::read("/v1/check", Handler::Later(|call| Box::pin(policy::check(call)))),
    Route::change("/v1/policy/reload", Verb::Post, Handler::Later(|call| Box::pin(policy::reload(call)))),
    Route::read("/v1/denials", Handler::Plain(denials::list)),
    Route::read("/v1/records", Handler::Later(|call| Box::pin(records::list(call)))),
    Route::read("/v1/status", Handler::Later(|call| Box::pin(status::show(call)))),
    Route::read("/v1/report", Handler::Later(|call| Box::pin(report::show(call)))),
    Route::read("/v1/tunnels", Handler::Later(|call| Box::pin(tunnels::list(call)))),
    Route::change("/v1/tunnels/", Verb::Delete, Handler::Later(|call| Box::pin(tunnels::end(call)))),
];

/// One path with one method.
struct Route {
    /// One that ends with `/` is followed by a name, but for the root.
    path: &'static str,
    verb: Verb,
    access: Access,
    handler: Handler,
}

/// What a route does.
#[derive(Clone, Copy)]
enum Verb {
    /// GET and HEAD.
    Read,
    Post,
    Delete,
}

/// What a route asks of its client.
#[derive(Clone, Copy)]
enum Access {
    /// Nothing.
    Everyone,
    /// The token, if the configuration protects metrics.
    Scraper,
    /// The token, or the browser's path and cookie.
    Token,
}

type PendingResult = Pin<Box<dyn Future<Output = ApiResult> + Send>>;

/// What answers.
#[derive(Clone, Copy)]
enum Handler {
    Plain(fn(&Call) -> ApiResult),
    Later(fn(Call) -> PendingResult),
}

impl Route {
    const fn read(path: &'static str, handler: Handler) -> Self {
        Self { path, verb: Verb::Read, access: Access::Token, handler }
    }

    const fn change(path: &'static str, verb: Verb, handler: Handler) -> Self {
        Self { path, verb, access: Access::Token, handler }
    }

    /// The name that follows this route's path in `path`, empty where none has to; none for another path.
    fn name_in<'p>(&self, path: &'p str) -> Option<&'p str> {
        match self.path {
            "/" => (path == "/").then_some(""),
            own if own.ends_with('/') => path.strip_prefix(own),
            own => (path == own).then_some(""),
        }
    }
}

impl Verb {
    fn is(self, method: &Method) -> bool {
        match self {
            Self::Read => matches!(*method, Method::GET | Method::HEAD),
            Self::Post => *method == Method::POST,
            Self::Delete => *method == Method::DELETE,
        }
    }

    fn changes_something(self) -> bool {
        match self {
            Self::Read => false,
            Self::Post | Self::Delete => true,
        }
    }

    /// As the field `Allow` has it.
    fn allow(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Read => "GET, HEAD",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        })
    }
}

impl Access {
    fn is_open(self, context: &AdminContext) -> bool {
        match self {
            Self::Everyone => true,
            Self::Scraper => !context.protect_metrics,
            Self::Token => false,
        }
    }
}

/// Answers one request.
///
/// # Errors
/// None: every fault is an answer.
pub(super) async fn serve(
    context: Arc<AdminContext>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut response = answer(context, &request).await.unwrap_or_else(Response::from);
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

async fn answer(context: Arc<AdminContext>, request: &Request<Incoming>) -> ApiResult {
    let (headers, method) = (request.headers(), request.method());
    if !access::is_addressed(headers) {
        let detail = "ask this listener by an address, or as localhost: anyone can point another name here";
        return Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, detail));
    }
    let asked = request.uri().path();
    let inside = context.browser.inside(asked, headers);
    let path = inside.unwrap_or(asked);
    let query = Query::parse(request.uri().query().unwrap_or_default());

    let mut of_path = ROUTES.iter().filter_map(|route| Some((route, route.name_in(path)?)));
    let known = of_path.clone().next();
    let route = of_path.find(|(route, _)| route.verb.is(method));
    if !route.is_some_and(|(route, _)| route.access.is_open(&context)) {
        let is_link = path == "/" && Verb::Read.is(method);
        if is_link && query.get("token").is_some_and(|token| context.token.is(token.as_bytes())) {
            return Ok(dashboard::enter(&context.browser));
        }
        if inside.is_none() && !access::has_token(&context.token, headers) {
            return Err(if known.is_some() { unauthorized() } else { not_found() });
        }
    }
    let Some((known, _)) = known else { return Err(not_found()) };
    let Some((route, name)) = route else {
        let problem = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method");
        return Err(problem.with(header::ALLOW, known.verb.allow()));
    };
    if route.verb.changes_something() && access::is_foreign(headers) {
        return Err(ApiError::new(StatusCode::FORBIDDEN, "not for other sites"));
    }
    let call = Call { context, query, name: name.to_owned() };
    match route.handler {
        Handler::Plain(handler) => handler(&call),
        Handler::Later(handler) => handler(call).await,
    }
}

fn unauthorized() -> ApiError {
    let detail =
        "this needs the admin token: open the link that outgate printed at its start, or send Authorization: Bearer";
    ApiError::new(StatusCode::UNAUTHORIZED, detail)
        .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"outgate\""))
}

/// The same answer for every client: it does not reveal whether the path exists for a client with a cookie.
fn not_found() -> ApiError {
    let detail = "there is no such path; the dashboard opens by the link that outgate printed at its start";
    ApiError::new(StatusCode::NOT_FOUND, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_has_two_routes_or_two_kinds_of_access() {
        let mut paths: Vec<_> = ROUTES.iter().map(|route| route.path).collect();
        paths.sort_unstable();
        let all = paths.len();
        paths.dedup();
        assert_eq!(paths.len(), all, "the answer to another method names the methods of one route");
    }

    #[test]
    fn a_name_follows_only_a_path_that_ends_with_a_slash_and_never_the_root() {
        fn of(path: &str) -> Vec<(&'static str, &str)> {
            ROUTES.iter().filter_map(|route| Some((route.path, route.name_in(path)?))).collect()
        }
        assert_eq!(of("/"), [("/", "")]);
        assert_eq!(of("/v1/tunnels"), [("/v1/tunnels", "")]);
        assert_eq!(of("/v1/tunnels/a/b"), [("/v1/tunnels/", "a/b")]);
        for nowhere in ["", "/v1", "/v1/policy/", "/v1/policy/reload/x", "//v1/policy", "/x", "/V1/policy"] {
            assert_eq!(of(nowhere), [], "{nowhere}");
        }
    }

    #[test]
    fn only_what_tells_nothing_of_requests_is_open() {
        let open: Vec<_> =
            ROUTES.iter().filter(|route| !matches!(route.access, Access::Token)).map(|route| route.path).collect();
        assert_eq!(open, ["/healthz", "/readyz", "/proxy.pac", "/metrics"]);
    }
}
