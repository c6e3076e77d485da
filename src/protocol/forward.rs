//! Plain HTTP: a request with an absolute-form target, forwarded, and its response (RFC 9112 §3.2.2).
//!
//! Guaranteed: what the origin gets is written by us, from the head that was judged: `Host` from the target, one framing,
//! no hop-by-hop field, our `Via`. The connection to the origin belongs to this client connection alone, and every
//! request on it is judged, its address too. A parent proxy on the way gets the same head in absolute-form, and it alone
//! gets the credentials for it.
//!
//! For the measurements behind this design, see the documentation of `protocol`.

use std::rc::Rc;

use super::answer;
use super::exchange::{self, Ended, Failed};
use super::forwarded_request::ForwardedRequest;
use super::listener_context::ListenerContext;
use super::next::Next;
use super::reply::Delivery;
use super::timer::Timer;
use super::tunnelled;
use crate::enforce::{Attempt, Idle, Opened, ReceivedRequest, Unreached};
use crate::facts::{OriginFault, Outcome, ParentFault};
use crate::session::{Cleared, Malformed, Refusal, Refused, Session};
use crate::stream::{ClientStream, Wire};

/// Why a request was not forwarded to its end.
enum Stopped {
    /// The client gets a response from this proxy. Part of the request's body may have been read: no other can follow it.
    Refused(Refused),
    /// A response had begun: the connection is cut, so that the client does not take a partial response for a complete one.
    Cut,
}

/// Forwards one request and its answer.
pub(super) fn serve<'a>(
    context: &'a Rc<ListenerContext>,
    mut client: Wire<ClientStream>,
    idle: &'a mut Option<Idle>,
    attempt: Attempt,
    received: ReceivedRequest,
    request: ForwardedRequest,
    timer: &'a mut Timer<'_>,
) -> impl Future<Output = Next> + 'a {
    let opening = attempt.open(received, idle);
    async move {
        let (reusing, cleared) = match opening.unless(client.reset()).await {
            Ok(Opened { session, is_reused }) => {
                (is_reused, session.clear(request.first_bytes(is_reused), context.enforcer.in_force()))
            }
            Err(Unreached::Refused(refused)) => (false, Err(refused)),
            Err(Unreached::ClientLeft) => return Next::Gone,
        };
        let session = match cleared {
            Ok(session) => session,
            Err(refused) => return answer::refuse(client, &refused, request.delivery()).await,
        };
        let refused = match pass(context, &mut client, session, reusing, &request, timer).await {
            Ok((session, ended)) => return finish(context, client, session, ended, idle),
            Err(Stopped::Cut) => return Next::Gone,
            Err(Stopped::Refused(refused)) => refused,
        };
        let late = Delivery { keep_alive: false, ..request.delivery() };
        answer::refuse(client, &refused, late).await
    }
}

/// Sends the request and returns its response.
#[expect(clippy::manual_async_fn, reason = "that would hold room for each argument twice")]
fn pass<'a>(
    context: &'a Rc<ListenerContext>,
    client: &'a mut Wire<ClientStream>,
    mut session: Session<Cleared>,
    reusing: bool,
    request: &'a ForwardedRequest,
    timer: &'a mut Timer<'_>,
) -> impl Future<Output = Result<(Session<Cleared>, Ended), Stopped>> {
    async move {
        let mut result = exchange::run(context, client, &mut session, request, timer).await;
        if let (Err(Failed::OriginSilent), true) = (&result, reusing && request.is_repeatable()) {
            // The origin closed the idle connection while this request was on its way. It has answered nothing, and the
            // request is safe: once more, over a connection of its own, by the same permit.
            session = match Box::pin(context.enforcer.redial(session, client.reset())).await {
                Ok(session) => {
                    session.clear(request.first_bytes(false), context.enforcer.in_force()).map_err(Stopped::Refused)?
                }
                Err(Unreached::Refused(refused)) => return Err(Stopped::Refused(refused)),
                Err(Unreached::ClientLeft) => return Err(Stopped::Cut),
            };
            result = Box::pin(exchange::run(context, client, &mut session, request, timer)).await;
        }
        match result {
            Ok(ended) => Ok((session, ended)),
            Err(failed) => Err(stop(context, session, failed)),
        }
    }
}

/// The answer has been passed on whole.
fn finish(
    context: &Rc<ListenerContext>,
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
        Ended::Switched { early_down } => tunnelled::join(context, client, session, early_down),
    }
}

/// The answer could not be passed on. If none has begun, the client gets one of ours.
fn stop(context: &ListenerContext, session: Session<Cleared>, failed: Failed) -> Stopped {
    let why = match failed {
        Failed::Body { error, answered: false } => Malformed::Body(error).into(),
        Failed::BodyLate { answered: false } => Malformed::BodyLate.into(),
        Failed::OriginSilent | Failed::OriginGone { answered: false } => Refusal::Failed(OriginFault::Terminated),
        Failed::OriginNonsense { answered: false } => Refusal::Failed(OriginFault::Nonsense),
        Failed::OriginLate { answered: false } => Refusal::Failed(OriginFault::Stalled),
        Failed::Denied(denial) => Refusal::Denied(denial),
        Failed::ParentCredentials => {
            context.enforcer.complain(ParentFault::Credentials);
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
