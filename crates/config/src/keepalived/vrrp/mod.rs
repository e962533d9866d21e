//! What a keepalived.conf says about VRRP, typed and with places; [`lower`] makes instances of it.
//!
//! `None` means that the file says nothing; the defaults are keepalived's and named at each field.

mod address;
mod bfd;
mod conduct;
mod hmac;
mod judge;
mod list;
mod lower;
mod read;
mod routing;
mod strict;
mod track;
mod vmac;

pub use address::VrrpAddress;
pub(crate) use bfd::lower as lower_bfd;
pub use conduct::VrrpGarpGroup;
pub(crate) use conduct::lower as lower_conduct;
pub use hmac::VrrpHmac;
pub(crate) use lower::{firewall as lower_firewall, fixed as lower_fixed, follow_groups, lower};
pub(crate) use read::read;
pub(crate) use track::lower as lower_tracking;

use evenkeel_model::vrrp::{Route, Rule};
use evenkeel_source::{Span, Spanned};
use std::{net::IpAddr, time::Duration};

/// Everything about VRRP, BFD and static addresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vrrp {
    /// `vrrp_instance`; those without a name or an id are told as errors and are here all the same.
    pub instances: Vec<VrrpInstance>,
    /// `vrrp_sync_group`
    pub sync_groups: Vec<VrrpSyncGroup>,
    /// `vrrp_script`
    pub scripts: Vec<VrrpScript>,
    /// `vrrp_track_process`
    pub processes: Vec<VrrpProcess>,
    /// `track_file`
    pub files: Vec<VrrpTrackFile>,
    /// `bfd_instance`
    pub bfd: Vec<BfdInstance>,
    /// `interface_up_down_delays`
    pub delays: Vec<VrrpLinkDelay>,
    /// `static_ipaddress`
    pub static_addresses: Vec<VrrpAddress>,
    /// `static_routes`
    pub static_routes: Vec<Spanned<Route>>,
    /// `static_rules`
    pub static_rules: Vec<Spanned<Rule>>,
    /// `track_group`
    pub track_groups: Vec<VrrpTrackGroup>,
    /// The interfaces of static addresses, routes and rules with a `track_group`.
    pub grouped: Vec<VrrpGrouped>,
    /// `garp_group`
    pub garp_groups: Vec<VrrpGarpGroup>,
    /// `vrrp_...` words of `global_defs`.
    pub defaults: VrrpDefaults,
}

impl Vrrp {
    /// The `track_group` of the static route or rule at `line`.
    pub fn track_group(&self, line: Span) -> Option<&str> {
        self.grouped.iter().find(|grouped| grouped.line == line).map(|grouped| grouped.group.value.as_str())
    }

    /// Adds what another file says.
    pub fn extend(&mut self, other: Vrrp) {
        self.instances.extend(other.instances);
        self.sync_groups.extend(other.sync_groups);
        self.scripts.extend(other.scripts);
        self.processes.extend(other.processes);
        self.files.extend(other.files);
        self.bfd.extend(other.bfd);
        self.delays.extend(other.delays);
        self.static_addresses.extend(other.static_addresses);
        self.static_routes.extend(other.static_routes);
        self.static_rules.extend(other.static_rules);
        self.track_groups.extend(other.track_groups);
        self.grouped.extend(other.grouped);
        self.garp_groups.extend(other.garp_groups);
        if other.defaults != VrrpDefaults::default() {
            self.defaults = other.defaults;
        }
    }
}

/// `track_group`: instances that cannot do without what is fixed and names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpTrackGroup {
    /// Its name.
    pub name: Spanned<String>,
    /// Names of instances.
    pub members: Vec<Spanned<String>>,
}

/// Something fixed with a `track_group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpGrouped {
    /// The group.
    pub group: Spanned<String>,
    /// Its line.
    pub line: Span,
    /// Its interface: of an address or route `dev`, of a rule `iif`.
    pub interface: String,
}

