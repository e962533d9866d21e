//! `global_defs`: what is written, and keepalived's defaults for the rest.

use super::Dump;
use evenkeel_config::keepalived::GlobalWord;
use std::fmt::{self, Formatter};

/// The last line of this keyword: it is the one that counts.
pub(super) fn word<'a>(globals: &'a [GlobalWord], name: &str) -> Option<&'a GlobalWord> {
    globals.iter().rev().find(|word| word.name == name)
}

/// The first word behind it.
pub(super) fn text<'a>(globals: &'a [GlobalWord], name: &str) -> Option<&'a str> {
    word(globals, name)?.args.first().map(String::as_str)
}

/// A word that is on alone or with `on`, `true` or `yes`.
pub(super) fn switch(globals: &[GlobalWord], name: &str) -> Option<bool> {
    let word = word(globals, name)?;
    Some(word.args.first().is_none_or(|value| !["off", "false", "no"].contains(&value.as_str())))
}

/// Writes them; `vrrp`: as the process for VRRP does.
pub(super) fn write(f: &mut Formatter<'_>, dump: &Dump<'_>, vrrp: bool) -> fmt::Result {
    let globals = Globals(dump.globals);
    write_names(f, dump, &globals)?;
    write_scripts(f, dump, &globals)?;
    write_switches(f, &globals, vrrp)?;
    write_vrrp(f, dump, &globals, vrrp)?;
    write_processes(f, &globals)?;
    write_ends(f, dump, &globals)
}

/// `global_defs`, word for word.
struct Globals<'a>(&'a [GlobalWord]);

impl<'a> Globals<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        text(self.0, name)
    }

    fn or(&self, name: &str, usual: &'a str) -> &'a str {
        self.text(name).unwrap_or(usual)
    }

    fn has(&self, name: &str) -> bool {
        word(self.0, name).is_some()
    }

    fn on(&self, name: &str) -> bool {
        switch(self.0, name).unwrap_or(false)
    }

    fn seconds(&self, name: &str) -> f64 {
        self.text(name).and_then(|text| text.parse().ok()).unwrap_or(0.0)
    }
}

fn write_names(f: &mut Formatter<'_>, dump: &Dump<'_>, globals: &Globals<'_>) -> fmt::Result {
    writeln!(f, "------< Global definitions >------")?;
    let namespace = globals.text("net_namespace").unwrap_or("(default)");
    writeln!(f, " Network namespace = {namespace}")?;
    writeln!(f, " Network namespace ipvs = {}", globals.or("net_namespace_ipvs", "(main namespace)"))?;
    for (name, title) in [
        ("instance", "Instance name"),
        ("process_name", "Parent process name"),
        ("vrrp_process_name", "VRRP process name"),
        ("checker_process_name", "LVS process name"),
        ("bfd_process_name", "BFD process name"),
    ] {
        if let Some(value) = globals.text(name) {
            writeln!(f, " {title} = {value}")?;
        }
    }
    writeln!(f, " Router ID = {}", globals.or("router_id", dump.host))?;
    if let Some(server) = word(dump.globals, "smtp_server") {
        let host = server.args.first().map_or("", String::as_str);
        writeln!(f, " Smtp server = {host}")?;
        writeln!(f, " Smtp server port = {}", server.args.get(1).map_or("25", String::as_str))?;
        writeln!(f, " Smtp HELO name = {}", globals.or("smtp_helo_name", dump.host))?;
        writeln!(f, " Smtp server connection timeout = {}", globals.or("smtp_connect_timeout", "30"))?;
        let usual = format!("root@{}", dump.host);
        let from = globals.text("notification_email_from").unwrap_or(&usual);
        writeln!(f, " Email notification from = {from}")?;
        writeln!(f, " Email notification to:")?;
        let lists = dump.globals.iter().filter(|word| word.name == "notification_email");
        for to in lists.flat_map(|list| &list.lines).filter_map(|line| line.first()) {
            writeln!(f, "   {to}")?;
        }
    }
    for name in ["smtp_alert", "smtp_alert_vrrp", "smtp_alert_checker"] {
        let value = switch(dump.globals, name).map_or("unset", |on| if on { "on" } else { "off" });
        writeln!(f, " Default {name} = {value}")?;
    }
    writeln!(f, " Checkers log all failures = {}", globals.on("checker_log_all_failures"))
}

