//! Instances, their sockets and their groups.

use super::{Dump, Socket, Standing, State, command, enabled, global, routing, yes};
use evenkeel_config::keepalived::vrrp::{VrrpAddress, VrrpInstance, VrrpNotify, VrrpSyncGroup, VrrpTrack, VrrpTracks};
use evenkeel_model::vrrp::{Authentication, Instance, Preempt, Reach, Version, Vip};
use evenkeel_vrrp::Heard;
use std::{
    fmt::{self, Formatter},
    net::IpAddr,
    time::Duration,
};

/// What stands for a secret, as keepalived 2.4 has it; 2.2.7 wrote the password.
pub(super) const MASK: &str = "********";

/// What an instance is, of its file, its model and its standing.
pub(super) struct Facts<'a> {
    standing: &'a Standing<'a>,
    instance: &'a Instance,
    written: Option<&'a VrrpInstance>,
    pub(super) skips_address_check: bool,
    pub(super) strict: bool,
    pub(super) higher_send_advert: bool,
    pub(super) accepts: bool,
    pub(super) mails: bool,
    /// The master that it hears.
    pub(super) master: Option<Heard>,
    /// The macvlan or ipvlan that it makes.
    pub(super) virtual_interface: Option<String>,
}

impl<'a> Facts<'a> {
    pub(super) fn of(dump: &'a Dump<'_>, standing: &'a Standing<'a>) -> Facts<'a> {
        let instance = standing.instance;
        let written = dump.written(&instance.name);
        let defaults = &dump.written.defaults;
        let said = |own: Option<bool>, default: Option<bool>| own.or(default).unwrap_or(false);
        let strict = written.and_then(|w| w.strict).map_or(defaults.strict, |strict| strict.value);
        let mails = global::switch(dump.globals, "smtp_alert_vrrp").or(global::switch(dump.globals, "smtp_alert"));
        Facts {
            standing,
            instance,
            written,
            skips_address_check: said(
                written.and_then(|w| w.skip_address_check).map(|yes| yes.value),
                defaults.skip_address_check.map(|yes| yes.value),
            ),
            strict,
            higher_send_advert: !strict
                && said(
                    written.and_then(|w| w.higher_send_advert).map(|yes| yes.value),
                    defaults.higher_send_advert.map(|yes| yes.value),
                ),
            accepts: instance.accept,
            mails: said(written.and_then(|w| w.smtp_alert).map(|yes| yes.value), mails),
            master: standing.statistics.last.filter(|_| standing.state == State::Backup),
            virtual_interface: virtual_interface(instance, written),
        }
    }

    /// Whether a word without a value is written.
    pub(super) fn switch(&self, name: &str) -> bool {
        self.written.is_some_and(|written| written.switches.contains(&name))
    }

    /// The interface it speaks on.
    pub(super) fn speaks_on(&self) -> &str {
        self.virtual_interface.as_deref().unwrap_or(&self.instance.interface)
    }

    /// What its master-down time is counted by.
    pub(super) fn master_interval(&self) -> Duration {
        let heard = self.master.filter(|_| self.instance.version == Version::Three);
        heard.map_or(self.instance.interval.get(), |heard| heard.interval)
    }

    fn master_down(&self) -> Duration {
        let interval = self.master_interval();
        let skew = interval * (256 - u32::from(self.standing.priority)) / 256;
        interval * u32::from(self.instance.down_adverts) + skew
    }

    pub(super) fn preempt_delay(&self) -> Duration {
        match self.instance.preempt {
            Preempt::No => Duration::ZERO,
            Preempt::After(delay) => delay,
        }
    }

    pub(super) fn notifies_deleted(&self) -> bool {
        self.switch("notify_deleted") || self.notify("notify_deleted").is_some()
    }

    pub(super) fn notify(&self, keyword: &str) -> Option<&'a VrrpNotify> {
        self.written?.notify.iter().find(|notify| notify.on == keyword)
    }

    /// The lines of `virtual_ipaddress`.
    pub(super) fn addresses(&self) -> Vec<String> {
        match self.written {
            Some(written) => {
                let six = self.instance.is_ipv6();
                let lines = written.addresses.iter().filter(|address| address.address.value.is_ipv6() == six);
                lines.map(|address| self.address(address)).collect()
            }
            None => self.instance.addresses.iter().map(|vip| self.vip(vip)).collect(),
        }
    }

    /// The lines of `virtual_ipaddress_excluded`.
    pub(super) fn excluded(&self) -> Vec<String> {
        match self.written {
            Some(written) => {
                let lines = written.excluded.iter();
                lines.map(|address| self.address(address)).collect()
            }
            None => self.instance.excluded.iter().map(|vip| self.vip(vip)).collect(),
        }
    }

    fn address(&self, written: &VrrpAddress) -> String {
        written_address(written, self.speaks_on(), self.standing.holds) + self.closed()
    }

    /// Behind an address whose packets are dropped now.
    fn closed(&self) -> &'static str {
        if self.standing.holds && self.instance.is_closed() { " nftable_set" } else { "" }
    }

    fn vip(&self, vip: &Vip) -> String {
        let interface = vip.interface.as_deref().unwrap_or(self.speaks_on());
        let label = vip.label.as_ref().map(|label| format!(" label {label}")).unwrap_or_default();
        let life = if vip.address.is_ipv6() { " preferred_lft forever" } else { "" };
        let set = if self.standing.holds { " set" } else { "" };
        let address = with_prefix(vip.address, vip.prefix);
        format!("{address} dev {interface} scope global{label}{life}{set}{}", self.closed())
    }

    /// The lines of `virtual_routes`.
    pub(super) fn routes(&self) -> Vec<String> {
        self.written.iter().flat_map(|written| &written.routes).map(|line| routing::route(&line.value)).collect()
    }

    /// The lines of `virtual_rules`.
    pub(super) fn rules(&self) -> Vec<String> {
        self.written.iter().flat_map(|written| &written.rules).map(|line| routing::rule(&line.value)).collect()
    }

    /// Names of what it tracks.
    pub(super) fn tracked(&self, of: impl Fn(&VrrpTracks) -> &Vec<VrrpTrack>) -> Vec<String> {
        self.written.iter().flat_map(|written| of(&written.track)).map(|track| track.name.value.clone()).collect()
    }

    /// The commands of the scripts it tracks.
    pub(super) fn tracked_commands(&self, dump: &Dump<'_>) -> Vec<String> {
        let scripts = self.written.iter().flat_map(|written| &written.track.scripts);
        let known = scripts.filter_map(|track| {
            dump.written.scripts.iter().find(|script| script.name.value == track.name.value)?.command.as_ref()
        });
        known.map(|words| command(&words.value)).collect()
    }

    /// keepalived's flags; that one is set is all that it says of most of them.
    fn has_flags(&self) -> bool {
        let words = ["dont_track_primary", "promote_secondaries", "check_unicast_src", "unicast_fault_no_peer"];
        self.is_unicast()
            || self.lacks_peers()
            || self.instance.preempt == Preempt::No
            || self.skips_address_check
            || self.instance.source.is_some()
            || self.virtual_interface.is_some()
            || words.iter().any(|word| self.switch(word))
    }

    /// What it would be; one that is written wrong is at fault before it wants anything.
    pub(super) fn wanted(&self) -> State {
        if self.instance.lacks_peers() { State::Backup } else { self.standing.state }
    }

    fn is_unicast(&self) -> bool {
        matches!(self.instance.reach, Reach::Unicast { .. }) && !self.instance.lacks_peers()
    }

    /// Whether it is written with an empty list of peers.
    fn lacks_peers(&self) -> bool {
        self.written.and_then(|written| written.peers.as_ref()).is_some_and(Vec::is_empty)
    }

    /// Interfaces that have to work for it.
    pub(super) fn interfaces(&self) -> Vec<(&str, i32, bool)> {
        let mut interfaces = Vec::new();
        if !self.switch("dont_track_primary") {
            interfaces.push((self.speaks_on(), 0, false));
        }
        for track in self.written.iter().flat_map(|written| &written.track.interfaces) {
            interfaces.push((track.name.value.as_str(), track.weight.unwrap_or(0), track.reverse.unwrap_or(false)));
        }
        let all = self.written.iter().flat_map(|written| written.addresses.iter().chain(&written.excluded));
        let tracked = all.filter(|address| !address.switches.contains(&"no_track"));
        for name in tracked.filter_map(|address| address.interface.as_ref()) {
            interfaces.push((name.value.as_str(), 0, false));
        }
        interfaces
    }
}

