//! Configurations: every text gets a verdict, and every accepted configuration can be used.

use std::collections::HashSet;
use std::path::Path;

use outgate::config::{Config, Limits};

use super::problems;

pub(super) fn check(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Config::parse(text, Path::new("/base")) {
        Ok((config, warnings)) => {
            problems::check(text, &[], &warnings);
            check_config(&config);
        }
        Err(found) => {
            assert!(!found.is_empty(), "refused without a word");
            problems::check(text, &[], &found);
        }
    }
}

fn check_config(config: &Config) {
    let names: HashSet<_> = config.listen.iter().map(|listen| &listen.name).collect();
    assert!(!config.listen.is_empty() && names.len() == config.listen.len());
    let addresses = config.listen.iter().map(|listen| listen.address).chain(config.admin.address);
    let fixed: Vec<_> = addresses.filter(|address| address.port() != 0).collect();
    assert_eq!(fixed.iter().collect::<HashSet<_>>().len(), fixed.len(), "an address twice");
    assert!(config.listen.iter().all(|listen| !listen.protocols.is_empty()));
    assert!(config.listen.iter().all(|listen| listen.address.ip().is_loopback() || listen.open), "open to others");
    assert!(config.policy.source.len() <= 1 && config.policy.source.iter().all(|path| path.has_root()));
    let record = &config.record;
    assert!(record.files > 0 && record.max_size > 0);
    assert!(!record.required || record.jsonl.is_some() || record.sqlite.is_some());
    let Limits {
        head_timeout,
        hello_timeout,
        body_timeout,
        keep_alive_timeout,
        connect_timeout,
        idle_timeout,
        drain_timeout: _,
        dns_timeout,
        max_head,
        max_hello,
        max_fields,
        max_tunnels,
        max_tunnels_per_client,
        max_connections,
        max_connections_per_client,
        max_dials,
        max_dials_per_client,
        max_lookups,
        max_lookups_per_client,
        max_handshakes,
        max_handshakes_per_client,
    } = config.limits;
    for wait in
        [head_timeout, hello_timeout, body_timeout, keep_alive_timeout, connect_timeout, idle_timeout, dns_timeout]
    {
        assert!(!wait.is_zero(), "{:?}", config.limits);
    }
    let in_all = [max_tunnels, max_connections, max_dials, max_lookups, max_handshakes];
    let per_client = [
        max_tunnels_per_client,
        max_connections_per_client,
        max_dials_per_client,
        max_lookups_per_client,
        max_handshakes_per_client,
    ];
    for most in [max_head, max_hello, max_fields].into_iter().chain(in_all).chain(per_client) {
        assert!(most > 0, "{:?}", config.limits);
    }
    for (_, addresses) in &config.dns.hosts {
        assert!(!addresses.is_empty());
    }
}
