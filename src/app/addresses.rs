//! This machine's addresses, kept as they are: a laptop changes networks, a container gets another interface.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tracing::{info, warn};

use crate::dial;
use crate::enforce::Shared;
use crate::facts::OwnAddresses;

/// Between two looks. A look is one system call and a few microseconds; until it is taken, a connection to a new address of
/// this machine is known for a loop only once it is made (`dial::Loops`).
const LOOK: Duration = Duration::from_secs(2);

/// Looks again and again until `keep` is false.
///
/// # Errors
/// If the thread cannot be started.
pub(super) fn watch(shared: &Arc<Shared>, keep: &Arc<AtomicBool>) -> io::Result<()> {
    let (shared, keep) = (Arc::clone(shared), Arc::clone(keep));
    std::thread::Builder::new().name("addresses".into()).spawn(move || {
        let mut is_reported = false;
        while keep.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            match refresh(&shared.own, dial::machine_addresses()) {
                Ok(changed) => {
                    is_reported = false;
                    if changed {
                        info!("this machine's addresses have changed");
                    }
                }
                Err(error) if !is_reported => {
                    is_reported = true;
                    warn!("cannot list this machine's addresses; the last known ones stay in use: {error}");
                }
                Err(_) => {}
            }
        }
    })?;
    Ok(())
}

/// Takes up what a look found; whether it was news. After a failure the addresses stay as they were.
fn refresh(own: &ArcSwap<OwnAddresses>, found: io::Result<Vec<IpAddr>>) -> io::Result<bool> {
    let current = own.load();
    let next = current.with_machine(found?);
    let changed = next != **current;
    if changed {
        own.store(Arc::new(next));
    }
    Ok(changed)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    #[test]
    fn a_new_address_counts_and_one_that_is_gone_no_longer_does() {
        let ips = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpAddr>>();
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let own = ArcSwap::from_pointee(OwnAddresses::new(vec![at("0.0.0.0:3128")], ips(&["192.0.2.1"])));
        let is_ours = |text: &str| own.load().contains(at(text));
        assert!(is_ours("192.0.2.1:3128") && !is_ours("192.0.2.2:3128"));
        assert!(refresh(&own, Ok(ips(&["192.0.2.2", "::1"]))).unwrap());
        assert!(!is_ours("192.0.2.1:3128") && is_ours("192.0.2.2:3128"));
        assert!(!refresh(&own, Ok(ips(&["::1", "192.0.2.2"]))).unwrap(), "a different order is not a change");
        assert!(refresh(&own, Err(io::ErrorKind::OutOfMemory.into())).is_err());
        assert!(is_ours("192.0.2.2:3128"), "what was known stays");
    }
}
