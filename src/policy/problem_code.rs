//! Every kind of problem that a policy can have, each with a stable code.
//!
//! Guaranteed: a code never changes its meaning. Each has an example of the mistake and of what to write instead; a test
//! reads all of them, so that no code is without a cause and no example is untrue.

use std::fmt;

/// What kind of problem it is. The text of a problem may change; its code does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProblemCode {
    /// The text is neither TOML nor JSON.
    Syntax,
    /// The file is not UTF-8.
    NotUtf8,
    /// The file's name does not say in which format it is.
    UnknownFormat,
    /// A file cannot be read.
    UnusableFile,
    /// The policy is of another version of the schema.
    UnsupportedVersion,
    /// There is no such key.
    UnknownKey,
    /// This version of outgate does not support it.
    Unsupported,
    /// A required key is missing.
    MissingKey,
    /// A key is in one table twice.
    DuplicateKey,
    /// A value has the wrong type.
    WrongType,
    /// A value is not one that the key takes.
    InvalidValue,
    /// A text or a list is empty.
    EmptyValue,
    /// A text is longer than its limit, or the whole policy is.
    TooLarge,
    /// A text holds a character that nobody would see.
    InvisibleCharacter,
    /// A time is incomplete or does not exist.
    InvalidTime,
    /// A pattern has blanks.
    BlankInPattern,
    /// A pattern is a URL.
    UrlAsPattern,
    /// Brackets are around something other than IPv6, or do not close.
    InvalidBrackets,
    /// An IPv6 address and a port cannot be told apart.
    AmbiguousIpv6,
    /// A pattern matches every host.
    MatchesEverything,
    /// A wildcard is not for whole labels at the front.
    MisplacedWildcard,
    /// A wildcard covers a public suffix.
    PublicSuffixWildcard,
    /// A host name cannot exist.
    InvalidHostName,
    /// An IPv4 address is in a form that programs read in different ways.
    LegacyIpv4,
    /// An address or a CIDR block cannot be read.
    InvalidAddress,
    /// A CIDR block has bits set after its prefix.
    HostBits,
    /// A port or a range of ports cannot exist.
    InvalidPort,
    /// Two rules have one id.
    DuplicateId,
    /// A rule ends before it begins.
    EmptyPeriod,
    /// A method cannot exist.
    InvalidMethod,
    /// A list's file is not the one that the policy describes.
    ListMismatch,
    /// A list is in the other format.
    ListFormat,
    /// A line of a list is not a host name.
    NotAName,
    /// A pattern is in one list twice.
    DuplicateEntry,
    /// A wildcard covers a suffix that many tenants share.
    SharedSuffixWildcard,
    /// What one entry allows, another denies.
    Overruled,
    /// It can never match.
    NeverMatches,
    /// A method is not written in capitals.
    UnusualMethod,
    /// A key has no effect where it is.
    IgnoredKey,
    /// `0.0.0.0/0` or `::/0` means less than it seems to.
    WholeAddressSpace,
}

/// Whether a policy with such a problem comes into force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// It does not.
    Error,
    /// It does, but probably it does not do what its author wants.
    Warning,
}

/// What makes a problem, and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Example {
    /// Lines of a policy, after `version = 1`.
    Policy {
        /// With the problem.
        wrong: &'static str,
        /// Without it.
        right: &'static str,
    },
    /// A line of a list of domains.
    ListLine {
        /// With the problem.
        wrong: &'static str,
        /// Without it.
        right: &'static str,
    },
    /// What cannot be shown in a line or two, in words.
    Words(&'static str),
}

use Example::{ListLine, Policy, Words};
use ProblemCode as Code;

