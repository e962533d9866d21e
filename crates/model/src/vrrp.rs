//! A VRRP instance as it was configured: who it is, what it owns when it is master, and how it plays its part.

mod firewall;
mod hmac;
mod pause;
mod route;
mod rule;
mod track;
mod vmac;

pub use firewall::Firewall;
pub use hmac::{AntiReplay, Hmac, HmacKey, HmacMode};
pub use pause::Pause;
pub use route::{
    Encap, Hop, Metric, MetricValue, PROTOCOL, Placement, Route, RouteKind, SCOPE_GLOBAL, TABLE_MAIN, TunnelKey,
};
pub use rule::{Action, Rule};
pub use track::{
    Elections, File, Initial, LinkDelays, ParameterMatch, Process, Quorum, ScriptRhythm, SyncGroup, Target, Track,
    Tracker,
};
pub use vmac::{LONGEST_INTERFACE_NAME, Vmac, virtual_mac};

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU8,
    ops::RangeInclusive,
    time::Duration,
};

/// Number of a virtual router on its link, 1 to 255 (RFC 9568 5.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vrid(NonZeroU8);

impl Vrid {
    /// `None` for 0.
    pub fn new(raw: u8) -> Option<Vrid> {
        NonZeroU8::new(raw).map(Vrid)
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for Vrid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Priority of a router in an election: 255 owns the addresses, 1 to 254 are backups by choice (RFC 9568 5.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Priority(NonZeroU8);

impl Priority {
    /// Of the router whose own addresses these are; it is master whenever it lives.
    pub const OWNER: Priority = Priority(NonZeroU8::MAX);
    /// What a router has when nothing is written.
    pub const DEFAULT: Priority = Priority(NonZeroU8::new(100).expect("100 is not 0"));

    /// `None` for 0, which only says that a master leaves.
    pub fn new(raw: u8) -> Option<Priority> {
        NonZeroU8::new(raw).map(Priority)
    }

    /// The number.
    pub fn get(self) -> u8 {
        self.0.get()
    }

    /// After what is tracked has added or taken `by`: 1 to 254, as only an owner may say 255. An owner keeps 255.
    pub fn adjusted(self, by: i32) -> Priority {
        if self == Priority::OWNER {
            return self;
        }
        let sum = i32::from(self.get()).saturating_add(by).clamp(1, 254);
        u8::try_from(sum).ok().and_then(Priority::new).unwrap_or(self)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The versions of VRRP that are spoken; they never mix on one virtual router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// RFC 3768: IPv4, whole seconds, a password or none. Keepalived's default.
    Two,
    /// RFC 9568 and 5798: IPv4 and IPv6, hundredths of a second.
    Three,
}

impl Version {
    /// As it stands in a packet.
    pub fn number(self) -> u8 {
        match self {
            Version::Two => 2,
            Version::Three => 3,
        }
    }
}

/// Time between two advertisements of a master, as the version of the protocol can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdvertInterval(Duration);

impl AdvertInterval {
    /// What a router has when nothing is written.
    pub const DEFAULT: AdvertInterval = AdvertInterval(Duration::from_secs(1));

    /// `None` where the version cannot say it: version 2 whole seconds from 1 to 255, version 3 hundredths from 10 ms
    /// to 40.95 s.
    pub fn new(version: Version, interval: Duration) -> Option<AdvertInterval> {
        let nearest = AdvertInterval::nearest(version, interval);
        (nearest.0 == interval).then_some(nearest)
    }

    /// The nearest that the version can say.
    pub fn nearest(version: Version, interval: Duration) -> AdvertInterval {
        let (unit, most) = match version {
            Version::Two => (Duration::from_secs(1), 255),
            Version::Three => (Duration::from_millis(10), 4095),
        };
        let units = interval.saturating_add(unit / 2).as_nanos() / unit.as_nanos();
        AdvertInterval(unit * u32::try_from(units).unwrap_or(most).clamp(1, most))
    }

    /// The time.
    pub fn get(self) -> Duration {
        self.0
    }
}

/// Bytes of a password or key, padded with zeros.
pub const SECRET: usize = 8;

/// The most addresses one message can name.
pub const MOST_ADDRESSES: usize = 255;

/// All VRRP routers of a link (RFC 9568 5.1.1.2 and 5.1.2.2).
pub const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
/// The same of IPv6.
pub const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

/// A password or key as packets have it: what is longer is cut.
pub fn secret(text: &str) -> [u8; SECRET] {
    let mut secret = [0; SECRET];
    for (place, byte) in secret.iter_mut().zip(text.bytes()) {
        *place = byte;
    }
    secret
}

/// What routers of one virtual router prove to each other; the same on all of them. Version 2 only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Authentication {
    /// Nothing.
    None,
    /// They know the password, which stands in each message (RFC 2338 5.3.10).
    Password([u8; SECRET]),
    /// They know the key of an IP authentication header.
    Header([u8; SECRET]),
}

impl fmt::Debug for Authentication {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Authentication::None => "None",
            Authentication::Password(_) => "Password(..)",
            Authentication::Header(_) => "Header(..)",
        })
    }
}

