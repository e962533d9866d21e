//! Three nodes (HB-62): who takes what, who gives it to whom, and that two never have it; by name, and through random faults
//! that are replayed by their seed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod chaos;
mod pair;
mod triple;

use evenkeel_heartbeat::{Input, News, NodeState, Refusal, Request, Share};
use evenkeel_model::heartbeat::Failback;
use pair::{MILLI, SECOND, World, fence};
use std::time::Duration;
use triple::{chaos, claims, three};

/// Groups that prefer `ha1, ha2`, `ha2`, and `ha3, ha1`.
const GROUPS: [&[&str]; 3] = [&["ha1", "ha2"], &["ha2"], &["ha3", "ha1"]];

fn settled(failback: Failback) -> World {
    let mut world = World::new(1, &three(SECOND, failback, &GROUPS), &[false; 3]);
    for host in 0..3 {
        world.start(host);
    }
    world.run(SECOND * 40);
    assert_eq!(owners(&world), [vec![0], vec![1], vec![2]], "{}", world.state());
    assert!(world.both_stable());
    world.forget();
    world
}

fn owners(world: &World) -> [Vec<usize>; 3] {
    [0, 1, 2].map(|group| world.holders(group))
}

/// Lets things take their course; one node at most took each group.
fn quiet(world: &mut World) -> [Vec<usize>; 3] {
    world.run(SECOND * 30);
    for group in 0..3 {
        assert!(claims(world, group) <= 1, "{group} was taken {} times: {}", claims(world, group), world.state());
    }
    world.forget();
    owners(world)
}

#[test]
fn three_that_start_together_serve_at_once_each_what_prefers_it() {
    let mut world = World::new(3, &three(SECOND, Failback::On, &GROUPS), &[false; 3]);
    for host in 0..3 {
        world.start(host);
    }
    let took = world.wait(SECOND * 10, |world| owners(world) == [vec![0], vec![1], vec![2]]);
    assert!(took < SECOND * 3, "{took:?}");
    assert_eq!(quiet(&mut world), [vec![0], vec![1], vec![2]]);
}

#[test]
fn what_a_dead_node_had_goes_to_the_first_of_its_order_and_nobody_else_tries() {
    let mut world = settled(Failback::On);
    world.kill(0, true);
    assert_eq!(quiet(&mut world), [vec![1], vec![1], vec![2]], "`ha1, ha2`");
    // Of the group that prefers `ha2` alone the others are tried in the order of nodes.
    world.kill(1, true);
    assert_eq!(quiet(&mut world), [vec![2], vec![2], vec![2]]);
}

#[test]
fn a_node_that_comes_back_gets_what_prefers_it_from_whoever_has_it() {
    for (failback, after) in [(Failback::On, 0), (Failback::Off, 1)] {
        let mut world = settled(failback);
        world.kill(0, true);
        world.run(SECOND * 30);
        world.forget();
        world.start(0);
        assert_eq!(quiet(&mut world), [vec![after], vec![1], vec![2]], "{failback:?}");
    }
}

#[test]
fn the_second_choice_gets_a_group_from_the_third_and_the_first_from_the_second() {
    let mut world = settled(Failback::On);
    world.kill(0, true);
    world.kill(1, true);
    world.run(SECOND * 40);
    assert_eq!(owners(&world)[0], [2]);
    world.forget();
    world.start(1);
    assert_eq!(quiet(&mut world)[0], [1]);
    world.start(0);
    assert_eq!(quiet(&mut world)[0], [0]);
    // A node that nothing prefers gets nothing.
    world.kill(1, true);
    world.run(SECOND * 30);
    assert_eq!(owners(&world)[1], [0]);
    world.forget();
    world.kill(2, true);
    world.run(SECOND * 30);
    world.forget();
    world.start(2);
    assert_eq!(quiet(&mut world), [vec![0], vec![0], vec![2]]);
}

