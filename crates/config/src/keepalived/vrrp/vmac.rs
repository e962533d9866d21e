//! `use_vmac`, `use_vmac_addr` and `use_ipvlan`: interfaces with the virtual router's MAC address.

use super::{Vrrp, VrrpAddress, VrrpInstance, strict};
use crate::{codes, host::shown, keepalived::value};
use evenkeel_model::vrrp::{Instance, LONGEST_INTERFACE_NAME, Reach, Vip, Vmac, Vrid, virtual_mac};
use evenkeel_source::Diagnostic;
use std::{collections::BTreeSet, net::IpAddr};

/// How names of VMACs begin where none is given.
const PREFIX: &str = "vrrp";
/// Names that are tried for one VMAC: an instance has so many addresses at most, each on another interface.
const TRIED: usize = 512;

/// What stands behind `use_vmac`: a name and a MAC address, in either order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Words<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) mac: Option<Mac>,
    pub(super) strange: Option<&'a str>,
}

/// A MAC address as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mac {
    Whole([u8; 6]),
    /// The virtual router id is its last byte.
    Beginning([u8; 5]),
}

impl Mac {
    fn of(self, vrid: Vrid) -> [u8; 6] {
        match self {
            Mac::Whole(mac) => mac,
            Mac::Beginning([a, b, c, d, e]) => [a, b, c, d, e, vrid.get()],
        }
    }

    /// One station's, not all zeros.
    fn fits(self) -> bool {
        let first = match self {
            Mac::Whole([first, ..]) | Mac::Beginning([first, ..]) => first,
        };
        first & 1 == 0 && self != Mac::Whole([0; 6]) && self != Mac::Beginning([0; 5])
    }
}

fn mac(text: &str) -> Option<Mac> {
    let bytes: Option<Vec<u8>> = text
        .split(':')
        .map(|part| (!part.starts_with('+') && part.len() <= 2).then(|| u8::from_str_radix(part, 16).ok()).flatten())
        .collect();
    match bytes?[..] {
        [a, b, c, d, e, f] => Some(Mac::Whole([a, b, c, d, e, f])),
        [a, b, c, d, e] => Some(Mac::Beginning([a, b, c, d, e])),
        _ => None,
    }
}

/// Tells name and MAC address apart.
pub(super) fn words(line: &[String]) -> Words<'_> {
    let mut found = Words::default();
    for word in line {
        match (mac(word), found.mac, found.name) {
            (Some(mac), None, _) => found.mac = Some(mac),
            (None, _, None) if value::is_interface(word) => found.name = Some(word),
            (Some(_) | None, _, _) => found.strange = found.strange.or(Some(word)),
        }
    }
    found
}

/// Reports what cannot be.
pub(super) fn judge(instance: &VrrpInstance, out: &mut Vec<Diagnostic>) {
    if let Some(line) = &instance.vmac {
        let words = words(&line.value);
        if let Some(strange) = words.strange {
            let message = format!("`{}` is neither the name of an interface nor a MAC address", shown(strange));
            let d = Diagnostic::error(codes::VALUE, line.span, message);
            out.push(d.help("write `use_vmac`, `use_vmac vrrp.51` or `use_vmac vrrp.51 02:00:5e:00:01:33`"));
        }
        if words.mac.is_some_and(|mac| !mac.fits()) {
            let message = "a VMAC has the MAC address of one station, not of a group, and not zero";
            out.push(Diagnostic::error(codes::VALUE, line.span, message));
        }
        let peers = instance.peers.as_ref().is_some_and(|peers| !peers.is_empty());
        if peers && !instance.switches.contains(&"vmac_xmit_base") {
            let message = "unicast advertisements leave from the base interface: as with `vmac_xmit_base`";
            let d = Diagnostic::warning(codes::VRRP_STATE, line.span, message);
            out.push(d.note("keepalived sets it by itself").help("write `vmac_xmit_base`"));
        }
    } else if instance.switches.contains(&"vmac_xmit_base") {
        let message = "`vmac_xmit_base` has no effect without `use_vmac`";
        out.push(Diagnostic::warning(codes::VRRP_STATE, instance.name.span, message));
    }
    if let (Some(vmac), Some(ipvlan)) = (&instance.vmac, &instance.ipvlan) {
        let d = Diagnostic::warning(codes::VRRP_STATE, ipvlan.span, "`use_ipvlan` has no effect with `use_vmac`");
        out.push(d.label(vmac.span, "the VMAC"));
    }
}

/// Names of interfaces that are given or made; VMACs of several instances have different ones.
pub(super) type Taken = BTreeSet<String>;

