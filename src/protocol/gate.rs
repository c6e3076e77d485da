//! In front of everything: one client connection, from its first byte to its last.
//!
//! Guaranteed:
//! - Nothing is acted on before the strict reader (`head`) has accepted a whole head; a fault is answered, recorded, and
//!   ends the connection.
//! - Head, keep-alive and method selection have their timers here. A connection that waits holds no buffer.
//! - After a refused `CONNECT`, and after any answer that leaves a request body unread, the connection closes: what
//!   follows may be anything (RFC 9112 §9.6).
//!
//! Deliberately not here: HTTP/2 (plain ports would accept it past the gate).

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::forwarded_request::ForwardedRequest;
use super::head::{self, HeadScan, RequestHead, Target};
use super::listener_context::ListenerContext;
use super::next::Next;
use super::reply::{Delivery, Form};
use super::timer::Timer;
use super::{answer, connect, forward, own, socks5};
use crate::enforce::{Attempt, Idle, ReceivedRequest};
use crate::facts::{Client, ConnectionResult, HeadError, Protocol};
use crate::session::Malformed;
use crate::stream::{ClientStream, Wire};
use crate::tunnel::RunningTunnel;

/// The first byte of a SOCKS5 method selection (RFC 1928 §3) and of a SOCKS4 request. No HTTP method begins so.
const SOCKS: [u8; 2] = [5, 4];

/// How long a connection that has asked for nothing yet may still ask once the drain has begun.
const DRAIN_GRACE: Duration = Duration::from_millis(500);

/// Why no head came.
enum NoHead {
    /// The client went away, or stayed silent; nothing that deserves a record.
    Ended,
    /// A head began and did not end in time.
    Late,
    Bad(HeadError),
    /// SOCKS of a version, or at a listener, that is not served.
    Socks,
    /// HTTP at a listener that speaks SOCKS5 alone.
    NotSpoken,
}

/// Serves one client connection until it ends or becomes one side of a tunnel. The tunnel is returned for the caller to
/// run, so that everything that served requests is freed first and an idle tunnel costs only what it needs.
pub async fn serve(context: Rc<ListenerContext>, stream: ClientStream, client: Client) -> Option<RunningTunnel> {
    let mut wire: Wire<ClientStream> = Wire::new(stream);
    let mut idle: Option<Idle> = None;
    let mut requests = 0_usize;
    // One timer for all requests: most requests arrive at once, so registering a new timer for each would be wasted
    // work.
    let sleep = pin!(sleep(context.limits.head_timeout));
    let mut timer = Timer::new(sleep);
    let mut draining = pin!(context.drain.draining());
    let wire = loop {
        if !first_byte(&mut wire, &mut timer, draining.as_mut(), requests == 0).await {
            if requests == 0 {
                context.enforcer.connection(&context.listener, ConnectionResult::ClosedEarly);
            }
            return None;
        }
        requests += 1;
        let attempt = context.enforcer.begin(&client, &context.listener);
        // The following futures are boxed, so that a connection that waits for its next request does not reserve space
        // for them. Only a connection's first byte says SOCKS: after an HTTP request it is garbage.
        if requests == 1 && wire.ahead().first() == Some(&socks5::VERSION) && context.speaks.socks5 {
            match Box::pin(socks5::serve(&context, wire, attempt)).await {
                Next::Close(wire) => break wire,
                Next::Tunnel(tunnel) => return Some(tunnel),
                Next::KeepAlive(_) | Next::Gone => return None,
            }
        }
        let next = match whole_head(&context, &mut wire).await {
            Ok(length) => request(&context, wire, &mut idle, attempt, length, &mut timer).await,
            Err(why) => Box::pin(no_head(wire, attempt, why)).await,
        };
        wire = match next {
            Next::KeepAlive(mut wire) if !context.drain.is_draining() => {
                wire.rest();
                timer.set(Instant::now() + context.limits.keep_alive);
                wire
            }
            Next::KeepAlive(wire) | Next::Close(wire) => break wire,
            Next::Tunnel(tunnel) => return Some(tunnel),
            Next::Gone => return None,
        };
    };
    drop(idle);
    Box::pin(wire.close_gently()).await;
    None
}

/// Waits for a request's first byte, until the timer is due; false if none will come.
async fn first_byte(
    wire: &mut Wire<ClientStream>,
    timer: &mut Timer<'_>,
    mut draining: Pin<&mut impl Future<Output = ()>>,
    is_new: bool,
) -> bool {
    if !wire.ahead().is_empty() {
        return true;
    }
    let mut is_last = false;
    poll_fn(|context| {
        // A request that has arrived is served even if the drain has begun since.
        if let Poll::Ready(filled) = wire.poll_fill(context) {
            return Poll::Ready(filled.is_ok_and(|count| count > 0));
        }
        if !is_last && draining.as_mut().poll(context).is_ready() {
            if !is_new {
                return Poll::Ready(false);
            }
            // A client that has just connected has a request on its way.
            timer.set(Instant::now() + DRAIN_GRACE);
            is_last = true;
        }
        timer.poll(context).map(|()| false)
    })
    .await
}

