//! What the proxy found when it last asked itself whether it still denies. `app` asks; this is where it is read.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The last result, for metrics, API and dashboard.
#[derive(Debug, Default)]
pub struct SelfTest(Mutex<Option<SelfTestResult>>);

/// One result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelfTestResult {
    /// Whether every listener denied what it must always deny.
    pub ok: bool,
    /// When it was asked.
    pub at: SystemTime,
    /// What was asked and what was left out, or what is wrong.
    pub detail: String,
}

impl SelfTest {
    /// Notes a result. Gives back the one before.
    pub fn note(&self, tested: SelfTestResult) -> Option<SelfTestResult> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(tested)
    }

    /// The last result; none before the first.
    pub fn last(&self) -> Option<SelfTestResult> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the last result was good. What has not been tested is not good.
    pub fn is_ok(&self) -> bool {
        self.last().is_some_and(|tested| tested.ok)
    }
}
