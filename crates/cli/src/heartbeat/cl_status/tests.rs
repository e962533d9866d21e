//! Beside what heartbeat 3.0.6 said of a pair in the same state.

use super::*;
use evenkeel_api::LinkStatus;

fn link(name: &str, state: &str) -> LinkStatus {
    LinkStatus { name: name.to_owned(), state: state.to_owned(), since_s: 0 }
}

fn status() -> Status {
    let node = |name: &str, state: &str, links| NodeStatus {
        name: name.to_owned(),
        state: state.to_owned(),
        links,
        ..NodeStatus::default()
    };
    let cluster = ClusterStatus {
        holds: "local".to_owned(),
        ipfail: true,
        nodes: vec![
            node("ha1", "active", vec![link("eth1", "dead"), link("eth0", "up")]),
            node("ha2", "active", vec![link("eth1", "up"), link("eth0", "up")]),
        ],
        pings: vec![node("10.168.0.1", "ping", Vec::new())],
        parameters: [("keepalive".to_owned(), "200ms".to_owned())].into(),
        ..ClusterStatus::default()
    };
    Status { version: "0.1.0".to_owned(), cluster: Some(cluster), ..Status::default() }
}

fn says(line: &str) -> (String, u8) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let answer = answer(&words, Some(&status()));
    (answer.out + &answer.err, answer.status)
}

#[test]
fn nodes_and_links_are_told_as_heartbeat_tells_them() {
    let told = [
        ("hbstatus", "Heartbeat is running on this machine.\n"),
        ("listnodes", "10.168.0.1\nha2\nha1\n"),
        ("listnodes -p", "10.168.0.1\n"),
        ("listnodes -n", "ha2\nha1\n"),
        ("listnodes -np", "10.168.0.1\nha2\nha1\n"),
        ("listnodes -vp", "\n10.168.0.1\tping\t(nodetype: ping)\n\t10.168.0.1\tup\n"),
        ("listnodes -m", "The nodes are as follow:\n10.168.0.1\nha2\nha1\n"),
        (
            "listnodes -v",
            "\n10.168.0.1\tping\t(nodetype: ping)\n\t10.168.0.1\tup\n\nha2\tactive\t(nodetype: \
             normal)\n\teth0\tup\n\teth1\tup\n\nha1\tactive\t(nodetype: normal)\n\teth0\tup\n\teth1\tdead\n",
        ),
        ("nodetype ha1", "normal\n"),
        ("nodetype 10.168.0.1", "ping\n"),
        ("nodetype -m ha1", "The node ha1's type: normal\n"),
        ("nodestatus ha2", "active\n"),
        ("nodestatus -m ha2", "The cluster node ha2 is active\n"),
        ("nodestatus HA2", "active\n"),
        ("nodestatus HA2 -m", "The cluster node HA2 is active\n"),
        ("nodestatus 10.168.0.1", "ping\n"),
        ("nodeweight ha1", "100\n"),
        ("nodeweight -m ha1", "The weight of the cluster node ha1 is 100\n"),
        ("nodesite ha1", "\n"),
        ("nodesite -m ha1", "The site of the cluster node ha1 is \n"),
        ("clientstatus ha2 ipfail", "online\n"),
        ("-h", USAGE),
        ("listhblinks ha2", "\teth0\n\teth1\n"),
        ("listhblinks -m ha2", "\tthis node has the following heartbeat links:\n\teth0\n\teth1\n"),
        ("listhblinks -v ha2", "\teth0\tup\n\teth1\tup\n"),
        ("listhblinks 10.168.0.1", "\t10.168.0.1\n"),
        ("hblinkstatus ha2 eth1", "up\n"),
        ("hblinkstatus -m ha2 eth1", "The node ha2's heartbeat link eth1 is up\n"),
        ("hblinkstatus 10.168.0.1 10.168.0.1", "up\n"),
        ("rscstatus", "local\n"),
        ("rscstatus -m", "This node is holding local resources.\n"),
        ("hbparameter -p keepalive", "200ms\n"),
        ("hbparameter -mp keepalive", "Heartbeat parameter keepalive's value: 200ms\n"),
    ];
    for (line, expected) in told {
        assert_eq!(says(line), (expected.to_owned(), 0), "cl_status {line}");
    }
}

#[test]
fn exit_statuses_are_those_of_heartbeat() {
    let told = [
        ("nodestatus nobody", "Error. May be due to incorrect node name\n", 11),
        ("nodestatus", "Not enough parameters.\n", 11),
        ("nodeweight nobody", "Error. Maybe due to incorrect node name.\n", 11),
        ("nodetype", "No enough parameter.\n", 11),
        ("clientstatus ha2", "No enough parameter.\n", 11),
        ("clientstatus ha2 dopd", "cl_status: ERROR: Cannot get heartbeat client dopd's status\n", 13),
        ("listhblinks nobody", "cl_status: ERROR: Cannot start heartbeat link interface walk.\n", 13),
        ("hblinkstatus nobody eth1", "cl_status: ERROR: Cannot get heartbeat link status\n", 13),
        ("hbparameter -p colour", "cl_status: ERROR: Cannot get parameter colour's value\n", 1),
        ("hbparameter keepalive", "cl_status: ERROR: parameter name required\n", 11),
        (
            "rscstatus -x",
            "rscstatus: invalid option -- 'x'\ncl_status: ERROR: Error: getopt returnedcharacter ?.\n",
            11,
        ),
        (
            "hbparameter -p",
            "hbparameter: option requires an argument -- 'p'\ncl_status: ERROR: Error: getopt returnedcharacter ?.\n",
            11,
        ),
        ("bogus", "cl_status: ERROR: bogus: invalid sub-command.\n", 11),
        ("-m hbstatus", "cl_status: ERROR: -m: invalid sub-command.\n", 11),
        ("hblinkstatus ha2 eth9", "cl_status: ERROR: Cannot get heartbeat link status\n", 13),
    ];
    for (line, expected, exit) in told {
        assert_eq!(says(line), (expected.to_owned(), exit), "cl_status {line}");
    }
    assert_eq!(
        answer(&["hbstatus"], None),
        Answer { status: 1, ..Answer::says("Heartbeat is stopped on this machine.\n") }
    );
    assert_eq!(answer(&["listnodes"], None).status, 1);
    assert_eq!(answer(&[], None), Answer::says(USAGE));
}
