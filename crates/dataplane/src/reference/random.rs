//! Random packets to the services of the bed, most of them nearly right: connections that go on, are repeated, end and
//! begin again, with something broken in every few.

mod answers;

use super::{
    Memory, Topic,
    bed::{self, port},
    build::{self, ACK, FIN, Frame, PSH, RST, SYN},
};
use evenkeel_machine::Rng;
use std::net::{IpAddr, SocketAddr};

/// Clients' ports: few, so that connections are met again.
const PORTS: u64 = 40;
/// Clients.
const CLIENTS: u64 = 6;

/// Makes frames about some topics.
pub struct Random {
    topics: Vec<Topic>,
    /// Ports that frames are sent to.
    ports: Vec<u16>,
}

impl Random {
    /// About these topics.
    pub fn new(topics: &[Topic]) -> Random {
        let of = |topic: &Topic| -> Vec<u16> {
            match topic {
                Topic::Direct => vec![port::INSIDE, port::INSIDE, port::NONE]
                    .into_iter()
                    .chain(port::INSIDE..=port::DENYING)
                    .chain(port::SCHEDULED)
                    .collect(),
                Topic::Vlan => vec![port::VLAN, port::SERVICE_VLAN, port::BY_STACK],
                // What twos chooses does not show where the packet is dropped.
                Topic::Schedulers => port::LATER.rev().skip(1).collect(),
                Topic::Thresholds => port::FULL.collect(),
                Topic::Gone => vec![port::GIVING_UP, port::WAITING],
                Topic::Behaviour => vec![port::SLOPPY, port::KEEPING],
                Topic::Persistence => vec![port::PERSISTENT, port::FICKLE],
                Topic::Sip => vec![port::SIP],
                Topic::OnePacket => {
                    vec![port::ONE_PACKET, port::ONE_PACKET_PERSISTENT, port::ONE_PACKET_NAT, port::ONE_PACKET_FULLNAT]
                }
                // Bounds depend on the time that really passes.
                Topic::Limits => Vec::new(),
                Topic::Marks => vec![200, 204, port::MARKED_OTHER, 210, 211, 300],
                Topic::Nat => {
                    vec![
                        port::NAT,
                        port::NAT,
                        port::NAT_TWIN,
                        port::NAT_TWIN,
                        port::NAT_UNRESOLVED,
                        port::NAT_SAME,
                        port::MIXED,
                    ]
                }
                Topic::FullNat => vec![port::FULLNAT, port::FULLNAT_NO_OWN, port::MIXED],
                Topic::Tunnels => (port::IPIP..=port::TUNNEL_UNRESOLVED).collect(),
                Topic::TooBig => vec![port::NARROW; 4],
                Topic::Extensions
                | Topic::Fragments
                | Topic::Sctp
                | Topic::Errors
                | Topic::OtherErrors
                | Topic::AnswerFragments => Vec::new(),
            }
        };
        Random { topics: topics.to_vec(), ports: topics.iter().flat_map(of).collect() }
    }

    fn about(&self, topic: Topic) -> bool {
        self.topics.contains(&topic)
    }

    /// The next frame; `memory` knows which connections there are to be answered.
    pub fn frame(&self, rng: &mut Rng, memory: &Memory) -> Vec<u8> {
        let v6 = rng.chance(45);
        let mut bytes = match rng.below(120) {
            0..70 => self.transport(rng, v6),
            70..85 => self.error(rng, v6),
            85..95 => self.other(rng, v6),
            95..115 if self.about(Topic::Nat) || self.about(Topic::FullNat) => self.answer(rng, memory),
            115..120 => noise(rng, v6),
            _ => self.transport(rng, v6),
        };
        if rng.chance(6) {
            damage(rng, &mut bytes);
        }
        bytes
    }

    fn service(&self, rng: &mut Rng, v6: bool) -> SocketAddr {
        let number = self.ports[rng.below(self.ports.len() as u64) as usize];
        let address = match rng.below(20) {
            0 | 1 => bed::any_port_address(v6),
            2 if self.about(Topic::Persistence) => bed::persistent_address(v6),
            2..5 if self.about(Topic::Marks) => bed::marked_address(v6),
            _ => bed::virtual_address(v6),
        };
        SocketAddr::new(address, number)
    }

