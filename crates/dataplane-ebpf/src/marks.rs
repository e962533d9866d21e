//! Writes what gives packets a mark into the trie `MARKS` and into `CELLS`, and reads it back (PP-39).

use crate::{
    cells::{Cells, Extent},
    mapped::PUBLISH,
    maps::Maps,
    plane::EbpfDataplane,
    rules::{self, Rules},
    state::words,
};
use aya::maps::{MapError, lpm_trie::Key};
use evenkeel_abi::{
    self as abi, FILTER_WORDS,
    flow::{self, KEY4, KEY6},
    mark::{self, MARK_ENTRIES, MATCH_CELLS, MATCHES},
};
use evenkeel_model::{Match, Prefix, ServiceKey};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    net::IpAddr,
    sync::atomic::fence,
};

/// Addresses of a destination up to which each has a bit of its own in the filter; with a larger one everything may be ours.
const LISTED: u32 = 4096;

/// What gives packets a mark.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    rules: Rules,
    /// As the maps have it.
    written: BTreeMap<Prefix, Written>,
    /// Destinations with more addresses than are listed.
    wide: u32,
    /// Bits of the filter that stay for connections of matches that are gone.
    kept: BTreeSet<u32>,
    /// All bits stay.
    kept_all: bool,
}

#[derive(Debug)]
struct Written {
    extent: Extent,
    cells: Vec<u64>,
}

impl Written {
    /// As the trie has it; `None`: it has none.
    fn range(&self) -> Option<[u32; 2]> {
        let count = self.cells.len() as u32 / MATCH_CELLS;
        (count > 0).then_some([self.extent.offset, count])
    }
}

impl Marks {
    /// Whether a bit of the filter is set whoever else needs it.
    pub(crate) fn hold(&self, bit: u32) -> bool {
        self.wide > 0 || self.kept_all || self.kept.contains(&bit)
    }
}

/// The bits of a destination's addresses; `None`: of too many.
fn bits(destination: Prefix) -> Option<Vec<u32>> {
    let bits = if destination.address().is_ipv4() { 32 } else { 128 };
    let count = 1u32.checked_shl(u32::from(bits - destination.length())).filter(|count| *count <= LISTED)?;
    let at = |offset: u32| match destination.address() {
        IpAddr::V4(first) => IpAddr::from((u32::from(first) + offset).to_be_bytes()),
        IpAddr::V6(first) => IpAddr::from((u128::from(first) + u128::from(offset)).to_be_bytes()),
    };
    Some((0..count).map(|offset| abi::filter_bit_of(at(offset))).collect())
}

fn key(prefix: Prefix) -> Key<[u32; 5]> {
    let family = if prefix.address().is_ipv4() { 4 } else { 6 };
    let [a, b, c, d] = words(prefix.address());
    Key::new(32 + u32::from(prefix.length()), [u32::from_ne_bytes([family, 0, 0, 0]), a, b, c, d])
}

impl EbpfDataplane {
    /// Puts matches of a service into force in the place of those it has. `Err`: nothing has changed.
    pub(crate) fn set_matches(&mut self, index: u32, key: &ServiceKey, old: &[Match], new: &[Match]) -> io::Result<()> {
        let Some(mark) = key.mark().filter(|_| old != new) else { return Ok(()) };
        let mut touched = self.state.marks.rules.within(old);
        self.state.marks.rules.replace(index, mark.get(), old, new);
        touched.extend(self.state.marks.rules.within(new));
        // Bits come before what needs them, and go after it.
        self.filter_matches(new, true);
        if let Err(cause) = self.write_matches(&touched) {
            self.state.marks.rules.replace(index, mark.get(), new, old);
            self.filter_matches(new, false);
            return Err(cause);
        }
        self.keep_bits(old);
        self.filter_matches(old, false);
        Ok(())
    }

