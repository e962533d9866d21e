//! Random tables, and what must hold of the way between any two.

use super::{options, server};
use crate::{Change, Service, ServiceOptions, Table};
use evenkeel_machine::Rng;
use evenkeel_model::{Family, Forwarding, HashFlags, Prefix, Protocol, Scheduler, ServiceKey, Sources};
use std::net::{IpAddr, SocketAddr};

/// A table that is a few changes away from another, now and then a wholly new one.
pub fn next(table: &Table, rng: &mut Rng) -> Table {
    let mut next = if rng.chance(5) { Table::default() } else { table.clone() };
    for _ in 0..=rng.below(6) {
        let key = key(rng);
        match rng.below(8) {
            0 => drop(next.services.remove(&key)),
            1 => next.services.entry(key).or_insert_with(|| service(rng)).options = service_options(rng, key),
            _ => {
                let service = next.services.entry(key).or_insert_with(|| service(rng));
                let address = real_server(rng, key);
                if rng.chance(30) {
                    service.real_servers.remove(&address);
                } else {
                    let weight = if rng.chance(20) { 0 } else { 1 + rng.below(100) as u32 };
                    let forwarding = if rng.chance(10) { Forwarding::Local } else { Forwarding::DirectRouting };
                    service.real_servers.insert(address, server(weight, forwarding));
                }
            }
        }
    }
    next
}

/// Additions stand before removals, edits too, and nothing is named that is not there.
pub fn check_order(changes: &[Change]) {
    let is_removal = |change: &Change| matches!(change, Change::RemoveService(_) | Change::RemoveRealServer(..));
    let first = changes.iter().position(is_removal).unwrap_or(changes.len());
    assert!(changes[first..].iter().all(is_removal), "something stands behind a removal: {changes:?}");
    for (place, change) in changes.iter().enumerate() {
        assert!(!changes[..place].contains(change), "{change:?} stands there twice");
    }
}

fn key(rng: &mut Rng) -> ServiceKey {
    let host = rng.below(3) as u8;
    let address = if rng.chance(50) {
        IpAddr::from([192, 0, 2, host])
    } else {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host)])
    };
    let protocol = if rng.chance(60) { Protocol::Tcp } else { Protocol::Udp };
    ServiceKey::Address { address, protocol, port: [0, 53, 80][rng.below(3) as usize] }
}

fn real_server(rng: &mut Rng, key: ServiceKey) -> SocketAddr {
    let host = rng.below(12) as u8;
    let address = match key.family() {
        Family::V4 => IpAddr::from([10, 0, 0, host]),
        Family::V6 => IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from(host)]),
    };
    SocketAddr::new(address, [key.port(), 8080][rng.below(2) as usize])
}

fn service(rng: &mut Rng) -> Service {
    Service { options: options(scheduler(rng)), real_servers: std::collections::BTreeMap::new() }
}

fn scheduler(rng: &mut Rng) -> Scheduler {
    match rng.below(8) {
        0..3 => Scheduler::RoundRobin,
        3..6 => Scheduler::WeightedRoundRobin,
        6 => Scheduler::MaglevHash(HashFlags { port: rng.chance(50), fallback: false }),
        _ => Scheduler::Maglev,
    }
}

fn service_options(rng: &mut Rng, key: ServiceKey) -> ServiceOptions {
    let mut prefixes = || -> Vec<Prefix> {
        let prefix = |rng: &mut Rng| {
            let bits = 8 * (1 + rng.below(4)) as u8;
            let address = match key.family() {
                Family::V4 => IpAddr::from([198, 51, rng.below(2) as u8, 7]),
                Family::V6 => IpAddr::from([0x2001, 0xdb8 + rng.below(2) as u16, 0, 0, 0, 0, 0, 7]),
            };
            Prefix::new(address, bits).ok()
        };
        let mut list: Vec<Prefix> = (0..rng.below(3)).filter_map(|_| prefix(rng)).collect();
        list.sort();
        list.dedup();
        list
    };
    // Prefixes of both lists among them: what is observed is what was given, or every audit would find a difference.
    let (allow, deny) = (prefixes(), prefixes());
    ServiceOptions { sources: Sources { allow, deny }, ..options(scheduler(rng)) }
}
