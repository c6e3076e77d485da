//! What a lookup finds.

use std::net::IpAddr;

use smallvec::SmallVec;

/// What a host resolved to, in the resolver's order.
pub type Addresses = SmallVec<[IpAddr; 4]>;
