//! `CONNECT`: a tunnel, or a refusal and the end of the connection (RFC 9110 §9.3.6).

use std::rc::Rc;

use super::answer::{self, Manner};
use super::gate::{Door, Next};
use super::reply::Form;
use super::wire::Wire;
use crate::enforce::{Asked, Attempt};
use crate::facts::{Destination, Protocol};
use crate::record::Outcome;
use crate::session::{FirstBytes, Refused};
use crate::tls::ClientStream;
use crate::tunnel;

/// The answer to a `CONNECT` that succeeded: no body, no framing (RFC 9110 §9.3.6).
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// What a `CONNECT` asks of the policy: nobody sees a method or a path inside a tunnel.
pub(super) fn asked(destination: Destination, passed_through_us: bool) -> Asked {
    Asked { protocol: Protocol::Connect, destination, method: None, path: None, passed_through_us }
}

/// Opens the way out and lets the bytes flow, or refuses and closes.
pub(super) async fn serve(
    door: &Rc<Door>,
    mut wire: Wire<ClientStream>,
    attempt: Attempt,
    asked: Asked,
    form: Form,
) -> Next {
    let session = match attempt.open(asked, &mut None).await {
        Ok(session) => session,
        Err(refused) => return refuse(wire, &refused, form).await,
    };
    let mut session = match session.clear(FirstBytes::Tunnel) {
        Ok(session) => session,
        Err(refused) => return refuse(wire, &refused, form).await,
    };
    session.pending().status(200);
    if wire.send(ESTABLISHED).await.is_err() {
        session.finish(Outcome::ClientClosed);
        return Next::Gone;
    }
    let (stream, early) = wire.into_parts();
    let (origin, open) = session.enter(door.enforcer.registry());
    // A task of its own: what served the request until here is freed, and an idle tunnel costs what a tunnel needs.
    tokio::task::spawn_local(tunnel::run(stream, origin, open, early, Vec::new()));
    Next::Gone
}

async fn refuse(mut wire: Wire<ClientStream>, refused: &Refused, form: Form) -> Next {
    answer::refuse(&mut wire, refused, &Manner::closing(form)).await;
    Next::Close(wire)
}
