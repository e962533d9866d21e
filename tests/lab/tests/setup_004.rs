//! The three scripts of the NAT and DR guide, and the commands of the ipvsadm guide, as they stand.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use evenkeel_lab::{Plan, alternates};
use evenkeel_lab_tests::{Bed, can_run, program, scripts, setup};

const VIP: Ipv4Addr = Ipv4Addr::new(192, 168, 0, 219);

/// A lab with the guide's addresses, in which nobody has the VIP yet, and a directory for the director's instance.
fn bed(plan: Plan) -> (Bed, PathBuf) {
    let bed = Bed::new(|options| options.plan = plan);
    let scratch = bed.director.runtime_dir().to_owned();
    std::fs::create_dir_all(&scratch).expect("the directory is made");
    (bed, scratch)
}

fn plan(vip: Ipv4Addr, real_servers: &[Ipv4Addr]) -> Plan {
    Plan { vips: Vec::new(), ..Plan::ipv4(vip, 1, 9, real_servers) }
}

fn on_director(bed: &Bed, scratch: &Path, script: &str, action: &[&str]) -> String {
    scripts::run(bed.director.node(), scratch, &setup(script), action).expect("the script runs")
}

/// Ends the instance that ipvsadm started.
fn end(bed: &Bed, scratch: &Path) {
    let mut stop = Command::new(program());
    stop.arg("stop").arg("--runtime-dir").arg(scratch.join("run"));
    bed.director.node().output(stop).expect("the instance stops");
}

#[test]
fn the_direct_routing_scripts_serve_and_their_status_and_stop_do_what_they_say() {
    if !can_run() {
        return;
    }
    let real_servers = [Ipv4Addr::new(192, 168, 0, 221), Ipv4Addr::new(192, 168, 0, 222)];
    let (bed, scratch) = bed(plan(VIP, &real_servers));
    for server in &bed.real_servers {
        let own = scratch.join(server.name());
        std::fs::create_dir_all(&own).expect("the directory is made");
        scripts::run(server.node(), &own, &setup("004-scripts-nat-dr/realserver.sh"), &["start"]).expect("it runs");
    }
    let script = "004-scripts-nat-dr/director-dr.sh";
    on_director(&bed, &scratch, script, &["start"]);
    let target = SocketAddr::new(IpAddr::V4(VIP), 80);
    let mut shares = BTreeMap::new();
    for body in bed.client.bodies(target, 30).expect("thirty requests") {
        *shares.entry(body).or_insert(0) += 1;
    }
    assert_eq!(
        shares,
        BTreeMap::from([("real-1".to_owned(), 10), ("real-2".to_owned(), 20)]),
        "wlc with weights 1 and 2"
    );

    assert_eq!(on_director(&bed, &scratch, script, &["status"]), "ipvsadm is stopped ...", "nobody made its lock file");
    std::fs::write(scratch.join("locked"), "").expect("the mark is made");
    let listed = on_director(&bed, &scratch, script, &["status"]);
    for line in
        ["ipvs is running ...", "TCP  192.168.0.219:80 wlc", "  -> 192.168.0.221:80             Route   1      0"]
    {
        assert!(listed.contains(line), "{line:?} is not in\n{listed}");
    }
    assert!(on_director(&bed, &scratch, script, &["stop"]).contains("ipvs is stopped..."));
    let after = bed.client.get(target).expect("the client lives").outcome;
    assert!(after.is_err(), "nobody serves the VIP any more: {after:?}");
    end(&bed, &scratch);
}

#[test]
fn the_translation_script_serves_in_turns() {
    if !can_run() {
        return;
    }
    let mut plan = plan(VIP, &[]);
    let inside = |last| (IpAddr::from([192, 168, 10, last]), 24);
    (plan.inner, plan.inside) = (vec![inside(10)], vec![vec![inside(11)], vec![inside(12)]]);
    let (bed, scratch) = bed(plan);
    on_director(&bed, &scratch, "004-scripts-nat-dr/director-nat.sh", &["start"]);
    let bodies = bed.client.bodies(SocketAddr::new(IpAddr::V4(VIP), 80), 10).expect("ten requests");
    assert!(alternates(&bodies), "{bodies:?}");
    assert_eq!(bodies.first().map(String::as_str), Some("inside-2"), "the newest real server comes first");
    end(&bed, &scratch);
}

#[test]
fn the_commands_of_the_ipvsadm_guide_serve_in_turns() {
    if !can_run() {
        return;
    }
    let vip = Ipv4Addr::new(192, 168, 214, 140);
    let real_servers = [Ipv4Addr::new(192, 168, 214, 143), Ipv4Addr::new(192, 168, 214, 145)];
    let bed = Bed::new(|options| options.plan = Plan::ipv4(vip, 2, 141, &real_servers));
    let scratch = bed.director.runtime_dir().to_owned();
    std::fs::create_dir_all(&scratch).expect("the directory is made");
    let listed = on_director(&bed, &scratch, "001-ipvsadm-ldirectord-dr/ipvsadm.sh", &[]);
    assert!(listed.contains("TCP  192.168.214.140:80 rr"), "{listed}");
    let bodies = bed.client.bodies(SocketAddr::new(vip.into(), 80), 10).expect("ten requests");
    assert!(alternates(&bodies), "{bodies:?}");
    end(&bed, &scratch);
}
