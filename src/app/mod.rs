//! The composition root: from a configuration to a running proxy, and to its end.
//!
//! Guaranteed: either everything is loaded and bound, or nothing is and the error says why; on shutdown nothing new is
//! accepted, what is under way may finish within the drain time, and every record is written.

mod addresses;
pub mod canary;
mod configuration_file;
mod listeners;
mod selftest;
mod settings;
mod start_error;
mod via;
mod worker;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tracing::warn;

use crate::admin;
use crate::config::{Config, OnDisk};
use crate::dial::{self, DnsSettings, Loops, Resolver};
use crate::enforce;
use crate::facts::{Destination, OwnAddresses};
use crate::history;
use crate::listen::{self, AcceptLimits};
use crate::places::Places;
use crate::record::Recorder;
use crate::session::{TunnelDirectory, WorkerLoads};
use crate::sink::{SinkKind, Sinks, Terminal};
use crate::source::{self, PolicySource};
use crate::store::{Reloads, Store};

use self::listeners::{BoundListener, bind_all, names, renew_certificates, share};
use self::settings::{gate_limits, record_settings, refuse_own_parent, sink_settings};
use self::worker::Plan;

pub use listeners::Listening;
pub(crate) use selftest::lets_unlisted_pass;
pub use settings::parent;
pub use start_error::StartError;

/// Ends a drain at once: what is still open is cut and recorded as if the drain time were over.
#[derive(Clone, Debug)]
pub struct DrainOver(watch::Sender<bool>);

impl DrainOver {
    /// Ends it.
    pub fn end(&self) {
        self.0.send_replace(true);
    }
}

/// A proxy that is up.
#[derive(Debug)]
pub struct RunningProxy {
    /// Where it listens, in the order of the configuration.
    pub listeners: Vec<Listening>,
    /// Where the admin listener is, and its token.
    pub admin: Option<admin::Link>,
    /// The parent proxy's host and port, if there is one on the way out.
    pub parent: Option<Destination>,
    /// The policy in force.
    pub store: Arc<Store>,
    sinks: Arc<Sinks>,
    reloads: Reloads,
    shutdown: watch::Sender<bool>,
    drain_over: DrainOver,
    threads: Vec<JoinHandle<io::Result<()>>>,
    keep: Arc<AtomicBool>,
    /// Ends the self-test by being dropped.
    testing: std::sync::mpsc::Sender<()>,
}

/// Starts everything that the configuration names. `file` is where it was read from, if it was.
///
/// # Errors
/// The first thing that fails. No socket stays bound then.
pub fn start(
    config: &Config,
    file: Option<OnDisk>,
    terminal: Terminal,
    observe: bool,
) -> Result<RunningProxy, StartError> {
    let system = |what: &str| {
        let what = what.to_owned();
        move |error| StartError::System { what, error }
    };
    raise_file_limit();
    let file = file.map(Arc::new);
    let source = PolicySource::new(config.policy.source.first().cloned());
    let (watch, loaded) = source.load(observe);
    let compiled = loaded.map_err(StartError::Policy)?;
    for notice in compiled.notices() {
        warn!("{notice}");
    }
    let listeners = bind_all(config)?;
    let admin_socket = match config.admin.address {
        Some(address) => {
            Some(listen::bind(address).map_err(|error| StartError::Bind { name: "admin".into(), address, error })?)
        }
        None => None,
    };
    let mut own: Vec<SocketAddr> = listeners.iter().map(|listener| listener.address).collect();
    own.extend(admin_socket.iter().filter_map(|socket| socket.local_addr().ok()));
    let loops = Loops::new(&own);
    let machine = dial::machine_addresses().map_err(system("cannot list this machine's addresses"))?;
    let own = OwnAddresses::new(own, machine).with_nat64(config.dns.nat64.clone());
    refuse_own_parent(config, &own)?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let (recorder, intake) =
        Recorder::new(record_settings(config, &listeners, workers)).map_err(system("cannot record"))?;
    let sinks = Sinks::start(intake, sink_settings(config, terminal)).map_err(system("cannot record"))?;
    if let Some(path) = sinks.path(SinkKind::Sqlite) {
        history::backfill::start(&recorder, path.to_owned(), sinks.opened_at());
    }
    let sinks = Arc::new(sinks);
    let store = Arc::new(Store::new(compiled.policy, source.to_string()));
    let reloads =
        source::start(source, observe, watch, Arc::clone(&store)).map_err(system("cannot watch the policy"))?;
    let resolver = Resolver::new(DnsSettings {
        servers: config.dns.servers.clone(),
        hosts: config.dns.hosts.clone(),
        timeout: config.limits.dns_timeout,
        in_flight: Places::new(config.limits.max_lookups, config.limits.max_lookups_per_client),
    })
    .map_err(|error| system("cannot resolve names")(io::Error::other(error)))?;
    let via = via::name().map_err(system("cannot make up a name for Via"))?;
    let (tunnel_directory, directory_inboxes) = TunnelDirectory::new(workers);
    let shared = Arc::new(enforce::Shared {
        store: Arc::clone(&store),
        recorder,
        sinks: Arc::clone(&sinks),
        resolver,
        parent: parent(config, &via),
        own: Arc::new(ArcSwap::from_pointee(own)),
        loops,
        tunnel_directory,
        limits: enforce::Limits {
            connect: config.limits.connect_timeout,
            idle: config.limits.idle_timeout,
            tunnels: Places::new(config.limits.max_tunnels, config.limits.max_tunnels_per_client),
            dials: Places::new(config.limits.max_dials, config.limits.max_dials_per_client),
        },
        worker_loads: WorkerLoads::new(workers),
        via,
    });
    let (shutdown, down) = watch::channel(false);
    let (drain_over, over) = watch::channel(false);
    let accept = AcceptLimits {
        connections: Places::new(config.limits.max_connections, config.limits.max_connections_per_client),
        handshakes: Places::new(config.limits.max_handshakes, config.limits.max_handshakes_per_client),
    };
    let mut threads = Vec::new();
    let (inboxes, handoff) = listen::worker_handoff(workers);
    for (index, (directory_inbox, inbox)) in directory_inboxes.into_iter().zip(inboxes).enumerate() {
        let plan = Plan {
            index,
            inbox,
            handoff: handoff.clone(),
            shared: Arc::clone(&shared),
            listeners: share(&listeners).map_err(system("cannot share a listening socket"))?,
            limits: gate_limits(config),
            accept: accept.clone(),
            directory_inbox,
            drain_timeout: config.limits.drain_timeout,
            shutdown: down.clone(),
            drain_over: over.clone(),
        };
        let thread = std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || worker::run(plan));
        threads.push(thread.map_err(system("cannot start a worker"))?);
    }
    let selftest = Arc::new(admin::SelfTest::default());
    // Before the admin listener starts, so that the self-test has run before `/readyz` says ready.
    let testing = selftest::start(selftest::SelfTestPlan::new(&shared, &listeners, &selftest))
        .map_err(system("cannot start the self-test"))?;
    let admin = match admin_socket {
        Some(socket) => {
            let (link, thread) =
                start_admin(config, file.as_ref(), socket, &shared, &reloads, selftest, &listeners, &down)?;
            threads.push(thread);
            Some(link)
        }
        None => None,
    };
    let keep = Arc::new(AtomicBool::new(true));
    if let Some(file) = &file {
        configuration_file::watch(file, &keep).map_err(system("cannot watch the configuration file"))?;
    }
    addresses::watch(&shared, &keep).map_err(system("cannot watch this machine's addresses"))?;
    renew_certificates(&listeners, &keep).map_err(system("cannot watch the certificates"))?;
    let listeners = names(&listeners);
    let parent = config.parent.as_ref().map(|parent| parent.address.clone());
    Ok(RunningProxy {
        listeners,
        admin,
        parent,
        store,
        sinks,
        reloads,
        shutdown,
        drain_over: DrainOver(drain_over),
        threads,
        keep,
        testing,
    })
}

