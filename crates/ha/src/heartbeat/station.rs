//! The loop: what has come is heard first, then what is due is done, then everything is carried out.

use super::{Command, News, addresses::Addresses, media::Media};
use crate::{events::Events, links::Links, tally::Tallies, teller::Orders};
use evenkeel_cluster::{Input, Node, Output};
use evenkeel_heartbeat::{self as heartbeat, Identity, Reason, Receiver, codec};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::heartbeat::{Agent, Group, Heartbeat, IpResource, Keys, NodeName};
use evenkeel_netlink::{Announcer, Event, Monitor};
use evenkeel_os::Watchdog;
use evenkeel_resource::{Action, Order, Outcome, Standing};
use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};

/// Messages read from one socket before timers have their turn.
const BATCH: usize = 256;
/// How much longer than the others wait the watchdog does, as heartbeat has it.
const WATCHDOG_MORE: Duration = Duration::from_millis(10);
/// Keys of what the loop waits for besides media.
const WAKE: u64 = u64::MAX - 1;
const MONITOR: u64 = u64::MAX - 2;

/// Everything the thread owns.
pub(super) struct Station {
    node: Node,
    receiver: Receiver,
    keys: Keys,
    wanted: Heartbeat,
    media: Media,
    addresses: Addresses,
    watchdog: Option<Watchdog>,
    links: Links,
    monitor: Monitor,
    events: Events,
    orders: Orders<Command>,
    tell: Box<dyn FnMut(News) + Send>,
    out: Outbox<Output>,
    dropped: Tallies<(Reason, Option<IpAddr>)>,
    troubles: Tallies<String>,
    /// Seconds since 1970, as the node was told last.
    told: u64,
    /// When leases are renewed at the latest.
    renew_at: Instant,
    buffer: Vec<u8>,
    readable: Vec<u64>,
    /// Media have to be looked at anew.
    stale: bool,
    /// The paths the node was told.
    paths: Vec<String>,
    /// The addresses of groups that the daemon was told of.
    present: super::Addresses,
    /// The watchdog is to restart this host.
    condemned: bool,
    ended: bool,
}

impl Station {
    /// Makes everything that can fail.
    pub(super) fn prepare(
        wanted: Heartbeat,
        identity: Identity,
        guard: std::process::Command,
        orders: Orders<Command>,
        mut tell: Box<dyn FnMut(News) + Send>,
    ) -> Result<Station, String> {
        let events = Events::open()?;
        // Listening before looking: nothing that changes in between is missed.
        let monitor = Monitor::open().map_err(|e| e.to_string())?;
        let mut addresses = Addresses::open(wanted.timing.deadtime, events.now())?;
        let links = addresses.look().map_err(|e| e.to_string())?;
        if wanted.groups.iter().flat_map(ips).next().is_some()
            && let Err(why) = addresses.guard(guard, events.now())
        {
            tell(News::Trouble(format!("cannot {why}: if this program is killed, addresses end with their lease")));
        }
        events.add(&*orders.wake, WAKE)?;
        events.add(&monitor, MONITOR)?;
        let receiver = Receiver::new(wanted.node.clone(), identity.uuid, known(&wanted), wanted.keys.clone());
        let renew_at = events.now();
        let asker = Announcer::open().map_err(|e| e.to_string())?;
        Ok(Station {
            node: Node::new(&wanted, identity, events.now()),
            receiver,
            keys: wanted.keys.clone(),
            media: Media::new(&wanted, asker),
            wanted,
            addresses,
            watchdog: None,
            links,
            monitor,
            events,
            orders,
            tell,
            out: Outbox::new(),
            dropped: Tallies::new(),
            troubles: Tallies::new(),
            told: 0,
            renew_at,
            buffer: vec![0; heartbeat::LONGEST],
            readable: Vec::new(),
            stale: false,
            paths: Vec::new(),
            present: super::Addresses::default(),
            condemned: false,
            ended: false,
        })
    }

    /// Until everything is given up. `ready`: what this node serves is checked already.
    pub(super) fn run(mut self, ready: bool) {
        for refused in [evenkeel_os::be_realtime(), evenkeel_os::lock_memory()] {
            if let Err(e) = refused {
                self.complain(format!("cannot {e}: on a busy machine statuses may be late"));
            }
        }
        self.open_watchdog();
        self.open_media();
        // What is here before anything is taken.
        self.tell_addresses();
        self.handle(Input::Ready(ready));
        self.handle(Input::Start);
        while !self.ended {
            if let Err(why) = self.turn() {
                // Nothing can be waited for any more: the addresses end with their leases.
                return (self.tell)(News::Trouble(why));
            }
        }
        self.close_watchdog();
    }

