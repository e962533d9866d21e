//! Interfaces with the MAC address of a virtual router (RFC 9568 7.3), made by macvlan.
//!
//! Such an interface is there for as long as its instance is, and up only while that is master: what is down neither
//! speaks with the virtual router's MAC address nor takes packets to it, so that a switch never learns it from a backup.
//! keepalived has them up everywhere, and firewall rules against what they would say by themselves.

use crate::{addresses::Addresses, links::Links, member::Member};
use evenkeel_model::vrrp::{Reach, Vmac};
use evenkeel_netlink::{Error, Event, Link, LinkKind, MacAddress};
use evenkeel_os::Sysctl;
use evenkeel_vrrp::Place;
use std::collections::BTreeMap;

/// How the alias of an interface that evenkeel made begins; the former values of [`BASE`] below it end it.
const MARK: &str = "evenkeel VRRP; below it were ";
/// Interfaces that one member may have made anew before it is given up: somebody else deletes them.
const MADE_BOUND: u16 = 1000;

/// What the interfaces of a new VMAC are set to. It answers ARP for its own addresses only, takes packets whose sender
/// is reached another way, and keeps its other addresses when the first goes.
const SETTINGS_V4: [(&str, &str); 5] =
    [("arp_ignore", "1"), ("arp_filter", "0"), ("accept_local", "1"), ("rp_filter", "2"), ("promote_secondaries", "1")];
/// It has no addresses but those that move, and asks for no router.
const SETTINGS_V6: [(&str, &str); 5] = [
    ("disable_ipv6", "0"),
    ("addr_gen_mode", "1"),
    ("accept_ra", "0"),
    ("router_solicitations", "0"),
    ("accept_dad", "0"),
];

/// What is known of a member's VMACs.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    /// Their indexes, in the order of the instance.
    indexes: Vec<Option<u32>>,
    /// How many were made.
    made: u16,
    /// The last packet that was heard, and on which wire.
    last: (usize, Vec<u8>),
}

impl Standing {
    /// Whether one of the VMACs of `member`, whose standing this is, stands on the interface `below`.
    pub(crate) fn stand_on(&self, member: &Member, below: &str) -> bool {
        member.instance.vmacs.iter().zip(&self.indexes).any(|(vmac, index)| index.is_some() && vmac.below == below)
    }

    /// Whether this packet was heard on another wire a moment ago: the interface below and the VMAC both hear what is
    /// sent to all from other MAC addresses.
    pub(crate) fn is_copy(&mut self, wire: usize, packet: &[u8]) -> bool {
        if self.indexes.is_empty() {
            return false;
        }
        let (last, bytes) = &mut self.last;
        if *last != wire && bytes.as_slice() == packet {
            return true;
        }
        *last = wire;
        bytes.clear();
        bytes.extend_from_slice(packet);
        false
    }
}

/// The index of the VMAC by whose MAC address `member` speaks, where it has one: it listens there too, for packets from
/// that MAC address come there and not to the interface below.
pub(crate) fn listens_at(member: &Member, links: &Links) -> Option<u32> {
    let vmac = member.instance.own_vmac()?;
    let multicast = matches!(member.instance.reach, Reach::Multicast);
    multicast.then(|| links.named(&vmac.name)).flatten().map(|link| link.index)
}

/// Where `member` speaks now: from its VMAC while that is up and it is `master`, so that a backup's last word teaches no
/// switch where the virtual MAC address is not.
pub(crate) fn speaks_at(member: &Member, links: &Links, master: bool) -> Option<u32> {
    let up = |index: &u32| links.links.iter().any(|link| link.index == *index && link.up);
    let own = if master && !member.instance.from_base { member.vmac_ifindex.filter(up) } else { None };
    own.or(member.ifindex)
}

/// From now on the VMACs of a leaving `member` answer no ARP: its successor announces itself by a question, and an answer
/// with the virtual router's MAC address would take that back from it.
pub(crate) fn hush(member: &Member) {
    for vmac in &member.instance.vmacs {
        // What refuses it was told when the VMAC was made.
        let _ = arp_ignore(vmac, "8");
    }
}

fn arp_ignore(vmac: &Vmac, value: &str) -> evenkeel_os::Result<()> {
    Sysctl::ipv4(&vmac.name, "arp_ignore")?.write(value)
}

/// Whether somebody set a VMAC down whose addresses `member` holds.
pub(crate) fn is_down(member: &Member, links: &Links) -> bool {
    let down = |index: u32| links.links.iter().any(|link| link.index == index && !link.up);
    member.holds.is_some() && member.vmacs.indexes.iter().copied().flatten().any(down)
}

