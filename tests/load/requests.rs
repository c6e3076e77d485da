//! Many small operations at once, one after the other on each connection: tunnels, requests, denials.
//!
//! Without a rate each connection begins the next operation when the last is done. With one, operations are due at even
//! intervals, and their latency counts from the due time, so that a pause of the proxy shows in the latencies.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::answer::{self, Answer};
use crate::options::Load;
use crate::poll::{self, Flags, Poll, Ready, unless_blocked};
use crate::{tree, tunnel};

/// After so many failures in a row there is nothing to measure.
const ENOUGH: u32 = 1000;
/// How long those under way may take when the time is over, with a rate.
const GRACE: Duration = Duration::from_secs(2);
/// The time for which the series has one entry.
const SLOT: Duration = Duration::from_millis(100);
/// Names that are asked for in turn where they are denied.
const STRANGERS: u64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Connect,
    DenyConnect,
    Get,
    DenyGet,
}

/// Measures, and prints what it found.
pub(crate) fn run(kind: Kind, load: &Load) -> io::Result<()> {
    let mut run = Run::new(kind, load)?;
    run.until(load.warm_up())?;
    run.tally = Tally::new();
    let (cpu, began) = (tree::cpu_seconds(load.pid), Instant::now());
    run.until(load.measured())?;
    if load.rate > 0.0 {
        run.finish()?;
    }
    let (cpu, elapsed) = (tree::cpu_seconds(load.pid) - cpu, began.elapsed());
    println!("{}", run.tally.summary(elapsed, load.measured() / 2, cpu));
    Ok(())
}

struct Run<'l> {
    kind: Kind,
    load: &'l Load,
    poll: Poll,
    slots: Vec<Slot>,
    /// Those that have nothing to do; only with a rate.
    idle: Vec<usize>,
    hello: Vec<u8>,
    get: Vec<u8>,
    began: Instant,
    /// Operations that were begun, which gives each its time with a rate, and its name where it is to be denied.
    begun: u64,
    tally: Tally,
}

/// One connection's place.
struct Slot {
    socket: Option<TcpStream>,
    step: Step,
    due: Instant,
    answer: Vec<u8>,
    /// Whether this operation is the first on its connection: the proxy may close one that is kept at any time.
    is_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Idle,
    Connecting,
    Answer,
    Reply,
}

impl<'l> Run<'l> {
    fn new(kind: Kind, load: &'l Load) -> io::Result<Self> {
        let now = Instant::now();
        let slot = || Slot { socket: None, step: Step::Idle, due: now, answer: Vec::new(), is_first: true };
        let mut run = Self {
            kind,
            load,
            poll: Poll::new()?,
            slots: std::iter::repeat_with(slot).take(load.conns).collect(),
            idle: (0..load.conns).rev().collect(),
            hello: tunnel::hello(&load.host)?,
            get: get(&load.authority()),
            began: now,
            begun: 0,
            tally: Tally::new(),
        };
        if load.rate == 0.0 {
            run.idle.clear();
            (0..load.conns).try_for_each(|slot| run.begin(slot, Instant::now()))?;
        }
        Ok(run)
    }

