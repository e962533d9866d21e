//! What becomes of groups on two nodes, or three, when resources, hosts and fence devices fail.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod reload;
mod world;

use evenkeel_cluster::Input;
use evenkeel_heartbeat::{News, Request, Share};
use evenkeel_model::heartbeat::Failback;
use evenkeel_resource::Standing;
use world::{MILLI, SECOND, World, cluster, with_third};

const WEB: &str = "ha1 10.0.0.1 nginx!";

fn pair() -> World {
    let world = World::settled(&cluster(Failback::Off, &[WEB], false));
    assert_eq!((world.on("10.0.0.1"), world.on("nginx")), (vec![0], vec![0]), "{}", world.state());
    world
}

#[test]
fn a_clean_stop_moves_a_group_in_the_time_its_scripts_take() {
    let mut world = pair();
    world.tell(0, Input::Stop);
    let gap = world.wait(SECOND * 5, |world| world.on("nginx") == [1]);
    // Stop here, status and start there.
    assert!(gap >= MILLI * 120 && gap < MILLI * 140, "{gap:?}");
    assert_eq!(world.hosts[0].did, ["stop nginx", "stop 10.0.0.1"]);
    assert_eq!(world.hosts[1].did, ["start 10.0.0.1", "start nginx"]);
    world.wait(SECOND * 5, |world| !world.lives(0));
}

#[test]
fn a_group_that_does_not_start_moves_and_does_not_come_back_by_itself() {
    let mut world = World::new(1, &cluster(Failback::On, &[WEB], false));
    world.hosts[0].broken.insert("nginx".into());
    world.start(0);
    world.start(1);
    world.wait(SECOND * 30, |world| world.on("nginx") == [1]);
    assert_eq!(world.hosts[0].did, ["start 10.0.0.1", "start nginx", "stop nginx", "stop 10.0.0.1"]);
    assert!(world.hosts[0].turned.iter().any(|(group, standing, why)| {
        (*group, *standing, why.as_str()) == (0, Standing::Failed, "`nginx` did not start: it is broken")
    }));
    world.run(SECOND * 300);
    assert_eq!((world.on("nginx"), world.hosts[0].did.len()), (vec![1], 4), "{}", world.state());
    assert_eq!(world.node(0).report().view.failed, [0]);
    // Only that group moves, and an operator who has mended it may move it back.
    world.hosts[0].broken.clear();
    world.ask(0, 1, Request::Takeover(Share::All));
    world.wait(SECOND * 10, |world| world.on("nginx") == [0]);
}

#[test]
fn a_group_that_starts_nowhere_is_not_tried_for_ever() {
    let mut world = World::new(1, &cluster(Failback::On, &[WEB], false));
    for host in 0..2 {
        world.hosts[host].broken.insert("nginx".into());
        world.start(host);
    }
    world.run(SECOND * 600);
    let tries = world.hosts.iter().flat_map(|host| &host.did).filter(|did| *did == "start nginx").count();
    assert!(tries <= 4, "{tries}");
    assert!(world.on("10.0.0.1").is_empty());
}

#[test]
fn what_dies_is_restarted_here_and_moves_when_that_does_not_help() {
    let mut world = pair();
    for _ in 0..2 {
        world.hosts[0].running.remove("nginx");
        world.wait(SECOND * 11, |world| world.on("nginx") == [0]);
    }
    assert!(world.hosts[1].did.is_empty());
    world.hosts[0].running.remove("nginx");
    world.hosts[0].broken.insert("nginx".into());
    world.wait(SECOND * 15, |world| world.on("nginx") == [1]);
    assert_eq!(world.on("10.0.0.1"), [1]);
    assert!(world.hosts[0].news.iter().any(|news| matches!(news, News::Failed { group: 0, to: Some(1) })));
}

#[test]
fn what_cannot_be_stopped_is_taken_by_nobody_and_no_watchdog_is_petted() {
    let mut world = pair();
    world.hosts[0].wedged.insert("nginx".into());
    world.ask(0, 1, Request::Standby(Share::All));
    world.wait(SECOND * 30, |world| world.hosts[0].turned.iter().any(|(_, standing, _)| *standing == Standing::Stuck));
    let petted = world.hosts[0].petted;
    world.run(SECOND * 60);
    assert_eq!((world.on("nginx"), world.on("10.0.0.1")), (vec![0], vec![0]), "{}", world.state());
    assert!(world.hosts[1].did.is_empty());
    assert_eq!(world.hosts[0].petted, petted, "the watchdog restarts the host");
    assert!(world.hosts[1].petted > petted);
    // An operator ends it by hand and says so.
    world.hosts[0].running.clear();
    world.tell(0, Input::ConfirmStopped("10.0.0.1".into()));
    world.wait(SECOND * 20, |world| world.on("nginx") == [1]);
    world.run(SECOND * 5);
    assert!(world.hosts[0].petted > petted);
}

