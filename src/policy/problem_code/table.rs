//! The row of each code: what it means, and an example.

use super::Example::{self, ListLine, Policy, Words};
use super::ProblemCode as Code;

/// Each code with its token, its meaning (a clause) and an example, in the order of the enum. Examples may name the list
/// `lists/names.txt`, which has two names.
pub(super) const TABLE: [(Code, &str, &str, Example); 40] = [
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