impl RunningProxy {
    /// A way to ask for a reload of the policy.
    pub fn reloads(&self) -> &Reloads {
        &self.reloads
    }

    /// A way to end the drain while [`Self::shutdown`] waits for it.
    pub fn drain_over(&self) -> DrainOver {
        self.drain_over.clone()
    }

    /// Stops accepting, lets what is under way finish within the drain time, and writes every record.
    pub fn shutdown(self) {
        self.keep.store(false, Ordering::Relaxed);
        drop(self.testing);
        // Workers that are gone already have nothing left to drain.
        let _gone = self.shutdown.send(true);
        for thread in self.threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => warn!("a worker ended with: {error}"),
                Err(_) => warn!("a worker ended because of a defect in outgate"),
            }
        }
        self.sinks.shutdown();
    }
}

#[expect(clippy::too_many_arguments, reason = "each is one thing that the admin listener shows")]
fn start_admin(
    config: &Config,
    file: Option<&Arc<OnDisk>>,
    socket: TcpListener,
    shared: &Arc<enforce::Shared>,
    reloads: &Reloads,
    selftest: Arc<admin::SelfTest>,
    listeners: &[BoundListener],
    down: &watch::Receiver<bool>,
) -> Result<(admin::Link, JoinHandle<io::Result<()>>), StartError> {
    let system = |error| StartError::System { what: "cannot start the admin listener".into(), error };
    let address = socket.local_addr().map_err(system)?;
    let token = match &config.admin.token_file {
        Some(path) => admin::Token::from_file(path).map_err(StartError::Token)?,
        None => admin::Token::random().map_err(system)?,
    };
    let url = match &config.admin.token_file {
        // The token is in the file; printing it would put it into a log.
        Some(_) => format!("http://{address}/"),
        None => format!("http://{address}/?token={}", token.reveal()),
    };
    let metrics = admin::Registry::new(shared.recorder.metrics(), shared.sinks.metrics());
    let admin = Arc::new(admin::AdminContext {
        address,
        token,
        browser: admin::BrowserSession::random().map_err(system)?,
        protect_metrics: config.admin.protect_metrics,
        shared: Arc::clone(shared),
        reloads: reloads.clone(),
        metrics: metrics.map_err(|error| system(io::Error::other(error)))?,
        selftest,
        configuration: file.cloned(),
        listeners: names(listeners)
            .into_iter()
            .map(|listening| (listening.name, listening.address, listening.tls))
            .collect(),
    });
    let down = down.clone();
    let run = move || admin::run(socket, admin, down);
    let thread = std::thread::Builder::new().name("admin".into()).spawn(run).map_err(system)?;
    Ok((admin::Link { address, url }, thread))
}

/// Two files for each tunnel: the usual soft limit of 1,024 (256 on a Mac) is a few hundred tunnels.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // macOS refuses more than OPEN_MAX although its hard limit says unlimited.
    let wanted =
        if cfg!(target_os = "macos") { Some(limit.maximum.unwrap_or(10_240).min(10_240)) } else { limit.maximum };
    if setrlimit(Resource::Nofile, Rlimit { current: wanted, maximum: limit.maximum }).is_err() {
        warn!(
            "cannot raise the limit on open files; {} stay allowed",
            limit.current.map_or_else(|| "unlimited".into(), |n| n.to_string())
        );
    }
}
