//! `evenkeel lab` itself: the tour, and what a killed lab leaves.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use evenkeel_lab_tests::{
    alone, can_run, program,
    pty::{Pty, farthest},
    unique_name,
};
use serde_json::Value;

fn lab(name: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(program());
    command.args(["lab", "dr", "--name", name]).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the lab starts")
}

/// What there is of the lab `name`: namespaces, processes, mounts and files.
fn traces(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for folder in ["/run/netns", "/run/evenkeel-lab"] {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        found.extend(entries.map(|entry| entry.path().to_string_lossy().into_owned()));
    }
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        // This test and a shell that runs it name the lab, too, when somebody looks for it.
        if command.contains("evenkeel-lab/") {
            found.push(format!("process {}: {command}", entry.file_name().to_string_lossy()));
        }
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    found.extend(mounts.lines().map(|line| format!("mount {line}")));
    found.retain(|trace| trace.contains(name));
    found
}

fn clean() {
    let status = Command::new(program()).args(["lab", "clean"]).status().expect("clean runs");
    assert!(status.success());
}

#[test]
fn the_tour_tells_every_step_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let name = unique_name();
    let done = lab(&name, &["--script", "tour", "--json"]).wait_with_output().expect("the tour ends");
    let text = String::from_utf8(done.stdout).expect("text");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    assert!(done.status.success() && events.iter().all(|event| event["ok"] == true), "{text}");
    let mut steps: Vec<&str> = events.iter().filter_map(|event| event["step"].as_str()).collect();
    steps.dedup();
    let expected = [
        "build",
        "start",
        "alternate",
        "failure",
        "fallback",
        "recovery",
        "alternate",
        "crash",
        "stop",
        "clean-up",
        "done",
    ];
    assert_eq!(steps, expected);
    let lost = events.iter().find(|event| event["step"] == "crash" && event["failed"].is_u64());
    assert_eq!(lost.map(|event| event["failed"].clone()), Some(Value::from(0)));
    assert_eq!(traces(&name), Vec::<String>::new());
    println!("measured: build {} ms", events[0]["build_ms"]);
}

#[test]
fn the_pair_goes_through_every_fault_and_leaves_nothing() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let name = unique_name();
    let mut command = Command::new(program());
    command.args(["lab", "heartbeat", "--script", "failover", "--json", "--name", &name]);
    let done = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("the tour ends");
    let text = String::from_utf8(done.stdout).expect("text");
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect();
    assert!(done.status.success() && events.iter().all(|event| event["ok"] == true), "{text}");
    let moves: Vec<(&str, &str)> =
        events.iter().filter_map(|event| Some((event["step"].as_str()?, event["owner"].as_str()?))).collect();
    let expected = [
        ("start", "ha1"),
        ("hand-over", "ha2"),
        ("fail-back", "ha1"),
        ("eth0", "ha2"),
        ("eth0", "ha1"),
        ("eth1", "ha1"),
        ("split", "ha1 and ha2"),
        ("heal", "ha1"),
        ("crash", "ha2"),
        ("crash", "ha1"),
        ("power-off", "ha2"),
        ("power-off", "ha1"),
    ];
    assert_eq!(moves, expected);
    assert!(
        events.iter().all(|event| event["step"] == "start" || event["owner"].is_null() || event["away_ms"].is_u64()),
        "{text}"
    );
    assert_eq!(events.last().map(|event| &event["step"]), Some(&Value::from("done")));
    assert_eq!(traces(&name), Vec::<String>::new());
}

#[test]
fn the_pair_is_shown_on_terminals_of_any_size_and_leaves_the_terminal_as_it_was() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let name = unique_name();
    let mut command = Command::new(program());
    command.args(["lab", "heartbeat", "--name", &name]);
    let lab = Pty::start(&command, (24, 80));
    lab.wait("answered", 1);
    // Every key is told, on the smallest of terminals too.
    lab.wait("quit", 1);
    lab.press("7");
    lab.wait("pressed", 1);
    let before = lab.count("quit");
    lab.resize((50, 200));
    lab.wait("quit", before + 1);
    lab.press("\x03");
    let text = lab.end();
    let (small, large) = text.split_at(text.rfind("\x1b[2J").expect("it is drawn anew"));
    let (lines, columns) = farthest(small);
    assert!(lines == 24 && columns <= 80, "{lines} {columns}");
    assert_eq!(farthest(large).0, 50);
    assert_eq!(traces(&name), Vec::<String>::new());
}

#[test]
fn a_script_of_the_other_lab_is_refused_by_name() {
    if !can_run() {
        return;
    }
    for (lab, script, said) in [("dr", "failover", "`lab heartbeat`"), ("heartbeat", "tour", "`failover`")] {
        let done = Command::new(program()).args(["lab", lab, "--script", script]).output().expect("it ends");
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && error.contains(said), "{error}");
    }
}

#[test]
fn clean_removes_all_that_a_killed_lab_left_and_the_name_is_free_again() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let name = unique_name();
    let mut killed = lab(&name, &["--script", "tour", "--json"]);
    // Once a step after the start is told, the director runs and has loaded its program.
    let lines = BufReader::new(killed.stdout.take().expect("output")).lines().map_while(Result::ok);
    let reached = lines.into_iter().any(|line| line.contains("\"step\":\"alternate\""));
    assert!(reached, "the tour never alternated");
    killed.kill().and_then(|()| killed.wait()).expect("the lab is killed");
    assert_ne!(traces(&name), Vec::<String>::new(), "a killed lab cannot clean up");
    clean();
    assert_eq!(traces(&name), Vec::<String>::new());
}

#[test]
fn the_next_start_removes_what_a_killed_lab_left() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let name = unique_name();
    let mut killed = lab(&name, &["--script", "tour", "--json"]);
    let mut lines = BufReader::new(killed.stdout.take().expect("output")).lines().map_while(Result::ok);
    lines.find(|line| line.contains("\"step\":\"build\"")).expect("the lab is built");
    killed.kill().and_then(|()| killed.wait()).expect("the lab is killed");
    let next = unique_name();
    let status = lab(&next, &["--script", "tour", "--json"]).wait_with_output().expect("the tour ends").status;
    assert!(status.success());
    assert_eq!((traces(&name), traces(&next)), (Vec::<String>::new(), Vec::<String>::new()));
}

#[test]
fn a_second_lab_of_the_same_name_is_refused_and_the_first_is_left_alone() {
    if !can_run() {
        return;
    }
    let _alone = alone();
    let name = unique_name();
    let mut first = lab(&name, &["--script", "tour", "--json"]);
    let out = first.stdout.take().expect("output");
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    lines.find(|line| line.contains("\"step\":\"build\"")).expect("the lab is built");
    let second = lab(&name, &["--script", "tour"]).wait_with_output().expect("the second ends");
    assert!(!second.status.success());
    clean();
    let rest: Vec<String> = lines.collect();
    let status = first.wait().expect("the first ends");
    assert!(status.success(), "{}", rest.join("\n"));
}
