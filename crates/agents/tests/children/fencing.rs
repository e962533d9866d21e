//! Fence devices: stubs that keep to each protocol, and the real `stonith` and fence agents where they are installed.

use crate::stage::{LONG, Stage, is_gone, run, until};
use evenkeel_agents::{Places, fence};
use evenkeel_model::heartbeat::{Fence, FenceAgent, NodeName};
use std::{path::Path, time::Duration};

fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

fn stonith(kind: &str, parameters: &[&str]) -> Fence {
    let parameters = parameters.iter().map(|one| (*one).to_owned()).collect();
    Fence { nodes: vec![], agent: FenceAgent::Stonith { kind: kind.into(), parameters, file: None }, within: LONG }
}

fn agent(program: &str, parameters: &[(&str, &str)]) -> Fence {
    let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Fence { nodes: vec![node("ha2")], agent: FenceAgent::Agent { program: program.into(), parameters }, within: LONG }
}

fn try_it(devices: &[Fence], places: &Places) -> Result<String, String> {
    run(fence(devices, &node("ha2"), places))
}

/// What the command of cluster-glue does.
fn stub(stage: &Stage) {
    stage.script("bin/stonith", r#"echo "$*" >> $STAGE/calls; case "$*" in *-l) echo "HA2  ha3";; *) echo no luck >&2; exit $(cat $STAGE/exit);; esac"#);
}

#[test]
fn a_plugin_is_asked_for_its_nodes_and_then_to_reset() {
    let stage = Stage::new();
    stub(&stage);
    std::fs::write(stage.path("exit"), "0").unwrap();
    assert_eq!(try_it(&[stonith("ibmhmc", &["10.0.0.9", "user"])], &stage.places()), Ok("ibmhmc".into()));
    assert_eq!(stage.text("calls"), "-t ibmhmc -p 10.0.0.9 user -l\n-t ibmhmc -p 10.0.0.9 user -T reset ha2\n");
    std::fs::remove_file(stage.path("calls")).unwrap();
    assert_eq!(try_it(&[stonith("ibmhmc", &["ip=10.0.0.9", "user=a"])], &stage.places()), Ok("ibmhmc".into()));
    assert_eq!(stage.text("calls").lines().next_back(), Some("-t ibmhmc ip=10.0.0.9 user=a -T reset ha2"));
    // One that is said to be for the node is believed.
    let mut said = stonith("ibmhmc", &[]);
    said.nodes = vec![node("ha2")];
    said.agent = FenceAgent::Stonith { kind: "ibmhmc".into(), parameters: vec![], file: Some("/etc/x".into()) };
    std::fs::remove_file(stage.path("calls")).unwrap();
    assert_eq!(try_it(&[said], &stage.places()), Ok("ibmhmc".into()));
    assert_eq!(stage.text("calls"), "-t ibmhmc -F /etc/x -T reset ha2\n");
}

#[test]
fn what_goes_wrong_is_said_in_words() {
    let stage = Stage::new();
    stub(&stage);
    for (exit, words) in [(1, "wrong parameters"), (4, "it does not know the node"), (5, "the reset failed")] {
        std::fs::write(stage.path("exit"), exit.to_string()).unwrap();
        let want = format!("ibmhmc: {words} (exit status {exit}: no luck)");
        assert_eq!(try_it(&[stonith("ibmhmc", &["a"])], &stage.places()), Err(want));
    }
    stage.script("bin/stonith", "echo ha1 ha3");
    assert_eq!(
        try_it(&[stonith("ibmhmc", &["a"])], &stage.places()),
        Err("ibmhmc: it is for ha1 ha3, not for ha2".into())
    );
    let mut other = stonith("ibmhmc", &["a"]);
    other.nodes = vec![node("ha1")];
    assert_eq!(try_it(&[other], &stage.places()), Err("no fence device is for ha2".into()));
}

#[test]
fn the_next_device_is_tried_when_one_cannot() {
    let stage = Stage::new();
    stage.script("bin/fence_a", "exit 1");
    stage.script("bin/fence_b", "exit 0");
    assert_eq!(try_it(&[agent("fence_a", &[]), agent("fence_b", &[])], &stage.places()), Ok("fence_b".into()));
    assert_eq!(
        try_it(&[agent("fence_a", &[]), agent("/no/fence_c", &[])], &stage.places()),
        Err("fence_a: exit status 1; fence_c: there is no program /no/fence_c".into())
    );
}

#[test]
fn an_external_plugin_is_spoken_to_without_stonith() {
    let stage = Stage::new();
    stage.script(
        "plugins/external/box",
        r#"echo "$* hostlist=$hostlist user=$user" >> $STAGE/calls
case $1 in getconfignames) echo hostlist; echo user;; gethosts) echo $hostlist;; reset) [ "$2" = ha2 ];; *) exit 1;; esac"#,
    );
    let device = stonith("external/box", &["ha2", "admin"]);
    assert_eq!(try_it(&[device], &stage.places()), Ok("external/box".into()));
    assert_eq!(
        stage.text("calls"),
        "getconfignames hostlist= user=\ngethosts hostlist=ha2 user=admin\nreset ha2 hostlist=ha2 user=admin\n"
    );
    assert_eq!(
        try_it(&[stonith("external/box", &["hostlist=ha2", "user=x"])], &stage.places()),
        Ok("external/box".into())
    );
    let short = try_it(&[stonith("external/box", &["ha2"])], &stage.places());
    assert_eq!(short, Err("external/box: it takes hostlist user (2 values), not 1".into()));
    // From a file; the last parameter takes what is left.
    std::fs::write(stage.path("file"), "# a device\n\nha2 admin and more\n").unwrap();
    let agent = FenceAgent::Stonith { kind: "external/box".into(), parameters: vec![], file: Some(stage.path("file")) };
    let device = Fence { nodes: vec![node("ha2")], agent, within: LONG };
    assert_eq!(try_it(&[device], &stage.places()), Ok("external/box".into()));
    assert!(stage.text("calls").ends_with("reset ha2 hostlist=ha2 user=admin and more\n"));
}

