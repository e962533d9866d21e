//! Decides what is told to whom. It does nothing itself.
//!
//! The order is that of keepalived 2.2.7: the script of the moment, the script for all, the FIFOs, the mail; at the
//! start a sync group is told before its members, later behind the last of them.

use super::words::{self, Sums};
use evenkeel_api::Event;
use evenkeel_model::{
    Check, Cluster, Notify, Quorum, ServiceKey,
    notify::{Moment, NotifyScript, RoleNotify, ServerNotify, ServiceNotify, Subject},
};
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Run a script; those of one subject one after the other.
    Run {
        /// Whom it is about.
        subject: String,
        /// The script.
        script: NotifyScript,
        /// Arguments behind its own.
        more: Vec<String>,
    },
    /// Write a line to the FIFOs of this subject and to those of all.
    Line(Subject, String),
    /// Send a mail.
    Mail {
        /// Without the name of the node.
        subject: String,
        /// The text.
        body: String,
    },
}

/// What it knows of instances, groups and services.
#[derive(Debug, Default)]
pub(super) struct Teller {
    notify: Notify,
    instances: BTreeMap<String, Instance>,
    groups: BTreeMap<String, Option<Moment>>,
    /// Those that a reload has removed and that have not ended yet.
    leaving: BTreeMap<String, RoleNotify>,
    /// By their names.
    services: BTreeMap<String, Service>,
}

#[derive(Debug)]
struct Instance {
    group: Option<String>,
    priority: u8,
    last: Option<Moment>,
}

#[derive(Debug)]
struct Service {
    key: ServiceKey,
    told: ServiceNotify,
    quorum: Quorum,
    servers: BTreeMap<SocketAddr, Server>,
    /// Whether the quorum is there, once that is known.
    up: Option<bool>,
}

/// What an event says of a service.
enum News<'a> {
    /// Its real server at this address is up, or not.
    Server(&'a str, bool),
    /// Its quorum is there, or not, with this weight, where that is told.
    Quorum(bool, Option<u64>),
}

#[derive(Debug)]
struct Server {
    weight: u64,
    check: Option<Arc<Check>>,
    up: Option<bool>,
}

impl Teller {
    /// Takes what is configured now; what it knows of what stays is kept. Tells how all instances stand, where that is
    /// asked for.
    pub(super) fn configure(&mut self, cluster: &Cluster, out: &mut Vec<Deed>) {
        let before = std::mem::replace(&mut self.notify, cluster.notify.clone());
        let mut known = std::mem::take(&mut self.instances);
        for instance in &cluster.vrrp.instances {
            let kept = known.remove(&instance.name);
            let (priority, last) = kept.map_or((instance.priority.get(), None), |kept| (kept.priority, kept.last));
            let group = instance.group.clone();
            self.instances.insert(instance.name.clone(), Instance { group, priority, last });
        }
        // What was never told of has nothing to take back.
        let gone = known.into_iter().filter(|(_, instance)| instance.last.is_some());
        self.leaving.extend(gone.map(|(name, _)| {
            let role = before.instances.get(&name).cloned().unwrap_or_default();
            (name, role)
        }));
        let groups = std::mem::take(&mut self.groups);
        for instance in self.instances.values() {
            let Some(group) = &instance.group else { continue };
            self.groups.insert(group.clone(), groups.get(group).copied().flatten());
        }
        let mut known = std::mem::take(&mut self.services);
        for service in &cluster.services {
            let kept = known.remove(&service.name);
            self.services.insert(service.name.clone(), Service::new(service, &self.notify, kept));
        }
        if self.notify.states_on_reload {
            self.tell_states(out);
        }
    }

    fn tell_states(&self, out: &mut Vec<Deed>) {
        for (name, last) in &self.groups {
            if let Some(last) = last {
                out.push(Deed::Line(Subject::Vrrp, words::role_line(GROUP, name, last.word(), 0)));
            }
        }
        for (name, instance) in &self.instances {
            if let Some(last) = instance.last {
                let line = words::role_line(INSTANCE, name, last.word(), instance.priority);
                out.push(Deed::Line(Subject::Vrrp, line));
            }
        }
    }

    /// An instance has become something.
    pub(super) fn turned(&mut self, name: &str, moment: Moment, priority: u8, out: &mut Vec<Deed>) {
        let Some(instance) = self.instances.get_mut(name) else {
            return self.removed(name, moment, priority, out);
        };
        let first = instance.last.replace(moment).is_none();
        instance.priority = priority;
        let group = instance.group.clone();
        if first {
            self.group_turned(group.as_deref(), moment, true, out);
        }
        let role = self.notify.instances.get(name);
        self.tell_role(INSTANCE, name, role, moment, priority, out);
        if moment != Moment::Stop {
            return self.group_turned(group.as_deref(), moment, false, out);
        }
        // At the end groups come behind all instances.
        if self.instances.values().all(|instance| instance.last == Some(Moment::Stop)) {
            let groups: Vec<String> = self.groups.keys().cloned().collect();
            for group in groups {
                self.group_turned(Some(&group), moment, false, out);
            }
        }
    }

