//! The configuration's keys (`docs/reference/configuration.md`), with their bounds.

use std::time::Duration;

use super::{ListenProtocol, Redacted};
use crate::policy::text::{Key, Section, Shape, words};

/// The longest path that Linux opens (`PATH_MAX`).
const MAX_PATH: usize = 4096;
/// A listener's name is a label of metrics and is used in rules.
const MAX_NAME: usize = 64;
/// The longest address: IPv6 in brackets with a port, or a path after `unix:`.
const MAX_ADDRESS: usize = 256;
/// The longest name, and as much again for user and password with every byte escaped.
const MAX_URL: usize = 1024;

/// Shorter than this nothing on a network can be relied on to happen.
const SHORTEST: Duration = Duration::from_millis(100);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The longest limit. A longer one is a mistake in the unit.
const YEARS: Duration = Duration::from_secs(10 * 366 * 24 * 3600);

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// More sockets than Linux lets one process open (`fs.nr_open`).
const MAX_SOCKETS: u64 = 1024 * 1024;

pub(super) const PROTOCOLS: [(&str, ListenProtocol); 2] =
    [("http", ListenProtocol::Http), ("socks5", ListenProtocol::Socks5)];

pub(super) const LISTEN: Key = Key::new("listen", Shape::Tables(&LISTENER), "Where clients connect.");
pub(super) const POLICY: Key = Key::new("policy", Shape::Table(&POLICY_SOURCE), "Where the policy comes from.");
pub(super) const ADMIN: Key = Key::new("admin", Shape::Table(&ADMIN_LISTENER), "Metrics, health and the dashboard.");
pub(super) const RECORD: Key = Key::new("record", Shape::Table(&RECORDS), "What is kept of requests.");
pub(super) const LIMITS: Key =
    Key::new("limits", Shape::Table(&LIMIT), "How long outgate waits, and how much it holds.");
pub(super) const DNS: Key = Key::new("dns", Shape::Table(&RESOLVER), "How names are resolved.");
pub(super) const PARENT: Key = Key::new("parent", Shape::Table(&PARENT_PROXY), "Another proxy on the way out.");

pub(super) static CONFIG: Section = Section {
    what: "the configuration",
    doc: "outgate's own settings.",
    keys: &[LISTEN, POLICY, ADMIN, RECORD, LIMITS, DNS, PARENT],
};

pub(super) const NAME: Key = Key::new(
    "name",
    Shape::Text(MAX_NAME),
    "The name of the tool in rules, records and metrics: letters, digits and `-_.:`.",
)
.default("\"default\"");
pub(super) const ADDRESS: Key =
    Key::new("address", Shape::Text(MAX_ADDRESS), "The address to listen on: an IP address and a port.")
        .default("\"127.0.0.1:3128\"")
        .also(&["bind", "host", "listen", "port"]);
pub(super) const PROTOCOLS_KEY: Key =
    Key::new("protocols", Shape::Choices(&words(&PROTOCOLS)), "The protocols: `http` is CONNECT and plain HTTP, `socks5` is CONNECT by name or address (RFC 1928). One port can serve both.")
        .default("[\"http\", \"socks5\"]");
pub(super) const TLS: Key = Key::new("tls", Shape::Table(&TLS_FILES), "Clients connect by TLS, with this certificate.");
pub(super) const IDENTITY: Key =
    Key::new("identity", Shape::Texts, "How clients are identified. This version supports an empty list only.")
        .default("[]");
pub(super) const PROXY_PROTOCOL: Key =
    Key::new("proxy-protocol", Shape::Flag, "The PROXY protocol. This version supports `false` only.").default("false");
pub(super) const TRANSPARENT: Key =
    Key::new("transparent", Shape::Flag, "Redirected connections. This version supports `false` only.")
        .default("false");
pub(super) const OPEN: Key = Key::new(
    "open",
    Shape::Flag,
    "Whether it may listen beyond loopback, although outgate does not authenticate clients.",
)
.default("false");
pub(super) const DENIALS: Key = Key::new(
    "denials",
    Shape::Flag,
    "Whether clients may ask for their own last denials at `/.well-known/outgate/denials`.",
)
.default("true");

static LISTENER: Section = Section {
    what: "a listener",
    doc: "Where clients connect.",
    keys: &[
        NAME,
        ADDRESS,
        PROTOCOLS_KEY,
        TLS,
        IDENTITY,
        PROXY_PROTOCOL,
        Key::later("trusted-peers", "remove it: it is for the PROXY protocol"),
        TRANSPARENT,
        OPEN,
        DENIALS,
    ],
};

