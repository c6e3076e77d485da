//! One request to the origin and its response, both at once.
//!
//! Guaranteed:
//! - Bodies stream with back-pressure: at most one read of either side waits in memory.
//! - A request body that breaks its framing cuts the origin off before a complete message could arrive there.
//! - A response whose head or framing is ambiguous never reaches the client; neither do bytes after a response's end.
//! - A client can see that a response breaks off: its length or its last chunk is missing, or, where the end of the connection
//!   would be its end, the connection is reset.
//! - A response may come before the request is complete (RFC 9112 §9.3); then the client connection closes after it.

mod download;
mod patience;
mod pump;
mod upload;

use std::future::poll_fn;
use std::task::{Poll, ready};

use super::forwarded_request::ForwardedRequest;
use super::listener_context::ListenerContext;
use super::timer::Timer;
use crate::facts::BodyError;
use crate::policy::Denial;
use crate::session::{Cleared, Cut, ListedRequest, Session};
use crate::stream::{ClientStream, Wire, spare};

use download::{Done, Download};
use patience::{Over, Patience};
use upload::Upload;

/// How an exchange went well.
#[derive(Debug)]
pub(super) enum Ended {
    /// The final answer has been passed on whole.
    Answered { client_stays: bool, origin_stays: bool },
    /// The origin switched to the WebSocket protocol; these bytes of it followed directly.
    Switched { early_down: Vec<u8> },
}

/// How an exchange failed. `answered`: whether a byte of a final answer has reached the client.
#[derive(Debug)]
pub(super) enum Failed {
    /// The request body breaks its framing, or ends early.
    Body { error: BodyError, answered: bool },
    /// The client stopped in the middle of the request body.
    BodyLate { answered: bool },
    /// The client cannot be written to.
    ClientGone,
    /// The origin closed without a byte of an answer.
    OriginSilent,
    /// The origin closed in the middle of its answer.
    OriginGone { answered: bool },
    /// The origin's answer is not acceptable HTTP.
    OriginNonsense { answered: bool },
    /// The origin stopped answering.
    OriginLate { answered: bool },
    /// The request is denied: the origin answered as if it had asked for no upgrade, or grants one that was taken away.
    Denied(Box<Denial>),
    /// The parent proxy wants other credentials.
    ParentCredentials,
    /// It had to end: the policy that is in force by now does not permit it, an administrator ended it, or the proxy stops.
    Cut(Cut),
}

/// Runs one exchange over the session's connection.
pub(super) async fn run(
    listener: &ListenerContext,
    client: &mut Wire<ClientStream>,
    session: &mut Session<Cleared>,
    request: &ForwardedRequest,
    timer: &mut Timer<'_>,
) -> Result<Ended, Failed> {
    let next_hop = session.next_hop();
    let (origin, mut ongoing) = session.parts();
    let mut origin = Wire::new(origin);
    let mut upload = Upload::new(request, next_hop);
    let mut download = Download::new(request, next_hop, listener);
    let mut patience = Patience { limits: &listener.limits, last: None, timer };
    let mut is_cleared = true;
    // Only a request that lasts is listed: others must not pay for it.
    let mut listing: Option<ListedRequest> = None;
    let result = poll_fn(|context| {
        if let Some(Poll::Ready(cut)) = listing.as_ref().map(|listing| listing.poll_cut(context)) {
            return Poll::Ready(Err(Failed::Cut(cut)));
        }
        // No byte of the request leaves under a permission that had been taken away before this turn. The first turn is that
        // of `clear`, and the response to a request that left whole may take until the next look.
        if !std::mem::take(&mut is_cleared) && !upload.is_done() && !ongoing.holds(listener.enforcer.in_force()) {
            return Poll::Ready(Err(Failed::Cut(Cut::Revoked)));
        }
        let before = (upload.pump.moved, download.pump.moved, download.received);
        // The upload goes first, so that a request is on its way before its answer is looked for.
        let sent = upload.poll(context, client, &mut origin);
        if let Poll::Ready(Err(error)) = sent {
            return Poll::Ready(Err(Failed::Body { error, answered: download.answered() }));
        }
        let was_plain = download.is_plain;
        let received = download.poll(context, client, &mut origin, &mut ongoing);
        if let Some(listing) = listing.as_ref().filter(|_| was_plain != download.is_plain) {
            listing.rests_on(&ongoing);
        }
        match received {
            Poll::Ready(Ok(done)) => return Poll::Ready(Ok(done)),
            Poll::Ready(Err(failed)) => return Poll::Ready(Err(failed)),
            Poll::Pending => {}
        }
        let progress = before != (upload.pump.moved, download.pump.moved, download.received);
        if let Some(listing) = listing.as_ref().filter(|_| progress) {
            listing.moved(upload.pump.moved, download.pump.moved, download.status);
        }
        let answered = download.answered();
        loop {
            let is_listed = listing.is_some();
            let look = || match ongoing.holds(listener.enforcer.in_force()) {
                false => Some(Over::Revoked),
                true if is_listed => None,
                true => ongoing.list_if_lasting(listener.enforcer.registry()).map(Over::Lasting),
            };
            return Poll::Ready(Err(match ready!(patience.poll_over(context, progress, download.head_began, look)) {
                Over::Lasting(listed) => {
                    let listed = listing.insert(listed);
                    listed.moved(upload.pump.moved, download.pump.moved, download.status);
                    match listed.poll_cut(context) {
                        Poll::Ready(cut) => Failed::Cut(cut),
                        Poll::Pending => continue,
                    }
                }
                Over::Revoked => Failed::Cut(Cut::Revoked),
                // Whose turn was it? An upload that waits for the client's bytes is the client's fault.
                Over::Late if upload.waits_for_client() => Failed::BodyLate { answered },
                Over::Late => Failed::OriginLate { answered },
            }));
        }
    })
    .await;
    let pending = ongoing.pending();
    if let Some(listing) = listing {
        listing.leave(pending);
    }
    pending.sent_up(upload.pump.moved);
    pending.sent_down(download.pump.moved);
    if let Some(status) = download.status {
        pending.status(status);
    }
    if let Some(denial) = &download.observed {
        pending.observed(denial);
    }
    let done = result?;
    if download.ends_with_close && client.stream().reset_on_close(false).is_err() {
        return Err(Failed::ClientGone);
    }
    pending.count();
    Ok(match done {
        Done::Switched => Ended::Switched { early_down: origin.into_parts().1 },
        Done::Answered { reusable } => {
            let whole = upload.is_done();
            // Bytes after the response were not asked for: no later request may be answered by them.
            let origin_stays = reusable && whole && origin.ahead().is_empty();
            origin.rest();
            spare::give(download.pump.out.into_owned());
            Ended::Answered { client_stays: download.client_stays && whole, origin_stays }
        }
    })
}
