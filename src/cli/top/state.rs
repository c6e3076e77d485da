//! What is looked at, and what keys do to it. Knows no terminal.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::ask::{ApiSnapshot, News};
use super::rates::{MINUTE, Rates, RequestsAndDenials};
use crate::text::Inert;

/// One of the three tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    #[default]
    Denied,
    Tunnels,
    Records,
}

/// An answer, and what those before it make of it.
#[derive(Clone, Debug)]
pub(super) struct ShownSnapshot {
    pub(super) snapshot: ApiSnapshot,
    pub(super) rate: Option<RequestsAndDenials<f64>>,
    pub(super) minute: [Option<RequestsAndDenials<f64>>; MINUTE],
}

/// What is looked at.
#[derive(Debug, Default)]
pub(super) struct TopState {
    pub(super) pane: Pane,
    pub(super) shown: Option<Box<ShownSnapshot>>,
    /// What came while it was paused.
    waiting: Option<Box<ShownSnapshot>>,
    pub(super) paused: bool,
    pub(super) help: bool,
    /// Tunnels by what they moved, not by age.
    pub(super) biggest: bool,
    /// Why the last question had no answer.
    pub(super) trouble: Option<Inert>,
    /// When the last answer came.
    answered: Option<Instant>,
    rates: Rates,
    /// The first row of each pane that is seen.
    scrolled: [usize; 3],
    /// Rows that the chosen pane had room for when it was last drawn.
    pub(super) page: usize,
}

/// Whether to continue after a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AfterKey {
    Continue,
    Quit,
}

impl Pane {
    pub(super) const ALL: [Self; 3] = [Self::Denied, Self::Tunnels, Self::Records];

    fn index(self) -> usize {
        self as usize
    }

    fn after(self) -> Self {
        match self {
            Self::Denied => Self::Tunnels,
            Self::Tunnels => Self::Records,
            Self::Records => Self::Denied,
        }
    }
}

impl TopState {
    /// Takes in what the proxy answered, or why it did not.
    pub(super) fn hear(&mut self, news: News) {
        let snapshot = match news {
            Ok(snapshot) => *snapshot,
            Err(trouble) => {
                self.trouble = Some(trouble);
                return;
            }
        };
        self.trouble = None;
        self.answered = Some(snapshot.at);
        self.rates.note(snapshot.at, snapshot.counted);
        let (rate, minute) = (self.rates.now(), self.rates.minute());
        let shown = Some(Box::new(ShownSnapshot { snapshot, rate, minute }));
        if self.paused && self.shown.is_some() {
            self.waiting = shown;
        } else {
            self.shown = shown;
            self.sort();
        }
    }

    /// Does what a key says.
    pub(super) fn press(&mut self, key: KeyEvent) -> AfterKey {
        if key.kind == KeyEventKind::Release {
            return AfterKey::Continue;
        }
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            KeyCode::Char('c' | 'd') if control => return AfterKey::Quit,
            KeyCode::Char('q') => return AfterKey::Quit,
            // Whoever wants the help gone does not want to leave.
            KeyCode::Esc if self.help => self.help = false,
            KeyCode::Esc => return AfterKey::Quit,
            KeyCode::Char('?' | 'h') => self.help = !self.help,
            KeyCode::Char('1') => self.pane = Pane::Denied,
            KeyCode::Char('2') => self.pane = Pane::Tunnels,
            KeyCode::Char('3') => self.pane = Pane::Records,
            KeyCode::Tab | KeyCode::Right => self.pane = self.pane.after(),
            KeyCode::BackTab | KeyCode::Left => self.pane = self.pane.after().after(),
            KeyCode::Down | KeyCode::Char('j') => self.scroll(|row, _| row.saturating_add(1)),
            KeyCode::Up | KeyCode::Char('k') => self.scroll(|row, _| row.saturating_sub(1)),
            KeyCode::PageDown | KeyCode::Char(' ') => self.scroll(usize::saturating_add),
            KeyCode::PageUp => self.scroll(usize::saturating_sub),
            KeyCode::Home | KeyCode::Char('g') => self.scroll(|_, _| 0),
            KeyCode::End | KeyCode::Char('G') => self.scroll(|_, _| usize::MAX),
            KeyCode::Char('o') => {
                self.biggest = !self.biggest;
                self.sort();
            }
            KeyCode::Char('p') => self.pause(),
            _ => {}
        }
        AfterKey::Continue
    }

    /// How long ago the last answer came; none before the first.
    pub(super) fn silence(&self) -> Option<Duration> {
        self.answered.map(|answered| answered.elapsed())
    }

    /// The first row of a pane to show, where there is room for `room` of its rows.
    pub(super) fn first(&self, pane: Pane, room: usize) -> usize {
        let scrolled = self.scrolled.get(pane.index()).copied().unwrap_or_default();
        scrolled.min(self.rows(pane).saturating_sub(room))
    }

    /// How many rows a pane has.
    pub(super) fn rows(&self, pane: Pane) -> usize {
        self.shown.as_ref().map_or(0, |shown| match pane {
            Pane::Denied => shown.snapshot.denials.destinations.len(),
            Pane::Tunnels => shown.snapshot.tunnels.tunnels.len(),
            Pane::Records => shown.snapshot.records.len(),
        })
    }

    fn scroll(&mut self, to: impl Fn(usize, usize) -> usize) {
        let (pane, page) = (self.pane, self.page.max(1));
        let row = to(self.first(pane, page), page).min(self.rows(pane));
        if let Some(scrolled) = self.scrolled.get_mut(pane.index()) {
            *scrolled = row;
        }
    }

    fn pause(&mut self) {
        self.paused = !self.paused;
        if !self.paused
            && let Some(shown) = self.waiting.take()
        {
            self.shown = Some(shown);
            self.sort();
        }
    }

    fn sort(&mut self) {
        let Some(shown) = &mut self.shown else { return };
        let tunnels = &mut shown.snapshot.tunnels.tunnels;
        if self.biggest {
            tunnels.sort_by_key(|tunnel| std::cmp::Reverse(tunnel.bytes_up.saturating_add(tunnel.bytes_down)));
        } else {
            // RFC 3339 in UTC with fixed digits: text in the order of time.
            tunnels.sort_by(|a, b| a.started.as_str().cmp(b.started.as_str()));
        }
    }
}
