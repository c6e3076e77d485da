//! Denied destinations as the admin API shows them.

use std::sync::Arc;
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::policy::DenyReason;
use crate::record::utc::UtcTime;

/// The response of `/v1/denials`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denials {
    /// Denied requests since the start.
    pub total: u64,
    /// The most denied destinations, the most denied first.
    pub destinations: Vec<DeniedDestination>,
    /// Denied requests that none of `destinations` counts: `total` less their sum.
    pub other: u64,
}

/// One denied destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeniedDestination {
    /// `host:port` as asked for, or `*.domain` for a domain's names that have no row of their own.
    #[serde(serialize_with = "as_text")]
    pub destination: Arc<str>,
    /// Why.
    #[serde(serialize_with = "as_token")]
    pub reason: DenyReason,
    /// How often, since the row appeared.
    pub count: u64,
    /// The first of them, UTC.
    #[serde(serialize_with = "as_utc")]
    pub first: SystemTime,
    /// The last of them, UTC.
    #[serde(serialize_with = "as_utc")]
    pub last: SystemTime,
    /// The rule that the last of them cited, if any.
    #[serde(serialize_with = "as_optional_text")]
    pub rule: Option<Arc<str>>,
    /// By which tools it was asked for: the listeners' names, in their order.
    pub tools: Vec<String>,
}

fn as_text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

fn as_optional_text<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}

fn as_token<S: Serializer>(reason: &DenyReason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.as_str())
}

fn as_utc<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&UtcTime(*time))
}
