//! Words of VRRP, of what instances track, and of BFD. All are read and checked.

use super::{
    Argument::{
        self, Address, Block, Bool, Decimal, Interface, List as In, None as Alone, Number, OneOf, Script, Text, User,
        Weight, Words,
    },
    Keyword, LONGEST, List, SECOND, SYNC, Scope, Status, keywords,
};

const DONE: Status = Status::Done;
const EVERYBODY: Status = Status::Nothing("who names the session is told");
const HOPS: Status = Status::Partly("255 is sent where nothing is said, which keepalived takes too");
pub(super) const LINKBEAT: Status = Status::Nothing("the kernel tells at once");
const BUFFER: Status = Status::Nothing("buffers have the size they need");
const COUNT: Argument = Number(1, 4_294_967_295);
const SECONDS: Argument = Number(0, 4_294_967_295);

pub(super) const INSTANCE: &[Keyword] = keywords! {
    "state" OneOf(&["MASTER", "BACKUP"]), DONE, "what it begins as";
    "interface" Interface, DONE, "interface of its advertisements";
    "virtual_router_id" Number(1, 255), DONE, "which virtual router it is";
    "priority" Number(1, 255), DONE, "the highest becomes master; 255 owns the address; 100 where nothing is said, with `state MASTER` 255";
    "advert_int" Decimal(10_000, 255 * SECOND), DONE, "seconds between advertisements; 1 where nothing is said";
    "version" Number(2, 3), DONE, "VRRP version";
    "virtual_ipaddress" In(List::Addresses), DONE, "addresses the master has and advertises";
    "virtual_ipaddress_excluded" In(List::Addresses), DONE, "addresses the master has and does not advertise";
    "no_virtual_ipaddress" Alone, DONE, "it has no addresses on purpose";
    "virtual_routes" In(List::Routes), DONE, "routes the master has";
    "virtual_rules" In(List::Rules), DONE, "routing rules the master has";
    "authentication" Block(Scope::Authentication), DONE, "password of version 2";
    "auth_hmac" Block(Scope::Hmac), DONE, "keyed hash behind each advertisement (keepalived 2.4)";
    "nopreempt" Alone, DONE, "does not take over from a lower master";
    "preempt" Alone, DONE, "takes over from a lower master, as without";
    "preempt_delay" Decimal(0, 1000 * SECOND), DONE, "seconds before it takes over";
    "unicast_peer" In(List::Peers), DONE, "the other nodes, instead of multicast";
    "unicast_src_ip" Address, DONE, "source of its unicast advertisements";
    "mcast_src_ip" Address, DONE, "source of its multicast advertisements";
    "mcast_dst_ip" Address, DONE, "group of its advertisements";
    "track_src_ip" Alone, Status::Nothing("without its source address an instance is always at fault"), "fault while the source address is missing";
    "unicast_ttl" Number(0, 255), DONE, "TTL of unicast advertisements";
    "unicast_fault_no_peer" Alone, DONE, "fault instead of multicast without peers";
    "check_unicast_src" Alone, DONE, "take advertisements of peers only";
    "old_unicast_checksum" Words(0, 1), Status::Nothing("learnt from the peer"), "checksums as keepalived 1.3 had them";
    "v3_checksum_as_v2" Bool, Status::Nothing("learnt from the peer"), "version 3 checksums without a pseudo header";
    "track_interface" In(List::Tracked), DONE, "interfaces that must be up";
    "track_script" In(List::Tracked), DONE, "scripts that must succeed";
    "track_file" In(List::Tracked), DONE, "files whose number counts";
    "track_process" In(List::Tracked), DONE, "processes that must run";
    "track_bfd" In(List::Tracked), DONE, "BFD sessions that must be up";
    "dont_track_primary" Alone, DONE, "goes on while its interface is down";
    "use_vmac" Words(0, 6), DONE, "a virtual MAC address, on an interface of its own";
    "use_vmac_addr" Alone, DONE, "the same for addresses on other interfaces";
    "vmac_xmit_base" Alone, DONE, "advertisements from the base interface";
    "use_ipvlan" Words(0, 6), Status::Partly("addresses are put on the base interface, whose MAC address an ipvlan shares; none is made"), "an ipvlan interface";
    "vrf" Interface, Status::Nothing("an instance always speaks on an interface, whose VRF is its own"), "VRF of an instance without an interface";
    "promote_secondaries" Alone, DONE, "keep other addresses of a subnet when the first goes";
    "native_ipv6" Alone, Status::Nothing("the addresses tell the family"), "force IPv6";
    "accept" Alone, DONE, "packets to the addresses are taken";
    "no_accept" Alone, DONE, "packets to the addresses are not taken, by a table of nftables; those of virtual services are";
    "skip_check_adv_addr" Bool, Status::Nothing("every advertisement is compared"), "do not compare addresses of every advertisement";
    "strict_mode" Bool, DONE, "nothing that the RFCs forbid";
    "lvs_sync_daemon_interface" Interface, SYNC, "share connections over this interface";
    "linkbeat_use_polling" Alone, LINKBEAT, "poll the link";
    "debug" Number(0, 4), Status::Nothing("keepalived does nothing with it either"), "nothing";
    "kernel_rx_buf_size" SECONDS, BUFFER, "size of the receive buffer";
    "smtp_alert" Bool, DONE, "mail when its state changes";
    "notify_master" Script, DONE, "program run as it becomes master";
    "notify_backup" Script, DONE, "program run as it becomes backup";
    "notify_fault" Script, DONE, "program run at a fault";
    "notify_stop" Script, DONE, "program run at the end";
    "notify_deleted" Words(0, 3), DONE, "program run when a reload removes it";
    "notify" Script, DONE, "program run at every change";
    "notify_master_rx_lower_pri" Script, DONE, "program run when a lower node advertises too";
    "notify_priority_changes" Bool, DONE, "tell FIFOs of priorities";
};

