//! What follows from a verdict, a maintenance file or an operator's word: states, the sorry server, and what is told.

use crate::{
    CheckId, Effect, ScriptOrder,
    balance::Balance,
    program::After,
    service::{Cover, Server, Service, place},
    watches::{Slot, Turn},
    words,
};
use evenkeel_api::Event;
use evenkeel_health as health;
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::{OnFail, Quorum, ServiceKey};
use std::collections::BTreeSet;

/// What a watch found, ready to be told of each of its users.
struct Found {
    state: health::State,
    before: (health::State, Instant),
    why: String,
    failed: u32,
}

impl Balance {
    pub(crate) fn told(&mut self, now: Instant, check: CheckId, input: health::Input, out: &mut Outbox<Effect>) {
        for turn in self.watches.tell(now, check, input, out) {
            self.turned(now, &turn);
        }
    }

    /// Who holds BFD sessions tells of one.
    pub(crate) fn session(&mut self, now: Instant, name: String, up: bool, why: String, out: &mut Outbox<Effect>) {
        for turn in self.watches.session(now, name, up, why, out) {
            self.turned(now, &turn);
        }
    }

    /// Lets the checks rest of which every user is a service whose address is elsewhere, and wakes the others.
    pub(crate) fn rest(&mut self, now: Instant, out: &mut Outbox<Effect>) {
        let rests: BTreeSet<ServiceKey> =
            self.services.values().filter(|service| self.is_elsewhere(service)).map(|service| service.key).collect();
        for turn in self.watches.rest(now, &rests, out) {
            self.turned(now, &turn);
        }
    }

    pub(crate) fn is_elsewhere(&self, service: &Service) -> bool {
        let held = |address| self.held.as_ref().is_none_or(|held| held.contains(&address));
        service.suspend && !service.key.address().is_none_or(held)
    }

    /// A watch has come up or gone down: so have the real servers that use it.
    pub(crate) fn turned(&mut self, now: Instant, turn: &Turn) {
        let Some((found, own_fault)) = self.found(turn) else { return };
        let users = self.watches.users(turn.slot).to_vec();
        for (key, address) in users {
            self.server_turned(now, key, &address, &found);
        }
        // A group turns with one of its watches, which was counted already.
        if !turn.slot.is_group() {
            self.suspect(now, &found, own_fault);
        }
    }

    /// A real server has joined a watch that knows more than it did.
    pub(crate) fn joined(&mut self, now: Instant, key: ServiceKey, address: &std::net::SocketAddr, turn: &Turn) {
        if let Some((found, _)) = self.found(turn).filter(|(found, _)| !found.why.is_empty()) {
            self.server_turned(now, key, address, &found);
        }
    }

    /// What the watch found, and whether the director itself is to blame.
    fn found(&self, turn: &Turn) -> Option<(Found, bool)> {
        let (check, watch) = self.watches.get(turn.slot)?;
        let (status, state) = (watch.status(), self.watches.state(turn.slot));
        let last = status.last.as_ref();
        let why = last.map(|last| words::verdict(&check.probe, &last.verdict)).unwrap_or_default();
        let own_fault = last.and_then(|last| last.verdict.reason()).is_some_and(health::Reason::is_own_fault);
        Some((Found { state, before: turn.before, why, failed: status.streak }, own_fault))
    }

    fn suspect(&mut self, now: Instant, found: &Found, own_fault: bool) {
        match (found.before.0, found.state) {
            (health::State::Up, health::State::Up) => {}
            (_, health::State::Up) => self.suspicion.rose(),
            (health::State::Up, health::State::Down) => {
                let (of, up) = self.watches.counts();
                if let Some((down, own_fault)) = self.suspicion.fell(now, own_fault, of, up) {
                    let event = Event::ChecksSuspect { down, of, own_fault, why: found.why.clone() };
                    self.program.hold(After::All, Effect::Event(event));
                }
            }
            (_, health::State::Down | health::State::Unknown) => {}
        }
    }

