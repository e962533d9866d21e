//! Routes: the way to an address, and changing the main table.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use evenkeel_model::Prefix;

use crate::{
    error::Error,
    message::{Message, Request, address, attributes, family, u8_at, u16_at, u32_at},
    socket::Netlink,
};

const RTMSG: usize = 12;
/// sizeof(struct rtnexthop)
const RTNEXTHOP: usize = 8;
const RTAX_MTU: u16 = 2;
const RTNH_F_ONLINK: u32 = 4;
/// RTM_F_CLONED: an entry of the route cache, not of a table.
const CLONED: u32 = 0x200;

/// The way a packet to one address takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The interface it leaves by.
    pub ifindex: u32,
    /// The router it goes to; absent when the address is on the link.
    pub gateway: Option<IpAddr>,
    /// The address of this host it would come from.
    pub source: Option<IpAddr>,
    /// The largest packet that the route itself allows, where it says so.
    pub mtu: Option<u32>,
    /// The address is this host's own.
    pub is_local: bool,
}

/// What a routing table says of a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteKind {
    /// Forwarded by an interface.
    Unicast,
    /// An address of this host.
    Local,
    /// Another kind, by the kernel's number (broadcast, blackhole, unreachable …).
    Other(u8),
}

/// An entry of a routing table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteEntry {
    /// Where it leads.
    pub destination: Prefix,
    /// What happens there.
    pub kind: RouteKind,
    /// The router, if there is one. Of several next hops: the first.
    pub gateway: Option<IpAddr>,
    /// The interface. Of several next hops: the first.
    pub ifindex: Option<u32>,
    /// The address that packets come from.
    pub source: Option<IpAddr>,
    /// The metric (priority); lower wins.
    pub metric: Option<u32>,
    /// The table: 254 is main, 255 local.
    pub table: u32,
    /// The gateway is on the link although no prefix says so.
    pub onlink: bool,
    /// Who made it, by the kernel's number.
    pub protocol: u8,
    /// Of several next hops: the interfaces and routers of all but the first. Read only; no route is made with them.
    pub more_gateways: Vec<(u32, IpAddr)>,
}

impl RouteEntry {
    /// A unicast route of the main table.
    pub fn new(destination: Prefix) -> RouteEntry {
        RouteEntry {
            destination,
            kind: RouteKind::Unicast,
            gateway: None,
            ifindex: None,
            source: None,
            metric: None,
            table: u32::from(libc::RT_TABLE_MAIN),
            onlink: false,
            protocol: libc::RTPROT_STATIC,
            more_gateways: Vec::new(),
        }
    }

