//! The proxy auto-configuration script: how a browser or a Mac is pointed at this proxy.
//!
//! Guaranteed: the script has one answer, this proxy, and no other. No `DIRECT` after it, because a client that cannot
//! reach the proxy for a moment would then bypass it silently for minutes (Chromium marks a proxy that refuses TCP as
//! bad for five).
//!
//! Deliberately not done:
//! - `DIRECT` for `localhost`. Chromium (since 71), Firefox and macOS never ask a script about loopback, so the branch
//!   would only help clients that want to bypass the proxy.
//! - `DIRECT` for plain host names. An intranet host is a destination like any other: the policy decides.
//! - Any look at `url` or `host`, and `dnsResolve` above all: it would tell a name server what the policy may deny.

use crate::facts::Destination;

/// The type that browsers want; Chromium takes any, Firefox and macOS do not.
pub const CONTENT_TYPE: &str = "application/x-ns-proxy-autoconfig";

/// The script for a proxy that clients reach at `proxy`: an address of the configuration, never of a `Host` field. With
/// `tls` they speak TLS to it.
pub fn script(proxy: &Destination, tls: bool) -> String {
    // A `Destination` has only letters, digits and `.:-_[]`, so nothing in it can end the string literal.
    let scheme = if tls { "HTTPS" } else { "PROXY" };
    format!("function FindProxyForURL(url, host) {{\n  return \"{scheme} {proxy}\";\n}}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(authority: &[u8]) -> Destination {
        Destination::parse(authority, None).expect("an authority")
    }

    #[test]
    fn the_script_names_this_proxy_and_nothing_else() {
        assert_eq!(
            script(&at(b"127.0.0.1:3128"), false),
            "function FindProxyForURL(url, host) {\n  return \"PROXY 127.0.0.1:3128\";\n}\n"
        );
        assert!(script(&at(b"proxy.example:8443"), true).contains("return \"HTTPS proxy.example:8443\";"));
        assert!(script(&at(b"[::1]:3128"), false).contains("return \"PROXY [::1]:3128\";"));
        assert!(!script(&at(b"127.0.0.1:3128"), false).contains("DIRECT"));
    }
}
