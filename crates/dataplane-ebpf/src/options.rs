//! What can be edited of a service, as the program and the next daemon read it.

use crate::{
    clock::ticks,
    mapped::{PUBLISH, word},
    plane::EbpfDataplane,
    sources,
    state::{model_key, scheduler, scheduler_number},
};
use evenkeel_abi::{self as abi, Service, ServiceInfo};
use evenkeel_dataplane::{Note, ServiceOptions};
use evenkeel_model::{
    Behaviour, ExpireGone, Family, HashFlags, Persistence, PersistenceEngine, Scheduler, ServiceKey, Sources,
};
use std::sync::atomic::fence;

/// Bits of a service's flags that the program does not look at: where its note's own flags begin, …
const NOTE_FLAGS: u32 = 20;
/// … the engine without persistence, …
const NOTE_SIP: u32 = 1 << 23;
/// … that a client made it, …
const NOTE_BY_EDIT: u32 = 1 << 24;
/// … and that it is there for one data connection.
pub(crate) const NOTE_MEETING: u32 = 1 << 25;

/// A service's note as its flags keep it.
fn note_of(flags: u32) -> Note {
    let own = (flags >> NOTE_FLAGS & 7) as u8;
    let has = |bit: u32| flags & bit != 0;
    Note { flags: own, sip: has(NOTE_SIP), by_edit: has(NOTE_BY_EDIT), is_meeting: has(NOTE_MEETING) }
}

fn note_flags(note: Note) -> u32 {
    let by_edit = if note.by_edit { NOTE_BY_EDIT } else { 0 };
    let sip = if note.sip { NOTE_SIP } else { 0 };
    let meeting = if note.is_meeting { NOTE_MEETING } else { 0 };
    u32::from(note.flags & 7) << NOTE_FLAGS | sip | by_edit | meeting
}

/// The flags that go with options.
pub(crate) fn flags(options: &ServiceOptions) -> u32 {
    let hash = match options.scheduler {
        Scheduler::MaglevHash(hash) | Scheduler::SourceHash(hash) => hash,
        _ => HashFlags::default(),
    };
    let behaviour = &options.behaviour;
    let engine = options.persistence.map(|persistence| persistence.engine);
    let (udp, all) = match behaviour.expire_gone {
        ExpireGone::Never => (false, false),
        ExpireGone::Udp => (true, false),
        ExpireGone::All => (true, true),
    };
    let bits = [
        (hash.port, abi::SERVICE_HASH_PORT),
        (hash.fallback, abi::SERVICE_HASH_FALLBACK),
        (engine.is_some(), abi::SERVICE_PERSISTENT),
        (engine == Some(PersistenceEngine::Sip), abi::SERVICE_SIP),
        (options.one_packet, abi::SERVICE_ONE_PACKET),
        (behaviour.sloppy, abi::SERVICE_SLOPPY),
        (!behaviour.reuse, abi::SERVICE_NO_REUSE),
        (behaviour.expire_quiescent_template, abi::SERVICE_EXPIRE_TEMPLATE),
        (udp, abi::SERVICE_EXPIRE_UDP),
        (all, abi::SERVICE_EXPIRE_ALL),
        (behaviour.new_rate.is_some() || behaviour.source_rate.is_some(), abi::SERVICE_LIMITED),
    ];
    let set = bits.into_iter().filter(|(holds, _)| *holds).map(|(_, bit)| bit);
    set.fold(sources::flags(&options.sources) | note_flags(options.note), |flags, bit| flags | bit)
}

/// Notes options where [`read`] finds them.
pub(crate) fn note(info: &mut ServiceInfo, options: &ServiceOptions) {
    info.scheduler = scheduler_number(options.scheduler);
    info.flags = flags(options);
    (info.persistence, info.prefix) = options.persistence.map_or((0, 0), |p| (p.timeout, p.prefix.into()));
    info.new_rate = options.behaviour.new_rate.unwrap_or(0);
    info.source_rate = options.behaviour.source_rate.unwrap_or(0);
}

/// The options that [`note`] noted; the lists of sources are kept elsewhere.
pub(crate) fn read(info: &ServiceInfo, sources: Sources) -> ServiceOptions {
    let has = |bit: u32| info.flags & bit != 0;
    let engine = if has(abi::SERVICE_SIP) { PersistenceEngine::Sip } else { PersistenceEngine::Address };
    let prefix = u8::try_from(info.prefix).unwrap_or(0);
    let persistence = Persistence { timeout: info.persistence, prefix, engine };
    let expire_gone = match (has(abi::SERVICE_EXPIRE_UDP), has(abi::SERVICE_EXPIRE_ALL)) {
        (_, true) => ExpireGone::All,
        (true, false) => ExpireGone::Udp,
        (false, false) => ExpireGone::Never,
    };
    ServiceOptions {
        scheduler: scheduler(info.scheduler, info.flags),
        sources,
        persistence: has(abi::SERVICE_PERSISTENT).then_some(persistence),
        one_packet: has(abi::SERVICE_ONE_PACKET),
        behaviour: Behaviour {
            expire_gone,
            expire_quiescent_template: has(abi::SERVICE_EXPIRE_TEMPLATE),
            reuse: !has(abi::SERVICE_NO_REUSE),
            sloppy: has(abi::SERVICE_SLOPPY),
            new_rate: Some(info.new_rate).filter(|rate| *rate > 0),
            source_rate: Some(info.source_rate).filter(|rate| *rate > 0),
        },
        matches: Vec::new(),
        note: note_of(info.flags),
    }
}

