//! What can be edited of a service, as the program reads it.

use crate::sources;
use evenkeel_abi as abi;
use evenkeel_dataplane::{Note, ServiceOptions};
use evenkeel_model::{HashFlags, Scheduler};

/// Bits of a service's flags that the program does not look at: where its note's own flags begin, …
const NOTE_FLAGS: u32 = 20;
/// … the engine without persistence, …
const NOTE_SIP: u32 = 1 << 23;
/// … and that a client made it.
const NOTE_BY_EDIT: u32 = 1 << 24;

/// A service's note as its flags keep it.
pub(crate) fn note(flags: u32) -> Note {
    let own = (flags >> NOTE_FLAGS & 7) as u8;
    Note { flags: own, sip: flags & NOTE_SIP != 0, by_edit: flags & NOTE_BY_EDIT != 0 }
}

fn note_flags(note: Note) -> u32 {
    let by_edit = if note.by_edit { NOTE_BY_EDIT } else { 0 };
    let sip = if note.sip { NOTE_SIP } else { 0 };
    u32::from(note.flags & 7) << NOTE_FLAGS | sip | by_edit
}

/// The flags of a service.
pub(crate) fn flags(options: &ServiceOptions) -> u32 {
    let hash = match options.scheduler {
        Scheduler::MaglevHash(hash) | Scheduler::SourceHash(hash) => hash,
        _ => HashFlags::default(),
    };
    [(hash.port, abi::SERVICE_HASH_PORT), (hash.fallback, abi::SERVICE_HASH_FALLBACK)]
        .into_iter()
        .filter(|(holds, _)| *holds)
        .fold(sources::flags(&options.sources) | note_flags(options.note), |flags, (_, bit)| flags | bit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_kept_in_bits_that_nothing_else_has() {
        let plain = ServiceOptions::new(Scheduler::RoundRobin);
        assert_eq!(note(flags(&plain)), Note::default());
        for noted in [
            Note { flags: 5, sip: false, by_edit: false },
            Note { flags: 0, sip: true, by_edit: false },
            Note { flags: 2, sip: false, by_edit: true },
        ] {
            let options = ServiceOptions { note: noted, ..plain.clone() };
            assert_eq!(note(flags(&options)), noted);
            assert_eq!(flags(&options) & ((1 << NOTE_FLAGS) - 1), flags(&plain));
        }
    }
}
