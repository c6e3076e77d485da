//! What is wrong with a request that cannot be judged.

use crate::facts::{BodyError, HeadError, SocksError, tokens};

/// What is wrong with a request that cannot be judged. The text of each cause is a clause that fits after a colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The head of an HTTP request is not acceptable.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The body of an HTTP request is not acceptable.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A SOCKS5 request is not acceptable.
    #[error(transparent)]
    Socks(#[from] SocksError),
    /// The client closed the connection inside a head. It gets no response; the record shows that it asked.
    #[error("the connection ended inside the request head")]
    HeadEnded,
    /// The head was not complete within `head-timeout`.
    #[error("the request head took too long")]
    HeadLate,
    /// The body was silent for longer than `body-timeout`.
    #[error("the request body took too long")]
    BodyLate,
    /// SOCKS of another version than 5, or SOCKS at a listener that does not speak it.
    #[error("this listener speaks no SOCKS of that version")]
    SocksNotSpoken,
    /// HTTP at a listener that speaks SOCKS5 only.
    #[error("this listener speaks SOCKS5 alone")]
    HttpNotSpoken,
    /// The client offers no SOCKS5 method that this proxy accepts.
    #[error("the client offers no method without authentication")]
    SocksMethod,
    /// The client closed the connection inside a SOCKS5 request.
    #[error("the connection ended inside the SOCKS5 request")]
    SocksEnded,
    /// The SOCKS5 request was not complete within `head-timeout`.
    #[error("the SOCKS5 request took too long")]
    SocksLate,
    /// A request for this server itself, which has no such path (RFC 9110 §15.5.20).
    #[error("this is a forward proxy: set it as your client's proxy, or ask it with a full http:// address")]
    Misdirected,
    /// A request for `*`, with another method than GET or HEAD.
    #[error("this is a forward proxy: set it as your client's proxy, or ask it with a full http:// address")]
    MisdirectedAsterisk,
    /// A page of another site asks for one of the proxy's own paths, or a client asks for one by a name.
    #[error("this page is not for other sites: ask for it by the proxy's address")]
    CrossSite,
}

tokens! { Malformed, own_cause:
    Head(HeadError::BareLf) => "head",
    Body(BodyError::ChunkSize) => "body",
    Socks(SocksError::Version) => "socks",
    HeadEnded => "head_ended",
    HeadLate => "head_late",
    BodyLate => "body_late",
    SocksNotSpoken => "socks_not_spoken",
    HttpNotSpoken => "http_not_spoken",
    SocksMethod => "socks_method",
    SocksEnded => "socks_ended",
    SocksLate => "socks_late",
    Misdirected => "misdirected",
    MisdirectedAsterisk => "misdirected_asterisk",
    CrossSite => "cross_site",
}

impl Malformed {
    /// The stable token of the cause.
    pub fn cause(self) -> &'static str {
        match self {
            Self::Head(error) => error.cause(),
            Self::Body(error) => error.cause(),
            Self::Socks(error) => error.cause(),
            Self::HeadEnded
            | Self::HeadLate
            | Self::BodyLate
            | Self::SocksNotSpoken
            | Self::HttpNotSpoken
            | Self::SocksMethod
            | Self::SocksEnded
            | Self::SocksLate
            | Self::Misdirected
            | Self::MisdirectedAsterisk
            | Self::CrossSite => self.own_cause(),
        }
    }
}
