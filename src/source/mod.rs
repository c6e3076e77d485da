//! Where policy comes from: files, read whole or not at all, and looked at again for as long as the process lives.

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
