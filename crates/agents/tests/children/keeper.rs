//! Programs that are kept running.

use crate::stage::{Stage, is_gone, run, until};
use evenkeel_agents::{Departed, Keeper};
use evenkeel_model::{Account, heartbeat::Child};
use std::{cell::RefCell, rc::Rc, time::Duration};

fn child(stage: &Stage, vital: bool) -> Child {
    let account = Account { user: rustix::process::geteuid().as_raw().to_string(), group: None };
    Child { account, command: vec![stage.path("program").display().to_string(), "-x".into()], vital }
}

struct Watched {
    keeper: Keeper,
    told: Rc<RefCell<Vec<Departed>>>,
}

fn watched() -> Watched {
    let told = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&told);
    Watched { keeper: Keeper::new(move |departed| into.borrow_mut().push(departed)), told }
}

#[test]
fn one_that_ends_is_started_again_later_each_time() {
    let stage = Stage::new();
    stage.script("program", "echo $1 $HA_CURHOST >> $STAGE/lives; exit 3");
    run(async {
        let mut watched = watched();
        watched.keeper.keep(&[child(&stage, false)], &stage.places());
        until("it lived twice", || watched.told.borrow().len() == 2).await;
        let told = watched.told.take();
        assert_eq!((told[0].again, told[1].again), (Some(Duration::from_secs(1)), Some(Duration::from_secs(2))));
        assert!(told[0].to_string().ends_with("has ended: exit status 3; it is started again in 1 s"), "{}", told[0]);
        watched.keeper.stop().await;
    });
    assert_eq!(stage.text("lives"), "-x ha1\n-x ha1\n");
}

#[test]
fn one_that_says_100_has_had_enough() {
    let stage = Stage::new();
    stage.script("program", "exit 100");
    run(async {
        let mut watched = watched();
        watched.keeper.keep(&[child(&stage, false), child(&stage, true)], &stage.places());
        until("both have ended", || watched.told.borrow().len() == 2).await;
        assert!(watched.told.take().iter().all(|departed| departed.again.is_none() && !departed.vital));
    });
}

#[test]
fn the_death_of_a_vital_one_is_told_and_one_that_cannot_be_run_does_not_die() {
    let stage = Stage::new();
    stage.script("program", "kill -9 $$");
    run(async {
        let mut watched = watched();
        watched.keeper.keep(&[child(&stage, true)], &stage.places());
        until("it has died", || !watched.told.borrow().is_empty()).await;
        let departed = watched.told.take().remove(0);
        assert!(departed.vital && departed.again.is_none());
        assert!(departed.to_string().ends_with("ended by signal 9; it is vital (failfast)"));
        watched.keeper.keep(&[], &stage.places());
        let gone = Child { command: vec!["/no/such".into()], ..child(&stage, true) };
        watched.keeper.keep(&[gone], &stage.places());
        until("it could not be run", || !watched.told.borrow().is_empty()).await;
        let departed = watched.told.take().remove(0);
        assert!(!departed.vital && departed.again.is_some() && departed.how.starts_with("it cannot be run: "));
    });
}

#[test]
fn one_that_is_still_wanted_goes_on_and_one_that_is_not_is_told_to_end() {
    let stage = Stage::new();
    stage.script(
        "program",
        "trap 'echo bye > $STAGE/bye; exit 0' TERM; echo $$ >> $STAGE/pid; while :; do sleep 0.05; done",
    );
    run(async {
        let mut watched = watched();
        let wanted = [child(&stage, false)];
        watched.keeper.keep(&wanted, &stage.places());
        until("it runs", || stage.text("pid").ends_with('\n')).await;
        watched.keeper.keep(&wanted, &stage.places());
        watched.keeper.keep(&[], &stage.places());
        until("it is gone", || is_gone(&stage.path("pid"))).await;
        assert_eq!(stage.text("bye"), "bye\n");
        assert!(watched.told.borrow().is_empty(), "that was no surprise");
    });
    assert_eq!(stage.text("pid").lines().count(), 1);
}
