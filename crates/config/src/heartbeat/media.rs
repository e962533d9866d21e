//! The ways of messages, and ping nodes.

use super::{
    ha::Reader,
    here,
    value::{self, REFUSED},
    words::{Line, within},
};
use crate::{
    codes,
    host::{Family, shown},
};
use evenkeel_model::{
    Protocol,
    heartbeat::{MOST_MEDIA, Medium, NodeName, PingNode},
};
use evenkeel_source::{Diagnostic, Span, Spanned};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    num::NonZeroU32,
    path::PathBuf,
};

/// Heartbeat's own port.
pub(crate) const PORT: u16 = 694;
/// Bits a second of a serial line.
const BAUD: NonZeroU32 = NonZeroU32::new(19_200).expect("it is not 0");
/// What a serial line can be set to.
const SPEEDS: [u32; 8] = [9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 14_400];

pub(super) fn bcast(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    if line.name.value == "udp" {
        let d = Diagnostic::warning(codes::DEPRECATED, line.name.span, "`udp` is an old name of `bcast`");
        reader.out.push(d.replace("write `bcast`", line.name.span, "bcast"));
    }
    let port = port(reader);
    for interface in reader.plain(line) {
        if let Some(name) = self::interface(reader, interface) {
            push(reader, Medium::Broadcast { interface: name, port }, interface.span);
        }
    }
}

pub(super) fn ucast(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    unicast(reader, line, Family::V4);
}

pub(super) fn ucast6(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    unicast(reader, line, Family::V6);
}

fn unicast(reader: &mut Reader<'_, '_>, line: &Line<'_>, family: Family) {
    let words = reader.plain(line);
    let [nic, peer, rest @ ..] = words.as_slice() else { return missing(reader, line) };
    reader.too_many(line.name.value, Some(rest));
    let port = port(reader);
    let interface = interface(reader, *nic);
    let peer = address(reader, *peer, family);
    match (interface, peer) {
        (Some(interface), Some(peer)) => push(reader, Medium::Unicast { interface, peer, port }, line.span()),
        _ => reader.options.broken_media += 1,
    }
}

pub(super) fn mcast(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    let Some(parts) = group(reader, line, 255) else { return };
    match parts.group {
        IpAddr::V4(group) if group.is_multicast() => {
            let Parts { interface, port, hops, own, .. } = parts;
            push(reader, Medium::Multicast { interface, group, port, ttl: hops, own }, line.span());
        }
        _ => no_group(reader, parts.place, "225.0.0.1"),
    }
}

pub(super) fn mcast6(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    let Some(parts) = group(reader, line, 4) else { return };
    match parts.group {
        IpAddr::V6(group) if group.is_multicast() => {
            let Parts { interface, port, hops, own, .. } = parts;
            push(reader, Medium::Multicast6 { interface, group, port, hops, own }, line.span());
        }
        _ => no_group(reader, parts.place, "ff02::694"),
    }
}

/// What a line of multicast says.
struct Parts {
    interface: String,
    group: IpAddr,
    place: Span,
    port: u16,
    hops: u8,
    own: bool,
}

fn group(reader: &mut Reader<'_, '_>, line: &Line<'_>, most_hops: u32) -> Option<Parts> {
    let words = reader.plain(line);
    let [nic, group, port, hops, own, rest @ ..] = words.as_slice() else {
        missing(reader, line);
        return None;
    };
    reader.too_many(line.name.value, Some(rest));
    let interface = interface(reader, *nic);
    let place = group.span;
    let group: Option<IpAddr> = group.value.parse().ok();
    let port = value::number("the port", *port, 1..=65_535, reader.out);
    let hops = value::number("the number of hops", *hops, 0..=most_hops, reader.out);
    let own = value::number("loop", *own, 0..=1, reader.out);
    let Some(group) = group else {
        no_group(reader, place, if most_hops == 4 { "ff02::694" } else { "225.0.0.1" });
        return None;
    };
    let parts = || {
        Some(Parts {
            interface: interface?,
            group,
            place,
            port: u16::try_from(port?.value).ok()?,
            hops: u8::try_from(hops?.value).ok()?,
            own: own?.value == 1,
        })
    };
    let parts = parts();
    reader.options.broken_media += usize::from(parts.is_none());
    parts
}

