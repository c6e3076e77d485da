//! What stands behind a path's question mark.

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use super::routes::{Body, problem};
use crate::facts::{Host, Tool};
use crate::record::Kind;
use crate::sink::RecentFilter;

/// How many records are shown unless `limit` says otherwise.
const RECORDS: usize = 100;

/// Which records a query asks for.
pub(super) fn filter(query: &Query) -> Result<RecentFilter, Box<Response<Body>>> {
    let bad = |what: &str| Box::new(problem(StatusCode::BAD_REQUEST, what));
    let mut filter = RecentFilter::newest(query.number("limit", RECORDS)?);
    filter.since_seq = match query.get("since") {
        Some(since) => Some(since.parse().map_err(|_| bad("`since` is no sequence number"))?),
        None => None,
    };
    filter.decision = match query.get("decision").as_deref() {
        None => None,
        Some(decision @ ("allow" | "deny" | "observe" | "none")) => Some(decision.to_owned()),
        Some(_) => return Err(bad("`decision` is one of allow, deny, observe, none")),
    };
    filter.kind = match query.get("kind").as_deref() {
        None => None,
        Some("end") => Some(Kind::End),
        Some("open") => Some(Kind::Open),
        Some("progress") => Some(Kind::Progress),
        Some(_) => return Err(bad("`kind` is one of end, open, progress")),
    };
    filter.tool = query.get("tool").map(|tool| Tool::new(&tool));
    // Names are kept in lower case; whatever else is asked for, no host has it.
    filter.host_part = query.get("contains").map(|part| part.to_lowercase());
    filter.host = match query.get("host") {
        Some(host) => Some(Host::parse(host.as_bytes()).map_err(|error| bad(&format!("`host`: {error}")))?),
        None => None,
    };
    Ok(filter)
}

/// A query string's fields, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(request: &Request<Incoming>) -> Self {
        let query = request.uri().query().unwrap_or_default();
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
    }

    pub(super) fn number(&self, name: &str, default: usize) -> Result<usize, Box<Response<Body>>> {
        self.get(name).map_or(Ok(default), |text| {
            text.parse().map_err(|_| Box::new(problem(StatusCode::BAD_REQUEST, &format!("`{name}` is no number"))))
        })
    }
}
