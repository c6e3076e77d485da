//! A recorder with its sinks, as a process has them.

use std::io;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;

use crate::record::{self, RecordLine, Recorder, Redact};
use crate::sink::{self, Follower, Jsonl, RecentFilter, SinkStatus, Sinks, Sqlite, Terminal};

/// Everything that can be set of both.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) listeners: Vec<String>,
    pub(crate) workers: usize,
    pub(crate) jsonl: Option<Jsonl>,
    pub(crate) sqlite: Option<Sqlite>,
    pub(crate) chain_key: Option<PathBuf>,
    pub(crate) required: bool,
    pub(crate) redact: Redact,
    pub(crate) max_destinations: usize,
    pub(crate) ring: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listeners: vec!["browser".into()],
            workers: 1,
            jsonl: None,
            sqlite: None,
            chain_key: None,
            required: false,
            redact: Redact::default(),
            max_destinations: 2000,
            ring: 10_000,
        }
    }
}

impl Settings {
    /// Those of the recorder alone.
    pub(crate) fn record(&self) -> record::Settings {
        record::Settings {
            listeners: self.listeners.clone(),
            workers: self.workers,
            required: self.required,
            redact: self.redact.clone(),
            max_destinations: self.max_destinations,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) recorder: Recorder,
    pub(crate) sinks: Arc<Sinks>,
}

impl Room {
    pub(crate) fn start(settings: Settings) -> io::Result<Self> {
        let (recorder, intake) = Recorder::new(settings.record())?;
        let Settings { jsonl, sqlite, chain_key, ring, .. } = settings;
        let sinks = Sinks::start(intake, sink::Settings { jsonl, sqlite, chain_key, terminal: Terminal::Off, ring })?;
        Ok(Self { recorder, sinks: Arc::new(sinks) })
    }

    pub(crate) fn recent(&self, filter: &RecentFilter) -> Vec<Arc<RecordLine>> {
        self.sinks.recent(filter)
    }

    pub(crate) fn follow(&self) -> Follower {
        self.sinks.follow()
    }

    pub(crate) fn refusal(&self) -> Option<&'static str> {
        self.sinks.refusal()
    }

    pub(crate) fn status(&self) -> Vec<SinkStatus> {
        self.sinks.status()
    }

    pub(crate) fn shutdown(&self) {
        self.sinks.shutdown();
    }
}

impl Deref for Room {
    type Target = Recorder;

    fn deref(&self) -> &Recorder {
        &self.recorder
    }
}
