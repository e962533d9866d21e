//! Scripts told of messages.

use crate::stage::{Stage, run, until};
use evenkeel_agents::Notices;
use std::{cell::RefCell, rc::Rc};

#[test]
fn a_script_is_told_the_fields_of_messages_of_its_type_in_order() {
    let stage = Stage::new();
    stage.script("rc.d/starting", r#"echo "$1 $HA_t $HA_src $HA_CURHOST" >> $STAGE/heard; [ "$HA_src" != ha3 ]"#);
    let failed = Rc::new(RefCell::new(Vec::new()));
    let into = Rc::clone(&failed);
    run(async {
        let notices =
            Notices::start(stage.path("rc.d"), &stage.places(), move |failure| into.borrow_mut().push(failure));
        let tell = |kind, source| notices.tell(kind, [("t", kind), ("src", source), ("a b", "x")].into_iter()).unwrap();
        tell("starting", "ha2");
        tell("shutdone", "ha2");
        tell("../starting", "ha2");
        tell("", "ha2");
        tell("starting", "ha3");
        until("the last one has failed", || !failed.borrow().is_empty()).await;
    });
    assert_eq!(stage.text("heard"), "starting starting ha2 ha1\nstarting starting ha3 ha1\n");
    assert_eq!(failed.take(), [(stage.path("rc.d/starting").display().to_string(), "exit status 1".to_owned())]);
}

#[test]
fn scripts_by_which_heartbeat_moves_resources_are_passed_over_but_not_an_operators() {
    let stage = Stage::new();
    stage.script("rc.d/status", "touch $STAGE/moved; exit 0; # $HA_NOARCHBIN/mach_down $HA_src");
    stage.script("rc.d/hb_takeover", "touch $STAGE/told");
    run(async {
        let notices = Notices::start(stage.path("rc.d"), &stage.places(), |failure| panic!("{failure:?}"));
        notices.tell("status", [("t", "status")].into_iter()).unwrap();
        notices.tell("hb_takeover", [("t", "hb_takeover")].into_iter()).unwrap();
        until("the operator's has run", || stage.path("told").exists()).await;
    });
    assert!(!stage.path("moved").exists());
}

/// Those of heartbeat 3.0.6, where it is installed.
#[test]
fn the_scripts_that_come_with_heartbeat_are_passed_over() {
    let directory = std::path::PathBuf::from("/etc/ha.d/rc.d");
    if !directory.join("ask_resources").exists() {
        println!("skipped: heartbeat is not installed");
        return;
    }
    let stage = Stage::new();
    run(async {
        let notices = Notices::start(directory, &stage.places(), |failure| panic!("{failure:?}"));
        for kind in ["ask_resources", "hb_takeover", "ip-request", "ip-request-resp", "status"] {
            // One more than may wait would be refused if any were taken.
            for _ in 0..300 {
                notices.tell(kind, std::iter::empty()).expect("it is passed over");
            }
        }
    });
}
