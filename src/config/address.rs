//! Addresses to listen on and to ask.

use std::net::{IpAddr, SocketAddr};

use crate::policy::text::quote;

/// DNS (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// An address to listen on: an IP address and a port, IPv6 in brackets.
///
/// # Errors
/// What is wrong with it and how to fix it, as two clauses.
pub fn parse_address(text: &str) -> Result<SocketAddr, (String, String)> {
    if text.starts_with("unix:") || text.starts_with("fd:") {
        let what = format!("the address {} is not supported in this version", quote(text));
        return Err((what, "write an IP address and a port, such as \"127.0.0.1:3128\"".into()));
    }
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let port = text.rsplit(':').next().filter(|port| port.parse::<u16>().is_ok());
    let fix = match (text.parse::<IpAddr>(), port) {
        (Ok(ip), _) => format!("add a port: \"{}\"", SocketAddr::new(ip, 3128)),
        (Err(_), Some(port)) => format!("write an IP address and a port, such as \"127.0.0.1:{port}\""),
        (Err(_), None) => "write an IP address and a port, such as \"127.0.0.1:3128\" or \"[::1]:3128\"".into(),
    };
    Err((format!("{} is not an address to listen on", quote(text)), fix))
}

/// A name server: an IP address, with a port where it is not 53.
pub(super) fn parse_server(text: &str) -> Option<SocketAddr> {
    text.parse().ok().or_else(|| text.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, DNS_PORT)))
}

/// Whether both cannot be bound at once. Two requests for any free port can.
pub(super) fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let all = |ip: IpAddr| ip.is_unspecified();
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || all(a.ip()) || all(b.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_and_a_port() {
        for text in ["127.0.0.1:3128", "[::1]:3128", "0.0.0.0:0"] {
            assert_eq!(parse_address(text).map(|address| address.to_string()), Ok(text.to_owned()));
        }
        let plain = "write an IP address and a port, such as \"127.0.0.1:3128\" or \"[::1]:3128\"";
        for (text, what, fix) in [
            (
                "localhost:3128",
                "is not an address to listen on",
                "write an IP address and a port, such as \"127.0.0.1:3128\"",
            ),
            (":8080", "is not an address to listen on", "write an IP address and a port, such as \"127.0.0.1:8080\""),
            ("8080", "is not an address to listen on", "write an IP address and a port, such as \"127.0.0.1:8080\""),
            ("::1", "is not an address to listen on", "add a port: \"[::1]:3128\""),
            ("127.0.0.1", "is not an address to listen on", "add a port: \"127.0.0.1:3128\""),
            ("127.0.0.1:99999", "is not an address to listen on", plain),
            ("http://127.0.0.1:x", "is not an address to listen on", plain),
            ("", "is not an address to listen on", plain),
        ] {
            assert_eq!(parse_address(text), Err((format!("\"{text}\" {what}"), fix.to_owned())));
        }
        for text in ["unix:/run/outgate.sock", "fd:proxy"] {
            let (what, _) = parse_address(text).unwrap_err();
            assert_eq!(what, format!("the address \"{text}\" is not supported in this version"));
        }
    }

    #[test]
    fn a_name_server_is_asked_on_port_53_unless_it_says_otherwise() {
        for (text, server) in [
            ("192.0.2.53", Some("192.0.2.53:53")),
            ("192.0.2.53:5353", Some("192.0.2.53:5353")),
            ("2001:db8::53", Some("[2001:db8::53]:53")),
            ("[2001:db8::53]:5353", Some("[2001:db8::53]:5353")),
            ("dns.example", None),
            ("192.0.2.53:", None),
        ] {
            assert_eq!(parse_server(text).map(|server| server.to_string()).as_deref(), server, "{text}");
        }
    }

    #[test]
    fn one_port_is_bound_once() {
        for (a, b, collision) in [
            ("127.0.0.1:3128", "127.0.0.1:3128", true),
            ("127.0.0.1:3128", "127.0.0.1:3129", false),
            ("127.0.0.1:3128", "127.0.0.2:3128", false),
            ("0.0.0.0:3128", "127.0.0.1:3128", true),
            ("127.0.0.1:3128", "[::]:3128", true),
            ("127.0.0.1:3128", "[::1]:3128", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            assert_eq!(collide(a.parse().unwrap(), b.parse().unwrap()), collision, "{a} {b}");
        }
    }
}