pub(super) const INSTANCE_ARP: &[Keyword] = keywords! {
    "garp_master_delay" SECONDS, DONE, "seconds to the second round of gratuitous ARP; 5 where nothing is said";
    "garp_master_repeat" COUNT, DONE, "packets of one round; 5 where nothing is said";
    "garp_master_refresh" SECONDS, DONE, "seconds between rounds while master";
    "garp_master_refresh_repeat" COUNT, DONE, "packets of these rounds";
    "garp_lower_prio_delay" SECONDS, DONE, "seconds to the second round after a lower advertisement";
    "garp_lower_prio_repeat" SECONDS, DONE, "packets of these rounds";
    "garp_extra_if" Words(1, 2), DONE, "gratuitous ARP on other interfaces";
    "vmac_garp_intvl" Words(1, 2), DONE, "old spelling of garp_extra_if";
    "down_timer_adverts" Number(1, 100), DONE, "advertisements that may be missed; 3 where nothing is said";
    "lower_prio_no_advert" Bool, DONE, "do not answer lower advertisements";
    "higher_prio_send_advert" Bool, Status::Nothing("a loser always says a last word"), "one last advertisement to a better master";
    "owner_ignore_adverts" Alone, Status::Nothing("an owner never looks at them"), "an owner looks at no advertisements";
    "timer_expired_backup" Words(0, 1), Status::Nothing("a late timer begins no election"), "what a late timer means";
    "thread_timer_expired" Words(0, 1), Status::Nothing("a late timer begins no election"), "what a late timer means";
};

pub(super) const AUTHENTICATION: &[Keyword] = keywords! {
    "auth_type" OneOf(&["PASS", "AH"]), DONE, "password or authentication header";
    "auth_pass" Text, DONE, "the password, of which eight bytes count";
};

pub(super) const HMAC: &[Keyword] = keywords! {
    "key" Words(2, 2), DONE, "number and key of 32 to 64 bytes: `hex:` and digits, `file:` and a path, or itself";
    "active_key" Number(1, 255), DONE, "the key that signs";
    "time_window" Decimal(SECOND, 300 * SECOND), DONE, "seconds its time may be off; 3 intervals and at least 5 where nothing is said";
    "anti_replay" OneOf(&["time", "monotonic"]), DONE, "how old ones are told";
    "mode" OneOf(&["receive-only", "permissive", "enforce"]), DONE, "whether it signs, and hears what is not signed";
};

