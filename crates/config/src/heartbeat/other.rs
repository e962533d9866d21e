//! Directives with a form of their own: nodes, programs kept running, fence devices, the environment.

use super::{
    ha::Reader,
    options::FenceLine,
    value::REFUSED,
    words::{Line, within},
};
use crate::{codes, host::shown, nearest::nearest};
use evenkeel_model::{
    Account,
    heartbeat::{Child, Fence, FenceAgent, MOST_NODES, NodeName},
};
use evenkeel_source::{Diagnostic, Spanned};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How long one attempt to fence may take; heartbeat has no bound.
pub(crate) const FENCE_WITHIN: Duration = Duration::from_secs(60);

/// Programs of heartbeat and pacemaker that are nothing without heartbeat's own library.
const OF_THE_LIBRARY: &[&str] = &[
    "ccm",
    "cib",
    "attrd",
    "crmd",
    "pengine",
    "lrmd",
    "stonithd",
    "mgmtd",
    "hbagent",
    "cl_status",
    "dopd",
    "pingd",
    "logd",
    "ha_logd",
    "apphbd",
    "quorumd",
    "evmsd",
    "haclient",
];

pub(super) fn node(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    for word in reader.plain(line) {
        let Some(name) = NodeName::new(word.value) else {
            let message = format!("`{}` cannot be the name of a node", shown(word.value));
            let d = Diagnostic::error(codes::NODE, word.span, message);
            reader.out.push(d.help("write what `uname -n` says on that host"));
            reader.options.broken_nodes += 1;
            continue;
        };
        if word.value.parse::<std::net::IpAddr>().is_ok() {
            let d = Diagnostic::warning(codes::NODE, word.span, format!("no host is called {}", word.value));
            let d = d.note("heartbeat waits for a node of this name in vain");
            reader.out.push(d.help("write what `uname -n` says on that host; its address belongs into a ucast line"));
        }
        let nodes = &mut reader.options.nodes;
        if let Some(first) = nodes.iter().find(|known| known.value == name) {
            let d = Diagnostic::warning(codes::REPEATED, word.span, format!("node {name} is there twice"));
            let d = d.label(first.span, "first here").note("names are the same in any case");
            reader.out.push(d.help("delete one of the two"));
        } else if nodes.len() == MOST_NODES {
            let message = format!("more than {MOST_NODES} nodes");
            reader.out.push(Diagnostic::error(codes::NODE, word.span, message).note(REFUSED));
        } else {
            nodes.push(Spanned::new(name, word.span));
        }
    }
}

pub(super) fn respawn(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    child(reader, line, false);
}

pub(super) fn failfast(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    child(reader, line, true);
}

fn child(reader: &mut Reader<'_, '_>, line: &Line<'_>, vital: bool) {
    let words = reader.arguments(line);
    let [user, program, ..] = words.as_slice() else {
        let d = Diagnostic::error(codes::NO_VALUE, line.span(), format!("`{}` lacks something", line.name.value));
        reader.out.push(d.note(REFUSED).help(format!("write {} USER /PATH/OF/PROGRAM", line.name.value)));
        return;
    };
    let path = Path::new(program.value);
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name == "ipfail" {
        let message = "ipfail is built in: this line turns it on";
        let d = Diagnostic::note_at(codes::IPFAIL, line.span(), message);
        let mode = (reader.resolver.ask().file_mode)(path);
        reader.out.push(if mode.is_none() {
            d.note(format!("{} is not here, and need not be; heartbeat would refuse to start", shown(program.value)))
        } else {
            d.note("the program itself is not started")
        });
        reader.options.ipfail = Some(line.span());
        return;
    }
    if OF_THE_LIBRARY.contains(&name) {
        let message = format!("`{name}` is not started");
        let d = Diagnostic::warning(codes::CHILD, program.span, message);
        reader
            .out
            .push(d.note("it speaks to heartbeat's own library, which evenkeel has not").help("leave the line out"));
        return;
    }
    if !program.value.starts_with('/') {
        let d =
            Diagnostic::error(codes::CHILD, program.span, format!("`{}` is no absolute path", shown(program.value)));
        reader.out.push(d.note(REFUSED));
        return;
    }
    let Some(account) = Account::parse(user.value) else {
        let d = Diagnostic::error(codes::CHILD, user.span, format!("`{}` is no user", shown(user.value)));
        reader.out.push(d.note(REFUSED));
        return;
    };
    executable(reader, *program);
    reader.options.children.push(Child {
        account,
        command: words.iter().skip(1).map(|word| word.value.to_owned()).collect(),
        vital,
    });
}

/// Says when this host has no such program.
fn executable(reader: &mut Reader<'_, '_>, program: Spanned<&str>) {
    let what = match (reader.resolver.ask().file_mode)(Path::new(program.value)) {
        None => "is not on this host",
        Some(mode) if !crate::host::is_program(mode) => "is no program",
        Some(_) => return,
    };
    let d = Diagnostic::warning(codes::CHILD, program.span, format!("{} {what}", shown(program.value)));
    let d = d.note("heartbeat refuses to start; here its start is tried again and again");
    let name = program.value.rsplit('/').next().unwrap_or_default();
    let place = within(program.span, program.value.len() - name.len(), name.len());
    reader.out.push(match nearest(name, ["ipfail"]) {
        Some(meant) => d.suggest("did you mean ipfail, which is built in?", place, meant),
        None => d.help("install it, or leave the line out"),
    });
}

