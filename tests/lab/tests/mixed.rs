//! One node is evenkeel and the other Debian's heartbeat 3.0.6.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod duo;

use duo::{Duo, Files, Player};
use evenkeel_lab::{Client, topology::PAIR_VIP};
use evenkeel_lab_tests::{among_others, can_run, heartbeat::has_heartbeat, mailer, nginx};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

const MIXED: [[Player; 2]; 2] = [[Player::Evenkeel, Player::Heartbeat], [Player::Heartbeat, Player::Evenkeel]];
/// Heartbeat waits for 10 s at a cold start, and its scripts take their time.
const PATIENCE: Duration = Duration::from_secs(60);

fn ready() -> bool {
    can_run() && has_heartbeat()
}

/// Either node may be the evenkeel: both at a time.
fn each_order(test: impl Fn([Player; 2]) + Sync) {
    thread::scope(|scope| {
        let test = &test;
        let running = MIXED.map(|players| scope.spawn(move || test(players)));
        for (players, pair) in MIXED.iter().zip(running) {
            assert!(pair.join().is_ok(), "{players:?}");
        }
    });
}

/// The same for pairs that are started, and have the address on the first node.
fn in_both_orders(files: &Files, test: fn(Duo, [Player; 2])) {
    let _turn = among_others();
    each_order(|players| {
        let mut duo = Duo::beside_others(players, files.clone());
        duo.start(0);
        duo.start(1);
        duo.wait_owners_within(&[0], PATIENCE);
        test(duo, players);
    });
}

