//! One look, as plain text: for pipes, logs and tickets.

use std::time::Duration;

use super::ask;
use super::content::{self, Column, StyledText};
use super::state::{Pane, TopState};
use crate::cli::admin_client::AdminClient;

/// Between the two looks that a rate needs.
const APART: Duration = Duration::from_secs(1);

/// Rows of each table.
const ROWS: usize = 20;

/// Asks twice, so that there is a rate, and says what there is.
pub(super) fn snapshot(client: &AdminClient) -> Result<String, String> {
    let mut state = TopState::default();
    state.hear(Ok(Box::new(ask::snapshot(client)?)));
    std::thread::sleep(APART);
    state.hear(Ok(Box::new(ask::snapshot(client)?)));
    Ok(text(&state))
}

pub(super) fn text(state: &TopState) -> String {
    let Some(shown) = &state.shown else { return String::new() };
    let mut text = String::new();
    for line in content::header(shown) {
        line.iter().for_each(|piece| text.push_str(&piece.text));
        text.push('\n');
    }
    for pane in Pane::ALL {
        text.push_str(&format!("\n{}\n", content::title(pane, state)));
        let rows: Vec<_> = (0..state.rows(pane).min(ROWS)).map(|at| content::row(pane, &shown.snapshot, at)).collect();
        match rows.is_empty() {
            true => text.push_str("none\n"),
            false => text.push_str(&table(pane.columns(), &rows)),
        }
        let hidden = state.rows(pane) - rows.len();
        if hidden > 0 {
            text.push_str(&format!("and {hidden} more\n"));
        }
    }
    text
}

/// All columns, each as wide as its widest cell.
fn table(columns: &[Column], rows: &[Vec<StyledText>]) -> String {
    let widths = columns.iter().enumerate().map(|(at, column)| {
        let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.chars().count());
        cells.chain([column.title.len()]).max().unwrap_or_default()
    });
    let widths: Vec<_> = widths.collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells.zip(columns).zip(&widths).map(|((cell, column), width)| match column.right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(&mut columns.iter().map(|column| column.title));
    for row in rows {
        text.push_str(&line(&mut row.iter().map(|cell| cell.text.as_str())));
    }
    text
}