fn write_scripts(f: &mut Formatter<'_>, dump: &Dump<'_>, globals: &Globals<'_>) -> fmt::Result {
    match globals.text("reload_check_config") {
        Some(log) => writeln!(f, " Test config before reload, log to {log}")?,
        None => writeln!(f, " No test config before reload")?,
    }
    for (name, title, timeout, comma) in [
        ("startup_script", "Startup script", "startup_script_timeout", ","),
        ("shutdown_script", "Shutdown script", "shutdown_script_timeout", ""),
    ] {
        if let Some(script) = word(dump.globals, name) {
            let (user, group) = dump.ids(&[]);
            let program = super::command(&script.args);
            let timeout = globals.or(timeout, "10");
            writeln!(f, " {title} = {program}, uid:gid {user}:{group}{comma} timeout {timeout}")?;
        }
    }
    Ok(())
}

fn write_switches(f: &mut Formatter<'_>, globals: &Globals<'_>, vrrp: bool) -> fmt::Result {
    let dynamic = globals.has("dynamic_interfaces");
    writeln!(f, " Dynamic interfaces = {dynamic}")?;
    if dynamic {
        writeln!(f, " Allow interface changes = {}", globals.text("dynamic_interfaces") == Some("allow_if_changes"))?;
    }
    if globals.has("no_email_faults") {
        writeln!(f, " Send emails for fault transitions = off")?;
    }
    if let Some(timeouts) = word(globals.0, "lvs_timeouts") {
        // The third is called as the first, there as here.
        for (name, title) in [("tcp", "TCP"), ("tcpfin", "TCP FIN"), ("udp", "TCP")] {
            let pair = timeouts.args.chunks(2).find(|pair| pair.first().is_some_and(|word| word == name));
            if let Some(seconds) = pair.and_then(|pair| pair.get(1)) {
                writeln!(f, " LVS {title} timeout = {seconds}")?;
            }
        }
    }
    if vrrp {
        writeln!(f, " Default interface = {}", globals.or("default_interface", "eth0"))?;
    }
    writeln!(f, " Disable local IGMP = {}", super::yes(globals.on("disable_local_igmp")))?;
    writeln!(f, " LVS flush = {}", globals.has("lvs_flush"))?;
    let on_stop = match word(globals.0, "lvs_flush_on_stop") {
        Some(word) if word.args.first().is_some_and(|scope| scope == "VS") => "VS",
        Some(_) => "full",
        None => "disabled",
    };
    writeln!(f, " LVS flush on stop = {on_stop}")
}

fn write_vrrp(f: &mut Formatter<'_>, dump: &Dump<'_>, globals: &Globals<'_>, vrrp: bool) -> fmt::Result {
    for (name, title) in [("notify_fifo", "Global"), ("vrrp_notify_fifo", "VRRP"), ("lvs_notify_fifo", "LVS")] {
        let (user, group) = dump.ids(&[]);
        if let Some(path) = globals.text(name) {
            writeln!(f, " {title} notify fifo = {path}, uid:gid {user}:{group}")?;
            if let Some(script) = word(dump.globals, &format!("{name}_script")) {
                let program = super::command(&script.args);
                writeln!(f, " {title} notify fifo script = {program}, uid:gid {user}:{group}")?;
            }
        }
    }
    writeln!(f, " FIFO write vrrp states on reload = {}", globals.on("fifo_write_vrrp_states_on_reload"))?;
    writeln!(f, " VRRP notify priority changes = {}", globals.on("vrrp_notify_priority_changes"))?;
    writeln!(f, " VRRP IPv4 mcast group = {}", globals.or("vrrp_mcast_group4", "224.0.0.18"))?;
    writeln!(f, " VRRP IPv6 mcast group = {}", globals.or("vrrp_mcast_group6", "ff02::12"))?;
    let delay = globals.or("vrrp_garp_master_delay", "5");
    let repeat = globals.or("vrrp_garp_master_repeat", "5");
    writeln!(f, " Gratuitous ARP delay = {delay}\n Gratuitous ARP repeat = {repeat}")?;
    writeln!(f, " Gratuitous ARP refresh timer = {}", globals.or("vrrp_garp_master_refresh", "60"))?;
    writeln!(f, " Gratuitous ARP refresh repeat = {}", globals.or("vrrp_garp_master_refresh_repeat", "1"))?;
    // The other processes do not work the defaults of these out: they show what stands for nothing.
    let unset = |usual| if vrrp { usual } else { "4294967295" };
    let delay = globals.or("vrrp_garp_lower_prio_delay", unset(delay));
    writeln!(f, " Gratuitous ARP lower priority delay = {delay}")?;
    let repeat = globals.or("vrrp_garp_lower_prio_repeat", unset(repeat));
    writeln!(f, " Gratuitous ARP lower priority repeat = {repeat}")?;
    writeln!(f, " Num adverts before down = {}", globals.or("vrrp_down_timer_adverts", "3"))?;
    writeln!(f, " Gratuitous ARP for each secondary VMAC = {}s", globals.or("vrrp_vmac_garp_intvl", "0"))?;
    let answers = !globals.on("vrrp_lower_prio_no_advert");
    writeln!(f, " Send advert after receive lower priority advert = {answers}")?;
    let yields = globals.on("vrrp_higher_prio_send_advert");
    writeln!(f, " Send advert after receive higher priority advert = {yields}")?;
    writeln!(f, " Gratuitous ARP interval = {:.6}", globals.seconds("vrrp_garp_interval"))?;
    writeln!(f, " Gratuitous NA interval = {:.6}", globals.seconds("vrrp_gna_interval"))?;
    writeln!(f, " VRRP default protocol version = {}", globals.or("vrrp_version", "2"))?;
    writeln!(f, " nftables with{} counters", if globals.has("nftables_counters") { "" } else { "out" })?;
    writeln!(f, " libnftnl version 1.2.3")?;
    writeln!(f, " VRRP check unicast_src = {}", globals.has("vrrp_check_unicast_src"))?;
    writeln!(f, " VRRP skip check advert addresses = {}", globals.on("vrrp_skip_check_adv_addr"))?;
    writeln!(f, " VRRP strict mode = {}", globals.on("vrrp_strict"))
}

