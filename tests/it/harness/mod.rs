//! What every test needs: a proxy, an origin, a client, and patience.

mod account;
mod answer;
mod command;
mod conn;
mod hello;
mod metrics;
mod name_server;
#[cfg(target_os = "linux")]
mod network;
mod origin;
mod port;
mod proxy;
mod settings;
mod system;

use std::thread;
use std::time::{Duration, Instant};

pub use account::summary;
pub use answer::{Answer, Answers};
pub use command::{Finished, Outgate, finish};
pub use conn::{Conn, Ending};
pub use hello::{captured_clients, captured_hello, hello, hello_message, hello_with, in_records};
pub use metrics::Metrics;
pub use name_server::NameServer;
#[cfg(target_os = "linux")]
pub use network::in_own_network;
pub use origin::{Origin, answer, chunked, ok};
pub use port::Port;
pub use proxy::{Proxy, TOKEN, get, request};
pub use settings::{Settings, allow, policy, rule, small_disks_work};
pub use system::systems_can_be_made;

/// How long anything may take that is expected to happen. Far more than it needs on an idle machine; the tests share a
/// few cores.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// What the contract calls "within a second", with as much again because the tests share their cores.
pub const WITHIN_A_SECOND: Duration = Duration::from_secs(2);

/// Asks until there is an answer, every 10 ms; fails after [`PATIENCE`].
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "waited in vain until {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// As [`until`], for what comes out as a value that should equal another: shows both when it does not.
pub fn until_equal<T: PartialEq + std::fmt::Debug>(what: &str, expected: &T, mut ask: impl FnMut() -> T) {
    let began = Instant::now();
    loop {
        let got = ask();
        if got == *expected {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{what}:\n expected {expected:#?}\n      got {got:#?}");
        thread::sleep(Duration::from_millis(10));
    }
}
