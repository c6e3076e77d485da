//! Checks whether this shell's proxy variables lead to outgate.

use std::net::{IpAddr, SocketAddr};

use super::finding::{Finding, fail, ok, warn};
use crate::app::canary::TestedListener;
use crate::policy::is_registry_suffix;

const CHECK: &str = "environment";

/// What the variables came to.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) findings: Vec<Finding>,
    /// Whether `HTTPS_PROXY` leads to one of the listeners.
    pub(super) leads_here: bool,
}

/// Judges the proxy variables. `variable` gives a variable's value, if it is set.
pub(super) fn judge(variable: &dyn Fn(&str) -> Option<String>, listeners: &[TestedListener]) -> Shell {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let mut findings = Vec::new();
    let mut leads_here = false;
    for (upper, lower) in [("HTTPS_PROXY", "https_proxy"), ("HTTP_PROXY", "http_proxy")] {
        // The lower-case one comes first in curl, in Claude Code and in most others.
        let (name, value) = match (set(lower), set(upper)) {
            (Some(one), Some(other)) if one != other => {
                let what = format!("{lower} and {upper} differ, and programs disagree on which counts");
                findings.push(warn(CHECK, what, "give both the same value"));
                (lower, one)
            }
            (Some(value), _) => (lower, value),
            (None, Some(value)) => (upper, value),
            (None, None) => {
                let what = format!("{upper} is not set in this shell: programs that it starts go out directly");
                findings.push(warn(CHECK, what, export(upper, listeners)));
                continue;
            }
        };
        let finding = judge_one(name, &value, listeners);
        leads_here |= upper == "HTTPS_PROXY" && finding.fix.is_none();
        findings.push(finding);
    }
    findings.extend(exceptions("NO_PROXY", set("NO_PROXY").as_deref()));
    findings.extend(exceptions("no_proxy", set("no_proxy").as_deref()));
    if leads_here && set("NODE_USE_ENV_PROXY").as_deref() != Some("1") {
        let what = "NODE_USE_ENV_PROXY is not 1: Node's own fetch ignores the other variables".to_owned();
        findings.push(warn(CHECK, what, "export NODE_USE_ENV_PROXY=1 (Node 22.21, 24 and later)"));
    }
    Shell { findings, leads_here }
}

fn judge_one(name: &str, value: &str, listeners: &[TestedListener]) -> Finding {
    let Some(url) = ProxyUrl::parse(value) else {
        return fail(
            CHECK,
            format!("{name} is not the URL of a proxy; some programs fail on that"),
            export(name, listeners),
        );
    };
    let place = format!("{}:{}", url.host, url.port);
    match listeners.iter().find(|listener| leads_to(&url.host, url.port, listener.address)) {
        Some(listener) if listener.tls != url.tls => {
            let (is, said) = if listener.tls { ("TLS", "http://") } else { ("no TLS", "https://") };
            fail(CHECK, format!("{name} says {said}, but the listener at {place} speaks {is}"), export(name, listeners))
        }
        Some(_) => ok(CHECK, format!("{name} leads here ({place})")),
        None => warn(CHECK, format!("{name} leads to {place}, not here"), export(name, listeners)),
    }
}

/// A proxy as variables name it. User and password are left out, so that they are not printed.
struct ProxyUrl {
    tls: bool,
    host: String,
    port: u16,
}

