//! What a table can say that the program does not do yet.

use evenkeel_dataplane::{Change, ServiceOptions};
use evenkeel_model::{HashFlags, Scheduler, ServiceKey};
use std::io;

/// `Err`: the change asks for something that is not built yet.
pub(crate) fn refuse(change: &Change) -> io::Result<()> {
    match change {
        Change::AddService(key, options) | Change::EditService(key, options) => service(key, options),
        Change::AddRealServer(..)
        | Change::EditRealServer(..)
        | Change::RemoveService(_)
        | Change::RemoveRealServer(..) => Ok(()),
    }
}

/// Of a whole operation.
pub(crate) fn unsupported(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{what} is not built yet"))
}

fn service(key: &ServiceKey, options: &ServiceOptions) -> io::Result<()> {
    if key.mark().is_some() {
        return Err(not_yet("a service by mark"));
    }
    match options.scheduler {
        Scheduler::RoundRobin
        | Scheduler::WeightedRoundRobin
        | Scheduler::MaglevHash(HashFlags { fallback: false, .. })
        | Scheduler::Maglev => {}
        Scheduler::MaglevHash(HashFlags { fallback: true, .. }) => return Err(not_yet("mh-fallback")),
        scheduler => return Err(not_yet(&format!("the scheduler {scheduler}"))),
    }
    if !options.matches.is_empty() {
        return Err(not_yet("giving marks"));
    }
    Ok(())
}

fn not_yet(what: &str) -> io::Error {
    io::Error::other(format!("{what} is not built yet"))
}
