//! One request up and its answer down, both at once.
//!
//! Guaranteed:
//! - Bodies stream with back-pressure: at most one read of either side waits in memory.
//! - A request body that breaks its framing cuts the origin off before a complete message could arrive there.
//! - An answer whose head or framing is ambiguous never reaches the client; nor do bytes behind an answer's end.
//! - An answer that breaks off is seen to: its length or its last chunk is missing, or, where the end of the connection
//!   would be its end, the connection is reset.
//! - An answer may come before the request is complete (RFC 9112 §9.3); then the client connection closes behind it.

use std::borrow::Cow;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::forward::Plan;
use super::head::{self, BodyReader, BodyWriter, HeadScan, ResponseFraming, Version};
use super::listener_context::{GateLimits, ListenerContext, REVOKED_WITHIN};
use super::timer::Timer;
use crate::facts::{BodyError, NextHop, Upgrade};
use crate::policy::Denial;
use crate::session::{Cleared, Cut, ListedRequest, Ongoing, Session};
use crate::stream::{ClientStream, OriginStream, Wire, spare, with_scratch};

/// An interim answer costs the origin nothing; more than this many before a final one is an attack or a defect.
const MAX_INTERIM: usize = 32;

/// What our own fields add to a head at most, in the usual case.
const ROOM: usize = 128;

/// How an exchange went well.
#[derive(Debug)]
pub(super) enum Ended {
    /// The final answer has been passed on whole.
    Answered { client_stays: bool, origin_stays: bool },
    /// The origin switched to the WebSocket protocol; these bytes of it came right behind.
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
    /// The origin answered what is no acceptable HTTP.
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
    door: &ListenerContext,
    client: &mut Wire<ClientStream>,
    session: &mut Session<Cleared>,
    plan: &Plan,
    timer: &mut Timer<'_>,
) -> Result<Ended, Failed> {
    let next_hop = session.next_hop();
    let (origin, mut ongoing) = session.parts();
    let mut origin = Wire::new(origin);
    let mut upload = Upload::new(plan, next_hop);
    let mut download = Download::new(plan, next_hop, door);
    let mut patience = Patience { limits: &door.limits, last: None, timer };
    let mut is_cleared = true;
    // Only a request that lasts is listed: others must not pay for it.
    let mut listing: Option<ListedRequest> = None;
    let result = poll_fn(|context| {
        if let Some(Poll::Ready(cut)) = listing.as_ref().map(|listing| listing.poll_cut(context)) {
            return Poll::Ready(Err(Failed::Cut(cut)));
        }
        // No byte of the request leaves under a permission that had been taken away before this turn. The first turn is that
        // of `clear`, and the response to a request that left whole may take until the next look.
        if !std::mem::take(&mut is_cleared) && !upload.is_done() && !ongoing.holds(door.enforcer.in_force()) {
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
            let look = || match ongoing.holds(door.enforcer.in_force()) {
                false => Some(Over::Revoked),
                true if is_listed => None,
                true => ongoing.list_if_lasting(door.enforcer.registry()).map(Over::Lasting),
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
            // Bytes behind the answer were not asked for: no later request may be answered by them.
            let origin_stays = reusable && whole && origin.ahead().is_empty();
            origin.rest();
            spare::give(download.pump.out.into_owned());
            Ended::Answered { client_stays: download.client_stays && whole, origin_stays }
        }
    })
}

/// The limits on silence, on a head that drips in, and on a permission that is taken away.
struct Patience<'a, 't> {
    limits: &'a GateLimits,
    /// When something moved last; none before it is asked for the first time.
    last: Option<Instant>,
    timer: &'a mut Timer<'t>,
}

/// Why an exchange may not go on as it is.
enum Over {
    Late,
    Revoked,
    /// It lasts, and is listed now.
    Lasting(ListedRequest),
}

impl Patience<'_, '_> {
    /// `head_began`: since when a head of the origin is incomplete, if one is. Its bytes are progress, but they must not
    /// take for ever: at one byte a minute a head would last for weeks. `look` is asked every second.
    fn poll_over(
        &mut self,
        context: &mut Context<'_>,
        progress: bool,
        head_began: Option<Instant>,
        mut look: impl FnMut() -> Option<Over>,
    ) -> Poll<Over> {
        let GateLimits { body_timeout: silence, head_timeout: head, .. } = *self.limits;
        // A head may begin at any time: never sleep past the moment at which it would have to be whole.
        let wait = silence.min(head).min(REVOKED_WITHIN);
        let last = match self.last {
            Some(last) if !progress => last,
            before => {
                let now = Instant::now();
                if before.is_none() {
                    self.timer.set(now + wait);
                }
                *self.last.insert(now)
            }
        };
        loop {
            ready!(self.timer.poll(context));
            if let Some(over) = look() {
                return Poll::Ready(over);
            }
            let now = Instant::now();
            let due = last + silence;
            let due = head_began.map_or(due, |began| due.min(began + head));
            if due <= now {
                return Poll::Ready(Over::Late);
            }
            self.timer.set(due.min(now + wait));
        }
    }
}

/// Framed bytes on their way from one side to the other.
struct Pump<'a> {
    /// Bytes to be written, from `written` on. A request's head stays with its plan, which may need it again.
    out: Cow<'a, [u8]>,
    written: usize,
    /// Whether the target may hold bytes of its own that it was given (TLS does).
    unflushed: bool,
    /// Bytes that the receiving side has taken.
    moved: u64,
}