pub(super) const CERT: Key =
    Key::new("cert", Shape::Text(MAX_PATH), "A PEM file of certificates, the listener's own first.")
        .needed()
        .also(&["certificate"]);
pub(super) const KEY: Key = Key::new("key", Shape::Text(MAX_PATH), "A PEM file with the private key.").needed();

static TLS_FILES: Section = Section {
    what: "`tls`",
    doc: "A certificate and its key.",
    keys: &[CERT, KEY, Key::later("client-ca", "remove it: clients are not asked for certificates")],
};

pub(super) const SOURCE: Key = Key::new("source", Shape::Texts, "The policy file, as a list of one.")
    .default("the built-in starter policy")
    .also(&["file", "files", "path"]);
pub(super) const POLL: Key = Key::new(
    "poll",
    Shape::Duration(Duration::from_secs(1), DAY),
    "How often the files are read again, in addition to being watched.",
)
.default("\"60s\"");

static POLICY_SOURCE: Section = Section {
    what: "`[policy]`",
    doc: "Where the policy comes from.",
    keys: &[
        SOURCE,
        Key::later("trusted-keys", "remove it: policies are files, and everyone who may write them is trusted"),
        POLL,
    ],
};

pub(super) const ADMIN_ADDRESS: Key =
    Key::new("address", Shape::Text(MAX_ADDRESS), "An IP address and a port, or `off`.").default("\"127.0.0.1:3129\"");
pub(super) const TOKEN_FILE: Key =
    Key::new("token-file", Shape::Text(MAX_PATH), "The file that holds the token: one line of at least 16 characters. Other users lose access to it (mode 0600; its group may read it).")
        .default("a random token at each start");
pub(super) const PROTECT_METRICS: Key =
    Key::new("protect-metrics", Shape::Flag, "Whether `/metrics` needs the token as well.").default("false");
pub(super) const ADMIN_OPEN: Key =
    Key::new("open", Shape::Flag, "Whether it may listen beyond loopback.").default("false");

static ADMIN_LISTENER: Section = Section {
    what: "`[admin]`",
    doc: "Metrics, health and the dashboard.",
    keys: &[ADMIN_ADDRESS, TOKEN_FILE, PROTECT_METRICS, ADMIN_OPEN],
};

pub(super) const JSONL: Key = Key::new("jsonl", Shape::Text(MAX_PATH), "The file of records, one JSON object a line.")
    .default("none: nothing is written");
pub(super) const MAX_SIZE: Key =
    Key::new("max-size", Shape::Size(64 * KIB, 64 * GIB), "The size at which the file is rotated.")
        .default("\"64 MiB\"");
pub(super) const FILES: Key =
    Key::new("files", Shape::Count(1, 1000), "How many files there are, including the current one.").default("3");
pub(super) const SQLITE: Key =
    Key::new("sqlite", Shape::Text(MAX_PATH), "The SQLite database of records, which `report` and `suggest` read.")
        .default("none");
pub(super) const SQLITE_MAX_SIZE: Key = Key::new(
    "sqlite-max-size",
    Shape::Size(MIB, 1024 * GIB),
    "The size of the database; beyond it, the oldest records are deleted.",
)
.default("\"2 GiB\"");
pub(super) const KEEP: Key =
    Key::new("keep", Shape::Duration(HOUR, YEARS), "How long records are kept.").default("\"90d\"");
pub(super) const REDACTED: [(&str, Redacted); 2] = [("client", Redacted::Client), ("path", Redacted::Path)];
pub(super) const REDACT: Key = Key::new(
    "redact",
    Shape::Choices(&words(&REDACTED)),
    "What records leave out: `client` replaces the address by a keyed hash, `path` leaves paths empty.",
)
.default("none");
pub(super) const REDACT_KEY: Key = Key::new(
    "redact-key",
    Shape::Text(MAX_PATH),
    "The file that holds the key of that hash, so that it stays the same over restarts; protected like `token-file`.",
)
.default("a random key at each start");
pub(super) const MAX_DESTINATIONS: Key = Key::new(
    "max-destinations",
    Shape::Count(1, 100_000),
    "How many denied destinations are counted by name; the rest count under `other`.",
)
.default("2000");
pub(super) const REQUIRED: Key = Key::new(
    "required",
    Shape::Flag,
    "Whether requests are refused (503) while they cannot be recorded; needs `jsonl` or `sqlite`.",
)
.default("false");
pub(super) const CHAIN_KEY: Key = Key::new(
    "chain-key",
    Shape::Text(MAX_PATH),
    "The file that holds the key of the chain of records. Without the key, a record cannot be changed unnoticed. At least 16 characters; protected like `token-file`.",
).default("none: anyone can compute the chain");

