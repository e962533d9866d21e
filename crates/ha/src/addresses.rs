//! The addresses that instances hold, in the kernel: added with a lifetime, renewed, removed, announced.

use crate::{
    closed::Closed,
    member::Member,
    pacing::{Pacing, Waiting},
    renewals::{Held, Renewals},
    routing::Routing,
    vmac::Bases,
};
use evenkeel_machine::Instant;
use evenkeel_model::vrrp::{Instance, Pause, Vip};
use evenkeel_netlink::{Address, Announcer, Error, Link, Netlink};
use evenkeel_vrrp::{Place, lease};
use std::{collections::HashMap, net::IpAddr, time::Duration};

/// Who put an address there (IFA_PROTO): evenkeel's elections. So that leftovers are known.
pub const PROTOCOL: u8 = 77;

/// The kernel's end of the addresses.
pub(crate) struct Addresses {
    pub(crate) netlink: Netlink,
    announcer: Announcer,
    /// What is announced slowly.
    pub(crate) pacing: Pacing,
    /// What goes with them.
    pub(crate) routing: Routing,
    /// Whose packets are not taken.
    pub(crate) closed: Closed,
    /// Who holds an address: an instance that ends leaves those that another one has taken.
    holders: HashMap<IpAddr, Vec<Place>>,
    pub(crate) bases: Bases,
    pub(crate) renewals: Renewals,
}

impl Addresses {
    pub(crate) fn open() -> Result<Addresses, String> {
        let opened = || Ok((Netlink::open()?, Announcer::open()?, Routing::open()?));
        let (netlink, announcer, routing) = opened().map_err(|e: Error| e.to_string())?;
        let renewals = Renewals::start()?;
        let (pacing, holders, bases) = (Pacing::default(), HashMap::new(), Bases::new());
        let closed = Closed::new();
        Ok(Addresses { netlink, announcer, pacing, routing, closed, holders, bases, renewals })
    }

    /// Adds an address that stays.
    pub(crate) fn put(&mut self, address: &Address) -> Result<(), Error> {
        self.netlink.add_address(address)
    }

    /// Removes an address that stayed.
    pub(crate) fn take_away(&mut self, address: &Address) -> Result<(), Error> {
        self.netlink.delete_address(address)
    }

    /// Every address of the host, and every interface.
    pub(crate) fn look(&mut self) -> Result<(Vec<Link>, Vec<Address>), Error> {
        Ok((self.netlink.links()?, self.netlink.addresses()?))
    }

    /// Adds the addresses of `member`, or renews them; the first refusal of each is told.
    pub(crate) fn hold(&mut self, place: Place, member: &mut Member, links: &[Link], refused: &mut Vec<Error>) {
        let mut addresses = Vec::new();
        for vip in member.instance.vips() {
            let holders = self.holders.entry(vip.address).or_default();
            if !holders.contains(&place) {
                holders.push(place);
            }
            if let Some(link) = link_of(&member.instance, vip, links) {
                addresses.push(address(vip, link.index, Some(lease::LENGTH)));
            }
        }
        self.closed.hold(place, &member.instance, addresses.iter().map(|one| (one.address, one.ifindex)));
        for address in &addresses {
            refused.extend(self.netlink.hold_address(address).err());
        }
        self.let_go(member);
        member.holds = Some(Held::new(addresses));
    }

    /// Has the addresses of `member` renewed soon; says whether they were held.
    pub(crate) fn renew(&self, member: &Member) -> bool {
        member.holds.as_ref().is_some_and(|held| self.renewals.renew(held))
    }

    /// The addresses of `member` are not renewed any more.
    pub(crate) fn let_go(&self, member: &mut Member) {
        if let Some(held) = member.holds.take() {
            held.let_go();
            self.renewals.pause();
        }
    }

