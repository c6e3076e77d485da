//! The certificate that a listener shows, and its renewal while connections come in.
//!
//! Guaranteed:
//! - A pair that is missing, half-written or does not fit together never replaces one that works; at start it is an
//!   error.
//! - Handshakes under way keep the pair that they began with; a handshake never waits for a file.
//! - TLS 1.2 and 1.3 alone, and by ALPN `http/1.1` alone: a client that insists on another protocol gets an alert in
//!   the handshake instead of being misunderstood after it.
//!
//! Deliberately not done: watching files (the owner of the acceptor calls [`TlsAcceptor::reload_if_changed`]
//! periodically), time limits (a handshake lasts as long as its caller lets it), client certificates.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{InconsistentKeys, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::private_file;

/// Turns accepted connections into TLS ones.
#[derive(Debug)]
pub struct TlsAcceptor {
    files: Files,
    config: ArcSwap<ServerConfig>,
    /// How the files looked when they were last read, well or not, so that one bad renewal is one error.
    tried: Mutex<Stamp>,
}

/// What came of a look at the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// They are as they were, or are being written at this moment.
    Unchanged,
    /// A new pair is in use.
    Replaced,
}

/// Why a certificate and its key cannot be used. Each is a sentence that says what to fix.
#[derive(Debug, thiserror::Error)]
pub enum AcceptorError {
    /// A file cannot be read.
    #[error("cannot read {path}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A file is no PEM.
    #[error("{path} is damaged: {error}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the reader stumbled.
        error: pem::Error,
    },
    /// There is no certificate in the certificate file.
    #[error("{0} holds no certificate: it needs a PEM section `BEGIN CERTIFICATE`, the server's own first")]
    NoCertificate(PathBuf),
    /// There is no private key in the key file.
    #[error("{0} holds no private key: it needs a PEM section `BEGIN PRIVATE KEY`, unencrypted")]
    NoKey(PathBuf),
    /// They do not belong together.
    #[error("the key in {key} is not the key of the first certificate in {cert}")]
    Mismatch {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// TLS cannot work with them, as with an algorithm that is not supported.
    #[error("the certificate in {cert} and the key in {key} cannot be used: {error}")]
    Unusable {
        /// The certificate file.
        cert: PathBuf,
        /// The key file.
        key: PathBuf,
        /// What is wrong with them.
        error: rustls::Error,
    },
}

impl TlsAcceptor {
    /// Reads a certificate chain (the server's own first) and its key, both PEM.
    ///
    /// # Errors
    /// If they cannot be read or used.
    pub fn new(cert: &Path, key: &Path) -> Result<Self, AcceptorError> {
        let files = Files { cert: cert.to_owned(), key: key.to_owned() };
        let tried = files.stamp();
        let config = files.load()?;
        Ok(Self { files, config: ArcSwap::from_pointee(config), tried: Mutex::new(tried) })
    }

    /// Looks whether the files have changed, and takes up the new pair. Reads files: not for the path of a request.
    ///
    /// # Errors
    /// If the new pair cannot be used; the old one stays. Told once for each state of the files.
    pub fn reload_if_changed(&self) -> Result<Reload, AcceptorError> {
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.files.stamp();
        if before == *tried {
            return Ok(Reload::Unchanged);
        }
        let loaded = self.files.load();
        if self.files.stamp() != before {
            return Ok(Reload::Unchanged); // the files are being written: the next check finds them complete
        }
        *tried = before;
        self.config.store(Arc::new(loaded?));
        Ok(Reload::Replaced)
    }

    /// Does the server's side of a handshake. The caller limits its time.
    ///
    /// # Errors
    /// If the client breaks off, speaks no TLS, or has nothing in common with us; it has been sent an alert then.
    pub async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        tokio_rustls::TlsAcceptor::from(self.config.load_full()).accept(stream).await
    }
}

/// Where the pair lies.
#[derive(Debug)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

/// What changes when a file is written, replaced or appears, for both files. The inode's change time alone would miss
/// two writes within one tick of the file system's clock.
type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