pub(super) const SYNC_GROUP: &[Keyword] = keywords! {
    "group" In(List::Names), DONE, "the instances";
    "track_interface" In(List::Tracked), DONE, "interfaces that must be up";
    "track_script" In(List::Tracked), DONE, "scripts that must succeed";
    "track_file" In(List::Tracked), DONE, "files whose number counts";
    "track_process" In(List::Tracked), DONE, "processes that must run";
    "track_bfd" In(List::Tracked), DONE, "BFD sessions that must be up";
    "global_tracking" Alone, DONE, "old way to let members track the same";
    "sync_group_tracking_weight" Alone, DONE, "weights count in groups too";
    "smtp_alert" Bool, DONE, "mail when its state changes";
    "notify_master" Script, DONE, "program run as it becomes master";
    "notify_backup" Script, DONE, "program run as it becomes backup";
    "notify_fault" Script, DONE, "program run at a fault";
    "notify_stop" Script, DONE, "program run at the end";
    "notify" Script, DONE, "program run at every change";
    "notify_priority_changes" Bool, DONE, "tell FIFOs of priorities";
};

pub(super) const SCRIPT: &[Keyword] = keywords! {
    "script" Script, DONE, "the program";
    "interval" Decimal(1, 4_294 * SECOND), DONE, "seconds between runs; 1 where nothing is said";
    "timeout" Decimal(1, 4_294 * SECOND), DONE, "seconds a run may take";
    "weight" Weight(253), DONE, "what its success is worth; 0: fault without it";
    "rise" Number(1, 2_147_483_647), DONE, "good runs that make it good";
    "fall" Number(1, 2_147_483_647), DONE, "failed runs that make it fail";
    "user" User, DONE, "user of the program";
    "init_fail" Alone, DONE, "it counts as failed at first (2.2.7 forgets it)";
};

pub(super) const PROCESS: &[Keyword] = keywords! {
    "process" Words(1, 256), DONE, "name of the process, and its parameters";
    "param_match" Words(0, 1), DONE, "how parameters are compared";
    "weight" Weight(254), DONE, "what the process is worth; 0: fault without it";
    "quorum" Number(0, 65535), DONE, "least number of processes";
    "quorum_max" Number(0, 65535), DONE, "most of them";
    "delay" Decimal(1, 3600 * SECOND), DONE, "seconds before a change counts";
    "terminate_delay" Decimal(1, 3600 * SECOND), DONE, "the same for an end";
    "fork_delay" Decimal(1, 3600 * SECOND), DONE, "the same for a start";
    "full_command" Alone, DONE, "compare the whole path";
};

pub(super) const TRACK_FILE: &[Keyword] = keywords! {
    "file" Text, DONE, "the file";
    "weight" Weight(2_147_483_647), DONE, "what its number is multiplied by";
    "init_file" Words(0, 2), DONE, "make the file at the start";
};

pub(super) const BFD: &[Keyword] = keywords! {
    "neighbor_ip" Address, DONE, "the neighbour";
    "neighbour_ip" Address, DONE, "the same";
    "source_ip" Address, DONE, "source of its packets";
    "min_rx" Decimal(1, 1000 * SECOND), DONE, "milliseconds between packets from the neighbour; 10 where nothing is said";
    "min_tx" Decimal(1, 1000 * SECOND), DONE, "milliseconds between packets to it; 10 where nothing is said";
    "idle_tx" Decimal(1000 * SECOND, 10_000 * SECOND), DONE, "the same while the session is down; 1000 where nothing is said";
    "multiplier" Number(1, 255), DONE, "packets that may be missed; 5 where nothing is said";
    "passive" Alone, DONE, "wait for the neighbour";
    "ttl" Number(1, 255), DONE, "TTL of its packets, and of the neighbour's; 255 where nothing is said";
    "hoplimit" Number(1, 255), HOPS, "the same for IPv6; 64 where nothing is said";
    "max_hops" Number(-1, 255), DONE, "how much lower the neighbour's may be; 0 where nothing is said, 255: any";
    "multihop" Bool, DONE, "the neighbour is behind routers";
    "weight" Weight(253), DONE, "what the session is worth; 0: fault without it";
    "vrrp" Alone, EVERYBODY, "for VRRP only";
    "checker" Alone, EVERYBODY, "for checks only";
};

pub(super) const GARP_GROUP: &[Keyword] = keywords! {
    "garp_interval" Decimal(0, LONGEST), DONE, "seconds between two gratuitous ARP packets";
    "gna_interval" Decimal(0, LONGEST), DONE, "seconds between two neighbour advertisements";
    "interface" Interface, DONE, "the interface";
    "interfaces" In(List::Names), DONE, "the interfaces, whose packets wait for each other";
};

pub(super) const TRACK_GROUP: &[Keyword] = keywords! {
    "group" In(List::Names), DONE, "the instances";
};
