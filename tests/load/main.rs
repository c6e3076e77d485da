//! What `tests/load/run` starts: an origin, a floor to compare proxies with, and the load.
//!
//!     load origin 127.0.0.1:18080                 answers requests, and tunnels in the way that they ask for
//!     load floor 127.0.0.1:18081                  a proxy that decides nothing, looks nothing up and records nothing
//!     load connect --proxy 127.0.0.1:18081 --origin 18080 --pid 4711        one measurement; the others by --help
//!
//! A measurement prints one line of JSON. Everything stays on loopback: other addresses are refused. Every loop
//! ends after a time and after a thousand failures in a row; origin and floor also end with the process that started them.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "a measurement that breaks has to stop, and its numbers are far from any limit"
)]

#[cfg(target_os = "linux")]
mod answer;
#[cfg(target_os = "linux")]
mod bulk;
#[cfg(target_os = "linux")]
mod floor;
#[cfg(target_os = "linux")]
mod idle;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod origin;
#[cfg(target_os = "linux")]
mod poll;
#[cfg(target_os = "linux")]
mod requests;
#[cfg(target_os = "linux")]
mod tree;
#[cfg(target_os = "linux")]
mod tunnel;

#[cfg(target_os = "linux")]
fn main() {
    use clap::Parser as _;
    use options::Role;
    use rustix::process::{Signal, set_parent_process_death_signal};

    // Nothing is left running when the one that measures is killed.
    set_parent_process_death_signal(Some(Signal::TERM)).expect("Linux has this");
    let done = match Role::parse() {
        Role::Origin(server) => origin::serve(&server),
        Role::Floor(server) => floor::serve(&server),
        Role::Connect(load) => requests::run(requests::Kind::Connect, &load),
        Role::DenyConnect(load) => requests::run(requests::Kind::DenyConnect, &load),
        Role::Get(load) => requests::run(requests::Kind::Get, &load),
        Role::DenyGet(load) => requests::run(requests::Kind::DenyGet, &load),
        Role::Down(load) => bulk::run(bulk::Direction::Down, &load),
        Role::Up(load) => bulk::run(bulk::Direction::Up, &load),
        Role::Both(load) => bulk::run(bulk::Direction::Both, &load),
        Role::Idle(load) => idle::run(&load),
    };
    if let Err(error) = done {
        eprintln!("load: {error}");
        std::process::exit(2);
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("load: only on Linux, whose epoll, splice and /proc it uses");
    std::process::exit(2);
}
