//! What has to be so before a node takes or keeps a group: fencing, freezes, failures, readiness, the old protocol.

mod pair;

use evenkeel_heartbeat::{Identity, Input, Message, News, Node, Output, Path, Refusal, Request, Share, Why};
use evenkeel_machine::{Instant, Machine, Outbox};
use evenkeel_model::heartbeat::{Failback, Heartbeat};
use pair::{MILLI, SECOND, World, cluster, fence, name, serial, timing};
use std::time::Duration;

fn pair(failback: Failback, prefer: &[&str]) -> Heartbeat {
    cluster(timing(SECOND, SECOND * 10), failback, prefer)
}

fn settled(cluster: &Heartbeat) -> World {
    let mut world = World::new(1, cluster, &[false, false]);
    world.start(0);
    world.start(1);
    world.run(SECOND * 60);
    assert!(world.both_stable(), "{}", world.state());
    world.forget();
    world
}

/// Of what the holder is sure: for so long, group 0 is nowhere else.
fn only(world: &mut World, time: Duration, allowed: &[&[usize]]) {
    let until = world.now + time;
    while world.step(until) {
        assert!(allowed.contains(&world.holders(0).as_slice()), "{}", world.state());
    }
}

#[test]
fn a_dead_node_is_fenced_before_anything_of_it_is_taken() {
    let mut cluster = pair(Failback::On, &["ha1"]);
    cluster.fences.push(fence());
    let mut world = settled(&cluster);
    world.plug(0, 0, false);
    let until = world.now + SECOND * 60;
    while world.step(until) {
        assert!(world.holders(0) == [1] || world.fenced.is_empty(), "{}", world.state());
        assert_ne!(world.holders(0), [0, 1]);
    }
    // The one that has nothing that the other one could need is not fenced.
    assert_eq!((world.fenced.as_slice(), world.holders(0)), ([0].as_slice(), vec![1]));
    assert!(world.lines(1).contains(&"stonith node=ha1 result=OK".to_owned()));
}

#[test]
fn of_two_that_would_fence_each_other_one_survives() {
    for seed in 0..1000 {
        let mut cluster = pair(Failback::On, &["ha1", "ha2"]);
        cluster.fences.push(fence());
        let mut world = World::new(seed, &cluster, &[false, false]);
        world.start(0);
        world.run(MILLI * 7 * u32::try_from(seed % 300).unwrap());
        world.start(1);
        world.run(SECOND * 40);
        assert_eq!((world.holders(0), world.holders(1)), (vec![0], vec![1]), "seed {seed}: {}", world.state());
        world.plug(0, 0, false);
        world.run(SECOND * 30);
        assert_eq!(world.fenced.len(), 1, "seed {seed}");
        let survivor = 1 - world.fenced[0];
        assert_eq!((world.holders(0), world.holders(1)), (vec![survivor], vec![survivor]), "seed {seed}");
    }
}

#[test]
fn a_fence_that_fails_is_tried_every_five_seconds_until_an_operator_confirms() {
    let mut cluster = pair(Failback::On, &["ha1"]);
    cluster.fences.push(fence());
    let mut world = settled(&cluster);
    world.hosts[1].fences = false;
    world.kill(0, true);
    only(&mut world, SECOND * 130, &[&[]]);
    let failed =
        world.hosts[1].news.iter().filter(|news| matches!(news, News::FenceFailed { last: false, .. })).count();
    assert!((18..=24).contains(&failed), "{failed}");
    assert!(world.lines(1).contains(&"stonith node=ha1 result=bad".to_owned()));
    world.ask(1, 1, Request::Confirm { node: 0 });
    world.wait(SECOND, |world| world.holders(0) == [1]);
    world.ask(1, 2, Request::Confirm { node: 0 });
    assert_eq!(world.hosts[1].answers, [(1, Ok(())), (2, Err(Refusal::NothingToConfirm))]);
}

