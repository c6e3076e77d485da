//! Reports when the configuration file differs from the configuration that this process runs with.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracing::{info, warn};

use crate::config::OnDisk;

/// Between two looks: a read of some kilobytes, which people wait for after they have saved the file.
const LOOK: Duration = Duration::from_secs(1);

/// Looks again and again until `keep` is false.
///
/// # Errors
/// If the thread cannot be started.
pub(super) fn watch(file: &Arc<OnDisk>, keep: &Arc<AtomicBool>) -> io::Result<()> {
    let (file, keep) = (Arc::clone(file), Arc::clone(keep));
    std::thread::Builder::new().name("configuration".into()).spawn(move || {
        while keep.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
            let place = file.path().display();
            match file.look() {
                Some(true) => warn!("{place} has changed and is not in force: restart outgate to apply it"),
                Some(false) => info!("{place} is again what this process started with"),
                None => {}
            }
        }
    })?;
    Ok(())
}
