//! A listener that clients reach by TLS.

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

use crate::expectations::assert_denied;
use crate::harness::{Conn, Ending, Origin, PATIENCE, Proxy, Settings, allow, get, until};

pub type Tls = Conn<StreamOwned<ClientConnection, TcpStream>>;

/// A certificate of its own for `proxy.test`, in files.
pub struct Certificate {
    dir: TempDir,
    pub der: CertificateDer<'static>,
}

impl Certificate {
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let der = write_pair(dir.path());
        Self { dir, der }
    }

    pub fn line(&self) -> String {
        let [cert, key] = ["cert.pem", "key.pem"].map(|name| self.dir.path().join(name));
        format!("tls = {{ cert = {cert:?}, key = {key:?} }}")
    }
}

/// Replaces the pair; the new certificate.
fn write_pair(dir: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(vec!["proxy.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    for (name, text) in [("key.pem", key.serialize_pem()), ("cert.pem", cert.pem())] {
        fs::write(dir.join("new"), text).unwrap();
        fs::rename(dir.join("new"), dir.join(name)).unwrap();
    }
    cert.der().clone()
}

fn connect(proxy: &Proxy, trusted: &CertificateDer<'static>) -> Result<Tls, std::io::Error> {
    handshake(TcpStream::connect(proxy.address())?, trusted)
}

/// A TLS connection that trusts just this certificate, once its handshake is done.
pub fn handshake(tcp: TcpStream, trusted: &CertificateDer<'static>) -> Result<Tls, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("proxy.test").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    tcp.set_read_timeout(Some(crate::harness::PATIENCE))?;
    let mut stream = StreamOwned::new(client, tcp);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(Conn::new(stream))
}

#[test]
fn tunnels_denials_and_requests_work_inside_tls() {
    let echo = Origin::echo();
    let origin = Origin::saying("plain");
    let certificate = Certificate::new();
    let proxy = Settings::with(allow(&["ok.test:*"])).listen(&certificate.line()).start();
    let connect = || connect(&proxy, &certificate.der).unwrap();
    let mut tunnel = connect();
    tunnel.send(format!("CONNECT ok.test:{} HTTP/1.1\r\nHost: ok.test\r\n\r\nearly", echo.port()));
    assert_eq!(tunnel.answer_to("CONNECT").status(), 200);
    assert_eq!(tunnel.read(5), b"early");
    tunnel.send(b"late");
    assert_eq!(tunnel.read(4), b"late");
    tunnel.stream().conn.send_close_notify();
    tunnel.send(b"");
    assert_eq!(tunnel.rest(), (Vec::new(), Ending::Closed), "the end passes through and back");

    let mut denied = connect();
    denied.send("CONNECT no.test:443 HTTP/1.1\r\nHost: no.test:443\r\n\r\n");
    let answers = denied.answers_to("CONNECT");
    assert_denied(answers.only(), "host_not_allowed");

    let mut plain = connect();
    for _ in 0..2 {
        plain.send(get(&format!("http://ok.test:{}/", origin.port()), &[]));
        assert_eq!(plain.answer().text(), "plain");
    }
    let line = format!("http ok.test:{}/ allow - completed 200", origin.port());
    proxy.account(&[
        &format!("connect ok.test:{} allow - completed 200", echo.port()),
        "connect no.test:443 deny host_not_allowed denied 403",
        &line,
        &line,
    ]);
}

#[test]
fn the_pac_of_a_tls_listener_says_https() {
    let certificate = Certificate::new();
    let proxy = Settings::with(allow(&["ok.test:*"])).listen(&certificate.line()).start();
    let mut client = connect(&proxy, &certificate.der).unwrap();
    client.send("GET /proxy.pac HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n");
    let answer = client.answer();
    assert!(answer.text().contains(&format!("HTTPS {}", proxy.address())), "{answer}");
}

#[test]
fn own_paths_are_served_under_the_name_in_the_certificate() {
    let certificate = Certificate::new();
    let proxy = Settings::with(allow(&["ok.test:*"])).listen(&certificate.line()).start();
    let mut client = connect(&proxy, &certificate.der).unwrap();
    client.send("GET /.well-known/outgate/denials HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n");
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn who_speaks_no_tls_there_is_counted_and_is_no_request() {
    let certificate = Certificate::new();
    let proxy =
        Settings::with(allow(&["ok.test:*"])).listen(&certificate.line()).limit("head-timeout = \"500ms\"").start();
    let mut plain = proxy.client();
    plain.send("GET http://ok.test/ HTTP/1.1\r\nHost: ok.test\r\n\r\n");
    let (bytes, _) = plain.rest();
    assert!(!bytes.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&bytes));
    let mut silent = proxy.client();
    assert_eq!(silent.rest().0, b"", "the handshake has a time limit");
    proxy.account(&[]);
    let connections = proxy.metrics().sum("outgate_connections_total", &[("listener", "agent")]);
    assert!(connections >= 2, "{connections}");
}

#[test]
fn a_handshake_too_many_gets_an_alert_and_what_is_open_lives() {
    let echo = Origin::echo();
    let certificate = Certificate::new();
    let settings = Settings::with(allow(&["ok.test:*"])).listen(&certificate.line());
    let proxy = settings.limit("max-handshakes = 1").limit("head-timeout = \"60s\"").start();
    // The proxy's own test of itself may hold the only place for a moment.
    let mut tunnel = until("a handshake has its place", || connect(&proxy, &certificate.der).ok());
    tunnel.send(format!("CONNECT ok.test:{} HTTP/1.1\r\nHost: ok.test\r\n\r\n", echo.port()));
    assert_eq!(tunnel.answer_to("CONNECT").status(), 200);
    let busy = || proxy.metrics().sum("outgate_connections_total", &[("listener", "agent"), ("result", "busy")]);
    let before = busy();
    let mut held = Vec::new();
    let refused = until("a client that says nothing holds the place", || {
        let mut client = proxy.client();
        client.stream().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut first = [0];
        match client.stream().read(&mut first) {
            Ok(1) if !held.is_empty() => {
                client.stream().set_read_timeout(Some(PATIENCE)).unwrap();
                let (rest, ending) = client.rest();
                Some(([first.as_slice(), &rest].concat(), ending))
            }
            Ok(_) => None,
            Err(_silence) => {
                held.push(client);
                None
            }
        }
    });
    // A fatal alert, internal_error (RFC 8446 §6.2), in a record of its own.
    assert_eq!(refused, (vec![21, 3, 3, 0, 2, 2, 80], Ending::Closed));
    let error = connect(&proxy, &certificate.der).map(|_| ()).unwrap_err();
    let alert = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    assert_eq!(alert, Some(&rustls::Error::AlertReceived(rustls::AlertDescription::InternalError)), "{error}");
    assert!(busy() >= before + 2, "both are counted");
    tunnel.send(b"alive");
    assert_eq!(tunnel.read(5), b"alive");
    drop(held);
    until("the place is free again", || connect(&proxy, &certificate.der).ok());
    tunnel.send(b"still");
    assert_eq!(tunnel.read(5), b"still");
    assert!(proxy.records_now().is_empty(), "a connection without a request has no record");
}

#[test]
fn a_renewed_certificate_is_shown_and_a_bad_one_is_not() {
    let echo = Origin::echo();
    let certificate = Certificate::new();
    let proxy = Settings::with(allow(&["ok.test:*"])).listen(&certificate.line()).start();
    let mut open = connect(&proxy, &certificate.der).unwrap();
    open.send(format!("CONNECT ok.test:{} HTTP/1.1\r\nHost: ok.test\r\n\r\n", echo.port()));
    assert_eq!(open.answer_to("CONNECT").status(), 200);
    let renewed = write_pair(certificate.dir.path());
    until("the new certificate is shown", || connect(&proxy, &renewed).is_ok().then_some(()));
    assert!(connect(&proxy, &certificate.der).is_err(), "the old one is gone");
    open.send(b"x");
    assert_eq!(open.read(1), b"x", "an open connection stays usable");
    fs::write(certificate.dir.path().join("cert.pem"), "nonsense").unwrap();
    until("the mistake is said", || proxy.output().iter().any(|line| line.contains("cert.pem")).then_some(()));
    assert!(connect(&proxy, &renewed).is_ok(), "the one before stays");
}
