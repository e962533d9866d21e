//! What a table can say that the program does not do yet.

use evenkeel_dataplane::{Change, ServiceOptions};
use evenkeel_model::{HashFlags, Scheduler};
use std::io;

/// `Err`: the change asks for something that is not built yet.
pub(crate) fn refuse(change: &Change) -> io::Result<()> {
    match change {
        Change::AddService(_, options) | Change::EditService(_, options) => service(options),
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

fn service(options: &ServiceOptions) -> io::Result<()> {
    match options.scheduler {
        Scheduler::RoundRobin
        | Scheduler::WeightedRoundRobin
        | Scheduler::MaglevHash(HashFlags { fallback: false, .. })
        | Scheduler::Maglev => {}
        Scheduler::MaglevHash(HashFlags { fallback: true, .. }) => return Err(not_yet("mh-fallback")),
        scheduler => return Err(not_yet(&format!("the scheduler {scheduler}"))),
    }
    Ok(())
}

fn not_yet(what: &str) -> io::Error {
    io::Error::other(format!("{what} is not built yet"))
}