#[test]
fn a_standby_gives_each_group_to_its_own_successor_within_the_time_its_stop_takes() {
    let mut world = settled(Failback::On);
    world.ask(0, 1, Request::Standby(Share::All));
    let took = world.wait(SECOND, |world| owners(world)[0] == [1]);
    assert!(took <= MILLI * 50, "{took:?}");
    world.run(SECOND);
    assert_eq!(world.hosts[0].answers, [(1, Ok(()))]);
    // It stays there, and from there it goes to the one that is not standing by.
    assert_eq!(quiet(&mut world), [vec![1], vec![1], vec![2]]);
    world.ask(1, 2, Request::Standby(Share::All));
    assert_eq!(quiet(&mut world), [vec![2], vec![0], vec![2]]);
    // Until an operator wants it here again.
    world.ask(0, 3, Request::Takeover(Share::Local));
    world.run(SECOND);
    assert_eq!(world.hosts[0].answers, [(3, Ok(()))]);
    assert_eq!(quiet(&mut world), [vec![0], vec![0], vec![2]]);
}

#[test]
fn groups_move_between_any_two_nodes_whoever_is_asked() {
    let mut world = settled(Failback::On);
    for (asked, group, to) in [(0, 0, 2), (1, 0, 1), (2, 2, 1), (1, 1, 0), (1, 1, 1), (2, 0, 0)] {
        world.ask(asked, 9, Request::Move { group, to: Some(to) });
        world.run(SECOND);
        assert_eq!(world.hosts[asked].answers, [(9, Ok(()))], "{asked} {group} {to}: {}", world.state());
        assert_eq!(quiet(&mut world)[group], [to]);
    }
    assert_eq!(owners(&world), [vec![0], vec![1], vec![1]]);
}

#[test]
fn what_cannot_be_moved_is_refused_with_its_reason() {
    let mut world = settled(Failback::On);
    world.ask(0, 1, Request::Move { group: 7, to: Some(1) });
    world.kill(2, true);
    world.run(SECOND * 30);
    world.ask(0, 2, Request::Move { group: 0, to: Some(2) });
    world.kill(1, true);
    world.run(SECOND * 30);
    world.ask(0, 3, Request::Standby(Share::All));
    let answers = [(1, Err(Refusal::Unknown)), (2, Err(Refusal::NoPeer)), (3, Err(Refusal::NoPeer))];
    assert_eq!(world.hosts[0].answers, answers);
    assert_eq!(owners(&world)[0], [0]);
}

#[test]
fn a_group_that_fails_goes_on_to_the_next_and_stops_where_all_have_failed() {
    let mut world = settled(Failback::On);
    for host in 0..3 {
        world.hosts[host].pace[0].fails = host != 2;
    }
    world.fail(0, 0);
    world.run(SECOND * 30);
    assert_eq!(owners(&world)[0], [2]);
    assert!(world.hosts[0].news.iter().any(|news| matches!(news, News::Failed { group: 0, to: Some(1) })));
    // Somebody else's death is no reason to try again where it failed, as long as another node serves it.
    world.forget();
    world.kill(1, true);
    assert_eq!(quiet(&mut world)[0], [2]);
    world.hosts[2].pace[0].fails = true;
    world.fail(2, 0);
    world.run(SECOND * 300);
    assert!(owners(&world)[0].is_empty());
    assert!(claims(&world, 0) <= 1, "{}", claims(&world, 0));
}

#[test]
fn who_reaches_fewer_ping_nodes_gives_to_one_that_reaches_more_and_gets_it_back() {
    let mut world = settled(Failback::On);
    world.hosts[0].reaches = false;
    world.hosts[1].reaches = false;
    assert_eq!(quiet(&mut world), [vec![2], vec![2], vec![2]]);
    world.hosts[0].reaches = true;
    assert_eq!(quiet(&mut world), [vec![0], vec![2], vec![2]]);
    world.hosts[1].reaches = true;
    assert_eq!(quiet(&mut world), [vec![0], vec![1], vec![2]]);
    // All are even again: nothing moves when all lose it.
    for host in 0..3 {
        world.hosts[host].reaches = false;
    }
    assert_eq!(quiet(&mut world), [vec![0], vec![1], vec![2]]);
}

