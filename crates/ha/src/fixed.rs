//! Addresses, routes and rules that stay on the node: there from the start to an orderly end, whoever is master. After
//! a crash they are found as they were.

use crate::elections::Elections;
use evenkeel_model::vrrp::{self, Vip};
use evenkeel_netlink::Address;

/// Who put an address there that stays (IFA_PROTO). Elections speak from such addresses, unlike from those that move.
pub const FIXED_PROTOCOL: u8 = 78;

/// What stays, and what of it is ours.
#[derive(Debug, Default)]
pub(crate) struct Fixed {
    wanted: vrrp::Fixed,
    /// Addresses that this daemon, or one before it, has put there.
    ours: Vec<Vip>,
}

impl Elections {
    /// What stays from now on.
    pub(crate) fn fix(&mut self, wanted: vrrp::Fixed) {
        if self.fixed.wanted == wanted {
            return;
        }
        let before = std::mem::replace(&mut self.fixed.wanted, wanted);
        let mut told = Vec::new();
        let Fixed { wanted, .. } = &self.fixed;
        self.addresses.routing.want(None, (&wanted.routes, &wanted.rules), &self.links.links, &mut told);
        let gone: Vec<Vip> = before.addresses.into_iter().filter(|vip| !wanted.addresses.contains(vip)).collect();
        self.remove_addresses(&gone, &mut told);
        self.add_addresses(&mut told);
        self.addresses.routing.hold(None, &mut told);
        self.complain_of(told);
    }

    /// Puts back addresses that stay and are gone.
    pub(crate) fn restore_fixed(&mut self) {
        let known = |vip: &Vip| self.links.addresses.iter().any(|known| known.address == vip.address);
        if self.fixed.wanted.addresses.iter().all(known) {
            return;
        }
        let mut told = Vec::new();
        self.add_addresses(&mut told);
        self.complain_of(told);
        // What came from them went with them.
        self.restore_routing(true);
    }

    /// Removes what stays, at an orderly end.
    pub(crate) fn unfix(&mut self) {
        let mut told = Vec::new();
        self.addresses.routing.release(None, &mut told);
        let ours = std::mem::take(&mut self.fixed.ours);
        self.fixed.wanted = vrrp::Fixed::default();
        self.remove_addresses(&ours, &mut told);
        self.complain_of(told);
    }

    fn address(&self, vip: &Vip) -> Option<Address> {
        let link = self.links.named(vip.interface.as_ref()?)?;
        let mut address = Address::of(vip, link.index);
        address.protocol = Some(FIXED_PROTOCOL);
        Some(address)
    }

    /// Adds those that are not there. One that somebody else has put there is good enough, and stays his.
    fn add_addresses(&mut self, told: &mut Vec<String>) {
        for vip in self.fixed.wanted.addresses.clone() {
            let Some(address) = self.address(&vip) else {
                let name = vip.interface.as_deref().unwrap_or_default();
                told.push(format!("address {vip} waits for interface {name}, which is not there"));
                continue;
            };
            let same = |known: &&Address| {
                (known.ifindex, known.address, known.prefix) == (address.ifindex, address.address, address.prefix)
            };
            let known = self.links.addresses.iter().find(same).map(|known| known.protocol);
            let is_ours = match known {
                Some(protocol) => protocol == Some(FIXED_PROTOCOL),
                None => match self.addresses.put(&address) {
                    Ok(()) => true,
                    Err(e) if e.is_exists() => false,
                    Err(e) => {
                        told.push(e.to_string());
                        continue;
                    }
                },
            };
            if is_ours && !self.fixed.ours.contains(&vip) {
                self.fixed.ours.push(vip);
            }
        }
    }

    fn remove_addresses(&mut self, vips: &[Vip], told: &mut Vec<String>) {
        for vip in vips {
            self.fixed.ours.retain(|ours| ours != vip);
            let Some(address) = self.address(vip) else { continue };
            let removed = self.addresses.take_away(&address);
            told.extend(removed.err().filter(|e| !e.is_missing()).map(|e| e.to_string()));
        }
    }
}
