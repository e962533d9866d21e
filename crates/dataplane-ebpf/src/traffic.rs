//! Single frames through the program, for the tests that compare it with the reference.

use crate::{
    Door as Run,
    clients::Clients,
    mapped::{PUBLISH, word},
    plane::EbpfDataplane,
};
use aya::maps::HashMap;
use evenkeel_abi::{
    Reason, flow,
    hash::Secret,
    locality::{Destination, Servers},
};
use evenkeel_dataplane::reference::{Door, Sighting, Traffic, Verdict};
use std::io;

/// The interface that program test run says packets came in by.
const INTERFACE: u32 = 1;
/// Bytes of a key and of a value of `LOCALITY`.
const DESTINATION: usize = size_of::<Destination>();
const SERVERS: usize = size_of::<Servers>();

impl EbpfDataplane {
    /// The secret of its hashes, which a reference needs to choose alike.
    #[doc(hidden)]
    pub fn secret(&self) -> Secret {
        self.maps.header.get(0).secret
    }

    /// How many destinations `lblc` and `lblcr` have entries of (PP-31), those included that are too old to count.
    #[doc(hidden)]
    pub fn remembered(&self) -> io::Result<usize> {
        let map = self.object.map("LOCALITY").ok_or(io::ErrorKind::NotFound)?;
        let map = HashMap::<_, [u8; DESTINATION], [u8; SERVERS]>::try_from(map).map_err(io::Error::other)?;
        Ok(map.keys().filter_map(Result::ok).count())
    }

    fn counts(&self) -> [u64; Reason::SLOTS] {
        let mut sums = [0u64; Reason::SLOTS];
        for cpu in 0..self.sizes.cpus {
            let of_cpu = self.maps.drops.get(cpu).count;
            sums.iter_mut().zip(of_cpu).for_each(|(sum, count)| *sum += count);
        }
        sums
    }

    /// Moves the last packet of every connection of one family back in time.
    fn age<const STRIDE: usize>(&self, bucket: *mut u64, ticks: u32) {
        for way in 0..flow::WAYS {
            // SAFETY: words of a slot of an element of the array.
            let (meta, value) = unsafe { (word(bucket.add(way * STRIDE)), word(bucket.add(way * STRIDE + 1))) };
            if meta.load(PUBLISH) != 0 {
                let old = value.load(PUBLISH);
                let seen = flow::seen(old).wrapping_sub(ticks);
                value.store(u64::from(old as u32) | u64::from(seen) << 32, PUBLISH);
            }
        }
    }
}

impl EbpfDataplane {
    /// Moves the notes of first fragments back in time.
    fn age_fragments(&mut self, ticks: u32) -> io::Result<()> {
        let notes = &mut self.maps.fragments;
        let keys: Vec<_> = notes.keys().filter_map(Result::ok).collect();
        for key in keys {
            let Ok(mut note) = notes.get(&key, 0) else { continue };
            let seen = u32::from_ne_bytes([note[0], note[1], note[2], note[3]]).wrapping_sub(ticks);
            note[..4].copy_from_slice(&seen.to_ne_bytes());
            notes.insert(key, note, 0).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Moves what is remembered of destinations back in time (PP-31).
    fn age_destinations(&mut self, ticks: u32) -> io::Result<()> {
        let map = self.object.map_mut("LOCALITY").ok_or(io::ErrorKind::NotFound)?;
        let mut map = HashMap::<_, [u8; DESTINATION], [u8; SERVERS]>::try_from(map).map_err(io::Error::other)?;
        let keys: Vec<_> = map.keys().filter_map(Result::ok).collect();
        for key in keys {
            let Ok(mut servers) = map.get(&key, 0) else { continue };
            // When it was seen, and when the set changed.
            for tick in servers.as_chunks_mut::<4>().0.iter_mut().take(2) {
                *tick = u32::from_ne_bytes(*tick).wrapping_sub(ticks).to_ne_bytes();
            }
            map.insert(key, servers, 0).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Moves the last spending of every budget back in time (PP-38).
    fn age_budgets(&mut self, ticks: u32) -> io::Result<()> {
        let older = |budget: u64| match budget {
            0 => 0,
            _ => u64::from(budget as u32) | u64::from(((budget >> 32) as u32).wrapping_sub(ticks)) << 32,
        };
        for service in 0..self.sizes.services {
            // SAFETY: a word of an element of the array.
            let budget = unsafe { word(&raw mut (*self.maps.services.at(service)).budget) };
            budget.store(older(budget.load(PUBLISH)), PUBLISH);
        }
        let sources = self.object.map_mut("SOURCES").ok_or(io::ErrorKind::NotFound)?;
        let mut sources = HashMap::<_, [u32; 4], u64>::try_from(sources).map_err(io::Error::other)?;
        let spent: Vec<_> = sources.iter().collect::<Result<_, _>>().map_err(io::Error::other)?;
        for (source, budget) in spent {
            sources.insert(source, older(budget), 0).map_err(io::Error::other)?;
        }
        Ok(())
    }
}

impl Traffic for EbpfDataplane {
    fn frame(&mut self, door: Door, interface: u32, frame: &[u8]) -> io::Result<Sighting> {
        if interface != INTERFACE {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "program test run knows interface 1 only"));
        }
        let before = self.counts();
        let run = match door {
            Door::Xdp => Run::Xdp,
            Door::Tc => Run::Tc,
        };
        let outcome = self.run(run, frame, 1).map_err(|error| {
            let text = error.to_string();
            // The kernel runs no program on frames that end in the IP header, which it would drop before tc anyway.
            let refused = text.contains("Invalid argument");
            io::Error::new(if refused { io::ErrorKind::InvalidInput } else { io::ErrorKind::Other }, text)
        })?;
        let verdict = match (door, outcome.code) {
            (Door::Xdp, 2) | (Door::Tc, u32::MAX) => Verdict::Pass,
            (Door::Xdp, 1) | (Door::Tc, 2) => Verdict::Drop,
            (Door::Xdp, 3) => Verdict::Transmit,
            (Door::Xdp, 4) | (Door::Tc, 7) => Verdict::Redirect,
            (door, code) => return Err(io::Error::other(format!("code {code} at the {door:?} door"))),
        };
        let after = self.counts();
        let counted =
            |reason: &&Reason| **reason != Reason::NotOurs && after[**reason as usize] != before[**reason as usize];
        let reason = Reason::ALL.iter().find(counted).copied();
        let frame = if verdict == Verdict::Drop { Vec::new() } else { outcome.frame };
        Ok(Sighting { verdict, frame, reason })
    }

    fn elapse(&mut self, seconds: u32) -> io::Result<()> {
        let ticks = seconds.saturating_mul(crate::kernel::ticks_per_second()?);
        for index in 0..self.sizes.buckets {
            self.age::<4>(self.maps.flows4.at(index).cast(), ticks);
            self.age::<8>(self.maps.flows6.at(index).cast(), ticks);
        }
        // What sweeps have seen is as long ago.
        self.clients = Clients::default();
        self.age_fragments(ticks)?;
        self.age_destinations(ticks)?;
        self.age_budgets(ticks)
    }
}
