//! How the live view looks.

use std::time::Duration;

use evenkeel_api::{RealServerStatus, ServerState, Status};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph, Row, Table};

use super::{Events, View};
use crate::client::Load;
use crate::narrator::text;

/// The window of the rates and times on screen.
const RECENT: Duration = Duration::from_secs(10);

pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let rows = view.status.as_ref().map_or(1, |status| status.services.iter().map(|s| s.real_servers.len() + 1).sum());
    let height = u16::try_from(rows).unwrap_or(u16::MAX).saturating_add(1);
    let [top, table, client, events, keys] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Length(height),
        Constraint::Length(2),
        Constraint::Min(3),
        Constraint::Length(2),
    ])
    .areas(frame.area());
    frame.render_widget(header(view), top);
    services(frame, view, table);
    frame.render_widget(requests(&view.load), client);
    history(frame, &view.events, events);
    frame.render_widget(footer(view), keys);
}

fn header(view: &View) -> Paragraph<'static> {
    let clock = clock(&view.events);
    let state = if view.director { "director running".green() } else { "director not running".red().bold() };
    let doors = view.status.as_ref().map(doors).unwrap_or_default();
    Paragraph::new(vec![
        Line::from(vec![Span::from(view.title.clone()).bold(), clock.into()]),
        Line::from(vec![state, Span::from(doors).dim()]),
    ])
}

/// `   01:23`
pub(super) fn clock(events: &Events) -> String {
    let seconds = events.begun.elapsed().as_secs();
    format!("   {:02}:{:02}", seconds / 60, seconds % 60)
}

fn doors(status: &Status) -> String {
    let doors = status.dataplane.attachments.iter();
    let doors: Vec<String> = doors.map(|door| format!("{} on {}", door.mode, door.interface)).collect();
    format!("   data plane {} ({})", status.dataplane.kind, doors.join(", "))
}

fn services(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let Some(status) = &view.status else {
        frame.render_widget(Paragraph::new("no answer from the director").dim(), area);
        return;
    };
    let mut rows = Vec::new();
    for service in &status.services {
        let fallback = service.fallback.as_ref().filter(|fallback| fallback.in_use);
        let note = fallback.map_or(String::new(), |fallback| format!("fallback {} answers", fallback.address));
        let name = format!("{} {}", service.name, service.address);
        rows.push(Row::new([name, service.scheduler.clone(), String::new(), String::new(), note]).bold());
        rows.extend(service.real_servers.iter().map(real_server));
    }
    let widths = [
        Constraint::Length(34),
        Constraint::Length(10),
        Constraint::Length(7),
        Constraint::Length(20),
        Constraint::Min(10),
    ];
    let heads = Row::new(["SERVICE", "STATE", "WEIGHT", "CONNECTIONS", "CHECK"]).dim();
    frame.render_widget(Table::new(rows, widths).header(heads), area);
}

fn real_server(server: &RealServerStatus) -> Row<'static> {
    let colour = match server.state {
        ServerState::Up => Color::Green,
        ServerState::Down => Color::Red,
        ServerState::Drained | ServerState::Disabled | ServerState::Unchecked => Color::Yellow,
    };
    let connections = format!("{} made, {} now", server.counters.connections, server.connections.active);
    Row::new([
        format!("  {} {}", server.name, server.address),
        server.state.to_string(),
        server.weight.to_string(),
        connections,
        server.reason.clone(),
    ])
    .style(Style::new().fg(colour))
}

pub(super) fn requests(load: &Load) -> Paragraph<'static> {
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

pub(super) fn history(frame: &mut Frame<'_>, events: &Events, area: Rect) {
    let height = usize::from(area.height.saturating_sub(1));
    let first = events.lines.len().saturating_sub(height);
    let lines = events.lines.iter().skip(first).map(|(at, event)| {
        let seconds = at.as_secs_f64();
        Line::from(vec![Span::from(format!("{seconds:9.3}  ")).dim(), Span::from(event.clone())])
    });
    let block = Block::new().borders(Borders::TOP);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).block(block), area);
}

fn footer(view: &View) -> Paragraph<'static> {
    let mut keys: Vec<String> = Vec::new();
    for (number, (name, running)) in (1..).zip(&view.servers) {
        keys.push(format!("{number} {} {name}", if *running { "stop" } else { "start" }));
    }
    keys.push(if view.director { "k kill -9 director".into() } else { "k start director".to_owned() });
    keys.push("d drain/undrain real-1".into());
    keys.push(if view.capturing { "c end capture".into() } else { "c capture".to_owned() });
    keys.push("q quit".into());
    Paragraph::new(keys.join("   ")).block(Block::new().borders(Borders::TOP)).bold()
}

#[cfg(test)]
mod tests {
    use evenkeel_api::{FallbackStatus, ServiceStatus};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    fn server(name: &str, state: ServerState, weight: u32) -> RealServerStatus {
        let address = "10.77.0.11:80".to_owned();
        let reason = "http 200 in 3 ms".to_owned();
        RealServerStatus { name: name.into(), address, state, weight, reason, ..RealServerStatus::default() }
    }

    fn screen(view: &View) -> String {
        let mut terminal = Terminal::new(TestBackend::new(110, 20)).unwrap();
        terminal.draw(|frame| draw(frame, view)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let width = usize::from(buffer.area.width);
        let symbols: Vec<&str> = buffer.content().iter().map(|cell| cell.symbol()).collect();
        symbols.chunks(width).map(|row| row.concat().trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn the_screen_shows_state_requests_events_and_keys() {
        let service = ServiceStatus {
            name: "web".into(),
            address: "10.77.0.100:80".into(),
            scheduler: "rr".into(),
            fallback: Some(FallbackStatus { address: "127.0.0.1:80".into(), in_use: true }),
            real_servers: vec![server("real-1", ServerState::Up, 1), server("real-2", ServerState::Down, 0)],
            ..ServiceStatus::default()
        };
        let status = Status { services: vec![service], ..Status::default() };
        let view = View::for_tests(Some(status), &["real-1    stopped"]);
        let text = screen(&view);
        for words in [
            "director running",
            "web 10.77.0.100:80",
            "fallback 127.0.0.1:80 answers",
            "real-1 10.77.0.11:80",
            "down",
            "failed 0",
            "real-1    stopped",
            "1 stop real-1",
            "q quit",
        ] {
            assert!(text.contains(words), "{words} is missing in\n{text}");
        }
    }

    #[test]
    fn a_director_that_does_not_answer_is_said_so() {
        let text = screen(&View::for_tests(None, &[]));
        assert!(text.contains("no answer from the director"), "{text}");
    }
}
