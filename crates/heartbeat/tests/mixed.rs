//! An evenkeel and a heartbeat as one pair: the model of heartbeat does what recordings of 3.0.6 do.

mod pair;

use evenkeel_heartbeat::{Input, Request, Share};
use evenkeel_model::heartbeat::{Failback, Heartbeat, Medium};
use pair::{MILLI, SECOND, World, cluster, timing};

/// Settings of the recordings.
fn five(failback: Failback) -> Heartbeat {
    let mut cluster = cluster(timing(SECOND, SECOND * 5), failback, &["ha1"]);
    cluster.timing.initdead = SECOND * 20;
    cluster.ipfail = false;
    cluster
}

/// Host `ours` runs evenkeel, the other one heartbeat.
fn settled(failback: Failback, ours: usize) -> World {
    let mut world = World::new(7, &five(failback), &[ours == 1, ours == 0]);
    world.start(0);
    world.run(MILLI * 600);
    world.start(1);
    let took = world.wait(SECOND * 20, |world| world.holders(0) == [0]);
    assert!(took < SECOND * 11, "{took:?}");
    world.run(SECOND * 60);
    assert!(world.both_stable(), "{}", world.state());
    world.forget();
    world
}

#[test]
fn both_start_and_the_preferred_node_serves() {
    settled(Failback::On, 0);
    settled(Failback::On, 1);
    settled(Failback::Off, 0);
}

#[test]
fn an_orderly_stop_hands_over_and_a_start_fails_back() {
    for ours in 0..2 {
        let mut world = settled(Failback::On, ours);
        world.tell(0, Input::Stop);
        let gap = world.wait(SECOND * 3, |world| world.holders(0) == [1]);
        assert!(gap < MILLI * 100, "{gap:?}");
        world.run(SECOND * 20);
        world.start(0);
        world.wait(SECOND * 20, |world| world.holders(0) == [0]);
        world.run(SECOND * 30);
        assert!(world.both_stable() && world.holders(0) == [0], "ours {ours}: {}", world.state());
    }
}

#[test]
fn without_failback_a_group_stays() {
    for ours in 0..2 {
        let mut world = settled(Failback::Off, ours);
        world.tell(0, Input::Stop);
        world.wait(SECOND * 3, |world| world.holders(0) == [1]);
        world.run(SECOND * 20);
        world.start(0);
        world.run(SECOND * 60);
        assert!(world.both_stable() && world.holders(0) == [1], "ours {ours}: {}", world.state());
    }
}

#[test]
fn a_dead_node_is_taken_over_by_its_own_dead_time() {
    for ours in 0..2 {
        let mut world = settled(Failback::On, ours);
        world.kill(0, true);
        let took = world.wait(SECOND * 10, |world| world.holders(0) == [1]);
        assert!(took > SECOND * 3 && took < SECOND * 5 + MILLI * 50, "{took:?}");
    }
}

#[test]
fn operators_move_groups_on_either_side() {
    for ours in 0..2 {
        for asks in 0..2 {
            let mut world = settled(Failback::On, ours);
            world.ask(0, 1, Request::Standby(Share::All));
            world.wait(SECOND * 2, |world| world.holders(0) == [1]);
            world.run(SECOND * 30);
            assert!(world.both_stable() && world.holders(0) == [1], "ours {ours}: {}", world.state());
            let what = if asks == 0 { Request::Takeover(Share::Local) } else { Request::Standby(Share::Foreign) };
            world.ask(asks, 2, what);
            world.wait(SECOND * 2, |world| world.holders(0) == [0]);
            world.run(SECOND * 30);
            assert!(world.both_stable() && world.holders(0) == [0], "ours {ours}: {}", world.state());
        }
    }
}

#[test]
fn a_heartbeat_drops_everything_at_a_heal_and_evenkeel_serves_on() {
    for ours in 0..2 {
        let mut world = settled(Failback::On, ours);
        world.plug(0, 0, false);
        world.run(SECOND * 30);
        assert_eq!(world.holders(0), [0, 1]);
        world.plug(0, 0, true);
        let until = world.now + SECOND * 60;
        let mut nobody = None;
        while world.step(until) {
            let since = *nobody.get_or_insert(world.now);
            if !world.holders(0).is_empty() {
                nobody = None;
            }
            assert!(world.now - since < MILLI * 100, "{}", world.state());
        }
        // It has begun anew and got its own group back without a hole beyond the hand-over.
        assert!(world.both_stable() && world.holders(0) == [0], "ours {ours}: {}", world.state());
        let ours_announced = world.hosts[ours].announced.len();
        assert!(ours_announced > 0, "the network may still look for it at the heartbeat");
    }
}

#[test]
fn a_heartbeat_that_never_missed_this_node_is_asked_what_it_has() {
    for ours in 0..2 {
        let mut world = settled(Failback::On, ours);
        // Nothing comes from the heartbeat, which hears all.
        world.open.insert((1 - ours, ours, 0), false);
        world.run(SECOND * 30);
        world.open.clear();
        world.run(SECOND * 60);
        assert_eq!(world.holders(0).len(), 1, "ours {ours}: {}", world.state());
        assert!(world.both_stable(), "ours {ours}: {}", world.state());
    }
}

#[test]
fn a_second_path_keeps_the_pair_together() {
    let mut two = five(Failback::On);
    two.media.push(Medium::Broadcast { interface: "eth0".to_owned(), port: 694 });
    let mut world = World::new(3, &two, &[false, true]);
    world.start(0);
    world.start(1);
    world.run(SECOND * 60);
    world.plug(0, 0, false);
    let until = world.now + SECOND * 60;
    while world.step(until) {
        assert_eq!(world.holders(0), [0]);
    }
}

#[test]
fn a_group_that_cannot_start_goes_to_the_heartbeat() {
    let mut world = settled(Failback::On, 0);
    world.hosts[0].pace[0].fails = true;
    world.fail(0, 0);
    let took = world.wait(SECOND * 5, |world| world.holders(0) == [1]);
    assert!(took < SECOND, "{took:?}");
    world.run(SECOND * 60);
    assert!(world.both_stable() && world.holders(0) == [1], "{}", world.state());
}

#[test]
fn a_rolling_replacement_serves_throughout() {
    let mut world = World::new(5, &five(Failback::On), &[true, true]);
    world.start(0);
    world.start(1);
    world.run(SECOND * 60);
    assert_eq!(world.holders(0), [0]);
    for host in [1, 0] {
        world.tell(host, Input::Stop);
        world.run(SECOND * 10);
        assert_eq!(world.holders(0), [1 - host], "{}", world.state());
        world.hosts[host].real = false;
        world.start(host);
        world.run(SECOND * 60);
        assert_eq!(world.holders(0), [0], "{}", world.state());
        assert!(world.both_stable(), "{}", world.state());
    }
}
