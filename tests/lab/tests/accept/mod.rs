//! Addresses whose packets their master does not accept, with real packets: to it, to its services, and to keepalived's.

use crate::pair::{self, Pair, Player, Wire};
use evenkeel_lab_tests::can_run;
use std::{
    io::{Read, Write},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

const VIP: &str = "10.79.0.100";
const VIP_V6: &str = "fd79::100";
/// A director's own address.
const OWN: &str = "10.79.0.1";
/// What a connection gets that is not refused and never answered.
const SILENCE: Duration = Duration::from_millis(400);
const RULES: &str = "nft list ruleset";

fn closed(text: String) -> String {
    text + "accept = false\n"
}

fn answers_ping(pair: &Pair, address: &str) -> bool {
    pair.run("client", &format!("ping -n -c 1 -W 1 {address}")).contains(" 0% packet loss")
}

/// Waits until a host answers, so that what does not answer then is kept away.
fn wait_ping(pair: &Pair, address: &str) {
    pair.wait_for(&format!("{address} answered"), || answers_ping(pair, address));
}

/// Waits until a director answers at port 22 of its own address, and says whether it does at that of the VIP.
fn is_reached(pair: &Pair, own: &str, vip: &str) -> bool {
    pair.wait_for(&format!("{own} answered"), || who(pair, own, 22) == "d1");
    who(pair, vip, 22) == "d1"
}

/// Has a host answer with its name at a port, on every address.
fn serve(pair: &Pair, host: &'static str, port: u16) {
    let listen = move || TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)));
    let listener = pair.node(host).run(listen).expect("the host is there").expect("the port is free");
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(host.as_bytes());
        }
    });
}

/// Who answers at an address and port; empty: nobody.
fn who(pair: &Pair, address: &str, port: u16) -> String {
    let to = SocketAddr::new(address.parse().expect("an address"), port);
    let ask = move || {
        let mut stream = TcpStream::connect_timeout(&to, SILENCE)?;
        stream.set_read_timeout(Some(SILENCE))?;
        let mut said = String::new();
        stream.read_to_string(&mut said).map(|_| said)
    };
    pair.node("client").run(ask).expect("the client lives").unwrap_or_default()
}

/// The addresses that a director's tables close.
fn rules(pair: &Pair, host: &str) -> String {
    pair.run(host, RULES)
}

#[test]
fn a_master_that_does_not_accept_is_not_reached_and_its_services_are() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::V3, [Player::Evenkeel, Player::Evenkeel]);
    for (host, port) in [("d1", 22), ("d1", 8080), ("d2", 80)] {
        serve(&pair, host, port);
    }
    // A real server of direct routing: it has the address, and is silent about it.
    pair.run("d2", &format!("ip addr add {VIP}/32 dev lo"));
    pair.run("d2", "sysctl -q -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2");
    let services = format!(
        "[service.web]\nlisten = \"{VIP}:80\"\nreal_servers = [\"10.79.0.2\"]\ncheck = {{ ping = true }}\n\
         [service.sorry]\nlisten = \"{VIP}:8080\"\nreal_servers = []\nfallback = \"127.0.0.1:8080\"\n"
    );
    pair.start_with(0, |text| closed(text) + &services);
    pair.wait_owners(&[0]);
    wait_ping(&pair, OWN);
    assert_eq!(who(&pair, OWN, 22), "d1");
    assert!(!answers_ping(&pair, VIP));
    assert_eq!(who(&pair, VIP, 22), "");
    // What the packet path sends on, and what the host answers itself for a service.
    pair.wait_for("the real server answered", || who(&pair, VIP, 80) == "d2");
    pair.wait_for("the fallback answered", || who(&pair, VIP, 8080) == "d1");
    assert!(!pair.said(0).contains("is not seen by this host's firewall"), "{}", pair.said(0));
    pair.stop(0);
    assert_eq!(rules(&pair, "d1"), "");
}

#[test]
fn a_reload_closes_and_opens_and_an_owner_always_accepts() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::V3, [Player::Evenkeel, Player::Evenkeel]);
    pair.start(0);
    pair.wait_owners(&[0]);
    wait_ping(&pair, VIP);
    assert_eq!(rules(&pair, "d1"), "");
    pair.rewrite(0, closed);
    let (good, said) = pair.reload(0);
    assert!(good, "{said}");
    pair.wait_told("d1", RULES, |told| told.contains(&format!("elements = {{ {VIP} }}")));
    assert!(!answers_ping(&pair, VIP));
    let named =
        |text: String| closed(text) + "[settings]\nnftables = { table = \"ha\", priority = -5, counters = true }\n";
    pair.rewrite(0, named);
    pair.reload(0);
    pair.wait_told("d1", RULES, |told| {
        told.contains("table ip ha {") && told.contains("priority filter - 5") && !told.contains("table ip evenkeel")
    });
    assert!(!answers_ping(&pair, VIP));
    assert!(rules(&pair, "d1").contains("ip daddr @vips counter packets 1 bytes 84 drop"), "{}", rules(&pair, "d1"));
    pair.rewrite(0, |text| closed(text).replace("priority = 150", "priority = 255"));
    pair.reload(0);
    wait_ping(&pair, VIP);
    pair.rewrite(0, |text| text);
    pair.reload(0);
    pair.wait_told("d1", RULES, str::is_empty);
    wait_ping(&pair, VIP);
    assert_eq!(pair.owners(), [0]);
}

