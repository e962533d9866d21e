//! What all live views look like: what is theirs stands between the title and the client's requests.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Stylize;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};

use super::Scene;
use crate::client::Load;
use crate::narrator::text;

/// The window of the rates and times on screen.
const RECENT: Duration = Duration::from_secs(10);

/// Draws what all views have, with a `state` below the title; the place in between, for tables of these heights.
pub(super) fn draw<const TABLES: usize>(
    frame: &mut Frame<'_>,
    scene: &Scene,
    state: Line<'static>,
    tables: [u16; TABLES],
    keys: &[String],
) -> [Rect; TABLES] {
    let middle = tables.iter().fold(0, |sum: u16, height| sum.saturating_add(*height));
    let keys = in_lines(keys, usize::from(frame.area().width));
    let [top, middle, client, events, bottom] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(middle),
        Constraint::Length(2),
        Constraint::Min(3),
        Constraint::Length(height(keys.len())),
    ])
    .areas(frame.area());
    frame.render_widget(header(scene, state), top);
    frame.render_widget(requests(&scene.load), client);
    history(frame, scene, events);
    frame.render_widget(footer(keys), bottom);
    Layout::vertical(tables.map(Constraint::Length)).areas(middle)
}

/// The height of a table with a head and this many rows.
pub(super) fn height(rows: usize) -> u16 {
    u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(1)
}

fn header(scene: &Scene, state: Line<'static>) -> Paragraph<'static> {
    let seconds = scene.begun.elapsed().as_secs();
    let clock = format!("   {:02}:{:02}", seconds / 60, seconds % 60);
    Paragraph::new(vec![Line::from(vec![Span::from(scene.title.clone()).bold(), clock.into()]), state])
}

fn requests(load: &Load) -> Paragraph<'static> {
    let (recent, total) = load.recent(RECENT);
    let failed = recent.failed();
    let answers: Vec<String> = recent.bodies().iter().map(|(body, count)| format!("{body} {count}")).collect();
    let failed = Span::from(format!("failed {failed}"));
    Paragraph::new(vec![
        Line::from(vec![
            format!("client  {total} requests; last {} s: {}  ", RECENT.as_secs(), recent.total()).into(),
            if recent.failed() == 0 { failed } else { failed.red().bold() },
            format!("  p99 {}  longest gap {}", text(recent.p99()), text(recent.longest_gap())).into(),
        ]),
        Line::from(format!("        answered by {}", answers.join(", "))).dim(),
    ])
}

fn history(frame: &mut Frame<'_>, scene: &Scene, area: Rect) {
    let height = usize::from(area.height.saturating_sub(1));
    let first = scene.events.len().saturating_sub(height);
    let lines = scene.events.iter().skip(first).map(|(at, event)| {
        let seconds = at.as_secs_f64();
        Line::from(vec![Span::from(format!("{seconds:9.3}  ")).dim(), Span::from(event.clone())])
    });
    let block = Block::new().borders(Borders::TOP);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

/// Keys beside each other, as many as fit into a line.
fn in_lines(keys: &[String], width: usize) -> Vec<String> {
    const BETWEEN: &str = "   ";
    let mut lines: Vec<String> = Vec::new();
    for key in keys {
        match lines.last_mut().filter(|line| line.len() + BETWEEN.len() + key.len() <= width) {
            Some(line) => *line = [line.as_str(), key].join(BETWEEN),
            None => lines.push(key.clone()),
        }
    }
    lines
}

fn footer(keys: Vec<String>) -> Paragraph<'static> {
    let block = Block::new().borders(Borders::TOP);
    Paragraph::new(keys.into_iter().map(Line::from).collect::<Vec<_>>()).block(block).bold()
}

/// What a terminal of so many columns and lines shows.
#[cfg(test)]
pub(super) fn shown((width, height): (u16, u16), draw: impl FnOnce(&mut Frame<'_>)) -> String {
    let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(width, height)).unwrap();
    terminal.draw(draw).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let width = usize::from(buffer.area.width);
    let symbols: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
    symbols.chunks(width).map(|row| row.concat().trim_end().to_owned() + "\n").collect()
}