impl<'a> Pump<'a> {
    fn new(out: Cow<'a, [u8]>) -> Self {
        Self { out, written: 0, unflushed: false, moved: 0 }
    }

    /// Ready once nothing is left to write.
    fn poll_flush<T: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        target: &mut T,
    ) -> Poll<std::io::Result<()>> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            let count = ready!(Pin::new(&mut *target).poll_write(context, rest))?;
            if count == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.written += count;
            self.moved += count as u64;
            self.unflushed = true;
        }
        match &mut self.out {
            Cow::Borrowed(all) => *all = b"",
            Cow::Owned(all) => all.clear(),
        }
        self.written = 0;
        if self.unflushed {
            ready!(Pin::new(target).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes content straight from where it was read, if nothing waits before it; what the target does not take waits.
    fn pass<T: AsyncWrite + Unpin>(
        &mut self,
        context: &mut Context<'_>,
        target: &mut T,
        data: &[u8],
    ) -> std::io::Result<()> {
        let mut taken = 0;
        if self.out.is_empty()
            && let Poll::Ready(written) = Pin::new(target).poll_write(context, data)
        {
            taken = written?;
        }
        self.moved += taken as u64;
        self.unflushed = true;
        self.out.to_mut().extend_from_slice(data.get(taken..).unwrap_or_default());
        Ok(())
    }
}

/// The request on its way to the origin.
struct Upload<'a> {
    pump: Pump<'a>,
    reader: BodyReader,
    writer: BodyWriter,
    state: UploadState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UploadState {
    /// Body bytes are still to come from the client.
    Reading,
    /// Only what waits in the pump is left to write.
    Flushing,
    Done,
    /// The origin takes no more. Its answer may still come, and often says why.
    Stopped,
}

impl<'a> Upload<'a> {
    fn new(plan: &'a Plan, next_hop: NextHop) -> Self {
        let reader = BodyReader::from(plan.framing);
        let state = if reader.is_done() { UploadState::Flushing } else { UploadState::Reading };
        Self { pump: Pump::new(Cow::Borrowed(plan.head_for(next_hop))), reader, writer: plan.framing.into(), state }
    }

    fn is_done(&self) -> bool {
        self.state == UploadState::Done
    }

    fn waits_for_client(&self) -> bool {
        self.state == UploadState::Reading && self.pump.out.is_empty()
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Wire<ClientStream>,
        origin: &mut Wire<&mut OriginStream>,
    ) -> Poll<Result<(), BodyError>> {
        loop {
            if matches!(self.state, UploadState::Done | UploadState::Stopped) {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.pump.poll_flush(context, origin.stream())).is_err() {
                self.state = UploadState::Stopped;
                continue;
            }
            if self.state == UploadState::Flushing {
                self.state = UploadState::Done;
                continue;
            }
            if client.ahead().is_empty() {
                match ready!(client.poll_fill(context)) {
                    Ok(0) | Err(_) => {
                        self.reader.finish()?;
                        self.end();
                        continue;
                    }
                    Ok(_) => {}
                }
            }
            self.step(client)?;
        }
    }

    /// Takes what is there of the body out of the wire and puts it, framed by us, into the pump.
    fn step(&mut self, client: &mut Wire<ClientStream>) -> Result<(), BodyError> {
        let mut consumed = 0;
        let mut done = false;
        while let Some(input) = client.ahead().get(consumed..).filter(|input| !input.is_empty() && !done) {
            let step = self.reader.read(input)?;
            self.writer.write(step.data, self.pump.out.to_mut());
            consumed += step.consumed;
            done = step.done;
        }
        client.consume(consumed);
        if done {
            self.end();
        }
        Ok(())
    }

    fn end(&mut self) {
        self.writer.end(self.reader.trailers(), self.pump.out.to_mut());
        self.state = UploadState::Flushing;
    }
}

/// The answer on its way to the client.
struct Download<'a> {
    plan: &'a Plan,
    next_hop: NextHop,
    door: &'a ListenerContext,
    pump: Pump<'a>,
    state: DownloadState,
    interim: usize,
    /// Bytes that came from the origin; progress, even before a head is whole.
    received: u64,
    /// Since when a head is waited for of which there is a part.
    head_began: Option<Instant>,
    status: Option<u16>,
    client_stays: bool,
    /// Whether the end of the connection is the end of the answer: then breaking off must be a reset.
    ends_with_close: bool,
    /// Whether the request asks for no upgrade, or did not get it and was judged without.
    is_plain: bool,
    /// What observe mode let pass then.
    observed: Option<Denial>,
}

