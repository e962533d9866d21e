//! Makes changes true: what each one writes, and in which order.
//!
//! An element is complete before anything names it, and nothing names it any more before it is used again.

use crate::{
    mapped::{PUBLISH, word},
    maps::key_bytes,
    options,
    plane::EbpfDataplane,
    state::{Entry, abi_key},
};
use evenkeel_abi as abi;
use evenkeel_dataplane::{ApplyError, Change, ServiceOptions};
use evenkeel_model::{ServiceKey, Sources};
use std::{collections::HashMap, io, mem, net::IpAddr, sync::atomic::fence};

pub(crate) fn refuse(text: &str) -> io::Error {
    io::Error::other(text.to_owned())
}

impl EbpfDataplane {
    pub(crate) fn apply_all(&mut self, changes: &[Change]) -> Result<(), ApplyError> {
        self.set_applying(1);
        let mut result = Ok(());
        for (applied, change) in changes.iter().enumerate() {
            if let Err(cause) = self.apply_one(change) {
                result = Err(ApplyError { change: Box::new(change.clone()), applied, cause });
                break;
            }
        }
        // Lists are written once however many changes touch them, and also those of the changes before a failed one.
        let published = self.publish_dirty();
        self.set_applying(0);
        match (published, result) {
            (Err((key, cause)), Ok(())) => Err(not_published(changes, &key, cause)),
            (_, result) => result,
        }
    }

    /// Says in the maps themselves that they are being changed, for whoever adopts them.
    pub(crate) fn set_applying(&self, applying: u64) {
        let header = self.maps.header.at(0);
        // SAFETY: a word of the one element.
        unsafe { word(&raw mut (*header).applying) }.store(applying, PUBLISH);
    }

    fn apply_one(&mut self, change: &Change) -> io::Result<()> {
        match change {
            Change::AddService(key, options) => self.add_service(key, options),
            Change::EditService(key, options) => self.edit_service(key, options),
            Change::RemoveService(key) => self.remove_service(key),
            Change::AddRealServer(key, address, server) => self.add_real_server(key, *address, *server),
            Change::EditRealServer(key, address, server) => self.edit_real_server(key, *address, *server),
            Change::RemoveRealServer(key, address) => self.remove_real_server(key, *address),
        }
    }

