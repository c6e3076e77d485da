//! The admin listener's connections: hyper's server, bounded in number and time.

use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::context::AdminContext;
use super::routes;
use super::stall::NoStall;
use crate::dial::{IsLoop, Loops};
use crate::places::{Place, Places};

/// Admin connections at once: administrators, a scraper, a few dashboards. One client gets three quarters of them at most
/// (see `places`), which on loopback has to be enough for all.
const MAX_CONNECTIONS: usize = 96;

/// The response to a connection for which there is no place.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 43\r\nConnection: close\r\n\r\nToo many connections are open here already\n";

/// The time limit for a request head on the admin listener, including the silence before it. Places are few, so idle
/// connections must not hold them.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request head, and of an answer that hyper holds back. Browsers' heads for loopback are about 1 KiB; this is
/// 6 MiB for all places together.
const MAX_HEAD: usize = 64 * 1024;

/// Fields of a head. Browsers send about 20.
const MAX_FIELDS: usize = 64;

/// After shutdown, how long answers that are under way may take.
const DRAIN: Duration = Duration::from_secs(1);

/// Serves until the shutdown, on the calling thread.
///
/// # Errors
/// What the system says when it has no files for a runtime.
pub fn run(
    socket: std::net::TcpListener,
    context: Arc<AdminContext>,
    mut shutdown: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async move {
        let listener = TcpListener::from_std(socket)?;
        let places = Places::new(MAX_CONNECTIONS, MAX_CONNECTIONS);
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = shutdown.wait_for(|down| *down) => break,
                accepted = accept(&listener, &places, &context.shared.loops) => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let Some((stream, place)) = accepted else { continue };
            let context = Arc::clone(&context);
            connections.spawn(async move {
                let service = service_fn(move |request| routes::serve(Arc::clone(&context), request));
                // A client that breaks the protocol or disconnects gets no further answer.
                let _ended = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD_TIMEOUT)
                    .max_buf_size(MAX_HEAD)
                    .max_headers(MAX_FIELDS)
                    .serve_connection(TokioIo::new(NoStall::new(stream)), service)
                    .await;
                drop(place);
            });
        }
        drop(listener);
        let drained = async { while connections.join_next().await.is_some() {} };
        let _late = tokio::time::timeout(DRAIN, drained).await;
        Ok(())
    });
    // A report that is still being read has no client left.
    runtime.shutdown_background();
    result
}

/// Accepts one connection and takes a place for it. Returns `None` if there is no place, if this process itself dialled
/// the connection, or if accepting failed.
async fn accept(listener: &TcpListener, places: &Arc<Places>, loops: &Loops) -> Option<(TcpStream, Place)> {
    match listener.accept().await {
        Ok((stream, peer)) if loops.accept(peer, || stream.local_addr()) == Err(IsLoop) => None,
        Ok((stream, peer)) => match places.take(peer.ip()) {
            Ok(place) => Some((stream, place)),
            Err(_) => {
                // One try, and nothing is waited for: the sending buffer of a new socket is empty.
                let _gone = rustix::io::write(&stream, BUSY);
                None
            }
        },
        Err(_) => {
            // Out of files: a short rest, rather than a loop that takes the core.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
