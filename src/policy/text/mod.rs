//! From text to a document's shape, with every mistake found at once and shown at its place.
//!
//! TOML and JSON become one tree of values with places ([`Node`]); a [`Section`] says which keys a table may have and
//! what each holds; [`Fields`] reads a table by it. The same sections make the JSON Schema and the key reference, so
//! that what is read, what editors complete and what is documented cannot disagree. The policy is read here
//! ([`read_policy`]); the process's own configuration uses the same tools.
//!
//! Guaranteed: no input panics; nesting is bounded by both parsers; the number of problems kept is bounded.
//!
//! Deliberately not done: whether patterns, addresses and ids make sense (that is [`compile`](super)'s work), YAML, I/O.

mod json;
mod keys;
mod moment;
mod node;
mod place;
mod policy;
mod policy_keys;
mod quantity;
mod reader;
mod report;
mod rule_text;
mod schema;
mod suggest;
mod toml;

pub use self::keys::{Key, Section, Shape, Support, words};
pub use self::node::{Format, Member, Node, Value};
pub(crate) use self::place::quote;
pub use self::place::{SourceText, decode};
pub use self::policy::read_policy;
pub use self::quantity::{parse_duration, parse_size, written_duration, written_size};
pub use self::reader::Fields;
pub use self::report::{LocatedProblem, ProblemReport};
pub use self::rule_text::RuleText;
pub use self::schema::{json_schema, policy_section, reference};
pub use super::{Problems, Span, Spanned};