    /// Takes the matches of a service that goes out of force, whatever room there is for what is left: those that cannot be
    /// taken out are made to match nothing.
    pub(crate) fn drop_matches(&mut self, index: u32, key: &ServiceKey, old: &[Match]) {
        let Some(mark) = key.mark() else { return };
        if self.set_matches(index, key, old, &[]).is_ok() {
            return;
        }
        for written in self.state.marks.written.values_mut() {
            let (first, cells) = (written.extent.offset, &mut written.cells);
            for at in (0..cells.len()).step_by(MATCH_CELLS as usize) {
                if cells[at] as u32 != index {
                    continue;
                }
                let nothing = mark::Match { service: u32::MAX, ports: (1, 0), ..mark::Match::default() }.pack();
                // The ports first: with them alone nothing matches any more.
                for cell in [1, 0] {
                    cells[at + cell] = nothing[cell];
                    self.maps.cells.set(first + (at + cell) as u32, nothing[cell]);
                    fence(PUBLISH);
                }
            }
        }
        self.state.marks.rules.replace(index, mark.get(), old, &[]);
        self.keep_bits(old);
        self.filter_matches(old, false);
    }

    fn filter_matches(&mut self, matches: &[Match], add: bool) {
        for what in matches {
            match bits(what.destination) {
                Some(bits) => bits.into_iter().for_each(|bit| self.filter_bit(bit, add)),
                None => {
                    let wide = &mut self.state.marks.wide;
                    *wide = if add { *wide + 1 } else { wide.saturating_sub(1) };
                    self.mend_filter();
                }
            }
        }
        self.say_marks();
    }

    /// Connections that came by matches go on without them (PP-10).
    fn keep_bits(&mut self, matches: &[Match]) {
        for what in matches {
            match bits(what.destination) {
                Some(bits) => self.state.marks.kept.extend(bits),
                None => self.state.marks.kept_all = true,
            }
        }
    }

    /// Lets go of bits that were kept, once no service by mark has a connection.
    pub(crate) fn release_bits(&mut self) {
        let marks = &self.state.marks;
        if marks.kept.is_empty() && !marks.kept_all {
            return;
        }
        let by_mark =
            |dest: &u32| self.maps.service_infos.get(self.service_of(*dest)).key.family & abi::SERVICE_BY_MARK != 0;
        let any = (0..self.state.dests_end)
            .filter(|dest| self.maps.loads.get(*dest).connections != 0)
            .any(|dest| by_mark(&dest));
        if !any {
            self.state.marks.kept.clear();
            self.state.marks.kept_all = false;
            self.mend_filter();
        }
    }

    /// Whether the program looks at matches at all.
    fn say_marks(&self) {
        let any = u32::from(!self.state.marks.rules.is_empty() || !self.state.marks.written.is_empty());
        let settings = self.maps.settings.at(0);
        // SAFETY: a field of the one element.
        unsafe { (&raw mut (*settings).marks).write_volatile(any) };
    }

