//! The live view of `evenkeel lab heartbeat`: the pair stays up, shows who has what, and takes keys that break it.

mod screen;

use std::net::SocketAddr;

use evenkeel_api::{ClusterStatus, Status};
use ratatui::Frame;
use rustix::process::Signal;

use super::{Live, Scene, States, show};
use crate::args::LabArgs;
use crate::client::Load;
use crate::error::{Context, Error};
use crate::interrupt::Interrupt;
use crate::pair::{Owners, Pair, names};
use crate::topology::{PAIR, PAIR_VIP};

/// The switch ports of each node: its eth0 and its eth1.
const PORTS: [[&str; 2]; 2] = [["ha1", "line1"], ["ha2", "line2"]];

/// How a node stands.
#[derive(Clone, Debug, Default)]
struct Seen {
    running: bool,
    frozen: bool,
    /// eth0 and eth1.
    pulled: [bool; 2],
    /// What it says itself.
    status: Option<Status>,
}

/// Everything the screen shows.
struct View {
    scene: Scene,
    nodes: [Seen; 2],
    owners: Owners,
}

impl View {
    fn new(load: Load) -> View {
        let title = format!("evenkeel lab - heartbeat   client -> {PAIR_VIP} on ha1 or ha2");
        View { scene: Scene::new(title, load), nodes: [Seen::default(), Seen::default()], owners: [false, false] }
    }

    fn tell(&mut self, event: impl Into<String>) {
        self.scene.tell(event);
    }
}

/// Builds the pair and shows it until `q`.
pub(crate) fn run(arguments: &LabArgs) -> Result<(), Error> {
    let interrupt = Interrupt::listen()?;
    let program = std::env::current_exe().context("find this program")?;
    let mut pair = Pair::raise(arguments.name(), &program)?;
    for member in &mut pair.members {
        member.start()?;
    }
    let target = SocketAddr::new(PAIR_VIP, 80);
    let mut view = View::new(pair.client.load(target, arguments.rate.max(1))?);
    view.tell("both nodes run; statuses every 200 ms, dead after 1.5 s");
    let client = pair.client.node().namespace();
    view.tell(format!("look around: ip netns exec {client} curl http://{target}/"));
    let states = pair.members.each_ref().map(|member| States::of(member.evenkeel.asker()));
    let mut hands = Hands { pair: &mut pair, states, view };
    let outcome = show(&mut hands, &interrupt);
    // The client's requests end before the client does.
    drop(hands);
    // What is frozen cannot be told to end.
    let ended = pair.end();
    outcome?;
    ended
}

/// What the keys work on.
struct Hands<'a> {
    pair: &'a mut Pair,
    states: [States; 2],
    view: View,
}

impl Live for Hands<'_> {
    fn look(&mut self) -> Result<(), Error> {
        for (node, states) in self.states.iter().enumerate() {
            for status in states.since() {
                note_changes(&mut self.view, node, status);
            }
        }
        for (member, (name, node)) in self.pair.members.iter_mut().zip(PAIR.iter().zip(0..)) {
            let running = member.evenkeel.is_running();
            if self.view.nodes[node].running && !running {
                self.view.tell(format!("{name}    evenkeel has ended"));
            }
            self.view.nodes[node].running = running;
        }
        let owners = self.pair.owners()?;
        if owners != self.view.owners {
            self.view.tell(format!("address   at {}", names(owners)));
            self.view.owners = owners;
        }
        Ok(())
    }

    fn draw(&self, frame: &mut Frame<'_>) {
        screen::draw(frame, &self.view);
    }

    fn press(&mut self, key: char) -> Result<(), Error> {
        match key {
            '1' | '2' => self.toggle_node(usize::from(key == '2'), key),
            '3' | '4' => self.toggle_freeze(usize::from(key == '4'), key),
            '5' | '6' => self.toggle_cable((usize::from(key == '6'), 0), key),
            '7' | '8' => self.toggle_cable((usize::from(key == '8'), 1), key),
            'm' => self.hand_over(),
            'h' => self.heal(),
            _ => Ok(()),
        }
    }

    fn tell(&mut self, event: String) {
        self.view.tell(event);
    }
}

