//! The book of overrides: sparse, since few real servers are ever not as the files say.

use crate::{DrainEnd, OverrideRecord, Overrides, service::Asked};
use evenkeel_machine::Instant;
use evenkeel_model::{Family, Protocol, ServiceKey, Weight};
use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// Entries at the most; requests beyond are refused.
pub(crate) const ENTRIES: usize = 100_000;

type Key = (ServiceKey, Option<SocketAddr>);

/// What will become of a drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Until {
    /// It ends by itself.
    pub(crate) over_at: Option<Instant>,
    /// The connections that are left are ended.
    pub(crate) end: Option<Ending>,
}

/// When and how the last connections of a drained real server are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// At the latest.
    pub(crate) at: Instant,
    /// As soon as no more than these are active.
    pub(crate) keep: u32,
    pub(crate) since: Instant,
    /// How long it had drained already at `since`, under earlier daemons.
    pub(crate) before: Duration,
}

/// One entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    asked: Asked,
    until: Until,
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
            let over_at = record.drained_for_ms.filter(|_| drained).map(|ms| now + Duration::from_millis(ms));
            let end = record.drain_end.filter(|_| drained).map(|end| Ending {
                at: now + Duration::from_millis(end.in_ms),
                keep: end.keep,
                since: now,
                before: Duration::from_millis(end.after_ms),
            });
            Some(((service, record.real_server), Entry { asked, until: Until { over_at, end } }))
        };
        let told = |(_, entry): &(Key, Entry)| entry.asked != Asked::default();
        Book { entries: stored.records.into_iter().filter_map(entry).filter(told).take(ENTRIES).collect() }
    }

    /// To be stored.
    pub(crate) fn store(&self, now: Instant) -> Overrides {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let record = |((service, real_server), entry): (&Key, &Entry)| OverrideRecord {
            address: service.address().unwrap_or(service.family().unspecified()),
            protocol: service.protocol_name().to_owned(),
            port: service.port(),
            mark: service.mark(),
            real_server: *real_server,
            disabled: entry.asked.disabled,
            drained: entry.asked.drained,
            drained_for_ms: entry.until.over_at.map(|at| ms(at - now)),
            drain_end: entry.until.end.map(|end| DrainEnd {
                in_ms: ms(end.at - now),
                after_ms: ms(end.before + (now - end.since)),
                keep: end.keep,
            }),
            weight: entry.asked.weight.map(Weight::get),
        };
        Overrides { records: self.entries.iter().map(record).collect() }
    }

    /// What holds for a real server, or with `None` for the service itself.
    pub(crate) fn asked(&self, service: ServiceKey, server: Option<SocketAddr>) -> Asked {
        self.entries.get(&(service, server)).map(|entry| entry.asked).unwrap_or_default()
    }

    /// Writes what holds from now on; false when the book is full. What a drain is to end with stays where `until` says
    /// nothing of it.
    pub(crate) fn write(
        &mut self,
        service: ServiceKey,
        server: Option<SocketAddr>,
        asked: Asked,
        until: Until,
    ) -> bool {
        if asked == Asked::default() {
            self.entries.remove(&(service, server));
            return true;
        }
        if self.entries.len() >= ENTRIES && !self.entries.contains_key(&(service, server)) {
            return false;
        }
        let before = self.entries.get(&(service, server)).map(|entry| entry.until).unwrap_or_default();
        let until = Until { over_at: until.over_at.or(before.over_at), end: until.end.or(before.end) };
        let until = if asked.drained { until } else { Until::default() };
        self.entries.insert((service, server), Entry { asked, until });
        true
    }

    /// Nothing is asked for any more; whether something was.
    pub(crate) fn forget(&mut self, service: ServiceKey, server: Option<SocketAddr>) -> bool {
        self.entries.remove(&(service, server)).is_some()
    }

    /// A drain starts anew: the end of an older one no longer counts.
    pub(crate) fn forget_end(&mut self, service: ServiceKey, server: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&(service, Some(server))) {
            entry.until = Until::default();
        }
    }

    /// The last connections of a drain have been ended, or could not be; whether that was still to come.
    pub(crate) fn has_ended(&mut self, service: ServiceKey, server: SocketAddr) -> bool {
        self.entries.get_mut(&(service, Some(server))).is_some_and(|entry| entry.until.end.take().is_some())
    }

    /// The drains whose last connections are to be ended.
    pub(crate) fn endings(&self) -> impl Iterator<Item = (ServiceKey, SocketAddr, Ending)> {
        self.entries.iter().filter_map(|((service, server), entry)| Some((*service, (*server)?, entry.until.end?)))
    }

    /// When the next drain ends by itself.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.entries.values().filter_map(|entry| entry.until.over_at).min()
    }

    /// Ends the drains whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<(ServiceKey, SocketAddr)> {
        let mut over = Vec::new();
        for ((service, server), entry) in &mut self.entries {
            if entry.until.over_at.is_some_and(|at| at <= now) {
                entry.until = Until::default();
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
            assert!(book.write(key, None, Asked { weight: Weight::new(weight), ..Asked::default() }, Until::default()));
        }
        let text = serde_json::to_string(&book.store(now)).unwrap();
        let read = Book::restore(now, serde_json::from_str(&text).unwrap());
        assert_eq!(keys.map(|key| read.asked(key, None).weight.map(Weight::get)), [1, 2, 3, 4].map(Some));
    }
}
