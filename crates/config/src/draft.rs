//! What the front ends hand over, and the step that makes one [`Cluster`] of it.
//!
//! A draft's services are complete and in range; what only the whole can tell (duplicates, settings that contradict
//! each other, weights without effect) is judged here, for every format alike.

mod bfd;
mod conduct;
mod elections;
mod heartbeat;
mod notify;

pub(crate) use bfd::BfdDraft;
pub(crate) use conduct::Conduct;
pub(crate) use heartbeat::{ClusterDraft, FenceDraft, GroupDraft, HeartbeatDraft};
pub(crate) use notify::NotifyDraft;

use crate::{
    codes,
    keepalived::{GlobalWord, vrrp::Vrrp},
};
use evenkeel_model::{
    Cluster, Forwarding, Scheduler, Service, ServiceKey, Settings, Timeouts, Weight,
    notify::{RoleNotify, ServiceNotify},
    vrrp,
};
use evenkeel_source::{Code, Diagnostic, Label, Span, Spanned};
use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Debug,
    hash::Hash,
    path::PathBuf,
};

/// What one or more files say.
#[derive(Default)]
pub(crate) struct Draft {
    pub(crate) settings: SettingsDraft,
    pub(crate) services: Vec<ServiceDraft>,
    /// Services that were written but could not be read; they keep E0220 quiet.
    pub(crate) broken_services: usize,
    /// What keepalived.conf files say in `global_defs`.
    pub(crate) globals: Vec<GlobalWord>,
    /// What they say about VRRP.
    pub(crate) vrrp: Vrrp,
    /// VRRP instances.
    pub(crate) elections: Vec<VrrpDraft>,
    /// Sync groups that say more than their names.
    pub(crate) groups: Vec<vrrp::SyncGroup>,
    /// What instances and groups can track.
    pub(crate) trackers: Vec<vrrp::Tracker>,
    /// BFD sessions.
    pub(crate) bfd: Vec<BfdDraft>,
    /// What holds for all elections.
    pub(crate) conduct: Conduct,
    /// What stays on the node.
    pub(crate) fixed: vrrp::Fixed,
    /// Who is told of changes.
    pub(crate) notify: NotifyDraft,
    /// The heartbeat cluster this node is in.
    pub(crate) heartbeat: HeartbeatDraft,
}

/// A VRRP instance and where its parts were written.
pub(crate) struct VrrpDraft {
    pub(crate) instance: vrrp::Instance,
    pub(crate) name: Span,
    pub(crate) vrid: Span,
    /// One for each address.
    pub(crate) addresses: Vec<Span>,
    /// Who is told about it.
    pub(crate) told: RoleNotify,
    /// Something of it could not be read, which is reported already.
    pub(crate) broken: bool,
}

/// Node-wide settings, each with its place.
#[derive(Default)]
pub(crate) struct SettingsDraft {
    pub(crate) connections: Option<Spanned<u32>>,
    pub(crate) interfaces: Option<Spanned<Vec<String>>>,
    pub(crate) attach: Option<Spanned<String>>,
    pub(crate) autoreload: Option<Spanned<bool>>,
    pub(crate) callback: Option<Spanned<PathBuf>>,
    pub(crate) execute: Vec<String>,
    pub(crate) maintenance_dir: Option<Spanned<PathBuf>>,
    pub(crate) log_file: Option<Spanned<PathBuf>>,
    pub(crate) log_facility: Option<Spanned<String>>,
    pub(crate) supervised: Option<Spanned<bool>>,
    pub(crate) timeouts: Option<Spanned<Timeouts>>,
    pub(crate) firewall: Option<Spanned<vrrp::Firewall>>,
}

