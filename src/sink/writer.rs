//! The writer: one thread that gives lines their place and feeds the sinks.
//!
//! It sleeps while nobody hands anything in. The first record after a pause is fetched at once; under load there are
//! pauses between batches, so that waking it costs per batch and not per record ([`Pace`]).

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::broadcast;

use super::fault::SinkFault;
use super::jsonl::{Jsonl, JsonlFile, lost};
use super::sqlite::{History, Opened, Sqlite};
use super::terminal::{Terminal, TerminalSink};
use super::{Shared, SinkKind};
use crate::record::{Batch, Body, Chain, Clock, Gap, GapCause, Hourly, Intake, Kind, LineHash, RecordLine, lock};
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

/// Between two looks at how old the file is, which is rotated after days.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How long the pauses are: as long as [`BATCH`] records take to come, by the batch before.
#[derive(Debug)]
struct Pace(Duration);

impl Pace {
    /// The pause behind a batch of so many.
    fn after(&mut self, records: usize) -> Duration {
        let records = u32::try_from(records).unwrap_or(u32::MAX).max(1);
        self.0 = (self.0 * BATCH / records).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        self.0
    }
}

/// Ids of what was cut off that the log names; the gap has their number.
const MAX_NAMED: usize = 10;

#[derive(Debug)]
pub(super) struct Writer {
    follow: broadcast::Sender<Arc<RecordLine>>,
    /// The last line's.
    seq: u64,
    prev: Option<LineHash>,
    chain: Chain,
    /// Of the file.
    hourly: Option<Hourly>,
    jsonl: Option<JsonlFile>,
    history: Option<History>,
    /// What was open when the process before this one ended without its last word.
    torn_off: u64,
    /// When the file's age is looked at next.
    look_at: Instant,
    terminal: Option<TerminalSink>,
    shared: Arc<Shared>,
    /// Reused for each line's JSON.
    json: Vec<u8>,
    clock: Clock,
    /// The last to be dropped: then the files are closed, and another process may have them.
    intake: Intake,
}

impl Writer {
    pub(super) fn open(
        intake: Intake,
        shared: Arc<Shared>,
        follow: broadcast::Sender<Arc<RecordLine>>,
        jsonl: Option<Jsonl>,
        sqlite: Option<Sqlite>,
        terminal: Terminal,
        chain: Chain,
    ) -> io::Result<Self> {
        let terminal = TerminalSink::stderr(terminal, jsonl.is_some() || sqlite.is_some());
        let mut writer = Self {
            follow,
            seq: 0,
            prev: None,
            chain,
            hourly: jsonl.as_ref().map(|jsonl| Hourly::new("jsonl", &jsonl.path, Instant::now())),
            jsonl: None,
            history: None,
            torn_off: 0,
            look_at: Instant::now(),
            terminal,
            shared,
            json: Vec::new(),
            clock: Clock::default(),
            intake,
        };
        let history = sqlite
            .map(|sqlite| Opened::open(sqlite, writer.chain.clone(), writer.intake.health().consequence()))
            .transpose()?;
        let mut open = HashSet::new();
        if let Some((_, found)) = &history {
            writer.seq = found.seq;
            open.clone_from(&found.open);
        }
        if let Some(settings) = jsonl {
            let path = settings.path.clone();
            let (file, tail) = JsonlFile::open(settings, writer.chain.clone(), writer.intake.health().consequence())
                .map_err(|error| io::Error::new(error.kind(), format!("records file {}: {error}", path.display())))?;
            writer.jsonl = Some(file);
            writer.prev = tail.hash;
            if tail.seq > 0 && tail.seq < writer.seq {
                writer.fall_behind(tail.seq);
            }
            writer.seq = writer.seq.max(tail.seq);
            open = lost::left_open(&path, open);
        }
        if let Some((opened, _)) = history {
            open.retain(|id| !opened.has_end(id));
            writer.history = Some(opened.start(
                writer.seq,
                Arc::clone(writer.shared.account(SinkKind::Sqlite)),
                Arc::clone(writer.intake.health()),
            )?);
        }
        writer.torn_off = open.len() as u64;
        if !open.is_empty() {
            let some: Vec<_> = open.into_iter().take(MAX_NAMED).collect();
            tracing::warn!(
                lost = writer.torn_off,
                ids = some.join(" "),
                "open when outgate last ended; their end is not recorded"
            );
        }
        Ok(writer)
    }

    /// The file lacks lines up to the present `seq`, which the database has. It says so in the place of the last of them.
    fn fall_behind(&mut self, last: u64) {
        let gap = Gap { at: SystemTime::now(), dropped: self.seq - last, cause: GapCause::Restart };
        let line = RecordLine { seq: self.seq, prev: self.prev, body: Body::Gap(gap), client: None };
        self.json.clear();
        line.write_json(&mut self.clock, &mut self.json);
        let hash = self.chain.hash(&self.json);
        if let Some(jsonl) = &mut self.jsonl {
            jsonl.append(&self.json, self.seq, hash, false);
            self.prev = Some(hash);
        }
    }

