//! Blocks into the structures of [`super`].

use super::{
    super::{check::script_words, tree::Node, value::Block},
    BfdInstance, Vrrp, VrrpAuthentication, VrrpDefaults, VrrpFirewall, VrrpGarp, VrrpInstance, VrrpNotify, VrrpProcess,
    VrrpScript, VrrpState, VrrpSyncGroup, VrrpTrackFile, VrrpTrackGroup, VrrpTracks,
    address::addresses,
    conduct, hmac, judge, list,
    routing::Reader,
};
use crate::{
    codes,
    host::{Host, shown},
    routing::Names,
};
use evenkeel_source::{Diagnostic, Spanned};

/// Reads everything about VRRP and judges it as a whole.
pub(crate) fn read(top: &[Node], host: &Host<'_>, out: &mut Vec<Diagnostic>) -> Vrrp {
    let top = Block(top);
    let globals = |name: &str| top.nodes("global_defs").filter_map(|node| Block(&node.block).text(name)).last();
    let directories = ["iproute_etc_dir", "iproute_usr_dir"].map(|name| globals(name).map(|text| text.value));
    let names = Names::new(host).within(directories);
    let mut routing = Reader::new(&names);
    let mut vrrp = Vrrp {
        sync_groups: top.nodes("vrrp_sync_group").map(|node| sync_group(node, out)).collect(),
        scripts: top.nodes("vrrp_script").map(|node| script(node, out)).collect(),
        processes: top.nodes("vrrp_track_process").map(process).collect(),
        files: top.nodes("track_file").chain(top.nodes("vrrp_track_file")).map(track_file).collect(),
        bfd: top.nodes("bfd_instance").map(bfd).collect(),
        garp_groups: top.nodes("garp_group").map(conduct::group).collect(),
        delays: top.nodes("interface_up_down_delays").flat_map(|node| list::delays(&node.lines, out)).collect(),
        ..Vrrp::default()
    };
    // In the order of the file: rules without a priority are counted.
    for node in top.0 {
        let own = std::slice::from_ref(node);
        match node.keyword.name {
            "vrrp_instance" => vrrp.instances.push(instance(node, &mut routing, host, out)),
            "static_ipaddress" => vrrp.static_addresses.extend(addresses(&node.lines, &names, out)),
            "track_group" => vrrp.track_groups.push(track_group(node)),
            "static_routes" => vrrp.static_routes.extend(routing.routes(own, "static_routes", out)),
            "static_rules" => vrrp.static_rules.extend(routing.rules(own, "static_rules", out)),
            _ => {}
        }
    }
    for node in top.nodes("global_defs") {
        defaults(Block(&node.block), &mut vrrp.defaults);
    }
    for address in &vrrp.static_addresses {
        if let Some(group) = address.track_group.clone() {
            let default = vrrp.defaults.interface.as_ref();
            routing.group(
                group,
                address.address.span,
                address.interface.as_ref().or(default).map(|name| &name.value),
                out,
            );
        }
    }
    vrrp.grouped = routing.into_grouped();
    judge::judge(&vrrp, out);
    vrrp
}

fn name(node: &Node) -> Spanned<String> {
    node.args
        .first()
        .map_or_else(|| Spanned::new(String::new(), node.span), |word| Spanned::new(word.text.clone(), word.span))
}

fn garp(block: Block<'_>, before: &str) -> VrrpGarp {
    let number = |name: &str| block.number(&format!("{before}{name}"));
    VrrpGarp {
        master_delay: number("garp_master_delay"),
        master_repeat: number("garp_master_repeat"),
        master_refresh: number("garp_master_refresh"),
        master_refresh_repeat: number("garp_master_refresh_repeat"),
        lower_delay: number("garp_lower_prio_delay"),
        lower_repeat: number("garp_lower_prio_repeat"),
        elsewhere: seconds_of(block, &format!("{before}garp_extra_if"))
            .or_else(|| seconds_of(block, &format!("{before}vmac_garp_intvl"))),
        least: block.switch(&format!("{before}min_garp")),
    }
}

/// `[all] SECONDS`
fn seconds_of(block: Block<'_>, name: &str) -> Option<Spanned<u32>> {
    let word = block.node(name)?.args.last()?;
    Some(Spanned::new(word.text.parse().ok()?, word.span))
}

