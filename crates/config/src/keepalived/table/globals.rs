//! Words of `global_defs`.

use super::{
    Argument::{Address, Bool, Decimal, Interface, List as In, None as Alone, Number, Script, Text, User, Words},
    Keyword, LONGEST, List, SECOND, SYNC, Status,
    Status::{Done, Nothing, Partly},
    keywords,
};

const NAMES: Status = Nothing("evenkeel is one process");
const RELOAD: Status = Nothing("a reload is always checked first, and a broken file leaves the old state");
const TABLE: Status = Nothing("evenkeel has a table of its own and finds what an earlier run left");
const PRIORITY: Status = Nothing("set it with systemd");
const SNMP: Status = Nothing("there is no SNMP agent");
const DBUS: Status = Nothing("there is no D-Bus interface");
const FIREWALL: Status = Nothing("no firewall rules are needed");
const NFTABLES: Status =
    Nothing("no_accept has a table of nftables, as keepalived has where iptables makes nftables rules");
const BUFFERS: Status = Nothing("buffers have the size they need");
const FILES: Status = Nothing("`evenkeel status --json` tells it");

pub(super) const GENERAL: &[Keyword] = keywords! {
    "router_id" Text, Done, "name of this node in mails";
    "notification_email" In(List::Names), Done, "who gets mails";
    "notification_email_from" Text, Done, "sender of mails";
    "smtp_server" Words(1, 2), Done, "mail server, and its port";
    "smtp_helo_name" Text, Done, "name in HELO";
    "smtp_connect_timeout" Number(1, i64::MAX), Done,
        "seconds the mail server may take";
    "smtp_alert" Bool, Done, "whether changes are mailed where nothing else is said";
    "smtp_alert_vrrp" Bool, Done, "the same for VRRP";
    "smtp_alert_checker" Bool, Done, "the same for real servers";
    "no_email_faults" Alone, Done, "no mails about faults";
    "no_checker_emails" Alone, Nothing("mails are about real servers, never about single checks"),
        "no mails about single checks";
    "checker_log_all_failures" Bool, Done, "log every failed check: evenkeel always tells why one failed";
    "lvs_timeouts" Words(2, 6), Done, "seconds that idle connections are kept: tcp, tcpfin, udp";
    "lvs_flush" Alone, TABLE, "empty the table at the start";
    "lvs_flush_on_stop" Words(0, 1), TABLE, "empty the table at the end";
    "lvs_flush_onstop" Words(0, 1), TABLE, "old spelling of lvs_flush_on_stop";
    "lvs_sync_daemon" Words(1, 12), SYNC, "share connections with the other node";
    "default_interface" Interface, Done, "interface of static addresses";
    "startup_script" Script, Done, "program run before all else";
    "startup_script_timeout" Number(1, 1000), Done, "seconds it may take";
    "shutdown_script" Script, Done, "program run after all else";
    "shutdown_script_timeout" Number(1, 1000), Done, "seconds it may take";
    "notify_fifo" Words(1, 3), Done, "FIFO that is told of every change";
    "notify_fifo_script" Script, Done, "program that reads it";
    "vrrp_notify_fifo" Words(1, 3), Done, "FIFO that is told of VRRP changes";
    "vrrp_notify_fifo_script" Script, Done, "program that reads it";
    "lvs_notify_fifo" Words(1, 3), Done, "FIFO that is told of real servers and quorums";
    "lvs_notify_fifo_script" Script, Done, "program that reads it";
    "vrrp_notify_priority_changes" Bool, Done, "tell FIFOs of priorities too";
    "fifo_write_vrrp_states_on_reload" Alone, Done, "tell FIFOs all states at a reload";
    "rs_init_notifies" Alone, Done, "tell of real servers at the start";
    "script_user" User, Done, "user of scripts; keepalived_script where nothing is said and there is such a user";
    "enable_script_security" Alone, Done, "no script as root that others can write";
    "nftables_ipvs" Words(0, 1), Nothing("groups need no marks here"), "nftables table that marks packets of groups";
    "nftables_ipvs_priority" Number(-2_147_483_648, 2_147_483_647), FIREWALL, "its priority";
    "nftables_ipvs_start_fwmark" Number(1, 4_294_967_295), FIREWALL, "the first of its marks";
    "reload_check_config" Words(0, 1), RELOAD, "check the file before a reload";
    "reload_time_file" Text, Nothing("a timer of systemd can reload"), "file with the time of the next reload";
    "reload_repeat" Alone, Nothing("a timer of systemd can reload"), "reload at that time every day";
    "reload_file" Words(0, 1), RELOAD, "file that is there while files are read";
    "include_check" Words(0, 8), Done, "which missing includes are errors";
    "config_save_dir" Text, Nothing("nothing is saved"), "directory for copies of the files";
    "tmp_config_directory" Text, Nothing("files are read once"), "directory for a copy while files are read";
    "random_seed" Number(0, 4_294_967_295), Nothing("${_RANDOM} is the same in every reading on one node"),
        "start of ${_RANDOM}";
    "umask" Words(0, 16), Done, "what dump files are not created with";
    "state_dump_file" Text, Done, "where signals dump the state";
    "stats_dump_file" Text, Done, "where signals dump numbers";
    "json_dump_file" Text, Done, "where signals dump JSON";
    "data_use_instance" Bool, FILES, "name of the instance in names of dumps";
    "json_version" Number(1, 2), FILES, "form of the JSON dump";
    "iproute_usr_dir" Text, Done, "where names of tables are";
    "iproute_etc_dir" Text, Done, "where names of tables are";
};