/// How the routers of a virtual router reach each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By the group of all VRRP routers of the link.
    Multicast,
    /// By a list.
    Unicast {
        /// Everybody else. Without any it may not be master (`unicast_fault_no_peer`).
        peers: Vec<Peer>,
        /// Whether others than `peers` are ignored.
        check_source: bool,
    },
}

/// A router that is reached by unicast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Hop limits its packets may arrive with.
    pub hops: RangeInclusive<u8>,
}

/// Whether and when a router replaces a master of lower priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preempt {
    /// Never.
    No,
    /// After it has seen one for so long.
    After(Duration),
}

/// How often and when a master announces its addresses: keepalived's `garp_master_*` words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounds {
    /// Back to back on becoming master (`garp_master_repeat`).
    pub burst: u8,
    /// Until the same once more (`garp_master_delay`); 0: not again.
    pub again_after: Duration,
    /// Between refreshes for as long as it is master (`garp_master_refresh`); 0: none. They repair what nobody noticed:
    /// a master that died while the link was split, a switch that forgot.
    pub refresh: Duration,
    /// Rounds of a refresh (`garp_master_refresh_repeat`).
    pub refresh_burst: u8,
    /// After a lower master was heard (`garp_lower_prio_repeat`).
    pub contested_burst: u8,
    /// Until the same once more (`garp_lower_prio_delay`); 0: not again.
    pub contested_again_after: Duration,
}

impl Default for Rounds {
    /// As keepalived has them, but for the refresh, which it leaves out.
    fn default() -> Rounds {
        Rounds {
            burst: 5,
            again_after: Duration::from_secs(5),
            refresh: Duration::from_secs(60),
            refresh_burst: 1,
            contested_burst: 5,
            contested_again_after: Duration::from_secs(5),
        }
    }
}

/// An address that moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vip {
    /// The address.
    pub address: IpAddr,
    /// Leading bits that are on the link.
    pub prefix: u8,
    /// Where it is put; `None`: where the instance speaks, which is its VMAC if it has one.
    pub interface: Option<String>,
    /// Label of an IPv4 address.
    pub label: Option<String>,
    /// What few addresses need.
    pub options: VipOptions,
}

/// What few addresses need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VipOptions {
    /// The kernel's scope; `None`: global. IPv4 only.
    pub scope: Option<u8>,
    /// The broadcast address of an IPv4 address.
    pub broadcast: Option<Ipv4Addr>,
    /// The far end of a point-to-point link; the prefix is then its.
    pub peer: Option<IpAddr>,
    /// Seconds for which this host chooses it as a source; `None`: as long as it is there. IPv6 only.
    pub preferred: Option<u32>,
    /// Whether a duplicate is looked for before it is used. IPv6 only.
    pub detect_duplicates: bool,
    /// It is the home address of mobile IPv6.
    pub home: bool,
    /// Temporary addresses are made from it. IPv6 only.
    pub temporary: bool,
    /// No route to its prefix comes with it.
    pub no_prefix_route: bool,
    /// A multicast address whose group is joined.
    pub join: bool,
    /// The instance does not care for its interface.
    pub untracked: bool,
}

