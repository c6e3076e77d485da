//! Plain HTTP: a request with an absolute-form target, forwarded, and its answer (RFC 9112 §3.2.2).
//!
//! Guaranteed: what the origin gets is written by us, from the head that was judged: `Host` from the target, one framing,
//! no hop-by-hop field, our `Via`. The connection to the origin belongs to this client connection alone, and every
//! request on it is judged, its address too. A parent proxy on the way gets the same head in absolute-form, and it alone
//! gets the credentials for it.
//!
//! What was measured before this shape was chosen stands in the doc of `protocol`.

use std::fmt;
use std::rc::Rc;

use super::answer::{self, Manner};
use super::door::{Door, Next};
use super::exchange::{self, Ended, Failed};
use super::head::{self, BodyFraming, OriginHop, RequestHead, Target, Upgrade, Version};
use super::reply::Form;
use super::timer::Timer;
use super::tunnelled;
use super::wire::Wire;
use crate::dial::{self, ParentFault, Peer};
use crate::enforce::{Asked, Attempt, Idle};
use crate::facts::{Credentials, Destination, Host, Method, Port, Protocol};
use crate::record::Outcome;
use crate::session::{Cleared, FirstBytes, Malformed, OriginFault, Refusal, Refused, Session};
use crate::tls::ClientStream;

/// Everything that is kept of a request head once its bytes are gone.
#[derive(Debug)]
pub(super) struct Plan {
    asked: Option<Asked>,
    form: Form,
    /// The head for the origin, sanitised.
    head: Vec<u8>,
    /// The same for the parent proxy, if that is who would read it.
    parent_head: Option<ParentHead>,
    pub(super) method: Method,
    pub(super) framing: BodyFraming,
    pub(super) client_version: Version,
    pub(super) keep_alive: bool,
    pub(super) websocket: bool,
    pub(super) via: Rc<str>,
    destination: Destination,
}

/// A head with the parent proxy's credentials in it: shown to nobody, sent to nobody else.
struct ParentHead(Vec<u8>);

impl fmt::Debug for ParentHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParentHead(hidden)")
    }
}

impl Plan {
    pub(super) fn of(head: &RequestHead<'_>, passed_through_us: bool, door: &Door, form: Form) -> Self {
        let destination = match &head.target {
            Target::Absolute { destination, .. } | Target::Authority(destination) => destination.clone(),
            // Not reached: the gate sends only absolute-form here. An unspecified address is denied by any policy.
            Target::Origin { .. } | Target::Asterisk => {
                Destination::new(Host::Ip(std::net::Ipv4Addr::UNSPECIFIED.into()), Port::HTTP)
            }
        };
        let websocket = head.upgrade == Some(Upgrade::WebSocket);
        let method = Method::new(head.method);
        let judged = if websocket { Method::new(Method::WEBSOCKET) } else { method.clone() };
        let via = Rc::clone(&door.via);
        let hop = OriginHop { via: &via, keep_alive: true, expect: true };
        let parent_head = door.enforcer.forwards_to(&destination, &judged).map(|parent| {
            let mut out = Vec::with_capacity(512);
            head::write_request_to_proxy(head, &hop, parent.credentials().map(Credentials::reveal), &mut out);
            ParentHead(out)
        });
        let asked = Asked {
            protocol: Protocol::Http,
            destination: destination.clone(),
            method: Some(judged),
            path: Some(head.path().into()),
            passed_through_us,
        };
        let mut out = Vec::with_capacity(512);
        head::write_request(head, &hop, &mut out);
        Self {
            asked: Some(asked),
            form,
            head: out,
            parent_head,
            method,
            framing: head.framing,
            client_version: head.version,
            keep_alive: head.keep_alive,
            websocket,
            via,
            destination,
        }
    }

    /// The head to send to whoever reads it. The one with credentials goes to the parent proxy alone.
    pub(super) fn head_for(&self, peer: Peer) -> &[u8] {
        match (peer, &self.parent_head) {
            (Peer::Parent, Some(ParentHead(head))) => head,
            (Peer::Parent, None) | (Peer::Origin, _) => &self.head,
        }
    }

