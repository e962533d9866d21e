//! Asking for a host that is silent on its path, so that it is found the moment it can be.
//!
//! While a cable is out the kernel gives up a neighbour, and asks for it once a second from then on: unicast heartbeats come
//! back up to a second after the cable, in one direction only where the other end still knows the way, and meanwhile two
//! nodes own what one is to give up. An ARP request or neighbour solicitation of ours with each status mends the tables of
//! both ends: the asked kernel learns from the question, the asking one from the answer.

use crate::links::Links;
use evenkeel_machine::Instant;
use evenkeel_model::Prefix;
use evenkeel_netlink::nexthop::Question;
use std::{net::IpAddr, time::Duration};

/// Between two questions there is at least so much, however short the keepalive is.
const LEAST: Duration = Duration::from_millis(25);
/// And not more where statuses are sent in a hurry.
const MOST: Duration = Duration::from_millis(90);

/// When the other end of a path was heard and asked for last.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Silence {
    heard: Option<Instant>,
    asked: Option<Instant>,
}

impl Silence {
    /// Whether to ask with what is sent now: once for each status while nothing has come for two of them.
    pub(super) fn asks(&mut self, now: Instant, keepalive: Duration) -> bool {
        // A status that leaves a little early counts too.
        let pace = (keepalive / 2).clamp(LEAST, MOST);
        let due = self.lasts(now, keepalive) && self.asked.is_none_or(|asked| now - asked >= pace);
        if due {
            self.asked = Some(now);
        }
        due
    }

    /// Something has come. Says whether to ask once more: this host may not know the way back.
    pub(super) fn ends(&mut self, now: Instant, keepalive: Duration) -> bool {
        let lasted = self.lasts(now, keepalive);
        self.heard = Some(now);
        lasted
    }

    fn lasts(&self, now: Instant, keepalive: Duration) -> bool {
        self.heard.is_none_or(|heard| now - heard > 2 * keepalive)
    }
}

/// Asks for `peer`, if it is on the link: in the subnet of an address that this host has there, and that does not move.
pub(super) fn question(ifindex: u32, peer: IpAddr, links: &Links) -> Option<Question> {
    let link = links.links.iter().find(|link| link.index == ifindex && link.running && !link.noarp)?;
    let stays = |protocol: Option<u8>| protocol != Some(super::PROTOCOL) && protocol != Some(crate::PROTOCOL);
    let own = links.addresses.iter().find(|own| {
        own.ifindex == ifindex
            && own.address != peer
            && stays(own.protocol)
            && !own.tentative
            && !own.duplicate
            && Prefix::new(own.address, own.prefix).is_ok_and(|subnet| subnet.contains(peer))
    })?;
    Some(Question { ifindex, ip: peer, destination: None, source: Some(own.address), source_mac: link.mac? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_netlink::{Address, Link, LinkKind, MacAddress};

    const KEEPALIVE: Duration = Duration::from_millis(200);

    fn at(milliseconds: u64) -> Instant {
        Instant::at(Duration::from_millis(milliseconds))
    }

    #[test]
    fn a_silent_host_is_asked_for_with_each_status_until_it_is_heard_and_once_then() {
        let mut silence = Silence::default();
        let asked = |silence: &mut Silence, times: &[u64]| {
            let asked = times.iter().filter(|time| silence.asks(at(**time), KEEPALIVE));
            asked.copied().collect::<Vec<u64>>()
        };
        assert_eq!(asked(&mut silence, &[0, 10, 20, 199, 200, 400, 500]), [0, 199, 400, 500], "once a status");
        assert!(silence.ends(at(410), KEEPALIVE), "the way back may not be known");
        assert!(!silence.ends(at(500), KEEPALIVE));
        assert_eq!(asked(&mut silence, &[600, 800, 900]), Vec::<u64>::new(), "two statuses may be late");
        assert_eq!(asked(&mut silence, &[901, 1100]), [901, 1100]);
        assert!(silence.ends(at(1200), KEEPALIVE));
    }

    #[test]
    fn however_short_the_keepalive_is_there_are_forty_questions_a_second() {
        let mut silence = Silence::default();
        let asked = (0..1000).filter(|time| silence.asks(at(*time), Duration::from_millis(1))).count();
        assert_eq!(asked, 40);
    }

    #[test]
    fn only_a_host_on_the_link_is_asked_for_from_an_address_that_stays() {
        let mac = Some(MacAddress([2, 0, 0, 0, 0, 1]));
        let link = Link { mac, ..Link::new(2, "eth0", LinkKind::Dummy) };
        let own = |text: &str, prefix, protocol| {
            let mut own = Address::new(2, text.parse().expect("address"), prefix);
            own.protocol = protocol;
            own
        };
        let addresses = vec![
            own("10.168.0.160", 24, Some(crate::heartbeat::PROTOCOL)),
            own("10.168.0.150", 24, Some(crate::PROTOCOL)),
            own("10.168.0.161", 24, None),
            own("fd00::161", 64, None),
        ];
        let mut links = Links { links: vec![link], addresses };
        let source = |links: &Links, ifindex, peer: &str| {
            let question = question(ifindex, peer.parse().expect("address"), links)?;
            question.source.map(|source| source.to_string())
        };
        assert_eq!(source(&links, 2, "10.168.0.162").as_deref(), Some("10.168.0.161"));
        assert_eq!(source(&links, 2, "fd00::162").as_deref(), Some("fd00::161"));
        assert_eq!(source(&links, 2, "10.0.0.2"), None, "behind a gateway");
        assert_eq!(source(&links, 3, "10.168.0.162"), None, "elsewhere");
        let spoils: [fn(&mut Link); 3] =
            [|link| link.running = false, |link| link.noarp = true, |link| link.mac = None];
        for spoil in spoils {
            let sound = links.links.clone();
            links.links.iter_mut().for_each(spoil);
            assert_eq!(source(&links, 2, "10.168.0.162"), None, "nobody can be asked there");
            links.links = sound;
        }
    }
}
