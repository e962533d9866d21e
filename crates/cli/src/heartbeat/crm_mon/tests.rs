//! Beside what pacemaker's crm_mon is documented to show.

use super::*;
use evenkeel_api::ResourceStatus;

fn pair() -> Status {
    let node = |name: &str, state: &str| NodeStatus {
        name: name.to_owned(),
        state: state.to_owned(),
        ..NodeStatus::default()
    };
    let resource = |name: &str, agent: &str| ResourceStatus {
        name: name.to_owned(),
        agent: agent.to_owned(),
        state: "running".to_owned(),
        reason: String::new(),
    };
    let group = |name: &str, owner: Option<&str>, resources| GroupStatus {
        name: name.to_owned(),
        owner: owner.map(str::to_owned),
        resources,
        ..GroupStatus::default()
    };
    let cluster = ClusterStatus {
        nodes: vec![node("ha1", "active"), node("ha2", "dead")],
        groups: vec![
            group(
                "10.168.0.160/24/eth0",
                Some("ha1"),
                vec![resource("10.168.0.160/24/eth0", "ocf::heartbeat:IPaddr2"), resource("nginx", "lsb:nginx")],
            ),
            group("10.168.0.170", None, vec![resource("10.168.0.170", "ocf::heartbeat:IPaddr2")]),
        ],
        ..ClusterStatus::default()
    };
    let cluster = Some(cluster);
    Status { node: "ha1".to_owned(), version: "0.1.0".to_owned(), cluster, ..Status::default() }
}

fn shown(by_node: bool, inactive: bool) -> String {
    drawn(&pair(), Shown { by_node, inactive, no_head: false })
}

fn drawn(status: &Status, shown: Shown) -> String {
    let cluster = status.cluster.as_ref().expect("there is one");
    render(status, cluster, "Sat Nov 21 00:27:10 2026", shown)
}

const HEAD: &str = "============\nLast updated: Sat Nov 21 00:27:10 2026\nStack: Heartbeat\nCurrent DC: ha1 - partition \
                    with quorum\nVersion: evenkeel 0.1.0\n2 Nodes configured, unknown expected votes\n2 Resources \
                    configured.\n============\n\n";

#[test]
fn it_shows_who_is_online_and_where_resources_are() {
    let nodes = "Online: [ ha1 ]\nOFFLINE: [ ha2 ]\n";
    let running = " Resource Group: 10.168.0.160/24/eth0\n     \
                   10.168.0.160/24/eth0\t(ocf::heartbeat:IPaddr2):\tStarted ha1\n     nginx\t(lsb:nginx):\tStarted ha1\n";
    assert_eq!(shown(false, false), format!("{HEAD}{nodes}\n{running}"));
    let stopped = " Resource Group: 10.168.0.170\n     10.168.0.170\t(ocf::heartbeat:IPaddr2):\tStopped\n";
    assert_eq!(shown(false, true), format!("{HEAD}{nodes}\nFull list of resources:\n\n{running}{stopped}"));
    let bare = drawn(&pair(), Shown { no_head: true, ..Shown::default() });
    assert_eq!(bare, format!("{nodes}\n{running}"));
}

#[test]
fn it_shows_them_by_node() {
    let body = "Node ha1: online\n\t10.168.0.160/24/eth0\t(ocf::heartbeat:IPaddr2)\tStarted\n\tnginx\t(lsb:nginx)\t\
                Started\nNode ha2: OFFLINE\n";
    assert_eq!(shown(true, false), format!("{HEAD}{body}"));
    let stopped = " Resource Group: 10.168.0.170\n     10.168.0.170\t(ocf::heartbeat:IPaddr2):\tStopped\n";
    assert_eq!(shown(true, true), format!("{HEAD}{body}\nInactive resources:\n\n{stopped}"));
}

#[test]
fn what_failed_is_shown_with_its_reason() {
    let mut status = pair();
    let cluster = status.cluster.as_mut().expect("there is one");
    let group = cluster.groups.last_mut().expect("there is one");
    group.state = "failed".to_owned();
    let resource = group.resources.first_mut().expect("there is one");
    resource.state = "failed".to_owned();
    resource.reason = "start: no such interface".to_owned();
    let text = drawn(&status, Shown::default());
    assert!(text.contains("10.168.0.170\t(ocf::heartbeat:IPaddr2):\tFAILED\n"), "{text}");
    assert!(text.ends_with("\nFailed actions:\n    10.168.0.170 (node=ha1): start: no such interface\n"), "{text}");
}

#[test]
fn one_line_is_for_monitoring_systems() {
    let said = |status: &Status| one_line(Ok(status));
    let mut status = pair();
    let wrong = "CLUSTER WARN: offline node: ha2, on no node: 10.168.0.170\n";
    assert_eq!(said(&status), Answer { status: 1, ..Answer::says(wrong) });
    let cluster = status.cluster.as_mut().expect("there is one");
    cluster.nodes.iter_mut().for_each(|node| node.state = "active".to_owned());
    cluster.groups.iter_mut().for_each(|group| group.owner = Some("ha1".to_owned()));
    assert_eq!(said(&status), Answer::says("CLUSTER OK: 2 nodes online, 3 resources configured\n"));
    let gone = one_line(Err(&"nobody answers".to_owned()));
    let text = "CLUSTER CRIT: Connection to cluster failed: nobody answers\n";
    assert_eq!(gone, Answer { status: 2, ..Answer::says(text) });
}

#[test]
fn options_are_taken_as_getopt_does() {
    let read = |line: &str| parse(&line.split_whitespace().collect::<Vec<_>>(), true);
    let mode = |line: &str| read(line).map(|call| call.mode);
    let all = Shown { by_node: true, inactive: true, no_head: false };
    for line in ["-1 -r -n", "-1rn", "-rfn1", "-rNn1", "--one-shot --group-by-node --inactive", "-rni 5 -1", "-rni5 -1"]
    {
        assert_eq!(read(line), Ok(Call { mode: Mode::Once, shown: all }), "{line}");
    }
    let live = |every, scrolls| Ok(Mode::Live { every, scrolls });
    assert_eq!(mode(""), live(Duration::from_secs(1), false));
    assert_eq!(mode("--interval=5 -N"), live(Duration::from_secs(5), true));
    assert_eq!(mode("-i 500ms"), live(Duration::from_millis(500), false));
    assert_eq!(mode("-1s"), Ok(Mode::OneLine));
    assert_eq!(mode("-?"), Ok(Mode::Help));
    assert_eq!(mode("--version"), Ok(Mode::Version));
    assert_eq!(parse(&[], false).map(|call| call.mode), Ok(Mode::Once), "where it is read by a program");
    for (line, why) in [
        ("-1z", "invalid option -- 'z'"),
        ("--one-shoe", "unrecognized option '--one-shoe'"),
        ("-X", "-X is not taken: `evenkeel status --json`"),
        ("--mail-to=me", "-T is not taken: scripts in rc.d"),
        ("-i", "requires an argument"),
        ("-i 0", "0 is no number of seconds"),
        ("-i soon", "soon is no number"),
        ("now", "`now`"),
    ] {
        assert!(read(line).is_err_and(|said| said.contains(why)), "{line}");
    }
}