static RECORDS: Section = Section {
    what: "`[record]`",
    doc: "What is kept of requests.",
    keys: &[
        JSONL,
        MAX_SIZE,
        FILES,
        SQLITE,
        SQLITE_MAX_SIZE,
        Key::later("otlp", "remove it: records go to the `jsonl` file, metrics to the admin listener"),
        KEEP,
        REDACT,
        REDACT_KEY,
        MAX_DESTINATIONS,
        REQUIRED,
        CHAIN_KEY,
    ],
};

const fn wait(name: &'static str, default: &'static str, most: Duration, doc: &'static str) -> Key {
    Key::new(name, Shape::Duration(SHORTEST, most), doc).default(default)
}

const fn most(name: &'static str, default: &'static str, shape: Shape, doc: &'static str) -> Key {
    Key::new(name, shape, doc).default(default)
}

pub(super) const HEAD_TIMEOUT: Key = wait(
    "head-timeout",
    "\"10s\"",
    HOUR,
    "For a request's head, an origin's head, a TLS handshake of a client, and the first message of SOCKS.",
)
.because("Clients send them at once; this allows for a very bad line.");
pub(super) const HELLO_TIMEOUT: Key = wait("hello-timeout", "\"10s\"", HOUR, "For the ClientHello after a 200.")
    .because("No client waits before it begins.");
pub(super) const BODY_TIMEOUT: Key = wait("body-timeout", "\"60s\"", DAY, "Between two pieces of a body.")
    .because("A laptop may change networks meanwhile.");
pub(super) const KEEP_ALIVE_TIMEOUT: Key =
    wait("keep-alive-timeout", "\"75s\"", DAY, "Between two requests on one connection.")
        .because("Longer than the 60 s of most clients and origins.");
pub(super) const CONNECT_TIMEOUT: Key =
    wait("connect-timeout", "\"10s\"", HOUR, "For reaching an origin, all its addresses together.")
        .because("People give up at about this.");
pub(super) const IDLE_TIMEOUT: Key = wait("idle-timeout", "\"1h\"", YEARS, "For a tunnel in which no byte moves.")
    .because("Claude's own stream watchdogs fire at 180 and 300 s, and must fire first.");
pub(super) const DRAIN_TIMEOUT: Key =
    wait("drain-timeout", "\"30s\"", DAY, "For open requests and tunnels when the process is asked to end.")
        .because("Service managers wait about as long.");
pub(super) const DNS_TIMEOUT: Key =
    wait("dns-timeout", "\"10s\"", HOUR, "For the lookup of one name, retries included.")
        .because("The system's resolver gives up on the first server after 5 s.");
pub(super) const MAX_HEAD: Key =
    most("max-head", "\"64 KiB\"", Shape::Size(4 * KIB, MIB), "The size of a request's head.")
        .because("Heads with large cookies reach 16 KiB.");
pub(super) const MAX_HELLO: Key =
    most("max-hello", "\"64 KiB\"", Shape::Size(4 * KIB, MIB), "The size of a ClientHello.")
        .because("Large ones have 2 to 4 KiB.");
pub(super) const MAX_FIELDS: Key = most("max-fields", "100", Shape::Count(16, 1000), "The number of fields in a head.")
    .because("Browsers send about 20.");