/// As `use_vmac` and `use_ipvlan` name it, or as keepalived does.
fn virtual_interface(instance: &Instance, written: Option<&VrrpInstance>) -> Option<String> {
    const OPTIONS: [&str; 4] = ["netlink_notify_msg", "no_track", "mac", "bridge"];
    let line = written?.vmac.as_ref().or(written?.ipvlan.as_ref())?;
    let name = line.value.first().filter(|word| !OPTIONS.contains(&word.as_str()) && !word.contains(':'));
    let family = if instance.is_ipv6() { "6" } else { "" };
    Some(name.cloned().unwrap_or_else(|| format!("vrrp{family}.{}", instance.vrid)))
}

pub(super) fn with_prefix(address: IpAddr, prefix: u8) -> String {
    let width = if address.is_ipv4() { 32 } else { 128 };
    if prefix == width { address.to_string() } else { format!("{address}/{prefix}") }
}

/// `192.0.2.10/24 dev eth0 scope global set`
pub(super) fn written_address(written: &VrrpAddress, interface: &str, set: bool) -> String {
    const SWITCHES: [(&str, &str); 6] = [
        ("home", " home"),
        ("-nodad", " -nodad"),
        ("mngtmpaddr", " mngtmpaddr"),
        ("noprefixroute", " noprefixroute"),
        ("autojoin", " autojoin"),
        ("no_track", " no_track"),
    ];
    let address = written.address.value;
    let mut text = with_prefix(address, written.prefix);
    if let Some(broadcast) = written.broadcast.filter(|_| address.is_ipv4()) {
        text += &format!(" brd {broadcast}");
    }
    let interface = written.interface.as_ref().map_or(interface, |name| &name.value);
    let scope = match written.scope.map_or(0, |scope| scope.value) {
        0 => "global".to_owned(),
        200 => "site".to_owned(),
        253 => "link".to_owned(),
        254 => "host".to_owned(),
        255 => "nowhere".to_owned(),
        number => number.to_string(),
    };
    text += &format!(" dev {interface} scope {scope}");
    if let Some(label) = &written.label {
        text += &format!(" label {}", label.value);
    }
    if let Some(peer) = &written.peer {
        text += &format!(" peer {}/{}", peer.value, written.prefix);
    }
    SWITCHES.iter().filter(|(word, _)| written.switches.contains(word)).for_each(|(_, shown)| text += shown);
    if let Some(group) = &written.track_group {
        text += &format!(" track_group {}", group.value);
    }
    if address.is_ipv6() {
        match written.preferred {
            None => text += " preferred_lft forever",
            Some(0) => text += " deprecated",
            Some(seconds) => text += &format!(" preferred_lft {seconds}"),
        }
    }
    if set {
        text += " set";
    }
    text
}

