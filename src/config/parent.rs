//! `[parent]`: the URL of another proxy, and what does not go by it.
//!
//! Guaranteed: no message of this file quotes the URL, because it may contain a password.

use super::ParentConfig;
use super::keys;
use crate::facts::{Credentials, CredentialsError, Destination};
use crate::policy::text::{Fields, Node, Problems, Value};
use crate::policy::{ParentScope, ProblemCode, ProblemPlace};

/// How it must look; every fix says so.
const FORM: &str = "write it as \"http://proxy.example:3128\" or \"http://user:password@proxy.example:3128\"";

pub(super) fn read(fields: Fields<'_>, problems: &mut Problems) -> Option<ParentConfig> {
    let node = fields.node(&keys::PARENT)?;
    if let Node { value: Value::String(_), span } = node {
        problems.at(
            *span,
            ProblemCode::WrongType,
            "`parent` is a text, but must be a table of keys",
            "write [parent], and the URL as its `url`",
        );
        return None;
    }
    let fields = fields.table(&keys::PARENT, problems)?;
    let mut scope = ParentScope::default();
    for text in fields.texts(&keys::EXCEPT, problems) {
        if let Err(complaint) = scope.except(&text.value) {
            problems.push(complaint.at(ProblemPlace::Document(text.span)));
        }
    }
    let url = fields.text(&keys::URL, problems)?;
    match parse_url(&url.value) {
        Ok((address, credentials)) => Some(ParentConfig { address, credentials, scope }),
        Err((what, fix)) => {
            problems.at(url.span, ProblemCode::InvalidValue, format!("`url` {what}"), fix);
            None
        }
    }
}

/// `http://[user:password@]host:port`, with at most a slash after it.
fn parse_url(url: &str) -> Result<(Destination, Option<Credentials>), (String, String)> {
    let wrong = |what: &str| (what.to_owned(), FORM.to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("has no scheme"))?;
    if scheme.eq_ignore_ascii_case("https") {
        let fix = "write http://, if the parent takes that too: a tunnel's TLS is the client's own".to_owned();
        return Err(("of a parent that is reached by TLS is not supported in this version".to_owned(), fix));
    }
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(wrong("has a scheme other than http"));
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.contains(['/', '?', '#']) {
        let fix = "take it out; in a password write / as %2F, ? as %3F and # as %23".to_owned();
        return Err(("has a path, a query or a fragment".to_owned(), fix));
    }
    let (login, authority) = match rest.rsplit_once('@') {
        Some((login, authority)) => (Some(login), authority),
        None => (None, rest),
    };
    let address = Destination::parse(authority.as_bytes(), None)
        .map_err(|error| wrong(&format!("names no host and port: {error}")))?;
    Ok((address, login.map(parse_login).transpose()?))
}

fn parse_login(login: &str) -> Result<Credentials, (String, String)> {
    let escape = "write a percent sign as %25, a colon as %3A and an at sign as %40";
    let wrong = |what: &str, fix: &str| (format!("has a user name or password that {what}"), fix.to_owned());
    if login.contains('@') {
        return Err(wrong("holds an at sign", escape));
    }
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let decoded = decode(user).zip(decode(password));
    let (user, password) = decoded.ok_or_else(|| wrong("is not percent-encoded", escape))?;
    if user.is_empty() {
        return Err(wrong("is empty", FORM));
    }
    Credentials::basic(&user, &password).map_err(|error| match error {
        CredentialsError::Colon => wrong("has a colon in the name, which Basic cannot carry", "use another account"),
        CredentialsError::Control => wrong("holds a control character", "take it out"),
    })
}

/// Percent decoding (RFC 3986 §2.1). None where a percent sign begins no escape, or no UTF-8 comes out.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let mut byte = *first;
        if byte == b'%' {
            let [high, low, tail @ ..] = rest else { return None };
            let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            byte = digit(*high)? << 4 | digit(*low)?;
            rest = tail;
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_a_port_and_perhaps_a_login() {
        for (url, address, login) in [
            ("http://proxy.example:3128", "proxy.example:3128", None),
            ("HTTP://Proxy.Example:3128/", "proxy.example:3128", None),
            ("http://192.0.2.1:8080", "192.0.2.1:8080", None),
            ("http://[2001:db8::1]:8080", "[2001:db8::1]:8080", None),
            ("http://user:password@proxy.example:3128", "proxy.example:3128", Some(("user", "password"))),
            ("http://user@proxy.example:3128", "proxy.example:3128", Some(("user", ""))),
            ("http://corp%5Cuser:p%40ss:w%25rd@proxy.example:1", "proxy.example:1", Some(("corp\\user", "p@ss:w%rd"))),
        ] {
            let login = login.map(|(user, password)| Credentials::basic(user, password).unwrap());
            assert_eq!(parse_url(url), Ok((Destination::parse(address.as_bytes(), None).unwrap(), login)), "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_password() {
        for (url, what) in [
            ("proxy.example:3128", "has no scheme"),
            ("user:s3cret@proxy.example:3128", "has no scheme"),
            (
                "https://user:s3cret@proxy.example:3128",
                "of a parent that is reached by TLS is not supported in this version",
            ),
            ("socks5://user:s3cret@proxy.example:1080", "has a scheme other than http"),
            ("http://user:s3cret@proxy.example", "names no host and port: the port is missing"),
            ("http://user:s3cret@:3128", "names no host and port: the host is empty"),
            (
                "http://user:s3cret@2001:db8::1:3128",
                "names no host and port: the host is no IPv6 address in brackets (a zone is not accepted)",
            ),
            ("http://user:s3cret@proxy.example:3128/path", "has a path, a query or a fragment"),
            ("http://user:s3/cret@proxy.example:3128", "has a path, a query or a fragment"),
            ("http://user:s3@cret@proxy.example:3128", "has a user name or password that holds an at sign"),
            ("http://user:s3cret%@proxy.example:3128", "has a user name or password that is not percent-encoded"),
            ("http://user:s3cret%zz@proxy.example:3128", "has a user name or password that is not percent-encoded"),
            ("http://user:s3cret%0a@proxy.example:3128", "has a user name or password that holds a control character"),
            (
                "http://us%3Aer:s3cret@proxy.example:3128",
                "has a user name or password that has a colon in the name, which Basic cannot carry",
            ),
            ("http://:s3cret@proxy.example:3128", "has a user name or password that is empty"),
            ("http://@proxy.example:3128", "has a user name or password that is empty"),
        ] {
            let (said, fix) = parse_url(url).unwrap_err();
            assert_eq!(said, what, "{url}");
            assert!(!said.contains("s3") && !fix.contains("s3"), "{said}; {fix}");
        }
    }
}
