//! One worker: a thread with a runtime of its own, where a connection lives from its first byte to its last.

use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::info;

use super::listeners::BoundListener;
use crate::enforce::{Enforcer, Shared};
use crate::facts::Tool;
use crate::listen::{AcceptLimits, Acceptor, Connections, HandoffInbox, WorkerHandoff};
use crate::protocol::{Drain, GateLimits, ListenerContext, OwnPaths};
use crate::session::{Cut, DirectoryInbox, ListenerId};

/// Between two sweeps when nothing has changed: silence is measured in seconds.
const TICK: Duration = Duration::from_secs(1);

/// What a worker is started with.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    /// Connections that other workers hand over.
    pub(super) inbox: HandoffInbox,
    /// The way to other workers' inboxes.
    pub(super) handoff: WorkerHandoff,
    pub(super) listeners: Vec<BoundListener>,
    pub(super) limits: GateLimits,
    pub(super) accept: AcceptLimits,
    pub(super) directory_inbox: DirectoryInbox,
    pub(super) drain_timeout: Duration,
    /// Turns true when the proxy shuts down.
    pub(super) shutdown: watch::Receiver<bool>,
    /// Ends the drain before its time is over.
    pub(super) drain_over: watch::Receiver<bool>,
}

/// Runs a worker on the calling thread until the shutdown is done.
///
/// # Errors
/// What the system says when it has no files for a runtime or a listener.
pub(super) fn run(plan: Plan) -> std::io::Result<()> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?.block_on(work(plan))
}

async fn work(plan: Plan) -> std::io::Result<()> {
    let Plan {
        index,
        shared,
        inbox,
        handoff,
        listeners,
        limits,
        accept,
        directory_inbox,
        drain_timeout,
        mut shutdown,
        mut drain_over,
    } = plan;
    let load = shared.worker_loads.worker(index);
    let enforcer = Rc::new(Enforcer::new(shared, index).map_err(std::io::Error::other)?);
    let drain = Rc::new(Drain::default());
    let connections = Connections::new(accept, load.clone(), handoff);
    let mut acceptors = Vec::new();
    let via: Rc<str> = enforcer.via().into();
    for (place, listener) in listeners.into_iter().enumerate() {
        let context = Rc::new(ListenerContext {
            enforcer: Rc::clone(&enforcer),
            // A name of this worker's own: cloning it per request must not touch another core's cache line.
            listener: ListenerId { index: place, tool: Tool::new(&listener.name) },
            own: OwnPaths { address: listener.address, tls: listener.tls.is_some(), denials: listener.denials },
            limits,
            via: Rc::clone(&via),
            speaks: listener.speaks,
            drain: Rc::clone(&drain),
        });
        let socket = tokio::net::TcpListener::from_std(listener.socket)?;
        let acceptor = Rc::new(Acceptor::new(context, listener.tls, Rc::clone(&connections)));
        tokio::task::spawn_local(Rc::clone(&acceptor).run(socket));
        acceptors.push(acceptor);
    }
    tokio::task::spawn_local(inbox.serve(acceptors));
    let registry = Rc::clone(enforcer.registry());
    tokio::task::spawn_local(async move { directory_inbox.answer(&registry).await });
    // It continues while the proxy drains: what may last until the drain time is over must not outlive its permission.
    let mut sweeping = pin!(sweep(&enforcer));
    tokio::select! {
        () = &mut sweeping => {}
        // A sender that is gone is a process that is ending.
        _ = shutdown.wait_for(|down| *down) => {}
    }
    drain.begin();
    let finished = timeout(drain_timeout, async {
        // Not only once: another worker may have handed over a connection just before it learned of the drain.
        while load.open() > 0 {
            connections.gone().await;
            enforcer.registry().gone().await;
            tokio::task::yield_now().await;
        }
    });
    let is_finished = tokio::select! {
        () = &mut sweeping => true,
        finished = finished => finished.is_ok(),
        Ok(_) = drain_over.wait_for(|over| *over) => false,
    };
    if !is_finished {
        enforcer.registry().cut_all(Cut::Shutdown);
        // One turn of the loop, so that what was cut writes its record.
        let _late = timeout(TICK, enforcer.registry().gone()).await;
        // What is not in the registry is dropped with the runtime.
        enforcer.stop();
    }
    Ok(())
}

/// Judges again what is open whenever the answer may have changed, and ends silent tunnels. It never ends by itself.
async fn sweep(enforcer: &Rc<Enforcer>) {
    let mut changes = enforcer.shared().store.subscribe();
    loop {
        let (tick, now) = (Instant::now() + TICK, SystemTime::now());
        let period = enforcer.snapshot().next_change_after(now);
        let due =
            period.and_then(|at| at.duration_since(now).ok()).map_or(tick, |wait| tick.min(Instant::now() + wait));
        tokio::select! {
            // The sender lives as long as the store.
            _ = changes.changed() => {}
            () = sleep_until(due) => {}
        }
        let revoked = enforcer.registry().sweep(enforcer.shared().limits.idle);
        if revoked > 0 {
            info!(
                revoked,
                revision = enforcer.snapshot().revision(),
                "tunnels and requests ended that the policy now denies"
            );
        }
    }
}