    fn server_turned(&mut self, now: Instant, key: ServiceKey, address: &std::net::SocketAddr, found: &Found) {
        let Some(service) = self.services.get_mut(&key) else { return };
        service.restate(now, &self.watches);
        self.program.touch(key);
        let Some(server) = service.server(address) else { return };
        if !(service.disabled || server.asked.disabled || server.maintenance) {
            let lasted = Some((now - found.before.1).as_secs());
            let (up, of) = (service.count_up(&self.watches), service.servers.len());
            let (name, server_name) = (service.name.clone(), server.name.to_string());
            let address = server.address.to_string();
            let why = found.why.clone();
            let event = if found.state == found.before.0 {
                let weight = service.wanted_weight(server, &self.watches).map_or(0, |weight| weight.get());
                Event::WeightFollowed { service: name, server: server_name, weight, why }
            } else if found.state == health::State::Up {
                let weight = service.wanted_weight(server, &self.watches).map_or(0, |weight| weight.get());
                let drained = server.asked.drained;
                let down_s = lasted.filter(|_| found.before.0 == health::State::Down);
                Event::ServerUp { service: name, server: server_name, address, why, down_s, weight, drained, up, of }
            } else {
                let fallback = service.fallback.as_ref().filter(|_| !service.is_served(&self.watches));
                Event::ServerDown {
                    service: name,
                    server: server_name,
                    address,
                    why,
                    failed: found.failed,
                    up_s: lasted.filter(|_| found.before.0 == health::State::Up),
                    quiesced: server.on_fail.unwrap_or(service.on_fail) == OnFail::Quiesce,
                    up,
                    of,
                    fallback: fallback.map(|fallback| fallback.address.to_string()),
                }
            };
            if let Some(file) = service.monitor_file.clone().filter(|_| found.state != found.before.0) {
                let word = if found.state == health::State::Up { "up" } else { "down" };
                let line = format!("{}:{} [{word}] {}", key.protocol_name(), server.address, found.why);
                self.program.hold(After::Service(key), Effect::MonitorLine { file, line });
            }
            self.program.hold(After::Service(key), Effect::Event(event));
        }
        self.cover(now, key);
    }

    /// Sees to it that somebody answers for the service, and tells when that changes.
    pub(crate) fn cover(&mut self, now: Instant, key: ServiceKey) {
        let Some(service) = self.services.get_mut(&key) else { return };
        let served = service.disabled || service.is_served(&self.watches);
        match (service.cover, served) {
            (Cover::Servers, true) | (Cover::Fallback { told: true, .. }, false) => {}
            (Cover::Fallback { .. }, true) => {
                self.leave_fallback(now, key);
            }
            (Cover::Servers, false) | (Cover::Fallback { told: false, .. }, false) => {
                let since = match service.cover {
                    Cover::Servers => now,
                    Cover::Fallback { since, .. } => since,
                };
                let told = !service.is_settling(&self.watches);
                service.cover = Cover::Fallback { since, told };
                if told {
                    let idle = service.count_up(&self.watches);
                    let event = match &service.fallback {
                        fallback if service.quorum != Quorum::default() => Event::QuorumLost {
                            service: service.name.clone(),
                            weight: service.live_weight(&self.watches),
                            needed: service.threshold(),
                            fallback: fallback.as_ref().map(|fallback| fallback.address.to_string()),
                        },
                        Some(fallback) => Event::FallbackInUse {
                            service: service.name.clone(),
                            idle,
                            fallback: fallback.address.to_string(),
                        },
                        None => Event::ServiceDown { service: service.name.clone(), idle },
                    };
                    let command = command_of(service, "start");
                    self.tell_cover(key, event, command);
                }
            }
        }
    }

