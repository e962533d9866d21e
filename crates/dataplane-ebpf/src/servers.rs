//! Real servers, as the program and the next daemon read them.

use evenkeel_abi::{self as abi, Dest, DestInfo};
use evenkeel_dataplane::RealServer;
use evenkeel_model::{Family, Forwarding, GueChecksum, ServiceKey, Thresholds, Tunnel, Weight};
use std::{io, net::SocketAddr};

/// `METHOD_*` that the program does not know: to it the real server is local (PP-54).
const METHOD_RELAY: u8 = 5;

/// How a real server's connections are translated; `None`: not at all. Connections are made for one way of it, which
/// therefore never changes under an index.
pub(crate) fn translation(method: u8) -> Option<u8> {
    [abi::METHOD_NAT, abi::METHOD_FULLNAT].into_iter().find(|translated| *translated == method)
}

/// Whether the answers, or those of the data connections that go with a relay, come back by the director.
pub(crate) fn is_answered(method: u8) -> bool {
    method == METHOD_RELAY || translation(method).is_some()
}

/// `METHOD_*`.
pub(crate) fn method(forwarding: Forwarding) -> u8 {
    match forwarding {
        Forwarding::DirectRouting => abi::METHOD_DIRECT,
        Forwarding::Local => abi::METHOD_LOCAL,
        Forwarding::Nat => abi::METHOD_NAT,
        Forwarding::FullNat => abi::METHOD_FULLNAT,
        Forwarding::Tunnel(_) => abi::METHOD_TUNNEL,
        Forwarding::Relay => METHOD_RELAY,
    }
}

/// Notes a real server where [`read`] finds it.
pub(crate) fn note(info: &mut DestInfo, server: RealServer) {
    info.method = method(server.forwarding);
    info.shown = if server.shown == server.forwarding { 0 } else { method(server.shown) + 1 };
    (info.tunnel, info.tunnel_checksum, info.tunnel_port) = match server.shown {
        Forwarding::Tunnel(Tunnel::Gue { port, checksum }) => (abi::TUNNEL_GUE, gue_checksum(checksum), port),
        Forwarding::Tunnel(Tunnel::Gre { checksum }) => {
            (abi::TUNNEL_GRE, if checksum { abi::CHECKSUM_FULL } else { abi::CHECKSUM_NONE }, 0)
        }
        Forwarding::Tunnel(Tunnel::Ipip)
        | Forwarding::DirectRouting
        | Forwarding::Local
        | Forwarding::Relay
        | Forwarding::Nat
        | Forwarding::FullNat => (abi::TUNNEL_IPIP, abi::CHECKSUM_NONE, 0),
    };
    info.weight = server.weight.get();
    if info.weight > 0 {
        info.last_weight = info.weight;
    }
    (info.upper, info.lower) = (server.thresholds.upper, server.thresholds.lower);
    info.down = u8::from(server.is_down);
}

/// The real server that [`note`] noted.
pub(crate) fn read(info: &DestInfo) -> RealServer {
    let of = |method| match method {
        abi::METHOD_LOCAL => Forwarding::Local,
        abi::METHOD_NAT => Forwarding::Nat,
        abi::METHOD_FULLNAT => Forwarding::FullNat,
        abi::METHOD_TUNNEL => Forwarding::Tunnel(tunnel(info)),
        METHOD_RELAY => Forwarding::Relay,
        _ => Forwarding::DirectRouting,
    };
    let forwarding = of(info.method);
    RealServer {
        weight: Weight::new(info.weight).unwrap_or(Weight::MAX),
        forwarding,
        shown: info.shown.checked_sub(1).map_or(forwarding, of),
        thresholds: Thresholds { upper: info.upper, lower: info.lower },
        is_down: info.down != 0,
    }
}

fn tunnel(info: &DestInfo) -> Tunnel {
    match info.tunnel {
        abi::TUNNEL_GUE => {
            let checksum = match info.tunnel_checksum {
                abi::CHECKSUM_FULL => GueChecksum::Full,
                abi::CHECKSUM_REMOTE => GueChecksum::Remote,
                _ => GueChecksum::None,
            };
            Tunnel::Gue { port: info.tunnel_port, checksum }
        }
        abi::TUNNEL_GRE => Tunnel::Gre { checksum: info.tunnel_checksum != abi::CHECKSUM_NONE },
        _ => Tunnel::Ipip,
    }
}

fn gue_checksum(checksum: GueChecksum) -> u8 {
    match checksum {
        GueChecksum::None => abi::CHECKSUM_NONE,
        GueChecksum::Full => abi::CHECKSUM_FULL,
        GueChecksum::Remote => abi::CHECKSUM_REMOTE,
    }
}

/// What the program needs of a real server but for the way to it.
pub(crate) fn element(info: &DestInfo, address: [u32; 4], keeps_port: bool) -> Dest {
    let translated = translation(info.method).is_some();
    let bits = [
        ([abi::METHOD_LOCAL, METHOD_RELAY].contains(&info.method), abi::DEST_LOCAL),
        (info.member == 0 || info.weight == 0, abi::DEST_NO_NEW),
        (info.member == 0 || info.down != 0, abi::DEST_GONE),
        (info.family == 6, abi::DEST_ADDRESS_V6),
        (translated, abi::DEST_NAT),
        (info.method == abi::METHOD_FULLNAT, abi::DEST_FULLNAT),
        (info.method == abi::METHOD_TUNNEL, abi::DEST_TUNNEL),
    ];
    Dest {
        flags: bits.into_iter().filter(|(holds, _)| *holds).fold(0, |flags, (_, bit)| flags | bit),
        service: info.service,
        address,
        port: if translated && !keeps_port { info.port.to_be() } else { 0 },
        tunnel: info.tunnel,
        tunnel_checksum: info.tunnel_checksum,
        tunnel_port: info.tunnel_port.to_be(),
        weight: info.weight,
        upper: info.upper,
        lower: info.lower,
        ..Dest::default()
    }
}

/// Only tunnels and the host itself lead into the other family.
pub(crate) fn check_family(key: &ServiceKey, address: SocketAddr, server: RealServer) -> io::Result<()> {
    if Family::of(address.ip()) == key.family() || server.forwarding.crosses_families() {
        return Ok(());
    }
    let means = match server.forwarding {
        Forwarding::Nat | Forwarding::Relay => "address translation (NAT)",
        Forwarding::FullNat => "address translation (FullNAT)",
        Forwarding::DirectRouting | Forwarding::Tunnel(_) | Forwarding::Local => "direct routing",
    };
    let text = format!("real server {address} is of the other address family, which {means} cannot reach");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}
