//! The proxy's own paths on its own port (`docs/denials.md`): where a client whose library hides the response to a
//! `CONNECT` can ask what happened, and where a Mac fetches its PAC.
//!
//! Guaranteed: no answer's text depends on `Host`; no page of another site can read an answer (requests with `Origin` or a
//! cross-site `Sec-Fetch-Site` are refused, and but for the PAC those by a name without TLS, since a page can lead its own
//! name to this listener and be of the same site then); a client sees its own denials only, by its address.

use std::rc::Rc;

use super::answer;
use super::head::{BodyFraming, RequestHead, Target};
use super::listener_context::ListenerContext;
use super::next::Next;
use super::pac;
use super::reply::{self, Delivery, Form, Page};
use crate::enforce::Attempt;
use crate::facts::{Destination, Port, Protocol};
use crate::session::Malformed;
use crate::stream::{ClientStream, Wire};

/// How many of a client's own denials it can ask for: what fits a screen.
const MAX_DENIALS: usize = 50;

/// What is kept of a request for an own path once its bytes are gone.
#[derive(Debug)]
pub(super) struct OwnRequest {
    path: Box<str>,
    is_get: bool,
    is_head: bool,
    foreign: bool,
    /// Whether the listener was asked by a name, which may be one that a page made up.
    by_a_name: bool,
    keep_alive: bool,
    form: Form,
}

impl OwnRequest {
    pub(super) fn of(head: &RequestHead<'_>, form: Form) -> Self {
        let cross_site = head.field("sec-fetch-site").is_some_and(|site| !matches!(site, b"same-origin" | b"none"));
        let by_a_name = match head.target {
            Target::Origin { .. } => head.field("host").is_some_and(is_a_name),
            Target::Absolute { .. } | Target::Authority(_) | Target::Asterisk => false,
        };
        let path = match &head.target {
            Target::Asterisk => "*",
            Target::Authority(_) | Target::Absolute { .. } | Target::Origin { .. } => head.path(),
        };
        Self {
            path: path.into(),
            is_get: matches!(head.method, "GET" | "HEAD"),
            is_head: head.method == "HEAD",
            foreign: cross_site || head.field("origin").is_some(),
            by_a_name,
            keep_alive: head.keep_alive && head.framing == BodyFraming::None,
            form,
        }
    }

    fn delivery(&self) -> Delivery {
        Delivery { form: self.form, keep_alive: self.keep_alive, head_only: self.is_head }
    }
}

/// Answers one of the proxy's own paths, or says that this is a proxy.
pub(super) async fn serve(
    context: &Rc<ListenerContext>,
    mut wire: Wire<ClientStream>,
    mut attempt: Attempt,
    asked: &OwnRequest,
) -> Next {
    attempt.protocol(Protocol::Own);
    let page = match &*asked.path {
        _ if !asked.is_get => None,
        "/proxy.pac" => {
            context.own.pac(context.own.reached_at(wire.stream())).map(|script| (pac::CONTENT_TYPE, script))
        }
        "/.well-known/outgate" => Some(("application/json", about(context))),
        "/.well-known/outgate/denials" if context.own.denials => {
            Some(("application/json", denials(context, &attempt).await))
        }
        _ => None,
    };
    let Some((kind, body)) = page else {
        return misdirected(wire, attempt, asked).await;
    };
    // The PAC file contains nothing private, and is fetched by any name of the proxy. By TLS a name is proved.
    if asked.foreign || (asked.by_a_name && !context.own.tls && kind != pac::CONTENT_TYPE) {
        return foreign(wire, attempt, asked).await;
    }
    let mut out = Vec::with_capacity(body.len() + 512);
    reply::write_page(Page { status: "200 OK", content_type: kind, body: body.as_bytes() }, asked.delivery(), &mut out);
    attempt.finish_own(200, &asked.path);
    if wire.send(&out).await.is_err() {
        return Next::Gone;
    }
    if asked.keep_alive { Next::KeepAlive(wire) } else { Next::Close(wire) }
}

/// RFC 9110 §15.5.20: this is a proxy, and it serves no such thing itself.
async fn misdirected(wire: Wire<ClientStream>, attempt: Attempt, asked: &OwnRequest) -> Next {
    let is_asterisk = &*asked.path == "*" && !asked.is_get;
    let why = if is_asterisk { Malformed::MisdirectedAsterisk } else { Malformed::Misdirected };
    let refused = attempt.refuse(why.into());
    answer::refuse(wire, &refused, asked.delivery()).await
}

async fn foreign(wire: Wire<ClientStream>, attempt: Attempt, asked: &OwnRequest) -> Next {
    let refused = attempt.refuse(Malformed::CrossSite.into());
    answer::refuse(wire, &refused, Delivery::closing(asked.form)).await
}

/// Whether a `Host` is a name that an attacker could have pointed at this listener's address. `localhost` is not.
fn is_a_name(host: &[u8]) -> bool {
    let host = Destination::parse(host, Some(Port::HTTP));
    host.is_ok_and(|host| host.host().as_name().is_some_and(|name| name.as_str() != "localhost"))
}

fn about(context: &ListenerContext) -> String {
    let snapshot = context.enforcer.snapshot();
    serde_json::json!({
        "policy": snapshot.name(),
        "revision": snapshot.revision(),
        "mode": snapshot.mode().as_str(),
        "contact": snapshot.contact(),
        "denials": context.own.denials.then_some("/.well-known/outgate/denials"),
    })
    .to_string()
}

async fn denials(context: &ListenerContext, attempt: &Attempt) -> String {
    let denials: Vec<_> = context
        .enforcer
        .recent_denials(attempt.client().peer, MAX_DENIALS)
        .await
        .iter()
        .filter_map(|line| Some((line.time(), line.record()?)))
        .map(|(time, record)| {
            serde_json::json!({
                "time": time.to_string(),
                "destination": record.destination.as_ref().map(ToString::to_string),
                "reason": record.verdict.reason(),
                "hint": record.hint.as_deref(),
                "request_id": record.id.to_string(),
            })
        })
        .collect();
    serde_json::json!({ "denials": denials }).to_string()
}