    /// The service does without its sorry server.
    pub(crate) fn leave_fallback(&mut self, now: Instant, key: ServiceKey) {
        let Some(service) = self.services.get_mut(&key) else { return };
        if let Cover::Fallback { since, told: true } = service.cover {
            let lasted = (now - since).as_secs();
            let event = match &service.fallback {
                fallback if service.quorum != Quorum::default() => Event::QuorumReached {
                    service: service.name.clone(),
                    weight: service.live_weight(&self.watches),
                    lost_s: lasted,
                    fallback: fallback.as_ref().map(|fallback| fallback.address.to_string()),
                },
                Some(fallback) => Event::FallbackLeft {
                    service: service.name.clone(),
                    fallback: fallback.address.to_string(),
                    used_s: lasted,
                },
                None => Event::ServiceUp { service: service.name.clone(), down_s: lasted },
            };
            let command = command_of(service, "stop");
            service.cover = Cover::Servers;
            self.tell_cover(key, event, command);
        } else {
            service.cover = Cover::Servers;
        }
    }

    /// The daemon ends and with it the sorry server's turn: its command is told, but nothing has recovered.
    pub(crate) fn end_fallback(&mut self, key: ServiceKey) {
        let Some(service) = self.services.get_mut(&key) else { return };
        let told = matches!(service.cover, Cover::Fallback { told: true, .. });
        service.cover = Cover::Servers;
        if let Some(command) = command_of(service, "stop").filter(|_| told) {
            self.program.hold(After::Service(key), Effect::Run(command));
        }
    }

    fn tell_cover(&mut self, key: ServiceKey, event: Event, command: Option<ScriptOrder>) {
        self.program.hold(After::Service(key), Effect::Event(event));
        if let Some(command) = command {
            self.program.hold(After::Service(key), Effect::Run(command));
        }
    }

    /// Takes the names of the maintenance files as they are now.
    pub(crate) fn maintain(&mut self, now: Instant, names: BTreeSet<String>) {
        if names == self.maintenance {
            return;
        }
        self.maintenance = names;
        let mut changed = Vec::new();
        for service in self.services.values_mut() {
            // Maintenance files are about what the files name.
            for server in service.servers.iter_mut().filter(|server| server.watch != Slot::NONE) {
                let file = maintenance_file(server, &self.maintenance);
                if file.is_some() == server.maintenance {
                    continue;
                }
                server.maintenance = file.is_some();
                let (name, server) = (service.name.clone(), server.name.to_string());
                let event = match file {
                    Some(file) => Event::MaintenanceBegan { service: name, server, file },
                    None => Event::MaintenanceEnded { service: name, server },
                };
                changed.push((service.key, event));
            }
        }
        for (key, event) in changed {
            self.program.hold(After::Service(key), Effect::Event(event));
            self.reconsider(now, key);
        }
    }

    /// Brings a service's states, table and sorry server up to date.
    pub(crate) fn reconsider(&mut self, now: Instant, key: ServiceKey) {
        if let Some(service) = self.services.get_mut(&key) {
            service.restate(now, &self.watches);
        }
        self.program.touch(key);
        self.cover(now, key);
    }
}

/// The file that names the real server, if one does: `ip`, `ip:port`, `host`, `host:port` or the host's first label.
pub(crate) fn maintenance_file(server: &Server, names: &BTreeSet<String>) -> Option<String> {
    if names.is_empty() {
        return None;
    }
    let (ip, port) = (server.address.ip().to_string(), server.address.port());
    let hosts = server.aliases.iter().flat_map(|alias| {
        let host = alias.rsplit_once(':').filter(|(_, p)| p.parse::<u16>().is_ok()).map_or(&**alias, |(host, _)| host);
        [host, host.split('.').next().unwrap_or(host)]
    });
    let known = std::iter::once(ip.as_str()).chain(hosts);
    let names_it = |name: &str| names.contains(name).then(|| name.to_owned());
    let mut found = known.filter_map(|name| names_it(name).or_else(|| names_it(&format!("{name}:{port}"))));
    found.next().or_else(|| names_it(&server.address.to_string()))
}

fn command_of(service: &Service, word: &str) -> Option<ScriptOrder> {
    let command = service.fallback_command.as_ref().filter(|_| service.fallback.is_some())?;
    let told = [word.to_owned(), place(&service.key), service.key.protocol_name().to_owned()];
    let arguments = command.arguments.iter().cloned().chain(told).collect();
    Some(ScriptOrder { program: command.program.clone(), arguments })
}
