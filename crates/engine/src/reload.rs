//! From one cluster to the next. What did not change keeps its watch, its state and its place in the table.

use crate::{
    Effect,
    balance::Balance,
    decide::maintenance_file,
    service::{Asked, Cover, Server, Service},
    watches::{Slot, Turn},
};
use evenkeel_api::ServerState;
use evenkeel_dataplane::{Note, ServiceOptions, Table};
use evenkeel_health::State;
use evenkeel_machine::{Instant, Outbox};
use evenkeel_model::{self as model, Cluster, ServiceKey, Weight};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

/// What a configuration run has to remember on its way through the services.
#[derive(Default)]
struct Passage {
    /// Watches that lost a user.
    released: BTreeSet<Slot>,
    /// Services that are new or not as they were.
    changed: BTreeSet<ServiceKey>,
    /// Real servers found serving.
    adopted: usize,
    /// Real servers whose new watch knew more than their old one, or more than nothing.
    joined: Vec<(ServiceKey, SocketAddr, Turn)>,
}

impl Balance {
    /// Makes `cluster` the one to run; `observed` is what an earlier run left. Returns how many real servers of that go
    /// on serving.
    pub(crate) fn configure(
        &mut self,
        now: Instant,
        cluster: Cluster,
        observed: &Table,
        out: &mut Outbox<Effect>,
    ) -> usize {
        let mut passage = Passage::default();
        self.order = cluster.services.iter().map(|service| service.key).collect();
        self.drop_missing(now, &mut passage);
        for service in cluster.services {
            let key = service.key;
            if self.services.get(&key).is_some_and(|old| self.is_same(old, &service)) {
                continue;
            }
            let old = self.services.remove(&key);
            if let Some(old) = &old {
                self.edited.remove(&old.place);
            }
            let service = self.merge(now, old, service, observed.services.get(&key), &mut passage);
            self.services.insert(key, service);
        }
        self.release(now, &passage.released, out);
        self.rest(now, out);
        let turns = self.watches.begin(now, out);
        for key in passage.changed {
            self.reconsider(now, key);
        }
        for (key, address, turn) in passage.joined {
            self.joined(now, key, &address, &turn);
        }
        for turn in turns {
            self.turned(now, &turn);
        }
        passage.adopted
    }

    /// Ends the watches that nobody uses any more.
    pub(crate) fn release(&mut self, now: Instant, released: &BTreeSet<Slot>, out: &mut Outbox<Effect>) {
        let services = &self.services;
        let keeps = |slot: Slot, (key, address): &(ServiceKey, SocketAddr)| {
            let server = services.get(key).and_then(|service| service.server(address));
            server.is_some_and(|server| server.watch == slot)
        };
        self.watches.release(now, released, keeps, out);
    }

    /// Takes out the services that are no longer in `order`.
    fn drop_missing(&mut self, now: Instant, passage: &mut Passage) {
        let mut kept = self.order.clone();
        kept.sort_unstable();
        let missing = |key: &&ServiceKey| kept.binary_search(key).is_err();
        // Those that clients made are theirs to remove.
        let by_files = self.services.iter().filter(|(_, service)| !service.is_by_edit()).map(|(key, _)| key);
        let missing: Vec<ServiceKey> = by_files.filter(missing).copied().collect();
        for key in missing {
            let Some(service) = self.services.remove(&key) else { continue };
            passage.released.extend(service.servers.iter().map(|server| server.watch));
            self.program.touch(key);
            self.drop_cover(now, service);
        }
    }