/// What a script of rc.d found in its environment, but for what is of its message.
fn found(duo: &Duo, at: usize) -> BTreeMap<String, String> {
    const OF_THE_MESSAGE: [&str; 5] = ["HA_t", "HA_st", "HA_node", "HA_ifname", "HA_OSTATUS"];
    let text = fs::read_to_string(duo.etc(at).join("found")).unwrap_or_default();
    let variables = text.lines().filter_map(|line| line.split_once('='));
    let variables = variables.filter(|(name, value)| name.starts_with("HA_") && !value.is_empty());
    let variables = variables.filter(|(name, _)| !OF_THE_MESSAGE.contains(name));
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Scripts are run for the same messages, and find the same.
fn compare_scripts(duo: &Duo, players: [Player; 2]) {
    duo.wait("both ran rc.d/ifstat", PATIENCE, || !found(duo, 0).is_empty() && !found(duo, 1).is_empty());
    let ours = usize::from(players[1] == Player::Evenkeel);
    let (ours, theirs) = (found(duo, ours), found(duo, 1 - ours));
    let names = |of: &BTreeMap<String, String>| of.keys().cloned().collect::<BTreeSet<_>>();
    let none: [&String; 0] = [];
    assert_eq!(names(&theirs).difference(&names(&ours)).collect::<Vec<_>>(), none, "missing");
    assert_eq!(names(&ours).difference(&names(&theirs)).collect::<Vec<_>>(), ["HA_CF"], "more");
    // Each has its own name and directory, and whole seconds are written shorter.
    let other: Vec<&str> =
        theirs.iter().filter(|(name, value)| ours.get(*name) != Some(value)).map(|(name, _)| name.as_str()).collect();
    let places = ["HA_CURHOST", "HA_DIR", "HA_FUNCS", "HA_RCDIR", "HA_RESOURCEDIR"];
    let times = ["HA_deadping", "HA_deadtime", "HA_initdead", "HA_warntime"];
    let known = |name: &&str| places.contains(name) || times.contains(name);
    assert!(other.iter().all(known), "{other:?}: {ours:#?} {theirs:#?}");
    for (at, player) in players.into_iter().enumerate() {
        assert!(!duo.etc(at).join("kept").exists(), "{player:?} ran a script that heartbeat does not run");
    }
}

/// The files of document 003 and nginx itself, which runs since the boot on both nodes.
#[test]
fn a_pair_with_a_heartbeat_joins_and_each_takes_over_from_the_other() {
    if !ready() || !nginx::has_nginx() {
        return;
    }
    let _turn = among_others();
    let files = Files { private: nginx::PLACES.to_vec(), ..Files::of_the_document() };
    each_order(|players| {
        let mut duo = Duo::beside_others(players, files.clone());
        for at in [0, 1] {
            nginx::configure(&duo.private(at, nginx::PLACES[0]), ["ha1", "ha2"][at]);
            duo.ask_room(at, &[nginx::SCRIPT, "start"]).expect("nginx starts");
            duo.start(at);
        }
        let client = Client::new(Arc::clone(duo.node("client")));
        let answer = || client.get((PAIR_VIP, 80).into()).ok().and_then(|got| got.outcome.ok());
        let answers = |duo: &Duo, at: usize| {
            let is_right = || answer().as_deref() == Some(["ha1", "ha2"][at]) && duo.owners() == [at];
            duo.wait(&format!("nginx of the owner {at} answered"), PATIENCE, is_right);
        };
        answers(&duo, 0);
        duo.stop(0);
        answers(&duo, 1);
        // It comes back and gets what prefers it.
        duo.start(0);
        let seen = duo.watch_owners_until(&[0], PATIENCE);
        assert!(!seen.contains(&vec![0, 1]), "{players:?}: both had it: {seen:?}");
        answers(&duo, 0);
        let runs = |at| duo.ask_room(at, &[nginx::SCRIPT, "status"]).is_some();
        duo.wait("nginx ran on the first alone", PATIENCE, || runs(0) && !runs(1));
    });
}

/// hb_standby and hb_takeover of the real one, `standby` and `takeover` of ours, each answered by the other.
#[test]
fn each_gives_and_takes_when_its_operator_asks() {
    if !ready() {
        return;
    }
    let mut md5 = Files::quick(200, 2000).over("bcast eth0 eth1").signed("md5 hello!");
    md5 = md5.with("debugfile /var/log/ha-debug\nbaud 9600\ndebug 0\nenv color=blue\n");
    let kept = ": > \"$(dirname \"$0\")/../kept\"";
    let dump = "env > \"$(dirname \"$0\")/../found\"";
    md5.told =
        vec![("ifstat", dump), ("starting", kept), ("resource", kept), ("ask_resources", kept), ("shutdone", kept)];
    in_both_orders(&md5, |duo, players| {
        let ours = usize::from(players[1] == Player::Evenkeel);
        let theirs = 1 - ours;
        duo.wait_status(ours, "\"stable\":true");
        let give = |at: usize| {
            if at == ours {
                drop(duo.tell(ours, &["standby"]));
            } else {
                duo.ask(theirs, "/usr/share/heartbeat/hb_standby", &["all"]);
            }
        };
        let take = |at: usize| {
            if at == ours {
                drop(duo.tell(ours, &["takeover"]));
            } else {
                duo.ask(theirs, "/usr/share/heartbeat/hb_takeover", &["all"]);
            }
        };
        // What is asked of a real one before it has ended a transition it ignores; who asks, asks again.
        let moved = |ask: &dyn Fn(), to: usize| {
            duo.wait(&format!("the groups went to {to}"), PATIENCE, || {
                ask();
                let until = Instant::now() + Duration::from_secs(5);
                while duo.owners() != [to] && Instant::now() < until {
                    thread::park_timeout(Duration::from_millis(20));
                }
                duo.owners() == [to]
            });
            duo.wait("nginx went with it", PATIENCE, || duo.serves(to) && !duo.serves(1 - to));
        };
        moved(&|| give(0), 1);
        moved(&|| take(0), 0);
        moved(&|| take(1), 1);
        moved(&|| give(1), 0);
        // Another speed and a further group in the files of the evenkeel alone.
        let is = || (duo.owners(), duo.serves(0), duo.serves(1));
        let before = fs::read_to_string(duo.etc(ours).join("haresources")).expect("it is there");
        duo.rewrite(ours, "haresources", |text| format!("{text}{} 10.168.0.190/24/eth0\n", ["ha1", "ha2"][ours]));
        duo.rewrite(ours, "ha.cf", |text| text.replace("keepalive 200ms", "keepalive 100ms"));
        let heard = duo.log(theirs).len();
        duo.hang_up(ours);
        duo.wait_log(ours, "runs heartbeat, which goes by its own haresources");
        // It would have been missed, or taken for another, within the dead time.
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            assert_eq!(is(), (vec![0], true, false), "something moved");
            thread::park_timeout(Duration::from_millis(50));
        }
        // The other one counts as having what prefers either, where it was given that.
        let there = || !duo.run(["ha1", "ha2"][ours], "ip -o addr show to 10.168.0.190").is_empty();
        assert_eq!(there(), ours == 0, "{}", duo.log(ours));
        let said = duo.log(theirs).split_off(heard);
        assert!(!said.contains("dead") && !said.contains("WARN") && !said.contains("ERROR"), "{said}");
        duo.rewrite(ours, "haresources", |_| before);
        duo.hang_up(ours);
        duo.wait("the new address was gone", PATIENCE, || !there());
        assert_eq!(is(), (vec![0], true, false), "something moved");
        moved(&|| give(0), 1);
        compare_scripts(&duo, players);
    });
}

