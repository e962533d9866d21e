//! crm_mon: who is online, and where resources are, in the form of the clusters that followed heartbeat's own.

use super::Answer;
use crate::{exit::Trouble, live::Live};
use evenkeel_api::{ClusterStatus, GroupStatus, NodeStatus, Status};
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
/// The same in one line for a monitoring system: critical.
const CRITICAL: u8 = 2;
/// A node is missing, in one line for a monitoring system.
const WARNING: u8 = 1;
/// Of an option that is not taken.
const USAGE: u8 = 2;
/// Between two looks of the live form, where `-i` says nothing.
const EVERY: Duration = Duration::from_secs(1);
/// The longest that `-i` may ask for.
const LONGEST: Duration = Duration::from_secs(3600);

const HELP: &str = "crm_mon - a summary of the cluster's state

Usage: crm_mon [options]
 -?, --help             this text
 -$, --version          version of evenkeel
 -s, --simple-status    one line for a monitoring system; exit status 0, 1 (a node is missing), 2 (no cluster)
 -1, --one-shot         print the state once and end
 -n, --group-by-node    resources by the node that has them
 -r, --inactive         resources that are stopped too
 -D, --hide-headers     without what is above the nodes
 -f, --failcounts       what has failed; it is shown anyway
 -o, --operations       \" \"
 -t, --timing-details   \" \"
 -i, --interval=value   seconds between two looks, else 1
 -N, --disable-ncurses  one picture below the other
The same and more, with its reasons: evenkeel status, evenkeel status --watch, evenkeel status --json.
";

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Live { every: Duration, scrolls: bool },
    Once,
    OneLine,
    Help,
    Version,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    mode: Mode,
    shown: Shown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Shown {
    by_node: bool,
    inactive: bool,
    no_head: bool,
}

/// Options in one word or several, short or long, as getopt takes them.
fn parse(words: &[&str], terminal: bool) -> Result<Call, String> {
    let mut shown = Shown::default();
    let (mut every, mut scrolls) = (EVERY, false);
    let mut fixed = None;
    let mut words = words.iter();
    while let Some(&word) = words.next() {
        let (letters, mut value) = options(word)?;
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            match letter {
                '1' => fixed = fixed.or(Some(Mode::Once)),
                's' => fixed = Some(Mode::OneLine),
                '?' => fixed = Some(Mode::Help),
                '$' => fixed = Some(Mode::Version),
                'n' => shown.by_node = true,
                'r' => shown.inactive = true,
                'D' => shown.no_head = true,
                'N' => scrolls = true,
                'i' => {
                    let glued = Some(letters.as_str()).filter(|rest| !rest.is_empty());
                    let wanted = value.take().or(glued).or_else(|| words.next().copied());
                    every = seconds(wanted.ok_or("crm_mon: option requires an argument -- 'i'\n")?)?;
                    break;
                }
                // Less or more to say of failures, operations and attributes than is said anyway.
                'f' | 'o' | 't' | 'A' | 'c' | 'b' | 'R' | 'j' | 'L' | 'V' | 'Q' => {}
                'h' | 'w' | 'X' => {
                    return Err(format!("crm_mon: -{letter} is not taken: `evenkeel status --json` is for programs\n"));
                }
                'd' | 'p' | 'S' | 'T' | 'F' | 'H' | 'P' | 'E' | 'e' | 'W' => {
                    let instead = "scripts in rc.d beside ha.cf are told of what happens";
                    return Err(format!("crm_mon: -{letter} is not taken: {instead}\n"));
                }
                other => return Err(format!("crm_mon: invalid option -- '{other}'\n{HELP}")),
            }
        }
    }
    let live = if terminal { Mode::Live { every, scrolls } } else { Mode::Once };
    Ok(Call { mode: fixed.unwrap_or(live), shown })
}

