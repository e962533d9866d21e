//! The whole tour once more on the oldest kernel we promise, 6.1, in a user-mode-linux guest.

use std::process::Stdio;

use evenkeel_lab_tests::{alone, can_run, guest, program};
use serde_json::Value;

#[test]
fn the_tour_works_on_linux_6_1() {
    if !can_run() {
        return;
    }
    let Some(mut command) = guest::boot("", 240) else { return };
    let _alone = alone();
    command.arg("--").arg(program());
    // A guest without a CPU of its own: fewer requests, the same events.
    command.args(["lab", "dr", "--script", "tour", "--json", "--rate", "20", "--name", "uml"]);
    let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("uml-run runs");
    let text = String::from_utf8_lossy(&done.stdout);
    let events = text.lines().map(|line| serde_json::from_str(line).expect("a JSON object"));
    let events: Vec<Value> = events.collect();
    assert!(done.status.success(), "{text}");
    assert!(events.iter().all(|event| event["ok"] == true), "{text}");
    assert_eq!(events.last().map(|event| event["step"].clone()), Some("done".into()));
    let door =
        events.iter().find_map(|event| event["event"].as_str().filter(|event| event.contains("data plane ebpf")));
    println!("measured: on 6.1: {}", door.expect("the tour names the door"));
}
