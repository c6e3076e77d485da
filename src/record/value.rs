//! What a column can hold, and how that is written: as JSON, and as a value of a database.
//!
//! Every request costs a line, at the rate of all workers together: the general serializer took half of the writer's time
//! for it. Guaranteed: byte for byte what that writes (property tests say so), since the line of a row in a database is
//! written by the general serializer when its chain is verified.

use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;

use rusqlite::types::ValueRef;
use serde::Serialize;

use super::chain::LineHash;
use super::nanos::Nanos;
use super::redact::ClientText;
use super::utc::{Clock, UtcTime, digit};
use crate::facts::{Host, Peer, RequestId};

/// Thousandths from which on a decimal is written by the general serializer: 31,000 years of milliseconds.
const EXACT: u64 = 1_000_000_000_000_000;

/// A column's type in a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SqlType {
    Integer,
    /// Null, and absent from the JSON, without a number.
    OptionalInteger,
    Real,
    Text,
}

/// What a column can hold.
pub(super) trait Value {
    const SQL: SqlType;

    /// Appends the column's name and its value. `name` ends with the colon, `quoted` also with the quote after it:
    /// each is one constant, and a value appends the one that it needs.
    fn write(&self, name: &'static str, quoted: &'static str, clock: &mut Clock, to: &mut Vec<u8>);

    /// The same for a database. Text that has to be made first is made in `scratch`, which is empty.
    fn sql<'s>(&'s self, scratch: &'s mut String) -> ValueRef<'s>;
}

/// A word of ours, which has nothing to escape.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Token(pub(crate) &'static str);

/// A number with three decimals, in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Thousandths(u64);

impl Thousandths {
    /// What something took, in thousands of `unit`: whole units count, so that the text is short and always ends.
    pub(super) fn of(took: Nanos, unit: u64) -> Self {
        Self(took.nanos() / unit)
    }

    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 thousandths, which are centuries of milliseconds")]
    fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

/// A value by its `Display`, or "".
#[derive(Clone, Copy, Debug)]
pub(crate) struct DisplayOrEmpty<T>(pub(crate) Option<T>);

impl<T> Default for DisplayOrEmpty<T> {
    fn default() -> Self {
        Self(None)
    }
}

/// What [`DisplayOrEmpty`] shows: text that has nothing to escape.
pub(super) trait PlainText: fmt::Display {
    /// Appends what `Display` shows.
    fn write(&self, clock: &mut Clock, to: &mut Vec<u8>);
}

impl Value for u64 {
    const SQL: SqlType = SqlType::Integer;

    fn write(&self, name: &'static str, _: &'static str, _: &mut Clock, to: &mut Vec<u8>) {
        to.extend_from_slice(name.as_bytes());
        number(*self, to);
    }

    fn sql<'s>(&'s self, _: &'s mut String) -> ValueRef<'s> {
        // What a sum of bytes would have to be to not fit, no machine can move.
        ValueRef::Integer(i64::try_from(*self).unwrap_or(i64::MAX))
    }
}

impl Value for u16 {
    const SQL: SqlType = SqlType::Integer;

    fn write(&self, name: &'static str, _: &'static str, _: &mut Clock, to: &mut Vec<u8>) {
        to.extend_from_slice(name.as_bytes());
        number(*self, to);
    }

    fn sql<'s>(&'s self, _: &'s mut String) -> ValueRef<'s> {
        ValueRef::Integer(i64::from(*self))
    }
}

impl Value for Option<u64> {
    const SQL: SqlType = SqlType::OptionalInteger;

    fn write(&self, name: &'static str, quoted: &'static str, clock: &mut Clock, to: &mut Vec<u8>) {
        if let Some(number) = self {
            number.write(name, quoted, clock, to);
        }
    }

    fn sql<'s>(&'s self, scratch: &'s mut String) -> ValueRef<'s> {
        self.as_ref().map_or(ValueRef::Null, |number| number.sql(scratch))
    }
}

impl Value for Token {
    const SQL: SqlType = SqlType::Text;

    fn write(&self, _: &'static str, quoted: &'static str, _: &mut Clock, to: &mut Vec<u8>) {
        to.extend_from_slice(quoted.as_bytes());
        to.extend_from_slice(self.0.as_bytes());
        to.push(b'"');
    }

    fn sql<'s>(&'s self, _: &'s mut String) -> ValueRef<'s> {
        ValueRef::Text(self.0.as_bytes())
    }
}

impl Value for &str {
    const SQL: SqlType = SqlType::Text;

    fn write(&self, name: &'static str, quoted: &'static str, _: &mut Clock, to: &mut Vec<u8>) {
        // All of it at once rather than up to the first such byte: there is hardly ever one (RFC 8259 §7).
        if self.bytes().fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\')) {
            to.extend_from_slice(name.as_bytes());
            return general(self, to);
        }
        to.extend_from_slice(quoted.as_bytes());
        to.extend_from_slice(self.as_bytes());
        to.push(b'"');
    }