/// The letters of a word, or the one that stands for a long option, and the value behind its `=`.
fn options(word: &str) -> Result<(&str, Option<&str>), String> {
    const LONG: [(&str, &str); 31] = [
        ("help", "?"),
        ("version", "$"),
        ("verbose", "V"),
        ("quiet", "Q"),
        ("as-html", "h"),
        ("as-xml", "X"),
        ("web-cgi", "w"),
        ("simple-status", "s"),
        ("snmp-traps", "S"),
        ("mail-to", "T"),
        ("mail-from", "F"),
        ("mail-host", "H"),
        ("mail-prefix", "P"),
        ("group-by-node", "n"),
        ("inactive", "r"),
        ("failcounts", "f"),
        ("operations", "o"),
        ("timing-details", "t"),
        ("tickets", "c"),
        ("watch-fencing", "W"),
        ("neg-locations", "L"),
        ("show-node-attributes", "A"),
        ("hide-headers", "D"),
        ("show-detail", "R"),
        ("brief", "b"),
        ("interval", "i"),
        ("one-shot", "1"),
        ("disable-ncurses", "N"),
        ("daemonize", "d"),
        ("pid-file", "p"),
        ("external-agent", "E"),
    ];
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        let letter = LONG.iter().find(|(known, _)| *known == name).map(|(_, letter)| *letter);
        return letter
            .map(|letter| (letter, value))
            .ok_or_else(|| format!("crm_mon: unrecognized option '{word}'\n{HELP}"));
    }
    match word.strip_prefix('-') {
        Some(letters) if !letters.is_empty() => Ok((letters, None)),
        _ => Err(format!("crm_mon: what `{word}` is for is not known\n{HELP}")),
    }
}

/// `5`, `5s` or `500ms`.
fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || format!("crm_mon: {text} is no number of seconds\n");
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, Duration::from_millis(1)),
        None => (text.strip_suffix('s').unwrap_or(text), Duration::from_secs(1)),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let wanted = unit.checked_mul(number).filter(|wanted| !wanted.is_zero()).ok_or_else(wrong)?;
    Ok(wanted.clamp(Duration::from_millis(100), LONGEST))
}

pub(super) fn main(words: &[&str]) -> ExitCode {
    let Call { mode, shown } = match parse(words, std::io::stdout().is_terminal()) {
        Ok(call) => call,
        Err(why) => return Answer::fails(USAGE, why).give(),
    };
    let (every, scrolls) = match mode {
        Mode::Help => return Answer::says(HELP).give(),
        Mode::Version => return Answer::says(format!("evenkeel {}, as crm_mon\n", crate::VERSION)).give(),
        Mode::OneLine => return one_line(look().as_deref()).give(),
        Mode::Once => return once(look().as_deref(), shown).give(),
        Mode::Live { every, scrolls } => (every, scrolls),
    };
    let text = || match look().as_deref() {
        Ok(status) => picture(status, shown).unwrap_or_else(|| NO_CLUSTER.to_owned()),
        Err(why) => format!("Attempting connection to the cluster...\n{why}\n"),
    };
    if scrolls {
        return scroll(every, text);
    }
    match Live::open() {
        Ok(Some(live)) => show(live, every, text).map_or_else(|trouble| trouble.tell(), |()| ExitCode::SUCCESS),
        // Nobody could end it.
        Ok(None) => once(look().as_deref(), shown).give(),
        Err(trouble) => trouble.tell(),
    }
}

/// Writes it again and again, until nobody reads it.
fn scroll(every: Duration, text: impl Fn() -> String) -> ExitCode {
    while crate::print(&format!("\n{}", text())).is_ok() {
        thread::sleep(every);
    }
    ExitCode::FAILURE
}

/// Shows it again and again, until `q`.
fn show(mut live: Live, every: Duration, text: impl Fn() -> String) -> Result<(), Trouble> {
    live.show(text())?;
    while live.goes_on(every)? {
        live.show(text())?;
    }
    Ok(())
}

const NO_CLUSTER: &str = "the files of the running daemon name no cluster\n";

fn look() -> Result<Box<Status>, String> {
    super::status(&super::runtime_dir()).map_err(|trouble| trouble.text)
}

fn picture(status: &Status, shown: Shown) -> Option<String> {
    let cluster = status.cluster.as_ref()?;
    Some(render(status, cluster, &now(), shown))
}

fn once(status: Result<&Status, &String>, shown: Shown) -> Answer {
    let why = match status.map(|status| picture(status, shown)) {
        Ok(Some(text)) => return Answer::says(text),
        Ok(None) => NO_CLUSTER.trim_end(),
        Err(why) => why,
    };
    let out = "\nConnection to cluster failed: Transport endpoint is not connected\n".to_owned();
    Answer { out, err: format!("crm_mon: {why}\n"), status: NOT_CONNECTED }
}

