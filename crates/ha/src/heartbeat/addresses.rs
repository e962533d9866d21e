//! The addresses of resource groups in the kernel: added with a lifetime, renewed, announced, removed.

use super::{
    guard::{Guard, Key},
    lease::Lease,
};
use crate::{
    links::Links,
    renewals::{Held, Renewals},
};
use evenkeel_machine::Instant;
use evenkeel_model::heartbeat::IpResource;
use evenkeel_netlink::{Address, Announcer, Error, Link, Netlink};
use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    process::Command,
    sync::Arc,
    time::Duration,
};

/// Who put an address there (IFA_PROTO): a resource group. So that leftovers are known, and told from VRRP's.
pub const PROTOCOL: u8 = 78;

/// A new owner tells the link so often where the address is, as heartbeat does.
const ANNOUNCEMENTS: u8 = 20;
/// And with so much time between.
const ANNOUNCED_EVERY: Duration = Duration::from_millis(250);

/// The kernel's end of the addresses.
pub(crate) struct Addresses {
    netlink: Netlink,
    announcer: Announcer,
    renewals: Renewals,
    lease: Lease,
    guard: Option<Guard>,
    /// When all were renewed last.
    renewed: Instant,
    /// When a status was sent last.
    sent: Instant,
    holdings: BTreeMap<IpAddr, Holding>,
}

struct Holding {
    held: Arc<Held>,
    address: Address,
    /// When it is announced again, and how often still.
    again: Option<(Instant, u8)>,
}

impl Addresses {
    pub(crate) fn open(deadtime: Duration, now: Instant) -> Result<Addresses, String> {
        let opened = || Ok((Netlink::open()?, Announcer::open()?));
        let (netlink, announcer) = opened().map_err(|e: Error| e.to_string())?;
        let (renewals, lease) = (Renewals::start()?, Lease::within(deadtime));
        let holdings = BTreeMap::new();
        Ok(Addresses { netlink, announcer, renewals, lease, guard: None, renewed: now, sent: now, holdings })
    }

    /// Has addresses end by a process of their own.
    pub(crate) fn guard(&mut self, command: Command, now: Instant) -> Result<(), String> {
        self.guard = Some(Guard::start(command, now)?);
        Ok(())
    }

    /// Everything there is.
    pub(crate) fn look(&mut self) -> Result<Links, Error> {
        Ok(Links { links: self.netlink.links()?, addresses: self.netlink.addresses()? })
    }

    /// Adds the address and begins to announce it; one that is there already is taken over.
    pub(crate) fn start(&mut self, ip: &IpResource, links: &Links, now: Instant) -> Result<(), String> {
        let way = match ip.interface {
            Some(_) => None,
            None => {
                let route = self.netlink.route_to(ip.address).map_err(|e| e.to_string())?;
                route.filter(|route| !route.is_local).map(|route| route.ifindex)
            }
        };
        let (link, prefix) = place(ip, links, way)?;
        let mut address = Address::new(link.index, ip.address, prefix);
        address.label.clone_from(&ip.label);
        address.protocol = Some(PROTOCOL);
        address.lifetime = Some(self.lease.valid);
        address.preferred = Some(self.lease.preferred);
        address.broadcast = match (ip.broadcast, ip.address) {
            (Some(IpAddr::V4(broadcast)), _) => Some(broadcast),
            (_, IpAddr::V4(own)) => broadcast(own, prefix),
            _ => None,
        };
        if let Some(guard) = &mut self.guard {
            guard.hold(Key { ifindex: link.index, address: ip.address });
        }
        self.netlink.hold_address(&address).map_err(|e| e.to_string())?;
        self.let_go(ip.address);
        let held = Held::new(vec![address.clone()]);
        self.holdings.insert(ip.address, Holding { held, address, again: Some((now, ANNOUNCEMENTS)) });
        self.announce_due(links, now);
        Ok(())
    }

