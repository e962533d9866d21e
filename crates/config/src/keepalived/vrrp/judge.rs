//! What only the whole can tell: ids and names that are taken, names that nobody has, parts that contradict each other.

use super::{Vrrp, VrrpAddress, VrrpInstance, VrrpState, VrrpTrack, VrrpTracks, strict, track, vmac};
use crate::{codes, host::shown};
use evenkeel_model::vrrp::{Firewall, HmacMode, MOST_ADDRESSES, Priority, SECRET};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

/// The longest interval of VRRP version 3.
const LONGEST_V3: Duration = Duration::from_millis(40_950);

pub(super) fn judge(vrrp: &Vrrp, out: &mut Vec<Diagnostic>) {
    names("vrrp_sync_group", vrrp.sync_groups.iter().map(|one| &one.name), out);
    names("vrrp_script", vrrp.scripts.iter().map(|one| &one.name), out);
    names("track_file", vrrp.files.iter().map(|one| &one.name), out);
    names("vrrp_track_process", vrrp.processes.iter().map(|one| &one.name), out);
    let known = Known {
        scripts: vrrp.scripts.iter().map(|one| one.name.value.as_str()).collect(),
        files: vrrp.files.iter().map(|one| one.name.value.as_str()).collect(),
        processes: vrrp.processes.iter().map(|one| one.name.value.as_str()).collect(),
        bfd: vrrp.bfd.iter().map(|one| one.name.value.as_str()).collect(),
    };
    for instance in &vrrp.instances {
        one(vrrp, instance, out);
        tracked(&known, &instance.track, out);
    }
    groups(vrrp, &known, out);
    track::judge(vrrp, out);
    track_groups(vrrp, out);
    for script in vrrp.scripts.iter().filter(|script| script.command.is_none()) {
        let message = format!("vrrp_script `{}` has no script", shown(&script.name.value));
        let d = Diagnostic::warning(codes::NO_VALUE, script.name.span, message);
        out.push(d.note("keepalived leaves it out"));
    }
    if let Some(table) = vrrp.defaults.firewall.table.as_ref().filter(|table| !Firewall::can_be_called(&table.value)) {
        let message = format!("`{}` is no name of an nftables table", shown(&table.value));
        let d = Diagnostic::error(codes::VALUE, table.span, message);
        out.push(d.help("a letter, then letters, digits and any of `.`, `_`, `-`, `/`"));
    }
    for bfd in vrrp.bfd.iter().filter(|bfd| bfd.neighbour.is_none()) {
        let message = format!("bfd_instance `{}` has no neighbor_ip", shown(&bfd.name.value));
        out.push(Diagnostic::error(codes::MISSING_KEY, bfd.name.span, message).note("keepalived leaves it out"));
    }
}

fn names<'a>(kind: &str, all: impl Iterator<Item = &'a Spanned<String>>, out: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<&str, Span> = HashMap::new();
    for name in all {
        if let Some(first) = seen.insert(&name.value, name.span) {
            let message = format!("two {kind} are named `{}`", shown(&name.value));
            let d = Diagnostic::error(codes::VRRP_NAME, name.span, message).label(first, "the other one");
            out.push(d.note("keepalived reports the second one as already defined"));
        }
    }
}

/// Whether an instance speaks IPv6; `None` where nothing tells.
pub(super) fn family(instance: &VrrpInstance) -> Option<bool> {
    let first = instance.addresses.first().or(instance.excluded.first()).map(|address| address.address.value);
    first.or_else(|| instance.source.map(|source| source.value)).map(|address| address.is_ipv6())
}

/// The version an instance speaks.
fn version(vrrp: &Vrrp, instance: &VrrpInstance) -> u8 {
    if family(instance) == Some(true) {
        return 3;
    }
    instance.version.or(vrrp.defaults.version).map_or(2, |version| version.value)
}

