//! A table of nftables of our own, by which this host takes no packets to some addresses (`no_accept`). Services take
//! theirs before the host's firewall sees them.

use super::host::run;
use std::{collections::BTreeSet, net::IpAddr};

/// Its name, in the family `inet`.
pub(super) const TABLE: &str = "evenkeel";

/// Has the kernel drop packets to `addresses` that come from elsewhere, from now on to these alone; without any, the table
/// goes. `there` are the tables that the kernel says it has, as `FAMILY NAME`. Errors are sentence fragments.
pub fn refuse(addresses: &BTreeSet<IpAddr>, there: &[String]) -> Result<(), String> {
    if addresses.is_empty() && !there.iter().any(|name| *name == format!("inet {TABLE}")) {
        return Ok(());
    }
    let words = words(addresses);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run("nft", &words) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err("there is no `nft` to refuse packets with (Debian package nftables)".to_owned()),
        Err(why) => Err(format!("packets to addresses cannot be refused: {why}")),
    }
}

/// The words of one transaction: nft joins them by blanks.
fn words(addresses: &BTreeSet<IpAddr>) -> Vec<String> {
    // Added first, so that it can be deleted in any case.
    let mut words = vec![format!("add table inet {TABLE}; delete table inet {TABLE};")];
    if addresses.is_empty() {
        return words;
    }
    words.push(format!("table inet {TABLE} {{"));
    for (ipv6, name, kind) in [(false, "v4", "ipv4_addr"), (true, "v6", "ipv6_addr")] {
        words.push(format!("set {name} {{ type {kind};"));
        let of_family = addresses.iter().filter(|address| address.is_ipv6() == ipv6);
        let members: Vec<String> = of_family.map(|address| format!("{address},")).collect();
        if !members.is_empty() {
            words.push("elements = {".to_owned());
            words.extend(members);
            words.push("}".to_owned());
        }
        words.push("};".to_owned());
    }
    // RFC 9568 6.4.3 (650): neighbour discovery goes on. What this host sends to itself comes by lo.
    words.push(
        "chain input { type filter hook input priority -1; policy accept; iif lo accept; ip daddr @v4 drop; icmpv6 type \
         { nd-neighbor-solicit, nd-neighbor-advert } accept; ip6 daddr @v6 drop; }; }"
            .to_owned(),
    );
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_has_its_set_and_nothing_is_asked_for_without_need() {
        let addresses = BTreeSet::from(["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()]);
        let text = words(&addresses).join(" ");
        assert!(
            text.starts_with("add table inet evenkeel; delete table inet evenkeel; table inet evenkeel {"),
            "{text}"
        );
        assert!(text.contains("set v4 { type ipv4_addr; elements = { 192.0.2.1, } };"), "{text}");
        assert!(text.contains("set v6 { type ipv6_addr; elements = { 2001:db8::1, } };"), "{text}");
        assert_eq!(refuse(&BTreeSet::new(), &["ip filter".to_owned()]), Ok(()));
    }
}