    /// Removes the address, wherever it is on this host; one that is gone is no trouble.
    pub(crate) fn stop(&mut self, ip: &IpResource, links: &Links) -> Result<(), String> {
        self.let_go(ip.address);
        let there = links.addresses.iter().filter(|address| address.address == ip.address);
        let ours = self.holdings.remove(&ip.address).map(|holding| holding.address);
        for address in there.chain(&ours) {
            match self.netlink.delete_address(address) {
                Err(e) if !e.is_missing() => return Err(e.to_string()),
                Ok(()) | Err(_) => {}
            }
            if let Some(guard) = &mut self.guard {
                guard.drop(Key { ifindex: address.ifindex, address: address.address });
            }
        }
        Ok(())
    }

    /// Whether this host has the address.
    pub(crate) fn has(&self, ip: &IpResource, links: &Links) -> bool {
        links.addresses.iter().any(|address| address.address == ip.address && !address.duplicate)
    }

    /// Whether this host stood still for so long that what was not renewed may have been removed.
    pub(crate) fn have_lapsed(&self, now: Instant) -> bool {
        let limit = self.guard.as_ref().and_then(Guard::limit);
        now - self.renewed >= self.lease.valid || limit.is_some_and(|limit| now - self.sent >= limit)
    }

    /// Leases are made for another dead time from the next renewal on.
    pub(crate) fn last(&mut self, deadtime: Duration) {
        self.lease = Lease::within(deadtime);
        for holding in self.holdings.values_mut() {
            holding.held.let_go();
            holding.address.lifetime = Some(self.lease.valid);
            holding.address.preferred = Some(self.lease.preferred);
            holding.held = Held::new(vec![holding.address.clone()]);
        }
        // One that is under way has the old lease: it ends first.
        self.renewals.pause();
    }

