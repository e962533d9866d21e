#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use super::*;
use evenkeel_model::heartbeat::{Failback, Key, Keys, Method, Monitor, Timing};

fn name(text: &str) -> NodeName {
    NodeName::new(text).unwrap()
}

/// `10.0.0.1/24/eth0` is an address, the rest are scripts.
fn resource(text: &str) -> Resource {
    let seconds = Duration::from_secs;
    let agent = match text.split_once('/').and_then(|(address, rest)| Some((address.parse().ok()?, rest))) {
        Some((address, _)) => {
            let interface = Some("eth0".to_owned());
            Agent::Ip(IpResource { address, prefix: Some(24), interface, label: None, broadcast: None })
        }
        None => Agent::Script { name: text.to_owned(), arguments: Vec::new() },
    };
    let monitor = Some(Monitor { every: seconds(10), within: seconds(5), restarts: 3 });
    Resource { name: text.to_owned(), agent, start_within: seconds(60), stop_within: seconds(60), monitor }
}

fn cluster(lines: &[&str]) -> Heartbeat {
    let seconds = Duration::from_secs;
    let group = |line: &&str| {
        let (node, resources) = line.split_once(' ').unwrap();
        let resources: Vec<Resource> = resources.split(' ').map(resource).collect();
        Group { key: resources[0].name.clone(), prefer: vec![name(node)], resources }
    };
    let keys = Keys::one(Key { method: Method::Crc, secret: Vec::new() });
    let timing = Timing { warntime: seconds(10), initdead: seconds(60), ..Timing::usual(seconds(2), seconds(30)) };
    Heartbeat {
        media: vec![Medium::Unicast { interface: "eth1".to_owned(), peer: [10, 0, 0, 2].into(), port: 694 }],
        pings: vec![PingNode { name: name("10.168.0.1"), addresses: vec![[10, 168, 0, 1].into()] }],
        failback: Failback::On,
        ipfail: true,
        groups: lines.iter().map(group).collect(),
        watchdog: Some("/dev/watchdog".into()),
        ..Heartbeat::new(name("ha1"), vec![name("ha1"), name("ha2")], timing, keys)
    }
}

fn shown(have: Option<&Heartbeat>, wanted: &Heartbeat) -> Vec<String> {
    compare(have, Some(wanted)).iter().map(ToString::to_string).collect()
}

#[test]
fn all_of_a_cluster_is_shown_with_what_would_be_added_in_order() {
    assert_eq!(
        shown(None, &cluster(&["ha1 10.168.0.160/24/eth0 nginx", "ha2 mail"])),
        [
            "+ node      ha1   this one",
            "+ node      ha2",
            "+ medium    ucast eth1 10.0.0.2 port 694",
            "+ ping      10.168.0.1",
            "+ cluster   keepalive 2 s   deadtime 30 s   warntime 10 s   initdead 60 s   deadping 30 s   auto_failback on   \
             ipfail on   msgfmt classic",
            "+ watchdog  /dev/watchdog",
            "+ group     10.168.0.160/24/eth0: on ha1, else ha2",
            "+   address 10.168.0.160/24 on eth0   looked at every 10 s",
            "+   script nginx   looked at every 10 s",
            "+ group     mail: on ha2, else ha1",
            "+   script mail   looked at every 10 s",
        ]
    );
}

#[test]
fn a_reload_shows_what_is_different_of_groups_and_nothing_else() {
    let have = cluster(&["ha1 10.168.0.160/24/eth0 nginx", "ha2 mail", "ha1 10.168.0.170/24/eth0 disk"]);
    assert_eq!(shown(Some(&have), &have), [""; 0]);
    let mut wanted = cluster(&["ha1 10.168.0.161/24/eth0 nginx", "ha1 10.168.0.170/24/eth0 disk web", "ha1 new"]);
    wanted.timing.deadtime = Duration::from_millis(1500);
    wanted.media.push(Medium::Broadcast { interface: "eth0".to_owned(), port: 694 });
    wanted.pings.clear();
    assert_eq!(
        shown(Some(&have), &wanted),
        [
            "+ medium    bcast eth0 port 694",
            "- ping      10.168.0.1",
            "~ cluster   deadtime 30 s -> 1500 ms",
            "~ group     10.168.0.160/24/eth0 -> 10.168.0.161/24/eth0: on ha1, else ha2",
            "+   address 10.168.0.161/24 on eth0   looked at every 10 s",
            "-   address 10.168.0.160/24 on eth0   looked at every 10 s",
            "~ group     10.168.0.170/24/eth0: on ha1, else ha2",
            "+   script web   looked at every 10 s",
            "+ group     new: on ha1, else ha2",
            "+   script new   looked at every 10 s",
            "- group     mail: on ha2, else ha1",
        ]
    );
}