/// Waits until a whole head is there and is acceptable; its length.
async fn whole_head(context: &ListenerContext, wire: &mut Wire<ClientStream>) -> Result<usize, NoHead> {
    let first = wire.ahead().first();
    if first.is_some_and(|byte| SOCKS.contains(byte)) {
        return Err(NoHead::Socks);
    }
    if !context.speaks.http {
        return Err(NoHead::NotSpoken);
    }
    let mut deadline = None;
    let mut scan = HeadScan::request();
    loop {
        match scan.find_end(wire.ahead(), &context.limits.head) {
            Ok(Some(length)) => return Ok(length),
            Ok(None) => {}
            Err(error) => return Err(NoHead::Bad(error)),
        }
        // Most heads arrive in one piece, so the clock need not be read.
        let deadline = *deadline.get_or_insert_with(|| Instant::now() + context.limits.head_timeout);
        match timeout_at(deadline, wire.fill()).await {
            Err(_) => return Err(NoHead::Late),
            Ok(Ok(0) | Err(_)) => return Err(NoHead::Ended),
            Ok(Ok(_)) => {}
        }
    }
}

/// What a head asks for.
enum Request {
    Tunnel(ReceivedRequest, Form),
    Forward(ReceivedRequest, ForwardedRequest),
    Own(own::OwnRequest),
}

impl Request {
    fn of(head: &RequestHead<'_>, context: &ListenerContext, reached_at: IpAddr) -> Self {
        let form = Form::of(head.accept);
        let passed_through_us = head::names_instance(head, context.enforcer.via());
        match &head.target {
            Target::Authority(destination) => Self::Tunnel(connect::received(destination, passed_through_us), form),
            Target::Absolute { destination, .. }
                if !context.own.is_this_listener(reached_at, destination) && head.max_forwards != Some(0) =>
            {
                let (kept, received) = ForwardedRequest::of(head, destination, passed_through_us, context, form);
                Self::Forward(received, kept)
            }
            Target::Absolute { .. } | Target::Origin { .. } | Target::Asterisk => {
                Self::Own(own::OwnRequest::of(head, form))
            }
        }
    }
}

/// A request under way.
type Serving<'a> = Pin<Box<dyn Future<Output = Next> + 'a>>;

/// Reads one whole head, and hands the request to what serves its kind.
fn request<'a>(
    context: &'a Rc<ListenerContext>,
    mut wire: Wire<ClientStream>,
    idle: &'a mut Option<Idle>,
    attempt: Attempt,
    length: usize,
    timer: &'a mut Timer<'_>,
) -> Serving<'a> {
    let reached_at = context.own.reached_at(wire.stream());
    // A head is large: it is looked at where it was read.
    let request = head::read_scanned_request(wire.ahead().get(..length).unwrap_or_default(), &context.limits.head)
        .map(|head| Request::of(&head, context, reached_at));
    wire.consume(length);
    match request {
        Ok(Request::Tunnel(received, form)) => {
            drop(idle.take());
            Box::pin(connect::serve(context, wire, attempt, received, form))
        }
        Ok(Request::Forward(received, kept)) => {
            Box::pin(forward::serve(context, wire, idle, attempt, received, kept, timer))
        }
        Ok(Request::Own(asked)) => Box::pin(async move { own::serve(context, wire, attempt, &asked).await }),
        Err(error) => Box::pin(no_head(wire, attempt, NoHead::Bad(error))),
    }
}

async fn no_head(wire: Wire<ClientStream>, mut attempt: Attempt, why: NoHead) -> Next {
    let malformed = match why {
        // A client that leaves in the middle of a head gets no answer, but the attempt is recorded.
        NoHead::Ended => Malformed::HeadEnded,
        NoHead::Late => Malformed::HeadLate,
        NoHead::Bad(error) => Malformed::Head(error),
        NoHead::Socks => {
            attempt.protocol(Protocol::Socks5);
            let _recorded = attempt.refuse(Malformed::SocksNotSpoken.into());
            return Next::Gone;
        }
        NoHead::NotSpoken => Malformed::HttpNotSpoken,
    };
    let refused = attempt.refuse(malformed.into());
    answer::refuse(wire, &refused, Delivery::closing(Form::Sentence)).await
}
