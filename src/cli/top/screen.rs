//! Draws the whole screen each time, fitted to the size of the terminal.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::content::{self, Column, StyledText, Tone};
use super::rates::{self, MINUTE, RequestsAndDenials};
use super::state::{Pane, ShownSnapshot, TopState};
use crate::text::figures;
use crate::text::visible::elided;

/// Lines of a pane that is not chosen: its title and three rows.
const GLANCE: u16 = 4;
/// The minimum height of the chosen pane before the others are shown too: title, column titles and four rows.
const LEAST: u16 = 6;
/// The minimum height of a screen with a plot.
const PLOT_FROM: u16 = 16;
/// Seconds without an answer before the screen says so: several times what an answer takes.
const LATE: u64 = 5;
/// Blanks between two columns.
const GAP: usize = 2;

const KEYS: &str = "q quit   1-3 Tab table   ↑↓ scroll   o order of tunnels   p pause   ? help";

const HELP: &str = "\
1 2 3          denied destinations, what is open, last requests
Tab ← →        the next, the one before
↑ ↓ k j        scroll by a row; PgUp PgDn by a page
Home End g G   to the first row, to the last
o              what is open: oldest first, biggest first
p              pause; what comes meanwhile is shown afterwards
q Esc Ctrl-C   quit
? h            this

COUNT, SINCE and LAST are of the time since the proxy started.
To end one that is open: curl -X DELETE -H \"Authorization: Bearer …\"
http://ADMIN/v1/tunnels/ID. To allow a destination: change the
policy; `outgate suggest` says how.";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, state: &mut TopState, address: &str, colour: bool) {
    let area = frame.area();
    let look = Look { colour };
    let top = above(state, address, area, look);
    let lines = u16::try_from(top.len()).unwrap_or(u16::MAX);
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(lines), Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(Paragraph::new(top), head);
    panes(frame, state, body, look);
    frame.render_widget(Paragraph::new(Line::styled(KEYS, look.of(Tone::Soft))), foot);
    if state.help {
        help(frame, area, look);
    }
}

/// How tones look.
#[derive(Clone, Copy)]
struct Look {
    colour: bool,
}

impl Look {
    fn of(self, tone: Tone) -> Style {
        let style = Style::default();
        match (tone, self.colour) {
            (Tone::Plain, _) => style,
            (Tone::Strong, _) => style.add_modifier(Modifier::BOLD),
            (Tone::Soft, _) => style.add_modifier(Modifier::DIM),
            (Tone::Bad, true) => style.fg(Color::Red),
            (Tone::Odd, true) => style.fg(Color::Yellow),
            (Tone::Bad | Tone::Odd, false) => style.add_modifier(Modifier::BOLD),
        }
    }

    fn line(self, pieces: Vec<StyledText>) -> Line<'static> {
        Line::from_iter(pieces.into_iter().map(|piece| Span::styled(piece.text, self.of(piece.tone))))
    }
}

/// The lines above the panes; problems come first, so that the smallest screen shows them.
fn above(state: &TopState, address: &str, area: Rect, look: Look) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    lines.extend(silence(state).map(|what| look.line(vec![content::bad(what)])));
    let Some(shown) = &state.shown else {
        if state.trouble.is_none() {
            lines.push(look.line(vec![content::soft(format!("asking the proxy at {address} …"))]));
        }
        return lines;
    };
    let mut header = content::header(shown);
    if let (true, Some(first)) = (state.paused, header.first_mut()) {
        first.insert(0, content::odd("PAUSED  "));
    }
    lines.extend(header.into_iter().map(|pieces| look.line(pieces)));
    if area.height >= PLOT_FROM {
        lines.extend(plot(shown, usize::from(area.width), look));
    }
    lines
}

/// What there is to say of a proxy that does not answer, with or without a reason.
fn silence(state: &TopState) -> Option<String> {
    let silent = state.silence().map(|silence| silence.as_secs());
    match (&state.trouble, silent) {
        (Some(trouble), Some(seconds)) => Some(format!("no answer for {seconds}s, trying again: {trouble}")),
        (Some(trouble), None) => Some(format!("no answer, trying again: {trouble}")),
        (None, Some(seconds)) if seconds >= LATE => Some(format!("no answer for {seconds}s; still waiting")),
        (None, _) => None,
    }
}

