//! Patterns: what is accepted covers what a plain reading of it says, as an allow entry and as a deny entry; what is
//! refused comes with a fix that leads somewhere.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use outgate::facts::{AddressClass, Port};
use outgate::policy::{Egress, Policy, Problems, Snapshot, Source};

use super::policy::{allows, empty, spanned};
use super::problems;

const SOURCE: Source<'_> = Source { lists: &[], content_hash: "0123456789abcdef" };
/// How many fixes it takes at most until a pattern is good, or there is no more to say.
const MOST_FIXES: usize = 12;

pub(super) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match compile(text, false) {
        Ok(policy) => check_cover(text, &policy),
        Err(found) => check_fixes(text, &found),
    }
}

fn compile(text: &str, deny: bool) -> Result<Snapshot, Problems> {
    let mut document = empty();
    if deny {
        document.egress = Egress::All;
        document.deny.push(spanned(text));
    } else {
        document.allow.push(spanned(text));
    }
    let compiled = Policy::compile(&document, SOURCE)?;
    problems::check("", &[], &compiled.warnings);
    Ok(Snapshot::from(compiled.policy))
}

/// Following each message leads to a good pattern, or to a message that says it in words.
fn check_fixes(text: &str, found: &Problems) {
    assert!(!found.is_empty(), "refused without a word");
    problems::check("", &[], found);
    let mut next = fix(found);
    for _ in 0..MOST_FIXES {
        let Some(fixed) = next else { return };
        next = match compile(&fixed, false) {
            Ok(_) => None,
            Err(found) => {
                problems::check("", &[], &found);
                fix(&found)
            }
        };
    }
    assert_eq!(next, None, "the fixes of {text:?} lead nowhere");
}

/// What to write instead, where that is said literally.
fn fix(found: &Problems) -> Option<String> {
    let [only] = found.kept() else { return None };
    let literal = only.fix.strip_prefix("write `")?.strip_suffix('`')?;
    (!literal.contains('`') && !only.fix.contains('\\')).then(|| literal.to_owned())
}

fn check_cover(text: &str, policy: &Snapshot) {
    let denying = compile(text, true).expect("what can be allowed can be denied");
    let Some(pattern) = Plain::read(text) else { return };
    for host in pattern.probes() {
        for port in [1, 80, 443, 444, *pattern.ports.start(), *pattern.ports.end(), 65535] {
            let (Ok(port), covered) = (Port::new(port), pattern.covers(&host)) else { continue };
            let web = pattern.has_ports || port == Port::HTTP || port == Port::HTTPS;
            let in_ports = pattern.ports.contains(&port.get());
            let allowed = covered && pattern.allows_form(&host);
            assert_eq!(allows(policy, &host, port), allowed && in_ports && web, "{text} as allow, {host}:{port}");
            // Single labels never pass by `egress = "all"`; addresses inside addresses are denied with them.
            if host.contains('.') && !host.starts_with('[') {
                let denied = covered && in_ports;
                assert_eq!(allows(&denying, &host, port), !denied, "{text} as deny, {host}:{port}");
            }
        }
    }
}

/// A pattern that is known to be good, read without care for anything else.
struct Plain {
    scope: &'static str,
    name: String,
    net: Option<IpNet>,
    ports: RangeInclusive<u16>,
    has_ports: bool,
}

impl Plain {
    /// None for international names: what they become is IDNA's business.
    fn read(text: &str) -> Option<Self> {
        if !text.is_ascii() {
            return None;
        }
        let (host, ports) = match text.strip_prefix('[').and_then(|inside| inside.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None if text.matches(':').count() > 1 => (text, None),
            None => text.split_once(':').map_or((text, None), |(host, ports)| (host, Some(ports))),
        };
        let number = |text: &str| text.parse::<u16>().expect("a port");
        let range = match ports {
            None | Some("*") => 1..=u16::MAX,
            Some(ports) => match ports.split_once('-') {
                Some((low, high)) => number(low)..=number(high),
                None => number(ports)..=number(ports),
            },
        };
        let net = host.parse().ok().or_else(|| host.parse::<IpAddr>().ok().map(IpNet::from));
        let scope = ["**.", "*."].into_iter().find(|scope| host.starts_with(scope)).unwrap_or_default();
        let name = host[scope.len()..].to_ascii_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name).to_owned();
        Some(Self { scope, name, net, ports: range, has_ports: ports.is_some() })
    }

    fn covers(&self, host: &str) -> bool {
        if let Some(net) = self.net {
            let bare = host.trim_start_matches('[').trim_end_matches(']');
            return bare.parse::<IpAddr>().is_ok_and(|ip| net.contains(&ip));
        }
        let below = host.ends_with(&format!(".{}", self.name));
        match self.scope {
            "" => host == self.name,
            "*." => below,
            _ => below || host == self.name,
        }
    }

    /// What an allow entry's block leaves out of what it contains: of a whole family special-purpose addresses, and IPv4
    /// addresses in v4-mapped form where the block is wider than these.
    fn allows_form(&self, host: &str) -> bool {
        let Some(net) = self.net else { return true };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let Ok(ip) = bare.parse::<IpAddr>() else { return true };
        let mapped = matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some());
        (net.prefix_len() > 0 || AddressClass::of(ip).is_global()) && (net.prefix_len() >= 96 || !mapped)
    }

    /// Addresses inside the pattern, at its edges and just outside.
    fn probes(&self) -> Vec<String> {
        let Some(net) = self.net else {
            let name = &self.name;
            let near =
                [name.clone(), format!("a.{name}"), format!("a.b.{name}"), format!("x{name}"), format!("{name}x")];
            let above = name.split_once('.').map(|(_, above)| above.to_owned());
            return near.into_iter().chain(above).filter(|name| is_name(name)).collect();
        };
        let step = |ip: IpAddr, up: bool| match ip {
            IpAddr::V4(ip) => {
                let ip = u32::from(ip);
                IpAddr::from((if up { ip.wrapping_add(1) } else { ip.wrapping_sub(1) }).to_be_bytes())
            }
            IpAddr::V6(ip) => {
                let ip = u128::from(ip);
                IpAddr::from((if up { ip.wrapping_add(1) } else { ip.wrapping_sub(1) }).to_be_bytes())
            }
        };
        let ips = [net.network(), net.broadcast(), step(net.network(), false), step(net.broadcast(), true)];
        ips.into_iter().map(|ip| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }).collect()
    }
}

fn is_name(text: &str) -> bool {
    outgate::facts::DomainName::parse(text.as_bytes()).is_ok()
}