/// Each code with its token, its meaning (a clause) and an example, in the order of the enum. Examples may name the list
/// `lists/names.txt`, which has two names.
const TABLE: [(Code, &str, &str, Example); 40] = [
    (
        Code::Syntax,
        "syntax",
        "the text is not TOML or JSON",
        Policy { wrong: "name = Example", right: "name = \"Example\"" },
    ),
    (Code::NotUtf8, "not-utf8", "the file is not UTF-8", Words("a file that was saved as Latin-1")),
    (
        Code::UnknownFormat,
        "unknown-format",
        "the name of the policy's file ends in neither `.toml` nor `.json`",
        Words("`policy.yaml`"),
    ),
    (
        Code::UnusableFile,
        "unusable-file",
        "the policy's file or a list's file cannot be read, is empty or is too large",
        Policy {
            wrong: "[[list]]\neffect = \"deny\"\ncovers = \"exact\"\nfile = \"lists/missing.txt\"",
            right: "[[list]]\neffect = \"deny\"\ncovers = \"exact\"\nfile = \"lists/names.txt\"",
        },
    ),
    (
        Code::UnsupportedVersion,
        "unsupported-version",
        "the policy is of a version of the schema that this program does not read",
        Words("`version = 2`"),
    ),
    (
        Code::UnknownKey,
        "unknown-key",
        "there is no such key in this table",
        Policy { wrong: "alow = [\"example.com\"]", right: "allow = [\"example.com\"]" },
    ),
    (
        Code::Unsupported,
        "unsupported",
        "this version of outgate does not support the key or the value",
        Policy {
            wrong: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]\npaths = [\"/a\"]",
            right: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]",
        },
    ),
    (
        Code::MissingKey,
        "missing-key",
        "a required key is missing",
        Policy {
            wrong: "[[rule]]\nto = [\"example.com\"]",
            right: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]",
        },
    ),
    (
        Code::DuplicateKey,
        "duplicate-key",
        "a key is in one table twice",
        Policy { wrong: "mode = \"enforce\"\nmode = \"observe\"", right: "mode = \"enforce\"" },
    ),
    (
        Code::WrongType,
        "wrong-type",
        "the value has another type than the key takes",
        Policy { wrong: "allow = \"example.com\"", right: "allow = [\"example.com\"]" },
    ),
    (
        Code::InvalidValue,
        "invalid-value",
        "the value is not one that the key takes",
        Policy { wrong: "egress = \"everything\"", right: "egress = \"all\"" },
    ),
    (
        Code::EmptyValue,
        "empty-value",
        "a text or a list is empty where that has no meaning",
        Policy {
            wrong: "[[rule]]\neffect = \"allow\"\nto = []",
            right: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]",
        },
    ),
    (
        Code::TooLarge,
        "too-large",
        "a text is longer than its limit, or the policy as a whole is too large",
        Words("a `name` of 101 bytes"),
    ),
    (
        Code::InvisibleCharacter,
        "invisible-character",
        "a text that is shown to people holds a character that they would not see",
        Policy { wrong: "name = \"Example\\u200b\"", right: "name = \"Example\"" },
    ),
    (
        Code::InvalidTime,
        "invalid-time",
        "a time has no time zone, is incomplete or does not exist",
        Policy {
            wrong: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]\nuntil = 2027-01-01T00:00:00",
            right: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]\nuntil = 2027-01-01T00:00:00Z",
        },
    ),
    (
        Code::BlankInPattern,
        "blank-in-pattern",
        "a pattern has spaces or line breaks",
        Policy { wrong: "allow = [\"example.com example.net\"]", right: "allow = [\"example.com\", \"example.net\"]" },
    ),
    (
        Code::UrlAsPattern,
        "url-as-pattern",
        "a pattern is a URL, or has a path or a user name",
        Policy { wrong: "allow = [\"https://example.com/\"]", right: "allow = [\"example.com\"]" },
    ),
    (
        Code::InvalidBrackets,
        "invalid-brackets",
        "brackets do not close, are around something other than IPv6, or have text after them",
        Policy { wrong: "allow = [\"[192.0.2.1]:443\"]", right: "allow = [\"[2001:db8::1]:443\"]" },
    ),
    (
        Code::AmbiguousIpv6,
        "ambiguous-ipv6",
        "an IPv6 address without brackets may or may not end in a port",
        Policy { wrong: "allow = [\"2001:db8::1:443\"]", right: "allow = [\"[2001:db8::1]:443\"]" },
    ),
    (
        Code::MatchesEverything,
        "matches-everything",
        "a pattern matches every host",
        Policy { wrong: "allow = [\"*\"]", right: "egress = \"all\"" },
    ),
    (
        Code::MisplacedWildcard,
        "misplaced-wildcard",
        "a wildcard is not for whole labels at the front of a name",
        Policy { wrong: "allow = [\"*example.com\"]", right: "allow = [\"*.example.com\"]" },
    ),
    (
        Code::PublicSuffixWildcard,
        "public-suffix-wildcard",
        "a wildcard covers every name under a public suffix",
        Policy { wrong: "allow = [\"*.co.uk\"]", right: "allow = [\"*.example.co.uk\"]" },
    ),
    (
        Code::InvalidHostName,
        "invalid-host-name",
        "no host can have this name",
        Policy { wrong: "allow = [\"www..example.com\"]", right: "allow = [\"www.example.com\"]" },
    ),
    (
        Code::LegacyIpv4,
        "legacy-ipv4",
        "an IPv4 address is in a form that programs read in different ways",
        Policy { wrong: "allow = [\"192.0.2.010\"]", right: "allow = [\"192.0.2.10\"]" },
    ),
    (
        Code::InvalidAddress,
        "invalid-address",
        "an address or a CIDR block cannot be read, or is somewhere else than it belongs",
        Policy { wrong: "internal-addresses = [\"10.0.0.0/40\"]", right: "internal-addresses = [\"10.0.0.0/8\"]" },
    ),
    (
        Code::HostBits,
        "host-bits",
        "a CIDR block has bits set after its prefix",
        Policy { wrong: "internal-addresses = [\"10.0.0.1/8\"]", right: "internal-addresses = [\"10.0.0.0/8\"]" },
    ),
    (
        Code::InvalidPort,
        "invalid-port",
        "there is no such port or range of ports",
        Policy { wrong: "allow = [\"example.com:https\"]", right: "allow = [\"example.com:443\"]" },
    ),
    (
        Code::DuplicateId,
        "duplicate-id",
        "two rules, entries or lists have the same id",
        Policy {
            wrong: "[[rule]]\nid = \"a\"\neffect = \"allow\"\nto = [\"example.com\"]\n[[rule]]\nid = \"a\"\neffect = \"deny\"\nto = [\"example.net\"]",
            right: "[[rule]]\nid = \"a\"\neffect = \"allow\"\nto = [\"example.com\"]\n[[rule]]\nid = \"b\"\neffect = \"deny\"\nto = [\"example.net\"]",
        },
    ),
    (
        Code::EmptyPeriod,
        "empty-period",
        "a rule's `until` is not later than its `from`",
        Policy {
            wrong: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]\nfrom = 2027-01-02T00:00:00Z\nuntil = 2027-01-01T00:00:00Z",
            right: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]\nfrom = 2027-01-01T00:00:00Z\nuntil = 2027-01-02T00:00:00Z",
        },
    ),
    (
        Code::InvalidMethod,
        "invalid-method",
        "no HTTP method can have this name",
        Policy {
            wrong: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]\nmethods = [\"GET POST\"]",
            right: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]\nmethods = [\"GET\", \"POST\"]",
        },
    ),
    (
        Code::ListMismatch,
        "list-mismatch",
        "a list's file has another number of names, or another SHA-256, than the policy says",
        Policy {
            wrong: "[[list]]\neffect = \"deny\"\ncovers = \"exact\"\nfile = \"lists/names.txt\"\nlines = 3",
            right: "[[list]]\neffect = \"deny\"\ncovers = \"exact\"\nfile = \"lists/names.txt\"\nlines = 2",
        },
    ),
    (
        Code::ListFormat,
        "list-format",
        "a line of a list is in the other format: a hosts file instead of names, or names instead of a hosts file",
        ListLine { wrong: "0.0.0.0 example.com", right: "example.com" },
    ),
    (
        Code::NotAName,
        "not-a-name",
        "a line of a list is a pattern, an address or a filter, and not a plain name",
        ListLine { wrong: "*.example.com", right: "example.com" },
    ),
    (
        Code::DuplicateEntry,
        "duplicate-entry",
        "a pattern is in one list of patterns twice",
        Policy { wrong: "allow = [\"example.com\", \"Example.com\"]", right: "allow = [\"example.com\"]" },
    ),
    (
        Code::SharedSuffixWildcard,
        "shared-suffix-wildcard",
        "a wildcard covers every tenant of a provider, and anyone can become one",
        Policy { wrong: "allow = [\"*.github.io\"]", right: "allow = [\"example.github.io\"]" },
    ),
    (
        Code::Overruled,
        "overruled",
        "a deny rule names the same destination as an allow rule, so that the allow rule has no effect",
        Policy {
            wrong: "allow = [\"example.com\"]\ndeny = [\"example.com\"]",
            right: "allow = [\"example.com\"]\ndeny = [\"upload.example.com\"]",
        },
    ),
    (
        Code::NeverMatches,
        "never-matches",
        "a rule or a list can never match anything",
        Policy {
            wrong: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]\nmethods = [\"CONNECT\"]",
            right: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]",
        },
    ),
    (
        Code::UnusualMethod,
        "unusual-method",
        "a method is not in capitals, and methods are case-sensitive",
        Policy {
            wrong: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]\nmethods = [\"get\"]",
            right: "[[rule]]\neffect = \"allow\"\nto = [\"example.com\"]\nmethods = [\"GET\"]",
        },
    ),
    (
        Code::IgnoredKey,
        "ignored-key",
        "a key has no effect in a deny rule",
        Policy {
            wrong: "[[rule]]\neffect = \"deny\"\nto = [\"example.com\"]\ntls = \"optional\"",
            right: "[[rule]]\neffect = \"deny\"\nto = [\"example.com\"]",
        },
    ),
    (
        Code::WholeAddressSpace,
        "whole-address-space",
        "`0.0.0.0/0` or `::/0` covers less than its author may think",
        Policy { wrong: "internal-addresses = [\"0.0.0.0/0\"]", right: "internal-addresses = [\"10.0.0.0/8\"]" },
    ),
];

