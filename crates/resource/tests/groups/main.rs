//! What becomes of a group, step by step.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

mod random;
mod world;

use evenkeel_machine::Machine;
use evenkeel_resource::{GRACE, Input, Outcome, RETRY_STOP, Running, STOP_TRIES, Standing, Task};
use std::time::Duration;
use world::{World, group};

fn running(resources: &str) -> World {
    let mut world = World::new(&[&format!("web: {resources}")]);
    world.tell(Input::Acquire(0));
    world.all_done();
    assert_eq!(world.standing(0), Standing::Running);
    world.turned.clear();
    world
}

/// The same, and each that is monitored has said once that it runs.
fn watched(resources: &str) -> World {
    let mut world = running(resources);
    world.wait();
    world.all_done();
    world
}

fn stop_fails_for_good(world: &mut World, what: &str) {
    for _ in 0..STOP_TRIES {
        if world.doing() != [what] {
            world.wait();
        }
        world.fails(what, "device is busy");
        let status = what.replace("stop", "status");
        world.done(&status);
    }
}

#[test]
fn resources_start_first_to_last_after_being_asked_and_stop_last_to_first_unasked() {
    let mut world = World::new(&["web: 10.0.0.1 disk nginx"]);
    world.tell(Input::Acquire(0));
    assert_eq!(
        world.all_done(),
        ["start 10.0.0.1", "status disk", "start disk", "status nginx", "start nginx"],
        "an address needs no asking"
    );
    assert_eq!(world.told(), [(0, Standing::Starting), (0, Standing::Running)]);
    world.tell(Input::Yield(0));
    assert_eq!(world.all_done(), ["stop nginx", "stop disk", "stop 10.0.0.1"]);
    assert_eq!(world.told(), [(0, Standing::Stopping), (0, Standing::Stopped)]);
    assert!(world.remarks.is_empty());
}

#[test]
fn what_runs_already_is_taken_over_as_it_is_and_stopped_like_the_rest() {
    let mut world = World::new(&["web: 10.0.0.1 nginx"]);
    world.tell(Input::Acquire(0));
    world.done("start 10.0.0.1");
    world.done("status nginx");
    assert_eq!(world.standing(0), Standing::Running);
    assert_eq!(world.remark(), "web: `nginx` runs already and is taken over as it is");
    world.tell(Input::Yield(0));
    assert_eq!(world.all_done(), ["stop nginx", "stop 10.0.0.1"]);
}

#[test]
fn services_of_our_own_need_no_action() {
    let mut world = World::new(&["web: ldirectord.cf"]);
    world.tell(Input::Acquire(0));
    assert_eq!(world.told(), [(0, Standing::Running)]);
    world.tell(Input::Yield(0));
    assert_eq!(world.told(), [(0, Standing::Stopped)]);
    assert!(world.orders.is_empty());
}

#[test]
fn groups_do_not_wait_for_each_other() {
    let mut world = World::new(&["a: disk", "b: 10.0.0.1 10.0.0.2"]);
    world.tell(Input::Acquire(0));
    world.tell(Input::Acquire(1));
    world.done("start 10.0.0.1");
    world.done("start 10.0.0.2");
    assert_eq!((world.standing(0), world.standing(1)), (Standing::Starting, Standing::Running));
}

#[test]
fn a_start_that_fails_stops_what_was_started_and_says_why() {
    let mut world = World::new(&["web: 10.0.0.1 nginx mail"]);
    world.tell(Input::Acquire(0));
    world.done("start 10.0.0.1");
    world.ends("status nginx", Outcome::NotRunning);
    world.fails("start nginx", "exit status 1: bind() failed");
    assert_eq!(world.all_done(), ["stop nginx", "stop 10.0.0.1"], "mail was never touched");
    let why = "`nginx` did not start: exit status 1: bind() failed".to_owned();
    assert_eq!(world.turned.split_off(1), [(0, Standing::Stopping, why.clone()), (0, Standing::Failed, why.clone())]);
    assert_eq!(world.groups.report()[0].why.as_ref().map(ToString::to_string), Some(why));
    // Asked for again it tries again; given up it is only stopped.
    world.tell(Input::Acquire(0));
    world.all_done();
    assert_eq!(world.standing(0), Standing::Running);
}