/// As monitoring systems take it.
fn one_line(status: Result<&Status, &String>) -> Answer {
    let cluster = status.ok().and_then(|status| status.cluster.as_ref());
    let Some(cluster) = cluster else {
        let why = status.err().map_or(NO_CLUSTER.trim_end(), String::as_str);
        let said = Answer::says(format!("CLUSTER CRIT: Connection to cluster failed: {why}\n"));
        return Answer { status: CRITICAL, ..said };
    };
    let offline =
        cluster.nodes.iter().filter(|node| !is_online(node)).map(|node| format!("offline node: {}", node.name));
    let nowhere = cluster.groups.iter().filter(|group| group.owner.is_none());
    let wrong: Vec<String> = offline.chain(nowhere.map(|group| format!("on no node: {}", group.name))).collect();
    if !wrong.is_empty() {
        return Answer { status: WARNING, ..Answer::says(format!("CLUSTER WARN: {}\n", wrong.join(", "))) };
    }
    let plural = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let resources = cluster.groups.iter().map(|group| group.resources.len()).sum();
    let (nodes, resources) = (plural(cluster.nodes.len(), "node"), plural(resources, "resource"));
    Answer::says(format!("CLUSTER OK: {nodes} online, {resources} configured\n"))
}

fn is_online(node: &NodeStatus) -> bool {
    node.state == "active"
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

fn head(status: &Status, cluster: &ClusterStatus, now: &str) -> String {
    // A group is one of them.
    format!(
        "============\nLast updated: {now}\nStack: Heartbeat\nCurrent DC: {} - partition with quorum\nVersion: evenkeel {}\n{} \
         Nodes configured, unknown expected votes\n{} Resources configured.\n============\n\n",
        status.node,
        status.version,
        cluster.nodes.len(),
        cluster.groups.len(),
    )
}

fn render(status: &Status, cluster: &ClusterStatus, now: &str, shown: Shown) -> String {
    let mut text = if shown.no_head { String::new() } else { head(status, cluster, now) };
    if shown.by_node {
        for node in &cluster.nodes {
            let state = if is_online(node) { "online" } else { "OFFLINE" };
            let _ = writeln!(text, "Node {}: {state}", node.name);
            for group in cluster.groups.iter().filter(|group| group.owner.as_ref() == Some(&node.name)) {
                for resource in &group.resources {
                    let _ = writeln!(text, "\t{}\t({})\tStarted", resource.name, resource.agent);
                }
            }
        }
    } else {
        for (title, wanted) in [("Online", true), ("OFFLINE", false)] {
            let names = cluster.nodes.iter().filter(|node| is_online(node) == wanted);
            let names: Vec<&str> = names.map(|node| node.name.as_str()).collect();
            if !names.is_empty() {
                let _ = writeln!(text, "{title}: [ {} ]", names.join(" "));
            }
        }
    }
    text.push_str(match (shown.by_node, shown.inactive) {
        (false, true) => "\nFull list of resources:\n\n",
        (true, true) => "\nInactive resources:\n\n",
        (false, false) => "\n",
        (true, false) => "",
    });
    let wanted = |group: &&GroupStatus| match group.owner {
        Some(_) => !shown.by_node,
        None => shown.inactive || group.state == "failed",
    };
    cluster.groups.iter().filter(wanted).for_each(|group| text.push_str(&of_group(group)));
    text + &failures(status, cluster)
}

/// What failed on this node, and why.
fn failures(status: &Status, cluster: &ClusterStatus) -> String {
    let failed = cluster.groups.iter().filter(|group| group.state == "failed");
    let lines: Vec<String> = failed
        .map(|group| {
            let resource = group.resources.iter().find(|resource| resource.state == "failed");
            let name = resource.map_or(group.name.as_str(), |resource| resource.name.as_str());
            let said = resource.map(|resource| resource.reason.as_str()).filter(|reason| !reason.is_empty());
            format!("    {name} (node={}): {}\n", status.node, said.unwrap_or(&group.reason))
        })
        .collect();
    if lines.is_empty() { String::new() } else { format!("\nFailed actions:\n{}", lines.concat()) }
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
mod tests;
