//! Makes adopted maps whole: the last daemon may have died between any two steps of a change.

use crate::{
    mapped::{PUBLISH, word},
    plane::EbpfDataplane,
    sources,
};
use evenkeel_abi::FILTER_WORDS;
use std::mem;

impl EbpfDataplane {
    /// After an adoption. What can be seen of a change that was not finished is finished here or undone; what cannot, the
    /// next comparison with the wanted table shows.
    pub(crate) fn mend(&mut self, died_applying: bool) {
        self.mend_marks();
        self.mend_filter();
        self.mend_sources();
        self.mend_dests();
        for index in self.state.entries.keys().copied().collect::<Vec<_>>() {
            self.mend_service(index);
        }
        if died_applying {
            let all: Vec<u32> = self.state.entries.keys().copied().collect();
            self.state.dirty.extend(all);
            // No room for new lists leaves the old ones in force.
            let _ = self.publish_dirty();
            self.set_applying(0);
        }
    }

    /// The filters have a bit for each address that they are to have, and no other.
    pub(crate) fn mend_filter(&self) {
        let filter = self.maps.filter.at(0);
        // SAFETY: the parts of the one element.
        let parts = unsafe { [(&raw mut (*filter).words).cast::<u64>(), (&raw mut (*filter).answers).cast()] };
        let mut answers = vec![0u64; FILTER_WORDS];
        for bit in self.state.answers.keys() {
            answers[*bit as usize / 64] |= 1 << (bit % 64);
        }
        for (part, words) in parts.into_iter().zip([self.filter_words(), answers]) {
            for (at, wanted) in words.into_iter().enumerate() {
                // SAFETY: a word of the part; the indices are those of its words.
                unsafe { word(part.add(at)) }.store(wanted, PUBLISH);
            }
        }
    }

    /// Real servers are what is noted of them.
    fn mend_dests(&mut self) {
        for dest in self.state.dests.values().chain(self.state.draining.keys()).copied().collect::<Vec<_>>() {
            self.write_dest(dest);
        }
    }

    /// No lists are left of a service that was not made to the end.
    fn mend_sources(&mut self) {
        for (index, lists) in sources::read(&self.maps).unwrap_or_default() {
            if !self.state.entries.contains_key(&index) && index < self.sizes.services {
                self.drop_sources(index, &lists);
            }
        }
    }

    fn mend_service(&mut self, index: u32) {
        let Some(entry) = self.state.entries.get_mut(&index) else { return };
        if entry.live {
            let options = entry.options.clone();
            return self.write_options(index, &options);
        }
        entry.weights.clear();
        entry.limited = 0;
        let (lists, members) = (mem::take(&mut entry.options.sources), mem::take(&mut entry.members));
        self.drop_sources(index, &lists);
        for dest in members {
            self.retire(dest);
        }
    }
}

#[cfg(test)]
mod tests;
