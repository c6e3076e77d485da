//! `CONNECT`: a tunnel, or a refusal and the end of the connection (RFC 9110 §9.3.6).

use std::rc::Rc;

use super::answer;
use super::listener_context::ListenerContext;
use super::next::Next;
use super::reply::{Delivery, Form};
use super::tunnelled;
use crate::enforce::{Attempt, ReceivedRequest, Unreached};
use crate::facts::{Destination, Identity, Protocol};
use crate::stream::{ClientStream, Wire};

/// The response to a `CONNECT` that succeeded: no body, no framing (RFC 9110 §9.3.6).
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// The request. Method and path are not visible inside a tunnel.
pub(super) fn received(destination: &Destination, passed_through_us: bool) -> ReceivedRequest {
    ReceivedRequest {
        // A head proves nothing in this version.
        identity: Identity::Anonymous,
        protocol: Protocol::Connect,
        destination: destination.clone(),
        method: None,
        upgrade: None,
        path: None,
        passed_through_us,
    }
}

/// Opens the tunnel and lets the bytes flow, or refuses and closes.
pub(super) fn serve(
    context: &Rc<ListenerContext>,
    mut wire: Wire<ClientStream>,
    attempt: Attempt,
    received: ReceivedRequest,
    form: Form,
) -> impl Future<Output = Next> {
    let opening = attempt.open(received, &mut None);
    async move {
        match opening.unless(wire.left_unbegun()).await {
            Ok(opened) => tunnelled::establish(context, wire, opened.session, ESTABLISHED).await,
            Err(Unreached::ClientLeft) => Next::Gone,
            Err(Unreached::Refused(refused)) => answer::refuse(wire, &refused, Delivery::closing(form)).await,
        }
    }
}
