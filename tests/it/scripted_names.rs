//! A name server that says what a test wants it to, lies included.

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::harness::{PATIENCE, Proxy, Settings};

/// What it says to every question for one name.
#[derive(Clone, Debug)]
pub enum Say {
    /// These addresses, those of the asked family, with TTL 0.
    Ips(Vec<IpAddr>),
    /// One set of addresses at each question for IPv4, the last one again and again.
    InTurn(Vec<Vec<IpAddr>>),
    /// These addresses, once the test opens the latch. Until then it does not answer.
    Held(Arc<Latch>, Vec<IpAddr>),
    /// That it is another name for this one, which the server then answers for as well.
    Cname(&'static str),
    /// An answer with this code and nothing in it.
    Code(u8),
    /// Nothing, ever.
    Nothing,
    /// By UDP only that the answer does not fit; by TCP these.
    ByTcp(Vec<IpAddr>),
    /// By UDP only that the answer does not fit; by TCP the connection ends.
    TcpCloses,
    /// These addresses, said of another name than was asked for.
    OfAnother(Vec<IpAddr>),
    /// These addresses, and an address of another name.
    WithAnother(Vec<IpAddr>, &'static str, IpAddr),
    /// An answer with another id, and no other.
    WrongId(Vec<IpAddr>),
    /// An answer to another question, and no other.
    WrongQuestion(Vec<IpAddr>),
    /// The right id, followed by bytes that are not a message.
    Garbage,
}

/// Holds an answer back until a test wants it to come.
#[derive(Debug, Default)]
pub struct Latch {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Latch {
    pub fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn wait(&self) {
        let is_open = self.is_open.lock().unwrap();
        drop(self.opened.wait_timeout_while(is_open, PATIENCE, |is_open| !*is_open).unwrap());
    }
}

/// The server; it ends with the test's process.
#[derive(Debug)]
pub struct ScriptedNames {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

struct Script {
    says: HashMap<&'static str, Say>,
    turns: Mutex<HashMap<String, usize>>,
    asked: Arc<Mutex<Vec<String>>>,
}

const A: u16 = 1;
const AAAA: u16 = 28;
const CNAME: u16 = 5;

impl ScriptedNames {
    /// What is not in the script does not exist.
    pub fn start(says: &[(&'static str, Say)]) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let says = says.iter().cloned().collect();
        let script = Arc::new(Script { says, turns: Mutex::default(), asked: Arc::clone(&asked) });
        let by_tcp = Arc::clone(&script);
        thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((length, peer)) = udp.recv_from(&mut buffer) {
                if let Some(answer) = script.answer(&buffer[..length], false) {
                    let _too_large = udp.send_to(&answer, peer);
                }
            }
        });
        thread::spawn(move || {
            while let Ok((mut stream, _)) = tcp.accept() {
                let script = Arc::clone(&by_tcp);
                thread::spawn(move || {
                    let mut length = [0; 2];
                    while stream.read_exact(&mut length).is_ok() {
                        let mut query = vec![0; u16::from_be_bytes(length).into()];
                        let whole = stream.read_exact(&mut query);
                        let Some(answer) = whole.ok().and_then(|()| script.answer(&query, true)) else { return };
                        let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
                        let _gone = stream.write_all(&[&length, answer.as_slice()].concat());
                    }
                });
            }
        });
        Self { address, asked }
    }

    /// A proxy that asks this server and no other.
    pub fn proxy(&self, settings: Settings) -> Proxy {
        let mut proxy = settings.start();
        proxy.stop();
        let path = proxy.path("outgate.toml");
        let config = fs::read_to_string(&path).unwrap();
        let lines = config.lines().map(|line| match line.strip_prefix("servers = ") {
            Some(_) => format!("servers = [\"{}\"]\n", self.address),
            None => format!("{line}\n"),
        });
        fs::write(&path, lines.collect::<String>()).unwrap();
        proxy.start_again();
        proxy
    }

    /// The questions since the last call, in order: "A a.test".
    pub fn asked(&self) -> Vec<String> {
        let mut asked: Vec<_> = self.asked.lock().unwrap().drain(..).collect();
        asked.sort();
        asked
    }
}

impl Script {
    fn answer(&self, query: &[u8], tcp: bool) -> Option<Vec<u8>> {
        let (name, kind, question) = question(query)?;
        let kind_name = if kind == AAAA { "AAAA" } else { "A" };
        self.asked.lock().unwrap().push(format!("{kind_name} {name}"));
        let mut message =
            Message { id: [query[0], query[1]], code: 0, truncated: false, question, records: Vec::new() };
        match self.says.get(name.as_str()).cloned().unwrap_or(Say::Code(3)) {
            Say::Nothing => return None,
            Say::Garbage => return Some([&query[..2], &[0xff; 40]].concat()),
            Say::Ips(ips) => message.add(&name, kind, &ips),
            Say::Held(latch, ips) => {
                latch.wait();
                message.add(&name, kind, &ips);
            }
            Say::InTurn(sets) => {
                let mut turns = self.turns.lock().unwrap();
                let turn = turns.entry(name.clone()).or_default();
                let set = &sets[(*turn).min(sets.len() - 1)];
                message.add(&name, kind, set);
                *turn += usize::from(kind == A);
            }
            Say::Cname(target) => {
                message.records.push((name, CNAME, encoded(target)));
                if let Some(Say::Ips(ips)) = self.says.get(target) {
                    message.add(target, kind, ips);
                }
            }
            Say::Code(code) => message.code = code,
            Say::ByTcp(_) | Say::TcpCloses if !tcp => message.truncated = true,
            Say::ByTcp(ips) => message.add(&name, kind, &ips),
            Say::TcpCloses => return None,
            Say::OfAnother(ips) => message.add("another.test", kind, &ips),
            Say::WithAnother(ips, other, ip) => {
                message.add(&name, kind, &ips);
                message.add(other, kind, &[ip]);
            }
            Say::WrongId(ips) => {
                message.id[0] ^= 0x55;
                message.add(&name, kind, &ips);
            }
            Say::WrongQuestion(ips) => {
                message.question = [encoded("another.test"), vec![0, u8::try_from(kind).unwrap(), 0, 1]].concat();
                message.add("another.test", kind, &ips);
            }
        }
        Some(message.encode())
    }
}

/// An answer (RFC 1035 §4.1), with the question as it came.
struct Message {
    id: [u8; 2],
    code: u8,
    truncated: bool,
    question: Vec<u8>,
    records: Vec<(String, u16, Vec<u8>)>,
}

impl Message {
    /// Those addresses that are of the asked family.
    fn add(&mut self, owner: &str, kind: u16, ips: &[IpAddr]) {
        for ip in ips {
            match ip {
                IpAddr::V4(ip) if kind == A => self.records.push((owner.to_owned(), A, ip.octets().into())),
                IpAddr::V6(ip) if kind == AAAA => self.records.push((owner.to_owned(), AAAA, ip.octets().into())),
                _ => {}
            }
        }
    }

    fn encode(&self) -> Vec<u8> {
        let flags = [0x81 | u8::from(self.truncated) << 1, 0x80 | self.code];
        let count = u16::try_from(self.records.len()).unwrap().to_be_bytes();
        let mut out = [&self.id[..], &flags, &[0, 1], &count, &[0; 4], &self.question].concat();
        for (owner, kind, data) in &self.records {
            out.extend(encoded(owner));
            out.extend(kind.to_be_bytes());
            out.extend([0, 1, 0, 0, 0, 0]);
            out.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            out.extend(data);
        }
        out
    }
}

fn encoded(name: &str) -> Vec<u8> {
    let labels = name.split('.').flat_map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat());
    labels.chain([0]).collect()
}

/// Name, type, and the bytes of the first question.
fn question(query: &[u8]) -> Option<(String, u16, Vec<u8>)> {
    let question = query.get(12..)?;
    let mut labels = Vec::new();
    let mut at = 0;
    while *question.get(at)? > 0 {
        let length = usize::from(question[at]);
        labels.push(String::from_utf8_lossy(question.get(at + 1..at + 1 + length)?).to_lowercase());
        at += 1 + length;
    }
    let kind = u16::from_be_bytes([*question.get(at + 1)?, *question.get(at + 2)?]);
    Some((labels.join("."), kind, question.get(..at + 5)?.to_vec()))
}
