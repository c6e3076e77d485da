//! Addresses and CIDR blocks as a policy writes them, and what they cover.
//!
//! Guaranteed:
//! - `0.0.0.0/0` and `::/0` mean addresses that are asked for as such and that are not special-purpose. In a deny entry
//!   they mean special-purpose ones too, and like every deny entry they know an IPv4 address in all its forms; but they are
//!   not about what names resolve to.
//! - To allow something, or to open a special-purpose range, an IPv6 block covers an IPv4 address in its v4-mapped form
//!   only if the block is within ::ffff:0:0/96: a packet to such an address is an IPv4 packet, and `::/0` does not say so.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::ProblemCode;
use super::problem::Complaint;
use crate::facts::{AddressClass, Host, Port};

/// The length of ::ffff:0:0/96, the IPv4 addresses in IPv6 form (RFC 4291 §2.5.5.2).
const MAPPED: u8 = 96;

/// The longest text that is read as a pattern or repeated in a message, in bytes. A name has 253, an international one
/// up to four times as many; `**.` and ports are short. Pasted URLs can be longer, but they are not patterns.
pub(super) const LONGEST: usize = 1200;

pub(super) fn too_long() -> Complaint {
    Complaint::new(ProblemCode::TooLarge, "the text is longer than any host name", "write a host such as `example.com`")
}

/// Whether a block of `addresses` or `internal-addresses` opens this special-purpose address.
pub(super) fn opens(net: &IpNet, ip: IpAddr) -> bool {
    net.contains(&ip) && !is_whole(net) && allows_form(net, ip)
}

/// Whether an allow rule's block, which contains this literal, also covers it.
pub(super) fn covers_literal(net: &IpNet, ip: IpAddr) -> bool {
    allows_form(net, ip) && (!is_whole(net) || AddressClass::of(ip).is_global())
}

/// Whether it is `0.0.0.0/0` or `::/0`.
pub(super) fn is_whole(net: &IpNet) -> bool {
    net.prefix_len() == 0
}

/// `0.0.0.0/0` for an IPv4 address, `::/0` for an IPv6 address that is not an IPv4 address in another form.
pub(super) fn whole_of(ip: IpAddr) -> Option<IpNet> {
    match ip {
        IpAddr::V4(_) => Some(IpNet::V4(Ipv4Net::default())),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().is_none().then(|| IpNet::V6(Ipv6Net::default())),
    }
}

fn allows_form(net: &IpNet, ip: IpAddr) -> bool {
    net.prefix_len() >= MAPPED || !matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
}

