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

/// Each sub-command, the letters of its options, and what is said where a parameter is missing.
const COMMANDS: [(&str, &str, &str); 11] = [
    ("clientstatus", "m", NO_PARAMETER),
    ("hblinkstatus", "m", NO_PARAMETER),
    ("hbparameter", "mp:", ""),
    ("hbstatus", "mv", ""),
    ("listhblinks", "mv", NO_PARAMETER),
    ("listnodes", "mnpv", ""),
    ("nodesite", "m", NO_PARAMETERS),
    ("nodestatus", "m", NO_PARAMETERS),
    ("nodetype", "m", NO_PARAMETER),
    ("nodeweight", "m", NO_PARAMETERS),
    ("rscstatus", "m", ""),
];
const NO_PARAMETER: &str = "No enough parameter.\n";
const NO_PARAMETERS: &str = "Not enough parameters.\n";

/// Carries out the words after the name.
pub(super) fn main(words: &[&str]) -> Answer {
    let status = super::status(&super::runtime_dir());
    answer(words, status.as_deref().ok())
}

/// The options of a sub-command.
#[derive(Default)]
struct Flags<'a> {
    human: bool,
    verbose: bool,
    pings: bool,
    normal: bool,
    /// What `-p` of hbparameter names.
    parameter: Option<&'a str>,
}

/// What is said of `status`, which is `None` where no daemon answers.
fn answer(words: &[&str], status: Option<&Status>) -> Answer {
    let (command, rest) = match words.split_first() {
        None | Some((&"-h", _)) => return Answer::says(USAGE),
        Some((&command, rest)) => (command, rest),
    };
    let Some(&(_, letters, missing)) = COMMANDS.iter().find(|(name, ..)| *name == command) else {
        return Answer::fails(WRONG, format!("cl_status: ERROR: {command}: invalid sub-command.\n"));
    };
    let (flags, parameters) = match flags(rest, letters) {
        Ok(read) => read,
        Err(why) => {
            let error = "cl_status: ERROR: Error: getopt returnedcharacter ?.";
            return Answer::fails(WRONG, format!("{command}: {why}\n{error}\n"));
        }
    };
    let cluster = status.and_then(|status| status.cluster.as_ref());
    let Some((status, cluster)) = status.zip(cluster) else {
        return match command {
            "hbstatus" => Answer { status: 1, ..Answer::says("Heartbeat is stopped on this machine.\n") },
            _ => Answer::fails(1, "cl_status: ERROR: Cannot signon with heartbeat\n"),
        };
    };
    match (command, parameters.as_slice()) {
        ("hbparameter", _) => parameter(&flags, cluster),
        ("hbstatus", _) if flags.verbose => Answer::says(format!(
            "version:\tevenkeel {}\nmanaged by:\t\"haresources\"\n{}",
            status.version,
            every_node(cluster)
        )),
        ("hbstatus", _) => Answer::says("Heartbeat is running on this machine.\n"),
        ("listnodes", _) => Answer::says(list(cluster, &flags)),
        ("rscstatus", _) if flags.human => Answer::says(format!("This node is holding {} resources.\n", cluster.holds)),
        ("rscstatus", _) => Answer::says(format!("{}\n", cluster.holds)),
        (_, []) | ("hblinkstatus" | "clientstatus", [_]) => Answer::fails(WRONG, missing),
        (command, [name, rest @ ..]) => match find(cluster, name) {
            Some(node) => about(command, cluster, node, name, rest, &flags),
            None => unknown(command, rest),
        },
    }
}

/// Options anywhere among the parameters, several in one word, as getopt takes them.
fn flags<'a>(words: &[&'a str], letters: &str) -> Result<(Flags<'a>, Vec<&'a str>), String> {
    let mut flags = Flags::default();
    let mut parameters = Vec::new();
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        let Some(options) = word.strip_prefix('-').filter(|options| !options.is_empty()) else {
            parameters.push(word);
            continue;
        };
        for (at, letter) in options.char_indices() {
            match letter {
                _ if letter == ':' || !letters.contains(letter) => return Err(format!("invalid option -- '{letter}'")),
                'm' => flags.human = true,
                'v' => flags.verbose = true,
                'n' => flags.normal = true,
                'p' if letters.contains(':') => {
                    let glued = options.get(at + 1..).filter(|value| !value.is_empty());
                    let value = glued.or_else(|| words.next().copied());
                    flags.parameter = Some(value.ok_or("option requires an argument -- 'p'")?);
                    break;
                }
                _ => flags.pings = true,
            }
        }
    }
    Ok((flags, parameters))
}

