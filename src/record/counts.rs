//! One worker's counters, and their sum.
//!
//! Each worker adds to its own; nothing on the way of an allowed request is written by two threads. The adds are atomic
//! all the same (about 5 ns without contention), so that two users of one worker's counters would still be exact.

use super::entry::{HelloResult, Verdict};
use super::histogram::{DECISION, DIAL, Histogram, HistogramSum, REQUEST};
use super::lock;
use super::nanos::Nanos;
use crate::facts::{ConnectionResult, Outcome, Protocol};
use crate::policy::DenyReason;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// Protocols, and one place for "not known".
const PROTOCOLS: usize = Protocol::ALL.len() + 1;
/// Allow, and each reason as a denial and as an observation.
const VERDICTS: usize = 1 + 2 * DenyReason::ALL.len();

/// What one worker counts. Aligned so that no two workers' counters share a cache line (two lines are fetched at once).
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Counts {
    /// By listener, protocol and verdict. One listener more than there are, for an index that is none.
    requests: Box<[AtomicU64]>,
    /// Requests that no policy decided, by listener, protocol and token; few, and never on an allowed request's path.
    unjudged: Mutex<Vec<(usize, usize, &'static str, u64)>>,
    /// By listener and outcome, with one listener more, as above.
    outcomes: Box<[AtomicU64]>,
    connections: Box<[AtomicU64]>,
    hellos: [AtomicU64; HelloResult::ALL.len()],
    listeners: usize,
    pub(super) decision: Histogram,
    pub(super) dial: Histogram,
    pub(super) request: Histogram,
    pub(super) tunnels_opened: AtomicU64,
    pub(super) tunnels_closed: AtomicU64,
    pub(super) tunnels_revoked: AtomicU64,
    pub(super) bytes_up: AtomicU64,
    pub(super) bytes_down: AtomicU64,
    pub(super) records: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// The counters of all workers, added up.
#[derive(Debug)]
pub(super) struct Sums {
    requests: Vec<u64>,
    unjudged: Vec<(usize, usize, &'static str, u64)>,
    outcomes: Vec<u64>,
    connections: Vec<u64>,
    hellos: [u64; HelloResult::ALL.len()],
    pub(super) decision: HistogramSum,
    pub(super) dial: HistogramSum,
    pub(super) request: HistogramSum,
    pub(super) tunnels_opened: u64,
    pub(super) tunnels_closed: u64,
    pub(super) tunnels_revoked: u64,
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
    pub(super) records: u64,
    pub(super) dropped: u64,
}

impl Counts {
    pub(super) fn new(listeners: usize) -> Self {
        let zeros = |len: usize| (0..len).map(|_| AtomicU64::new(0)).collect();
        Self {
            requests: zeros((listeners + 1) * PROTOCOLS * VERDICTS),
            unjudged: Mutex::default(),
            outcomes: zeros((listeners + 1) * Outcome::ALL.len()),
            connections: zeros((listeners + 1) * ConnectionResult::ALL.len()),
            hellos: std::array::from_fn(|_| AtomicU64::new(0)),
            listeners,
            decision: Histogram::new(DECISION),
            dial: Histogram::new(DIAL),
            request: Histogram::new(REQUEST),
            tunnels_opened: AtomicU64::new(0),
            tunnels_closed: AtomicU64::new(0),
            tunnels_revoked: AtomicU64::new(0),
            bytes_up: AtomicU64::new(0),
            bytes_down: AtomicU64::new(0),
            records: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
        }
    }

    pub(super) fn request(&self, listener: usize, protocol: Option<Protocol>, verdict: &Verdict, decide: Nanos) {
        let listener = listener.min(self.listeners);
        let protocol = protocol.map_or(Protocol::ALL.len(), Protocol::index);
        let verdict = match verdict {
            Verdict::Allow => 0,
            Verdict::Deny(reason) => 1 + reason.index(),
            Verdict::Observe(reason) => 1 + DenyReason::ALL.len() + reason.index(),
            Verdict::None(token) => return add_unjudged(&mut lock(&self.unjudged), (listener, protocol, token, 1)),
        };
        add(self.requests.get((listener * PROTOCOLS + protocol) * VERDICTS + verdict), 1);
        self.decision.observe(decide);
    }

    pub(super) fn outcome(&self, listener: usize, outcome: Outcome) {
        let listener = listener.min(self.listeners);
        add(self.outcomes.get(listener * Outcome::ALL.len() + outcome.index()), 1);
    }

    pub(super) fn connection(&self, listener: usize, result: ConnectionResult) {
        let listener = listener.min(self.listeners);
        add(self.connections.get(listener * ConnectionResult::ALL.len() + result.index()), 1);
    }

    pub(super) fn client_hello(&self, result: HelloResult) {
        add(self.hellos.get(result.index()), 1);
    }

    pub(super) fn bytes(&self, up: u64, down: u64) {
        add(Some(&self.bytes_up), up);
        add(Some(&self.bytes_down), down);
    }

    /// Records that found no room.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(super) fn add_to(&self, sums: &mut Sums) {
        for (sum, count) in sums.requests.iter_mut().zip(&self.requests) {
            *sum += count.load(Ordering::Relaxed);
        }
        for (sum, count) in sums.outcomes.iter_mut().zip(&self.outcomes) {
            *sum += count.load(Ordering::Relaxed);
        }
        for (sum, count) in sums.connections.iter_mut().zip(&self.connections) {
            *sum += count.load(Ordering::Relaxed);
        }
        for (sum, count) in sums.hellos.iter_mut().zip(&self.hellos) {
            *sum += count.load(Ordering::Relaxed);
        }
        for entry in lock(&self.unjudged).iter() {
            add_unjudged(&mut sums.unjudged, *entry);
        }
        self.decision.add_to(&mut sums.decision);
        self.dial.add_to(&mut sums.dial);
        self.request.add_to(&mut sums.request);
        for (sum, count) in [
            (&mut sums.tunnels_opened, &self.tunnels_opened),
            (&mut sums.tunnels_closed, &self.tunnels_closed),
            (&mut sums.tunnels_revoked, &self.tunnels_revoked),
            (&mut sums.bytes_up, &self.bytes_up),
            (&mut sums.bytes_down, &self.bytes_down),
            (&mut sums.records, &self.records),
            (&mut sums.dropped, &self.dropped),
        ] {
            *sum += count.load(Ordering::Relaxed);
        }
    }
}

fn add(counter: Option<&AtomicU64>, n: u64) {
    if let Some(counter) = counter {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

fn add_unjudged(
    list: &mut Vec<(usize, usize, &'static str, u64)>,
    (listener, protocol, token, n): (usize, usize, &'static str, u64),
) {
    match list.iter_mut().find(|(l, p, t, _)| (*l, *p, *t) == (listener, protocol, token)) {
        Some((.., count)) => *count += n,
        None => list.push((listener, protocol, token, n)),
    }
}

impl Sums {
    pub(super) fn new(listeners: usize) -> Self {
        Self {
            requests: vec![0; (listeners + 1) * PROTOCOLS * VERDICTS],
            unjudged: Vec::new(),
            outcomes: vec![0; (listeners + 1) * Outcome::ALL.len()],
            connections: vec![0; (listeners + 1) * ConnectionResult::ALL.len()],
            hellos: [0; HelloResult::ALL.len()],
            decision: HistogramSum::new(DECISION),
            dial: HistogramSum::new(DIAL),
            request: HistogramSum::new(REQUEST),
            tunnels_opened: 0,
            tunnels_closed: 0,
            tunnels_revoked: 0,
            bytes_up: 0,
            bytes_down: 0,
            records: 0,
            dropped: 0,
        }
    }

    /// Every request series: listener, protocol, verdict, count. What a listener may come to allow or deny is there from
    /// the start: Prometheus' `increase` does not see a series' first value, and the first denial matters most.
    pub(super) fn requests(&self) -> impl Iterator<Item = (usize, &'static str, Verdict, u64)> {
        let protocol = |index: usize| Protocol::ALL.get(index).map_or("", |protocol| protocol.as_str());
        let shown = self.requests.iter().enumerate().filter(|(index, count)| **count > 0 || self.is_foreseen(*index));
        let judged = shown.map(move |(index, count)| {
            let verdict = match (index % VERDICTS).checked_sub(1) {
                None => Verdict::Allow,
                Some(reason) => match DenyReason::ALL.get(reason) {
                    Some(reason) => Verdict::Deny(*reason),
                    None => DenyReason::ALL
                        .get(reason - DenyReason::ALL.len())
                        .map_or(Verdict::None(""), |reason| Verdict::Observe(*reason)),
                },
            };
            let place = index / VERDICTS;
            (place / PROTOCOLS, protocol(place % PROTOCOLS), verdict, *count)
        });
        let unjudged = self.unjudged.iter().map(move |(l, p, token, n)| (*l, protocol(*p), Verdict::None(token), *n));
        judged.chain(unjudged)
    }

    /// Whether a request series of this index is there, at 0, before its first request: those of listeners that there are, by
    /// a protocol that is judged, allowed or denied.
    fn is_foreseen(&self, index: usize) -> bool {
        let (place, verdict) = (index / VERDICTS, index % VERDICTS);
        let is_judged = Protocol::ALL.get(place % PROTOCOLS).is_some_and(|protocol| *protocol != Protocol::Own);
        let known = self.requests.len() / (PROTOCOLS * VERDICTS) - 1;
        place / PROTOCOLS < known && is_judged && verdict <= DenyReason::ALL.len()
    }

    /// Every outcome series: listener, outcome, count.
    pub(super) fn outcomes(&self) -> impl Iterator<Item = (usize, Outcome, u64)> {
        let by_listener = self.outcomes.chunks(Outcome::ALL.len()).enumerate();
        by_listener.flat_map(|(listener, counts)| {
            Outcome::ALL.into_iter().zip(counts).map(move |(outcome, count)| (listener, outcome, *count))
        })
    }

    /// Every connection series: listener, result, count.
    pub(super) fn connections(&self) -> impl Iterator<Item = (usize, ConnectionResult, u64)> {
        let by_listener = self.connections.chunks(ConnectionResult::ALL.len()).enumerate();
        by_listener.flat_map(|(listener, counts)| {
            ConnectionResult::ALL.into_iter().zip(counts).map(move |(result, count)| (listener, result, *count))
        })
    }

    /// Every result of the gate on tunnels' first bytes, with its count.
    pub(super) fn client_hellos(&self) -> impl Iterator<Item = (HelloResult, u64)> {
        HelloResult::ALL.into_iter().zip(self.hellos)
    }

    /// Tunnels that are open now. A tunnel may be closed by another worker than opened it, and be seen so first.
    pub(super) fn tunnels_open(&self) -> u64 {
        self.tunnels_opened.saturating_sub(self.tunnels_closed)
    }
}
