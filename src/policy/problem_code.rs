//! Every kind of problem that a policy can have, each with a stable code.
//!
//! Guaranteed: a code never changes its meaning. Each has an example of the mistake and of what to write instead; a test
//! reads all of them, so that no code is without a cause and no example is untrue.

mod table;

use std::fmt;

use table::TABLE;

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
    /// A text holds an invisible character.
    InvisibleCharacter,
    /// A time is incomplete or does not exist.
    InvalidTime,
    /// A pattern has blanks.
    BlankInPattern,
    /// A pattern is a URL.
    UrlAsPattern,
    /// Brackets are around something other than IPv6, or do not close.
    InvalidBrackets,
    /// It is ambiguous whether an IPv6 address without brackets ends with a port.
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
        assert_eq!(ProblemCode::WholeAddressSpace as usize, TABLE.len() - 1, "the last code has a row");
    }
}
