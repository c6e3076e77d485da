//! outgate: a forward proxy that enforces, explains and counts an organisation's network-egress permissions.
//!
//! A policy answers questions by itself, without a proxy around it:
//!
//! ```
//! use std::sync::Arc;
//! use std::time::SystemTime;
//!
//! use outgate::facts::{Client, Question, RequestFacts, Tool};
//! use outgate::policy::text::{Format, read_policy};
//! use outgate::policy::{Decision, Policy, Snapshot, Source};
//!
//! let text = "version = 1\nname = \"Example Corp\"\nallow = [\"*.example.com\"]";
//! let document = read_policy(text, Format::Toml).expect("no mistakes");
//! let compiled = Policy::compile(&document, Source { lists: &[], content_hash: "" }).expect("no mistakes");
//! let policy = Snapshot::from(compiled.policy);
//!
//! let facts = |to: &str| {
//!     let Question { destination, protocol, method, upgrade, path } = Question::parse(to).expect("a URL");
//!     let client = Client::hypothetical();
//!     let (tool, at) = (Tool::new("browser"), SystemTime::now());
//!     RequestFacts { client, tool, protocol, destination, method, upgrade, path, passed_through_us: false, at }
//! };
//! assert!(matches!(policy.decide(&facts("https://www.example.com/")), Decision::Allow(_)));
//! let Decision::Deny(denial) = policy.decide(&facts("https://example.com/")) else { panic!("not covered") };
//! assert_eq!(denial.reason().as_str(), "host_not_allowed");
//! assert_eq!(denial.hint(), Some("`*.example.com` does not cover `example.com` itself"));
//! ```
//!
//! The rooms stand in the order in which data flows through them; a room imports only from those above it.

#![forbid(unsafe_code)]

mod sync;

pub mod places;
pub mod private_file;
pub mod text;

pub mod facts;

pub mod policy;

pub mod config;
pub mod record;
pub mod store;
pub mod stream;
pub mod tls;

pub mod dial;
pub mod history;
pub mod sink;

pub mod session;
pub mod tunnel;

pub mod enforce;

pub mod protocol;

pub mod admin;
pub mod listen;
pub mod source;

pub mod app;
pub mod cli;
