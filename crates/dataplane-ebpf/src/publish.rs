//! Writes the lists and tables that schedulers read, and publishes them with one store each.

use crate::{
    cells::Extent,
    kernel,
    mapped::{PUBLISH, word},
    plane::EbpfDataplane,
    room,
    state::{dest_address, scheduler_number},
};
use evenkeel_abi::{CELL_EMPTY, Cursor, LEVEL_CELLS, LIST_HEAD_CELLS, List};
use evenkeel_dataplane::schedule::{Member, dh, failover, maglev, mh, rr, sh, twos, wrr};
use evenkeel_model::{Scheduler, ServiceKey};
use std::{io, mem};

/// A list that is ready to be written.
#[derive(Default)]
struct Draft {
    /// Elements, as [`List::length`] counts them.
    length: usize,
    cells: Vec<u64>,
    /// Where the scheduler stands, if it is to be told.
    cursor: Option<u64>,
}

impl EbpfDataplane {
    /// Writes the lists of all services that changed. `Err`: one of those it could not write.
    pub(crate) fn publish_dirty(&mut self) -> Result<(), (ServiceKey, io::Error)> {
        let mut result = Ok(());
        for service in mem::take(&mut self.state.dirty) {
            if let Err(cause) = self.publish(service)
                && let Some(entry) = self.state.entries.get(&service)
            {
                result = Err((entry.key, cause));
            }
        }
        result
    }

    /// Sees that the list a service has after a change will find room (ADR 0003). Where there is none, what waits to be
    /// published is, and lists that are no longer read make room at once.
    pub(crate) fn reserve(&mut self, service: u32, scheduler: Scheduler) -> io::Result<()> {
        let Some(entry) = self.state.entries.get(&service) else { return Ok(()) };
        let count = room::cells_for(scheduler, &entry.weights).map_err(io::Error::other)?;
        if entry.reserved.map_or(0, |e| e.count) >= count {
            return Ok(());
        }
        if self.grow_reserve(service, count) {
            return Ok(());
        }
        self.publish_dirty().map_err(|(_, cause)| cause)?;
        self.settle();
        if self.grow_reserve(service, count) || self.replace_in_place(service, count) {
            return Ok(());
        }
        Err(no_room())
    }

    /// A list that becomes no longer than it is takes its own place, for want of another. Until it is published, by the
    /// change that asks for it, nobody is chosen: a real server that is to go must not be kept for want of room.
    fn replace_in_place(&mut self, service: u32, count: u32) -> bool {
        let Some(entry) = self.state.entries.get_mut(&service) else { return false };
        let Some(extent) = entry.extent.take_if(|extent| extent.count >= count) else { return false };
        let element = self.maps.services.at(service);
        // SAFETY: a word of an element of the array.
        unsafe { word(&raw mut (*element).list) }.store(0, PUBLISH);
        self.state.cells.give_back(extent);
        self.settle();
        self.state.dirty.insert(service);
        self.grow_reserve(service, count)
    }

    /// Takes a larger place for a service's next list; `false`: there is none, and it keeps the one it has.
    fn grow_reserve(&mut self, service: u32, count: u32) -> bool {
        let Some(entry) = self.state.entries.get_mut(&service) else { return false };
        let had = entry.reserved.take();
        if let Some(had) = had {
            self.state.cells.release(had);
        }
        let grown = self.state.cells.take(count);
        // What was free a moment ago still is.
        entry.reserved = grown.or_else(|| had.and_then(|had| self.state.cells.take(had.count)));
        grown.is_some()
    }

    /// Makes old lists' room free, once no CPU reads them any more.
    pub(crate) fn settle(&mut self) {
        // A kernel that cannot tell leaves them to their rest.
        if kernel::wait_for_programs().is_ok() {
            self.state.cells.settle();
        }
    }

    /// The place for a service's next list.
    fn place(&mut self, service: u32, count: u32) -> io::Result<Option<Extent>> {
        let reserved = self.state.entries.get_mut(&service).and_then(|entry| entry.reserved.take());
        let cells = &mut self.state.cells;
        match reserved {
            Some(extent) if extent.count >= count => Ok(Some(cells.trim(extent, count)).filter(|e| e.count > 0)),
            Some(extent) => {
                cells.release(extent);
                cells.take(count).map(Some).ok_or_else(no_room)
            }
            None if count == 0 => Ok(None),
            None => cells.take(count).map(Some).ok_or_else(no_room),
        }
    }

