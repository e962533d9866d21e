//! `status`: is it serving, what is down and why, since when.

mod bfd;
mod cluster;
mod table;
#[cfg(test)]
mod tests;

use crate::{args::StatusArgs, client::Client, exit::Trouble, live::Live, print, terminal};
use evenkeel_api::{ClusterStatus, GroupStatus, Reply, Request, ServerState, ServiceStatus, Status, count};
use std::{path::Path, process::ExitCode, sync::mpsc, thread, time::Duration};

/// Between two looks of `--watch`.
const EVERY_MS: u64 = 1000;
/// How late a picture may be because keys are waited for.
const KEYS: Duration = Duration::from_millis(50);

pub(crate) fn status(runtime_dir: &Path, arguments: &StatusArgs) -> Result<ExitCode, Trouble> {
    let mut client = Client::connect(runtime_dir)?;
    if arguments.watch {
        return watch(client, arguments.json);
    }
    let reply = client.ask(&Request::Status { service: arguments.service.clone() })?;
    let Reply::Status(status) = reply else { return Err(Trouble::other_answer("status")) };
    if arguments.brief {
        let (line, code) = brief(&status);
        print(&format!("{line}\n"))?;
        return Ok(ExitCode::from(code));
    }
    print(&if arguments.json {
        json(&status)?
    } else {
        table::render(&status, None, arguments.service.is_some(), terminal::stdout_colour())
    })
}

/// The same again every second, with rates, until `q`; ends with the daemon.
fn watch(mut client: Client, as_json: bool) -> Result<ExitCode, Trouble> {
    client.wait_forever()?;
    client.send(&Request::Watch { events: false, status_every_ms: Some(EVERY_MS) })?;
    let mut live = if as_json { None } else { Live::open()? };
    let replies = in_background(client);
    let mut before: Option<Status> = None;
    while let Some(reply) = next(&replies, live.as_mut())? {
        let reply = match reply? {
            Some(Reply::Status(status)) => status,
            Some(_) => continue,
            None => {
                drop(live);
                eprintln!("the daemon has ended");
                return Ok(ExitCode::SUCCESS);
            }
        };
        let picture = || table::render(&reply, before.as_ref(), false, terminal::stdout_colour());
        match &mut live {
            Some(live) => live.show(picture())?,
            None => drop(print(&if as_json { json(&reply)? } else { picture() })?),
        }
        before = Some(*reply);
    }
    Ok(ExitCode::SUCCESS)
}

/// What the daemon says, or why nothing more is heard of it; `None`: it has ended.
type Heard = Result<Option<Reply>, Trouble>;

/// What the daemon says, read by a thread: keys are to be taken meanwhile.
fn in_background(mut client: Client) -> mpsc::Receiver<Heard> {
    let (tell, replies) = mpsc::sync_channel(1);
    thread::spawn(move || {
        loop {
            let reply = client.next();
            let is_last = !matches!(reply, Ok(Some(_)));
            if tell.send(reply).is_err() || is_last {
                return;
            }
        }
    });
    replies
}

/// The next that is heard; `None` when a key ends it before.
fn next(replies: &mpsc::Receiver<Heard>, live: Option<&mut Live>) -> Result<Option<Heard>, Trouble> {
    let Some(live) = live else { return Ok(replies.recv().ok()) };
    loop {
        match replies.try_recv() {
            Ok(reply) => return Ok(Some(reply)),
            Err(mpsc::TryRecvError::Empty) if live.goes_on(KEYS)? => {}
            Err(_) => return Ok(None),
        }
    }
}

fn json(status: &Status) -> Result<String, Trouble> {
    let text = serde_json::to_string(status).map_err(|e| Trouble::failed(format!("cannot write the status: {e}")))?;
    Ok(text + "\n")
}

/// How a service is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Health {
    /// Every real server that is meant to serve does.
    #[default]
    Fine,
    /// Some do not.
    Degraded,
    /// None does.
    Down,
}

