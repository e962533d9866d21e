//! Files that are read again while a pair runs, on one node after the other: what did not change is not touched.

use crate::{
    WEB, pair,
    world::{SECOND, World, cluster},
};
use evenkeel_cluster::{Input, caution, refusal};
use evenkeel_heartbeat::{News, Request, Share};
use evenkeel_model::heartbeat::{Failback, Medium, NodeName, PingNode};

/// What both hosts did, and nothing of it twice at a time: the world looks.
fn did(world: &mut World) -> [Vec<String>; 2] {
    [0, 1].map(|host| std::mem::take(&mut world.hosts[host].did))
}

fn reload_both(world: &mut World, first: usize, groups: &[&str]) {
    for host in [first, 1 - first] {
        world.reload(host, groups);
        world.run(SECOND * 40);
    }
    let both = |news: &&News| matches!(news, News::Both { .. });
    let twice: Vec<&News> = world.hosts.iter().flat_map(|host| &host.news).filter(both).collect();
    assert!(twice.is_empty(), "{groups:?} read first on {first}: {twice:?} {}", world.state());
}

const NONE: [Vec<String>; 2] = [vec![], vec![]];

#[test]
fn a_group_that_is_added_starts_where_it_belongs_and_the_others_stay() {
    for first in [0, 1] {
        let mut world = pair();
        // The node that it prefers has a quarter of a minute to hear of it.
        for host in [first, 1 - first] {
            world.reload(host, &["ha2 10.0.0.2 mail", WEB]);
            world.run(SECOND * 10);
        }
        let [here, there] = did(&mut world);
        assert!(here.is_empty(), "read first on {first}: {here:?} {there:?}");
        assert_eq!(there, ["start 10.0.0.2", "start mail"], "read first on {first}");
        // Places are other ones now.
        world.ask(0, 7, Request::Move { group: 1, to: Some(1) });
        world.wait(SECOND * 20, |world| world.on("nginx") == [1]);
        assert_eq!(world.on("mail"), [1]);
    }
}

#[test]
fn a_group_that_is_gone_is_stopped_and_not_taken_by_the_node_that_still_has_the_old_files() {
    for first in [0, 1] {
        let mut world = World::settled(&cluster(Failback::Off, &[WEB, "ha1 10.0.0.2 mail"], false));
        reload_both(&mut world, first, &[WEB]);
        assert_eq!(did(&mut world), [vec!["stop mail".to_owned(), "stop 10.0.0.2".to_owned()], vec![]]);
        // Once both have the new files nothing of it is told any more, and all goes on.
        world.power_off(0);
        world.wait(SECOND * 20, |world| world.on("nginx") == [1]);
        assert!(world.on("mail").is_empty());
    }
}

#[test]
fn another_address_in_front_of_a_line_restarts_only_the_address() {
    for first in [0, 1] {
        let mut world = pair();
        reload_both(&mut world, first, &["ha1 10.0.0.9 nginx!"]);
        let expected = ["stop 10.0.0.1", "start 10.0.0.9"].map(str::to_owned).to_vec();
        assert_eq!(did(&mut world), [expected, vec![]], "read first on {first}");
    }
}

#[test]
fn a_line_that_is_split_or_joined_moves_and_stops_nothing() {
    let whole = "ha1 10.0.0.1 10.0.0.2 nginx!";
    let parts = ["ha1 10.0.0.1", "ha1 10.0.0.2 nginx!"];
    let mut world = World::settled(&cluster(Failback::Off, &[whole], false));
    reload_both(&mut world, 1, &parts);
    reload_both(&mut world, 1, &[whole]);
    reload_both(&mut world, 0, &parts);
    assert_eq!(did(&mut world), NONE, "split");
    world.ask(0, 7, Request::Move { group: 1, to: Some(1) });
    world.wait(SECOND * 20, |world| world.on("nginx") == [1]);
    world.run(SECOND * 5);
    assert_eq!(world.on("10.0.0.1"), [0], "they are two groups");
    world.ask(0, 8, Request::Takeover(Share::All));
    world.wait(SECOND * 20, |world| world.on("nginx") == [0]);
    did(&mut world);
    reload_both(&mut world, 1, &[whole]);
    assert_eq!(did(&mut world), NONE, "joined");
}

