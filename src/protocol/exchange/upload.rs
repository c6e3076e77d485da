//! The request on its way to the origin.

use std::borrow::Cow;
use std::task::{Context, Poll, ready};

use super::pump::Pump;
use crate::facts::{BodyError, NextHop};
use crate::protocol::forwarded_request::ForwardedRequest;
use crate::protocol::head::{BodyReader, BodyWriter};
use crate::stream::{ClientStream, OriginStream, Wire};

/// The request on its way to the origin.
pub(super) struct Upload<'a> {
    pub(super) pump: Pump<'a>,
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
    pub(super) fn new(request: &'a ForwardedRequest, next_hop: NextHop) -> Self {
        let reader = BodyReader::from(request.framing);
        let state = if reader.is_done() { UploadState::Flushing } else { UploadState::Reading };
        Self {
            pump: Pump::new(Cow::Borrowed(request.head_for(next_hop))),
            reader,
            writer: request.framing.into(),
            state,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == UploadState::Done
    }

    pub(super) fn waits_for_client(&self) -> bool {
        self.state == UploadState::Reading && self.pump.out.is_empty()
    }

    pub(super) fn poll(
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