/// What the program goes by, without list and flags.
fn element(key: &ServiceKey, options: &ServiceOptions, hertz: u32) -> Service {
    let (persistence, prefix) = options.persistence.map_or((0, 0), |p| (ticks(p.timeout, hertz), p.prefix));
    Service {
        persistence,
        mask: mask(key.family(), prefix),
        new_rate: options.behaviour.new_rate.unwrap_or(0),
        source_rate: options.behaviour.source_rate.unwrap_or(0),
        mark: key.mark().map_or(0, std::num::NonZeroU32::get),
        port: key.port().to_be(),
        ..Service::default()
    }
}

/// The leading bits of an address as words in network order.
fn mask(family: Family, prefix: u8) -> [u32; 4] {
    let words = match family {
        Family::V4 => 1,
        Family::V6 => 4,
    };
    std::array::from_fn(|word| {
        let bits = u32::from(prefix).saturating_sub(32 * word as u32).min(32);
        let bits = if word < words { bits } else { 0 };
        u32::MAX.checked_shl(32 - bits).unwrap_or(0).to_be()
    })
}

impl EbpfDataplane {
    /// An element for a service that nobody finds yet: without a list.
    pub(crate) fn new_service(&self, index: u32, key: &ServiceKey, options: &ServiceOptions) {
        let hertz = self.maps.settings.get(0).ticks_per_second;
        self.maps.services.set(index, Service { flags: flags(options), ..element(key, options, hertz) });
    }

    /// Makes options true. What a flag asks for is written before the flag, and stays when the flag goes.
    pub(crate) fn write_options(&self, index: u32, options: &ServiceOptions) {
        let key = model_key(&self.maps.service_infos.get(index).key);
        let settings = self.maps.settings.get(0);
        let wanted = element(&key, options, settings.ticks_per_second);
        let old = self.maps.services.get(index);
        let at = self.maps.services.at(index);
        // SAFETY: fields of an element of the array; the budget is a word that only atomics change.
        unsafe {
            if options.persistence.is_some() {
                (&raw mut (*at).mask).write_volatile(wanted.mask);
                (&raw mut (*at).persistence).write_volatile(wanted.persistence);
            }
            (&raw mut (*at).new_rate).write_volatile(wanted.new_rate);
            (&raw mut (*at).source_rate).write_volatile(wanted.source_rate);
            if old.new_rate != wanted.new_rate {
                word(&raw mut (*at).budget).store(0, PUBLISH);
            }
            (&raw mut (*at).mark).write_volatile(wanted.mark);
            (&raw mut (*at).port).write_volatile(wanted.port);
        }
        fence(PUBLISH);
        self.set_service_flags(index, flags(options) | self.threshold_flag(index));
    }

    /// The flag of a service whose real servers have thresholds.
    fn threshold_flag(&self, index: u32) -> u32 {
        let limited = self.state.entries.get(&index).is_some_and(|entry| entry.limited > 0);
        if limited { abi::SERVICE_THRESHOLDS } else { 0 }
    }

    /// Counts one real server's thresholds out and another's in. Its element has them already.
    pub(crate) fn count_thresholds(&mut self, index: u32, from: u32, to: u32) {
        let Some(entry) = self.state.entries.get_mut(&index) else { return };
        entry.limited = (entry.limited + u32::from(to > 0)).saturating_sub(u32::from(from > 0));
        let flags = flags(&entry.options);
        self.set_service_flags(index, flags | self.threshold_flag(index));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_those_of_the_prefix() {
        assert_eq!(mask(Family::V4, 24), [0xffff_ff00u32.to_be(), 0, 0, 0]);
        assert_eq!(mask(Family::V4, 32), [u32::MAX, 0, 0, 0]);
        assert_eq!(mask(Family::V4, 128), [u32::MAX, 0, 0, 0]);
        assert_eq!(mask(Family::V6, 33), [u32::MAX, 0x8000_0000u32.to_be(), 0, 0]);
        assert_eq!(mask(Family::V6, 128), [u32::MAX; 4]);
        assert_eq!(mask(Family::V6, 0), [0; 4]);
    }

    #[test]
    fn options_are_read_as_they_were_noted() {
        let plain = ServiceOptions::new(Scheduler::RoundRobin);
        let all = ServiceOptions {
            scheduler: Scheduler::SourceHash(HashFlags { port: true, fallback: true }),
            persistence: Some(Persistence { timeout: 7, prefix: 20, engine: PersistenceEngine::Sip }),
            one_packet: true,
            behaviour: Behaviour {
                expire_gone: ExpireGone::Never,
                expire_quiescent_template: true,
                reuse: false,
                sloppy: true,
                new_rate: Some(9),
                source_rate: Some(3),
            },
            note: Note { flags: 5, sip: true, by_edit: true, is_meeting: true },
            ..plain.clone()
        };
        for options in [plain, all] {
            let mut info = ServiceInfo::default();
            note(&mut info, &options);
            assert_eq!(read(&info, Sources::default()), options);
        }
    }

    #[test]
    fn a_note_is_kept_in_bits_that_nothing_else_has() {
        let plain = ServiceOptions::new(Scheduler::RoundRobin);
        for note in [
            Note { flags: 7, ..Note::default() },
            Note { sip: true, ..Note::default() },
            Note { by_edit: true, ..Note::default() },
            Note { is_meeting: true, ..Note::default() },
        ] {
            let options = ServiceOptions { note, ..plain.clone() };
            assert_eq!(note_of(flags(&options)), note);
            assert_eq!(flags(&options) & ((1 << NOTE_FLAGS) - 1), flags(&plain));
        }
    }
}
