//! `CONNECT`: a tunnel, or a refusal and the end of the connection (RFC 9110 §9.3.6).

use std::rc::Rc;

use super::answer;
use super::listener_context::ListenerContext;
use super::next::Next;
use super::reply::{Delivery, Form};
use super::tunnelled;
use crate::enforce::{Asked, Attempt, Unreached, WayOut};
use crate::facts::{Destination, Identity, Protocol};
use crate::session::Refused;
use crate::stream::{ClientStream, Wire};

/// The answer to a `CONNECT` that succeeded: no body, no framing (RFC 9110 §9.3.6).
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Decides on the way out.
pub(super) fn open(attempt: Attempt, destination: &Destination, passed_through_us: bool) -> Result<WayOut, Refused> {
    // Nobody sees a method or a path inside a tunnel.
    let asked = Asked {
        // A head proves nothing in this version.
        identity: Identity::Anonymous,
        protocol: Protocol::Connect,
        destination: destination.clone(),
        method: None,
        upgrade: None,
        path: None,
        passed_through_us,
    };
    attempt.open(asked, &mut None)
}

/// Goes the way out and lets the bytes flow, or refuses and closes.
#[expect(clippy::manual_async_fn, reason = "that would hold room for each argument twice")]
pub(super) fn serve(
    door: &Rc<ListenerContext>,
    mut wire: Wire<ClientStream>,
    way: WayOut,
    form: Form,
) -> impl Future<Output = Next> {
    async move {
        let session = match way.reach(wire.left_unbegun()).await {
            Ok(session) => session,
            Err(Unreached::ClientLeft) => return Next::Gone,
            Err(Unreached::Refused(refused)) => return answer::refuse(wire, &refused, Delivery::closing(form)).await,
        };
        tunnelled::establish(door, wire, session, ESTABLISHED).await
    }
}
