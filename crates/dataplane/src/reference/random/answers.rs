//! What real servers whose connections are translated send.

use super::{
    super::{
        Memory, Topic,
        bed::{self, port},
        build::{self, Frame},
        wire::{SCTP, UDP},
    },
    Random, chunk, client, flags,
};
use evenkeel_machine::Rng;
use std::net::SocketAddr;

impl Random {
    /// A packet from a translated real server, of a connection that there is if possible, or an error about one to it.
    pub(super) fn answer(&self, rng: &mut Rng, memory: &Memory) -> Vec<u8> {
        let count = memory.translated().count() as u64;
        let known = (count > 0 && rng.chance(85)).then(|| memory.translated().nth(rng.below(count) as usize));
        let (protocol, from, to) = known.flatten().unwrap_or_else(|| {
            let v6 = rng.chance(50);
            let from = SocketAddr::new(bed::real_server(v6, 21 + rng.below(2) as u8), port::SERVER);
            (if rng.chance(50) { 6 } else { UDP }, from, client(rng, v6))
        });
        let between = |from, to, rng: &mut Rng| match protocol {
            UDP => build::udp(from, to),
            SCTP => build::sctp(from, to, chunk(rng)),
            _ => build::tcp(from, to, flags(rng)),
        };
        if self.about(Topic::Errors) && (protocol != SCTP || self.about(Topic::OtherErrors)) && rng.chance(25) {
            // The real server's host, or a router, about what it was sent.
            let quoted = between(to, from, rng);
            let quoted = self.twist(rng, quoted).quote();
            let sender = if rng.chance(70) { from.ip() } else { bed::gateway(from.is_ipv6()) };
            return self.error_about(rng, from.is_ipv6(), (sender, to.ip()), &quoted);
        }
        let most = if self.about(Topic::TooBig) && rng.chance(30) { 1_400 } else { 40 };
        let frame: Frame = between(from, to, rng).payload(&vec![rng.bits() as u8; rng.below(most) as usize]);
        if self.about(Topic::Fragments) && !self.about(Topic::AnswerFragments) {
            return frame.bytes();
        }
        self.twist(rng, frame).bytes()
    }
}
