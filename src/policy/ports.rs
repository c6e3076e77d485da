//! Which ports: any, or some ranges.

use std::fmt;

use super::ProblemCode;
use super::problem::Complaint;
use crate::facts::Port;

/// A set of ports.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Ports {
    /// All of them.
    Any,
    /// Inclusive ranges, in order, neither overlapping nor touching.
    These(Box<[(u16, u16)]>),
}

impl Ports {
    /// The ports of the web: what an allow rule opens that names none.
    pub(super) fn web() -> Self {
        Self::These(Box::new([(80, 80), (443, 443)]))
    }

    /// The union of inclusive ranges.
    pub(super) fn of(mut ranges: Vec<(u16, u16)>) -> Self {
        ranges.sort_unstable();
        let mut merged: Vec<(u16, u16)> = Vec::with_capacity(ranges.len());
        for (low, high) in ranges {
            match merged.last_mut() {
                Some((_, last)) if low <= last.saturating_add(1) => *last = high.max(*last),
                _ => merged.push((low, high)),
            }
        }
        Self::These(merged.into_boxed_slice())
    }

    /// Reads what follows a pattern's colon: `443`, `8000-8999` or `*`.
    pub(super) fn parse(text: &str) -> Result<Self, Complaint> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let number = |text: &str| {
            Port::parse(text.as_bytes()).map(Port::get).map_err(|_| {
                Complaint::new(
                    ProblemCode::InvalidPort,
                    format!("`{text}` is not a port"),
                    "write a number from 1 to 65535, a range `lo-hi`, or `*`",
                )
            })
        };
        let (low, high) = match text.split_once('-') {
            Some((low, high)) => (number(low)?, number(high)?),
            None => (number(text)?, number(text)?),
        };
        range(low, high).map(|range| Self::These(Box::new([range])))
    }

    pub(super) fn contains(&self, port: Port) -> bool {
        match self {
            Self::Any => true,
            Self::These(ranges) => ranges.iter().any(|(low, high)| (*low..=*high).contains(&port.get())),
        }
    }

    /// Whether it is this port alone.
    pub(super) fn is_just(&self, port: Port) -> bool {
        matches!(self, Self::These(ranges) if **ranges == [(port.get(), port.get())])
    }

    /// Whether every port of `other` is one of these.
    pub(super) fn cover(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::These(ours), Self::Any) => **ours == [(1, u16::MAX)],
            (Self::These(ours), Self::These(theirs)) => {
                theirs.iter().all(|(low, high)| ours.iter().any(|(from, to)| from <= low && high <= to))
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::These(ranges) if ranges.is_empty())
    }
}

/// A range in order, without port 0.
pub(super) fn range(low: u16, high: u16) -> Result<(u16, u16), Complaint> {
    if low == 0 {
        return Err(Complaint::new(ProblemCode::InvalidPort, "port 0 is not a port", "write a number from 1 to 65535"));
    }
    if low > high {
        return Err(Complaint::new(
            ProblemCode::InvalidPort,
            format!("the range {low}-{high} runs backwards"),
            format!("write `{high}-{low}`"),
        ));
    }
    Ok((low, high))
}

impl fmt::Display for Ports {
    /// As after a pattern's colon where that can be said (one range), else with commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::These(ranges) = self else { return f.write_str("*") };
        for (index, (low, high)) in ranges.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            if low == high { write!(f, "{low}") } else { write!(f, "{low}-{high}") }?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        Ports::parse(text).map(|ports| ports.to_string()).map_err(|complaint| complaint.what)
    }

    #[test]
    fn a_port_is_a_number_a_range_or_a_star() {
        assert_eq!(parse("443"), Ok("443".into()));
        assert_eq!(parse("8000-8999"), Ok("8000-8999".into()));
        assert_eq!(parse("7-7"), Ok("7".into()));
        assert_eq!(parse("*"), Ok("*".into()));
        for (text, what) in [
            ("0", "`0` is not a port"),
            ("", "`` is not a port"),
            ("080", "`080` is not a port"),
            ("65536", "`65536` is not a port"),
            ("http", "`http` is not a port"),
            ("80-", "`` is not a port"),
            ("90-80", "the range 90-80 runs backwards"),
        ] {
            assert_eq!(parse(text), Err(what.into()), "{text:?}");
        }
    }

    #[test]
    fn ranges_merge_and_cover() {
        let ports = Ports::of(vec![(443, 443), (80, 80), (81, 90), (85, 100)]);
        assert_eq!(ports.to_string(), "80-100,443");
        assert!(ports.cover(&Ports::web()));
        assert!(!Ports::web().cover(&ports));
        assert!(!ports.cover(&Ports::Any));
        assert!(Ports::of(vec![(1, 9), (10, 65535)]).cover(&Ports::Any));
        assert!(Ports::Any.cover(&ports));
    }
}