/// What an interface below a VMAC is set to: it neither answers ARP for the VMAC's addresses with its own MAC address,
/// nor asks for its neighbours in their name, which would teach those its MAC address as well.
const BASE: [(&str, &str); 2] = [("arp_ignore", "1"), ("arp_announce", "2")];

/// What [`BASE`] was on interfaces below VMACs, with blanks between the values.
pub(crate) type Bases = BTreeMap<String, String>;

impl Addresses {
    /// Makes the VMACs of `member` whose interface below is there, and takes over those that a former run has left.
    /// Says whether it can be master with what there is.
    pub(crate) fn furnish(&mut self, member: &mut Member, links: &mut Links, told: &mut Vec<String>) -> bool {
        let Member { instance, vmacs: standing, .. } = member;
        let mut good = true;
        for (at, vmac) in instance.vmacs.iter().enumerate() {
            let Some(below) = links.named(&vmac.below).map(|link| link.index) else { continue };
            let known = standing.indexes.get(at).copied().flatten();
            if known.is_some() && links.named(&vmac.name).map(|link| link.index) == known {
                continue;
            }
            let ipv6 = instance.vips().any(|vip| vip.address.is_ipv6() && *instance.interface_of(vip) == vmac.name);
            let made = if standing.made < MADE_BOUND {
                self.furnish_one(vmac, below, ipv6, links, told)
            } else {
                Err(format!("{} is deleted again and again; it is not made any more", vmac.name))
            };
            standing.made = standing.made.saturating_add(1);
            let index = made.map_err(|why| told.push(why)).ok();
            good &= index.is_some();
            if standing.indexes.len() <= at {
                standing.indexes.resize(at + 1, None);
            }
            standing.indexes[at] = index;
        }
        good
    }

    fn furnish_one(
        &mut self,
        vmac: &Vmac,
        below: u32,
        ipv6: bool,
        links: &mut Links,
        told: &mut Vec<String>,
    ) -> Result<u32, String> {
        let mac = MacAddress(vmac.mac);
        if let Some(link) = links.named(&vmac.name).cloned() {
            if link.kind != LinkKind::Macvlan || link.peer != Some(below) || link.mac != Some(mac) {
                return Err(format!(
                    "{} is there already and is no macvlan on {} with {mac}.  Next: give it or the VMAC another name",
                    vmac.name, vmac.below
                ));
            }
            let alias = self.netlink.alias(link.index).map_err(|e| e.to_string())?;
            if let Some(before) = alias.as_deref().and_then(|alias| alias.strip_prefix(MARK)) {
                self.bases.entry(vmac.below.clone()).or_insert_with(|| before.to_owned());
                return self.adopt(&link, links).map_err(|e| e.to_string());
            }
            told.push(format!(
                "{} was there with the virtual router's MAC address and is made anew: keepalived or another program \
                 has left it, or still runs.  Next: see that no other VRRP program runs on this host",
                vmac.name
            ));
            self.netlink.delete_link(link.index).map_err(|e| e.to_string())?;
            links.take(Event::LinkGone(link.index));
        }
        let rival = |link: &&Link| link.kind == LinkKind::Macvlan && link.peer == Some(below) && link.mac == Some(mac);
        if let Some(rival) = links.links.iter().find(rival) {
            return Err(format!(
                "{} has the virtual router's MAC address {mac} already.  Next: ip link delete {}",
                rival.name, rival.name
            ));
        }
        self.make(vmac, below, ipv6, links, told).map_err(|e| e.to_string())
    }

    /// One of a former run: up only while its addresses are there.
    fn adopt(&mut self, link: &Link, links: &mut Links) -> Result<u32, Error> {
        let ours = |address: &evenkeel_netlink::Address| {
            address.ifindex == link.index && address.protocol == Some(crate::PROTOCOL)
        };
        if link.up && !links.addresses.iter().any(ours) {
            self.turn_link(link.index, false, links)?;
        }
        Ok(link.index)
    }