/// What stays on the node, whoever is master.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// Addresses; each names its interface.
    pub addresses: Vec<Vip>,
    /// Routes, made after the addresses.
    pub routes: Vec<Route>,
    /// Rules, made after the routes.
    pub rules: Vec<Rule>,
}

impl Fixed {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty() && self.routes.is_empty() && self.rules.is_empty()
    }
}

impl Vip {
    /// An address with nothing but a prefix.
    pub fn new(address: IpAddr, prefix: u8) -> Vip {
        Vip { address, prefix, interface: None, label: None, options: VipOptions::default() }
    }
}

impl fmt::Display for Vip {
    /// `192.0.2.10/24`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// What makes two instances the same virtual router: what a running one cannot change.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VirtualRouter {
    interface: String,
    vrid: Vrid,
    version: Version,
    ipv6: bool,
    header: bool,
    group: IpAddr,
    vmacs: Vec<Vmac>,
}

/// A VRRP instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// As the operator calls it.
    pub name: String,
    /// Where it speaks.
    pub interface: String,
    /// Number of its virtual router.
    pub vrid: Vrid,
    /// Of the protocol.
    pub version: Version,
    /// In elections.
    pub priority: Priority,
    /// Between its advertisements as master.
    pub interval: AdvertInterval,
    /// Intervals without an advertisement after which a master counts as gone, 1 to 100.
    pub down_adverts: u8,
    /// Whether it replaces a lower master.
    pub preempt: Preempt,
    /// The addresses it advertises, of one family; none where it only elects.
    pub addresses: Vec<Vip>,
    /// Addresses that move along without being advertised.
    pub excluded: Vec<Vip>,
    /// Routes that move along, made after the addresses.
    pub routes: Vec<Route>,
    /// Rules that move along, made after the routes.
    pub rules: Vec<Rule>,
    /// Of version 2.
    pub authentication: Authentication,
    /// Keyed hashes behind the advertisements; not together with [`Instance::authentication`].
    pub hmac: Option<Hmac>,
    /// How it reaches the others.
    pub reach: Reach,
    /// Address it sends from; `None`: the first fitting one of the interface.
    pub source: Option<IpAddr>,
    /// When it announces its addresses.
    pub rounds: Rounds,
    /// Whether this host takes packets to its addresses that are for no service, as an owner always does (`no_accept`
    /// says no; RFC 9568 6.1, Accept_Mode).
    pub accept: bool,
    /// Whether a lower master is answered at once (`lower_prio_no_advert` says no).
    pub answer_lower: bool,
    /// The sync group it belongs to.
    pub group: Option<String>,
    /// Whether it may not be master while its interface is down (`dont_track_primary` says no).
    pub needs_interface: bool,
    /// What else it follows; a target once at most.
    pub tracks: Vec<Track>,
    /// The group its advertisements go to; `None`: that of all VRRP routers.
    pub multicast: Option<IpAddr>,
    /// Hop limit of its unicast advertisements; by multicast it is 255.
    pub hops: u8,
    /// Whether other addresses of a subnet stay on its interface when the first goes (`promote_secondaries`).
    pub promote_secondaries: bool,
    /// Interfaces with the virtual router's MAC address; addresses are put on them by name.
    pub vmacs: Vec<Vmac>,
    /// Whether advertisements leave from [`Instance::interface`] with its own MAC address all the same
    /// (`vmac_xmit_base`).
    pub from_base: bool,
}

impl Instance {
    /// An instance with nothing but what must be said; the rest as keepalived has it.
    pub fn new(name: String, interface: String, vrid: Vrid, version: Version, addresses: Vec<Vip>) -> Instance {
        Instance {
            name,
            interface,
            vrid,
            version,
            priority: Priority::DEFAULT,
            interval: AdvertInterval::DEFAULT,
            down_adverts: 3,
            preempt: Preempt::After(Duration::ZERO),
            addresses,
            excluded: Vec::new(),
            routes: Vec::new(),
            rules: Vec::new(),
            authentication: Authentication::None,
            hmac: None,
            reach: Reach::Multicast,
            source: None,
            rounds: Rounds::default(),
            accept: true,
            answer_lower: true,
            group: None,
            needs_interface: true,
            tracks: Vec::new(),
            multicast: None,
            hops: u8::MAX,
            promote_secondaries: false,
            vmacs: Vec::new(),
            from_base: false,
        }
    }