pub(super) fn write(f: &mut Formatter<'_>, dump: &Dump<'_>, standing: &Standing<'_>) -> fmt::Result {
    let facts = Facts::of(dump, standing);
    write_state(f, dump, &facts)?;
    write_way(f, dump, &facts)?;
    write_rules(f, &facts)?;
    write_addresses(f, &facts)?;
    if let Some(written) = facts.written {
        write_tracks(f, dump, &written.track, "Tracked processes")?;
    }
    writeln!(f, "   Using smtp notification = {}", yes(facts.mails))?;
    writeln!(f, "   Notify deleted = {}", if facts.notifies_deleted() { "Deleted" } else { "Fault" })?;
    write_notify(f, dump, facts.written.map_or(&[], |written| written.notify.as_slice()))?;
    let own = facts.written.and_then(|written| written.priority_changes).map(|yes| yes.value);
    let changes = own.or(global::switch(dump.globals, "vrrp_notify_priority_changes")).unwrap_or(false);
    writeln!(f, "   Notify priority changes = {changes}")
}

fn write_state(f: &mut Formatter<'_>, dump: &Dump<'_>, facts: &Facts<'_>) -> fmt::Result {
    let (standing, instance) = (facts.standing, facts.instance);
    writeln!(f, " VRRP Instance = {}", instance.name)?;
    writeln!(f, "   VRRP Version = {}", instance.version.number())?;
    if let Some(group) = dump.group_of(&instance.name).map(|group| &group.name.value).or(instance.group.as_ref()) {
        writeln!(f, "   Sync group = {group}")?;
    }
    if instance.is_ipv6() {
        writeln!(f, "   Using Native IPv6")?;
    }
    writeln!(f, "   State = {}", standing.state)?;
    if standing.state == State::Backup {
        let nobody: IpAddr = if instance.is_ipv6() { [0; 16].into() } else { [0; 4].into() };
        writeln!(f, "   Master router = {}", facts.master.map_or(nobody, |master| master.source))?;
        writeln!(f, "   Master priority = {}", facts.master.map_or(0, |master| master.priority))?;
        if instance.version == Version::Three {
            writeln!(f, "   Master advert int = {:.2} sec", facts.master_interval().as_secs_f64())?;
        }
    }
    match (facts.has_flags(), facts.is_unicast()) {
        (true, true) => writeln!(f, "   Flags:\n     Using unicast")?,
        (true, false) => writeln!(f, "   Flags:")?,
        (false, _) => writeln!(f, "   Flags: none")?,
    }
    if facts.lacks_peers() {
        writeln!(f, "     Unicast config option specified but using multicast")?;
    }
    if facts.switch("unicast_fault_no_peer") {
        writeln!(f, "     If unicast go to fault state if no peers")?;
    }
    writeln!(f, "   Wantstate = {}", facts.wanted())?;
    writeln!(f, "   Number of config faults = {}", u8::from(instance.lacks_peers()))?;
    writeln!(f, "   Number of interface and track script faults = {}", standing.faults)?;
    writeln!(f, "   Number of track scripts init = 0")?;
    writeln!(f, "   Last transition = {}", dump.time(standing.since))?;
    match standing.due {
        Some(due) => writeln!(f, "   Read timeout = {}", dump.time(due))?,
        None => writeln!(f, "   Read timeout = DISABLED")?,
    }
    writeln!(f, "   Master down timer = {} usecs", facts.master_down().as_micros())
}