enum DownloadState {
    Head(HeadScan),
    /// `passes`: content goes out as it came, without framing of ours around it.
    Body {
        reader: BodyReader,
        writer: BodyWriter,
        passes: bool,
        reusable: bool,
    },
    /// Only what waits in the pump is left to write.
    Flushing {
        reusable: bool,
    },
    Switching,
}

enum Done {
    Answered { reusable: bool },
    Switched,
}

impl<'a> Download<'a> {
    fn new(plan: &'a Plan, next_hop: NextHop, door: &'a ListenerContext) -> Self {
        let state = DownloadState::Head(HeadScan::response());
        Self {
            plan,
            next_hop,
            door,
            pump: Pump::new(Cow::Owned(Vec::new())),
            state,
            interim: 0,
            received: 0,
            head_began: None,
            status: None,
            client_stays: plan.keep_alive,
            ends_with_close: false,
            is_plain: plan.upgrade.is_none(),
            observed: None,
        }
    }

    /// Whether the client has begun to get a final answer.
    fn answered(&self) -> bool {
        self.status.is_some()
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Wire<ClientStream>,
        origin: &mut Wire<&mut OriginStream>,
        ongoing: &mut Ongoing<'_>,
    ) -> Poll<Result<Done, Failed>> {
        loop {
            // A head and the body bytes that came with it go out together: one system call, and one packet for most.
            let more_at_hand = matches!(self.state, DownloadState::Body { .. }) && !origin.ahead().is_empty();
            if !more_at_hand && ready!(self.pump.poll_flush(context, client.stream())).is_err() {
                return Poll::Ready(Err(Failed::ClientGone));
            }
            match &mut self.state {
                DownloadState::Flushing { reusable } => return Poll::Ready(Ok(Done::Answered { reusable: *reusable })),
                DownloadState::Switching => return Poll::Ready(Ok(Done::Switched)),
                DownloadState::Head(scan) => match scan.find_end(origin.ahead(), &self.door.limits.head) {
                    Ok(Some(length)) => {
                        self.head(origin, length, ongoing)?;
                        if self.ends_with_close && client.stream().reset_on_close(true).is_err() {
                            return Poll::Ready(Err(Failed::ClientGone));
                        }
                    }
                    Ok(None) => {
                        // Most heads come whole, and nobody looks at the clock for them.
                        if !origin.ahead().is_empty() {
                            self.head_began.get_or_insert_with(Instant::now);
                        }
                        self.fill_head(ready!(origin.poll_fill(context)).unwrap_or(0))?;
                    }
                    Err(_) => return Poll::Ready(Err(Failed::OriginNonsense { answered: self.answered() })),
                },
                DownloadState::Body { .. } if more_at_hand => {
                    if let Err(failed) = self.body_ahead(context, client, origin) {
                        // What was in order reaches the client all the same, and breaks off there.
                        let _gone = self.pump.poll_flush(context, client.stream());
                        return Poll::Ready(Err(failed));
                    }
                }
                DownloadState::Body { .. } => ready!(self.poll_body(context, client, origin))?,
            }
        }
    }