#[test]
fn given_up_a_group_that_failed_is_stopped() {
    let mut world = World::new(&["web: 10.0.0.1"]);
    world.tell(Input::Acquire(0));
    world.fails("start 10.0.0.1", "no route");
    world.all_done();
    assert_eq!(world.standing(0), Standing::Failed);
    world.tell(Input::Yield(0));
    assert_eq!(world.standing(0), Standing::Stopped);
}

#[test]
fn a_resource_that_does_not_say_whether_it_runs_is_started() {
    for (outcome, words) in [
        (Outcome::TimedOut, "did not say within 20 s whether it runs"),
        (Outcome::Failed { why: "exit status 4".into() }, "does not say whether it runs: exit status 4"),
    ] {
        let mut world = World::new(&["web: nginx"]);
        world.tell(Input::Acquire(0));
        world.ends("status nginx", outcome);
        assert_eq!(world.remark(), format!("web: `nginx` {words}; it is started"));
        assert_eq!(world.doing(), ["start nginx"]);
    }
}

#[test]
fn a_group_that_is_given_up_while_it_starts_waits_for_a_start_but_not_for_an_answer() {
    let mut world = World::new(&["web: disk nginx"]);
    world.tell(Input::Acquire(0));
    world.tell(Input::Yield(0));
    assert_eq!((world.standing(0), world.cancelled.as_slice()), (Standing::Stopped, &["status disk".to_owned()][..]));

    world.tell(Input::Acquire(0));
    world.ends("status disk", Outcome::NotRunning);
    world.tell(Input::Yield(0));
    assert_eq!(world.doing(), ["start disk"]);
    world.fails("start disk", "it was half way");
    assert_eq!(world.all_done(), ["stop disk"], "whatever became of the start");
    assert_eq!(world.standing(0), Standing::Stopped, "giving up is no failure");
}

#[test]
fn a_group_that_is_wanted_again_while_it_stops_turns_round() {
    let mut world = running("disk nginx mail");
    world.tell(Input::Yield(0));
    world.done("stop mail");
    world.tell(Input::Acquire(0));
    assert_eq!(world.standing(0), Standing::Starting);
    assert_eq!(world.all_done(), ["stop nginx", "status nginx", "start nginx", "status mail", "start mail"]);
    assert_eq!(world.standing(0), Standing::Running);
}

#[test]
fn a_group_that_stops_because_it_failed_does_not_turn_round_but_is_told_failed() {
    let mut world = World::new(&["web: nginx"]);
    world.tell(Input::Acquire(0));
    world.ends("status nginx", Outcome::NotRunning);
    world.fails("start nginx", "no");
    world.tell(Input::Acquire(0));
    assert_eq!(world.all_done(), ["stop nginx"]);
    assert_eq!(world.standing(0), Standing::Failed);
}

#[test]
fn a_stop_is_tried_ten_times_a_second_apart_and_then_the_group_is_stuck() {
    let mut world = running("10.0.0.1 disk");
    world.tell(Input::Yield(0));
    for attempt in 1..STOP_TRIES {
        world.fails("stop disk", "device is busy");
        world.done("status disk");
        assert_eq!(
            world.remark(),
            format!("web: `disk` did not stop: device is busy (attempt {attempt} of 10); it is tried again")
        );
        assert!(world.orders.is_empty(), "it waits");
        assert_eq!(world.wait(), RETRY_STOP);
    }
    world.ends("stop disk", Outcome::TimedOut);
    world.fails("status disk", "it does not know");
    let (_, standing, why) = world.turned.pop().unwrap();
    assert_eq!((standing, why.as_str()), (Standing::Stuck, "`disk` did not stop within 30 s"));
    assert!(world.orders.is_empty(), "the address stays: below what cannot be stopped nothing is taken away");
    assert_eq!(world.groups.deadline(), None);
}