impl ProxyUrl {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        let (tls, default) = match scheme.to_ascii_lowercase().as_str() {
            "http" => (false, 80),
            "https" => (true, 443),
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next()?;
        let authority = authority.rsplit_once('@').map_or(authority, |(_, place)| place);
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
            _ => (authority, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        (!host.is_empty() && host.chars().all(is_name)).then(|| Self { tls, host: host.to_ascii_lowercase(), port })
    }
}

/// Whether a host and a port, as settings name them, are this listener. Names are not looked up, `localhost` aside.
pub(super) fn leads_to(host: &str, port: u16, listener: SocketAddr) -> bool {
    let is_host = match host.parse::<IpAddr>() {
        Ok(ip) => ip == listener.ip() || (listener.ip().is_unspecified() && ip.is_loopback()),
        Err(_) => host == "localhost" && (listener.ip().is_loopback() || listener.ip().is_unspecified()),
    };
    is_host && port == listener.port()
}

/// What lets far too much pass by the proxy.
fn exceptions(name: &str, value: Option<&str>) -> Option<Finding> {
    let wide = value?.split([',', ' ']).map(str::trim).find(|entry| is_wide(entry))?;
    let what = format!("{name} has `{wide}`: what it covers goes out directly");
    Some(warn(CHECK, what, format!("export {name}=localhost,127.0.0.1,::1")))
}

/// Everything, every address, or all that a registry gives out (`com`, `.co.uk`).
pub(super) fn is_wide(entry: &str) -> bool {
    if matches!(entry, "*" | "0.0.0.0/0" | "::/0") {
        return true;
    }
    let name = entry.trim_start_matches('*').trim_start_matches('.').to_ascii_lowercase();
    is_registry_suffix(&name)
}

fn export(name: &str, listeners: &[TestedListener]) -> String {
    match listeners.first() {
        Some(listener) => {
            let scheme = if listener.tls { "https" } else { "http" };
            format!("export {name}={scheme}://{}", listener.address)
        }
        None => format!("export {name} with the address of the proxy"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    fn listeners() -> [TestedListener; 2] {
        [
            TestedListener { address: "127.0.0.1:3128".parse().unwrap(), tls: false },
            TestedListener { address: "[::1]:3443".parse().unwrap(), tls: true },
        ]
    }

    fn judged(variables: &[(&str, &str)]) -> Shell {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        judge(&get, &listeners())
    }

    #[test]
    fn a_variable_leads_here_or_elsewhere_or_nowhere() {
        for (value, level) in [
            ("http://127.0.0.1:3128", Level::Ok),
            ("127.0.0.1:3128", Level::Ok),
            ("http://LOCALHOST:3128/", Level::Ok),
            ("http://user:secret@127.0.0.1:3128", Level::Ok),
            ("https://[::1]:3443", Level::Ok),
            ("http://127.0.0.1:3129", Level::Warn),
            ("http://127.0.0.2:3128", Level::Warn),
            ("http://proxy.example:3128", Level::Warn),
            ("http://127.0.0.1", Level::Warn),
            ("http://[::1]:3443", Level::Fail),
            ("https://127.0.0.1:3128", Level::Fail),
            ("socks5://127.0.0.1:3128", Level::Fail),
            ("http://127.0.0.1:99999", Level::Fail),
            ("http://", Level::Fail),
        ] {
            let finding = judge_one("HTTPS_PROXY", value, &listeners());
            assert_eq!(finding.level, level, "{value}: {finding:?}");
            assert!(!finding.what.contains("secret"));
        }
    }

    #[test]
    fn only_https_proxy_says_whether_programs_come_here() {
        let here = "http://127.0.0.1:3128";
        for (variables, leads_here) in [
            (&[("HTTPS_PROXY", here)][..], true),
            (&[("https_proxy", here)], true),
            (&[("HTTP_PROXY", here)], false),
            (&[("HTTPS_PROXY", here), ("https_proxy", "http://proxy.example:1")], false),
            (&[("HTTPS_PROXY", "")], false),
            (&[], false),
        ] {
            assert_eq!(judged(variables).leads_here, leads_here, "{variables:?}");
        }
    }

    #[test]
    fn each_trap_has_its_line_and_a_clean_shell_has_none() {
        let clean = [
            ("HTTPS_PROXY", "http://127.0.0.1:3128"),
            ("HTTP_PROXY", "http://127.0.0.1:3128"),
            ("NO_PROXY", "localhost,127.0.0.1,.corp.example,10.0.0.0/8"),
            ("NODE_USE_ENV_PROXY", "1"),
        ];
        let troubles = |variables: &[(&str, &str)]| -> Vec<String> {
            judged(variables)
                .findings
                .into_iter()
                .filter(|finding| finding.level != Level::Ok)
                .map(|finding| finding.what)
                .collect()
        };
        assert_eq!(troubles(&clean), [""; 0]);
        for (name, value, words) in [
            ("https_proxy", "http://proxy.example:1", "https_proxy and HTTPS_PROXY differ"),
            ("no_proxy", "localhost, *", "no_proxy has `*`"),
            ("NODE_USE_ENV_PROXY", "0", "Node's own fetch"),
        ] {
            let variables: Vec<_> = std::iter::once((name, value)).chain(clean).collect();
            assert!(troubles(&variables).iter().any(|what| what.contains(words)), "{name}={value}");
        }
        assert!(troubles(&[]).iter().any(|what| what.contains("HTTPS_PROXY is not set")));
    }

    #[test]
    fn an_exception_is_wide_when_it_covers_strangers() {
        for (entry, wide) in [
            ("*", true),
            (".com", true),
            ("*.com", true),
            ("com", true),
            (".CO.UK", true),
            (".local", false),
            (".internal", false),
            ("example.com", false),
            ("0.0.0.0/0", true),
            ("localhost", false),
            ("intranet", false),
            (".corp.example", false),
            ("127.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_wide(entry), wide, "{entry}");
        }
    }
}
