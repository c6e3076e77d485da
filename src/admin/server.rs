//! The admin listener's connections: hyper's server, bounded in number and time.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use super::routes::{self, Admin};
use super::stall::NoStall;

/// Admin connections at once. Administrators, a scraper, a few dashboards; a flood waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 64;

/// A request head on the admin listener, and the silence before it: with few places nobody keeps one for later.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request head, and of an answer that hyper holds back. Browsers' heads for loopback are about 1 KiB; this is
/// 4 MiB for all places together.
const MAX_HEAD: usize = 64 * 1024;

/// Fields of a head. Browsers send about 20.
const MAX_FIELDS: usize = 64;

/// After shutdown, how long answers that are under way may take.
const DRAIN: Duration = Duration::from_secs(1);

/// Serves until the shutdown, on the calling thread.
///
/// # Errors
/// What the system says when it has no files for a runtime.
pub fn run(socket: TcpListener, admin: Arc<Admin>, mut shutdown: watch::Receiver<bool>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async move {
        let listener = tokio::net::TcpListener::from_std(socket)?;
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = shutdown.wait_for(|down| *down) => break,
                accepted = accept(&listener, &places) => accepted,
                Some(_) = connections.join_next() => continue,
            };
            let Some((stream, place)) = accepted else { continue };
            let admin = Arc::clone(&admin);
            connections.spawn(async move {
                let service = service_fn(move |request| routes::serve(Arc::clone(&admin), request));
                // A client that breaks the protocol or leaves has nothing to be told.
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
    // A report that is still being read has nobody left to be told.
    runtime.shutdown_background();
    result
}

/// One connection, once there is a place for it. None after an error of the accept itself.
async fn accept(
    listener: &tokio::net::TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, place)),
        Err(_) => {
            // Out of files: a short rest, rather than a loop that takes the core.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}
