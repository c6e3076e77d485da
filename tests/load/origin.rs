//! The origin: one thread that answers requests with 128 bytes, and tunnels as their first records ask.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use memchr::memmem;
use rustix::net::RecvFlags;

use crate::options::Server;
use crate::poll::{self, Flags, Poll, Ready, unless_blocked};
use crate::tunnel::{self, Order};

const LISTENER: u64 = u64::MAX;
const BODY: [u8; 128] = [b'x'; 128];
/// Bytes taken in one call.
const BUFFER: usize = 256 * 1024;
/// Bytes within which it has to be clear what is wanted.
const MOST_SAID: usize = 16 * 1024;

pub(crate) fn serve(server: &Server) -> io::Result<()> {
    let listener = poll::listen(server.address, false)?;
    let poll = Poll::new()?;
    poll.add(&listener, LISTENER, Flags::IN)?;
    let mut origin =
        Origin { poll, places: Vec::new(), free: Vec::new(), bulk: tunnel::records(), buffer: vec![0; BUFFER] };
    let (end, mut ready) = (server.end(), Ready::new());
    while Instant::now() < end {
        origin.poll.wait(&mut ready, Duration::from_secs(1))?;
        for event in &ready {
            let token = event.data.u64();
            if token == LISTENER {
                while let Some(socket) = poll::accept(&listener)? {
                    origin.take(socket)?;
                }
            } else if origin.go_on(token as usize, event.flags).is_err() {
                origin.close(token as usize);
            }
        }
    }
    Ok(())
}

struct Origin {
    poll: Poll,
    places: Vec<Option<Peer>>,
    free: Vec<usize>,
    bulk: Vec<u8>,
    buffer: Vec<u8>,
}

struct Peer {
    socket: TcpStream,
    stage: Stage,
    /// What was said and is not understood yet.
    said: Vec<u8>,
    /// How far into the bulk it is.
    sent: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A request, or a ClientHello.
    First,
    /// The hello was answered; what is wanted?
    Order,
    Bulk(Order),
}

impl Origin {
    fn take(&mut self, socket: TcpStream) -> io::Result<()> {
        let place = self.free.pop().unwrap_or(self.places.len());
        self.poll.add(&socket, place as u64, Flags::IN)?;
        let peer = Peer { socket, stage: Stage::First, said: Vec::new(), sent: 0 };
        if place < self.places.len() {
            self.places[place] = Some(peer);
        } else {
            self.places.push(Some(peer));
        }
        Ok(())
    }

    fn close(&mut self, place: usize) {
        if self.places[place].take().is_some() {
            self.free.push(place);
        }
    }

    fn go_on(&mut self, place: usize, flags: Flags) -> io::Result<()> {
        let Some(peer) = self.places[place].as_mut() else { return Ok(()) };
        if let Stage::Bulk(order) = peer.stage {
            return peer.bulk(order, flags, &self.bulk, &mut self.buffer);
        }
        let room = MOST_SAID - peer.said.len();
        let Some(length) = unless_blocked(peer.socket.read(&mut self.buffer[..room]))? else { return Ok(()) };
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        peer.said.extend_from_slice(&self.buffer[..length]);
        if peer.said.first() != Some(&0x16) && peer.stage == Stage::First {
            return peer.requests();
        }
        if let Some(order) = peer.order()? {
            if matches!(order, Order::Send | Order::Both) {
                self.poll.change(&peer.socket, place as u64, Flags::IN | Flags::OUT)?;
            }
            if order == Order::Echo {
                peer.socket.write_all(&peer.said[Order::LENGTH..])?;
            }
            peer.said = Vec::new();
            peer.stage = Stage::Bulk(order);
        }
        Ok(())
    }
}

impl Peer {
    /// Answers every request that is whole.
    fn requests(&mut self) -> io::Result<()> {
        while let Some(end) = memmem::find(&self.said, b"\r\n\r\n") {
            let head = self.said[..end].to_ascii_lowercase();
            let closes = memmem::find(&head, b"\r\nconnection: close").is_some() || !head_is_1_1(&head);
            let connection = if closes { "close" } else { "keep-alive" };
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 128\r\nConnection: {connection}\r\n\r\n"
            );
            self.socket.write_all(&[answer.as_bytes(), &BODY].concat())?;
            self.said.drain(..end + 4);
            if closes {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(())
    }

    /// Answers the hello when it is whole, and says what is wanted once that is known.
    fn order(&mut self) -> io::Result<Option<Order>> {
        if self.stage == Stage::First {
            let Some(length) =
                self.said.get(3..5).map(|length| usize::from(u16::from_be_bytes([length[0], length[1]])))
            else {
                return Ok(None);
            };
            if self.said.len() < 5 + length {
                return Ok(None);
            }
            self.said.drain(..5 + length);
            self.socket.write_all(&[0x16; tunnel::REPLY])?;
            self.stage = Stage::Order;
        }
        match self.said.get(..Order::LENGTH) {
            Some(record) => Order::read(record).map(Some).ok_or_else(|| io::Error::other("no order")),
            None => Ok(None),
        }
    }

    fn bulk(&mut self, order: Order, flags: Flags, bulk: &[u8], buffer: &mut [u8]) -> io::Result<()> {
        if flags.contains(Flags::OUT)
            && order != Order::Echo
            && let Some(sent) = unless_blocked(self.socket.write(&bulk[self.sent..]))?
        {
            self.sent = (self.sent + sent) % bulk.len();
        }
        if !flags.intersects(Flags::IN | Flags::HUP | Flags::ERR) {
            return Ok(());
        }
        // What is thrown away is not copied either.
        let how = if order == Order::Echo { RecvFlags::empty() } else { RecvFlags::TRUNC };
        let received = rustix::net::recv(&self.socket, &mut *buffer, how).map_err(io::Error::from);
        match unless_blocked(received)? {
            Some((_, 0)) => Err(io::ErrorKind::UnexpectedEof.into()),
            Some((kept, _)) if order == Order::Echo => self.socket.write_all(&buffer[..kept]),
            _ => Ok(()),
        }
    }
}

/// The request line ends with the version.
fn head_is_1_1(head: &[u8]) -> bool {
    head.split(|byte| *byte == b'\r').next().is_some_and(|line| line.ends_with(b"http/1.1"))
}