    /// Whether it may be sent a second time when a reused connection turns out to be dead (RFC 9110 §9.2.1, §9.2.2).
    fn is_repeatable(&self) -> bool {
        self.framing == BodyFraming::None && matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    /// How to refuse it. An unread body would be taken for the next request, so then the connection closes.
    fn manner(&self) -> Manner {
        let keep_alive = self.keep_alive && self.framing == BodyFraming::None;
        Manner { form: self.form, keep_alive, head_only: self.method.as_str() == "HEAD" }
    }
}

/// Why a request was not forwarded, or not to its end.
enum Stopped {
    /// The client gets an answer of ours. `early`: before a byte of the request's body was looked for.
    Refused { refused: Refused, early: bool },
    /// An answer had begun: the connection is cut, so that nobody takes half an answer for a whole one.
    Cut,
}

impl Stopped {
    fn late(refused: Refused) -> Self {
        Self::Refused { refused, early: false }
    }
}

/// Forwards one request and its answer.
#[expect(clippy::manual_async_fn, reason = "that would hold room for each argument twice")]
pub(super) fn serve<'a>(
    door: &'a Rc<Door>,
    mut client: Wire<ClientStream>,
    idle: &'a mut Option<Idle>,
    attempt: Attempt,
    mut plan: Plan,
    timer: &'a mut Timer<'_>,
) -> impl Future<Output = Next> + 'a {
    async move {
        let (refused, manner) = match pass(door, &mut client, idle, attempt, &mut plan, timer).await {
            Ok((session, ended)) => return finish(door, client, session, ended, plan.destination, idle),
            Err(Stopped::Cut) => return Next::Gone,
            Err(Stopped::Refused { refused, early: true }) => (refused, plan.manner()),
            Err(Stopped::Refused { refused, early: false }) => (refused, Manner { keep_alive: false, ..plan.manner() }),
        };
        // None of a session's room is held here any more.
        answer::refuse(&mut client, &refused, &manner).await;
        if manner.keep_alive { Next::KeepAlive(client) } else { Next::Close(client) }
    }
}

/// The request up and its answer down.
async fn pass(
    door: &Rc<Door>,
    client: &mut Wire<ClientStream>,
    idle: &mut Option<Idle>,
    attempt: Attempt,
    plan: &mut Plan,
    timer: &mut Timer<'_>,
) -> Result<(Session<Cleared>, Ended), Stopped> {
    let asked = plan.asked.take().ok_or(Stopped::Cut)?;
    let reusing = idle.is_some();
    let opened = attempt.open(asked, idle).await.map_err(|refused| Stopped::Refused { refused, early: true })?;
    let mut session = opened.clear(FirstBytes::Request).map_err(Stopped::late)?;
    let mut result = exchange::run(door, client, &mut session, plan, timer).await;
    if let (Err(Failed::OriginSilent), true) = (&result, reusing && plan.is_repeatable()) {
        // The origin closed the idle connection while this request was on its way. It has answered nothing, and the
        // request is safe: once more, over a connection of its own, by the same permit.
        let redialled = Box::pin(door.enforcer.redial(session)).await;
        session = redialled.and_then(|session| session.clear(FirstBytes::Request)).map_err(Stopped::late)?;
        result = Box::pin(exchange::run(door, client, &mut session, plan, timer)).await;
    }
    match result {
        Ok(ended) => Ok((session, ended)),
        Err(failed) => Err(stop(door, session, &failed)),
    }
}

/// The answer has been passed on whole.
fn finish(
    door: &Rc<Door>,
    client: Wire<ClientStream>,
    session: Session<Cleared>,
    ended: Ended,
    destination: Destination,
    idle: &mut Option<Idle>,
) -> Next {
    match ended {
        Ended::Answered { client_stays, origin_stays } => {
            if origin_stays && client_stays {
                let connection: dial::Dialled = session.finish_and_keep(Outcome::Completed);
                *idle = Some(Idle { destination, connection });
            } else {
                session.finish(Outcome::Completed);
            }
            if client_stays { Next::KeepAlive(client) } else { Next::Close(client) }
        }
        Ended::Switched { early_down } => tunnelled::join(door, client, session, early_down),
    }
}

/// The answer could not be passed on. If none has begun, the client gets one of ours.
fn stop(door: &Door, session: Session<Cleared>, failed: &Failed) -> Stopped {
    let why = match failed {
        Failed::Body { error, answered: false } => {
            Refusal::Malformed(Malformed { status: 400, token: "malformed_request", detail: error.to_string().into() })
        }
        Failed::BodyLate { answered: false } => Refusal::Malformed(Malformed {
            status: 408,
            token: "request_timeout",
            detail: "the request body took too long".into(),
        }),
        Failed::OriginSilent | Failed::OriginGone { answered: false } => Refusal::Failed(OriginFault::Terminated),
        Failed::OriginNonsense { answered: false } => Refusal::Failed(OriginFault::Nonsense),
        Failed::OriginLate { answered: false } => Refusal::Failed(OriginFault::Stalled),
        Failed::ParentCredentials => {
            door.enforcer.complain(ParentFault::Credentials);
            Refusal::Unreachable(ParentFault::Credentials.into())
        }
        Failed::Body { .. } => return cut(session, Outcome::Malformed),
        Failed::BodyLate { .. } | Failed::OriginLate { .. } => return cut(session, Outcome::Timeout),
        Failed::OriginGone { .. } | Failed::OriginNonsense { .. } => return cut(session, Outcome::OriginClosed),
        Failed::Revoked => return cut(session, Outcome::Revoked),
        Failed::ClientGone => return cut(session, Outcome::ClientClosed),
    };
    Stopped::late(session.refuse(why))
}

fn cut(session: Session<Cleared>, outcome: Outcome) -> Stopped {
    session.finish(outcome);
    Stopped::Cut
}
