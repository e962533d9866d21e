//! What document 003 has its reader try, in virtual time: keepalive 2 s, deadtime 30 s, a node each on eth1.

mod pair;

use evenkeel_heartbeat::{Input, Message, News, NodeState, Path, Request, Share, Unheard};
use evenkeel_model::heartbeat::{Change, Failback, Heartbeat, Medium};
use pair::{MILLI, SECOND, World, cluster, timing};
use std::sync::Arc;

/// ha.cf of document 003.
fn document() -> Heartbeat {
    let mut timing = timing(SECOND * 2, SECOND * 30);
    timing.initdead = SECOND * 60;
    timing.warntime = SECOND * 10;
    cluster(timing, Failback::On, &["ha1"])
}

/// Both nodes run and have settled: `ha1` has the address.
fn settled(cluster: &Heartbeat, real: &[bool]) -> World {
    let mut world = World::new(1, cluster, real);
    world.start(0);
    world.run(MILLI * 600);
    world.start(1);
    world.run(SECOND * 60);
    assert_eq!(world.holders(0), [0], "{}", world.state());
    assert!(world.both_stable(), "{}", world.state());
    world.forget();
    world
}

#[test]
fn a_cold_start_of_both_needs_no_ten_seconds() {
    let mut world = World::new(1, &document(), &[false, false]);
    world.start(0);
    world.run(MILLI * 600);
    world.start(1);
    let took = world.wait(SECOND * 5, |world| world.holders(0) == [0]);
    assert!(took < MILLI * 100, "{took:?}");
    world.run(SECOND * 60);
    assert_eq!(world.holders(0), [0]);
    // The other node says so too, once.
    let holders = |news: &&News| matches!(news, News::Holder { .. });
    let told: Vec<_> = world.hosts[1].news.iter().filter(holders).collect();
    assert_eq!(told, [&News::Holder { group: 0, node: Some(0), why: None }]);
}

#[test]
fn a_node_alone_waits_for_initdead() {
    let mut world = World::new(1, &document(), &[false, false]);
    world.start(1);
    let took = world.wait(SECOND * 70, |world| world.holders(0) == [1]);
    assert!(took >= SECOND * 60 && took < SECOND * 60 + MILLI * 50, "{took:?}");
}

/// A line for each message of a type that a script of `rc.d` was told of.
fn told(world: &World, host: usize, kind: &str, names: [&str; 4]) -> Vec<String> {
    let of = |message: &Message| names.map(|name| message.text(name).unwrap_or("-")).join(" ");
    let all = world.hosts[host].noticed.iter().filter(|message| message.kind() == kind);
    all.map(|message| of(message)).collect()
}

/// Recorded of heartbeat 3.0.6: `rc.d/status` and `rc.d/ifstat` are run for what a node finds out too, `HA_OSTATUS` is the
/// node's own status.
#[test]
fn scripts_are_told_of_a_death_and_a_return() {
    let mut world = settled(&document(), &[false, false]);
    world.kill(0, true);
    world.run(SECOND * 40);
    world.start(0);
    world.run(SECOND * 40);
    let mut turns = told(&world, 1, "status", ["src", "st", "OSTATUS", "info"]);
    // It says `init` and `up` at one moment, and the one that comes first is told.
    turns.iter_mut().for_each(|turn| *turn = turn.replace("init", "up"));
    assert_eq!(turns, ["ha1 dead active -", "ha1 up active -", "ha1 active active -"]);
    let links = told(&world, 1, "ifstat", ["node", "ifname", "st", "OSTATUS"]);
    assert_eq!(links, ["ha1 eth1 dead active", "ha1 eth1 up active"]);
}

#[test]
fn scripts_are_told_that_a_node_has_left_and_of_ping_nodes() {
    let mut world = settled(&document(), &[false, false]);
    world.tell(0, Input::Stop);
    world.wait(SECOND * 10, |world| world.hosts[0].stopped);
    world.run(SECOND);
    world.hosts[1].reaches = false;
    world.run(SECOND * 40);
    world.hosts[1].reaches = true;
    world.run(SECOND * 10);
    let turns = told(&world, 1, "status", ["src", "st", "info", "OSTATUS"]);
    assert_eq!(turns, ["ha1 dead - active", "10.168.0.1 dead ping active", "10.168.0.1 ping ping active"]);
    assert_eq!(
        told(&world, 1, "ifstat", ["node", "ifname", "st", "src"])[1..],
        ["10.168.0.1 10.168.0.1 dead -", "10.168.0.1 10.168.0.1 up -"]
    );
}

/// Recorded the same way, with a script for each type.
#[test]
fn scripts_are_told_of_what_heartbeat_does_not_keep_to_itself() {
    let mut world = World::new(1, &document(), &[false, false]);
    world.start(0);
    world.start(1);
    world.run(SECOND * 30);
    world.tell(0, Input::Request { id: 1, what: Request::Standby(Share::All) });
    world.run(SECOND * 10);
    world.tell(0, Input::Request { id: 2, what: Request::Takeover(Share::All) });
    world.run(SECOND * 10);
    for host in 0..2 {
        let kinds: std::collections::BTreeSet<&str> =
            world.hosts[host].noticed.iter().map(|message| message.kind()).collect();
        for kept in ["starting", "resource", "ask_resources", "reqnodes", "repnodes"] {
            assert!(!kinds.contains(kept), "{host}: {kinds:?}");
        }
        for told in ["hb_takeover", "status", "ifstat"] {
            assert!(kinds.contains(told), "{host}: {kinds:?}");
        }
    }
}