fn one(vrrp: &Vrrp, instance: &VrrpInstance, out: &mut Vec<Diagnostic>) {
    let name = &instance.name;
    let shown_name = shown(&name.value);
    if instance.id.is_none() {
        let message = format!("vrrp_instance `{shown_name}` has no virtual_router_id");
        let d = Diagnostic::error(codes::VRRP_ID, name.span, message).note("keepalived leaves the instance out");
        out.push(d.help("write `virtual_router_id 51`, with a number from 1 to 255 that no other instance has"));
    }
    if instance.interface.is_none() {
        let message = format!("vrrp_instance `{shown_name}` has no interface");
        let d = Diagnostic::error(codes::MISSING_KEY, name.span, message);
        let d = d.note("keepalived 2.2.7 ends with it, `default_interface` or not, and with unicast too");
        out.push(d.help("write `interface eth0`"));
    }
    if instance.addresses.is_empty() {
        let message = format!("vrrp_instance `{shown_name}` has no virtual_ipaddress");
        if strict::is_on(vrrp, instance) {
            let d = Diagnostic::error(codes::VRRP_ADDRESS, name.span, message);
            out.push(d.note("with strict mode keepalived ends with it"));
        } else if !instance.switches.contains(&"no_virtual_ipaddress") {
            let d = Diagnostic::warning(codes::VRRP_ADDRESS, name.span, message);
            let d = match version(vrrp, instance) {
                3 => d.note("keepalived 2.2.7 leaves it out, for version 3 asks for one"),
                _ => d,
            };
            out.push(d.help("write `no_virtual_ipaddress` where that is on purpose (keepalived 2.4)"));
        }
    }
    addresses(instance, out);
    timing(vrrp, instance, out);
    preemption(vrrp, instance, out);
    authentication(vrrp, instance, out);
    reach(instance, out);
    if strict::is_on(vrrp, instance) {
        strict::judge(vrrp, instance, version(vrrp, instance), out);
    }
    vmac::judge(instance, out);
}

fn addresses(instance: &VrrpInstance, out: &mut Vec<Diagnostic>) {
    let Some(first) = instance.addresses.first() else { return };
    let six = first.address.value.is_ipv6();
    for other in instance.addresses.iter().filter(|address| address.address.value.is_ipv6() != six) {
        let message = format!("{} is of another family than the first address", other.address.value);
        let d = Diagnostic::warning(codes::VRRP_ADDRESS, other.address.span, message);
        out.push(d.note("keepalived leaves it out").help("write it into virtual_ipaddress_excluded"));
    }
    if let IpAddr::V6(v6) = first.address.value
        && !v6.is_unicast_link_local()
    {
        let message = "the first IPv6 address of an instance is not link-local";
        let d = Diagnostic::warning(codes::VRRP_ADDRESS, first.address.span, message);
        out.push(d.note("RFC 9568 5.2.9 asks for it; keepalived goes on, other routers may not"));
    }
    if instance.addresses.len() > MOST_ADDRESSES {
        let message = format!("{} addresses: an advertisement holds {MOST_ADDRESSES}", instance.addresses.len());
        let d = Diagnostic::warning(codes::VRRP_ADDRESS, first.address.span, message);
        out.push(d.help("write the others into virtual_ipaddress_excluded"));
    }
    let mut seen: HashMap<IpAddr, &VrrpAddress> = HashMap::new();
    for address in instance.addresses.iter().chain(&instance.excluded) {
        if let Some(first) = seen.insert(address.address.value, address)
            && (&first.interface, &first.label) == (&address.interface, &address.label)
        {
            let message = format!("{} is there twice", address.address.value);
            let d = Diagnostic::warning(codes::VRRP_ADDRESS, address.address.span, message);
            out.push(d.label(first.address.span, "the first one"));
        }
    }
}

fn timing(vrrp: &Vrrp, instance: &VrrpInstance, out: &mut Vec<Diagnostic>) {
    if let (Some(version), Some(true)) = (instance.version.filter(|version| version.value == 2), family(instance)) {
        let d = Diagnostic::warning(codes::VRRP_TIMING, version.span, "VRRP version 2 has no IPv6");
        out.push(d.note("keepalived takes version 3").help("write `version 3`"));
    }
    let Some(interval) = instance.advert_interval else { return };
    let written = interval.value.as_secs_f64();
    match version(vrrp, instance) {
        2 if interval.value.subsec_nanos() != 0 => {
            let message = format!("advert_int {written} with VRRP version 2, which counts whole seconds");
            let d = Diagnostic::warning(codes::VRRP_TIMING, interval.span, message);
            out.push(d.note("keepalived rounds it to whole seconds").help("write `version 3`"));
        }
        3 if interval.value > LONGEST_V3 => {
            let message = format!("advert_int {written} with VRRP version 3, which goes up to 40.95 s");
            let d = Diagnostic::warning(codes::VRRP_TIMING, interval.span, message);
            out.push(d.note("keepalived takes 40.95 s"));
        }
        _ => {}
    }
}

