//! The listeners of a configuration: bound, shared by the workers, with certificates that are renewed.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::{info, warn};

use super::StartError;
use crate::config::{Config, ListenProtocol};
use crate::listen;
use crate::protocol::Speaks;
use crate::tls::{Reload, TlsAcceptor};

/// A bound listener, as every worker gets it.
#[derive(Debug)]
pub(super) struct BoundListener {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) socket: TcpListener,
    pub(super) tls: Option<Arc<TlsAcceptor>>,
    pub(super) denials: bool,
    pub(super) speaks: Speaks,
}

/// A listener that is up.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Its name, which is the tool's label.
    pub name: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether clients connect by TLS.
    pub tls: bool,
    /// What is spoken there.
    pub speaks: Speaks,
}

/// Binds every listener, or none: sockets that were bound before one fails are closed by dropping them.
pub(super) fn bind_all(config: &Config) -> Result<Vec<BoundListener>, StartError> {
    config
        .listen
        .iter()
        .map(|listen| {
            let name = listen.name.clone();
            let bind = |error| StartError::Bind { name: listen.name.clone(), address: listen.address, error };
            let socket = listen::bind(listen.address).map_err(bind)?;
            let address = socket.local_addr().map_err(bind)?;
            let tls = match &listen.tls {
                Some(files) => {
                    let tls = TlsAcceptor::new(&files.cert, &files.key);
                    Some(Arc::new(
                        tls.map_err(|error| StartError::Tls { name: name.clone(), what: error.to_string() })?,
                    ))
                }
                None => None,
            };
            let speaks = Speaks {
                http: listen.protocols.contains(&ListenProtocol::Http),
                socks5: listen.protocols.contains(&ListenProtocol::Socks5),
            };
            Ok(BoundListener { name, address, socket, tls, denials: listen.denials, speaks })
        })
        .collect()
}

pub(super) fn names(listeners: &[BoundListener]) -> Vec<Listening> {
    let listening = |listener: &BoundListener| Listening {
        name: listener.name.clone(),
        address: listener.address,
        tls: listener.tls.is_some(),
        speaks: listener.speaks,
    };
    listeners.iter().map(listening).collect()
}

/// The same sockets for another worker.
pub(super) fn share(listeners: &[BoundListener]) -> io::Result<Vec<BoundListener>> {
    listeners
        .iter()
        .map(|listener| {
            Ok(BoundListener {
                name: listener.name.clone(),
                address: listener.address,
                socket: listener.socket.try_clone()?,
                tls: listener.tls.clone(),
                denials: listener.denials,
                speaks: listener.speaks,
            })
        })
        .collect()
}

/// Between two looks at certificate files. Renewal happens days before expiry.
const CERTIFICATE_LOOK: Duration = Duration::from_secs(1);

/// Watches the certificate files and uses renewed ones. A pair that is unusable is logged, and the old one stays.
pub(super) fn renew_certificates(listeners: &[BoundListener], keep: &Arc<AtomicBool>) -> io::Result<()> {
    let acceptors: Vec<_> =
        listeners.iter().filter_map(|listener| Some((listener.name.clone(), listener.tls.clone()?))).collect();
    if acceptors.is_empty() {
        return Ok(());
    }
    let keep = Arc::clone(keep);
    std::thread::Builder::new().name("certificates".into()).spawn(move || {
        while keep.load(Ordering::Relaxed) {
            std::thread::sleep(CERTIFICATE_LOOK);
            for (name, acceptor) in &acceptors {
                match acceptor.reload_if_changed() {
                    Ok(Reload::Unchanged) => {}
                    Ok(Reload::Replaced) => info!(listener = name, "certificate renewed"),
                    Err(error) => warn!(listener = name, "certificate not renewed, the old one stays in use: {error}"),
                }
            }
        }
    })?;
    Ok(())
}