/// A service and where its parts were written.
#[derive(Clone)]
pub(crate) struct ServiceDraft {
    pub(crate) service: Service,
    /// Where the name is, when it was written.
    pub(crate) name: Option<Span>,
    pub(crate) key: Span,
    pub(crate) scheduler: Option<Span>,
    /// One for each real server of `service`.
    pub(crate) real_servers: Vec<Span>,
    /// Who is told about it.
    pub(crate) told: ServiceNotify,
    /// Something of it could not be read, which is reported already; the rest is judged all the same.
    pub(crate) broken: bool,
}

/// Joins what several files say. Settings that differ are an error at both places.
pub(crate) fn merge(into: &mut Draft, other: Draft, out: &mut Vec<Diagnostic>) {
    let (a, b) = (&mut into.settings, other.settings);
    setting(&mut a.connections, b.connections, "connections", out);
    setting(&mut a.interfaces, b.interfaces, "interfaces", out);
    setting(&mut a.attach, b.attach, "attach", out);
    setting(&mut a.autoreload, b.autoreload, "autoreload", out);
    setting(&mut a.callback, b.callback, "callback", out);
    setting(&mut a.maintenance_dir, b.maintenance_dir, "maintenance directory", out);
    setting(&mut a.log_file, b.log_file, "log file", out);
    setting(&mut a.log_facility, b.log_facility, "log facility", out);
    setting(&mut a.supervised, b.supervised, "supervised", out);
    setting(&mut a.timeouts, b.timeouts, "timeouts", out);
    setting(&mut a.firewall, b.firewall, "nftables table", out);
    for file in b.execute {
        if !a.execute.contains(&file) {
            a.execute.push(file);
        }
    }
    into.services.extend(other.services);
    into.broken_services += other.broken_services;
    into.globals.extend(other.globals);
    into.vrrp.extend(other.vrrp);
    into.elections.extend(other.elections);
    into.groups.extend(other.groups);
    into.trackers.extend(other.trackers);
    into.bfd.extend(other.bfd);
    into.conduct.merge(other.conduct);
    into.fixed.addresses.extend(other.fixed.addresses);
    into.fixed.routes.extend(other.fixed.routes);
    into.fixed.rules.extend(other.fixed.rules);
    into.notify.merge(other.notify, out);
    into.heartbeat.merge(other.heartbeat, out);
}

fn setting<T: PartialEq + Debug>(
    into: &mut Option<Spanned<T>>,
    other: Option<Spanned<T>>,
    name: &str,
    out: &mut Vec<Diagnostic>,
) {
    let Some(other) = other else { return };
    match into {
        Some(first) if first.value != other.value => out.push(
            Diagnostic::error(codes::SETTING_TWICE, other.span, format!("{name} is set twice, differently"))
                .label(first.span, "first set here"),
        ),
        Some(_) => {}
        None => *into = Some(other),
    }
}

/// The cluster a draft means, with what is wrong or worth knowing about it. The caller drops the cluster when there is
/// an error among `out`.
pub(crate) fn resolve(mut draft: Draft, out: &mut Vec<Diagnostic>) -> Cluster {
    draft.conduct.settle_pauses(out);
    report_duplicates(&draft.services, out);
    for service in &draft.services {
        report_real_servers(service, out);
        report_weights(service, out);
    }
    elections::report(&draft.elections, out);
    elections::report_tracks(&draft, out);
    elections::report_closed(&draft, out);
    bfd::report(&draft.bfd, out);
    for service in &draft.services {
        bfd::report_checks(service, &draft.bfd, out);
    }
    let heartbeat = heartbeat::resolve(draft.heartbeat, &draft.elections, out);
    let notify = draft.notify.resolve(&draft.services, &draft.elections);
    let settings = draft.settings;
    Cluster {
        heartbeat,
        settings: Settings {
            connections: settings.connections.map(|s| s.value),
            interfaces: settings.interfaces.map(|s| s.value).unwrap_or_default(),
            attach: settings.attach.map(|s| s.value),
            autoreload: settings.autoreload.is_some_and(|s| s.value),
            callback: settings.callback.map(|s| s.value),
            execute: settings.execute,
            maintenance_dir: settings.maintenance_dir.map(|s| s.value),
            log_file: settings.log_file.map(|s| s.value),
            log_facility: settings.log_facility.map(|s| s.value),
            supervised: settings.supervised.is_some_and(|s| s.value),
            timeouts: settings.timeouts.map(|s| s.value).unwrap_or_default(),
        },
        services: draft.services.into_iter().map(|s| s.service).collect(),
        vrrp: vrrp::Elections {
            instances: draft.elections.into_iter().filter(|v| !v.broken).map(|v| v.instance).collect(),
            groups: draft.groups,
            trackers: draft.trackers,
            bfd: draft.bfd.into_iter().filter(|b| !b.broken).map(|b| b.session).collect(),
            startup_delay: draft.conduct.startup_delay,
            boot_delay: draft.conduct.boot_delay,
            pauses: draft.conduct.pauses.into_iter().map(|pause| pause.value).collect(),
            quiet_igmp: draft.conduct.quiet_igmp,
            fixed: draft.fixed,
            firewall: settings.firewall.map(|s| s.value).unwrap_or_default(),
            answered: Vec::new(),
        },
        notify,
    }
}

