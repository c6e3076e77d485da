//! Where policy comes from: files that are read completely or not at all, and checked for changes while the process
//! runs.

mod built_in;
mod load;
mod policy_source;
mod reload;
mod stamp;
mod steady;

#[cfg(test)]
mod problem_tests;

pub use built_in::built_in;
pub use load::{LoadError, LoadedDocument, load};
pub use policy_source::{LoadedPolicy, PolicySource, Watch};
pub use reload::start;
pub use stamp::{Stamp, Watched};
