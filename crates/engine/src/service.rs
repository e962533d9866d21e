//! What the engine holds of a virtual service, and what the data plane's table should say of it.

use crate::watches::{Slot, Watches};
use evenkeel_api::ServerState;
use evenkeel_dataplane::{self as dataplane, ServiceOptions};
use evenkeel_health::State;
use evenkeel_machine::Instant;
use evenkeel_model::{
    Alerts, Fallback, FallbackCommand, Forwarding, OnFail, Quorum, ServiceKey, StartState, Thresholds, Weight,
};
use std::{net::SocketAddr, path::PathBuf};

/// A virtual service.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    pub(crate) key: ServiceKey,
    pub(crate) options: ServiceOptions,
    pub(crate) fallback: Option<Fallback>,
    pub(crate) fallback_command: Option<FallbackCommand>,
    pub(crate) on_fail: OnFail,
    pub(crate) quorum: Quorum,
    /// Its checks rest while its address is elsewhere.
    pub(crate) suspend: bool,
    pub(crate) start: StartState,
    /// Its real servers of NAT are to be relayed where the runtime can.
    pub(crate) ftp: bool,
    /// It can.
    pub(crate) relayed: bool,
    pub(crate) clean_stop: bool,
    pub(crate) monitor_file: Option<PathBuf>,
    pub(crate) alerts: Option<Box<Alerts>>,
    pub(crate) servers: Vec<Server>,
    pub(crate) disabled: bool,
    pub(crate) cover: Cover,
    /// Where it stands among the services that clients made; 0 for those of files.
    pub(crate) place: u64,
}

/// Who answers for a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cover {
    /// Its real servers, or it is disabled and nobody should.
    Servers,
    /// The quorum is lost, which mostly means that no real server takes connections; the sorry server, if there is one,
    /// answers. It is told (event, command, mail)
    /// once no real server waits for its first verdict.
    Fallback { since: Instant, told: bool },
}

/// A real server of a service.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    pub(crate) name: Box<str>,
    pub(crate) aliases: Box<[String]>,
    pub(crate) address: SocketAddr,
    pub(crate) forwarding: Forwarding,
    /// As it was asked for and is listed, where the host itself is the real server.
    pub(crate) shown: Forwarding,
    pub(crate) weight: Weight,
    pub(crate) thresholds: Thresholds,
    /// As the service has it where this says nothing.
    pub(crate) on_fail: Option<OnFail>,
    /// [`Slot::NONE`] where no file says how it is checked.
    pub(crate) watch: Slot,
    pub(crate) asked: Asked,
    /// A maintenance file names it.
    pub(crate) maintenance: bool,
    pub(crate) state: ServerState,
    pub(crate) since: Instant,
}

/// What operators asked for over what the file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) disabled: bool,
    pub(crate) drained: bool,
    pub(crate) weight: Option<Weight>,
}

/// Where a service is, for people: address and port, or its mark.
pub(crate) fn place(key: &ServiceKey) -> String {
    match key {
        ServiceKey::Address { address, port, .. } => SocketAddr::new(*address, *port).to_string(),
        ServiceKey::Mark { mark, .. } => mark.to_string(),
    }
}

impl Server {
    /// One that a client adds: nobody checks it, so it is up.
    pub(crate) fn unchecked(address: SocketAddr, forwarding: Forwarding, weight: Weight, now: Instant) -> Server {
        Server {
            name: address.to_string().into(),
            aliases: Box::default(),
            address,
            forwarding,
            shown: forwarding,
            weight,
            thresholds: Thresholds::default(),
            on_fail: None,
            watch: Slot::NONE,
            asked: Asked::default(),
            maintenance: false,
            state: ServerState::Up,
            since: now,
        }
    }

    /// The weight it has while it is up and not drained.
    pub(crate) fn full_weight(&self) -> Weight {
        self.asked.weight.unwrap_or(self.weight)
    }

