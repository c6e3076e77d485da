//! Why a host has no addresses.

use super::tokens;
use crate::places::Full;

/// Why a host has no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// DNS answers that the name does not exist.
    #[error("there is no such name")]
    NotFound,
    /// The name exists and has no address.
    #[error("the name has no address")]
    NoAddresses,
    /// The resolver failed, refused, or sent something that does not answer the question.
    #[error("the name could not be looked up")]
    Failed,
    /// No answer in time.
    #[error("the name server did not answer in time")]
    Timeout,
    /// Too many lookups are in progress: `max-lookups`, `max-lookups-per-client`.
    #[error("{}", match .0 {
        Full::All => "too many names are being looked up (`max-lookups`)",
        Full::Client => "this client has its share of the lookups in progress (`max-lookups-per-client`)",
    })]
    Busy(Full),
}

tokens! { ResolveError, cause:
    NotFound => "no_such_name",
    NoAddresses => "no_addresses",
    Failed => "lookup_failed",
    Timeout => "lookup_timeout",
    Busy(Full::All) => "max_lookups",
}
