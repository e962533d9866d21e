//! `keepalived.stats`: counters.

use super::Standing;
use evenkeel_vrrp::{Reason, Statistics};

/// One instance's counters as keepalived has them.
pub(super) struct Counters {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) became_master: u64,
    pub(super) released_master: u64,
    pub(super) length: u64,
    pub(super) hops: u64,
    pub(super) kind: u64,
    pub(super) interval: u64,
    pub(super) addresses: u64,
    pub(super) unknown_authentication: u64,
    pub(super) other_authentication: u64,
    pub(super) authentication: u64,
    pub(super) farewells_received: u64,
    pub(super) farewells_sent: u64,
}

impl From<&Statistics> for Counters {
    fn from(statistics: &Statistics) -> Counters {
        let dropped = |reasons: &[Reason]| reasons.iter().map(|reason| statistics.wrong(*reason)).sum();
        let addresses = dropped(&[Reason::Addresses]);
        Counters {
            received: statistics.received,
            sent: statistics.sent,
            became_master: statistics.became_master,
            released_master: statistics.released_master,
            length: dropped(&[Reason::Header, Reason::Length]),
            hops: dropped(&[Reason::Hops]),
            kind: dropped(&[Reason::Type]),
            interval: dropped(&[Reason::Interval]),
            addresses,
            unknown_authentication: dropped(&[Reason::UnknownAuthentication]),
            other_authentication: dropped(&[Reason::AuthenticationType]),
            authentication: dropped(&FAILED),
            farewells_received: statistics.farewells_received,
            farewells_sent: statistics.farewells_sent,
        }
    }
}

/// What keepalived counts as a failure of authentication.
const FAILED: [Reason; 10] = [
    Reason::Authentication,
    Reason::Replay,
    Reason::Unsigned,
    Reason::TrailerLength,
    Reason::TrailerType,
    Reason::TrailerReserved,
    Reason::UnknownKey,
    Reason::Hash,
    Reason::Stale,
    Reason::Future,
];

pub(super) fn text(instances: &[Standing<'_>]) -> String {
    instances.iter().map(|standing| one(&standing.instance.name, &Counters::from(&standing.statistics))).collect()
}

fn one(name: &str, counters: &Counters) -> String {
    let Counters { received, sent, became_master, released_master, length, hops, kind, interval, addresses, .. } =
        counters;
    let Counters { unknown_authentication, other_authentication, authentication, .. } = counters;
    let Counters { farewells_received, farewells_sent, .. } = counters;
    format!(
        "\
VRRP Instance: {name}
  Advertisements:
    Received: {received}
    Sent: {sent}
  Became master: {became_master}
  Released master: {released_master}
  Packet Errors:
    Length: {length}
    TTL: {hops}
    Invalid Type: {kind}
    Advertisement Interval: {interval}
    Address List: {addresses}
  Authentication Errors:
    Invalid Type: {unknown_authentication}
    Type Mismatch: {other_authentication}
    Failure: {authentication}
  Priority Zero:
    Received: {farewells_received}
    Sent: {farewells_sent}
"
    )
}
