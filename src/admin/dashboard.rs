//! The dashboard's page, its files, and the way in for a browser.

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use super::answer::{ApiResult, Body, content, html, json_of, text};
use super::browser_session::BrowserSession;
use super::call::Call;
use super::{page, view};

/// `/`: the current page.
pub(super) async fn show(call: Call) -> ApiResult {
    call.context.shared.recorder.caught_up().await;
    Ok(html(page::render(&view::of(&call.context).await)))
}

/// The page's style.
pub(super) fn style(_: &Call) -> ApiResult {
    Ok(content("text/css; charset=utf-8", page::STYLE))
}

/// The page's script.
pub(super) fn script(_: &Call) -> ApiResult {
    Ok(content("text/javascript; charset=utf-8", page::SCRIPT))
}

/// The page's current plots, drawn, so that the script need not draw them.
pub(super) async fn plots(call: Call) -> ApiResult {
    let recorder = &call.context.shared.recorder;
    recorder.caught_up().await;
    json_of(&page::Plots::draw(&view::over_time(&recorder.over_time())))
}

/// The answer to the link in the banner. It sets the session cookie and redirects the browser, which removes the token
/// from the address bar.
pub(super) fn enter(browser: &BrowserSession) -> Response<Body> {
    let mut response = text(StatusCode::SEE_OTHER, "");
    let fields: [(HeaderName, String); 2] =
        [(header::LOCATION, browser.path()), (header::SET_COOKIE, browser.set_cookie())];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