    /// Writes the lists of these prefixes as the rules are. `Err`: they are as they were.
    fn write_matches(&mut self, touched: &BTreeSet<Prefix>) -> io::Result<()> {
        let mut wanted = Vec::new();
        for prefix in touched {
            let cells = self
                .state
                .marks
                .rules
                .cells(*prefix)
                .map_err(|why| io::Error::new(io::ErrorKind::QuotaExceeded, why))?;
            if self.state.marks.written.get(prefix).map_or(&[][..], |written| &written.cells) != cells {
                wanted.push((*prefix, cells));
            }
        }
        let mut places = Vec::new();
        for (_, cells) in &wanted {
            match self.take_cells(cells.len() as u32) {
                Some(extent) => places.push(extent),
                None => {
                    places.into_iter().for_each(|extent| self.state.cells.release(extent));
                    return Err(io::Error::new(
                        io::ErrorKind::QuotaExceeded,
                        "no room for another match; stop and start the instance to make more",
                    ));
                }
            }
        }
        let new: Vec<_> = wanted
            .into_iter()
            .zip(places)
            .map(|((prefix, cells), extent)| (prefix, Written { extent, cells }))
            .collect();
        for (_, written) in &new {
            (written.extent.offset..).zip(&written.cells).for_each(|(at, cell)| self.maps.cells.set(at, *cell));
        }
        fence(PUBLISH);
        for (done, (prefix, written)) in new.iter().enumerate() {
            if let Err(cause) = self.name_matches(*prefix, written.range()) {
                for (prefix, _) in &new[..done] {
                    let old = self.state.marks.written.get(prefix).and_then(Written::range);
                    // Neither takes new room.
                    let _ = self.name_matches(*prefix, old);
                }
                // Another CPU may have read those.
                new.into_iter().for_each(|(_, written)| self.state.cells.give_back(written.extent));
                return Err(refusal(&cause));
            }
        }
        for (prefix, written) in new {
            let old = if written.cells.is_empty() {
                self.state.marks.written.remove(&prefix)
            } else {
                self.state.marks.written.insert(prefix, written)
            };
            self.state.cells.give_back_all([old.map(|old| old.extent), None]);
        }
        Ok(())
    }

    fn take_cells(&mut self, count: u32) -> Option<Extent> {
        if count == 0 {
            return Some(Extent { offset: 0, count: 0 });
        }
        self.state.cells.take(count).or_else(|| {
            self.settle();
            self.state.cells.take(count)
        })
    }

    /// Makes the trie's entry of a prefix.
    fn name_matches(&mut self, prefix: Prefix, range: Option<[u32; 2]>) -> Result<(), MapError> {
        match range {
            Some(range) => self.maps.marks.insert(&key(prefix), range, 0),
            None => match self.maps.marks.remove(&key(prefix)) {
                Err(MapError::KeyNotFound) => Ok(()),
                result => result,
            },
        }
    }

    /// After an adoption: no match is left of services that are not there, and the connections that came by such keep their
    /// bits.
    pub(crate) fn mend_marks(&mut self) {
        let Ok(found) = read(&self.maps) else { return };
        let live = |index: &u32| self.state.entries.get(index).is_some_and(|entry| entry.live);
        let gone: Vec<Match> = found.iter().filter(|(index, _)| !live(index)).flat_map(|(_, m)| m.clone()).collect();
        let mut touched: BTreeSet<Prefix> = self.state.marks.written.keys().copied().collect();
        touched.extend(gone.iter().map(|what| what.destination));
        // Without room for shorter lists the longer ones stay until the next change.
        let _ = self.write_matches(&touched);
        self.say_marks();
        self.keep_bits_of_connections();
    }

    fn keep_bits_of_connections(&mut self) {
        let by_mark = |index: u32| self.maps.service_infos.get(index).key.family & abi::SERVICE_BY_MARK != 0;
        if !(0..self.sizes.services).any(by_mark) {
            return;
        }
        let mut kept = BTreeSet::new();
        for slot in 0..self.slots() {
            if let Some(seen) = self.see::<KEY4>(slot).filter(|seen| by_mark(self.service_of(flow::dest(seen.value)))) {
                kept.insert(abi::filter_bit(seen.key[0] as u32));
            }
            if let Some(seen) = self.see::<KEY6>(slot).filter(|seen| by_mark(self.service_of(flow::dest(seen.value)))) {
                let [high, low] = [seen.key[2], seen.key[3]];
                let destination = [(high >> 32) as u32, high as u32, (low >> 32) as u32, low as u32];
                kept.insert(abi::filter_bit(abi::fold6(&destination)));
            }
        }
        self.state.marks.kept.extend(kept);
    }