    fn until(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        let mut ready = Ready::new();
        while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            let next = self.begin_what_is_due()?;
            self.poll.wait(&mut ready, left.min(next))?;
            self.take(&ready)?;
        }
        Ok(())
    }

    /// Lets those under way end.
    fn finish(&mut self) -> io::Result<()> {
        let end = Instant::now() + GRACE;
        let mut ready = Ready::new();
        while self.idle.len() < self.slots.len() && Instant::now() < end {
            self.poll.wait(&mut ready, Duration::from_millis(10))?;
            self.take(&ready)?;
        }
        self.tally.failures += (self.slots.len() - self.idle.len()) as u64;
        Ok(())
    }

    fn take(&mut self, ready: &Ready) -> io::Result<()> {
        for event in ready {
            let (slot, flags) = (event.data.u64() as usize, event.flags);
            if let Err(error) = self.go_on(slot, flags) {
                self.fail(slot, &error)?;
            }
        }
        Ok(())
    }

    /// Begins what is due; says how long nothing else is.
    fn begin_what_is_due(&mut self) -> io::Result<Duration> {
        if self.load.rate == 0.0 {
            return Ok(Duration::from_secs(1));
        }
        loop {
            let due = self.began + Duration::from_secs_f64(self.begun as f64 / self.load.rate);
            let wait = due.saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                return Ok(wait);
            }
            let Some(slot) = self.idle.pop() else { return Ok(Duration::from_secs(1)) };
            self.begin(slot, due)?;
        }
    }

    fn begin(&mut self, slot: usize, due: Instant) -> io::Result<()> {
        self.begun += 1;
        self.slots[slot].due = due;
        match self.try_begin(slot) {
            Ok(()) => Ok(()),
            Err(error) => self.fail(slot, &error),
        }
    }

    fn try_begin(&mut self, slot: usize) -> io::Result<()> {
        let place = &mut self.slots[slot];
        place.answer.clear();
        place.is_first = place.socket.is_none();
        if place.is_first {
            let socket = poll::connect(self.load.proxy)?;
            self.poll.add(&socket, slot as u64, Flags::IN | Flags::OUT | Flags::RDHUP | Flags::ET)?;
            place.socket = Some(socket);
        }
        self.ask(slot)
    }

    /// Sends the request; a connection that is not there yet is asked again when it is.
    fn ask(&mut self, slot: usize) -> io::Result<()> {
        let stranger;
        let request = if self.kind == Kind::Get {
            &self.get
        } else {
            stranger = self.request();
            &stranger
        };
        let place = &mut self.slots[slot];
        let socket = place.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        place.step = match unless_blocked(socket.write(request)) {
            Ok(Some(sent)) if sent == request.len() => Step::Answer,
            Ok(Some(_)) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(None) => Step::Connecting,
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Step::Connecting,
            Err(error) => return Err(error),
        };
        Ok(())
    }

    fn request(&self) -> Vec<u8> {
        let stranger = || format!("d{}.denied.test:{}", self.begun % STRANGERS, self.load.origin);
        match self.kind {
            Kind::Connect => connect(&self.load.authority()),
            Kind::DenyConnect => connect(&stranger()),
            Kind::Get => self.get.clone(),
            Kind::DenyGet => get(&stranger()),
        }
    }

    fn go_on(&mut self, slot: usize, flags: Flags) -> io::Result<()> {
        if self.slots[slot].step == Step::Connecting {
            self.ask(slot)?;
        }
        if !flags.intersects(Flags::IN | Flags::RDHUP | Flags::HUP | Flags::ERR) {
            return Ok(());
        }
        let mut buffer = [0; 16 * 1024];
        loop {
            let place = &mut self.slots[slot];
            let Some(socket) = place.socket.as_mut() else { return Ok(()) };
            let Some(length) = unless_blocked(socket.read(&mut buffer))? else { return Ok(()) };
            place.answer.extend_from_slice(&buffer[..length]);
            match place.step {
                Step::Answer => {
                    let to_connect = matches!(self.kind, Kind::Connect | Kind::DenyConnect);
                    if let Some(answer) = answer::read(&place.answer, to_connect, length == 0) {
                        return self.answered(slot, &answer);
                    }
                }
                Step::Reply if place.answer.len() >= tunnel::REPLY => {
                    place.socket = None;
                    return self.done(slot);
                }
                Step::Idle if length == 0 => place.socket = None,
                Step::Idle | Step::Connecting | Step::Reply => {}
            }
            if length == 0 {
                return self.ended(slot);
            }
        }
    }

    /// The proxy closed a connection.
    fn ended(&mut self, slot: usize) -> io::Result<()> {
        let place = &mut self.slots[slot];
        if place.step == Step::Idle {
            return Ok(());
        }
        if !place.is_first && place.answer.is_empty() {
            place.socket = None;
            return self.try_begin(slot);
        }
        Err(io::Error::other(format!("closed within {:?}", place.step)))
    }

    fn answered(&mut self, slot: usize, answer: &Answer) -> io::Result<()> {
        let is_denial = matches!(self.kind, Kind::DenyConnect | Kind::DenyGet);
        let is_right = if is_denial { (400..=599).contains(&answer.status) } else { answer.status == 200 };
        if !is_right {
            return Err(io::Error::other(format!("answered {}", answer.status)));
        }
        let place = &mut self.slots[slot];
        if self.kind == Kind::Connect {
            place.answer.clear();
            place.step = Step::Reply;
            let socket = place.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            return socket.write_all(&self.hello);
        }
        if !answer.keeps {
            place.socket = None;
        }
        self.done(slot)
    }

    fn done(&mut self, slot: usize) -> io::Result<()> {
        let now = Instant::now();
        self.tally.success(now, now - self.slots[slot].due);
        self.next(slot, now)
    }

    fn fail(&mut self, slot: usize, error: &io::Error) -> io::Result<()> {
        self.slots[slot].socket = None;
        self.tally.failure(error)?;
        self.next(slot, Instant::now())
    }

    fn next(&mut self, slot: usize, now: Instant) -> io::Result<()> {
        self.slots[slot].step = Step::Idle;
        if self.load.rate == 0.0 {
            return self.begin(slot, now);
        }
        self.idle.push(slot);
        Ok(())
    }
}