/// Reads an address or a block without a port, as `addresses` and `internal-addresses` have them.
pub(super) fn parse(text: &str) -> Result<IpNet, Complaint> {
    if text.trim().is_empty() {
        return Err(Complaint::new(
            ProblemCode::EmptyValue,
            "the address is empty",
            "write an address or a CIDR block, such as `10.0.0.0/8`",
        ));
    }
    if text.len() > LONGEST {
        return Err(too_long());
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Some((before, port)) = bare.rsplit_once(':')
        && is_numeric(before)
        && (!before.contains(':') || port == "*")
    {
        return Err(Complaint::new(
            ProblemCode::InvalidAddress,
            format!("`{text}` has a port"),
            format!("write `{before}`; ports belong to the rule"),
        ));
    }
    if !is_numeric(bare) {
        return Err(Complaint::new(
            ProblemCode::InvalidAddress,
            format!("`{text}` is neither an address nor a CIDR block"),
            "write the block that the name resolves into, such as `10.0.0.0/8`",
        ));
    }
    parse_numeric(bare)
}

/// Whether this can only be meant as an address or a block: digits, dots and a length, or colons.
pub(super) fn is_numeric(text: &str) -> bool {
    let host = text.split('/').next().unwrap_or(text);
    let digits = |byte: u8| byte.is_ascii_digit() || byte == b'.';
    host.matches(':').count() >= 2 || (host.bytes().all(digits) && host.bytes().any(|byte| byte.is_ascii_digit()))
}

/// Reads an address or a block, of either family, without brackets.
pub(super) fn parse_numeric(text: &str) -> Result<IpNet, Complaint> {
    let (host, length) = match text.split_once('/') {
        Some((host, length)) => (host, Some(length)),
        None => (text, None),
    };
    let ip = parse_ip(host)?;
    let Some(length) = length else { return Ok(IpNet::from(ip)) };
    let net = parse_length(ip, length)?;
    if net.addr() != net.network() {
        return Err(Complaint::new(
            ProblemCode::HostBits,
            format!("`{text}` has bits set after its prefix"),
            format!("write `{}` for the block, or `{ip}` for the one address", net.trunc()),
        ));
    }
    Ok(net)
}

fn parse_ip(host: &str) -> Result<IpAddr, Complaint> {
    let wire = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    if let Ok(Host::Ip(ip)) = Host::parse(wire.as_bytes()) {
        return Ok(ip);
    }
    if !host.contains(':') {
        return Err(Complaint::new(
            ProblemCode::LegacyIpv4,
            format!("`{host}` is an old spelling of an IPv4 address, which programs read in different ways"),
            "write four decimal numbers from 0 to 255 without leading zeros, such as `192.0.2.1`",
        ));
    }
    if host.contains('%') {
        return Err(Complaint::new(
            ProblemCode::InvalidAddress,
            format!("`{host}` has a zone"),
            "leave out `%` and what follows",
        ));
    }
    // With its last group taken for a port, is it an address?
    if let Some((before, port)) = host.rsplit_once(':')
        && !host.contains(":::")
        && Host::parse(format!("[{before}]").as_bytes()).is_ok()
        && Port::parse(port.as_bytes()).is_ok()
    {
        return Err(needs_brackets(before, port));
    }
    Err(Complaint::new(
        ProblemCode::InvalidAddress,
        format!("`{host}` is not an IPv6 address"),
        "write it as in `2001:db8::1`",
    ))
}

/// An IPv6 address and a port run together.
pub(super) fn needs_brackets(address: &str, port: &str) -> Complaint {
    Complaint::new(
        ProblemCode::AmbiguousIpv6,
        format!("`{address}:{port}` is an IPv6 address without brackets, and its port is ambiguous"),
        format!("write `[{address}]:{port}`, or `[{address}:{port}]` if that is the whole address"),
    )
}

fn parse_length(ip: IpAddr, length: &str) -> Result<IpNet, Complaint> {
    let longest = if ip.is_ipv4() { 32 } else { 128 };
    let plain = matches!(length.as_bytes(), [b'0'..=b'9'] | [b'1'..=b'9', _] | [b'1'..=b'9', _, _]);
    if plain
        && let Ok(number) = length.parse::<u8>()
        && let Ok(net) = IpNet::new(ip, number)
    {
        return Ok(net);
    }
    if let (IpAddr::V4(ip), Ok(Host::Ip(IpAddr::V4(mask)))) = (ip, Host::parse(length.as_bytes()))
        && let Ok(net) = Ipv4Net::with_netmask(ip, mask)
    {
        return Err(Complaint::new(
            ProblemCode::InvalidAddress,
            format!("`/{length}` is a netmask"),
            format!("write the length of the prefix: `{}`", net.trunc()),
        ));
    }
    Err(Complaint::new(
        ProblemCode::InvalidAddress,
        format!("`/{length}` is not a prefix length"),
        format!("write a number from 0 to {longest} after the slash"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_blocks_are_read_strictly() {
        for (text, expected) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd00::/8", "fd00::/8"),
            ("[fd00::1]", "fd00::1/128"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), expected, "{text}");
        }
        for (text, fix) in [
            ("", "write an address or a CIDR block, such as `10.0.0.0/8`"),
            ("10.0.0.1/8", "write `10.0.0.0/8` for the block, or `10.0.0.1` for the one address"),
            ("fd00::1/8", "write `fd00::/8` for the block, or `fd00::1` for the one address"),
            ("10.0.0.0/33", "write a number from 0 to 32 after the slash"),
            ("10.0.0.0/08", "write a number from 0 to 32 after the slash"),
            ("fd00::/129", "write a number from 0 to 128 after the slash"),
            ("10.0.0.0/255.0.0.0", "write the length of the prefix: `10.0.0.0/8`"),
            ("10.0.0", "write four decimal numbers from 0 to 255 without leading zeros, such as `192.0.2.1`"),
            ("010.0.0.1", "write four decimal numbers from 0 to 255 without leading zeros, such as `192.0.2.1`"),
            ("10.0.0.1:443", "write `10.0.0.1`; ports belong to the rule"),
            ("fe80::1%lo", "leave out `%` and what follows"),
            ("fe80:::1", "write it as in `2001:db8::1`"),
            ("intranet.test", "write the block that the name resolves into, such as `10.0.0.0/8`"),
        ] {
            assert_eq!(parse(text).map_err(|complaint| complaint.fix), Err(fix.to_owned()), "{text}");
        }
    }
}
