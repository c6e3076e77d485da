//! How a client connection continues after a request.

use crate::stream::{ClientStream, Wire};
use crate::tunnel::RunningTunnel;

/// How the client connection continues after a request.
pub(super) enum Next {
    /// Another request may come.
    KeepAlive(Wire<ClientStream>),
    /// It is closed, gently: a response has been sent.
    Close(Wire<ClientStream>),
    /// It is one side of a tunnel now, which is to be run.
    Tunnel(RunningTunnel),
    /// It is gone.
    Gone,
}
