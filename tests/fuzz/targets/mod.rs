//! What is fuzzed: everything that turns a stranger's bytes into something that we act on.
//!
//! A target takes any bytes and panics where a promise of the code does not hold. It asserts more than that nothing
//! panics: that splitting the input changes nothing, that what is written reads as it was meant, that a second, plainer
//! reader agrees.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a panic is how a target reports a finding"
)]

mod accept;
mod answer;
mod authority;
mod body;
mod config;
mod hello;
mod list;
mod pattern;
mod pieces;
mod policy;
mod problems;
mod request_head;
mod response_head;
mod socks5;
mod wire;

/// Takes one input.
pub(crate) type Target = fn(&[u8]);

/// Every target by its name.
pub(crate) const TARGETS: [(&str, Target); 12] = [
    ("accept", accept::check),
    ("answer", answer::check),
    ("authority", authority::check),
    ("body", body::check),
    ("config", config::check),
    ("hello", hello::check),
    ("list", list::check),
    ("pattern", pattern::check),
    ("policy", policy::check),
    ("request-head", request_head::check),
    ("response-head", response_head::check),
    ("socks5", socks5::check),
];
