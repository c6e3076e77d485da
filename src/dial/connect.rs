//! Connects to one of several addresses that were vetted together: Happy Eyeballs (RFC 8305 §4 and §5).
//!
//! Guaranteed:
//! - Only the given addresses are tried, at most [`MAX_OPEN`] of them at once, and never longer than the given time.
//! - One address costs no allocation and no task; attempts that lost are closed when this returns.
//!
//! Deliberately not done: remembering which address worked (RFC 8305 §4 permits it); the delay for a late AAAA answer
//! (§3), since both answers are in before anything is dialled.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use smallvec::SmallVec;
use tokio::net::TcpStream;
use tokio::time;

use super::loops::{IsLoop, Loops};
use crate::facts::{DialError, NextHop};
use crate::policy::{Reached, VettedAddrs};
use crate::stream::OriginStream;

/// How many attempts run at once: each holds a socket. An attempt that failed makes room for the next address, however
/// many have failed.
const MAX_OPEN: usize = 8;
/// How long an attempt runs alone before the next begins in parallel: RFC 8305 §8 recommends 250 ms.
const STAGGER: Duration = Duration::from_millis(250);

/// A way out that has been opened.
#[derive(Debug)]
pub struct Dialled {
    /// The connection, with `TCP_NODELAY` set: a proxy adds no waiting of its own.
    pub stream: OriginStream,
    /// Which of the vetted addresses it leads to: the origin's, or the parent proxy's.
    pub address: SocketAddr,
    /// What it rests on, to be judged again.
    pub reached: Reached,
    /// Who reads what is written to it.
    pub next_hop: NextHop,
}

impl Dialled {
    /// Whether the other side has neither closed the connection nor said anything unasked: only then may an idle
    /// connection carry another request, because what is there already would be taken for its answer.
    pub fn is_quiet(&self) -> bool {
        self.stream.is_quiet()
    }
}

/// Goes straight: connects to the first of these addresses that answers, within `timeout`.
///
/// # Errors
/// If none answered, or one leads back into this process.
pub async fn connect(addresses: &VettedAddrs, loops: &Loops, timeout: Duration) -> Result<Dialled, DialError> {
    connect_any(addresses.as_slice(), loops, timeout).await
}

pub(super) async fn connect_any(addrs: &[SocketAddr], loops: &Loops, timeout: Duration) -> Result<Dialled, DialError> {
    let connected = match addrs {
        [address] => time::timeout(timeout, attempt(*address, loops)).await,
        _ => time::timeout(timeout, Box::pin(race(&interleaved(addrs), |address| attempt(address, loops)))).await,
    };
    connected.unwrap_or(Err(DialError::Timeout))
}

/// The families in turn, beginning with the first address's, each in its own order (RFC 8305 §4).
fn interleaved(addrs: &[SocketAddr]) -> SmallVec<[SocketAddr; MAX_OPEN]> {
    let first_is_v6 = addrs.first().is_some_and(SocketAddr::is_ipv6);
    let mut first = addrs.iter().filter(|addr| addr.is_ipv6() == first_is_v6);
    let mut second = addrs.iter().filter(|addr| addr.is_ipv6() != first_is_v6);
    let mut order = SmallVec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return order;
        }
        order.extend(pair.into_iter().flatten().copied());
    }
}

/// Runs up to [`MAX_OPEN`] attempts side by side, each beginning when the one before it has failed or had its [`STAGGER`]. `attempt` is an
/// argument so that the timing can be tested without a network.
async fn race<T, F>(order: &[SocketAddr], attempt: impl Fn(SocketAddr) -> F) -> Result<T, DialError>
where
    F: Future<Output = Result<T, DialError>>,
{
    let mut waiting = order.iter();
    let mut running = SmallVec::<[Pin<Box<F>>; MAX_OPEN]>::new();
    let mut worst = DialError::Unreachable(ErrorKind::AddrNotAvailable);
    loop {
        if running.len() < MAX_OPEN
            && let Some(address) = waiting.next()
        {
            running.push(Box::pin(attempt(*address)));
        }
        if running.is_empty() {
            return Err(worst);
        }
        tokio::select! {
            biased;
            ended = first_to_end(&mut running) => match ended {
                Ok(connected) => return Ok(connected),
                Err(DialError::Loop) => return Err(DialError::Loop),
                Err(error) => worst = worst.max(error),
            },
            () = time::sleep(STAGGER), if running.len() < MAX_OPEN && !waiting.as_slice().is_empty() => {}
        }
    }
}