    /// It may be given connections: checked and found good, or counted so before its first check.
    pub(crate) fn available(&self, health: State, start: StartState) -> bool {
        let healthy = match health {
            State::Up => true,
            State::Down => false,
            State::Unknown => start == StartState::Up,
        };
        healthy && !self.maintenance
    }

    fn state_now(&self, health: State, service_disabled: bool) -> ServerState {
        if self.asked.disabled || service_disabled {
            return ServerState::Disabled;
        }
        match health {
            _ if self.maintenance => ServerState::Down,
            State::Down => ServerState::Down,
            State::Up | State::Unknown if self.asked.drained => ServerState::Drained,
            State::Up => ServerState::Up,
            State::Unknown => ServerState::Unchecked,
        }
    }
}

impl Service {
    /// One that a client makes.
    pub(crate) fn by_edit(key: ServiceKey, mut options: ServiceOptions, place: u64) -> Service {
        options.note.by_edit = true;
        Service {
            name: key.to_string(),
            key,
            options,
            fallback: None,
            fallback_command: None,
            on_fail: OnFail::Quiesce,
            quorum: Quorum::default(),
            suspend: false,
            start: StartState::Up,
            ftp: key.is_ftp(),
            relayed: false,
            clean_stop: true,
            monitor_file: None,
            alerts: None,
            servers: Vec::new(),
            disabled: false,
            cover: Cover::Servers,
            place,
        }
    }

    /// Whether what has its mark is for the host's own rules to say: no file does, and clients have no words for it.
    pub(crate) fn asks_the_host(&self) -> bool {
        self.key.mark().is_some() && (self.options.matches.is_empty() || self.is_by_edit())
    }

    /// A client made it, and no file names it.
    pub(crate) fn is_by_edit(&self) -> bool {
        self.options.note.by_edit
    }

    /// The weight `server` should have in the table; `None`: it should not be there.
    pub(crate) fn wanted_weight(&self, server: &Server, watches: &Watches) -> Option<Weight> {
        if self.disabled || server.asked.disabled {
            return None;
        }
        let health = watches.state(server.watch);
        let weight = match server.asked {
            Asked { drained: true, .. } => Weight::ZERO,
            Asked { weight: Some(weight), .. } => weight,
            Asked { .. } => watches.weigh(server.watch, server.weight),
        };
        // One that takes no new connections anyway does not lose those it has while a new daemon looks at it.
        let waits = health == State::Unknown && weight == Weight::ZERO && !server.maintenance;
        if waits || server.available(health, self.start) {
            return Some(weight);
        }
        self.idle_weight(server)
    }

    /// The weight of a real server that takes no connections.
    fn idle_weight(&self, server: &Server) -> Option<Weight> {
        match server.on_fail.unwrap_or(self.on_fail) {
            OnFail::Quiesce => Some(Weight::ZERO),
            OnFail::Remove => None,
        }
    }

    /// The weights of all real servers that take new connections, or would if the quorum were reached.
    pub(crate) fn live_weight(&self, watches: &Watches) -> u64 {
        let weights = self.servers.iter().filter_map(|server| self.wanted_weight(server, watches));
        weights.map(|weight| u64::from(weight.get())).sum()
    }

    /// The weight with which the quorum is kept, or reached again.
    pub(crate) fn threshold(&self) -> u64 {
        let Quorum { weight, hysteresis, begins_lost } = self.quorum;
        let (weight, hysteresis) = (u64::from(weight), u64::from(hysteresis));
        let is_kept = match self.cover {
            Cover::Servers => true,
            Cover::Fallback { told, .. } => !told && !begins_lost,
        };
        let threshold = if is_kept { weight.saturating_sub(hysteresis) } else { weight + hysteresis };
        threshold.max(1)
    }

    /// Whether its real servers take the connections: enough of them are up.
    pub(crate) fn is_served(&self, watches: &Watches) -> bool {
        self.live_weight(watches) >= self.threshold()
    }

