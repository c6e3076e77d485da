//! The system's proxy setting on a Mac: `scutil --proxy` for what is in force, `networksetup` for each network service,
//! because a new one (a dock, a VPN) starts without the setting.
//!
//! Deliberately not done: changing it; `deploy/README.md` says how.

use std::process::Command;

use super::environment::{is_wide, leads_to};
use super::finding::{Finding, ok, warn};
use crate::app::canary::TestedListener;

const CHECK: &str = "system proxy";

/// What the system's setting came to.
#[derive(Debug)]
pub(super) struct System {
    pub(super) findings: Vec<Finding>,
    pub(super) leads_here: bool,
}

/// Asks the system, on a Mac.
pub(super) fn judge_this_machine(listeners: &[TestedListener]) -> Option<System> {
    if !cfg!(target_os = "macos") {
        return None;
    }
    let Some(text) = output("/usr/sbin/scutil", &["--proxy"]) else {
        let findings = vec![warn(CHECK, "`scutil --proxy` failed".into(), "look in System Settings, Network, Proxies")];
        return Some(System { findings, leads_here: false });
    };
    let mut system = judge(&InForce::parse(&text), listeners);
    let services = output("/usr/sbin/networksetup", &["-listallnetworkservices"]).unwrap_or_default();
    for service in services_of(&services) {
        let ask = |question: &str| output("/usr/sbin/networksetup", &[question, service]).unwrap_or_default();
        let leads_here =
            is_pac_of(&ask("-getautoproxyurl"), listeners) || is_proxy_of(&ask("-getsecurewebproxy"), listeners);
        system.findings.extend(judge_service(service, leads_here, listeners));
    }
    Some(system)
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `scutil --proxy` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct InForce {
    https: Option<(String, u16)>,
    pac: Option<String>,
    exceptions: Vec<String>,
}

impl InForce {
    /// Lines of `key : value`; arrays are `key : <array> {`, lines of `index : value`, and `}`.
    fn parse(text: &str) -> Self {
        let mut keys = Vec::new();
        let mut exceptions = Vec::new();
        let mut array = None;
        for line in text.lines().map(str::trim) {
            let pair = line.split_once(" : ");
            match (array, pair) {
                (Some(_), None) if line == "}" => array = None,
                (Some("ExceptionsList"), Some((_, value))) => exceptions.push(value.to_owned()),
                (Some(_), _) => {}
                (None, Some((key, value))) if value.ends_with('{') => array = Some(key),
                (None, Some((key, value))) => keys.push((key, value)),
                (None, None) => {}
            }
        }
        let get = |name: &str| keys.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let https = (get("HTTPSEnable") == Some("1"))
            .then(|| Some((get("HTTPSProxy")?.to_ascii_lowercase(), get("HTTPSPort")?.parse().ok()?)))
            .flatten();
        let pac = (get("ProxyAutoConfigEnable") == Some("1"))
            .then(|| get("ProxyAutoConfigURLString").map(str::to_owned))
            .flatten();
        Self { https, pac, exceptions }
    }
}

fn judge(system: &InForce, listeners: &[TestedListener]) -> System {
    let mut findings = Vec::new();
    // Where there is a script, macOS asks it first.
    let leads_here = match (&system.pac, &system.https) {
        (Some(url), _) => is_our_pac(url, listeners),
        (None, Some((host, port))) => {
            listeners.iter().any(|listener| !listener.tls && leads_to(host, *port, listener.address))
        }
        (None, None) => false,
    };
    findings.push(match (leads_here, &system.pac, &system.https) {
        (true, Some(_), _) => ok(CHECK, "the system's PAC file is outgate's".into()),
        (true, None, _) => ok(CHECK, "the system's proxy leads here".into()),
        (false, Some(_), _) => warn(CHECK, "the system's PAC file is not outgate's".into(), set(listeners)),
        (false, None, Some((host, port))) => {
            warn(CHECK, format!("the system's proxy is {host}:{port}, not this one"), set(listeners))
        }
        (false, None, None) => {
            warn(CHECK, "the system has no proxy set: desktop apps go out directly".into(), set(listeners))
        }
    });
    if let Some(wide) = system.exceptions.iter().find(|entry| is_wide(entry)) {
        let what = format!("`{wide}` is among the system's exceptions: what it covers goes out directly");
        findings.push(warn(CHECK, what, "networksetup -setproxybypassdomains SERVICE localhost 127.0.0.1"));
    }
    System { findings, leads_here }
}

fn judge_service(service: &str, leads_here: bool, listeners: &[TestedListener]) -> Option<Finding> {
    let what = format!("the network service \"{service}\" has no proxy that leads here");
    (!leads_here).then(|| warn(CHECK, what, set(listeners).replace("SERVICE", &format!("\"{service}\""))))
}

/// The services; the first line explains that a star marks those that are off.
fn services_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('*'))
}

/// `-getautoproxyurl`: lines `URL: …` and `Enabled: Yes`.
fn is_pac_of(text: &str, listeners: &[TestedListener]) -> bool {
    line(text, "Enabled") == Some("Yes") && line(text, "URL").is_some_and(|url| is_our_pac(url, listeners))
}