#[test]
fn fencing_is_given_up_after_an_hour() {
    let mut cluster = pair(Failback::On, &["ha1"]);
    cluster.fences.push(fence());
    let mut world = settled(&cluster);
    world.hosts[1].fences = false;
    world.kill(0, true);
    only(&mut world, SECOND * 7200, &[&[]]);
    let last = |news: &&News| matches!(news, News::FenceFailed { attempt: 720, last: true, .. });
    assert_eq!(world.hosts[1].news.iter().filter(last).count(), 1);
    let attempts = world.hosts[1].news.iter().filter(|news| matches!(news, News::Fencing { .. })).count();
    assert_eq!(attempts, 720);
}

#[test]
fn a_node_that_comes_back_while_its_fence_fails_keeps_what_it_has() {
    let mut cluster = pair(Failback::On, &["ha1"]);
    cluster.fences.push(fence());
    let mut world = settled(&cluster);
    world.hosts[1].fences = false;
    world.plug(0, 0, false);
    only(&mut world, SECOND * 60, &[&[0]]);
    world.plug(0, 0, true);
    only(&mut world, SECOND * 60, &[&[0]]);
    assert!(world.both_stable(), "{}", world.state());
}

#[test]
fn a_frozen_node_gives_up_what_was_taken_meanwhile_and_gets_it_back() {
    for seconds in 1..40 {
        let mut world = settled(&pair(Failback::Off, &["ha1"]));
        world.freeze(0);
        world.run(SECOND * seconds);
        world.thaw(0);
        let thawed = world.now;
        let until = thawed + SECOND * 60;
        while world.step(until) {
            let both = world.holders(0) == [0, 1];
            assert!(!both || world.now - thawed < MILLI * 100, "{seconds}: {}", world.state());
            assert!(!world.holders(0).is_empty() || world.now - thawed < MILLI * 100, "{seconds}: {}", world.state());
        }
        let taken = seconds >= 10;
        assert_eq!(world.holders(0), [usize::from(taken)], "{seconds}: {}", world.state());
        assert!(world.both_stable(), "{}", world.state());
    }
}

#[test]
fn a_node_that_cannot_hear_after_it_was_frozen_does_not_take_the_other_one_for_idle() {
    let mut cluster = cluster(timing(SECOND * 10, SECOND * 80), Failback::On, &["ha1"]);
    cluster.fences.push(fence());
    let mut world = settled(&cluster);
    world.open.insert((0, 1, 0), false);
    world.run(SECOND * 40);
    world.freeze(1);
    world.run(SECOND * 120);
    world.thaw(1);
    // It does not know what the other one has before it has given that one up, and then fences it first.
    only(&mut world, SECOND * 300, &[&[0], &[], &[1]]);
    assert!(world.fenced == [0] && world.holders(0) == [1], "{:?} {}", world.attempts, world.state());
}

#[test]
fn an_answer_to_an_older_number_of_ping_nodes_moves_nothing() {
    let mut world = settled(&pair(Failback::On, &["ha1"]));
    world.hosts[0].reaches = false;
    world.run(SECOND * 2);
    // It finds both in what waited: that the other one reaches none, and that it reaches them again.
    world.freeze(1);
    world
        .wait(SECOND * 20, |world| world.hosts[0].news.iter().any(|news| matches!(news, News::Ping { up: false, .. })));
    world.run(SECOND);
    world.hosts[0].reaches = true;
    world.run(SECOND * 30);
    world.thaw(1);
    only(&mut world, SECOND * 60, &[&[0]]);
}

