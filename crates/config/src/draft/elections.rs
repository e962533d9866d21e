//! What only all VRRP instances together can tell.

use super::{Draft, VrrpDraft};
use crate::{codes, host::shown};
use evenkeel_model::{
    Service,
    vrrp::{Reach, SyncGroup, Target},
};
use evenkeel_source::{Diagnostic, Severity, Span};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

/// A few hundred on one interface are many; all of them with one id is a mistake told often enough.
const TOLD: usize = 64;

/// How the routers of one id reach each other, and where their ids are written.
type Others<'a> = Vec<(&'a Reach, Span)>;

/// Reports virtual routers, names and addresses that two instances claim, and sync groups of one.
pub(super) fn report(instances: &[VrrpDraft], out: &mut Vec<Diagnostic>) {
    // By interface, id and family.
    let mut routers: HashMap<(&str, u8, bool), Others<'_>> = HashMap::new();
    let mut names: HashMap<&str, Span> = HashMap::new();
    let mut claims: HashMap<IpAddr, (Span, &String, &String)> = HashMap::new();
    let mut groups: HashMap<&str, (Span, u32)> = HashMap::new();
    for VrrpDraft { instance, name, vrid, addresses, .. } in instances {
        let router = (instance.interface.as_str(), instance.vrid.get(), instance.is_ipv6());
        let others = routers.entry(router).or_default();
        if let Some((_, first)) = others.iter().find(|(reach, _)| meet(reach, &instance.reach)) {
            let message = format!("virtual router {} is taken on {}", instance.vrid, shown(&instance.interface));
            let d = Diagnostic::error(codes::VRRP_ID, *vrid, message).label(*first, "by this instance");
            out.push(d.note("keepalived reports it; routers that share an id take each other for one"));
        }
        if others.len() < TOLD {
            others.push((&instance.reach, *vrid));
        }
        if let Some(first) = names.insert(&instance.name, *name) {
            let message = format!("two VRRP instances are named `{}`", shown(&instance.name));
            let d = Diagnostic::error(codes::VRRP_NAME, *name, message).label(first, "the other one");
            out.push(d.note("keepalived reads both into the first"));
        }
        for (vip, span) in instance.addresses.iter().zip(addresses) {
            let interface = instance.interface_of(vip);
            let before = claims.insert(vip.address, (*span, interface, &instance.name));
            if let Some((first, place, _)) = before.filter(|(.., by)| *by != &instance.name) {
                let message = format!("{} is claimed twice", vip.address);
                // On one interface the one that yields would take it from the other.
                let severity = if place == interface { Severity::Error } else { Severity::Warning };
                let d = Diagnostic::new(severity, codes::VRRP_ADDRESS, *span, message);
                out.push(d.label(first, "first here").note("two masters of one address are what VRRP is to prevent"));
            }
        }
        if let Some(group) = &instance.group {
            groups.entry(group).or_insert((*name, 0)).1 += 1;
        }
    }
    let mut lonely: Vec<(&str, Span)> =
        groups.into_iter().filter(|(_, (_, members))| *members == 1).map(|(group, (span, _))| (group, span)).collect();
    lonely.sort_by_key(|(_, span)| span.start);
    for (group, span) in lonely {
        let message = format!("sync group `{}` has one member only", shown(group));
        out.push(Diagnostic::warning(codes::SYNC_GROUP, span, message));
    }
}

/// Reports tracks of what nobody has declared, and what a member and its group both track.
pub(super) fn report_tracks(draft: &Draft, out: &mut Vec<Diagnostic>) {
    let sessions: HashSet<&str> = draft.bfd.iter().map(|one| one.session.name.as_str()).collect();
    let groups: HashMap<&str, &SyncGroup> = draft.groups.iter().map(|group| (group.name.as_str(), group)).collect();
    let mut told: HashSet<&Target> = HashSet::new();
    for VrrpDraft { instance, name, .. } in &draft.elections {
        let group = instance.group.as_deref().and_then(|name| groups.get(name));
        let shared = group.map_or(&[][..], |group| &group.tracks);
        for target in instance.tracks.iter().chain(shared).map(|track| &track.target) {
            if let Target::Bfd(session) = target
                && !sessions.contains(session.as_str())
                && told.insert(target)
            {
                let message = format!("`{}` tracks {}, which is not there", shown(&instance.name), shown(session));
                out.push(Diagnostic::error(codes::VRRP_NAME, *name, message).help("write [bfd.NAME]"));
            }
        }
        let both = instance.tracks.iter().find(|own| shared.iter().any(|other| other.target == own.target));
        if let Some(both) = both {
            let message = format!("`{}` and its sync group both track {}", shown(&instance.name), both.target);
            let d = Diagnostic::error(codes::SYNC_GROUP, *name, message);
            out.push(d.help("let the group alone track it: it counts for every member"));
        }
    }
    let used: HashSet<&str> = draft.elections.iter().filter_map(|one| one.instance.group.as_deref()).collect();
    for group in draft.groups.iter().filter(|group| !used.contains(group.name.as_str())) {
        let message = format!("no instance is in sync group `{}`", shown(&group.name));
        out.push(Diagnostic::without_place(Severity::Warning, codes::SYNC_GROUP, message));
    }
}

/// Reports FTP services whose control connections this host would not take: they are relayed, from and at the address.
pub(super) fn report_closed(draft: &Draft, out: &mut Vec<Diagnostic>) {
    let closed = draft.elections.iter().map(|one| &one.instance).filter(|instance| instance.is_closed());
    let closed: HashMap<IpAddr, &str> =
        closed.flat_map(|instance| instance.vips().map(|vip| (vip.address, instance.name.as_str()))).collect();
    let is_relayed =
        |service: &Service| service.ftp && service.real_servers.iter().any(|real| real.forwarding.translates_ports());
    for one in draft.services.iter().filter(|one| is_relayed(&one.service)) {
        let Some(name) = one.service.key.address().and_then(|address| closed.get(&address)) else { continue };
        let message = format!("FTP by NAT on an address whose packets `{}` does not accept", shown(name));
        let d = Diagnostic::warning(codes::VRRP_ADDRESS, one.key, message);
        let d = d.note("this host relays control connections from the address, and would drop their answers");
        out.push(d.help("let the instance accept packets"));
    }
}

/// Whether two instances of one id hear each other.
fn meet(a: &Reach, b: &Reach) -> bool {
    match (a, b) {
        (Reach::Multicast, Reach::Multicast) => true,
        (Reach::Unicast { peers: a, .. }, Reach::Unicast { peers: b, .. }) => {
            a.iter().any(|peer| b.iter().any(|other| other.address == peer.address))
        }
        (Reach::Multicast, Reach::Unicast { .. }) | (Reach::Unicast { .. }, Reach::Multicast) => false,
    }
}