#[test]
fn who_takes_over_closes_and_who_leaves_leaves_nothing() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::V3, [Player::Evenkeel, Player::Evenkeel]);
    for at in [0, 1] {
        pair.start_with(at, closed);
        pair.wait_owners(&[0]);
    }
    pair.wait_role(1, "backup");
    assert!(!answers_ping(&pair, VIP));
    let elements = format!("elements = {{ {VIP} }}");
    assert!(!rules(&pair, "d2").contains(&elements));
    // A backup's table is there as long as it may have to close something.
    pair.rewrite(1, |text| text);
    pair.reload(1);
    pair.wait_told("d2", RULES, str::is_empty);
    pair.rewrite(1, closed);
    pair.reload(1);
    pair.wait_told("d2", RULES, |told| told.contains("table ip evenkeel {"));
    pair.stop(0);
    pair.wait_owners(&[1]);
    assert_eq!(rules(&pair, "d1"), "");
    assert!(rules(&pair, "d2").contains(&elements));
    wait_ping(&pair, "10.79.0.2");
    assert!(!answers_ping(&pair, VIP));
    pair.stop(1);
    assert_eq!(rules(&pair, "d2"), "");
}

#[test]
fn a_killed_master_stays_closed_and_what_it_left_goes_with_its_address() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::V3, [Player::Evenkeel, Player::Evenkeel]);
    pair.start_with(0, closed);
    pair.wait_owners(&[0]);
    let elements = format!("elements = {{ {VIP} }}");
    pair.kill(0);
    assert!(rules(&pair, "d1").contains(&elements));
    pair.start_with(0, closed);
    pair.wait_role(0, "master");
    assert!(pair.status(0).contains("as the run before had left them"), "{}", pair.status(0));
    assert!(rules(&pair, "d1").contains(&elements));
    assert!(!answers_ping(&pair, VIP));
    // The next run is to accept: it opens what it holds.
    pair.kill(0);
    pair.start(0);
    pair.wait_role(0, "master");
    wait_ping(&pair, VIP);
    pair.wait_told("d1", RULES, str::is_empty);
    // And the next has the address no more: it is closed until it goes.
    pair.rewrite(0, closed);
    pair.reload(0);
    pair.wait_told("d1", RULES, |told| told.contains(&elements));
    pair.kill(0);
    pair.start_with(0, |text| text.replace(VIP, "10.79.0.101"));
    pair.wait_told("d1", RULES, str::is_empty);
    assert!(!pair.has(0, VIP.parse().expect("an address")));
}

#[test]
fn a_table_that_somebody_takes_away_is_back_at_once() {
    if !can_run() {
        return;
    }
    let mut pair = Pair::new(Wire::V3Ipv6, [Player::Evenkeel, Player::Evenkeel]);
    serve(&pair, "d1", 22);
    pair.start_with(0, closed);
    pair.wait_owners(&[0]);
    let elements = [format!("elements = {{ {VIP_V6} }}"), "elements = { fe80::100 . \"eth0\" }".to_owned()];
    for taken in ["flush ruleset", "flush table ip6 evenkeel", "flush set ip6 evenkeel vips"] {
        let whole = |told: &str| elements.iter().all(|one| told.contains(one)) && told.contains("ip6 daddr @vips drop");
        pair.wait_told("d1", RULES, whole);
        pair.run("d1", &format!("nft {taken}"));
        pair.wait_told("d1", RULES, whole);
    }
    assert!(!is_reached(&pair, "fd79::1", VIP_V6));
    pair.wait_log(0, "somebody has changed the nftables table evenkeel, which is made anew");
    pair.stop(0);
    assert_eq!(rules(&pair, "d1"), "");
}

#[test]
fn keepalived_and_evenkeel_close_the_same() {
    if !can_run() || !pair::has_keepalived() {
        return;
    }
    for player in [Player::Evenkeel, Player::Keepalived] {
        for (wire, vip, own, any) in [(Wire::V3, VIP, OWN, "ip"), (Wire::V3Ipv6, VIP_V6, "fd79::1", "ip6")] {
            let mut pair = Pair::new(wire, [player, Player::Evenkeel]);
            serve(&pair, "d1", 22);
            pair.start_conf(0, "", "no_accept");
            pair.wait_owners(&[0]);
            assert!(!is_reached(&pair, own, vip), "{player:?}");
            if wire == Wire::V3 {
                assert!(!answers_ping(&pair, vip), "{player:?}");
            }
            // Who asks for the MAC address gets it.
            assert!(!pair.mac_at_client().is_empty());
            let told = rules(&pair, "d1");
            for line in [
                format!("{any} daddr @vips drop"),
                format!("{any} saddr @vips drop"),
                "type filter hook input priority filter - 1; policy accept;".to_owned(),
                "type filter hook output priority filter - 1; policy accept;".to_owned(),
            ] {
                assert!(told.contains(&line), "{player:?}: {told}");
            }
            pair.stop(0);
            assert_eq!(rules(&pair, "d1"), "", "{player:?}");
            // Strict mode does the same by itself.
            pair.start_conf(0, "", "strict_mode");
            pair.wait_owners(&[0]);
            assert!(!is_reached(&pair, own, vip), "{player:?}");
            pair.stop(0);
        }
    }
}
