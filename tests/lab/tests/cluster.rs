//! Two evenkeels as a heartbeat cluster, with real packets: what breaks pairs, and does not break this one.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab_tests::{alone, can_run, pings::Probe, program};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// What a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn settled() -> Duo {
    let duo = Duo::settled([Player::Evenkeel; 2], Files::quick(200, 1500));
    duo.wait_served(0);
    for at in [0, 1] {
        duo.wait_status(at, "\"stable\":true");
    }
    duo
}

#[test]
fn a_process_that_stood_still_puts_no_address_back_that_it_has_lost() {
    if !can_run() {
        return;
    }
    let mut duo = settled();
    duo.freeze(0, true);
    duo.wait_owners_within(&[1], PATIENCE);
    duo.wait_served(1);
    duo.freeze(0, false);
    // It is fit again, and is preferred: the address comes back in order.
    let seen = duo.watch_owners_until(&[0], PATIENCE);
    assert!(!seen.contains(&vec![0, 1]), "both had it: {seen:?} {}", duo.log(0));
    duo.wait_served(0);
    assert!(!duo.serves(1), "nginx was left on the second node");
}

/// How the first daemon of a pair ends.
#[derive(Clone, Copy)]
struct End {
    keepalive: u32,
    deadtime: u32,
    /// While it asks for more patience than that, as it does in its first five seconds.
    soon: bool,
    end: fn(&mut Duo),
}

/// The other address of the group.
const VIP6: &str = "fd00:168::160";

/// Ends the first daemon of a pair so; gives for how long a client was without the address, and two had it or its IPv6
/// companion.
fn deserted(End { keepalive, deadtime, soon, end }: End) -> (Duration, Duration) {
    let mut files = Files::quick(keepalive, deadtime);
    files.haresources = files.haresources.replace(" nginx", &format!(" IPv6addr::{VIP6}/64/eth0 nginx"));
    let mut duo = Duo::beside_others([Player::Evenkeel; 2], files);
    duo.start(0);
    duo.start(1);
    let begun = Instant::now();
    duo.wait_served_within(0, PATIENCE);
    for at in [0, 1] {
        duo.wait_status(at, "\"stable\":true");
    }
    duo.wait("they waited as long as they are to", PATIENCE, || soon || begun.elapsed() > Duration::from_secs(6));
    let has6 = |duo: &Duo, node: &str| !duo.run(node, &format!("ip -o -6 addr show to {VIP6}")).is_empty();
    assert!(has6(&duo, "ha1") && !has6(&duo, "ha2"), "the group has its IPv6 address too");
    let probe = duo.probe();
    probe.wait_for(50);
    end(&mut duo);
    let (mut both, mut last) = ([Duration::ZERO; 2], Instant::now());
    duo.wait("the other node had it alone", PATIENCE, || {
        let owners = duo.owners();
        // In this order, so that one that moves meanwhile is not seen twice.
        let owners6 = [has6(&duo, "ha2"), has6(&duo, "ha1")];
        for (both, now) in both.iter_mut().zip([owners == [0, 1], owners6 == [true; 2]]) {
            *both += if now { last.elapsed() } else { Duration::ZERO };
        }
        last = Instant::now();
        owners == [1] && owners6 == [true, false]
    });
    let [v4, v6] = both;
    (probe.stop().longest, v4.max(v6))
}

#[test]
fn the_address_of_a_dead_daemon_serves_until_just_before_the_other_claims_it() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let kill: fn(&mut Duo) = |duo| duo.kill(0);
    let freeze: fn(&mut Duo) = |duo| duo.freeze(0, true);
    let times = |keepalive, deadtime, end| End { keepalive, deadtime, soon: false, end };
    let ends = [
        times(50, 150, kill),
        times(200, 600, kill),
        times(1000, 3000, kill),
        times(200, 600, freeze),
        // Its lease of a second is over long before.
        End { soon: true, ..times(200, 600, freeze) },
    ];
    thread::scope(|scope| {
        let running = ends.map(|end| (end, scope.spawn(move || deserted(end))));
        for (End { deadtime, soon, .. }, pair) in running {
            let (without, both) = pair.join().expect("the other node took over");
            // With the kernel's own timers alone it is half a second and more.
            let most = Duration::from_millis(300);
            assert!(
                without < most && both < most,
                "at {deadtime} ms{}: {without:?} without it, {both:?} two had it",
                if soon { ", soon" } else { "" }
            );
        }
    });
}

#[test]
fn a_daemon_that_is_back_in_time_keeps_its_address() {
    if !can_run() {
        return;
    }
    let mut duo = Duo::settled([Player::Evenkeel; 2], Files::quick(200, 1500));
    duo.wait_served(0);
    let killed = Instant::now();
    duo.kill(0);
    duo.start(0);
    // The guard of the killed daemon looks at the end of its dead time, which is longer by two seconds at first.
    duo.wait("that time was over", PATIENCE, || {
        assert_eq!(duo.owners(), [0], "{}", duo.log(0));
        killed.elapsed() > Duration::from_millis(3800)
    });
}