    fn transport(&self, rng: &mut Rng, v6: bool) -> Vec<u8> {
        let (client, service) = (client(rng, v6), self.service(rng, v6));
        let mut frame = match rng.below(100) {
            0..10 if self.about(Topic::Sctp) => {
                let numbers =
                    [port::INSIDE, port::SCHEDULED[0], port::NAT, port::NAT_SAME, port::SLOPPY, service.port()];
                let number = numbers[rng.below(6) as usize];
                let frame = build::sctp(client, SocketAddr::new(service.ip(), number), chunk(rng));
                if self.about(Topic::Fragments) && rng.chance(20) {
                    // Of a length that fragments of both families may have.
                    return frame.payload(&[3; 12]).identification(rng.below(8) as u16).fragment(0, true).bytes();
                }
                frame
            }
            0..70 => build::tcp(client, service, flags(rng)),
            _ => build::udp(client, service),
        };
        if self.about(Topic::Sip) && service.port() == port::SIP && rng.chance(70) {
            let text = format!("INVITE sip:a SIP/2.0\r\nCall-ID: {}\r\n\r\n", rng.below(6));
            frame = build::udp(client, service).payload(text.as_bytes());
        } else if rng.chance(40) {
            frame = frame.payload(&vec![rng.bits() as u8; rng.below(64) as usize]);
        } else if self.about(Topic::TooBig) && rng.chance(20) {
            frame = frame.payload(&vec![rng.bits() as u8; 1200 + rng.below(200) as usize]);
        }
        if self.about(Topic::Tunnels) && rng.chance(20) {
            frame = frame.traffic_class(rng.bits() as u8);
        }
        self.twist(rng, frame).bytes()
    }

    /// Now and then something odd, mostly one thing.
    fn twist(&self, rng: &mut Rng, frame: Frame) -> Frame {
        if rng.chance(60) {
            return frame;
        }
        let mut frame = self.twist_once(rng, frame);
        while rng.chance(20) {
            frame = self.twist_once(rng, frame);
        }
        frame
    }

    fn twist_once(&self, rng: &mut Rng, frame: Frame) -> Frame {
        match rng.below(17) {
            0 => frame.ttl(rng.below(3) as u8),
            1 => frame.ttl(rng.bits() as u8),
            2 => frame.options(&vec![1; 4 * rng.below(11) as usize]),
            3 => frame.header_words(rng.below(16) as u8),
            4..6 if self.about(Topic::Fragments) => {
                let frame = frame.identification(rng.below(8) as u16);
                frame.fragment([0, 0, 0, 1, 2, 3, 185, 8191][rng.below(8) as usize], rng.chance(50))
            }
            5 => frame.stated_length(rng.below(120) as u16),
            6 => frame.data_offset(rng.below(16) as u8),
            7 => frame.udp_length(rng.below(40) as u16),
            8 => frame.padding(rng.below(20) as usize),
            9 => frame.identification(rng.bits() as u16),
            10 => frame.version(rng.below(16) as u8),
            11 if self.about(Topic::Vlan) && rng.chance(30) => frame.tag(bed::CLOSED_TAG),
            11 if self.about(Topic::Vlan) => {
                let [high, low] = [rng.bits() as u8, rng.bits() as u8];
                frame.tag(if rng.chance(50) { [0x81, 0, high, low] } else { [0x88, 0xa8, high, low] })
            }
            12 if self.about(Topic::Extensions) => {
                let kinds = [0, 43, 44, 60, 51, 59];
                (0..=rng.below(7)).fold(frame, |frame, _| {
                    let rest = vec![0; 6 + 8 * rng.below(3) as usize];
                    let kind = kinds[rng.below(6) as usize];
                    frame.extension(kind, if kind == 44 { &rest[..6] } else { &rest })
                })
            }
            13 => frame.checksum(rng.bits() as u16),
            14 => frame.checksum(0),
            _ => frame.dont_fragment(),
        }
    }

    fn error(&self, rng: &mut Rng, v6: bool) -> Vec<u8> {
        let (client, service) = (client(rng, v6), self.service(rng, v6));
        let quoted = match rng.below(100) {
            0..10 if self.about(Topic::Sctp) && self.about(Topic::OtherErrors) => {
                build::sctp(service, client, chunk(rng))
            }
            0..60 => build::tcp(service, client, ACK),
            _ => build::udp(service, client),
        };
        let quoted = self.twist(rng, quoted).quote();
        let to = if rng.chance(90) { service.ip() } else { bed::any_port_address(v6) };
        self.error_about(rng, v6, (bed::client(v6, 1), to), &quoted)
    }