#[test]
fn what_is_only_offered_to_a_node_that_took_it_already_has_one_owner_at_once() {
    let mut world = settled(&pair(Failback::On, &["ha1"]));
    world.ask(0, 1, Request::Standby(Share::All));
    world.run(SECOND * 10);
    assert_eq!(world.holders(0), [1]);
    world.forget();
    world.plug(0, 0, false);
    let missed = |world: &World, host: usize| world.hosts[host].news.iter().any(pair::is_dead);
    world.wait(SECOND * 20, |world| missed(world, 1));
    // It hears the other one again, and offers what prefers that; the other one has not missed it yet, and takes it when it does.
    world.open.insert((0, 1, 0), true);
    world.wait(SECOND * 5, |world| missed(world, 0) && world.holders(0) == [0, 1]);
    world.open.clear();
    let took = world.wait(SECOND * 20, |world| world.holders(0) == [0]);
    assert!(took < SECOND * 2, "{took:?}");
}

#[test]
fn a_node_frozen_alone_listens_before_it_serves_again() {
    let mut world = World::new(1, &pair(Failback::On, &["ha1"]), &[false, false]);
    world.start(0);
    world.run(SECOND * 60);
    assert_eq!(world.holders(0), [0]);
    world.freeze(0);
    world.run(SECOND * 60);
    world.thaw(0);
    world.run(MILLI * 100);
    assert_eq!(world.holders(0), [], "another node may have come up and taken it");
    let took = world.wait(SECOND * 12, |world| world.holders(0) == [0]);
    assert!(took <= SECOND * 10, "{took:?}");
    let frozen = Why::Frozen;
    assert!(
        world.hosts[0].news.iter().any(|news| matches!(news, News::Holder { why: Some(why), .. } if *why == frozen))
    );
}

#[test]
fn a_node_that_was_late_itself_takes_nothing_over() {
    let mut world = World::new(1, &pair(Failback::On, &["ha1"]), &[false, false]);
    world.start(0);
    world.run(MILLI * 900);
    world.start(1);
    // The other one spoke most of a second ago, this one itself just now.
    world.wait(SECOND * 90, |world| world.both_stable() && world.holders(0) == [0]);
    world.run(SECOND * 60);
    world.wait(SECOND * 2, |world| world.hosts[1].said.last().is_some_and(|(at, _)| *at == world.now));
    let heard = world.node(1).view().nodes[0].heard.unwrap();
    assert!(world.now - heard > MILLI * 600, "{:?}", world.now - heard);
    // For the dead time it reads nothing, and then its timer comes first.
    world.freeze(1);
    world.run(SECOND * 9 + MILLI * 950);
    world.thaw_by_timer(1);
    only(&mut world, SECOND * 30, &[&[0]]);
    assert!(world.hosts[1].news.iter().any(|news| matches!(news, News::SelfLate { .. })));
}

#[test]
fn a_hand_over_whose_answer_was_lost_leaves_both_stable() {
    let mut world = settled(&cluster(timing(SECOND, SECOND * 30), Failback::On, &["ha1"]));
    world.open.insert((1, 0, 0), false);
    world.ask(0, 1, Request::Standby(Share::All));
    world.run(SECOND * 11);
    assert_eq!(world.hosts[0].answers, [(1, Err(Refusal::NoAnswer))]);
    world.open.clear();
    world.run(SECOND * 5);
    assert!(world.both_stable() && world.holders(0) == [0], "{}", world.state());
}

#[test]
fn a_step_of_a_clock_moves_nothing_and_is_told() {
    let mut world = settled(&pair(Failback::On, &["ha1"]));
    for step in [3_600_000, -7_200_000, 3_600_000] {
        world.hosts[1].clock += step;
        only(&mut world, SECOND * 60, &[&[0]]);
    }
    let ahead = |host: usize, of: usize| -> Vec<i64> {
        let told = world.hosts[host].news.iter().filter_map(|news| match news {
            News::Clock { node, ahead } if *node == of => Some(*ahead),
            _ => None,
        });
        told.collect()
    };
    // Each says it of the other, the other way round.
    let told = ahead(0, 1);
    assert!(matches!(told[..], [3595..=3605, -3605..=-3595, 0]), "{told:?}");
    let told = ahead(1, 0);
    assert!(matches!(told[..], [-3605..=-3595, 3595..=3605, 0]), "{told:?}");
}

