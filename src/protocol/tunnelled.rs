//! From a way out to a tunnel, for every protocol that asks for one: report success, look at the first bytes, let
//! them and all others through unchanged.
//!
//! Guaranteed: before the first bytes are admitted, not one of them reaches the origin. A tunnel that is refused by then
//! ends with a TLS alert, because that is what a TLS client understands; the reason is in the record, in the metric and
//! at `/.well-known/outgate/denials`.
//!
//! No round trip is added: the client sends its ClientHello as soon as the tunnel is established, and it is forwarded unchanged.

use std::future::pending;
use std::rc::Rc;
use std::time::Instant;

use tokio::time::timeout_at;

use super::listener_context::{ListenerContext, REVOKED_WITHIN};
use super::next::Next;
use crate::facts::{Opening, Outcome};
use crate::session::{Cleared, Cut, Dialled, FirstBytes, ListedRequest, Session};
use crate::stream::{ClientStream, Wire};
use crate::tls::{HelloError, HelloReader};
use crate::tunnel::Tunnel;

/// A fatal alert in a record of its own (RFC 8446 §5.1, §6). The description follows it.
const FATAL_ALERT: [u8; 6] = [21, 3, 3, 0, 2, 2];
/// RFC 8446 §6.2.
const UNEXPECTED_MESSAGE: u8 = 10;
/// As above.
const ACCESS_DENIED: u8 = 49;
/// As above.
const DECODE_ERROR: u8 = 50;

/// Reports the tunnel to the client as established, judges how it begins, and lets the bytes flow.
#[expect(clippy::manual_async_fn, reason = "that would hold room for each argument twice")]
pub(super) fn establish(
    context: &Rc<ListenerContext>,
    mut wire: Wire<ClientStream>,
    mut session: Session<Dialled>,
    reply: &[u8],
) -> impl Future<Output = Next> {
    async move {
        session.status(200);
        if wire.send(reply).await.is_err() {
            session.finish(Outcome::ClientClosed);
            return Next::Gone;
        }
        let mut listing = None;
        let opening = opening(context, &mut wire, &mut session, &mut listing).await;
        if let Some(listing) = listing {
            listing.leave(session.ongoing().pending());
        }
        let opening = match opening {
            Ok(opening) => opening,
            Err(outcome) => {
                // Cutting a silent tunnel is not an orderly end. A client that has gone sees no difference.
                let _gone = wire.stream().reset_on_close(true);
                session.finish(outcome);
                return Next::Gone;
            }
        };
        let alert = alert(&opening);
        match session.clear(FirstBytes::Tunnel(opening), context.enforcer.in_force()) {
            Ok(session) => join(context, wire, session, Vec::new()),
            Err(_recorded) => {
                let [a, b, c, d, e, f] = FATAL_ALERT;
                let _gone = wire.send(&[a, b, c, d, e, f, alert]).await;
                Next::Close(wire)
            }
        }
    }
}

/// From here on the bytes flow. `early_down` are those that the origin has sent already.
pub(super) fn join(
    context: &ListenerContext,
    wire: Wire<ClientStream>,
    session: Session<Cleared>,
    early_down: Vec<u8>,
) -> Next {
    let (client, early_up) = wire.into_parts();
    let (origin, open) = session.enter(context.enforcer.registry());
    Next::Tunnel(Tunnel { client, origin, open, early_up, early_down }.run())
}

/// How the tunnel begins, or how it ended without a byte: browsers leave connections that they opened ahead and never
/// needed, and where TLS is optional it may be silent for as long as any tunnel.
async fn opening(
    context: &ListenerContext,
    wire: &mut Wire<ClientStream>,
    session: &mut Session<Dialled>,
    listing: &mut Option<ListedRequest>,
) -> Result<Opening, Outcome> {
    let (began, idle) = (Instant::now(), context.enforcer.shared().limits.idle);
    let patience = context.limits.hello_timeout.min(idle);
    let mut deadline = began + patience;
    let mut reader = HelloReader::new(context.limits.max_hello);
    let optional = session.is_tls_optional();
    loop {
        if !wire.ahead().is_empty() {
            match reader.read(wire.ahead()) {
                Ok(Some(hello)) => return Ok(Opening::Hello(hello.sni)),
                Ok(None) => {}
                Err(HelloError::NotTls) => return Ok(Opening::NotTls),
                Err(HelloError::Malformed(why)) => return Ok(Opening::Malformed(why)),
                Err(HelloError::TooLarge) => return Ok(Opening::TooLarge),
            }
        }
        let silent = wire.ahead().is_empty();
        // Silence does not count as another protocol: the first bytes are judged, however late they arrive.
        let may_be_silent = optional && silent;
        if may_be_silent {
            deadline = Instant::now() + REVOKED_WITHIN.min(idle.saturating_sub(began.elapsed()));
        }
        let filled = tokio::select! {
            filled = timeout_at(deadline.into(), wire.fill()) => filled,
            // Some protocols begin with the server; TLS never does.
            () = session.origin_speaks(), if may_be_silent => return Ok(Opening::NotTls),
            why = cut(listing.as_ref()) => return Err(why.outcome()),
        };
        match filled {
            Err(_) if may_be_silent && began.elapsed() >= idle => return Err(Outcome::Timeout),
            Err(_) if may_be_silent && session.ongoing().renew(context.enforcer.in_force()).is_err() => {
                return Err(Outcome::Revoked);
            }
            Err(_) if may_be_silent => {
                if listing.is_none() {
                    *listing = session.ongoing().list_if_lasting(context.enforcer.registry());
                }
            }
            // A partial ClientHello followed by silence is not another protocol that a rule could have meant.
            Err(_) if !silent => return Ok(Opening::Malformed("it stopped in the middle")),
            Err(_) => return Ok(Opening::Late),
            Ok(Ok(0) | Err(_)) if silent => return Err(Outcome::ClientClosed),
            Ok(Ok(0) | Err(_)) => return Ok(Opening::Cut),
            Ok(Ok(_)) if may_be_silent => deadline = Instant::now() + patience,
            Ok(Ok(_)) => {}
        }
    }
}

/// Waits until what is listed must end.
async fn cut(listing: Option<&ListedRequest>) -> Cut {
    match listing {
        Some(listing) => listing.cut().await,
        None => pending().await,
    }
}

fn alert(opening: &Opening) -> u8 {
    match opening {
        Opening::Hello(_) | Opening::Late | Opening::Cut => ACCESS_DENIED,
        Opening::NotTls => UNEXPECTED_MESSAGE,
        Opening::Malformed(_) | Opening::TooLarge => DECODE_ERROR,
    }
}
