//! `[bfd.NAME]` and `bfd_instance`: what they mean, and what is said about mistakes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{brief, errors, keepalived, native};
use evenkeel_config::to_toml;
use evenkeel_model::bfd::{Reach, Session};
use std::time::Duration;

fn millis(session: &Session) -> [u128; 3] {
    [session.transmit, session.receive, session.idle].map(|interval| interval.get().as_millis())
}

#[test]
fn a_session_needs_a_neighbour_and_no_more() {
    let loaded = native("[bfd.other]\nneighbour = \"192.0.2.2\"\n");
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    let session = &cluster.vrrp.bfd[0];
    assert_eq!((session.name.as_str(), session.neighbour.to_string().as_str()), ("other", "192.0.2.2"));
    assert_eq!((millis(session), session.multiplier.get(), session.passive), ([50, 50, 1000], 3, false));
    assert_eq!(session.reach, Reach { multihop: false, hops: 255, least_hops: 255 });
}

#[test]
fn everything_can_be_said_and_is_written_as_it_reads() {
    let text = "[bfd.far]\nneighbour = \"2001:db8::2\"\nsource = \"2001:db8::1\"\ntransmit = \"1500us\"\nreceive = \"20ms\"\n\
                idle = \"3s\"\nmisses = 7\npassive = true\nmultihop = true\nttl = 64\nleast_ttl = 60\n\
                [bfd.near]\nneighbour = \"fe80::2\"\ninterface = \"eth0\"\n[bfd.over]\nneighbour = \"192.0.2.9\"\nmultihop = true\n";
    let loaded = native(text);
    assert_eq!(brief(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    let [far, near, over] = cluster.vrrp.bfd.as_slice() else { panic!("three sessions") };
    assert_eq!(far.transmit.get(), Duration::from_micros(1500));
    assert_eq!((far.multiplier.get(), far.passive), (7, true));
    assert_eq!(far.reach, Reach { multihop: true, hops: 64, least_hops: 60 });
    assert_eq!(near.interface.as_deref(), Some("eth0"));
    assert_eq!(over.reach, Reach { multihop: true, hops: 255, least_hops: 0 });
    assert_eq!(native(&to_toml(&cluster)).cluster, Some(cluster));
}

#[test]
fn mistakes_are_all_reported() {
    let text = "[bfd.none]\n[bfd.wrong]\nneighbour = \"nobody\"\ntransmit = \"10us\"\nidle = \"500ms\"\nmisses = 0\nmin_rx = 10\n\
                [bfd.one]\nneighbour = \"192.0.2.2\"\n[bfd.two]\nneighbour = \"192.0.2.2\"\n[bfd.link]\nneighbour = \"fe80::2\"\n\
                [bfd.mixed]\nneighbour = \"192.0.2.3\"\nsource = \"2001:db8::1\"\n[bfd.all]\nneighbour = \"224.0.0.1\"\n";
    let loaded = native(text);
    let said = errors(&loaded);
    for wanted in [
        "`none` has no neighbour",
        "`nobody` is no address",
        "transmit",
        "idle",
        "misses",
        "`min_rx`",
        "two BFD sessions have the neighbour 192.0.2.2",
        "fe80::2 is on every link",
        "different families",
        "nobody's",
    ] {
        assert!(said.iter().any(|line| line.contains(wanted)), "{wanted}: {said:#?}");
    }
}

#[test]
fn keepalived_has_its_own_defaults_and_takes_its_own_ttl_for_granted() {
    let loaded = keepalived(
        "bfd_instance four {\n neighbor_ip 192.0.2.2\n}\nbfd_instance six {\n neighbor_ip 2001:db8::2\n min_rx 0.5\n max_hops 2\n}\n\
         bfd_instance far {\n neighbor_ip 192.0.2.3\n source_ip 192.0.2.1\n min_tx 30\n idle_tx 2000\n multiplier 9\n passive\n \
         ttl 10\n max_hops 255\n multihop\n}\n",
    );
    assert_eq!(errors(&loaded), Vec::<String>::new());
    let cluster = loaded.cluster.unwrap();
    let [four, six, far] = cluster.vrrp.bfd.as_slice() else { panic!("three sessions") };
    assert_eq!((millis(four), four.multiplier.get()), ([10, 10, 1000], 5));
    assert_eq!(four.reach, Reach { multihop: false, hops: 255, least_hops: 255 });
    // keepalived sends 64 here, and takes what is not lower.
    assert_eq!((six.reach, millis(six)[1]), (Reach { multihop: false, hops: 255, least_hops: 62 }, 1));
    assert_eq!((millis(far), far.multiplier.get(), far.passive), ([30, 10, 2000], 9, true));
    assert_eq!(far.reach, Reach { multihop: true, hops: 10, least_hops: 0 });
    assert_eq!(native(&to_toml(&cluster)).cluster.unwrap().vrrp.bfd, cluster.vrrp.bfd);
}
