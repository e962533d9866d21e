//! Fences a node: by cluster-glue's `stonith`, by its external plugins, or by a fence agent.
//!
//! Only what a device says itself counts: that it is done means that the node is off or was reset. A device that does not
//! list a node is not asked to fence it.

use crate::{
    child::{Call, Ended, How, plain, run},
    external,
    places::{Places, is_program},
};
use evenkeel_model::heartbeat::{Fence, FenceAgent, NodeName};
use std::{path::PathBuf, time::Duration};

/// Fences `node` by the first of `devices` that can. Tells by what; else what each of them said, as one line. Each device
/// takes no longer than it may; dropped earlier, what runs is killed.
pub async fn fence(devices: &[Fence], node: &NodeName, places: &Places) -> Result<String, String> {
    let mut failures = Vec::new();
    for device in devices.iter().filter(|device| fits(device, node)) {
        let name = name(&device.agent);
        match attempt(device, node, places).await {
            Ok(()) => return Ok(name),
            Err(why) => failures.push(format!("{name}: {why}")),
        }
    }
    if failures.is_empty() { Err(format!("no fence device is for {node}")) } else { Err(failures.join("; ")) }
}

/// Whether a device is for that node.
pub fn fits(device: &Fence, node: &NodeName) -> bool {
    device.nodes.is_empty() || device.nodes.contains(node)
}

/// `external/ssh`
fn name(agent: &FenceAgent) -> String {
    match agent {
        FenceAgent::Stonith { kind, .. } => kind.clone(),
        FenceAgent::Agent { program, .. } => program.rsplit('/').next().unwrap_or_default().to_owned(),
    }
}

async fn attempt(device: &Fence, node: &NodeName, places: &Places) -> Result<(), String> {
    let stops = device.nodes.is_empty();
    match &device.agent {
        FenceAgent::Stonith { kind, parameters, file } => {
            let plugin = kind.strip_prefix("external/").map(|_| places.external.join(kind));
            match plugin.filter(|path| is_program(path)) {
                Some(plugin) => {
                    external::Plugin::prepare(plugin, parameters, file.as_deref(), device.within, places)
                        .await?
                        .reset(node, stops)
                        .await
                }
                None => stonith(device, node, stops, places).await,
            }
        }
        FenceAgent::Agent { program, parameters } => {
            let ended = run(&agent(program, parameters, node, places)?, device.within).await;
            match ended.how {
                How::Status(0) => Ok(()),
                _ => Err(late(&ended, device.within).unwrap_or_else(|| ended.reason(complaint(&ended)))),
            }
        }
    }
}

/// `stonith -t TYPE -p "PARAMETERS" -T reset NODE`; with `NAME=VALUE` each in place of `-p` where they have names.
async fn stonith(device: &Fence, node: &NodeName, ask: bool, places: &Places) -> Result<(), String> {
    let FenceAgent::Stonith { kind, parameters, file } = &device.agent else { return Ok(()) };
    let program = places.program("stonith")?;
    let mut first = vec!["-t".to_owned(), kind.clone()];
    match file {
        Some(file) => first.extend(["-F".to_owned(), file.display().to_string()]),
        None if !parameters.is_empty() && parameters.iter().all(|one| external::pair(one).is_some()) => {
            first.extend(parameters.iter().cloned());
        }
        None => first.extend(["-p".to_owned(), parameters.join(" ")]),
    }
    let call = |more: &[&str]| {
        let more = more.iter().map(|word| (*word).to_owned());
        command(program.clone(), first.iter().cloned().chain(more).collect(), String::new(), places)
    };
    if ask {
        let ended = run(&call(&["-l"]), device.within).await;
        if ended.how != How::Status(0) {
            return Err(format!("it does not list its nodes: {}", stonith_reason(&ended, device.within)));
        }
        listed(&ended.stdout, node)?;
    }
    let ended = run(&call(&["-T", "reset", node.as_str()]), device.within).await;
    if ended.how == How::Status(0) { Ok(()) } else { Err(stonith_reason(&ended, device.within)) }
}

/// A device that lists nodes must list this one; names are compared as heartbeat does, whatever their case.
pub(crate) fn listed(text: &str, node: &NodeName) -> Result<(), String> {
    let nodes: Vec<&str> = text.split_whitespace().collect();
    if nodes.iter().any(|known| known.eq_ignore_ascii_case(node.as_str())) {
        return Ok(());
    }
    Err(format!(
        "it is for {}, not for {node}",
        if nodes.is_empty() { "no node".into() } else { plain(&nodes.join(" ")) }
    ))
}

/// Exit statuses of `stonith`: the error numbers of cluster-glue's stonith.h.
fn stonith_reason(ended: &Ended, within: Duration) -> String {
    if let Some(late) = late(ended, within) {
        return late;
    }
    let name = match ended.how {
        How::Status(1) => "wrong parameters",
        How::Status(2) => "it refused the login, or is not reached",
        How::Status(3) => "it cannot do this",
        How::Status(4) => "it does not know the node",
        How::Status(5) => "the reset failed",
        How::Status(6) => "it did not answer in time",
        How::Status(7) => "the node's outlet is off",
        How::Status(8) => "there is no such device type, or it does not work",
        How::Status(_) | How::Signal(_) | How::Late | How::NotRun(_) => return ended.reason(ended.last_line()),
    };
    format!("{name} ({})", ended.reason(ended.last_line()))
}

pub(crate) fn late(ended: &Ended, within: Duration) -> Option<String> {
    (ended.how == How::Late).then(|| format!("it did not end within {} s and was killed", within.as_secs_f64()))
}

/// Fence agents (FenceAgentAPI): `name=value` lines on the standard input.
fn agent(program: &str, parameters: &[(String, String)], node: &NodeName, places: &Places) -> Result<Call, String> {
    let program = places.program(program)?;
    let given = |names: &[&str]| parameters.iter().any(|(name, _)| names.contains(&name.as_str()));
    let mut input: String = parameters.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
    if !given(&["action"]) {
        input.push_str("action=reboot\n");
    }
    // Which outlet or machine it is; as its name where nothing is said, as Pacemaker has it. Agents that have no use for
    // it pass over it.
    if !given(&["plug", "port"]) {
        input.push_str(&format!("plug={node}\n"));
    }
    input.push_str(&format!("nodename={node}\n"));
    Ok(command(program, Vec::new(), input, places))
}

/// What a fence agent complains of: the first line that says ERROR, else the last.
fn complaint(ended: &Ended) -> Option<String> {
    let mut lines = ended.stderr.lines();
    let error = lines.find_map(|line| line.split_once("ERROR:").map(|(_, what)| plain(what)));
    error.or_else(|| ended.last_line())
}

pub(crate) fn command(program: PathBuf, arguments: Vec<String>, input: String, places: &Places) -> Call {
    Call {
        program,
        arguments,
        environment: places.environment.clone(),
        path: places.path(),
        input,
        ids: None,
        leaves: false,
    }
}
