//! A user name and a password for somewhere else. They are sent there and shown nowhere.

use std::fmt;

/// What an administrator gave this proxy to log in with, as HTTP's Basic scheme has it (RFC 7617).
///
/// There is no `Display`, and `Debug` shows nothing of it: it can be logged by mistake without harm.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    basic: Box<str>,
}

/// Why a user name and a password cannot be sent (RFC 7617 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// The server could not tell where the name ends.
    #[error("the user name has a colon")]
    Colon,
    /// Line ends among them would begin another field.
    #[error("they contain a control character")]
    Control,
}

impl Credentials {
    /// By name and password; either may be empty.
    ///
    /// # Errors
    /// If they hold what Basic cannot carry.
    pub fn basic(user: &str, password: &str) -> Result<Self, CredentialsError> {
        if user.contains(':') {
            return Err(CredentialsError::Colon);
        }
        if user.chars().chain(password.chars()).any(char::is_control) {
            return Err(CredentialsError::Control);
        }
        let pair = base64(format!("{user}:{password}").as_bytes());
        Ok(Self { basic: format!("Basic {pair}").into() })
    }

    /// Returns the field value to send. The caller must not send or write it anywhere else.
    pub fn reveal(&self) -> &str {
        &self.basic
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(hidden)")
    }
}

/// RFC 4648 §4, with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let index = (bits >> (18 - 6 * at)) as usize & 63;
            let letter = ALPHABET.get(index).copied().filter(|_| at <= group.len());
            text.push(letter.map_or('=', char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), encoded, "RFC 4648 §10");
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
    }

    #[test]
    fn credentials_are_those_of_the_rfc_and_never_show() {
        let credentials = Credentials::basic("Aladdin", "open sesame").unwrap();
        assert_eq!(credentials.reveal(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "RFC 7617 §2");
        assert_eq!(format!("{credentials:?}"), "Credentials(hidden)");
        assert_eq!(
            Credentials::basic("test", "123\u{a3}").unwrap().reveal(),
            "Basic dGVzdDoxMjPCow==",
            "RFC 7617 §2.1"
        );
        assert!(Credentials::basic("user", "pass:word").is_ok());
        assert_eq!(Credentials::basic("us:er", "password"), Err(CredentialsError::Colon));
        assert_eq!(Credentials::basic("user", "a\r\nb: c"), Err(CredentialsError::Control));
        assert_eq!(Credentials::basic("us\ner", ""), Err(CredentialsError::Control));
    }
}
