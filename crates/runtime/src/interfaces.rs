//! On which interfaces the virtual addresses' traffic arrives, told from addresses and routes.
//!
//! For each virtual address - and each prefix that what has a mark goes to - the first that holds:
//!
//! 1. the interfaces that hold the address itself (not loopback, not one that leads nowhere);
//! 2. the interfaces with an address in whose subnet the virtual address lies: its neighbours find it there by ARP;
//! 3. the interfaces that a default route of its family leads out of: that is where clients are;
//! 4. every interface that is up: a guess, made when the daemon starts or reads its files, and kept to from then on. It is
//!    not made when an address is gone for a moment.
//!
//! An attachment that sees no packet of a service costs a few nanoseconds a packet, a missing one costs the service: where
//! it is undecided, more is taken.

use evenkeel_model::Prefix;
use std::{collections::BTreeSet, net::IpAddr};

/// An interface as far as the choice looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Interface {
    /// Its name.
    pub name: String,
    /// It is up and leads somewhere: neither loopback nor dummy.
    pub usable: bool,
    /// Its addresses with the length of their subnet.
    pub addresses: Vec<(IpAddr, u8)>,
    /// A default route of IPv4 leads out of it.
    pub default4: bool,
    /// A default route of IPv6 leads out of it.
    pub default6: bool,
}

/// The names of the interfaces to attach to; with `guess`, every usable one for an address that is undecided.
pub(crate) fn choose(vips: &BTreeSet<Prefix>, interfaces: &[Interface], guess: bool) -> BTreeSet<String> {
    let usable: Vec<&Interface> = interfaces.iter().filter(|i| i.usable).collect();
    let names = vips.iter().flat_map(|vip| match choose_one(*vip, &usable) {
        names if names.is_empty() && guess => usable.iter().map(|i| i.name.as_str()).collect(),
        names => names,
    });
    // Ten thousand addresses have a handful of names among them.
    let names: BTreeSet<&str> = names.collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Whether an address is undecided.
pub(crate) fn is_a_guess(vips: &BTreeSet<Prefix>, interfaces: &[Interface]) -> bool {
    let usable: Vec<&Interface> = interfaces.iter().filter(|i| i.usable).collect();
    vips.iter().any(|vip| choose_one(*vip, &usable).is_empty())
}

/// The names of the interfaces that packets to `vip` arrive on; none where that is undecided.
pub(crate) fn choose_for<'a>(vip: Prefix, interfaces: impl Iterator<Item = &'a Interface>) -> Vec<&'a str> {
    let usable: Vec<&Interface> = interfaces.filter(|i| i.usable).collect();
    choose_one(vip, &usable)
}

/// Whether the choice hangs on default routes.
pub(crate) fn hangs_on_routes(vips: &BTreeSet<Prefix>, interfaces: &[Interface]) -> bool {
    let usable = || interfaces.iter().filter(|i| i.usable);
    let by_address =
        |vip: Prefix| usable().flat_map(|i| &i.addresses).any(|(address, length)| meets(vip, *address, *length));
    !vips.iter().all(|vip| by_address(*vip))
}

fn choose_one<'a>(vip: Prefix, usable: &[&'a Interface]) -> Vec<&'a str> {
    let holds = |i: &Interface| i.addresses.iter().any(|(address, _)| vip.contains(*address));
    let near = |i: &Interface| i.addresses.iter().any(|(address, length)| meets(vip, *address, *length));
    let default = |i: &Interface| if vip.address().is_ipv4() { i.default4 } else { i.default6 };
    let rules: [&dyn Fn(&Interface) -> bool; 3] = [&holds, &near, &default];
    rules
        .iter()
        .map(|rule| usable.iter().filter(|i| rule(i)).map(|i| i.name.as_str()).collect::<Vec<_>>())
        .find(|names| !names.is_empty())
        .unwrap_or_default()
}

/// Whether addresses of `vip` are neighbours of this one.
fn meets(vip: Prefix, address: IpAddr, length: u8) -> bool {
    Prefix::new(address, length).is_ok_and(|subnet| subnet.contains(vip.address()) || vip.contains(subnet.address()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, addresses: &[&str]) -> Interface {
        let addresses = addresses
            .iter()
            .map(|a| a.split_once('/').unwrap())
            .map(|(a, l)| (a.parse().unwrap(), l.parse().unwrap()))
            .collect();
        Interface {
            name: name.into(),
            usable: name != "lo" && name != "dummy0",
            addresses,
            default4: false,
            default6: false,
        }
    }

    fn chosen(vips: &[&str], interfaces: &[Interface]) -> Vec<String> {
        choose(&vips.iter().map(|v| v.parse().unwrap()).collect(), interfaces, true).into_iter().collect()
    }

    #[test]
    fn the_interface_that_holds_the_vip_is_taken() {
        let all = [interface("eth0", &["192.0.2.1/24"]), interface("eth1", &["192.0.2.9/32", "10.0.0.1/8"])];
        assert_eq!(chosen(&["192.0.2.9"], &all), ["eth1"]);
    }

    #[test]
    fn a_vip_on_lo_or_on_a_dummy_is_looked_for_in_the_subnets() {
        for holder in ["lo", "dummy0"] {
            let all = [
                interface(holder, &["192.0.2.9/32"]),
                interface("eth0", &["192.0.2.1/24"]),
                interface("eth1", &["10.0.0.1/8"]),
            ];
            assert_eq!(chosen(&["192.0.2.9"], &all), ["eth0"]);
        }
    }

    #[test]
    fn a_vip_of_no_subnet_comes_by_the_default_route_of_its_family() {
        let mut all = [interface("eth0", &["192.0.2.1/24"]), interface("eth1", &["10.0.0.1/8"])];
        all[0].default6 = true;
        all[1].default4 = true;
        assert_eq!(chosen(&["203.0.113.1"], &all), ["eth1"]);
        assert_eq!(chosen(&["2001:db8::1"], &all), ["eth0"]);
    }

    #[test]
    fn undecided_means_every_interface_that_is_up() {
        let mut all = [interface("lo", &[]), interface("eth0", &["192.0.2.1/24"]), interface("eth1", &[])];
        assert_eq!(chosen(&["203.0.113.1"], &all), ["eth0", "eth1"]);
        all[1].usable = false;
        assert_eq!(chosen(&["203.0.113.1"], &all), ["eth1"]);
        assert!(chosen(&[], &all).is_empty());
        let vips = BTreeSet::from(["203.0.113.1".parse().unwrap()]);
        assert!(is_a_guess(&vips, &all) && choose(&vips, &all, false).is_empty());
    }

    #[test]
    fn a_prefix_that_has_a_mark_is_taken_where_addresses_of_it_are() {
        let mut all = [interface("eth0", &["192.0.2.1/24"]), interface("eth1", &["10.0.0.1/8"])];
        all[1].default4 = true;
        assert_eq!(chosen(&["192.0.2.0/28"], &all), ["eth0"]);
        assert_eq!(chosen(&["0.0.0.0/0"], &all), ["eth0", "eth1"]);
        assert_eq!(chosen(&["203.0.113.0/24"], &all), ["eth1"]);
    }

    #[test]
    fn several_vips_take_the_interfaces_of_each() {
        let all = [interface("eth0", &["192.0.2.1/24"]), interface("eth1", &["2001:db8::1/64"])];
        assert_eq!(chosen(&["192.0.2.9", "2001:db8::9"], &all), ["eth0", "eth1"]);
    }
}