fn connect(authority: &str) -> Vec<u8> {
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: load\r\n\r\n").into_bytes()
}

fn get(authority: &str) -> Vec<u8> {
    format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n")
        .into_bytes()
}

/// What came of it.
struct Tally {
    began: Instant,
    /// In microseconds, in the order in which they ended.
    latencies: Vec<u32>,
    /// For each slot of time how many ended in it, and the longest of them in microseconds.
    series: Vec<(u32, u32)>,
    failures: u64,
    in_a_row: u32,
    first_failure: Option<String>,
}

impl Tally {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            latencies: Vec::with_capacity(1 << 20),
            series: Vec::new(),
            failures: 0,
            in_a_row: 0,
            first_failure: None,
        }
    }

    fn success(&mut self, now: Instant, took: Duration) {
        let took = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        let slot = ((now - self.began).as_micros() / SLOT.as_micros()) as usize;
        if slot >= self.series.len() {
            self.series.resize(slot + 1, (0, 0));
        }
        let (count, longest) = &mut self.series[slot];
        *count += 1;
        *longest = took.max(*longest);
        self.latencies.push(took);
        self.in_a_row = 0;
    }

    fn failure(&mut self, error: &io::Error) -> io::Result<()> {
        self.failures += 1;
        self.in_a_row += 1;
        self.first_failure.get_or_insert_with(|| error.to_string());
        if self.in_a_row < ENOUGH {
            return Ok(());
        }
        Err(io::Error::other(format!("{ENOUGH} failures in a row, the first: {:?}", self.first_failure)))
    }

    fn summary(&self, elapsed: Duration, half: Duration, cpu: f64) -> Value {
        let slots = (half.as_micros() / SLOT.as_micros()) as usize;
        let in_first_half: u32 = self.series.iter().take(slots).map(|(count, _)| count).sum();
        let (first, second) = self.latencies.split_at(in_first_half as usize);
        let halves = [percentiles(first), percentiles(second)];
        let [p50, p99, max] = percentiles(&self.latencies);
        let count = self.latencies.len();
        json!({
            "ops": count,
            "rate": count as f64 / elapsed.as_secs_f64(),
            "p50_us": p50,
            "p99_us": p99,
            "max_us": max,
            "halves": halves,
            "cpu_us_per_op": (count > 0).then(|| cpu * 1e6 / count as f64),
            "errors": self.failures,
            "first_error": self.first_failure,
            "series": self.series,
        })
    }
}

/// The median, the 99th of a hundred, and the longest.
fn percentiles(latencies: &[u32]) -> [Option<u32>; 3] {
    let mut sorted = latencies.to_vec();
    sorted.sort_unstable();
    let at = |share: f64| sorted.get((sorted.len() as f64 * share) as usize).or_else(|| sorted.last()).copied();
    [at(0.5), at(0.99), at(1.0)]
}
