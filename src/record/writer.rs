//! The writer: one thread that gives lines their place and feeds the sinks.
//!
//! It sleeps while nobody hands anything in. The first record after a pause is fetched at once; under load there are
//! [`PAUSE`]s between batches, so that its cost is per batch and not per record.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{broadcast, watch};

use super::entry::{Kind, Record};
use super::jsonl::JsonlFile;
use super::line::{Body, Gap, GapCause, LineHash, RecordLine};
use super::lock;
use super::recorder::{Jsonl, Shared, Terminal};
use super::terminal::TerminalSink;

/// Between two batches under load. People do not see it; a worker fills a tenth of its buffer at 30,000 requests a
/// second.
const PAUSE: Duration = Duration::from_millis(50);

/// How the writer is told what to do.
#[derive(Debug, Default)]
pub(super) struct Signal {
    state: Mutex<State>,
    wake: Condvar,
    flushed: Condvar,
    /// Up to which question the writer has caught up; [`u64::MAX`] once it is no more.
    caught_up: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    /// Something was handed in.
    waiting: bool,
    /// Some buffer is half full.
    urgent: bool,
    /// How many flushes were asked for, and up to which one they are done.
    flush_asked: u64,
    flush_done: u64,
    /// How many have asked whether the writer has caught up, and how many of them know.
    catch_up_asked: u64,
    catch_up_done: u64,
    stop: bool,
    /// The writer is no more.
    gone: bool,
}

impl Signal {
    /// Says that something was handed in. Called once per worker and batch, so its lock is nobody's bottleneck.
    pub(super) fn wake(&self, urgent: bool) {
        let mut state = lock(&self.state);
        state.waiting = true;
        state.urgent |= urgent;
        drop(state);
        self.wake.notify_one();
    }

    pub(super) fn flush(&self) {
        let mut state = lock(&self.state);
        state.flush_asked += 1;
        let asked = state.flush_asked;
        self.wake.notify_one();
        let done = |state: &mut State| state.flush_done < asked && !state.gone;
        drop(self.flushed.wait_while(state, done).unwrap_or_else(PoisonError::into_inner));
    }

    /// Ready once everything that was handed in before the call is in memory.
    pub(super) fn caught_up(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut caught_up = self.caught_up.subscribe();
        let mut state = lock(&self.state);
        state.catch_up_asked += 1;
        let asked = state.catch_up_asked;
        drop(state);
        self.wake.notify_one();
        async move {
            // The sender is gone with the room: nothing more will come.
            let _gone = caught_up.wait_for(|done| *done >= asked).await;
        }
    }

    pub(super) fn stop(&self) {
        lock(&self.state).stop = true;
        self.wake.notify_one();
    }