    fn sql<'s>(&'s self, _: &'s mut String) -> ValueRef<'s> {
        ValueRef::Text(self.as_bytes())
    }
}

impl Value for Thousandths {
    const SQL: SqlType = SqlType::Real;

    fn write(&self, name: &'static str, _: &'static str, _: &mut Clock, to: &mut Vec<u8>) {
        to.extend_from_slice(name.as_bytes());
        if self.0 >= EXACT {
            return general(&self.as_f64(), to);
        }
        number(self.0 / 1000, to);
        to.push(b'.');
        let rest = u32::try_from(self.0 % 1000).unwrap_or_default();
        let digits = [rest / 100, rest / 10, rest].map(digit);
        let shown = match digits {
            [_, b'0', b'0'] => 1,
            [_, _, b'0'] => 2,
            _ => 3,
        };
        to.extend(digits.into_iter().take(shown));
    }

    fn sql<'s>(&'s self, _: &'s mut String) -> ValueRef<'s> {
        ValueRef::Real(self.as_f64())
    }
}

impl<T: PlainText> Value for DisplayOrEmpty<T> {
    const SQL: SqlType = SqlType::Text;

    fn write(&self, _: &'static str, quoted: &'static str, clock: &mut Clock, to: &mut Vec<u8>) {
        to.extend_from_slice(quoted.as_bytes());
        if let Some(value) = &self.0 {
            value.write(clock, to);
        }
        to.push(b'"');
    }

    fn sql<'s>(&'s self, scratch: &'s mut String) -> ValueRef<'s> {
        use fmt::Write as _;
        if let Some(value) = &self.0 {
            // A String takes all.
            let _ = write!(scratch, "{value}");
        }
        ValueRef::Text(scratch.as_bytes())
    }
}

impl PlainText for UtcTime {
    fn write(&self, clock: &mut Clock, to: &mut Vec<u8>) {
        clock.write(*self, to);
    }
}

impl PlainText for RequestId {
    fn write(&self, _: &mut Clock, to: &mut Vec<u8>) {
        to.extend_from_slice(&self.instance());
        to.push(b'-');
        number(self.number(), to);
    }
}

impl PlainText for ClientText {
    fn write(&self, clock: &mut Clock, to: &mut Vec<u8>) {
        match self {
            Self::Plain(client) => client.write(clock, to),
            Self::Hidden(_) => shown(self, to),
        }
    }
}

impl PlainText for Peer {
    fn write(&self, clock: &mut Clock, to: &mut Vec<u8>) {
        match self {
            Self::Tcp(address) => address.write(clock, to),
            Self::Unix(_) => shown(self, to),
        }
    }
}

impl PlainText for &Host {
    fn write(&self, _: &mut Clock, to: &mut Vec<u8>) {
        match self {
            // A name has letters, digits, `-`, `_` and points alone.
            Host::Name(name) => to.extend_from_slice(name.as_str().as_bytes()),
            Host::Ip(_) => shown(self, to),
        }
    }
}

impl PlainText for SocketAddr {
    fn write(&self, _: &mut Clock, to: &mut Vec<u8>) {
        let Self::V4(address) = self else { return shown(self, to) };
        let [first, rest @ ..] = address.ip().octets();
        number(first, to);
        for octet in rest {
            to.push(b'.');
            number(octet, to);
        }
        to.push(b':');
        number(address.port(), to);
    }
}

impl PlainText for LineHash {
    fn write(&self, _: &mut Clock, to: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        if self.key().is_some() {
            return shown(self, to);
        }
        let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or_default();
        to.extend_from_slice(self.half().map(|byte| [digit(byte >> 4), digit(byte & 15)]).as_flattened());
    }
}

pub(super) fn number(number: impl itoa::Integer, to: &mut Vec<u8>) {
    to.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// By its `Display`.
fn shown(value: &impl fmt::Display, to: &mut Vec<u8>) {
    let written = write!(to, "{value}");
    debug_assert!(written.is_ok(), "a Vec takes all");
}

/// By the general serializer.
pub(super) fn general(value: &(impl Serialize + ?Sized), to: &mut Vec<u8>) {
    let written = serde_json::to_writer(to, value);
    debug_assert!(written.is_ok(), "a Vec takes all");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Serializer;

    use super::*;

    impl Serialize for Thousandths {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            self.as_f64().serialize(serializer)
        }
    }

    proptest! {
        #[test]
        fn a_duration_is_written_as_the_serializer_writes_it(thousandths in any::<u64>()) {
            for thousandths in [thousandths, thousandths % 1_000_000, thousandths >> 14] {
                let mut to = Vec::new();
                Thousandths(thousandths).write("", "", &mut Clock::default(), &mut to);
                let value = serde_json::to_string(&Thousandths(thousandths)).unwrap();
                prop_assert_eq!(String::from_utf8(to).unwrap(), value);
            }
        }
    }
}