    /// `count` bytes more of a head; 0 is the end of the origin, however it came.
    fn fill_head(&mut self, count: usize) -> Result<(), Failed> {
        match count {
            0 if self.received == 0 => Err(Failed::OriginSilent),
            0 => Err(Failed::OriginGone { answered: self.answered() }),
            count => {
                self.received += count as u64;
                Ok(())
            }
        }
    }

    /// One whole head of the origin: interim ones pass by themselves, the final one begins the body.
    fn head(
        &mut self,
        origin: &mut Wire<&mut OriginStream>,
        length: usize,
        ongoing: &mut Ongoing<'_>,
    ) -> Result<(), Failed> {
        let nonsense = Failed::OriginNonsense { answered: false };
        let bytes = origin.ahead().get(..length).unwrap_or_default();
        let read = head::read_scanned_response(bytes, self.plan.method.as_str(), &self.door.limits.head);
        let Ok(head) = &read else { return Err(nonsense) };
        // A challenge to a proxy is for us, not for our client (RFC 9110 §15.5.8), and we have no other answer to it than
        // the one that we have sent.
        if head.status == 407 {
            return Err(match self.next_hop {
                NextHop::Parent => Failed::ParentCredentials,
                NextHop::Origin => nonsense,
            });
        }
        self.head_began = None;
        // The permit is for the upgrade: without one, this is the answer to an ordinary request.
        let mut is_withheld = false;
        if head.status != 101
            && !self.is_plain
            && let Err(denial) = self.judge_as_plain(ongoing, head.status >= 200)
        {
            if head.status >= 200 {
                return Err(Failed::Denied(Box::new(denial)));
            }
            is_withheld = true;
        }
        // Room for the head as we write it, and for what came with it: one allocation instead of one per doubling.
        let room = origin.ahead().len() + ROOM;
        spare::make_room(self.pump.out.to_mut(), room);
        let via = &self.door.via;
        if head.status == 101 {
            if !(self.plan.upgrade == Some(Upgrade::WebSocket) && head.upgrade_websocket) {
                return Err(nonsense);
            }
            // From here on the client's bytes flow: by the policy in force.
            ongoing.renew(self.door.enforcer.in_force()).map_err(|denial| Failed::Denied(Box::new(denial)))?;
            head::write_response(head, via, Version::Http11, true, ResponseFraming::None, self.pump.out.to_mut());
            self.status = Some(101);
            self.state = DownloadState::Switching;
        } else if head.status < 200 {
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(nonsense);
            }
            // HTTP/1.0 clients know no interim answers (RFC 9110 §15.2).
            if self.plan.client_version == Version::Http11 && !is_withheld {
                head::write_response(head, via, Version::Http11, true, ResponseFraming::None, self.pump.out.to_mut());
            }
            self.state = DownloadState::Head(HeadScan::response());
        } else {
            let framing = head.framing_toward(self.plan.client_version);
            self.ends_with_close = framing == ResponseFraming::UntilClose;
            self.client_stays &= !self.ends_with_close;
            let reusable = self.plan.may_share && head.keep_alive && head.framing != ResponseFraming::UntilClose;
            head::write_response(
                head,
                via,
                self.plan.client_version,
                self.client_stays,
                framing,
                self.pump.out.to_mut(),
            );
            self.status = Some(head.status);
            let (reader, writer) = (BodyReader::from(head.framing), BodyWriter::from(framing));
            self.state = if reader.is_done() {
                DownloadState::Flushing { reusable }
            } else {
                DownloadState::Body { reader, writer, passes: framing != ResponseFraming::Chunked, reusable }
            };
        }
        drop(read);
        origin.consume(length);
        Ok(())
    }

    /// An interim response decides nothing for the next one: the policy may change before it, or the origin may still
    /// switch protocols.
    fn judge_as_plain(&mut self, ongoing: &mut Ongoing<'_>, is_final: bool) -> Result<(), Denial> {
        let in_force = self.door.enforcer.in_force();
        let observed = if is_final { ongoing.drop_upgrade(in_force) } else { ongoing.without_upgrade(in_force) }?;
        self.is_plain = is_final;
        if self.observed.is_none() {
            self.observed = observed;
        }
        Ok(())
    }

    /// Body bytes that came together with the head.
    fn body_ahead(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Wire<ClientStream>,
        origin: &mut Wire<&mut OriginStream>,
    ) -> Result<(), Failed> {
        let consumed = self.body(context, client, origin.ahead())?;
        origin.consume(consumed);
        Ok(())
    }

    /// Body bytes straight from the socket: through the worker's buffer, and out.
    fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Wire<ClientStream>,
        origin: &mut Wire<&mut OriginStream>,
    ) -> Poll<Result<(), Failed>> {
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let read = match ready!(Pin::new(&mut **origin.stream()).poll_read(context, &mut buffer)) {
                Ok(()) => buffer.filled(),
                Err(_) => return Poll::Ready(Err(Failed::OriginGone { answered: true })),
            };
            if read.is_empty() {
                return Poll::Ready(self.end_of_origin());
            }
            let consumed = match self.body(context, client, read) {
                Ok(consumed) => consumed,
                Err(failed) => return Poll::Ready(Err(failed)),
            };
            origin.keep(read.get(consumed..).unwrap_or_default());
            Poll::Ready(Ok(()))
        })
    }

    /// Passes body bytes on; how many of them were body.
    fn body(
        &mut self,
        context: &mut Context<'_>,
        client: &mut Wire<ClientStream>,
        input: &[u8],
    ) -> Result<usize, Failed> {
        let DownloadState::Body { reader, writer, passes, reusable } = &mut self.state else {
            return Ok(0);
        };
        self.received += input.len() as u64;
        let mut consumed = 0;
        loop {
            let rest = input.get(consumed..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(consumed);
            }
            let step = reader.read(rest).map_err(|_| Failed::OriginNonsense { answered: true })?;
            consumed += step.consumed;
            if *passes {
                self.pump.pass(context, client.stream(), step.data).map_err(|_| Failed::ClientGone)?;
            } else {
                writer.write(step.data, self.pump.out.to_mut());
            }
            if step.done {
                writer.end(reader.trailers(), self.pump.out.to_mut());
                self.state = DownloadState::Flushing { reusable: *reusable };
                return Ok(consumed);
            }
        }
    }

    fn end_of_origin(&mut self) -> Result<(), Failed> {
        let DownloadState::Body { reader, writer, .. } = &mut self.state else {
            return Ok(());
        };
        reader.finish().map_err(|_| Failed::OriginGone { answered: true })?;
        writer.end(reader.trailers(), self.pump.out.to_mut());
        self.state = DownloadState::Flushing { reusable: false };
        Ok(())
    }
}
