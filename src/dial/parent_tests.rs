use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::*;

const LONG: Duration = Duration::from_secs(10);

fn destination(text: &str) -> Destination {
    Destination::parse(text.as_bytes(), None).unwrap()
}

fn parent(login: Option<(&str, &str)>) -> ParentProxy {
    let login = login.map(|(user, password)| Credentials::basic(user, password).unwrap());
    ParentProxy::new(destination("proxy.test:3128"), login, "outgate-1")
}

/// What comes of these answers, written piece by piece; a piece is on its way before the next is written.
async fn answered(pieces: &[&[u8]]) -> (Result<(), ParentFault>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let script = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut request = [0; 4];
        stream.read_exact(&mut request).await.unwrap();
        for piece in pieces {
            // The proxy closes as soon as it has read enough.
            let _closed = stream.write_all(piece).await;
            tokio::task::yield_now().await;
        }
    };
    let client = async {
        let mut stream = OriginStream::Tcp(TcpStream::connect(address).await.unwrap());
        let result = ask(&mut stream, b"ask\n").await;
        let mut rest = Vec::new();
        if result.is_ok() {
            stream.read_to_end(&mut rest).await.unwrap();
        }
        (result, rest)
    };
    tokio::join!(client, script).0
}

/// A permit that is never revoked.
fn leave(permit: ParentPermit) -> impl FnOnce() -> Result<ParentPermit, DialError> {
    || Ok(permit)
}

#[test]
fn a_tunnel_is_asked_for_by_name() {
    let plain = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\nVia: 1.1 outgate-1\r\n\r\n";
    assert_eq!(parent(None).connect_request(&destination("a.test:443")), plain);
    let six = "CONNECT [2001:db8::1]:8443 HTTP/1.1\r\nHost: [2001:db8::1]:8443\r\nVia: 1.1 outgate-1\r\n\
               Proxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n";
    let login = parent(Some(("Aladdin", "open sesame")));
    assert_eq!(login.connect_request(&destination("[2001:db8::1]:8443")), six);
    assert!(!format!("{login:?}").contains("QWxh"));
}

