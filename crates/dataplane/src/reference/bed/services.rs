//! What the bed serves.

use super::{
    Topic, any_port_address, client, loopback, marked_address, persistent_address, port, real_server, virtual_address,
};
use crate::{Change, RealServer, ServiceOptions};
use evenkeel_model::{
    Behaviour, ExpireGone, Family, Forwarding, GueChecksum, HashFlags, Match, Persistence, PersistenceEngine, Prefix,
    Protocol, Scheduler, ServiceKey, Sources, Thresholds, Tunnel, Weight,
};
use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
};

/// A family's services, as they come.
struct Laying {
    v6: bool,
    changes: Vec<Change>,
}

/// A real server to be added.
struct Member {
    address: SocketAddr,
    server: RealServer,
}

/// Real servers of the services that have several: last numbers and weights; 0 is the host itself.
const SEVERAL: [(u8, u32); 6] = [(3, 3), (4, 2), (5, 0), (6, 1), (7, 5), (0, 1)];

pub(super) fn changes(v6: bool, topics: &[Topic]) -> Vec<Change> {
    let mut laying = Laying { v6, changes: Vec::new() };
    for topic in topics {
        match topic {
            Topic::Direct => laying.direct(),
            Topic::Vlan => laying.on_ports(&[
                (port::VLAN, 106, Forwarding::DirectRouting),
                (port::SERVICE_VLAN, 107, Forwarding::DirectRouting),
                (port::BY_STACK, 108, Forwarding::DirectRouting),
            ]),
            Topic::Sctp => laying.sctp(topics),
            Topic::Schedulers => laying.schedulers(),
            Topic::Thresholds => laying.thresholds(),
            Topic::Gone => laying.gone(),
            Topic::Behaviour => laying.behaviour(),
            Topic::Persistence => laying.persistence(),
            Topic::Sip => laying.sip(),
            Topic::OnePacket => laying.one_packet(topics),
            Topic::Limits => laying.limits(),
            Topic::Marks => laying.marks(),
            Topic::Nat => laying.nat(Protocol::Tcp).nat(Protocol::Udp),
            Topic::FullNat => laying.fullnat(topics),
            Topic::Tunnels => laying.tunnels(),
            Topic::TooBig => laying.on_ports(&[(port::NARROW, 105, Forwarding::Tunnel(Tunnel::Ipip))]),
            Topic::Extensions | Topic::Fragments | Topic::Errors | Topic::OtherErrors | Topic::AnswerFragments => {
                &mut laying
            }
        };
    }
    laying.changes
}

/// The schedulers of [`port::LATER`].
pub(super) const SCHEDULERS: [Scheduler; 16] = {
    const BOTH: HashFlags = HashFlags { port: true, fallback: true };
    const PORT: HashFlags = HashFlags { port: true, fallback: false };
    const FALLBACK: HashFlags = HashFlags { port: false, fallback: true };
    const NONE: HashFlags = HashFlags { port: false, fallback: false };
    [
        Scheduler::LeastConnections,
        Scheduler::WeightedLeastConnections,
        Scheduler::ShortestExpectedDelay,
        Scheduler::NeverQueue,
        Scheduler::LocalityLeastConnections,
        Scheduler::LocalityLeastConnectionsReplicated,
        Scheduler::DestinationHash,
        Scheduler::SourceHash(NONE),
        Scheduler::SourceHash(PORT),
        Scheduler::SourceHash(FALLBACK),
        Scheduler::SourceHash(BOTH),
        Scheduler::MaglevHash(FALLBACK),
        Scheduler::MaglevHash(BOTH),
        Scheduler::WeightedFailover,
        Scheduler::WeightedOverflow,
        Scheduler::PowerOfTwo,
    ]
};

impl Laying {
    fn key(&self, protocol: Protocol, port: u16) -> ServiceKey {
        ServiceKey::new(virtual_address(self.v6), protocol, port)
    }

    fn add(&mut self, key: ServiceKey, options: ServiceOptions, members: Vec<Member>) -> &mut Laying {
        self.changes.push(Change::AddService(key, options));
        let members = members.into_iter();
        self.changes.extend(members.map(|member| Change::AddRealServer(key, member.address, member.server)));
        self
    }

    fn member(&self, host: u8, port: u16, weight: u32, forwarding: Forwarding) -> Member {
        let address = if host == 0 { loopback(self.v6) } else { real_server(self.v6, host) };
        let forwarding = if host == 0 { Forwarding::Local } else { forwarding };
        let weight = Weight::new(weight).unwrap_or(Weight::ONE);
        Member { address: SocketAddr::new(address, port), server: RealServer::new(weight, forwarding) }
    }

    fn several(&self, port: u16) -> Vec<Member> {
        let member = |(host, weight)| self.member(host, port, weight, Forwarding::DirectRouting);
        SEVERAL.into_iter().map(member).collect()
    }