    fn handle(&mut self, input: Input) {
        let now = self.look_at_clock();
        self.node.handle(now, input, &mut self.out);
        self.carry_out();
    }

    /// Tells the node the time of day and the load, which its messages carry.
    fn look_at_clock(&mut self) -> Instant {
        let now = self.events.now();
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        if unix.as_secs() != self.told {
            self.told = unix.as_secs();
            // A host without /proc tells none.
            let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
            self.node.clock(now, unix, load.trim());
        }
        now
    }

    /// One turn of the loop.
    fn turn(&mut self) -> Result<(), String> {
        let mut readable = std::mem::take(&mut self.readable);
        let deadlines = [self.node.deadline(), self.addresses.deadline(), self.media.deadline(), Some(self.renew_at)];
        let waited = self.events.wait(deadlines.into_iter().flatten().min(), &mut readable);
        for &key in &readable {
            match key {
                MONITOR => self.hear_links(),
                WAKE => self.take_commands(),
                key => self.hear(key),
            }
        }
        self.readable = readable;
        waited?;
        let now = self.look_at_clock();
        if std::mem::take(&mut self.stale) || self.media.deadline().is_some_and(|due| due <= now) {
            self.open_media();
        }
        if self.node.deadline().is_some_and(|due| due <= now) {
            self.node.handle_timeout(now, &mut self.out);
            self.carry_out();
        }
        self.addresses.announce_due(&self.links, now);
        if self.renew_at <= now {
            self.renew(now, None);
        }
        Ok(())
    }

    /// A node that was frozen has heard by now what became of its groups, and given up what it has to.
    /// `counted`: a status leaves now, from which the others count this dead time.
    fn renew(&mut self, now: Instant, counted: Option<Duration>) {
        if self.addresses.have_lapsed(now) {
            self.let_lapse();
        }
        let trouble = counted.and_then(|dead_time| self.addresses.count_from(now, dead_time));
        self.addresses.renew(now);
        self.renew_at = now + self.addresses.renewal();
        let refused: Vec<String> = self.addresses.refusals().chain(trouble).collect();
        refused.into_iter().for_each(|why| self.complain(why));
    }

    /// Addresses of groups that this node gives up are not put back on the way.
    fn let_lapse(&mut self) {
        let report = self.node.report();
        let stays = |standing: Standing| matches!(standing, Standing::Starting | Standing::Running);
        let groups = self.wanted.groups.iter().zip(&report.groups);
        self.addresses.keep(groups.filter(|(_, group)| stays(group.standing)).flat_map(|(group, _)| ips(group)));
    }

    fn take_commands(&mut self) {
        self.orders.heard();
        while let Some(command) = self.orders.take() {
            match command {
                Command::Ready(ready) => self.handle(Input::Ready(ready)),
                Command::Done { task, outcome } => self.handle(Input::Done { task, outcome }),
                Command::Fenced { node, ok } => self.handle(Input::Fenced { node, ok }),
                Command::Request { id, what } => self.handle(Input::Request { id, what }),
                Command::ConfirmStopped(group) => self.handle(Input::ConfirmStopped(group)),
                Command::Report => {
                    let report = self.node.report();
                    (self.tell)(News::Report(Box::new(report), self.events.now()));
                }
                Command::Configure { wanted, configuration } => self.configure(wanted, configuration),
                Command::Restart => self.condemned = true,
                Command::Stop => self.handle(Input::Stop),
            }
        }
    }

    /// Takes part as `wanted` has it from now on.
    fn configure(&mut self, wanted: Box<Heartbeat>, configuration: u64) {
        // In whatever is told from here on places are the new ones.
        (self.tell)(News::Configured(wanted.clone()));
        self.receiver.change_keys(wanted.keys.clone());
        self.receiver.listen_to(known(&wanted));
        self.keys = wanted.keys.clone();
        self.media.configure(&wanted);
        let guarded = |cluster: &Heartbeat| (cluster.watchdog.clone(), cluster.timing.deadtime);
        let other_guard = guarded(&wanted) != guarded(&self.wanted);
        // Before the status that tells the others how long to wait.
        self.addresses.last(wanted.timing.deadtime);
        self.wanted = (*wanted).clone();
        if other_guard {
            self.close_watchdog();
            self.open_watchdog();
        }
        self.handle(Input::Configure { wanted, configuration });
        self.open_media();
        self.tell_addresses();
    }

