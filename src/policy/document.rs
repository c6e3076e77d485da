//! A policy as it was written: every key of the schema, nothing resolved or judged yet.
//!
//! [`text`](super::text) reads TOML or JSON into this shape and finds what is wrong with the shape;
//! [`compile`](super::compile) finds what is wrong with the meaning. Values that a later complaint may be about carry
//! their place in the text.

use std::time::SystemTime;

use super::Problems;

/// A range of bytes in a document's text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

/// A value and its place in the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub span: Span,
}

/// A whole policy (`docs/reference/policy.md`).
#[derive(Clone, Debug)]
pub struct PolicyDocument {
    /// Whose policy it is; shown in denials.
    pub name: String,
    /// Free text; where it is absent, a hash of the content is used.
    pub revision: Option<String>,
    /// The organisation's switch.
    pub enabled: bool,
    /// What is allowed at all.
    pub egress: Egress,
    /// Whether denials are enforced.
    pub mode: Mode,
    /// Whom to ask; shown in denials.
    pub contact: Option<String>,
    /// Patterns that may be reached.
    pub allow: Vec<Spanned<String>>,
    /// Patterns that may not be reached, even if an allow rule matches.
    pub deny: Vec<Spanned<String>>,
    /// Patterns that `egress = "package-managers"` allows in addition to `allow`.
    pub package_managers: Vec<Spanned<String>>,
    /// Special-purpose ranges that names named by a rule may resolve into.
    pub internal_addresses: Vec<Spanned<String>>,
    /// The rules.
    pub rules: Vec<RuleDocument>,
    /// Large lists in files of their own.
    pub lists: Vec<ListDocument>,
    /// Cases that the author wants to hold.
    pub tests: Vec<TestDocument>,
    /// What is wrong with its shape. A document with such problems never becomes a policy.
    pub problems: Problems,
}

/// How far the egress goes, the narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Egress {
    /// Nowhere.
    None,
    /// To `allow`, the rules, and `package-managers`.
    PackageManagers,
    /// To `allow` and the rules.
    Allowlist,
    /// Everywhere that no deny rule names.
    All,
}

impl Egress {
    /// The word for it in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::PackageManagers => "package-managers",
            Self::Allowlist => "allowlist",
            Self::All => "all",
        }
    }
}

/// Whether denials are enforced or only recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A denied request is refused.
    Enforce,
    /// Requests that no rule covers pass, and are recorded as such.
    Observe,
}

impl Mode {
    /// The word for it in a policy.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Observe => "observe",
        }
    }
}

/// What a rule does with what it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Lets it pass.
    Allow,
    /// Refuses it, even if another rule allows it.
    Deny,
}

/// One `[[rule]]`.
#[derive(Clone, Debug)]
pub struct RuleDocument {
    /// The whole rule's place.
    pub span: Span,
    /// Unique; `rule:3` where absent, by position.
    pub id: Spanned<String>,
    /// Allow or deny.
    pub effect: Effect,
    /// Patterns.
    pub to: Vec<Spanned<String>>,
    /// Ports for the patterns that have none of their own; absent: 80 and 443 in an allow rule, all in a deny rule.
    pub ports: Option<PortsDocument>,
    /// Listener names; empty: any.
    pub tools: Vec<Spanned<String>>,
    /// Methods; empty: any.
    pub methods: Vec<Spanned<String>>,
    /// Special-purpose ranges that `to` may resolve to.
    pub addresses: Vec<Spanned<String>>,
    /// Whether tunnels must begin with a ClientHello that names the host.
    pub tls: Tls,
    /// Whether names that cannot be resolved here may be handed to the parent proxy.
    pub parent: bool,
    /// Not before.
    pub from: Option<Spanned<SystemTime>>,
    /// Not from then on.
    pub until: Option<Spanned<SystemTime>>,
    /// Shown to people.
    pub reason: Option<String>,
}

/// The `ports` of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortsDocument {
    /// `"any"`.
    Any,
    /// Single ports and `"lo-hi"` ranges, inclusive.
    These(Vec<Spanned<(u16, u16)>>),
}

/// The `tls` of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// A tunnel by name must begin with a ClientHello for that name.
    Required,
    /// Other bytes, or a hello without a name, may pass this rule.
    Optional,
}

/// One `[[list]]`.
#[derive(Clone, Debug)]
pub struct ListDocument {
    /// The whole list's place.
    pub span: Span,
    /// Allow or deny.
    pub effect: Effect,
    /// The file, relative to the policy's own folder.
    pub file: Spanned<String>,
    /// How a line reads.
    pub format: ListFormat,
    /// What a line covers.
    pub covers: Covers,
    /// How many names the file must hold.
    pub lines: Option<Spanned<u64>>,
    /// What its bytes must hash to, in lower-case hexadecimal.
    pub sha256: Option<Spanned<String>>,
}

/// How a line of a list reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// One name a line; `#` begins a comment.
    Domains,
    /// As /etc/hosts: an address, then names.
    Hosts,
}

/// What a line of a list covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Covers {
    /// That name.
    Exact,
    /// That name and all below it.
    Subdomains,
}

/// One `[[test]]`.
#[derive(Clone, Debug)]
pub struct TestDocument {
    /// The whole case's place.
    pub span: Span,
    /// A URL or `host:port`.
    pub to: Spanned<String>,
    /// By which tool; absent: one that no rule names.
    pub tool: Option<String>,
    /// What must come out.
    pub expect: Effect,
    /// The deny reason that must come out.
    pub reason: Option<Spanned<String>>,
}
