//! What this host has to do with a configuration, for `check` and `run --dry-run`: asked, never changed.

mod programs;

use crate::{
    clock::Clock,
    doors::{Numbered, doubt, doubtful},
    firewall, interfaces, marks,
    network::Network,
    path::Door,
};
use evenkeel_api::{PlanAction, PlanLine};
use evenkeel_dataplane::Table;
use evenkeel_model::{Cluster, heartbeat::Agent};
use evenkeel_source::{Code, Diagnostic, Severity};
use std::collections::BTreeSet;

/// A virtual address is no address of this host.
pub const NOT_HERE: Code = Code("H0601");
/// A rule of the firewall does not see the traffic of a service.
pub const BYPASSED: Code = Code("H0602");
/// Native XDP is asked for on an interface that is no network card.
pub const DOUBTFUL_DOOR: Code = Code("H0603");
/// A rule of the host that sets marks cannot be followed.
pub const NOT_FOLLOWED: Code = Code("H0604");

/// A rule of the firewall keeps out what other nodes say.
pub const DEAF: Code = Code("H0606");

/// A program cannot be run, or others can change it.
pub const PROGRAM: Code = Code("H0605");

/// The codes of this module at length.
pub fn explain(code: &str) -> Option<&'static str> {
    match code.to_ascii_uppercase().as_str() {
        "H0601" => Some(
            "A virtual address is on no interface of this host. The director answers ARP for the virtual addresses, so \
             one that nobody holds is reached only where a router sends its traffic here. Add it to an interface, for \
             example: ip address add ADDRESS/32 dev lo",
        ),
        "H0602" => Some(
            "The packet path takes the packets of a service before the host's firewall sees them, so this rule has no \
             effect on them. Kernel IPVS obeyed it. Say who may connect in the service itself: allow and deny.",
        ),
        "H0603" => Some(
            "Native XDP runs in the driver of a network card. On an interface of software, such as a veth, a packet that \
             the program sends on is dropped without a trace unless the other end has an XDP program as well. The door \
             `auto` takes the best that is safe on each interface; `tcx` works on every one.",
        ),
        "H0604" => Some(
            "A service by mark takes its packets from the host's own rules. The packet path lies in front of them, so it \
             reads them and follows what asks for destination, source, protocol and destination ports. This rule asks for \
             something else, and what only it marks does not reach the service. Write the rule with those alone, or say \
             what has the mark in the native file: match.",
        ),
        "H0605" => Some(
            "A program that evenkeel is to run (of a check, a notify script, something tracked, a FIFO) is not there, its \
             user is not there or may not run it: then a check finds its real server down, a tracked script is left out, \
             and a notify script tells nobody. Or it runs as root, and others than root can change it, a part of its path \
             or what a link in it leads to, and so decide what runs as root: enable_script_security (native: strict = true \
             in [notify]) refuses that.",
        ),
        "H0606" => Some(
            "A rule or the policy of a firewall chain on this host drops what the other nodes send: heartbeats (UDP, port \
             694 unless udpport says otherwise) or VRRP (IP protocol 112; 51 with auth_type AH). Then each node takes the \
             other for dead, and both hold the addresses. A rule that accepts established connections does not help: \
             these packets answer nothing. Where it says `may`, a rule asks for something that evenkeel does not read, \
             such as an ipset or a limit. The command lets them in until the next restart; put the same rule where the \
             host keeps its rules.",
        ),
        _ => None,
    }
}

/// Interfaces of VRRP instances that this host has not now.
pub fn absent_interfaces(cluster: &Cluster) -> BTreeSet<&str> {
    let links = evenkeel_netlink::Netlink::open().and_then(|mut netlink| netlink.links());
    let known: BTreeSet<String> = links.into_iter().flatten().map(|link| link.name).collect();
    let instances = cluster.vrrp.instances.iter().filter(|instance| instance.needs_interface);
    instances.map(|instance| instance.interface.as_str()).filter(|name| !known.contains(*name)).collect()
}

/// What differs between the files and this host.
pub fn compare(cluster: &Cluster) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    // Those of VRRP and of resource groups come and go.
    let vips = cluster.vrrp.instances.iter().flat_map(|one| one.vips()).map(|vip| vip.address);
    let groups = cluster.heartbeat.iter().flat_map(|heartbeat| &heartbeat.groups);
    let resources = groups.flat_map(|group| &group.resources).filter_map(|resource| match &resource.agent {
        Agent::Ip(ip) => Some(ip.address),
        Agent::Script { .. } | Agent::Ocf { .. } | Agent::Systemd { .. } | Agent::Services { .. } => None,
    });
    let held: BTreeSet<_> = vips.chain(resources).collect();
    let missing: BTreeSet<_> = match on_a_runtime(|network| network.own_addresses()) {
        Some(own) => cluster
            .services
            .iter()
            .filter_map(|s| s.key.address())
            .filter(|vip| !own.contains(vip) && !held.contains(vip))
            .collect(),
        None => BTreeSet::new(),
    };
    for vip in missing {
        let message = format!("no interface of this host has the virtual address {vip}");
        let length = if vip.is_ipv4() { 32 } else { 128 };
        diagnostics.push(
            Diagnostic::without_place(Severity::Warning, NOT_HERE, message)
                .help(format!("ip address add {vip}/{length} dev lo")),
        );
    }
    for why in programs::doubts(cluster) {
        diagnostics.push(Diagnostic::without_place(Severity::Warning, PROGRAM, why));
    }
    let door = cluster.settings.attach.as_deref().and_then(|word| word.parse().ok()).unwrap_or_default();
    for text in doubts(cluster, &[], door) {
        diagnostics.push(Diagnostic::without_place(Severity::Warning, DOUBTFUL_DOOR, text));
    }
    let found = firewall::look(cluster);
    for event in found.bypassed {
        diagnostics.push(Diagnostic::without_place(Severity::Warning, BYPASSED, event.to_string()));
    }
    for deaf in found.deaf {
        let severity = if deaf.surely { Severity::Warning } else { Severity::Note };
        diagnostics.push(Diagnostic::without_place(severity, DEAF, deaf.what).help(deaf.remedy));
    }
    // Without root much cannot be seen: that is no fault of the files.
    for text in found.unseen {
        diagnostics.push(Diagnostic::without_place(Severity::Note, BYPASSED, text));
    }
    let lost = marks::lost(cluster);
    for text in lost.rules {
        diagnostics.push(Diagnostic::without_place(Severity::Warning, NOT_FOLLOWED, text));
    }
    for text in lost.unseen {
        diagnostics.push(Diagnostic::without_place(Severity::Note, NOT_FOLLOWED, text));
    }
    diagnostics
}