    /// Which virtual router it is; what it is called does not count.
    pub fn router(&self) -> VirtualRouter {
        VirtualRouter {
            interface: self.interface.clone(),
            vrid: self.vrid,
            version: self.version,
            ipv6: self.is_ipv6(),
            header: matches!(self.authentication, Authentication::Header(_)),
            group: self.multicast_group(),
            vmacs: self.vmacs.clone(),
        }
    }

    /// Whether packets to its addresses are dropped while it is master: the owner's own are taken all the same.
    pub fn is_closed(&self) -> bool {
        !self.accept && self.priority != Priority::OWNER
    }

    /// Every address that moves with it, advertised or not.
    pub fn vips(&self) -> impl Iterator<Item = &Vip> {
        self.addresses.iter().chain(&self.excluded)
    }

    /// The interfaces, besides its own, that it cannot do without: those of tracked addresses, routes and rules. Each
    /// may be there several times. A route with several next hops can do without one of them.
    pub fn needed_interfaces(&self) -> impl Iterator<Item = &String> {
        let addresses = self.vips().filter(|vip| !vip.options.untracked).filter_map(|vip| vip.interface.as_ref());
        let routes = self.routes.iter().filter(|route| route.tracked && route.hops.len() == 1);
        let rules = self.rules.iter().filter(|rule| rule.tracked);
        let all = addresses.chain(routes.flat_map(Route::interfaces)).chain(rules.flat_map(Rule::interfaces));
        all.filter(|name| **name != self.interface)
    }

    /// Where an address of it is put.
    pub fn interface_of<'a>(&'a self, vip: &'a Vip) -> &'a String {
        let own = || self.own_vmac().map(|vmac| &vmac.name);
        vip.interface.as_ref().or_else(own).unwrap_or(&self.interface)
    }

    /// The group its advertisements go to where it speaks by multicast.
    pub fn multicast_group(&self) -> IpAddr {
        let usual = if self.is_ipv6() { GROUP_V6.into() } else { GROUP_V4.into() };
        self.multicast.unwrap_or(usual)
    }

    /// The interface with the virtual router's MAC address where it speaks, if it has one.
    pub fn own_vmac(&self) -> Option<&Vmac> {
        self.vmacs.iter().find(|vmac| vmac.speaks)
    }

    /// Whether it speaks IPv6: as its addresses do, else the one it sends from.
    pub fn is_ipv6(&self) -> bool {
        self.vips().next().map(|vip| vip.address).or(self.source).is_some_and(|address| address.is_ipv6())
    }

    /// Whether it was told to speak to peers and has none.
    pub fn lacks_peers(&self) -> bool {
        matches!(&self.reach, Reach::Unicast { peers, .. } if peers.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_stays_below_that_of_an_owner_whatever_is_tracked() {
        let base = Priority::DEFAULT;
        assert_eq!(base.adjusted(400).get(), 254);
        assert_eq!(base.adjusted(-400).get(), 1);
        assert_eq!(base.adjusted(-20).get(), 80);
        assert_eq!(Priority::OWNER.adjusted(-20), Priority::OWNER);
    }

    #[test]
    fn an_interval_is_what_a_packet_can_say() {
        let of = |version, millis| AdvertInterval::new(version, Duration::from_millis(millis)).is_some();
        assert!(of(Version::Two, 1000) && of(Version::Two, 255_000));
        assert!(!of(Version::Two, 1500) && !of(Version::Two, 256_000) && !of(Version::Two, 0));
        assert!(of(Version::Three, 10) && of(Version::Three, 40_950));
        assert!(!of(Version::Three, 5) && !of(Version::Three, 40_960) && !of(Version::Three, 15));
    }
}
