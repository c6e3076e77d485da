//! Whether a request is let in: by its `Host`, its token, and the site that it comes from.

use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};

use super::token::Token;
use crate::facts::{Destination, Host, Port};

/// Whether the request's host is an address or `localhost`. Neither can be rebound: a page of another site whose name was
/// pointed here says that name. The address and the port may be others than the listener's, since a forwarded port
/// (`ssh -L`, `kubectl port-forward`, a container's published port) has its own.
pub(super) fn is_addressed(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
    let named = host.map(|host| Destination::parse(host, Some(Port::HTTP)));
    named.is_some_and(|named| {
        named.is_ok_and(|named| match named.host() {
            Host::Ip(_) => true,
            Host::Name(name) => name.as_str() == "localhost",
        })
    })
}

/// Whether the request carries the token (RFC 6750 §2.1).
pub(super) fn has_token(token: &Token, headers: &HeaderMap) -> bool {
    let mut bearers = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, token) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
    });
    bearers.any(|said| token.is(said))
}

/// Whether a page of another site sent this. A form there can post here with the cookie only where SameSite is not
/// honoured; it cannot hide that.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    !matches!((origin.to_str(), host), (Ok(origin), Some(host)) if origin == format!("http://{host}"))
}
