//! `CONNECT`: a tunnel, or a refusal and the end of the connection (RFC 9110 §9.3.6).

use std::rc::Rc;

use super::answer::{self, Manner};
use super::door::{Door, Next};
use super::reply::Form;
use super::tunnelled;
use super::wire::Wire;
use crate::enforce::{Asked, Attempt};
use crate::facts::{Destination, Protocol};
use crate::tls::ClientStream;

/// The answer to a `CONNECT` that succeeded: no body, no framing (RFC 9110 §9.3.6).
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Opens the way out and lets the bytes flow, or refuses and closes.
pub(super) async fn serve(
    door: &Rc<Door>,
    mut wire: Wire<ClientStream>,
    attempt: Attempt,
    destination: Destination,
    passed_through_us: bool,
    form: Form,
) -> Next {
    // Nobody sees a method or a path inside a tunnel.
    let asked = Asked { protocol: Protocol::Connect, destination, method: None, path: None, passed_through_us };
    match attempt.open(asked, &mut None).await {
        Ok(session) => tunnelled::establish(door, wire, session, ESTABLISHED).await,
        Err(refused) => {
            answer::refuse(&mut wire, &refused, &Manner::closing(form)).await;
            Next::Close(wire)
        }
    }
}
