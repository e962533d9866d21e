//! The virtual router's MAC address with real packets: whoever is master, clients keep the same one.

use crate::pair::{self, Pair, Player, VMAC, Wire};
use evenkeel_lab_tests::can_run;

/// Of virtual router 51, for IPv4 and IPv6.
const MAC: &str = "00:00:5e:00:01:33";
const MAC_IPV6: &str = "00:00:5e:00:02:33";

const SHOW: &str = "ip -d link show dev vrrp.51";

/// What an entry of the client's neighbour table says about the VIP, without asking for it anew.
fn known_mac(pair: &Pair) -> String {
    pair.run("client", "ip neigh show to 10.79.0.100")
}

#[test]
fn clients_keep_their_mac_address_and_lose_nothing_when_the_master_ends_in_order() {
    if !can_run() {
        return;
    }
    for wire in [Wire::Vmac, Wire::VmacFromBase] {
        let mut pair = Pair::settled_by(wire);
        assert_eq!(pair.mac_at_client(), MAC);
        // A backup's interface is there and down: no switch learns its MAC address there.
        pair.wait_told("d2", SHOW, |told| told.contains("macvlan mode private") && told.contains("state DOWN"));
        let probe = pair.probe();
        pair.stop(0);
        pair.wait_owners(&[1]);
        assert!(known_mac(&pair).contains(MAC), "{}", known_mac(&pair));
        // What evenkeel made it removes, and what it set it sets back.
        assert_eq!(pair.run("d1", SHOW), "");
        assert_eq!(pair.run("d1", "cat /proc/sys/net/ipv4/conf/eth0/arp_ignore").trim(), "0");
        pair.start(0);
        pair.wait_owners(&[0]);
        assert!(known_mac(&pair).contains(MAC), "{}", known_mac(&pair));
        let report = probe.stop();
        assert!(report.sent > 1000 && report.lost == 0, "{wire:?}: {report:?}");
    }
}

#[test]
fn a_keepalived_with_a_vmac_is_relieved_and_relieves() {
    if !can_run() || !pair::has_keepalived() {
        return;
    }
    for wire in [Wire::Vmac, Wire::VmacFromBase, Wire::VmacIpv6] {
        let mac = if wire == Wire::VmacIpv6 { MAC_IPV6 } else { MAC };
        for players in [[Player::Evenkeel, Player::Keepalived], [Player::Keepalived, Player::Evenkeel]] {
            let mut pair = Pair::new(wire, players);
            // A keepalived asks for its neighbours in the name of the VIP, with the MAC address of the base interface.
            let judge = |pair: &Pair, at: usize| {
                pair.wait_owners(&[at]);
                if players[at] == Player::Evenkeel {
                    assert_eq!(pair.mac_at_client(), mac, "{wire:?}");
                }
            };
            pair.start(1);
            judge(&pair, 1);
            pair.start(0);
            judge(&pair, 0);
            pair.stop(0);
            judge(&pair, 1);
            pair.start(0);
            judge(&pair, 0);
        }
    }
}

#[test]
fn a_killed_master_finds_its_interface_again_or_leaves_it_without_addresses() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::settled_by(Wire::Vmac);
    pair.kill(0);
    let index = pair.run("d1", "cat /sys/class/net/vrrp.51/ifindex");
    pair.start(0);
    pair.wait_role(0, "master");
    assert!(pair.status(0).contains("as the run before had left them"), "{}", pair.status(0));
    assert_eq!(pair.run("d1", "cat /sys/class/net/vrrp.51/ifindex"), index);
    // Nobody comes back: the address goes by its lease, and the other one has it with the same MAC address.
    pair.kill(0);
    let seen = pair.watch_owners_until(&[1]);
    assert!(!seen.contains(&vec![0, 1]), "{seen:?}");
    assert_eq!(pair.mac_at_client(), MAC);
    pair.start(0);
    pair.wait_owners(&[0]);
    assert_eq!(pair.mac_at_client(), MAC);
}

#[test]
fn an_interface_that_somebody_deletes_or_sets_down_is_back_at_once() {
    if !can_run() {
        return;
    }
    let pair = Pair::settled_by(Wire::Vmac);
    for damage in ["ip link delete vrrp.51", "ip link set vrrp.51 down", "ip addr flush dev vrrp.51"] {
        pair.run("d1", damage);
        pair.wait_told("d1", "ip -o addr show dev vrrp.51", |told| told.contains("10.79.0.100"));
        pair.wait_told("d1", SHOW, |told| told.contains("state UP") && told.contains(MAC));
        assert_eq!(pair.mac_at_client(), MAC, "{damage}");
    }
    assert_eq!(pair.owners(), [0]);
}

#[test]
fn a_base_interface_that_flaps_or_is_made_anew_takes_its_vmac_along() {
    if !can_run() {
        return;
    }
    let pair = Pair::settled_by(Wire::Vmac);
    pair.run("d1", "ip link set eth0 down");
    pair.wait_owners(&[1]);
    assert_eq!(pair.mac_at_client(), MAC);
    pair.run("d1", "ip link set eth0 up");
    pair.wait_owners(&[0]);
    assert_eq!(pair.mac_at_client(), MAC);
    // Another interface of that name.
    pair.run("d1", "ip link set eth0 down");
    pair.run("d1", "ip link set eth0 name old");
    pair.wait_owners(&[1]);
    pair.run("d1", "ip link set old name eth0");
    pair.run("d1", "ip link set eth0 up");
    pair.wait_owners(&[0]);
    assert_eq!(pair.mac_at_client(), MAC);
}

#[test]
fn what_a_dead_keepalived_has_left_is_named_and_made_anew() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::Vmac, [Player::Evenkeel, Player::Evenkeel]);
    pair.run("d1", &format!("ip link add {VMAC} link eth0 address {MAC} type macvlan mode private"));
    pair.run("d1", &format!("ip addr add 10.79.0.100/24 dev {VMAC}"));
    pair.run("d1", &format!("ip link set {VMAC} up"));
    pair.start(0);
    pair.wait_role(0, "master");
    assert!(pair.log(0).contains("keepalived or another program has left it"), "{}", pair.log(0));
    pair.wait_owners(&[0]);
    // An interface that only has the name is nobody's to delete.
    pair.run("d2", &format!("ip link add {VMAC} type veth peer name other"));
    pair.start(1);
    pair.wait_role(1, "fault");
    assert!(pair.log(1).contains("Next: give it or the VMAC another name"), "{}", pair.log(1));
}