    /// Whether a real server of it, that could serve, still waits for its first verdict.
    pub(crate) fn is_settling(&self, watches: &Watches) -> bool {
        self.servers.iter().any(|server| {
            let waits = watches.state(server.watch) == State::Unknown;
            waits && !server.asked.disabled && !server.maintenance && self.start == StartState::Down
        })
    }

    /// Real servers that are up, drained ones included.
    pub(crate) fn count_up(&self, watches: &Watches) -> usize {
        let up = |server: &&Server| server.available(watches.state(server.watch), self.start) && !server.asked.disabled;
        self.servers.iter().filter(up).count()
    }

    /// Brings the states of the real servers up to date.
    pub(crate) fn restate(&mut self, now: Instant, watches: &Watches) {
        for server in &mut self.servers {
            let state = server.state_now(watches.state(server.watch), self.disabled);
            if state != server.state {
                server.state = state;
                server.since = now;
            }
        }
    }

    /// The real server with this address.
    pub(crate) fn server(&self, address: &SocketAddr) -> Option<&Server> {
        self.servers.iter().find(|server| server.address == *address)
    }

    /// The same, to be changed.
    pub(crate) fn server_mut(&mut self, address: &SocketAddr) -> Option<&mut Server> {
        self.servers.iter_mut().find(|server| server.address == *address)
    }

    /// How the data plane does what was asked for.
    fn method(&self, asked: Forwarding) -> Forwarding {
        if self.ftp && self.relayed { asked.relayed() } else { asked }
    }

    /// Whether a relay would have something to do.
    pub(crate) fn wants_relay(&self) -> bool {
        let fallback = self.fallback.as_ref().map(|fallback| fallback.forwarding);
        let mut methods = self.servers.iter().map(|server| server.forwarding).chain(fallback);
        self.ftp && !self.disabled && methods.any(|method| method == Forwarding::Nat)
    }

    /// What the table should hold of a real server; `None`: nothing.
    pub(crate) fn entry(&self, server: &Server, watches: &Watches) -> Option<dataplane::RealServer> {
        let mut weight = self.wanted_weight(server, watches)?;
        // Without its quorum a service has its sorry server and nobody else.
        let replaced = self.fallback.is_some() && matches!(self.cover, Cover::Fallback { .. });
        if replaced && weight > Weight::ZERO && self.quorum != Quorum::default() {
            weight = self.idle_weight(server)?;
        }
        // Drained or not: one that fails its checks is gone for those it had, too.
        let health = watches.state(server.watch);
        let is_down = weight == Weight::ZERO && (server.maintenance || health == State::Down);
        let (forwarding, shown, thresholds) = (self.method(server.forwarding), server.shown, server.thresholds);
        Some(dataplane::RealServer { weight, forwarding, shown, thresholds, is_down })
    }

    /// What the table should hold, in the order of the file; the sorry server last. `None`: the service is disabled.
    pub(crate) fn wanted(&self, watches: &Watches) -> Option<Vec<(SocketAddr, dataplane::RealServer)>> {
        if self.disabled {
            return None;
        }
        let entry = |server: &Server| Some((server.address, self.entry(server, watches)?));
        let mut wanted: Vec<_> = self.servers.iter().filter_map(entry).collect();
        if let Some(fallback) = &self.fallback {
            let method = self.method(fallback.forwarding);
            let sorry = match self.cover {
                Cover::Fallback { .. } => dataplane::RealServer::new(Weight::ONE, method),
                Cover::Servers if fallback.quiesce => dataplane::RealServer::new(Weight::ZERO, method),
                Cover::Servers => return Some(wanted),
            };
            match wanted.iter_mut().find(|(address, _)| *address == fallback.address) {
                Some(_) if sorry.weight == Weight::ZERO => {}
                Some((_, entry)) => *entry = sorry,
                None => wanted.push((fallback.address, sorry)),
            }
        }
        Some(wanted)
    }
}