fn no_group(reader: &mut Reader<'_, '_>, place: Span, example: &str) {
    let d = Diagnostic::error(codes::MEDIUM, place, "this is no multicast group of the family").note(REFUSED);
    reader.out.push(d.help(format!("write an address such as {example}")));
    reader.options.broken_media += 1;
}

pub(super) fn serial(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    let written = reader.options.baud;
    let baud = written.map_or(Some(BAUD), |baud| NonZeroU32::new(baud.value)).unwrap_or(BAUD);
    if let Some(wrong) = written.filter(|baud| !SPEEDS.contains(&baud.value)) {
        let d =
            Diagnostic::error(codes::VALUE, wrong.span, format!("no serial line has {} bits a second", wrong.value));
        reader.out.push(d.note(REFUSED).help("write 9600, 19200, 38400, 57600, 115200, 230400 or 460800"));
    }
    for word in reader.arguments(line) {
        if word.value.starts_with('/') {
            reader.out.extend(here::device(word.value, Some("tty"), word.span, reader.resolver.ask()));
            push(reader, Medium::Serial { device: PathBuf::from(word.value), baud }, word.span);
        } else {
            let message = format!("`{}` is no absolute path", shown(word.value));
            let d = Diagnostic::error(codes::MEDIUM, word.span, message).note(REFUSED);
            let speed = word.value.parse().is_ok_and(|speed: u32| SPEEDS.contains(&speed));
            reader.out.push(match speed {
                true => d.help(format!("a speed stands on a line above: baud {}", word.value)),
                false => d.help("write a device such as /dev/ttyS0"),
            });
            reader.options.broken_media += 1;
        }
    }
}

pub(super) fn hbaping(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    let d = Diagnostic::error(codes::NOT_HERE, line.span(), "`hbaping` is not read");
    reader.out.push(d.note("it is about Fibre Channel, and needs a library").help("leave the line out"));
}

pub(super) fn ping(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    for word in reader.plain(line) {
        let Some(address) = address(reader, word, Family::Any) else { continue };
        if let Some(name) = NodeName::new(word.value) {
            push_ping(reader, PingNode { name, addresses: vec![address] }, word.span);
        }
    }
}

pub(super) fn ping_group(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    let words = reader.plain(line);
    let [name, hosts @ ..] = words.as_slice() else { return };
    let addresses: Vec<IpAddr> = hosts.iter().filter_map(|word| address(reader, *word, Family::Any)).collect();
    let Some(called) = NodeName::new(name.value) else {
        let message = format!("`{}` cannot be the name of a ping group", shown(name.value));
        reader.out.push(Diagnostic::error(codes::NODE, name.span, message));
        return;
    };
    if name.value.parse::<IpAddr>().is_ok() {
        let message = format!("{} is the name of this ping group, and not asked", name.value);
        let d = Diagnostic::warning(codes::NODE, name.span, message).note("so it is with heartbeat");
        reader.out.push(d.suggest("write a name before it", within(name.span, 0, 0), "routers "));
    }
    if addresses.len() == hosts.len() && !addresses.is_empty() {
        push_ping(reader, PingNode { name: called, addresses }, name.span);
    }
}

fn push_ping(reader: &mut Reader<'_, '_>, ping: PingNode, span: Span) {
    if let Some(first) = reader.options.pings.iter().find(|known| known.value.name == ping.name) {
        let message = format!("ping node {} is there twice", ping.name);
        let d = Diagnostic::warning(codes::REPEATED, span, message).label(first.span, "first here");
        reader.out.push(d.help("delete one of the two"));
        return;
    }
    reader.options.pings.push(Spanned::new(ping, span));
}

/// The port of media that are told here: a later udpport does not count for them, with heartbeat neither.
fn port(reader: &mut Reader<'_, '_>) -> u16 {
    let written = reader.options.udpport.and_then(|port| u16::try_from(port.value).ok());
    written.or_else(|| reader.resolver.service("ha-cluster", Protocol::Udp)).unwrap_or(PORT)
}