/// The last minute: all requests, and the denied ones on the same scale.
fn plot(shown: &ShownSnapshot, width: usize, look: Look) -> Vec<Line<'static>> {
    let bars = width.saturating_sub("requests ".len()).min(MINUTE);
    let minute = shown.minute.iter().skip(MINUTE - bars);
    let most = minute.clone().flatten().map(|rate| rate.requests).fold(0.0, f64::max);
    let line = |name: &str, tone: Tone, of: fn(&RequestsAndDenials<f64>) -> f64| {
        let bars = rates::bars(minute.clone().map(|rate| rate.as_ref().map(of)), most);
        Line::from(vec![Span::styled(format!("{name:<9}"), look.of(Tone::Soft)), Span::styled(bars, look.of(tone))])
    };
    let mut requests = line("requests", Tone::Plain, |rate| rate.requests);
    requests.push_span(Span::styled(format!(" {}/s", figures::rate(most)), look.of(Tone::Soft)));
    vec![requests, line("denied", Tone::Bad, |rate| rate.denied)]
}

fn panes(frame: &mut Frame<'_>, state: &mut TopState, area: Rect, look: Look) {
    let all = area.height >= LEAST + 2 * GLANCE;
    let room = Pane::ALL.map(|pane| match (pane == state.pane, all) {
        (true, _) => Constraint::Fill(1),
        (false, true) => Constraint::Length(GLANCE),
        (false, false) => Constraint::Length(0),
    });
    let areas: [Rect; 3] = Layout::vertical(room).areas(area);
    for (pane, area) in Pane::ALL.into_iter().zip(areas) {
        let chosen = pane == state.pane;
        // The title, and of the chosen one the titles of its columns.
        let above = if chosen { 2 } else { 1 };
        let room = usize::from(area.height.saturating_sub(above));
        if chosen {
            state.page = room;
        }
        frame.render_widget(Paragraph::new(table(state, pane, room, usize::from(area.width), look)), area);
    }
}

/// A pane's title and as many rows as there is room for.
fn table(state: &TopState, pane: Pane, room: usize, width: usize, look: Look) -> Vec<Line<'static>> {
    let chosen = pane == state.pane;
    let rows = state.rows(pane);
    let first = if chosen { state.first(pane, room) } else { 0 };
    let last = rows.min(first + room);
    let place = if rows > room && last > first { format!(" {}-{last} of {rows}", first + 1) } else { String::new() };
    let number = pane as usize + 1;
    let name = format!("{number} {}{place} ", content::title(pane, state));
    let rule = "─".repeat(width.saturating_sub(name.chars().count()));
    let style = if chosen { look.of(Tone::Strong).add_modifier(Modifier::REVERSED) } else { look.of(Tone::Strong) };
    let mut lines = vec![Line::from(vec![Span::styled(name, style), Span::styled(rule, look.of(Tone::Soft))])];
    let widths = widths(pane.columns(), width);
    if chosen {
        let titles = pane.columns().iter().map(|column| content::soft(column.title));
        lines.push(line(pane.columns(), &widths, titles.collect(), look));
    }
    let Some(shown) = &state.shown else { return lines };
    for at in first..last {
        lines.push(line(pane.columns(), &widths, content::row(pane, &shown.snapshot, at), look));
    }
    if rows == 0 && room > 0 {
        lines.push(look.line(vec![content::soft("none")]));
    }
    lines
}

/// How many characters each column gets; none for those that are left out.
fn widths(columns: &[Column], width: usize) -> Vec<Option<usize>> {
    let fixed = columns.iter().filter(|column| column.width > 0 && column.from <= width);
    let taken: usize = fixed.map(|column| column.width + GAP).sum();
    let of = |column: &Column| match column.width {
        0 => width.saturating_sub(taken),
        fixed => fixed,
    };
    columns.iter().map(|column| (column.from <= width).then(|| of(column))).collect()
}

/// One row: each cell in its column, with its middle left out where it is too long.
fn line(columns: &[Column], widths: &[Option<usize>], cells: Vec<StyledText>, look: Look) -> Line<'static> {
    let mut spans = Vec::new();
    for ((column, width), cell) in columns.iter().zip(widths).zip(cells) {
        let Some(width) = *width else { continue };
        let text = elided(&cell.text, width);
        // By the room that it takes on the screen, which is not its number of characters.
        let blanks = " ".repeat(width.saturating_sub(Span::raw(text.as_ref()).width()));
        let text = if column.right { format!("{blanks}{text}") } else { format!("{text}{blanks}") };
        if !spans.is_empty() {
            spans.push(Span::raw(" ".repeat(GAP)));
        }
        spans.push(Span::styled(text, look.of(cell.tone)));
    }
    Line::from(spans)
}

fn help(frame: &mut Frame<'_>, area: Rect, look: Look) {
    let height = u16::try_from(HELP.lines().count() + 2).unwrap_or(u16::MAX).min(area.height);
    let width = area.width.min(66);
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    let block = Block::bordered().title(Span::styled(" outgate top ", look.of(Tone::Strong)));
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(HELP).wrap(Wrap { trim: false }).block(block), place);
}