impl ProblemCode {
    /// Every code, in the order of the reference.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(code, ..)| *code)
    }

    /// The stable token: `unknown-key`.
    pub fn as_str(self) -> &'static str {
        self.row().1
    }

    /// What it means, as a clause.
    pub fn meaning(self) -> &'static str {
        self.row().2
    }

    /// What makes such a problem.
    pub fn example(self) -> Example {
        self.row().3
    }

    /// Whether a policy with it comes into force.
    pub fn severity(self) -> Severity {
        match self {
            Self::DuplicateEntry
            | Self::SharedSuffixWildcard
            | Self::Overruled
            | Self::NeverMatches
            | Self::UnusualMethod
            | Self::IgnoredKey
            | Self::WholeAddressSpace => Severity::Warning,
            Self::Syntax
            | Self::NotUtf8
            | Self::UnknownFormat
            | Self::UnusableFile
            | Self::UnsupportedVersion
            | Self::UnknownKey
            | Self::Unsupported
            | Self::MissingKey
            | Self::DuplicateKey
            | Self::WrongType
            | Self::InvalidValue
            | Self::EmptyValue
            | Self::TooLarge
            | Self::InvisibleCharacter
            | Self::InvalidTime
            | Self::BlankInPattern
            | Self::UrlAsPattern
            | Self::InvalidBrackets
            | Self::AmbiguousIpv6
            | Self::MatchesEverything
            | Self::MisplacedWildcard
            | Self::PublicSuffixWildcard
            | Self::InvalidHostName
            | Self::LegacyIpv4
            | Self::InvalidAddress
            | Self::HostBits
            | Self::InvalidPort
            | Self::DuplicateId
            | Self::EmptyPeriod
            | Self::InvalidMethod
            | Self::ListMismatch
            | Self::ListFormat
            | Self::NotAName => Severity::Error,
        }
    }

    fn row(self) -> &'static (Self, &'static str, &'static str, Example) {
        #[expect(clippy::indexing_slicing, reason = "the table has one row for each code, in the order of the enum")]
        &TABLE[self as usize]
    }
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Severity {
    /// The word for it in JSON and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_code_has_the_row_of_its_own_and_a_token_of_its_own() {
        let mut tokens = HashSet::new();
        for (index, (code, token, ..)) in TABLE.iter().enumerate() {
            assert_eq!(*code as usize, index, "{token}");
            assert!(tokens.insert(token), "{token}");
            assert!(
                token.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'),
                "{token}"
            );
        }
        assert_eq!(Code::WholeAddressSpace as usize, TABLE.len() - 1, "the last code has a row");
    }
}
