//! Announcements that keep a distance from each other: on interfaces with a pause one packet leaves at a time, the
//! addresses taking turns (`vrrp_garp_interval`, `garp_group`).

use evenkeel_machine::Instant;
use evenkeel_model::vrrp::Pause;
use evenkeel_vrrp::Place;
use std::{collections::VecDeque, net::IpAddr, time::Duration};

/// What waits for its turn on all interfaces.
#[derive(Debug, Default)]
pub(crate) struct Pacing {
    pauses: Vec<Pause>,
    lanes: Vec<Lane>,
}

/// Interfaces, or one, whose packets of one family wait for each other.
#[derive(Debug)]
struct Lane {
    pause: usize,
    /// Where the pause is of each interface by itself.
    interface: Option<String>,
    ipv6: bool,
    /// No packet leaves before.
    free_at: Instant,
    /// Each address of an instance once.
    queue: VecDeque<Waiting>,
}

/// An address that is still to be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// The instance it belongs to.
    pub(crate) place: Place,
    pub(crate) address: IpAddr,
    /// How often.
    pub(crate) rounds: u8,
}

impl Pacing {
    /// Paces by these from now on. What waits is given back where they are others.
    pub(crate) fn follow(&mut self, pauses: Vec<Pause>) -> Vec<Waiting> {
        if self.pauses == pauses {
            return Vec::new();
        }
        self.pauses = pauses;
        std::mem::take(&mut self.lanes).into_iter().flat_map(|lane| lane.queue).collect()
    }

    /// Takes what is to be announced on `interface`, if its packets are paced; says whether it did.
    pub(crate) fn take(&mut self, now: Instant, interface: &str, waiting: Waiting) -> bool {
        let ipv6 = waiting.address.is_ipv6();
        let Some((pause, own)) = self.pause_of(interface, ipv6) else { return false };
        let own = own.then_some(interface);
        let is_it = |lane: &Lane| (lane.pause, lane.interface.as_deref(), lane.ipv6) == (pause, own, ipv6);
        let at = self.lanes.iter().position(is_it).unwrap_or_else(|| {
            let queue = VecDeque::new();
            self.lanes.push(Lane { pause, interface: own.map(str::to_owned), ipv6, free_at: now, queue });
            self.lanes.len() - 1
        });
        let Some(lane) = self.lanes.get_mut(at) else { return false };
        let same = |known: &&mut Waiting| (known.place, known.address) == (waiting.place, waiting.address);
        match lane.queue.iter_mut().find(same) {
            Some(known) => known.rounds = known.rounds.max(waiting.rounds),
            None => lane.queue.push_back(waiting),
        }
        true
    }

    /// Whether packets on `interface` are paced.
    pub(crate) fn paces(&self, interface: &str, ipv6: bool) -> bool {
        self.pause_of(interface, ipv6).is_some()
    }

    /// Which pause holds on `interface`, and whether for it by itself.
    fn pause_of(&self, interface: &str, ipv6: bool) -> Option<(usize, bool)> {
        let named = self.pauses.iter().position(|pause| pause.interfaces.iter().any(|name| name == interface));
        let at = named.or_else(|| self.pauses.iter().position(|pause| pause.interfaces.is_empty()))?;
        let pause = self.pauses.get(at)?;
        (!length(pause, ipv6).is_zero()).then_some((at, pause.interfaces.is_empty()))
    }

    /// When the next packet may leave.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.lanes.iter().filter(|lane| !lane.queue.is_empty()).map(|lane| lane.free_at).min()
    }

    /// Hands out one address of each lane that is free, and of which `send` says that it is still to be announced.
    pub(crate) fn due(&mut self, now: Instant, mut send: impl FnMut(Waiting) -> bool) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.free_at <= now) {
            let Some(pause) = self.pauses.get(lane.pause) else { continue };
            while let Some(waiting) = lane.queue.pop_front() {
                if waiting.rounds == 0 || !send(waiting) {
                    continue;
                }
                lane.free_at = now + length(pause, lane.ipv6);
                let rounds = waiting.rounds - 1;
                if rounds > 0 {
                    lane.queue.push_back(Waiting { rounds, ..waiting });
                }
                break;
            }
        }
    }
}