fn preemption(vrrp: &Vrrp, instance: &VrrpInstance, out: &mut Vec<Diagnostic>) {
    if let (Some(_), Some(delay)) = (instance.no_preempt, instance.preempt_delay) {
        let d = Diagnostic::warning(codes::VRRP_STATE, delay.span, "`preempt_delay` has no effect with `nopreempt`");
        out.push(d.note("keepalived resets it"));
    }
    let begins = strict::begins_as_master(vrrp, instance);
    let Some(state) = instance.state.filter(|state| begins && state.value == VrrpState::Master) else { return };
    if instance.priority.is_none() {
        let message = "`state MASTER` without `priority` is priority 255, which the owner of the addresses has";
        let d = Diagnostic::warning(codes::VRRP_STATE, state.span, message).note("keepalived takes it so");
        out.push(d.help("write the priority"));
    }
    for (word, span) in [
        ("nopreempt", instance.no_preempt.map(|word| word.span)),
        ("preempt_delay", instance.preempt_delay.filter(|delay| !delay.value.is_zero()).map(|delay| delay.span)),
    ] {
        let Some(span) = span else { continue };
        let message = format!("`{word}` does not work with `state MASTER`");
        let d = Diagnostic::warning(codes::VRRP_STATE, span, message).label(state.span, "the state");
        out.push(d.note("keepalived ignores it").help("write `state BACKUP` on every node: the priority decides"));
    }
}

fn authentication(vrrp: &Vrrp, instance: &VrrpInstance, out: &mut Vec<Diagnostic>) {
    if let Some(hmac) = &instance.hmac
        && strict::is_on(vrrp, instance)
        && hmac.mode != HmacMode::Enforce
    {
        let d = Diagnostic::warning(codes::VRRP_STATE, hmac.place, "strict mode asks for `mode enforce` of auth_hmac");
        out.push(d.help("write `mode enforce` once every node signs"));
    }
    let Some(authentication) = &instance.authentication else { return };
    let at = authentication.password.as_ref().map_or(instance.name.span, |password| password.span);
    if instance.hmac.is_some() {
        let d = Diagnostic::warning(codes::VRRP_STATE, at, "authentication beside auth_hmac");
        out.push(d.note("keepalived leaves `authentication` out").help("remove it"));
        return;
    }
    if strict::is_on(vrrp, instance) {
        // Told with what else does not go with it.
        return;
    }
    if version(vrrp, instance) == 3 {
        let d = Diagnostic::warning(codes::VRRP_STATE, at, "VRRP version 3 has no authentication");
        out.push(d.note("keepalived ignores it"));
        return;
    }
    let Some(password) = &authentication.password else {
        let d = Diagnostic::warning(codes::VRRP_STATE, at, "authentication without auth_pass");
        out.push(d.note("keepalived ignores it"));
        return;
    };
    if password.value.len() > SECRET {
        let message = format!("only the first {SECRET} bytes of a password count");
        out.push(Diagnostic::warning(codes::VRRP_STATE, password.span, message));
    }
    if authentication.header {
        let owns = strict::priority(instance) == Priority::OWNER;
        if let Some(state) = instance.state.filter(|state| state.value == VrrpState::Master && !owns) {
            let d = Diagnostic::warning(codes::VRRP_STATE, state.span, "`state MASTER` with auth_type AH");
            out.push(d.note("keepalived begins as backup: it must hear a sequence number first"));
        }
        return;
    }
    let d = Diagnostic::warning(codes::CLEAR_TEXT, password.span, "the VRRP password travels in clear text");
    out.push(d.help("use it only while a keepalived peer needs it"));
}