    fn publish(&mut self, service: u32) -> io::Result<()> {
        let Some(entry) = self.state.entries.get(&service) else { return Ok(()) };
        let scheduler = entry.options.scheduler;
        let members: Vec<(u32, Member)> =
            entry.members.iter().rev().map(|dest| (*dest, self.member_of(*dest))).collect();
        let usable: Vec<(u32, u32)> =
            members.iter().filter(|(_, m)| m.is_usable()).map(|(dest, m)| (*dest, m.weight)).collect();
        let draft = match scheduler {
            Scheduler::RoundRobin => self.round_robin(service, &entry.listed, &usable),
            Scheduler::WeightedRoundRobin => self.weighted(service, entry.weight, &usable),
            Scheduler::LeastConnections
            | Scheduler::WeightedLeastConnections
            | Scheduler::ShortestExpectedDelay
            | Scheduler::NeverQueue
            | Scheduler::LocalityLeastConnections
            | Scheduler::LocalityLeastConnectionsReplicated => plain(usable.iter().copied()),
            Scheduler::WeightedFailover | Scheduler::WeightedOverflow => {
                let order = failover::order(&usable, |(_, weight)| *weight);
                plain(order.into_iter().map(|place| usable[place]))
            }
            Scheduler::PowerOfTwo => at_random(&usable),
            // A table all of whose real servers have weight 0 leads nobody anywhere.
            _ if usable.is_empty() => Draft::default(),
            Scheduler::SourceHash(_) => slots(&members, sh::table),
            Scheduler::DestinationHash => slots(&members, dh::table),
            Scheduler::MaglevHash(_) => slots(&members, mh::table),
            Scheduler::Maglev => slots(&members, |m| maglev::table(m, self.maps.header.get(0).secret)),
        };
        self.write(service, scheduler, draft)?;
        if let Some(entry) = self.state.entries.get_mut(&service) {
            entry.listed = usable.into_iter().map(|(dest, _)| dest).collect();
            entry.weight = None;
        }
        Ok(())
    }

    fn write(&mut self, service: u32, scheduler: Scheduler, draft: Draft) -> io::Result<()> {
        let length = u32::try_from(draft.length).map_err(io::Error::other)?;
        let count = if length == 0 { 0 } else { u32::try_from(draft.cells.len()).map_err(io::Error::other)? };
        let extent = self.place(service, count)?;
        let offset = extent.map_or(0, |e| e.offset);
        for (cell, index) in draft.cells.iter().take(count as usize).zip(offset..) {
            self.maps.cells.set(index, *cell);
        }
        let element = self.maps.services.at(service);
        // SAFETY: words of an element of the array.
        unsafe {
            let list = List { offset, kind: scheduler_number(scheduler), length };
            word(&raw mut (*element).list).store(list.pack(), PUBLISH);
            // After the list: a position of the old one that a CPU notes in between does not last.
            if let Some(cursor) = draft.cursor {
                word(&raw mut (*element).cursor).store(cursor, PUBLISH);
            }
        }
        if let Some(entry) = self.state.entries.get_mut(&service)
            && let Some(old) = mem::replace(&mut entry.extent, extent)
        {
            self.state.cells.give_back(old);
        }
        Ok(())
    }

    fn member_of(&self, dest: u32) -> Member {
        let info = self.maps.dest_infos.get(dest);
        Member { address: dest_address(&info), weight: info.weight, last_weight: info.last_weight }
    }

    fn cursor(&self, service: u32) -> u64 {
        let element = self.maps.services.at(service);
        // SAFETY: a word of an element of the array.
        unsafe { word(&raw mut (*element).cursor).load(PUBLISH) }
    }

