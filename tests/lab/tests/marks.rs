//! Services by mark with the host's own MARK rules, and a request through every scheduler.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::process::Command;

use evenkeel_lab::alternates;
use evenkeel_lab_tests::{Bed, LIMIT, all_reachable, all_up, can_run, talk};

/// Names of every scheduler, with the flags that have forms of their own.
const SCHEDULERS: &[&str] = &[
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sh-port", "sed", "nq", "fo", "ovf", "mh", "mh-port",
    "twos", "maglev",
];

fn on_director(bed: &Bed, program: &str, arguments: &str) {
    let mut command = Command::new(program);
    command.args(arguments.split(' '));
    bed.director.node().output(command).expect("the rule is taken");
}

fn vip(bed: &Bed, port: u16) -> SocketAddr {
    let vip = bed.options().plan.vips.iter().find(|vip| vip.is_ipv4()).expect("there is an IPv4 VIP");
    SocketAddr::new(*vip, port)
}

#[test]
fn an_ldirectord_cf_by_mark_takes_what_the_host_s_rules_mark() {
    if !can_run() {
        return;
    }
    let mut bed = Bed::new(|_| {});
    let target = vip(&bed, 80);
    let mark = |tool: &str, mark: u32| {
        let rule = format!("-t mangle -A PREROUTING -d {} -p tcp --dport 80 -j MARK --set-mark {mark}", target.ip());
        on_director(&bed, tool, &rule);
    };
    mark("iptables-legacy", 7);
    let text = "checkinterval=1\nvirtual=7\n        protocol=fwm\n        scheduler=rr\n        checktype=connect\n        \
                checkport=80\n        real=10.77.0.11 gate\n        real=10.77.0.12 gate\n";
    let path = bed.write("ldirectord.cf", text).expect("the file is written");
    bed.director.start(&[&path, "--connections", "65536"]).expect("the director starts");
    bed.director.wait("had both real servers up", LIMIT, all_up).expect("both real servers come in");
    let bodies = bed.client.bodies(target, 10).expect("ten requests");
    assert!(alternates(&bodies), "{bodies:?}");

    // What cannot be followed is named; what changes is.
    on_director(&bed, "iptables-legacy", "-t mangle -F PREROUTING");
    on_director(&bed, "iptables-legacy", "-t mangle -A PREROUTING -i eth0 -p tcp --dport 80 -j MARK --set-mark 7");
    let (done, said) = talk(&bed, &["reload"]);
    assert!(done, "{said}");
    let status = bed.director.wait("named the rule", LIMIT, |status| !status.warnings.is_empty()).expect("it is named");
    assert!(
        status.warnings.iter().any(|w| w.contains("asks for `-i`") && w.contains("-i eth0")),
        "{:?}",
        status.warnings
    );
    let after = bed.client.get(target).expect("the client lives").outcome;
    assert_ne!(after.as_deref(), Ok("real-1"), "nothing has the mark any more");
    assert_ne!(after.as_deref(), Ok("real-2"), "nothing has the mark any more");
}

#[test]
fn ipvsadm_by_mark_takes_what_nftables_marks() {
    if !can_run() {
        return;
    }
    let mut bed = Bed::new(|_| {});
    let target = vip(&bed, 80);
    on_director(&bed, "nft", "add table ip marks");
    on_director(&bed, "nft", "add chain ip marks pre { type filter hook prerouting priority -150 ; }");
    on_director(
        &bed,
        "nft",
        &format!("add rule ip marks pre ip daddr {} tcp dport {{ 80, 443 }} meta mark set 3", target.ip()),
    );
    bed.director.start(&["--empty", "--connections", "65536"]).expect("the director starts");
    for line in ["-A -f 3 -s rr", "-a -f 3 -r 10.77.0.11 -g", "-a -f 3 -r 10.77.0.12 -g"] {
        let mut command = Command::new(evenkeel_lab_tests::program());
        command.arg("ipvsadm").args(line.split(' ')).env("EVENKEEL_RUNTIME_DIR", bed.director.runtime_dir());
        bed.director.node().output(command).expect("the edit is made");
    }
    bed.director.wait("knew both ways", LIMIT, all_reachable).expect("both real servers are reachable");
    let served = |bed: &Bed| bed.client.get(target).ok().and_then(|exchange| exchange.outcome.ok());
    let until = std::time::Instant::now() + LIMIT;
    while !served(&bed).is_some_and(|body| body.starts_with("real")) {
        assert!(std::time::Instant::now() < until, "the marked packets are never served: {}", bed.director.log());
    }
    let bodies = bed.client.bodies(target, 10).expect("ten requests");
    assert!(alternates(&bodies), "{bodies:?}");
}

#[test]
fn every_scheduler_serves() {
    if !can_run() {
        return;
    }
    let mut bed = Bed::new(|_| {});
    let mut text = String::new();
    for (port, name) in (8100..).zip(SCHEDULERS) {
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "[service.{name}]\nlisten = \"{}\"\nforward = \"fullnat\"\nschedule = \"{name}\"\n\
             real_servers = [\"10.77.0.11:80\", \"10.77.0.12:80\"]\ncheck = \"tcp\"\n\n",
            vip(&bed, port)
        );
    }
    let path = bed.write("director.toml", &text).expect("the file is written");
    bed.director.start(&[&path, "--connections", "65536"]).expect("the director starts");
    bed.director.wait("had all real servers up", LIMIT, all_up).expect("all real servers come in");
    for (port, name) in (8100..).zip(SCHEDULERS) {
        let bodies = bed.client.bodies(vip(&bed, port), 20).expect("twenty requests");
        let who: BTreeSet<&str> = bodies.iter().map(String::as_str).collect();
        assert!(who.is_subset(&BTreeSet::from(["real-1", "real-2"])), "{name}: {who:?}");
        // One after the other they are never active together, which is all that sed and nq look at.
        let spreads = !["lblc", "lblcr", "dh", "sh", "sed", "nq", "fo", "ovf", "mh"].contains(name);
        assert!(!spreads || who.len() == 2, "{name} sends one client's twenty connections to both: {who:?}");
    }
}
