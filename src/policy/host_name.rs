//! Names as a policy writes them: international names become A-labels, and what cannot be a name says why.

use idna::AsciiDenyList;

use super::ProblemCode;
use super::problem::Complaint;
use crate::facts::{DomainName, HostError};

/// A name in its A-label form, as it will be asked for.
pub(super) fn read_name(name: &str) -> Result<DomainName, Complaint> {
    let ascii = if name.is_ascii() {
        name.into()
    } else {
        idna::domain_to_ascii_cow(name.as_bytes(), AsciiDenyList::EMPTY).map_err(|_| {
            Complaint::new(
                ProblemCode::InvalidHostName,
                format!("`{}` is not an internationalised name", name.escape_debug()),
                "write its A-label form, which begins with `xn--`",
            )
        })?
    };
    DomainName::parse(ascii.as_bytes()).map_err(|error| explain(&ascii, error))
}

fn explain(name: &str, error: HostError) -> Complaint {
    match error {
        HostError::Empty => {
            Complaint::new(ProblemCode::EmptyValue, "the host is empty", "write a host such as `example.com`")
        }
        HostError::ForbiddenByte(byte) => Complaint::new(
            ProblemCode::InvalidHostName,
            format!("`{}` contains `{}`, which no host name has", name.escape_debug(), char::from(byte).escape_debug()),
            "write letters, digits, `-`, `_` and dots alone",
        ),
        HostError::EmptyLabel => {
            let labels: Vec<&str> = name.split('.').filter(|label| !label.is_empty()).collect();
            Complaint::new(
                ProblemCode::InvalidHostName,
                format!("`{name}` has an empty label"),
                format!("write `{}`", labels.join(".")),
            )
        }
        HostError::LongLabel => Complaint::new(
            ProblemCode::InvalidHostName,
            "a label of the name is longer than 63 bytes, which DNS cannot carry",
            "shorten it",
        ),
        HostError::LongName => Complaint::new(
            ProblemCode::InvalidHostName,
            "the name is longer than 253 bytes, which DNS cannot carry",
            "shorten it",
        ),
        HostError::LegacyIpv4 => Complaint::new(
            ProblemCode::LegacyIpv4,
            format!("`{name}` ends in a number, so that some programs read it as an IPv4 address"),
            "write four decimal numbers from 0 to 255 without leading zeros, such as `192.0.2.1`",
        ),
        HostError::Ipv6 | HostError::MissingPort | HostError::Port => Complaint::new(
            ProblemCode::InvalidHostName,
            format!("`{name}` is not a host"),
            "write a host such as `example.com`",
        ),
    }
}
