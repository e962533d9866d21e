//! How the live view of the pair looks.

use evenkeel_api::{ClusterStatus, NodeStatus};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Row, Table};

use super::{Seen, View};
use crate::live::screen;
use crate::pair::names;
use crate::topology::{PAIR, PAIR_VIP};

pub(super) fn draw(frame: &mut Frame<'_>, view: &View) {
    let groups = told(view).map_or(1, |cluster| cluster.groups.iter().map(|group| group.resources.len() + 1).sum());
    let tables = [screen::height(PAIR.len()) + 1, screen::height(groups)];
    let [nodes, table] = screen::draw(frame, &view.scene, state(view), tables, &keys(view));
    members(frame, view, nodes);
    resources(frame, view, table);
}

/// The cluster as the first node tells it that answers.
fn told(view: &View) -> Option<&ClusterStatus> {
    view.nodes.iter().find_map(cluster)
}

/// The cluster as a node tells it now.
fn cluster(seen: &Seen) -> Option<&ClusterStatus> {
    let speaks = seen.running && !seen.frozen;
    seen.status.as_ref().filter(|_| speaks).and_then(|status| status.cluster.as_ref())
}

fn state(view: &View) -> Line<'static> {
    let place = Span::from(format!("{PAIR_VIP} is at {}", names(view.owners)));
    Line::from(match view.owners.iter().filter(|has| **has).count() {
        1 => place.green(),
        _ => place.red().bold(),
    })
}

fn members(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let rows = PAIR.iter().zip(&view.nodes).map(|(name, seen)| {
        let (state, colour) = match (seen.running, seen.frozen) {
            (false, _) => ("not running", Color::Red),
            (true, true) => ("stands still", Color::Yellow),
            (true, false) => ("running", Color::Green),
        };
        let cable = |pulled: bool| if pulled { "pulled" } else { "in" }.to_owned();
        let [eth0, eth1] = seen.pulled;
        Row::new([(*name).to_owned(), state.to_owned(), cable(eth0), cable(eth1), said(name, seen)])
            .style(Style::new().fg(colour))
    });
    let widths = [
        Constraint::Length(6),
        Constraint::Length(13),
        Constraint::Length(8),
        Constraint::Length(8),
        Constraint::Min(20),
    ];
    let heads = Row::new(["NODE", "EVENKEEL", "ETH0", "ETH1", "SAYS OF THE OTHERS"]).dim();
    frame.render_widget(Table::new(rows, widths).header(heads), area);
}

/// `ha2 active by eth1, ping 10.168.0.1`
fn said(own: &str, seen: &Seen) -> String {
    let Some(cluster) = cluster(seen) else { return "no answer".to_owned() };
    let of = |node: &NodeStatus| {
        let up = node.links.iter().filter(|link| link.state == "up");
        let links: Vec<&str> = up.map(|link| link.name.as_str()).collect();
        let by = if links.is_empty() { String::new() } else { format!(" by {}", links.join(" and ")) };
        format!("{} {}{by}", node.name, node.state)
    };
    let others = cluster.nodes.iter().filter(|node| node.name != own).chain(&cluster.pings);
    others.map(of).collect::<Vec<_>>().join(", ")
}

fn resources(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let Some(cluster) = told(view) else {
        frame.render_widget(Paragraph::new("no answer from either node").dim(), area);
        return;
    };
    let mut rows = Vec::new();
    for group in &cluster.groups {
        let owner = group.owner.as_deref().map_or("on no node".to_owned(), |owner| format!("on {owner}"));
        rows.push(Row::new([group.name.clone(), owner, group.reason.clone()]).bold());
        let of = |one: &evenkeel_api::ResourceStatus| Row::new([format!("  {}", one.name), one.state.clone()]);
        rows.extend(group.resources.iter().map(of));
    }
    let widths = [Constraint::Length(36), Constraint::Length(12), Constraint::Min(20)];
    let told = cluster.nodes.iter().find(|node| node.heard_ms.is_none()).map_or("", |node| node.name.as_str());
    let heads = Row::new(["GROUP".to_owned(), format!("ON {told}").trim_end().to_owned(), "WHY".to_owned()]).dim();
    frame.render_widget(Table::new(rows, widths).header(heads), area);
}

