//! The addresses that instances hold, in the kernel: added with a lifetime, renewed, removed, announced.

use crate::member::Member;
use evenkeel_model::vrrp::Vip;
use evenkeel_netlink::{Address, Announcer, Error, Link, Netlink};
use std::time::Duration;

/// Who put an address there (IFA_PROTO): evenkeel's elections. So that leftovers are known.
pub const PROTOCOL: u8 = 77;

/// The kernel's end of the addresses.
pub(crate) struct Addresses {
    netlink: Netlink,
    announcer: Announcer,
}

impl Addresses {
    pub(crate) fn open() -> Result<Addresses, Error> {
        Ok(Addresses { netlink: Netlink::open()?, announcer: Announcer::open()? })
    }

    /// Every address of the host, and every interface.
    pub(crate) fn look(&mut self) -> Result<(Vec<Link>, Vec<Address>), Error> {
        Ok((self.netlink.links()?, self.netlink.addresses()?))
    }

    /// Adds the addresses of `member`, or renews them; the first refusal of each is told.
    pub(crate) fn hold(&mut self, member: &Member, links: &[Link], lease: Duration, refused: &mut Vec<Error>) {
        for vip in member.instance.vips() {
            if let Some(link) = link_of(member, vip, links) {
                refused.extend(self.netlink.hold_address(&address(vip, link.index, Some(lease))).err());
            }
        }
    }

    /// Removes the addresses of `member`; those that are gone already are no trouble.
    pub(crate) fn release(&mut self, member: &Member, links: &[Link], refused: &mut Vec<Error>) {
        for vip in member.instance.vips() {
            if let Some(link) = link_of(member, vip, links) {
                let removed = self.netlink.delete_address(&address(vip, link.index, None));
                refused.extend(removed.err().filter(|e| !e.is_missing()));
            }
        }
    }

    /// Announces all addresses of `member`, once each in every round.
    pub(crate) fn announce(&self, member: &Member, links: &[Link], rounds: u8, refused: &mut Vec<Error>) {
        for _ in 0..rounds {
            for vip in member.instance.vips() {
                let Some(link) = link_of(member, vip, links) else { continue };
                let Some(mac) = link.mac else { continue };
                refused.extend(self.announcer.announce(link.index, mac, vip.address, true).err());
            }
        }
    }
}

/// The interface an address is put on.
fn link_of<'a>(member: &Member, vip: &Vip, links: &'a [Link]) -> Option<&'a Link> {
    let name = member.instance.interface_of(vip);
    links.iter().find(|link| link.name == *name)
}

fn address(vip: &Vip, ifindex: u32, lifetime: Option<Duration>) -> Address {
    let mut address = Address::new(ifindex, vip.address, vip.prefix);
    address.label.clone_from(&vip.label);
    address.protocol = Some(PROTOCOL);
    address.lifetime = lifetime;
    address
}