fn report_duplicates(services: &[ServiceDraft], out: &mut Vec<Diagnostic>) {
    let mut keys: HashMap<ServiceKey, Span> = HashMap::with_capacity(services.len());
    let mut names: HashMap<&str, (Span, ServiceKey)> = HashMap::with_capacity(services.len());
    for draft in services {
        let key = draft.service.key;
        if let Some(first) = keys.insert(key, draft.key) {
            out.push(
                Diagnostic::error(codes::DUPLICATE_SERVICE, draft.key, format!("virtual service {key} is there twice"))
                    .labelled("again here")
                    .label(first, "first here"),
            );
            continue;
        }
        let place = draft.name.unwrap_or(draft.key);
        if let Some((first, _)) = names.insert(&draft.service.name, (place, key)) {
            let name = crate::host::shown(&draft.service.name);
            out.push(
                Diagnostic::error(codes::DUPLICATE_SERVICE, place, format!("two virtual services are named `{name}`"))
                    .label(first, "the other one"),
            );
        }
    }
}

fn report_real_servers(draft: &ServiceDraft, out: &mut Vec<Diagnostic>) {
    let service = &draft.service;
    if service.real_servers.is_empty() && !draft.broken {
        let message = format!("virtual service `{}` has no real server", crate::host::shown(&service.name));
        let d = Diagnostic::warning(codes::NO_REAL_SERVERS, draft.key, message);
        out.push(match service.fallback {
            Some(_) => d.note("every connection goes to the fallback"),
            None => d.note("no connection can be answered"),
        });
    }
    let mut addresses = FirstSeen::new(service.real_servers.len());
    let mut names = FirstSeen::new(service.real_servers.len());
    for (at, (real, span)) in service.real_servers.iter().zip(&draft.real_servers).enumerate() {
        let first_place = |first: usize| draft.real_servers.get(first).copied().unwrap_or(*span);
        if let Some(first) = addresses.insert(real.address, at) {
            let message = format!("real server {} is there twice in one virtual service", real.address);
            out.push(
                Diagnostic::error(codes::DUPLICATE_REAL, *span, message)
                    .label(first_place(first), "first here")
                    .help("delete one of the two; add the weights if both shares are wanted"),
            );
        } else if let Some(first) = names.insert(real.name.as_str(), at) {
            let name = crate::host::shown(&real.name);
            let message = format!("two real servers of one virtual service are named `{name}`");
            out.push(Diagnostic::error(codes::NAMED_TWICE, *span, message).label(first_place(first), "the other one"));
        }
    }
}

/// What was seen, and where first. Most services are small, and comparing a few is faster than hashing them.
pub(crate) enum FirstSeen<K> {
    Few(Vec<(K, usize)>),
    Many(HashMap<K, usize>),
}