/// Whom an instance speaks to, and from where.
fn reach(instance: &VrrpInstance, out: &mut Vec<Diagnostic>) {
    let Some(peers) = &instance.peers else { return };
    let name = shown(&instance.name.value);
    if peers.is_empty() {
        let message = format!("vrrp_instance `{name}` has an empty unicast_peer");
        let d = Diagnostic::warning(codes::VRRP_STATE, instance.name.span, message);
        out.push(match instance.switches.contains(&"unicast_fault_no_peer") {
            true => d.note("with `unicast_fault_no_peer` it is at fault until it has peers"),
            false => {
                d.note("keepalived takes multicast").help("leave unicast_peer out, or write the other nodes into it")
            }
        });
    }
}

/// The names of what can be tracked.
struct Known<'a> {
    scripts: HashSet<&'a str>,
    files: HashSet<&'a str>,
    processes: HashSet<&'a str>,
    bfd: HashSet<&'a str>,
}

fn tracked(known: &Known<'_>, tracks: &VrrpTracks, out: &mut Vec<Diagnostic>) {
    let mut unknown = |kind: &str, tracks: &[VrrpTrack], known: &HashSet<&str>| {
        for track in tracks.iter().filter(|track| !known.contains(track.name.value.as_str())) {
            let message = format!("there is no {kind} `{}`", shown(&track.name.value));
            let d = Diagnostic::warning(codes::VRRP_NAME, track.name.span, message);
            out.push(d.note("keepalived ignores it"));
        }
    };
    unknown("vrrp_script", &tracks.scripts, &known.scripts);
    unknown("track_file", &tracks.files, &known.files);
    unknown("vrrp_track_process", &tracks.processes, &known.processes);
    unknown("bfd_instance", &tracks.bfd, &known.bfd);
}

fn track_groups(vrrp: &Vrrp, out: &mut Vec<Diagnostic>) {
    names("track_group", vrrp.track_groups.iter().map(|one| &one.name), out);
    let groups: HashSet<&str> = vrrp.track_groups.iter().map(|one| one.name.value.as_str()).collect();
    let instances: HashSet<&str> = vrrp.instances.iter().map(|one| one.name.value.as_str()).collect();
    let mut unknown = |kind: &str, name: &Spanned<String>, known: &HashSet<&str>| {
        if !known.contains(name.value.as_str()) {
            let message = format!("there is no {kind} `{}`", shown(&name.value));
            let d = Diagnostic::warning(codes::VRRP_NAME, name.span, message);
            out.push(d.note("keepalived ignores it"));
        }
    };
    for grouped in &vrrp.grouped {
        unknown("track_group", &grouped.group, &groups);
    }
    for member in vrrp.track_groups.iter().flat_map(|group| &group.members) {
        unknown("vrrp_instance", member, &instances);
    }
}

fn groups(vrrp: &Vrrp, known: &Known<'_>, out: &mut Vec<Diagnostic>) {
    let instances: HashSet<&str> = vrrp.instances.iter().map(|one| one.name.value.as_str()).collect();
    let mut member_of: HashMap<&str, Span> = HashMap::new();
    for group in &vrrp.sync_groups {
        tracked(known, &group.track, out);
        if group.members.is_empty() {
            let message = format!("vrrp_sync_group `{}` has no members", shown(&group.name.value));
            let d = Diagnostic::warning(codes::VRRP_NAME, group.name.span, message);
            out.push(d.note("keepalived leaves it out").help("write them as `group { VI_1 VI_2 }`, each in its line"));
        }
        for member in &group.members {
            let name = shown(&member.value);
            if !instances.contains(member.value.as_str()) {
                let message = format!("there is no vrrp_instance `{name}`");
                let d = Diagnostic::warning(codes::VRRP_NAME, member.span, message);
                out.push(d.note("keepalived leaves it out of the group"));
            } else if let Some(first) = member_of.insert(&member.value, member.span) {
                let message = format!("vrrp_instance `{name}` is in a group twice");
                let d = Diagnostic::warning(codes::VRRP_NAME, member.span, message).label(first, "first here");
                out.push(d.note("keepalived leaves it out of all groups but one"));
            }
        }
    }
}
