//! ClientHellos: the same answer however the bytes arrive, and the same name as rustls finds in them.

use outgate::facts::ServerName;
use outgate::tls::{Hello, HelloError, HelloReader};

use super::pieces::ends;

const LIMIT: usize = 64 * 1024;
/// A limit that inputs reach.
const TIGHT: usize = 256;
/// Longer inputs are not read byte by byte as well: the pieces have to do.
const MOST_BYTES: usize = 512;

pub(super) fn check(input: &[u8]) {
    let whole = check_split(input, LIMIT);
    match check_split(input, TIGHT) {
        Ok(Some(hello)) => assert_eq!(whole, Ok(Some(hello)), "a limit changes the name"),
        Ok(None) => assert!(input.len() < TIGHT && whole == Ok(None), "{whole:?}"),
        Err(HelloError::TooLarge) => {}
        Err(error) => assert_eq!(whole, Err(error), "a limit changes the error"),
    }
    if let Ok(ours) = whole {
        agree(ours, input);
    }
}

fn check_split(input: &[u8], limit: usize) -> Result<Option<Hello>, HelloError> {
    let whole = HelloReader::new(limit).read(input);
    assert_eq!(read(input, limit, ends(input).into_iter()), whole, "in pieces");
    if input.len() <= MOST_BYTES {
        assert_eq!(read(input, limit, 0..=input.len()), whole, "byte by byte");
    }
    whole
}

fn read(input: &[u8], limit: usize, ends: impl Iterator<Item = usize>) -> Result<Option<Hello>, HelloError> {
    let mut reader = HelloReader::new(limit);
    for end in ends {
        let answer = reader.read(&input[..end]);
        if answer != Ok(None) {
            return answer;
        }
    }
    Ok(None)
}

/// Where rustls takes the bytes for a hello it finds our name in it, in any case of its letters. It refuses more than
/// we do (what it could not serve itself), and calls an address no name.
fn agree(ours: Option<Hello>, mut input: &[u8]) {
    let mut acceptor = rustls::server::Acceptor::default();
    let theirs = loop {
        let Ok(read) = acceptor.read_tls(&mut input) else { return };
        match acceptor.accept() {
            Ok(Some(accepted)) => break Some(accepted.client_hello().server_name().map(str::to_ascii_lowercase)),
            Ok(None) if read == 0 => break None,
            Ok(None) => {}
            Err(_) => return,
        }
    };
    let ours = ours.map(|hello| match hello.sni {
        ServerName::Name(name) => Some(name.as_str().to_owned()),
        ServerName::Address(_) | ServerName::Missing => None,
    });
    assert_eq!(ours, theirs);
}