#[test]
fn what_a_third_node_hears_is_not_taken() {
    for both_ways in [false, true] {
        let mut world = settled(Failback::On);
        world.open.insert((0, 2, 0), false);
        world.open.insert((2, 0, 0), !both_ways);
        world.run(SECOND * 60);
        assert_eq!(world.node(2).view().nodes[0].state, NodeState::Dead);
        assert_eq!(quiet(&mut world), [vec![0], vec![1], vec![2]], "both ways: {both_ways}");
        // It dies for all: the order decides.
        world.kill(0, true);
        assert_eq!(quiet(&mut world)[0], [1]);
        world.open.clear();
    }
}

#[test]
fn after_three_were_apart_one_keeps_each_group_and_nobody_else_has_it() {
    let mut world = settled(Failback::On);
    for host in 0..3 {
        world.plug(host, 0, false);
    }
    world.run(SECOND * 40);
    assert_eq!(owners(&world), [[0, 1, 2], [0, 1, 2], [0, 1, 2]]);
    world.open.clear();
    let took = world.wait(SECOND * 5, |world| owners(world) == [vec![0], vec![1], vec![2]]);
    assert!(took <= SECOND * 2, "{took:?}");
}

/// Three nodes that have settled and can fence each other.
fn fenced() -> World {
    let mut cluster = three(SECOND, Failback::On, &GROUPS);
    cluster.fences.push(fence());
    let mut world = World::new(1, &cluster, &[false; 3]);
    for host in 0..3 {
        world.start(host);
    }
    world.run(SECOND * 40);
    world
}

/// Runs until a group has an owner; before that nobody had it.
fn taken(world: &mut World, group: usize) -> (Duration, Vec<usize>) {
    let took = world.wait(SECOND * 200, |world| !world.holders(group).is_empty());
    (took, world.holders(group))
}

/// Who tried to fence, in order. No two at once.
fn tries(world: &World) -> Vec<usize> {
    let begun: Vec<_> = world.attempts.iter().map(|(at, ..)| *at).collect();
    assert!(begun.windows(2).all(|two| two[1] - two[0] > SECOND), "{:?}", world.attempts);
    world.attempts.iter().map(|(_, by, _)| *by).collect()
}

#[test]
fn who_is_heard_by_a_third_is_not_fenced() {
    let mut world = fenced();
    world.forget();
    // The one that would fence it.
    world.open.insert((0, 1, 0), false);
    world.run(SECOND * 60);
    assert_eq!(world.node(1).view().nodes[0].state, NodeState::Dead);
    assert_eq!(tries(&world), Vec::<usize>::new(), "{}", world.state());
    assert_eq!(owners(&world), [vec![0], vec![1], vec![2]]);
}

#[test]
fn one_survivor_fences_and_the_other_waits_for_its_word() {
    let mut world = fenced();
    world.forget();
    world.kill(0, true);
    world.run(SECOND * 6);
    assert!(owners(&world)[0].is_empty(), "{}", world.state());
    assert_eq!(taken(&mut world, 0).1, [1]);
    assert_eq!(tries(&world), [1]);
    // The other one knows, and goes on by itself when the first is gone in order.
    world.tell(1, Input::Stop);
    world.wait(SECOND * 5, |world| owners(world) == [vec![2], vec![2], vec![2]]);
}