#[test]
fn a_hand_over_that_is_under_way_is_carried_through() {
    let mut world = pair();
    world.ask(0, 7, Request::Standby(Share::All));
    world.reload(0, &["ha1 10.0.0.2 mail", WEB]);
    world.reload(1, &["ha1 10.0.0.2 mail", WEB]);
    world.wait(SECOND * 20, |world| world.on("nginx") == [1]);
    world.run(SECOND * 20);
    assert_eq!(world.hosts[0].answers, [(7, Ok(()))]);
}

#[test]
fn statuses_come_as_fast_as_the_files_say_and_nobody_is_called_dead_for_it() {
    for (keepalive, deadtime) in [(SECOND * 4, SECOND * 20), (SECOND / 10, SECOND)] {
        let mut world = pair();
        for host in [0, 1] {
            world.hosts[host].view.timing.keepalive = keepalive;
            world.hosts[host].view.timing.deadtime = deadtime;
            world.reload(host, &[WEB]);
            world.run(SECOND * 3);
        }
        world.run(SECOND * 60);
        assert_eq!(did(&mut world), NONE);
        world.power_off(0);
        let gap = world.wait(SECOND * 40, |world| world.on("nginx") == [1]);
        assert!(gap > deadtime - keepalive && gap < deadtime + SECOND, "{gap:?} with {deadtime:?}");
    }
}

#[test]
fn turned_on_fail_back_moves_nothing_before_the_preferred_node_comes_anew() {
    let mut world = pair();
    world.ask(0, 7, Request::Standby(Share::All));
    world.wait(SECOND * 20, |world| world.on("nginx") == [1]);
    did(&mut world);
    for host in [0, 1] {
        world.hosts[host].view.failback = Failback::On;
        world.reload(host, &[WEB]);
        world.run(SECOND * 20);
    }
    assert_eq!(did(&mut world), NONE);
    world.tell(0, Input::Stop);
    world.wait(SECOND * 20, |world| !world.lives(0));
    world.start(0);
    world.wait(SECOND * 40, |world| world.on("nginx") == [0]);
}

#[test]
fn what_the_others_count_on_cannot_change() {
    let before = cluster(Failback::Off, &[WEB], false);
    let name = |text: &str| NodeName::new(text).unwrap();
    let says = |after, real: &[NodeName]| refusal(&before, &after, real).unwrap_or_default();
    let mut after = before.clone();
    after.nodes.push(name("ha3"));
    assert!(says(after, &[]).contains("(ha1, ha2) cannot become ha1, ha2, ha3"));
    let mut after = before.clone();
    after.node = name("ha2");
    assert!(says(after, &[]).starts_with("this node is ha1 and cannot become ha2"));
    let mut after = before.clone();
    after.failback = Failback::Legacy;
    assert!(says(after, &[]).contains("cannot change to legacy"));
    let mut after = before.clone();
    after.ipfail = true;
    after.pings.push(PingNode { name: name("10.0.0.254"), addresses: vec!["10.0.0.254".parse().unwrap()] });
    after.media.push(Medium::Broadcast { interface: "eth0".into(), port: 694 });
    assert_eq!(says(after.clone(), &[]), "");
    assert!(says(after, &[name("ha2")]).contains("while ha2 runs heartbeat"));
}

#[test]
fn what_a_heartbeat_is_not_told_of_is_named() {
    let before = cluster(Failback::Off, &[WEB, "ha1 10.0.0.2 mail"], false);
    let real = [NodeName::new("ha2").unwrap()];
    let mut same = before.clone();
    same.groups[0].resources[0].stop_within += SECOND;
    assert_eq!(caution(&before, &same, &real), None, "how long is waited here is of no concern there");
    let after = cluster(Failback::Off, &[WEB, "ha1 10.0.0.3 ftp"], false);
    assert_eq!(caution(&before, &after, &[]), None);
    let said = caution(&before, &after, &real).unwrap_or_default();
    assert!(said.starts_with("ha2 runs heartbeat") && said.contains("changed in 10.0.0.3, 10.0.0.2 stays"), "{said}");
}
