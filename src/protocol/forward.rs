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

use super::answer;
use super::exchange::{self, Ended, Failed};
use super::head::{self, BodyFraming, OriginHop, RequestHead, Upgrade, Version};
use super::listener_context::ListenerContext;
use super::next::Next;
use super::reply::{Delivery, Form};
use super::timer::Timer;
use super::tunnelled;
use crate::enforce::{Attempt, Idle, Opened, ReceivedRequest, Unreached};
use crate::facts::{
    self, Credentials, Destination, Identity, Method, NextHop, OriginFault, Outcome, ParentFault, Protocol,
};
use crate::session::{Cleared, FirstBytes, Malformed, Refusal, Refused, Session};
use crate::stream::{ClientStream, Wire, spare};

/// Room for the head of nearly every request.
const USUAL_HEAD: usize = 512;

/// Everything that is kept of a request head once its bytes are gone.
#[derive(Debug)]
pub(super) struct Plan {
    form: Form,
    /// The head for the origin, sanitised.
    head: Vec<u8>,
    /// The same for the parent proxy, if that is who would read it.
    parent_head: Option<ParentHead>,
    pub(super) method: Method,
    pub(super) framing: BodyFraming,
    pub(super) client_version: Version,
    pub(super) keep_alive: bool,
    /// Whether another request may follow on the connection that this one goes out by.
    pub(super) may_share: bool,
    /// What the origin may switch to.
    pub(super) upgrade: Option<facts::Upgrade>,
}

/// A head with the parent proxy's credentials in it: shown to nobody, sent to nobody else.
struct ParentHead(Vec<u8>);

impl fmt::Debug for ParentHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ParentHead(hidden)")
    }
}

impl Plan {
    /// The plan, and the request as the policy judges it.
    pub(super) fn of(
        head: &RequestHead<'_>,
        destination: &Destination,
        passed_through_us: bool,
        door: &ListenerContext,
        form: Form,
    ) -> (Self, ReceivedRequest) {
        let mut plan = Self {
            form,
            head: Vec::new(),
            parent_head: None,
            method: Method::new(head.method),
            framing: head.framing,
            client_version: head.version,
            keep_alive: head.keep_alive,
            may_share: !head.has_stray_body(),
            upgrade: match head.upgrade {
                Some(Upgrade::WebSocket) => Some(facts::Upgrade::WebSocket),
                Some(Upgrade::Other) | None => None,
            },
        };
        plan.write_heads(head, destination, door);
        let received = ReceivedRequest {
            // A head proves nothing in this version.
            identity: Identity::Anonymous,
            protocol: Protocol::Http,
            destination: destination.clone(),
            method: Some(plan.method.clone()),
            upgrade: plan.upgrade,
            path: Some(head.path().into()),
            passed_through_us,
        };
        (plan, received)
    }

    fn write_heads(&mut self, head: &RequestHead<'_>, destination: &Destination, door: &ListenerContext) {
        let hop = OriginHop { via: &door.via, keep_alive: self.may_share, expect: true };
        self.parent_head = door.enforcer.forwards_to(destination, self.upgrade).map(|parent| {
            let mut out = Vec::with_capacity(USUAL_HEAD);
            head::write_request_to_proxy(head, &hop, parent.credentials().map(Credentials::reveal), &mut out);
            ParentHead(out)
        });
        spare::make_room(&mut self.head, USUAL_HEAD);
        head::write_request(head, &hop, &mut self.head);
    }

    /// The head to send to whoever reads it. The one with credentials goes to the parent proxy alone.
    pub(super) fn head_for(&self, next_hop: NextHop) -> &[u8] {
        match (next_hop, &self.parent_head) {
            (NextHop::Parent, Some(ParentHead(head))) => head,
            (NextHop::Parent, None) | (NextHop::Origin, _) => &self.head,
        }
    }

    /// Whether it may be sent a second time when a reused connection turns out to be dead (RFC 9110 §9.2.1, §9.2.2).
    fn is_repeatable(&self) -> bool {
        self.framing == BodyFraming::None && matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS")
    }

    /// What is known of its first bytes, sent over a connection that was used before or not.
    fn first_bytes(&self, reusing: bool) -> FirstBytes {
        FirstBytes::Request { may_be_judged_again: self.upgrade.is_some() || (reusing && self.is_repeatable()) }
    }

    /// How to refuse it. An unread body would be taken for the next request, so then the connection closes.
    pub(super) fn delivery(&self) -> Delivery {
        let keep_alive = self.keep_alive && self.framing == BodyFraming::None;
        Delivery { form: self.form, keep_alive, head_only: self.method.as_str() == "HEAD" }
    }
}

impl Drop for Plan {
    fn drop(&mut self) {
        spare::give(std::mem::take(&mut self.head));
    }
}