fn keys(view: &View) -> Vec<String> {
    let mut keys = Vec::new();
    for (key, (name, seen)) in ["1", "2"].into_iter().zip(PAIR.iter().zip(&view.nodes)) {
        keys.push(format!("{key} {} {name}", if seen.running { "kill -9" } else { "start" }));
    }
    for (key, (name, seen)) in ["3", "4"].into_iter().zip(PAIR.iter().zip(&view.nodes)) {
        keys.push(format!("{key} {} {name}", if seen.frozen { "wake" } else { "freeze" }));
    }
    for (eth, of) in [["5", "6"], ["7", "8"]].into_iter().enumerate() {
        for (key, (name, seen)) in of.into_iter().zip(PAIR.iter().zip(&view.nodes)) {
            let pulled = seen.pulled.get(eth).copied().unwrap_or_default();
            keys.push(format!("{key} {} eth{eth} of {name}", if pulled { "plug" } else { "pull" }));
        }
    }
    keys.push("m move in order".to_owned());
    keys.push("h heal all".to_owned());
    keys.push("q quit".to_owned());
    keys
}

#[cfg(test)]
mod tests {
    use evenkeel_api::{GroupStatus, LinkStatus, ResourceStatus, Status};

    use super::*;
    use crate::client::Load;

    fn node(name: &str, state: &str, heard_ms: Option<u64>) -> NodeStatus {
        let link = LinkStatus { name: "eth1".into(), state: "up".into(), since_s: 1 };
        NodeStatus { name: name.into(), state: state.into(), heard_ms, links: vec![link], ..NodeStatus::default() }
    }

    fn running() -> Seen {
        let resource = ResourceStatus { name: "nginx".into(), state: "running".into(), ..ResourceStatus::default() };
        let group = GroupStatus {
            name: "10.168.0.160/24/eth0".into(),
            owner: Some("ha1".into()),
            reason: "nobody had it".into(),
            resources: vec![resource],
            ..GroupStatus::default()
        };
        let cluster = ClusterStatus {
            nodes: vec![node("ha1", "active", None), node("ha2", "active", Some(3))],
            groups: vec![group],
            ..ClusterStatus::default()
        };
        let status = Status { cluster: Some(cluster), ..Status::default() };
        Seen { running: true, status: Some(status), ..Seen::default() }
    }

    fn shown(view: &View) -> String {
        screen::shown((80, 24), |frame| draw(frame, view))
    }

    #[test]
    fn the_screen_shows_nodes_links_groups_owners_requests_and_keys() {
        let mut view = View::new(Load::idle());
        view.nodes = [running(), Seen { pulled: [true, false], ..Seen::default() }];
        view.owners = [true, false];
        view.tell("ha2    kill -9 of evenkeel");
        let text = shown(&view);
        for words in [
            "10.168.0.160 is at ha1",
            "ha1    running",
            "ha2 active by eth1",
            "ha2    not running   pulled   in       no answer",
            "10.168.0.160/24/eth0                 on ha1",
            "nobody had it",
            "  nginx                              running",
            "failed 0",
            "ha2    kill -9 of evenkeel",
            "1 kill -9 ha1   2 start ha2   3 freeze ha1",
            "5 pull eth0 of ha1\n6 plug eth0 of ha2",
            "m move in order\nh heal all   q quit",
        ] {
            assert!(text.contains(words), "{words} is missing in\n{text}");
        }
    }

    #[test]
    fn two_owners_and_nodes_that_do_not_answer_are_said_so() {
        let mut view = View::new(Load::idle());
        view.nodes[0] = Seen { frozen: true, ..running() };
        view.owners = [true, true];
        let text = shown(&view);
        for words in ["is at ha1 and ha2", "no answer from either node", "stands still", "3 wake ha1"] {
            assert!(text.contains(words), "{words} is missing in\n{text}");
        }
    }
}
