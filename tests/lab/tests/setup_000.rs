//! The set-up of the heartbeat guide, its ldirectord.cf with everything the web page did to it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use evenkeel_lab::alternates;
use evenkeel_lab::topology::Plan;
use evenkeel_lab_tests::{Bed, LIMIT, all_up, can_run, setup};

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 85);
const REAL_SERVERS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 168, 0, 206), Ipv4Addr::new(192, 168, 0, 207)];

fn bed() -> Bed {
    Bed::new(|options| {
        options.plan = Plan::ipv4(VIP, 1, 202, &REAL_SERVERS);
        options.bodies = vec!["ok one".into(), "ok two".into()];
    })
}

#[test]
fn the_verbatim_file_runs_and_its_short_addresses_are_read_as_inet_aton_does() {
    if !can_run() {
        return;
    }
    let mut bed = bed();
    let file = setup("000-heartbeat-ldirectord-dr/ldirectord.verbatim.cf");
    bed.director.start(&[&file.to_string_lossy(), "--connections", "65536"]).expect("the director starts");
    let status = bed.director.wait("had both real servers up", LIMIT, all_up).expect("both real servers come in");
    let servers: Vec<(&str, u32)> =
        status.services[0].real_servers.iter().map(|server| (server.address.as_str(), server.weight)).collect();
    assert_eq!(servers, [("192.168.0.206:80", 200), ("192.168.0.207:80", 600)]);
    let bodies = bed.client.bodies(SocketAddr::new(IpAddr::V4(VIP), 80), 10).expect("ten requests");
    assert!(alternates(&bodies), "{bodies:?}");
    assert!(bed.director.log().contains("192.168.0.206"), "the log was to say what 192.168.206 means");
}

#[test]
fn check_names_every_odd_line_of_the_verbatim_file() {
    if !can_run() {
        return;
    }
    let bed = bed();
    let file = setup("000-heartbeat-ldirectord-dr/ldirectord.verbatim.cf");
    let text = std::fs::read_to_string(&file).expect("the file");
    let done = std::process::Command::new(&bed.options().program).arg("check").arg(&file).output().expect("it runs");
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "warnings were not to be errors:\n{said}");
    assert!(said.contains("192.168.0.206") && said.contains("192.168.0.207"), "{said}");
    // `lines 1, 2, 5` names all that have the same oddity.
    let lists = said
        .lines()
        .filter_map(|line| line.split_once("lines "))
        .filter(|(_, list)| list.starts_with(char::is_numeric));
    let named: Vec<usize> = lists.flat_map(|(_, list)| list.split(", ").filter_map(|word| word.parse().ok())).collect();
    let odd = (1..).zip(text.lines()).filter(|(_, line)| line.contains('\u{a0}'));
    let missing: Vec<usize> = odd.map(|(number, _)| number).filter(|number| !named.contains(number)).collect();
    assert!(missing.is_empty(), "lines {missing:?} are not named:\n{said}");
}
