//! Where a request goes from here.

/// What reads the requests on a connection, and so in which form they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextHop {
    /// The origin, directly or through a tunnel of the parent proxy.
    Origin,
    /// The parent proxy, which forwards requests in absolute-form.
    Parent,
}
