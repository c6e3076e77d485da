//! The only room that resolves names and opens connections.
//!
//! Guaranteed:
//! - Nothing is resolved or dialled that a caller did not hand in: no redirects, no retries elsewhere, no second lookup.
//! - Every query is absolute; no search list ever applies, even if the name itself is not found.
//! - Lookups in progress, threads, attempts and waits are bounded, the lookups and threads of one client too.
//!
//! Deliberately not here: judging addresses. What a lookup returns is not vetted yet.

mod addresses;
mod connect;
mod local;
mod loops;
mod machine;
#[cfg(test)]
#[cfg(feature = "model")]
mod model_tests;
mod parent;
mod resolve;
mod servers;
mod system;

pub use addresses::Addresses;
pub use connect::{Dialled, connect};
pub use local::to_own_listener;
pub use loops::{IsLoop, Loops};
pub use machine::machine_addresses;
pub use parent::{ParentProxy, connect_by_parent};
pub use resolve::{CANARY_ZONE, DnsSettings, Resolver, SetUpError};