#[test]
fn another_node_tries_its_own_device_after_three_attempts_and_never_two_at_once() {
    let mut world = fenced();
    world.forget();
    world.hosts[1].fences = false;
    world.kill(0, true);
    let (took, owners) = taken(&mut world, 0);
    // The order decides, whoever has fenced it.
    assert_eq!((owners, tries(&world)), (vec![1], vec![1, 1, 1, 2]));
    // The dead time, three attempts with their pauses, the wait of a turn.
    assert!(took < SECOND * 28, "{took:?}");
    for host in [1, 2] {
        let told = |by: usize, attempt: u32| world.hosts[host].news.contains(&News::Fencing { node: 0, by, attempt });
        assert!(told(1, 3) && told(2, 1), "{host}: {:?}", world.hosts[host].news);
    }
}

#[test]
fn a_node_that_nobody_can_fence_keeps_what_it_had_until_an_operator_confirms() {
    let mut world = fenced();
    for host in [1, 2] {
        world.hosts[host].fences = false;
    }
    world.kill(0, true);
    world.run(SECOND * 120);
    assert!(owners(&world)[0].is_empty(), "{}", world.state());
    assert!(tries(&world).starts_with(&[1, 1, 1, 2, 2, 2, 1, 1, 1, 2]), "{:?}", world.attempts);
    world.ask(2, 1, Request::Confirm { node: 0 });
    assert_eq!(taken(&mut world, 0).1, [1]);
    let tried = world.attempts.len();
    world.run(SECOND * 30);
    assert!(world.attempts.len() <= tried + 1, "{:?}", world.attempts);
}

#[test]
fn who_has_no_device_waits_for_one_that_has() {
    let mut cluster = three(SECOND, Failback::On, &GROUPS);
    cluster.fences.push(fence());
    let mut world = World::new(1, &cluster, &[false; 3]);
    world.hosts[1].view.fences.clear();
    for host in 0..3 {
        world.start(host);
    }
    world.run(SECOND * 40);
    world.hosts[2].fences = false;
    world.kill(0, true);
    world.run(SECOND * 60);
    assert!(owners(&world)[0].is_empty(), "{}", world.state());
    world.hosts[2].fences = true;
    assert_eq!(taken(&mut world, 0).1, [1]);
    assert!(tries(&world).iter().all(|by| *by == 2));
}

#[test]
fn a_node_that_was_not_heard_since_may_have_taken_what_nobody_seems_to_have() {
    let mut cluster = three(SECOND * 10, Failback::On, &GROUPS);
    cluster.fences.push(fence());
    let mut world = World::new(1, &cluster, &[false; 3]);
    for host in 0..3 {
        world.start(host);
    }
    world.run(SECOND * 400);
    world.kill(2, true);
    world.wait(SECOND * 100, |world| (0..2).all(|host| world.hosts[host].news.iter().any(pair::is_dead)));
    // Cut off it fences the dead one all the same, and takes what that had.
    world.plug(0, 0, false);
    world.wait(SECOND * 30, |world| world.holders(2) == [0]);
    world.start(2);
    let until = world.now + SECOND * 300;
    while world.step(until) {
        assert!(world.holders(2).len() < 2, "{}", world.state());
    }
    assert_eq!((world.fenced.as_slice(), world.holders(2)), ([2, 0].as_slice(), vec![2]));
}

/// Three of which the last was off for long, and the first is started again.
fn without_the_last(mut world: World) -> World {
    world.kill(2, true);
    world.run(SECOND * 60);
    world.tell(0, Input::Stop);
    world.run(SECOND * 30);
    assert_eq!(owners(&world), [[1], [1], [1]]);
    world.forget();
    world.attempts.clear();
    world.start(0);
    world
}