    /// Whether the service runs exactly as the file has it. Nearly all do at nearly every reload, so that this decides
    /// how long one takes.
    fn is_same(&self, old: &Service, new: &model::Service) -> bool {
        let now = &old.options;
        let options = now.scheduler == new.scheduler
            && now.sources == new.sources
            && now.persistence == new.persistence
            && now.one_packet == new.one_packet
            && now.behaviour == new.behaviour
            && now.matches == new.matches
            && now.note == Note::default();
        let fallback = old.fallback == new.fallback && old.fallback_command == new.fallback_command;
        let fallback = fallback && old.quorum == new.quorum && old.suspend == new.suspend;
        let policy = old.on_fail == new.on_fail && old.start == new.start && old.clean_stop == new.clean_stop;
        let policy = policy && old.ftp == new.ftp;
        let told = old.name == new.name
            && old.monitor_file == new.monitor_file
            && old.alerts.as_deref() == new.alerts.as_ref();
        let server = |(old, new): (&Server, &model::RealServer)| {
            let same = old.address == new.address && old.weight == new.weight && old.forwarding == new.forwarding;
            let same = same && old.thresholds == new.thresholds && old.on_fail == new.on_fail;
            let named = *old.name == *new.name && *old.aliases == *new.aliases;
            same && named && self.watches.check(old.watch).is_some_and(|check| *check == *new.check)
        };
        let as_many = old.servers.len() == new.real_servers.len();
        options && fallback && policy && told && as_many && old.servers.iter().zip(&new.real_servers).all(server)
    }

    /// The old service is gone; so is what was told of its sorry server.
    pub(crate) fn drop_cover(&mut self, now: Instant, service: Service) {
        let key = service.key;
        self.services.insert(key, service);
        self.leave_fallback(now, key);
        self.services.remove(&key);
    }

    fn merge(
        &mut self,
        now: Instant,
        old: Option<Service>,
        new: model::Service,
        observed: Option<&evenkeel_dataplane::Service>,
        passage: &mut Passage,
    ) -> Service {
        let key = new.key;
        let options = ServiceOptions::from(&new);
        let mut changed = old.as_ref().is_none_or(|old| {
            let same = old.options == options && old.fallback == new.fallback;
            !same
                || old.on_fail != new.on_fail
                || old.quorum != new.quorum
                || old.start != new.start
                || old.ftp != new.ftp
        });
        let mut old_servers = Lookup::new(old.as_ref().map_or(&[], |old| &old.servers));
        let mut servers = Vec::with_capacity(new.real_servers.len());
        let mut servers_serve = false;
        for (place, server) in new.real_servers.into_iter().enumerate() {
            let serves = observed.and_then(|service| service.real_servers.get(&server.address));
            // The sorry server serves for another reason than a good check.
            let sorry = new.fallback.as_ref().is_some_and(|fallback| fallback.address == server.address);
            let adopted = serves.is_some_and(|entry| entry.weight > Weight::ZERO) && !sorry;
            passage.adopted += usize::from(adopted);
            servers_serve |= adopted;
            let before = old_servers.take(place, &server.address);
            let (server, differs) = self.merge_server(now, key, before, server, adopted, passage);
            changed |= differs;
            servers.push(server);
        }
        let gone = old_servers.rest();
        changed |= !gone.is_empty();
        passage.released.extend(gone);
        let sorry_serves = new.fallback.as_ref().is_some_and(|fallback| {
            let entry = observed.and_then(|service| service.real_servers.get(&fallback.address));
            entry.is_some_and(|entry| entry.weight > Weight::ZERO)
        });
        let begins_lost = new.quorum.begins_lost && !servers_serve;
        let cover = match (sorry_serves, begins_lost) {
            (true, _) => Cover::Fallback { since: now, told: true },
            (false, true) => Cover::Fallback { since: now, told: false },
            (false, false) => Cover::Servers,
        };
        let cover = self.carry_cover(now, old, &new.fallback, cover);
        if changed {
            passage.changed.insert(key);
        }
        Service {
            name: new.name,
            key,
            options,
            fallback: new.fallback,
            fallback_command: new.fallback_command,
            on_fail: new.on_fail,
            quorum: new.quorum,
            suspend: new.suspend,
            start: new.start,
            ftp: new.ftp,
            relayed: self.relays.contains(&key),
            clean_stop: new.clean_stop,
            monitor_file: new.monitor_file,
            alerts: new.alerts.map(Box::new),
            servers,
            disabled: self.book.asked(key, None).disabled,
            cover,
            place: 0,
        }
    }

    /// Another sorry server comes in as if there had been none.
    fn carry_cover(
        &mut self,
        now: Instant,
        old: Option<Service>,
        fallback: &Option<model::Fallback>,
        fresh: Cover,
    ) -> Cover {
        match old {
            None => fresh,
            Some(old) if old.fallback == *fallback => old.cover,
            Some(old) => {
                let cover = old.cover;
                self.drop_cover(now, old);
                match cover {
                    Cover::Servers => Cover::Servers,
                    Cover::Fallback { .. } => Cover::Fallback { since: now, told: false },
                }
            }
        }
    }