/// What a run on a host that serves nothing yet would add. Interfaces named by the operator are taken as they are.
pub fn dry_run(cluster: &Cluster, named: &[String], door: &str) -> Vec<PlanLine> {
    let mut lines = evenkeel_engine::plan(&Table::default(), cluster);
    let (chosen, _) = chosen(cluster, named);
    let bpf = |interface: String| PlanLine {
        action: PlanAction::Add,
        kind: "bpf".to_owned(),
        nested: false,
        text: format!("{door} on {interface}"),
    };
    lines.extend(chosen.into_iter().map(bpf));
    lines
}

/// What is doubtful about attaching in this way, one sentence for each interface.
pub fn doubts(cluster: &Cluster, named: &[String], door: Door) -> Vec<String> {
    if door != Door::Xdp {
        return Vec::new();
    }
    let (chosen, host) = chosen(cluster, named);
    doubtful(door, &chosen, &host).iter().map(|name| doubt(name)).collect()
}

/// The interfaces that a run would attach to, and those of this host.
fn chosen(cluster: &Cluster, named: &[String]) -> (BTreeSet<String>, Vec<Numbered>) {
    let vips = crate::follows::destinations(cluster).into_keys().collect();
    let host = on_a_runtime(|network| network.interfaces(&vips)).and_then(Result::ok).unwrap_or_default();
    let named = if named.is_empty() { &cluster.settings.interfaces } else { named };
    let chosen = if named.is_empty() {
        let host: Vec<_> = host.iter().map(|numbered| numbered.interface.clone()).collect();
        interfaces::choose(&vips, &host, true)
    } else {
        named.iter().cloned().collect()
    };
    (chosen, host)
}

/// Asks the network; `None` where it cannot be asked.
fn on_a_runtime<T>(ask: impl FnOnce(&mut Network) -> T) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(async { Network::open(Clock::start()).ok().map(|mut network| ask(&mut network)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;
    use evenkeel_model::{Protocol, ServiceKey};
    use std::fs;

    fn cluster(vip: &str) -> Cluster {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ldirectord.cf");
        fs::write(&file, format!("virtual={vip}:80\n\treal=192.0.2.2 gate\n\tservice=http\n")).unwrap();
        files::load(&[file], None, None).cluster.unwrap()
    }

    #[test]
    fn a_virtual_address_that_nobody_holds_is_told_with_what_to_do() {
        let told = compare(&cluster("192.0.2.1"));
        assert!(
            told.iter().any(|d| d.code == NOT_HERE && d.helps == ["ip address add 192.0.2.1/32 dev lo"]),
            "{told:?}"
        );
        let mut here = cluster("192.0.2.1");
        here.services[0].key = ServiceKey::new("127.0.0.1".parse().unwrap(), Protocol::Tcp, 80);
        assert!(!compare(&here).iter().any(|d| d.code == NOT_HERE));
        assert!(explain("h0601").is_some() && explain("E0102").is_none());
    }

    #[test]
    fn native_xdp_on_what_is_no_network_card_is_doubted() {
        let lo = ["lo".to_owned()];
        let told = doubts(&cluster("192.0.2.1"), &lo, Door::Xdp);
        assert_eq!(
            told,
            ["lo is no network card, and native XDP may lose every packet there: use auto or tcx instead of xdp"]
        );
        assert!(doubts(&cluster("192.0.2.1"), &lo, Door::Auto).is_empty());
        let mut asked = cluster("192.0.2.1");
        (asked.settings.attach, asked.settings.interfaces) = (Some("xdp".to_owned()), lo.into());
        assert!(compare(&asked).iter().any(|d| d.code == DOUBTFUL_DOOR));
    }

    #[test]
    fn a_dry_run_names_services_and_interfaces() {
        let lines = dry_run(&cluster("192.0.2.1"), &["eth7".to_owned()], "auto");
        assert!(lines.iter().any(|l| l.kind == "service" && l.text.contains("192.0.2.1:80")), "{lines:?}");
        assert!(lines.iter().any(|l| l.to_string() == "+ bpf       auto on eth7"), "{lines:?}");
    }
}
