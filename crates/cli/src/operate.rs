//! The commands that are one request each.

use crate::{
    args::{DrainArgs, FailoverArgs, MoveArgs, NewWeight, ServerArg, TargetArg, TargetArgs, WeightArgs},
    client::Client,
    exit::Trouble,
    print,
};
use evenkeel_api::{Reply, Request, Share};
use std::{path::Path, process::ExitCode};

pub(crate) fn reload(runtime_dir: &Path) -> Result<ExitCode, Trouble> {
    // Names are resolved meanwhile, which may take long.
    carry_out(runtime_dir, &Request::Reload {}, true)
}

/// What a reload would change, one line each.
pub(crate) fn diff(runtime_dir: &Path) -> Result<ExitCode, Trouble> {
    let reply = Client::connect(runtime_dir)?.ask_patiently(&Request::Plan {})?;
    let Reply::Plan { lines } = reply else { return Err(Trouble::other_answer("plan")) };
    print(&lines.iter().map(|line| format!("{line}\n")).collect::<String>())?;
    if lines.is_empty() {
        eprintln!("a reload would change nothing");
    }
    Ok(ExitCode::SUCCESS)
}

pub(crate) fn drain(runtime_dir: &Path, arguments: DrainArgs) -> Result<ExitCode, Trouble> {
    let DrainArgs { server: ServerArg { server }, for_s, until_idle, deadline, keep, force } = arguments;
    let waits = until_idle || deadline.is_some();
    if keep > 0 && !waits {
        return Err(Trouble::usage("--keep says what --until-idle or --deadline need not wait for: add one of them"));
    }
    let request = Request::Drain { server, for_s, until_idle, deadline_s: deadline, keep, force };
    carry_out(runtime_dir, &request, waits)
}

pub(crate) fn undrain(runtime_dir: &Path, arguments: ServerArg) -> Result<ExitCode, Trouble> {
    carry_out(runtime_dir, &Request::Undrain { server: arguments.server }, false)
}

pub(crate) fn weight(runtime_dir: &Path, arguments: WeightArgs) -> Result<ExitCode, Trouble> {
    let WeightArgs { server: ServerArg { server }, weight, force } = arguments;
    let weight = match weight {
        NewWeight::Number(number) => Some(number),
        NewWeight::AsInTheFiles => None,
    };
    carry_out(runtime_dir, &Request::Weight { server, weight, force }, false)
}

pub(crate) fn disable(runtime_dir: &Path, arguments: TargetArgs) -> Result<ExitCode, Trouble> {
    let TargetArgs { target: TargetArg { target }, force } = arguments;
    carry_out(runtime_dir, &Request::Disable { target, force }, false)
}

pub(crate) fn enable(runtime_dir: &Path, arguments: TargetArg) -> Result<ExitCode, Trouble> {
    carry_out(runtime_dir, &Request::Enable { target: arguments.target }, false)
}

pub(crate) fn standby(runtime_dir: &Path, arguments: MoveArgs) -> Result<ExitCode, Trouble> {
    let (share, group) = groups(arguments);
    carry_out(runtime_dir, &Request::Standby { share, group, to: None }, true)
}

pub(crate) fn takeover(runtime_dir: &Path, arguments: MoveArgs) -> Result<ExitCode, Trouble> {
    let (share, group) = groups(arguments);
    carry_out(runtime_dir, &Request::Takeover { share, group }, true)
}

pub(crate) fn confirm(runtime_dir: &Path, node: String) -> Result<ExitCode, Trouble> {
    carry_out(runtime_dir, &Request::Confirm { node }, false)
}

/// To another node it is standby, to this one takeover.
pub(crate) fn failover(runtime_dir: &Path, arguments: FailoverArgs) -> Result<ExitCode, Trouble> {
    let FailoverArgs { group, to } = arguments;
    let share = Share::All;
    let here = match &to {
        None => false,
        Some(to) => is_here(runtime_dir, to)?,
    };
    let request = if here { Request::Takeover { share, group } } else { Request::Standby { share, group, to } };
    carry_out(runtime_dir, &request, true)
}

fn is_here(runtime_dir: &Path, node: &str) -> Result<bool, Trouble> {
    let status = crate::heartbeat::status(runtime_dir)?;
    let nodes = status.cluster.iter().flat_map(|cluster| &cluster.nodes);
    let nodes: Vec<&str> = nodes.map(|node| node.name.as_str()).collect();
    let known = nodes.iter().any(|known| known.eq_ignore_ascii_case(node));
    let unknown = || Trouble::usage(format!("there is no node {node}; there are {}", nodes.join(", ")));
    known.then(|| status.node.eq_ignore_ascii_case(node)).ok_or_else(unknown)
}

/// The words of hb_standby and hb_takeover, or a group.
fn groups(MoveArgs { what }: MoveArgs) -> (Share, Option<String>) {
    match what.as_str() {
        "all" => (Share::All, None),
        "local" => (Share::Local, None),
        "foreign" => (Share::Foreign, None),
        _ => (Share::All, Some(what)),
    }
}

fn carry_out(runtime_dir: &Path, request: &Request, patiently: bool) -> Result<ExitCode, Trouble> {
    let mut client = Client::connect(runtime_dir)?;
    let reply = if patiently { client.ask_patiently(request)? } else { client.ask(request)? };
    let Reply::Done { message } = reply else { return Err(Trouble::other_answer(request.name())) };
    eprintln!("{message}");
    Ok(ExitCode::SUCCESS)
}
