//! Bounds on new connections a second (PP-38): token buckets that hold one second's worth.

use super::{Memory, clock::Clock, parse::Flow};
use evenkeel_abi::Reason;
use evenkeel_model::{Prefix, ServiceKey};
use std::{collections::BTreeMap, net::IpAddr};

/// Most sources whose budgets are kept; one that has not been spent from for a second is full, and need not be.
const SOURCES: usize = 65_536;

/// What is left of a budget, in parts of a connection: as many to one as a second has ticks.
#[derive(Clone, Copy, Debug)]
struct Budget {
    left: u64,
    seen: u64,
}

/// Budgets of services, and of sources of a service.
#[derive(Clone, Debug, Default)]
pub(super) struct Budgets {
    services: BTreeMap<ServiceKey, Budget>,
    sources: BTreeMap<(ServiceKey, IpAddr), Budget>,
}

impl Budget {
    fn full(rate: u32, clock: Clock) -> Budget {
        Budget { left: clock.ticks(rate), seen: clock.now }
    }

    /// Takes one connection from it, if there is one.
    fn spend(&mut self, rate: u32, clock: Clock) -> bool {
        let gained = clock.idle(self.seen).saturating_mul(u64::from(rate));
        let (left, one) = ((self.left + gained).min(clock.ticks(rate)), clock.ticks(1));
        if left < one {
            return false;
        }
        *self = Budget { left: left - one, seen: clock.now };
        true
    }
}

impl Budgets {
    /// A service that is gone begins anew when it comes back.
    pub(super) fn forget(&mut self, key: &ServiceKey) {
        self.services.remove(key);
        self.sources.retain(|(service, _), _| service != key);
    }
}

impl Memory {
    /// Counts a connection that is to be made; the source's bound goes first.
    pub(super) fn spend(&mut self, key: ServiceKey, flow: &Flow) -> Result<(), Reason> {
        let Some(service) = self.services.get(&key) else { return Err(Reason::NotOurs) };
        let (clock, behaviour) = (self.clock, service.options.behaviour);
        let whole = if flow.client.is_ipv4() { 32 } else { 64 };
        let source = Prefix::new(flow.client.ip(), whole).map_or(flow.client.ip(), Prefix::address);
        if let Some(rate) = behaviour.source_rate {
            self.budgets.sources.retain(|_, budget| !clock.is_past(budget.seen, 1));
            if self.budgets.sources.len() < SOURCES {
                let budget = self.budgets.sources.entry((key, source)).or_insert(Budget::full(rate, clock));
                budget.spend(rate, clock).then_some(()).ok_or(Reason::Limited)?;
            }
        }
        if let Some(rate) = behaviour.new_rate {
            let budget = self.budgets.services.entry(key).or_insert(Budget::full(rate, clock));
            budget.spend(rate, clock).then_some(()).ok_or(Reason::Limited)?;
        }
        Ok(())
    }
}