#[test]
fn a_node_that_joins_believes_a_stable_one_who_is_gone() {
    for fences in [false, true] {
        let mut world = without_the_last(if fences { fenced() } else { settled(Failback::On) });
        // `initdead` is 12 s.
        let took = world.wait(SECOND * 11, |world| owners(world) == [vec![0], vec![1], vec![0]]);
        assert!(took < SECOND * 4, "fences: {fences}: {took:?}");
        world.run(SECOND * 30);
        assert!(world.attempts.is_empty() && owners(&world) == [vec![0], vec![1], vec![0]]);
        // Who comes then gets what prefers it.
        world.start(2);
        world.wait(SECOND * 10, |world| owners(world) == [vec![0], vec![1], vec![2]]);
    }
    // What could not be fenced is not known to be gone.
    let mut world = fenced();
    world.hosts[0].fences = false;
    world.hosts[1].fences = false;
    world.kill(2, true);
    world.run(SECOND * 60);
    world.tell(0, Input::Stop);
    world.run(SECOND * 30);
    world.start(0);
    world.run(SECOND * 11);
    assert!(!world.is_stable(0), "{}", world.state());
    world.run(SECOND * 30);
    assert!(world.is_stable(0) && owners(&world) == [vec![], vec![1], vec![]], "{}", world.state());
}

#[test]
fn where_nobody_is_stable_initdead_is_waited_for() {
    let mut world = settled(Failback::On);
    for host in 0..3 {
        world.kill(host, true);
    }
    world.run(SECOND * 60);
    for host in 0..2 {
        world.start(host);
    }
    world.run(SECOND * 11);
    assert_eq!(owners(&world), [const { Vec::<usize>::new() }; 3]);
    world.wait(SECOND * 4, |world| owners(world)[0] == [0] && owners(world)[1] == [1]);
}

#[test]
fn a_node_that_joins_one_of_two_parts_takes_nothing_that_the_other_one_has() {
    for heard in [false, true] {
        let mut world = fenced();
        world.tell(0, Input::Stop);
        world.run(SECOND * 30);
        assert_eq!(owners(&world), [vec![1], vec![1], vec![2]]);
        // The two cannot fence each other, and the third one hears the first of them, or both.
        (world.hosts[1].fences, world.hosts[2].fences) = (false, false);
        world.hosts[0].fences = false;
        world.open.insert((1, 2, 0), false);
        world.open.insert((2, 1, 0), false);
        world.run(SECOND * 60);
        world.open.insert((0, 2, 0), heard);
        world.open.insert((2, 0, 0), heard);
        world.start(0);
        let until = world.now + SECOND * 120;
        while world.step(until) {
            assert_eq!(world.holders(2), [2], "{heard}: {}", world.state());
        }
        assert_eq!(owners(&world), [vec![0], vec![1], vec![2]], "{heard}: {}", world.state());
    }
}

#[test]
fn the_larger_part_fences_the_smaller() {
    for alone in 0..3 {
        let mut world = fenced();
        world.plug(alone, 0, false);
        world.run(SECOND * 60);
        assert_eq!(world.fenced, [alone], "{:?}", world.attempts);
        assert!(owners(&world).iter().all(|owners| owners.len() == 1 && *owners != [alone]));
    }
}

#[test]
fn a_node_that_left_is_not_fenced_by_one_that_starts() {
    let mut world = fenced();
    world.tell(0, Input::Stop);
    world.run(SECOND * 10);
    world.tell(2, Input::Stop);
    world.run(SECOND * 10);
    world.start(2);
    world.run(SECOND * 60);
    assert!(world.attempts.is_empty(), "{:?}", world.attempts);
    assert_eq!(owners(&world), [vec![1], vec![1], vec![2]]);
}

#[test]
fn whatever_happens_to_three_nodes_there_is_one_owner_in_the_end() {
    let (mut faults, mut moves) = (0, 0);
    for seed in 0..12 {
        let chaos = chaos(seed);
        faults += chaos.faults;
        moves += chaos.moves;
    }
    assert!(faults > 200 && moves > 200, "{faults} faults, {moves} moves");
}

/// Runs that failed once.
#[test]
fn runs_that_failed_once_pass() {
    for seed in triple::KEPT {
        chaos(seed);
    }
}
