//! Entries of routing tables that move with an instance, or stay on the node: the words of `ip route`.

use crate::{Family, Prefix};
use std::{
    fmt::{self, Display, Formatter},
    net::IpAddr,
};

/// Number of the main table.
pub const TABLE_MAIN: u32 = 254;
/// Who routes and rules of VRRP are of (`proto keepalived` of iproute2), unless a line names somebody else.
pub const PROTOCOL: u8 = 18;
/// The scope of the whole world.
pub const SCOPE_GLOBAL: u8 = 0;

/// What becomes of packets to a destination: the kernel's numbers (RTN_...).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RouteKind {
    /// They go to a next hop.
    Unicast = 1,
    /// They are for this host.
    Local = 2,
    /// They are for this host, and sent as broadcast.
    Broadcast = 3,
    /// They are for this host, and sent as unicast.
    Anycast = 4,
    /// They go to a group.
    Multicast = 5,
    /// They are dropped without a word.
    Blackhole = 6,
    /// They are answered: host unreachable.
    Unreachable = 7,
    /// They are answered: communication prohibited.
    Prohibit = 8,
    /// The look-up goes on in the next table.
    Throw = 9,
}

impl RouteKind {
    /// Every kind and its word.
    pub const WORDS: [(&'static str, RouteKind); 9] = [
        ("unicast", RouteKind::Unicast),
        ("local", RouteKind::Local),
        ("broadcast", RouteKind::Broadcast),
        ("anycast", RouteKind::Anycast),
        ("multicast", RouteKind::Multicast),
        ("blackhole", RouteKind::Blackhole),
        ("unreachable", RouteKind::Unreachable),
        ("prohibit", RouteKind::Prohibit),
        ("throw", RouteKind::Throw),
    ];

    /// The kernel's number.
    pub fn number(self) -> u8 {
        self as u8
    }

    fn word(self) -> &'static str {
        RouteKind::WORDS.iter().find(|(_, kind)| *kind == self).map_or("unicast", |(word, _)| *word)
    }
}

/// A number that TCP and others take from a route: the kernel's numbers (RTAX_...).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Metric {
    /// Largest packet, in bytes.
    Mtu = 2,
    /// Largest window announced to peers, in bytes.
    Window = 3,
    /// First estimate of the round-trip time, in eighths of a millisecond.
    Rtt = 4,
    /// Its variance, in quarters of a millisecond.
    Rttvar = 5,
    /// First slow start threshold.
    Ssthresh = 6,
    /// Clamp of the congestion window.
    Cwnd = 7,
    /// Segment size announced to peers, in bytes.
    Advmss = 8,
    /// How far packets may be out of order.
    Reordering = 9,
    /// TTL or hop limit.
    Hoplimit = 10,
    /// First congestion window, in segments.
    Initcwnd = 11,
    /// Bits; 1 is explicit congestion notification.
    Features = 12,
    /// Shortest retransmission timeout, in milliseconds.
    RtoMin = 13,
    /// First receive window, in segments.
    Initrwnd = 14,
    /// Whether acknowledgements are sent at once: 0 or 1.
    Quickack = 15,
    /// Whether TCP fast open goes without a cookie: 0 or 1.
    FastopenNoCookie = 17,
}

impl Metric {
    /// Every metric and its word; `features` stands before `ecn`.
    pub const WORDS: [(&'static str, Metric); 15] = [
        ("mtu", Metric::Mtu),
        ("window", Metric::Window),
        ("rtt", Metric::Rtt),
        ("rttvar", Metric::Rttvar),
        ("ssthresh", Metric::Ssthresh),
        ("cwnd", Metric::Cwnd),
        ("advmss", Metric::Advmss),
        ("reordering", Metric::Reordering),
        ("hoplimit", Metric::Hoplimit),
        ("initcwnd", Metric::Initcwnd),
        ("features", Metric::Features),
        ("rto_min", Metric::RtoMin),
        ("initrwnd", Metric::Initrwnd),
        ("quickack", Metric::Quickack),
        ("fastopen_no_cookie", Metric::FastopenNoCookie),
    ];

    /// The kernel's number.
    pub fn number(self) -> u16 {
        (self as u8).into()
    }

    fn word(self) -> &'static str {
        Metric::WORDS.iter().find(|(_, metric)| *metric == self).map_or("mtu", |(word, _)| *word)
    }
}