impl<K: Eq + Hash> FirstSeen<K> {
    /// Room for so many.
    pub(crate) fn new(count: usize) -> FirstSeen<K> {
        const FEW: usize = 16;
        if count <= FEW {
            FirstSeen::Few(Vec::with_capacity(count))
        } else {
            FirstSeen::Many(HashMap::with_capacity(count))
        }
    }

    /// Where `key` was seen first, if it was.
    pub(crate) fn insert(&mut self, key: K, at: usize) -> Option<usize> {
        match self {
            FirstSeen::Few(seen) => {
                let first = seen.iter().find(|(known, _)| *known == key).map(|(_, first)| *first);
                if first.is_none() {
                    seen.push((key, at));
                }
                first
            }
            FirstSeen::Many(seen) => match seen.entry(key) {
                Entry::Occupied(known) => Some(*known.get()),
                Entry::Vacant(free) => {
                    free.insert(at);
                    None
                }
            },
        }
    }
}

/// What to write for a scheduler that gives every real server the same share, so that different weights say something that
/// does not happen; `None`: weights count.
fn counts_weights_instead(scheduler: Scheduler) -> Option<&'static str> {
    match scheduler {
        Scheduler::RoundRobin => Some("write `wrr` if the weights are to count"),
        Scheduler::LeastConnections => Some("write `wlc` if the weights are to count"),
        Scheduler::DestinationHash => Some("write `lblc`, by destination address too, if the weights are to count"),
        Scheduler::WeightedRoundRobin
        | Scheduler::WeightedLeastConnections
        | Scheduler::ShortestExpectedDelay
        | Scheduler::NeverQueue
        | Scheduler::LocalityLeastConnections
        | Scheduler::LocalityLeastConnectionsReplicated
        | Scheduler::SourceHash(_)
        | Scheduler::MaglevHash(_)
        | Scheduler::Maglev
        | Scheduler::WeightedFailover
        | Scheduler::WeightedOverflow
        | Scheduler::PowerOfTwo => None,
    }
}

fn report_weights(draft: &ServiceDraft, out: &mut Vec<Diagnostic>) {
    let service = &draft.service;
    let Some(instead) = counts_weights_instead(service.scheduler) else { return };
    let mut in_use = service.real_servers.iter().zip(&draft.real_servers).filter(|(r, _)| r.weight != Weight::ZERO);
    let Some((first, first_span)) = in_use.next() else { return };
    let Some((other, other_span)) = in_use.find(|(real, _)| real.weight != first.weight) else { return };
    let name = service.scheduler.name();
    let message = format!("weights {} and {} have no effect with scheduler `{name}`", first.weight, other.weight);
    let mut d = Diagnostic::warning(codes::WEIGHTS_IGNORED, draft.scheduler.unwrap_or(draft.key), message);
    d.labels.push(Label { span: *first_span, text: format!("weight {}", first.weight) });
    d.labels.push(Label { span: *other_span, text: format!("weight {}", other.weight) });
    out.push(d.help(instead));
}

/// A port other than the service's, where packets cannot be given another port.
pub(crate) fn report_port(
    code: Code,
    written: u16,
    service_port: u16,
    forwarding: Forwarding,
    span: Span,
    out: &mut Vec<Diagnostic>,
) {
    if written == service_port || service_port == 0 || written == 0 {
        return;
    }
    let how = match forwarding {
        Forwarding::DirectRouting => "direct routing",
        Forwarding::Tunnel(_) => "a tunnel",
        Forwarding::Local => "local delivery",
        Forwarding::Nat | Forwarding::FullNat | Forwarding::Relay => return,
    };
    out.push(
        Diagnostic::warning(code, span, format!("{how} does not change ports: packets arrive on port {service_port}"))
            .labelled(format!("port {written} is not where they go"))
            .help(format!("write port {service_port}")),
    );
}
