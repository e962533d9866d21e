//! What `lblc` and `lblcr` remember of destinations (PP-31).

use super::{super::clock::Clock, ServerId};
use crate::schedule::{Loaded, locality};
use evenkeel_model::ServiceKey;
use std::{collections::BTreeMap, net::IpAddr};

/// Most destinations over all services.
const DESTINATIONS: usize = 65_536;
/// How long one that is not seen is remembered.
const SECONDS: u32 = 86_400;

/// Destinations of all services.
#[derive(Clone, Debug, Default)]
pub(in crate::reference) struct Locality {
    known: BTreeMap<(ServiceKey, IpAddr), Remembered>,
}

#[derive(Clone, Debug)]
struct Remembered {
    set: locality::Set<ServerId>,
    seen: u64,
}

impl Locality {
    pub(super) fn lblc(
        &mut self,
        service: ServiceKey,
        destination: IpAddr,
        clock: Clock,
        list: &[ServerId],
        loads: &[Loaded],
    ) -> Option<ServerId> {
        let known = self.known(service, destination, clock);
        let member = known.and_then(|set| set.members.first().copied());
        let place = member.and_then(|member| list.iter().position(|id| *id == member));
        let chosen = *list.get(locality::lblc(loads, place)?)?;
        self.remember(service, destination, clock, locality::Set { members: vec![chosen], changed: 0 });
        Some(chosen)
    }

    pub(super) fn lblcr(
        &mut self,
        service: ServiceKey,
        destination: IpAddr,
        clock: Clock,
        list: &[ServerId],
        loads: &[Loaded],
    ) -> Option<ServerId> {
        let servers: Vec<(ServerId, Loaded)> = list.iter().copied().zip(loads.iter().copied()).collect();
        let mut set = self.known(service, destination, clock).unwrap_or_default();
        let chosen = set.choose(&servers, clock.now, clock.ticks(SECONDS))?;
        self.remember(service, destination, clock, set);
        Some(chosen)
    }

    fn known(&self, service: ServiceKey, destination: IpAddr, clock: Clock) -> Option<locality::Set<ServerId>> {
        let remembered = self.known.get(&(service, destination))?;
        (!clock.is_past(remembered.seen, SECONDS)).then(|| remembered.set.clone())
    }

    fn remember(&mut self, service: ServiceKey, destination: IpAddr, clock: Clock, set: locality::Set<ServerId>) {
        self.known.insert((service, destination), Remembered { set, seen: clock.now });
        if self.known.len() > DESTINATIONS {
            let oldest = self.known.iter().min_by_key(|(_, remembered)| remembered.seen).map(|(name, _)| *name);
            oldest.and_then(|name| self.known.remove(&name));
        }
    }

    /// Forgets what has not been seen for long.
    pub(in crate::reference) fn sweep(&mut self, clock: Clock) {
        self.known.retain(|_, remembered| !clock.is_past(remembered.seen, SECONDS));
    }
}
