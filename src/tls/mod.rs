//! TLS at the edges: the certificate that our own listeners show, and a stranger's ClientHello.
//!
//! Guaranteed: nothing here decrypts, changes or originates a byte of a tunnel. [`HelloReader`] only reads; what it read
//! is forwarded as it came.
//!
//! Deliberately not here: connecting to anything, judging a name, answering with an alert.

mod acceptor;
mod any_certificate;
mod hello;
#[cfg(test)]
mod hello_tests;

pub use acceptor::{AcceptorError, Reload, TlsAcceptor};
pub use any_certificate::to_own_listener;
pub use hello::{Hello, HelloError, HelloReader};
