//! outgate: a forward proxy that enforces, explains and counts an organisation's network-egress permissions.
//!
//! The rooms stand in the order in which data flows through them; a room imports only from those above it.

pub mod facts;

pub mod policy;

pub mod config;
pub mod dial;
pub mod record;
pub mod store;
pub mod tls;

pub mod session;
pub mod tunnel;

pub mod enforce;

pub mod protocol;

pub mod admin;
pub mod listen;
pub mod source;

pub mod app;
pub mod cli;