impl Files {
    fn stamp(&self) -> Stamp {
        [&self.cert, &self.key].map(|path| {
            let file = fs::metadata(path).ok()?;
            Some((file.dev(), file.ino(), file.size(), file.ctime(), file.ctime_nsec()))
        })
    }

    fn load(&self) -> Result<ServerConfig, AcceptorError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| self.unusable(error))?
            .with_no_client_auth()
            .with_single_cert(self.chain()?, self.private_key()?)
            .map_err(|error| self.unusable(error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, AcceptorError> {
        let pem = read(&self.cert)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        match chain {
            Ok(chain) if chain.is_empty() => Err(AcceptorError::NoCertificate(self.cert.clone())),
            Ok(chain) => Ok(chain),
            Err(error) => Err(AcceptorError::Damaged { path: self.cert.clone(), error }),
        }
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, AcceptorError> {
        let pem = private_file::read_shared_key(&self.key);
        let pem = pem.map_err(|error| AcceptorError::Unreadable { path: self.key.clone(), error })?;
        match PrivateKeyDer::from_pem_slice(&pem) {
            Ok(key) => Ok(key),
            Err(pem::Error::NoItemsFound) => Err(AcceptorError::NoKey(self.key.clone())),
            Err(error) => Err(AcceptorError::Damaged { path: self.key.clone(), error }),
        }
    }

    fn unusable(&self, error: rustls::Error) -> AcceptorError {
        let (cert, key) = (self.cert.clone(), self.key.clone());
        match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => AcceptorError::Mismatch { cert, key },
            error => AcceptorError::Unusable { cert, key, error },
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, AcceptorError> {
    fs::read(path).map_err(|error| AcceptorError::Unreadable { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, KeyPair};
    use rustls::{ClientConfig, RootCertStore};
    use tempfile::TempDir;
    use tokio::net::TcpListener;

    use super::*;

    /// A folder with a pair in it.
    struct Pair {
        folder: TempDir,
    }

    impl Pair {
        fn new() -> (Self, CertificateDer<'static>) {
            let pair = Self { folder: tempfile::tempdir().unwrap() };
            let cert = pair.renew();
            (pair, cert)
        }

        fn renew(&self) -> CertificateDer<'static> {
            let made = generate();
            self.write("cert.pem", &made.cert.pem());
            self.write("key.pem", &made.signing_key.serialize_pem());
            made.cert.der().clone()
        }

        /// As a careful program does: next to it, then over it.
        fn write(&self, name: &str, text: &str) {
            fs::write(self.path("new"), text).unwrap();
            fs::rename(self.path("new"), self.path(name)).unwrap();
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn acceptor(&self) -> Result<TlsAcceptor, AcceptorError> {
            TlsAcceptor::new(&self.path("cert.pem"), &self.path("key.pem"))
        }

        /// Returns the error message without the folder.
        fn message_of<T: std::fmt::Debug>(&self, result: Result<T, AcceptorError>) -> String {
            result.unwrap_err().to_string().replace(&format!("{}/", self.folder.path().display()), "")
        }
    }

    fn generate() -> CertifiedKey<KeyPair> {
        rcgen::generate_simple_self_signed(vec!["proxy.test".to_owned()]).unwrap()
    }

    /// A handshake with a client that trusts this certificate alone: what ALPN came to, or what the client saw.
    async fn handshake(
        acceptor: &TlsAcceptor,
        trusted: &CertificateDer<'static>,
        alpn: &[&str],
    ) -> Result<Option<String>, String> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = async {
            let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            tokio_rustls::TlsConnector::from(Arc::new(config)).connect("proxy.test".try_into().unwrap(), stream).await
        };
        let server = async { acceptor.accept(listener.accept().await.unwrap().0).await };
        let (client, server) = tokio::join!(client, server);
        let client = client.map_err(|error| error.to_string())?;
        let agreed = server.unwrap().get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        assert_eq!(client.get_ref().1.alpn_protocol(), agreed.as_deref());
        Ok(agreed.map(|protocol| String::from_utf8(protocol).unwrap()))
    }

    #[tokio::test]
    async fn http_1_is_the_only_protocol_on_offer() {
        let (pair, cert) = Pair::new();
        let acceptor = pair.acceptor().unwrap();
        assert_eq!(handshake(&acceptor, &cert, &["h2", "http/1.1"]).await, Ok(Some("http/1.1".to_owned())));
        assert_eq!(handshake(&acceptor, &cert, &[]).await, Ok(None));
        let refused = handshake(&acceptor, &cert, &["h2"]).await.unwrap_err();
        assert!(refused.contains("NoApplicationProtocol"), "{refused}");
    }

    #[tokio::test]
    async fn a_renewed_pair_is_taken_up_and_a_broken_one_is_not() {
        let (pair, first) = Pair::new();
        let acceptor = pair.acceptor().unwrap();
        assert_eq!(acceptor.reload_if_changed().unwrap(), Reload::Unchanged);

        let second = pair.renew();
        assert_eq!(handshake(&acceptor, &first, &[]).await, Ok(None), "no reload yet");
        assert_eq!(acceptor.reload_if_changed().unwrap(), Reload::Replaced);
        assert_eq!(acceptor.reload_if_changed().unwrap(), Reload::Unchanged);
        assert_eq!(handshake(&acceptor, &second, &[]).await, Ok(None));
        assert!(handshake(&acceptor, &first, &[]).await.is_err());

        let third = generate();
        pair.write("cert.pem", &third.cert.pem());
        let half = pair.message_of(acceptor.reload_if_changed());
        assert_eq!(half, "the key in key.pem is not the key of the first certificate in cert.pem");
        assert_eq!(acceptor.reload_if_changed().unwrap(), Reload::Unchanged, "reported once");
        assert_eq!(handshake(&acceptor, &second, &[]).await, Ok(None));
        fs::remove_file(pair.path("key.pem")).unwrap();
        assert!(pair.message_of(acceptor.reload_if_changed()).starts_with("cannot read key.pem: "));
        assert_eq!(acceptor.reload_if_changed().unwrap(), Reload::Unchanged, "reported once");
        assert_eq!(handshake(&acceptor, &second, &[]).await, Ok(None));

        pair.write("key.pem", &third.signing_key.serialize_pem());
        assert_eq!(acceptor.reload_if_changed().unwrap(), Reload::Replaced);
        assert_eq!(handshake(&acceptor, third.cert.der(), &[]).await, Ok(None));
    }

    #[test]
    fn a_start_without_a_usable_pair_says_what_to_fix() {
        let (pair, _) = Pair::new();
        let good = fs::read_to_string(pair.path("cert.pem")).unwrap();
        for (name, text, expected) in [
            ("cert.pem", "", "cert.pem holds no certificate: "),
            ("cert.pem", "just text\n", "cert.pem holds no certificate: "),
            ("cert.pem", good.split_at(good.len() / 2).0, "cert.pem is damaged: "),
            ("cert.pem", &good.replace('M', "*"), "cert.pem is damaged: "),
            ("key.pem", "", "key.pem holds no private key: "),
            ("key.pem", &good, "key.pem holds no private key: "),
            ("key.pem", &generate().signing_key.serialize_pem(), "the key in key.pem is not the key of the first"),
            (
                "key.pem",
                "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                "the certificate in cert.pem and the key in key.pem cannot be used: ",
            ),
        ] {
            pair.renew();
            assert!(pair.acceptor().is_ok());
            pair.write(name, text);
            let message = pair.message_of(pair.acceptor());
            assert!(message.starts_with(expected), "{message}");
        }
        fs::remove_file(pair.path("cert.pem")).unwrap();
        assert!(pair.message_of(pair.acceptor()).starts_with("cannot read cert.pem: "));
    }

    #[tokio::test]
    async fn what_is_no_tls_ends_the_handshake() {
        let (pair, _) = Pair::new();
        let acceptor = pair.acceptor().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.try_write(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        assert!(acceptor.accept(listener.accept().await.unwrap().0).await.is_err());
    }
}