    /// Reads what waits on a medium or came from a ping node.
    fn hear(&mut self, key: u64) {
        for _ in 0..BATCH {
            let (path, length, source) = match self.media.receive(key, &mut self.buffer) {
                Ok(Some(received)) => received,
                Ok(None) => return,
                Err(why) => {
                    self.stale = true;
                    return self.complain(why);
                }
            };
            let trouble = self.media.heard(path, &self.links, self.events.now());
            trouble.into_iter().for_each(|why| self.complain(why));
            let bytes = self.buffer.get(..length).unwrap_or_default();
            match self.receiver.receive(bytes) {
                Ok(message) => {
                    if let Some(path) = self.media.sender(path, source, &message) {
                        self.handle(Input::Heard { path, message });
                    }
                }
                Err(Reason::Own) => {}
                Err(reason) => {
                    let now = self.events.now();
                    if let Some(count) = self.dropped.count(now, (reason, source)) {
                        (self.tell)(News::Dropped { reason, source, count });
                    }
                }
            }
        }
    }

    fn hear_links(&mut self) {
        let events = match self.monitor.read_events() {
            Ok(events) => events,
            Err(e) => return self.complain(e.to_string()),
        };
        let mut changed = false;
        for event in events {
            changed |= match event {
                Event::Overrun => self.look_anew(),
                event => self.links.take(event),
            };
        }
        if changed {
            // What the kernel took from a host that stood still comes back when the cluster has had its say, if at all.
            if !self.addresses.have_lapsed(self.events.now()) {
                let refused = self.addresses.restore(&self.links);
                refused.into_iter().for_each(|why| self.complain(why));
            }
            self.open_media();
            self.tell_addresses();
        }
    }

    fn tell_addresses(&mut self) {
        let present = self.addresses.present(self.wanted.groups.iter().flat_map(ips), &self.links);
        if present != self.present {
            self.present.clone_from(&present);
            (self.tell)(News::Addresses(present));
        }
    }

    fn look_anew(&mut self) -> bool {
        match self.addresses.look() {
            Ok(links) => self.links = links,
            Err(e) => self.complain(e.to_string()),
        }
        true
    }

    /// Opens the sockets of media whose interfaces are there, and tells the node which can be sent on.
    fn open_media(&mut self) {
        let (turned, troubles) = self.media.follow(&self.links, &self.events, self.events.now());
        troubles.into_iter().for_each(|why| self.complain(why));
        for (medium, up) in turned {
            self.handle(Input::Medium { medium, up });
        }
        let paths = self.addresses.paths(self.wanted.groups.iter().flat_map(ips), &self.links);
        if paths != self.paths {
            self.paths.clone_from(&paths);
            self.handle(Input::Paths(paths));
        }
    }

    fn carry_out(&mut self) {
        while let Some(output) = self.out.pop() {
            match output {
                Output::Transmit { medium, message } => {
                    let bytes = codec::encode(&message, self.wanted.form.into(), &self.keys);
                    let text = if self.media.has_serial() {
                        codec::encode(&message, codec::Form::Text, &self.keys)
                    } else {
                        Vec::new()
                    };
                    let failed = self.media.send(medium, (&bytes, &text), &self.links, self.events.now());
                    failed.into_iter().for_each(|why| self.complain(why));
                }
                Output::Ping { ping, message } => {
                    let bytes = codec::encode(&message, self.wanted.form.into(), &self.keys);
                    let failed = self.media.ping(ping, &bytes);
                    failed.into_iter().for_each(|why| self.complain(why));
                }
                // Before the status leaves that others count from.
                Output::Pet { dead_time, watchdog } => {
                    self.renew(self.events.now(), Some(dead_time));
                    if watchdog {
                        self.pet();
                    }
                }
                Output::Run(order) => self.run_order(order),
                Output::Announce { group } => self.announce(group),
                Output::Cancel(task) => (self.tell)(News::Cancel(task)),
                Output::Fence { node } => (self.tell)(News::Fence { node }),
                Output::Notify { message } => (self.tell)(News::Notify(message)),
                Output::Answer { id, result } => (self.tell)(News::Answer { id, result }),
                Output::Turned { group, standing, why } => (self.tell)(News::Turned { group, standing, why }),
                Output::Remark { group, remark } => (self.tell)(News::Remark { group, remark }),
                Output::Tell(news) => self.tell_news(news),
                Output::Stopped => self.ended = true,
            }
        }
    }