/// What instances fall back on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VrrpDefaults {
    /// `vrrp_version`; 2.
    pub version: Option<Spanned<u8>>,
    /// `vrrp_mcast_group4`; 224.0.0.18.
    pub group4: Option<Spanned<IpAddr>>,
    /// `vrrp_mcast_group6`; ff02::12.
    pub group6: Option<Spanned<IpAddr>>,
    /// `vrrp_garp_...`
    pub garp: VrrpGarp,
    /// `vrrp_down_timer_adverts`; 3.
    pub down_timer_adverts: Option<Spanned<u8>>,
    /// `vrrp_startup_delay`; none.
    pub startup_delay: Option<Spanned<Duration>>,
    /// `vrrp_delay_after_boot`; none.
    pub boot_delay: Option<Spanned<Duration>>,
    /// `vrrp_garp_interval`; none.
    pub garp_interval: Option<Spanned<Duration>>,
    /// `vrrp_gna_interval`; none.
    pub gna_interval: Option<Spanned<Duration>>,
    /// `disable_local_igmp`
    pub quiet_igmp: bool,
    /// `vrrp_strict`
    pub strict: bool,
    /// `vrrp_check_unicast_src`
    pub check_unicast_source: bool,
    /// `vrrp_skip_check_adv_addr`
    pub skip_address_check: Option<Spanned<bool>>,
    /// `vrrp_lower_prio_no_advert`
    pub lower_no_advert: Option<Spanned<bool>>,
    /// `vrrp_higher_prio_send_advert`
    pub higher_send_advert: Option<Spanned<bool>>,
    /// `nftables`, `nftables_priority` and `nftables_counters`.
    pub firewall: VrrpFirewall,
    /// `default_interface`; eth0.
    pub interface: Option<Spanned<String>>,
    /// `vmac_prefix`; vrrp.
    pub vmac_prefix: Option<Spanned<String>>,
    /// `vmac_addr_prefix`; that of `vmac_prefix`.
    pub vmac_address_prefix: Option<Spanned<String>>,
    /// `script_user`: user and group.
    pub script_user: Option<Spanned<Vec<String>>>,
}

/// What is said of the table that keeps packets away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VrrpFirewall {
    /// Its name; `evenkeel`.
    pub table: Option<Spanned<String>>,
    /// Priority of its chains; -1.
    pub priority: Option<Spanned<i32>>,
    /// Where it is asked for that its rules count.
    pub counters: Option<Span>,
}

/// What an instance begins as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VrrpState {
    /// `MASTER`
    Master,
    /// `BACKUP`
    Backup,
}

/// `vrrp_instance`
#[derive(Clone, Debug, PartialEq)]
pub struct VrrpInstance {
    /// Its name.
    pub name: Spanned<String>,
    /// `state`; backup, and master with priority 255.
    pub state: Option<Spanned<VrrpState>>,
    /// `interface`; may be missing with unicast.
    pub interface: Option<Spanned<String>>,
    /// `virtual_router_id`, 1 to 255.
    pub id: Option<Spanned<u8>>,
    /// `priority`, 1 to 255; 100.
    pub priority: Option<Spanned<u8>>,
    /// `advert_int`; 1 s.
    pub advert_interval: Option<Spanned<Duration>>,
    /// `version`; that of the defaults, and 3 for IPv6.
    pub version: Option<Spanned<u8>>,
    /// `virtual_ipaddress`
    pub addresses: Vec<VrrpAddress>,
    /// `virtual_ipaddress_excluded`
    pub excluded: Vec<VrrpAddress>,
    /// `virtual_routes`
    pub routes: Vec<Spanned<Route>>,
    /// `virtual_rules`
    pub rules: Vec<Spanned<Rule>>,
    /// `authentication`
    pub authentication: Option<VrrpAuthentication>,
    /// `auth_hmac`
    pub hmac: Option<VrrpHmac>,
    /// `nopreempt`
    pub no_preempt: Option<Spanned<()>>,
    /// `preempt_delay`; none.
    pub preempt_delay: Option<Spanned<Duration>>,
    /// `unicast_peer`; `None`: multicast.
    pub peers: Option<Vec<VrrpPeer>>,
    /// `unicast_src_ip` or `mcast_src_ip`; the interface's first address.
    pub source: Option<Spanned<IpAddr>>,
    /// `mcast_dst_ip`; that of the defaults.
    pub group: Option<Spanned<IpAddr>>,
    /// `unicast_ttl`; 255.
    pub unicast_ttl: Option<Spanned<u8>>,
    /// What it tracks.
    pub track: VrrpTracks,
    /// `garp_...`
    pub garp: VrrpGarp,
    /// `down_timer_adverts`; 3.
    pub down_timer_adverts: Option<Spanned<u8>>,
    /// `use_vmac` and what stands behind it.
    pub vmac: Option<VrrpLine>,
    /// `use_ipvlan` and what stands behind it.
    pub ipvlan: Option<VrrpLine>,
    /// `notify...`
    pub notify: Vec<VrrpNotify>,
    /// `notify_priority_changes`; that of the defaults.
    pub priority_changes: Option<Spanned<bool>>,
    /// `smtp_alert`
    pub smtp_alert: Option<Spanned<bool>>,
    /// `accept` or `no_accept`
    pub accept: Option<Spanned<bool>>,
    /// `strict_mode`; that of the defaults.
    pub strict: Option<Spanned<bool>>,
    /// `skip_check_adv_addr`; that of the defaults.
    pub skip_address_check: Option<Spanned<bool>>,
    /// `lower_prio_no_advert`; that of the defaults.
    pub lower_no_advert: Option<Spanned<bool>>,
    /// `higher_prio_send_advert`; that of the defaults.
    pub higher_send_advert: Option<Spanned<bool>>,
    /// Words without a value, by their names: `dont_track_primary`, `vmac_xmit_base`, `track_src_ip` and so on.
    pub switches: Vec<&'static str>,
}

