use super::*;
use crate::memory::{MemoryPath, Pins};
use evenkeel_model::{Cluster, Settings};

fn host(interfaces: &[(&str, u32)]) -> Vec<Numbered> {
    let one = |(name, index): &(&str, u32)| Numbered {
        index: *index,
        is_card: name.starts_with("eth"),
        is_deaf: name.contains(".deaf"),
        interface: Interface {
            name: (*name).into(),
            usable: true,
            addresses: vec![],
            default4: false,
            default6: false,
        },
    };
    interfaces.iter().map(one).collect()
}

fn cluster(interfaces: &[&str]) -> Cluster {
    let interfaces = interfaces.iter().map(|i| (*i).to_owned()).collect();
    Cluster { settings: Settings { interfaces, ..Settings::default() }, ..Cluster::default() }
}

fn want(doors: &mut Doors, cluster: &Cluster) {
    doors.want(&cluster.settings, &Follows::of(cluster, std::iter::empty()));
}

fn attached(path: &mut MemoryPath) -> Vec<String> {
    path.attachments().into_iter().map(|a| a.interface).collect()
}

#[test]
fn a_named_interface_is_attached_once_and_again_when_it_is_made_anew() {
    let (pins, mut doors) = (Pins::default(), Doors::default());
    let mut path = MemoryPath::open(&pins);
    want(&mut doors, &cluster(&["eth0"]));
    assert_eq!(doors.settle(&mut path, &host(&[("eth0", 2), ("eth1", 3)]), Look::Mend).len(), 1);
    assert_eq!(doors.settle(&mut path, &host(&[("eth0", 2)]), Look::Mend), []);
    assert_eq!(pins.attached(), 1);
    assert!(doors.is_open());
    let events = doors.settle(&mut path, &host(&[]), Look::Mend);
    assert!(matches!(events.as_slice(), [Event::AttachmentChanged { mode: None, .. }]), "{events:?}");
    assert!(!doors.is_open());
    doors.settle(&mut path, &host(&[("eth0", 9)]), Look::Mend);
    assert_eq!(pins.attached(), 2);
    assert_eq!(doors.complaints().count(), 0);
}

#[test]
fn a_failure_is_told_once_and_stays_in_status() {
    let (pins, mut doors) = (Pins::default(), Doors::default());
    let mut path = MemoryPath::open(&pins);
    pins.refuse_attach(Some("no XDP in this driver"));
    want(&mut doors, &cluster(&["eth0"]));
    assert_eq!(doors.settle(&mut path, &host(&[("eth0", 2)]), Look::Mend).len(), 1);
    assert_eq!(doors.settle(&mut path, &host(&[("eth0", 2)]), Look::Mend), []);
    assert_eq!(doors.complaints().collect::<Vec<_>>(), ["not attached to eth0: no XDP in this driver"]);
}

#[test]
fn only_a_reload_lets_go_of_an_interface() {
    let (pins, mut doors) = (Pins::default(), Doors::default());
    let mut path = MemoryPath::open(&pins);
    let both = host(&[("eth0", 2), ("eth1", 3)]);
    want(&mut doors, &cluster(&["eth0"]));
    doors.settle(&mut path, &both, Look::Anew);
    want(&mut doors, &cluster(&["eth1"]));
    doors.settle(&mut path, &both, Look::Mend);
    assert_eq!(attached(&mut path), ["eth0", "eth1"]);
    doors.settle(&mut path, &both, Look::Anew);
    assert_eq!(attached(&mut path), ["eth1"]);
}

#[test]
fn the_command_line_wins_over_the_file() {
    let mut doors = Doors::new(vec!["eth1".into()], Some(Door::Generic));
    let mut path = MemoryPath::open(&Pins::default());
    want(&mut doors, &cluster(&["eth0"]));
    doors.settle(&mut path, &host(&[("eth0", 2), ("eth1", 3)]), Look::Anew);
    assert_eq!(attached(&mut path), ["eth1"]);
    assert_eq!(path.attachments()[0].mode, "generic");
}

#[test]
fn an_address_that_is_gone_for_a_moment_attaches_nothing_new() {
    let pins = Pins::default();
    let (mut path, mut doors) = (MemoryPath::open(&pins), Doors::default());
    let mut wanted = cluster(&[]);
    wanted.services.push(service("192.0.2.9"));
    want(&mut doors, &wanted);
    let mut both = host(&[("eth0", 2), ("eth1", 3)]);
    both[0].interface.addresses.push(("192.0.2.1".parse().unwrap(), 24));
    doors.settle(&mut path, &both, Look::Anew);
    assert_eq!(attached(&mut path), ["eth0"]);
    both[0].interface.addresses.clear();
    doors.settle(&mut path, &both, Look::Mend);
    assert_eq!(attached(&mut path), ["eth0"]);
    doors.settle(&mut path, &both, Look::Anew);
    assert_eq!(attached(&mut path), ["eth0", "eth1"], "read anew, it is undecided");
}