    /// All words of the filter with their bits set, where more addresses are ours than are listed.
    pub(crate) fn filter_words(&self) -> Vec<u64> {
        let marks = &self.state.marks;
        if marks.wide > 0 || marks.kept_all {
            return vec![u64::MAX; FILTER_WORDS];
        }
        let mut words = vec![0; FILTER_WORDS];
        for bit in self.state.filter.keys().chain(&marks.kept) {
            words[*bit as usize / 64] |= 1u64 << (bit % 64);
        }
        words
    }
}

/// Takes over what an earlier daemon has written: its room, and the rules of services that are there.
pub(crate) fn adopt(
    maps: &Maps,
    cells: &mut Cells,
    services: &mut BTreeMap<u32, crate::state::Entry>,
    filter: &mut HashMap<u32, u32>,
) -> io::Result<Marks> {
    let mut marks = Marks::default();
    for (prefix, extent) in entries(maps)? {
        cells.claim(extent);
        let cells = (extent.offset..extent.offset + extent.count).map(|at| maps.cells.get(at)).collect();
        marks.written.insert(prefix, Written { extent, cells });
    }
    for (index, matches) in read(maps)? {
        let Some(entry) = services.get_mut(&index).filter(|entry| entry.live) else { continue };
        let Some(mark) = entry.key.mark() else { continue };
        marks.rules.replace(index, mark.get(), &[], &matches);
        for what in &matches {
            match bits(what.destination) {
                Some(bits) => bits.into_iter().for_each(|bit| *filter.entry(bit).or_default() += 1),
                None => marks.wide += 1,
            }
        }
        entry.options.matches = matches;
    }
    Ok(marks)
}

/// The prefixes that the trie has, and where their matches lie.
fn entries(maps: &Maps) -> io::Result<Vec<(Prefix, Extent)>> {
    let mut found = Vec::new();
    for entry in maps.marks.iter() {
        let (key, [offset, count]) = entry.map_err(io::Error::other)?;
        let [family, address @ ..] = key.data();
        let mut octets = [0u8; 16];
        octets.chunks_exact_mut(4).zip(address).for_each(|(to, word)| to.copy_from_slice(&word.to_ne_bytes()));
        let [a, b, c, d, ..] = octets;
        let address = if family.to_ne_bytes()[0] == 4 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(octets) };
        let length = u8::try_from(key.prefix_len().saturating_sub(32)).unwrap_or(u8::MAX);
        let extent = Extent { offset, count: count.min(MATCHES) * MATCH_CELLS };
        if let Ok(prefix) = Prefix::new(address, length)
            && offset as usize + extent.count as usize <= maps.cells.len()
        {
            found.push((prefix, extent));
        }
    }
    Ok(found)
}

/// The matches by service, in their order.
pub(crate) fn read(maps: &Maps) -> io::Result<HashMap<u32, Vec<Match>>> {
    let mut found: HashMap<u32, Vec<(u32, Match)>> = HashMap::new();
    for (prefix, extent) in entries(maps)? {
        for first in (extent.offset..extent.offset + extent.count).step_by(MATCH_CELLS as usize) {
            let packed = mark::Match::unpack(std::array::from_fn(|cell| maps.cells.get(first + cell as u32)));
            // Those of prefixes that hold this one stand there.
            if packed.destination == prefix.length() {
                found.entry(packed.service).or_default().push((packed.position, rules::unpack(prefix, &packed)));
            }
        }
    }
    let in_order = |mut matches: Vec<(u32, Match)>| {
        matches.sort_unstable();
        matches.into_iter().map(|(_, what)| what).collect()
    };
    Ok(found.into_iter().map(|(service, matches)| (service, in_order(matches))).collect())
}

fn refusal(cause: &MapError) -> io::Error {
    match cause {
        MapError::SyscallError(call) if call.io_error.raw_os_error() == Some(libc::ENOSPC) => io::Error::new(
            io::ErrorKind::QuotaExceeded,
            format!("no room for another destination: the matches of all services together have {MARK_ENTRIES}"),
        ),
        cause => io::Error::other(crate::error::root_cause(cause)),
    }
}