/// `authentication`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpAuthentication {
    /// `auth_type AH`; else a password.
    pub header: bool,
    /// `auth_pass`; the first eight bytes count.
    pub password: Option<Spanned<String>>,
}

/// A line of `unicast_peer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpPeer {
    /// The other node.
    pub address: Spanned<IpAddr>,
    /// `min_ttl`
    pub least_ttl: Option<u8>,
    /// `max_ttl`
    pub most_ttl: Option<u8>,
}

/// Gratuitous ARP and unsolicited neighbour advertisements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VrrpGarp {
    /// `garp_master_delay`, in seconds; 5.
    pub master_delay: Option<Spanned<u32>>,
    /// `garp_master_repeat`; 5.
    pub master_repeat: Option<Spanned<u32>>,
    /// `garp_master_refresh`, in seconds; 0: none.
    pub master_refresh: Option<Spanned<u32>>,
    /// `garp_master_refresh_repeat`; 1.
    pub master_refresh_repeat: Option<Spanned<u32>>,
    /// `garp_lower_prio_delay`, in seconds; as `master_delay`.
    pub lower_delay: Option<Spanned<u32>>,
    /// `garp_lower_prio_repeat`; as `master_repeat`.
    pub lower_repeat: Option<Spanned<u32>>,
    /// `garp_extra_if`, in seconds; 0: none.
    pub elsewhere: Option<Spanned<u32>>,
    /// `vrrp_min_garp`: one packet once, where nothing else is said.
    pub least: Option<Spanned<bool>>,
}

/// A line of `track_interface` and its like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpTrack {
    /// What is tracked.
    pub name: Spanned<String>,
    /// `weight`; what the tracked one says, or 0: fault.
    pub weight: Option<i32>,
    /// `reverse` or `noreverse`
    pub reverse: Option<bool>,
}

/// What an instance or a group tracks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VrrpTracks {
    /// `track_interface`
    pub interfaces: Vec<VrrpTrack>,
    /// `track_script`
    pub scripts: Vec<VrrpTrack>,
    /// `track_file`
    pub files: Vec<VrrpTrack>,
    /// `track_process`
    pub processes: Vec<VrrpTrack>,
    /// `track_bfd`
    pub bfd: Vec<VrrpTrack>,
}

/// A program that is told of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpNotify {
    /// The keyword: `notify_master` and so on.
    pub on: &'static str,
    /// The program and its arguments.
    pub command: Spanned<Vec<String>>,
    /// User and group.
    pub user: Vec<String>,
}

/// The words of a line that is taken as it is: a route, a rule, `use_vmac`.
pub type VrrpLine = Spanned<Vec<String>>;

