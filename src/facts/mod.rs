//! The facts of a request before it is judged (the client, the destination, how and when it came), and the words for
//! how it can fail and end: errors and outcomes that several modules need.
//!
//! Guaranteed: every value here is already in its one canonical form. Text becomes a [`Host`] once; no other code parses or
//! normalises it again, so the bytes that are matched are the bytes that are resolved and recorded.
//!
//! Deliberately not here: I/O, clocks, serialisation, logging. Time is a field, so that a replay can judge yesterday.

mod address;
mod body_error;
mod client;
mod credentials;
mod dial_error;
mod head_error;
mod host;
mod nat64;
mod next_hop;
mod opening;
mod origin_fault;
mod outcome;
mod own;
mod proxy_error;
mod question;
mod request;
mod request_id;
mod resolve_error;
mod socks_error;
mod socks_reply;
mod tokens;

pub use address::{AddressClass, embedded_ipv4};
pub use body_error::BodyError;
pub use client::{Client, Identity, Peer, UnixCredentials};
pub use credentials::{Credentials, CredentialsError};
pub use dial_error::{DialError, ParentFault};
pub use head_error::HeadError;
pub use host::{Destination, DomainName, Host, HostError, MAX_NAME, Port};
pub use nat64::{Nat64Error, Nat64Prefix};
pub use next_hop::NextHop;
pub use opening::{Opening, ServerName};
pub use origin_fault::OriginFault;
pub use outcome::{ConnectionResult, Outcome};
pub use own::OwnAddresses;
pub use proxy_error::ProxyError;
pub use question::{Question, QuestionError};
pub use request::{Method, Protocol, RequestFacts, Tool, Upgrade};
pub use request_id::RequestId;
pub use resolve_error::ResolveError;
pub use socks_error::SocksError;
pub use socks_reply::SocksReply;

pub(crate) use tokens::tokens;