#[test]
fn a_resource_that_fails_to_stop_but_does_not_run_has_stopped() {
    let mut world = watched("10.0.0.1 disk!");
    world.tell(Input::Yield(0));
    world.fails("stop disk", "exit status 1: not mounted");
    world.ends("status disk", Outcome::NotRunning);
    assert_eq!(
        world.remark(),
        "web: `disk` did not stop: exit status 1: not mounted; asked, it says that it does not run"
    );
    assert_eq!(world.all_done(), ["stop 10.0.0.1"]);
    // Wanted again while it is asked, it is believed as at any start.
    let mut world = running("disk");
    world.tell(Input::Yield(0));
    world.fails("stop disk", "device is busy");
    world.tell(Input::Acquire(0));
    world.done("status disk");
    assert_eq!(world.standing(0), Standing::Running);
}

#[test]
fn a_script_that_never_said_that_it_runs_is_believed_after_the_last_attempt_only() {
    let mut world = running("10.0.0.1 disk");
    world.tell(Input::Yield(0));
    for attempt in 1..=STOP_TRIES {
        world.fails("stop disk", "exit status 1");
        world.ends("status disk", Outcome::NotRunning);
        if attempt < STOP_TRIES {
            world.wait();
        }
    }
    assert_eq!(world.all_done(), ["stop 10.0.0.1"]);
    assert_eq!(world.standing(0), Standing::Stopped);
}

#[test]
fn what_was_stuck_is_tried_again_when_told_so_or_confirmed() {
    let mut world = running("10.0.0.1 disk");
    world.tell(Input::Yield(0));
    stop_fails_for_good(&mut world, "stop disk");
    assert_eq!(world.standing(0), Standing::Stuck);
    world.tell(Input::Yield(0));
    assert_eq!(world.all_done(), ["stop disk", "stop 10.0.0.1"]);
    assert_eq!(world.standing(0), Standing::Stopped);

    let mut world = running("10.0.0.1 disk");
    world.tell(Input::Confirm("web".into()));
    assert_eq!(world.standing(0), Standing::Running, "there is nothing to confirm");
    world.tell(Input::Yield(0));
    stop_fails_for_good(&mut world, "stop disk");
    world.tell(Input::Confirm("web".into()));
    assert_eq!((world.standing(0), world.orders.len()), (Standing::Stopped, 0));

    let mut world = running("10.0.0.1 disk");
    world.tell(Input::Yield(0));
    stop_fails_for_good(&mut world, "stop disk");
    world.tell(Input::Acquire(0));
    world.done("status disk");
    assert_eq!(world.standing(0), Standing::Running, "what cannot be stopped may as well serve here");
}

#[test]
fn a_resource_that_fails_is_restarted_with_what_came_after_it_and_the_group_moves_when_that_does_not_help() {
    let mut world = watched("10.0.0.1 nginx! mail");
    for failures in 1..=2 {
        assert_eq!(world.wait(), Duration::from_secs(10));
        world.ends("monitor nginx", Outcome::NotRunning);
        assert_eq!(
            world.remark(),
            format!("web: `nginx` does not run any more; it is started again here ({failures} of 2 times)")
        );
        assert_eq!(
            world.all_done(),
            ["stop mail", "stop nginx", "status nginx", "start nginx", "status mail", "start mail"]
        );
        assert_eq!(world.standing(0), Standing::Running);
        assert!(world.turned.is_empty(), "nobody else needs to know");
    }
    world.wait();
    world.ends("monitor nginx", Outcome::TimedOut);
    assert_eq!(world.all_done(), ["stop mail", "stop nginx", "stop 10.0.0.1"]);
    let (_, standing, why) = world.turned.pop().unwrap();
    assert_eq!((standing, why.as_str()), (Standing::Failed, "`nginx` did not answer its monitoring within 5 s"));
}

#[test]
fn services_of_our_own_go_through_a_restart_without_an_action() {
    let mut world = watched("nginx! own.cf");
    world.wait();
    world.ends("monitor nginx", Outcome::NotRunning);
    assert_eq!(world.all_done(), ["stop nginx", "status nginx", "start nginx"]);
    assert_eq!(world.standing(0), Standing::Running);
}

