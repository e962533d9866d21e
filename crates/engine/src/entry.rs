//! Entries of the table in the words of clients, and in those of the model; what IPVS would refuse is refused.

use evenkeel_api::table::{EditFailure, Forward, Key, ServerEntry, ServiceEntry};
use evenkeel_dataplane::{Note, ServiceOptions};
use evenkeel_model::{
    Family, Forwarding, GueChecksum, HashFlags, Persistence, PersistenceEngine, Protocol, Scheduler, ServiceKey,
    Thresholds, Tunnel, Weight,
};
use std::net::{IpAddr, SocketAddr};

/// Why an entry is refused.
pub(crate) type Wrong = (EditFailure, String);

/// The only persistence engine besides that of addresses.
const SIP: &str = "sip";

/// Bits of [`ServiceEntry::flags`].
const FALLBACK: u8 = 1;
const PORT: u8 = 2;
const FLAGS: u8 = 7;

fn refused(why: impl Into<String>) -> Wrong {
    (EditFailure::Refused, why.into())
}

/// A service's key in the words of clients.
pub fn key_of(key: &ServiceKey) -> Key {
    match *key {
        ServiceKey::Address { address, protocol, port } => Key::Address { address, protocol: protocol.number(), port },
        ServiceKey::Mark { mark, family } => Key::Mark { mark: mark.get(), ipv6: family == Family::V6 },
    }
}

/// A key as clients say it; `Err`: a sentence fragment.
pub fn model_key(key: &Key) -> Result<ServiceKey, String> {
    match *key {
        Key::Address { address, protocol, port } => match Protocol::from_number(protocol) {
            Some(protocol) => Ok(ServiceKey::new(address, protocol, port)),
            None => Err(format!("protocol {protocol} is none of tcp, udp and sctp")),
        },
        Key::Mark { mark, ipv6 } => match mark.try_into() {
            Ok(mark) => Ok(ServiceKey::Mark { mark, family: if ipv6 { Family::V6 } else { Family::V4 } }),
            Err(_) => Err("0 is no mark".to_owned()),
        },
    }
}

/// What `entry` makes of a service's options. Everything it can say is reset; what it has no words for stays.
pub(crate) fn options(
    key: &ServiceKey,
    entry: &ServiceEntry,
    old: Option<&ServiceOptions>,
) -> Result<ServiceOptions, Wrong> {
    let unknown = |what: &str, name: &str| (EditFailure::NoScheduler, format!("there is no {what} called {name:?}"));
    let plain: Scheduler = entry.scheduler.parse().map_err(|_| unknown("scheduler", &entry.scheduler))?;
    let hash = HashFlags { port: entry.flags & PORT != 0, fallback: entry.flags & FALLBACK != 0 };
    let known = plain.flags().map_or(0, |_| FALLBACK | PORT);
    let engine = match entry.engine.as_deref() {
        None => PersistenceEngine::Address,
        Some(SIP) => PersistenceEngine::Sip,
        Some(other) => return Err(unknown("persistence engine", other)),
    };
    if entry.one_packet && matches!(key.protocol(), Some(Protocol::Tcp | Protocol::Sctp)) {
        return Err(refused("one-packet scheduling is for UDP only"));
    }
    let persistence = persistence(key, entry, engine)?;
    let note = Note {
        flags: entry.flags & FLAGS & !known,
        sip: engine == PersistenceEngine::Sip && persistence.is_none(),
        is_meeting: false,
        by_edit: old.is_some_and(|old| old.note.by_edit),
    };
    let old = old.cloned().unwrap_or_else(|| ServiceOptions::new(plain));
    let scheduler = plain.with_flags(hash).unwrap_or(plain);
    Ok(ServiceOptions { scheduler, persistence, one_packet: entry.one_packet, note, ..old })
}

fn persistence(
    key: &ServiceKey,
    entry: &ServiceEntry,
    engine: PersistenceEngine,
) -> Result<Option<Persistence>, Wrong> {
    let bits = key.family().bits();
    let Some(timeout) = entry.persistent_s else { return Ok(None) };
    if timeout == 0 || timeout > Persistence::LONGEST_TIMEOUT {
        return Err(refused(format!("a persistence of {timeout} s is none of 1 to {}", Persistence::LONGEST_TIMEOUT)));
    }
    let prefix = entry.prefix.unwrap_or(bits);
    if prefix > bits {
        return Err(refused(format!("an address has no {prefix} bits")));
    }
    Ok(Some(Persistence { timeout, prefix, engine }))
}

