//! The session of a browser on the dashboard: a path and a cookie that are random at each start of the process.
//!
//! Browsers send a cookie to every port of its address, and an agent on this machine can serve a page on any of them. What
//! keeps the cookie from it is the path, which only a client that brought the token knows.
//!
//! Guaranteed:
//! - The cookie is sent, and counts, below that path alone (RFC 6265 §5.1.4). A page of another port knows no address
//!   below it, so it can neither be sent the cookie nor have a browser ask here with it.
//! - Path and cookie are independent of the token and of each other, and end with the process: a client that finds one has no other.
//! - A client that has the path but not the cookie gets the response for a path that does not exist.
//!
//! Deliberately not done: HTTPS for this. `Secure` cookies go to every port, too.

use std::io;

use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};

use super::token::Token;

/// The cookie that the banner's link sets.
const COOKIE: &str = "outgate-dashboard";

/// The path below which a browser sees the dashboard, and the cookie that it must send there.
#[derive(Clone, Debug)]
pub struct BrowserSession {
    path: Token,
    cookie: Token,
}

impl BrowserSession {
    /// A new one, for this run of the process.
    ///
    /// # Errors
    /// What the system says when it has no randomness to give.
    pub fn random() -> io::Result<Self> {
        Ok(Self { path: Token::random()?, cookie: Token::random()? })
    }

    /// What a path below this one is called outside of it, where the cookie comes along: `/SECRET/v1/policy` is
    /// `/v1/policy`. None where either is missing.
    pub fn inside<'path>(&self, path: &'path str, headers: &HeaderMap) -> Option<&'path str> {
        let path = path.strip_prefix('/')?;
        let (said, inside) = path.split_at_checked(path.find('/')?)?;
        let is_below = self.path.is(said.as_bytes());
        (self.is_held(headers) && is_below).then_some(inside)
    }

    /// Where the link of the banner leads to.
    pub fn path(&self) -> String {
        format!("/{}/", self.path.reveal())
    }

    /// The field that hands the cookie out. It lasts until the browser is closed.
    pub fn set_cookie(&self) -> String {
        format!("{COOKIE}={}; Path={}; HttpOnly; SameSite=Strict", self.cookie.reveal(), self.path())
    }

    /// Whether the cookie is among those that were sent; pages of other ports can set some of the same name.
    fn is_held(&self, headers: &HeaderMap) -> bool {
        let fields = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        let cookies = fields.flat_map(|field| field.split(|byte| *byte == b';'));
        let mut said =
            cookies.filter_map(|cookie| cookie.trim_ascii().strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"="));
        said.any(|cookie| self.cookie.is(cookie))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_to_its_path_and_its_cookie_together_and_to_nothing_near() {
        let (session, other) = (BrowserSession::random().unwrap(), BrowserSession::random().unwrap());
        let (path, cookie) = (session.path.reveal(), format!("{COOKIE}={}", session.cookie.reveal()));
        let short = path.get(1..).unwrap();
        for (asked, sent, inside) in [
            (format!("/{path}/v1/policy"), cookie.clone(), Some("/v1/policy")),
            (format!("/{path}/"), cookie.clone(), Some("/")),
            (format!("/{path}//v1/policy"), cookie.clone(), Some("//v1/policy")),
            (format!("/{path}/"), format!("a=b;{COOKIE}=set by another port; {cookie} ;c"), Some("/")),
            (format!("/{path}"), cookie.clone(), None),
            ("/v1/policy".to_owned(), cookie.clone(), None),
            (format!("/{short}/v1/policy"), cookie.clone(), None),
            (format!("//{path}/v1/policy"), cookie.clone(), None),
            (format!("/{}/v1/policy", path.to_uppercase() + "0"), cookie.clone(), None),
            (format!("/{}/", other.path.reveal()), cookie.clone(), None),
            (format!("/{path}/"), format!("{COOKIE}={}", other.cookie.reveal()), None),
            (format!("/{path}/"), format!("{COOKIE}={path}"), None),
            (format!("/{path}/"), format!("{COOKIE}="), None),
            (format!("/{path}/"), format!("x{cookie}"), None),
            (format!("/{path}/"), format!("{cookie}0"), None),
            (String::new(), cookie, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(header::COOKIE, HeaderValue::from_static("first=1"));
            headers.append(header::COOKIE, HeaderValue::from_str(&sent).unwrap());
            assert_eq!(session.inside(&asked, &headers), inside, "{asked} {sent}");
        }
        assert_eq!(session.inside(&format!("/{path}/"), &HeaderMap::new()), None);
    }

    #[test]
    fn nothing_of_it_is_shown_by_accident() {
        let session = BrowserSession::random().unwrap();
        let shown = format!("{session:?}");
        assert!(!shown.contains(session.path.reveal()) && !shown.contains(session.cookie.reveal()), "{shown}");
    }
}