/// A metric of a route and its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricValue {
    /// Which.
    pub metric: Metric,
    /// In the unit of the metric.
    pub value: u32,
    /// The kernel does not change it.
    pub locked: bool,
}

/// What is put around packets on a way (`encap`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encap {
    /// What a tunnel device is told of IPv4 packets it makes.
    Ip(TunnelKey),
    /// The same of IPv6.
    Ip6(TunnelKey),
    /// Labels, the outermost first; at most 30.
    Mpls(Vec<u32>),
    /// The locator of identifier-locator addressing.
    Ila(u64),
}

/// What a tunnel device is told of the packets of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TunnelKey {
    /// Key or network identifier.
    pub id: Option<u64>,
    /// The far end.
    pub to: Option<IpAddr>,
    /// The near end.
    pub from: Option<IpAddr>,
    /// Type of service or traffic class.
    pub tos: Option<u8>,
    /// TTL or hop limit.
    pub hops: Option<u8>,
    /// The kernel's flags of tunnels.
    pub flags: Option<u16>,
}

/// A next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// The router; `None`: the destination is on the link.
    pub via: Option<IpAddr>,
    /// The interface.
    pub interface: Option<String>,
    /// The router is on the link although no prefix says so.
    pub onlink: bool,
    /// Its share among several, 1 to 256.
    pub weight: Option<u16>,
    /// Realms of its packets: the source's in the upper half.
    pub realms: Option<u32>,
    /// What is put around packets.
    pub encap: Option<Encap>,
}

/// Where a route stands among those to the same destination with the same metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Before them: it is the one that is used.
    #[default]
    Prepend,
    /// Behind them.
    Append,
    /// There must be none.
    Only,
}

/// An entry of a routing table. Its text is a line of `ip route`, with numbers for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The destination; its family is that of the route.
    pub to: Prefix,
    /// What becomes of packets.
    pub kind: RouteKind,
    /// The packets it is for, by where they come from; IPv6 only.
    pub from: Option<Prefix>,
    /// The address that this host's own packets get.
    pub source: Option<IpAddr>,
    /// Number of the table.
    pub table: u32,
    /// Lower wins.
    pub metric: Option<u32>,
    /// Type of service of the packets it is for; IPv4 only.
    pub tos: u8,
    /// The kernel's scope; `None`: global.
    pub scope: Option<u8>,
    /// Who made it; [`PROTOCOL`] where nothing is said.
    pub protocol: u8,
    /// None where packets go nowhere, one, or several that share the load.
    pub hops: Vec<Hop>,
    /// Sorted by metric, each at most once.
    pub metrics: Vec<MetricValue>,
    /// TCP congestion control, and whether programs cannot choose another.
    pub congestion: Option<(String, bool)>,
    /// Preference of a router (RFC 4191: 0 medium, 1 high, 3 low); IPv6 only.
    pub preference: Option<u8>,
    /// Seconds until the kernel removes it; IPv6 only.
    pub expires: Option<u32>,
    /// Whether MPLS copies the TTL.
    pub ttl_propagate: Option<bool>,
    /// Among routes to the same destination.
    pub placement: Placement,
    /// The instance is at fault without its interface.
    pub tracked: bool,
}

impl Route {
    /// A route of the main table with nothing but a destination.
    pub fn new(to: Prefix) -> Route {
        Route {
            to,
            kind: RouteKind::Unicast,
            from: None,
            source: None,
            table: TABLE_MAIN,
            metric: None,
            tos: 0,
            scope: None,
            protocol: PROTOCOL,
            hops: Vec::new(),
            metrics: Vec::new(),
            congestion: None,
            preference: None,
            expires: None,
            ttl_propagate: None,
            placement: Placement::default(),
            tracked: true,
        }
    }

    /// Of its addresses.
    pub fn family(&self) -> Family {
        Family::of(self.to.address())
    }

    /// The interfaces it names.
    pub fn interfaces(&self) -> impl Iterator<Item = &String> {
        self.hops.iter().filter_map(|hop| hop.interface.as_ref())
    }
}

/// A prefix as `ip route` has it.
pub(super) fn prefix_text(prefix: Prefix) -> String {
    match (prefix.length(), Family::of(prefix.address())) {
        (0, Family::V4) => "default".to_owned(),
        (length, _) => format!("{}/{length}", prefix.address()),
    }
}

