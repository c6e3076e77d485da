//! The response on its way to the client.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::Failed;
use super::pump::Pump;
use crate::facts::{NextHop, Upgrade};
use crate::policy::Denial;
use crate::protocol::forwarded_request::ForwardedRequest;
use crate::protocol::head::{self, BodyReader, BodyWriter, HeadScan, ResponseFraming, Version};
use crate::protocol::listener_context::ListenerContext;
use crate::session::Ongoing;
use crate::stream::{ClientStream, OriginStream, Wire, spare, with_scratch};

/// An interim answer costs the origin nothing; more than this many before a final one is an attack or a defect.
const MAX_INTERIM: usize = 32;

/// What our own fields add to a head at most, in the usual case.
const ROOM: usize = 128;

/// The answer on its way to the client.
pub(super) struct Download<'a> {
    request: &'a ForwardedRequest,
    next_hop: NextHop,
    listener: &'a ListenerContext,
    pub(super) pump: Pump<'a>,
    state: DownloadState,
    interim: usize,
    /// Bytes that came from the origin; progress, even before a head is whole.
    pub(super) received: u64,
    /// Since when a head is waited for of which there is a part.
    pub(super) head_began: Option<Instant>,
    pub(super) status: Option<u16>,
    pub(super) client_stays: bool,
    /// Whether the end of the connection is the end of the answer: then breaking off must be a reset.
    pub(super) ends_with_close: bool,
    /// Whether the request asks for no upgrade, or did not get it and was judged without.
    pub(super) is_plain: bool,
    /// What observe mode let pass then.
    pub(super) observed: Option<Denial>,
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

pub(super) enum Done {
    Answered { reusable: bool },
    Switched,
}

impl<'a> Download<'a> {
    pub(super) fn new(request: &'a ForwardedRequest, next_hop: NextHop, listener: &'a ListenerContext) -> Self {
        let state = DownloadState::Head(HeadScan::response());
        Self {
            request,
            next_hop,
            listener,
            pump: Pump::new(Cow::Owned(Vec::new())),
            state,
            interim: 0,
            received: 0,
            head_began: None,
            status: None,
            client_stays: request.keep_alive,
            ends_with_close: false,
            is_plain: request.upgrade.is_none(),
            observed: None,
        }
    }

    /// Whether the client has begun to get a final answer.
    pub(super) fn answered(&self) -> bool {
        self.status.is_some()
    }

    pub(super) fn poll(
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
                DownloadState::Head(scan) => match scan.find_end(origin.ahead(), &self.listener.limits.head) {
                    Ok(Some(length)) => {
                        self.head(origin, length, ongoing)?;
                        if self.ends_with_close && client.stream().reset_on_close(true).is_err() {
                            return Poll::Ready(Err(Failed::ClientGone));
                        }
                    }
                    Ok(None) => {
                        // Most heads arrive in one piece, so the clock need not be read.
                        if !origin.ahead().is_empty() {
                            self.head_began.get_or_insert_with(Instant::now);
                        }
                        self.fill_head(ready!(origin.poll_fill(context)).unwrap_or(0))?;
                    }
                    Err(_) => return Poll::Ready(Err(Failed::OriginNonsense { answered: self.answered() })),
                },
                DownloadState::Body { .. } if more_at_hand => {
                    if let Err(failed) = self.body_ahead(context, client, origin) {
                        // The valid part still reaches the client, whose stream is cut off after it.
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
        let read = head::read_scanned_response(bytes, self.request.method.as_str(), &self.listener.limits.head);
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
        let via = &self.listener.via;
        if head.status == 101 {
            if !(self.request.upgrade == Some(Upgrade::WebSocket) && head.upgrade_websocket) {
                return Err(nonsense);
            }
            // From here on the client's bytes flow: by the policy in force.
            ongoing.renew(self.listener.enforcer.in_force()).map_err(|denial| Failed::Denied(Box::new(denial)))?;
            head::write_response(head, via, Version::Http11, true, ResponseFraming::None, self.pump.out.to_mut());
            self.status = Some(101);
            self.state = DownloadState::Switching;
        } else if head.status < 200 {
            self.interim += 1;
            if self.interim > MAX_INTERIM {
                return Err(nonsense);
            }
            // HTTP/1.0 clients know no interim answers (RFC 9110 §15.2).
            if self.request.client_version == Version::Http11 && !is_withheld {
                head::write_response(head, via, Version::Http11, true, ResponseFraming::None, self.pump.out.to_mut());
            }
            self.state = DownloadState::Head(HeadScan::response());
        } else {
            let framing = head.framing_toward(self.request.client_version);
            self.ends_with_close = framing == ResponseFraming::UntilClose;
            self.client_stays &= !self.ends_with_close;
            let reusable = self.request.may_share && head.keep_alive && head.framing != ResponseFraming::UntilClose;
            head::write_response(
                head,
                via,
                self.request.client_version,
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
        let in_force = self.listener.enforcer.in_force();
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