    /// Removes these addresses of `instance`, which is at `place`, as far as no other one holds them; those that are
    /// gone already are no trouble.
    pub(crate) fn release<'a>(
        &mut self,
        (place, instance): (Place, &Instance),
        vips: impl Iterator<Item = &'a Vip>,
        links: &[Link],
        refused: &mut Vec<Error>,
    ) {
        for vip in vips {
            if let Some(holders) = self.holders.get_mut(&vip.address) {
                holders.retain(|holder| *holder != place);
                if !holders.is_empty() {
                    continue;
                }
                self.holders.remove(&vip.address);
            }
            if let Some(link) = link_of(instance, vip, links) {
                let removed = self.netlink.delete_address(&address(vip, link.index, None));
                refused.extend(removed.err().filter(|e| !e.is_missing()));
            }
        }
    }

    /// Announces all addresses of `member`, once each in every round; where packets are paced, by and by.
    pub(crate) fn announce(
        &mut self,
        now: Instant,
        (place, member): (Place, &Member),
        links: &[Link],
        rounds: u8,
        refused: &mut Vec<Error>,
    ) {
        for vip in member.instance.vips() {
            self.pacing.take(now, paced_on(&member.instance, vip), Waiting { place, address: vip.address, rounds });
        }
        for _ in 0..rounds {
            for vip in member.instance.vips() {
                if !self.pacing.paces(paced_on(&member.instance, vip), vip.address.is_ipv6()) {
                    refused.extend(self.say(member, vip, links).err());
                }
            }
        }
    }

    /// Announces what was paced and whose turn it is.
    pub(crate) fn announce_due(&mut self, now: Instant, members: &[Member], links: &[Link], refused: &mut Vec<Error>) {
        let mut pacing = std::mem::take(&mut self.pacing);
        pacing.due(now, |waiting| {
            let Some((member, vip)) = held(members, waiting) else { return false };
            refused.extend(self.say(member, vip, links).err());
            true
        });
        self.pacing = pacing;
    }

    /// Paces announcements by `pauses` from now on.
    pub(crate) fn pace(
        &mut self,
        now: Instant,
        pauses: Vec<Pause>,
        members: &[Member],
        links: &[Link],
        refused: &mut Vec<Error>,
    ) {
        for waiting in self.pacing.follow(pauses) {
            let Some((member, vip)) = held(members, waiting) else { continue };
            if !self.pacing.take(now, paced_on(&member.instance, vip), waiting) {
                for _ in 0..waiting.rounds {
                    refused.extend(self.say(member, vip, links).err());
                }
            }
        }
    }

    /// Tells the link once where an address is.
    fn say(&self, member: &Member, vip: &Vip, links: &[Link]) -> Result<(), Error> {
        let Some(link) = link_of(&member.instance, vip, links) else { return Ok(()) };
        let Some(mac) = link.mac else { return Ok(()) };
        let shared = member.instance.vmacs.iter().any(|vmac| vmac.name == link.name);
        self.announcer.announce(link.index, mac, vip.address, shared)
    }
}

/// What waits to be announced, while its instance holds it.
fn held(members: &[Member], waiting: Waiting) -> Option<(&Member, &Vip)> {
    let member = members.get(waiting.place).filter(|member| member.holds.is_some())?;
    let vip = member.instance.vips().find(|vip| vip.address == waiting.address)?;
    Some((member, vip))
}

/// The interface whose pause holds for an address: packets of a VMAC leave by what it stands on.
fn paced_on<'a>(instance: &'a Instance, vip: &'a Vip) -> &'a str {
    let interface = instance.interface_of(vip);
    let vmac = instance.vmacs.iter().find(|vmac| vmac.name == *interface);
    vmac.map_or(interface, |vmac| &vmac.below)
}

/// The interface an address is put on.
fn link_of<'a>(instance: &Instance, vip: &Vip, links: &'a [Link]) -> Option<&'a Link> {
    let name = instance.interface_of(vip);
    links.iter().find(|link| link.name == *name)
}

fn address(vip: &Vip, ifindex: u32, lifetime: Option<Duration>) -> Address {
    let mut address = Address::of(vip, ifindex);
    address.protocol = Some(PROTOCOL);
    address.lifetime = lifetime;
    address
}
