//! The process's own settings (`docs/reference/configuration.md`): where it listens, where its policy comes from, what it
//! records, its limits.
//!
//! Guaranteed: every key has a default, and what is not built yet is an error that says so, never ignored. A file is
//! read whole: all its mistakes are found at once, by the same tools and in the same words as a policy's.
//!
//! Deliberately not done here: opening anything. Files are named, not read; addresses are parsed, not bound.

mod address;
mod keys;
mod limits;
mod on_disk;
mod parent;
mod read;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use address::parse_address;
pub use limits::Limits;
pub use on_disk::OnDisk;

use crate::facts::{Credentials, Destination, DomainName, Nat64Prefix};
use crate::policy::text::{Section, reference};
use crate::policy::{ParentScope, Problems};

/// Where policy files are asked again whether they changed, for file systems that do not tell.
const POLL: Duration = Duration::from_secs(60);
/// A file of records is then 64 MiB of about 400 bytes each: some 150,000 requests, and small enough to open anywhere.
const MAX_RECORD_SIZE: u64 = 64 * 1024 * 1024;
/// With [`MAX_RECORD_SIZE`] the records take at most 192 MiB of disk.
const RECORD_FILES: usize = 3;
/// A record takes about 400 bytes: some five million, or two months of a request a second.
const MAX_DATABASE_SIZE: u64 = 2 * 1024 * 1024 * 1024;
/// A quarter: what an audit usually asks for.
const KEEP_RECORDS: Duration = Duration::from_secs(90 * 24 * 3600);
/// Each denied destination is a time series; Prometheus copes with a few thousand of one process.
const MAX_DESTINATIONS: usize = 2000;

/// The process's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where clients connect; never empty, names and addresses unique.
    pub listen: Vec<ListenConfig>,
    /// Where the policy comes from.
    pub policy: PolicyConfig,
    /// Metrics, health and the dashboard.
    pub admin: AdminConfig,
    /// What is kept of requests.
    pub record: RecordConfig,
    /// How long and how much.
    pub limits: Limits,
    /// How names are resolved.
    pub dns: DnsConfig,
    /// Another proxy on the way out; none: origins are reached directly.
    pub parent: Option<ParentConfig>,
}

/// One `[[listen]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenConfig {
    /// The tool's label.
    pub name: String,
    /// Where; port 0 takes any free one.
    pub address: SocketAddr,
    /// What is spoken there; never empty.
    pub protocols: Vec<ListenProtocol>,
    /// Clients connect by TLS.
    pub tls: Option<TlsFiles>,
    /// Whether it may be reached from other machines although clients are not authenticated.
    pub open: bool,
    /// Whether clients may ask for their own last denials.
    pub denials: bool,
}

/// What a listener speaks, found out by the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenProtocol {
    /// HTTP/1: `CONNECT` and absolute-form.
    Http,
    /// SOCKS5 (RFC 1928).
    Socks5,
}

/// A certificate and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// `[policy]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyConfig {
    /// The policy's file; none: the built-in starter policy. One entry at most in this version.
    pub source: Vec<PathBuf>,
    /// How often files are read again, in addition to being watched.
    pub poll: Duration,
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// Where; none: there is no admin listener.
    pub address: Option<SocketAddr>,
    /// The file that holds the token; none: a random one at each start.
    pub token_file: Option<PathBuf>,
    /// Whether `/metrics` needs the token as well.
    pub protect_metrics: bool,
    /// Whether it may be reached from other machines.
    pub open: bool,
}

/// `[record]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordConfig {
    /// The file of JSON lines; none: nothing is written to disk.
    pub jsonl: Option<PathBuf>,
    /// The size in bytes that a file is rotated at.
    pub max_size: u64,
    /// How many files there are, the current one among them.
    pub files: usize,
    /// The database of records; none: there is none.
    pub sqlite: Option<PathBuf>,
    /// How many bytes of the database may be in use; the oldest records go first.
    pub sqlite_max_size: u64,
    /// For how long records are kept, in the files and in the database.
    pub keep: Duration,
    /// What is left out of records.
    pub redact: Vec<Redacted>,
    /// The file that holds the key for what is hashed; none: a random key at each start.
    pub redact_key: Option<PathBuf>,
    /// The file that holds the key of the chain; none: anyone can compute it.
    pub chain_key: Option<PathBuf>,
    /// How many denied destinations are counted by name; the rest count under `other`.
    pub max_destinations: usize,
    /// Whether requests are refused while they cannot be recorded; then there is a file or a database.
    pub required: bool,
}

/// A column that records can do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redacted {
    /// The client's address is replaced by a keyed hash.
    Client,
    /// The path: empty.
    Path,
}

/// `[dns]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsConfig {
    /// Name servers; none: the system's resolver.
    pub servers: Vec<SocketAddr>,
    /// Names that are answered from here. Their addresses are vetted like any other.
    pub hosts: Vec<(DomainName, Vec<IpAddr>)>,
    /// Prefixes that this network's NAT64 translates; the address inside is judged as well.
    pub nat64: Vec<Nat64Prefix>,
}

/// `[parent]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentConfig {
    /// Where it is.
    pub address: Destination,
    /// What to log in with there.
    pub credentials: Option<Credentials>,
    /// What goes by it.
    pub scope: ParentScope,
}

impl Config {
    /// Reads a configuration in TOML. Relative paths in it are relative to `base`, the configuration file's own folder.
    /// With the configuration come warnings.
    ///
    /// # Errors
    /// Everything that is wrong with it; never an empty list.
    pub fn parse(text: &str, base: &Path) -> Result<(Self, Problems), Problems> {
        read::read(text, base)
    }

    /// What holds without a configuration file: the proxy on 127.0.0.1:3128, admin on 127.0.0.1:3129, the built-in
    /// policy, nothing written to disk.
    pub fn built_in() -> Self {
        Self {
            listen: vec![ListenConfig::built_in()],
            policy: PolicyConfig { source: Vec::new(), poll: POLL },
            admin: AdminConfig { address: Some(loopback(3129)), token_file: None, protect_metrics: false, open: false },
            record: RecordConfig {
                jsonl: None,
                max_size: MAX_RECORD_SIZE,
                files: RECORD_FILES,
                sqlite: None,
                sqlite_max_size: MAX_DATABASE_SIZE,
                keep: KEEP_RECORDS,
                redact: Vec::new(),
                redact_key: None,
                chain_key: None,
                max_destinations: MAX_DESTINATIONS,
                required: false,
            },
            limits: Limits::BUILT_IN,
            dns: DnsConfig { servers: Vec::new(), hosts: Vec::new(), nat64: Vec::new() },
            parent: None,
        }
    }

    /// Every key that may be written, with its default and its meaning, for help texts and manuals.
    pub fn reference() -> Vec<(String, &'static str, &'static str)> {
        reference(&keys::CONFIG)
    }
}

impl ListenConfig {
    /// 3128 is where Squid has listened since the nineties; clients and administrators expect a proxy there.
    fn built_in() -> Self {
        Self {
            name: "default".into(),
            address: loopback(3128),
            protocols: vec![ListenProtocol::Http, ListenProtocol::Socks5],
            tls: None,
            open: false,
            denials: true,
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

#[cfg(test)]
mod tests;

/// The keys of the configuration.
pub fn section() -> &'static Section {
    &keys::CONFIG
}
