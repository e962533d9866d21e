//! Instances as they are carried out. What is missing or contradictory is told by [`super::judge`]; here it is what
//! keepalived makes of it.

use super::{Vrrp, VrrpAddress, VrrpFirewall, VrrpGarp, VrrpInstance, VrrpTrackGroup, hmac, judge, strict, vmac};
use crate::draft::VrrpDraft;
use evenkeel_model::{
    notify::RoleNotify,
    vrrp::{
        AdvertInterval, Authentication, Firewall, Fixed, Instance, MOST_ADDRESSES, Peer, Preempt, Reach, Rounds,
        SyncGroup, Target, Track, Version, Vip, VipOptions, Vrid, secret,
    },
};
use evenkeel_source::{Span, Spanned};
use std::time::Duration;

/// The interface of what is fixed where none is named, as keepalived has it.
const INTERFACE: &str = "eth0";

/// The instances that can be: those without an id or an interface are told and left out.
pub(crate) fn lower(vrrp: &Vrrp) -> Vec<VrrpDraft> {
    let mut taken = vmac::given(vrrp);
    vrrp.instances.iter().filter_map(|instance| one(vrrp, instance, &mut taken)).collect()
}

fn one(vrrp: &Vrrp, from: &VrrpInstance, taken: &mut vmac::Taken) -> Option<VrrpDraft> {
    let id = from.id?;
    let vrid = Vrid::new(id.value)?;
    let six = judge::family(from).unwrap_or(false);
    // keepalived leaves addresses of another family out.
    let advertised: Vec<_> = from.addresses.iter().filter(|address| address.address.value.is_ipv6() == six).collect();
    let defaults = &vrrp.defaults;
    let version = match from.version.or(defaults.version).map_or(2, |version| version.value) {
        2 if !six => Version::Two,
        _ => Version::Three,
    };
    let interface = &from.interface.as_ref()?.value;
    let (advertised, rest) = advertised.split_at(advertised.len().min(MOST_ADDRESSES));
    let vips = advertised.iter().map(|address| vip(address)).collect();
    let mut instance = Instance::new(from.name.value.clone(), interface.to_owned(), vrid, version, vips);
    instance.excluded = rest.iter().copied().chain(&from.excluded).map(vip).collect();
    instance.routes = values(&from.routes);
    instance.rules = values(&from.rules);
    instance.priority = strict::priority(from);
    instance.interval = interval(version, from.advert_interval);
    instance.down_adverts = from.down_timer_adverts.or(defaults.down_timer_adverts).map_or(3, |n| n.value);
    instance.preempt = preempt(vrrp, from);
    instance.authentication = authentication(version, from);
    instance.accept = strict::accepts(vrrp, from, version);
    instance.hmac = from.hmac.as_ref().map(|hmac| hmac::lower(hmac, instance.interval));
    instance.reach = reach(six, defaults.check_unicast_source, from);
    instance.source = from.source.map(|source| source.value).filter(|source| source.is_ipv6() == six);
    instance.rounds = rounds(&from.garp, &defaults.garp);
    instance.answer_lower = !from.lower_no_advert.or(defaults.lower_no_advert).is_some_and(|yes| yes.value);
    let member = |group: &&super::VrrpSyncGroup| group.members.iter().any(|name| name.value == from.name.value);
    instance.group = vrrp.sync_groups.iter().find(member).map(|group| group.name.value.clone());
    let group = from.group.or(if six { defaults.group6 } else { defaults.group4 });
    instance.multicast = group.map(|group| group.value).filter(|ip| ip.is_ipv6() == six && ip.is_multicast());
    // A packet with a hop limit of 0 never leaves.
    instance.hops = from.unicast_ttl.map_or(u8::MAX, |ttl| ttl.value.max(1));
    if strict::is_on(vrrp, from) {
        strict::tighten(&mut instance);
    }
    instance.promote_secondaries = from.switches.contains(&"promote_secondaries");
    vmac::add(vrrp, from, taken, &mut instance);
    let addresses: Vec<Span> = advertised.iter().map(|address| address.address.span).collect();
    Some(VrrpDraft {
        instance,
        name: from.name.span,
        vrid: id.span,
        addresses,
        told: RoleNotify::default(),
        broken: false,
    })
}

/// An instance of a `track_group` is at fault without the interfaces of what is fixed and names the group.
pub(crate) fn follow_groups(vrrp: &Vrrp, shared: &[SyncGroup], drafts: &mut [VrrpDraft]) {
    for instance in drafts.iter_mut().map(|draft| &mut draft.instance) {
        let member = |group: &&VrrpTrackGroup| group.members.iter().any(|one| one.value == instance.name);
        let names: Vec<&str> = vrrp.track_groups.iter().filter(member).map(|one| one.name.value.as_str()).collect();
        let sync = shared.iter().find(|group| Some(&group.name) == instance.group.as_ref());
        for grouped in vrrp.grouped.iter().filter(|grouped| names.contains(&grouped.group.value.as_str())) {
            let target = Target::Interface(grouped.interface.clone());
            let mut known = instance.tracks.iter().chain(sync.into_iter().flat_map(|group| &group.tracks));
            if grouped.interface != instance.interface && known.all(|track| track.target != target) {
                instance.tracks.push(Track { target, weight: 0, reverse: false });
            }
        }
    }
}

fn values<T: Clone>(written: &[Spanned<T>]) -> Vec<T> {
    written.iter().map(|one| one.value.clone()).collect()
}