/// Waits until one of the attempts has ended and removes it.
async fn first_to_end<F: Future>(running: &mut SmallVec<[Pin<Box<F>>; MAX_OPEN]>) -> F::Output {
    poll_fn(|cx| {
        for (index, attempt) in running.iter_mut().enumerate() {
            if let Poll::Ready(output) = attempt.as_mut().poll(cx) {
                drop(running.swap_remove(index));
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    })
    .await
}

async fn attempt(address: SocketAddr, loops: &Loops) -> Result<Dialled, DialError> {
    let dialling = loops.dial(address);
    let connected = TcpStream::connect(address).await.and_then(|stream| {
        stream.set_nodelay(true)?;
        let is_loop = dialling.map_or(Ok(Ok(())), |dialling| Ok(dialling.connected(stream.local_addr()?)));
        is_loop.map(|is_loop| (stream, is_loop))
    });
    match connected {
        Ok((_, Err(IsLoop))) => Err(DialError::Loop),
        Ok((stream, Ok(()))) => {
            let (stream, reached) = (OriginStream::Tcp(stream), Reached::Direct(address.ip()));
            Ok(Dialled { stream, address, reached, next_hop: NextHop::Origin })
        }
        Err(error) => Err(dial_error(&error, address)),
    }
}

fn dial_error(error: &io::Error, address: SocketAddr) -> DialError {
    match (error.kind(), error.raw_os_error()) {
        (_, Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) => DialError::NoSockets,
        // Every local port is in use. For IPv6 it is the usual answer of a machine that has no IPv6 address.
        (ErrorKind::AddrNotAvailable, _) if address.is_ipv4() => DialError::NoSockets,
        (ErrorKind::ConnectionRefused, _) => DialError::Refused,
        (ErrorKind::TimedOut, _) => DialError::Timeout,
        (kind, _) => DialError::Unreachable(kind),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;
    use std::sync::Arc;

    use tokio::net::TcpListener;
    use tokio::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Of a process that listens nowhere.
    fn loops() -> Arc<Loops> {
        Loops::new(&[])
    }

    /// An address where nothing listens: the port was free a moment ago.
    async fn closed() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
    }

    #[test]
    fn families_take_turns_from_the_first_answers_on() {
        let order = |addrs: &[&str]| {
            let addrs: Vec<SocketAddr> = addrs.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 1)).collect();
            interleaved(&addrs).iter().map(|addr| addr.ip().to_string()).collect::<Vec<_>>().join(" ")
        };
        for (answers, expected) in [
            (&[][..], ""),
            (&["::1", "::2", "::3", "127.0.0.1", "127.0.0.2"], "::1 127.0.0.1 ::2 127.0.0.2 ::3"),
            (&["127.0.0.1", "127.0.0.2", "::1"], "127.0.0.1 ::1 127.0.0.2"),
            (&["127.0.0.1", "127.0.0.2"], "127.0.0.1 127.0.0.2"),
            (&["::1", "::2", "::3", "::4", "::5", "::6", "::7", "::8", "::9"], "::1 ::2 ::3 ::4 ::5 ::6 ::7 ::8 ::9"),
            (
                &["::1", "::2", "::3", "::4", "::5", "::6", "::7", "::8", "127.0.0.1"],
                "::1 127.0.0.1 ::2 ::3 ::4 ::5 ::6 ::7 ::8",
            ),
        ] {
            assert_eq!(order(answers), expected);
        }
    }

    #[tokio::test]
    async fn one_address_is_dialled_as_it_is() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dialled = connect_any(&[address], &loops(), LONG).await.unwrap();
        assert_eq!(dialled.address, address);
        let OriginStream::Tcp(stream) = dialled.stream;
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(stream.nodelay().unwrap());
        let (_, client) = listener.accept().await.unwrap();
        assert_eq!(client, stream.local_addr().unwrap());
    }

    #[tokio::test]
    async fn a_connection_into_a_listener_of_ours_is_found_on_either_side_and_no_other_address_is_tried() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let (own, other) = (listener.local_addr().unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = SocketAddr::new([127, 0, 0, 1].into(), own.port());
        let loops = Loops::new(&[own]);
        let looped = connect_any(&[address, other.local_addr().unwrap()], &loops, LONG).await;
        assert_eq!(looped.unwrap_err(), DialError::Loop);
        let (accepted, peer) = listener.accept().await.unwrap();
        assert_eq!(loops.accept(peer, || accepted.local_addr()), Err(IsLoop));
        let client = TcpStream::connect(address).await.unwrap();
        let (accepted, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(loops.accept(peer, || accepted.local_addr()), Ok(()), "a client of this very machine");
    }

    #[tokio::test]
    async fn a_refusing_address_is_passed_over_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let began = std::time::Instant::now();
        let dialled = connect_any(&[closed().await, good], &loops(), LONG).await.unwrap();
        assert_eq!(dialled.address, good);
        assert!(began.elapsed() < STAGGER);
    }

    #[tokio::test]
    async fn failures_say_whose_they_are() {
        let (one, other) = (closed().await, closed().await);
        assert_eq!(connect_any(&[one], &loops(), LONG).await.unwrap_err(), DialError::Refused);
        assert_eq!(connect_any(&[one, other], &loops(), LONG).await.unwrap_err(), DialError::Refused);
        assert_eq!(
            connect_any(&[], &loops(), LONG).await.unwrap_err(),
            DialError::Unreachable(ErrorKind::AddrNotAvailable)
        );
        let of = |errno, address: &str| dial_error(&io::Error::from_raw_os_error(errno), addr(address));
        for (errno, address, expected) in [
            (libc::EMFILE, "192.0.2.1:1", DialError::NoSockets),
            (libc::ENFILE, "192.0.2.1:1", DialError::NoSockets),
            (libc::EADDRNOTAVAIL, "192.0.2.1:1", DialError::NoSockets),
            (libc::EADDRNOTAVAIL, "[2001:db8::1]:1", DialError::Unreachable(ErrorKind::AddrNotAvailable)),
            (libc::ENETUNREACH, "192.0.2.1:1", DialError::Unreachable(ErrorKind::NetworkUnreachable)),
            (libc::EHOSTUNREACH, "192.0.2.1:1", DialError::Unreachable(ErrorKind::HostUnreachable)),
            (libc::ECONNRESET, "192.0.2.1:1", DialError::Unreachable(ErrorKind::ConnectionReset)),
            (libc::EACCES, "192.0.2.1:1", DialError::Unreachable(ErrorKind::PermissionDenied)),
            (libc::ETIMEDOUT, "192.0.2.1:1", DialError::Timeout),
            (libc::ECONNREFUSED, "192.0.2.1:1", DialError::Refused),
        ] {
            assert_eq!(of(errno, address), expected, "{errno}");
        }
    }

    /// A listener whose queue is full: Linux then leaves further attempts without an answer.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn silence_ends_with_the_time_given_or_another_address() {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(addr("127.0.0.1:0")).unwrap();
        let full = socket.listen(1).unwrap();
        let silent = full.local_addr().unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = connect_any(&[silent], &loops(), Duration::from_millis(50)).await {
            queued.push(stream);
            assert!(queued.len() < 10, "the queue never fills");
        }
        assert_eq!(connect_any(&[silent], &loops(), Duration::from_millis(20)).await.unwrap_err(), DialError::Timeout);
        let both = connect_any(&[closed().await, silent], &loops(), Duration::from_millis(20)).await;
        assert_eq!(both.unwrap_err(), DialError::Timeout, "an attempt still ran");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        assert_eq!(connect_any(&[silent, good], &loops(), LONG).await.unwrap().address, good);
    }

    /// When each address was tried, and what came of it, by a script of (answers after, answer).
    async fn raced(script: &[(u64, Result<(), DialError>)]) -> (Vec<u64>, u64, Result<usize, DialError>) {
        let began = Instant::now();
        let millis = || u64::try_from(began.elapsed().as_millis()).unwrap();
        let tried = RefCell::new(Vec::new());
        let order: Vec<SocketAddr> = (0..script.len()).map(|_| addr("192.0.2.1:1")).collect();
        let answer = race(&order, |_| {
            let index = tried.borrow().len();
            tried.borrow_mut().push(millis());
            let (after, answer) = script[index];
            async move {
                time::sleep(Duration::from_millis(after)).await;
                answer.map(|()| index)
            }
        })
        .await;
        (tried.take(), millis(), answer)
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_begin_a_quarter_of_a_second_apart_or_when_one_fails() {
        let refused = Err(DialError::Refused);
        let unreachable = Err(DialError::Unreachable(ErrorKind::NetworkUnreachable));
        for (script, tried, ended, answer) in [
            (&[(249, Ok(())), (0, Ok(()))][..], &[0][..], 249, Ok(0)),
            (&[(600, Ok(())), (100, Ok(()))], &[0, 250], 350, Ok(1)),
            (&[(300, Ok(())), (100, Ok(())), (0, Ok(()))], &[0, 250], 300, Ok(0)),
            (&[(9000, Ok(())), (9000, Ok(())), (9000, Ok(())), (1, Ok(()))], &[0, 250, 500, 750], 751, Ok(3)),
            (&[(10, refused), (5, Ok(()))], &[0, 10], 15, Ok(1)),
            (&[(9000, refused), (10, refused), (5, Ok(()))], &[0, 250, 260], 265, Ok(2)),
            (&[(10, refused), (20, unreachable)], &[0, 10], 30, Err(DialError::Refused)),
            (&[(10, unreachable), (20, refused)], &[0, 10], 30, Err(DialError::Refused)),
            (&[(400, refused), (20, refused)], &[0, 250], 400, Err(DialError::Refused)),
            (&[(300, Ok(())), (20, Err(DialError::Loop)), (0, Ok(()))], &[0, 250], 270, Err(DialError::Loop)),
        ] {
            assert_eq!(raced(script).await, (tried.to_vec(), ended, answer), "{script:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn eight_attempts_are_open_at_most_and_any_number_may_have_failed() {
        let refused = (1, Err(DialError::Refused));
        let mut ninth_works = vec![refused; 8];
        ninth_works.push((1, Ok(())));
        assert_eq!(raced(&ninth_works).await, ((0..9).collect(), 9, Ok(8)), "failures at once cost nothing");
        let mut twentieth_works = vec![refused; 19];
        twentieth_works.push((1, Ok(())));
        assert_eq!(raced(&twentieth_works).await.2, Ok(19));
        // Eight are silent for longer than the ninth's turn: it waits until one of them has ended.
        let mut silent = vec![(5000, Err(DialError::Timeout)); 8];
        silent.push((1, Ok(())));
        let begun = [0, 250, 500, 750, 1000, 1250, 1500, 1750, 5000].to_vec();
        assert_eq!(raced(&silent).await, (begun, 5001, Ok(8)));
        let mut seven = vec![(5000, Err(DialError::Timeout)); 7];
        seven.push((1, Ok(())));
        assert_eq!(raced(&seven).await.1, 1751, "the eighth need not wait");
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_lost_are_dropped_with_the_race() {
        struct Held<'a>(&'a RefCell<usize>);
        impl Drop for Held<'_> {
            fn drop(&mut self) {
                *self.0.borrow_mut() -= 1;
            }
        }
        let open = RefCell::new(0);
        let order = [addr("192.0.2.1:1"), addr("192.0.2.2:1")];
        let answer = race(&order, |address| {
            *open.borrow_mut() += 1;
            let held = Held(&open);
            async move {
                if address == order[0] {
                    pending::<()>().await;
                }
                drop(held);
                Ok(address)
            }
        });
        assert_eq!(answer.await, Ok(order[1]));
        assert_eq!(*open.borrow(), 0);
    }
}
