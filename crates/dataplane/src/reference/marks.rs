//! Which service a packet is for (PP-4, PP-39).

use super::{Memory, parse::Flow};
use evenkeel_abi::filter_bit_of;
use evenkeel_model::{Match, Protocol, ServiceKey};
use std::net::IpAddr;

impl Memory {
    /// The service that answers for a flow: that of its mark, else that of its port, else that of every port.
    pub(super) fn service_of(&self, flow: &Flow) -> Option<ServiceKey> {
        let (address, protocol) = (flow.service.ip(), Protocol::from_number(flow.protocol));
        let key = |port| Some(ServiceKey::Address { address, protocol: protocol?, port });
        let by_address = [key(flow.service.port()), key(0)].into_iter().flatten();
        let mut keys = self.marked(flow).into_iter().chain(by_address);
        keys.find(|key| self.services.contains_key(key))
    }

    /// The service whose matches, in the order of the marks, hold the flow first.
    fn marked(&self, flow: &Flow) -> Option<ServiceKey> {
        let holds = |matches: &[Match]| matches.iter().any(|one| holds(one, flow));
        let mut marks = self.services.iter().filter(|(key, _)| key.mark().is_some());
        marks.find(|(_, service)| holds(&service.options.matches)).map(|(key, _)| *key)
    }

    /// Whether packets to this address may be for a service, as far as the first look tells (PP-3).
    pub(super) fn may_be_virtual(&self, address: IpAddr) -> bool {
        let bit = filter_bit_of(address);
        self.services.iter().any(|(key, service)| {
            key.address().is_some_and(|address| filter_bit_of(address) == bit)
                || service.options.matches.iter().any(|one| one.destination.contains(address))
        })
    }
}

/// Whether a match means this flow.
fn holds(one: &Match, flow: &Flow) -> bool {
    one.destination.contains(flow.service.ip())
        && one.source.is_none_or(|source| source.contains(flow.client.ip()))
        && one.protocol.is_none_or(|protocol| protocol == flow.protocol)
        && one.ports.is_none_or(|(first, last)| (first..=last).contains(&flow.service.port()))
}
