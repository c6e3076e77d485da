//! The error types of `Proxy-Status` (RFC 9209 §2.3).

/// The type of a proxy's error: the `error` parameter of `Proxy-Status`. Each refusal has one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyError {
    /// A limit of this proxy is reached.
    ConnectionLimitReached,
    /// The origin is silent for too long after the connection was made.
    ConnectionReadTimeout,
    /// The origin refused the connection, or there is no route to it.
    ConnectionRefused,
    /// The connection ended before a response was complete.
    ConnectionTerminated,
    /// The origin did not accept the connection in time.
    ConnectionTimeout,
    /// The policy denied the address that the host is, or resolves to.
    DestinationIpProhibited,
    /// The name has no address.
    DnsError,
    /// The name servers did not answer in time.
    DnsTimeout,
    /// The origin's response is not acceptable HTTP.
    HttpProtocolError,
    /// The policy denied the request.
    HttpRequestDenied,
    /// The client's request cannot be accepted.
    HttpRequestError,
    /// Something failed inside this proxy.
    ProxyInternalError,
    /// Denied because the request would lead back into this proxy.
    ProxyLoopDetected,
}

impl ProxyError {
    /// Every type.
    pub const ALL: [Self; 13] = [
        Self::ConnectionLimitReached,
        Self::ConnectionReadTimeout,
        Self::ConnectionRefused,
        Self::ConnectionTerminated,
        Self::ConnectionTimeout,
        Self::DestinationIpProhibited,
        Self::DnsError,
        Self::DnsTimeout,
        Self::HttpProtocolError,
        Self::HttpRequestDenied,
        Self::HttpRequestError,
        Self::ProxyInternalError,
        Self::ProxyLoopDetected,
    ];

    /// The registered name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectionLimitReached => "connection_limit_reached",
            Self::ConnectionReadTimeout => "connection_read_timeout",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionTerminated => "connection_terminated",
            Self::ConnectionTimeout => "connection_timeout",
            Self::DestinationIpProhibited => "destination_ip_prohibited",
            Self::DnsError => "dns_error",
            Self::DnsTimeout => "dns_timeout",
            Self::HttpProtocolError => "http_protocol_error",
            Self::HttpRequestDenied => "http_request_denied",
            Self::HttpRequestError => "http_request_error",
            Self::ProxyInternalError => "proxy_internal_error",
            Self::ProxyLoopDetected => "proxy_loop_detected",
        }
    }
}
