//! Who may connect: the lists of sources in the prefix trie (PP-17).
//!
//! The trie holds exactly what the lists say, so that they can be read back: a prefix of both lists as one entry that is
//! both, prefixes of the other address family under a service number that no packet has.

use crate::{
    maps::Maps,
    plane::EbpfDataplane,
    state::{model_key, words},
};
use aya::maps::{MapError, lpm_trie::Key};
use evenkeel_abi::{ACL_ALLOW, ACL_DENY, ACL_ENTRIES, ACL_FOREIGN, SERVICE_ACL, SERVICE_DEFAULT_DENY};
use evenkeel_model::{Family, Prefix, Sources};
use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Entries of the trie by prefix.
type Rules = BTreeMap<Prefix, u32>;

impl EbpfDataplane {
    /// Adds what new lists have and old ones do not. The flags come next, then [`EbpfDataplane::trim_sources`]. Where there
    /// is no room nothing changes.
    pub(crate) fn add_sources(&mut self, index: u32, old: &Sources, new: &Sources) -> io::Result<()> {
        let (old, wanted) = (rules(old), rules(new));
        let changed = wanted.iter().filter(|(prefix, rule)| old.get(prefix) != Some(rule));
        let mut inserted = Vec::new();
        for (prefix, rule) in changed {
            if let Err(cause) = self.maps.acl.insert(&self.acl_key(index, *prefix), rule, 0) {
                self.restore(index, &inserted, &old);
                return Err(refusal(&cause));
            }
            inserted.push(*prefix);
        }
        Ok(())
    }

    /// Removes what old lists had and new ones do not.
    pub(crate) fn trim_sources(&mut self, index: u32, old: &Sources, new: &Sources) -> io::Result<()> {
        let wanted = rules(new);
        for prefix in rules(old).keys().filter(|prefix| !wanted.contains_key(prefix)) {
            self.maps.acl.remove(&self.acl_key(index, *prefix)).map_err(|cause| refusal(&cause))?;
        }
        Ok(())
    }

    /// Removes the lists of a service that packets no longer find. One that has found it just before is denied.
    pub(crate) fn drop_sources(&mut self, index: u32, old: &Sources) {
        self.set_service_flags(index, SERVICE_ACL | SERVICE_DEFAULT_DENY);
        for prefix in rules(old).keys() {
            // One that is not there need not be removed.
            let _ = self.maps.acl.remove(&self.acl_key(index, *prefix));
        }
    }

    /// Makes a service's flags those of its lists.
    pub(crate) fn set_service_flags(&self, index: u32, flags: u32) {
        let service = self.maps.services.at(index);
        // SAFETY: an element of the array.
        unsafe { (&raw mut (*service).flags).write_volatile(flags) };
    }

    fn restore(&mut self, index: u32, inserted: &[Prefix], old: &Rules) {
        for prefix in inserted {
            let key = self.acl_key(index, *prefix);
            // Neither takes new room.
            let _ = match old.get(prefix) {
                Some(rule) => self.maps.acl.insert(&key, rule, 0),
                None => self.maps.acl.remove(&key),
            };
        }
    }

    fn acl_key(&self, index: u32, prefix: Prefix) -> Key<[u32; 5]> {
        let [a, b, c, d] = words(prefix.address());
        let foreign = Family::of(prefix.address()) != service_family(&self.maps, index);
        let service = if foreign { index | ACL_FOREIGN } else { index };
        Key::new(32 + u32::from(prefix.length()), [service, a, b, c, d])
    }
}

/// The flags that go with lists.
pub(crate) fn flags(sources: &Sources) -> u32 {
    let lists = if sources.allow.is_empty() && sources.deny.is_empty() { 0 } else { SERVICE_ACL };
    let rest = if sources.allow.is_empty() { 0 } else { SERVICE_DEFAULT_DENY };
    lists | rest
}

/// The lists by service, read from the trie.
pub(crate) fn read(maps: &Maps) -> io::Result<HashMap<u32, Sources>> {
    let mut lists: HashMap<u32, Sources> = HashMap::new();
    for entry in maps.acl.iter() {
        let (key, rule) = entry.map_err(io::Error::other)?;
        let [service, address @ ..] = key.data();
        let index = service & !ACL_FOREIGN;
        let v4 = (service_family(maps, index) == Family::V4) == (service & ACL_FOREIGN == 0);
        let length = u8::try_from(key.prefix_len().saturating_sub(32)).unwrap_or(u8::MAX);
        let Ok(prefix) = Prefix::new(address_of(address, v4), length) else { continue };
        let list = lists.entry(index).or_default();
        if rule & ACL_ALLOW != 0 {
            list.allow.push(prefix);
        }
        if rule & ACL_DENY != 0 {
            list.deny.push(prefix);
        }
    }
    for list in lists.values_mut() {
        list.allow.sort_unstable();
        list.deny.sort_unstable();
    }
    Ok(lists)
}

fn rules(sources: &Sources) -> Rules {
    let mut rules = Rules::new();
    let allow = sources.allow.iter().map(|prefix| (prefix, ACL_ALLOW));
    for (prefix, rule) in allow.chain(sources.deny.iter().map(|prefix| (prefix, ACL_DENY))) {
        *rules.entry(*prefix).or_default() |= rule;
    }
    rules
}

fn service_family(maps: &Maps, index: u32) -> Family {
    if (index as usize) < maps.service_infos.len() {
        model_key(&maps.service_infos.get(index).key).family()
    } else {
        Family::V4
    }
}

fn address_of(words: [u32; 4], v4: bool) -> IpAddr {
    if v4 {
        return IpAddr::V4(Ipv4Addr::from(words[0].to_ne_bytes()));
    }
    let mut octets = [0u8; 16];
    for (octets, word) in octets.chunks_exact_mut(4).zip(words) {
        octets.copy_from_slice(&word.to_ne_bytes());
    }
    IpAddr::V6(Ipv6Addr::from(octets))
}

fn refusal(cause: &MapError) -> io::Error {
    match cause {
        MapError::SyscallError(call) if call.io_error.raw_os_error() == Some(libc::ENOSPC) => io::Error::new(
            io::ErrorKind::QuotaExceeded,
            format!("no room for another source prefix: the lists of all services together have {ACL_ENTRIES}"),
        ),
        cause => io::Error::other(crate::error::root_cause(cause)),
    }
}
