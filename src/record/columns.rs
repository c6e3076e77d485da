//! What a line says: its columns, written down once.
//!
//! The list below is the only place that names them. The JSON of a line, the table of a database, the reader of its rows
//! and the reference page follow from it. A new column is a row with the next version, and its value in [`Columns::of`].
//!
//! Each line carries the version of its columns, so that a row of a database is written again with the columns that it was
//! written with: a new column changes no line that is there, and breaks no chain.

use rusqlite::types::ValueRef;

use super::chain::LineHash;
use super::entry::{Kind, Record};
use super::nanos::{MICROSECOND, NANOSECOND};
use super::redact::{ClientHash, ClientText};
use super::utc::{Clock, UtcTime};
use super::value::{DisplayOrEmpty, SqlType, Thousandths, Token, Value, number};
use crate::facts::{Destination, Host, RequestId};

/// The version of the columns that this program writes: that of the newest of them.
pub(crate) const VERSION: u8 = 1;

/// A line without its texts, with room for names as long as they usually are.
const USUAL_LENGTH: usize = 768;

/// One column, as readers need it.
#[derive(Debug)]
pub(crate) struct Column {
    /// Its name, in JSON and in a database.
    pub(crate) name: &'static str,
    pub(crate) sql: SqlType,
    /// From which version on lines have it. 0 are the lines that carry no version.
    pub(crate) since: u8,
    /// What it means, for the reference page.
    pub(crate) about: &'static str,
}

