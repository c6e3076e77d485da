//! What is near an address that no rule names, in words.
//!
//! Guaranteed: a handful of lookups, however many rules there are. A hint names only what was asked for, or a pattern for
//! an address of the same small block (an IPv4 /24, an IPv6 /64) or for the block right next to it: a denial must not
//! publish the allowlist.

use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::matcher::Matcher;
use super::pattern::HostPattern;
use super::{Policy, network};
use crate::facts::{AddressClass, RequestFacts};

/// Blocks that hold at least so many bits of the address in common are its neighbours: an IPv4 /16, an IPv6 /32.
const WIDEST: (u8, u8) = (16, 32);
/// All that is listed in a block of this length around the address is near it.
const AROUND: (u8, u8) = (24, 64);

/// What is near this address.
pub(super) fn for_address(policy: &Policy, facts: &RequestFacts, ip: IpAddr) -> Option<String> {
    let allows = &policy.allows;
    let is_open = |ip: IpAddr| {
        !policy.denies_literal(ip, facts)
            && allows.on_allowed_literal(ip).any(|clause| policy.missed(allows, clause, facts).is_none())
    };
    if let Some(whole) = network::whole_of(ip)
        && AddressClass::of(ip) != AddressClass::Global
        && allows.has_network(whole)
    {
        return Some(format!("`{whole}` does not cover `{ip}`, {}", AddressClass::of(ip).describe()));
    }
    if let Some(other) = other_form(ip).filter(|other| is_open(*other)) {
        return Some(format!("`{other}` is allowed, its other form `{ip}` is not"));
    }
    if let Some(near) = near(allows, ip).find(|near| is_open(near.addr())) {
        let within = if near.prefix_len() == near.max_prefix_len() { "" } else { " in it" };
        return Some(format!("`{}` is allowed, `{ip}` is not{within}", HostPattern::Network(near)));
    }
    allows.has_names().then(|| format!("rules for names do not cover the address `{ip}`"))
}

/// The v4-mapped form of an IPv4 address, or the address in a v4-mapped form.
fn other_form(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => Some(IpAddr::V6(ip.to_ipv6_mapped())),
        IpAddr::V6(ip) => ip.to_ipv4_mapped().map(IpAddr::V4),
    }
}

/// Blocks that are listed around the address, and then those right next to it, the smallest first.
fn near(allows: &Matcher, ip: IpAddr) -> impl Iterator<Item = IpNet> + '_ {
    let (longest, widest, around) = match ip {
        IpAddr::V4(_) => (32, WIDEST.0, AROUND.0),
        IpAddr::V6(_) => (128, WIDEST.1, AROUND.1),
    };
    let block = move |length: u8| match ip {
        IpAddr::V4(ip) => Ipv4Net::new(ip, length).ok().map(|net| IpNet::V4(net.trunc())),
        IpAddr::V6(ip) => Ipv6Net::new(ip, length).ok().map(|net| IpNet::V6(net.trunc())),
    };
    let listed = block(around).into_iter().flat_map(move |net| allows.networks_in(net).take(MOST_LOOKED_AT));
    let adjacent = (widest..=longest).rev().filter_map(block).map(sibling).filter(|net| allows.has_network(*net));
    listed.chain(adjacent)
}

/// A block of a thousand single addresses is looked at in part.
const MOST_LOOKED_AT: usize = 16;

/// The other half of the block that is one bit shorter.
fn sibling(net: IpNet) -> IpNet {
    match net {
        IpNet::V4(net) => {
            let bit = 1_u32.checked_shl(32 - u32::from(net.prefix_len())).unwrap_or_default();
            Ipv4Net::new((u32::from(net.addr()) ^ bit).into(), net.prefix_len()).map_or(IpNet::V4(net), IpNet::V4)
        }
        IpNet::V6(net) => {
            let bit = 1_u128.checked_shl(128 - u32::from(net.prefix_len())).unwrap_or_default();
            Ipv6Net::new((u128::from(net.addr()) ^ bit).into(), net.prefix_len()).map_or(IpNet::V6(net), IpNet::V6)
        }
    }
}
