//! A near miss: a rule that names the host of a request and does not allow it.

use super::DenyReason;
use super::matcher::Clause;
use super::rule::Test;

/// A clause that names the host, and the test that the request failed there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Miss {
    pub(super) clause: Clause,
    pub(super) test: Test,
}

impl Miss {
    /// What a denial for it says.
    pub(super) fn reason(self) -> DenyReason {
        match self.test {
            Test::Port => DenyReason::PortNotAllowed,
            Test::Tool => DenyReason::ToolNotAllowed,
            Test::Period => DenyReason::OutsidePeriod,
            Test::Method => DenyReason::MethodNotAllowed,
        }
    }
}
