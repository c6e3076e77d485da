//! The floor: a proxy that decides nothing, looks nothing up and records nothing. It shows the minimum cost.
//!
//! It accepts CONNECT and absolute-form GET, ignores the name, dials the requested port on 127.0.0.1, and copies. Once a read
//! fills its buffer, the kernel splices. It is built like a fast proxy (one thread for each core, no allocation while it
//! copies, edge-triggered polling), so that ratios to it are meaningful. Do not use it as a proxy: it requires each request
//! in one piece and has no limits.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use memchr::{memchr, memmem};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::options::Server;
use crate::poll::{self, Flags, Poll, Ready, unless_blocked};

const LISTENER: u64 = u64::MAX;
const BUFFER: usize = 32 * 1024;
const PIPE: usize = 1 << 20;
/// Pieces moved one way before others have their turn.
const TURNS: usize = 8;
const SPARE_PIPES: usize = 64;
const OPENED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";
/// A peer's event is its pair's number and one bit for the side.
const CLIENT: usize = 0;
const ORIGIN: usize = 1;

type Pipe = (OwnedFd, OwnedFd);

pub(crate) fn serve(server: &Server) -> io::Result<()> {
    let end = server.end();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..server.threads.max(1))
            .map(|_| {
                let listener = poll::listen(server.address, true)?;
                Ok(scope.spawn(move || Floor::new(listener)?.until(end)))
            })
            .collect::<io::Result<_>>()?;
        workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })
}

struct Floor {
    poll: Poll,
    listener: TcpListener,
    pairs: Vec<Option<Pair>>,
    free: Vec<usize>,
    /// Those that had more to move than their turn.
    again: Vec<usize>,
    pipes: Vec<Pipe>,
    buffer: Vec<u8>,
}

struct Pair {
    /// The client's, and the origin's once it is known.
    sockets: [Option<TcpStream>; 2],
    /// Whether connecting to the origin has come to an end, good or bad; whether it was good, and the client knows.
    is_up: bool,
    is_dialled: bool,
    is_get: bool,
    /// From the client, from the origin.
    flows: [Flow; 2],
}

#[derive(Default)]
struct Flow {
    /// Read and not written yet.
    pending: Vec<u8>,
    pipe: Option<Pipe>,
    in_pipe: usize,
    /// Whether the other side accepts no more for now. An edge reports when it does again.
    is_blocked: bool,
    /// Whether the end follows the bytes that have arrived. No further edge reports it.
    is_ending: bool,
    has_ended: bool,
    /// Whether the end was passed on.
    is_shut: bool,
}

