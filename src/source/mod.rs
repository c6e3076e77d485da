//! Where policy comes from: files, read whole or not at all, and looked at again for as long as the process lives.

mod built_in;
mod load;
mod policy_source;
mod reload;
mod stamp;
mod steady;

pub use built_in::built_in;
pub use load::{LoadError, Loaded, load};
pub use policy_source::{Compiled, PolicySource, Watch};
pub use reload::start;
pub use stamp::{Stamp, Watched};
