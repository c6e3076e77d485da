//! The decision point.
//!
//! Text becomes a [`PolicyDocument`] (what was written), which compiles into one immutable [`Policy`] (what is asked).
//! [`Policy::decide`] answers one request; [`Permit::vet`] judges the addresses that it would reach.
//!
//! Guaranteed:
//! - A request that no rule allows is denied; nothing outside this room can make a [`Permit`].
//! - Deny rules win over allow rules, so the order of rules in a document never matters.
//! - The cost does not depend on the number of rules: one hash look-up per label of the host, one trie walk per address.
//!
//! Deliberately not here: resolving names, reading files or the clock, waiting, logging. Time is an argument, and files
//! that a policy includes are handed in by whoever compiles it.

mod decision;
mod permit;

pub use decision::{Decision, Denial, DenyReason};
pub use permit::{Basis, Permit, Route, RuleRef, VettedAddrs};
