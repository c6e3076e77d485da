//! The text of a pattern, taken apart: what is its host and what are its ports.
//!
//! Guaranteed: nothing is guessed. A text that two people could read in two ways is refused, with both ways to write it.

use super::ProblemCode;
use super::network;
use super::ports::Ports;
use super::problem::Complaint;

/// A host part, by how it must be read.
pub(super) enum HostText<'a> {
    Numeric(&'a str),
    Name(&'a str),
}

/// What can be seen at once to be something else than a pattern.
pub(super) fn check_shape(text: &str) -> Result<(), Complaint> {
    let trimmed = text.trim();
    if trimmed.is_empty() {
        return Err(Complaint::new(
            ProblemCode::EmptyValue,
            "the pattern is empty",
            "write a host such as `example.com`, or take the entry out",
        ));
    }
    if text.len() > network::LONGEST {
        return Err(network::too_long());
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        let fix = match trimmed.chars().any(|c| c.is_whitespace() || c.is_control()) {
            true => "write one pattern an entry, without blanks".to_owned(),
            false => format!("write `{trimmed}`"),
        };
        return Err(Complaint::new(ProblemCode::BlankInPattern, format!("`{}` has blanks", text.escape_debug()), fix));
    }
    if let Some((_, rest)) = text.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let host = authority.rsplit('@').next().unwrap_or(authority);
        let fix = if host.is_empty() { "write the host alone".to_owned() } else { format!("write `{host}`") };
        return Err(Complaint::new(ProblemCode::UrlAsPattern, format!("`{text}` is a URL"), fix));
    }
    if let Some((_, after)) = text.rsplit_once('@') {
        return Err(Complaint::new(
            ProblemCode::UrlAsPattern,
            format!("`{text}` has user information"),
            format!("write `{after}`"),
        ));
    }
    if let Some((host, _)) = text.split_once(['/', '?', '#'])
        && !network::is_numeric(host.trim_start_matches('['))
    {
        return Err(Complaint::new(
            ProblemCode::UrlAsPattern,
            format!("`{text}` has a path"),
            if host.is_empty() { "write the host alone".to_owned() } else { format!("write `{host}`") },
        ));
    }
    Ok(())
}

/// Parts the host from its ports.
pub(super) fn split(text: &str) -> Result<(HostText<'_>, Option<&str>), Complaint> {
    if let Some(inside) = text.strip_prefix('[') {
        let bare = |text: &str| match text.trim_start_matches('[') {
            "" => "write a host such as `example.com`".to_owned(),
            bare => format!("write `{bare}`"),
        };
        let Some((host, rest)) = inside.split_once(']') else {
            let fix = if inside.contains(':') { format!("write `{text}]`") } else { bare(inside) };
            return Err(Complaint::new(
                ProblemCode::InvalidBrackets,
                format!("`{text}` has a bracket that does not close"),
                fix,
            ));
        };
        if !host.contains(':') {
            let what = format!("`{text}` has brackets around something else than IPv6");
            return Err(Complaint::new(ProblemCode::InvalidBrackets, what, bare(&format!("{host}{rest}"))));
        }
        return match rest.strip_prefix(':') {
            Some(ports) => Ok((HostText::Numeric(host), Some(ports))),
            None if rest.is_empty() => Ok((HostText::Numeric(host), None)),
            None => Err(Complaint::new(
                ProblemCode::InvalidBrackets,
                format!("`{rest}` follows the brackets"),
                format!("write `[{host}]`, or `[{host}]:443` for one port"),
            )),
        };
    }
    if text.matches(':').count() >= 2 {
        return bare_ipv6(text).map(|host| (HostText::Numeric(host), None));
    }
    let (host, ports) = match text.split_once(':') {
        Some((host, ports)) => (host, Some(ports)),
        None => (text, None),
    };
    Ok((if network::is_numeric(host) { HostText::Numeric(host) } else { HostText::Name(host) }, ports))
}

/// IPv6 without brackets has no port. A last group that reads as a port of two digits or more, after what is an address
/// without it, might be either; guessing wrong would open another host than the one that was meant.
pub(super) fn bare_ipv6(text: &str) -> Result<&str, Complaint> {
    if let Some((before, port)) = text.rsplit_once(':')
        && network::parse_numeric(before).is_ok()
        && (port.len() >= 2 || port == "*")
        && Ports::parse(port).is_ok()
    {
        return Err(match before.contains('/') || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Complaint::new(
                ProblemCode::AmbiguousIpv6,
                format!("`{text}` is IPv6 with a port, without brackets"),
                format!("write `[{before}]:{port}`"),
            ),
            false => network::needs_brackets(before, port),
        });
    }
    Ok(text)
}
