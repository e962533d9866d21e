//! The answer to a packet that does not fit into the tunnel (PP-47).

use super::{
    header,
    parse::Packet,
    send::framed,
    wire::{ICMP, ICMPV6, internet, put},
};

/// Bytes of the packet that are quoted: what every host takes (RFC 1812 section 4.3.2.3, RFC 4443 section 2.4).
const QUOTED4: usize = 576 - 28;
const QUOTED6: usize = 1280 - 48;

/// Tells the client that packets of `mtu` bytes fit; `ip` is the packet as it would have gone on. `None`: it is shorter than
/// what is quoted.
pub(super) fn answer(packet: &Packet, ip: &[u8], mtu: usize) -> Option<Vec<u8>> {
    let macs: [u8; 12] = std::array::from_fn(|i| packet.macs[(i + 6) % 12]);
    let v4 = header::is_version4(&packet.ip);
    let quoted = ip.get(..if v4 { QUOTED4 } else { QUOTED6 })?;
    if packet.bytes < quoted.len() {
        return None;
    }
    let mut message = if v4 { vec![3, 4, 0, 0] } else { vec![2, 0, 0, 0] };
    message.extend((mtu as u32).to_be_bytes());
    message.extend(quoted);
    let (source, destination) = (packet.destination, packet.source);
    let mut ip = if v4 {
        let mut ip = vec![0x45, 0];
        ip.extend(((20 + message.len()) as u16).to_be_bytes());
        ip.extend([0, 0, 0, 0, 64, ICMP, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        header::address(&mut ip, 0, source, destination);
        put(&mut ip, 10, &[0, 0]);
        let sum = internet(&ip);
        put(&mut ip, 10, &sum.to_be_bytes());
        ip
    } else {
        let mut ip = vec![0x60, 0, 0, 0];
        ip.extend((message.len() as u16).to_be_bytes());
        ip.extend([ICMPV6, 64]);
        ip.extend(header::octets(source));
        ip.extend(header::octets(destination));
        ip
    };
    let pseudo = if v4 { Vec::new() } else { header::pseudo(source, destination, ICMPV6, message.len()) };
    let sum = internet(&[pseudo, message.clone()].concat());
    put(&mut message, 2, &sum.to_be_bytes());
    ip.extend(message);
    Some(framed(macs, packet.tag, &ip))
}