    /// The default route of `gateway`'s family through it.
    pub fn default_via(gateway: IpAddr) -> RouteEntry {
        let any: IpAddr = match gateway {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        #[expect(clippy::expect_used, reason = "no family has fewer than 0 bits")]
        let everything = Prefix::new(any, 0).expect("a prefix of no bits is one");
        RouteEntry { gateway: Some(gateway), ..RouteEntry::new(everything) }
    }

    /// The same through `gateway`.
    pub fn via(self, gateway: IpAddr) -> RouteEntry {
        RouteEntry { gateway: Some(gateway), ..self }
    }

    /// The same by interface `ifindex`.
    pub fn by(self, ifindex: u32) -> RouteEntry {
        RouteEntry { ifindex: Some(ifindex), ..self }
    }

    fn request(&self, kind: u16, flags: i32) -> Request {
        let mut body = [0; RTMSG];
        body[0] = family(self.destination.address());
        body[1] = self.destination.length();
        body[4] = u8::try_from(self.table).unwrap_or(libc::RT_TABLE_UNSPEC);
        if kind == libc::RTM_NEWROUTE {
            body[5] = self.protocol;
        }
        let (kind_byte, scope) = match self.kind {
            RouteKind::Unicast if self.gateway.is_none() => (libc::RTN_UNICAST, libc::RT_SCOPE_LINK),
            RouteKind::Unicast => (libc::RTN_UNICAST, libc::RT_SCOPE_UNIVERSE),
            RouteKind::Local => (libc::RTN_LOCAL, libc::RT_SCOPE_HOST),
            RouteKind::Other(number) => (number, libc::RT_SCOPE_UNIVERSE),
        };
        // A deletion that names no scope matches any.
        body[6] = if kind == libc::RTM_DELROUTE { libc::RT_SCOPE_NOWHERE } else { scope };
        body[7] = kind_byte;
        let onlink = if self.onlink { RTNH_F_ONLINK } else { 0 };
        body[8..12].copy_from_slice(&onlink.to_ne_bytes());
        let mut request = Request::new(kind, flags | libc::NLM_F_ACK, &body)
            .address(libc::RTA_DST, self.destination.address())
            .u32(libc::RTA_TABLE, self.table);
        request = match self.gateway {
            Some(gateway) if gateway.is_ipv4() == self.destination.address().is_ipv4() => {
                request.address(libc::RTA_GATEWAY, gateway)
            }
            Some(gateway) => request.attribute(libc::RTA_VIA, &via(gateway)),
            None => request,
        };
        if let Some(ifindex) = self.ifindex {
            request = request.u32(libc::RTA_OIF, ifindex);
        }
        if let Some(source) = self.source {
            request = request.address(libc::RTA_PREFSRC, source);
        }
        if let Some(metric) = self.metric {
            request = request.u32(libc::RTA_PRIORITY, metric);
        }
        request
    }

    fn text(&self) -> String {
        let to = format!("the route to {}/{}", self.destination.address(), self.destination.length());
        self.gateway.map_or(to.clone(), |gateway| format!("{to} via {gateway}"))
    }
}

/// struct rtvia: a gateway of the other family.
pub(crate) fn via(gateway: IpAddr) -> Vec<u8> {
    let mut bytes = u16::from(family(gateway)).to_ne_bytes().to_vec();
    match gateway {
        IpAddr::V4(a) => bytes.extend(a.octets()),
        IpAddr::V6(a) => bytes.extend(a.octets()),
    }
    bytes
}

impl Netlink {
    /// The way a packet from this host to `ip` takes now; `None` when there is none.
    pub fn route_to(&mut self, ip: IpAddr) -> Result<Option<Route>, Error> {
        let mut body = [0; RTMSG];
        body[0] = family(ip);
        body[1] = if ip.is_ipv4() { 32 } else { 128 };
        let request = Request::new(libc::RTM_GETROUTE, libc::NLM_F_ACK, &body).address(libc::RTA_DST, ip);
        match self.ask(&format!("look up the route to {ip}"), request, |m| Some(read_way(m))) {
            Ok(route) => Ok(route),
            // Unreachable, prohibit and blackhole routes answer so.
            Err(e)
                if matches!(
                    e.errno(),
                    Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL | libc::ENETDOWN)
                ) =>
            {
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Every route of every table, both families.
    pub fn routes(&mut self) -> Result<Vec<RouteEntry>, Error> {
        let mut all = Vec::new();
        for family in [libc::AF_INET, libc::AF_INET6] {
            let mut body = [0; RTMSG];
            body[0] = u8::try_from(family).unwrap_or_default();
            all.extend(self.dump("read the routes", libc::RTM_GETROUTE, &body, read_route)?);
        }
        Ok(all)
    }

    /// Adds a route; the same prefix and metric twice is an error.
    pub fn add_route(&mut self, route: &RouteEntry) -> Result<(), Error> {
        let request = route.request(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_EXCL);
        self.change(&format!("add {}", route.text()), request)
    }

    /// Adds a route, or puts it in the place of the one with the same prefix and metric.
    pub fn replace_route(&mut self, route: &RouteEntry) -> Result<(), Error> {
        let request = route.request(libc::RTM_NEWROUTE, libc::NLM_F_CREATE | libc::NLM_F_REPLACE);
        self.change(&format!("replace {}", route.text()), request)
    }

    /// Deletes the first route that matches what is given.
    pub fn delete_route(&mut self, route: &RouteEntry) -> Result<(), Error> {
        self.change(&format!("delete {}", route.text()), route.request(libc::RTM_DELROUTE, 0))
    }
}

/// The answer to a look-up.
fn read_way(message: Message<'_>) -> Option<Route> {
    let entry = read(message)?;
    let is_local = match entry.kind {
        RouteKind::Local => true,
        RouteKind::Unicast => false,
        RouteKind::Other(_) => return None,
    };
    let metrics = attributes(message.body, RTMSG).find(|(kind, _)| *kind == libc::RTA_METRICS);
    let mtu = metrics.and_then(|(_, metrics)| attributes(metrics, 0).find(|(kind, _)| *kind == RTAX_MTU));
    let mtu = mtu.and_then(|(_, value)| u32_at(value, 0)).filter(|mtu| *mtu > 0);
    Some(Route { ifindex: entry.ifindex?, gateway: entry.gateway, source: entry.source, mtu, is_local })
}

/// Reads RTM_NEWROUTE and RTM_DELROUTE as far as they speak of a table.
pub(crate) fn read_route(message: Message<'_>) -> Option<RouteEntry> {
    if u32_at(message.body, 8)? & CLONED != 0 { None } else { read(message) }
}

fn read(message: Message<'_>) -> Option<RouteEntry> {
    let body = message.body;
    let any: IpAddr = match i32::from(u8_at(body, 0)?) {
        libc::AF_INET => Ipv4Addr::UNSPECIFIED.into(),
        libc::AF_INET6 => Ipv6Addr::UNSPECIFIED.into(),
        _ => return None,
    };
    let mut destination = any;
    let mut entry = RouteEntry::new(Prefix::new(any, 0).ok()?);
    entry.table = u32::from(u8_at(body, 4)?);
    entry.protocol = u8_at(body, 5)?;
    entry.kind = match u8_at(body, 7)? {
        libc::RTN_UNICAST => RouteKind::Unicast,
        libc::RTN_LOCAL => RouteKind::Local,
        other => RouteKind::Other(other),
    };
    for (kind, value) in attributes(body, RTMSG) {
        match kind {
            libc::RTA_DST => destination = address(value)?,
            libc::RTA_TABLE => entry.table = u32_at(value, 0)?,
            libc::RTA_PREFSRC => entry.source = address(value),
            libc::RTA_PRIORITY => entry.metric = u32_at(value, 0),
            libc::RTA_MULTIPATH => hops(&mut entry, value),
            _ => read_hop(&mut entry, kind, value),
        }
    }
    entry.destination = Prefix::new(destination, u8_at(body, 1)?).ok()?;
    Some(entry)
}

fn read_hop(entry: &mut RouteEntry, kind: u16, value: &[u8]) {
    match kind {
        libc::RTA_OIF => entry.ifindex = u32_at(value, 0),
        libc::RTA_GATEWAY => entry.gateway = address(value),
        libc::RTA_VIA => entry.gateway = value.get(2..).and_then(address),
        _ => {}
    }
}

/// struct rtnexthop, one after the other: length, flags, hops, ifindex, then attributes of its own.
fn hops(entry: &mut RouteEntry, mut value: &[u8]) {
    let mut is_first = true;
    while let Some(length) = u16_at(value, 0).map(usize::from).filter(|length| *length >= RTNEXTHOP) {
        let mut hop = RouteEntry::new(entry.destination);
        hop.ifindex = u32_at(value, 4);
        for (kind, value) in attributes(value.get(..length).unwrap_or_default(), RTNEXTHOP) {
            read_hop(&mut hop, kind, value);
        }
        if std::mem::take(&mut is_first) {
            (entry.ifindex, entry.gateway) = (hop.ifindex, hop.gateway);
        } else {
            entry.more_gateways.extend(hop.ifindex.zip(hop.gateway));
        }
        value = value.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}