    /// The real server as it is from now on, and whether the table has to be looked at for it.
    fn merge_server(
        &mut self,
        now: Instant,
        key: ServiceKey,
        old: Option<&Server>,
        new: model::RealServer,
        adopted: bool,
        passage: &mut Passage,
    ) -> (Server, bool) {
        let model::RealServer { name, aliases, address, forwarding, weight, thresholds, on_fail, check } = new;
        let watch = self.watch_for(now, (key, address), old, check, adopted, passage);
        let asked = match old {
            Some(old) => old.asked,
            None => self.book.asked(key, Some(address)),
        };
        let mut server = Server {
            name: name.into(),
            aliases: aliases.into(),
            address,
            forwarding,
            shown: forwarding,
            weight,
            thresholds,
            on_fail,
            watch,
            asked,
            maintenance: false,
            state: old.map_or(ServerState::Unchecked, |old| old.state),
            since: old.map_or(now, |old| old.since),
        };
        server.maintenance = maintenance_file(&server, &self.maintenance).is_some();
        let differs = old.is_none_or(|old| {
            let same = old.weight == weight && old.forwarding == forwarding && old.thresholds == thresholds;
            let same = same && old.on_fail == on_fail;
            !same || old.watch != watch || old.maintenance != server.maintenance
        });
        (server, differs)
    }

    /// The watch of an unchanged check stays; a changed one begins from what the old one knew, so that a reload takes
    /// no real server out.
    fn watch_for(
        &mut self,
        now: Instant,
        user: (ServiceKey, SocketAddr),
        old: Option<&Server>,
        check: Arc<model::Check>,
        adopted: bool,
        passage: &mut Passage,
    ) -> Slot {
        let before = match old {
            Some(old) => {
                let same = self.watches.check(old.watch).is_some_and(|running| *running == *check);
                if same || self.watches.change_rhythm(old.watch, &user, &check) {
                    return old.watch;
                }
                passage.released.insert(old.watch);
                (self.watches.state(old.watch), old.since)
            }
            None if adopted => (State::Up, now),
            None => (State::Unknown, now),
        };
        let (slot, taught) = self.watches.acquire(now, check, user, before.0);
        let state = self.watches.state(slot);
        // What this real server brings along of knowledge holds for the others of its watch, too.
        if taught {
            let others = self.watches.concerned(slot).into_iter().filter(|other| *other != user);
            passage.changed.extend(others.map(|(key, _)| key));
        }
        if state != before.0 && state != State::Unknown {
            passage.joined.push((user.0, user.1, Turn { slot, before }));
        }
        slot
    }
}

/// Finds old real servers by address; at once while the order of the file stays as it was.
struct Lookup<'a> {
    servers: &'a [Server],
    taken: Vec<bool>,
    by_address: Option<BTreeMap<SocketAddr, usize>>,
}

impl<'a> Lookup<'a> {
    fn new(servers: &'a [Server]) -> Lookup<'a> {
        Lookup { servers, taken: vec![false; servers.len()], by_address: None }
    }

    fn take(&mut self, place: usize, address: &SocketAddr) -> Option<&'a Server> {
        let at_place = self.servers.get(place).is_some_and(|server| server.address == *address);
        let place = if at_place {
            place
        } else {
            let servers = self.servers;
            let index = || servers.iter().enumerate().map(|(place, server)| (server.address, place)).collect();
            *self.by_address.get_or_insert_with(index).get(address)?
        };
        *self.taken.get_mut(place)? = true;
        self.servers.get(place)
    }

    /// The watches of those not taken.
    fn rest(self) -> Vec<Slot> {
        let left = self.servers.iter().zip(self.taken).filter(|(_, taken)| !taken);
        left.map(|(server, _)| server.watch).collect()
    }
}

/// What an operator asked for a real server, kept beside it and in the book.
pub(crate) fn ask(service: &mut Service, address: SocketAddr, asked: Asked) {
    if let Some(server) = service.servers.iter_mut().find(|server| server.address == address) {
        server.asked = asked;
    }
}