#[tokio::test]
async fn a_response_says_whether_the_tunnel_is_established() {
    let long = [b"HTTP/1.1 200 OK\r\nA: ".as_slice(), &vec![b'a'; MAX_ANSWER], b"\r\n\r\n"].concat();
    let endless = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(MAX_ANSWER / 28 + 1);
    for (answer, expected) in [
        (b"HTTP/1.1 200 Connection established\r\n\r\n".as_slice(), Ok(())),
        (b"HTTP/1.0 200 OK\r\n\r\n", Ok(())),
        (b"HTTP/1.1 200\r\n\r\n", Ok(())),
        (b"HTTP/1.1 204 \r\nProxy-Agent: p\r\nContent-Length: 5\r\n\r\n", Ok(())),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", Ok(())),
        (
            b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n",
            Err(ParentFault::Credentials),
        ),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nno\r\n", Err(ParentFault::Status(403))),
        (b"HTTP/1.1 503 Service Unavailable\r\n\r\n", Err(ParentFault::Status(503))),
        (b"HTTP/1.1 302 Found\r\nLocation: http://a.test/\r\n\r\n", Err(ParentFault::Status(302))),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", Err(ParentFault::Nonsense)),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Err(ParentFault::Closed)),
        (b"HTTP/1.1 200 OK\n\n", Err(ParentFault::Nonsense)),
        (b"HTTP/1.1 200 OK\r\nA: b\n\r\n", Err(ParentFault::Nonsense)),
        (b"HTTP/1.1 200 OK\r\rA: b\r\n\r\n", Err(ParentFault::Nonsense)),
        (b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", Err(ParentFault::Nonsense)),
        (b"HTTP/1.1 200 OK\r\nno field\r\n\r\n", Err(ParentFault::Nonsense)),
        (b"HTTP/1.1 200 OK\r\n: b\r\n\r\n", Err(ParentFault::Nonsense)),
        (b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", Err(ParentFault::Nonsense)),
        (b"HTTP/1.1 2000 OK\r\n\r\n", Err(ParentFault::Nonsense)),
        (b"HTTP/1.1 20 OK\r\n\r\n", Err(ParentFault::Nonsense)),
        (b"HTTP/1.1 600 OK\r\n\r\n", Err(ParentFault::Nonsense)),
        (b"HTTP/2 200 OK\r\n\r\n", Err(ParentFault::Nonsense)),
        (b"SSH-2.0-OpenSSH\r\n\r\n", Err(ParentFault::Nonsense)),
        (b"HTTP/1.1 200 OK\r\n", Err(ParentFault::Closed)),
        (b"", Err(ParentFault::Closed)),
        (long.as_slice(), Err(ParentFault::Nonsense)),
        (endless.as_slice(), Err(ParentFault::Nonsense)),
    ] {
        let shown = String::from_utf8_lossy(answer.get(..answer.len().min(80)).unwrap());
        assert_eq!(answered(&[answer]).await.0, expected, "{shown:?}");
    }
}

#[tokio::test]
async fn bytes_after_the_response_belong_to_the_tunnel() {
    let whole = b"HTTP/1.1 200 OK\r\nProxy-Agent: p\r\n\r\nSSH-2.0-early\r\n\r\n".as_slice();
    let end = whole.len() - 17;
    assert_eq!(answered(&[whole]).await, (Ok(()), whole[end..].to_vec()));
    for at in 1..whole.len() {
        let (first, second) = whole.split_at(at);
        assert_eq!(answered(&[first, second]).await, (Ok(()), whole[end..].to_vec()), "split at {at}");
    }
    let drip: Vec<_> = whole.chunks(1).collect();
    assert_eq!(answered(&drip).await, (Ok(()), whole[end..].to_vec()));
    let big = [b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &vec![b'x'; 5000]].concat();
    assert_eq!(answered(&[&big]).await, (Ok(()), vec![b'x'; 5000]), "more than one look sees");
}

#[tokio::test]
async fn a_silent_parent_has_the_time_to_connect_and_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (vetted, permit) = crate::policy::permit_by_parent("a.test:443", address);
    let (ended, end) = oneshot::channel::<()>();
    let silent = async {
        let _held = listener.accept().await.unwrap();
        let _over = end.await;
    };
    let began = Instant::now();
    let client = async {
        let time = Duration::from_millis(50);
        let late =
            connect_by_parent(&parent(None), &vetted, leave(permit), NextHop::Origin, &Loops::new(&[]), time).await;
        drop(ended);
        late.unwrap_err()
    };
    assert_eq!(tokio::join!(client, silent).0, DialError::Parent(ParentFault::Timeout));
    assert!(began.elapsed() < LONG);
}

#[tokio::test]
async fn a_parent_that_is_not_there_is_its_own_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (vetted, permit) = crate::policy::permit_by_parent("a.test:443", address);
    let gone = connect_by_parent(&parent(None), &vetted, leave(permit), NextHop::Origin, &Loops::new(&[]), LONG).await;
    assert_eq!(gone.unwrap_err(), DialError::Parent(ParentFault::Unreachable));
}

#[tokio::test]
async fn a_plain_connection_asks_for_nothing_yet_and_says_who_reads_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (vetted, permit) = crate::policy::permit_by_parent("a.test:80", address);
    let dialled =
        connect_by_parent(&parent(None), &vetted, leave(permit.clone()), NextHop::Parent, &Loops::new(&[]), LONG)
            .await
            .unwrap();
    assert_eq!((dialled.address, dialled.next_hop), (address, NextHop::Parent));
    assert_eq!(dialled.reached, Reached::Parent(Box::new(permit)));
    drop(dialled);
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"");
}

#[tokio::test]
async fn a_parent_is_told_nothing_once_the_permit_is_taken_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (vetted, _) = crate::policy::permit_by_parent("a.test:443", address);
    let taken_away = || Err(DialError::NoSockets);
    let refused = connect_by_parent(&parent(None), &vetted, taken_away, NextHop::Origin, &Loops::new(&[]), LONG).await;
    assert_eq!(refused.unwrap_err(), DialError::NoSockets);
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"");
}
