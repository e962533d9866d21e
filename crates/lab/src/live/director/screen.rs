//! How the live view of a director looks.

use evenkeel_api::{RealServerStatus, ServerState, Status};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Table};

use super::View;
use crate::live::screen;

pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let rows = view.status.as_ref().map_or(1, |status| status.services.iter().map(|s| s.real_servers.len() + 1).sum());
    let [table] = screen::draw(frame, &view.scene, state(view), [screen::height(rows)], &keys(view));
    services(frame, view, table);
}

fn state(view: &View) -> Line<'static> {
    let state = if view.director { "director running".green() } else { "director not running".red().bold() };
    let doors = view.status.as_ref().map(doors).unwrap_or_default();
    Line::from(vec![state, Span::from(doors).dim()])
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

fn keys(view: &View) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for (number, (name, running)) in (1..).zip(&view.servers) {
        keys.push(format!("{number} {} {name}", if *running { "stop" } else { "start" }));
    }
    keys.push(if view.director { "k kill -9 director".into() } else { "k start director".to_owned() });
    keys.push("d drain/undrain real-1".into());
    keys.push(if view.capturing { "c end capture".into() } else { "c capture".to_owned() });
    keys.push("q quit".into());
    keys
}

#[cfg(test)]
mod tests {
    use evenkeel_api::{FallbackStatus, ServiceStatus};

    use super::*;
    use crate::client::Load;
    use crate::live::Scene;

    fn server(name: &str, state: ServerState, weight: u32) -> RealServerStatus {
        let address = "10.77.0.11:80".to_owned();
        let reason = "http 200 in 3 ms".to_owned();
        RealServerStatus { name: name.into(), address, state, weight, reason, ..RealServerStatus::default() }
    }

    fn view(status: Option<Status>) -> View {
        let scene = Scene::new("evenkeel lab".to_owned(), Load::idle());
        View { status, servers: vec![("real-1".to_owned(), true)], ..View::new(scene) }
    }

    fn shown(view: &View) -> String {
        screen::shown((130, 24), |frame| draw(frame, view))
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
        let mut view = view(Some(status));
        view.tell("real-1    stopped");
        let text = shown(&view);
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
        let text = shown(&view(None));
        assert!(text.contains("no answer from the director"), "{text}");
    }
}
