//! cl_status: its sub-commands, words and exit statuses as 3.0.6 has them.

use super::Answer;
use evenkeel_api::{ClusterStatus, NodeStatus, Status};
use std::fmt::Write;

/// Of a sub-command that there is not, or that lacks a word.
const WRONG: u8 = 11;
/// Of a link that there is not.
const NO_LINK: u8 = 13;

const USAGE: &str = "Usage: cl_status <sub-command> [<options>] [<parameters>]

Sub-commands:
clientstatus <node-name> <client-id> [<timeout>]
	Show the status of heartbeat clients.
hblinkstatus <node-name> <link-name>
	Show the status of a heartbeat link
hbstatus
	Indicate if heartbeat is running on the local system.
	Options:
		-v	verbose: also add \"listnodes -v\" output
listnodes [<option>]
	List the nodes in the cluster.
	Options:
		-p	list only 'ping' type nodes
		-n	list only 'normal' type nodes
		-v	verbose: also list type and status,
			then add \"listhblinks -v\" output
listhblinks <node-name>
	List the network interfaces used as hearbeat links.
	Options:
		-v	verbose: list link status as well
nodestatus <node-name>
	List the node status.
nodeweight <node-name>
	List the node weight.
nodesite <node-name>
	List the node site.
nodetype <node-name>
	List the nodes of a given type.
rscstatus
	Show the status of cluster resources.
hbparameter -p <parameter-name>
	Retrieve the value of a cluster parameter.
	As for the valid parameter names, please refer to the man page.
";

/// Carries out the words after the name.
pub(super) fn main(words: &[&str]) -> Answer {
    if words.is_empty() {
        return Answer::says(USAGE);
    }
    let status = super::status(&super::runtime_dir());
    answer(words, status.as_deref().ok())
}

/// The options before the parameters.
#[derive(Default)]
struct Flags {
    human: bool,
    verbose: bool,
    pings: bool,
    normal: bool,
}

/// What is said of `status`, which is `None` where no daemon answers.
fn answer(words: &[&str], status: Option<&Status>) -> Answer {
    let Some((&command, rest)) = words.split_first() else { return Answer::says(USAGE) };
    const KNOWN: [&str; 10] = [
        "clientstatus",
        "hblinkstatus",
        "hbstatus",
        "listnodes",
        "listhblinks",
        "nodestatus",
        "nodeweight",
        "nodesite",
        "nodetype",
        "rscstatus",
    ];
    if !KNOWN.contains(&command) && command != "hbparameter" {
        return Answer::fails(WRONG, format!("cl_status: ERROR: {command}: invalid sub-command.\n"));
    }
    let cluster = status.and_then(|status| status.cluster.as_ref());
    let Some((status, cluster)) = status.zip(cluster) else {
        return match command {
            "hbstatus" => Answer { status: 1, ..Answer::says("Heartbeat is stopped on this machine.\n") },
            _ => Answer::fails(1, "cl_status: ERROR: Cannot signon with heartbeat\n"),
        };
    };
    if command == "hbparameter" {
        return parameter(rest, cluster);
    }
    let (flags, parameters) = flags(rest);
    match (command, parameters.as_slice()) {
        ("hbstatus", _) if flags.verbose => Answer::says(format!(
            "version:\tevenkeel {}\nmanaged by:\t\"haresources\"\n{}",
            status.version,
            every_node(cluster)
        )),
        ("hbstatus", _) => Answer::says("Heartbeat is running on this machine.\n"),
        ("listnodes", _) => Answer::says(list(cluster, &flags)),
        ("rscstatus", _) if flags.human => Answer::says(format!("This node is holding {} resources.\n", cluster.holds)),
        ("rscstatus", _) => Answer::says(format!("{}\n", cluster.holds)),
        (_, []) | ("hblinkstatus" | "clientstatus", [_]) => Answer::fails(WRONG, "Not enough parameters.\n"),
        (command, [name, rest @ ..]) => match find(cluster, name) {
            Some(node) => about(command, node, rest, &flags),
            None => Answer { status: WRONG, ..Answer::says("Error. May be due to incorrect node name\n") },
        },
    }
}

fn flags<'a>(words: &[&'a str]) -> (Flags, Vec<&'a str>) {
    let mut flags = Flags::default();
    let mut parameters = Vec::new();
    for &word in words {
        match word {
            "-m" => flags.human = true,
            "-v" => flags.verbose = true,
            "-p" => flags.pings = true,
            "-n" => flags.normal = true,
            other => parameters.push(other),
        }
    }
    (flags, parameters)
}