    fn round_robin(&self, service: u32, listed: &[u32], usable: &[(u32, u32)]) -> Draft {
        let dests: Vec<u32> = usable.iter().map(|(dest, _)| *dest).collect();
        let cursor = rr::adjust(listed, self.cursor(service), &dests);
        Draft { cursor: Some(cursor), ..plain(usable.iter().copied()) }
    }

    fn weighted(&self, service: u32, stepped: Option<u32>, usable: &[(u32, u32)]) -> Draft {
        let weights: Vec<u32> = usable.iter().map(|(_, weight)| *weight).collect();
        let (rounds, levels) = (wrr::rounds(&weights), wrr::levels(&weights));
        let mut cells = vec![u64::from(rounds.largest) | u64::from(rounds.step) << 32];
        let mut first = LIST_HEAD_CELLS + LEVEL_CELLS * levels.len() as u32;
        for level in &levels {
            let length = level.members.len() as u32;
            cells.push(List { offset: first, kind: 0, length }.pack());
            cells.push(u64::from(level.floor));
            first += length;
        }
        cells.extend(levels.iter().flat_map(|level| &level.members).map(|place| member_cell(usable[*place])));
        let weight = stepped.unwrap_or_else(|| Cursor::unpack(self.cursor(service)).weight);
        let cw = wrr::adjust(wrr::Cursor { position: 0, weight }, &weights).weight;
        let level = u16::try_from(wrr::level_of(&levels, cw)).unwrap_or(0);
        Draft { length: levels.len(), cells, cursor: Some(Cursor { weight: cw, position: 0, level }.pack()) }
    }

    /// wrr's `cw` follows each single change of a list (PP-20), also where several are published together.
    pub(crate) fn step_wrr(&mut self, service: u32) {
        let Some(entry) = self.state.entries.get(&service) else { return };
        if entry.options.scheduler != Scheduler::WeightedRoundRobin {
            return;
        }
        let weights: Vec<u32> = entry.weights.keys().copied().collect();
        let before = entry.weight.unwrap_or_else(|| Cursor::unpack(self.cursor(service)).weight);
        let cw = wrr::adjust(wrr::Cursor { position: 0, weight: before }, &weights).weight;
        if let Some(entry) = self.state.entries.get_mut(&service) {
            entry.weight = Some(cw);
        }
    }
}

fn no_room() -> io::Error {
    io::Error::other("no room for another scheduler's table; stop and start the instance to make more")
}

/// The cell of a real server in a list: its index, and its weight in the upper half.
fn member_cell((dest, weight): (u32, u32)) -> u64 {
    u64::from(dest) | u64::from(weight) << 32
}

/// A list without anything in its head.
fn plain(members: impl Iterator<Item = (u32, u32)>) -> Draft {
    let mut cells = vec![0; LIST_HEAD_CELLS as usize];
    cells.extend(members.map(member_cell));
    Draft { length: cells.len() - LIST_HEAD_CELLS as usize, cells, cursor: None }
}

/// twos: the sum of the weights, and of those up to each real server.
fn at_random(usable: &[(u32, u32)]) -> Draft {
    let weights: Vec<u32> = usable.iter().map(|(_, weight)| *weight).collect();
    let sums = twos::sums(&weights);
    let mut draft = plain(usable.iter().zip(&sums).map(|((dest, _), sum)| (*dest, *sum)));
    draft.cells[0] = u64::from(sums.last().copied().unwrap_or(0));
    draft
}

/// The cells of a hash table, two slots in each.
fn slots(members: &[(u32, Member)], table: impl Fn(&[Member]) -> Vec<u32>) -> Draft {
    let (dests, members): (Vec<u32>, Vec<Member>) = members.iter().copied().unzip();
    let table = table(&members);
    if table.iter().all(|slot| *slot == CELL_EMPTY) {
        return Draft { length: 0, cells: Vec::new(), cursor: None };
    }
    let dest = |slot: Option<&u32>| match slot {
        Some(place) if *place != CELL_EMPTY => u64::from(dests[*place as usize]),
        _ => u64::from(CELL_EMPTY),
    };
    let cells = table.chunks(2).map(|pair| dest(pair.first()) | dest(pair.get(1)) << 32).collect();
    Draft { length: table.len(), cells, cursor: None }
}
