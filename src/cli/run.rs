//! `outgate run`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use super::{banner, configuration, fail};
use crate::app::{self, DrainOver, RunningProxy};
use crate::config::{Config, OnDisk, parse_address};
use crate::sink::Terminal;

#[derive(Debug, ClapArgs)]
pub(super) struct Args {
    /// The policy file, instead of the configuration's
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// The address to listen on, instead of the configuration's listeners
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The address of the admin listener, or `off`
    #[arg(long, value_name = "ADDRESS|off")]
    admin: Option<String>,
    /// Let requests pass that no rule covers, and record them as `observe`
    #[arg(long)]
    observe: bool,
    /// How decisions and messages are written to stderr [default: text on a terminal, JSON elsewhere]
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

pub(super) fn run(config: Option<&Path>, args: Args) -> ExitCode {
    let text = match args.log_format {
        Some(LogFormat::Text) => true,
        Some(LogFormat::Json) => false,
        None => std::io::stderr().is_terminal(),
    };
    log_to_stderr(text);
    // Before it is parsed: a change in between is seen as one.
    let file = config.and_then(|path| OnDisk::read(path).ok());
    let (mut config, warnings) = match configuration(config) {
        Ok(read) => read,
        Err(error) => return fail(&error),
    };
    for warning in warnings {
        warn!("{warning}");
    }
    let observe = args.observe;
    if let Err(error) = override_with(&mut config, args) {
        return fail(&error);
    }
    // Before anything listens, so that signals work as soon as a client can connect.
    let signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("cannot wait for signals: {error}")),
    };
    let terminal = if text { Terminal::Lines } else { Terminal::Json };
    let running = match app::start(&config, file, terminal, observe) {
        Ok(running) => running,
        Err(error) => return fail(&error.to_string()),
    };
    if text {
        banner::print(&running);
    } else {
        announce(&running);
    }
    let signals = signals.until_signalled(&running);
    info!("shutting down");
    signals.then_end(running.drain_over());
    running.shutdown();
    ExitCode::SUCCESS
}

/// The command line's wishes, over the file's.
fn override_with(config: &mut Config, args: Args) -> Result<(), String> {
    let address =
        |flag: &str, text: &str| parse_address(text).map_err(|(what, fix)| format!("--{flag}: {what}; {fix}"));
    if let Some(policy) = args.policy {
        config.policy.source = vec![policy];
    }
    if let Some(listen) = args.listen {
        let address = address("listen", &listen)?;
        config.listen.truncate(1);
        if let Some(first) = config.listen.first_mut() {
            if !address.ip().is_loopback() && !first.open {
                return Err(format!(
                    "--listen {address} can be reached from other machines; that needs `open = true` in a configuration"
                ));
            }
            first.address = address;
        }
    }
    match args.admin.as_deref() {
        None => {}
        Some("off") => config.admin.address = None,
        Some(text) => {
            let address = address("admin", text)?;
            if !address.ip().is_loopback() && !config.admin.open {
                return Err(format!(
                    "--admin {address} can be reached from other machines; the admin listener is for this one"
                ));
            }
            config.admin.address = Some(address);
        }
    }
    Ok(())
}

/// The signals that this process heeds.
struct Signals {
    runtime: tokio::runtime::Runtime,
    reload: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let (reload, terminate, interrupt) = {
            let _context = runtime.enter();
            (signal(SignalKind::hangup())?, signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
        };
        Ok(Self { runtime, reload, terminate, interrupt })
    }

    /// Waits for SIGTERM, SIGINT, or the end of the terminal that this runs in; SIGHUP reloads meanwhile.
    fn until_signalled(mut self, running: &RunningProxy) -> Self {
        let has_terminal = std::io::stderr().is_terminal();
        let Self { runtime, reload, terminate, interrupt } = &mut self;
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = terminate.recv() => return,
                    _ = interrupt.recv() => return,
                    // Closing the terminal also sends SIGHUP; stderr is then no longer a terminal.
                    _ = reload.recv() => match has_terminal && !std::io::stderr().is_terminal() {
                        true => return,
                        false => running.reloads().request(),
                    },
                }
            }
        });
        self
    }

    /// From now on another SIGTERM or SIGINT ends the drain.
    fn then_end(self, drain: DrainOver) {
        let Self { runtime, mut terminate, mut interrupt, .. } = self;
        let wait = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            });
            drain.end();
        };
        // Without this thread the drain lasts as long as is configured.
        let _thread = std::thread::Builder::new().name("signals".into()).spawn(wait);
    }
}

/// Messages of this program to stderr; its libraries' own are left out, they speak of other things.
fn log_to_stderr(text: bool) {
    use tracing_subscriber::filter::{LevelFilter, Targets};
    use tracing_subscriber::fmt;
    use tracing_subscriber::prelude::*;

    let targets = Targets::new().with_target("outgate", LevelFilter::INFO);
    let registry = tracing_subscriber::registry().with(targets);
    // A second subscriber in one process is a test's affair.
    let _already = if text {
        let layer = fmt::layer().with_writer(std::io::stderr).with_target(false).without_time().compact();
        registry.with(layer.with_ansi(std::io::stderr().is_terminal())).try_init()
    } else {
        registry.with(fmt::layer().json().with_writer(std::io::stderr).with_target(false)).try_init()
    };
}

/// The banner's content for machines.
fn announce(running: &RunningProxy) {
    let policy = running.store.current();
    for app::Listening { name, address, tls, .. } in &running.listeners {
        info!(listener = name, %address, tls, "listening");
    }
    if let Some(admin) = &running.admin {
        info!(address = %admin.address, "admin");
    }
    if let Some(parent) = &running.parent {
        info!(address = %parent, "parent proxy");
    }
    info!(name = policy.name(), revision = policy.revision(), rules = policy.rule_count(), "policy in force");
}
