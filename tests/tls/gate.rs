//! What the gate makes of ClientHellos: hexadecimal lines in, a verdict for each out.

use std::io::{self, BufRead, BufWriter, Write};

use outgate::facts::ServerName;
use outgate::tls::{HelloError, HelloReader};

/// The default of `max-hello`.
const LIMIT: usize = 64 * 1024;

fn main() -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        let bytes = unhex(&line?).ok_or(io::ErrorKind::InvalidData)?;
        match HelloReader::new(LIMIT).read(&bytes) {
            Ok(Some(hello)) => match hello.sni {
                ServerName::Name(name) => writeln!(out, "name {}", name.as_str())?,
                ServerName::Address(address) => writeln!(out, "address {address}")?,
                ServerName::Missing => writeln!(out, "nameless")?,
            },
            // Nothing passes before more has come, and half a ClientHello is refused.
            Ok(None) => writeln!(out, "refused")?,
            Err(HelloError::NotTls) => writeln!(out, "not-tls")?,
            Err(HelloError::Malformed(_) | HelloError::TooLarge) => writeln!(out, "refused")?,
        }
    }
    out.flush()
}

fn unhex(line: &str) -> Option<Vec<u8>> {
    let (pairs, []) = line.as_bytes().as_chunks::<2>() else { return None };
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().map(byte).collect()
}