#[test]
fn a_script_that_never_said_that_it_runs_does_not_fail_by_not_saying_so() {
    let mut world = running("nginx!");
    for _ in 0..10 {
        world.wait();
        world.ends("monitor nginx", Outcome::NotRunning);
    }
    let said = world.remark();
    assert!(said.starts_with("web: `nginx` started well, but does not say that it runs"), "{said}");
    assert_eq!((world.standing(0), world.orders.len()), (Standing::Running, 0));
    // From the first time on it counts.
    world.wait();
    world.done("monitor nginx");
    world.wait();
    world.ends("monitor nginx", Outcome::NotRunning);
    assert_eq!(world.doing(), ["stop nginx"]);
}

#[test]
fn one_good_look_makes_up_for_failures() {
    let mut world = watched("nginx!");
    for _ in 0..5 {
        world.wait();
        world.ends("monitor nginx", Outcome::NotRunning);
        world.all_done();
        world.wait();
        world.done("monitor nginx");
        assert_eq!(world.groups.report()[0].resources[0].failures, 0);
    }
    assert_eq!(world.standing(0), Standing::Running);
}

#[test]
fn an_address_that_is_gone_is_put_back_without_touching_what_uses_it() {
    let mut world = running("10.0.0.1! nginx");
    assert_eq!(world.doing(), [""; 0]);
    world.wait();
    world.ends("monitor 10.0.0.1", Outcome::NotRunning);
    assert_eq!(world.all_done(), ["start 10.0.0.1"]);
}

#[test]
fn nothing_is_looked_at_once_a_group_is_given_up() {
    let mut world = running("nginx!");
    world.wait();
    assert_eq!(world.doing(), ["monitor nginx"]);
    world.tell(Input::Yield(0));
    assert_eq!(
        (world.cancelled.as_slice(), world.doing()),
        (&["monitor nginx".to_owned()][..], vec!["stop nginx".to_owned()])
    );
    world.all_done();
    assert_eq!(world.groups.deadline(), None);
}

#[test]
fn an_action_of_which_nothing_is_heard_counts_as_timed_out() {
    let mut world = World::new(&["web: nginx"]);
    world.tell(Input::Acquire(0));
    world.ends("status nginx", Outcome::NotRunning);
    let late = world.orders[0].task;
    assert_eq!(world.wait(), Duration::from_secs(60) + GRACE);
    assert_eq!(
        (world.cancelled.as_slice(), world.doing()),
        (&["start nginx".to_owned()][..], vec!["stop nginx".to_owned()])
    );
    world.tell(Input::Done { task: late, outcome: Outcome::Done });
    assert_eq!(world.doing(), ["stop nginx"], "what comes too late changes nothing");
    world.tell(Input::Done { task: Task(999), outcome: Outcome::Done });
    assert_eq!(world.doing(), ["stop nginx"]);
}

#[test]
fn a_reload_touches_only_what_has_changed() {
    let mut world = running("10.0.0.1 disk nginx!");
    world.tell(Input::Configure(vec![group("mail: smtp"), group("web: 10.0.0.1 disk nginx!")]));
    assert_eq!(world.all_done(), [""; 0]);
    assert_eq!(world.told(), [(0, Standing::Stopped), (1, Standing::Running)], "it has another place");
    // A resource less, one more, and another deadline for one that stays.
    let mut changed = group("web: 10.0.0.1 10.0.0.2 nginx!");
    changed.resources[2].stop_within = Duration::from_secs(7);
    world.tell(Input::Configure(vec![group("mail: smtp"), changed]));
    assert_eq!(world.all_done(), ["stop disk", "start 10.0.0.2"]);
    assert_eq!(world.told(), [(0, Standing::Stopped), (1, Standing::Running)]);
    world.tell(Input::Yield(1));
    assert_eq!(world.orders[0].within, Duration::from_secs(7));
}