pub(super) fn apiauth(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    let words = line.arguments();
    let [client, rest @ ..] = words.as_slice() else { return };
    for word in rest.iter().filter(|word| !word.value.starts_with("uid=") && !word.value.starts_with("gid=")) {
        let message = format!("`{}` is neither uid=... nor gid=...", shown(word.value));
        reader.out.push(Diagnostic::warning(codes::VALUE, word.span, message).note(REFUSED));
    }
    if let Some(first) = reader.options.clients.iter().find(|known| known.value == client.value) {
        let message = format!("client {} is there twice", shown(client.value));
        let d = Diagnostic::error(codes::REPEATED, client.span, message).label(first.span, "first here");
        reader.out.push(d.note(REFUSED).help("delete one of the two"));
        return;
    }
    reader.options.clients.push(Spanned::new(client.value.to_owned(), client.span));
}

pub(super) fn stonith(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    let words = reader.arguments(line);
    let [kind, file, rest @ ..] = words.as_slice() else { return };
    reader.too_many("stonith", Some(rest));
    let Some(name) = kind_of(reader, *kind) else { return };
    let agent = FenceAgent::Stonith { kind: name, parameters: Vec::new(), file: Some(PathBuf::from(file.value)) };
    push_fence(reader, line, None, agent);
}

pub(super) fn stonith_host(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    let words = reader.arguments(line);
    let [from, kind, rest @ ..] = words.as_slice() else { return };
    let host = match (from.value, NodeName::new(from.value)) {
        ("*", _) => None,
        (_, Some(name)) => Some(Spanned::new(name, from.span)),
        (_, None) => {
            let message = format!("`{}` cannot be the name of a node", shown(from.value));
            let d = Diagnostic::error(codes::NODE, from.span, message);
            reader.out.push(d.help("write the node that reaches the device, or * for each of them"));
            return;
        }
    };
    let parameters = rest.iter().map(|word| word.value.to_owned()).collect();
    let Some(kind) = kind_of(reader, *kind) else { return };
    push_fence(reader, line, host, FenceAgent::Stonith { kind, parameters, file: None });
}

/// The plugin that a word means.
fn kind_of(reader: &mut Reader<'_, '_>, word: Spanned<&str>) -> Option<String> {
    let Some(kind) = plugin(word.value) else {
        let message = format!("`{}` is no stonith plugin", shown(word.value));
        reader
            .out
            .push(Diagnostic::error(codes::FENCE, word.span, message).note(REFUSED).help("`stonith -L` lists them"));
        return None;
    };
    if kind != word.value {
        let message = format!("`{}` is read as `{kind}`", shown(word.value));
        let d = Diagnostic::warning(codes::FENCE, word.span, message).note(REFUSED);
        reader.out.push(d.replace(format!("write `{kind}`"), word.span, kind.as_str()));
    }
    reader.out.extend(super::here::plugin(&kind, word.span, reader.resolver.ask()));
    Some(kind)
}

fn push_fence(reader: &mut Reader<'_, '_>, line: &Line<'_>, from: Option<Spanned<NodeName>>, agent: FenceAgent) {
    let fence = Fence { nodes: Vec::new(), agent, within: FENCE_WITHIN };
    reader.options.fences.push(Spanned::new(FenceLine { from, fence }, line.span()));
}

pub(super) fn env(reader: &mut Reader<'_, '_>, line: &Line<'_>) {
    let words = reader.arguments(line);
    if let Some(apart) = words.iter().find(|word| word.value.starts_with('=') || word.value.ends_with('=')) {
        let joined: String = words.iter().map(|word| word.value).collect();
        let d = Diagnostic::error(codes::VALUE, apart.span, "a blank beside `=`").note(REFUSED);
        reader.out.push(d.help(format!("write env {}", shown(&joined))));
        return;
    }
    for word in words {
        if is_variable(word.value) {
            let d = Diagnostic::warning(codes::VALUE, word.span, format!("`{}` has no value", shown(word.value)));
            reader.out.push(d.note("heartbeat sets nothing; neither does evenkeel").help("write env NAME=value"));
            continue;
        }
        let Some((name, value)) = word.value.split_once('=').filter(|(name, _)| is_variable(name)) else {
            let d = Diagnostic::error(codes::VALUE, word.span, format!("`{}` is no NAME=value", shown(word.value)));
            reader.out.push(d.note(REFUSED).help("write env NAME=value"));
            continue;
        };
        let known = reader.options.environment.iter_mut().find(|(known, _)| known == name);
        match known {
            Some((_, before)) => {
                *before = value.to_owned();
                let place = within(word.span, 0, name.len());
                let d = Diagnostic::warning(codes::REPEATED, place, format!("{} is set twice", shown(name)));
                reader.out.push(d.note("the last one counts"));
            }
            None => reader.options.environment.push((name.to_owned(), value.to_owned())),
        }
    }
}

/// What a shell takes for the name of a variable.
pub(crate) fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Plugins of cluster-glue that are programs of their own, under `external/`.
const EXTERNAL: &[&str] = &[
    "drac5",
    "dracmc-telnet",
    "hetzner",
    "hmchttp",
    "ibmrsa",
    "ibmrsa-telnet",
    "ipmi",
    "ippower9258",
    "kdumpcheck",
    "libvirt",
    "nut",
    "rackpdu",
    "riloe",
    "vcenter",
    "vmware",
    "xen0",
    "xen0-ha",
];

/// The name of a plugin, `external/` put before where it was left out. `None` for what no plugin is called.
pub(crate) fn plugin(name: &str) -> Option<String> {
    let fits = !name.is_empty() && !name.starts_with('.') && !name.contains("..");
    // That is a fence agent.
    let fits = fits
        && !name.starts_with("fence_")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'/'));
    fits.then(|| if EXTERNAL.contains(&name) { format!("external/{name}") } else { name.to_owned() })
}