    /// Waits until there is something to do, or `until`. What to do then: the flush to answer, and whether to stop.
    fn wait(&self, paused_until: Instant, until: Option<Instant>) -> Task {
        let mut state = lock(&self.state);
        loop {
            let flush = (state.flush_asked > state.flush_done).then_some(state.flush_asked);
            let catch_up = (state.catch_up_asked > state.catch_up_done).then_some(state.catch_up_asked);
            let now = Instant::now();
            let due = until.is_some_and(|until| until <= now);
            let batch = state.urgent || (state.waiting && paused_until <= now);
            if batch || due || flush.is_some() || catch_up.is_some() || state.stop {
                state.waiting = false;
                state.urgent = false;
                return Task { flush, catch_up, stop: state.stop };
            }
            let next =
                if state.waiting { Some(until.map_or(paused_until, |until| until.min(paused_until))) } else { until };
            state = match next {
                None => self.wake.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(next) => {
                    let timeout = next.saturating_duration_since(now);
                    self.wake.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn catch_up_done(&self, asked: u64) {
        lock(&self.state).catch_up_done = asked;
        self.caught_up.send_replace(asked);
    }

    fn flush_done(&self, flush: u64) {
        let mut state = lock(&self.state);
        state.flush_done = state.flush_done.max(flush);
        drop(state);
        self.flushed.notify_all();
    }
}

#[derive(Debug)]
struct Task {
    flush: Option<u64>,
    catch_up: Option<u64>,
    stop: bool,
}

/// Lets nobody wait for a writer that is no more, however it ended.
struct Farewell(Arc<Shared>);

impl Drop for Farewell {
    fn drop(&mut self) {
        lock(&self.0.signal.state).gone = true;
        self.0.signal.flushed.notify_all();
        self.0.signal.caught_up.send_replace(u64::MAX);
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    follow: broadcast::Sender<Arc<RecordLine>>,
    /// The last line's.
    seq: u64,
    prev: Option<LineHash>,
    jsonl: Option<JsonlFile>,
    terminal: Option<TerminalSink>,
    /// Reused for each line's JSON.
    json: Vec<u8>,
}

impl Writer {
    pub(super) fn open(
        shared: Arc<Shared>,
        follow: broadcast::Sender<Arc<RecordLine>>,
        jsonl: Option<Jsonl>,
        terminal: Terminal,
    ) -> io::Result<Self> {
        let terminal = TerminalSink::stderr(terminal);
        let mut writer = Self { shared, follow, seq: 0, prev: None, jsonl: None, terminal, json: Vec::new() };
        if let Some(settings) = jsonl {
            let path = settings.path.clone();
            let (file, tail) = JsonlFile::open(settings)
                .map_err(|error| io::Error::new(error.kind(), format!("records file {}: {error}", path.display())))?;
            writer.jsonl = Some(file);
            writer.seq = tail.seq;
            writer.prev = tail.hash;
        }
        Ok(writer)
    }

    pub(super) fn run(mut self) {
        let farewell = Farewell(Arc::clone(&self.shared));
        let mut paused_until = Instant::now();
        loop {
            let task = farewell.0.signal.wait(paused_until, self.due_at());
            self.batch(task.flush.is_some() || task.stop);
            if let Some(asked) = task.catch_up {
                farewell.0.signal.catch_up_done(asked);
            }
            if let Some(flush) = task.flush {
                farewell.0.signal.flush_done(flush);
            }
            if task.stop {
                break;
            }
            paused_until = Instant::now() + PAUSE;
        }
        // Before those who wait for the end are told: the file is closed, and another process may have it.
        drop(self);
        drop(farewell);
    }

    /// When something is to be done although nobody hands anything in.
    fn due_at(&self) -> Option<Instant> {
        let jsonl = self.jsonl.as_ref();
        let times = [
            jsonl.and_then(JsonlFile::sync_at),
            jsonl.and_then(JsonlFile::retry_at),
            self.terminal.as_ref().and_then(TerminalSink::due_at),
        ];
        times.into_iter().flatten().min()
    }

    /// Everything that was handed in goes to every sink. `whole`: to the disk too, and a failed file is tried again.
    fn batch(&mut self, whole: bool) {
        let now = Instant::now();
        let shared = Arc::clone(&self.shared);
        let mut records: Vec<Record> = Vec::new();
        let mut dropped = 0;
        for shard in &shared.shards {
            shared.merge(shard);
            let fetched = lock(&shard.buffer).fetch();
            dropped += fetched.dropped;
            if records.is_empty() { records = fetched.records } else { records.extend(fetched.records) }
        }
        // Workers' buffers are in order by themselves; among workers the end of a request is what people go by.
        records.sort_by_key(Record::ended);

        self.mend(whole, now);
        for record in records {
            self.line(Body::Record(Box::new(record)), now);
        }
        if dropped > 0 {
            let gap = Gap { at: SystemTime::now(), dropped, cause: GapCause::BufferFull };
            self.line(Body::Gap(gap), now);
        }
        if let Some(jsonl) = &mut self.jsonl {
            add(&shared.lost.jsonl, jsonl.write_out());
            if whole || jsonl.sync_at().is_some_and(|at| at <= now) {
                jsonl.sync();
            }
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.close_window(now);
            add(&shared.lost.terminal, terminal.write_out());
        }
    }

    /// Gives a line its place and hands it to every sink.
    fn line(&mut self, body: Body, now: Instant) {
        self.seq += 1;
        let line = RecordLine { seq: self.seq, prev: self.prev, body };
        if self.jsonl.is_some() || self.terminal.as_ref().is_some_and(TerminalSink::wants_json) {
            self.json.clear();
            line.write_json(&mut self.json);
        }
        if let Some(jsonl) = &mut self.jsonl {
            let hash = LineHash::of(&self.json);
            let is_record = line.record().is_some_and(|record| record.kind == Kind::End);
            add(&self.shared.lost.jsonl, jsonl.append(&self.json, hash, is_record));
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
        let line = RecordLine { seq: self.seq + 1, prev, body: Body::Gap(gap) };
        self.json.clear();
        line.write_json(&mut self.json);
        let hash = LineHash::of(&self.json);
        if jsonl.write_gap(&self.json, hash) {
            self.seq += 1;
            self.prev = Some(hash);
            self.show(line, now);
        }
    }
}

fn add(counter: &AtomicU64, n: u64) {
    if n > 0 {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}