    pub(super) fn run(mut self) {
        let mut pace = Pace(LONGEST_PAUSE);
        let mut paused_until = sync::now();
        if self.torn_off > 0 {
            self.gap(self.torn_off, GapCause::Restart);
        }
        // What is known already does not wait for the first request.
        self.batch(false);
        self.tell_head(false);
        loop {
            let task = self.intake.signal().wait(paused_until, self.due_at());
            let records = self.batch(task.flush.is_some() || task.stop);
            self.tell_head(task.stop);
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

    /// When something is to be done although nobody hands anything in.
    fn due_at(&self) -> Option<Instant> {
        let jsonl = self.jsonl.as_ref();
        let times = [
            jsonl.and_then(JsonlFile::sync_at),
            jsonl.and_then(JsonlFile::retry_at),
            self.hourly.as_ref().map(Hourly::next),
            jsonl.map(|_| self.look_at),
            self.terminal.as_ref().and_then(TerminalSink::due_at),
        ];
        times.into_iter().flatten().min()
    }

    /// Tells the log where the file's chain stands, each hour.
    fn tell_head(&mut self, end: bool) {
        if let (Some(hourly), Some(jsonl)) = (&mut self.hourly, &self.jsonl) {
            hourly.tell(jsonl.head(), Instant::now(), end);
        }
    }

    /// Everything that was handed in goes to every sink. `whole`: to the disk too, and a failed file is tried again.
    /// Returns how many records that was.
    fn batch(&mut self, whole: bool) -> usize {
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        let Batch { mut records, dropped } = self.intake.fetch(ROOM);
        let count = records.len();
        let ends = records.iter().filter(|record| record.kind == Kind::End).count();
        shared.account(SinkKind::Memory).wrote(ends as u64);
        shared.account(SinkKind::Memory).lose(dropped);

        self.mend(whole, now);
        if let Some(floor) = self.history.as_ref().map(History::floor).filter(|floor| *floor > self.seq) {
            // A database that could be opened only now has been further already. One place stays free for its own gap.
            self.seq = floor + 1;
            self.gap(0, GapCause::Restart);
        }
        for record in records.drain(..) {
            self.line(Body::Record(record), now);
        }
        self.intake.give_back(records, ROOM);
        if dropped > 0 {
            self.gap(dropped, GapCause::BufferFull);
        }
        self.rotate_by_age(now);
        if let Some(jsonl) = &mut self.jsonl {
            let account = shared.account(SinkKind::Jsonl);
            account.lose(jsonl.write_out());
            SinkFault::Jsonl.set(self.intake.health(), jsonl.retry_at().is_some());
            if whole || jsonl.sync_at().is_some_and(|at| at <= now) {
                jsonl.sync();
            }
            account.wrote(jsonl.take_written());
            match jsonl.fault() {
                Some(fault) => account.fail(fault),
                None => account.heal(),
            }
        }
        if whole && let Some(history) = &self.history {
            history.flush();
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.close_window(now);
            shared.account(SinkKind::Terminal).lose(terminal.write_out());
        }
        count
    }

    /// The last line's place.
    pub(super) fn seq(&self) -> u64 {
        self.seq
    }

    /// Rotates a file that is too old. The line behind says so; it also keeps the sequence, when all others are removed.
    fn rotate_by_age(&mut self, now: Instant) {
        if now < self.look_at {
            return;
        }
        self.look_at = now + LOOK_EVERY;
        if let Some(jsonl) = &mut self.jsonl
            && jsonl.rotate_by_age(SystemTime::now())
        {
            self.gap(0, GapCause::Aged);
        }
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
        let line = RecordLine { seq: self.seq, prev: self.prev, body, client };
        if self.jsonl.is_some() || self.terminal.as_ref().is_some_and(TerminalSink::wants_json) {
            self.json.clear();
            line.write_json(&mut self.clock, &mut self.json);
        }
        if let Some(jsonl) = &mut self.jsonl {
            let hash = self.chain.hash(&self.json);
            let is_record = line.record().is_some_and(|record| record.kind == Kind::End);
            self.shared.account(SinkKind::Jsonl).lose(jsonl.append(&self.json, self.seq, hash, is_record));
            self.prev = Some(hash);
        }
        self.show(line, now);
    }

    /// Hands a line to the sinks that are not the file.
    fn show(&mut self, line: RecordLine, now: Instant) {
        if let Some(terminal) = &mut self.terminal {
            terminal.line(&line, &self.json, now);
        }
        let line = Arc::new(line);
        if let Some(history) = &self.history {
            history.push(&line);
        }
        if self.follow.receiver_count() > 0 {
            // Nobody follows any more: that is their business.
            let _ = self.follow.send(Arc::clone(&line));
        }
        lock(&self.shared.ring).push(line);
    }

    /// Tries a failed file again, if it is time. The first line in it is the gap; lines after it go on from there.
    fn mend(&mut self, whole: bool, now: Instant) {
        let Some(jsonl) = &mut self.jsonl else { return };
        if jsonl.retry_at().is_none_or(|at| at > now && !whole) {
            return;
        }
        let Some((dropped, prev)) = jsonl.mend() else { return };
        let gap = Gap { at: SystemTime::now(), dropped, cause: GapCause::WriteFailed };
        let line = RecordLine { seq: self.seq + 1, prev, body: Body::Gap(gap), client: None };
        self.json.clear();
        line.write_json(&mut self.clock, &mut self.json);
        let hash = self.chain.hash(&self.json);
        if jsonl.write_gap(&self.json, self.seq + 1, hash) {
            self.seq += 1;
            self.prev = Some(hash);
            self.show(line, now);
        }
    }
}
