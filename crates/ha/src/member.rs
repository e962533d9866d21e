//! One VRRP instance with all that the election does not know: where it speaks, and which addresses move with it.

use crate::renewals::Held;
use crate::vmac;
use evenkeel_model::vrrp::{self, Reach};
use evenkeel_vrrp::{
    Heard, Packet, Reason, Receiver, Settings, Statistics, Terms, Transmitter, checksum, codec, hmac::Timestamp,
};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// RFC 9568 5.1.1.3: what a receiver insists on.
const HOPS: u8 = 255;
/// The longest a leaving master waits for its successor.
const LONGEST_FAREWELL: Duration = Duration::from_secs(3);

/// An instance and its wires.
pub(crate) struct Member {
    pub(crate) instance: vrrp::Instance,
    /// Its name, as news have it.
    pub(crate) name: Arc<str>,
    pub(crate) receiver: Receiver,
    transmitter: Transmitter,
    /// Index of the interface it speaks on, once that is there.
    pub(crate) ifindex: Option<u32>,
    /// Index of its VMAC, where it listens and speaks too.
    pub(crate) vmac_ifindex: Option<u32>,
    /// Its VMACs.
    pub(crate) vmacs: vmac::Standing,
    /// The address it sends from.
    pub(crate) source: Option<IpAddr>,
    /// Its addresses while it holds them.
    pub(crate) holds: Option<Arc<Held>>,
    /// What it said, heard and dropped.
    pub(crate) statistics: Statistics,
    /// Something of what it says is still to be done.
    pub(crate) waits: bool,
    /// It is wanted no more, and ends.
    pub(crate) retired: bool,
}

impl Member {
    /// `None` where a message cannot hold so many addresses.
    pub(crate) fn new(instance: vrrp::Instance) -> Option<Member> {
        let terms = terms(&instance);
        let transmitter = Transmitter::new(&terms)?;
        let receiver = Receiver::new(terms);
        let name = instance.name.as_str().into();
        let (ifindex, source, holds) = (None, None, None);
        let statistics = Statistics::default();
        Some(Member {
            instance,
            name,
            receiver,
            transmitter,
            ifindex,
            vmac_ifindex: None,
            vmacs: vmac::Standing::default(),
            source,
            holds,
            statistics,
            waits: false,
            retired: false,
        })
    }

    /// Goes on by other terms; gives what it was. `None`, and nothing changed, where a message cannot hold so many
    /// addresses.
    pub(crate) fn change(&mut self, instance: vrrp::Instance) -> Option<vrrp::Instance> {
        let terms = terms(&instance);
        self.transmitter.change(&terms)?;
        self.receiver.change(terms);
        self.name = instance.name.as_str().into();
        Some(std::mem::replace(&mut self.instance, instance))
    }

    /// What its election is held by.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            priority: self.instance.priority,
            interval: self.instance.interval.get(),
            down_adverts: self.instance.down_adverts,
            preempt: self.instance.preempt,
            answer_lower: self.instance.answer_lower,
            rounds: self.instance.rounds,
        }
    }

    /// How long its addresses are kept for a successor: backups wait less than an interval after the last word.
    pub(crate) fn patience(&self) -> Duration {
        (self.instance.interval.get() + Duration::from_millis(100)).min(LONGEST_FAREWELL)
    }

    /// Hands an advertisement of `priority` for each destination to `send`, with where it comes from and goes to, and
    /// its hop limit.
    pub(crate) fn advertise(&mut self, priority: u8, mut send: impl FnMut(&[u8], IpAddr, IpAddr, u8)) {
        let Some(source) = self.source else { return };
        if self.instance.hmac.is_some() || self.has_header() {
            self.transmitter.at(time_of_day()).follow(self.receiver.sequence());
        }
        match &self.instance.reach {
            Reach::Multicast => {
                let group = self.instance.multicast_group();
                let form = self.receiver.form(None);
                send(packet(&mut self.transmitter, priority, form, (source, group), HOPS), source, group, HOPS);
            }
            Reach::Unicast { peers, .. } => {
                let hops = self.instance.hops;
                for peer in peers {
                    let form = self.receiver.form(Some(peer.address));
                    let bytes = packet(&mut self.transmitter, priority, form, (source, peer.address), hops);
                    send(bytes, source, peer.address, hops);
                }
            }
        }
    }

    /// Judges a packet; `own` is the address this router sends from.
    pub(crate) fn judge(&mut self, packet: &Packet<'_>, own: IpAddr) -> Result<Heard, Reason> {
        if self.instance.hmac.is_some() {
            self.receiver.at(time_of_day());
        }
        self.receiver.receive(packet, own)
    }

    /// Whether its packets begin with an authentication header.
    pub(crate) fn has_header(&self) -> bool {
        matches!(self.instance.authentication, vrrp::Authentication::Header(_))
    }
}

/// The time all nodes share, as far as their clocks are right.
fn time_of_day() -> Timestamp {
    // A clock before 1970 is wrong anyway.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::new(since)
}

fn terms(instance: &vrrp::Instance) -> Terms {
    Terms {
        version: instance.version,
        vrid: instance.vrid,
        interval: instance.interval,
        addresses: instance.addresses.iter().map(|vip| vip.address).collect(),
        authentication: instance.authentication,
        hmac: instance.hmac.clone(),
        reach: instance.reach.clone(),
    }
}

fn packet(transmitter: &mut Transmitter, priority: u8, form: checksum::Form, way: (IpAddr, IpAddr), hops: u8) -> &[u8] {
    match way {
        (IpAddr::V4(source), IpAddr::V4(destination)) => transmitter.ipv4(priority, form, source, destination, hops),
        (source, destination) => transmitter.ipv6(priority, source, destination),
    }
}

/// The longest packet of VRRP: 255 IPv6 addresses, or IPv4 ones with both headers.
pub(crate) fn longest_packet() -> usize {
    codec::length(vrrp::Version::Three, true, 255) + 64
}
