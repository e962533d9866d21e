//! Rates as the kernel's estimator gives them (net/netfilter/ipvs/ip_vs_est.c): every two seconds a quarter of the way
//! from the old rate to that of the last two seconds, in fixed point.

use evenkeel_dataplane::Counters;
use evenkeel_model::ServiceKey;
use std::{collections::HashMap, net::SocketAddr};

/// Fraction bits of connections and packets a second.
const FINE: u32 = 10;
/// Of bytes a second.
const COARSE: u32 = 5;

/// What a second brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Connections.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Packets to clients.
    pub packets_out: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes to clients.
    pub bytes_out: u64,
}

/// One quantity.
#[derive(Clone, Copy, Debug, Default)]
struct Estimate {
    last: u64,
    rate: u64,
}

impl Estimate {
    fn begin(now: u64) -> Estimate {
        Estimate { last: now, rate: 0 }
    }

    fn tick(&mut self, now: u64, bits: u32) {
        // Counters that were set to zero meanwhile begin again.
        let grown = now.saturating_sub(self.last);
        self.last = now;
        let current = grown.saturating_mul(1 << (bits - 1));
        self.rate = match current.checked_sub(self.rate) {
            Some(above) => self.rate + (above >> 2),
            // An arithmetic shift rounds down, so that a rate ends at 0.
            None => self.rate - (self.rate - current).div_ceil(4),
        };
    }

    fn per_second(self, bits: u32) -> u64 {
        let half = (1 << (bits - 1)) - 1;
        self.rate.saturating_add(half) >> bits
    }
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    round: u32,
    connections: Estimate,
    packets_in: Estimate,
    packets_out: Estimate,
    bytes_in: Estimate,
    bytes_out: Estimate,
}

type Counted = (ServiceKey, Option<SocketAddr>);

/// The rates of all services and real servers. To be fed every two seconds.
#[derive(Debug, Default)]
pub struct Rates {
    round: u32,
    entries: HashMap<Counted, Entry>,
}

impl Rates {
    /// Begins a round: whoever is not counted until [`Rates::end`] is forgotten.
    pub fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
    }

    /// The sums as they are now.
    pub fn count(&mut self, service: ServiceKey, real_server: Option<SocketAddr>, now: &Counters) {
        let round = self.round;
        // What is there in the first round has counted for nobody knows how long; what comes later has counted from 0.
        let begin = |now: u64| Estimate::begin(if round == 1 { now } else { 0 });
        let begin = || Entry {
            round,
            connections: begin(now.connections),
            packets_in: begin(now.packets_in),
            packets_out: begin(now.packets_out),
            bytes_in: begin(now.bytes_in),
            bytes_out: begin(now.bytes_out),
        };
        let entry = self.entries.entry((service, real_server)).or_insert_with(begin);
        entry.round = round;
        entry.connections.tick(now.connections, FINE);
        entry.packets_in.tick(now.packets_in, FINE);
        entry.packets_out.tick(now.packets_out, FINE);
        entry.bytes_in.tick(now.bytes_in, COARSE);
        entry.bytes_out.tick(now.bytes_out, COARSE);
    }

    /// Ends the round.
    pub fn end(&mut self) {
        let round = self.round;
        self.entries.retain(|_, entry| entry.round == round);
    }

    /// A service (all: `None`) counts from 0 again, and so do its rates.
    pub fn zero(&mut self, service: Option<&ServiceKey>) {
        match service {
            None => self.entries.clear(),
            Some(key) => self.entries.retain(|(service, _), _| service != key),
        }
    }

    /// What the last seconds brought.
    pub fn rate(&self, service: ServiceKey, real_server: Option<SocketAddr>) -> Rate {
        let Some(entry) = self.entries.get(&(service, real_server)) else { return Rate::default() };
        Rate {
            connections: entry.connections.per_second(FINE),
            packets_in: entry.packets_in.per_second(FINE),
            packets_out: entry.packets_out.per_second(FINE),
            bytes_in: entry.bytes_in.per_second(COARSE),
            bytes_out: entry.bytes_out.per_second(COARSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_model::Protocol;

    fn key(last: u8) -> ServiceKey {
        ServiceKey::new([192, 0, 2, last].into(), Protocol::Tcp, 80)
    }

    fn round(rates: &mut Rates, counted: &[(u8, u64)]) {
        rates.begin();
        for (last, sum) in counted {
            let sums = Counters { connections: *sum, bytes_in: *sum * 100, ..Counters::default() };
            rates.count(key(*last), None, &sums);
        }
        rates.end();
    }

    #[test]
    fn a_steady_rate_is_reached_in_quarters_and_left_in_quarters() {
        let mut rates = Rates::default();
        round(&mut rates, &[(1, 1000)]);
        assert_eq!(rates.rate(key(1), None), Rate::default(), "what was before it was looked at is no rate");
        let mut seen = Vec::new();
        for n in 1..=4 {
            round(&mut rates, &[(1, 1000 + n * 200)]);
            seen.push(rates.rate(key(1), None).connections);
        }
        // 100 a second: 25, 43.75, 57.8, 68.4.
        assert_eq!(seen, [25, 44, 58, 68]);
        assert_eq!(rates.rate(key(1), None).bytes_in, 6836);
        for _ in 0..60 {
            round(&mut rates, &[(1, 1800)]);
        }
        assert_eq!(rates.rate(key(1), None), Rate::default());
    }

    #[test]
    fn whoever_is_gone_is_forgotten_and_whoever_counts_from_0_has_no_rate() {
        let mut rates = Rates::default();
        round(&mut rates, &[(1, 0), (2, 0)]);
        round(&mut rates, &[(1, 4000), (2, 4000)]);
        assert!(rates.rate(key(2), None).connections > 0);
        round(&mut rates, &[(1, 8000)]);
        assert_eq!(rates.rate(key(2), None), Rate::default());
        assert_eq!(rates.entries.len(), 1);
        rates.zero(Some(&key(1)));
        round(&mut rates, &[(1, 0)]);
        assert_eq!(rates.rate(key(1), None), Rate::default());
    }

    #[test]
    fn whoever_is_new_has_counted_from_0() {
        let mut rates = Rates::default();
        round(&mut rates, &[]);
        round(&mut rates, &[(1, 800)]);
        assert_eq!(rates.rate(key(1), None).connections, 100);
    }
}