/// `-getsecurewebproxy`: lines `Enabled: Yes`, `Server: …`, `Port: …`.
fn is_proxy_of(text: &str, listeners: &[TestedListener]) -> bool {
    let place = line(text, "Server").zip(line(text, "Port").and_then(|port| port.parse().ok()));
    line(text, "Enabled") == Some("Yes")
        && place.is_some_and(|(host, port)| listeners.iter().any(|listener| leads_to(host, port, listener.address)))
}

fn line<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

fn is_our_pac(url: &str, listeners: &[TestedListener]) -> bool {
    let Some((place, path)) = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')) else { return false };
    let Some((host, port)) = place.rsplit_once(':') else { return false };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = |port: u16| listeners.iter().any(|listener| leads_to(host, port, listener.address));
    path == "proxy.pac" && port.parse().is_ok_and(is_here)
}

fn set(listeners: &[TestedListener]) -> String {
    match listeners.iter().find(|listener| !listener.tls) {
        Some(listener) => format!("sudo networksetup -setautoproxyurl SERVICE http://{}/proxy.pac", listener.address),
        None => "sudo networksetup -setautoproxyurl SERVICE with the proxy's /proxy.pac".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Level;
    use super::*;

    const PROXY: &str = "<dictionary> {\n  ExceptionsList : <array> {\n    0 : *.local\n    1 : 169.254/16\n  }\n  \
        FTPPassive : 1\n  HTTPEnable : 0\n  HTTPSEnable : 1\n  HTTPSPort : 3128\n  HTTPSProxy : 127.0.0.1\n}\n";
    const PAC: &str = "<dictionary> {\n  ProxyAutoConfigEnable : 1\n  \
        ProxyAutoConfigURLString : http://127.0.0.1:3128/proxy.pac\n}\n";

    fn listeners() -> [TestedListener; 1] {
        [TestedListener { address: "127.0.0.1:3128".parse().unwrap(), tls: false }]
    }

    #[test]
    fn what_scutil_says_is_read_with_its_arrays() {
        let read = InForce::parse(PROXY);
        assert_eq!(read.https, Some(("127.0.0.1".to_owned(), 3128)));
        assert_eq!((read.pac, read.exceptions), (None, vec!["*.local".to_owned(), "169.254/16".to_owned()]));
        assert_eq!(InForce::parse(&PROXY.replace("HTTPSEnable : 1", "HTTPSEnable : 0")).https, None);
        assert_eq!(InForce::parse(PAC).pac.as_deref(), Some("http://127.0.0.1:3128/proxy.pac"));
        assert_eq!(InForce::parse("<dictionary> {\n}\n"), InForce::default());
    }

    #[test]
    fn the_system_leads_here_by_proxy_or_by_script_and_the_script_counts_first() {
        let both = format!("{PROXY}{}", PAC.replace("127.0.0.1", "192.0.2.1"));
        for (text, leads_here) in [
            (PROXY.to_owned(), true),
            (PAC.to_owned(), true),
            (PROXY.replace("3128", "3129"), false),
            (PAC.replace("proxy.pac", "other.pac"), false),
            (PAC.replace("3128", "8080"), false),
            (both, false),
            (String::new(), false),
        ] {
            let system = judge(&InForce::parse(&text), &listeners());
            assert_eq!(system.leads_here, leads_here, "{text}");
            let is_fine = system.findings.iter().all(|finding| finding.level == Level::Ok);
            assert_eq!(is_fine, leads_here, "{text}");
        }
    }

    #[test]
    fn an_exception_that_covers_strangers_is_worth_a_look() {
        let wide = judge(&InForce::parse(&PROXY.replace("*.local", "*.com")), &listeners());
        assert!(wide.leads_here);
        assert!(wide.findings.iter().any(|finding| finding.level == Level::Warn && finding.what.contains("`*.com`")));
    }

    #[test]
    fn each_service_is_asked_but_those_that_are_off() {
        let list = "An asterisk (*) denotes that a network service is disabled.\nWi-Fi\n*Bluetooth PAN\nUSB LAN\n";
        assert_eq!(services_of(list).collect::<Vec<_>>(), ["Wi-Fi", "USB LAN"]);
        assert!(is_proxy_of(
            "Enabled: Yes\nServer: 127.0.0.1\nPort: 3128\nAuthenticated Proxy Enabled: 0\n",
            &listeners()
        ));
        assert!(!is_proxy_of("Enabled: No\nServer: 127.0.0.1\nPort: 3128\n", &listeners()));
        assert!(!is_proxy_of("Enabled: Yes\nServer: 127.0.0.1\nPort: 3129\n", &listeners()));
        assert!(is_pac_of("URL: http://127.0.0.1:3128/proxy.pac\nEnabled: Yes\n", &listeners()));
        assert!(!is_pac_of("URL: http://127.0.0.1:3128/proxy.pac\nEnabled: No\n", &listeners()));
        assert!(
            judge_service("Wi-Fi", false, &listeners())
                .unwrap()
                .fix
                .unwrap()
                .contains("-setautoproxyurl \"Wi-Fi\" http")
        );
        assert_eq!(judge_service("Wi-Fi", true, &listeners()), None);
    }
}
