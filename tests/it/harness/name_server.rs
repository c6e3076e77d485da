//! A name server that knows no name, and remembers what it was asked.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

/// Answers NXDOMAIN (RFC 1035 §4.1.1) to everything, so that no test ever asks the real world.
#[derive(Debug)]
pub struct NameServer {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

/// The datagram that ends the thread: too short to be a query.
const STOP: &[u8] = b"stop";

impl NameServer {
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                let query = &mut buffer[..length];
                if query == STOP {
                    return;
                }
                if query.len() <= 12 {
                    continue;
                }
                log.lock().unwrap().push(name(&query[12..]));
                // An answer, recursion available, no such name; the question stays, and nothing follows it.
                query[2] |= 0x80;
                query[3] = 0x83;
                query[6..12].fill(0);
                let end = 12 + question_length(&query[12..]);
                let _gone = socket.send_to(&query[..end], peer);
            }
        });
        Self { address, asked }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every name that was asked for, once, without the final dot.
    pub fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked.dedup();
        asked
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ended = UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(STOP, self.address));
    }
}

fn name(question: &[u8]) -> String {
    let mut labels = Vec::new();
    let mut rest = question;
    while let Some((length, tail)) = rest.split_first().filter(|(length, _)| **length > 0) {
        let (label, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        labels.push(String::from_utf8_lossy(label).to_lowercase());
        rest = tail;
    }
    labels.join(".")
}

/// Name, type and class.
fn question_length(question: &[u8]) -> usize {
    let name = question.iter().position(|byte| *byte == 0).unwrap_or_default() + 1;
    (name + 4).min(question.len())
}
