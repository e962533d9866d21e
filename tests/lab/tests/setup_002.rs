//! The set-up of the keepalived guide, with its no-break spaces and its missing brace. VRRP is not there yet, so its
//! virtual servers are served alone.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use evenkeel_lab::alternates;
use evenkeel_lab::topology::Plan;
use evenkeel_lab_tests::{Bed, LIMIT, all_up, can_run, setup};

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 150);
const REAL_SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 1, 138), Ipv4Addr::new(192, 168, 1, 139)];

#[test]
fn the_file_as_it_stands_serves_both_real_servers() {
    if !can_run() {
        return;
    }
    let mut bed = Bed::new(|options| {
        options.plan = Plan::ipv4(VIP, 1, 135, &REAL_SERVERS);
        options.bodies = vec!["one".into(), "two".into()];
    });
    let file = setup("002-keepalived-dr/keepalived.conf");
    let path = file.to_string_lossy();
    bed.director.start(&[&path, "--no-vrrp", "--connections", "65536"]).expect("the director starts");
    let status = bed.director.wait("had both real servers up", LIMIT, all_up).expect("both real servers come in");
    let servers: Vec<&str> = status.services[0].real_servers.iter().map(|server| server.address.as_str()).collect();
    assert_eq!(servers, ["192.168.1.138:80", "192.168.1.139:80"]);
    let bodies = bed.client.bodies(SocketAddr::new(IpAddr::V4(VIP), 80), 10).expect("ten requests");
    assert!(alternates(&bodies), "{bodies:?}");
    assert!(bed.director.log().contains("E0118"), "the log was to say that a brace is missing");
}