/// Where it speaks, from what address and to whom.
fn write_way(f: &mut Formatter<'_>, dump: &Dump<'_>, facts: &Facts<'_>) -> fmt::Result {
    let (standing, instance) = (facts.standing, facts.instance);
    if let Some(name) = &facts.virtual_interface {
        let is_ipvlan = facts.written.is_some_and(|written| written.vmac.is_none());
        let up = dump.links.iter().any(|link| link.name == *name && link.running);
        let base = facts.switch("vmac_xmit_base") && !facts.strict;
        match is_ipvlan {
            true => writeln!(f, "   Use IPVLAN, i/f {name}, is_up = {up}, type bridge")?,
            false => writeln!(f, "   Use VMAC, i/f name {name}, is_up = {up}, xmit_base = {base}")?,
        }
        let kind = if is_ipvlan { "ipvlan" } else { "vmac" };
        let suffix = if base { ", xmit base i/f" } else { "" };
        writeln!(f, "   Interface = {name}, {kind} on {}{suffix}", instance.interface)?;
    } else {
        writeln!(f, "   Interface = {}", instance.interface)?;
    }
    if facts.switch("dont_track_primary") {
        writeln!(f, "   VRRP interface tracking disabled")?;
    }
    if facts.skips_address_check {
        writeln!(f, "   Skip checking advert IP addresses")?;
    }
    if facts.strict {
        writeln!(f, "   Enforcing strict VRRP compliance")?;
    }
    let source = standing.source.map_or("(none)".to_owned(), |source| source.to_string());
    let configured = if instance.source.is_some() { " (from configuration)" } else { "" };
    writeln!(f, "   Using src_ip = {source}{configured}")?;
    if !facts.is_unicast() {
        let own = facts.written.and_then(|written| written.group).map(|group| group.value);
        let defaults = &dump.written.defaults;
        if instance.is_ipv6() {
            let group = own.or(defaults.group6.map(|group| group.value));
            let group = group.unwrap_or(evenkeel_model::vrrp::GROUP_V6.into());
            let index = dump.links.iter().find(|link| link.name == facts.speaks_on()).map_or(0, |link| link.index);
            writeln!(f, "   Multicast address {group}, ifindex {index}")?;
        } else {
            let group = own.or(defaults.group4.map(|group| group.value));
            writeln!(f, "   Multicast address {}", group.unwrap_or(evenkeel_model::vrrp::GROUP_V4.into()))?;
        }
    }
    Ok(())
}

