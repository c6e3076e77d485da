//! outgate: a forward proxy that enforces, explains and counts an organisation's network-egress permissions.
//!
//! The rooms stand in the order in which data flows through them; a room imports only from those above it.

pub mod admin;
pub mod config;
pub mod dial;
pub mod enforce;
pub mod facts;
pub mod listen;
pub mod policy;
pub mod protocol;
pub mod record;
pub mod session;
pub mod source;
pub mod store;
pub mod tls;
pub mod tunnel;
