//! Why the body of a message is refused.

use super::tokens;

/// Why a body is refused. The other side must not get a complete message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Not 1 to 16 hexadecimal digits, then CRLF or `;`.
    #[error("a chunk size is not a plain hexadecimal number")]
    ChunkSize,
    /// Beyond 63 bits, or more than 16 digits.
    #[error("a chunk size is too large")]
    LargeChunk,
    /// A control byte in a chunk extension, bare CR and LF among them.
    #[error("a chunk extension contains a control byte")]
    Extension,
    /// More bytes of extensions than a message may have.
    #[error("the chunk extensions are too long")]
    LongExtensions,
    /// Something other than CRLF after a chunk's data.
    #[error("a chunk does not end where its size says")]
    ChunkEnd,
    /// The trailer section has a line that is not a field.
    #[error("a trailer line is not a field")]
    Trailer,
    /// More bytes or lines of trailers than a message may have.
    #[error("the trailers are too large")]
    LargeTrailers,
    /// The connection ended before the message did.
    #[error("the body ended early")]
    Truncated,
}

tokens! { BodyError, cause:
    ChunkSize => "chunk_size",
    LargeChunk => "large_chunk",
    Extension => "chunk_extension",
    LongExtensions => "long_chunk_extensions",
    ChunkEnd => "chunk_end",
    Trailer => "trailer_line",
    LargeTrailers => "large_trailers",
    Truncated => "truncated_body",
}