/// Makes of the list the struct of a line's values, its JSON, its values for a database, and the list for readers.
macro_rules! columns {
    ($life:lifetime, $($since:literal $name:ident: $type:ty = $about:literal;)+) => {
        /// The values of one line.
        #[derive(Default)]
        pub(crate) struct Columns<$life> {
            $(#[doc = $about] pub(crate) $name: $type,)+
        }

        impl<$life> Columns<$life> {
            /// Every column, in the order in which a line has them.
            const ALL: &'static [Column] = &[
                $(Column { name: stringify!($name), sql: <$type as Value>::SQL, since: $since, about: $about },)+
            ];

            /// Appends every column that there is, each after a comma.
            fn write_each(&self, clock: &mut Clock, to: &mut Vec<u8>) {
                $(self.$name.write(
                    concat!(",\"", stringify!($name), "\":"),
                    concat!(",\"", stringify!($name), "\":\""),
                    clock,
                    to,
                );)+
            }

            /// Shows every value as a database has it, in the order of [`COLUMNS`]. `scratch` keeps its memory from line
            /// to line.
            pub(crate) fn each_sql<E>(
                &self,
                scratch: &mut String,
                mut take: impl FnMut(ValueRef<'_>) -> Result<(), E>,
            ) -> Result<(), E> {
                $(
                    scratch.clear();
                    take(self.$name.sql(scratch))?;
                )+
                Ok(())
            }

            /// Shows every column with what the general serializer makes of its value.
            #[cfg(test)]
            fn each_by_serde(&self, mut take: impl FnMut(&'static str, String)) {
                $(take(stringify!($name), serde_json::to_string(&self.$name).unwrap_or_default());)+
            }
        }
    };
}

columns! {
    'a,
    0 seq: u64 = "the number of the line in the sequence of all lines";
    1 v: Version = "the version of the columns; lines from before there were versions do not have it";
    0 time: DisplayOrEmpty<UtcTime> = "when the request began, UTC with milliseconds; of a gap, when it was noticed";
    0 kind: Token = "`end`, the record of a request; `open` and `progress` of what is still open; `gap` where lines are missing";
    0 id: DisplayOrEmpty<RequestId> = "the request's id, the same in all its lines";
    0 listener: &'a str = "the listener that received it";
    0 protocol: Token = "`connect`, `http`, `socks5` or `own`";
    0 tool: &'a str = "which tool asked; the listener's name";
    0 identity: &'a str = "the identity of the client; empty in this version";
    0 client: DisplayOrEmpty<ClientText> = "the client's address and port, or `hmac:` and 16 hexadecimal digits where clients are hidden";
    0 method: &'a str = "the method, if one was read";
    0 host: DisplayOrEmpty<&'a Host> = "the host that was asked for";
    0 port: u16 = "its port; 0 without a host";
    0 path: &'a str = "the path without its query, where it can be seen";
    0 decision: Token = "`allow`, `deny`, `observe` (would have been denied) or `none` (not judged)";
    0 reason: &'a str = "why, as a token; empty for what was allowed";
    0 rule: &'a str = "the rule that decided, or came closest";
    0 layer: &'a str = "the policy of that rule, where there are several; empty in this version";
    0 revision: &'a str = "the revision of the policy";
    0 address: DisplayOrEmpty<std::net::SocketAddr> = "the address and port that were connected to";
    0 sni: &'a str = "the server name of the ClientHello";
    0 outcome: Token = "how the request ended; empty while it is open";
    0 status: u16 = "the HTTP status that the client saw; 0 for none";
    0 bytes_up: u64 = "bytes from the client to the origin";
    0 bytes_down: u64 = "bytes from the origin to the client";
    0 decide_us: Thousandths = "how long deciding took, in microseconds";
    0 dial_ms: Thousandths = "how long resolving and connecting took, in milliseconds";
    0 duration_ms: Thousandths = "from the request's first byte to its end, in milliseconds";
    0 dropped: Option<u64> = "how many records are missing; only a gap has it";
    0 prev: DisplayOrEmpty<LineHash> = "the first half of the SHA-256 of the line before, without its line feed, in hexadecimal; with a key its HMAC, after the key's id and a colon; empty in the first line, and where no file is written";
}

/// Every column, in the order in which a line has them.
pub(crate) const COLUMNS: &[Column] = Columns::ALL;

/// The version of the columns, in every line the same.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Version;

impl Value for Version {
    const SQL: SqlType = SqlType::Integer;

    fn write(&self, name: &'static str, _: &'static str, _: &mut Clock, to: &mut Vec<u8>) {
        to.extend_from_slice(name.as_bytes());
        number(VERSION, to);
    }

    fn sql<'s>(&'s self, _: &'s mut String) -> ValueRef<'s> {
        ValueRef::Integer(VERSION.into())
    }
}

impl<'a> Columns<'a> {
    /// Of a record, but for its place in the sequence and in the chain.
    pub(super) fn of(record: &'a Record, hidden: Option<ClientHash>) -> Self {
        Self {
            time: DisplayOrEmpty(Some(UtcTime(record.started))),
            kind: Token(record.kind.as_str()),
            id: DisplayOrEmpty(Some(record.id)),
            listener: record.listener.as_str(),
            protocol: Token(record.protocol.map_or("", |protocol| protocol.as_str())),
            tool: record.listener.as_str(),
            identity: record.client.identity.as_str(),
            client: DisplayOrEmpty(Some(hidden.map_or(ClientText::Plain(record.client.peer), ClientText::Hidden))),
            method: record.method.as_ref().map_or("", |method| method.as_str()),
            host: DisplayOrEmpty(record.destination.as_ref().map(Destination::host)),
            port: record.destination.as_ref().map_or(0, |destination| destination.port().get()),
            path: record.path.as_deref().unwrap_or_default(),
            decision: Token(record.verdict.decision()),
            reason: record.verdict.reason(),
            rule: record.rule().unwrap_or_default(),
            revision: record.revision(),
            address: DisplayOrEmpty(record.address),
            sni: record.sni.as_deref().unwrap_or_default(),
            // What is still going on has none yet.
            outcome: Token(if record.kind == Kind::End { record.outcome.as_str() } else { "" }),
            status: record.status,
            bytes_up: record.bytes_up,
            bytes_down: record.bytes_down,
            decide_us: Thousandths::of(record.decide, NANOSECOND),
            dial_ms: record.dial.map_or_else(Thousandths::default, |dial| Thousandths::of(dial, MICROSECOND)),
            duration_ms: Thousandths::of(record.duration, MICROSECOND),
            // `layer` is not known yet.
            ..Self::default()
        }
    }

    /// Appends the line as JSON, without a line feed.
    pub(crate) fn write(&self, clock: &mut Clock, to: &mut Vec<u8>) {
        to.reserve(USUAL_LENGTH + self.path.len());
        let start = to.len();
        self.write_each(clock, to);
        // In the place of the first comma.
        if let Some(first) = to.get_mut(start) {
            *first = b'{';
        }
        to.push(b'}');
    }
}

#[cfg(test)]
mod tests;
