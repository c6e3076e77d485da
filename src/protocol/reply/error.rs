//! What a response says in words about each error type.

use crate::facts::ProxyError;

/// The words for an error that is not a denial.
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

/// Returns the texts for an error. For a malformed request, they depend on its status.
pub(super) fn account(error: ProxyError, status: u16) -> Account {
    let (headline, what, to, blame) = match error {
        ProxyError::ConnectionLimitReached => ("Proxy is busy", "This proxy is too busy", " to serve", BUSY),
        ProxyError::ConnectionReadTimeout => ("Origin did not answer", "Got no answer in time", " from", ORIGIN),
        ProxyError::ConnectionRefused => ("Could not connect", "Could not connect", " to", ORIGIN),
        ProxyError::ConnectionTerminated => ("Connection lost", "Lost the connection", " to", ORIGIN),
        ProxyError::ConnectionTimeout => ("Connecting timed out", "Could not connect in time", " to", ORIGIN),
        ProxyError::DnsError => ("Could not resolve name", "Could not resolve the name", " of", NAME),
        ProxyError::DnsTimeout => ("Name lookup timed out", "Could not resolve in time the name", " of", NAME),
        ProxyError::HttpProtocolError => {
            ("Invalid answer from origin", "Got an answer that is not valid HTTP", " from", ORIGIN)
        }
        ProxyError::ProxyInternalError => ("Proxy failed", "Something failed inside this proxy", ", asked for", PROXY),
        ProxyError::HttpRequestError => {
            let (headline, what) = request_error(status);
            return Account { headline, what, to: None, blame: CLIENT };
        }
        ProxyError::DestinationIpProhibited | ProxyError::HttpRequestDenied | ProxyError::ProxyLoopDetected => {
            ("Egress denied", "The egress policy does not allow this request", " to", POLICY)
        }
    };
    Account { headline, what, to: Some(to), blame }
}

const BUSY: &str = "Neither the request nor the policy is at fault: try again later.";
const NAME: &str = "The policy allows it; the fault is with the name or its name servers, not with the policy.";
const ORIGIN: &str = "The policy allows it; the fault is with that server or the network to it, not with the policy.";
const POLICY: &str = "This is the organisation's decision, not a fault.";
const PROXY: &str = "Neither the request nor the policy is at fault: tell the proxy's operator.";
const CLIENT: &str = "The fault is with the client that sent the request, not with the policy.";

/// Returns the texts for a malformed request, which depend only on its status.
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
            let account = account(error, 502);
            assert!(account.blame.ends_with('.'), "{error:?}");
            assert!(account.headline.len() <= 30 && !account.what.ends_with('.'), "{error:?}");
        }
    }
}