    /// The index of a service that packets find.
    pub(crate) fn live(&self, key: &ServiceKey) -> io::Result<u32> {
        match self.state.services.get(key) {
            Some(index) if self.state.entries.get(index).is_some_and(|e| e.live) => Ok(*index),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "there is no such service")),
        }
    }

    fn add_service(&mut self, key: &ServiceKey, options: &ServiceOptions) -> io::Result<()> {
        if self.live(key).is_ok() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the service is there already"));
        }
        let drains = self.state.services.get(key).copied();
        let free = drains.or_else(|| self.state.free_services.first().copied());
        let index =
            free.ok_or_else(|| refuse("no room for another service; stop and start the instance to make more"))?;
        let mut info = self.maps.service_infos.get(index);
        if info.used == 0 {
            info = abi::ServiceInfo { key: abi_key(key), ..abi::ServiceInfo::default() };
        }
        options::note(&mut info, options);
        self.new_service(index, key, options);
        self.maps.service_infos.set(index, info);
        if let Err(cause) = self.add_sources(index, &Sources::default(), &options.sources) {
            // A service that only drains has no lists, and one that is not `used` does not exist.
            self.set_service_flags(index, 0);
            return Err(cause);
        }
        if let Err(cause) = self.set_matches(index, key, &[], &options.matches) {
            self.drop_sources(index, &options.sources);
            self.set_service_flags(index, 0);
            return Err(cause);
        }
        fence(PUBLISH);
        self.state.made = self.state.made.saturating_add(1);
        self.maps.service_infos.set(index, abi::ServiceInfo { used: self.state.made, ..info });
        if drains.is_none() {
            self.state.free_services.remove(&index);
            self.filter(key, true);
        }
        if let Some(old) = self.state.entries.insert(index, Entry::new(*key, options.clone())) {
            self.state.cells.give_back_all([old.extent, old.reserved]);
        }
        self.state.services.insert(*key, index);
        self.maps.service_ids.insert(key_bytes(&abi_key(key)), index, 0).map_err(io::Error::other)
    }

    fn edit_service(&mut self, key: &ServiceKey, options: &ServiceOptions) -> io::Result<()> {
        let index = self.live(key)?;
        let old = self.state.entries.get(&index).map(|e| e.options.clone());
        let old = old.ok_or_else(|| refuse("the service is not known"))?;
        if old.scheduler != options.scheduler {
            self.reserve(index, options.scheduler)?;
        }
        self.set_matches(index, key, &old.matches, &options.matches)?;
        if let Err(cause) = self.add_sources(index, &old.sources, &options.sources) {
            // What was there a moment ago finds room again.
            let _ = self.set_matches(index, key, &options.matches, &old.matches);
            return Err(cause);
        }
        let mut info = self.maps.service_infos.get(index);
        options::note(&mut info, options);
        self.maps.service_infos.set(index, info);
        self.write_options(index, options);
        self.trim_sources(index, &old.sources, &options.sources)?;
        if let Some(entry) = self.state.entries.get_mut(&index) {
            entry.options = options.clone();
            if old.scheduler == options.scheduler {
                return Ok(());
            }
            entry.listed.clear();
            entry.weight = Some(0);
        }
        self.state.dirty.insert(index);
        Ok(())
    }

    fn remove_service(&mut self, key: &ServiceKey) -> io::Result<()> {
        let index = self.live(key)?;
        self.maps.service_ids.remove(&key_bytes(&abi_key(key))).map_err(io::Error::other)?;
        if let Some(entry) = self.state.entries.get_mut(&index) {
            let matches = mem::take(&mut entry.options.matches);
            self.drop_matches(index, key, &matches);
        }
        let Some(entry) = self.state.entries.get_mut(&index) else { return Ok(()) };
        entry.live = false;
        entry.weights.clear();
        entry.limited = 0;
        let sources = mem::take(&mut entry.options.sources);
        let members = mem::take(&mut entry.members);
        self.drop_sources(index, &sources);
        for dest in members {
            self.retire(dest);
        }
        self.state.dirty.insert(index);
        Ok(())
    }

    /// Counts the address of a service, draining ones included, in or out of the filter.
    pub(crate) fn filter(&mut self, key: &ServiceKey, add: bool) {
        if let Some(address) = key.address() {
            self.filter_bit(abi::filter_bit_of(address), add);
        }
    }

    /// Counts one who needs a bit of the filter in or out.
    pub(crate) fn filter_bit(&mut self, bit: u32, add: bool) {
        let is_set = count(&mut self.state.filter, bit, add) || self.state.marks.hold(bit);
        let filter = self.maps.filter.at(0);
        // SAFETY: the words of the one element; only this thread writes them.
        unsafe { set_bit((&raw mut (*filter).words).cast(), bit, is_set) };
    }

    /// The same for a translated real server's address and the filter of answers.
    pub(crate) fn filter_answers(&mut self, address: IpAddr, add: bool) {
        let bit = abi::filter_bit_of(address);
        let is_set = count(&mut self.state.answers, bit, add);
        let filter = self.maps.filter.at(0);
        // SAFETY: as in `filter`.
        unsafe { set_bit((&raw mut (*filter).answers).cast(), bit, is_set) };
    }
}

/// Counts one more or less; whether there is any.
fn count(users: &mut HashMap<u32, u32>, bit: u32, add: bool) -> bool {
    let of_bit = users.entry(bit).or_default();
    *of_bit = if add { *of_bit + 1 } else { of_bit.saturating_sub(1) };
    let any = *of_bit > 0;
    if !any {
        users.remove(&bit);
    }
    any
}

/// # Safety
/// `words` are those of one part of the filter.
unsafe fn set_bit(words: *mut u64, bit: u32, is_set: bool) {
    // SAFETY: the bits of a filter are those of its words.
    let word = unsafe { word(words.add(bit as usize / 64)) };
    let mask = 1u64 << (bit % 64);
    if is_set {
        word.fetch_or(mask, PUBLISH)
    } else {
        word.fetch_and(!mask, PUBLISH)
    };
}

/// A list that could not be written: the changes of its service are not in force.
fn not_published(changes: &[Change], key: &ServiceKey, cause: io::Error) -> ApplyError {
    let applied = changes.iter().position(|change| change.service() == key).unwrap_or(0);
    ApplyError { change: Box::new(changes[applied].clone()), applied, cause }
}