    fn make(
        &mut self,
        vmac: &Vmac,
        below: u32,
        ipv6: bool,
        links: &mut Links,
        told: &mut Vec<String>,
    ) -> Result<u32, Error> {
        self.netlink.create_macvlan(&vmac.name, below, MacAddress(vmac.mac))?;
        let Some(link) = self.netlink.link(&vmac.name)? else { return Ok(0) };
        let index = link.index;
        links.take(Event::Link(link));
        let mut set = |made: evenkeel_os::Result<Sysctl>, value: &str| {
            let written = made.and_then(|sysctl| if sysctl.exists() { sysctl.write(value) } else { Ok(()) });
            told.extend(written.err().map(|e| format!("cannot {e}")));
        };
        for (name, value) in SETTINGS_V4 {
            set(Sysctl::ipv4(&vmac.name, name), value);
        }
        if ipv6 {
            for (name, value) in SETTINGS_V6 {
                set(Sysctl::ipv6(&vmac.name, name), value);
            }
        } else {
            set(Sysctl::ipv6(&vmac.name, "disable_ipv6"), "1");
        }
        if !self.bases.contains_key(&vmac.below) {
            let mut before = Vec::new();
            for (name, value) in BASE {
                let found = Sysctl::ipv4(&vmac.below, name).and_then(|sysctl| sysctl.read());
                let found = found.unwrap_or_else(|_| "0".to_owned());
                // What an administrator has set stays.
                if found == "0" {
                    set(Sysctl::ipv4(&vmac.below, name), value);
                }
                before.push(found);
            }
            self.bases.insert(vmac.below.clone(), before.join(" "));
        }
        let before = self.bases.get(&vmac.below).cloned().unwrap_or_default();
        self.netlink.set_alias(index, &format!("{MARK}{before}"))?;
        Ok(index)
    }

    /// Adds the addresses of `member` or renews them, on VMACs that are up. IPv4 addresses are there before their VMAC
    /// is up: the first word of that moves their packets to this host.
    pub(crate) fn take(&mut self, place: Place, member: &mut Member, links: &mut Links, refused: &mut Vec<Error>) {
        let down = !member.instance.vmacs.is_empty() && !self.are_up(member, links);
        if down {
            for vmac in &member.instance.vmacs {
                // What refuses it was told when the VMAC was made.
                let _ = arp_ignore(vmac, "1");
            }
            if !member.instance.vips().any(|vip| vip.address.is_ipv6()) {
                self.hold(place, member, &links.links, refused);
                return self.turn(member, true, links, refused);
            }
            self.turn(member, true, links, refused);
        }
        self.hold(place, member, &links.links, refused);
    }

    /// Removes the addresses of `member`; VMACs are set down first, that nothing speaks of the end of an address with
    /// the virtual router's MAC address.
    pub(crate) fn leave(&mut self, place: Place, member: &mut Member, links: &mut Links, refused: &mut Vec<Error>) {
        self.let_go(member);
        self.turn(member, false, links, refused);
        self.release((place, &member.instance), member.instance.vips(), &links.links, refused);
        self.closed.release(place);
    }

    fn turn(&mut self, member: &Member, up: bool, links: &mut Links, refused: &mut Vec<Error>) {
        for index in member.vmacs.indexes.iter().copied().flatten() {
            if links.links.iter().any(|link| link.index == index && link.up != up) {
                refused.extend(self.turn_link(index, up, links).err().filter(|e| !e.is_missing()));
            }
        }
    }

    fn turn_link(&mut self, index: u32, up: bool, links: &mut Links) -> Result<(), Error> {
        self.netlink.set_up(index, up)?;
        // The kernel tells it too, a moment later.
        if let Some(link) = links.links.iter_mut().find(|link| link.index == index) {
            link.up = up;
            link.running = up;
        }
        Ok(())
    }

    fn are_up(&self, member: &Member, links: &Links) -> bool {
        let up = |index: u32| links.links.iter().any(|link| link.index == index && link.up);
        member.vmacs.indexes.iter().copied().flatten().all(up)
    }

    /// Removes the VMACs of `member`.
    pub(crate) fn strip(&mut self, member: &mut Member, links: &mut Links, refused: &mut Vec<Error>) {
        for index in member.vmacs.indexes.drain(..).flatten() {
            refused.extend(self.netlink.delete_link(index).err().filter(|e| !e.is_missing()));
            links.take(Event::LinkGone(index));
        }
    }

    /// Puts interfaces back as they were before VMACs stood on them, but for those that are still `used`.
    pub(crate) fn restore_bases(&mut self, used: impl Fn(&str) -> bool) {
        self.bases.retain(|below, before| {
            let used = used(below);
            for ((name, _), value) in BASE.iter().zip(before.split(' ')).filter(|(_, value)| !used && *value == "0") {
                // It may be gone.
                let _ = Sysctl::ipv4(below, name).and_then(|sysctl| sysctl.write(value));
            }
            used
        });
    }
}
