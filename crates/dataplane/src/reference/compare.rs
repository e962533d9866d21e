//! The differential test: the same random packets and changes go to a data plane and to the reference.

mod changes;

use super::{Door, Memory, Topic, Traffic, bed, random::Random};
use crate::{Capabilities, Connection, ConnectionFilter, Counters, Dataplane};
use evenkeel_abi::hash::Secret;
use evenkeel_machine::Rng;
use evenkeel_model::ServiceKey;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    io,
    net::SocketAddr,
};

/// How often something of the table changes, in packets.
const CHANGE_EVERY: u64 = 40;
/// How often time passes, in packets.
const ELAPSE_EVERY: u64 = 150;
/// At most one packet in so many may be one that a data plane has no way to be handed.
const REFUSED_SHARE: u64 = 20;
/// Seconds that pass at once. Multiples of 22, so that every sum of them is ten seconds and more below the next timeout:
/// the clock of a real data plane goes on meanwhile.
const LAPSES: [u32; 5] = [22, 66, 132, 308, 924];
/// How often counters and connections are compared, in packets.
const COUNT_EVERY: u64 = 500;

/// Runs `packets` random packets about some topics through an empty data plane whose hashes are keyed with `secret`, and
/// through the reference. An error says what the first difference is and which seed shows it again.
pub fn run<T: Traffic>(plane: &mut T, topics: &[Topic], secret: Secret, seed: u64, packets: u64) -> Result<(), String> {
    // The reference has no buckets that can be full before the table is.
    let limits = Capabilities { connections: u32::MAX, ..plane.capabilities() };
    let mut reference = Memory::new(limits, secret, 250);
    reference.set_routes(bed::routes());
    let (mut rng, random) = (Rng::new(seed), Random::new(topics));
    let failed = |error: io::Error| format!("seed {seed}: {error}");
    bed::lay(plane, topics).map_err(failed)?;
    bed::lay(&mut reference, topics).map_err(failed)?;
    let mut refused = 0;
    for packet in 1..=packets {
        let door = if rng.chance(50) { Door::Xdp } else { Door::Tc };
        let frame = random.frame(&mut rng, &reference);
        match plane.frame(door, bed::OUTSIDE, &frame) {
            Ok(seen) => {
                let chosen = seen.frame.get(..6).and_then(|mac| bed::server_of(frame.get(12) == Some(&0x86), mac));
                reference.set_lot(chosen);
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
            changes::make(plane, &mut reference, topics, &mut rng).map_err(failed)?;
        }
        if packet % ELAPSE_EVERY == 0 {
            let seconds = LAPSES[rng.below(5) as usize];
            plane.elapse(seconds).map_err(failed)?;
            reference.elapse(seconds).map_err(failed)?;
            // Whole passes, also of a sweep that is spread over calls: one for connections, one for the templates that
            // they have kept, one for the real servers that these have kept.
            for _ in 0..12 {
                plane.sweep().and_then(|()| reference.sweep()).map_err(failed)?;
            }
        }
        if packet % COUNT_EVERY == 0 || packet == packets {
            let of = |what: &str| format!("seed {seed}, {what} after packet {packet}");
            let (seen, expected) = (sums(plane).map_err(failed)?, sums(&mut reference).map_err(failed)?);
            same(&of("counters"), &seen, &expected)?;
            let (seen, expected) = (listed(plane).map_err(failed)?, listed(&mut reference).map_err(failed)?);
            same(&of("connections"), &seen, &expected)?;
        }
    }
    if refused * REFUSED_SHARE > packets {
        return Err(format!("seed {seed}: {refused} of {packets} packets could not be handed over"));
    }
    Ok(())
}

/// An error says what only one of both has.
fn same<K: Ord + Debug, V: PartialEq + Debug>(
    what: &str,
    seen: &BTreeMap<K, V>,
    expected: &BTreeMap<K, V>,
) -> Result<(), String> {
    let names: BTreeSet<&K> = seen.keys().chain(expected.keys()).collect();
    match names.into_iter().find(|name| seen.get(name) != expected.get(name)) {
        None => Ok(()),
        Some(name) => {
            Err(format!("{what}, {name:?}:\n  seen     {:?}\n  expected {:?}", seen.get(name), expected.get(name)))
        }
    }
}

type Sums = BTreeMap<(ServiceKey, Option<SocketAddr>), Counters>;

fn sums(plane: &mut dyn Dataplane) -> io::Result<Sums> {
    let mut sums = Sums::new();
    plane.counters(&mut |key, address, counters| {
        sums.insert((key, address), counters);
    })?;
    Ok(sums)
}

/// By protocol and ends: real server, translated client and state.
type Listed = BTreeMap<(u8, SocketAddr, SocketAddr), (SocketAddr, Option<SocketAddr>, &'static str)>;

/// The connections that are listed; templates are known by what they do.
fn listed(plane: &mut dyn Dataplane) -> io::Result<Listed> {
    let mut all = Listed::new();
    let mut sink = |c: Connection| {
        if !c.is_template {
            all.insert((c.protocol, c.client, c.virtual_address), (c.real_server, c.translated_client, c.state));
        }
        true
    };
    let mut next = Some(0);
    while let Some(from) = next {
        next = plane.connections(&ConnectionFilter::default(), from, &mut sink)?;
    }
    Ok(all)
}
