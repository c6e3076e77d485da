//! The admin listener: metrics, health, the API, and the dashboard (`docs/admin-api.md`).
//!
//! Guaranteed:
//! - Everything but health, `/proxy.pac` and (unless protected) metrics needs the token: an agent on the same machine
//!   must not read everyone's records. A browser that brought it once comes back by a path and a cookie that pages of
//!   other ports cannot learn ([`BrowserSession`]).
//! - A request whose `Host` is a name other than `localhost` gets 421, so a page of another site that points a name at
//!   loopback (DNS rebinding) reads nothing. No CORS, a strict content security policy, nothing framed or cached.
//! - A flood here costs the proxy one thread and a bounded number of connections; requests through it notice nothing.

mod access;
mod answer;
mod browser_session;
mod call;
mod context;
mod dashboard;
mod denials;
mod health;
mod metrics;
pub mod page;
mod policy;
mod process;
mod records;
mod report;
mod routes;
mod selftest;
mod server;
mod stall;
mod status;
mod stream;
mod token;
mod tunnels;
mod view;

pub use browser_session::BrowserSession;
pub use context::{AdminContext, Link};
pub(crate) use metrics::FAMILIES;
pub use metrics::Registry;
pub(crate) use process::FAMILIES as PROCESS_FAMILIES;
pub use selftest::{SelfTest, SelfTestResult};
pub use server::run;
pub use token::Token;
