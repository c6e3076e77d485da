//! How rooms that do not know where policies come from ask for a reload.

use std::sync::mpsc;

use tokio::sync::oneshot;

/// The revision in force then, or every mistake as a line.
pub type ReloadOutcome = Result<String, Vec<String>>;

/// A way to ask for a reload.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<Reload>);

/// A request to reload, at the loader.
#[derive(Debug)]
pub struct Reload(Option<oneshot::Sender<ReloadOutcome>>);

impl Reloads {
    /// A way to ask, and where it leads.
    pub fn new() -> (Self, mpsc::Receiver<Reload>) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), receiver)
    }

    /// Reloads now; the revision that is in force then.
    ///
    /// # Errors
    /// One line a mistake; the policy in force stays.
    pub async fn reload(&self) -> ReloadOutcome {
        let (sender, receiver) = oneshot::channel();
        let gone = || Err(vec!["the loader has stopped".to_owned()]);
        if self.0.send(Reload(Some(sender))).is_err() {
            return gone();
        }
        receiver.await.unwrap_or_else(|_| gone())
    }

    /// Asks for a reload without waiting for it.
    pub fn request(&self) {
        // A loader that has stopped is a process that is ending.
        let _ending = self.0.send(Reload(None));
    }
}

impl Reload {
    /// Receives the outcome, if a caller waits for it.
    pub fn into_answer(self) -> Option<oneshot::Sender<ReloadOutcome>> {
        self.0
    }
}
