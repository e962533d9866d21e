//! Interfaces.

use super::{Dump, garp, instance::Facts};
use std::{
    fmt::{self, Formatter},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its IPv4 and link-local IPv6 addresses, those of VRRP left out.
    pub addresses: Vec<IpAddr>,
    /// Its Ethernet address.
    pub mac: Option<[u8; 6]>,
    /// Set up by the administrator.
    pub up: bool,
    /// Up and with a carrier.
    pub running: bool,
    /// The host's own.
    pub loopback: bool,
    /// Does not resolve neighbours, though it is not the loopback.
    pub noarp: bool,
    /// Largest packet in bytes.
    pub mtu: u32,
}

pub(super) fn write(f: &mut Formatter<'_>, dump: &Dump<'_>) -> fmt::Result {
    if !dump.links.is_empty() {
        writeln!(f, "------< Interfaces >------")?;
    }
    dump.links.iter().try_for_each(|link| one(f, dump, link))
}

fn one(f: &mut Formatter<'_>, dump: &Dump<'_>, link: &Link) -> fmt::Result {
    writeln!(f, " Name = {}\n   index = {}", link.name, link.index)?;
    let four: Vec<Ipv4Addr> =
        link.addresses.iter().filter_map(|a| if let IpAddr::V4(a) = a { Some(*a) } else { None }).collect();
    let six: Vec<Ipv6Addr> =
        link.addresses.iter().filter_map(|a| if let IpAddr::V6(a) = a { Some(*a) } else { None }).collect();
    addresses(f, "IPv4", &four)?;
    addresses(f, "IPv6", &six)?;
    if let Some(mac) = link.mac {
        let text: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(f, "   MAC = {}\n   MAC broadcast = ff:ff:ff:ff:ff:ff", text.join(":"))?;
    }
    let not = |is: bool| if is { "" } else { "not " };
    let mut state = format!("{}UP, {}RUNNING", not(link.up), not(link.running));
    if link.loopback {
        state += ", no broadcast, loopback, no multicast";
    }
    if link.noarp {
        state += ", no arp";
    }
    writeln!(f, "   State = {state}\n   Seen up = {}", u8::from(link.up))?;
    writeln!(f, "   Delayed state change running = false")?;
    writeln!(f, "   Up debounce timer = 0us\n   Down debounce timer = 0us\n   MTU = {}", link.mtu)?;
    let kind = match (link.loopback, link.mac) {
        (true, _) => "LOOPBACK",
        (false, Some(_)) => "ETHERNET",
        (false, None) => "UNKNOWN",
    };
    writeln!(f, "   HW Type = {kind}\n   NIC netlink status update")?;
    garp::write_link(f, dump, &link.name)?;
    // keepalived counts here what it changed of the interface's sysctls; evenkeel changes none.
    writeln!(f, "   Reset ARP config counter 0\n   Original arp_ignore 0\n   Original arp_filter 0")?;
    writeln!(f, "   Original promote_secondaries 0\n   Reset promote_secondaries counter 0")?;
    trackers(f, dump, &link.name)
}

fn addresses<A: fmt::Display>(f: &mut Formatter<'_>, family: &str, all: &[A]) -> fmt::Result {
    let Some((first, rest)) = all.split_first() else { return writeln!(f, "   {family} address = (none)") };
    writeln!(f, "   {family} address = {first}")?;
    if !rest.is_empty() {
        writeln!(f, "   Additional {family} addresses :")?;
    }
    rest.iter().try_for_each(|address| writeln!(f, "     {address}"))
}

/// Instances that follow the interface, themselves or with their group.
fn trackers(f: &mut Formatter<'_>, dump: &Dump<'_>, name: &str) -> fmt::Result {
    let all: Vec<Facts<'_>> = dump.instances.iter().map(|standing| Facts::of(dump, standing)).collect();
    let mut lines: Vec<(&str, i32, bool)> = Vec::new();
    for (facts, standing) in all.iter().zip(dump.instances) {
        // What is written weighs more than that the interface is used.
        let tracks = facts.interfaces();
        let track = tracks.iter().rev().find(|(tracked, weight, _)| *tracked == name && *weight != 0);
        if let Some((_, weight, reverse)) = track.or(tracks.iter().find(|(tracked, _, _)| *tracked == name)) {
            lines.push((&standing.instance.name, *weight, *reverse));
        }
    }
    for group in &dump.written.sync_groups {
        let Some(track) = group.track.interfaces.iter().find(|track| track.name.value == name) else { continue };
        for member in &group.members {
            if !lines.iter().any(|(known, _, _)| *known == member.value) {
                lines.push((&member.value, track.weight.unwrap_or(0), track.reverse.unwrap_or(false)));
            }
        }
    }
    if !lines.is_empty() {
        writeln!(f, "   Tracking VRRP instances :")?;
    }
    for (instance, weight, reverse) in lines {
        writeln!(f, "     {instance}, weight {weight}{}", if reverse { " reverse" } else { "" })?;
    }
    Ok(())
}