fn length(pause: &Pause, ipv6: bool) -> Duration {
    if ipv6 { pause.neighbour } else { pause.arp }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_millis(100);

    fn pause(interfaces: &[&str]) -> Pause {
        let interfaces = interfaces.iter().map(|&name| name.to_owned()).collect();
        Pause { interfaces, arp: STEP, neighbour: Duration::ZERO }
    }

    fn waiting(last: u8, rounds: u8) -> Waiting {
        Waiting { place: 0, address: [192, 0, 2, last].into(), rounds }
    }

    /// All that leaves, with when, in steps.
    fn run(pacing: &mut Pacing) -> Vec<(u128, u8)> {
        let mut left = Vec::new();
        while let Some(now) = pacing.deadline() {
            pacing.due(now, |one| {
                let IpAddr::V4(address) = one.address else { panic!("of IPv4") };
                left.push((now.since_start().as_nanos() / STEP.as_nanos(), address.octets()[3]));
                true
            });
        }
        left
    }

    #[test]
    fn addresses_take_turns_and_keep_the_pause() {
        let mut pacing = Pacing::default();
        pacing.follow(vec![pause(&[])]);
        for last in [1, 2] {
            assert!(pacing.take(Instant::START, "eth0", waiting(last, 2)));
        }
        assert_eq!(run(&mut pacing), [(0, 1), (1, 2), (2, 1), (3, 2)]);
        // Another one right behind waits as well.
        let last = Instant::at(3 * STEP);
        assert!(pacing.take(last, "eth0", waiting(1, 1)));
        assert_eq!(run(&mut pacing), [(4, 1)]);
    }

    #[test]
    fn interfaces_of_a_group_wait_for_each_other_and_others_do_not() {
        let mut pacing = Pacing::default();
        pacing.follow(vec![pause(&["eth0", "eth1"]), pause(&[])]);
        for (last, interface) in [(1, "eth0"), (2, "eth1"), (3, "eth2"), (4, "eth3")] {
            assert!(pacing.take(Instant::START, interface, waiting(last, 1)));
        }
        let mut left = run(&mut pacing);
        left.sort_unstable();
        assert_eq!(left, [(0, 1), (0, 3), (0, 4), (1, 2)]);
    }

    #[test]
    fn what_has_no_pause_is_left_to_be_sent_at_once() {
        let mut pacing = Pacing::default();
        assert!(!pacing.take(Instant::START, "eth0", waiting(1, 5)));
        pacing.follow(vec![pause(&["eth0"])]);
        let six = Waiting { place: 0, address: "fe80::1".parse().unwrap(), rounds: 5 };
        assert!(!pacing.take(Instant::START, "eth0", six) && !pacing.take(Instant::START, "eth1", waiting(1, 5)));
        assert_eq!(pacing.deadline(), None);
    }

    #[test]
    fn an_address_waits_once_however_often_it_is_announced() {
        let mut pacing = Pacing::default();
        pacing.follow(vec![pause(&[])]);
        for _ in 0..1000 {
            pacing.take(Instant::START, "eth0", waiting(1, 3));
        }
        assert_eq!(pacing.lanes[0].queue, [waiting(1, 3)]);
        // One that is held no more takes nobody's turn.
        pacing.take(Instant::START, "eth0", waiting(2, 1));
        let mut left = Vec::new();
        pacing.due(Instant::START, |one| {
            left.push(one);
            one.address == waiting(2, 1).address
        });
        assert_eq!((left.len(), pacing.deadline()), (2, None));
    }

    #[test]
    fn another_pause_gives_back_what_waits() {
        let mut pacing = Pacing::default();
        assert!(pacing.follow(vec![pause(&[])]).is_empty());
        pacing.take(Instant::START, "eth0", waiting(1, 3));
        assert!(pacing.follow(vec![pause(&[])]).is_empty());
        assert_eq!(pacing.follow(Vec::new()), [waiting(1, 3)]);
        assert_eq!(pacing.deadline(), None);
    }
}