    /// TCP and UDP services by rr with a real server each.
    fn on_ports(&mut self, ports: &[(u16, u8, Forwarding)]) -> &mut Laying {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for (number, host, forwarding) in ports {
                let member = self.member(*host, *number, 1, *forwarding);
                let options = ServiceOptions::new(Scheduler::RoundRobin);
                self.add(self.key(protocol, *number), options, vec![member]);
            }
        }
        self
    }

    /// TCP and UDP services with several real servers.
    fn shared(&mut self, number: u16, options: &ServiceOptions) -> &mut Laying {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            self.add(self.key(protocol, number), options.clone(), self.several(number));
        }
        self
    }

    fn direct(&mut self) -> &mut Laying {
        let direct = Forwarding::DirectRouting;
        self.on_ports(&[
            (port::INSIDE, 1, direct),
            (port::BACK, 2, direct),
            (port::LOCAL, 0, direct),
            (port::GATEWAY, 101, direct),
            (port::UNRESOLVED, 102, direct),
            (port::UNREACHABLE, 103, direct),
        ]);
        let v6 = self.v6;
        let [network, one, other] = prefixes(v6);
        let listed = Sources { allow: network.into_iter().collect(), deny: one.into_iter().collect() };
        let denying =
            Sources { allow: one.into_iter().collect(), deny: [network, other].into_iter().flatten().collect() };
        let rr = ServiceOptions::new(Scheduler::RoundRobin);
        let schedulers = [
            Scheduler::RoundRobin,
            Scheduler::WeightedRoundRobin,
            Scheduler::MaglevHash(HashFlags::default()),
            Scheduler::MaglevHash(HashFlags { port: true, fallback: false }),
            Scheduler::Maglev,
        ];
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let member = |laying: &Laying, number, weight| laying.member(1, number, weight, direct);
            let quiesced = member(self, port::QUIESCED, 0);
            self.add(self.key(protocol, port::QUIESCED), rr.clone(), vec![quiesced]);
            let wrr = ServiceOptions::new(Scheduler::WeightedRoundRobin);
            self.add(self.key(protocol, port::EMPTY), wrr, Vec::new());
            for (number, sources) in [(port::LISTED, &listed), (port::DENYING, &denying)] {
                let (member, sources) = (member(self, number, 1), sources.clone());
                self.add(self.key(protocol, number), ServiceOptions { sources, ..rr.clone() }, vec![member]);
            }
            for (number, scheduler) in port::SCHEDULED.into_iter().zip(schedulers) {
                self.add(self.key(protocol, number), ServiceOptions::new(scheduler), self.several(number));
            }
            let any = |number| ServiceKey::new(any_port_address(v6), protocol, number);
            let (every, inside) = (member(self, 0, 1), self.member(2, port::INSIDE, 1, direct));
            self.add(any(0), rr.clone(), vec![every]).add(any(port::INSIDE), rr.clone(), vec![inside]);
        }
        self
    }

    fn sctp(&mut self, topics: &[Topic]) -> &mut Laying {
        let direct = self.member(1, port::INSIDE, 1, Forwarding::DirectRouting);
        let rr = ServiceOptions::new(Scheduler::RoundRobin);
        self.add(self.key(Protocol::Sctp, port::INSIDE), rr, vec![direct]);
        let several = self.several(port::SCHEDULED[0]);
        self.add(self.key(Protocol::Sctp, port::SCHEDULED[0]), ServiceOptions::new(Scheduler::RoundRobin), several);
        if topics.contains(&Topic::Behaviour) {
            let direct = self.member(1, port::SLOPPY, 1, Forwarding::DirectRouting);
            self.add(self.key(Protocol::Sctp, port::SLOPPY), sloppy(), vec![direct]);
        }
        if topics.contains(&Topic::Nat) {
            self.nat(Protocol::Sctp);
        }
        self
    }

    fn schedulers(&mut self) -> &mut Laying {
        for (number, scheduler) in port::LATER.zip(SCHEDULERS) {
            self.shared(number, &ServiceOptions::new(scheduler));
        }
        self
    }

    fn thresholds(&mut self) -> &mut Laying {
        let schedulers = [
            Scheduler::RoundRobin,
            Scheduler::WeightedRoundRobin,
            Scheduler::LeastConnections,
            Scheduler::SourceHash(HashFlags { port: true, fallback: true }),
        ];
        for (number, scheduler) in port::FULL.zip(schedulers) {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let mut members = self.several(number);
                for (member, (upper, lower)) in members.iter_mut().zip([(4, 2), (8, 0), (3, 1), (0, 0), (6, 6), (5, 0)])
                {
                    member.server.thresholds = Thresholds { upper, lower };
                }
                self.add(self.key(protocol, number), ServiceOptions::new(scheduler), members);
            }
        }
        self
    }

    fn gone(&mut self) -> &mut Laying {
        for (number, expire_gone) in [(port::GIVING_UP, ExpireGone::All), (port::WAITING, ExpireGone::Never)] {
            let behaviour = Behaviour { expire_gone, ..Behaviour::default() };
            self.shared(number, &ServiceOptions { behaviour, ..ServiceOptions::new(Scheduler::RoundRobin) });
        }
        self
    }

    fn behaviour(&mut self) -> &mut Laying {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let direct = self.member(1, port::SLOPPY, 1, Forwarding::DirectRouting);
            self.add(self.key(protocol, port::SLOPPY), sloppy(), vec![direct]);
        }
        let behaviour = Behaviour { reuse: false, ..Behaviour::default() };
        self.shared(port::KEEPING, &ServiceOptions { behaviour, ..ServiceOptions::new(Scheduler::RoundRobin) })
    }

    fn persistence(&mut self) -> &mut Laying {
        let network = if self.v6 { 64 } else { 24 };
        let host = if self.v6 { 128 } else { 32 };
        let rr = || ServiceOptions::new(Scheduler::RoundRobin);
        let by_network = ServiceOptions { persistence: Some(persistence(407, network)), ..rr() };
        let behaviour = Behaviour { expire_quiescent_template: true, ..Behaviour::default() };
        let fickle = ServiceOptions { persistence: Some(persistence(407, host)), behaviour, ..rr() };
        self.shared(port::PERSISTENT, &by_network).shared(port::FICKLE, &fickle);
        let every = ServiceOptions { persistence: Some(persistence(715, host)), ..rr() };
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let key = ServiceKey::new(persistent_address(self.v6), protocol, 0);
            self.add(key, every.clone(), self.several(0));
        }
        self
    }

    fn sip(&mut self) -> &mut Laying {
        let host = if self.v6 { 128 } else { 32 };
        let engine = PersistenceEngine::Sip;
        let persistence = Some(Persistence { engine, ..persistence(407, host) });
        let options = ServiceOptions { persistence, ..ServiceOptions::new(Scheduler::RoundRobin) };
        self.add(self.key(Protocol::Udp, port::SIP), options, self.several(port::SIP))
    }

    fn one_packet(&mut self, topics: &[Topic]) -> &mut Laying {
        let options = ServiceOptions { one_packet: true, ..ServiceOptions::new(Scheduler::RoundRobin) };
        self.add(self.key(Protocol::Udp, port::ONE_PACKET), options.clone(), self.several(port::ONE_PACKET));
        let translated = [
            (Topic::Nat, port::ONE_PACKET_NAT, 21, Forwarding::Nat),
            (Topic::FullNat, port::ONE_PACKET_FULLNAT, 22, Forwarding::FullNat),
        ];
        for (_, number, host, forwarding) in translated.into_iter().filter(|(topic, ..)| topics.contains(topic)) {
            let member = self.member(host, port::SERVER, 1, forwarding);
            self.add(self.key(Protocol::Udp, number), options.clone(), vec![member]);
        }
        if topics.contains(&Topic::Persistence) {
            let host = if self.v6 { 128 } else { 32 };
            let options = ServiceOptions { persistence: Some(persistence(407, host)), ..options };
            let number = port::ONE_PACKET_PERSISTENT;
            self.add(self.key(Protocol::Udp, number), options, self.several(number));
        }
        self
    }

    fn limits(&mut self) -> &mut Laying {
        for (number, new_rate, source_rate) in [(port::LIMITED, Some(1), None), (port::SOURCE_LIMITED, None, Some(1))] {
            let behaviour = Behaviour { new_rate, source_rate, ..Behaviour::default() };
            let options = ServiceOptions { behaviour, ..ServiceOptions::new(Scheduler::RoundRobin) };
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let member = self.member(1, number, 1, Forwarding::DirectRouting);
                self.add(self.key(protocol, number), options.clone(), vec![member]);
            }
        }
        self
    }

    fn marks(&mut self) -> &mut Laying {
        let family = if self.v6 { Family::V6 } else { Family::V4 };
        let whole = if self.v6 { 128 } else { 32 };
        let to = |address, length| Prefix::new(address, length).ok();
        let Some(destination) = to(marked_address(self.v6), whole) else { return self };
        let wide = to(marked_address(self.v6), whole - 1).unwrap_or(destination);
        let any = Match { destination, source: None, protocol: None, ports: None };
        let of_one = to(client(self.v6, 66), whole);
        // The second mark's match is as long as the first's, and comes after it; the third's is wider than both.
        let matches = [
            vec![Match { protocol: Some(6), ports: Some(port::MARKED), ..any }],
            vec![
                Match {
                    source: of_one,
                    protocol: Some(17),
                    ports: Some((port::MARKED_OTHER, port::MARKED_OTHER)),
                    ..any
                },
                Match { source: of_one, protocol: Some(50), ..any },
            ],
            vec![Match { destination: wide, source: None, protocol: Some(17), ports: Some((300, 400)) }],
        ];
        for ((mark, matches), host) in (1..).zip(matches).zip([1, 2, 1]) {
            let Some(mark) = NonZeroU32::new(mark) else { continue };
            let member = self.member(host, 0, 1, Forwarding::DirectRouting);
            let options = ServiceOptions { matches, ..ServiceOptions::new(Scheduler::RoundRobin) };
            self.add(ServiceKey::Mark { mark, family }, options, vec![member]);
        }
        self
    }

    fn nat(&mut self, protocol: Protocol) -> &mut Laying {
        for (number, host) in [(port::NAT, 21), (port::NAT_TWIN, 21), (port::NAT_UNRESOLVED, 102)] {
            let member = self.member(host, port::SERVER, 1, Forwarding::Nat);
            self.add(self.key(protocol, number), ServiceOptions::new(Scheduler::RoundRobin), vec![member]);
        }
        let same = self.member(21, port::NAT_SAME, 1, Forwarding::Nat);
        self.add(self.key(protocol, port::NAT_SAME), ServiceOptions::new(Scheduler::RoundRobin), vec![same])
    }

    fn fullnat(&mut self, topics: &[Topic]) -> &mut Laying {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            for (number, host) in [(port::FULLNAT, 22), (port::FULLNAT_NO_OWN, 104)] {
                let member = self.member(host, port::SERVER, 1, Forwarding::FullNat);
                self.add(self.key(protocol, number), ServiceOptions::new(Scheduler::RoundRobin), vec![member]);
            }
            if topics.contains(&Topic::Nat) && topics.contains(&Topic::Tunnels) {
                let number = port::MIXED;
                let members = vec![
                    self.member(1, number, 1, Forwarding::DirectRouting),
                    self.member(21, 8081, 1, Forwarding::Nat),
                    self.member(22, 8081, 1, Forwarding::FullNat),
                    self.member(23, number, 1, Forwarding::Tunnel(Tunnel::Ipip)),
                    self.member(0, number, 1, Forwarding::Local),
                ];
                self.add(self.key(protocol, number), ServiceOptions::new(Scheduler::RoundRobin), members);
            }
        }
        self
    }

    fn tunnels(&mut self) -> &mut Laying {
        let gue = |checksum| Forwarding::Tunnel(Tunnel::Gue { port: port::GUE_OUTER, checksum });
        let gre = |checksum| Forwarding::Tunnel(Tunnel::Gre { checksum });
        let ipip = Forwarding::Tunnel(Tunnel::Ipip);
        self.on_ports(&[
            (port::IPIP, 23, ipip),
            (port::GRE, 23, gre(false)),
            (port::GRE_SUM, 24, gre(true)),
            (port::GUE, 25, gue(GueChecksum::None)),
            (port::GUE_SUM, 26, gue(GueChecksum::Full)),
            (port::GUE_REMOTE, 27, gue(GueChecksum::Remote)),
            (port::TUNNEL_NO_OWN, 104, ipip),
            (port::TUNNEL_UNRESOLVED, 102, ipip),
        ]);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let cross = [
                (port::IPIP_CROSS, 28, ipip),
                (port::GRE_CROSS, 28, gre(true)),
                (port::GUE_CROSS, 28, gue(GueChecksum::None)),
            ];
            for (number, host, forwarding) in cross {
                let other = Laying { v6: !self.v6, changes: Vec::new() };
                let member = other.member(host, number, 1, forwarding);
                self.add(self.key(protocol, number), ServiceOptions::new(Scheduler::RoundRobin), vec![member]);
            }
        }
        self
    }
}

fn sloppy() -> ServiceOptions {
    let behaviour = Behaviour { sloppy: true, ..Behaviour::default() };
    ServiceOptions { behaviour, ..ServiceOptions::new(Scheduler::RoundRobin) }
}

fn persistence(timeout: u32, prefix: u8) -> Persistence {
    Persistence { timeout, prefix, engine: PersistenceEngine::Address }
}

/// The clients' network, the client that ends in 66, and the one that ends in 77.
fn prefixes(v6: bool) -> [Option<Prefix>; 3] {
    let (network, host) = if v6 { (48, 128) } else { (24, 32) };
    let prefix = |(last, length): (u8, u8)| -> Option<Prefix> {
        let address: IpAddr = client(v6, last);
        Prefix::new(address, length).ok()
    };
    [(0, network), (66, host), (77, host)].map(prefix)
}
