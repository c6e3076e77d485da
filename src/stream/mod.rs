//! What carries bytes: the streams to a client and to an origin, and the buffers for reading them.
//!
//! A *connection* is an accepted socket, with its slot, its handshake and its peer; it belongs to `listen`. A *stream* is one
//! conversation on it: a tunnel, or requests one after the other. In HTTP/1 and SOCKS5 a connection carries one stream, so that a
//! stream is the connection's own socket. A protocol with many streams for each connection gets its own variant here.
//!
//! Guaranteed:
//! - The rooms that decide, forward and tunnel name only [`ClientStream`] and [`OriginStream`], never a socket. To let the
//!   kernel move bytes by itself they ask for [`PlainSocket`]s.
//! - A stream that waits for bytes holds no buffer.
//!
//! Deliberately not here: connecting, accepting, handshakes, and any byte of a protocol.

mod client;
mod origin;
mod plain;
mod scratch;
pub mod spare;
mod wire;

pub use client::ClientStream;
pub use origin::OriginStream;
pub use plain::PlainSocket;
pub use scratch::with_scratch;
pub use wire::Wire;