/// A cable or a firewall lets one direction through.
#[test]
fn a_node_that_hears_nothing_is_told_by_what_it_does_not_acknowledge() {
    let mut cluster = pair(Failback::On, &["ha1"]);
    cluster.timing.deadtime = SECOND * 60;
    cluster.timing.warntime = SECOND * 50;
    let mut world = settled(&cluster);
    world.open.insert((0, 1, 0), false);
    world.run(SECOND * 19);
    let deaf = |world: &World, host: usize| {
        let told = world.hosts[host].news.iter().filter_map(|news| match news {
            News::Deaf { deaf, .. } => Some(*deaf),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    assert_eq!(deaf(&world, 0), [], "it may just be about to");
    world.run(SECOND * 15);
    assert_eq!(deaf(&world, 0), [true]);
    world.open.insert((0, 1, 0), true);
    world.run(SECOND * 60);
    assert_eq!((deaf(&world, 0), deaf(&world, 1)), (vec![true, false], vec![]));
}

#[test]
fn a_group_that_fails_moves_alone_and_stays_where_it_can_run() {
    let mut world = settled(&pair(Failback::On, &["ha1", "ha1"]));
    world.hosts[0].pace[0].fails = true;
    world.fail(0, 0);
    let took = world.wait(SECOND * 2, |world| world.holders(0) == [1]);
    assert!(took < MILLI * 100, "{took:?}");
    world.run(SECOND * 120);
    assert_eq!((world.holders(0), world.holders(1)), (vec![1], vec![0]), "{}", world.state());
    // It fails there too: nowhere, and nobody keeps trying.
    world.hosts[1].pace[0].fails = true;
    world.fail(1, 0);
    world.run(SECOND * 60);
    assert_eq!(world.holders(0), []);
    assert_eq!(world.node(0).view().failed, [0]);
    // Mended, and asked for.
    world.hosts[0].pace[0].fails = false;
    world.ask(0, 1, Request::Takeover(Share::All));
    world.wait(SECOND * 20, |world| world.holders(0) == [0]);
}

#[test]
fn a_node_that_is_not_ready_takes_nothing_from_one_that_lives() {
    let mut world = settled(&pair(Failback::On, &["ha1"]));
    world.kill(0, true);
    world.wait(SECOND * 12, |world| world.holders(0) == [1]);
    world.run(SECOND * 5);
    world.start(0);
    world.tell(0, Input::Ready(false));
    only(&mut world, SECOND * 60, &[&[1]]);
    world.tell(0, Input::Ready(true));
    let took = world.wait(SECOND * 5, |world| world.holders(0) == [0]);
    assert!(took < SECOND * 2, "{took:?}");
}

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let mut world = World::new(1, &pair(Failback::On, &["ha1"]), &[false, false]);
    world.start(0);
    world.ask(0, 1, Request::Standby(Share::All));
    world.run(SECOND * 60);
    world.ask(0, 2, Request::Standby(Share::All));
    world.ask(0, 3, Request::Takeover(Share::All));
    world.ask(0, 4, Request::Move { group: 7, to: Some(1) });
    world.tell(0, Input::Stop);
    let answers = &world.hosts[0].answers;
    assert_eq!(answers[0], (1, Err(Refusal::NoPeer)));
    assert_eq!(answers[1], (2, Err(Refusal::NoPeer)));
    assert_eq!(answers[2], (3, Ok(())));
    assert_eq!(answers[3], (4, Err(Refusal::Unknown)));

    let mut world = settled(&pair(Failback::Legacy, &["ha1"]));
    world.ask(0, 1, Request::Standby(Share::All));
    assert_eq!(world.hosts[0].answers, [(1, Err(Refusal::Legacy))]);
}

#[test]
fn a_standby_without_an_answer_is_given_up_after_ten_seconds() {
    let mut world = settled(&pair(Failback::On, &["ha1"]));
    world.open.insert((0, 1, 0), false);
    world.ask(0, 1, Request::Standby(Share::All));
    let took = world.wait(SECOND * 12, |world| !world.hosts[0].answers.is_empty());
    assert_eq!((took, world.hosts[0].answers[0]), (SECOND * 10, (1, Err(Refusal::NoAnswer))));
}

#[test]
fn by_the_old_protocol_a_node_asks_for_its_own_groups() {
    let mut world = settled(&pair(Failback::Legacy, &["ha1"]));
    assert_eq!(world.holders(0), [0]);
    world.tell(0, Input::Stop);
    let gap = world.wait(SECOND, |world| world.holders(0) == [1]);
    assert!(gap < MILLI * 100, "{gap:?}");
    world.run(SECOND * 10);
    world.forget();
    world.start(0);
    world.wait(SECOND * 10, |world| world.holders(0) == [0]);
    world.run(SECOND * 30);
    assert_eq!(world.holders(0), [0]);
    let asked = world.lines(0).into_iter().filter(|line| line.starts_with("ip-request")).collect::<Vec<_>>();
    assert_eq!(asked, ["ip-request ipaddr=10.168.0.160/24/eth0"]);
    let answered = "ip-request-resp dest=ha1 ipaddr=10.168.0.160/24/eth0 weown=yes ok=OK".to_owned();
    assert!(world.lines(1).contains(&answered), "{:?}", world.lines(1));
    assert!(!world.lines(0).iter().any(|line| line.starts_with("resource") || line.starts_with("starting")));
}

#[test]
fn what_was_given_by_the_old_protocol_is_not_taken_back_before_its_taker_can_tell() {
    let mut world = settled(&cluster(timing(SECOND * 60, SECOND * 480), Failback::Legacy, &["ha2"]));
    world.tell(1, Input::Stop);
    world.wait(SECOND * 60, |world| world.holders(0) == [0]);
    world.run(SECOND * 200);
    world.start(1);
    world.wait(SECOND * 200, |world| world.holders(0) == [1]);
    // The status that says so is lost.
    world.open.insert((1, 0, 0), false);
    world.run(SECOND * 30);
    world.open.clear();
    only(&mut world, SECOND * 300, &[&[1]]);
}

#[test]
fn on_serial_lines_a_node_passes_on_what_is_not_its_own() {
    let mut cluster = pair(Failback::On, &["ha1"]);
    cluster.nodes.push(name("ha3"));
    cluster.media = vec![serial(), serial(), cluster.media[0].clone()];
    let identity =
        Identity { uuid: [1; 16], generation: 1, version: String::new(), configuration: 0, seed: 1, heard: Vec::new() };
    let mut node = Node::new(&cluster, identity);
    let mut out = Outbox::new();
    node.handle(Instant::START, Input::Start, &mut out);
    let mut passed = |path: usize, ttl: &str, src: &str| {
        let message = Message::new("status").with("st", "up").with("src", src).with("seq", ttl).with("ttl", ttl);
        let mut out = Outbox::new();
        node.handle(Instant::START, Input::Heard { path: Path::Medium(path), message }, &mut out);
        let media = out.drain().filter_map(|output| match output {
            Output::Transmit { medium: Some(medium), message } => Some((medium, message.text("ttl")?.to_owned())),
            _ => None,
        });
        media.collect::<Vec<_>>()
    };
    assert_eq!(passed(0, "4", "ha2"), [(1, "3".to_owned())]);
    assert_eq!(passed(1, "3", "ha2"), [(0, "2".to_owned())]);
    assert_eq!(passed(0, "1", "ha2"), [], "it has come far enough");
    assert_eq!(passed(0, "4", "ha1"), [], "it has come around");
    assert_eq!(passed(2, "4", "ha2"), [], "everybody hears a broadcast");
}
