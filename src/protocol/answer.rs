//! The proxy's own answers: from a refusal to what `reply` writes.

use std::fmt::{Display, Write};

use super::next::Next;
use super::reply::{self, Delivery, Explanation};
use crate::session::{Refusal, Refused};
use crate::stream::{ClientStream, Wire};

/// The complete, fixed response to a connection for which there is no room. The connection is closed after it.
pub const BUSY: &[u8] = b"HTTP/1.1 503 Too many connections: busy\r\n\
    Proxy-Status: outgate; error=connection_limit_reached; details=\"busy\"\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 80\r\nConnection: close\r\n\r\n\
    outgate has too many connections open (max-connections, or its files). Try again";

/// The response to a connection whose client has used up its share; otherwise like [`BUSY`].
pub const BUSY_CLIENT: &[u8] = b"HTTP/1.1 503 Too many connections: busy\r\n\
    Proxy-Status: outgate; error=connection_limit_reached; details=\"busy\"\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Length: 94\r\nConnection: close\r\n\r\n\
    outgate has too many connections open from this client (max-connections-per-client). Try again";

/// Room for nearly every destination and id.
const USUAL_TEXT: usize = 48;

/// Sends a refusal. A client that is gone has its record all the same.
///
/// It is composed at once: what is waited with is the answer and nothing else.
pub(super) fn refuse(
    mut wire: Wire<ClientStream>,
    refused: &Refused,
    delivery: Delivery,
) -> impl Future<Output = Next> + use<> {
    let mut out = Vec::with_capacity(1024);
    let detail = refused.why.kind().detail();
    let explanation = Explanation { detail: detail.as_deref(), ..explain(refused) };
    reply::write(&explanation, delivery, &mut out);
    async move {
        let _gone = wire.send(&out).await;
        if delivery.keep_alive { Next::KeepAlive(wire) } else { Next::Close(wire) }
    }
}

/// What a refusal says to people, all but the detail.
fn explain(refused: &Refused) -> Explanation<'_> {
    let row = refused.why.row();
    let denial = match &refused.why {
        Refusal::Denied(denial) => Some(denial),
        Refusal::Malformed(_)
        | Refusal::Unresolvable(_)
        | Refusal::Unreachable(_)
        | Refusal::Failed(_)
        | Refusal::Busy(_)
        | Refusal::Unrecordable
        | Refusal::Internal => None,
    };
    Explanation {
        status: row.status,
        token: row.token,
        error: row.error,
        denied: denial.is_some(),
        policy_name: denial.map_or("", |denial| denial.policy().name()),
        contact: denial.and_then(|denial| denial.policy().contact()),
        destination: denial.map(|denial| text(denial.destination())),
        rule: denial.and_then(|denial| denial.rule_id()),
        rule_reason: denial.and_then(|denial| denial.rule_reason()),
        hint: denial.and_then(|denial| denial.hint()),
        revision: denial.map_or("", |denial| denial.policy().revision()),
        request_id: text(refused.id),
        detail: None,
    }
}

/// As `to_string`, which begins with eight bytes and doubles.
fn text(shown: impl Display) -> String {
    let mut text = String::with_capacity(USUAL_TEXT);
    // A String takes all.
    let _ = write!(text, "{shown}");
    text
}
