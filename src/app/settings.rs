//! What a configuration means for the rooms: their limits and settings.

use std::net::SocketAddr;

use super::StartError;
use super::listeners::BoundListener;
use crate::config::{Config, ParentConfig, Redacted};
use crate::dial::ParentProxy;
use crate::enforce;
use crate::facts::{Host, OwnAddresses};
use crate::protocol::{GateLimits, HeadLimits};
use crate::record;
use crate::sink::{self, Terminal};

/// How many records are kept in memory: the last minutes of a busy machine, in a few megabytes.
const RING: usize = 10_000;

/// The parent proxy of a configuration; `via` is what outgate calls itself in requests to it.
pub fn parent(config: &Config, via: &str) -> Option<enforce::Parent> {
    config.parent.clone().map(|ParentConfig { address, credentials, scope }| enforce::Parent {
        scope,
        proxy: ParentProxy::new(address, credentials, via),
    })
}

/// A parent that is this process would be a loop. Names that need a lookup are checked when the parent is dialled.
pub(super) fn refuse_own_parent(config: &Config, own: &OwnAddresses) -> Result<(), StartError> {
    let Some(ParentConfig { address, .. }) = &config.parent else { return Ok(()) };
    let fixed = |name| config.dns.hosts.iter().find(|(host, _)| host == name).map(|(_, ips)| ips.clone());
    let ips = match address.host() {
        Host::Ip(ip) => vec![*ip],
        Host::Name(name) => fixed(name).unwrap_or_default(),
    };
    let mut addrs = ips.into_iter().map(|ip| SocketAddr::new(ip, address.port().get()));
    addrs.find(|addr| own.contains(*addr)).map_or(Ok(()), |addr| Err(StartError::OwnParent(addr)))
}

pub(super) fn gate_limits(config: &Config) -> GateLimits {
    let limits = &config.limits;
    GateLimits {
        head_timeout: limits.head_timeout,
        hello_timeout: limits.hello_timeout,
        max_hello: limits.max_hello,
        keep_alive: limits.keep_alive_timeout,
        body_timeout: limits.body_timeout,
        head: HeadLimits { max_bytes: limits.max_head, max_fields: limits.max_fields },
    }
}

pub(super) fn record_settings(config: &Config, listeners: &[BoundListener], workers: usize) -> record::Settings {
    record::Settings {
        listeners: listeners.iter().map(|listener| listener.name.clone()).collect(),
        workers,
        required: config.record.required,
        redact: record::Redact {
            client: config.record.redact.contains(&Redacted::Client),
            path: config.record.redact.contains(&Redacted::Path),
            key: config.record.redact_key.clone(),
        },
        max_destinations: config.record.max_destinations,
    }
}

pub(super) fn sink_settings(config: &Config, terminal: Terminal) -> sink::Settings {
    let jsonl = config.record.jsonl.clone().map(|path| sink::Jsonl {
        path,
        max_size: config.record.max_size,
        files: config.record.files,
        keep: config.record.keep,
    });
    let sqlite = config.record.sqlite.clone().map(|path| sink::Sqlite {
        path,
        keep: config.record.keep,
        max_size: config.record.sqlite_max_size,
    });
    sink::Settings { jsonl, sqlite, chain_key: config.record.chain_key.clone(), terminal, ring: RING }
}