/// The realms of a route or rule: `FROM/TO`, or one alone.
pub(super) fn realms_text(realms: u32) -> String {
    match (realms >> 16, realms & 0xffff) {
        (0, to) => to.to_string(),
        (from, to) => format!("{from}/{to}"),
    }
}

fn said<T: Display>(f: &mut Formatter<'_>, word: &str, value: Option<T>) -> fmt::Result {
    value.map_or(Ok(()), |value| write!(f, " {word} {value}"))
}

impl Display for Encap {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (word, key, tos, hops) = match self {
            Encap::Ip(key) => ("ip", key, "tos", "ttl"),
            Encap::Ip6(key) => ("ip6", key, "tc", "hoplimit"),
            Encap::Mpls(labels) => {
                let labels: Vec<String> = labels.iter().map(u32::to_string).collect();
                return write!(f, "mpls {}", labels.join("/"));
            }
            Encap::Ila(locator) => {
                let part = |shift: u32| (locator >> shift) & 0xffff;
                return write!(f, "ila {:x}:{:x}:{:x}:{:x}", part(48), part(32), part(16), part(0));
            }
        };
        f.write_str(word)?;
        said(f, "id", key.id)?;
        said(f, "dst", key.to)?;
        said(f, "src", key.from)?;
        said(f, tos, key.tos)?;
        said(f, hops, key.hops)?;
        said(f, "flags", key.flags)
    }
}

/// A next hop of a route of `family` but for its encapsulation, with a blank before each word.
fn hop_text(hop: &Hop, family: Family, f: &mut Formatter<'_>) -> fmt::Result {
    match hop.via {
        Some(via) if Family::of(via) == family => write!(f, " via {via}")?,
        Some(via) => write!(f, " via {} {via}", if via.is_ipv6() { "inet6" } else { "inet" })?,
        None => {}
    }
    said(f, "dev", hop.interface.as_ref())?;
    said(f, "weight", hop.weight)?;
    said(f, "realms", hop.realms.map(realms_text))?;
    if hop.onlink { f.write_str(" onlink") } else { Ok(()) }
}

impl Display for Route {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.kind != RouteKind::Unicast {
            write!(f, "{} ", self.kind.word())?;
        }
        let strange = |hop: &Hop| hop.via.is_some_and(|via| Family::of(via) != self.family());
        if self.to.length() == 0 && self.family() == Family::V4 && self.hops.iter().any(strange) {
            // The router would tell another family.
            f.write_str("inet ")?;
        }
        f.write_str(&prefix_text(self.to))?;
        said(f, "from", self.from.map(prefix_text))?;
        if let [hop] = &self.hops[..] {
            hop_text(hop, self.family(), f)?;
        }
        said(f, "src", self.source)?;
        said(f, "metric", self.metric)?;
        said(f, "table", Some(self.table).filter(|table| *table != TABLE_MAIN))?;
        said(f, "tos", Some(self.tos).filter(|tos| *tos != 0).map(|tos| format!("0x{tos:x}")))?;
        said(f, "scope", self.scope)?;
        said(f, "protocol", Some(self.protocol).filter(|protocol| *protocol != PROTOCOL))?;
        for MetricValue { metric, value, locked } in &self.metrics {
            let value = if *metric == Metric::Features { "ecn".to_owned() } else { value.to_string() };
            write!(f, " {} {}{value}", metric.word(), if *locked { "lock " } else { "" })?;
        }
        if let Some((name, locked)) = &self.congestion {
            write!(f, " congctl {}{name}", if *locked { "lock " } else { "" })?;
        }
        said(f, "pref", self.preference)?;
        said(f, "expires", self.expires)?;
        said(f, "ttl-propagate", self.ttl_propagate.map(|yes| if yes { "enabled" } else { "disabled" }))?;
        match self.placement {
            Placement::Prepend => {}
            Placement::Append => f.write_str(" append")?,
            Placement::Only => f.write_str(" add")?,
        }
        if !self.tracked {
            f.write_str(" no_track")?;
        }
        // What follows `encap` or `nexthop` belongs to it.
        for hop in &self.hops {
            if self.hops.len() > 1 {
                f.write_str(" nexthop")?;
                hop_text(hop, self.family(), f)?;
            }
            said(f, "encap", hop.encap.as_ref())?;
        }
        Ok(())
    }
}
