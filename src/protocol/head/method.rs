//! Request methods that are refused regardless of the policy.
//!
//! Methods are case-sensitive (RFC 9110 §9.1), and not every program knows it: Squid takes `Connect` for `CONNECT`, and
//! some origins take `post` for `POST`. The next program would then do something other than what was judged here.

use crate::facts::HeadError;

/// The IANA registry of methods (RFC 9110 §16.1), in its order. All of them are in capitals.
const REGISTERED: [&str; 40] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PRI",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];

/// Refuses TRACE and its old relative TRACK, and a method that differs from a registered one only by case.
pub(super) fn judge(method: &str) -> Result<(), HeadError> {
    if method.eq_ignore_ascii_case("TRACE") || method.eq_ignore_ascii_case("TRACK") {
        return Err(HeadError::Trace);
    }
    // Nearly every method is in capitals, so the list is nearly never searched.
    let has_lower_case = method.bytes().any(|byte| byte.is_ascii_lowercase());
    if has_lower_case && REGISTERED.iter().any(|known| known.eq_ignore_ascii_case(method)) {
        return Err(HeadError::MethodCase);
    }
    Ok(())
}

/// Whether RFC 9110 §9.3 gives content of this method no meaning. A server that does not expect it may leave it unread
/// and take it for the next request on the connection.
pub(super) fn has_content_without_meaning(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "DELETE" | "OPTIONS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_differs_from_a_registered_one_only_by_case_is_refused() {
        for known in REGISTERED {
            let expected = if known == "TRACE" { Err(HeadError::Trace) } else { Ok(()) };
            assert_eq!(judge(known), expected, "{known}");
            let refused = if known == "TRACE" { HeadError::Trace } else { HeadError::MethodCase };
            let lower = known.to_ascii_lowercase();
            // All letters but one in capitals, and all but one not.
            for at in known.char_indices().filter(|(_, letter)| letter.is_ascii_alphabetic()).map(|(at, _)| at) {
                let (mut capitals, mut small) = (known.as_bytes().to_vec(), lower.as_bytes().to_vec());
                (capitals[at], small[at]) = (small[at], capitals[at]);
                for variant in [&lower, str::from_utf8(&capitals).unwrap(), str::from_utf8(&small).unwrap()] {
                    assert_eq!(judge(variant), Err(refused), "{variant}");
                }
            }
            // Near misses: a letter more, a letter less.
            assert_eq!(judge(&format!("{lower}x")), Ok(()), "{lower}x");
            assert_eq!(judge(&format!("x{lower}")), Ok(()), "x{lower}");
        }
        for other in ["PURGE", "M-SEARCH", "Frobnicate", "connects", "ge", "get_", "GET1", "X"] {
            assert_eq!(judge(other), Ok(()), "{other}");
        }
        for trace in ["TRACE", "trace", "Track"] {
            assert_eq!(judge(trace), Err(HeadError::Trace), "{trace}");
        }
    }

    #[test]
    fn the_registry_is_in_order_and_in_capitals() {
        assert!(REGISTERED.is_sorted());
        assert!(REGISTERED.iter().all(|method| method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')));
    }
}