#[test]
fn a_node_with_something_that_cannot_be_stopped_ends_without_a_word_and_is_fenced_like_a_dead_one() {
    let mut world = World::settled(&cluster(Failback::Off, &[WEB], true));
    world.hosts[0].wedged.insert("nginx".into());
    world.tell(0, Input::Stop);
    world.wait(SECOND * 30, |world| !world.lives(0));
    assert!(world.hosts[1].did.is_empty(), "{}", world.state());
    let took = world.wait(SECOND * 20, |world| world.on("nginx") == [1]);
    assert!(took >= SECOND * 5, "{took:?}");
    assert_eq!(world.hosts[1].attempts, 1);
}

#[test]
fn a_node_with_something_that_cannot_be_stopped_does_not_end_before_it_is_confirmed_where_nothing_would_fence_it() {
    let mut world = pair();
    world.hosts[0].wedged.insert("nginx".into());
    world.tell(0, Input::Stop);
    world.run(SECOND * 120);
    assert!(world.lives(0) && world.hosts[1].did.is_empty(), "{}", world.state());
    // An operator ends it by hand and says so: from there on it is an orderly end.
    world.hosts[0].running.clear();
    world.tell(0, Input::ConfirmStopped("10.0.0.1".into()));
    let took = world.wait(SECOND * 20, |world| world.on("nginx") == [1]);
    assert!(took < SECOND, "{took:?}");
    world.wait(SECOND * 20, |world| !world.lives(0));
}

#[test]
fn told_twice_to_stop_a_node_ends_with_something_that_cannot_be_stopped() {
    let mut world = pair();
    world.hosts[0].wedged.insert("nginx".into());
    world.tell(0, Input::Stop);
    world.tell(0, Input::Stop);
    world.wait(SECOND * 30, |world| !world.lives(0));
    // The other one cannot know: that is what it was told.
    world.exclusive = false;
    world.wait(SECOND * 20, |world| world.on("nginx") == [0, 1]);
}

#[test]
fn alone_there_is_nobody_to_restart_the_host_for() {
    let mut world = pair();
    world.tell(1, Input::Stop);
    world.wait(SECOND * 10, |world| !world.lives(1));
    world.hosts[0].wedged.insert("nginx".into());
    world.hosts[0].broken.insert("nginx".into());
    world.hosts[0].running.remove("nginx");
    world.hosts[0].wedged.insert("10.0.0.1".into());
    world.run(SECOND * 60);
    let stuck = world.node(0).report().groups[0].standing;
    let petted = world.hosts[0].petted.unwrap();
    assert_eq!(stuck, Standing::Stuck);
    assert!(world.now - petted <= SECOND, "{:?}", world.now - petted);
}

#[test]
fn nothing_of_a_dead_node_is_taken_before_it_is_fenced() {
    let mut world = World::settled(&cluster(Failback::Off, &[WEB], true));
    world.hosts[1].fences = false;
    // It is silent, and its resources run on.
    world.cut = true;
    world.hosts[0].fences = false;
    world.run(SECOND * 60);
    assert_eq!((world.on("nginx"), world.hosts[1].did.len()), (vec![0], 0), "{}", world.state());
    assert!(world.hosts[1].attempts >= 5, "it is tried again and again");
    world.hosts[1].fences = true;
    world.wait(SECOND * 10, |world| world.on("nginx") == [1]);
    assert!(!world.lives(0));
}

#[test]
fn an_operator_may_confirm_that_a_node_is_off() {
    let mut world = World::settled(&cluster(Failback::Off, &[WEB], true));
    world.hosts[1].fences = false;
    world.power_off(0);
    world.run(SECOND * 60);
    assert!(world.on("nginx").is_empty());
    world.ask(1, 9, Request::Confirm { node: 0 });
    assert_eq!(world.hosts[1].answers, [(9, Ok(()))]);
    world.wait(SECOND, |world| world.on("nginx") == [1]);
}

#[test]
fn of_several_groups_the_one_that_fails_moves_alone() {
    let groups = ["ha1 10.0.0.1 nginx!", "ha1 10.0.0.2 smtp", "ha2 10.0.0.3"];
    let mut world = World::settled(&cluster(Failback::On, &groups, false));
    assert_eq!((world.on("nginx"), world.on("smtp"), world.on("10.0.0.3")), (vec![0], vec![0], vec![1]));
    world.hosts[0].running.remove("nginx");
    world.hosts[0].broken.insert("nginx".into());
    world.wait(SECOND * 20, |world| world.on("nginx") == [1]);
    world.run(SECOND * 60);
    assert_eq!((world.on("nginx"), world.on("smtp"), world.on("10.0.0.3")), (vec![1], vec![0], vec![1]));
    assert!(world.hosts[0].did.iter().all(|did| !did.contains("smtp")));
}

