//! Lists the connections there are.

use crate::{
    mapped::{PUBLISH, word},
    plane::EbpfDataplane,
    state::dest_address,
};
use evenkeel_abi::{
    flow::{self, BUSY, KEY4, KEY6, WAYS},
    tcp::{STATES, State},
};
use evenkeel_model::Protocol;
use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

/// A connection in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Client address and port.
    pub client: SocketAddr,
    /// Virtual address and port.
    pub virtual_address: SocketAddr,
    /// Real server address and port.
    pub real_server: SocketAddr,
    /// Its state, as IPVS names it.
    pub state: &'static str,
    /// Time since its last packet that was noted.
    pub idle: Duration,
}

impl EbpfDataplane {
    /// Hands every connection to `sink`, in no order. The table goes on changing meanwhile.
    pub fn connections(&mut self, sink: &mut dyn FnMut(Connection)) -> io::Result<()> {
        let now = self.clock.now(&mut self.object)?;
        let hertz = crate::kernel::ticks_per_second()?;
        for index in 0..self.sizes.buckets {
            self.list::<KEY4>(self.maps.flows4.at(index).cast(), now, hertz, sink);
            self.list::<KEY6>(self.maps.flows6.at(index).cast(), now, hertz, sink);
        }
        Ok(())
    }

    fn list<const K: usize>(&self, bucket: *mut u64, now: u32, hertz: u32, sink: &mut dyn FnMut(Connection)) {
        let stride = if K == KEY4 { 4 } else { 8 };
        for way in 0..WAYS {
            // SAFETY: words of a slot of an element of the array.
            let at = |index: usize| unsafe { word(bucket.add(way * stride + index)) }.load(PUBLISH);
            let meta = at(0);
            if meta == 0 || meta & BUSY != 0 {
                continue;
            }
            let value = at(1);
            let key: [u64; K] = std::array::from_fn(|i| at(2 + i));
            let state = flow::state(value);
            if at(0) != meta || state == State::Dead as u32 {
                continue;
            }
            let real_server = dest_address(&self.maps.dest_infos.get(flow::dest(value) % self.sizes.dests));
            let ticks = now.wrapping_sub(flow::seen(value)) as i32;
            let idle = Duration::from_secs(1) * u32::try_from(ticks).unwrap_or(0) / hertz;
            let (client, virtual_address, protocol) = ends(&key);
            let state = STATE_NAMES[state as usize % STATES];
            sink(Connection { protocol, client, virtual_address, real_server, state, idle });
        }
    }
}

/// Names by state, as `ipvsadm -Lc` prints them.
const STATE_NAMES: [&str; STATES] = [
    "NONE",
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "SYNACK",
    "UDP",
    "NONE",
    "NONE",
    "NONE",
    "NONE",
];

/// Client, virtual address and protocol of a key.
fn ends<const K: usize>(key: &[u64; K]) -> (SocketAddr, SocketAddr, Protocol) {
    let last = key[K - 1];
    let ports = (last >> 32) as u32;
    let protocol = if last as u8 == Protocol::Udp.number() { Protocol::Udp } else { Protocol::Tcp };
    let (source, destination) = if K == KEY4 {
        let v4 = |word: u32| IpAddr::from(word.to_ne_bytes());
        (v4((key[0] >> 32) as u32), v4(key[0] as u32))
    } else {
        let v6 = |high: u64, low: u64| {
            let words = [(high >> 32) as u32, high as u32, (low >> 32) as u32, low as u32];
            let mut octets = [0u8; 16];
            for (i, word) in words.iter().enumerate() {
                octets[4 * i..4 * i + 4].copy_from_slice(&word.to_ne_bytes());
            }
            IpAddr::from(octets)
        };
        (v6(key[0], key[1]), v6(key[2], key[3]))
    };
    let port = |raw: u16| u16::from_be(raw);
    let client = SocketAddr::new(source, port(ports as u16));
    (client, SocketAddr::new(destination, port((ports >> 16) as u16)), protocol)
}
