//! What can be edited of a service, as the program reads it.

use crate::sources;
use evenkeel_abi as abi;
use evenkeel_dataplane::ServiceOptions;
use evenkeel_model::{HashFlags, Scheduler};

/// The flags of a service.
pub(crate) fn flags(options: &ServiceOptions) -> u32 {
    let hash = match options.scheduler {
        Scheduler::MaglevHash(hash) | Scheduler::SourceHash(hash) => hash,
        _ => HashFlags::default(),
    };
    [(hash.port, abi::SERVICE_HASH_PORT), (hash.fallback, abi::SERVICE_HASH_FALLBACK)]
        .into_iter()
        .filter(|(holds, _)| *holds)
        .fold(sources::flags(&options.sources), |flags, (_, bit)| flags | bit)
}