#[test]
fn of_three_a_group_that_fails_goes_on_to_the_next() {
    let mut world = World::settled(&with_third(cluster(Failback::Off, &[WEB], true)));
    for host in 0..2 {
        world.hosts[host].broken.insert("nginx".into());
    }
    world.hosts[0].running.remove("nginx");
    world.wait(SECOND * 30, |world| world.on("nginx") == [2]);
    assert_eq!(world.on("10.0.0.1"), [2]);
    assert_eq!(world.hosts[1].did, ["start 10.0.0.1", "start nginx", "stop nginx", "stop 10.0.0.1"]);
}

#[test]
fn of_three_the_order_takes_what_one_leaves_and_nothing_of_a_silent_one_before_it_is_fenced() {
    let mut world = World::settled(&with_third(cluster(Failback::On, &[WEB], true)));
    world.tell(0, Input::Stop);
    let gap = world.wait(SECOND * 5, |world| world.on("nginx") == [1]);
    assert!(gap >= MILLI * 120 && gap < MILLI * 140, "{gap:?}");
    world.hosts[2].fences = false;
    world.power_off(1);
    world.run(SECOND * 60);
    assert!(world.on("nginx").is_empty() && world.hosts[2].did.is_empty());
    world.ask(2, 1, Request::Confirm { node: 1 });
    world.wait(SECOND, |world| world.on("nginx") == [2]);
}

/// Hosts lose power and come back, the network is cut and heals, resources break and mend, operators ask, for hours.
/// With fencing nothing ever runs on two, which every start checks; and in the end all is served.
fn goes_through_everything(seed: u64, nodes: usize) {
    let groups = ["ha1 10.0.0.1 nginx!", "ha2 disk! nfs 10.0.0.2", "ha1 10.0.0.3"];
    let failback = if seed.is_multiple_of(2) { Failback::On } else { Failback::Off };
    let pair = cluster(failback, &groups, true);
    let mut world = World::new(seed, &if nodes == 3 { with_third(pair) } else { pair });
    for host in 0..nodes {
        world.start(host);
    }
    for _ in 0..25 {
        let host = usize::try_from(world.rng.below(nodes as u64)).unwrap();
        let resource = ["nginx", "disk", "nfs", "10.0.0.1"][usize::try_from(world.rng.below(4)).unwrap()];
        match world.rng.below(9) {
            0 => world.power_off(host),
            1 | 2 if !world.lives(host) => world.start(host),
            1 | 2 => world.ask(host, 1, Request::Standby(Share::All)),
            3 => world.cut = !world.cut,
            4 => drop(world.hosts[host].broken.insert(resource.into())),
            5 => world.hosts[host].broken.clear(),
            6 => world.hosts[host].die(if host == 0 { "nginx" } else { "disk" }),
            7 => world.hosts[host].fences = !world.hosts[host].fences,
            _ => world.tell(host, Input::Stop),
        }
        let pause = MILLI * u32::try_from(world.rng.below(20_000)).unwrap();
        world.run(pause);
    }
    world.cut = false;
    for host in 0..nodes {
        world.hosts[host].fences = true;
        world.hosts[host].broken.clear();
    }
    world.run(SECOND * 60);
    for host in 0..nodes {
        if !world.lives(host) {
            world.start(host);
        }
    }
    world.run(SECOND * 60);
    for group in 0..3 {
        // What failed waits for an operator; it is mended now.
        if (0..nodes).all(|host| world.node(host).report().view.holders[group].is_none()) {
            world.ask(0, 2, Request::Takeover(Share::All));
            world.run(SECOND * 30);
        }
    }
    world.run(SECOND * 120);
    for resource in ["10.0.0.1", "nginx", "disk", "nfs", "10.0.0.2", "10.0.0.3"] {
        assert_eq!(world.on(resource).len(), 1, "seed {seed}: {resource}: {}", world.state());
    }
}

#[test]
fn whatever_happens_nothing_runs_twice_and_all_is_served_in_the_end() {
    for seed in 0..150 {
        goes_through_everything(seed, 2);
    }
}

#[test]
fn whatever_happens_to_three_nothing_runs_twice_and_all_is_served_in_the_end() {
    for seed in 0..20 {
        goes_through_everything(seed, 3);
    }
}