/// A real server as an entry says it: its address with the service's port where it has none, how it was asked for and how
/// packets truly reach it.
pub(crate) struct Said {
    pub(crate) address: SocketAddr,
    pub(crate) shown: Forwarding,
    pub(crate) forwarding: Forwarding,
    pub(crate) weight: Weight,
    pub(crate) thresholds: Thresholds,
}

/// The address of a real server as the table has it.
pub(crate) fn address_in(key: &ServiceKey, address: SocketAddr) -> SocketAddr {
    let port = if address.port() == 0 { key.port() } else { address.port() };
    SocketAddr::new(address.ip(), port)
}

pub(crate) fn server(
    key: &ServiceKey,
    address: SocketAddr,
    entry: &ServerEntry,
    is_own: impl FnOnce(&IpAddr) -> bool,
) -> Result<Said, Wrong> {
    let address = address_in(key, address);
    let shown = forwarding(entry.forward)?;
    let weight = Weight::new(entry.weight).ok_or_else(|| refused(format!("weight is above {}", Weight::MAX)))?;
    if entry.lower > entry.upper {
        let why = format!("the lower threshold {} is above the upper one, {}", entry.lower, entry.upper);
        return Err((EditFailure::Thresholds, why));
    }
    let broadcast = address.ip() == IpAddr::from([255; 4]);
    if broadcast || address.ip().is_unspecified() || address.ip().is_multicast() {
        return Err((EditFailure::NotUnicast, format!("{} is the address of no host", address.ip())));
    }
    if Family::of(address.ip()) != key.family() && !shown.crosses_families() {
        return Err(refused("a real server of the other address family can only be reached by a tunnel"));
    }
    let local = address.ip().is_loopback() || is_own(&address.ip());
    let same_port = key.port() == 0 || key.port() == address.port();
    let forwarding = if local { shown.on_own_host(same_port) } else { shown };
    let thresholds = Thresholds { upper: entry.upper, lower: entry.lower };
    Ok(Said { address, shown, forwarding, weight, thresholds })
}

fn forwarding(forward: Forward) -> Result<Forwarding, Wrong> {
    Ok(match forward {
        Forward::Dr => Forwarding::DirectRouting,
        Forward::Nat => Forwarding::Nat,
        Forward::Fullnat => Forwarding::FullNat,
        Forward::Ipip => Forwarding::Tunnel(Tunnel::Ipip),
        Forward::Gre { checksum } => Forwarding::Tunnel(Tunnel::Gre { checksum }),
        Forward::Gue { port: 0, .. } => return Err(refused("a GUE tunnel needs a port")),
        Forward::Gue { port, checksum } => {
            let checksum = match checksum {
                0 => GueChecksum::None,
                1 => GueChecksum::Full,
                2 => GueChecksum::Remote,
                other => return Err(refused(format!("there is no checksum {other} of GUE"))),
            };
            Forwarding::Tunnel(Tunnel::Gue { port, checksum })
        }
        Forward::Local => Forwarding::Local,
    })
}

/// The method in the words of clients.
pub(crate) fn forward(forwarding: Forwarding) -> Forward {
    match forwarding {
        Forwarding::DirectRouting => Forward::Dr,
        Forwarding::Nat | Forwarding::Relay => Forward::Nat,
        Forwarding::FullNat => Forward::Fullnat,
        Forwarding::Tunnel(Tunnel::Ipip) => Forward::Ipip,
        Forwarding::Tunnel(Tunnel::Gre { checksum }) => Forward::Gre { checksum },
        Forwarding::Tunnel(Tunnel::Gue { port, checksum }) => {
            let checksum = match checksum {
                GueChecksum::None => 0,
                GueChecksum::Full => 1,
                GueChecksum::Remote => 2,
            };
            Forward::Gue { port, checksum }
        }
        Forwarding::Local => Forward::Local,
    }
}

