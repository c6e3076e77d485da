//! Compares two runtimes: one that moves tasks between its threads, and one for each core, where a connection stays on its
//! thread. In both, the same relay passes the same bytes between the same sockets.
//!
//! The result is the processor time of the whole process, with client and origin, which are the same for both. A rate would
//! instead show how the three share two cores.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use criterion::Criterion;
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

const CONNECTIONS: usize = 32;
const REQUEST: [u8; 200] = [b'q'; 200];
const ANSWER: [u8; 300] = [b'a'; 300];

pub(crate) fn bench(criterion: &mut Criterion) {
    let workers = thread::available_parallelism().map_or(2, usize::from);
    let (origin, to) = listener();
    thread::spawn(move || {
        runtime().block_on(async { accept(origin, |client| drop(tokio::spawn(answer(client)))).await });
    });
    let mut group = criterion.benchmark_group("runtime");
    for (shape, relay) in [("one for all cores", shared(workers, to)), ("one a core", apart(workers, to))] {
        group.bench_function(format!("{shape}: an exchange on a kept connection"), |bencher| {
            let mut clients: Vec<_> = (0..CONNECTIONS).map(|_| connect(relay)).collect();
            bencher.iter_custom(|times| rounds(times, || exchange(&mut clients)));
        });
        group.bench_function(format!("{shape}: a connection with one exchange"), |bencher| {
            bencher.iter_custom(|times| {
                rounds(times, || exchange(&mut (0..CONNECTIONS).map(|_| connect(relay)).collect::<Vec<_>>()))
            });
        });
    }
    group.finish();
}

/// A relay on one runtime whose threads take tasks from each other.
fn shared(workers: usize, to: SocketAddr) -> SocketAddr {
    let (listener, address) = listener();
    thread::spawn(move || {
        let runtime = Builder::new_multi_thread().worker_threads(workers).enable_all().build().expect("a runtime");
        runtime.block_on(async { accept(listener, |client| drop(tokio::spawn(relay(client, to)))).await });
    });
    address
}

/// A relay on as many runtimes, each of which keeps what it gets; they get one after the other.
fn apart(workers: usize, to: SocketAddr) -> SocketAddr {
    let (listener, address) = listener();
    let inboxes: Vec<_> = (0..workers)
        .map(|_| {
            let (give, mut take) = mpsc::unbounded_channel::<TcpStream>();
            thread::spawn(move || {
                let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
                runtime.expect("a runtime").block_on(async move {
                    while let Some(client) = take.recv().await {
                        let client = tokio::net::TcpStream::from_std(client).expect("a socket");
                        tokio::task::spawn_local(relay(client, to));
                    }
                });
            });
            give
        })
        .collect();
    thread::spawn(move || {
        let mut turns = inboxes.iter().cycle();
        runtime().block_on(async {
            accept(listener, |client| {
                let client = client.into_std().expect("a socket");
                turns.next().expect("a worker").send(client).expect("a worker that runs");
            })
            .await;
        });
    });
    address
}

async fn relay(mut client: tokio::net::TcpStream, to: SocketAddr) -> io::Result<()> {
    let mut origin = tokio::net::TcpStream::connect(to).await?;
    origin.set_nodelay(true)?;
    let mut buffer = [0; 1024];
    loop {
        for up in [true, false] {
            let (from, to) = if up { (&mut client, &mut origin) } else { (&mut origin, &mut client) };
            let length = from.read(&mut buffer).await?;
            if length == 0 {
                return Ok(());
            }
            to.write_all(buffer.get(..length).unwrap_or_default()).await?;
        }
    }
}

async fn answer(mut client: tokio::net::TcpStream) -> io::Result<()> {
    let mut request = REQUEST;
    loop {
        client.read_exact(&mut request).await?;
        client.write_all(&ANSWER).await?;
    }
}

async fn accept(listener: TcpListener, mut each: impl FnMut(tokio::net::TcpStream)) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        client.set_nodelay(true).expect("a socket");
        each(client);
    }
}

/// Each client asks, and then each reads its answer.
fn exchange(clients: &mut [TcpStream]) {
    for client in &mut *clients {
        client.write_all(&REQUEST).expect("a request sent");
    }
    for client in clients {
        let mut answer = [0; ANSWER.len()];
        client.read_exact(&mut answer).expect("an answer");
        assert_eq!(answer, ANSWER);
    }
}

/// The processor time of `times` exchanges, of which each round has one for each connection.
fn rounds(times: u64, mut round: impl FnMut()) -> Duration {
    let rounds = times.div_ceil(CONNECTIONS as u64);
    let before = processor_time();
    (0..rounds).for_each(|_| round());
    (processor_time() - before).mul_f64(times as f64 / (rounds * CONNECTIONS as u64) as f64)
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("a time since the start")
}

fn runtime() -> tokio::runtime::Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn connect(to: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(to).expect("a connection");
    client.set_nodelay(true).expect("a socket");
    client
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}