/// `vrrp_sync_group`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpSyncGroup {
    /// Its name.
    pub name: Spanned<String>,
    /// Names of instances.
    pub members: Vec<Spanned<String>>,
    /// What it tracks.
    pub track: VrrpTracks,
    /// `notify...`
    pub notify: Vec<VrrpNotify>,
    /// `notify_priority_changes`; that of the defaults.
    pub priority_changes: Option<Spanned<bool>>,
    /// `smtp_alert`
    pub smtp_alert: Option<Spanned<bool>>,
    /// Words without a value.
    pub switches: Vec<&'static str>,
}

/// `vrrp_script`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpScript {
    /// Its name.
    pub name: Spanned<String>,
    /// The program and its arguments.
    pub command: Option<Spanned<Vec<String>>>,
    /// `interval`; 1 s.
    pub interval: Option<Spanned<Duration>>,
    /// `timeout`; the interval.
    pub timeout: Option<Spanned<Duration>>,
    /// `weight`; 0: fault.
    pub weight: Option<Spanned<i32>>,
    /// `weight N reverse`
    pub reverse: bool,
    /// `rise`; 1.
    pub rise: Option<Spanned<u32>>,
    /// `fall`; 1.
    pub fall: Option<Spanned<u32>>,
    /// User and group.
    pub user: Option<Spanned<Vec<String>>>,
    /// `init_fail`
    pub fails_at_first: bool,
}

/// `vrrp_track_process`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpProcess {
    /// Its name.
    pub name: Spanned<String>,
    /// The process and its parameters.
    pub process: Option<Spanned<Vec<String>>>,
    /// `param_match partial` or `initial`
    pub parameters: Option<Spanned<String>>,
    /// `param_match`, with or without a word.
    pub compares_parameters: bool,
    /// `weight`; 0: fault.
    pub weight: Option<Spanned<i32>>,
    /// `weight N reverse`
    pub reverse: bool,
    /// `quorum`; 1.
    pub quorum: Option<Spanned<u16>>,
    /// `quorum_max`
    pub most: Option<Spanned<u16>>,
    /// `fork_delay`, else `delay`
    pub start_delay: Option<Spanned<Duration>>,
    /// `terminate_delay`, else `delay`
    pub end_delay: Option<Spanned<Duration>>,
    /// `full_command`
    pub whole_path: bool,
}

/// A line of `interface_up_down_delays`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpLinkDelay {
    /// The interface.
    pub name: Spanned<String>,
    /// Before it counts as down.
    pub down: Duration,
    /// Before it counts as up; none.
    pub up: Duration,
}

/// `track_file`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VrrpTrackFile {
    /// Its name.
    pub name: Spanned<String>,
    /// The file.
    pub file: Option<Spanned<String>>,
    /// `weight`; 1.
    pub weight: Option<Spanned<i32>>,
    /// `weight N reverse`
    pub reverse: bool,
    /// `init_file` and what stands behind it.
    pub begin: Option<VrrpLine>,
}

/// `bfd_instance`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BfdInstance {
    /// Its name.
    pub name: Spanned<String>,
    /// `neighbor_ip`
    pub neighbour: Option<Spanned<IpAddr>>,
    /// `source_ip`
    pub source: Option<Spanned<IpAddr>>,
    /// `min_rx`; 10 ms.
    pub least_receive: Option<Spanned<Duration>>,
    /// `min_tx`; 10 ms.
    pub least_send: Option<Spanned<Duration>>,
    /// `idle_tx`; 1 s.
    pub idle_send: Option<Spanned<Duration>>,
    /// `multiplier`; 5.
    pub multiplier: Option<Spanned<u8>>,
    /// `passive`
    pub passive: bool,
    /// `ttl` or `hoplimit`; 255 and 64.
    pub ttl: Option<Spanned<u8>>,
    /// `max_hops`; 0.
    pub most_hops: Option<Spanned<i16>>,
    /// `multihop`
    pub multihop: bool,
    /// `weight`; 0: fault.
    pub weight: Option<Spanned<i32>>,
    /// `weight N reverse`
    pub reverse: bool,
}
