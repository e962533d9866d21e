//! Carries out what the cluster's thread leaves to the daemon: scripts, agents, units, fence devices, programs kept running.

use super::{Order, words};
use evenkeel_agents::{Agents, Departed, Failed, Keeper, Notices, Places, fence};
use evenkeel_heartbeat::{Message, Value};
use evenkeel_model::heartbeat::{Heartbeat, NodeName};
use evenkeel_resource::{Outcome, Task};
use std::path::Path;
use tokio::sync::mpsc;

/// What came of it.
pub(crate) enum Deed {
    /// An action of a resource has ended.
    Done(Task, Outcome),
    /// An attempt to fence a node has ended: by what, or why not.
    Fenced(usize, Result<String, String>),
    /// A script told of a message did not end well.
    Notice(Failed),
    /// A program that is kept running has ended.
    Departed(Departed),
}

/// What carries out.
pub(crate) struct Hands {
    agents: Agents,
    notices: Option<Notices>,
    keeper: Keeper,
    places: Places,
    wanted: Heartbeat,
    /// No more can wait than were ordered, whose number is bounded by that of resources, nodes and programs.
    tell: mpsc::UnboundedSender<Deed>,
}

impl Hands {
    /// Begins with programs that are kept running.
    pub(super) fn new(wanted: &Heartbeat, tell: mpsc::UnboundedSender<Deed>) -> Hands {
        let places = places(wanted);
        // Nobody listens any more at the very end.
        let done = tell.clone();
        let agents = Agents::new(places.clone(), move |task, outcome| drop(done.send(Deed::Done(task, outcome))));
        let notices = notices(wanted, &places, &tell);
        let gone = tell.clone();
        let mut keeper = Keeper::new(move |departed| drop(gone.send(Deed::Departed(departed))));
        keeper.keep(&wanted.children, &places);
        Hands { agents, notices, keeper, places, wanted: wanted.clone(), tell }
    }

    /// Works with `wanted` from now on. What is under way goes on as it was begun.
    pub(super) fn configure(&mut self, wanted: &Heartbeat) {
        let places = places(wanted);
        if places != self.places || wanted.notify_dir != self.wanted.notify_dir {
            self.agents.move_to(places.clone());
            self.notices = notices(wanted, &places, &self.tell);
        }
        self.keeper.keep(&wanted.children, &places);
        (self.places, self.wanted) = (places, wanted.clone());
    }

    /// Begins with `order`; gives what cannot be done at all.
    pub(crate) fn take(&self, order: Order) -> Result<(), String> {
        match order {
            Order::Run(order) => self.agents.run(order),
            Order::Cancel(task) => self.agents.cancel(task),
            Order::Fence(node) => self.fence(node),
            Order::Notify(message) => return self.notify(&message),
        }
        Ok(())
    }

    fn fence(&self, node: usize) {
        let Some(name) = self.wanted.nodes.get(node).cloned() else { return };
        let (devices, places, tell) = (self.wanted.fences.clone(), self.places.clone(), self.tell.clone());
        tokio::task::spawn_local(async move {
            let result = fence(&devices, &name, &places).await;
            drop(tell.send(Deed::Fenced(node, result)));
        });
    }

    fn notify(&self, message: &Message) -> Result<(), String> {
        let Some(notices) = &self.notices else { return Ok(()) };
        let fields = message.fields().filter_map(|(name, value)| match value {
            Value::Text(text) => Some((name, text.as_str())),
            Value::Binary(_) => None,
        });
        notices.tell(message.kind(), fields)
    }

    /// The name of a node.
    pub(crate) fn node(&self, node: usize) -> &str {
        self.wanted.nodes.get(node).map_or("?", NodeName::as_str)
    }

    /// Ends the programs that are kept running.
    pub(crate) async fn stop(&mut self) {
        self.keeper.stop().await;
    }
}

fn places(wanted: &Heartbeat) -> Places {
    let directory = wanted.notify_dir.as_deref().and_then(Path::parent).unwrap_or(Path::new("/etc/ha.d"));
    let mut places = Places::of(wanted, directory);
    // Scripts of heartbeat find every directive. All nodes are too much for one variable.
    let parameters = words::parameters(wanted).into_iter().filter(|(name, _)| name != "node");
    places.environment.extend(parameters.map(|(name, value)| (format!("HA_{name}"), value)));
    places
}

fn notices(wanted: &Heartbeat, places: &Places, tell: &mpsc::UnboundedSender<Deed>) -> Option<Notices> {
    let (at, tell) = (wanted.notify_dir.clone()?, tell.clone());
    // Nobody listens any more at the very end.
    Some(Notices::start(at, places, move |failed| drop(tell.send(Deed::Notice(failed)))))
}