pub(super) const VRRP_WORDS: &[Keyword] = keywords! {
    "dynamic_interfaces" Words(0, 1), Status::Nothing("interfaces may always come and go"), "interfaces may come and go";
    "disable_local_igmp" Alone, Done, "no reports of IGMP about groups of the link";
    "v3_checksum_as_v2" Bool, Status::Nothing("learnt from the peer"), "version 3 checksums without a pseudo header";
    "vrrp_mcast_group4" Address, Status::Done, "group of IPv4 advertisements";
    "vrrp_mcast_group6" Address, Status::Done, "group of IPv6 advertisements";
    "vrrp_garp_master_delay" Number(0, i64::MAX), Status::Done, "seconds to the second round of gratuitous ARP";
    "vrrp_garp_master_repeat" Number(1, i64::MAX), Status::Done, "packets of one round";
    "vrrp_garp_master_refresh" Number(0, i64::MAX), Status::Done, "seconds between rounds while master";
    "vrrp_garp_master_refresh_repeat" Number(1, i64::MAX), Status::Done, "packets of these rounds";
    "vrrp_garp_lower_prio_delay" Number(0, i64::MAX), Status::Done, "seconds to the second round after a lower advertisement";
    "vrrp_garp_lower_prio_repeat" Number(0, i64::MAX), Status::Done, "packets of these rounds";
    "vrrp_down_timer_adverts" Number(1, 100), Status::Done, "advertisements that may be missed";
    "vrrp_garp_interval" Decimal(0, LONGEST), Done, "pause between gratuitous ARP packets";
    "vrrp_gna_interval" Decimal(0, LONGEST), Done, "pause between neighbour advertisements";
    "vrrp_min_garp" Bool, Status::Done, "one gratuitous ARP packet and no second round";
    "vrrp_garp_extra_if" Words(1, 2), Status::Done, "gratuitous ARP on other interfaces";
    "vrrp_vmac_garp_intvl" Words(1, 2), Status::Done, "old spelling of vrrp_garp_extra_if";
    "vrrp_lower_prio_no_advert" Bool, Status::Done, "do not answer lower advertisements";
    "vrrp_higher_prio_send_advert" Bool, Status::Nothing("a loser always says a last word"), "one last advertisement to a better master";
    "vrrp_version" Number(2, 3), Status::Done, "version where instances say none";
    "vrrp_iptables" Words(0, 2), NFTABLES, "chains for rules";
    "vrrp_ipsets" Words(0, 6), NFTABLES, "sets for rules";
    "nftables" Words(0, 1), Partly("without a name the table is called `evenkeel`"), "table for the rules of no_accept";
    "nftables_priority" Number(-2_147_483_648, 2_147_483_647), Done, "its priority; -1 where nothing is said";
    "nftables_ifindex" Alone, Nothing("link-local addresses always go by the number of their interface"), "interfaces by number";
    "nftables_counters" Alone, Done, "rules that count";
    "vrrp_check_unicast_src" Alone, Status::Done, "take unicast advertisements of peers only";
    "vrrp_skip_check_adv_addr" Bool, Status::Nothing("every advertisement is compared"), "do not compare addresses of every advertisement";
    "vrrp_strict" Alone, Done, "nothing that the RFCs forbid";
    "vrrp_rx_bufs_policy" Words(1, 1), BUFFERS, "size of receive buffers";
    "vrrp_rx_bufs_multiplier" Number(1, i64::MAX), BUFFERS, "factor of that size";
    "vrrp_startup_delay" Decimal(0, 86_400 * SECOND), Done, "seconds to wait at the start";
    "vrrp_delay_after_boot" Decimal(0, 86_400 * SECOND), Done, "seconds from the start of the host in which nobody becomes master";
    "log_unknown_vrids" Alone, Status::Nothing("they are nobody's business"), "log advertisements of others";
    "vrrp_owner_ignore_adverts" Alone, Status::Nothing("an owner never looks at them"), "an owner looks at no advertisements";
    "vmac_prefix" Text, Status::Done, "names of virtual MAC interfaces";
    "vmac_addr_prefix" Text, Status::Done, "names of those of single addresses";
};

