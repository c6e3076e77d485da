//! Tests both ways of moving bytes over real sockets. Neither side can distinguish them.

use std::io;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A socket that does not say so.
struct Portable(TcpStream);

impl Side for Portable {
    fn plain(&self) -> Option<PlainSocket<'_>> {
        None
    }
}

impl AsyncRead for Portable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Portable {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

/// What one end does: it writes these chunks and closes its direction, or is gone; it reads so much at a time.
#[derive(Clone, Debug)]
struct Script {
    chunks: Vec<usize>,
    /// Whether it reads to the end before it closes its own direction.
    listens_first: bool,
    reads: usize,
}

/// What an end has seen: how much, the sum over every byte and its place, and whether an end came.
type Seen = (u64, u64);

/// What each party saw of a tunnel.
#[derive(Debug, PartialEq, Eq)]
struct Account {
    client: Seen,
    origin: Seen,
    outcome: Outcome,
    bytes: (u64, u64),
}

fn byte(at: u64) -> u8 {
    (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

async fn end(stream: TcpStream, script: Script) -> Seen {
    let (mut read, mut write) = stream.into_split();
    let reading = async {
        let mut buffer = vec![0; script.reads];
        let (mut count, mut sum) = (0_u64, 0_u64);
        loop {
            let got = read.read(&mut buffer).await.unwrap();
            if got == 0 {
                return (count, sum);
            }
            for byte in &buffer[..got] {
                count += 1;
                sum = sum.wrapping_add(count.wrapping_mul(u64::from(*byte) + 1));
            }
            // A slow reader: every other task gets a turn before the next read.
            tokio::task::yield_now().await;
        }
    };
    let writing = async {
        let mut at = 0_u64;
        for chunk in &script.chunks {
            let bytes: Vec<u8> = (at..at + *chunk as u64).map(byte).collect();
            at += *chunk as u64;
            write.write_all(&bytes).await.unwrap();
            tokio::task::yield_now().await;
        }
        write
    };
    if script.listens_first {
        let (seen, mut write) = tokio::join!(reading, writing);
        let _gone = write.shutdown().await;
        return seen;
    }
    let writing = async {
        let mut write = writing.await;
        write.shutdown().await.unwrap();
        write
    };
    tokio::join!(reading, writing).0
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let connecting = TcpStream::connect(listener.local_addr().unwrap());
    let (near, far) = tokio::join!(connecting, listener.accept());
    (near.unwrap(), far.unwrap().0)
}

async fn tunnel(client: impl Side, origin: impl Side, early: Vec<u8>) -> (Outcome, (u64, u64), bool) {
    let (mut client, mut origin) = (client, origin);
    let mut both = Both::new(early, Vec::new());
    let mut spliced = false;
    let outcome = poll_fn(|context| {
        let ended = both.poll(context, &mut client, &mut origin);
        spliced |= both.look.is_some();
        ended
    })
    .await;
    (outcome, both.bytes(), spliced)
}

async fn account(client: &Script, origin: &Script, early: &[u8], portable: bool) -> (Account, bool) {
    let ((near, at_client), (at_origin, far)) = (pair().await, pair().await);
    let early = early.to_vec();
    let moving = async {
        if portable {
            tunnel(Portable(at_client), Portable(at_origin), early).await
        } else {
            tunnel(ClientStream::Tcp(at_client), OriginStream::Tcp(at_origin), early).await
        }
    };
    let all = async { tokio::join!(end(near, client.clone()), end(far, origin.clone()), moving) };
    let (client, origin, (outcome, bytes, spliced)) = tokio::time::timeout(Duration::from_secs(60), all).await.unwrap();
    (Account { client, origin, outcome, bytes }, spliced)
}

fn run_here<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn script() -> impl Strategy<Value = Script> {
    let chunk = prop_oneof![1_usize..200, 1_usize..100_000, Just(64 * 1024), Just(400_000)];
    (proptest::collection::vec(chunk, 0..6), any::<bool>(), prop_oneof![1_usize..2_000, Just(65_536), Just(1 << 20)])
        .prop_map(|(chunks, listens_first, reads)| Script { chunks, listens_first, reads: reads.max(500) })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn spliced_or_copied_everybody_sees_the_same(
        client in script(),
        mut origin in script(),
        early in proptest::collection::vec(any::<u8>(), 0..3_000),
    ) {
        // Two that wait for each other's end would wait for ever.
        origin.listens_first &= !client.listens_first;
        let copied = run_here(account(&client, &origin, &early, true)).0;
        let spliced = run_here(account(&client, &origin, &early, false)).0;
        let sent = |script: &Script| script.chunks.iter().sum::<usize>() as u64;
        prop_assert_eq!(copied.bytes, (sent(&client) + early.len() as u64, sent(&origin)));
        prop_assert_eq!((copied.origin.0, copied.client.0), copied.bytes);
        prop_assert_eq!(&copied.outcome, &Outcome::Completed);
        prop_assert_eq!(copied, spliced);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn bulk_goes_by_a_pipe_and_a_chat_does_not() {
    let bulk = Script { chunks: vec![1 << 20; 4], listens_first: false, reads: 1 << 16 };
    let chat = Script { chunks: vec![100; 50], listens_first: false, reads: 1 << 16 };
    assert!(run_here(account(&bulk, &chat, b"", false)).1);
    assert!(!run_here(account(&chat, &chat, b"", false)).1);
}

/// What a silent tunnel costs in the kernel must not depend on what it once carried.
#[cfg(target_os = "linux")]
#[test]
fn a_tunnel_that_has_become_quiet_has_no_pipe() {
    run_here(async {
        tokio::time::pause();
        let ((mut near, at_client), (at_origin, mut far)) = (pair().await, pair().await);
        let (mut at_client, mut at_origin) = (ClientStream::Tcp(at_client), OriginStream::Tcp(at_origin));
        let mut both = Both::new(Vec::new(), Vec::new());
        let bulk = vec![7; 4 << 20];
        let mut taken = vec![0; bulk.len()];
        let moved = async { tokio::join!(near.write_all(&bulk), far.read_exact(&mut taken)) };
        let mut spliced = false;
        tokio::select! {
            _ = poll_fn(|context| {
                let ended = both.poll(context, &mut at_client, &mut at_origin);
                spliced |= both.look.is_some();
                ended
            }) => unreachable!("neither side has closed"),
            (written, read) = moved => { written.unwrap(); read.unwrap(); }
        }
        assert!(spliced);
        let quiet = poll_fn(|context| {
            assert!(both.poll(context, &mut at_client, &mut at_origin).is_pending());
            if both.look.is_none() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::time::timeout(LOOK * 3, quiet).await.unwrap();
        assert_eq!(taken, bulk);
    });
}

#[test]
fn a_side_that_is_gone_ends_the_tunnel_with_its_name() {
    for (portable, client_goes) in [(true, true), (true, false), (false, true), (false, false)] {
        let outcome = run_here(async {
            let ((near, at_client), (at_origin, far)) = (pair().await, pair().await);
            let (goes, stays) = if client_goes { (near, far) } else { (far, near) };
            // A reset, as a process that was killed sends it.
            socket2::SockRef::from(&goes).set_linger(Some(Duration::ZERO)).unwrap();
            let moving = async {
                match portable {
                    true => tunnel(Portable(at_client), Portable(at_origin), Vec::new()).await,
                    false => tunnel(ClientStream::Tcp(at_client), OriginStream::Tcp(at_origin), Vec::new()).await,
                }
            };
            let mut stays = stays;
            let bulk = vec![1; 8 << 20];
            let writing = async {
                // The other end of the tunnel is never read, so this write lasts until the tunnel is cut.
                let _cut = stays.write_all(&bulk).await;
                std::future::pending::<()>().await;
            };
            let going = async {
                goes.readable().await.unwrap();
                drop(goes);
                std::future::pending::<()>().await;
            };
            tokio::select! {
                (outcome, ..) = moving => outcome,
                () = writing => unreachable!(),
                () = going => unreachable!(),
            }
        });
        let expected = if client_goes { Outcome::ClientClosed } else { Outcome::OriginClosed };
        assert_eq!(outcome, expected, "portable: {portable}, client goes: {client_goes}");
    }
}