#[test]
fn answers_come_in_by_a_door_too_or_it_is_said_that_they_do_not() {
    let server: IpAddr = "10.0.0.2".parse().unwrap();
    let host = host(&[("eth0", 2), ("eth1", 3)]);
    let (mut path, mut doors) = (MemoryPath::open(&Pins::default()), Doors::default());
    assert!(doors.answer_by(BTreeMap::from([(3, server)])));
    assert!(!doors.answer_by(BTreeMap::from([(3, server)])));
    let events = doors.settle(&mut path, &host, Look::Mend);
    assert_eq!(attached(&mut path), ["eth1"]);
    let told = "the answers of 10.0.0.2, which is translated, arrive there";
    assert!(matches!(&events[0], Event::AttachmentChanged { why, .. } if why == told), "{events:?}");

    let (mut path, mut doors) = (MemoryPath::open(&Pins::default()), Doors::default());
    want(&mut doors, &cluster(&["eth0"]));
    doors.answer_by(BTreeMap::from([(3, server)]));
    doors.settle(&mut path, &host, Look::Anew);
    assert_eq!(attached(&mut path), ["eth0"]);
    let doubts: Vec<String> = doors.doubts().collect();
    assert!(matches!(doubts.as_slice(), [text] if text.contains("arrive on eth1")), "{doubts:?}");
}

#[test]
fn a_new_service_is_taken_where_a_door_is_or_a_look_is_needed() {
    let vip = crate::follows::host("192.0.2.9".parse().unwrap());
    let mut both = host(&[("eth0", 2), ("eth1", 3)]);
    both[0].interface.addresses.push(("192.0.2.1".parse().unwrap(), 24));
    let (mut path, mut doors) = (MemoryPath::open(&Pins::default()), Doors::default());
    assert!(!doors.add(vip, &both));
    doors.settle(&mut path, &both, Look::New);
    assert_eq!(attached(&mut path), ["eth0"]);
    assert!(doors.add(vip, &both));
    assert!(!doors.add(crate::follows::host("203.0.113.1".parse().unwrap()), &both), "undecided");
}

fn service(vip: &str) -> evenkeel_model::Service {
    let text = format!("virtual={vip}:80\n\treal=192.0.2.2 gate\n\tservice=http\n");
    let input = evenkeel_config::Input { path: "x.cf".into(), bytes: text.into_bytes() };
    let read = evenkeel_config::load_texts(vec![input], None, &evenkeel_config::Host::NONE);
    read.cluster.unwrap().services.remove(0)
}

#[test]
fn native_xdp_is_doubted_on_what_is_no_network_card_and_other_doors_are_not() {
    let host = host(&[("eth0", 2), ("veth-a", 3)]);
    for (door, wanted) in [(Door::Xdp, 1), (Door::Auto, 0), (Door::Tcx, 0), (Door::Generic, 0)] {
        let pins = Pins::default();
        let mut path = MemoryPath::open(&pins);
        let mut doors = Doors::new(Vec::new(), Some(door));
        want(&mut doors, &cluster(&["eth0", "veth-a"]));
        doors.settle(&mut path, &host, Look::Anew);
        let doubts: Vec<String> = doors.doubts().collect();
        assert_eq!(doubts.len(), wanted, "{door}: {doubts:?}");
        assert!(doubts.iter().all(|text| text.starts_with("veth-a is no network card")), "{doubts:?}");
    }
}

#[test]
fn native_xdp_is_doubted_where_answers_may_have_to_leave_by_a_vlan_without_a_card() {
    let server: IpAddr = "10.0.0.2".parse().unwrap();
    for (door, interfaces, translated, wanted) in [
        (Door::Xdp, &[("eth0", 2), ("eth0.deaf", 3)][..], true, 1),
        (Door::Xdp, &[("eth0", 2), ("eth0.deaf", 3)][..], false, 0),
        (Door::Xdp, &[("eth0", 2)][..], true, 0),
        (Door::Xdp, &[("eth0", 2), ("eth0.7", 3)][..], true, 0),
        (Door::Auto, &[("eth0", 2), ("eth0.deaf", 3)][..], true, 0),
    ] {
        let mut path = MemoryPath::open(&Pins::default());
        let mut doors = Doors::new(Vec::new(), Some(door));
        want(&mut doors, &cluster(&["eth0"]));
        doors.answer_by(if translated { BTreeMap::from([(2, server)]) } else { BTreeMap::new() });
        doors.settle(&mut path, &host(interfaces), Look::Anew);
        let doubts: Vec<String> = doors.doubts().filter(|text| text.contains("cannot send by eth0.deaf")).collect();
        assert_eq!(doubts.len(), wanted, "{door} {interfaces:?} {translated}: {doubts:?}");
    }
}