/// When it speaks, and by which rules.
fn write_rules(f: &mut Formatter<'_>, facts: &Facts<'_>) -> fmt::Result {
    let (standing, instance, rounds) = (facts.standing, facts.instance, &facts.instance.rounds);
    writeln!(f, "   Gratuitous ARP delay = {}", rounds.again_after.as_secs())?;
    writeln!(f, "   Gratuitous ARP repeat = {}", rounds.burst)?;
    writeln!(f, "   Gratuitous ARP refresh = {}", rounds.refresh.as_secs())?;
    writeln!(f, "   Gratuitous ARP refresh repeat = {}", rounds.refresh_burst)?;
    writeln!(f, "   Gratuitous ARP lower priority delay = {}", rounds.contested_again_after.as_secs())?;
    writeln!(f, "   Gratuitous ARP lower priority repeat = {}", rounds.contested_burst)?;
    writeln!(f, "   Down timer adverts = {}", instance.down_adverts)?;
    writeln!(f, "   Send advert after receive lower priority advert = {}", instance.answer_lower)?;
    writeln!(f, "   Send advert after receive higher priority advert = {}", facts.higher_send_advert)?;
    writeln!(f, "   Virtual Router ID = {}", instance.vrid)?;
    writeln!(f, "   Priority = {}", instance.priority)?;
    writeln!(f, "   Effective priority = {}", standing.priority)?;
    writeln!(f, "   Total priority = {}", standing.priority)?;
    let interval = instance.interval.get();
    match instance.version {
        Version::Two => writeln!(f, "   Advert interval = {} sec", interval.as_secs())?,
        Version::Three => writeln!(f, "   Advert interval = {} milli-sec", interval.as_millis())?,
    }
    if standing.state == State::Backup && instance.version == Version::Three {
        writeln!(f, "   Master advert interval = {} milli-sec", facts.master_interval().as_millis())?;
    }
    writeln!(f, "   Accept = {}", enabled(facts.accepts))?;
    writeln!(f, "   Preempt = {}", enabled(instance.preempt != Preempt::No))?;
    let delay = facts.preempt_delay();
    if !delay.is_zero() {
        writeln!(f, "   Preempt delay = {} secs", delay.as_secs_f64())?;
    }
    writeln!(f, "   Promote_secondaries = {}", enabled(facts.switch("promote_secondaries")))?;
    match instance.authentication {
        Authentication::Header(_) => writeln!(f, "   Authentication type = IPSEC_AH"),
        Authentication::Password(_) => {
            writeln!(f, "   Authentication type = SIMPLE_PASSWORD\n   Password = {MASK}")
        }
        Authentication::None if instance.version == Version::Two => writeln!(f, "   Authentication type = none"),
        Authentication::None => Ok(()),
    }
}

