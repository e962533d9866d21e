//! Lists the connections there are.

use crate::{
    mapped::{PUBLISH, word},
    plane::EbpfDataplane,
    state::{dest_address, model_key},
};
use evenkeel_abi::{
    Settings,
    flow::{self, BUSY, KEY4, KEY6, WAYS},
    state::{self, STATES, State},
};
use evenkeel_dataplane::{Connection, ConnectionFilter};
use std::{
    io,
    net::{IpAddr, SocketAddr},
};

/// Buckets of each family that one call looks at.
const BUCKETS_AT_ONCE: u32 = 4096;

/// What a pass goes by.
struct Pass<'a> {
    now: u32,
    settings: Settings,
    filter: &'a ConnectionFilter,
    sink: &'a mut dyn FnMut(Connection) -> bool,
}

impl EbpfDataplane {
    /// The connections of some buckets from `from` on, in no order, and where to go on. The table goes on changing
    /// meanwhile.
    pub(crate) fn list_connections(
        &mut self,
        filter: &ConnectionFilter,
        from: u64,
        sink: &mut dyn FnMut(Connection) -> bool,
    ) -> io::Result<Option<u64>> {
        let now = self.clock.now(&mut self.object)?;
        let settings = self.maps.settings.get(0);
        let buckets = self.sizes.buckets;
        let from = u32::try_from(from).unwrap_or(buckets).min(buckets);
        let to = from.saturating_add(BUCKETS_AT_ONCE).min(buckets);
        let mut pass = Pass { now, settings, filter, sink };
        for index in from..to {
            let goes_on = self.list::<KEY4>(self.maps.flows4.at(index).cast(), &mut pass)
                && self.list::<KEY6>(self.maps.flows6.at(index).cast(), &mut pass);
            if !goes_on {
                return Ok(None);
            }
        }
        Ok((to < buckets).then_some(to.into()))
    }

    /// False: nobody wants more.
    fn list<const K: usize>(&self, bucket: *mut u64, pass: &mut Pass<'_>) -> bool {
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
            if at(0) != meta || flow::state(value) == State::Dead as u32 {
                continue;
            }
            let Some(shown) = self.shown(&key, value, pass) else { continue };
            if pass.filter.means(&shown) && !(pass.sink)(shown) {
                return false;
            }
        }
        true
    }

    /// `None`: its timeout has passed.
    fn shown<const K: usize>(&self, key: &[u64; K], value: u64, pass: &Pass<'_>) -> Option<Connection> {
        let state = flow::state(value) as usize % STATES;
        let dest = self.maps.dest_infos.get(flow::dest(value) % self.sizes.dests);
        let service = self.maps.service_infos.get(dest.service % self.sizes.services);
        // Less than 0: its packet is younger than now.
        let idle = u32::try_from(pass.now.wrapping_sub(flow::seen(value)) as i32).unwrap_or(0);
        let left = pass.settings.timeouts[state].checked_sub(idle)?;
        let (client, virtual_address, protocol) = ends(key);
        Some(Connection {
            protocol,
            client,
            virtual_address,
            real_server: dest_address(&dest),
            service: model_key(&service.key),
            translated_client: None,
            state: state::name(state as u32),
            expires_s: left / pass.settings.ticks_per_second.max(1),
            is_template: false,
        })
    }
}

/// Client, virtual address and protocol of a key.
fn ends<const K: usize>(key: &[u64; K]) -> (SocketAddr, SocketAddr, u8) {
    let last = key[K - 1];
    let ports = (last >> 32) as u32;
    let protocol = last as u8;
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