#[test]
fn a_restart_of_the_main_node_moves_the_group_there_and_back() {
    let mut world = settled(&document(), &[false, false]);
    world.tell(0, Input::Stop);
    let gap = world.wait(SECOND * 2, |world| world.holders(0) == [1]);
    assert!(gap < MILLI * 100, "{gap:?}");
    world.wait(SECOND * 10, |world| world.hosts[0].stopped);
    world.run(SECOND * 6);
    world.start(0);
    world.wait(SECOND * 10, |world| world.holders(0).is_empty());
    let gap = world.wait(SECOND * 2, |world| world.holders(0) == [0]);
    assert!(gap < MILLI * 100, "{gap:?}");
    world.run(SECOND * 60);
    assert!(world.both_stable() && world.holders(0) == [0], "{}", world.state());
}

#[test]
fn a_lost_interface_of_services_moves_the_group_by_ipfail() {
    let mut world = settled(&document(), &[false, false]);
    world.hosts[0].reaches = false;
    let took = world.wait(SECOND * 60, |world| world.holders(0) == [1]);
    // The ping node is dead after 30 s, and twice a keepalive is given for the other node to notice too.
    assert!(took < SECOND * 35, "{took:?}");
    assert!(world.hosts[0].news.iter().any(|news| matches!(news, News::CutOff { here: 0, there: Some(1) })));
    world.run(SECOND * 120);
    assert_eq!(world.holders(0), [1], "it stays while the node is cut off");
    world.hosts[0].reaches = true;
    let took = world.wait(SECOND * 30, |world| world.holders(0) == [0]);
    assert!(took < SECOND * 12, "{took:?}");
}

#[test]
fn between_two_reloads_no_group_moves_for_ping_nodes_that_only_one_file_has() {
    let mut world = settled(&document(), &[false, false]);
    let before = document();
    for host in [0, 1] {
        // The first asks for nothing any more, and so reaches fewer than the second.
        let after = Heartbeat { node: before.nodes[host].clone(), pings: vec![], ..before.clone() };
        let change = Change::between(&before, &after);
        world.tell(host, Input::Configure { wanted: Box::new(after), change, configuration: 2 });
        let until = world.now + SECOND * 60;
        while world.step(until) {
            assert_eq!(world.holders(0), [0], "{}", world.state());
        }
    }
}

#[test]
fn a_halt_is_taken_over_at_deadtime() {
    for seed in 0..10 {
        let mut world = settled(&document(), &[false, false]);
        world.run(MILLI * 137 * seed);
        world.kill(0, true);
        let took = world.wait(SECOND * 40, |world| world.holders(0) == [1]);
        assert!(took > SECOND * 28 && took < SECOND * 30 + MILLI * 50, "{took:?}");
    }
}

#[test]
fn all_links_down_is_taken_over_at_deadtime_and_heals_without_a_hole() {
    let mut world = settled(&document(), &[false, false]);
    world.plug(0, 0, false);
    world.tell(0, Input::Medium { medium: 0, up: false });
    world.wait(SECOND * 31, |world| world.holders(0).contains(&1));
    world.run(SECOND * 20 + MILLI * 700);
    assert_eq!(world.holders(0), [0, 1], "nobody can know");
    world.plug(0, 0, true);
    world.tell(0, Input::Medium { medium: 0, up: true });
    let healed = world.now;
    while world.holders(0).len() > 1 {
        assert!(world.now < healed + MILLI * 50, "no status waits for its turn: {}", world.state());
        world.step(healed + SECOND * 10);
        assert!(!world.holders(0).is_empty());
    }
    // The preferred node keeps it, and tells the network once more, though it never heard that the other one had it too.
    assert_eq!(world.holders(0), [0]);
    world.wait(SECOND * 3, |world| !world.hosts[0].announced.is_empty());
    let until = world.now + SECOND * 120;
    while world.step(until) {
        assert_eq!(world.holders(0), [0]);
    }
    assert!(world.both_stable(), "{}", world.state());
}

#[test]
fn a_node_whose_own_cable_is_back_says_so_until_the_switch_forwards_it() {
    for late in [0, 500] {
        let mut world = settled(&document(), &[false, false]);
        world.plug(0, 0, false);
        world.tell(0, Input::Medium { medium: 0, up: false });
        world.run(SECOND * 45);
        assert_eq!(world.holders(0), [0, 1]);
        world.tell(0, Input::Medium { medium: 0, up: true });
        world.run(MILLI * late);
        world.plug(0, 0, true);
        let took = world.wait(SECOND * 3, |world| world.holders(0) == [0]);
        assert!(took < MILLI * 150, "{took:?}");
        world.forget();
        world.run(SECOND * 60);
        assert!(world.both_stable() && world.holders(0) == [0], "{}", world.state());
    }
}