    /// Only these are held still.
    pub(crate) fn keep<'a>(&mut self, kept: impl Iterator<Item = &'a IpResource>) {
        let kept: Vec<IpAddr> = kept.map(|ip| ip.address).collect();
        let gone: Vec<IpAddr> = self.holdings.keys().filter(|address| !kept.contains(address)).copied().collect();
        for address in gone {
            self.let_go(address);
            self.holdings.remove(&address);
        }
    }

    /// The addresses held are kept for another lease.
    pub(crate) fn renew(&mut self, now: Instant) {
        self.renewed = now;
        for holding in self.holdings.values() {
            // Where the queue is full, the next status renews it: a lease lasts for several.
            let _ = self.renewals.renew(&holding.held);
        }
    }

    /// A status is about to leave, from which the others count this dead time. Gives what does not work.
    pub(crate) fn count_from(&mut self, now: Instant, dead_time: Duration) -> Option<String> {
        self.sent = now;
        self.guard.as_mut().and_then(|guard| guard.sent(now, dead_time, self.lease.valid))
    }

    /// Whether a group here holds the address.
    pub(crate) fn holds(&self, ip: &IpResource) -> bool {
        self.holdings.contains_key(&ip.address)
    }

    /// Which of these addresses this host has.
    pub(crate) fn present<'a>(&self, ips: impl Iterator<Item = &'a IpResource>, links: &Links) -> super::Addresses {
        // Hundreds of groups may come to a host that has as many addresses.
        let wanted: BTreeSet<IpAddr> = ips.map(|ip| ip.address).collect();
        let mut present = super::Addresses::default();
        for there in links.addresses.iter().filter(|there| wanted.contains(&there.address) && !there.duplicate) {
            let Some(link) = links.links.iter().find(|link| link.index == there.ifindex) else { continue };
            let (address, interface) = (there.address, link.name.clone());
            // A real server has it on lo. What has a lifetime is of an evenkeel that was here before, and ends.
            let is_stray = there.lifetime.is_none()
                && there.protocol != Some(PROTOCOL)
                && link.kind != evenkeel_netlink::LinkKind::Loopback;
            match self.holdings.get(&address) {
                Some(holding) if holding.address.ifindex == link.index => {
                    present.held.insert((address, interface));
                }
                None if is_stray => {
                    present.strays.insert(super::Stray { address, prefix: there.prefix, interface });
                }
                Some(_) | None => {}
            }
        }
        present
    }

    /// Where this host can be spoken to beside these addresses: an interface and an address of its own there.
    pub(crate) fn paths<'a>(&mut self, ips: impl Iterator<Item = &'a IpResource>, links: &Links) -> Vec<String> {
        let mut paths = Vec::new();
        for ip in ips {
            let Ok((link, _)) = place(ip, links, None) else { continue };
            let own = links.addresses.iter().find(|own| {
                own.ifindex == link.index
                    && own.protocol != Some(PROTOCOL)
                    && own.address.is_ipv4() == ip.address.is_ipv4()
                    && !own.tentative
            });
            let path = own.map(|own| format!("{} {}", link.name, own.address));
            paths.extend(path.filter(|path| !paths.contains(path)));
        }
        paths
    }

    /// How often leases are renewed at least.
    pub(crate) fn renewal(&self) -> Duration {
        self.lease.valid / 2
    }

    /// Puts back what somebody has removed.
    pub(crate) fn restore(&mut self, links: &Links) -> Vec<String> {
        let gone = |holding: &&Holding| {
            let key = |address: &Address| (address.ifindex, address.address);
            !links.addresses.iter().any(|address| key(address) == key(&holding.address))
                && links.links.iter().any(|link| link.index == holding.address.ifindex)
        };
        let missing: Vec<Address> =
            self.holdings.values().filter(gone).map(|holding| holding.address.clone()).collect();
        missing.iter().filter_map(|address| self.netlink.hold_address(address).err()).map(|e| e.to_string()).collect()
    }

    /// Begins to announce all of these again.
    pub(crate) fn announce<'a>(&mut self, ips: impl Iterator<Item = &'a IpResource>, links: &Links, now: Instant) {
        for ip in ips {
            if let Some(holding) = self.holdings.get_mut(&ip.address) {
                holding.again = Some((now, ANNOUNCEMENTS));
            }
        }
        self.announce_due(links, now);
    }

    /// Announces what is due.
    pub(crate) fn announce_due(&mut self, links: &Links, now: Instant) {
        for holding in self.holdings.values_mut() {
            let Some((_, left)) = holding.again.take_if(|(at, _)| *at <= now) else { continue };
            let Address { ifindex, address, .. } = holding.address;
            if let Some(mac) = links.links.iter().find(|link| link.index == ifindex).and_then(|link| link.mac) {
                // It is sent again; an interface that is down loses all of them, and its address with them.
                let _ = self.announcer.announce(ifindex, mac, address, false);
            }
            holding.again = left.checked_sub(1).filter(|left| *left > 0).map(|left| (now + ANNOUNCED_EVERY, left));
        }
    }

    /// When an announcement is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.holdings.values().filter_map(|holding| holding.again).map(|(at, _)| at).min()
    }

    /// What renewals the kernel has refused.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = String> {
        self.renewals.refusals().map(|e| e.to_string())
    }

    fn let_go(&mut self, address: IpAddr) {
        if let Some(holding) = self.holdings.get(&address) {
            holding.held.let_go();
            self.renewals.pause();
        }
    }
}

/// Where an address goes: on the interface that is written, else on the one that has its subnet, else on the one its route
/// leads to; with the prefix that is written, else that of the subnet there. `way`: interface of the route.
fn place<'a>(ip: &IpResource, links: &'a Links, way: Option<u32>) -> Result<(&'a Link, u8), String> {
    let named = match &ip.interface {
        Some(name) => Some(links.named(name).ok_or_else(|| format!("there is no interface {name} here"))?),
        None => None,
    };
    let subnet = links.addresses.iter().filter(|own| {
        own.protocol != Some(PROTOCOL)
            && own.address != ip.address
            && named.is_none_or(|link| link.index == own.ifindex)
            && holds(own.address, own.prefix, ip.address)
    });
    let subnet = subnet.max_by_key(|own| own.prefix);
    let index = named.map(|link| link.index).or(subnet.map(|own| own.ifindex)).or(way);
    let link = index.and_then(|index| links.links.iter().find(|link| link.index == index));
    let Some(link) = link else {
        return Err(format!("no interface of this host leads to {}: write one (10.0.0.1/24/eth0)", ip.address));
    };
    let alone = if ip.address.is_ipv4() { 32 } else { 128 };
    let prefix = ip.prefix.or(subnet.map(|own| own.prefix)).unwrap_or(alone);
    Ok((link, prefix))
}