/// Later words win over earlier ones, in whichever `global_defs` they stand.
fn defaults(block: Block<'_>, into: &mut VrrpDefaults) {
    let words = |name: &str| block.node(name).and_then(|node| list::line(&node.args));
    let own = VrrpDefaults {
        version: block.number("vrrp_version"),
        group4: block.address("vrrp_mcast_group4"),
        group6: block.address("vrrp_mcast_group6"),
        garp: garp(block, "vrrp_"),
        down_timer_adverts: block.number("vrrp_down_timer_adverts"),
        startup_delay: block.time("vrrp_startup_delay"),
        boot_delay: block.time("vrrp_delay_after_boot"),
        garp_interval: block.time("vrrp_garp_interval"),
        gna_interval: block.time("vrrp_gna_interval"),
        quiet_igmp: block.is_there("disable_local_igmp"),
        strict: block.is_there("vrrp_strict"),
        check_unicast_source: block.is_there("vrrp_check_unicast_src"),
        skip_address_check: block.switch("vrrp_skip_check_adv_addr"),
        lower_no_advert: block.switch("vrrp_lower_prio_no_advert"),
        higher_send_advert: block.switch("vrrp_higher_prio_send_advert"),
        firewall: VrrpFirewall {
            table: block.text("nftables"),
            priority: block.number("nftables_priority"),
            counters: block.node("nftables_counters").map(|node| node.span),
        },
        interface: block.text("default_interface"),
        vmac_prefix: block.text("vmac_prefix"),
        vmac_address_prefix: block.text("vmac_addr_prefix"),
        script_user: words("script_user"),
    };
    let before = std::mem::replace(into, own);
    into.version = into.version.or(before.version);
    into.group4 = into.group4.or(before.group4);
    into.group6 = into.group6.or(before.group6);
    if into.garp == VrrpGarp::default() {
        into.garp = before.garp;
    }
    into.down_timer_adverts = into.down_timer_adverts.or(before.down_timer_adverts);
    into.startup_delay = into.startup_delay.or(before.startup_delay);
    into.boot_delay = into.boot_delay.or(before.boot_delay);
    into.garp_interval = into.garp_interval.or(before.garp_interval);
    into.gna_interval = into.gna_interval.or(before.gna_interval);
    into.quiet_igmp |= before.quiet_igmp;
    into.strict |= before.strict;
    into.check_unicast_source |= before.check_unicast_source;
    into.skip_address_check = into.skip_address_check.or(before.skip_address_check);
    into.lower_no_advert = into.lower_no_advert.or(before.lower_no_advert);
    into.higher_send_advert = into.higher_send_advert.or(before.higher_send_advert);
    let (firewall, earlier) = (&mut into.firewall, before.firewall);
    firewall.table = firewall.table.take().or(earlier.table);
    firewall.priority = firewall.priority.or(earlier.priority);
    firewall.counters = firewall.counters.or(earlier.counters);
    into.interface = into.interface.take().or(before.interface);
    into.vmac_prefix = into.vmac_prefix.take().or(before.vmac_prefix);
    into.vmac_address_prefix = into.vmac_address_prefix.take().or(before.vmac_address_prefix);
    into.script_user = into.script_user.take().or(before.script_user);
}

/// Words of an instance or a group that stand alone.
fn switches(block: Block<'_>, known: &[&'static str]) -> Vec<&'static str> {
    known.iter().copied().filter(|name| block.is_there(name)).collect()
}

const INSTANCE_SWITCHES: &[&str] = &[
    "dont_track_primary",
    "use_vmac_addr",
    "vmac_xmit_base",
    "track_src_ip",
    "check_unicast_src",
    "unicast_fault_no_peer",
    "promote_secondaries",
    "no_virtual_ipaddress",
    "linkbeat_use_polling",
    "owner_ignore_adverts",
    "v3_checksum_as_v2",
    "old_unicast_checksum",
    "notify_deleted",
];