    /// One that no file names any more: it is told once, as it ends.
    fn removed(&mut self, name: &str, moment: Moment, priority: u8, out: &mut Vec<Deed>) {
        if moment != Moment::Stop {
            return;
        }
        let Some(role) = self.leaving.remove(name) else { return };
        let moment = if role.deleted { Moment::Deleted } else { Moment::Fault };
        self.tell_role(INSTANCE, name, Some(&role), moment, priority, out);
    }

    /// Tells of a group that is what all its members are; `first`: one of them has begun, and the others are about to.
    fn group_turned(&mut self, group: Option<&str>, moment: Moment, first: bool, out: &mut Vec<Deed>) {
        let Some(name) = group else { return };
        let Some(known) = self.groups.get(name).copied() else { return };
        let mut members = self.instances.values().filter(|member| member.group.as_deref() == Some(name));
        let all = first || members.all(|member| member.last == Some(moment));
        if !all || known == Some(moment) || (first && known.is_some()) {
            return;
        }
        self.groups.insert(name.to_owned(), Some(moment));
        let role = self.notify.groups.get(name);
        self.tell_role(GROUP, name, role, moment, 0, out);
    }

    fn tell_role(
        &self,
        kind: &'static str,
        name: &str,
        role: Option<&RoleNotify>,
        moment: Moment,
        priority: u8,
        out: &mut Vec<Deed>,
    ) {
        let subject = format!("{kind} {name}");
        if let Some(script) = role.and_then(|role| role.scripts.get(&moment)) {
            out.push(Deed::Run { subject: subject.clone(), script: script.clone(), more: Vec::new() });
        }
        // The script for all is about what an instance is, not about what it hears.
        if let Some(script) = role.and_then(|role| role.any.as_ref()).filter(|_| moment != Moment::LowerHeard) {
            let more = [kind, name, moment.word(), &priority.to_string()].map(str::to_owned).to_vec();
            out.push(Deed::Run { subject, script: script.clone(), more });
        }
        out.push(Deed::Line(Subject::Vrrp, words::role_line(kind, name, moment.word(), priority)));
        let is_mailed = role.is_some_and(|role| role.mail) && self.is_mailed(moment);
        let mail = if kind == GROUP { words::group_mail(name, moment) } else { words::instance_mail(name, moment) };
        out.extend(mail.filter(|_| is_mailed).map(mailed));
    }

    fn is_mailed(&self, moment: Moment) -> bool {
        self.notify.mail.as_ref().is_some_and(|route| route.faults || moment != Moment::Fault)
    }

    /// A master has heard a lower one.
    pub(super) fn lower_heard(&self, name: &str, out: &mut Vec<Deed>) {
        let Some(instance) = self.instances.get(name) else { return };
        let role = self.notify.instances.get(name);
        self.tell_role(INSTANCE, name, role, Moment::LowerHeard, instance.priority, out);
    }

    /// What an instance tracks has changed its priority.
    pub(super) fn priority_changed(&mut self, name: &str, priority: u8, out: &mut Vec<Deed>) {
        let Some(instance) = self.instances.get_mut(name) else { return };
        let before = std::mem::replace(&mut instance.priority, priority);
        let word = match instance.last {
            Some(Moment::Master) => "MASTER_PRIORITY",
            Some(Moment::Backup) => "BACKUP_PRIORITY",
            _ => return,
        };
        let wanted = self.notify.instances.get(name).is_some_and(|role| role.priorities);
        if wanted && before != priority {
            out.push(Deed::Line(Subject::Vrrp, words::role_line(INSTANCE, name, word, priority)));
        }
    }

    /// Something has happened to a real server or a quorum.
    pub(super) fn hear(&mut self, event: &Event, out: &mut Vec<Deed>) {
        let mails = self.notify.mail.is_some();
        let (name, news) = match event {
            Event::ServerUp { service, address, .. } => (service, News::Server(address, true)),
            Event::ServerDown { service, address, .. } => (service, News::Server(address, false)),
            Event::QuorumReached { service, weight, .. } => (service, News::Quorum(true, Some(*weight))),
            Event::QuorumLost { service, weight, .. } => (service, News::Quorum(false, Some(*weight))),
            Event::ServiceUp { service, .. } | Event::FallbackLeft { service, .. } => {
                (service, News::Quorum(true, None))
            }
            Event::ServiceDown { service, .. } | Event::FallbackInUse { service, .. } => {
                (service, News::Quorum(false, None))
            }
            _ => return,
        };
        let Some(service) = self.services.get_mut(name) else { return };
        match news {
            News::Server(address, up) => {
                let Ok(address) = address.parse() else { return };
                service.server_turned(address, up, mails, out);
            }
            News::Quorum(up, weight) => {
                let weight = weight.unwrap_or_else(|| service.weigh(|server| server.up == Some(true)));
                service.quorum_turned(up, weight, mails, out);
            }
        }
    }