/// Why a request was not forwarded to its end.
enum Stopped {
    /// The client gets an answer of ours. Part of the request's body may have been read: no other can follow it.
    Refused(Refused),
    /// An answer had begun: the connection is cut, so that nobody takes half an answer for a whole one.
    Cut,
}

/// Forwards one request and its answer.
pub(super) fn serve<'a>(
    door: &'a Rc<ListenerContext>,
    mut client: Wire<ClientStream>,
    idle: &'a mut Option<Idle>,
    attempt: Attempt,
    received: ReceivedRequest,
    plan: Plan,
    timer: &'a mut Timer<'_>,
) -> impl Future<Output = Next> + 'a {
    let opening = attempt.open(received, idle);
    async move {
        let (reusing, cleared) = match opening.unless(client.reset()).await {
            Ok(Opened { session, is_reused }) => {
                (is_reused, session.clear(plan.first_bytes(is_reused), door.enforcer.in_force()))
            }
            Err(Unreached::Refused(refused)) => (false, Err(refused)),
            Err(Unreached::ClientLeft) => return Next::Gone,
        };
        let session = match cleared {
            Ok(session) => session,
            Err(refused) => return answer::refuse(client, &refused, plan.delivery()).await,
        };
        let refused = match pass(door, &mut client, session, reusing, &plan, timer).await {
            Ok((session, ended)) => return finish(door, client, session, ended, idle),
            Err(Stopped::Cut) => return Next::Gone,
            Err(Stopped::Refused(refused)) => refused,
        };
        let late = Delivery { keep_alive: false, ..plan.delivery() };
        answer::refuse(client, &refused, late).await
    }
}

/// The request up and its answer down.
#[expect(clippy::manual_async_fn, reason = "that would hold room for each argument twice")]
fn pass<'a>(
    door: &'a Rc<ListenerContext>,
    client: &'a mut Wire<ClientStream>,
    mut session: Session<Cleared>,
    reusing: bool,
    plan: &'a Plan,
    timer: &'a mut Timer<'_>,
) -> impl Future<Output = Result<(Session<Cleared>, Ended), Stopped>> {
    async move {
        let mut result = exchange::run(door, client, &mut session, plan, timer).await;
        if let (Err(Failed::OriginSilent), true) = (&result, reusing && plan.is_repeatable()) {
            // The origin closed the idle connection while this request was on its way. It has answered nothing, and the
            // request is safe: once more, over a connection of its own, by the same permit.
            session = match Box::pin(door.enforcer.redial(session, client.reset())).await {
                Ok(session) => {
                    session.clear(plan.first_bytes(false), door.enforcer.in_force()).map_err(Stopped::Refused)?
                }
                Err(Unreached::Refused(refused)) => return Err(Stopped::Refused(refused)),
                Err(Unreached::ClientLeft) => return Err(Stopped::Cut),
            };
            result = Box::pin(exchange::run(door, client, &mut session, plan, timer)).await;
        }
        match result {
            Ok(ended) => Ok((session, ended)),
            Err(failed) => Err(stop(door, session, failed)),
        }
    }
}

/// The answer has been passed on whole.
fn finish(
    door: &Rc<ListenerContext>,
    client: Wire<ClientStream>,
    session: Session<Cleared>,
    ended: Ended,
    idle: &mut Option<Idle>,
) -> Next {
    match ended {
        Ended::Answered { client_stays, origin_stays } => {
            if origin_stays && client_stays {
                let (destination, connection) = session.finish_and_keep(Outcome::Completed);
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
fn stop(door: &ListenerContext, session: Session<Cleared>, failed: Failed) -> Stopped {
    let why = match failed {
        Failed::Body { error, answered: false } => Malformed::Body(error).into(),
        Failed::BodyLate { answered: false } => Malformed::BodyLate.into(),
        Failed::OriginSilent | Failed::OriginGone { answered: false } => Refusal::Failed(OriginFault::Terminated),
        Failed::OriginNonsense { answered: false } => Refusal::Failed(OriginFault::Nonsense),
        Failed::OriginLate { answered: false } => Refusal::Failed(OriginFault::Stalled),
        Failed::Denied(denial) => Refusal::Denied(denial),
        Failed::ParentCredentials => {
            door.enforcer.complain(ParentFault::Credentials);
            Refusal::Unreachable(ParentFault::Credentials.into())
        }
        Failed::Body { .. } => return cut(session, Outcome::Malformed),
        Failed::BodyLate { .. } | Failed::OriginLate { .. } => return cut(session, Outcome::Timeout),
        Failed::OriginGone { .. } | Failed::OriginNonsense { .. } => return cut(session, Outcome::OriginClosed),
        Failed::Cut(why) => return cut(session, why.outcome()),
        Failed::ClientGone => return cut(session, Outcome::ClientClosed),
    };
    Stopped::Refused(session.refuse(why))
}

fn cut(session: Session<Cleared>, outcome: Outcome) -> Stopped {
    session.finish(outcome);
    Stopped::Cut
}
