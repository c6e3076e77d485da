//! What a field means to the hop that it crosses (RFC 9110 §7.6): one table for reading and for writing.

/// What a field means to this proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Host,
    ContentLength,
    TransferEncoding,
    Connection,
    ProxyConnection,
    Upgrade,
    Expect,
    MaxForwards,
    Via,
    Trailer,
    /// What proxies say about a response; a request has none.
    ProxyStatus,
    /// Says that this proxy denied the request. No other program may say so, in a head or in trailers.
    Denial,
    /// Ends at this hop, and means nothing to this proxy.
    Hop,
    /// Everything else: passes, unless `Connection` names it.
    EndToEnd,
}

/// The fields that are on denials of this proxy and on nothing else. Two names of one length, and neither is of a hop.
const DENIAL: [&[u8]; 2] = [b"x-deny-reason", b"x-proxy-error"];

/// What means something to a hop, in lower case and with hyphens: the one such name that begins so and is so long.
/// All of `Proxy-*` that is not here is [`Role::Hop`].
fn special(first: u8, length: usize) -> Option<(&'static [u8], Role)> {
    Some(match (first.to_ascii_lowercase(), length) {
        (b't', 2) => (b"te", Role::Hop),
        (b'v', 3) => (b"via", Role::Via),
        (b'h', 4) => (b"host", Role::Host),
        (b'e', 6) => (b"expect", Role::Expect),
        (b'u', 7) => (b"upgrade", Role::Upgrade),
        (b't', 7) => (b"trailer", Role::Trailer),
        (b'c', 10) => (b"connection", Role::Connection),
        (b'k', 10) => (b"keep-alive", Role::Hop),
        (b'm', 12) => (b"max-forwards", Role::MaxForwards),
        (b'p', 12) => (b"proxy-status", Role::ProxyStatus),
        (b'c', 14) => (b"content-length", Role::ContentLength),
        (b'h', 14) => (b"http2-settings", Role::Hop),
        (b'p', 16) => (b"proxy-connection", Role::ProxyConnection),
        (b't', 17) => (b"transfer-encoding", Role::TransferEncoding),
        _ => return None,
    })
}

impl Role {
    /// The role of a field, an underscore or other punctuation counting as a hyphen: CGI-style origins make an
    /// underscore of all of them (RFC 3875 §4.1.18).
    pub(super) fn of(name: &[u8]) -> Self {
        let Some(first) = name.first() else { return Self::EndToEnd };
        match special(*first, name.len()) {
            Some((known, role)) if same_name(name, known) => role,
            _ if name.len() == 13 && DENIAL.iter().any(|denial| same_name(name, denial)) => Self::Denial,
            _ if name.get(..6).is_some_and(|start| same_name(start, b"proxy-")) => Self::Hop,
            _ => Self::EndToEnd,
        }
    }
}

/// Equal but for case and for which punctuation is where.
pub(super) fn same_name(name: &[u8], known: &[u8]) -> bool {
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
    name.len() == known.len() && name.iter().zip(known).all(|(a, b)| fold(*a) == fold(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_special_name_is_found_by_its_own_beginning_and_length() {
        let known: Vec<_> = (b'a'..=b'z').flat_map(|first| (0..64).filter_map(move |n| special(first, n))).collect();
        assert_eq!(known.len(), 14);
        for (name, role) in known {
            let name = std::str::from_utf8(name).unwrap();
            let of = |name: &str| Role::of(name.as_bytes());
            assert_eq!((of(name), of(&name.to_uppercase())), (role, role), "{name}");
            for other in ["_", ".", "~", "!", "'"] {
                assert_eq!(of(&name.replace('-', other)), role, "{name} with {other}");
            }
            assert_eq!(of(&format!("x{name}")), Role::EndToEnd, "{name}");
            let near = if name.starts_with("proxy-") { Role::Hop } else { Role::EndToEnd };
            let cut = name.strip_suffix(|_: char| true).unwrap();
            assert_eq!(of(&format!("{cut}x")), near, "{name}");
        }
    }

    #[test]
    fn what_says_that_we_denied_is_known_in_every_spelling() {
        for name in ["X-Deny-Reason", "x_deny_reason", "X-DENY.REASON", "X-Proxy-Error", "x~proxy_error"] {
            assert_eq!(Role::of(name.as_bytes()), Role::Denial, "{name}");
        }
        for near in ["X-Deny-Reasons", "X-Deny-Reaso", "X-DenysReason", "X-Denial-Why", "X-Proxy-Errol", "X-Request-Id"]
        {
            assert_eq!(Role::of(near.as_bytes()), Role::EndToEnd, "{near}");
        }
    }
}