    /// The daemon ends, and with it what its services have.
    pub(super) fn end(&mut self, out: &mut Vec<Deed>) {
        let mails = self.notify.mail.is_some();
        for service in self.services.values_mut().filter(|service| service.told.omega) {
            service.end(mails, out);
        }
    }
}

const INSTANCE: &str = "INSTANCE";
const GROUP: &str = "GROUP";

fn mailed((subject, text): words::Mail) -> Deed {
    Deed::Mail { subject, body: words::body(&text) }
}

impl Service {
    fn new(service: &evenkeel_model::Service, notify: &Notify, kept: Option<Service>) -> Service {
        let kept = kept.filter(|kept| kept.key == service.key);
        let server = |server: &evenkeel_model::RealServer| {
            let up = kept.as_ref().and_then(|kept| kept.servers.get(&server.address)?.up);
            let check = Some(Arc::clone(&server.check));
            (server.address, Server { weight: u64::from(server.weight.get()), check, up })
        };
        Service {
            key: service.key,
            told: notify.services.get(&service.key).cloned().unwrap_or_default(),
            quorum: service.quorum,
            servers: service.real_servers.iter().map(server).collect(),
            up: kept.as_ref().and_then(|kept| kept.up),
        }
    }

    fn server_turned(&mut self, address: SocketAddr, up: bool, mails: bool, out: &mut Vec<Deed>) {
        let Some(server) = self.servers.get_mut(&address) else { return };
        let before = server.up.replace(up);
        let silent = ServerNotify::default();
        let told = self.told.servers.get(&address).unwrap_or(&silent);
        // keepalived takes real servers for up until a check fails, so that a good first check changes nothing.
        let changed = match before {
            None => !up || told.first,
            Some(before) => before != up,
        };
        if changed {
            run(format!("RS {address} {}", self.key), if up { &told.up } else { &told.down }, out);
            out.push(Deed::Line(Subject::Services, words::server_line(&self.key, &address, up)));
            if told.mail && mails {
                out.push(mailed(words::server_mail(
                    &self.key,
                    &address,
                    server.check.as_ref().map(|check| &check.probe),
                    up,
                )));
            }
        }
        self.begin(mails, out);
    }

    /// How it begins: keepalived tells it, and no event does where all is well. Nothing is said before it is known.
    fn begin(&mut self, mails: bool, out: &mut Vec<Deed>) {
        let Quorum { weight, hysteresis, begins_lost } = self.quorum;
        let (weight, hysteresis) = (u64::from(weight), u64::from(hysteresis));
        let threshold = if begins_lost { weight + hysteresis } else { weight.saturating_sub(hysteresis).max(1) };
        let up = self.weigh(|server| server.up == Some(true));
        let is_known = self.servers.values().all(|server| server.up.is_some());
        if self.up.is_none() && (up >= threshold || is_known) {
            // As keepalived counts at the start: what is not known to be down is up.
            let hoped = self.weigh(|server| server.up != Some(false));
            self.quorum_turned(up >= threshold, hoped, mails, out);
        }
    }

    fn weigh(&self, counts: impl Fn(&Server) -> bool) -> u64 {
        self.servers.values().filter(|server| counts(server)).map(|server| server.weight).sum()
    }

    fn quorum_turned(&mut self, up: bool, weight: u64, mails: bool, out: &mut Vec<Deed>) {
        let before = self.up.replace(up);
        if before != Some(up) {
            self.tell(up, before.is_none(), weight, mails, out);
        }
    }

    fn tell(&self, up: bool, first: bool, weight: u64, mails: bool, out: &mut Vec<Deed>) {
        run(format!("VS {}", self.key), if up { &self.told.up } else { &self.told.down }, out);
        out.push(Deed::Line(Subject::Services, words::service_line(&self.key, up)));
        if self.told.mail && mails {
            let Quorum { weight: quorum, hysteresis, .. } = self.quorum;
            let sums = Sums { quorum: quorum.into(), hysteresis: hysteresis.into(), up: weight };
            out.push(mailed(words::service_mail(&self.key, sums, up, first)));
        }
    }

    /// What is up goes down.
    fn end(&mut self, mails: bool, out: &mut Vec<Deed>) {
        let up: Vec<SocketAddr> =
            self.servers.iter().filter(|(_, server)| server.up == Some(true)).map(|(address, _)| *address).collect();
        for address in up {
            if let Some(server) = self.servers.get_mut(&address) {
                server.up = Some(false);
            }
            let down = self.told.servers.get(&address).map_or(&None, |told| &told.down);
            run(format!("RS {address} {}", self.key), down, out);
            out.push(Deed::Line(Subject::Services, words::server_line(&self.key, &address, false)));
        }
        if self.up == Some(true) {
            self.quorum_turned(false, 0, mails, out);
        }
    }
}

fn run(subject: String, script: &Option<NotifyScript>, out: &mut Vec<Deed>) {
    out.extend(script.clone().map(|script| Deed::Run { subject, script, more: Vec::new() }));
}

#[cfg(test)]
mod tests;
