//! Why a request was denied.

use std::fmt;

/// Why a request was denied: stable tokens, for people, records, metrics and header fields (`docs/denials.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DenyReason {
    /// It resolves to, or is, a special-purpose or denied address.
    AddressNotAllowed,
    /// The organisation's switch is off.
    EgressDisabled,
    /// The policy says `egress = "none"`.
    EgressNone,
    /// A deny rule names it.
    HostDenied,
    /// No rule allows it.
    HostNotAllowed,
    /// It would lead back into this proxy.
    Loop,
    /// The host is allowed, the method is not.
    MethodNotAllowed,
    /// A tunnel's first bytes are no TLS ClientHello.
    NotTls,
    /// Allowed at another time.
    OutsidePeriod,
    /// The host is allowed, the port is not.
    PortNotAllowed,
    /// A ClientHello names another server than the tunnel was asked for.
    SniMismatch,
    /// A ClientHello names no server.
    SniMissing,
    /// Allowed by another tool.
    ToolNotAllowed,
}

impl DenyReason {
    /// Every reason, in the order of [`DenyReason::index`].
    pub const ALL: [Self; 13] = [
        Self::AddressNotAllowed,
        Self::EgressDisabled,
        Self::EgressNone,
        Self::HostDenied,
        Self::HostNotAllowed,
        Self::Loop,
        Self::MethodNotAllowed,
        Self::NotTls,
        Self::OutsidePeriod,
        Self::PortNotAllowed,
        Self::SniMismatch,
        Self::SniMissing,
        Self::ToolNotAllowed,
    ];

    /// The stable token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddressNotAllowed => "address_not_allowed",
            Self::EgressDisabled => "egress_disabled",
            Self::EgressNone => "egress_none",
            Self::HostDenied => "host_denied",
            Self::HostNotAllowed => "host_not_allowed",
            Self::Loop => "loop",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::NotTls => "not_tls",
            Self::OutsidePeriod => "outside_period",
            Self::PortNotAllowed => "port_not_allowed",
            Self::SniMismatch => "sni_mismatch",
            Self::SniMissing => "sni_missing",
            Self::ToolNotAllowed => "tool_not_allowed",
        }
    }

    /// The reason of this token.
    pub fn of(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == token)
    }

    /// What it means, as a clause. The dashboard and the reference say it in these words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::AddressNotAllowed => "it is, or resolves to, a special-purpose or denied address",
            Self::EgressDisabled => "the organisation's switch is off",
            Self::EgressNone => "the policy allows no egress at all",
            Self::HostDenied => "a deny rule names this host, or the server in the tunnel's ClientHello",
            Self::HostNotAllowed => "no rule allows this host",
            Self::Loop => "the request would lead back into this proxy",
            Self::MethodNotAllowed => {
                "the host is allowed, but not with this method; or the rule has `methods` and this is a tunnel"
            }
            Self::NotTls => "a tunnel begins with something other than TLS",
            Self::OutsidePeriod => "allowed at another time",
            Self::PortNotAllowed => "the host is allowed, but not on this port",
            Self::SniMismatch => "the ClientHello names another host than was asked for",
            Self::SniMissing => "the ClientHello names no host",
            Self::ToolNotAllowed => "allowed for another tool",
        }
    }

    /// What an administrator can do about it, as a clause.
    pub fn advice(self) -> &'static str {
        match self {
            Self::AddressNotAllowed => "if the address really is internal, add `internal-addresses` or `addresses`",
            Self::EgressDisabled => "`enabled = true` turns egress on",
            Self::EgressNone => "change `egress`",
            Self::HostDenied => "deny wins over every allow: change the deny rule",
            Self::HostNotAllowed => "if the host is needed, add it to `allow`",
            Self::Loop => "fix the proxy settings of the client or of the next proxy",
            Self::MethodNotAllowed => "use a rule without `methods`: a tunnel hides its method",
            Self::NotTls => "if the host really works this way, write `tls = \"optional\"` in the rule",
            Self::OutsidePeriod => "change the rule's `from` and `until`",
            Self::PortNotAllowed => "allow `host:port`, or give the rule `ports`",
            Self::SniMismatch => "look at the client: this is how filters are evaded",
            Self::SniMissing => "if the client cannot do better, write `tls = \"optional\"` in the rule",
            Self::ToolNotAllowed => "use that listener, or widen the rule's `tools`",
        }
    }

    /// Its place in [`DenyReason::ALL`], for counters that are arrays.
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether observe mode lets such a request pass. Never the organisation's switches, an explicit deny rule, the
    /// address checks or a loop: those protect the machine, not the list that is being tried out.
    pub fn is_observable(self) -> bool {
        match self {
            Self::HostNotAllowed
            | Self::MethodNotAllowed
            | Self::NotTls
            | Self::OutsidePeriod
            | Self::PortNotAllowed
            | Self::SniMismatch
            | Self::SniMissing
            | Self::ToolNotAllowed => true,
            Self::AddressNotAllowed | Self::EgressDisabled | Self::EgressNone | Self::HostDenied | Self::Loop => false,
        }
    }
}

impl fmt::Display for DenyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