#[test]
fn a_fence_agent_reads_names_and_values() {
    let stage = Stage::new();
    stage.script("bin/fence_box", "cat > $STAGE/input");
    assert_eq!(try_it(&[agent("fence_box", &[("ip", "10.0.0.9")])], &stage.places()), Ok("fence_box".into()));
    assert_eq!(stage.text("input"), "ip=10.0.0.9\naction=reboot\nplug=ha2\nnodename=ha2\n");
    let told = agent("fence_box", &[("action", "off"), ("port", "7")]);
    assert_eq!(try_it(&[told], &stage.places()), Ok("fence_box".into()));
    assert_eq!(stage.text("input"), "action=off\nport=7\nnodename=ha2\n");
    // One that does not read is no trouble, and its complaint is the line that says so.
    stage.script("bin/fence_box", "echo '2026-01-01 10:00:00 ERROR: Unable to connect' >&2; echo 'see -h' >&2; exit 1");
    assert_eq!(
        try_it(&[agent("fence_box", &[])], &stage.places()),
        Err("fence_box: exit status 1: Unable to connect".into())
    );
}

#[test]
fn a_device_that_hangs_is_killed_and_is_no_success() {
    let stage = Stage::new();
    stage.script("bin/fence_box", "echo $$ > $STAGE/pid.new; mv $STAGE/pid.new $STAGE/pid; sleep 300");
    let mut device = agent("fence_box", &[]);
    device.within = Duration::from_millis(700);
    let said = try_it(&[device], &stage.places());
    assert_eq!(said, Err("fence_box: it did not end within 0.7 s and was killed".into()));
    run(until("it is gone", || is_gone(&stage.path("pid"))));
}

fn real(stage: &Stage, program: &str) -> Option<Places> {
    if !Path::new("/usr/sbin").join(program).exists() {
        println!("skipped: {program} is not installed");
        return None;
    }
    Some(Places { external: "/usr/lib/stonith/plugins".into(), ..stage.places() })
}

/// cluster-glue's own: its `null` device can do everything, to every node it is told of.
#[test]
fn the_real_stonith_resets_by_its_null_device_and_refuses_in_words() {
    let stage = Stage::new();
    let Some(places) = real(&stage, "stonith") else { return };
    assert_eq!(try_it(&[stonith("null", &["ha1", "ha2"])], &places), Ok("null".into()));
    assert_eq!(try_it(&[stonith("null", &["ha1"])], &places), Err("null: it is for ha1, not for ha2".into()));
    let why = try_it(&[stonith("nonesuch", &["ha2"])], &places).unwrap_err();
    assert!(why.contains("there is no such device type, or it does not work"), "{why}");
    // Nobody is at that address, and there is no ssh in this directory of programs.
    let why = try_it(&[stonith("external/ssh", &["ha1"])], &places).unwrap_err();
    assert_eq!(why, "external/ssh: it is for ha1, not for ha2");
}

#[test]
fn a_real_fence_agent_turns_off_and_on() {
    let stage = Stage::new();
    let Some(places) = real(&stage, "fence_dummy") else { return };
    let state = stage.path("state").display().to_string();
    assert_eq!(try_it(&[agent("fence_dummy", &[("status_file", &state)])], &places), Ok("fence_dummy".into()));
    assert_eq!(stage.text("state").trim(), "on", "rebooted");
    let off = agent("fence_dummy", &[("status_file", &state), ("action", "off")]);
    assert_eq!(try_it(&[off], &places), Ok("fence_dummy".into()));
    assert_eq!(stage.text("state").trim(), "off");
    let why = try_it(&[agent("fence_ipmilan", &[("ip", "127.0.0.1")])], &places).unwrap_err();
    assert!(why.starts_with("fence_ipmilan: exit status 1: "), "{why}");
}
