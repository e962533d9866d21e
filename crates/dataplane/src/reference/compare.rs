//! The differential test: the same random packets and changes go to a data plane and to the reference.

use super::{Door, Memory, Traffic, bed, random};
use crate::{Capabilities, Change, Counters, Dataplane, RealServer};
use evenkeel_abi::hash::Secret;
use evenkeel_machine::Rng;
use evenkeel_model::{Forwarding, Protocol, ServiceKey, Weight};
use std::{collections::BTreeMap, io, net::SocketAddr};

/// How often something of the table changes, in packets.
const CHANGE_EVERY: u64 = 40;
/// How often time passes, in packets.
const ELAPSE_EVERY: u64 = 150;
/// At most one packet in so many may be one that a data plane has no way to be handed.
const REFUSED_SHARE: u64 = 20;
/// Seconds that pass at once. Multiples of 22, so that every sum of them is ten seconds and more below the next timeout:
/// the clock of a real data plane goes on meanwhile.
const LAPSES: [u32; 5] = [22, 66, 132, 308, 924];
/// How often counters are compared, in packets.
const COUNT_EVERY: u64 = 500;

/// Runs `packets` random packets through an empty data plane whose hashes are keyed with `secret`, and through the
/// reference. An error says what the first difference is and which seed shows it again.
pub fn run<T: Traffic>(plane: &mut T, secret: Secret, seed: u64, packets: u64) -> Result<(), String> {
    // The reference has no buckets that can be full before the table is.
    let limits = Capabilities { connections: u32::MAX, ..plane.capabilities() };
    let mut reference = Memory::new(limits, secret, 250);
    let mut rng = Rng::new(seed);
    let failed = |error: io::Error| format!("seed {seed}: {error}");
    bed::lay(plane).map_err(failed)?;
    bed::lay(&mut reference).map_err(failed)?;
    let mut refused = 0;
    for packet in 1..=packets {
        let door = if rng.chance(50) { Door::Xdp } else { Door::Tc };
        let frame = random::frame(&mut rng);
        match plane.frame(door, bed::OUTSIDE, &frame) {
            Ok(seen) => {
                let expected = reference.frame(door, bed::OUTSIDE, &frame).map_err(failed)?;
                if seen != expected {
                    return Err(format!(
                        "seed {seed}, packet {packet} at {door:?}:\n  {frame:02x?}\n  seen     {seen:02x?}\n  expected {expected:02x?}"
                    ));
                }
            }
            // It cannot be handed over, and so changes nothing.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => refused += 1,
            Err(error) => return Err(failed(error)),
        }
        if packet % CHANGE_EVERY == 0 {
            change(plane, &mut reference, &mut rng).map_err(failed)?;
        }
        if packet % ELAPSE_EVERY == 0 {
            let seconds = LAPSES[rng.below(5) as usize];
            plane.elapse(seconds).map_err(failed)?;
            reference.elapse(seconds).map_err(failed)?;
            // Whole passes, also of a sweep that is spread over calls.
            for _ in 0..8 {
                plane.sweep().and_then(|()| reference.sweep()).map_err(failed)?;
            }
        }
        if packet % COUNT_EVERY == 0 || packet == packets {
            let (seen, expected) = (sums(plane).map_err(failed)?, sums(&mut reference).map_err(failed)?);
            if let Some((name, counters)) = seen.iter().find(|(name, counters)| expected.get(name) != Some(counters)) {
                let expected = expected.get(name);
                return Err(format!(
                    "seed {seed}, counters of {name:?} after packet {packet}:\n  seen     {counters:?}\n  expected {expected:?}"
                ));
            }
        }
    }
    if refused * REFUSED_SHARE > packets {
        return Err(format!("seed {seed}: {refused} of {packets} packets could not be handed over"));
    }
    Ok(())
}

type Sums = BTreeMap<(ServiceKey, Option<SocketAddr>), Counters>;

fn sums(plane: &mut dyn Dataplane) -> io::Result<Sums> {
    let mut sums = Sums::new();
    plane.counters(&mut |key, address, counters| {
        sums.insert((key, address), counters);
    })?;
    Ok(sums)
}

/// Adds, removes, quiesces or weighs a real server of a scheduled service, or changes who is local.
fn change(plane: &mut dyn Dataplane, reference: &mut Memory, rng: &mut Rng) -> io::Result<()> {
    let v6 = rng.chance(50);
    let protocol = if rng.chance(70) { Protocol::Tcp } else { Protocol::Udp };
    let port = bed::port::SCHEDULED[rng.below(5) as usize];
    let key = ServiceKey::Address { address: bed::virtual_address(v6), protocol, port };
    let address = SocketAddr::new(bed::real_server(v6, 3 + rng.below(6) as u8), port);
    let forwarding = if rng.chance(10) { Forwarding::Local } else { Forwarding::DirectRouting };
    let weight = Weight::new([0, 1, 2, 3, 5, 8][rng.below(6) as usize]).unwrap_or(Weight::ONE);
    let server = RealServer::new(weight, forwarding);
    let is_there = reference.observe()?.services.get(&key).is_some_and(|s| s.real_servers.contains_key(&address));
    let change = match (is_there, rng.chance(40)) {
        (false, _) => Change::AddRealServer(key, address, server),
        (true, true) => Change::RemoveRealServer(key, address),
        (true, false) => Change::EditRealServer(key, address, server),
    };
    plane.apply(std::slice::from_ref(&change)).map_err(io::Error::other)?;
    reference.apply(&[change]).map_err(io::Error::other)
}