impl Floor {
    fn new(listener: TcpListener) -> io::Result<Self> {
        let poll = Poll::new()?;
        poll.add(&listener, LISTENER, Flags::IN)?;
        let (pairs, free, again, pipes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Ok(Self { poll, listener, pairs, free, again, pipes, buffer: vec![0; BUFFER] })
    }

    fn until(mut self, end: Instant) -> io::Result<()> {
        let mut ready = Ready::new();
        while Instant::now() < end {
            let wait = if self.again.is_empty() { Duration::from_secs(1) } else { Duration::ZERO };
            self.poll.wait(&mut ready, wait)?;
            for index in std::mem::take(&mut self.again) {
                self.step(index, None);
            }
            for event in &ready {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    token => self.step(token as usize / 2, Some((token as usize % 2, event.flags))),
                }
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Some(client) = poll::accept(&self.listener)? {
            let index = self.free.pop().unwrap_or(self.pairs.len());
            if index == self.pairs.len() {
                self.pairs.push(None);
            }
            self.watch(&client, index, CLIENT)?;
            let (sockets, flows) = ([Some(client), None], Default::default());
            self.pairs[index] = Some(Pair { sockets, is_up: false, is_dialled: false, is_get: false, flows });
        }
        Ok(())
    }

    fn watch(&self, socket: &TcpStream, index: usize, side: usize) -> io::Result<()> {
        self.poll.add(socket, (index * 2 + side) as u64, Flags::IN | Flags::OUT | Flags::RDHUP | Flags::ET)
    }

    fn step(&mut self, index: usize, event: Option<(usize, Flags)>) {
        let Some(mut pair) = self.pairs[index].take() else { return };
        if let Some((side, flags)) = event {
            pair.is_up |= side == ORIGIN && flags.contains(Flags::OUT);
            if flags.contains(Flags::OUT) {
                pair.flows[1 - side].is_blocked = false;
            }
            pair.flows[side].is_ending |= flags.intersects(Flags::RDHUP | Flags::HUP | Flags::ERR);
        }
        let is_over = match self.go_on(&mut pair, index) {
            Ok(Turn::Waits) => false,
            Ok(Turn::HasMore) => {
                self.again.push(index);
                false
            }
            Ok(Turn::Over) | Err(_) => true,
        };
        if is_over {
            for pipe in pair.flows.into_iter().filter(|flow| flow.in_pipe == 0).filter_map(|flow| flow.pipe) {
                if self.pipes.len() < SPARE_PIPES {
                    self.pipes.push(pipe);
                }
            }
            self.free.push(index);
        } else {
            self.pairs[index] = Some(pair);
        }
    }

    fn go_on(&mut self, pair: &mut Pair, index: usize) -> io::Result<Turn> {
        if pair.sockets[ORIGIN].is_none() && !self.dial(pair, index)? {
            return Ok(Turn::Waits);
        }
        if !pair.is_dialled {
            let [Some(client), Some(origin)] = &mut pair.sockets else { return Ok(Turn::Over) };
            if !pair.is_up {
                return Ok(Turn::Waits);
            }
            if let Some(error) = origin.take_error()? {
                return Err(error);
            }
            pair.is_dialled = true;
            if !pair.is_get {
                client.write_all(OPENED)?;
            }
        }
        let up = self.carry(pair, CLIENT)?;
        let down = self.carry(pair, ORIGIN)?;
        let is_over = pair.flows.iter().all(|flow| flow.is_shut);
        Ok(if is_over {
            Turn::Over
        } else if up || down {
            Turn::HasMore
        } else {
            Turn::Waits
        })
    }

    /// Reads the head and dials; whether it has.
    fn dial(&mut self, pair: &mut Pair, index: usize) -> io::Result<bool> {
        let Some(client) = pair.sockets[CLIENT].as_mut() else { return Ok(false) };
        let Some(length) = unless_blocked(client.read(&mut self.buffer))? else { return Ok(false) };
        let head = &self.buffer[..length];
        let asked = Asked::read(head).ok_or(io::ErrorKind::InvalidData)?;
        let origin = poll::connect((Ipv4Addr::LOCALHOST, asked.port).into())?;
        pair.is_get = asked.is_get;
        pair.flows[CLIENT].pending.extend_from_slice(asked.method);
        pair.flows[CLIENT].pending.extend_from_slice(asked.rest);
        self.watch(&origin, index, ORIGIN)?;
        pair.sockets[ORIGIN] = Some(origin);
        Ok(true)
    }

    /// Moves what has come from one side; whether there is more than fits into a turn.
    fn carry(&mut self, pair: &mut Pair, side: usize) -> io::Result<bool> {
        let [Some(client), Some(origin)] = &mut pair.sockets else { return Ok(false) };
        let (from, to) = if side == CLIENT { (client, origin) } else { (origin, client) };
        let rewrites = pair.is_get && side == CLIENT;
        let flow = &mut pair.flows[side];
        if flow.is_blocked {
            return Ok(false);
        }
        for _ in 0..TURNS {
            if !flow.flush(to)? {
                flow.is_blocked = true;
                return Ok(false);
            }
            if flow.has_ended {
                if !std::mem::replace(&mut flow.is_shut, true) {
                    // The other side may be gone already, which is an end too.
                    let _ = to.shutdown(std::net::Shutdown::Write);
                }
                return Ok(false);
            }
            if let Some((_, inlet)) = &flow.pipe {
                let moved = splice(&*from, None, inlet, None, PIPE, SpliceFlags::NONBLOCK).map_err(io::Error::from);
                let Some(length) = unless_blocked(moved)? else { return Ok(false) };
                flow.in_pipe += length;
                flow.has_ended = length == 0;
                continue;
            }
            let Some(length) = unless_blocked(from.read(&mut self.buffer))? else { return Ok(false) };
            let piece = &self.buffer[..length];
            match rewrites.then(|| Asked::read(piece)).flatten() {
                Some(asked) => flow.write(to, &[asked.method, asked.rest].concat())?,
                None => flow.write(to, piece)?,
            }
            flow.has_ended = length == 0;
            if length == BUFFER {
                flow.pipe = Some(self.pipes.pop().map_or_else(new_pipe, Ok)?);
            } else if length > 0 && flow.pending.is_empty() && !flow.is_ending {
                // Less than there was room for: it is drained, and what comes next is an edge.
                return Ok(false);
            }
        }
        Ok(true)
    }
}

enum Turn {
    Waits,
    HasMore,
    Over,
}

impl Flow {
    fn write(&mut self, to: &mut TcpStream, piece: &[u8]) -> io::Result<()> {
        let sent = if piece.is_empty() { 0 } else { unless_blocked(to.write(piece))?.unwrap_or(0) };
        self.pending.extend_from_slice(&piece[sent..]);
        Ok(())
    }

    /// Writes what is left; whether nothing is any more.
    fn flush(&mut self, to: &mut TcpStream) -> io::Result<bool> {
        while !self.pending.is_empty() {
            let Some(sent) = unless_blocked(to.write(&self.pending))? else { return Ok(false) };
            self.pending.drain(..sent);
        }
        while let (Some((outlet, _)), 1..) = (&self.pipe, self.in_pipe) {
            let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
            let moved = splice(outlet, None, &*to, None, self.in_pipe, flags).map_err(io::Error::from);
            let Some(sent) = unless_blocked(moved)? else { return Ok(false) };
            self.in_pipe -= sent;
        }
        Ok(true)
    }
}

fn new_pipe() -> io::Result<Pipe> {
    let (outlet, inlet) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
    // A small pipe is slower, not wrong.
    let _ = fcntl_setpipe_size(&inlet, PIPE);
    Ok((outlet, inlet))
}

/// The first bytes to forward: for a CONNECT, those after its head; for a GET, its origin-form.
struct Asked<'b> {
    port: u16,
    is_get: bool,
    method: &'static [u8],
    rest: &'b [u8],
}

impl<'b> Asked<'b> {
    fn read(head: &'b [u8]) -> Option<Self> {
        if let Some(rest) = head.strip_prefix(b"GET http://") {
            let path = memchr(b'/', rest)?;
            let (authority, rest) = rest.split_at(path);
            return Some(Self { port: port(authority).unwrap_or(80), is_get: true, method: b"GET ", rest });
        }
        let rest = head.strip_prefix(b"CONNECT ")?;
        let authority = &rest[..memchr(b' ', rest)?];
        let end = memmem::find(head, b"\r\n\r\n")? + 4;
        Some(Self { port: port(authority)?, is_get: false, method: b"", rest: &head[end..] })
    }
}

fn port(authority: &[u8]) -> Option<u16> {
    std::str::from_utf8(authority).ok()?.rsplit_once(':')?.1.parse().ok()
}