#[test]
fn after_a_healed_split_one_node_has_gone_on_and_the_other_yields() {
    if !can_run() {
        return;
    }
    let duo = settled();
    // The kernel itself asks again for a neighbour it has lost when all this is over.
    for (node, cable) in [("ha1", "eth0"), ("ha1", "eth1"), ("ha2", "eth0"), ("ha2", "eth1")] {
        duo.run(node, &format!("sysctl -qw net.ipv4.neigh.{cable}.retrans_time_ms=300000"));
    }
    duo.cables(1, "down");
    duo.wait_owners_within(&[0, 1], PATIENCE);
    duo.cables(1, "up");
    let seen = duo.watch_owners_until(&[0], PATIENCE);
    assert!(!seen.contains(&Vec::new()), "nobody had it: {seen:?}");
    duo.wait_log(1, "this one yields");
    let link =
        |at: usize, link: &str| duo.old_command(at, &format!("cl_status hblinkstatus {} {link}", ["ha2", "ha1"][at])).0;
    duo.wait("they heard each other on both cables", PATIENCE, || {
        [(0, "eth0"), (0, "eth1"), (1, "eth0"), (1, "eth1")].iter().all(|(at, name)| link(*at, name) == "up\n")
    });
    duo.wait("nginx ran on the first alone", PATIENCE, || duo.serves(0) && !duo.serves(1));
}

#[test]
fn an_address_that_somebody_removes_is_put_back() {
    if !can_run() {
        return;
    }
    let duo = settled();
    duo.run("ha1", "ip addr del 10.168.0.160/24 dev eth0");
    duo.wait_owners(&[0]);
    assert!(duo.serves(0), "nothing else moved");

    // A second one of the same files would take messages from the first, and serve beside it.
    let mut second = Command::new(program());
    second.args(["run", "--node", "ha1"]).arg(duo.etc(0)).arg("--runtime-dir").arg(duo.etc(0).join("second"));
    let refused = duo.node("ha1").output(second).expect_err("it does not start").to_string();
    assert!(refused.contains("has UDP port 694 of this host, on which heartbeats are heard"), "{refused}");
    assert_eq!(duo.owners(), [0]);
}

#[test]
fn the_old_commands_speak_to_the_running_daemon() {
    if !can_run() {
        return;
    }
    let duo = settled();
    let says = |words: &str| duo.old_command(0, words);
    assert_eq!(says("cl_status hbstatus"), ("Heartbeat is running on this machine.\n".to_owned(), Some(0)));
    assert_eq!(says("cl_status listnodes"), ("ha2\nha1\n".to_owned(), Some(0)));
    assert_eq!(says("cl_status listhblinks ha2"), ("\teth0\n\teth1\n".to_owned(), Some(0)));
    assert_eq!(says("cl_status hbparameter -p deadtime"), ("1500ms\n".to_owned(), Some(0)));
    assert_eq!(says("cl_status rscstatus"), ("local\n".to_owned(), Some(0)));
    assert_eq!(says("cl_status nodestatus HA2"), ("active\n".to_owned(), Some(0)));
    assert_eq!(says("crm_mon -s"), ("CLUSTER OK: 2 nodes online, 2 resources configured\n".to_owned(), Some(0)));
    let (picture, _) = says("crm_mon -1r");
    assert!(picture.contains("Online: [ ha1 ha2 ]"), "{picture}");
    assert!(picture.contains("(ocf::heartbeat:IPaddr2):\tStarted ha1"), "{picture}");
    for (words, word, keys) in [("crm_mon", "Online:", "q"), ("status --watch", "CLUSTER", "\x03")] {
        let small = duo.on_terminal(0, words, (24, 80));
        small.wait(word, 1);
        // It draws itself anew where the window has become larger, and then smaller.
        for (times, size) in [(2, (50, 200)), (3, (24, 80))] {
            small.resize(size);
            small.wait(word, times);
        }
        small.press(keys);
        assert!(small.end().contains("ocf::heartbeat:IPaddr2"), "{words}");
    }
    // They return when it has moved.
    assert_eq!(says("hb_standby").1, Some(0));
    assert_eq!(duo.owners(), [1]);
    assert_eq!(says("cl_status rscstatus").0, "none\n");
    assert_eq!(says("hb_takeover local").1, Some(0));
    assert_eq!(duo.owners(), [0]);
    let (done, said) = duo.tell(0, &["failover", "--to", "ha2"]);
    assert!(done, "{said}");
    assert_eq!(duo.owners(), [1]);
    duo.wait("nginx went with it", PATIENCE, || duo.serves(1) && !duo.serves(0));
    // What the other node has it tells a moment later.
    let shown = || duo.tell(0, &["status"]).1.contains("10.168.0.160/24/eth0  on ha2 for ");
    duo.wait("status showed where it is", PATIENCE, shown);
}