fn instance(node: &Node, routing: &mut Reader<'_>, host: &Host<'_>, out: &mut Vec<Diagnostic>) -> VrrpInstance {
    let block = Block(&node.block);
    let lines = |name: &'static str| block.nodes(name).flat_map(|list| list.lines.iter().cloned()).collect::<Vec<_>>();
    let state = block.text("state").map(|state| {
        let value = if state.value.eq_ignore_ascii_case("MASTER") { VrrpState::Master } else { VrrpState::Backup };
        Spanned::new(value, state.span)
    });
    let accept = block.0.iter().rev().find(|node| matches!(node.keyword.name, "accept" | "no_accept"));
    let words = |name: &str| {
        let node = block.node(name)?;
        Some(list::line(&node.args).unwrap_or_else(|| Spanned::new(Vec::new(), node.span)))
    };
    VrrpInstance {
        name: name(node),
        state,
        interface: block.text("interface"),
        id: block.number("virtual_router_id"),
        priority: block.number("priority"),
        advert_interval: block.time("advert_int"),
        version: block.number("version"),
        addresses: addresses(&lines("virtual_ipaddress"), routing.names(), out),
        excluded: addresses(&lines("virtual_ipaddress_excluded"), routing.names(), out),
        routes: routing.routes(&node.block, "virtual_routes", out),
        rules: routing.rules(&node.block, "virtual_rules", out),
        authentication: block.node("authentication").map(authentication),
        hmac: block.node("auth_hmac").map(|node| hmac::read(node, host, out)),
        no_preempt: block.node("nopreempt").map(|node| Spanned::new((), node.span)),
        preempt_delay: block.time("preempt_delay"),
        peers: block.node("unicast_peer").map(|_| list::peers(&lines("unicast_peer"), out)),
        source: block.address("unicast_src_ip").or_else(|| block.address("mcast_src_ip")),
        group: block.address("mcast_dst_ip"),
        unicast_ttl: block.number("unicast_ttl"),
        track: tracks(block, out),
        garp: garp(block, ""),
        down_timer_adverts: block.number("down_timer_adverts"),
        vmac: words("use_vmac"),
        ipvlan: words("use_ipvlan"),
        notify: notify(block),
        priority_changes: block.switch("notify_priority_changes"),
        smtp_alert: block.switch("smtp_alert"),
        accept: accept.map(|node| Spanned::new(node.keyword.name == "accept", node.span)),
        strict: block.switch("strict_mode"),
        skip_address_check: block.switch("skip_check_adv_addr"),
        lower_no_advert: block.switch("lower_prio_no_advert"),
        higher_send_advert: block.switch("higher_prio_send_advert"),
        switches: switches(block, INSTANCE_SWITCHES),
    }
}

fn authentication(node: &Node) -> VrrpAuthentication {
    let block = Block(&node.block);
    let header = block.word("auth_type").is_some_and(|word| word.text.eq_ignore_ascii_case("AH"));
    VrrpAuthentication { header, password: block.text("auth_pass") }
}

fn tracks(block: Block<'_>, out: &mut Vec<Diagnostic>) -> VrrpTracks {
    let mut read = |name: &'static str, most| {
        let lines: Vec<_> = block.nodes(name).flat_map(|list| list.lines.iter().cloned()).collect();
        list::tracks(&lines, most, out)
    };
    VrrpTracks {
        interfaces: read("track_interface", 253),
        scripts: read("track_script", 253),
        files: read("track_file", 254),
        processes: read("track_process", 254),
        bfd: read("track_bfd", 253),
    }
}

fn notify(block: Block<'_>) -> Vec<VrrpNotify> {
    let told = block
        .0
        .iter()
        .filter(|node| node.keyword.name.starts_with("notify") && node.keyword.name != "notify_priority_changes");
    told.filter_map(|node| {
        let (first, user) = node.args.split_first()?;
        Some(VrrpNotify {
            on: node.keyword.name,
            command: Spanned::new(script_words(&first.text), first.span),
            user: user.iter().map(|word| word.text.clone()).collect(),
        })
    })
    .collect()
}

fn track_group(node: &Node) -> VrrpTrackGroup {
    let members = Block(&node.block).nodes("group").flat_map(|list| list.lines.iter().flatten());
    VrrpTrackGroup {
        name: name(node),
        members: members.map(|word| Spanned::new(word.text.clone(), word.span)).collect(),
    }
}

