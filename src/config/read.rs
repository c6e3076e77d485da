//! The tree read into a [`Config`].

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::address::{collide, parse_address, parse_server};
use super::{AdminConfig, Config, DnsConfig, Limits, ListenConfig, PolicyConfig, RecordConfig, TlsFiles, keys, parent};
use crate::facts::{DomainName, Nat64Prefix};
use crate::policy::ProblemCode;
use crate::policy::text::{Fields, Format, Key, Node, Problems, Spanned, Value, quote};

/// Claude's slower stream watchdog. A tunnel that is cut before it fires looks like a network fault to the client.
const LONGEST_WATCHDOG: Duration = Duration::from_secs(300);

pub(super) fn read(text: &str, base: &Path) -> Result<(Config, Problems), Problems> {
    let mut reader = Reader { base, problems: Problems::default(), warnings: Problems::default() };
    let config = Format::Toml.parse(text, &mut reader.problems).and_then(|node| reader.config(&node));
    match config {
        Some(config) if reader.problems.is_empty() => Ok((config, reader.warnings.sorted())),
        _ => Err(reader.problems.sorted()),
    }
}

struct Reader<'a> {
    base: &'a Path,
    problems: Problems,
    warnings: Problems,
}

// A wrong value is reported and its default used instead, so that reading continues; such a configuration is never
// handed out.