pub(super) const MAX_TUNNELS: Key = most(
    "max-tunnels",
    "10000",
    Shape::Count(1, MAX_SOCKETS),
    "Tunnels at once, including WebSockets and tunnels that are being opened.",
)
.because("Each needs two sockets.");
pub(super) const MAX_TUNNELS_PER_CLIENT: Key = most(
    "max-tunnels-per-client",
    "as many as max-tunnels",
    Shape::Count(1, MAX_SOCKETS),
    "Tunnels at once from one client: an IPv4 address or an IPv6 /64.",
)
.because("On one machine there is often one client only.");
pub(super) const MAX_CONNECTIONS: Key = most(
    "max-connections",
    "twice max-tunnels",
    Shape::Count(1, 2 * MAX_SOCKETS),
    "Client connections at once, not counting tunnels.",
)
.because("There must be room to refuse a request politely.");
pub(super) const MAX_CONNECTIONS_PER_CLIENT: Key = most(
    "max-connections-per-client",
    "as many as max-connections",
    Shape::Count(1, 2 * MAX_SOCKETS),
    "Client connections at once from one client.",
)
.because("As for tunnels.");
pub(super) const MAX_DIALS: Key = most(
    "max-dials",
    "4096",
    Shape::Count(1, MAX_SOCKETS),
    "Destinations that are being looked up and connected to at once.",
)
.because("Ten thousand tunnels a second to origins that are 100 ms away have a thousand.");
pub(super) const MAX_DIALS_PER_CLIENT: Key = most(
    "max-dials-per-client",
    "as many as max-dials",
    Shape::Count(1, MAX_SOCKETS),
    "Destinations that are being looked up and connected to at once for one client.",
)
.because("As for tunnels.");
pub(super) const MAX_LOOKUPS: Key = most(
    "max-lookups",
    "1024",
    Shape::Count(1, MAX_SOCKETS),
    "Names that are being looked up at once; equal names count once.",
)
.because("An agent's browser looks up some dozens.");
pub(super) const MAX_LOOKUPS_PER_CLIENT: Key = most(
    "max-lookups-per-client",
    "as many as max-lookups",
    Shape::Count(1, MAX_SOCKETS),
    "Names that are being looked up at once for one client; a name that several clients wait for counts for the first of them.",
)
.because("As for tunnels.");
pub(super) const MAX_HANDSHAKES: Key =
    most("max-handshakes", "1024", Shape::Count(1, MAX_SOCKETS), "TLS handshakes of clients at once.")
        .because("Each may hold 64 KiB before the client has shown that it speaks TLS.");
pub(super) const MAX_HANDSHAKES_PER_CLIENT: Key = most(
    "max-handshakes-per-client",
    "as many as max-handshakes",
    Shape::Count(1, MAX_SOCKETS),
    "TLS handshakes of one client at once.",
)
.because("As for tunnels.");

static LIMIT: Section = Section {
    what: "`[limits]`",
    doc: "How long outgate waits, and how much it holds.",
    keys: &[
        HEAD_TIMEOUT,
        HELLO_TIMEOUT,
        BODY_TIMEOUT,
        KEEP_ALIVE_TIMEOUT,
        CONNECT_TIMEOUT,
        IDLE_TIMEOUT,
        DRAIN_TIMEOUT,
        DNS_TIMEOUT,
        MAX_HEAD,
        MAX_HELLO,
        MAX_FIELDS,
        MAX_TUNNELS,
        MAX_TUNNELS_PER_CLIENT,
        MAX_CONNECTIONS,
        MAX_CONNECTIONS_PER_CLIENT,
        MAX_DIALS,
        MAX_DIALS_PER_CLIENT,
        MAX_LOOKUPS,
        MAX_LOOKUPS_PER_CLIENT,
        MAX_HANDSHAKES,
        MAX_HANDSHAKES_PER_CLIENT,
    ],
};

pub(super) const SERVERS: Key = Key::new(
    "servers",
    Shape::Texts,
    "Name servers, as IP addresses with an optional port; an empty list means the system's resolver.",
)
.default("[]");
pub(super) const HOSTS: Key =
    Key::new("hosts", Shape::Map, "Names that outgate resolves itself, each with a list of addresses: `{ \"intranet.test\" = [\"127.0.0.10\"] }`. They are checked like every looked-up address.").default("{}");

pub(super) const NAT64: Key = Key::new(
    "nat64",
    Shape::Texts,
    "Prefixes that this network's NAT64 translates to IPv4 (`[\"2001:db8:64::/96\"]`); the IPv4 address inside is judged as well. The well-known prefix needs no entry.",
)
.default("[]");

static RESOLVER: Section = Section { what: "`[dns]`", doc: "How names are resolved.", keys: &[SERVERS, HOSTS, NAT64] };
pub(super) const URL: Key = Key::new(
    "url",
    Shape::Text(MAX_URL),
    "The parent's address: `http://host:port`, with `user:password@` if it needs a login.",
)
.needed()
.also(&["address", "proxy", "host", "server"]);
pub(super) const EXCEPT: Key = Key::new(
    "except",
    Shape::Texts,
    "Names, wildcards and blocks of address literals, without ports, that are reached directly.",
)
.also(&["no-proxy", "noproxy", "bypass", "exceptions"])
.default("none");

static PARENT_PROXY: Section =
    Section { what: "`[parent]`", doc: "Another proxy on the way out.", keys: &[URL, EXCEPT] };
