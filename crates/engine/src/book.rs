//! The book of overrides: sparse, since few real servers are ever not as the files say.

use crate::{OverrideRecord, Overrides, service::Asked};
use evenkeel_machine::Instant;
use evenkeel_model::{Family, Protocol, ServiceKey, Weight};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// Entries at the most; requests beyond are refused.
pub(crate) const ENTRIES: usize = 100_000;

type Key = (ServiceKey, Option<SocketAddr>);

/// One entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    asked: Asked,
    drained_until: Option<Instant>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: BTreeMap<Key, Entry>,
}

impl Book {
    /// From what was stored. Records that make no sense are left out.
    pub(crate) fn restore(now: Instant, stored: Overrides) -> Book {
        let entry = |record: OverrideRecord| {
            let service = key_of(&record)?;
            let weight = record.weight.and_then(Weight::new);
            let drained = record.drained && record.drained_for_ms != Some(0);
            let asked = Asked { disabled: record.disabled, drained, weight };
            let drained_until = record.drained_for_ms.filter(|_| drained).map(|ms| now + Duration::from_millis(ms));
            Some(((service, record.real_server), Entry { asked, drained_until }))
        };
        let told = |(_, entry): &(Key, Entry)| entry.asked != Asked::default();
        Book { entries: stored.records.into_iter().filter_map(entry).filter(told).take(ENTRIES).collect() }
    }

    /// To be stored.
    pub(crate) fn store(&self, now: Instant) -> Overrides {
        let record = |((service, real_server), entry): (&Key, &Entry)| OverrideRecord {
            address: service.address().unwrap_or(service.family().unspecified()),
            protocol: service.protocol_name().to_owned(),
            port: service.port(),
            mark: service.mark(),
            real_server: *real_server,
            disabled: entry.asked.disabled,
            drained: entry.asked.drained,
            drained_for_ms: entry.drained_until.map(|at| u64::try_from((at - now).as_millis()).unwrap_or(u64::MAX)),
            weight: entry.asked.weight.map(Weight::get),
        };
        Overrides { records: self.entries.iter().map(record).collect() }
    }

    /// What holds for a real server, or with `None` for the service itself.
    pub(crate) fn asked(&self, service: ServiceKey, server: Option<SocketAddr>) -> Asked {
        self.entries.get(&(service, server)).map(|entry| entry.asked).unwrap_or_default()
    }

    /// Writes what holds from now on; false when the book is full.
    pub(crate) fn write(
        &mut self,
        service: ServiceKey,
        server: Option<SocketAddr>,
        asked: Asked,
        drained_until: Option<Instant>,
    ) -> bool {
        if asked == Asked::default() {
            self.entries.remove(&(service, server));
            return true;
        }
        if self.entries.len() >= ENTRIES && !self.entries.contains_key(&(service, server)) {
            return false;
        }
        let before = self.entries.get(&(service, server)).and_then(|entry| entry.drained_until);
        let drained_until = if asked.drained { drained_until.or(before) } else { None };
        self.entries.insert((service, server), Entry { asked, drained_until });
        true
    }

    /// Nothing is asked for any more; whether something was.
    pub(crate) fn forget(&mut self, service: ServiceKey, server: Option<SocketAddr>) -> bool {
        self.entries.remove(&(service, server)).is_some()
    }

    /// A drain starts anew: the end of an older one no longer counts.
    pub(crate) fn forget_end(&mut self, service: ServiceKey, server: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&(service, Some(server))) {
            entry.drained_until = None;
        }
    }

    /// When the next drain ends by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.drained_until).min()
    }

    /// Ends the drains whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(ServiceKey, SocketAddr)> {
        let mut over = Vec::new();
        for ((service, server), entry) in &mut self.entries {
            if entry.drained_until.is_some_and(|at| at <= now) {
                entry.drained_until = None;
                entry.asked.drained = false;
                over.extend(server.map(|server| (*service, server)));
            }
        }
        self.entries.retain(|_, entry| entry.asked != Asked::default());
        over
    }
}

fn key_of(record: &OverrideRecord) -> Option<ServiceKey> {
    if let Some(mark) = record.mark {
        return Some(ServiceKey::Mark { mark, family: Family::of(record.address) });
    }
    let known = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
    let protocol = known.into_iter().find(|protocol| protocol.name() == record.protocol)?;
    Some(ServiceKey::new(record.address, protocol, record.port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_of_every_kind_are_read_as_they_were_stored() {
        let mark = std::num::NonZeroU32::new(3).unwrap();
        let vip = "2001:db8::1".parse().unwrap();
        let keys = [
            ServiceKey::new(vip, Protocol::Tcp, 80),
            ServiceKey::new(vip, Protocol::Sctp, 80),
            ServiceKey::Mark { mark, family: Family::V4 },
            ServiceKey::Mark { mark, family: Family::V6 },
        ];
        let now = Instant::at(Duration::ZERO);
        let mut book = Book::default();
        for (weight, key) in (1..).zip(keys) {
            assert!(book.write(key, None, Asked { weight: Weight::new(weight), ..Asked::default() }, None));
        }
        let text = serde_json::to_string(&book.store(now)).unwrap();
        let read = Book::restore(now, serde_json::from_str(&text).unwrap());
        assert_eq!(keys.map(|key| read.asked(key, None).weight.map(Weight::get)), [1, 2, 3, 4].map(Some));
    }
}