#[test]
fn a_cut_of_the_only_heartbeat_line_is_a_split_unless_there_is_a_second_path() {
    let mut two = document();
    two.media.push(Medium::Broadcast { interface: "eth0".to_owned(), port: 694 });
    let mut world = settled(&two, &[false, false]);
    world.plug(0, 0, false);
    let until = world.now + SECOND * 120;
    while world.step(until) {
        assert_eq!(world.holders(0), [0]);
    }
    let down = |news: &News| matches!(news, News::Link { node: 1, medium: 0, up: false });
    assert!(world.hosts[0].news.iter().any(down), "it is told all the same");
    world.plug(0, 1, false);
    let took = world.wait(SECOND * 40, |world| world.holders(0).contains(&1));
    assert!(took < SECOND * 30 + MILLI * 50, "{took:?}");
}

#[test]
fn the_address_of_a_killed_daemon_goes_just_before_it_is_claimed() {
    let mut world = settled(&document(), &[false, false]);
    world.kill(0, false);
    let until = world.now + SECOND * 40;
    let mut gone = None;
    while world.step(until) && world.holders(0) != [1] {
        assert_ne!(world.holders(0), [0, 1], "contention");
        if world.holders(0).is_empty() && gone.is_none() {
            gone = Some(world.now);
        }
    }
    let gap = world.now - gone.unwrap();
    assert!(gap < SECOND * 3, "{gap:?}");
}

#[test]
fn a_message_of_an_earlier_run_is_a_replay_even_after_a_restart_of_the_node_that_hears_it() {
    let mut world = settled(&document(), &[false, false]);
    world.run(SECOND * 5);
    let of_status = |(_, message): &&(_, Arc<Message>)| message.kind() == "status";
    let recorded = world.hosts[1].said.iter().rev().find(of_status).unwrap().1.clone();
    // Its second run is heard; then it is off, and this node begins anew.
    world.kill(1, true);
    world.start(1);
    world.run(SECOND * 90);
    world.kill(1, true);
    world.kill(0, true);
    world.run(SECOND);
    world.start(0);
    world.forget();
    world.tell(0, Input::Heard { path: Path::Medium(0), message: Message::clone(&recorded) });
    let dropped = News::Dropped { node: 1, reason: Unheard::OldGeneration };
    assert!(world.hosts[0].news.contains(&dropped), "{:?}", world.hosts[0].news);
    assert_eq!(world.node(0).view().nodes[1].state, NodeState::Unknown);
}

#[test]
fn a_daemon_killed_and_started_again_goes_on() {
    let mut world = settled(&document(), &[false, false]);
    world.kill(0, false);
    world.run(SECOND);
    world.start(0);
    let until = world.now + SECOND * 60;
    while world.step(until) {
        assert_eq!(world.holders(0), [0], "{}", world.state());
    }
    assert!(world.both_stable(), "{}", world.state());
}

#[test]
fn an_operator_moves_groups_both_ways() {
    let mut world = settled(&document(), &[false, false]);
    world.ask(0, 1, Request::Standby(Share::All));
    world.wait(SECOND, |world| world.holders(0) == [1]);
    world.run(SECOND * 120);
    assert_eq!(world.holders(0), [1], "auto_failback does not undo what an operator asked for");
    assert_eq!(world.hosts[0].answers, [(1, Ok(()))]);
    world.ask(0, 2, Request::Takeover(Share::All));
    world.wait(SECOND, |world| world.holders(0) == [0]);
    world.run(SECOND * 60);
    assert_eq!(world.hosts[0].answers, [(1, Ok(())), (2, Ok(()))]);
    world.ask(0, 3, Request::Move { group: 0, to: Some(1) });
    world.wait(SECOND, |world| world.holders(0) == [1]);
    world.run(SECOND * 60);
    assert!(world.both_stable(), "{}", world.state());
}

/// All that a node has is in each of its statuses, and in the word that moves it.
#[test]
fn hundreds_of_groups_move_with_one_word() {
    const GROUPS: usize = 300;
    let left = |world: &World| (0..GROUPS).filter(|group| world.holders(*group) != [1]).count();
    let files = cluster(timing(SECOND * 2, SECOND * 30), Failback::On, &["ha1"; GROUPS]);
    let mut world = World::new(1, &files, &[false, false]);
    world.start(0);
    world.run(MILLI * 600);
    world.start(1);
    world.run(SECOND * 10);
    world.ask(0, 1, Request::Standby(Share::All));
    world.wait(SECOND * 20, |world| !world.hosts[0].answers.is_empty());
    assert_eq!(world.hosts[0].answers, [(1, Ok(()))]);
    assert_eq!(left(&world), 0, "groups that did not move");
    // Each status names them all, so that the one that gave them does not take them for nobody's.
    world.run(SECOND * 60);
    assert_eq!(left(&world), 0, "groups that another one took too");
}