fn write_processes(f: &mut Formatter<'_>, globals: &Globals<'_>) -> fmt::Result {
    writeln!(f, " Max auto priority = {}", globals.or("max_auto_priority", "0"))?;
    writeln!(f, " Min auto priority delay = {} usecs", globals.or("min_auto_priority_delay", "1000000"))?;
    for (prefix, title) in [("vrrp", "VRRP"), ("checker", "Checker"), ("bfd", "BFD")] {
        let of = |suffix: &str| format!("{prefix}_{suffix}");
        writeln!(f, " {title} process priority = {}", globals.or(&of("priority"), "0"))?;
        writeln!(f, " {title} don't swap = {}", globals.has(&of("no_swap")))?;
        writeln!(f, " {title} realtime priority = {}", globals.or(&of("rt_priority"), "0"))?;
        writeln!(f, " {title} realtime limit = {}", globals.or(&of("rlimit_rttime"), "10000"))?;
    }
    let snmp = |names: &[&str]| super::enabled(names.iter().any(|name| globals.has(name)));
    writeln!(f, " SNMP vrrp {}", snmp(&["enable_snmp_vrrp", "enable_snmp_keepalived"]))?;
    writeln!(f, " SNMP checker {}", snmp(&["enable_snmp_checker"]))?;
    writeln!(f, " SNMP RFCv2 {}", snmp(&["enable_snmp_rfcv2", "enable_snmp_rfc"]))?;
    writeln!(f, " SNMP RFCv3 {}", snmp(&["enable_snmp_rfcv3", "enable_snmp_rfc"]))?;
    writeln!(f, " SNMP traps {}", snmp(&["enable_traps"]))?;
    writeln!(f, " SNMP socket = {}", globals.or("snmp_socket", "default (unix:/var/agentx/master)"))?;
    writeln!(f, " DBus {}", snmp(&["enable_dbus"]))?;
    writeln!(f, " DBus service name = {}", globals.or("dbus_service_name", ""))
}

fn write_ends(f: &mut Formatter<'_>, dump: &Dump<'_>, globals: &Globals<'_>) -> fmt::Result {
    writeln!(f, " Script security {}", super::enabled(globals.has("enable_script_security")))?;
    let (user, group) = dump.ids(&[]);
    writeln!(f, " Default script uid:gid {user}:{group}")?;
    for name in
        ["vrrp_netlink_cmd", "vrrp_netlink_monitor", "process_monitor", "lvs_netlink_cmd", "lvs_netlink_monitor"]
    {
        let (size, force) = (format!("{name}_rcv_bufs"), format!("{name}_rcv_bufs_force"));
        writeln!(f, " {size} = {}\n {force} = {}", globals.or(&size, "0"), u8::from(globals.on(&force)))?;
    }
    for name in ["rs_init_notifies", "no_checker_emails"] {
        writeln!(f, " {name} = {}", u8::from(globals.has(name)))?;
    }
    writeln!(f, " rx_bufs_multiples = {}", globals.or("vrrp_rx_bufs_multiplier", "3"))?;
    writeln!(f, " umask = 0{:o}", dump.umask)?;
    if let Some(delay) = globals.text("vrrp_startup_delay") {
        writeln!(f, " vrrp_startup_delay = {delay}")?;
    }
    if globals.has("log_unknown_vrids") {
        writeln!(f, " log_unknown_vrids")?;
    }
    Ok(())
}