/// ipfail of the real one and ours compare what they reach. A group of ping nodes is reached by any of them.
#[test]
fn who_is_cut_off_from_the_ping_nodes_gives_what_it_has_to_the_other() {
    if !ready() {
        return;
    }
    let crc = Files::quick(200, 2000).over("mcast eth1 239.0.0.42 694 1 0").signed("crc").with(
        "deadping 2000ms\nping 10.168.0.1\nping_group routers 10.168.0.1 10.168.0.3\n\
         respawn hacluster /usr/libexec/heartbeat/ipfail\n",
    );
    in_both_orders(&crc, |duo, players| {
        let ours = usize::from(players[1] == Player::Evenkeel);
        // Its ipfail is started when it has joined.
        duo.wait("each knew what the other reaches", PATIENCE, || {
            duo.status(ours).contains("\"stable\":true") && duo.log(1 - ours).contains("Ping node count is balanced")
        });
        duo.wait("nginx ran on the first", PATIENCE, || duo.serves(0));
        duo.port("ha1", "down");
        let seen = duo.watch_owners_until(&[1], PATIENCE);
        assert!(!seen.contains(&vec![0, 1]), "{players:?}: both had it: {seen:?}");
        duo.wait("nginx went with it", PATIENCE, || duo.serves(1) && !duo.serves(0));
        // They reach as many again: what prefers the first node goes back.
        duo.port("ha1", "up");
        let seen = duo.watch_owners_until(&[0], PATIENCE);
        assert!(!seen.contains(&vec![0, 1]), "{players:?}: both had it: {seen:?}");
        duo.wait("nginx went back with it", PATIENCE, || duo.serves(0) && !duo.serves(1));
        // Two that ask different hosts cannot compare what they reach.
        duo.rewrite(ours, "ha.cf", |text| format!("{text}ping 10.168.0.3\n"));
        let (done, said) = duo.tell(ours, &["reload"]);
        let named = format!("the ping nodes cannot change while {} runs heartbeat", ["ha1", "ha2"][1 - ours]);
        assert!(!done && said.contains(&named), "{said}");
        assert_eq!((duo.owners(), duo.serves(0)), (vec![0], true), "something moved");
    });
}

/// Each has its own group; what it had when the other one was gone it gives back, and takes nothing for good.
#[test]
fn by_the_old_protocol_each_gets_its_own_from_the_other() {
    if !ready() {
        return;
    }
    let mut old = Files::quick(200, 2000);
    old.ha = old.ha.replace("auto_failback on", "auto_failback legacy");
    old.haresources += "ha2 10.168.0.170/24/eth0\n";
    in_both_orders(&old, |mut duo, players| {
        let has = |duo: &Duo, at: usize, address: &str| {
            !duo.run(["ha1", "ha2"][at], &format!("ip -o addr show to {address}")).is_empty()
        };
        // Where the address that prefers the second node is.
        let second = |duo: &Duo| [0, 1].map(|at| has(duo, at, "10.168.0.170"));
        duo.wait("each had its own", PATIENCE, || duo.owners() == [0] && second(&duo) == [false, true]);
        duo.stop(0);
        duo.wait("the second had all", PATIENCE, || duo.owners() == [1] && second(&duo) == [false, true]);
        duo.start(0);
        let seen = duo.watch_owners_until(&[0], PATIENCE);
        assert!(!seen.contains(&vec![0, 1]), "{players:?}: both had it: {seen:?}");
        duo.wait("nginx went with it", PATIENCE, || duo.serves(0) && !duo.serves(1));
        duo.stop(1);
        duo.wait("the first had all", PATIENCE, || duo.owners() == [0] && second(&duo) == [true, false]);
        duo.start(1);
        duo.wait("each had its own again", PATIENCE, || {
            // It may have moved between two looks: a third one tells.
            let both = second(&duo) == [true, true] && has(&duo, 0, "10.168.0.170");
            assert!(!both, "{players:?}: both had it: {}\n----\n{}", duo.log(0), duo.log(1));
            duo.owners() == [0] && second(&duo) == [false, true]
        });
    });
}

