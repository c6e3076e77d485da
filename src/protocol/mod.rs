//! What stands on the wire between a client and this proxy, in each protocol that a client may speak.
//!
//! Every protocol leads to the same place: `Enforcer::begin` at a request's first byte, `Attempt::open` for its way out.
//! No room here dials, resolves, decides or records by itself.

mod answer;
mod connect;
mod drain;
mod exchange;
mod forward;
mod gate;
pub mod head;
mod own;
pub mod pac;
pub mod reply;
pub mod socks5;
mod tunnelled;
pub mod visible;
mod wire;

pub use answer::BUSY;
pub use drain::Drain;
pub use gate::{Door, GateLimits, Speaks, serve};
pub use head::HeadLimits;
pub use own::OwnPaths;
