//! `[vrrp.NAME]`: what it means, and what is said about mistakes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{brief, errors, golden, native, rendered};
use evenkeel_config::{Loaded, to_toml};
use evenkeel_model::vrrp::{Authentication, Preempt, Reach, Version};
use std::time::Duration;

#[test]
fn an_instance_needs_an_interface_a_number_and_addresses() {
    let loaded = native("[vrrp.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.168.1.150\"]\n");
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    let instance = &cluster.vrrp.instances[0];
    assert_eq!((instance.name.as_str(), instance.interface.as_str(), instance.vrid.get()), ("web", "eth0", 51));
    assert_eq!((instance.priority.get(), instance.version, instance.down_adverts), (100, Version::Three, 3));
    assert_eq!((instance.interval.get(), instance.preempt), (Duration::from_secs(1), Preempt::After(Duration::ZERO)));
    assert_eq!((instance.addresses[0].prefix, &instance.reach), (32, &Reach::Multicast));
}

const ALL: &str = r#"
[vrrp.four]
interface = "eth0"
vrid = 51
version = 2
priority = 150
interval = "2s"
preempt = "1m"
addresses = ["192.168.1.150/24", "192.168.1.151/32"]
password = "1111"
peers = ["192.168.1.136"]
source = "192.168.1.135"
group = "both"

[vrrp.six]
interface = "eth0"
vrid = 51
interval = "100ms"
preempt = false
addresses = ["fe80::150/64", "2001:db8::150/64"]
group = "both"
"#;

#[test]
fn the_words_of_the_wire_and_of_announcements_are_those_of_keepalived() {
    let loaded = common::keepalived(
        "global_defs {\n vrrp_mcast_group4 224.0.0.55\n vrrp_mcast_group6 ff02::55\n vrrp_min_garp\n \
         vrrp_garp_extra_if all 40\n}\nvrrp_instance a {\n interface eth0\n virtual_router_id 51\n \
         promote_secondaries\n virtual_ipaddress {\n 10.9.0.100/24\n }\n}\nvrrp_instance b {\n interface eth0\n \
         virtual_router_id 52\n mcast_dst_ip 224.0.0.56\n garp_extra_if 30\n garp_master_repeat 3\n \
         virtual_ipaddress {\n 10.9.0.101/24\n }\n}\nvrrp_instance c {\n interface eth0\n virtual_router_id 53\n \
         unicast_ttl 64\n unicast_peer {\n 10.9.0.2\n }\n virtual_ipaddress {\n 10.9.0.102/24\n }\n}\nvrrp_instance d {\n \
         interface eth0\n virtual_router_id 54\n virtual_ipaddress {\n fe80::54/64\n }\n}\n",
    );
    assert_eq!(errors(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    let [a, b, c, d] = cluster.vrrp.instances.as_slice() else { panic!("four instances") };
    let group = |instance: &evenkeel_model::vrrp::Instance| instance.multicast_group().to_string();
    assert_eq!([group(a), group(b), group(d)], ["224.0.0.55", "224.0.0.56", "ff02::55"]);
    assert_eq!((a.promote_secondaries, b.promote_secondaries, c.hops, a.hops), (true, false, 64, 255));
    let seconds = |n| Duration::from_secs(n);
    assert_eq!((a.rounds.burst, a.rounds.again_after, a.rounds.refresh), (1, Duration::ZERO, seconds(40)));
    assert_eq!((b.rounds.burst, b.rounds.refresh), (3, seconds(30)));
    assert_eq!(native(&to_toml(&cluster)).cluster, Some(cluster));
}

#[test]
fn everything_can_be_said_and_is_written_as_it_reads() {
    let loaded = native(ALL);
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    let [four, six] = cluster.vrrp.instances.as_slice() else { panic!("two instances") };
    assert_eq!(four.authentication, Authentication::Password(*b"1111\0\0\0\0"));
    assert_eq!(four.preempt, Preempt::After(Duration::from_secs(60)));
    assert!(matches!(&four.reach, Reach::Unicast { peers, check_source: true } if peers.len() == 1));
    assert_eq!((six.preempt, six.interval.get()), (Preempt::No, Duration::from_millis(100)));
    assert_eq!(native(&to_toml(&cluster)).cluster, Some(cluster));
}

#[test]
fn a_warning_leaves_no_instance_out() {
    let loaded = native("[vrrp.six]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"2001:db8::100/64\"]\n");
    assert_eq!(brief(&loaded), ["warning E0241 4:14 the first IPv6 address is not link-local"]);
    assert_eq!(loaded.cluster.unwrap().vrrp.instances.len(), 1);
}

#[test]
fn mistakes_are_all_reported_with_their_places() {
    let loaded = native(
        r#"
[vrrp.empty]

[vrrp.wrong]
interface = ""
vrid = 0
version = 4
priority = 256
interval = "5ms"
preempt = "soon"
addresses = ["192.168.1.300", "192.168.1.1/33", "192.168.1.2", "fe80::1"]
password = "far too long"
peers = ["nobody", "fe80::2"]
source = "here"
virtual_router_id = 3

[vrrp.old]
interface = "eth0"
vrid = 1
version = 2
interval = "1500ms"
addresses = ["fe80::1/64"]

[vrrp.new]
interface = "eth0"
vrid = 2
version = 3
password = "1111"
addresses = ["2001:db8::1/64"]
peers = []

[vrrp.first]
interface = "eth0"
vrid = 7
addresses = ["10.0.0.1"]
group = "one"

[vrrp.second]
interface = "eth0"
vrid = 7
addresses = ["10.0.0.1", "10.0.0.2"]
"#,
    );
    assert!(loaded.cluster.is_none());
    assert!(errors(&loaded).len() >= 15, "{:?}", errors(&loaded));
    golden("tests/golden/vrrp-mistakes.txt", &rendered(&loaded));
}

/// A file with these pauses and an instance.
fn paced(pauses: &str) -> Loaded {
    let instance = "[vrrp.web]\ninterface = \"eth0\"\nvrid = 51\naddresses = [\"192.168.1.150\"]\n";
    native(&format!("[settings]\nannounce_pauses = [{pauses}]\n{instance}"))
}

#[test]
fn an_interface_has_one_pause_and_all_others_have_another() {
    let loaded = paced(
        "{ interfaces = [\"eth0\", \"eth1\"], arp = \"1ms\" }, { interfaces = [\"eth1\", \"eth2\"], arp = \"2ms\" }, { neighbour = \
         \"3ms\" }",
    );
    assert_eq!(brief(&loaded), ["warning E0235 2:68 announcements on eth1 are paced already"]);
    let pauses = loaded.cluster.unwrap().vrrp.pauses;
    let named: Vec<Vec<String>> = pauses.iter().map(|pause| pause.interfaces.clone()).collect();
    assert_eq!(named, [vec!["eth0".to_owned(), "eth1".into()], vec!["eth2".into()], vec![]]);
    assert_eq!(pauses[2].neighbour, Duration::from_millis(3));
}

#[test]
fn mistakes_in_pauses_are_told() {
    for (pauses, told) in [
        ("\"eth0\"", "error E0503 2:20 a pause is a table"),
        ("{ interfaces = [], arp = \"1ms\" }", "error E0121 2:20 interfaces is empty"),
        ("{ interfaces = [\"eth0\"] }", "warning E0130 2:20 a pause of no time has no effect"),
        ("{ arp = \"1ms\" }, { arp = \"2ms\" }", "error E0215 2:37 announcements on all interfaces are paced twice"),
    ] {
        assert_eq!(brief(&paced(pauses)), [told], "{pauses}");
    }
}
