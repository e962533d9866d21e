//! Words outside of any block.

use super::{
    Argument::{Block, Head, List as In, Named, NamedList, None as Nothing, Number, Text, Words},
    Keyword, List, Scope, Status,
    Status::{Done, Partly},
    keywords,
    vrrp::LINKBEAT,
};

const PROCESS: Status = Status::Nothing("evenkeel's own command line says this");

pub(super) const TOP: &[Keyword] = keywords! {
    "global_defs" Block(Scope::Globals), Done, "settings of the whole node";
    "virtual_server" Head, Done, "a virtual service: an address and port, a firewall mark, or a group";
    "virtual_server_group" NamedList(List::Servers), Done, "addresses, ranges and marks with the same real servers";
    "SSL" Block(Scope::Ssl), Partly("certificates of its own are not shown to real servers yet"),
        "what SSL_GET shows to real servers";
    "vrrp_instance" Named(Scope::Instance), Done,
         "a virtual router: addresses that move between nodes";
    "vrrp_sync_group" Named(Scope::SyncGroup), Done,
         "instances that change state together";
    "vrrp_script" Named(Scope::Script), Done, "a program whose exit status instances track";
    "vrrp_track_process" Named(Scope::Process), Done, "a process whose presence instances track";
    "track_file" Named(Scope::TrackFile), Done, "a file whose number instances track";
    "vrrp_track_file" Named(Scope::TrackFile), Done, "old name of track_file";
    "bfd_instance" Named(Scope::Bfd), Done, "a BFD session with a neighbour";
    "garp_group" Block(Scope::GarpGroup), Done, "pauses between gratuitous ARP packets on some interfaces";
    "track_group" Named(Scope::TrackGroup), Done, "instances that track static addresses, routes and rules";
    "static_ipaddress" In(List::Addresses), Done, "addresses that stay on this node";
    "static_routes" In(List::Routes), Done, "routes that stay on this node";
    "static_rules" In(List::Rules), Done, "routing rules that stay on this node";
    "linkbeat_interfaces" In(List::Interfaces), LINKBEAT, "interfaces whose link is polled";
    "linkbeat_use_polling" Nothing, LINKBEAT, "poll the link of every interface";
    "interface_up_down_delays" In(List::Interfaces), Done, "how long an interface must be up or down to count";
    "net_namespace" Text, Status::Refused("start evenkeel in the namespace, with `ip netns exec`"),
        "the network namespace to run in";
    "net_namespace_ipvs" Text, Status::Refused("services and checks share one namespace"),
        "the network namespace of the virtual servers";
    "namespace_with_ipsets" Nothing, Status::Nothing("no ipsets are used"), "ipsets in a namespace on old kernels";
    "use_pid_dir" Nothing, PROCESS, "pid files in a directory of their own";
    "instance" Text, PROCESS, "name of this instance in its pid files";
    "child_wait_time" Number(0, i64::MAX), PROCESS, "seconds that child processes may take to end";
    "include_check" Words(0, 8), Done, "which missing includes are errors";
};

pub(super) const SSL: &[Keyword] = keywords! {
    "password" Text, Status::Nothing("certificates of its own are not shown yet"), "password of the key";
    "ca" Text, Status::Nothing("keepalived does not verify with it either"), "file of trusted roots";
    "certificate" Text, Status::Nothing("certificates of its own are not shown yet"), "file of the certificate";
    "key" Text, Status::Nothing("certificates of its own are not shown yet"), "file of the key";
};
