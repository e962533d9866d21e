//! Lists the connections there are.

use crate::{
    plane::EbpfDataplane,
    slots::Seen,
    state::{dest_address, model_key, words},
};
use evenkeel_abi::{
    self as abi, Settings,
    flow::{self, KEY4, KEY6, TEMPLATE_ASSURED, WAYS},
    hash,
    state::{self, State},
};
use evenkeel_dataplane::{Connection, ConnectionFilter};
use evenkeel_model::{Protocol, ServiceKey};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    ops::Range,
};

/// Slots of each family that one call looks at.
const SLOTS_AT_ONCE: u32 = 16_384;

/// Real servers whose ends a pass has at hand.
const AT_HAND: usize = 256;

/// What a pass over a part of the table goes by.
pub(crate) struct Pass<'a> {
    now: u32,
    settings: Settings,
    filter: &'a ConnectionFilter,
    /// Families of which something is counted: there is nothing of the others.
    pub(crate) families: (bool, bool),
    /// By the lowest bits of the real server's index.
    ends: Vec<Option<(u32, End)>>,
}

/// Where the connections of a real server end.
#[derive(Clone, Copy)]
pub(crate) struct End {
    service: ServiceKey,
    real_server: SocketAddr,
    is_fullnat: bool,
}

impl EbpfDataplane {
    /// The connections of some slots from `from` on, in no order, and where to go on. The table goes on changing
    /// meanwhile.
    pub(crate) fn list_connections(
        &mut self,
        filter: &ConnectionFilter,
        from: u64,
        sink: &mut dyn FnMut(Connection) -> bool,
    ) -> io::Result<Option<u64>> {
        let mut pass = self.pass(filter)?;
        let (slots, next) = self.part(from, SLOTS_AT_ONCE);
        for slot in slots {
            let v4 = pass.families.0.then(|| self.meant::<KEY4>(slot, &mut pass)).flatten();
            let v6 = pass.families.1.then(|| self.meant::<KEY6>(slot, &mut pass)).flatten();
            let (v4, v6) = (v4.map(|(_, connection)| connection), v6.map(|(_, connection)| connection));
            for connection in v4.into_iter().chain(v6) {
                if !sink(connection) {
                    return Ok(None);
                }
            }
        }
        Ok(next)
    }

