//! Servers to be proxied to.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;

use super::answer::field;
use super::{Conn, Ending, PATIENCE};

/// One request as an origin saw it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request line and the fields, without line ends.
    pub head: Vec<String>,
    /// Without its framing.
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// The number of the connection that it came by, from 1.
    pub connection: usize,
}

impl Seen {
    pub fn line(&self) -> &str {
        &self.head[0]
    }

    pub fn values(&self, name: &str) -> Vec<String> {
        let fields = self.head[1..].iter().map(|line| field(line));
        fields.filter(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    pub fn value(&self, name: &str) -> Option<String> {
        let mut values = self.values(name);
        assert!(values.len() < 2, "{name} occurs twice in {self:#?}");
        values.pop()
    }
}

/// An origin on a loopback port of its own.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
    received: Mutex<mpsc::Receiver<(Vec<u8>, Ending)>>,
}

#[derive(Debug, Default)]
struct Shared {
    accepted: AtomicUsize,
    stopped: AtomicBool,
    seen: Mutex<Vec<Seen>>,
    news: Condvar,
}

impl Origin {
    /// Answers each request of a connection in turn, with bytes that are sent as they are. It closes after an answer
    /// that says `close`, or that has no framing.
    pub fn http(answer: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::serve(move |conn, number, shared, _| {
            while let Some(seen) = request(conn, number) {
                let bytes = answer(&seen);
                let is_head = seen.line().starts_with("HEAD ");
                shared.saw(seen);
                if conn.try_send(&bytes).is_err() || ends(&bytes, is_head) {
                    return;
                }
            }
        })
    }

    /// Answers every request with the same body.
    pub fn saying(body: &'static str) -> Self {
        Self::http(move |_| ok(body))
    }

    /// Runs a script on each connection. [`Self::received`] returns the results of the scripts.
    pub fn script(script: impl Fn(&mut Conn) -> (Vec<u8>, Ending) + Send + Sync + 'static) -> Self {
        Self::serve(move |conn, _, _, tell| {
            let _no_receiver = tell.send(script(conn));
        })
    }

    /// Echoes all bytes until the other side ends, and then ends too.
    pub fn echo() -> Self {
        Self::serve(|conn, _, _, _| {
            let stream = conn.stream();
            let _gone = std::io::copy(&mut stream.try_clone().unwrap(), stream);
        })
    }

    /// Reads one request head, sends these bytes and closes.
    pub fn answering_once(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self::script(move |conn| {
            let head = conn.request_head().map(|lines| lines.join("\r\n")).unwrap_or_default();
            let _gone = conn.try_send(&bytes);
            (head.into_bytes(), Ending::Closed)
        })
    }

    fn serve(
        serve: impl Fn(&mut Conn, usize, &Shared, &mpsc::Sender<(Vec<u8>, Ending)>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let (tell, received) = mpsc::channel();
        let (state, serve) = (Arc::clone(&shared), Arc::new(serve));
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if state.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let number = state.accepted.fetch_add(1, Ordering::SeqCst) + 1;
                let (state, serve, tell) = (Arc::clone(&state), Arc::clone(&serve), tell.clone());
                thread::spawn(move || serve(&mut Conn::over(stream), number, &state, &tell));
            }
        });
        Self { address, shared, received: Mutex::new(received) }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// The requests that it has read, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// The request line of each.
    pub fn lines(&self) -> Vec<String> {
        self.seen().iter().map(|seen| seen.line().to_owned()).collect()
    }

    /// The first so many requests, once they are here.
    pub fn wait_for(&self, count: usize) -> Vec<Seen> {
        let seen = self.shared.seen.lock().unwrap();
        let (seen, late) = self.shared.news.wait_timeout_while(seen, PATIENCE, |seen| seen.len() < count).unwrap();
        assert!(!late.timed_out(), "waited in vain for {count} requests: {seen:#?}");
        seen[..count].to_vec()
    }

    /// What the next script to end has received, and how its connection ended.
    pub fn received(&self) -> (Vec<u8>, Ending) {
        self.received.lock().unwrap().recv_timeout(PATIENCE).expect("a script that ends")
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread, so that the port is given back.
        let _woken = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn saw(&self, seen: Seen) {
        self.seen.lock().unwrap().push(seen);
        self.news.notify_all();
    }
}

/// A whole answer with a body of known length.
pub fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", &[], body.as_bytes())
}

/// A whole answer with these field lines and a body of known length.
pub fn answer(status: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for line in fields {
        head.push_str(line);
        head.push_str("\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// A body in chunks of at most `size` bytes, with these trailer lines.
pub fn chunked(body: &[u8], size: usize, trailers: &[&str]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + body.len() / size * 8 + 64);
    for chunk in body.chunks(size) {
        out.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"0\r\n");
    for line in trailers {
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// One whole request, with exactly one clean framing; none once the connection has ended.
fn request(conn: &mut Conn, connection: usize) -> Option<Seen> {
    let head = conn.request_head()?;
    let mut seen = Seen { head, body: Vec::new(), trailers: Vec::new(), connection };
    assert!(seen.line().ends_with(" HTTP/1.1"), "{seen:#?}");
    if seen.value("expect").is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue")) {
        conn.send(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    match (seen.value("content-length"), seen.value("transfer-encoding")) {
        (None, None) => {}
        (Some(length), None) => seen.body = conn.read(length.parse().expect("a plain Content-Length")),
        (None, Some(coding)) => {
            assert_eq!(coding, "chunked");
            (seen.body, seen.trailers) = conn.chunks();
        }
        (Some(_), Some(_)) => panic!("two framings in {seen:#?}"),
    }
    Some(seen)
}

/// Whether nothing may follow this answer.
fn ends(bytes: &[u8], is_head: bool) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(2000)]).to_lowercase();
    let head = head.split("\r\n\r\n").next().unwrap_or_default();
    let bodiless = is_head || [" 204 ", " 304 "].iter().any(|status| head.starts_with(&format!("http/1.1{status}")));
    let framed = bodiless || head.contains("\r\ncontent-length:") || head.contains("\r\ntransfer-encoding:");
    !framed || head.contains("\r\nconnection: close")
}