fn write_addresses(f: &mut Formatter<'_>, facts: &Facts<'_>) -> fmt::Result {
    let mut list = |title: &str, lines: Vec<String>| -> fmt::Result {
        if !lines.is_empty() {
            writeln!(f, "   {title}:")?;
        }
        lines.iter().try_for_each(|line| writeln!(f, "     {line}"))
    };
    let addresses = facts.addresses();
    list(&format!("Virtual IP ({})", addresses.len()), addresses)?;
    list("Virtual IP Excluded ", facts.excluded())?;
    if let Reach::Unicast { peers, check_source } = &facts.instance.reach
        && !peers.is_empty()
    {
        let written = facts.written.and_then(|written| written.peers.as_ref());
        let bounded =
            written.is_some_and(|peers| peers.iter().any(|peer| peer.least_ttl.is_some() || peer.most_ttl.is_some()));
        let ttl = facts.written.and_then(|written| written.unicast_ttl).map_or(255, |ttl| ttl.value);
        writeln!(f, "   Unicast TTL = {ttl}")?;
        writeln!(f, "   Check unicast src : {}", yes(*check_source || bounded))?;
        writeln!(f, "   Unicast Peer :")?;
        for peer in peers {
            let (least, most) = (peer.hops.start(), peer.hops.end());
            writeln!(f, "     {} min_ttl {least} max_ttl {most}", peer.address)?;
        }
        writeln!(f, "   Unicast checksum compatibility = no")?;
    }
    match facts.standing.socket {
        Some(Socket { reads, writes }) => writeln!(f, "   fd_in {reads}, fd_out {writes}")?,
        None => writeln!(f, "   No sockets allocated")?,
    }
    let mut list = |title: &str, lines: Vec<String>| -> fmt::Result {
        if !lines.is_empty() {
            writeln!(f, "   {title} :")?;
        }
        lines.iter().try_for_each(|line| writeln!(f, "     {line}"))
    };
    list("Virtual Routes", facts.routes())?;
    list("Virtual Rules", facts.rules())
}

/// What an instance or a group tracks; keepalived names the list of processes in two ways.
fn write_tracks(f: &mut Formatter<'_>, dump: &Dump<'_>, tracks: &VrrpTracks, processes: &str) -> fmt::Result {
    let written = dump.written;
    let mut list = |title: &str, colon: &str, tracks: &[VrrpTrack], usual: &dyn Fn(&str) -> (i32, bool)| {
        if !tracks.is_empty() {
            writeln!(f, "   {title} :")?;
        }
        for (at, track) in tracks.iter().enumerate() {
            let name = &track.name.value;
            // The first counts where something is named twice.
            if tracks.iter().take(at).any(|earlier| earlier.name.value == *name) {
                continue;
            }
            let (weight, reverse) = super::tracked::effect(track, usual(name));
            let reverse = if reverse { " reverse" } else { "" };
            writeln!(f, "     {name}{colon} weight {weight}{reverse}")?;
        }
        Ok(())
    };
    list("Tracked interfaces", "", &tracks.interfaces, &|_| (0, false))?;
    list("Tracked scripts", "", &tracks.scripts, &|name| super::tracked::script(written, name))?;
    list("Tracked files", ",", &tracks.files, &|name| super::tracked::file(written, name))?;
    list(processes, ",", &tracks.processes, &|name| super::tracked::process(written, name))?;
    list("Tracked BFDs", ":", &tracks.bfd, &|name| super::tracked::bfd(written, name))
}

