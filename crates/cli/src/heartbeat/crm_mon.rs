//! crm_mon: who is online, and where resources are, in the form of the clusters that followed heartbeat's own.

use super::Answer;
use evenkeel_api::{ClusterStatus, GroupStatus, Status};
use evenkeel_os::LocalTime;
use std::{
    fmt::Write,
    io::IsTerminal,
    process::ExitCode,
    thread,
    time::{Duration, SystemTime},
};

/// Where no cluster runs, as there: ENOTCONN.
const NOT_CONNECTED: u8 = 107;
/// Between two looks of the live form.
const EVERY: Duration = Duration::from_secs(1);

pub(super) fn main(words: &[&str]) -> ExitCode {
    let mut once = !std::io::stdout().is_terminal();
    let mut by_node = false;
    let mut inactive = false;
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        match word {
            "-1" | "--one-shot" | "-s" | "--simple-status" => once = true,
            "-n" | "--group-by-node" => by_node = true,
            "-r" | "--inactive" => inactive = true,
            "-i" | "--interval" => drop(words.next()),
            // What there is to say of failures and operations is said anyway.
            "-f" | "--failcounts" | "-o" | "--operations" | "-t" | "--timing-details" | "-A" => {}
            other => return Answer::fails(2, format!("crm_mon: {other} is not taken; -1, -n, -r and -f are\n")).give(),
        }
    }
    loop {
        let picture = match super::status(&super::runtime_dir()) {
            Ok(status) => match &status.cluster {
                Some(cluster) => Ok(render(&status, cluster, &now(), by_node, inactive)),
                None => Err("crm_mon: the files of the running daemon name no cluster\n".to_owned()),
            },
            Err(trouble) => Err(format!("Attempting connection to the cluster...\ncrm_mon: {}\n", trouble.text)),
        };
        if once {
            return picture.map_or_else(|why| Answer::fails(NOT_CONNECTED, why), Answer::says).give();
        }
        let text = picture.unwrap_or_else(|why| why);
        if crate::print(&format!("\x1b[H\x1b[2J{text}")).is_err() {
            return ExitCode::FAILURE;
        }
        thread::sleep(EVERY);
    }
}

/// `Sat Nov 21 00:27:10 2026`.
fn now() -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let time = LocalTime::of(since.as_secs());
    let day = DAYS.get(usize::from(time.weekday)).unwrap_or(&"");
    let month = MONTHS.get(usize::from(time.month.saturating_sub(1))).unwrap_or(&"");
    let LocalTime { day: date, hour, minute, second, year, .. } = time;
    format!("{day} {month} {date:2} {hour:02}:{minute:02}:{second:02} {year}")
}

fn render(status: &Status, cluster: &ClusterStatus, now: &str, by_node: bool, inactive: bool) -> String {
    let online = |wanted: bool| {
        let names = cluster.nodes.iter().filter(|node| (node.state == "active") == wanted);
        names.map(|node| node.name.as_str()).collect::<Vec<_>>().join(" ")
    };
    let count: usize = cluster.groups.iter().map(|group| group.resources.len()).sum();
    let mut text = format!(
        "============\nLast updated: {now}\nStack: Heartbeat\nCurrent DC: {} - partition with quorum\nVersion: evenkeel {}\n{} \
         Nodes configured, unknown expected votes\n{count} Resources configured.\n============\n\n",
        status.node,
        status.version,
        cluster.nodes.len(),
    );
    if by_node {
        for node in &cluster.nodes {
            let state = if node.state == "active" { "online" } else { "OFFLINE" };
            let _ = writeln!(text, "Node {}: {state}", node.name);
            for group in cluster.groups.iter().filter(|group| group.owner.as_ref() == Some(&node.name)) {
                for resource in &group.resources {
                    let _ = writeln!(text, "\t{}\t({})\tStarted", resource.name, resource.agent);
                }
            }
        }
    } else {
        for (title, wanted) in [("Online", true), ("OFFLINE", false)] {
            let names = online(wanted);
            if !names.is_empty() {
                let _ = writeln!(text, "{title}: [ {names} ]");
            }
        }
        text.push('\n');
    }
    let left = cluster.groups.iter().filter(|group| group.owner.is_none() || !by_node);
    left.filter(|group| group.owner.is_some() || inactive || group.state == "failed").for_each(|group| {
        let _ = write!(text, "{}", of_group(group));
    });
    text
}

fn of_group(group: &GroupStatus) -> String {
    let mut text = format!(" Resource Group: {}\n", group.name);
    for resource in &group.resources {
        let state = match (&group.owner, resource.state.as_str()) {
            (_, "failed") => "FAILED".to_owned(),
            (Some(owner), _) => format!("Started {owner}"),
            (None, _) => "Stopped".to_owned(),
        };
        let _ = writeln!(text, "     {}\t({}):\t{state}", resource.name, resource.agent);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use evenkeel_api::{NodeStatus, ResourceStatus};

    fn picture(by_node: bool, inactive: bool) -> String {
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
        let status = Status { node: "ha1".to_owned(), version: "0.1.0".to_owned(), ..Status::default() };
        render(&status, &cluster, "Sat Nov 21 00:27:10 2026", by_node, inactive)
    }

    const HEAD: &str = "============\nLast updated: Sat Nov 21 00:27:10 2026\nStack: Heartbeat\nCurrent DC: ha1 - partition \
                        with quorum\nVersion: evenkeel 0.1.0\n2 Nodes configured, unknown expected votes\n3 Resources \
                        configured.\n============\n\n";

    #[test]
    fn it_shows_who_is_online_and_where_resources_are() {
        let body = "Online: [ ha1 ]\nOFFLINE: [ ha2 ]\n\n Resource Group: 10.168.0.160/24/eth0\n     \
                    10.168.0.160/24/eth0\t(ocf::heartbeat:IPaddr2):\tStarted ha1\n     nginx\t(lsb:nginx):\tStarted ha1\n";
        assert_eq!(picture(false, false), format!("{HEAD}{body}"));
        let stopped = " Resource Group: 10.168.0.170\n     10.168.0.170\t(ocf::heartbeat:IPaddr2):\tStopped\n";
        assert_eq!(picture(false, true), format!("{HEAD}{body}{stopped}"));
    }

    #[test]
    fn it_shows_them_by_node() {
        let body = "Node ha1: online\n\t10.168.0.160/24/eth0\t(ocf::heartbeat:IPaddr2)\tStarted\n\tnginx\t(lsb:nginx)\t\
                    Started\nNode ha2: OFFLINE\n";
        assert_eq!(picture(true, false), format!("{HEAD}{body}"));
    }
}