pub(super) const PROCESSES: &[Keyword] = keywords! {
    "process_names" Alone, NAMES, "usual names of processes";
    "process_name" Text, NAMES, "name of the parent";
    "vrrp_process_name" Text, NAMES, "name of the VRRP process";
    "checker_process_name" Text, NAMES, "name of the checker process";
    "lvs_process_name" Text, NAMES, "old spelling of checker_process_name";
    "bfd_process_name" Text, NAMES, "name of the BFD process";
    "use_symlink_paths" Bool, Nothing("scripts run by the path as written, and what its links lead to is looked at as well"), "paths of scripts with their links";
    "set_supplementary_groups" Alone, Nothing("scripts have one group, that of their user"), "all groups of the scripts' user";
    "max_auto_priority" Number(-1, 99), PRIORITY, "how far the priority may rise by itself";
    "min_auto_priority_delay" Number(1, 10_000_000), PRIORITY, "delay that makes it rise";
    "vrrp_priority" Number(-20, 19), PRIORITY, "nice value";
    "vrrp_no_swap" Alone, PRIORITY, "lock memory";
    "vrrp_rt_priority" Number(1, 99), PRIORITY, "real-time priority";
    "vrrp_cpu_affinity" Words(1, 1024), PRIORITY, "CPUs";
    "vrrp_rlimit_rttime" Number(2, i64::MAX), PRIORITY, "CPU time without a pause";
    "vrrp_rlimit_rtime" Number(2, i64::MAX), PRIORITY, "old spelling";
    "checker_priority" Number(-20, 19), PRIORITY, "nice value";
    "checker_no_swap" Alone, PRIORITY, "lock memory";
    "checker_rt_priority" Number(1, 99), PRIORITY, "real-time priority";
    "checker_cpu_affinity" Words(1, 1024), PRIORITY, "CPUs";
    "checker_rlimit_rttime" Number(2, i64::MAX), PRIORITY, "CPU time without a pause";
    "checker_rlimit_rtime" Number(2, i64::MAX), PRIORITY, "old spelling";
    "bfd_priority" Number(-20, 19), PRIORITY, "nice value";
    "bfd_no_swap" Alone, PRIORITY, "lock memory";
    "bfd_rt_priority" Number(1, 99), PRIORITY, "real-time priority";
    "bfd_cpu_affinity" Words(1, 1024), PRIORITY, "CPUs";
    "bfd_rlimit_rttime" Number(2, i64::MAX), PRIORITY, "CPU time without a pause";
    "bfd_rlimit_rtime" Number(2, i64::MAX), PRIORITY, "old spelling";
    "snmp_socket" Text, SNMP, "socket of the SNMP master";
    "enable_traps" Alone, SNMP, "send traps";
    "enable_snmp_vrrp" Alone, SNMP, "VRRP part of keepalived's MIB";
    "enable_snmp_keepalived" Alone, SNMP, "old spelling of enable_snmp_vrrp";
    "enable_snmp_rfc" Alone, SNMP, "MIBs of the RFCs";
    "enable_snmp_rfcv2" Alone, SNMP, "MIB of RFC 2787";
    "enable_snmp_rfcv3" Alone, SNMP, "MIB of RFC 6527";
    "enable_snmp_checker" Alone, SNMP, "checker part of keepalived's MIB";
    "snmp_vs_stats_update_interval" Decimal(0, 86_400 * SECOND), SNMP, "how old numbers may be";
    "snmp_rs_stats_update_interval" Decimal(0, 86_400 * SECOND), SNMP, "how old numbers may be";
    "enable_dbus" Alone, DBUS, "the D-Bus interface";
    "dbus_service_name" Text, DBUS, "its name";
    "dbus_no_interface_name" Text, DBUS, "name for instances without interface";
    "vrrp_netlink_cmd_rcv_bufs" Number(1, i64::MAX), BUFFERS, "size of a buffer";
    "vrrp_netlink_cmd_rcv_bufs_force" Bool, BUFFERS, "beyond the limit of the host";
    "vrrp_netlink_monitor_rcv_bufs" Number(1, i64::MAX), BUFFERS, "size of a buffer";
    "vrrp_netlink_monitor_rcv_bufs_force" Bool, BUFFERS, "beyond the limit of the host";
    "process_monitor_rcv_bufs" Number(1, i64::MAX), BUFFERS, "size of a buffer";
    "process_monitor_rcv_bufs_force" Bool, BUFFERS, "beyond the limit of the host";
    "lvs_netlink_cmd_rcv_bufs" Number(1, i64::MAX), BUFFERS, "size of a buffer";
    "lvs_netlink_cmd_rcv_bufs_force" Bool, BUFFERS, "beyond the limit of the host";
    "lvs_netlink_monitor_rcv_bufs" Number(1, i64::MAX), BUFFERS, "size of a buffer";
    "lvs_netlink_monitor_rcv_bufs_force" Bool, BUFFERS, "beyond the limit of the host";
};
