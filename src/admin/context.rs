//! What the admin listener shows and acts on.

use std::net::SocketAddr;
use std::sync::Arc;

use super::browser_session::BrowserSession;
use super::metrics;
use super::selftest::SelfTest;
use super::token::Token;
use crate::config::OnDisk;
use crate::enforce::Shared;
use crate::store::Reloads;

/// Everything that the admin listener shows and does.
#[derive(Debug)]
pub struct AdminContext {
    /// Where it listens.
    pub address: SocketAddr,
    /// What lets a client read.
    pub token: Token,
    /// The path and the cookie of a browser that brought the token once.
    pub browser: BrowserSession,
    /// Whether `/metrics` needs the token too.
    pub protect_metrics: bool,
    /// What the workers share: policy, records, resolver.
    pub shared: Arc<Shared>,
    /// How to reload the policy.
    pub reloads: Reloads,
    /// The metrics registry.
    pub metrics: metrics::Registry,
    /// What the self-test found last.
    pub selftest: Arc<SelfTest>,
    /// The configuration file that this process started with, if there is one.
    pub configuration: Option<Arc<OnDisk>>,
    /// The proxy's listeners: name, address, whether TLS.
    pub listeners: Vec<(String, SocketAddr, bool)>,
}

/// Where the dashboard is, for the banner.
#[derive(Clone, Debug)]
pub struct Link {
    /// Where it listens.
    pub address: SocketAddr,
    /// The link that opens it. It contains the token unless the token is in a file, where its permitted readers can
    /// find it.
    pub url: String,
}

impl AdminContext {
    /// Whether the configuration file is another than this process started with.
    pub(super) fn is_configuration_changed(&self) -> bool {
        self.configuration.as_ref().is_some_and(|file| file.is_changed())
    }
}
