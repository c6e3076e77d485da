//! What a request is, before anyone judges it: who asks, for where, how, and when.
//!
//! Guaranteed: every value here is already in its one canonical form. Text became a [`Host`] once, at the door; nobody
//! parses or normalises it again, so the bytes that are matched are the bytes that are resolved and recorded.
//!
//! Deliberately not here: I/O, clocks, serialisation, logging. Time is a field, so that a replay can judge yesterday.

mod address;
mod credentials;
mod host;
mod nat64;
mod opening;
mod own;
mod question;
mod request;

pub use address::{AddressClass, embedded_ipv4};
pub use credentials::{Credentials, CredentialsError};
pub use host::{Destination, DomainName, Host, HostError, MAX_NAME, Port};
pub use nat64::{Nat64Error, Nat64Prefix};
pub use opening::{Opening, ServerName};
pub use own::OwnAddresses;
pub use question::{Question, QuestionError};
pub use request::{Client, Method, Protocol, RequestFacts, Tool, Upgrade};