/// What stays on the node; an address without an interface is on the default one.
pub(crate) fn fixed(vrrp: &Vrrp) -> Fixed {
    let default = vrrp.defaults.interface.as_ref().map_or(INTERFACE, |name| &name.value);
    let address = |from: &VrrpAddress| {
        let mut vip = vip(from);
        vip.interface.get_or_insert_with(|| default.to_owned());
        vip
    };
    Fixed {
        addresses: vrrp.static_addresses.iter().map(address).collect(),
        routes: values(&vrrp.static_routes),
        rules: values(&vrrp.static_rules),
    }
}

/// The table that keeps packets away, where something is said of it.
pub(crate) fn firewall(vrrp: &Vrrp) -> Option<Spanned<Firewall>> {
    let VrrpFirewall { table, priority, counters } = &vrrp.defaults.firewall;
    let place = table.as_ref().map(|table| table.span).or(priority.map(|number| number.span)).or(*counters)?;
    let usual = Firewall::default();
    let name = table.as_ref().map(|table| &table.value).filter(|name| Firewall::can_be_called(name));
    let firewall = Firewall {
        table: name.map_or(usual.table, String::clone),
        priority: priority.map_or(usual.priority, |number| number.value),
        counters: counters.is_some(),
    };
    Some(Spanned::new(firewall, place))
}

fn vip(from: &VrrpAddress) -> Vip {
    let has = |word| from.switches.contains(&word);
    Vip {
        address: from.address.value,
        prefix: from.prefix,
        interface: from.interface.as_ref().map(|name| name.value.clone()),
        label: from.label.as_ref().map(|label| label.value.clone()),
        options: VipOptions {
            scope: from.scope.map(|scope| scope.value),
            broadcast: from.broadcast,
            peer: from.peer.map(|peer| peer.value),
            preferred: from.preferred.filter(|_| from.address.value.is_ipv6()),
            detect_duplicates: has("-nodad"),
            home: has("home"),
            temporary: has("mngtmpaddr"),
            no_prefix_route: has("noprefixroute"),
            join: has("autojoin"),
            untracked: has("no_track"),
        },
    }
}

/// What the version can say: version 2 rounds to whole seconds, version 3 to hundredths.
fn interval(version: Version, written: Option<Spanned<Duration>>) -> AdvertInterval {
    written.map_or(AdvertInterval::DEFAULT, |written| AdvertInterval::nearest(version, written.value))
}

/// With `state MASTER` keepalived knows no patience.
fn preempt(vrrp: &Vrrp, from: &VrrpInstance) -> Preempt {
    let begins_as_master = strict::begins_as_master(vrrp, from);
    match (from.no_preempt, from.preempt_delay) {
        (Some(_), _) if !begins_as_master => Preempt::No,
        (None, Some(delay)) if !begins_as_master => Preempt::After(delay.value),
        (Some(_) | None, _) => Preempt::After(Duration::ZERO),
    }
}

fn authentication(version: Version, from: &VrrpInstance) -> Authentication {
    let written = from.authentication.as_ref().filter(|_| version == Version::Two && from.hmac.is_none());
    let Some((written, password)) = written.and_then(|it| Some((it, it.password.as_ref()?))) else {
        return Authentication::None;
    };
    let secret = secret(&password.value);
    if written.header { Authentication::Header(secret) } else { Authentication::Password(secret) }
}

/// Without peers of its family an instance speaks to all, unless it is told not to.
fn reach(six: bool, check: bool, from: &VrrpInstance) -> Reach {
    let peers = from.peers.iter().flatten().filter(|peer| peer.address.value.is_ipv6() == six);
    let peers: Vec<Peer> = peers
        .map(|peer| Peer {
            address: peer.address.value,
            hops: peer.least_ttl.unwrap_or(0)..=peer.most_ttl.unwrap_or(u8::MAX),
        })
        .collect();
    if peers.is_empty() && !from.switches.contains(&"unicast_fault_no_peer") {
        return Reach::Multicast;
    }
    Reach::Unicast { peers, check_source: check || from.switches.contains(&"check_unicast_src") }
}

fn rounds(own: &VrrpGarp, defaults: &VrrpGarp) -> Rounds {
    let said = |own: Option<Spanned<u32>>, default: Option<Spanned<u32>>| own.or(default).map(|number| number.value);
    let count = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    let seconds = |number: u32| Duration::from_secs(number.into());
    let usual = Rounds::default();
    let once = defaults.least.is_some_and(|yes| yes.value);
    let burst = said(own.master_repeat, defaults.master_repeat).map_or(if once { 1 } else { usual.burst }, count);
    let again_after = if once { Duration::ZERO } else { usual.again_after };
    let again_after = said(own.master_delay, defaults.master_delay).map_or(again_after, seconds);
    // A refresh is of all addresses, on whichever interfaces they are.
    let refresh = said(own.master_refresh, defaults.master_refresh).map_or(usual.refresh, seconds);
    let elsewhere = said(own.elsewhere, defaults.elsewhere).map_or(Duration::ZERO, seconds);
    let refresh = [refresh, elsewhere].into_iter().filter(|time| !time.is_zero()).min().unwrap_or(Duration::ZERO);
    Rounds {
        burst,
        again_after,
        refresh,
        refresh_burst: said(own.master_refresh_repeat, defaults.master_refresh_repeat)
            .map_or(usual.refresh_burst, count),
        contested_burst: said(own.lower_repeat, defaults.lower_repeat).map_or(burst, count),
        contested_again_after: said(own.lower_delay, defaults.lower_delay).map_or(again_after, seconds),
    }
}