/// What is said of a node that there is not.
fn unknown(command: &str, rest: &[&str]) -> Answer {
    match command {
        "listhblinks" => Answer::fails(NO_LINK, "cl_status: ERROR: Cannot start heartbeat link interface walk.\n"),
        "hblinkstatus" => no_link(),
        "clientstatus" => no_client(rest),
        "nodeweight" | "nodesite" => {
            Answer { status: WRONG, ..Answer::says("Error. Maybe due to incorrect node name.\n") }
        }
        _ => Answer { status: WRONG, ..Answer::says("Error. May be due to incorrect node name\n") },
    }
}

fn no_link() -> Answer {
    Answer::fails(NO_LINK, "cl_status: ERROR: Cannot get heartbeat link status\n")
}

fn no_client(rest: &[&str]) -> Answer {
    let client = rest.first().copied().unwrap_or_default();
    Answer::fails(NO_LINK, format!("cl_status: ERROR: Cannot get heartbeat client {client}'s status\n"))
}

/// As there: the last of ha.cf first.
fn nodes(cluster: &ClusterStatus) -> impl Iterator<Item = (&NodeStatus, &'static str)> {
    let pings = cluster.pings.iter().rev().map(|node| (node, "ping"));
    pings.chain(cluster.nodes.iter().rev().map(|node| (node, "normal")))
}

fn find<'a>(cluster: &'a ClusterStatus, name: &str) -> Option<(&'a NodeStatus, &'static str)> {
    nodes(cluster).find(|(node, _)| node.name.eq_ignore_ascii_case(name))
}

fn list(cluster: &ClusterStatus, flags: &Flags<'_>) -> String {
    if flags.verbose {
        return nodes(cluster).filter(|(_, kind)| of_kind(flags, kind)).map(of_node).collect();
    }
    let mut text = if flags.human { "The nodes are as follow:\n".to_owned() } else { String::new() };
    let wanted = |kind: &str| of_kind(flags, kind);
    for (node, _) in nodes(cluster).filter(|(_, kind)| wanted(kind)) {
        let _ = writeln!(text, "{}", node.name);
    }
    text
}

/// Both options, or none, mean all nodes.
fn of_kind(flags: &Flags<'_>, kind: &str) -> bool {
    flags.pings == flags.normal || flags.pings == (kind == "ping")
}

fn every_node(cluster: &ClusterStatus) -> String {
    nodes(cluster).map(of_node).collect()
}

fn of_node((node, kind): (&NodeStatus, &str)) -> String {
    let mut text = format!("\n{}\t{}\t(nodetype: {kind})\n", node.name, node.state);
    for (link, state) in links(node) {
        let _ = writeln!(text, "\t{link}\t{state}");
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

/// `name` is as it was typed, which is what is said again.
fn about(
    command: &str,
    cluster: &ClusterStatus,
    (node, kind): (&NodeStatus, &str),
    name: &str,
    rest: &[&str],
    flags: &Flags<'_>,
) -> Answer {
    let state = node.state.as_str();
    match command {
        "nodestatus" if flags.human => Answer::says(format!("The cluster node {name} is {state}\n")),
        "nodestatus" => Answer::says(format!("{state}\n")),
        "nodetype" if flags.human => Answer::says(format!("The node {name}'s type: {kind}\n")),
        "nodetype" => Answer::says(format!("{kind}\n")),
        // What a node has where no file says otherwise; evenkeel has no file that does.
        "nodeweight" if flags.human => Answer::says(format!("The weight of the cluster node {name} is 100\n")),
        "nodeweight" => Answer::says("100\n"),
        "nodesite" if flags.human => Answer::says(format!("The site of the cluster node {name} is \n")),
        "nodesite" => Answer::says("\n"),
        // The one client there is, built in.
        "clientstatus" if rest.first() == Some(&"ipfail") && cluster.ipfail && state == "active" => {
            Answer::says("online\n")
        }
        "clientstatus" => no_client(rest),
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
                None => no_link(),
            }
        }
    }
}

fn parameter(flags: &Flags<'_>, cluster: &ClusterStatus) -> Answer {
    let Some(name) = flags.parameter else {
        return Answer::fails(WRONG, "cl_status: ERROR: parameter name required\n");
    };
    match cluster.parameters.get(name) {
        Some(value) if flags.human => Answer::says(format!("Heartbeat parameter {name}'s value: {value}\n")),
        Some(value) => Answer::says(format!("{value}\n")),
        None => Answer::fails(1, format!("cl_status: ERROR: Cannot get parameter {name}'s value\n")),
    }
}

#[cfg(test)]
mod tests;
