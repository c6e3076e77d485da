//! The policy's keys (`docs/reference/policy.md`): what is read, what the schema says and what is refused as not built yet.

use super::keys::{Key, Section, Shape, words};
use crate::policy::{Covers, Effect, Egress, ListFormat, Mode, Tls};

/// The name is in the reason phrase of a refusal, which has 120 bytes (`docs/denials.md`).
const MAX_NAME: usize = 100;
/// A contact is an address or a short sentence; it is in the one sentence of a refusal, which has 500 bytes.
const MAX_CONTACT: usize = 200;
/// A rule's reason takes the place of most of that sentence.
const MAX_REASON: usize = 300;
/// Ids are labels of metrics and columns of reports.
const MAX_ID: usize = 100;
/// A revision is a date, a tag or a hash.
const MAX_REVISION: usize = 100;
/// The longest path that Linux opens (`PATH_MAX`).
const MAX_PATH: usize = 4096;
/// The longest URL with the longest host that a test case may need.
const MAX_DESTINATION: usize = 2048;

pub(super) const EFFECTS: [(&str, Effect); 2] = [("allow", Effect::Allow), ("deny", Effect::Deny)];
pub(super) const EGRESS: [(&str, Egress); 4] = [
    ("none", Egress::None),
    ("package-managers", Egress::PackageManagers),
    ("allowlist", Egress::Allowlist),
    ("all", Egress::All),
];
pub(super) const MODES: [(&str, Mode); 2] = [("enforce", Mode::Enforce), ("observe", Mode::Observe)];
pub(super) const TLS: [(&str, Tls); 2] = [("required", Tls::Required), ("optional", Tls::Optional)];
pub(super) const FORMATS: [(&str, ListFormat); 2] = [("domains", ListFormat::Domains), ("hosts", ListFormat::Hosts)];
pub(super) const COVERS: [(&str, Covers); 2] = [("exact", Covers::Exact), ("subdomains", Covers::Subdomains)];

const EFFECT_WORDS: [&str; 2] = words(&EFFECTS);

pub(super) const VERSION: Key = Key::new("version", Shape::Count(1, 1), "The version of this schema.").needed();
pub(super) const NAME: Key =
    Key::new("name", Shape::Text(MAX_NAME), "The organisation's name. Shown to people in denials.")
        .default("this organisation")
        .also(&["organisation", "organization", "title"]);
pub(super) const REVISION: Key =
    Key::new("revision", Shape::Text(MAX_REVISION), "Free text, shown wherever the policy is named.")
        .default("a hash of the content");
pub(super) const ENABLED: Key =
    Key::new("enabled", Shape::Flag, "The organisation's switch: false denies everything.").default("true");
pub(super) const EGRESS_KEY: Key = Key::new(
    "egress",
    Shape::Choice(&words(&EGRESS)),
    "What may be reached: nothing; the rules and `package-managers`; the rules; or all that no deny rule names.",
)
.default("\"allowlist\"");
pub(super) const MODE: Key = Key::new(
    "mode",
    Shape::Choice(&words(&MODES)),
    "Whether denials are enforced, or only recorded so that you can try a policy out.",
)
.default("\"enforce\"");
pub(super) const CONTACT: Key =
    Key::new("contact", Shape::Text(MAX_CONTACT), "Whom to ask. Shown to people in denials.");
pub(super) const ALLOW: Key = Key::new(
    "allow",
    Shape::Texts,
    "Destinations that may be reached: `example.com`, `*.example.com` (any depth below, not the name itself), \
     `**.example.com` (both), addresses, CIDR blocks; each may end in `:port`, `:lo-hi` or `:*`.",
)
.default("[]")
.also(&["allowlist", "allowed", "whitelist", "allowed-domains", "alloweddomains", "hosts", "domains"]);
pub(super) const DENY: Key =
    Key::new("deny", Shape::Texts, "Destinations that may not be reached, even if a rule allows them.")
        .default("[]")
        .also(&["denylist", "denied", "blacklist", "blocklist", "block", "denied-domains", "denieddomains"]);
pub(super) const PACKAGE_MANAGERS: Key = Key::new(
    "package-managers",
    Shape::Texts,
    "What `egress = \"package-managers\"` allows in addition to `allow` and the rules.",
)
.default("[]");
pub(super) const INTERNAL: Key = Key::new(
    "internal-addresses",
    Shape::Texts,
    "Special-purpose ranges (private networks and the like) that names allowed by a rule may resolve into.",
)
.default("[]")
.also(&["private-addresses", "internal"]);
pub(super) const RULES: Key =
    Key::new("rule", Shape::Tables(&RULE), "The rules. Deny wins over allow; their order does not matter.");
pub(super) const LISTS: Key = Key::new("list", Shape::Tables(&LIST), "Large lists of names, in files of their own.");
pub(super) const TESTS: Key =
    Key::new("test", Shape::Tables(&TEST), "Cases that must hold, checked by `outgate policy test`.");

pub(super) static POLICY: Section = Section {
    what: "the policy",
    doc: "A network-egress policy for outgate.",
    keys: &[
        VERSION,
        NAME,
        REVISION,
        ENABLED,
        EGRESS_KEY,
        MODE,
        CONTACT,
        ALLOW,
        DENY,
        PACKAGE_MANAGERS,
        INTERNAL,
        RULES,
        LISTS,
        TESTS,
        Key::later("groups", "remove it: rules apply to everyone"),
        Key::later("grace", "remove it"),
    ],
};

