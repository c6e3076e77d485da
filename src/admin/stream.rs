//! Records as they happen: server-sent events.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;
use hyper::Response;
use hyper::body::{Body, Frame};
use hyper::header::{self, HeaderValue};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::sink::{Followed, Follower, RecentFilter};

/// The maximum number of clients that follow at once. Each keeps a connection for as long as it likes; the remaining
/// connections stay available for short requests.
static FOLLOWERS: Semaphore = Semaphore::const_new(32);

type NextLine = Pin<Box<dyn Future<Output = (Follower, Option<Followed>)> + Send + Sync>>;

/// An endless body of events. It ends when the process does. A client that reads too slowly gets an event that says
/// what it missed.
struct Events {
    next: NextLine,
    filter: RecentFilter,
    _place: SemaphorePermit<'static>,
}

/// A stream of `data:` lines, one record each, and `event: missed` where the client was too slow. None if too many follow
/// already.
pub(super) fn events(follower: Follower, filter: RecentFilter) -> Option<Response<BoxBody<Bytes, Infallible>>> {
    let place = FOLLOWERS.try_acquire().ok()?;
    let mut response = Response::new(Events { next: Box::pin(step(follower)), filter, _place: place }.boxed());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Some(response)
}

async fn step(mut follower: Follower) -> (Follower, Option<Followed>) {
    let next = follower.next().await;
    (follower, next)
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        loop {
            let (follower, next) = ready!(self.next.as_mut().poll(context));
            self.next = Box::pin(step(follower));
            let event = match next {
                None => return Poll::Ready(None),
                Some(Followed::Missed(count)) => format!("event: missed\ndata: {count}\n\n"),
                Some(Followed::Line(line)) if self.filter.shows(&line) => format!("data: {}\n\n", line.to_json()),
                Some(Followed::Line(_)) => continue,
            };
            return Poll::Ready(Some(Ok(Frame::data(event.into()))));
        }
    }
}