#[test]
fn a_resource_that_another_group_has_now_goes_there_as_it_is() {
    let mut world = running("10.0.0.1 10.0.0.2 nginx!");
    world.tell(Input::Configure(vec![group("mail: 10.0.0.2 smtp"), group("web: 10.0.0.1 nginx!")]));
    assert_eq!(world.told(), [(0, Standing::Starting), (1, Standing::Running)]);
    assert_eq!(world.all_done(), ["status smtp", "start smtp"]);
    // And where it goes to does not run here, it is stopped.
    world.tell(Input::Yield(0));
    world.all_done();
    world.tell(Input::Configure(vec![group("mail: smtp nginx!"), group("web: 10.0.0.1")]));
    assert_eq!(world.all_done(), ["stop nginx"]);
    assert_eq!((world.standing(0), world.standing(1)), (Standing::Stopped, Standing::Running));
}

#[test]
fn a_group_that_failed_is_tried_again_only_where_it_has_changed() {
    let mut world = running("10.0.0.1 disk");
    world.tell(Input::Yield(0));
    world.all_done();
    world.tell(Input::Acquire(0));
    world.done("start 10.0.0.1");
    world.ends("status disk", Outcome::NotRunning);
    world.fails("start disk", "it is broken");
    world.all_done();
    world.tell(Input::Configure(vec![group("web: 10.0.0.1 disk")]));
    assert_eq!(world.standing(0), Standing::Failed);
    world.tell(Input::Configure(vec![group("web: 10.0.0.1 disk2")]));
    assert_eq!(world.standing(0), Standing::Stopped);
}

#[test]
fn a_group_that_is_gone_is_stopped_and_told_so() {
    let mut world = running("10.0.0.1 disk");
    world.tell(Input::Configure(vec![group("mail: smtp")]));
    assert!(!world.groups.report()[1].configured);
    assert_eq!(world.groups.report()[1].resources[1].running, Running::Stopping);
    assert_eq!(world.all_done(), ["stop disk", "stop 10.0.0.1"]);
    assert_eq!(world.remark(), "web: it is no longer configured and has been stopped");
    assert_eq!(world.groups.report().len(), 1);
    assert_eq!(world.told(), [(0, Standing::Stopped)], "it has no place any more");
    // One that never ran goes without a word.
    world.tell(Input::Configure(vec![]));
    assert!(world.remarks.is_empty() && world.groups.report().is_empty());
}

#[test]
fn a_group_that_is_gone_and_stuck_stays_in_sight_until_it_is_confirmed() {
    let mut world = running("disk");
    world.tell(Input::Configure(vec![]));
    stop_fails_for_good(&mut world, "stop disk");
    assert_eq!(
        world.remarks.pop().unwrap(),
        "web: it is no longer configured, but cannot be stopped: `disk` did not stop: device is busy"
    );
    assert_eq!(world.groups.report()[0].standing, Standing::Stuck);
    world.tell(Input::Confirm("web".into()));
    assert!(world.groups.report().is_empty());
}

#[test]
fn a_resource_that_is_gone_and_stuck_goes_when_it_is_confirmed() {
    let mut world = running("10.0.0.1 disk");
    world.tell(Input::Configure(vec![group("web: 10.0.0.1")]));
    stop_fails_for_good(&mut world, "stop disk");
    assert_eq!((world.standing(0), world.groups.report()[0].resources.len()), (Standing::Stuck, 2));
    world.tell(Input::Confirm("web".into()));
    assert_eq!((world.standing(0), world.groups.report()[0].resources.len()), (Standing::Stopped, 1));
}

#[test]
fn at_the_end_everything_is_given_up_once() {
    let mut world = World::new(&["a: disk", "b: 10.0.0.1"]);
    world.tell(Input::Acquire(0));
    world.tell(Input::Acquire(1));
    world.all_done();
    world.tell(Input::Stop);
    world.tell(Input::Acquire(1));
    assert!(!world.stopped);
    world.all_done();
    assert!(world.stopped);
    world.stopped = false;
    world.tell(Input::Acquire(0));
    world.tell(Input::Stop);
    assert!(world.orders.is_empty() && !world.stopped);
}

#[test]
fn what_is_stuck_does_not_hold_up_the_end() {
    let mut world = running("disk");
    world.tell(Input::Stop);
    stop_fails_for_good(&mut world, "stop disk");
    assert!(world.stopped);
    assert_eq!(world.standing(0), Standing::Stuck);
}
