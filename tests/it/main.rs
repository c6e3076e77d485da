//! The program from outside: bytes on the wire, records, counts, exit codes.
//!
//! Guaranteed: each test starts a proxy of its own with ports and a folder of its own, on loopback alone; each wait has
//! a limit; what is asserted is what the documentation promises.
//!
//! `OUTGATE_BIN` names another binary to test. With `CI_REQUIRE_TOOLS=1` a missing curl, python3 or Prometheus is a failure,
//! with `CI_REQUIRE_NETNS=1` a machine without namespaces.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::cast_possible_truncation,
    clippy::needless_pass_by_value,
    reason = "a panic here is a failed test"
)]
#![allow(unreachable_pub, missing_docs, reason = "a test binary exports nothing")]

mod harness;

mod aborts;
mod admin;
mod banner;
mod broken_off;
mod chain;
mod cli;
mod cli_errors;
mod client_shares;
mod clients;
mod connect;
mod counts;
mod deploy;
mod dns;
mod doctor;
mod drain;
mod expectations;
mod faults;
mod forward;
mod forward_bodies;
mod forward_faults;
mod gate;
mod history;
mod in_force;
mod layering;
mod limits;
mod malformed;
#[cfg(target_os = "linux")]
mod metrics;
mod observe;
mod own_paths;
mod own_sockets;
mod pages;
mod parent;
mod privacy;
mod prometheus;
mod promises;
mod records;
mod reference;
mod reload;
mod report_api;
mod revoke;
mod scripted_names;
mod selftest;
mod socks5;
mod source_text;
#[cfg(target_os = "linux")]
mod threads;
mod tls_listener;
mod top;
mod tunnels;