fn write_notify(f: &mut Formatter<'_>, dump: &Dump<'_>, notify: &[VrrpNotify]) -> fmt::Result {
    const WORDS: [(&str, &str); 7] = [
        ("notify_backup", "Backup"),
        ("notify_master", "Master"),
        ("notify_fault", "Fault"),
        ("notify_stop", "Stop"),
        ("notify_deleted", "Deleted"),
        ("notify", "Generic"),
        ("notify_master_rx_lower_pri", "Master rx lower pri"),
    ];
    for (keyword, title) in WORDS {
        let Some(notify) = notify.iter().find(|notify| notify.on == keyword && !notify.command.value.is_empty()) else {
            continue;
        };
        let (user, group) = dump.ids(&notify.user);
        let program = command(&notify.command.value);
        writeln!(f, "   {title} state transition script = {program}, uid:gid {user}:{group}")?;
    }
    Ok(())
}

pub(super) fn write_socket(f: &mut Formatter<'_>, dump: &Dump<'_>, socket: Socket) -> fmt::Result {
    let mut users: Vec<&Standing<'_>> =
        dump.instances.iter().filter(|standing| standing.socket == Some(socket)).collect();
    users.sort_by_key(|standing| standing.instance.vrid);
    let Some(first) = users.first() else { return Ok(()) };
    let facts = Facts::of(dump, first);
    writeln!(f, " fd_in {} fd_out = {}", socket.reads, socket.writes)?;
    writeln!(f, "   Interface = {}", facts.speaks_on())?;
    writeln!(f, "   Family = {}", if first.instance.is_ipv6() { "IPv6" } else { "IPv4" })?;
    let header = matches!(first.instance.authentication, Authentication::Header(_));
    writeln!(f, "   Protocol = {}", if header { "AH" } else { "VRRP" })?;
    writeln!(f, "   Type = {}", if facts.is_unicast() { "Unicast" } else { "Multicast" })?;
    if let (true, Some(source)) = (facts.is_unicast(), first.source) {
        writeln!(f, "   Address = {source}")?;
    }
    writeln!(f, "   Rx buf size = 0\n   VRRP instances")?;
    users.iter().try_for_each(|user| writeln!(f, "     {} vrid {}", user.instance.name, user.instance.vrid))
}

pub(super) fn write_group(f: &mut Formatter<'_>, dump: &Dump<'_>, group: &VrrpSyncGroup) -> fmt::Result {
    let named = |name: &str| dump.instances.iter().find(|standing| standing.instance.name == name);
    let members: Vec<&Standing<'_>> = group.members.iter().filter_map(|member| named(&member.value)).collect();
    let count = |state: State| members.iter().filter(|member| member.state == state).count();
    let state = match (count(State::Fault), count(State::Init), count(State::Master)) {
        (1.., _, _) => State::Fault,
        (0, 1.., _) => State::Init,
        (0, 0, masters) if masters == members.len() && masters > 0 => State::Master,
        (0, 0, _) => State::Backup,
    };
    writeln!(f, " VRRP Sync Group = {}, {state}", group.name.value)?;
    let (faults, inits) = (count(State::Fault), count(State::Init));
    writeln!(f, "   Num member fault {faults}, num member init {inits}")?;
    if !members.is_empty() {
        writeln!(f, "   VRRP member instances :")?;
    }
    members.iter().try_for_each(|member| writeln!(f, "     {}", member.instance.name))?;
    if group.switches.contains(&"sync_group_tracking_weight") {
        writeln!(f, "   sync group tracking weight set")?;
    }
    let usual = global::switch(dump.globals, "smtp_alert_vrrp").or(global::switch(dump.globals, "smtp_alert"));
    let mails = group.smtp_alert.map(|mails| mails.value).or(usual).unwrap_or(false);
    writeln!(f, "   Using smtp notification = {}", yes(mails))?;
    write_tracks(f, dump, &group.track, "Tracked process")?;
    write_notify(f, dump, &group.notify)
}