fn sync_group(node: &Node, out: &mut Vec<Diagnostic>) -> VrrpSyncGroup {
    let block = Block(&node.block);
    let members = block.nodes("group").flat_map(|list| list.lines.iter().flatten());
    VrrpSyncGroup {
        name: name(node),
        members: members.map(|word| Spanned::new(word.text.clone(), word.span)).collect(),
        track: tracks(block, out),
        notify: notify(block),
        priority_changes: block.switch("notify_priority_changes"),
        smtp_alert: block.switch("smtp_alert"),
        switches: switches(block, &["global_tracking", "sync_group_tracking_weight"]),
    }
}

/// `weight N [reverse]`
fn weight(block: Block<'_>) -> (Option<Spanned<i32>>, bool) {
    let reverse = block.node("weight").and_then(|node| node.args.get(1)).is_some_and(|word| word.text == "reverse");
    (block.number("weight"), reverse)
}

/// What stands behind `script`. Without quotes keepalived runs the first word alone, which nobody means.
fn command(node: &Node, out: &mut Vec<Diagnostic>) -> Option<Spanned<Vec<String>>> {
    let (first, rest) = node.args.split_first()?;
    let mut words = script_words(&first.text);
    if let Some(last) = rest.last() {
        let message = "the arguments of a script stand within its quotes";
        let d = Diagnostic::warning(codes::EXTRA_WORDS, last.span, message);
        let d = d.note(format!("keepalived runs `{}` without them; evenkeel with them", shown(&first.text)));
        out.push(d.help("write script \"PROGRAM ARGUMENTS\""));
        words.extend(rest.iter().map(|word| word.text.clone()));
    }
    Some(Spanned::new(words, first.span))
}

fn script(node: &Node, out: &mut Vec<Diagnostic>) -> VrrpScript {
    let block = Block(&node.block);
    let (weight, reverse) = weight(block);
    VrrpScript {
        name: name(node),
        command: block.node("script").and_then(|node| command(node, out)),
        interval: block.time("interval"),
        timeout: block.time("timeout"),
        weight,
        reverse,
        rise: block.number("rise"),
        fall: block.number("fall"),
        user: block.node("user").and_then(|node| list::line(&node.args)),
        fails_at_first: block.is_there("init_fail"),
    }
}

/// `name` or `delay`, whichever stands last.
fn last_time(block: Block<'_>, name: &str) -> Option<Spanned<std::time::Duration>> {
    let last = block.0.iter().rev().find(|node| node.keyword.name == name || node.keyword.name == "delay")?;
    block.time(last.keyword.name)
}

fn process(node: &Node) -> VrrpProcess {
    let block = Block(&node.block);
    let (weight, reverse) = weight(block);
    VrrpProcess {
        name: name(node),
        process: block.node("process").and_then(|node| list::line(&node.args)),
        parameters: block.text("param_match"),
        compares_parameters: block.is_there("param_match"),
        weight,
        reverse,
        quorum: block.number("quorum"),
        most: block.number("quorum_max"),
        start_delay: last_time(block, "fork_delay"),
        end_delay: last_time(block, "terminate_delay"),
        whole_path: block.is_there("full_command"),
    }
}

fn track_file(node: &Node) -> VrrpTrackFile {
    let block = Block(&node.block);
    let (weight, reverse) = weight(block);
    let begin = block.node("init_file");
    VrrpTrackFile {
        name: name(node),
        file: block.text("file"),
        weight,
        reverse,
        begin: begin.map(|node| list::line(&node.args).unwrap_or_else(|| Spanned::new(Vec::new(), node.span))),
    }
}

fn bfd(node: &Node) -> BfdInstance {
    let block = Block(&node.block);
    let (weight, reverse) = weight(block);
    // BFD's numbers are milliseconds with a fraction.
    let time = |name: &str| block.time(name).map(|time| Spanned::new(time.value / 1000, time.span));
    BfdInstance {
        name: name(node),
        neighbour: block.address("neighbor_ip").or_else(|| block.address("neighbour_ip")),
        source: block.address("source_ip"),
        least_receive: time("min_rx"),
        least_send: time("min_tx"),
        idle_send: time("idle_tx"),
        multiplier: block.number("multiplier"),
        passive: block.is_there("passive"),
        ttl: block.number("ttl").or_else(|| block.number("hoplimit")),
        most_hops: block.number("max_hops"),
        multihop: block.switch("multihop").is_some_and(|yes| yes.value),
        weight,
        reverse,
    }
}