/// The names that files give to VMACs.
pub(super) fn given(vrrp: &Vrrp) -> Taken {
    let names = vrrp.instances.iter().filter_map(|instance| words(&instance.vmac.as_ref()?.value).name);
    names.map(str::to_owned).collect()
}

/// `vrrp.51`; where that is taken, `vrrp1.51` and so on, as keepalived does.
fn name(prefix: &str, vrid: Vrid, taken: &mut Taken) -> Option<String> {
    let whole = (0..TRIED).map(|n| if n == 0 { format!("{prefix}.{vrid}") } else { format!("{prefix}{n}.{vrid}") });
    let name = whole.into_iter().find(|name| !taken.contains(name))?;
    taken.insert(name.clone());
    Some(name.chars().take(LONGEST_INTERFACE_NAME).collect())
}

/// Gives `instance` the VMACs that `from` asks for, and its addresses their places on them.
pub(super) fn add(vrrp: &Vrrp, from: &VrrpInstance, taken: &mut Taken, instance: &mut Instance) {
    let prefix = vrrp.defaults.vmac_prefix.as_ref().map_or(PREFIX, |prefix| &prefix.value);
    let own = from.vmac.as_ref().map(|line| words(&line.value));
    let strict = strict::is_on(vrrp, from);
    if let Some(words) = &own {
        let name = words.name.map(str::to_owned).or_else(|| name(prefix, instance.vrid, taken));
        let mac = words
            .mac
            .filter(|_| !strict)
            .map_or_else(|| virtual_mac(instance.vrid, instance.is_ipv6()), |mac| mac.of(instance.vrid));
        let below = instance.interface.clone();
        instance.vmacs.extend(name.map(|name| Vmac { name, below, mac, speaks: true }));
        let unicast = matches!(instance.reach, Reach::Unicast { .. });
        instance.from_base = unicast || (!strict && from.switches.contains(&"vmac_xmit_base"));
    }
    let prefix = vrrp.defaults.vmac_address_prefix.as_ref().map_or(prefix, |prefix| &prefix.value);
    let everywhere = from.switches.contains(&"use_vmac_addr");
    let six = instance.is_ipv6();
    let mut places = Places { vmacs: std::mem::take(&mut instance.vmacs), taken, prefix, vrid: instance.vrid };
    let written = |address: IpAddr| -> Option<&VrrpAddress> {
        from.addresses.iter().chain(&from.excluded).find(|written| written.address.value == address)
    };
    for vip in instance.addresses.iter_mut().chain(&mut instance.excluded) {
        let asks = everywhere || written(vip.address).is_some_and(|written| written.switches.contains(&"use_vmac"));
        let here = vip.interface.as_ref().is_none_or(|name| *name == instance.interface);
        if own.is_some() && here && (vip.address.is_ipv6() == six || !asks) {
            vip.interface = None;
        } else if asks && (!here || own.is_some()) {
            let below = vip.interface.clone().unwrap_or_else(|| instance.interface.clone());
            places.put(vip, below);
        }
    }
    instance.vmacs = places.vmacs;
}

/// The VMACs of an instance while addresses are put on them.
struct Places<'a> {
    vmacs: Vec<Vmac>,
    taken: &'a mut Taken,
    prefix: &'a str,
    vrid: Vrid,
}

impl Places<'_> {
    /// Puts `vip` on the VMAC of its family on `below`, which is made where there is none.
    fn put(&mut self, vip: &mut Vip, below: String) {
        let mac = virtual_mac(self.vrid, vip.address.is_ipv6());
        let there = self.vmacs.iter().find(|vmac| vmac.below == below && vmac.mac == mac && !vmac.speaks);
        if let Some(vmac) = there {
            vip.interface = Some(vmac.name.clone());
        } else if let Some(name) = name(self.prefix, self.vrid, self.taken) {
            vip.interface = Some(name.clone());
            self.vmacs.push(Vmac { name, below, mac, speaks: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_a_mac_address_may_stand_in_either_order_and_the_id_may_end_it() {
        let line = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let one = line("vm51 02:11:22:33:44:5");
        assert_eq!(words(&one).name, Some("vm51"));
        assert_eq!(words(&one).mac, Some(Mac::Whole([2, 0x11, 0x22, 0x33, 0x44, 5])));
        let two = line("02:11:22:33:44 vm51");
        assert_eq!(words(&two).mac.map(|mac| mac.of(Vrid::new(51).unwrap())), Some([2, 0x11, 0x22, 0x33, 0x44, 51]));
        assert_eq!(words(&two).name, Some("vm51"));
        assert_eq!(words(&line("a b")).strange, Some("b"));
        assert_eq!(mac("02:11:22:33:44:55:66"), None);
        assert!(!Mac::Whole([1, 0, 0, 0, 0, 1]).fits());
    }
}