pub(super) const ID: Key = Key::new("id", Shape::Text(MAX_ID), "A unique name, shown in denials, records and reports.")
    .default("rule:N, by position")
    .also(&["name"]);
pub(super) const EFFECT: Key =
    Key::new("effect", Shape::Choice(&EFFECT_WORDS), "What the rule does with what it matches.")
        .needed()
        .also(&["action", "verdict", "type", "decision"]);
pub(super) const TO: Key = Key::new("to", Shape::Texts, "Destinations, written as in the policy's `allow`.")
    .needed()
    .also(&["host", "hosts", "domain", "domains", "destination", "destinations", "url", "urls"]);
pub(super) const PORTS: Key =
    Key::new("ports", Shape::Ports, "Ports for the destinations that name none themselves.").default("[80, 443]");
pub(super) const TOOLS: Key =
    Key::new("tools", Shape::Texts, "Names of the listeners that the rule is for.").default("any").also(&["tool"]);
pub(super) const METHODS: Key = Key::new(
    "methods",
    Shape::Texts,
    "HTTP methods, in capitals; `WEBSOCKET` is an upgrade to one. Known on plain HTTP only: an allow rule with \
     methods does not match a tunnel.",
)
.default("any");
pub(super) const ADDRESSES: Key = Key::new(
    "addresses",
    Shape::Texts,
    "Special-purpose ranges that `to` may resolve into. A cloud's metadata service needs its one address here.",
)
.default("[]");
pub(super) const TLS_KEY: Key = Key::new(
    "tls",
    Shape::Choice(&words(&TLS)),
    "Whether a tunnel must begin with a TLS ClientHello that names the host.",
)
.default("\"required\"");
pub(super) const PARENT: Key = Key::new(
    "parent",
    Shape::Flag,
    "Whether names that cannot be resolved here may be handed to the parent proxy, which alone then sees their \
     addresses.",
)
.default("false");
pub(super) const FROM: Key =
    Key::new("from", Shape::Time, "The rule does not match before this moment.").also(&["not-before", "since"]);
pub(super) const UNTIL: Key =
    Key::new("until", Shape::Time, "The rule does not match from this moment on; open tunnels end then.").also(&[
        "expires",
        "expiry",
        "not-after",
    ]);
pub(super) const REASON: Key = Key::new("reason", Shape::Text(MAX_REASON), "Why the rule is there. Shown to people.")
    .also(&["comment", "description", "note"]);

static RULE: Section = Section {
    what: "a rule",
    doc: "One rule.",
    keys: &[
        ID,
        EFFECT,
        TO,
        PORTS,
        TOOLS,
        METHODS,
        ADDRESSES,
        TLS_KEY,
        PARENT,
        FROM,
        UNTIL,
        REASON,
        Key::later("services", "list the service's hosts in `to`"),
        Key::later("who", "remove it: the rule applies to everyone who can reach the listener, `tools` narrows that"),
        Key::later("paths", "remove it: allow the whole host, or do not"),
        Key::later("upload-limit", "remove it: to stop uploads, deny the hosts that take them"),
        Key::later("inspect", "remove it: TLS is not opened"),
        Key::later("set-headers", "remove it"),
    ],
};

pub(super) const LIST_EFFECT: Key =
    Key::new("effect", Shape::Choice(&EFFECT_WORDS), "What the list does with the names in the file.").needed();
pub(super) const FILE: Key = Key::new("file", Shape::Text(MAX_PATH), "The file, relative to the policy's own folder.")
    .needed()
    .also(&["path", "source"]);
pub(super) const FORMAT: Key = Key::new(
    "format",
    Shape::Choice(&words(&FORMATS)),
    "How a line reads: one name, or as in /etc/hosts. `#` begins a comment.",
)
.default("\"domains\"");
pub(super) const COVERS_KEY: Key = Key::new(
    "covers",
    Shape::Choice(&words(&COVERS)),
    "Whether a line means that name, or that name and all below it.",
)
.needed();
pub(super) const LINES: Key = Key::new("lines", Shape::Count(0, u32::MAX as u64), "How many names the file must hold.");
pub(super) const SHA256: Key =
    Key::new("sha256", Shape::Text(64), "The SHA-256 of the file, as 64 hexadecimal digits.");

static LIST: Section = Section {
    what: "a list",
    doc: "A list of names in a file of its own.",
    keys: &[LIST_EFFECT, FILE, FORMAT, COVERS_KEY, LINES, SHA256],
};

pub(super) const TEST_TO: Key =
    Key::new("to", Shape::Text(MAX_DESTINATION), "A URL, or host:port.").needed().also(&["url", "host", "destination"]);
pub(super) const TOOL: Key =
    Key::new("tool", Shape::Text(MAX_ID), "The tool that asks.").default("one that no rule names").also(&["tools"]);
pub(super) const EXPECT: Key = Key::new("expect", Shape::Choice(&EFFECT_WORDS), "The expected decision.").needed();
pub(super) const TEST_REASON: Key =
    Key::new("reason", Shape::Text(MAX_ID), "The expected deny reason, such as `host_not_allowed`.");

static TEST: Section = Section {
    what: "a test",
    doc: "A case that must hold.",
    keys: &[TEST_TO, TOOL, EXPECT, TEST_REASON, Key::later("as", "remove it: cases are judged for everyone alike")],
};