fn health(service: &ServiceStatus) -> Health {
    let meant = |s: &&evenkeel_api::RealServerStatus| {
        !matches!(s.state, ServerState::Drained | ServerState::Disabled) && s.full_weight > 0
    };
    let serving = service.real_servers.iter().filter(|s| s.state == ServerState::Up && s.weight > 0).count();
    let wanted = service.real_servers.iter().filter(meant).count();
    let unreachable = service.real_servers.iter().any(|s| meant(&s) && s.unreachable);
    if service.disabled {
        Health::Fine
    } else if serving == 0 {
        Health::Down
    } else if serving < wanted || unreachable {
        Health::Degraded
    } else {
        Health::Fine
    }
}

/// One line and an exit status, as Nagios and its kin want them.
fn brief(status: &Status) -> (String, u8) {
    let faults: Vec<&str> = status.ha.iter().filter(|g| g.state == "fault").map(|g| g.name.as_str()).collect();
    let least = if faults.is_empty() { Health::Fine } else { Health::Degraded };
    let (cluster, of_cluster) = status.cluster.as_ref().map(cluster_health).unwrap_or_default();
    let faults = if faults.is_empty() { String::new() } else { format!("; VRRP fault: {}", faults.join(", ")) };
    let worst = status.services.iter().map(health).max().unwrap_or_default().max(least).max(of_cluster);
    let named = |wanted: Health| {
        let names = status.services.iter().filter(|s| health(s) == wanted).map(|s| s.name.as_str());
        let mut names: Vec<&str> = names.collect();
        let more = names.len().saturating_sub(5);
        names.truncate(5);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", names.join(", "))
    };
    let servers: Vec<_> = status.services.iter().flat_map(|s| &s.real_servers).collect();
    let up = servers.iter().filter(|s| s.state == ServerState::Up).count();
    let refused = if status.config.error.is_some() { "; config NOT TAKEN" } else { "" };
    let sum = format!(
        "{}, {up}/{} up{cluster}{refused}{faults}",
        count(status.services.len(), "service"),
        count(servers.len(), "real server")
    );
    match worst {
        Health::Fine if status.config.error.is_some() => (format!("WARNING: {sum}"), 1),
        Health::Fine => (format!("OK: {sum}"), 0),
        Health::Degraded if named(Health::Degraded).is_empty() => (format!("WARNING: {sum}"), 1),
        Health::Degraded => (format!("WARNING: {sum}; degraded: {}", named(Health::Degraded)), 1),
        Health::Down if named(Health::Down).is_empty() => (format!("CRITICAL: {sum}"), 2),
        Health::Down => (format!("CRITICAL: {sum}; down: {}", named(Health::Down)), 2),
    }
}

/// How a heartbeat cluster is: nobody has a group, or a node is missing or cannot run one.
fn cluster_health(cluster: &ClusterStatus) -> (String, Health) {
    let names = |groups: &mut dyn Iterator<Item = &GroupStatus>, what: &str| {
        let names: Vec<&str> = groups.map(|group| group.name.as_str()).collect();
        if names.is_empty() { String::new() } else { format!("; {what}: {}", names.join(", ")) }
    };
    let nowhere = names(&mut cluster.groups.iter().filter(|group| group.owner.is_none()), "on no node");
    let failed = names(&mut cluster.groups.iter().filter(|group| group.state == "failed"), "failed here");
    let active = cluster.nodes.iter().filter(|node| node.state == "active").count();
    let missing = active < cluster.nodes.len();
    let groups = count(cluster.groups.len(), "group");
    let text = format!(", {active}/{} active, {groups}{nowhere}{failed}", count(cluster.nodes.len(), "node"));
    let health = match (nowhere.is_empty(), failed.is_empty() && !missing) {
        (false, _) => Health::Down,
        (true, false) => Health::Degraded,
        (true, true) => Health::Fine,
    };
    (text, health)
}