impl Reader<'_> {
    fn config(&mut self, node: &Node) -> Option<Config> {
        let fields = Fields::open(node, &keys::CONFIG, &mut self.problems)?;
        let mut config = Config::built_in();
        let admin = fields.table(&keys::ADMIN, &mut self.problems);
        if let Some(admin) = admin {
            config.admin = self.admin(admin, &config.admin);
        }
        if fields.node(&keys::LISTEN).is_some() {
            config.listen = self.listeners(fields, config.admin.address);
        } else if let Some(node) = admin.and_then(|admin| admin.node(&keys::ADMIN_ADDRESS)) {
            self.keep_from_listeners(&config, node);
        }
        if let Some(policy) = fields.table(&keys::POLICY, &mut self.problems) {
            config.policy = self.policy(policy, &config.policy);
        }
        if let Some(record) = fields.table(&keys::RECORD, &mut self.problems) {
            config.record = self.record(record, &config.record);
        }
        if let Some(limits) = fields.table(&keys::LIMITS, &mut self.problems) {
            config.limits = self.limits(limits, config.limits);
        }
        if let Some(dns) = fields.table(&keys::DNS, &mut self.problems) {
            config.dns = self.dns(dns);
        }
        config.parent = parent::read(fields, &mut self.problems);
        Some(config)
    }

    fn listeners(&mut self, fields: Fields<'_>, admin: Option<SocketAddr>) -> Vec<ListenConfig> {
        if let Some(Node { value: Value::Array(nodes), span }) = fields.node(&keys::LISTEN)
            && nodes.is_empty()
        {
            self.problems.at(
                *span,
                ProblemCode::EmptyValue,
                "there is no listener",
                "write a [[listen]], or leave it out for 127.0.0.1:3128",
            );
        }
        let mut listeners: Vec<ListenConfig> = Vec::new();
        for table in fields.tables(&keys::LISTEN, &mut self.problems) {
            let listener = self.listener(table);
            let place = |key| table.node(key).map_or_else(|| table.span(), |node| node.span);
            if listeners.iter().any(|other| other.name == listener.name) {
                let what = format!("another listener is already called {}", quote(&listener.name));
                self.problems.at(place(&keys::NAME), ProblemCode::InvalidValue, what, "give each its own `name`");
            }
            let taken = listeners.iter().map(|other| other.address).chain(admin);
            if let Some(taken) = taken.into_iter().find(|taken| collide(*taken, listener.address)) {
                let what = format!("{} is already taken by {taken}", listener.address);
                self.problems.at(place(&keys::ADDRESS), ProblemCode::InvalidValue, what, "choose another port");
            }
            listeners.push(listener);
        }
        listeners
    }

    fn listener(&mut self, fields: Fields<'_>) -> ListenConfig {
        let default = ListenConfig::built_in();
        self.refuse_identity(fields);
        self.refuse_true(fields, &keys::PROXY_PROTOCOL, "write false, or remove it");
        self.refuse_true(fields, &keys::TRANSPARENT, "write false, or remove it");
        let open = fields.flag(&keys::OPEN, &mut self.problems).unwrap_or(default.open);
        let address = fields.text(&keys::ADDRESS, &mut self.problems).and_then(|text| self.address(&text));
        let address = address.map_or(default.address, |address| {
            let what = "can be reached from other machines, and outgate does not authenticate clients";
            self.keep_close(&address, open, what);
            address.value
        });
        ListenConfig {
            name: self.name(fields).unwrap_or(default.name),
            address,
            protocols: fields
                .choices(&keys::PROTOCOLS_KEY, &keys::PROTOCOLS, &mut self.problems)
                .unwrap_or(default.protocols),
            tls: fields.table(&keys::TLS, &mut self.problems).and_then(|files| self.tls(files)),
            open,
            denials: fields.flag(&keys::DENIALS, &mut self.problems).unwrap_or(default.denials),
        }
    }

    fn name(&mut self, fields: Fields<'_>) -> Option<String> {
        let name = fields.text(&keys::NAME, &mut self.problems)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
        if !name.value.bytes().all(plain) {
            let what = format!("the name {} has other characters than letters, digits and -_.:", quote(&name.value));
            self.problems.at(name.span, ProblemCode::InvalidValue, what, "write a short label such as \"browser\"");
        }
        Some(name.value)
    }

    fn tls(&mut self, fields: Fields<'_>) -> Option<TlsFiles> {
        let cert = self.path(fields, &keys::CERT);
        let key = self.path(fields, &keys::KEY);
        Some(TlsFiles { cert: cert?, key: key? })
    }

    fn refuse_identity(&mut self, fields: Fields<'_>) {
        let named = fields.texts(&keys::IDENTITY, &mut self.problems);
        if let Some(first) = named.first() {
            let what = format!("the identity {} is not supported in this version", quote(&first.value));
            let fix = "remove it: clients are identified by address, tools by listener";
            self.problems.at(first.span, ProblemCode::Unsupported, what, fix);
        }
    }

    fn refuse_true(&mut self, fields: Fields<'_>, key: &Key, fix: &str) {
        if let (Some(true), Some(node)) = (fields.flag(key, &mut self.problems), fields.node(key)) {
            self.problems.at(
                node.span,
                ProblemCode::Unsupported,
                format!("`{} = true` is not supported in this version", key.name),
                fix,
            );
        }
    }

    /// Loopback is this machine; anything else needs an explicit key.
    fn keep_close(&mut self, address: &Spanned<SocketAddr>, open: bool, why: &str) {
        if !open && !address.value.ip().to_canonical().is_loopback() {
            let fix = format!("write \"127.0.0.1:{}\", or add open = true", address.value.port());
            self.problems.at(address.span, ProblemCode::InvalidValue, format!("{} {why}", address.value), fix);
        }
    }

    fn address(&mut self, text: &Spanned<String>) -> Option<Spanned<SocketAddr>> {
        match parse_address(&text.value) {
            Ok(value) => Some(Spanned { value, span: text.span }),
            Err((what, fix)) => {
                self.problems.at(text.span, ProblemCode::InvalidValue, what, fix);
                None
            }
        }
    }

    fn admin(&mut self, fields: Fields<'_>, default: &AdminConfig) -> AdminConfig {
        let open = fields.flag(&keys::ADMIN_OPEN, &mut self.problems).unwrap_or(default.open);
        let address = match fields.text(&keys::ADMIN_ADDRESS, &mut self.problems) {
            None => default.address,
            Some(text) if text.value == "off" => None,
            Some(text) => self.address(&text).map(|address| {
                self.keep_close(&address, open, "can be reached from other machines, and shows everyone's records");
                address.value
            }),
        };
        AdminConfig {
            address,
            token_file: self.path(fields, &keys::TOKEN_FILE),
            protect_metrics: fields.flag(&keys::PROTECT_METRICS, &mut self.problems).unwrap_or(default.protect_metrics),
            open,
        }
    }

    /// The default listeners need their address too.
    fn keep_from_listeners(&mut self, config: &Config, written: &Node) {
        let taken = config.admin.address.zip(config.listen.first());
        if let Some((address, listener)) = taken.filter(|(address, listener)| collide(*address, listener.address)) {
            let what = format!("{address} is already taken by the listener {}", quote(&listener.name));
            self.problems.at(written.span, ProblemCode::InvalidValue, what, "choose another port");
        }
    }

    fn policy(&mut self, fields: Fields<'_>, default: &PolicyConfig) -> PolicyConfig {
        let fix = "name the policy's file, or leave the key out for the built-in starter policy";
        let source = fields.some_texts(&keys::SOURCE, fix, &mut self.problems);
        for text in &source {
            self.refuse_other_than_file(text);
        }
        if let [_, second, ..] = source.as_slice() {
            let what = "more than one policy is not supported in this version";
            self.problems.at(second.span, ProblemCode::Unsupported, what, "name one file");
        }
        PolicyConfig {
            source: source.iter().map(|path| self.base.join(&path.value)).collect(),
            poll: fields.duration(&keys::POLL, &mut self.problems).map_or(default.poll, |poll| poll.value),
        }
    }

    fn refuse_other_than_file(&mut self, text: &Spanned<String>) {
        let (what, fix) = if text.value.contains("://") {
            ("a policy from a URL is not supported in this version", "fetch it yourself, and name the file")
        } else if text.value.ends_with('/') {
            ("a folder of policies is not supported in this version", "name one file")
        } else if text.value.trim().is_empty() {
            ("the name of the policy's file is empty", "name it")
        } else {
            return;
        };
        self.problems.at(text.span, ProblemCode::EmptyValue, what, fix);
    }

    fn record(&mut self, fields: Fields<'_>, default: &RecordConfig) -> RecordConfig {
        let problems = &mut self.problems;
        let max_size = fields.size(&keys::MAX_SIZE, problems).map_or(default.max_size, |size| size.value);
        let files = count(fields, &keys::FILES, default.files, problems);
        let keep = fields.duration(&keys::KEEP, problems).map_or(default.keep, |keep| keep.value);
        let max_destinations = count(fields, &keys::MAX_DESTINATIONS, default.max_destinations, problems);
        let sqlite_max_size =
            fields.size(&keys::SQLITE_MAX_SIZE, problems).map_or(default.sqlite_max_size, |size| size.value);
        let redact = fields.choices(&keys::REDACT, &keys::REDACTED, problems).unwrap_or_default();
        let redact_key = self.path(fields, &keys::REDACT_KEY);
        let chain_key = self.path(fields, &keys::CHAIN_KEY);
        let jsonl = self.path(fields, &keys::JSONL);
        let sqlite = self.path(fields, &keys::SQLITE);
        if let (Some(path), true, Some(node)) = (&sqlite, sqlite == jsonl, fields.node(&keys::SQLITE)) {
            let what = format!("`jsonl` and `sqlite` are both {}", quote(&path.display().to_string()));
            self.problems.at(node.span, ProblemCode::InvalidValue, what, "give each its own file");
        }
        let required = fields.flag(&keys::REQUIRED, &mut self.problems).unwrap_or(default.required);
        if let (true, None, None, Some(node)) = (required, &jsonl, &sqlite, fields.node(&keys::REQUIRED)) {
            let what = "records are required, but nothing keeps them";
            self.problems.at(node.span, ProblemCode::InvalidValue, what, "name a file in `jsonl` or `sqlite`");
        }
        RecordConfig {
            jsonl,
            max_size,
            files,
            sqlite,
            sqlite_max_size,
            keep,
            redact,
            redact_key,
            chain_key,
            max_destinations,
            required,
        }
    }

    fn limits(&mut self, fields: Fields<'_>, default: Limits) -> Limits {
        let problems = &mut self.problems;
        let wait = |key: &Key, default: Duration, problems: &mut Problems| {
            fields.duration(key, problems).map_or(default, |wait| wait.value)
        };
        let size = |key: &Key, default: usize, problems: &mut Problems| {
            fields.size(key, problems).and_then(|size| usize::try_from(size.value).ok()).unwrap_or(default)
        };
        let max_tunnels = count(fields, &keys::MAX_TUNNELS, default.max_tunnels, problems);
        let max_connections = count(fields, &keys::MAX_CONNECTIONS, Limits::connections_for(max_tunnels), problems);
        let max_dials = count(fields, &keys::MAX_DIALS, default.max_dials, problems);
        let max_lookups = count(fields, &keys::MAX_LOOKUPS, default.max_lookups, problems);
        let max_handshakes = count(fields, &keys::MAX_HANDSHAKES, default.max_handshakes, problems);
        let limits = Limits {
            head_timeout: wait(&keys::HEAD_TIMEOUT, default.head_timeout, problems),
            hello_timeout: wait(&keys::HELLO_TIMEOUT, default.hello_timeout, problems),
            body_timeout: wait(&keys::BODY_TIMEOUT, default.body_timeout, problems),
            keep_alive_timeout: wait(&keys::KEEP_ALIVE_TIMEOUT, default.keep_alive_timeout, problems),
            connect_timeout: wait(&keys::CONNECT_TIMEOUT, default.connect_timeout, problems),
            idle_timeout: wait(&keys::IDLE_TIMEOUT, default.idle_timeout, problems),
            drain_timeout: wait(&keys::DRAIN_TIMEOUT, default.drain_timeout, problems),
            dns_timeout: wait(&keys::DNS_TIMEOUT, default.dns_timeout, problems),
            max_head: size(&keys::MAX_HEAD, default.max_head, problems),
            max_hello: size(&keys::MAX_HELLO, default.max_hello, problems),
            max_fields: count(fields, &keys::MAX_FIELDS, default.max_fields, problems),
            max_tunnels,
            max_tunnels_per_client: count(fields, &keys::MAX_TUNNELS_PER_CLIENT, max_tunnels, problems),
            max_connections,
            max_connections_per_client: count(fields, &keys::MAX_CONNECTIONS_PER_CLIENT, max_connections, problems),
            max_dials,
            max_dials_per_client: count(fields, &keys::MAX_DIALS_PER_CLIENT, max_dials, problems),
            max_lookups,
            max_lookups_per_client: count(fields, &keys::MAX_LOOKUPS_PER_CLIENT, max_lookups, problems),
            max_handshakes,
            max_handshakes_per_client: count(fields, &keys::MAX_HANDSHAKES_PER_CLIENT, max_handshakes, problems),
        };
        self.warn_of_short_idle(fields, limits.idle_timeout);
        limits
    }

    fn warn_of_short_idle(&mut self, fields: Fields<'_>, idle: Duration) {
        if let Some(node) = fields.node(&keys::IDLE_TIMEOUT)
            && idle <= LONGEST_WATCHDOG
        {
            let what = "`idle-timeout` cuts streams that Claude still waits for: its own watchdog fires at 300s";
            self.warnings.at(node.span, ProblemCode::InvalidValue, what, "write more than \"5m\"");
        }
    }

    fn dns(&mut self, fields: Fields<'_>) -> DnsConfig {
        let mut servers = Vec::new();
        for text in fields.texts(&keys::SERVERS, &mut self.problems) {
            match parse_server(&text.value) {
                Some(server) => servers.push(server),
                None => {
                    let what = format!("{} is not a name server", quote(&text.value));
                    self.problems.at(
                        text.span,
                        ProblemCode::InvalidValue,
                        what,
                        "write an IP address, with a port where it is not 53",
                    );
                }
            }
        }
        let mut hosts: Vec<(DomainName, Vec<IpAddr>)> = Vec::new();
        for (name, addresses) in fields.map(&keys::HOSTS, &mut self.problems) {
            let addresses = self.host_addresses(&name, &addresses);
            match DomainName::parse(name.value.as_bytes()) {
                Err(error) => {
                    let what = format!("{} is not a host name: {error}", quote(&name.value));
                    self.problems.at(
                        name.span,
                        ProblemCode::InvalidValue,
                        what,
                        "write a plain name, an international one as xn--…",
                    );
                }
                Ok(known) if hosts.iter().any(|(other, _)| *other == known) => {
                    let what = format!("`{known}` is in `hosts` twice");
                    self.problems.at(name.span, ProblemCode::InvalidValue, what, "keep one, with all its addresses");
                }
                Ok(new) => hosts.push((new, addresses)),
            }
        }
        DnsConfig { servers, hosts, nat64: self.nat64(fields) }
    }

    fn nat64(&mut self, fields: Fields<'_>) -> Vec<Nat64Prefix> {
        let mut prefixes = Vec::new();
        for text in fields.texts(&keys::NAT64, &mut self.problems) {
            match text.value.parse() {
                Ok(prefix) => prefixes.push(prefix),
                Err(error) => {
                    let what = format!("{} is not a NAT64 prefix: {error}", quote(&text.value));
                    self.problems.at(
                        text.span,
                        ProblemCode::InvalidValue,
                        what,
                        "write the prefix that the network's DNS64 puts before addresses",
                    );
                }
            }
        }
        prefixes
    }

    fn host_addresses(&mut self, name: &Spanned<String>, texts: &[Spanned<String>]) -> Vec<IpAddr> {
        if texts.is_empty() {
            self.problems.at(
                name.span,
                ProblemCode::EmptyValue,
                format!("{} has no address", quote(&name.value)),
                "write one in the list",
            );
        }
        let mut addresses = Vec::with_capacity(texts.len());
        for text in texts {
            match text.value.parse() {
                Ok(address) => addresses.push(address),
                Err(_) => {
                    let what = format!("{} is not an IP address", quote(&text.value));
                    self.problems.at(text.span, ProblemCode::InvalidValue, what, "write an address without a port");
                }
            }
        }
        addresses
    }

    fn path(&mut self, fields: Fields<'_>, key: &Key) -> Option<PathBuf> {
        fields.text(key, &mut self.problems).map(|path| self.base.join(path.value))
    }
}

fn count(fields: Fields<'_>, key: &Key, default: usize, problems: &mut Problems) -> usize {
    fields.count(key, problems).and_then(|count| usize::try_from(count.value).ok()).unwrap_or(default)
}
