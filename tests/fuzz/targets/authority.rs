//! Hosts, ports and authorities: what is read is canonical, prints as it would be read again, and is what std, IDNA and
//! browsers read in the same bytes.

use std::net::{IpAddr, Ipv4Addr};

use outgate::facts::{Destination, Host, Port, Protocol, Question};

pub(super) fn check(input: &[u8]) {
    check_host(input);
    check_destination(input);
    if let Ok(text) = std::str::from_utf8(input) {
        check_question(text);
    }
}

fn check_host(input: &[u8]) {
    let host = Host::parse(input);
    let plain = std::str::from_utf8(input).ok().and_then(|text| text.parse::<Ipv4Addr>().ok());
    match (&host, plain) {
        (Ok(Host::Ip(IpAddr::V4(ip))), plain) => assert_eq!(Some(*ip), plain),
        (_, plain) => assert_eq!(plain, None, "std reads an address"),
    }
    let Ok(host) = host else { return };
    let shown = host.to_string();
    assert_eq!(Host::parse(shown.as_bytes()), Ok(host.clone()), "{shown}");
    assert_eq!(Host::parse(input.to_ascii_uppercase().as_slice()), Ok(host.clone()), "in capitals");
    let Host::Name(name) = host else { return };
    assert_eq!(shown, name.as_str());
    assert!(shown.len() <= 253 && shown.split('.').all(|label| (1..=63).contains(&label.len())), "{shown}");
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    assert!(shown.bytes().all(known), "{shown}");
    assert!(input.eq_ignore_ascii_case(shown.as_bytes()) || input.eq_ignore_ascii_case(format!("{shown}.").as_bytes()));
    // What a browser makes of it is the same name or none, and never an address.
    if let Ok(ascii) = idna::domain_to_ascii_cow(shown.as_bytes(), idna::AsciiDenyList::URL) {
        assert_eq!(ascii, shown, "IDNA reads another name");
    }
    let last = shown.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    assert!(!number, "{shown} ends in a number");
    let suffixes: Vec<&str> = name.suffixes().collect();
    assert_eq!(suffixes.len(), shown.split('.').count());
    assert!(suffixes.iter().all(|suffix| shown.ends_with(suffix)));
}

fn check_destination(input: &[u8]) {
    let bare = Destination::parse(input, None);
    let defaulted = Destination::parse(input, Some(Port::HTTP));
    if bare.is_ok() {
        assert_eq!(bare, defaulted, "a default replaces a port");
    }
    let Ok(destination) = defaulted else { return };
    let shown = destination.to_string();
    assert_eq!(Destination::parse(shown.as_bytes(), None), Ok(destination.clone()), "{shown}");
    assert_eq!(Host::parse(destination.host().to_string().as_bytes()).as_ref(), Ok(destination.host()));
    if bare.is_err() {
        assert_eq!(destination.port(), Port::HTTP);
        assert_eq!(Host::parse(input).as_ref(), Ok(destination.host()), "without a port it is a host");
    } else {
        let colon = input.iter().rposition(|byte| *byte == b':').expect("a colon");
        assert_eq!(Host::parse(&input[..colon]).as_ref(), Ok(destination.host()));
        assert_eq!(input[colon + 1..], *destination.port().to_string().as_bytes(), "a port has one spelling");
    }
}

fn check_question(text: &str) {
    let Ok(question) = Question::parse(text) else { return };
    let destination = &question.destination;
    let tunnel = Question::parse(&destination.to_string()).expect("a destination is a question");
    assert_eq!((&tunnel.destination, tunnel.protocol), (destination, Protocol::Connect));
    let plain = Question::parse(&format!("http://{destination}{}", question.path.as_deref().unwrap_or_default()));
    let plain = plain.expect("a destination and a path are a URL");
    assert_eq!((&plain.destination, plain.protocol), (destination, Protocol::Http));
    assert!(plain.path.is_some_and(|path| path.starts_with('/') && !path.contains(['?', '#'])));
    assert_eq!(question.path.is_some(), question.protocol == Protocol::Http);
    assert_eq!(question.method.is_some(), question.protocol == Protocol::Http);
}
