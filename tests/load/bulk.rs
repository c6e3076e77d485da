//! Bytes through open tunnels, as many as go.

use std::io::{self, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::RecvFlags;
use serde_json::json;

use crate::options::Load;
use crate::poll::{Flags, Poll, Ready, unless_blocked};
use crate::tree;
use crate::tunnel::{self, Order};

/// Bytes discarded in one call.
const BUFFER: usize = 256 * 1024;
const GIGABYTE: f64 = 1e9;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Down,
    Up,
    Both,
}

/// Measures, and prints what it found. What goes up is counted when it is sent: within the warm-up all that lies between
/// has filled up, so that from then on what goes in comes out.
pub(crate) fn run(direction: Direction, load: &Load) -> io::Result<()> {
    let (order, interest) = match direction {
        Direction::Down => (Order::Send, Flags::IN),
        Direction::Up => (Order::Discard, Flags::OUT),
        Direction::Both => (Order::Both, Flags::IN | Flags::OUT),
    };
    let hello = tunnel::hello(&load.host)?;
    let poll = Poll::new()?;
    let mut ends = Vec::new();
    for token in 0..load.conns {
        let mut socket = tunnel::open(load, &hello)?;
        socket.write_all(&order.record())?;
        socket.set_nonblocking(true)?;
        poll.add(&socket, token as u64, interest)?;
        ends.push(End { socket, sent: 0 });
    }
    let mut pump = Pump { poll, ends, bulk: tunnel::records(), buffer: vec![0; BUFFER], moved: 0 };
    pump.until(load.warm_up())?;
    let (cpu, began, before) = (tree::cpu_seconds(load.pid), Instant::now(), pump.moved);
    pump.until(load.measured())?;
    let (cpu, elapsed) = (tree::cpu_seconds(load.pid) - cpu, began.elapsed().as_secs_f64());
    let gigabytes = (pump.moved - before) as f64 / GIGABYTE;
    println!(
        "{}",
        json!({ "rate": gigabytes / elapsed, "cpu_s_per_gb": (gigabytes > 0.0).then(|| cpu / gigabytes), "errors": 0 })
    );
    Ok(())
}

struct End {
    socket: TcpStream,
    /// How far into the bulk it is.
    sent: usize,
}

struct Pump {
    poll: Poll,
    ends: Vec<End>,
    bulk: Vec<u8>,
    buffer: Vec<u8>,
    moved: u64,
}

impl Pump {
    fn until(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        let mut ready = Ready::new();
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.poll.wait(&mut ready, left)?;
            for event in &ready {
                self.go_on(event.data.u64() as usize, event.flags)?;
            }
        }
        Ok(())
    }

    fn go_on(&mut self, index: usize, flags: Flags) -> io::Result<()> {
        let end = &mut self.ends[index];
        if flags.contains(Flags::OUT)
            && let Some(sent) = unless_blocked(end.socket.write(&self.bulk[end.sent..]))?
        {
            end.sent = (end.sent + sent) % self.bulk.len();
            self.moved += sent as u64;
        }
        if flags.intersects(Flags::IN | Flags::HUP | Flags::ERR) {
            let received = rustix::net::recv(&end.socket, &mut self.buffer[..], RecvFlags::TRUNC);
            match unless_blocked(received.map_err(io::Error::from))? {
                Some((_, 0)) => return Err(io::Error::other("a tunnel was closed")),
                Some((_, length)) => self.moved += length as u64,
                None => {}
            }
        }
        Ok(())
    }
}