/// As there: the last of ha.cf first.
fn nodes(cluster: &ClusterStatus) -> impl Iterator<Item = (&NodeStatus, &'static str)> {
    let pings = cluster.pings.iter().rev().map(|node| (node, "ping"));
    pings.chain(cluster.nodes.iter().rev().map(|node| (node, "normal")))
}

fn find<'a>(cluster: &'a ClusterStatus, name: &str) -> Option<(&'a NodeStatus, &'static str)> {
    nodes(cluster).find(|(node, _)| node.name == name)
}

fn list(cluster: &ClusterStatus, flags: &Flags) -> String {
    if flags.verbose {
        return every_node(cluster);
    }
    let mut text = if flags.human { "The nodes are as follow:\n".to_owned() } else { String::new() };
    let wanted = |kind: &str| match (flags.pings, flags.normal) {
        (true, _) => kind == "ping",
        (_, true) => kind == "normal",
        _ => true,
    };
    for (node, _) in nodes(cluster).filter(|(_, kind)| wanted(kind)) {
        let _ = writeln!(text, "{}", node.name);
    }
    text
}

fn every_node(cluster: &ClusterStatus) -> String {
    let mut text = String::new();
    for (node, kind) in nodes(cluster) {
        let _ = writeln!(text, "\n{}\t{}\t(nodetype: {kind})", node.name, node.state);
        for (link, state) in links(node) {
            let _ = writeln!(text, "\t{link}\t{state}");
        }
    }
    text
}

/// The link of a ping node is itself.
fn links(node: &NodeStatus) -> Vec<(&str, &str)> {
    if matches!(node.state.as_str(), "ping") || node.links.is_empty() && node.version.is_none() && is_address(node) {
        let state = if node.state == "ping" { "up" } else { "dead" };
        return vec![(node.name.as_str(), state)];
    }
    let mut links: Vec<(&str, &str)> =
        node.links.iter().map(|link| (link.name.as_str(), link.state.as_str())).collect();
    links.sort_unstable();
    links.dedup_by_key(|(name, _)| *name);
    links
}

fn is_address(node: &NodeStatus) -> bool {
    node.name.parse::<std::net::IpAddr>().is_ok()
}

fn about(command: &str, (node, kind): (&NodeStatus, &str), rest: &[&str], flags: &Flags) -> Answer {
    let NodeStatus { name, state, .. } = node;
    match command {
        "nodestatus" if flags.human => Answer::says(format!("The cluster node {name} is {state}\n")),
        "nodestatus" => Answer::says(format!("{state}\n")),
        "nodetype" if flags.human => Answer::says(format!("The node {name}'s type: {kind}\n")),
        "nodetype" => Answer::says(format!("{kind}\n")),
        // What a node has where no file says otherwise; evenkeel has no file that does.
        "nodeweight" => Answer::says("100\n"),
        "nodesite" => Answer::says("\n"),
        "clientstatus" => Answer { status: 1, ..Answer::says("offline\n") },
        "listhblinks" => {
            let head = if flags.human { "\tthis node has the following heartbeat links:\n" } else { "" };
            let line = |(link, state): &(&str, &str)| {
                if flags.verbose { format!("\t{link}\t{state}\n") } else { format!("\t{link}\n") }
            };
            Answer::says(head.to_owned() + &links(node).iter().map(line).collect::<String>())
        }
        _ => {
            let wanted = rest.first().copied().unwrap_or_default();
            match links(node).iter().find(|(link, _)| *link == wanted) {
                Some((link, state)) if flags.human => {
                    Answer::says(format!("The node {name}'s heartbeat link {link} is {state}\n"))
                }
                Some((_, state)) => Answer::says(format!("{state}\n")),
                None => Answer::fails(NO_LINK, "cl_status: ERROR: Cannot get heartbeat link status\n"),
            }
        }
    }
}

fn parameter(words: &[&str], cluster: &ClusterStatus) -> Answer {
    let name = words.iter().position(|word| *word == "-p").and_then(|at| words.get(at + 1));
    let Some(name) = name else { return Answer::fails(WRONG, "Not enough parameters.\n") };
    match cluster.parameters.get(*name) {
        Some(value) => Answer::says(format!("{value}\n")),
        None => Answer::fails(WRONG, format!("cl_status: ERROR: there is no parameter {name}\n")),
    }
}

#[cfg(test)]
mod tests;
