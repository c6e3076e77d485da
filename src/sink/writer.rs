//! The writer: one thread that gives lines their place and feeds the sinks.
//!
//! It sleeps while no record is handed in. The first record after a pause is fetched at once; under load there are
//! pauses between batches, so that waking it costs per batch and not per record ([`Pace`]).

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::account::SinkAccount;
use super::open::Opened;
use super::{BatchEnd, Before, Sink};
use crate::record::{Batch, Body, Clock, Gap, GapCause, Intake, LineHash, RecordLine};
use crate::sync;

/// The longest pause between two batches under load. People do not see it.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);
/// The shortest. Waking costs some ten microseconds.
const SHORTEST_PAUSE: Duration = Duration::from_millis(2);
/// What a batch should hold: a third of a millisecond's work, since the writer shares the processor with workers, and
/// every request that waits for a worker which waits for the writer is late by that. They are also still in the cache.
const BATCH: u32 = 256;
/// Room for records that is kept from batch to batch.
const ROOM: usize = 2 * BATCH as usize;

/// How long the pauses are: as long as [`BATCH`] records take to come, by the batch before.
#[derive(Debug)]
struct Pace(Duration);

impl Pace {
    /// The pause after a batch of so many.
    fn after(&mut self, records: usize) -> Duration {
        let records = u32::try_from(records).unwrap_or(u32::MAX).max(1);
        self.0 = (self.0 * BATCH / records).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        self.0
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    sinks: Vec<Sink>,
    /// The last line's.
    seq: u64,
    /// What was open when the process before this one ended without its last word.
    cut_off: u64,
    /// Where records are counted that no sink has.
    buffers: Arc<SinkAccount>,
    /// Reused for each line's JSON.
    json: Vec<u8>,
    clock: Clock,
    /// The last to be dropped: then the files are closed, and another process may have them.
    intake: Intake,
}

impl Writer {
    pub(super) fn new(intake: Intake, opened: Opened, buffers: Arc<SinkAccount>) -> Self {
        let Opened { sinks, seq, cut_off } = opened;
        Self { sinks, seq, cut_off, buffers, json: Vec::new(), clock: Clock::default(), intake }
    }

    pub(super) fn run(mut self) {
        let mut pace = Pace(LONGEST_PAUSE);
        let mut paused_until = sync::now();
        if self.cut_off > 0 {
            self.gap(self.cut_off, GapCause::Restart);
        }
        // What is known already does not wait for the first request.
        self.batch(false, false);
        loop {
            let due_at = self.sinks.iter().filter_map(Sink::due_at).min();
            let task = self.intake.signal().wait(paused_until, due_at);
            let records = self.batch(task.flush.is_some() || task.stop, task.stop);
            if let Some(asked) = task.catch_up {
                self.intake.signal().catch_up_done(asked);
            }
            if let Some(flush) = task.flush {
                self.intake.signal().flush_done(flush);
            }
            if task.stop {
                break;
            }
            paused_until = sync::now() + pace.after(records);
        }
    }

    /// Everything that was handed in goes to every sink. `whole`: to the disk too, and a failed sink is tried again;
    /// `last`: it is the end. Returns how many records that was.
    fn batch(&mut self, whole: bool, last: bool) -> usize {
        let now = Instant::now();
        let Batch { mut records, dropped } = self.intake.fetch(ROOM);
        let count = records.len();
        self.buffers.lose(dropped);
        self.before_lines(whole, now);
        for record in records.drain(..) {
            self.line(Body::Record(record), now);
        }
        self.intake.give_back(records, ROOM);
        if dropped > 0 {
            self.gap(dropped, GapCause::BufferFull);
        }
        for at in 0..self.sinks.len() {
            if let Some(cause) = self.sinks.get_mut(at).and_then(|sink| sink.after_lines(now)) {
                self.gap(0, cause);
            }
        }
        self.sinks.iter_mut().for_each(|sink| sink.write_out(BatchEnd { now, whole, last }));
        if whole {
            self.sinks.iter().for_each(Sink::flush);
        }
        count
    }

    /// Does what sinks need before they take lines.
    fn before_lines(&mut self, whole: bool, now: Instant) {
        for at in 0..self.sinks.len() {
            match self.sinks.get_mut(at).and_then(|sink| sink.before_lines(self.seq, whole, now)) {
                Some(Before::First { gap, prev }) => self.write_first(at, gap, prev, now),
                Some(Before::Beyond(place)) => {
                    // One place stays free for a gap of its own.
                    self.seq = place + 1;
                    self.gap(0, GapCause::Restart);
                }
                None => {}
            }
        }
    }

    /// Hands a gap to the sink that needs it, and to the others if that worked.
    fn write_first(&mut self, at: usize, gap: Gap, prev: Option<LineHash>, now: Instant) {
        let line = RecordLine { seq: self.seq + 1, prev, body: Body::Gap(gap), client: None };
        self.encode(&line);
        if !self.sinks.get_mut(at).is_some_and(|sink| sink.write_first(&line, &self.json)) {
            return;
        }
        self.seq += 1;
        let line = Arc::new(line);
        let others = self.sinks.iter_mut().enumerate().filter(|(other, _)| *other != at);
        others.for_each(|(_, sink)| sink.take(&line, &self.json, now));
    }

    /// Says that records are missing.
    fn gap(&mut self, dropped: u64, cause: GapCause) {
        self.line(Body::Gap(Gap { at: SystemTime::now(), dropped, cause }), Instant::now());
    }

    /// Gives a line its place and hands it to every sink.
    fn line(&mut self, mut body: Body, now: Instant) {
        self.seq += 1;
        let mut client = None;
        if let Body::Record(record) = &mut body {
            client = self.intake.strip(record);
        }
        let prev = self.sinks.iter().find_map(Sink::prev);
        let line = Arc::new(RecordLine { seq: self.seq, prev, body, client });
        if self.sinks.iter().any(Sink::wants_json) {
            self.encode(&line);
        }
        self.sinks.iter_mut().for_each(|sink| sink.take(&line, &self.json, now));
    }

    fn encode(&mut self, line: &RecordLine) {
        self.json.clear();
        line.write_json(&mut self.clock, &mut self.json);
    }
}
