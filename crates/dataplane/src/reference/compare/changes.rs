//! Changes of the table while packets come.

use super::super::{
    Memory, Topic,
    bed::{self, port},
};
use crate::{Change, Dataplane, RealServer};
use evenkeel_machine::Rng;
use evenkeel_model::{ExpireGone, Forwarding, Protocol, Scheduler, ServiceKey, Thresholds, Weight};
use std::{io, net::SocketAddr};

/// Ports of services with several real servers that come and go.
fn ports(topics: &[Topic]) -> Vec<u16> {
    let of = |topic: &Topic| -> Vec<u16> {
        match topic {
            Topic::Direct => port::SCHEDULED.to_vec(),
            Topic::Schedulers => port::LATER.rev().skip(1).collect(),
            Topic::Thresholds => port::FULL.collect(),
            Topic::Gone => vec![port::GIVING_UP, port::GIVING_UP, port::WAITING],
            Topic::Behaviour => vec![port::KEEPING],
            Topic::Persistence => vec![port::PERSISTENT, port::FICKLE],
            _ => Vec::new(),
        }
    };
    topics.iter().flat_map(of).collect()
}

/// Makes one change in both.
pub(super) fn make(
    plane: &mut dyn Dataplane,
    reference: &mut Memory,
    topics: &[Topic],
    rng: &mut Rng,
) -> io::Result<()> {
    let change = if rng.chance(15) { service(reference, topics, rng)? } else { None };
    let change = match change {
        Some(change) => change,
        None => real_server(reference, topics, rng)?,
    };
    plane.apply(std::slice::from_ref(&change)).map_err(io::Error::other)?;
    reference.apply(&[change]).map_err(io::Error::other)
}

/// A service on one of the ports.
fn key(topics: &[Topic], rng: &mut Rng) -> ServiceKey {
    let ports = ports(topics);
    let protocol = if rng.chance(70) { Protocol::Tcp } else { Protocol::Udp };
    ServiceKey::new(bed::virtual_address(rng.chance(50)), protocol, ports[rng.below(ports.len() as u64) as usize])
}

/// Adds, removes, quiesces, takes down or weighs a real server of a shared service, or changes who is local.
fn real_server(reference: &mut Memory, topics: &[Topic], rng: &mut Rng) -> io::Result<Change> {
    let key = key(topics, rng);
    let v6 = key.address().is_some_and(|address| address.is_ipv6());
    let address = SocketAddr::new(bed::real_server(v6, 3 + rng.below(6) as u8), key.port());
    let forwarding = if rng.chance(10) { Forwarding::Local } else { Forwarding::DirectRouting };
    let weight = Weight::new([0, 1, 2, 3, 5, 8][rng.below(6) as usize]).unwrap_or(Weight::ONE);
    let mut server = RealServer::new(weight, forwarding);
    if topics.contains(&Topic::Gone) && rng.chance(20) {
        server = RealServer { is_down: true, ..RealServer::new(Weight::ZERO, forwarding) };
    }
    if port::FULL.contains(&key.port()) {
        let upper = rng.below(8) as u32;
        server.thresholds = Thresholds { upper, lower: rng.below(u64::from(upper) + 1) as u32 };
    }
    let is_there = reference.observe()?.services.get(&key).is_some_and(|s| s.real_servers.contains_key(&address));
    Ok(match (is_there, rng.chance(40)) {
        (false, _) => Change::AddRealServer(key, address, server),
        (true, true) => Change::RemoveRealServer(key, address),
        (true, false) => Change::EditRealServer(key, address, server),
    })
}

/// Changes an option of a service, if a topic is about options.
fn service(reference: &mut Memory, topics: &[Topic], rng: &mut Rng) -> io::Result<Option<Change>> {
    let key = key(topics, rng);
    let Some(service) = reference.observe()?.services.remove(&key) else { return Ok(None) };
    let mut options = service.options;
    let topic = topics[rng.below(topics.len() as u64) as usize];
    match topic {
        Topic::Behaviour => {
            options.behaviour.sloppy ^= rng.chance(50);
            options.behaviour.reuse ^= rng.chance(50);
        }
        Topic::Gone => {
            options.behaviour.expire_gone =
                [ExpireGone::Never, ExpireGone::Udp, ExpireGone::All][rng.below(3) as usize];
        }
        Topic::Persistence => options.behaviour.expire_quiescent_template ^= true,
        Topic::Schedulers => {
            let known = Scheduler::ALL.into_iter().filter(|scheduler| *scheduler != Scheduler::PowerOfTwo);
            options.scheduler =
                known.clone().nth(rng.below(known.count() as u64) as usize).unwrap_or(options.scheduler);
        }
        _ => return Ok(None),
    }
    Ok(Some(Change::EditService(key, options)))
}