/// What a client would have to say to get these options.
pub(crate) fn service_entry(options: &ServiceOptions) -> ServiceEntry {
    let hash = options.scheduler.flags().unwrap_or_default();
    let bit = |holds: bool, bit: u8| if holds { bit } else { 0 };
    let persistence = options.persistence;
    let sip = options.note.sip || persistence.is_some_and(|p| p.engine == PersistenceEngine::Sip);
    ServiceEntry {
        scheduler: options.scheduler.name().to_owned(),
        flags: bit(hash.fallback, FALLBACK) | bit(hash.port, PORT) | options.note.flags,
        persistent_s: persistence.map(|p| p.timeout),
        prefix: persistence.map(|p| p.prefix),
        engine: sip.then(|| SIP.to_owned()),
        one_packet: options.one_packet,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn udp() -> ServiceKey {
        ServiceKey::new("192.0.2.1".parse().unwrap(), Protocol::Udp, 53)
    }

    fn said(text: &str) -> ServiceEntry {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_a_client_says_of_a_service_is_listed_as_it_was_said() {
        for text in [
            r#"{"scheduler":"rr"}"#,
            r#"{"scheduler":"rr","flags":5}"#,
            r#"{"scheduler":"sh","flags":7}"#,
            r#"{"scheduler":"mh","flags":2,"persistent_s":300,"prefix":24}"#,
            r#"{"scheduler":"wlc","persistent_s":360,"prefix":32,"engine":"sip"}"#,
            r#"{"scheduler":"wlc","engine":"sip","one_packet":true}"#,
        ] {
            let entry = said(text);
            assert_eq!(service_entry(&options(&udp(), &entry, None).unwrap()), entry, "{text}");
        }
    }

    #[test]
    fn flags_that_a_scheduler_knows_count_and_others_are_only_remembered() {
        let options = |text: &str| options(&udp(), &said(text), None).unwrap();
        let hash = options(r#"{"scheduler":"sh","flags":7}"#);
        assert_eq!(hash.scheduler, Scheduler::SourceHash(HashFlags { port: true, fallback: true }));
        assert_eq!(hash.note.flags, 4);
        assert_eq!(options(r#"{"scheduler":"rr","flags":3}"#).note.flags, 3);
    }

    #[test]
    fn what_ipvs_refuses_is_refused_for_the_same_reason() {
        let failure = |text: &str| options(&udp(), &said(text), None).unwrap_err().0;
        assert_eq!(failure(r#"{"scheduler":"rrr"}"#), EditFailure::NoScheduler);
        assert_eq!(failure(r#"{"scheduler":"rr","engine":"ftp"}"#), EditFailure::NoScheduler);
        assert_eq!(failure(r#"{"scheduler":"rr","persistent_s":0}"#), EditFailure::Refused);
        assert_eq!(failure(r#"{"scheduler":"rr","persistent_s":60,"prefix":33}"#), EditFailure::Refused);
        let tcp = ServiceKey::new("192.0.2.1".parse().unwrap(), Protocol::Tcp, 53);
        let one_packet = said(r#"{"scheduler":"rr","one_packet":true}"#);
        assert_eq!(options(&tcp, &one_packet, None).unwrap_err().0, EditFailure::Refused);
        let server = |address: &str, text: &str| {
            server(&udp(), address.parse().unwrap(), &serde_json::from_str(text).unwrap(), |_| false)
        };
        let failure = |address: &str, text: &str| server(address, text).err().unwrap().0;
        assert_eq!(failure("192.0.2.2:53", r#"{"forward":"dr","weight":1,"lower":5}"#), EditFailure::Thresholds);
        assert_eq!(failure("192.0.2.2:53", r#"{"forward":"dr","weight":2147483648}"#), EditFailure::Refused);
        assert_eq!(failure("[2001:db8::2]:53", r#"{"forward":"dr","weight":1}"#), EditFailure::Refused);
        assert_eq!(failure("224.0.0.1:53", r#"{"forward":"dr","weight":1}"#), EditFailure::NotUnicast);
        assert!(server("[2001:db8::2]:53", r#"{"forward":"ipip","weight":1}"#).is_ok());
    }

    #[test]
    fn a_real_server_on_this_host_is_the_host_itself_and_listed_as_it_was_said() {
        let server = |text: &str, forward: Forward| {
            let entry = ServerEntry { forward, weight: 1, upper: 0, lower: 0 };
            let own: IpAddr = "192.0.2.9".parse().unwrap();
            server(&udp(), text.parse().unwrap(), &entry, |ip| *ip == own).unwrap()
        };
        let local = server("192.0.2.9:0", Forward::Nat);
        assert_eq!((local.address.port(), local.shown), (53, Forwarding::Nat));
        assert_eq!(local.forwarding, Forwarding::Local);
        assert_eq!(server("127.0.0.1:53", Forward::Dr).forwarding, Forwarding::Local);
        assert_eq!(server("192.0.2.9:5353", Forward::Nat).forwarding, Forwarding::Nat);
        assert_eq!(server("192.0.2.8:53", Forward::Nat).forwarding, Forwarding::Nat);
    }
}
