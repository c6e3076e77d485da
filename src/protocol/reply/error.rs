//! What went wrong, in the words that HTTP has for it (RFC 9209 §2.3), and in those that people have.

/// The type of a proxy's error: the `error` of `Proxy-Status`. Closed: whoever adds a refusal picks one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyError {
    /// A limit of this proxy is reached.
    ConnectionLimitReached,
    /// The origin is silent for too long after the connection was made.
    ConnectionReadTimeout,
    /// The origin refused the connection, or no way leads there.
    ConnectionRefused,
    /// The connection ended before an answer was complete.
    ConnectionTerminated,
    /// The origin did not accept the connection in time.
    ConnectionTimeout,
    /// Denied for the address that it resolves to, or is.
    DestinationIpProhibited,
    /// The name has no address.
    DnsError,
    /// The name servers did not answer in time.
    DnsTimeout,
    /// The origin's answer is not HTTP as it must be.
    HttpProtocolError,
    /// Denied by policy.
    HttpRequestDenied,
    /// The client's request cannot be accepted.
    HttpRequestError,
    /// Something failed inside this proxy.
    ProxyInternalError,
    /// Denied because it would lead back into this proxy.
    ProxyLoopDetected,
}

/// What people read of an error that is no denial.
pub(super) struct Account {
    /// Two or three words: the status line's, a title's.
    pub(super) headline: &'static str,
    /// The sentence's beginning.
    pub(super) what: &'static str,
    /// What leads from there to the destination, for errors that have to do with one.
    pub(super) to: Option<&'static str>,
    /// Whose fault it is, as a whole sentence.
    pub(super) blame: &'static str,
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

    pub(super) fn account(self, status: u16) -> Account {
        let (headline, what, to, blame) = match self {
            Self::ConnectionLimitReached => ("Proxy is busy", "This proxy is too busy", " to serve", BUSY),
            Self::ConnectionReadTimeout => ("Origin did not answer", "Got no answer in time", " from", ORIGIN),
            Self::ConnectionRefused => ("Could not connect", "Could not connect", " to", ORIGIN),
            Self::ConnectionTerminated => ("Connection lost", "Lost the connection", " to", ORIGIN),
            Self::ConnectionTimeout => ("Connecting timed out", "Could not connect in time", " to", ORIGIN),
            Self::DnsError => ("Could not resolve name", "Could not resolve the name", " of", NAME),
            Self::DnsTimeout => ("Name lookup timed out", "Could not resolve in time the name", " of", NAME),
            Self::HttpProtocolError => {
                ("Invalid answer from origin", "Got an answer that is not valid HTTP", " from", ORIGIN)
            }
            Self::ProxyInternalError => ("Proxy failed", "Something failed inside this proxy", ", asked for", PROXY),
            Self::HttpRequestError => {
                let (headline, what) = request_error(status);
                return Account { headline, what, to: None, blame: CLIENT };
            }
            Self::DestinationIpProhibited | Self::HttpRequestDenied | Self::ProxyLoopDetected => {
                ("Egress denied", "The egress policy does not allow this request", " to", POLICY)
            }
        };
        Account { headline, what, to: Some(to), blame }
    }
}

const BUSY: &str = "Neither the request nor the policy is at fault: try again later.";
const NAME: &str = "The policy allows it; the fault is with the name or its name servers, not with the policy.";
const ORIGIN: &str = "The policy allows it; the fault is with that server or the network to it, not with the policy.";
const POLICY: &str = "This is the organisation's decision, not a fault.";
const PROXY: &str = "Neither the request nor the policy is at fault: tell whoever runs the proxy.";
const CLIENT: &str = "The fault is with the client that sent the request, not with the policy.";

/// Requests that are refused as such are told apart by their status alone.
fn request_error(status: u16) -> (&'static str, &'static str) {
    match status {
        403 => ("Not for other sites", "This path of the proxy does not answer other sites"),
        404 => ("Not found", "This proxy has no such path"),
        408 => ("Request took too long", "The request did not arrive in time"),
        414 => ("Target too long", "The request's target is too long"),
        417 => ("Expectation not supported", "The request expects what this proxy does not do"),
        421 => ("Misdirected request", "The request is not meant for a proxy"),
        431 => ("Header fields too large", "The request's header fields are too large"),
        501 => ("Not supported", "This proxy does not do what the request asks for"),
        505 => ("HTTP version not supported", "The request's HTTP version is not supported"),
        _ => ("Malformed request", "The request is malformed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The IANA registry "HTTP Proxy Error Types" (RFC 9209 §2.3).
    const REGISTERED: [&str; 32] = [
        "dns_timeout",
        "dns_error",
        "destination_not_found",
        "destination_unavailable",
        "destination_ip_prohibited",
        "destination_ip_unroutable",
        "connection_refused",
        "connection_terminated",
        "connection_timeout",
        "connection_read_timeout",
        "connection_write_timeout",
        "connection_limit_reached",
        "tls_protocol_error",
        "tls_certificate_error",
        "tls_alert_received",
        "http_request_error",
        "http_request_denied",
        "http_response_incomplete",
        "http_response_header_section_size",
        "http_response_header_size",
        "http_response_body_size",
        "http_response_trailer_section_size",
        "http_response_trailer_size",
        "http_response_transfer_coding",
        "http_response_content_coding",
        "http_response_timeout",
        "http_upgrade_failed",
        "http_protocol_error",
        "proxy_internal_response",
        "proxy_internal_error",
        "proxy_configuration_error",
        "proxy_loop_detected",
    ];

    #[test]
    fn every_error_is_a_registered_one_and_has_something_to_say() {
        for error in ProxyError::ALL {
            assert!(REGISTERED.contains(&error.as_str()), "{error:?}");
            let account = error.account(502);
            assert!(account.blame.ends_with('.'), "{error:?}");
            assert!(account.headline.len() <= 30 && !account.what.ends_with('.'), "{error:?}");
        }
    }
}
