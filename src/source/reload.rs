//! Keeps the policy in force equal to what is written.
//!
//! Guaranteed:
//! - A change of the policy's files, of a list, or of a symlink on the way to one is in force within a second.
//! - A file is loaded only after it has looked the same for [`SETTLED`]: whoever writes it slowly is not read half-way.
//! - A policy that does not load never replaces the one in force; why is logged, counted and shown.
//! - Requests to reload that come while one runs are answered together by the next.
//!
//! Deliberately not done: inotify and its kin. A look at a handful of files five times a second costs nothing that can be
//! measured, and it works the same on network file systems, bind mounts, ConfigMaps and a Mac.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::{PolicySource, Watch};
use crate::store::{Reload, ReloadOutcome, Reloads, Store};
use crate::sync;

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(100);

/// How long the files must have looked the same before they are loaded. A writer that pauses for longer in the middle of
/// a file looks like one that has finished. With the look that finds the change, and a load of a million names in about
/// half a second, a change is in force within the second that the contract gives.
const SETTLED: Duration = Duration::from_millis(300);

/// Starts the loader's thread for a policy that is already in force.
///
/// # Errors
/// What the system says when it has no thread to give.
pub fn start(source: PolicySource, watch: Watch, store: Arc<Store>) -> std::io::Result<Reloads> {
    let (reloads, requests) = Reloads::new();
    thread::Builder::new().name("policy".into()).spawn(move || {
        // Compiling a million names must not take a core from requests.
        sync::give_way();
        Loader { source, seen: watch.clone(), since: Instant::now(), loaded: watch, store }.run(&requests);
    })?;
    Ok(reloads)
}

struct Loader {
    source: PolicySource,
    /// What the last look saw.
    seen: Watch,
    /// Since when it has looked so.
    since: Instant,
    /// What the last load, good or bad, was made of.
    loaded: Watch,
    store: Arc<Store>,
}

impl Loader {
    fn run(mut self, requests: &mpsc::Receiver<Reload>) {
        loop {
            match requests.recv_timeout(LOOK) {
                Ok(first) => {
                    let mut waiting = vec![first];
                    waiting.extend(requests.try_iter());
                    let outcome = self.load();
                    for answer in waiting.into_iter().filter_map(Reload::into_answer) {
                        // Whoever asked may have hung up.
                        let _gone = answer.send(outcome.clone());
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.look(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn look(&mut self) {
        self.store.free_retired();
        let now = self.loaded.again();
        if now != self.seen {
            self.seen = now;
            self.since = Instant::now();
        }
        if self.seen != self.loaded && self.since.elapsed() >= SETTLED {
            // The outcome is logged; nobody waits for it.
            let _logged = self.load();
        }
    }

    fn load(&mut self) -> ReloadOutcome {
        // Before there is one more: a million names are some 40 MB, and reloads may come without a pause.
        self.store.free_retired();
        let (watch, loaded) = self.source.load();
        self.seen = watch.clone();
        self.loaded = watch;
        match loaded {
            Ok(compiled) => {
                let revision = compiled.policy.revision().to_owned();
                info!(revision, rules = compiled.policy.rule_count(), "policy in force");
                for notice in compiled.notices() {
                    warn!("{notice}");
                }
                self.store.swap(compiled.policy);
                Ok(revision)
            }
            Err(mistakes) => {
                for mistake in &mistakes {
                    warn!("policy not loaded, the one before stays in force: {mistake}");
                }
                self.store.failed(mistakes.join("\n"));
                Err(mistakes)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_replaced_is_freed_although_reloads_come_without_a_pause() {
        let source = PolicySource::new(None);
        let (watch, compiled) = source.load();
        let store = Arc::new(Store::new(compiled.unwrap().policy, source.describe()));
        let reloads = start(source, watch, Arc::clone(&store)).unwrap();
        let mut replaced = Vec::new();
        for _ in 0..5 {
            replaced.push(Arc::downgrade(&store.current()));
            reloads.reload().await.unwrap();
        }
        // The last one is freed before the next load.
        assert_eq!(replaced.iter().filter(|policy| policy.strong_count() > 0).count(), 1);
    }
}
