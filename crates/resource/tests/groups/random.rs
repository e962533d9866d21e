//! Whatever groups are told, and however actions end: order is kept, nothing runs in a stopped group, and all comes to
//! rest.

use crate::world::{World, group};
use evenkeel_machine::Machine;
use evenkeel_resource::{Action, Input, Order, Outcome, Running, Standing};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// What a resource is, whatever it is called: its key in what is known of the host.
fn identity(order: &Order) -> (String, String) {
    (order.group.to_string(), format!("{:?}", order.resource.agent))
}

/// What may run on the host, as far as outcomes told so far say.
#[derive(Default)]
struct Host {
    may_run: BTreeSet<(String, String)>,
}

impl Host {
    fn ends(&mut self, order: &Order, outcome: &Outcome) {
        let done = *outcome == Outcome::Done;
        match order.action {
            Action::Start => {}
            Action::Status if done => {
                self.may_run.insert(identity(order));
            }
            Action::Stop if done => {
                self.may_run.remove(&identity(order));
            }
            Action::Stop | Action::Status if *outcome == Outcome::NotRunning => {
                self.may_run.remove(&identity(order));
            }
            Action::Status | Action::Stop | Action::Monitor => {}
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Acquire(usize),
    Yield(usize),
    Configure(usize),
    Confirm(usize),
    /// The nth action under way ends.
    End(usize, Outcome),
    Wait,
    Stop,
}

const KEYS: [&str; 3] = ["web", "mail", "files"];

fn configuration(which: usize) -> Vec<&'static str> {
    match which {
        0 => vec!["web: 10.0.0.1! nginx! watch", "mail: smtp 10.0.0.2", "files: disk! nfs! 10.0.0.3!"],
        1 => vec!["files: disk! nfs! 10.0.0.3!", "web: 10.0.0.1! haproxy nginx!"],
        2 => vec!["mail: 10.0.0.2 smtp!", "web: nginx! own.cf 10.0.0.1", "files: disk"],
        _ => vec![],
    }
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Done),
        2 => Just(Outcome::NotRunning),
        1 => Just(Outcome::Failed { why: "it is broken".into() }),
        1 => Just(Outcome::TimedOut),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_usize).prop_map(Step::Acquire),
        2 => (0..4_usize).prop_map(Step::Yield),
        1 => (0..4_usize).prop_map(Step::Configure),
        1 => (0..3_usize).prop_map(Step::Confirm),
        12 => (0..6_usize, outcome()).prop_map(|(nth, outcome)| Step::End(nth, outcome)),
        4 => Just(Step::Wait),
        1 => Just(Step::Stop),
    ]
}

fn end(world: &mut World, host: &mut Host, nth: usize, outcome: Outcome) {
    if world.orders.is_empty() {
        return;
    }
    let order = world.orders.remove(nth % world.orders.len());
    host.ends(&order, &outcome);
    world.tell(Input::Done { task: order.task, outcome });
}

/// Holds after every step.
fn check(world: &World, host: &mut Host, seen: &mut BTreeSet<u64>) {
    let report = world.groups.report();
    for order in &world.orders {
        if order.action == Action::Start {
            host.may_run.insert(identity(order));
        }
        // Nothing is done twice at a time with a resource, and no task has two meanings.
        let same = world.orders.iter().filter(|other| identity(other) == identity(order)).count();
        assert_eq!(same, 1, "{:?}", world.doing());
        if !seen.insert(order.task.0) {
            continue;
        }
        let group = report.iter().find(|group| group.key == order.group).expect("a group with an action is there");
        let at = group.resources.iter().position(|resource| match order.action {
            Action::Start => resource.running == Running::Starting,
            Action::Stop => resource.running == Running::Stopping,
            Action::Status => resource.running == Running::Asked,
            Action::Monitor => *resource.name == *order.resource.name,
        });
        let at = at.expect("it is in the report");
        match order.action {
            Action::Start => {
                assert!(group.resources[..at].iter().all(|before| before.running == Running::Yes), "{group:?}");
            }
            Action::Stop => assert!(
                // Those that leave come last in the report, and first in time.
                group.resources[at + 1..].iter().all(|after| after.running == Running::No)
                    || matches!(group.standing, Standing::Starting | Standing::Running),
                "{group:?}"
            ),
            // Before its start, or after a stop that has failed.
            Action::Status => {}
            Action::Monitor => assert!(matches!(group.standing, Standing::Starting | Standing::Running)),
        }
    }
    for group in &report {
        let runs = host.may_run.iter().any(|(key, _)| *key == *group.key);
        assert!(group.standing.may_run() || !runs, "{group:?} but {:?}", host.may_run);
        let steps = world.orders.iter().filter(|o| *o.group == *group.key && o.action != Action::Monitor).count();
        assert!(steps <= 1, "{:?}", world.doing());
        if group.standing == Standing::Running {
            assert!(steps <= 1 && group.why.is_none());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn order_is_kept_and_all_comes_to_rest(steps in prop::collection::vec(step(), 1..120)) {
        let (mut world, mut host, mut seen) = (World::new(&configuration(0)), Host::default(), BTreeSet::new());
        let mut ended = false;
        for step in steps {
            match step {
                Step::Acquire(group) => world.tell(Input::Acquire(group)),
                Step::Yield(group) => world.tell(Input::Yield(group)),
                Step::Configure(which) => {
                    world.tell(Input::Configure(configuration(which).into_iter().map(group).collect()));
                }
                Step::Confirm(which) => {
                    let key = KEYS[which];
                    let stuck = |r: &evenkeel_resource::GroupReport| &*r.key == key && r.standing == Standing::Stuck;
                    if world.groups.report().iter().any(stuck) {
                        // The operator is right.
                        host.may_run.retain(|(of, _)| of != key);
                    }
                    world.tell(Input::Confirm(key.into()));
                }
                Step::End(nth, outcome) => end(&mut world, &mut host, nth, outcome),
                Step::Wait => if world.groups.deadline().is_some() { world.wait(); },
                Step::Stop => {
                    ended = true;
                    world.tell(Input::Stop);
                }
            }
            check(&world, &mut host, &mut seen);
        }
        // From now on everything works; with monitoring there is always something to come.
        for _ in 0..200 {
            while !world.orders.is_empty() {
                end(&mut world, &mut host, 0, Outcome::Done);
                check(&world, &mut host, &mut seen);
            }
            if world.groups.deadline().is_some() {
                world.wait();
                check(&world, &mut host, &mut seen);
            }
        }
        while !world.orders.is_empty() {
            end(&mut world, &mut host, 0, Outcome::Done);
        }
        for group in world.groups.report() {
            prop_assert!(!matches!(group.standing, Standing::Starting | Standing::Stopping), "{:?}", group);
            if ended {
                prop_assert!(!matches!(group.standing, Standing::Running), "{:?}", group);
            }
            if let Standing::Running = group.standing {
                prop_assert!(group.resources.iter().all(|resource| resource.running == Running::Yes));
            }
        }
        prop_assert_eq!(world.stopped, ended);
        for (place, group) in world.groups.report().iter().enumerate().filter(|(_, group)| group.configured) {
            let told = world.turned.iter().rev().find(|(of, ..)| *of == place);
            prop_assert!(told.is_none_or(|(_, told, _)| *told == group.standing), "{:?} {:?}", told, group);
        }
    }
}