/// Whether `address` is in the subnet of `own`.
fn holds(own: IpAddr, prefix: u8, address: IpAddr) -> bool {
    evenkeel_model::Prefix::new(own, prefix).is_ok_and(|subnet| subnet.contains(address))
}

/// The last address of a subnet with room for one.
pub(super) fn broadcast(address: std::net::Ipv4Addr, prefix: u8) -> Option<std::net::Ipv4Addr> {
    let host = u32::MAX.checked_shr(prefix.into()).filter(|_| prefix < 31)?;
    Some((u32::from(address) | host).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_netlink::LinkKind;

    fn ip(text: &str, prefix: Option<u8>, interface: Option<&str>) -> IpResource {
        let address = text.parse().expect("address");
        IpResource { address, prefix, interface: interface.map(str::to_owned), label: None, broadcast: None }
    }

    fn links() -> Links {
        let own = |index, text: &str, prefix| Address::new(index, text.parse().expect("address"), prefix);
        Links {
            links: vec![
                Link::new(1, "lo", LinkKind::Dummy),
                Link::new(2, "eth0", LinkKind::Dummy),
                Link::new(3, "eth1", LinkKind::Dummy),
            ],
            addresses: vec![
                own(1, "127.0.0.1", 8),
                own(2, "10.168.0.161", 24),
                own(2, "fd00::161", 64),
                own(3, "10.0.0.1", 8),
                own(3, "10.168.0.9", 30),
            ],
        }
    }

    #[test]
    fn an_address_goes_where_it_is_written_or_where_its_subnet_is() {
        let links = links();
        let placed = |ip: IpResource, way| place(&ip, &links, way).map(|(link, prefix)| (link.name.clone(), prefix));
        let at = |name: &str, prefix| Ok((name.to_owned(), prefix));
        assert_eq!(placed(ip("10.168.0.160", Some(24), Some("eth0")), None), at("eth0", 24));
        assert_eq!(placed(ip("10.168.0.160", None, Some("eth0")), None), at("eth0", 24));
        assert_eq!(
            placed(ip("10.168.0.160", None, None), Some(3)),
            at("eth0", 24),
            "the longest subnet, not the route"
        );
        assert_eq!(placed(ip("10.168.0.10", None, None), None), at("eth1", 30));
        assert_eq!(placed(ip("fd00::1", None, None), None), at("eth0", 64));
        assert_eq!(placed(ip("192.0.2.1", None, None), Some(3)), at("eth1", 32), "over the route");
        assert_eq!(placed(ip("192.0.2.1", None, Some("eth0")), None), at("eth0", 32));
        let none = placed(ip("192.0.2.1", None, None), None).expect_err("no way");
        assert!(none.contains("write one"), "{none}");
        let missing = placed(ip("192.0.2.1", None, Some("eth7")), None).expect_err("no interface");
        assert_eq!(missing, "there is no interface eth7 here");
    }

    #[test]
    fn a_subnet_has_a_broadcast_address_unless_it_is_too_small() {
        let of = |text: &str, prefix| broadcast(text.parse().expect("address"), prefix).map(|a| a.to_string());
        assert_eq!(of("10.168.0.160", 24).as_deref(), Some("10.168.0.255"));
        assert_eq!(of("10.168.0.160", 30).as_deref(), Some("10.168.0.163"));
        assert_eq!(of("10.168.0.160", 31), None);
        assert_eq!(of("10.168.0.160", 32), None);
        assert_eq!(of("10.168.0.160", 0).as_deref(), Some("255.255.255.255"));
    }
}
