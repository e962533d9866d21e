//! A route into a message (rtnetlink(7), RTM_NEWROUTE and RTM_DELROUTE).

use super::{Change, address, byte, head, number, prefix};
use crate::{message::Request, route::via};
use evenkeel_model::{
    Family,
    vrrp::{Encap, Hop, Placement, Route, RouteKind, SCOPE_GLOBAL, TunnelKey},
};

/// sizeof(struct rtmsg)
const RTMSG: usize = 12;
/// sizeof(struct rtnexthop)
const RTNEXTHOP: u16 = 8;
const RTNH_F_ONLINK: u8 = 4;

const RTA_PREF: u16 = 20;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RTA_EXPIRES: u16 = 23;
const RTA_TTL_PROPAGATE: u16 = 26;
const RTAX_LOCK: u16 = 1;
const RTAX_CC_ALGO: u16 = 16;

/// A next hop whose interface is known.
pub(super) struct Way<'a> {
    hop: &'a Hop,
    ifindex: Option<u32>,
}

/// Finds the interface of a next hop; its name where it is not there.
pub(super) fn resolve<'a>(hop: &'a Hop, index: &impl Fn(&str) -> Option<u32>) -> Result<Way<'a>, String> {
    let ifindex = hop.interface.as_ref().map(|name| index(name).ok_or_else(|| name.clone())).transpose()?;
    Ok(Way { hop, ifindex })
}