fn missing(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    let d = Diagnostic::error(codes::MEDIUM, line.span(), format!("`{}` lacks something", line.name.value));
    reader.out.push(d.note(REFUSED));
    reader.options.broken_media += 1;
}

/// The name of an interface, as the kernel takes them.
fn interface(reader: &mut Reader<'_, '_>, word: Spanned<&str>) -> Option<String> {
    match interface_name(word.value) {
        Some(name) => {
            if let Some(d) = here::interface(&name, word.span, reader.resolver.ask()) {
                reader.out.push(d.note(REFUSED));
            }
            Some(name)
        }
        None => {
            let message = format!("`{}` cannot be the name of an interface", shown(word.value));
            let d = Diagnostic::error(codes::MEDIUM, word.span, message).note(REFUSED);
            let named = word.value.split_once(':').filter(|(name, _)| interface_name(name).is_some());
            reader.out.push(match named {
                Some((name, _)) => d.help(format!("write {name}; a port is said by `udpport` on a line above")),
                None => d.help("write a name such as eth1"),
            });
            reader.options.broken_media += 1;
            None
        }
    }
}

/// A name of at most 15 bytes without a slash or a colon.
pub(crate) fn interface_name(text: &str) -> Option<String> {
    const LONGEST: usize = 15;
    let fits = !text.is_empty() && text.len() <= LONGEST && text != "." && text != "..";
    (fits && text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '/' | ':'))).then(|| text.to_owned())
}

/// An address, or the name of a host.
fn address(reader: &mut Reader<'_, '_>, word: Spanned<&str>, family: Family) -> Option<IpAddr> {
    match word.value.parse::<IpAddr>() {
        Ok(address) if family.takes(address) => Some(address),
        Ok(address) => {
            let directive = if address.is_ipv4() { "ucast" } else { "ucast6" };
            let d = Diagnostic::error(codes::MEDIUM, word.span, format!("{address} is of the other family"));
            reader.out.push(d.note(REFUSED).help(format!("write `{directive}`")));
            None
        }
        Err(_) => {
            let (before, behind) = word.value.split_once([':', '/']).unwrap_or((word.value, ""));
            if behind.is_empty() || before.parse::<IpAddr>().is_err() {
                return reader.resolver.host(word.value, family, word.span, reader.out);
            }
            let message = format!("`{}` is no address of a host", shown(word.value));
            let d = Diagnostic::error(codes::ADDRESS, word.span, message).note(REFUSED);
            reader.out.push(match word.value.contains('/') {
                true => d.help("write one host, such as the gateway"),
                false => d.help(format!("write {before}; a port is said by `udpport` on a line above")),
            });
            None
        }
    }
}

fn push(reader: &mut Reader<'_, '_>, medium: Medium, span: Span) {
    let problem = match &medium {
        Medium::Unicast { peer, .. } if is_nobody(*peer) => Some("no host has this address"),
        _ => None,
    };
    if let Some(problem) = problem {
        reader.out.push(Diagnostic::error(codes::MEDIUM, span, problem));
        reader.options.broken_media += 1;
    } else if let Some(first) = reader.options.media.iter().find(|known| known.value == medium) {
        let d = Diagnostic::warning(codes::REPEATED, span, "this heartbeat path is there twice");
        reader.out.push(d.label(first.span, "first here").help("delete one of the two"));
    } else if reader.options.media.len() == MOST_MEDIA {
        let message = format!("more than {MOST_MEDIA} heartbeat paths");
        reader.out.push(Diagnostic::error(codes::MEDIUM, span, message).note(REFUSED));
    } else {
        reader.options.media.push(Spanned::new(medium, span));
    }
}

/// An address that is no single host's.
pub(crate) fn is_nobody(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip == Ipv4Addr::BROADCAST,
        IpAddr::V6(ip) => ip == Ipv6Addr::UNSPECIFIED || ip.is_multicast(),
    }
}
