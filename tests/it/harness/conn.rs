//! One connection, seen from either end. Every read has a limit.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

#[cfg(target_os = "linux")]
use socket2::{Domain, Socket, Type};

use super::PATIENCE;
use super::answer::{Answer, Answers, Framing, field, head_lines};

/// How a connection's incoming side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In order: the other side said that nothing more comes.
    Closed,
    /// By a reset.
    Reset,
}

/// A connection and what was read from it ahead of time.
#[derive(Debug)]
pub struct Conn<S = TcpStream> {
    stream: S,
    ahead: Vec<u8>,
}

impl Conn {
    pub fn to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, PATIENCE).unwrap())
    }

    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self::new(stream)
    }

    /// From this address of the machine. On Linux all of 127.0.0.0/8 are such; elsewhere only 127.0.0.1 is.
    #[cfg(target_os = "linux")]
    pub fn between(from: [u8; 4], to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        Self::over(socket.into())
    }

    pub fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Makes the end of this connection a reset.
    pub fn reset_at_end(&mut self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

impl<S: Read + Write> Conn<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, ahead: Vec::new() }
    }

    /// The connection, of which nothing was read.
    pub fn into_stream(self) -> S {
        assert!(self.ahead.is_empty());
        self.stream
    }

    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).unwrap();
    }

    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// Exactly so many bytes.
    pub fn read(&mut self, count: usize) -> Vec<u8> {
        while self.ahead.len() < count {
            self.fill_or_fail(&format!("{count} bytes"));
        }
        self.ahead.drain(..count).collect()
    }

    /// Everything up to and with this.
    pub fn read_until(&mut self, end: &[u8]) -> Vec<u8> {
        let mut seen = 0;
        loop {
            let from = seen;
            if let Some(at) = self.ahead[from..].windows(end.len()).position(|window| window == end) {
                return self.ahead.drain(..from + at + end.len()).collect();
            }
            seen = self.ahead.len().saturating_sub(end.len() - 1);
            self.fill_or_fail(&format!("{:?}", String::from_utf8_lossy(end)));
        }
    }

    /// Everything until the end, and how that came.
    pub fn rest(&mut self) -> (Vec<u8>, Ending) {
        let ending = loop {
            match self.fill() {
                Ok(0) => break Ending::Closed,
                Ok(_) => {}
                // The peer ended the TLS connection without a close_notify.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => break Ending::Closed,
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    break Ending::Reset;
                }
                Err(error) => panic!("waited for the end, {error}, after {}", self.shown()),
            }
        };
        (std::mem::take(&mut self.ahead), ending)
    }

    /// The next answer, to a request by GET or the like.
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The next answer, to a request by this method. Interim ones count.
    pub fn answer_to(&mut self, method: &str) -> Answer {
        let mut answer = Answer::of_head(&self.read_until(b"\r\n\r\n"));
        match answer.framing(method) {
            Framing::None => {}
            Framing::Length(length) => answer.body = self.read(length),
            Framing::Chunked => (answer.body, answer.trailers) = self.chunks(),
            Framing::UntilClose => answer.body = self.rest().0,
        }
        answer
    }

    /// Every answer until the connection ends.
    pub fn answers_to(&mut self, method: &str) -> Answers {
        let mut all = Vec::new();
        loop {
            if self.ahead.is_empty() {
                match self.fill() {
                    Ok(0) => return Answers { all, ending: Ending::Closed },
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                        return Answers { all, ending: Ending::Reset };
                    }
                    Err(error) => panic!("waited for the end, {error}, after {all:#?}"),
                }
            }
            all.push(self.answer_to(method));
        }
    }

    /// A chunked body and its trailers.
    pub fn chunks(&mut self) -> (Vec<u8>, Vec<(String, String)>) {
        let mut body = Vec::new();
        loop {
            let line = self.read_until(b"\r\n");
            let size = std::str::from_utf8(&line[..line.len() - 2]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap_or_else(|_| panic!("a chunk size {size:?}"));
            if size == 0 {
                break;
            }
            body.extend(self.read(size));
            assert_eq!(self.read(2), b"\r\n", "after a chunk");
        }
        let mut trailers = Vec::new();
        loop {
            let line = self.read_until(b"\r\n");
            if line == b"\r\n" {
                return (body, trailers);
            }
            trailers.push(field(std::str::from_utf8(&line[..line.len() - 2]).unwrap()));
        }
    }

    /// The lines of a request's head; none once the connection has ended.
    pub fn request_head(&mut self) -> Option<Vec<String>> {
        while self.ahead.is_empty() {
            if !matches!(self.fill(), Ok(1..)) {
                return None;
            }
        }
        Some(head_lines(&self.read_until(b"\r\n\r\n")))
    }

    fn fill_or_fail(&mut self, what: &str) {
        match self.fill() {
            Ok(1..) => {}
            Ok(0) => panic!("the connection ended instead of {what}, after {}", self.shown()),
            Err(error) => panic!("{error} instead of {what}, after {}", self.shown()),
        }
    }

    fn fill(&mut self) -> std::io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let count = self.stream.read(&mut buffer)?;
        self.ahead.extend_from_slice(&buffer[..count]);
        Ok(count)
    }

    fn shown(&self) -> String {
        let shown = &self.ahead[..self.ahead.len().min(2000)];
        format!("{:?} ({} bytes)", String::from_utf8_lossy(shown), self.ahead.len())
    }
}