impl Hands<'_> {
    fn toggle_node(&mut self, node: usize, key: char) -> Result<(), Error> {
        let member = &mut self.pair.members[node];
        if member.evenkeel.is_running() {
            member.evenkeel.kill()?;
            self.view
                .tell(format!("{}    kill -9 of evenkeel (you pressed {key}); its address serves on", member.name));
        } else {
            member.spawn()?;
            self.view.tell(format!("{}    evenkeel started (you pressed {key})", member.name));
        }
        self.view.nodes[node].frozen = false;
        Ok(())
    }

    fn toggle_freeze(&mut self, node: usize, key: char) -> Result<(), Error> {
        let member = &mut self.pair.members[node];
        if !member.evenkeel.is_running() {
            return Ok(());
        }
        let frozen = !self.view.nodes[node].frozen;
        member.evenkeel.signal(if frozen { Signal::STOP } else { Signal::CONT })?;
        self.view.nodes[node].frozen = frozen;
        let did = if frozen { "stands still" } else { "goes on" };
        self.view.tell(format!("{}    evenkeel {did} (you pressed {key})", member.name));
        Ok(())
    }

    fn toggle_cable(&mut self, (node, eth): (usize, usize), key: char) -> Result<(), Error> {
        let pulled = !self.view.nodes[node].pulled[eth];
        self.pair.plug(&[PORTS[node][eth]], !pulled)?;
        self.view.nodes[node].pulled[eth] = pulled;
        let did = if pulled { "pulled" } else { "put back" };
        self.view.tell(format!("{}    the cable of eth{eth} is {did} (you pressed {key})", PAIR[node]));
        Ok(())
    }

    /// Gives everything to the other node, in order.
    fn hand_over(&mut self) -> Result<(), Error> {
        let Some(node) = (0..2).find(|node| self.view.owners[*node] && !self.view.nodes[*node].frozen) else {
            return Ok(());
        };
        let evenkeel = &self.pair.members[node].evenkeel;
        evenkeel.node().output(evenkeel.command(&["standby", "all"]))?;
        self.view.tell(format!("{}    evenkeel standby all (you pressed m)", PAIR[node]));
        Ok(())
    }

    /// All cables in, and both nodes at work.
    fn heal(&mut self) -> Result<(), Error> {
        self.pair.plug(PORTS.as_flattened(), true)?;
        for (member, seen) in self.pair.members.iter_mut().zip(&mut self.view.nodes) {
            seen.pulled = [false, false];
            if std::mem::take(&mut seen.frozen) {
                member.evenkeel.signal(Signal::CONT)?;
            }
            if !member.evenkeel.is_running() {
                member.spawn()?;
            }
        }
        self.view.tell("all cables are in and both nodes run (you pressed h)");
        Ok(())
    }
}

/// Puts a new state in the place of the old one, and tells what is different of what this node says of others.
fn note_changes(view: &mut View, node: usize, status: Option<Status>) {
    let old = std::mem::replace(&mut view.nodes[node].status, status);
    let cluster = |status: Option<Status>| status.and_then(|status| status.cluster);
    let (Some(old), Some(new)) = (cluster(old), cluster(view.nodes[node].status.clone())) else { return };
    for event in changes(&old, &new) {
        view.tell(format!("{}    says: {event}", PAIR[node]));
    }
}

fn changes(old: &ClusterStatus, new: &ClusterStatus) -> Vec<String> {
    let nodes = |cluster: &ClusterStatus| cluster.nodes.iter().chain(&cluster.pings).cloned().collect::<Vec<_>>();
    let mut events = Vec::new();
    for (was, is) in nodes(old).iter().zip(&nodes(new)) {
        if was.state != is.state {
            events.push(format!("{} is {}: {}", is.name, is.state, is.reason));
        }
    }
    for (was, is) in old.groups.iter().zip(&new.groups) {
        if was.state != is.state {
            events.push(format!("{} {}: {}", is.name, is.state, is.reason));
        }
    }
    events
}