/// A script of resource.d that notes what it is told to do, in one file for all.
fn noting(etc: &Path, name: &str) {
    let text = format!(
        "#!/bin/sh\ncd {} || exit 1\nfor last; do :; done\ncase $last in\nstart) echo {name} $* >> did; touch {name}.state;;\n\
         stop) echo {name} $* >> did; rm -f {name}.state;;\nstatus) [ -e {name}.state ] && echo running && exit 0; echo \
         stopped; exit 3;;\nesac\nexit 0\n",
        etc.display()
    );
    let path = etc.join("resource.d").join(name);
    fs::create_dir_all(etc.join("resource.d")).expect("a directory can be made");
    fs::write(&path, text).expect("a file is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode is set");
}

fn did(duo: &Duo, at: usize) -> Vec<String> {
    let text = fs::read_to_string(duo.etc(at).join("did")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Other lines of haresources, or of ha.cf, on both nodes.
fn rewrite(duo: &Duo, file: &str, text: impl Fn(&str) -> String) {
    (0..2).for_each(|at| duo.rewrite(at, file, &text));
}

fn reload(duo: &Duo) {
    for at in [0, 1] {
        let (done, said) = duo.tell(at, &["reload"]);
        assert!(done, "{said}");
    }
}

#[test]
fn a_reload_touches_what_has_changed_alone_and_loses_no_ping() {
    if !can_run() {
        return;
    }
    let mut files = Files::quick(200, 1500);
    files.haresources += "ha1 10.168.0.170/24/eth0 noted::one\nha1 10.168.0.180/24/eth0 gone\n";
    let mut duo = Duo::new([Player::Evenkeel; 2], files);
    for at in [0, 1] {
        ["noted", "gone", "fresh"].iter().for_each(|name| noting(&duo.etc(at), name));
        duo.start(at);
    }
    duo.wait("all ran on the first", PATIENCE, || did(&duo, 0).len() == 2 && duo.owners() == [0] && duo.serves(0));
    let probe = Probe::start(duo.node("client"), [10, 168, 0, 170].into());
    probe.wait_for(200);
    rewrite(&duo, "haresources", |_| {
        "ha1 10.168.0.160/24/eth0 nginx\nha1 10.168.0.190/24/eth0 fresh\nha1 10.168.0.170/24/eth0 noted::two\n"
            .to_owned()
    });
    let (differs, said) = duo.tell(0, &["diff"]);
    for line in [
        "+ group     10.168.0.190/24/eth0: on ha1, else ha2",
        "+   script fresh",
        "~ group     10.168.0.170/24/eth0: on ha1, else ha2",
        "+   script noted::two",
        "-   script noted::one",
        "- group     10.168.0.180/24/eth0",
    ] {
        assert!(said.contains(line), "{line} is missing in {differs} {said}");
    }
    assert!(!said.contains("10.168.0.160"), "{said}");
    let before = did(&duo, 0).len();
    reload(&duo);
    duo.wait("what changed was done", PATIENCE, || did(&duo, 0).len() == before + 4);
    duo.wait("the old address went", PATIENCE, || {
        duo.run("ha1", "ip -o addr show to 10.168.0.180").is_empty()
            && !duo.run("ha1", "ip -o addr show to 10.168.0.190").is_empty()
    });
    let done = did(&duo, 0).split_off(before);
    let at = |what: &str| done.iter().position(|done| done == what);
    assert!(at("noted one stop") < at("noted two start") && at("gone stop").is_some(), "{done:?}");
    assert!(at("noted one stop").is_some() && at("fresh start").is_some(), "{done:?}");
    assert!(did(&duo, 1).is_empty(), "the second took something: {:?}", did(&duo, 1));

    // How fast, by which ways, and the ping nodes.
    rewrite(&duo, "ha.cf", |text| {
        let kept = text.lines().filter(|line| !line.starts_with("ucast eth0")).map(|line| format!("{line}\n"));
        let text: String = kept.collect();
        text.replace("keepalive 200ms", "keepalive 100ms").replace("deadtime 1500ms", "deadtime 3000ms")
            + "bcast eth0\nping 10.168.0.1\n"
    });
    reload(&duo);
    let says = |words: &str| duo.old_command(0, words).0;
    duo.wait("the new time was in force", PATIENCE, || says("cl_status hbparameter -p keepalive") == "100ms\n");
    duo.wait("the ping node answered", PATIENCE, || says("cl_status nodestatus 10.168.0.1") == "ping\n");
    duo.wait("the other was heard by both ways", PATIENCE, || {
        ["eth0", "eth1"].iter().all(|link| says(&format!("cl_status hblinkstatus ha2 {link}")) == "up\n")
    });

    // What cannot change is refused, with all that is beside it.
    rewrite(&duo, "ha.cf", |text| text.replace("keepalive 100ms", "keepalive 300ms") + "node ha3\n");
    let (done, said) = duo.tell(0, &["reload"]);
    assert!(!done && said.contains("the nodes of the cluster (ha1, ha2) cannot become ha1, ha2, ha3"), "{said}");
    assert_eq!(says("cl_status hbparameter -p keepalive"), "100ms\n");
    assert!(duo.status(0).contains("cannot become ha1, ha2, ha3"), "status tells that the files were not taken");

    let report = probe.stop();
    assert_eq!(report.lost, 0, "{report:?} {}", duo.log(0));
    assert_eq!((duo.owners(), did(&duo, 1).len()), (vec![0], 0));
}