pub(super) fn request(route: &Route, ways: &[Way<'_>], change: Change) -> Request {
    let (kind, flags, scope) = match change {
        Change::Add => (libc::RTM_NEWROUTE, libc::NLM_F_CREATE | placement(route.placement), scope(route)),
        // A deletion that names no scope matches any.
        Change::Delete => (libc::RTM_DELROUTE, 0, route.scope.unwrap_or(libc::RT_SCOPE_NOWHERE)),
    };
    let mut body = [0; RTMSG];
    (body[0], body[1]) = head(route.to);
    body[2] = route.from.map_or(0, |from| from.length());
    body[3] = route.tos;
    body[4] = u8::try_from(route.table).unwrap_or(libc::RT_TABLE_UNSPEC);
    body[5] = route.protocol;
    body[6] = scope;
    body[7] = route.kind.number();
    if let [way] = ways {
        body[8] = flags_of(way.hop);
    }
    let mut request = Request::new(kind, flags | libc::NLM_F_ACK, &body).u32(libc::RTA_TABLE, route.table);
    request = prefix(request, libc::RTA_DST, route.to);
    if let Some(from) = route.from {
        request = prefix(request, libc::RTA_SRC, from);
    }
    request = address(request, libc::RTA_PREFSRC, route.source);
    request = number(request, libc::RTA_PRIORITY, route.metric);
    request = match ways {
        [] => request,
        [way] => number(hop(request, way.hop, route.family()), libc::RTA_OIF, way.ifindex),
        _ => request.attribute(libc::RTA_MULTIPATH, &hops(ways, route.family())),
    };
    request = number(request, RTA_EXPIRES, route.expires);
    request = byte(request, RTA_PREF, route.preference);
    request = byte(request, RTA_TTL_PROPAGATE, route.ttl_propagate.map(u8::from));
    metrics(request, route)
}

fn placement(placement: Placement) -> i32 {
    match placement {
        Placement::Prepend => 0,
        Placement::Append => libc::NLM_F_APPEND,
        Placement::Only => libc::NLM_F_EXCL,
    }
}

/// What is written, else the widest that the kernel takes for the kind: it refuses local ones of a wider scope.
fn scope(route: &Route) -> u8 {
    let usual = match (route.kind, route.family()) {
        (RouteKind::Local, Family::V4) => libc::RT_SCOPE_HOST,
        (RouteKind::Broadcast | RouteKind::Anycast, Family::V4) => libc::RT_SCOPE_LINK,
        _ => SCOPE_GLOBAL,
    };
    route.scope.unwrap_or(usual)
}

fn flags_of(hop: &Hop) -> u8 {
    if hop.onlink { RTNH_F_ONLINK } else { 0 }
}

/// What a next hop says in attributes, but for its interface.
fn hop(mut request: Request, hop: &Hop, of: Family) -> Request {
    request = match hop.via {
        Some(router) if Family::of(router) == of => request.address(libc::RTA_GATEWAY, router),
        Some(router) => request.attribute(libc::RTA_VIA, &via(router)),
        None => request,
    };
    request = number(request, libc::RTA_FLOW, hop.realms);
    match &hop.encap {
        Some(encap) => {
            let kind = encap_kind(encap);
            request.nested(RTA_ENCAP, |inner| encap_into(inner, encap)).attribute(RTA_ENCAP_TYPE, &kind.to_ne_bytes())
        }
        None => request,
    }
}

/// struct rtnexthop, one after the other.
fn hops(ways: &[Way<'_>], of: Family) -> Vec<u8> {
    let mut all = Vec::new();
    for way in ways {
        let attributes = hop(Request::new(0, 0, &[]), way.hop, of).into_payload();
        let length = RTNEXTHOP.saturating_add(u16::try_from(attributes.len()).unwrap_or(u16::MAX));
        let more = way.hop.weight.map_or(0, |weight| weight.saturating_sub(1));
        all.extend(length.to_ne_bytes());
        all.extend([flags_of(way.hop), u8::try_from(more).unwrap_or(u8::MAX)]);
        all.extend(way.ifindex.unwrap_or_default().to_ne_bytes());
        all.extend(attributes);
    }
    all
}

/// enum lwtunnel_encap_types
fn encap_kind(encap: &Encap) -> u16 {
    match encap {
        Encap::Mpls(_) => 1,
        Encap::Ip(_) => 2,
        Encap::Ila(_) => 3,
        Encap::Ip6(_) => 4,
    }
}

fn encap_into(inner: Request, encap: &Encap) -> Request {
    match encap {
        Encap::Mpls(labels) => inner.attribute(1, &label_stack(labels)),
        Encap::Ila(locator) => inner.attribute(1, &locator.to_be_bytes()),
        Encap::Ip(key) | Encap::Ip6(key) => tunnel(inner, key),
    }
}

/// The numbers of IPv4 (LWTUNNEL_IP_...) and IPv6 (LWTUNNEL_IP6_...) are the same.
fn tunnel(mut inner: Request, key: &TunnelKey) -> Request {
    if let Some(id) = key.id {
        inner = inner.attribute(1, &id.to_be_bytes());
    }
    inner = address(inner, 2, key.to);
    inner = address(inner, 3, key.from);
    inner = byte(inner, 5, key.tos);
    inner = byte(inner, 4, key.hops);
    match key.flags {
        Some(flags) => inner.attribute(6, &flags.to_be_bytes()),
        None => inner,
    }
}

/// RFC 3032 2.1: 20 bits of label, 3 of class, the bottom of the stack, 8 of TTL.
fn label_stack(labels: &[u32]) -> Vec<u8> {
    let last = labels.len().saturating_sub(1);
    let entry = |(at, label): (usize, &u32)| (label << 12) | (u32::from(at == last) << 8);
    labels.iter().enumerate().flat_map(|labelled| entry(labelled).to_be_bytes()).collect()
}

fn metrics(request: Request, route: &Route) -> Request {
    if route.metrics.is_empty() && route.congestion.is_none() {
        return request;
    }
    let locked = route.metrics.iter().filter(|metric| metric.locked);
    let mut lock = locked.fold(0, |bits, metric| bits | 1 << metric.metric.number());
    request.nested(libc::RTA_METRICS, |mut inner| {
        for metric in &route.metrics {
            inner = inner.u32(metric.metric.number(), metric.value);
        }
        if let Some((name, locked)) = &route.congestion {
            lock |= u32::from(*locked) << RTAX_CC_ALGO;
            inner = inner.text(RTAX_CC_ALGO, name);
        }
        if lock == 0 { inner } else { inner.u32(RTAX_LOCK, lock) }
    })
}