    /// Where an evenkeel has its resource addresses, it is spoken to as well.
    fn tell_news(&mut self, news: heartbeat::News) {
        if let heartbeat::News::Evenkeel { node, paths, .. } = &news {
            self.stale |= self.media.learn(*node, paths);
        }
        (self.tell)(News::Told(news));
    }

    /// Without it the cluster goes on, as with heartbeat.
    fn open_watchdog(&mut self) {
        let (Some(device), None) = (&self.wanted.watchdog, &self.watchdog) else { return };
        match Watchdog::open(device, self.wanted.timing.deadtime + WATCHDOG_MORE) {
            Ok(watchdog) => {
                if watchdog.has_no_way_out() {
                    let text = format!(
                        "{} cannot be stopped again (nowayout): the end of this program will restart the host",
                        device.display()
                    );
                    self.complain(text);
                }
                self.watchdog = Some(watchdog);
            }
            Err(e) => self.complain(format!("cannot {e}: this host is not restarted if evenkeel hangs")),
        }
    }

    fn pet(&mut self) {
        if self.condemned {
            return;
        }
        if let Some(Err(e)) = self.watchdog.as_ref().map(Watchdog::pet) {
            self.complain(format!("cannot {e}"));
        }
    }

    /// While something of a group cannot be stopped, or the host is to be restarted, it goes on counting.
    fn close_watchdog(&mut self) {
        let stuck = self.node.report().groups.iter().any(|group| group.standing == Standing::Stuck);
        if stuck || self.condemned {
            return;
        }
        if let Some(Err(e)) = self.watchdog.take().map(Watchdog::close) {
            self.complain(format!("cannot {e}"));
        }
    }

    /// Addresses, and what has nothing to run, are done here; the rest is the daemon's.
    fn run_order(&mut self, order: Order) {
        let outcome = match &order.resource.agent {
            Agent::Ip(ip) => self.run_address(ip, order.action),
            Agent::Services { .. } => Outcome::Done,
            Agent::Script { .. } | Agent::Ocf { .. } | Agent::Systemd { .. } => return (self.tell)(News::Run(order)),
        };
        let input = Input::Done { task: order.task, outcome };
        self.node.handle(self.events.now(), input, &mut self.out);
    }

    fn run_address(&mut self, ip: &IpResource, action: Action) -> Outcome {
        let now = self.events.now();
        let done = match action {
            Action::Start => self.addresses.start(ip, &self.links, now),
            Action::Stop => self.addresses.stop(ip, &self.links),
            Action::Status if self.addresses.holds(ip) => Ok(()),
            Action::Monitor if self.addresses.has(ip, &self.links) => Ok(()),
            Action::Status | Action::Monitor => return Outcome::NotRunning,
        };
        done.map_or_else(|why| Outcome::Failed { why }, |()| Outcome::Done)
    }

    fn announce(&mut self, group: usize) {
        let now = self.events.now();
        if let Some(group) = self.wanted.groups.get(group) {
            self.addresses.announce(ips(group), &self.links, now);
        }
    }

    /// Says once a minute what does not work.
    fn complain(&mut self, why: String) {
        let now = self.events.now();
        if self.troubles.count(now, why.clone()).is_some() {
            (self.tell)(News::Trouble(why));
        }
    }
}

/// Nodes and ping nodes: who may be heard.
fn known(wanted: &Heartbeat) -> impl Iterator<Item = NodeName> {
    wanted.nodes.iter().chain(wanted.pings.iter().map(|ping| &ping.name)).cloned()
}

/// The addresses of a group.
fn ips(group: &Group) -> impl Iterator<Item = &IpResource> {
    group.resources.iter().filter_map(|resource| match &resource.agent {
        Agent::Ip(ip) => Some(ip),
        Agent::Script { .. } | Agent::Ocf { .. } | Agent::Systemd { .. } | Agent::Services { .. } => None,
    })
}