    fn error_about(&self, rng: &mut Rng, v6: bool, (from, to): (IpAddr, IpAddr), quoted: &[u8]) -> Vec<u8> {
        let kinds: &[u8] = if v6 { &[1, 2, 3, 4, 128, 135, 0, 5] } else { &[3, 11, 12, 8, 4, 5, 0] };
        let kind = kinds[rng.below(kinds.len() as u64) as usize];
        let frame = build::icmp(from, to, kind, quoted);
        let frame = if rng.chance(15) { frame.cut(14 + rng.below(120) as usize) } else { frame };
        self.twist(rng, frame).bytes()
    }

    /// Not for a service, or not of a kind that services have.
    fn other(&self, rng: &mut Rng, v6: bool) -> Vec<u8> {
        let (client, service) = (client(rng, v6), self.service(rng, v6));
        match rng.below(5) {
            0 => build::tcp(client, SocketAddr::new(bed::real_server(v6, 99), 80), flags(rng)).bytes(),
            1 => {
                let protocol = if rng.chance(50) { 50 } else { rng.bits() as u8 };
                build::raw(client.ip(), service.ip(), protocol, &[rng.bits() as u8; 48]).bytes()
            }
            2 => build::tcp(client, service, SYN).ether_type(rng.bits() as u16).bytes(),
            3 => build::udp(client, service).cut(14 + rng.below(50) as usize).bytes(),
            _ => build::tcp(client, service, SYN).cut(14 + rng.below(60) as usize).bytes(),
        }
    }
}

fn client(rng: &mut Rng, v6: bool) -> SocketAddr {
    let address = match rng.below(60) {
        0 => bed::virtual_address(v6),
        1 => bed::loopback(v6),
        2 if v6 => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 1]),
        2 => IpAddr::from([224, 0, 0, 18]),
        3 if v6 => IpAddr::from([0; 8]),
        3 => IpAddr::from([0; 4]),
        4 => bed::real_server(v6, 8),
        5 => bed::lost_client(v6),
        6 => bed::client(v6, 50),
        7 => bed::far_client(v6, 5),
        8 => bed::narrow_client(v6, 5),
        9 => bed::client_behind(v6, bed::TAGGED, 5),
        10 => bed::client_behind(v6, bed::SERVICE_TAGGED, 5),
        11 => bed::client_behind(v6, bed::BY_STACK, 5),
        host => bed::client(v6, [5, 6, 7, 66, 77, 99][(host % CLIENTS) as usize]),
    };
    // Some of the ports are of FullNAT's range.
    let port = 1024 + rng.below(PORTS) as u16 + if rng.chance(20) { 40_000 } else { 0 };
    SocketAddr::new(address, port)
}

fn flags(rng: &mut Rng) -> u8 {
    match rng.below(100) {
        0..30 => SYN,
        30..70 => ACK,
        70..78 => FIN | ACK,
        78..84 => RST,
        84..87 => RST | ACK,
        87..90 => SYN | ACK,
        90..94 => ACK | PSH,
        _ => rng.bits() as u8,
    }
}

fn chunk(rng: &mut Rng) -> u8 {
    if rng.chance(40) { build::INIT } else { rng.below(16) as u8 }
}

/// Random bytes behind the start of an IP header, so that some get far.
fn noise(rng: &mut Rng, v6: bool) -> Vec<u8> {
    let service = bed::virtual_address(v6);
    let mut frame = build::raw(client(rng, v6).ip(), service, rng.bits() as u8, &[]).bytes();
    frame.extend((0..rng.below(80)).map(|_| rng.bits() as u8));
    frame
}

fn damage(rng: &mut Rng, frame: &mut Vec<u8>) {
    for _ in 0..=rng.below(3) {
        let place = rng.below(frame.len() as u64) as usize;
        if let Some(byte) = frame.get_mut(place) {
            *byte ^= 1 << rng.below(8);
        }
    }
    if rng.chance(20) {
        frame.truncate(rng.below(frame.len() as u64 + 1) as usize);
    }
}
