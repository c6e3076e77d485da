//! `Proxy-Status` of a response (RFC 9209 §2): a list with one member for each proxy that says something about it.
//!
//! Guaranteed: a member of another proxy passes unchanged. A member with our name does not: only this proxy says what
//! this proxy did. A line that is not a list of such members (RFC 9651 §4.2.1) is dropped, because its reader might
//! find our name where we did not.

use smallvec::SmallVec;

use super::fields::trim;

/// The name that this proxy gives itself in this field.
const OURS: &[u8] = b"outgate";

/// Members of one line. There is usually one.
type Members<'b> = SmallVec<[&'b [u8]; 4]>;

/// Appends a field line with the members of `value` that may pass, if there are any.
pub(super) fn write_others(value: &[u8], out: &mut Vec<u8>) {
    let members = members(value).unwrap_or_default();
    let mut before: &[u8] = b"Proxy-Status: ";
    for member in members.iter().filter(|member| !is_ours(member)) {
        out.extend_from_slice(before);
        out.extend_from_slice(member);
        before = b", ";
    }
    if before == b", " {
        out.extend_from_slice(b"\r\n");
    }
}

/// The members of a list, trimmed. None where a recipient could disagree about them.
fn members(value: &[u8]) -> Option<Members<'_>> {
    let mut members = Members::new();
    let (mut start, mut quoted, mut escaped) = (0, false, false);
    for (at, byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                members.push(trim(value.get(start..at)?));
                start = at + 1;
            }
            b' '..=b'~' => {}
            b'\t' if !quoted => {}
            _ => return None,
        }
    }
    members.push(trim(value.get(start..)?));
    (!quoted && members.iter().all(|member| name(member).is_some())).then_some(members)
}

/// What a member calls its proxy: a token or the content of a string, before its parameters.
fn name(member: &[u8]) -> Option<SmallVec<[u8; 32]>> {
    let mut name = SmallVec::new();
    let mut bytes = member.iter().copied().enumerate();
    let (_, first) = bytes.next()?;
    let rest = if first == b'"' {
        loop {
            match bytes.next()? {
                (at, b'"') => break member.get(at + 1..)?,
                (_, b'\\') => name.push(bytes.next().map(|(_, byte)| byte).filter(|byte| b"\\\"".contains(byte))?),
                (_, byte) => name.push(byte),
            }
        }
    } else {
        let is_token = |byte: &u8| super::fields::is_token_byte(*byte) || b":/".contains(byte);
        let length = member.iter().take_while(|byte| is_token(byte)).count();
        name.extend_from_slice(member.get(..length)?);
        member.get(length..)?
    };
    let is_name = first == b'"' || first == b'*' || first.is_ascii_alphabetic();
    (is_name && matches!(trim(rest).first(), None | Some(b';'))).then_some(name)
}

fn is_ours(member: &[u8]) -> bool {
    name(member).is_none_or(|name| name.eq_ignore_ascii_case(OURS))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passed(value: &[u8]) -> String {
        let mut out = Vec::new();
        write_others(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn members_of_other_proxies_pass_and_ours_does_not() {
        for (value, left) in [
            ("proxy.test; error=dns_error", Some("proxy.test; error=dns_error")),
            ("\"a, b\"; details=\"x, outgate; y\", c", Some("\"a, b\"; details=\"x, outgate; y\", c")),
            ("a,b ,\tc;x", Some("a, b, c;x")),
            ("outgate.test, outgate-1, myoutgate", Some("outgate.test, outgate-1, myoutgate")),
            ("a; outgate=1", Some("a; outgate=1")),
            ("*a:b/c", Some("*a:b/c")),
            ("outgate; error=http_request_denied; details=\"host_not_allowed\"", None),
            ("outgate", None),
            ("OutGate;x", None),
            ("\"outgate\"; error=x", None),
            ("\"Outg\\\\ate\"", Some("\"Outg\\\\ate\"")),
            ("outgate ; error=x", None),
            ("a, outgate; details=\"x\", b", Some("a, b")),
            ("a;details=\"\\\"\", outgate", Some("a;details=\"\\\"\"")),
        ] {
            let expected = left.map(|left| format!("Proxy-Status: {left}\r\n")).unwrap_or_default();
            assert_eq!(passed(value.as_bytes()), expected, "{value}");
        }
    }

    #[test]
    fn what_is_no_list_of_proxies_passes_nothing() {
        for value in [
            "",
            ",",
            "a,",
            "a,,b",
            "a b",
            "a=1",
            "a, outgate error=x",
            "a;x=\"",
            "\"a",
            "\"a\"b",
            "\"\\a\"",
            "1a",
            "(a b)",
            "a;\u{fc}",
            "\"a\tb\"",
            "?1",
        ] {
            assert_eq!(passed(value.as_bytes()), "", "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn no_line_leaves_a_member_with_our_name(value in "([a-z1]|outgate|[\",;=\\\\ \t]){0,12}") {
            let out = passed(value.as_bytes());
            let Some(left) = out.strip_prefix("Proxy-Status: ").and_then(|line| line.strip_suffix("\r\n")) else {
                prop_assert_eq!(out, "");
                return Ok(());
            };
            let members = members(left.as_bytes()).expect("a list again");
            prop_assert!(members.iter().all(|member| !is_ours(member)), "{left}");
            prop_assert_eq!(passed(left.as_bytes()), out.clone(), "what has passed passes again");
        }
    }
}
