//! Keeps the policy in force equal to what is written.
//!
//! Guaranteed:
//! - A change of the policy's files, of a list, or of a symlink on the way to one is in force within a second.
//! - A file is loaded only after it has looked the same for [`SETTLED`]: a file that is written slowly is not read half-way.
//! - A policy that does not load never replaces the one in force; why is logged, counted and shown.
//! - **The newest wins.** A change that arrives while an older one is still being loaded is loaded next to it, and what
//!   the older load comes to is dropped if the newer one ended first. So `enabled = false` never waits for a large file.
//! - Requests to reload that come while one runs are answered together by the next.
//! - What failed for a reason that may pass (no file descriptor) is tried again until it passes.
//!
//! Deliberately not done: inotify and its kin. A look at a handful of files ten times a second costs nothing that can be
//! measured, and it works the same on network file systems, bind mounts, ConfigMaps and a Mac.

use std::sync::{Arc, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{LoadedPolicy, PolicySource, Watch};
use crate::policy::text::ProblemReport;
use crate::store::{Reload, ReloadOutcome, Reloads, Store};
use crate::sync::{self, Mutex, MutexGuard};

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(100);

/// How long the files must have looked the same before they are loaded. A writer that pauses for longer in the middle of
/// a file looks like one that has finished. With the look that finds the change, and a load of a million names in about
/// half a second, a change is in force within the second that the contract gives.
const SETTLED: Duration = Duration::from_millis(300);

/// Loads that run next to each other: a slow one, the ones that replaced it, and room for the one that matters. Each may
/// hold a policy of the largest size, so there is a bound.
const MOST_AT_ONCE: usize = 4;

/// Mistakes of one load that are logged one by one. `policy validate` and the admin API show more of them.
const MOST_LOGGED: usize = 20;

/// One attempt to read and compile the policy; blocks.
type Load = dyn Fn() -> (Watch, Result<LoadedPolicy, ProblemReport>) + Send + Sync;

/// Starts the loader's thread for a policy that is already in force.
///
/// # Errors
/// What the system says when it has no thread to give.
pub fn start(source: PolicySource, observe: bool, watch: Watch, store: Arc<Store>) -> std::io::Result<Reloads> {
    start_with(Box::new(move || source.load(observe)), watch, store)
}

fn start_with(load: Box<Load>, watch: Watch, store: Arc<Store>) -> std::io::Result<Reloads> {
    let (reloads, requests) = Reloads::new();
    let shared = Arc::new(SharedLoads {
        load,
        store,
        state: Mutex::new(LoadState { ended: 0, loaded: watch.clone(), running: Vec::new(), last: None }),
    });
    let loader = Loader { shared, begun: 0, seen: watch, since: Instant::now(), waiting: Vec::new() };
    thread::Builder::new().name("policy".into()).spawn(move || {
        sync::give_way();
        loader.run(&requests);
    })?;
    Ok(reloads)
}

/// Looks at the files and begins loads.
struct Loader {
    shared: Arc<SharedLoads>,
    /// How many loads have begun; the number of the newest.
    begun: u64,
    /// What the last look saw.
    seen: Watch,
    /// Since when it has looked so.
    since: Instant,
    /// Requests for a load that has not begun.
    waiting: Vec<Reload>,
}

/// What the loader and its loads share.
struct SharedLoads {
    load: Box<Load>,
    store: Arc<Store>,
    state: Mutex<LoadState>,
}

struct LoadState {
    /// The number of the newest load that has ended.
    ended: u64,
    /// What that load, good or bad, was made of.
    loaded: Watch,
    /// The oldest first.
    running: Vec<RunningLoad>,
    /// What the newest load that has ended came to; none for the policy that the process began with.
    last: Option<ReloadOutcome>,
}

/// A load that runs.
struct RunningLoad {
    number: u64,
    /// How the files looked when it began.
    began_as: Watch,
    /// Who asked for it.
    asked: Vec<oneshot::Sender<ReloadOutcome>>,
}

impl Loader {
    fn run(mut self, requests: &mpsc::Receiver<Reload>) {
        loop {
            match requests.recv_timeout(LOOK) {
                Ok(first) => {
                    self.waiting.push(first);
                    self.waiting.extend(requests.try_iter());
                }
                Err(mpsc::RecvTimeoutError::Timeout) => self.shared.store.free_retired(),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            self.look();
            if self.is_due() {
                self.begin();
            }
        }
    }

    fn look(&mut self) {
        let now = self.shared.state().loaded.again();
        if now != self.seen {
            self.seen = now;
            self.since = Instant::now();
        }
    }

    fn is_due(&self) -> bool {
        let state = self.shared.state();
        let has_settled = self.since.elapsed() >= SETTLED;
        match state.running.last() {
            None => !self.waiting.is_empty() || self.seen != state.loaded && has_settled,
            // A load that reads the current content serves every waiting caller; one that began before the change
            // serves none.
            Some(newest) => {
                has_settled && self.seen.differs_from(&newest.began_as) && state.running.len() < MOST_AT_ONCE
            }
        }
    }

    fn begin(&mut self) {
        // Before there is one more: a million names are some 40 MB, and reloads may come without a pause.
        self.shared.store.free_retired();
        self.begun += 1;
        // What has to be tried again is not tried without a pause.
        self.since = Instant::now();
        let number = self.begun;
        let asked = self.waiting.drain(..).filter_map(Reload::into_answer).collect();
        {
            let mut state = self.shared.state();
            let began_as = state.loaded.again();
            state.running.push(RunningLoad { number, began_as, asked });
        }
        let shared = Arc::clone(&self.shared);
        let spawned = thread::Builder::new().name("policy-load".into()).spawn(move || {
            // Compiling a million names must not take a core from requests.
            sync::give_way();
            shared.load(number);
        });
        if spawned.is_err() {
            // The change must be applied even if no thread can be started.
            self.shared.load(number);
        }
    }
}

impl SharedLoads {
    fn load(&self, number: u64) {
        let (watch, loaded) = (self.load)();
        let mut state = self.state();
        let place = state.running.iter().position(|running| running.number == number);
        let asked = place.map(|place| state.running.remove(place).asked).unwrap_or_default();
        if number > state.ended {
            let outcome = self.conclude(loaded, state.last.as_ref().filter(|_| asked.is_empty()));
            state.ended = number;
            state.loaded = watch;
            state.last = Some(outcome);
        }
        let outcome = state.last.clone();
        drop(state);
        for answer in asked {
            // The client that asked may have hung up.
            let _gone = outcome.clone().map(|outcome| answer.send(outcome));
        }
    }

    /// Puts a policy in force, or says why not; in the log not again what `said` says already.
    fn conclude(&self, loaded: Result<LoadedPolicy, ProblemReport>, said: Option<&ReloadOutcome>) -> ReloadOutcome {
        match loaded {
            Ok(compiled) => {
                let revision = compiled.policy.revision().to_owned();
                info!(revision, rules = compiled.policy.rule_count(), "policy in force");
                let notices = compiled.notices();
                log(&notices, notices.len(), "");
                self.store.swap(compiled.policy);
                Ok(revision)
            }
            Err(report) => {
                let outcome = Err(report.lines());
                if said != Some(&outcome) {
                    let lines: Vec<_> = report.problems().iter().map(ToString::to_string).collect();
                    log(&lines, report.total(), "policy not loaded, the one before stays in force: ");
                    self.store.failed(report.to_string());
                }
                outcome
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, LoadState> {
        // The state is still valid after a load has panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs the first of these lines, and how many more there are of `total`.
fn log(lines: &[String], total: usize, before: &str) {
    let logged = lines.len().min(MOST_LOGGED);
    for line in lines.iter().take(logged) {
        warn!("{before}{line}");
    }
    if let Some(more) = total.checked_sub(logged).filter(|more| *more > 0) {
        warn!("{before}and {more} more; `outgate policy validate` shows them");
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::store::Status;

    #[tokio::test]
    async fn what_was_replaced_is_freed_although_reloads_come_without_a_pause() {
        let source = PolicySource::new(None);
        let (watch, compiled) = source.load(false);
        let store = Arc::new(Store::new(compiled.unwrap().policy, source.to_string()));
        let reloads = start(source, false, watch, Arc::clone(&store)).unwrap();
        let mut replaced = Vec::new();
        for _ in 0..5 {
            replaced.push(Arc::downgrade(&store.current()));
            reloads.reload().await.unwrap();
        }
        // The last one is freed before the next load.
        assert_eq!(replaced.iter().filter(|policy| policy.strong_count() > 0).count(), 1);
    }

    /// A loader of a policy file. A file that says `slow` is not through until it is let go.
    struct Slow {
        folder: tempfile::TempDir,
        store: Arc<Store>,
        reloads: Reloads,
        let_go: Vec<mpsc::Sender<()>>,
        begun: mpsc::Receiver<mpsc::Sender<()>>,
    }

    fn text(revision: &str, more: &str) -> String {
        format!("version = 1\nrevision = \"{revision}\"\n{more}")
    }

    impl Slow {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path: PathBuf = folder.path().join("policy.toml");
            std::fs::write(&path, text("r0", "")).unwrap();
            let source = PolicySource::new(Some(path));
            let (watch, compiled) = source.load(false);
            let store = Arc::new(Store::new(compiled.unwrap().policy, source.to_string()));
            let (tell, begun) = mpsc::channel();
            let load = move || {
                let loaded = source.load(false);
                let name = loaded.1.as_ref().map_or("", |compiled| compiled.policy.name());
                if name == "slow" {
                    let (go, wait) = mpsc::channel();
                    tell.send(go).unwrap();
                    wait.recv().unwrap();
                }
                loaded
            };
            let reloads = start_with(Box::new(load), watch, Arc::clone(&store)).unwrap();
            Self { folder, store, reloads, let_go: Vec::new(), begun }
        }

        fn write(&self, text: &str) {
            let (new, path) = (self.folder.path().join("new"), self.folder.path().join("policy.toml"));
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, path).unwrap();
        }

        /// Writes a policy that takes long, and waits until it is being loaded.
        fn write_slow(&mut self, revision: &str) {
            self.write(&text(revision, "name = \"slow\"\n"));
            self.let_go.push(self.begun.recv_timeout(Duration::from_secs(20)).expect("the slow load begins"));
        }

        fn until(&self, what: &str, holds: impl Fn(&str, &Status) -> bool) {
            let began = Instant::now();
            while !holds(self.store.current().revision(), &self.store.status()) {
                assert!(began.elapsed() < Duration::from_secs(20), "{what}: {:?}", self.store.status());
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    #[test]
    fn a_slow_load_never_delays_the_next_and_never_replaces_it() {
        let mut slow = Slow::start();
        slow.write_slow("r1");
        slow.write_slow("r2");
        slow.write(&text("r3", "enabled = false\n"));
        slow.until("the switch is in force while older files are being loaded", |revision, _| revision == "r3");
        assert!(!slow.store.current().enabled());
        for go in slow.let_go.drain(..) {
            go.send(()).unwrap();
        }
        slow.write(&text("r4", ""));
        slow.until("what comes after is in force", |revision, status| {
            assert!(matches!(revision, "r3" | "r4"), "{revision} came back");
            revision == "r4" && status.reloads == 2
        });
    }

    #[test]
    fn an_older_load_that_ends_first_is_in_force_until_the_newer_one_is() {
        let mut slow = Slow::start();
        slow.write_slow("r1");
        slow.write_slow("r2");
        let newer = slow.let_go.pop().unwrap();
        slow.let_go.pop().unwrap().send(()).unwrap();
        slow.until("the older one is in force", |revision, _| revision == "r1");
        newer.send(()).unwrap();
        slow.until("the newer one is in force", |revision, status| revision == "r2" && status.reloads == 2);
    }

    #[test]
    fn a_newer_mistake_leaves_what_was_in_force_and_not_what_is_still_being_loaded() {
        let mut slow = Slow::start();
        slow.write_slow("r1");
        slow.write("nonsense");
        slow.until("the mistake is known", |_, status| status.error.is_some());
        slow.let_go.pop().unwrap().send(()).unwrap();
        slow.write(&text("r2", ""));
        slow.until("the next one is in force", |revision, status| {
            assert!(matches!(revision, "r0" | "r2"), "{revision} is older than the mistake");
            revision == "r2" && status.failures == 1
        });
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn who_asked_for_a_load_that_was_overtaken_hears_of_the_newer_one() {
        let mut slow = Slow::start();
        slow.write(&text("r1", "name = \"slow\"\n"));
        let reloads = slow.reloads.clone();
        let asked = tokio::spawn(async move { reloads.reload().await });
        let go = slow.begun.recv_timeout(Duration::from_secs(20)).unwrap();
        slow.write(&text("r2", ""));
        slow.until("the newer one is in force", |revision, _| revision == "r2");
        go.send(()).unwrap();
        assert_eq!(asked.await.unwrap(), Ok("r2".to_owned()));
        slow.let_go.clear();
    }
}