    /// The service and real server of one connection.
    pub(crate) fn find_connection(
        &mut self,
        protocol: Protocol,
        client: SocketAddr,
        virtual_address: SocketAddr,
    ) -> io::Result<Option<(ServiceKey, SocketAddr)>> {
        let all = ConnectionFilter::default();
        let pass = self.pass(&all)?;
        let secret = self.maps.header.get(0).secret;
        let ports = u32::from(client.port().to_be()) | u32::from(virtual_address.port().to_be()) << 16;
        let ports = flow::ports(ports, protocol.number());
        let (from, to) = (words(client.ip()), words(virtual_address.ip()));
        let join = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
        Ok(match (client, virtual_address) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) => {
                let key = [join(from[0], to[0]), ports];
                self.at_hash(hash::flow4(secret, &key), &key, &pass)
            }
            (SocketAddr::V6(_), SocketAddr::V6(_)) => {
                let key =
                    [join(from[0], from[1]), join(from[2], from[3]), join(to[0], to[1]), join(to[2], to[3]), ports];
                self.at_hash(hash::flow6(secret, &key), &key, &pass)
            }
            (SocketAddr::V4(_), SocketAddr::V6(_)) | (SocketAddr::V6(_), SocketAddr::V4(_)) => None,
        })
    }

    /// The connection of a key, which lies in one of the two buckets of its hash.
    fn at_hash<const K: usize>(&self, hash: u64, key: &[u64; K], pass: &Pass<'_>) -> Option<(ServiceKey, SocketAddr)> {
        let mask = self.sizes.buckets - 1;
        let buckets = [hash::first_bucket(hash, mask), hash::second_bucket(hash, mask)];
        let slots = buckets.into_iter().flat_map(|bucket| (0..WAYS as u32).map(move |way| bucket * WAYS as u32 + way));
        let mut seen = slots.filter_map(|slot| self.see::<K>(slot));
        let seen = seen.find(|seen| seen.flow() == *key && state::is_connection(seen.state()))?;
        let shown = self.shown(&seen, self.end_of(seen.dest()), pass)?;
        Some((shown.service, shown.real_server))
    }

    /// The next part of the slots, and where to go on.
    pub(crate) fn part(&self, from: u64, at_once: u32) -> (Range<u32>, Option<u64>) {
        let slots = self.slots();
        let from = u32::try_from(from).unwrap_or(slots).min(slots);
        let to = from.saturating_add(at_once).min(slots);
        (from..to, (to < slots).then_some(to.into()))
    }

    /// What a pass over a part of the table goes by.
    pub(crate) fn pass<'a>(&mut self, filter: &'a ConnectionFilter) -> io::Result<Pass<'a>> {
        Ok(Pass {
            now: self.clock.now(&mut self.object)?,
            settings: self.maps.settings.get(0),
            filter,
            families: self.families_in_use(),
            ends: vec![None; AT_HAND],
        })
    }

    /// The connection or template in a slot, if the filter means it. Ways back are none.
    pub(crate) fn meant<const K: usize>(&self, slot: u32, pass: &mut Pass<'_>) -> Option<(Seen<K>, Connection)> {
        let seen = self.see::<K>(slot).filter(|seen| seen.state() != State::Reverse as u32)?;
        let other = |wanted: Option<SocketAddr>, is: IpAddr| wanted.is_some_and(|wanted| wanted.ip() != is);
        if pass.filter.client.is_some() && other(pass.filter.client, ends(&seen.flow()).0.ip()) {
            return None;
        }
        let end = self.end_at_hand(seen.dest(), pass);
        if pass.filter.service.is_some_and(|wanted| wanted != end.service)
            || other(pass.filter.real_server, end.real_server.ip())
        {
            return None;
        }
        let shown = self.shown(&seen, end, pass)?;
        pass.filter.means(&shown).then_some((seen, shown))
    }

    fn end_at_hand(&self, dest: u32, pass: &mut Pass<'_>) -> End {
        let place = dest as usize % AT_HAND;
        match pass.ends[place] {
            Some((of, end)) if of == dest => end,
            _ => {
                let end = self.end_of(dest);
                pass.ends[place] = Some((dest, end));
                end
            }
        }
    }

    /// Where connections of a real server end.
    fn end_of(&self, dest: u32) -> End {
        let info = self.maps.dest_infos.get(dest % self.sizes.dests);
        let service = self.maps.service_infos.get(info.service % self.sizes.services);
        End {
            service: model_key(&service.key),
            real_server: dest_address(&info),
            is_fullnat: info.method == abi::METHOD_FULLNAT,
        }
    }

    /// `None`: its timeout has passed.
    fn shown<const K: usize>(&self, seen: &Seen<K>, end: End, pass: &Pass<'_>) -> Option<Connection> {
        // Less than 0: its packet is younger than now.
        let idle = u32::try_from(pass.now.wrapping_sub(flow::seen(seen.value)) as i32).unwrap_or(0);
        let left = self.lasts(seen.value, &pass.settings).checked_sub(idle)?;
        let is_template = seen.state() == State::Template as u32;
        let (client, virtual_address, protocol) = ends(&seen.flow());
        let mut real_server = end.real_server;
        if real_server.port() == 0 {
            real_server.set_port(virtual_address.port());
        }
        Some(Connection {
            protocol,
            client,
            virtual_address,
            real_server,
            service: end.service,
            translated_client: if end.is_fullnat { self.translated_client(seen) } else { None },
            state: if is_template && seen.value & TEMPLATE_ASSURED != 0 {
                "ASSURED"
            } else {
                state::name(seen.state())
            },
            expires_s: left / pass.settings.ticks_per_second.max(1),
            is_template,
        })
    }

    /// As the real server sees the client: where it sends its answers.
    fn translated_client<const K: usize>(&self, seen: &Seen<K>) -> Option<SocketAddr> {
        self.partner(seen).map(|way_back| ends(&way_back.flow()).1)
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
