//! The order of lists.
//!
//! ipvsadm compares addresses by the sign of a 32-bit difference, so that 192.168.0.1 comes before 10.0.0.1 and a list
//! may have no order at all (10 < 100 < 192 < 2 < 10). What it prints then depends on the order it was given and on the
//! merge sort of its C library; the same steps are taken here.

use evenkeel_api::table::{Key, TableServer, TableService};
use std::{cmp::Ordering, net::IpAddr};

/// Services in the order of lists.
pub(crate) fn services(of: &[TableService]) -> Vec<&TableService> {
    merge_sort(of.iter().collect(), &|a, b| service(&a.key, &b.key))
}

/// Real servers in the order of lists.
pub(crate) fn servers(of: &[TableServer]) -> Vec<&TableServer> {
    merge_sort(of.iter().collect(), &|a, b| {
        server_address(a.address.ip(), b.address.ip()).then(a.address.port().cmp(&b.address.port()))
    })
}

fn service(a: &Key, b: &Key) -> Ordering {
    let parts = |key: &Key| match key {
        Key::Address { address, protocol, port } => (0, address.is_ipv6(), *protocol, Some(*address), *port),
        Key::Mark { mark, ipv6 } => (*mark, *ipv6, 0, None, 0),
    };
    let ((mark_a, v6_a, protocol_a, address_a, port_a), (mark_b, v6_b, protocol_b, address_b, port_b)) =
        (parts(a), parts(b));
    difference(mark_a, mark_b)
        .then(v6_a.cmp(&v6_b))
        .then(protocol_a.cmp(&protocol_b))
        .then_with(|| match (address_a, address_b) {
            (Some(a), Some(b)) => server_address(a, b),
            (None, _) | (_, None) => Ordering::Equal,
        })
        .then(port_a.cmp(&port_b))
}

/// Families are not told apart: an IPv4 address counts as the first word of an IPv6 one.
fn server_address(a: IpAddr, b: IpAddr) -> Ordering {
    words(a).into_iter().zip(words(b)).map(|(a, b)| difference(a, b)).fold(Ordering::Equal, Ordering::then)
}

fn words(address: IpAddr) -> [u32; 4] {
    match address {
        IpAddr::V4(address) => [u32::from(address), 0, 0, 0],
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            // Each is what 32 bits hold of a shift by a multiple of 32.
            [96, 64, 32, 0].map(|shift| ((bits >> shift) & u128::from(u32::MAX)) as u32)
        }
    }
}

fn difference(a: u32, b: u32) -> Ordering {
    a.wrapping_sub(b).cast_signed().cmp(&0)
}

/// The standard library's sort may panic over an order that is none.
fn merge_sort<T: Copy>(items: Vec<T>, compare: &dyn Fn(&T, &T) -> Ordering) -> Vec<T> {
    if items.len() < 2 {
        return items;
    }
    let (left, right) = items.split_at(items.len() / 2);
    let (left, right) = (merge_sort(left.to_vec(), compare), merge_sort(right.to_vec(), compare));
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    let mut sorted = Vec::with_capacity(items.len());
    loop {
        let next = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if compare(a, b) == Ordering::Greater => right.next(),
            (Some(_), _) => left.next(),
            (None, _) => right.next(),
        };
        match next {
            Some(item) => sorted.push(item),
            None => return sorted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(addresses: &[&str]) -> Vec<String> {
        let parsed: Vec<IpAddr> = addresses.iter().map(|a| a.parse().expect("an address")).collect();
        merge_sort(parsed, &|a, b| server_address(*a, *b)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn addresses_are_ordered_by_the_sign_of_their_difference() {
        assert_eq!(sorted(&["10.0.0.1", "192.168.0.1", "10.0.0.0"]), ["192.168.0.1", "10.0.0.0", "10.0.0.1"]);
        assert_eq!(sorted(&["2001:db8::1", "fd00::10", "fd00::2"]), ["fd00::2", "fd00::10", "2001:db8::1"]);
        assert_eq!(sorted(&["10.0.0.9", "fd00::1"]), ["fd00::1", "10.0.0.9"]);
    }

    #[test]
    fn an_order_that_is_none_ends_all_the_same() {
        let round = sorted(&["10.0.0.1", "100.0.0.1", "192.0.0.1", "2.0.0.1"]);
        assert_eq!(round, ["192.0.0.1", "2.0.0.1", "10.0.0.1", "100.0.0.1"]);
    }
}