/// What scripts of a heartbeat say gets lost in this form (E0272): it neither gives back what it took nor ends in order.
#[test]
fn in_netstrings_each_takes_over_and_an_evenkeel_gives_back() {
    if !ready() {
        return;
    }
    in_both_orders(&Files::quick(200, 2000).with("msgfmt netstring\n"), |mut duo, players| {
        duo.wait("nginx ran on the first", PATIENCE, || duo.serves(0) && !duo.serves(1));
        if players[0] == Player::Evenkeel {
            duo.stop(0);
            return duo.wait("the second had all", PATIENCE, || duo.owners() == [1] && duo.serves(1) && !duo.serves(0));
        }
        duo.kill(0);
        // A heartbeat that is killed leaves its address where it is.
        duo.wait("the second had all", PATIENCE, || duo.owners() == [0, 1] && duo.serves(1));
        duo.run("ha1", "ip address del 10.168.0.160/24 dev eth0");
        duo.start(0);
        let seen = duo.watch_owners_until(&[0], PATIENCE);
        assert!(!seen.contains(&vec![0, 1]), "both had it: {seen:?}");
        duo.wait("nginx ran on the first alone", PATIENCE, || duo.serves(0) && !duo.serves(1));
    });
}

/// A pair of heartbeats is replaced node by node, and serves all the while.
#[test]
fn a_pair_of_heartbeats_is_replaced_node_by_node() {
    if !ready() {
        return;
    }
    let mut files = Files { private: mailer::PLACES.to_vec(), ..Files::quick(200, 2000) };
    files.haresources = "ha1 10.168.0.160/24/eth0 MailTo::root@localhost::web nginx\n".to_owned();
    let mut duo = Duo::new([Player::Heartbeat; 2], files);
    (0..2).for_each(|at| mailer::install(&duo.private(at, mailer::PLACES[0])));
    duo.start(0);
    duo.start(1);
    duo.wait_owners_within(&[0], PATIENCE);
    duo.wait("nginx ran", PATIENCE, || duo.serves(0));
    let probe = duo.probe();
    probe.wait_for(200);
    duo.replace(1, Player::Evenkeel);
    duo.start(1);
    duo.wait_status(1, "\"stable\":true");
    assert_eq!(duo.owners(), [0]);
    // What the real one gives up moves in a second or two, most of it in its scripts.
    duo.replace(0, Player::Evenkeel);
    duo.wait_owners_within(&[1], PATIENCE);
    duo.start(0);
    duo.wait_owners_within(&[0], PATIENCE);
    duo.wait("nginx ran on the first", PATIENCE, || duo.serves(0) && !duo.serves(1));
    let report = probe.stop();
    assert!(report.longest < Duration::from_secs(10), "a client was without for {:?}", report.longest);
    assert!(report.sent > 10 * report.lost, "{report:?}");
    // What heartbeat's MailTo has the agent write, evenkeel has it write too; that it cannot be sent stops neither.
    let (came, went) = ("web Takeover in progress", "web Migrating resource away");
    let mails = [0, 1].map(|at| mailer::mails(&duo.private(at, mailer::PLACES[0])));
    let right = mailer::are(&mails[0], &[came, went, came], " root@localhost");
    // A heartbeat that ends stops what it never started, too.
    assert!(right && mailer::are(&mails[1], &[went, came, went], " root@localhost"), "{mails:?}");
}
