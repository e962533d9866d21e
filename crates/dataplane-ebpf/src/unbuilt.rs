//! What a table can say that the program does not do yet.

use evenkeel_dataplane::{Change, RealServer, ServiceOptions};
use evenkeel_model::{Behaviour, Forwarding, HashFlags, Protocol, Scheduler, ServiceKey, Thresholds};
use std::io;

/// `Err`: the change asks for something that is not built yet.
pub(crate) fn refuse(change: &Change) -> io::Result<()> {
    match change {
        Change::AddService(key, options) | Change::EditService(key, options) => service(key, options),
        Change::AddRealServer(_, _, server) | Change::EditRealServer(_, _, server) => real_server(server),
        Change::RemoveService(_) | Change::RemoveRealServer(..) => Ok(()),
    }
}

/// Of a whole operation.
pub(crate) fn unsupported(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, format!("{what} is not built yet"))
}

fn service(key: &ServiceKey, options: &ServiceOptions) -> io::Result<()> {
    match key.protocol() {
        Some(Protocol::Tcp | Protocol::Udp) => {}
        Some(Protocol::Sctp) => return Err(not_yet("a service of SCTP")),
        None => return Err(not_yet("a service by mark")),
    }
    match options.scheduler {
        Scheduler::RoundRobin
        | Scheduler::WeightedRoundRobin
        | Scheduler::MaglevHash(HashFlags { fallback: false, .. })
        | Scheduler::Maglev => {}
        Scheduler::MaglevHash(HashFlags { fallback: true, .. }) => return Err(not_yet("mh-fallback")),
        scheduler => return Err(not_yet(&format!("the scheduler {scheduler}"))),
    }
    if options.persistence.is_some() {
        return Err(not_yet("persistence"));
    }
    if options.one_packet {
        return Err(not_yet("one-packet scheduling"));
    }
    if options.behaviour != Behaviour::default() {
        return Err(not_yet("other behaviour than the default"));
    }
    if !options.matches.is_empty() {
        return Err(not_yet("giving marks"));
    }
    Ok(())
}

fn real_server(server: &RealServer) -> io::Result<()> {
    match server.forwarding {
        Forwarding::DirectRouting | Forwarding::Local => {}
        Forwarding::Nat | Forwarding::FullNat | Forwarding::Tunnel(_) => {
            return Err(not_yet(&format!("forwarding by {}", server.forwarding.name())));
        }
    }
    if server.thresholds != Thresholds::default() {
        return Err(not_yet("a threshold of connections"));
    }
    Ok(())
}

fn not_yet(what: &str) -> io::Error {
    io::Error::other(format!("{what} is not built yet"))
}
