//! Removes the client's address and the path from records.
//!
//! A client's address becomes a keyed hash (HMAC-SHA256, RFC 2104), the same for all its requests, so clients can still
//! be distinguished and counted. The client's port and the path are removed. Redaction happens before a line is
//! hashed, so the chain covers what is kept, and it applies to every sink.
//!
//! Deliberately not done: hashing without a key. There are few addresses; a reader of the records could try them all.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::entry::Record;
use super::mac::MacKey;
use crate::facts::Peer;

/// What is left out of records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redact {
    /// The client's address.
    pub client: bool,
    /// The path.
    pub path: bool,
    /// The file that holds the key of the hash; none: a random key, so that no one can link one run's records to another's.
    pub key: Option<PathBuf>,
}

/// The same with its key read.
pub(crate) struct Redaction {
    client: bool,
    path: bool,
    key: MacKey,
}

/// Stands for a client: half of what would be enough against accident among as many addresses as there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClientHash([u8; 8]);

/// A client as a line names it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ClientText {
    Plain(Peer),
    Hidden(ClientHash),
}

impl fmt::Display for ClientText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(peer) => peer.fmt(f),
            Self::Hidden(hash) => hash.fmt(f),
        }
    }
}

impl Redaction {
    /// Reads the key.
    ///
    /// # Errors
    /// Its file cannot be read or holds less than 16 bytes; no randomness.
    pub(crate) fn open(redact: &Redact) -> io::Result<Self> {
        let Redact { client, path, key } = redact;
        let key = match key {
            Some(file) => MacKey::read("redact-key", file)?,
            None => MacKey::random()?,
        };
        Ok(Self { client: *client, path: *path, key })
    }

    /// Takes out of a record what no sink is to have. What replaces its client, if that is hidden: the address itself
    /// stays in memory, since a client may ask for its own denials.
    pub(crate) fn apply(&self, record: &mut Record) -> Option<ClientHash> {
        if self.path {
            record.path = None;
        }
        self.hidden(record.client.peer)
    }

    /// What replaces a client, if clients are hidden.
    pub(crate) fn hidden(&self, client: Peer) -> Option<ClientHash> {
        self.client.then(|| self.client(client))
    }

    fn client(&self, client: Peer) -> ClientHash {
        // The same for all connections of a client: without the port, and without the process.
        let mac = self.key.hash(
            match client {
                Peer::Tcp(address) => address.ip().to_canonical().to_string(),
                Peer::Unix(_) => client.to_string(),
            }
            .as_bytes(),
        );
        let mut hash = [0; 8];
        hash.iter_mut().zip(mac).for_each(|(to, byte)| *to = byte);
        ClientHash(hash)
    }
}

impl fmt::Display for ClientHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hmac:{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redaction").field("client", &self.client).field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::UnixCredentials;
    use crate::record::line::tests::{client as client_at, denied};

    #[test]
    fn a_client_has_one_hash_per_key_for_all_its_ports() {
        let dir = tempfile::tempdir().unwrap();
        let with = |key: &str| {
            let file = dir.path().join("key");
            std::fs::write(&file, key).unwrap();
            Redaction::open(&Redact { client: true, path: true, key: Some(file) })
        };
        let of = |redaction: &Redaction, client: &str| {
            let mut record = Record { client: client_at(client), path: Some("/a".into()), ..denied(1, "a.test:80") };
            let hash = redaction.apply(&mut record).unwrap().to_string();
            assert_eq!(record.path, None);
            hash
        };
        let one = with("0123456789abcdef\n").unwrap();
        assert_eq!(of(&one, "192.0.2.1:1"), of(&one, "[::ffff:192.0.2.1]:2"));
        assert_ne!(of(&one, "192.0.2.1:1"), of(&one, "192.0.2.2:1"));
        assert_ne!(of(&one, "192.0.2.1:1"), of(&with("fedcba9876543210").unwrap(), "192.0.2.1:1"));
        let unix = |uid, pid| one.client(Peer::Unix(UnixCredentials { uid, gid: 100, pid: Some(pid) }));
        assert_eq!(unix(1000, 7), unix(1000, 8));
        assert_ne!(unix(1000, 7), unix(1001, 7));
        let random = || Redaction::open(&Redact { client: true, ..Redact::default() }).unwrap();
        assert_ne!(of_client(&random()), of_client(&random()));
        assert!(with("too short").unwrap_err().to_string().contains("must hold at least 16 characters"));
    }

    fn of_client(redaction: &Redaction) -> ClientHash {
        redaction.client(client_at("192.0.2.1:1").peer)
    }
}
